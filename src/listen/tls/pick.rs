//! Which certificate answers which name.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{SignatureAlgorithm, SignatureScheme};

use crate::units::Switch;

use super::certificate::{Certificate, Pair};
use super::names::Names;

/// The certificates of a listener, by name.
#[derive(Debug)]
pub(super) struct Certificates {
    // Invariant: never empty; in the order of the configuration.
    all: Vec<Certificate>,
    exact: ByName,
    // `*.example.com` under `example.com`.
    wildcards: ByName,
}

/// Lower-case names; the certificates of a name with the cheaper keys first.
type ByName = HashMap<String, Vec<Certificate>>;

impl Certificates {
    pub(super) fn new<'a>(pairs: impl Iterator<Item = &'a Pair>) -> Self {
        let mut all = Vec::new();
        let (mut exact, mut wildcards) = (ByName::new(), ByName::new());
        for pair in pairs {
            all.push(pair.certificate.clone());
            for name in &pair.certificate.names.dns {
                let (names, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut wildcards, parent),
                    None => (&mut exact, name.as_str()),
                };
                names.entry(name.to_owned()).or_default().push(pair.certificate.clone());
            }
        }
        for found in exact.values_mut().chain(wildcards.values_mut()) {
            // Signing with RSA costs the server many times what elliptic curves do.
            found.sort_by_key(|found| found.key.key.algorithm() == SignatureAlgorithm::RSA);
        }
        Certificates { all, exact, wildcards }
    }

    /// The certificates of a name in lower case: exact, else by a wildcard,
    /// which stands for one label (RFC 9525 §6.3).
    fn of(&self, name: &str) -> Option<&[Certificate]> {
        let found = self.exact.get(name).or_else(|| {
            let (_, parent) = name.split_once('.')?;
            self.wildcards.get(parent)
        })?;
        Some(found)
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

    fn pick(&self, hello: &ClientHello<'_>) -> Option<Certificate> {
        let certificates = self.certificates.load();
        let named = hello.server_name().and_then(|name| certificates.of(name));
        match named {
            Some(found) => first_usable(found, hello.signature_schemes()),
            None if self.strict_sni.0 => None,
            None => first_usable(&certificates.all, hello.signature_schemes()),
        }
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.pick(&hello).map(|certificate| certificate.key)
    }
}

/// Answers rustls in one handshake and remembers what; rustls does not tell.
#[derive(Debug)]
pub(super) struct Witness {
    resolver: Arc<Resolver>,
    // Of the last answer: after a HelloRetryRequest, rustls asks again.
    names: Mutex<Arc<Names>>,
}

impl Witness {
    pub(super) fn new(resolver: Arc<Resolver>) -> Self {
        Witness { resolver, names: Mutex::default() }
    }

    /// The names of the certificate that the client was shown.
    pub(super) fn names(&self) -> Arc<Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesServerCert for Witness {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let Certificate { key, names } = self.resolver.pick(&hello)?;
        *self.names.lock().unwrap_or_else(PoisonError::into_inner) = names;
        Some(key)
    }
}

/// The first key that signs in a way the client understands, else the first:
/// rustls then says what is not shared.
fn first_usable(found: &[Certificate], schemes: &[SignatureScheme]) -> Option<Certificate> {
    let usable = found.iter().find(|found| found.key.key.choose_scheme(schemes).is_some());
    usable.or_else(|| found.first()).cloned()
}
