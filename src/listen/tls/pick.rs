//! Which certificate answers which name.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{SignatureAlgorithm, SignatureScheme};

use crate::units::Switch;

use super::certificate::Pair;

/// The certificates of a listener, by name.
#[derive(Debug)]
pub(super) struct Certificates {
    // Invariant: never empty; in the order of the configuration.
    all: Vec<Arc<CertifiedKey>>,
    exact: ByName,
    // `*.example.com` under `example.com`.
    wildcards: ByName,
}

/// Lower-case names; the certificates of a name with the cheaper keys first.
type ByName = HashMap<String, Vec<Arc<CertifiedKey>>>;

impl Certificates {
    pub(super) fn new<'a>(pairs: impl Iterator<Item = &'a Pair>) -> Self {
        let mut all = Vec::new();
        let (mut exact, mut wildcards) = (ByName::new(), ByName::new());
        for pair in pairs {
            all.push(pair.key.clone());
            for name in &pair.names {
                let (names, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut wildcards, parent),
                    None => (&mut exact, name.as_str()),
                };
                names.entry(name.to_owned()).or_default().push(pair.key.clone());
            }
        }
        for keys in exact.values_mut().chain(wildcards.values_mut()) {
            // Signing with RSA costs the server many times what elliptic curves do.
            keys.sort_by_key(|key| key.key.algorithm() == SignatureAlgorithm::RSA);
        }
        Certificates { all, exact, wildcards }
    }

    /// The certificates of a name in lower case: exact, else by a wildcard,
    /// which stands for one label (RFC 9525 §6.3).
    fn of(&self, name: &str) -> Option<&[Arc<CertifiedKey>]> {
        let keys = self.exact.get(name).or_else(|| {
            let (_, parent) = name.split_once('.')?;
            self.wildcards.get(parent)
        })?;
        Some(keys)
    }
}

/// Answers rustls from the certificates in use.
#[derive(Debug)]
pub(super) struct Resolver {
    certificates: ArcSwap<Certificates>,
    strict_sni: Switch,
}

impl Resolver {
    pub(super) fn new(certificates: Certificates, strict_sni: Switch) -> Self {
        Resolver { certificates: ArcSwap::from_pointee(certificates), strict_sni }
    }

    /// Later handshakes are answered from `certificates`.
    pub(super) fn replace(&self, certificates: Certificates) {
        self.certificates.store(Arc::new(certificates));
    }

    /// Whether there is a certificate for a client that asks for `name`.
    pub(super) fn answers(&self, name: Option<&str>) -> bool {
        !self.strict_sni.0 || name.is_some_and(|name| self.certificates.load().of(name).is_some())
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let certificates = self.certificates.load();
        let named = hello.server_name().and_then(|name| certificates.of(name));
        match named {
            Some(keys) => first_usable(keys, hello.signature_schemes()),
            None if self.strict_sni.0 => None,
            None => first_usable(&certificates.all, hello.signature_schemes()),
        }
    }
}

/// The first key that signs in a way the client understands, else the first:
/// rustls then says what is not shared.
fn first_usable(
    keys: &[Arc<CertifiedKey>],
    schemes: &[SignatureScheme],
) -> Option<Arc<CertifiedKey>> {
    let usable = keys.iter().find(|key| key.key.choose_scheme(schemes).is_some());
    usable.or_else(|| keys.first()).cloned()
}
