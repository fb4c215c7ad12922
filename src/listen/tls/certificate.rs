//! One certificate and its key: what it says about itself.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

use crate::fault::Faults;
use crate::pem::{self, named};

use super::names::Names;

/// A certificate is warned of when it has less than this left: in time to renew
/// it by hand, and late enough for those who renew by themselves.
const LAST_DAYS: i64 = 14;
const SECONDS_OF_A_DAY: i64 = 24 * 60 * 60;

/// A certificate chain and the key of its first certificate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Files {
    /// PEM: the certificate first, then those between it and its root.
    pub(crate) cert: PathBuf,
    /// PEM: PKCS#8, PKCS#1 or SEC1, not encrypted.
    pub(crate) key: PathBuf,
}

/// A certificate that may be served.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) certificate: Certificate,
    validity: Validity,
    files: Files,
}

/// What a client is shown, what it is signed with, and whose it is.
#[derive(Debug, Clone)]
pub(super) struct Certificate {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) names: Arc<Names>,
}

impl Pair {
    pub(super) fn load(files: &Files, provider: &CryptoProvider) -> Result<Self, Faults> {
        let read = pem::Pair::read(&files.cert, &files.key)?;
        let Some(leaf) = Leaf::read(&read.chain) else {
            return Err(Faults::at("cert", named(&files.cert, "is no X.509 certificate")));
        };
        let key = read.certify(provider)?;
        let certificate = Certificate { key: Arc::new(key), names: Arc::new(leaf.names) };
        Ok(Pair { certificate, validity: leaf.validity, files: files.clone() })
    }

    /// What is odd about it, though it is served.
    pub(super) fn warnings(&self, now: SystemTime) -> Vec<String> {
        let Files { cert, key } = &self.files;
        let mut warnings: Vec<String> =
            self.validity.warning(now).map(|what| named(cert, what)).into_iter().collect();
        if self.certificate.names.dns.is_empty() {
            warnings.push(named(cert, "the certificate has no DNS name; no SNI will find it"));
        }
        if can_be_read_by_others(key) {
            warnings.push(named(key, "every user of this machine can read the key"));
        }
        warnings
    }
}

/// What a certificate says about itself.
struct Leaf {
    names: Names,
    validity: Validity,
}

/// When a certificate may be used; both ends belong to it (RFC 5280 §4.1.2.5).
#[derive(Debug)]
struct Validity {
    not_before: ASN1Time,
    not_after: ASN1Time,
}

impl Validity {
    fn warning(&self, now: SystemTime) -> Option<String> {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let left = self.not_after.timestamp().saturating_sub(now);
        let (from, end) = (day(self.not_before), day(self.not_after));
        if left < 0 {
            return Some(format!("the certificate has expired on {end}: renew it"));
        }
        if now < self.not_before.timestamp() {
            return Some(format!("the certificate is not valid before {from}"));
        }
        let when = match left / SECONDS_OF_A_DAY {
            0 => "within a day".to_owned(),
            1 => "in 1 day".to_owned(),
            days if days < LAST_DAYS => format!("in {days} days"),
            _ => return None,
        };
        Some(format!("the certificate ends on {end}, {when}: renew it"))
    }
}

/// A day of the calendar, such as 2030-01-31.
fn day(time: ASN1Time) -> String {
    time.to_datetime().date().to_string()
}

impl Leaf {
    /// Reads the first certificate of a chain.
    fn read(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let (_, leaf) = X509Certificate::from_der(chain.first()?).ok()?;
        let alternatives = leaf.subject_alternative_name().ok()?;
        let mut names = Names::default();
        for name in alternatives.iter().flat_map(|extension| &extension.value.general_names) {
            match name {
                GeneralName::DNSName(name) => names.dns.push(name.to_ascii_lowercase()),
                GeneralName::IPAddress(bytes) => names.addresses.extend(read_address(bytes)),
                _ => {}
            }
        }
        Some(Leaf {
            names,
            validity: Validity {
                not_before: leaf.validity().not_before,
                not_after: leaf.validity().not_after,
            },
        })
    }
}

/// An address in the order of the network (RFC 5280 §4.2.1.6).
fn read_address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

fn can_be_read_by_others(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o004 != 0)
}
