//! How a connection to a server is made: protocol, TLS, timeouts, pool.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pingora::protocols::ALPN;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::upstreams::peer::{HttpPeer, PeerOptions, Tracer, Tracing};
use pingora::utils::tls::{CertKey, WrappedX509, parse_x509};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::Faults;
use crate::units::{OrOff, Period, Switch};

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

/// The protocol spoken with servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Protocol {
    #[default]
    H1,
    H2,
    H2c,
}

/// The key `timeouts` of an upstream; none applies to tunnels but `connect`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Timeouts {
    /// Until the connection stands, TLS included.
    pub(crate) connect: Period,
    /// From the request sent to the first byte of the answer.
    pub(crate) first_byte: Period,
    /// Between two reads of the answer, or two writes of the request.
    pub(crate) between_bytes: Period,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            connect: Period::from_secs(1),
            first_byte: Period::from_secs(30),
            between_bytes: Period::from_secs(30),
        }
    }
}

/// The key `connections` of an upstream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Connections {
    /// Open connections kept for the next request, in all.
    pub(crate) idle: usize,
    /// How long they are kept.
    pub(crate) idle_timeout: OrOff<Period>,
    /// Requests at the same time to one server; 0 is no bound.
    pub(crate) max_per_server: usize,
}

impl Default for Connections {
    fn default() -> Self {
        Connections {
            idle: 128,
            idle_timeout: OrOff::Set(Period::from_secs(60)),
            max_per_server: 0,
        }
    }
}

/// What a request needs of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// A request and its answer.
    Exchange,
    /// A WebSocket: HTTP/1 whatever the upstream's protocol.
    Upgrade,
}

/// Connections over the bound on idle ones are closed this soon after use.
const CLOSE_SOON: Duration = Duration::from_millis(1);
/// Streams at the same time on one h2 connection to a server.
const H2_STREAMS: usize = 100;
/// What a server may send ahead of a slow client, a stream and a connection;
/// pingora's 8 MiB would let slow clients hold that much each.
const H2_STREAM_WINDOW: u32 = 1 << 20;
const H2_CONNECTION_WINDOW: u32 = 8 << 20;

/// Makes pingora's peers for the servers of one upstream.
#[derive(Debug)]
pub(crate) struct Connector {
    protocol: Protocol,
    tls: Option<TlsParts>,
    timeouts: Timeouts,
    connections: Connections,
    // Pingora's pool looks neither at the CA nor at the protocol.
    group: u64,
    open: Open,
}

impl Connector {
    /// Reads certificates and keys; `name` keeps upstreams' pools apart.
    pub(crate) fn new(
        name: &str,
        protocol: Protocol,
        tls: Option<&Tls>,
        timeouts: &Timeouts,
        connections: &Connections,
    ) -> Result<Self, Faults> {
        let mut faults = Faults::none();
        for (key, period) in [
            ("connect", timeouts.connect),
            ("first_byte", timeouts.first_byte),
            ("between_bytes", timeouts.between_bytes),
        ] {
            if period.0.is_zero() {
                faults.extend(Faults::at(key, "must be longer than 0").under("timeouts"));
            }
        }
        if protocol == Protocol::H2 && tls.is_none() {
            faults.extend(Faults::at("protocol", "h2 needs tls; without it write h2c"));
        }
        if protocol == Protocol::H2c && tls.is_some() {
            faults.extend(Faults::at("protocol", "h2c is h2 without tls; with it write h2"));
        }
        let parts = tls.map(|tls| faults.collect("tls", TlsParts::new(tls)));
        let mut hasher = DefaultHasher::new();
        (name, format!("{tls:?}{protocol:?}")).hash(&mut hasher);
        faults.into_result(|| {
            Some(Connector {
                protocol,
                tls: parts.map_or(Some(None), |parts| parts.map(Some))?,
                timeouts: timeouts.clone(),
                connections: connections.clone(),
                group: hasher.finish(),
                open: Open::default(),
            })
        })
    }

    /// A peer for one request to a server; `host` is what its certificate
    /// must say unless `tls.sni` says otherwise.
    pub(crate) fn peer(&self, address: SocketAddr, host: &str, need: Need) -> HttpPeer {
        let mut options = PeerOptions::new();
        options.connection_timeout = Some(self.timeouts.connect.0);
        options.total_connection_timeout = Some(self.timeouts.connect.0);
        // Pingora has one timeout for every read, and it runs while the client
        // still sends. Silence of servers is the deadline of the exchange.
        options.read_timeout = None;
        options.write_timeout = Some(self.timeouts.between_bytes.0);
        options.idle_timeout = self.idle_timeout();
        options.max_h2_streams = H2_STREAMS;
        options.h2_stream_window_size = Some(H2_STREAM_WINDOW);
        options.h2_connection_window_size = Some(H2_CONNECTION_WINDOW);
        options.alpn = match (self.protocol, need) {
            (Protocol::H1, _) | (_, Need::Upgrade) => ALPN::H1,
            (Protocol::H2 | Protocol::H2c, _) => ALPN::H2,
        };
        options.tracer = Some(Tracer(Box::new(self.open.clone())));
        let mut sni = String::new();
        let mut client_cert_key = None;
        if let Some(tls) = &self.tls {
            sni = tls.sni.clone().unwrap_or_else(|| host.to_owned());
            client_cert_key = tls.client.clone();
            options.verify_cert = tls.verify;
            options.verify_hostname = tls.verify;
            options.ca = tls.ca.clone();
        }
        let is_upgrade = u64::from(need == Need::Upgrade);
        HttpPeer {
            _address: address,
            scheme: pingora::upstreams::peer::Scheme::from_tls_bool(self.tls.is_some()),
            sni,
            proxy: None,
            client_cert_key,
            group_key: self.group.wrapping_add(is_upgrade),
            options,
        }
    }

    pub(crate) fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// Connections to the servers of this upstream that are open now.
    pub(crate) fn open_connections(&self) -> usize {
        self.open.count.load(Ordering::Relaxed)
    }

    // Pingora bounds its pool over all upstreams together, so a connection
    // that would be one too many for this upstream is closed after its use.
    fn idle_timeout(&self) -> Option<Duration> {
        if self.open_connections() >= self.connections.idle {
            return Some(CLOSE_SOON);
        }
        self.connections.idle_timeout.set().map(|period| period.0)
    }
}

/// Counts the open connections of one upstream.
#[derive(Debug, Clone, Default)]
struct Open {
    count: Arc<AtomicUsize>,
}

impl Tracing for Open {
    fn on_connected(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    fn on_disconnected(&self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }

    fn boxed_clone(&self) -> Box<dyn Tracing> {
        Box::new(self.clone())
    }
}

/// The certificates behind the key `tls`, read.
struct TlsParts {
    sni: Option<String>,
    verify: bool,
    ca: Option<Arc<[WrappedX509]>>,
    client: Option<Arc<CertKey>>,
}

impl TlsParts {
    fn new(config: &Tls) -> Result<Self, Faults> {
        let mut faults = Faults::none();
        let ca = config.ca.as_deref().map(|path| faults.collect("ca", read_authorities(path)));
        let client = match (&config.cert, &config.key) {
            (None, None) => None,
            (Some(cert), Some(key)) => Some(read_client(cert, key, &mut faults)),
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
                client: client.map_or(Some(None), |client| client.map(Some))?,
            })
        })
    }
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
        store
            .add(certificate.as_slice().into())
            .map_err(|error| Faults::one(format!("{}: {error}", path.display())))?;
    }
    Ok(certificates.into_iter().map(|der| WrappedX509::new(der, parse_x509)).collect())
}

fn read_client(cert: &Path, key: &Path, faults: &mut Faults) -> Option<Arc<CertKey>> {
    let certificates = faults.collect("cert", read_certificates(cert));
    let secret = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| Faults::one(format!("{}: {error}", key.display())));
    let (certificates, secret) = (certificates?, faults.collect("key", secret)?);
    let chain = certificates.iter().map(|der| CertificateDer::from(der.clone())).collect();
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    if let Err(error) = CertifiedKey::from_der(chain, secret.clone_key(), &provider) {
        let what = match error {
            rustls::Error::InconsistentKeys(_) => format!("is not the key of {}", cert.display()),
            error => error.to_string(),
        };
        faults.extend(Faults::at("key", format!("{}: {what}", key.display())));
        return None;
    }
    Some(Arc::new(CertKey::new(certificates, secret.secret_der().to_vec())))
}

fn read_certificates(path: &Path) -> Result<Vec<Vec<u8>>, Faults> {
    let fault = |what: String| Faults::one(format!("{}: {what}", path.display()));
    let read = CertificateDer::pem_file_iter(path).map_err(|error| fault(error.to_string()))?;
    let certificates: Vec<Vec<u8>> = read
        .map(|certificate| certificate.map(|der| der.to_vec()))
        .collect::<Result<_, _>>()
        .map_err(|error| fault(error.to_string()))?;
    if certificates.is_empty() {
        return Err(fault("holds no certificate".to_owned()));
    }
    Ok(certificates)
}
