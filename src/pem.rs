//! Certificates and keys as operators keep them: in PEM files.
//!
//! Everything that is read of one is read here, within a bound, and every
//! fault names its file. What they are for is for `listen` and `upstream`.

use std::fmt::Display;
use std::path::Path;

use rustls::Error;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::fault::Faults;
use crate::watch::read_file;

/// The largest file read; chains, keys and bundles of roots take less.
const LARGEST_FILE: u64 = 1 << 20;

/// A certificate chain and the key of its first certificate, as read.
pub(crate) struct Pair<'a> {
    cert: &'a Path,
    key: &'a Path,
    /// Invariant: never empty.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) secret: PrivateKeyDer<'static>,
}

impl<'a> Pair<'a> {
    /// Reads both; faults are at the keys `cert` and `key`.
    pub(crate) fn read(cert: &'a Path, key: &'a Path) -> Result<Self, Faults> {
        let mut faults = Faults::none();
        let chain = faults.collect("cert", read_certificates(cert));
        let secret = faults.collect("key", read_key(key));
        faults.into_result(|| Some(Pair { cert, key, chain: chain?, secret: secret? }))
    }

    /// Checks that the key can be used, and is that of the certificate.
    pub(crate) fn certify(self, provider: &CryptoProvider) -> Result<CertifiedKey, Faults> {
        let Pair { cert, key, chain, secret } = self;
        CertifiedKey::from_der(chain, secret, provider).map_err(|error| match error {
            Error::InconsistentKeys(_) => {
                let what = format!("is not the key of {}", cert.display());
                Faults::at("key", named(key, what))
            }
            Error::InvalidCertificate(error) => Faults::at("cert", named(cert, error)),
            error => Faults::at("key", named(key, error)),
        })
    }
}

/// Reads at least one certificate.
pub(crate) fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Faults> {
    let text = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(Faults::one(named(path, "holds no certificate in PEM form"))),
        Err(error) => Err(Faults::one(named(path, error))),
    }
}

/// A text about a file.
pub(crate) fn named(path: &Path, what: impl Display) -> String {
    format!("{}: {what}", path.display())
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, Faults> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            Faults::one(named(path, "holds no private key in PEM form that is not encrypted"))
        }
        error => Faults::one(named(path, error)),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, Faults> {
    read_file(path, LARGEST_FILE).map_err(|what| Faults::one(named(path, what)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_read_within_a_bound() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("ca.pem");
        let what = |length: u64| {
            fs::write(&path, vec![b'\n'; length as usize]).expect("writable");
            let faults = read_certificates(&path).expect_err("line ends");
            let what = faults.iter().next().expect("a fault").what.clone();
            what.rsplit(": ").next().unwrap_or_default().to_owned()
        };
        assert_eq!(what(LARGEST_FILE), "holds no certificate in PEM form");
        assert_eq!(what(LARGEST_FILE + 1), "is larger than 1 MiB");
    }
}
