//! Certificates of clients: who signs them, and whether one is needed.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::Faults;
use crate::pem::{named, read_certificates};

/// The section `client_auth`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClientAuth {
    /// PEM: the certificates that sign those of clients.
    pub(crate) ca: PathBuf,
    /// What becomes of a client without a certificate.
    #[serde(default)]
    pub(crate) mode: Mode,
}

/// What becomes of a client without a certificate.
///
/// One with a certificate that `ca` did not sign is refused in any mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// Its handshake is refused.
    #[default]
    Require,
    /// It is served.
    Request,
}

impl ClientAuth {
    pub(super) fn verifier(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, Faults> {
        let wrong = |what: String| Faults::at("ca", named(&self.ca, what));
        let mut roots = RootCertStore::empty();
        for certificate in read_certificates(&self.ca).map_err(|faults| faults.under("ca"))? {
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
        }
        let builder =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let builder = match self.mode {
            Mode::Require => builder,
            Mode::Request => builder.allow_unauthenticated(),
        };
        let verifier = builder.build().map_err(|error| wrong(error.to_string()))?;
        Ok(verifier)
    }
}
