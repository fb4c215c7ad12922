//! What TLS with servers needs, read from its files.

use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pingora::utils::tls::{CertKey, WrappedX509, parse_x509};
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::Faults;
use crate::pem::{self, named, read_certificates};
use crate::units::Switch;

/// The key `tls` of an upstream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tls {
    /// The name asked for and verified; the server's own name if absent.
    pub(crate) sni: Option<String>,
    /// Whether the server's certificate is verified.
    pub(crate) verify: Switch,
    /// Authorities to trust instead of the system's.
    pub(crate) ca: Option<PathBuf>,
    /// The certificate that Tidegate shows to the server.
    pub(crate) cert: Option<PathBuf>,
    /// The key of that certificate.
    pub(crate) key: Option<PathBuf>,
}

impl Default for Tls {
    fn default() -> Self {
        Tls { sni: None, verify: Switch::ON, ca: None, cert: None, key: None }
    }
}

/// The certificates behind the key `tls`, read.
pub(super) struct TlsParts {
    pub(super) sni: Option<String>,
    pub(super) verify: bool,
    pub(super) ca: Option<Arc<[WrappedX509]>>,
    pub(super) client: Option<Arc<CertKey>>,
}

impl TlsParts {
    pub(super) fn new(config: &Tls) -> Result<Self, Faults> {
        let mut faults = Faults::none();
        let ca = config.ca.as_deref().map(|path| faults.collect("ca", read_authorities(path)));
        let client = match (&config.cert, &config.key) {
            (None, None) => None,
            (Some(cert), Some(key)) => {
                read_client(cert, key).map_err(|found| faults.extend(found)).ok()
            }
            (Some(_), None) => {
                faults.extend(Faults::at("cert", "needs the key that belongs to it: `key`"));
                None
            }
            (None, Some(_)) => {
                faults.extend(Faults::at("key", "needs the certificate it belongs to: `cert`"));
                None
            }
        };
        if let Some(sni) = &config.sni
            && ServerName::try_from(sni.as_str()).is_err()
        {
            faults.extend(Faults::at("sni", format!("`{sni}` is no host name")));
        }
        faults.into_result(|| {
            Some(TlsParts {
                sni: config.sni.clone(),
                verify: config.verify.0,
                ca: ca.map_or(Some(None), |ca| ca.map(Some))?,
                client,
            })
        })
    }
}

/// What is in the files counts, not where they are: new certificates at an old
/// path want new connections.
impl Hash for TlsParts {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let ca = self.ca.as_deref().map(|ca| ca.iter().map(der).collect::<Vec<_>>());
        let client = self.client.as_deref().map(|client| {
            let rest = client.intermediates();
            std::iter::once(client.leaf()).chain(rest).map(der).collect::<Vec<_>>()
        });
        (&self.sni, self.verify, ca, client).hash(state);
    }
}

fn der(certificate: &WrappedX509) -> &[u8] {
    certificate.borrow_raw_cert()
}

impl std::fmt::Debug for TlsParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsParts").field("sni", &self.sni).finish_non_exhaustive()
    }
}

fn read_authorities(path: &Path) -> Result<Arc<[WrappedX509]>, Faults> {
    let certificates = read_certificates(path)?;
    let mut store = RootCertStore::empty();
    for certificate in &certificates {
        // Pingora parses and adds them on every connection and panics or
        // fails there; what it could not use is refused here.
        store.add(certificate.clone()).map_err(|error| Faults::one(named(path, error)))?;
    }
    let certificates = certificates.iter().map(|der| WrappedX509::new(der.to_vec(), parse_x509));
    Ok(certificates.collect())
}

fn read_client(cert: &Path, key: &Path) -> Result<Arc<CertKey>, Faults> {
    let pair = pem::Pair::read(cert, key)?;
    let chain = pair.chain.iter().map(|der| der.to_vec()).collect();
    let secret = pair.secret.secret_der().to_vec();
    pair.certify(&aws_lc_rs::default_provider())?;
    Ok(Arc::new(CertKey::new(chain, secret)))
}
