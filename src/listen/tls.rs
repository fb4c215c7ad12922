//! Ends TLS for one listener: certificates by name, renewed without a restart.
//!
//! Certificates, keys and the CA of clients are read from files, checked as a
//! whole, and read again when the files change ([`Tls::refresh`]). What may
//! be asked over the connection is for later rooms.

mod certificate;
mod clients;
mod handshake;
mod names;
mod pick;

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{Acceptor, NoServerSessionStorage, ServerConfig, WebPkiClientVerifier};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::lane::Lane;
use crate::fault::Faults;
use crate::units::{Switch, Unreadable, Word, word};
use crate::watch::Watch;

use certificate::{Files, Pair};
use clients::ClientAuth;
use handshake::UnknownName;
use pick::{Certificates, Resolver, Witness};

pub(crate) use handshake::{Facts, reason};
pub(crate) use names::WrongHost;

/// The section `tls` of a listener.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Picked by the name that the client asks for (SNI); the first one
    /// answers unknown and missing names.
    pub(crate) certificates: Vec<Files>,
    /// Refuses the handshake for unknown and missing names instead.
    pub(crate) strict_sni: Switch,
    /// The oldest version of TLS: 1.2 or 1.3.
    pub(crate) min_version: MinVersion,
    /// Asks clients for a certificate.
    pub(crate) client_auth: Option<ClientAuth>,
}

/// The oldest version of TLS that a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum MinVersion {
    #[default]
    Tls12,
    Tls13,
}

impl FromStr for MinVersion {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        match text {
            "1.2" => Ok(MinVersion::Tls12),
            "1.3" => Ok(MinVersion::Tls13),
            _ => Err(Unreadable(format!("`{text}` is no version of TLS; write 1.2 or 1.3"))),
        }
    }
}

impl fmt::Display for MinVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MinVersion::Tls12 => "1.2",
            MinVersion::Tls13 => "1.3",
        })
    }
}

impl Word for MinVersion {
    const FORMAT: &'static str = "tls-version";
}

word!(MinVersion);

/// TLS of one listener, ready for handshakes.
#[derive(Debug)]
pub(crate) struct Tls {
    config: Config,
    alpn: Vec<Vec<u8>>,
    provider: Arc<CryptoProvider>,
    resolver: Arc<Resolver>,
    server: ArcSwap<ServerConfig>,
    // Never locked by a handshake.
    loaded: Mutex<Loaded>,
}

/// What a [`Tls::refresh`] did: nothing, unless a file had changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Refreshed {
    /// Files that were read again and are in use from now on.
    pub(crate) replaced: Vec<String>,
    /// Why files that changed are not used; what they held before stays in use.
    pub(crate) failed: Vec<String>,
    /// What is odd about the files that are in use from now on.
    pub(crate) warnings: Vec<String>,
}

impl Tls {
    /// Reads and checks every file; `alpn` lists protocols, the preferred one first.
    pub(crate) fn new(config: &Config, alpn: &[&[u8]]) -> Result<Self, Faults> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let alpn: Vec<Vec<u8>> = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        let mut faults = Faults::none();
        let pairs = faults.collect("certificates", load_pairs(&config.certificates, &provider));
        let clients = match &config.client_auth {
            None => Some((None, WebPkiClientVerifier::no_client_auth())),
            Some(auth) => {
                // Looked at before it is read, so that no change in between is missed.
                let watch = Watch::new([&auth.ca]);
                let verifier = faults.collect("client_auth", auth.verifier(&provider));
                verifier.map(|verifier| (Some(watch), verifier))
            }
        };
        let (Some(pairs), Some((client_ca, verifier))) = (pairs, clients) else {
            return Err(faults);
        };
        let resolver = Arc::new(Resolver::new(certificates(&pairs), config.strict_sni));
        let server = server_config(config, &alpn, &provider, resolver.clone(), verifier)
            .map_err(|error| Faults::one(error.to_string()))?;
        Ok(Tls {
            config: config.clone(),
            alpn,
            provider,
            resolver,
            server: ArcSwap::from_pointee(server),
            loaded: Mutex::new(Loaded { pairs, client_ca }),
        })
    }

    /// Does the server's part of a handshake, in its turn if it has to wait for
    /// one. Deadlines are the caller's.
    ///
    /// [`reason`] says in one word why it failed.
    pub(super) async fn accept<IO>(
        &self,
        io: IO,
        lane: Option<&Lane>,
    ) -> io::Result<(TlsStream<IO>, Facts)>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut start = LazyConfigAcceptor::new(Acceptor::default(), io).await?;
        if !self.resolver.answers(start.client_hello().server_name()) {
            // rustls would send access_denied, for want of a certificate; RFC 6066 §3 has a word.
            start.io.write_all(&UnknownName::ALERT).await?;
            start.io.flush().await?;
            return Err(io::Error::new(io::ErrorKind::InvalidData, UnknownName));
        }
        let witness = Arc::new(Witness::new(self.resolver.clone()));
        // Its parts are shared, and it is gone when the handshake is over.
        let mut server = ServerConfig::clone(&self.server_config());
        server.cert_resolver = witness.clone();
        // All that is costly is done before the client is waited for again, the
        // signature before this even returns.
        let begin = move || {
            let mut handshake = start.into_stream(Arc::new(server));
            let begun = Pin::new(&mut handshake).poll(&mut Context::from_waker(Waker::noop()));
            (begun, handshake)
        };
        let (begun, handshake) = match lane {
            Some(lane) => lane.run(begin).await.map_err(io::Error::other)?,
            None => begin(),
        };
        let stream = match begun {
            Poll::Ready(done) => done?,
            Poll::Pending => handshake.await?,
        };
        let facts = Facts::of(stream.get_ref().1, witness.names());
        Ok((stream, facts))
    }

    /// For whoever does handshakes in another way than [`Tls::accept`].
    pub(crate) fn server_config(&self) -> Arc<ServerConfig> {
        self.server.load_full()
    }

    /// Reads files again that have changed since they were last read, or could
    /// not be used then.
    ///
    /// Blocks on the file system, for a few stats when nothing changed. Each
    /// change, and each reason against one, is reported once. Handshakes under way keep what they began with.
    pub(crate) fn refresh(&self) -> Refreshed {
        let mut refreshed = Refreshed::default();
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        for pair in &mut loaded.pairs {
            pair.refresh(&self.provider, &mut refreshed);
        }
        if !refreshed.replaced.is_empty() {
            self.resolver.replace(certificates(&loaded.pairs));
        }
        if let Some(watch) = &mut loaded.client_ca
            && watch.is_due()
        {
            self.refresh_clients(watch, &mut refreshed);
        }
        refreshed
    }

    /// What is odd about the files in use: expired, or soon to be; readable by others.
    pub(crate) fn warnings(&self, now: SystemTime) -> Vec<String> {
        let loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.pairs.iter().flat_map(|loaded| loaded.pair.warnings(now)).collect()
    }

    /// Starts over with the new CA: no ticket of a client of the old one is accepted.
    fn refresh_clients(&self, watch: &mut Watch, refreshed: &mut Refreshed) {
        let Some(auth) = &self.config.client_auth else {
            return;
        };
        match self.server_with(auth) {
            Ok(server) => {
                watch.succeeded();
                self.server.store(Arc::new(server));
                refreshed.replaced.push(auth.ca.display().to_string());
            }
            Err(reasons) => refreshed.failed.extend(watch.failed(reasons)),
        }
    }

    /// Reads the CA of clients again; the error is every reason why it cannot be used.
    fn server_with(&self, auth: &ClientAuth) -> Result<ServerConfig, Vec<String>> {
        let verifier = auth.verifier(&self.provider).map_err(|faults| texts(&faults))?;
        let resolver = self.resolver.clone();
        server_config(&self.config, &self.alpn, &self.provider, resolver, verifier)
            .map_err(|error| vec![error.to_string()])
    }
}

/// The files in use, and how they looked when they were last read.
#[derive(Debug)]
struct Loaded {
    // Invariant: never empty; in the order of the configuration.
    pairs: Vec<LoadedPair>,
    client_ca: Option<Watch>,
}

#[derive(Debug)]
struct LoadedPair {
    files: Files,
    watch: Watch,
    pair: Pair,
}

impl LoadedPair {
    fn load(files: &Files, provider: &CryptoProvider) -> Result<Self, Faults> {
        // Looked at before they are read, so that no change in between is missed.
        let watch = Watch::new([&files.cert, &files.key]);
        let pair = Pair::load(files, provider)?;
        Ok(LoadedPair { files: files.clone(), watch, pair })
    }

    fn refresh(&mut self, provider: &CryptoProvider, refreshed: &mut Refreshed) {
        if !self.watch.is_due() {
            return;
        }
        match Pair::load(&self.files, provider) {
            Ok(pair) => {
                refreshed.replaced.push(self.files.cert.display().to_string());
                refreshed.warnings.extend(pair.warnings(SystemTime::now()));
                self.watch.succeeded();
                self.pair = pair;
            }
            Err(faults) => refreshed.failed.extend(self.watch.failed(texts(&faults))),
        }
    }
}

fn load_pairs(files: &[Files], provider: &CryptoProvider) -> Result<Vec<LoadedPair>, Faults> {
    if files.is_empty() {
        return Err(Faults::one("needs at least one certificate"));
    }
    let mut faults = Faults::none();
    let load = |(index, files)| faults.collect(index, LoadedPair::load(files, provider));
    let pairs: Vec<LoadedPair> = files.iter().enumerate().filter_map(load).collect();
    faults.into_result(|| Some(pairs))
}

fn certificates(pairs: &[LoadedPair]) -> Certificates {
    Certificates::new(pairs.iter().map(|loaded| &loaded.pair))
}

fn server_config(
    config: &Config,
    alpn: &[Vec<u8>],
    provider: &Arc<CryptoProvider>,
    resolver: Arc<Resolver>,
    verifier: Arc<dyn ClientCertVerifier>,
) -> Result<ServerConfig, rustls::Error> {
    let versions: &[&rustls::SupportedProtocolVersion] = match config.min_version {
        MinVersion::Tls12 => &[&rustls::version::TLS13, &rustls::version::TLS12],
        MinVersion::Tls13 => &[&rustls::version::TLS13],
    };
    let mut server = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(resolver);
    server.alpn_protocols = alpn.to_vec();
    // A ticket stands for the checks of the handshake that it was given in, client certificate
    // included. So each listener seals with keys of its own: what one without client_auth gave
    // out opens no other. The keys change every six hours, and live for twice that.
    server.ticketer = aws_lc_rs::Ticketer::new()?;
    // With tickets nothing needs to be remembered here: no memory, no lock, no bound to choose.
    server.session_storage = Arc::new(NoServerSessionStorage {});
    // A ticket is used once, and browsers open two connections at a time.
    server.send_tls13_tickets = 2;
    // Early data can be replayed; a proxy cannot know which requests may be.
    server.max_early_data_size = 0;
    Ok(server)
}

fn texts(faults: &Faults) -> Vec<String> {
    faults.iter().map(|fault| fault.what.clone()).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::{Path, PathBuf};
    use std::pin::pin;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::{Duration, UNIX_EPOCH};

    use rcgen::{CertificateParams, IsCa, Issuer, KeyPair, SignatureAlgorithm};
    use rustls::client::ClientConfig;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
    use rustls::{HandshakeKind, NamedGroup, RootCertStore};
    use tokio::io::AsyncReadExt;
    use tokio_rustls::TlsConnector;
    use x509_parser::der_parser::parse_der;

    use super::clients::Mode;
    use super::names::Names;
    use super::*;

    const EC: &SignatureAlgorithm = &rcgen::PKCS_ECDSA_P256_SHA256;
    const RSA: &SignatureAlgorithm = &rcgen::PKCS_RSA_SHA256;

    /// A directory of PEM files, all signed by one CA; it goes away with the test.
    struct Place {
        directory: PathBuf,
        ca: Issuer<'static, KeyPair>,
        root: CertificateDer<'static>,
    }

    impl Place {
        fn new() -> Self {
            static NUMBER: AtomicU32 = AtomicU32::new(0);
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let name = format!("tidegate-tls-{}-{number}", std::process::id());
            let directory = std::env::temp_dir().join(name);
            fs::create_dir_all(&directory).expect("creates");
            let key = KeyPair::generate().expect("generates");
            let mut params = CertificateParams::new([]).expect("params");
            params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            let certificate = params.self_signed(&key).expect("signs");
            let place =
                Place { directory, ca: Issuer::new(params, key), root: certificate.der().clone() };
            place.write("ca.pem", &certificate.pem());
            place
        }

        fn path(&self, name: &str) -> PathBuf {
            self.directory.join(name)
        }

        fn write(&self, name: &str, text: &str) {
            static SECONDS: AtomicU32 = AtomicU32::new(0);
            let seconds = SECONDS.fetch_add(1, Ordering::Relaxed);
            fs::write(self.path(name), text).expect("writes");
            // Two writes within one tick of the clock must look different, too.
            let at = UNIX_EPOCH + Duration::from_secs(seconds.into());
            let file = fs::File::options().write(true).open(self.path(name)).expect("opens");
            file.set_modified(at).expect("sets");
        }

        /// Writes `file.pem` and `file.key`, and says where they are.
        fn issue(
            &self,
            file: &str,
            names: &[&str],
            algorithm: &'static SignatureAlgorithm,
        ) -> Files {
            self.issue_with(file, names, algorithm, |_| {})
        }

        fn issue_with(
            &self,
            file: &str,
            names: &[&str],
            algorithm: &'static SignatureAlgorithm,
            change: impl FnOnce(&mut CertificateParams),
        ) -> Files {
            let key = KeyPair::generate_for(algorithm).expect("generates");
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let mut params = CertificateParams::new(names).expect("params");
            change(&mut params);
            let certificate = params.signed_by(&key, &self.ca).expect("signs");
            let (cert, private) = (format!("{file}.pem"), format!("{file}.key"));
            self.write(&cert, &certificate.pem());
            self.write(&private, &key.serialize_pem());
            let files = Files { cert: self.path(&cert), key: self.path(&private) };
            fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600)).expect("sets");
            files
        }

        fn client_auth(&self, mode: Mode) -> Option<ClientAuth> {
            Some(ClientAuth { ca: self.path("ca.pem"), mode })
        }

        /// A client that trusts the CA and offers all that rustls can.
        fn client(&self) -> ClientConfig {
            self.client_of(rustls::DEFAULT_VERSIONS, aws_lc_rs::default_provider(), None)
        }

        fn client_with(&self, certificate: &Files) -> ClientConfig {
            let provider = aws_lc_rs::default_provider();
            self.client_of(rustls::DEFAULT_VERSIONS, provider, Some(certificate))
        }

        fn client_of(
            &self,
            versions: &[&'static rustls::SupportedProtocolVersion],
            provider: CryptoProvider,
            certificate: Option<&Files>,
        ) -> ClientConfig {
            let mut roots = RootCertStore::empty();
            roots.add(self.root.clone()).expect("a root");
            let builder = ClientConfig::builder_with_provider(Arc::new(provider))
                .with_protocol_versions(versions)
                .expect("versions")
                .with_root_certificates(roots);
            let Some(Files { cert, key }) = certificate else {
                return builder.with_no_client_auth();
            };
            let chain = vec![CertificateDer::from_pem_file(cert).expect("reads")];
            let key = PrivateKeyDer::from_pem_file(key).expect("reads");
            builder.with_client_auth_cert(chain, key).expect("a pair")
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.directory));
        }
    }

    fn config(certificates: &[Files]) -> Config {
        Config { certificates: certificates.to_vec(), ..Config::default() }
    }

    fn tls(config: &Config) -> Tls {
        Tls::new(config, &[b"h2", b"http/1.1"]).expect("good")
    }

    /// Both ends after a handshake and one byte.
    struct Met {
        facts: Facts,
        served: CertificateDer<'static>,
        kind: HandshakeKind,
    }

    /// A handshake in memory; the error is the server's reason and the client's error.
    async fn meet(
        tls: &Tls,
        client: &ClientConfig,
        name: &'static str,
    ) -> Result<Met, (&'static str, String)> {
        meet_in(tls, client, name, None).await
    }

    /// The same, where the server may have to wait for a turn.
    async fn meet_in(
        tls: &Tls,
        client: &ClientConfig,
        name: &'static str,
        lane: Option<&Lane>,
    ) -> Result<Met, (&'static str, String)> {
        let (near, far) = tokio::io::duplex(64 << 10);
        let server = async {
            let (mut stream, facts) = tls.accept(far, lane).await?;
            stream.write_all(b"!").await?;
            stream.flush().await?;
            Ok::<_, io::Error>(facts)
        };
        let client = async {
            let name = ServerName::try_from(name).expect("a name");
            let mut stream =
                TlsConnector::from(Arc::new(client.clone())).connect(name, near).await?;
            // Tickets arrive before it.
            stream.read_u8().await?;
            Ok::<_, io::Error>(stream)
        };
        match tokio::join!(server, client) {
            (Ok(facts), Ok(client)) => {
                let client = client.get_ref().1;
                let served = client.peer_certificates().expect("a chain")[0].clone();
                let kind = client.handshake_kind().expect("complete");
                Ok(Met { facts, served, kind })
            }
            (Err(server), Err(client)) => Err((reason(&server), client.to_string())),
            (server, client) => panic!("{:?} {:?}", server.err(), client.err()),
        }
    }

    async fn check_refused(
        tls: &Tls,
        client: &ClientConfig,
        name: &'static str,
        expected: (&str, &str),
    ) {
        let Err((reason, told)) = meet(tls, client, name).await else {
            panic!("accepted, not {expected:?}");
        };
        assert_eq!(reason, expected.0, "{told}");
        assert!(told.contains(expected.1), "{told}");
    }

    fn first_of(files: &Files) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(&files.cert).expect("reads")
    }

    #[tokio::test]
    async fn the_certificate_is_picked_by_name() {
        let place = Place::new();
        let files = [
            place.issue("first", &["first.test"], EC),
            place.issue("exact", &["www.example.test", "EXAMPLE.test"], EC),
            place.issue("wild", &["*.example.test"], EC),
        ];
        let tls = tls(&config(&files));
        for (name, expected) in [
            ("first.test", 0),
            ("example.test", 1),
            ("www.example.test", 1),
            ("WWW.Example.Test", 1),
            ("api.example.test", 2),
        ] {
            let met = meet(&tls, &place.client(), name).await.expect(name);
            assert_eq!(met.served, first_of(&files[expected]), "{name}");
            assert_eq!(met.facts.sni.as_deref(), Some(name.to_lowercase().as_str()));
        }
        let mut nameless = place.client();
        nameless.enable_sni = false;
        let met = meet(&tls, &nameless, "first.test").await.expect("served");
        assert_eq!((met.served, met.facts.sni), (first_of(&files[0]), None));
        for unknown in ["unknown.test", "a.b.example.test"] {
            check_refused(&tls, &place.client(), unknown, ("client_refused", "first.test")).await;
        }
    }

    #[tokio::test]
    async fn strict_sni_refuses_unknown_and_missing_names() {
        let place = Place::new();
        let files = [place.issue("a", &["a.test"], EC)];
        let tls = tls(&Config { strict_sni: Switch::ON, ..config(&files) });
        assert!(meet(&tls, &place.client(), "a.test").await.is_ok());
        let refused = ("unknown_name", "UnrecognisedName");
        check_refused(&tls, &place.client(), "b.test", refused).await;
        let mut nameless = place.client();
        nameless.enable_sni = false;
        check_refused(&tls, &nameless, "a.test", refused).await;
    }

    #[tokio::test]
    async fn of_two_certificates_the_client_gets_one_it_understands() {
        let place = Place::new();
        let files = [
            place.issue("rsa", &["a.test", "rsa.test"], RSA),
            place.issue("ec", &["a.test", "ec.test"], EC),
        ];
        let tls = tls(&config(&files));
        let met = meet(&tls, &place.client(), "a.test").await.expect("served");
        assert_eq!(met.served, first_of(&files[1]));
        assert_eq!(met.facts.names.dns, ["a.test", "ec.test"]);
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites =
            vec![aws_lc_rs::cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256];
        let old = place.client_of(&[&rustls::version::TLS12], provider, None);
        let met = meet(&tls, &old, "a.test").await.expect("served");
        assert_eq!(met.served, first_of(&files[0]));
        assert_eq!(met.facts.names.dns, ["a.test", "rsa.test"]);
        assert_eq!(met.facts.cipher, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256");
    }

    #[tokio::test]
    async fn facts_say_what_was_agreed_on() {
        let place = Place::new();
        let tls = tls(&config(&[place.issue("a", &["a.test"], EC)]));
        let mut client = place.client();
        client.alpn_protocols = vec![b"h2".to_vec()];
        let met = meet(&tls, &client, "a.test").await.expect("served");
        let expected = Facts {
            version: "TLSv1.3",
            cipher: "TLS_AES_256_GCM_SHA384",
            sni: Some("a.test".into()),
            names: Arc::new(Names { dns: vec!["a.test".to_owned()], addresses: Vec::new() }),
            is_h2: true,
            client_certificate: None,
        };
        assert_eq!(met.facts, expected);
        client.alpn_protocols = vec![b"http/1.1".to_vec()];
        let met = meet(&tls, &client, "a.test").await.expect("served");
        assert!(!met.facts.is_h2);
        client.alpn_protocols = vec![b"smtp".to_vec()];
        check_refused(&tls, &client, "a.test", ("alpn", "NoApplicationProtocol")).await;
    }

    #[tokio::test]
    async fn versions_and_ciphers_must_be_shared() {
        let place = Place::new();
        let config = config(&[place.issue("a", &["a.test"], EC)]);
        let provider = aws_lc_rs::default_provider;
        let old = place.client_of(&[&rustls::version::TLS12], provider(), None);
        let met = meet(&tls(&config), &old, "a.test").await.expect("served");
        assert_eq!(met.facts.version, "TLSv1.2");
        let modern = tls(&Config { min_version: MinVersion::Tls13, ..config.clone() });
        check_refused(&modern, &old, "a.test", ("no_shared_version", "ProtocolVersion")).await;
        let mut rsa_only = provider();
        rsa_only.cipher_suites =
            vec![aws_lc_rs::cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256];
        let rsa_only = place.client_of(&[&rustls::version::TLS12], rsa_only, None);
        let refused = ("no_shared_cipher", "HandshakeFailure");
        check_refused(&tls(&config), &rsa_only, "a.test", refused).await;
    }

    #[tokio::test]
    async fn clients_show_their_certificates() {
        let place = Place::new();
        let files = [place.issue("a", &["a.test"], EC)];
        let known = place.issue_with("client", &[], EC, |params| {
            params.distinguished_name.push(rcgen::DnType::CommonName, "a client");
        });
        let asking = |mode| tls(&Config { client_auth: place.client_auth(mode), ..config(&files) });
        let (require, request) = (asking(Mode::Require), asking(Mode::Request));
        for tls in [&require, &request] {
            let met = meet(tls, &place.client_with(&known), "a.test").await.expect("served");
            let subject = met.facts.client_certificate.expect("verified");
            assert!(subject.contains("CN=a client"), "{subject}");
        }
        let met = meet(&request, &place.client(), "a.test").await.expect("served");
        assert_eq!(met.facts.client_certificate, None);
        let refused = ("client_certificate", "CertificateRequired");
        check_refused(&require, &place.client(), "a.test", refused).await;
    }

    #[tokio::test]
    async fn a_strangers_certificate_is_refused_in_any_mode() {
        let (place, elsewhere) = (Place::new(), Place::new());
        let files = [place.issue("a", &["a.test"], EC)];
        let stranger = elsewhere.issue("stranger", &["stranger"], EC);
        for mode in [Mode::Require, Mode::Request] {
            let tls = tls(&Config { client_auth: place.client_auth(mode), ..config(&files) });
            let client = place.client_with(&stranger);
            check_refused(&tls, &client, "a.test", ("client_certificate", "alert")).await;
        }
    }

    #[tokio::test]
    async fn strangers_wait_for_their_lane_and_others_do_not() {
        let place = Place::new();
        let (tls, client) = (tls(&config(&[place.issue("a", &["a.test"], EC)])), place.client());
        let (lane, driver) = Lane::new();
        let mut stranger = pin!(meet_in(&tls, &client, "a.test", Some(&lane)));
        for _ in 0..100 {
            assert!(futures::poll!(stranger.as_mut()).is_pending());
        }
        assert!(meet(&tls, &client, "a.test").await.is_ok());
        assert!(futures::poll!(stranger.as_mut()).is_pending());
        let worker = tokio::runtime::Handle::current();
        tokio::task::spawn_blocking(move || driver.drive(&worker));
        assert!(stranger.await.is_ok());
    }

    #[tokio::test]
    async fn sessions_resume_across_a_refresh() {
        let place = Place::new();
        let files = [place.issue("a", &["a.test"], EC)];
        for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
            let tls = tls(&config(&files));
            let client = place.client_of(&[version], aws_lc_rs::default_provider(), None);
            let kind = async || meet(&tls, &client, "a.test").await.expect("served").kind;
            assert_eq!(kind().await, HandshakeKind::Full);
            assert_eq!(kind().await, HandshakeKind::Resumed);
            place.issue("a", &["a.test"], EC);
            assert_eq!(tls.refresh().replaced.len(), 1);
            assert_eq!(kind().await, HandshakeKind::Resumed);
        }
    }

    /// The keys change after half of it: a ticket outlives one change, never two.
    #[test]
    fn a_ticket_lives_for_twelve_hours_at_most() {
        let place = Place::new();
        let tls = tls(&config(&[place.issue("a", &["a.test"], EC)]));
        let ticketer = &tls.server_config().ticketer;
        assert!(ticketer.enabled());
        assert_eq!(ticketer.lifetime(), 12 * 60 * 60);
    }

    #[tokio::test]
    async fn a_ticket_opens_no_other_listener() {
        let place = Place::new();
        let config = config(&[place.issue("a", &["a.test"], EC)]);
        let request = Config { client_auth: place.client_auth(Mode::Request), ..config.clone() };
        let (open, asking) = (tls(&config), tls(&request));
        for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
            let client = place.client_of(&[version], aws_lc_rs::default_provider(), None);
            meet(&open, &client, "a.test").await.expect("served");
            let met = meet(&asking, &client, "a.test").await.expect("served");
            assert_eq!(met.kind, HandshakeKind::Full);
        }
    }

    #[tokio::test]
    async fn a_replaced_pair_answers_the_next_handshake() {
        let place = Place::new();
        let files = [place.issue("a", &["a.test"], EC)];
        let tls = tls(&config(&files));
        assert_eq!(tls.refresh(), Refreshed::default());
        place.issue("a", &["a.test", "b.test"], EC);
        let refreshed = tls.refresh();
        assert_eq!(refreshed.replaced, [files[0].cert.display().to_string()]);
        assert_eq!(tls.refresh(), Refreshed::default());
        let met = meet(&tls, &place.client(), "b.test").await.expect("served");
        assert_eq!(met.served, first_of(&files[0]));
    }

    #[tokio::test]
    async fn a_link_that_points_elsewhere_is_a_change() {
        let place = Place::new();
        let (old, new) = (place.issue("old", &["a.test"], EC), place.issue("new", &["a.test"], EC));
        let files = Files { cert: place.path("live.pem"), key: place.path("live.key") };
        let link = |to: &Files| {
            for (target, name) in [(&to.cert, &files.cert), (&to.key, &files.key)] {
                drop(fs::remove_file(name));
                symlink(target, name).expect("links");
            }
        };
        link(&old);
        let tls = tls(&config(std::slice::from_ref(&files)));
        link(&new);
        assert_eq!(tls.refresh().replaced.len(), 1);
        let met = meet(&tls, &place.client(), "a.test").await.expect("served");
        assert_eq!(met.served, first_of(&new));
    }

    #[tokio::test]
    async fn a_bad_pair_leaves_the_old_one_in_use() {
        let place = Place::new();
        let files = [place.issue("a", &["a.test"], EC)];
        let old = first_of(&files[0]);
        let read = |path: &Path| fs::read_to_string(path).expect("reads");
        let (old_cert, old_key) = (read(&files[0].cert), read(&files[0].key));
        let tls = tls(&config(&files));
        let other = place.issue("other", &["a.test"], EC);
        let halved = |text: &str| text.get(..text.len() / 2).expect("ASCII").to_owned();
        let changes: [(&str, String, &str); 5] = [
            ("a.pem", read(&other.cert), "is not the key of"),
            ("a.pem", halved(&old_cert), "a.pem: "),
            ("a.pem", String::new(), "holds no certificate"),
            ("a.key", halved(&old_key), "a.key: "),
            ("a.key", String::new(), "holds no private key"),
        ];
        for (name, text, expected) in changes {
            place.write(name, &text);
            let refreshed = tls.refresh();
            assert_eq!(refreshed.replaced, [""; 0]);
            assert!(refreshed.failed.iter().any(|what| what.contains(expected)), "{refreshed:?}");
            assert_eq!(tls.refresh(), Refreshed::default(), "each change is reported once");
            let met = meet(&tls, &place.client(), "a.test").await.expect("served");
            assert_eq!(met.served, old);
            place.write("a.pem", &old_cert);
            place.write("a.key", &old_key);
            assert_eq!(tls.refresh().replaced.len(), 1);
        }
        fs::remove_file(&files[0].key).expect("removes");
        assert!(tls.refresh().failed[0].contains("No such file"));
    }

    #[tokio::test]
    async fn what_could_not_be_read_once_is_read_again() {
        let place = Place::new();
        let files = [place.issue("a", &["a.test"], EC)];
        let auth = place.client_auth(Mode::Require);
        let tls = tls(&Config { client_auth: auth, ..config(&files) });
        let next = place.issue("a", &["a.test"], EC);
        place.write("ca.pem", &fs::read_to_string(place.path("ca.pem")).expect("reads"));
        // As if the process had had no descriptor left when it looked.
        let no_descriptors = || vec!["too many open files".to_owned()];
        {
            let mut loaded = tls.loaded.lock().expect("not poisoned");
            let Loaded { pairs, client_ca } = &mut *loaded;
            for watch in [&mut pairs[0].watch, client_ca.as_mut().expect("watched")] {
                assert!(watch.is_due());
                watch.failed(no_descriptors());
            }
        }
        let client = place.client_with(&place.issue("client", &["client"], EC));
        assert_eq!(tls.refresh().replaced.len(), 2);
        assert_eq!(tls.refresh(), Refreshed::default());
        let met = meet(&tls, &client, "a.test").await.expect("served");
        assert_eq!(met.served, first_of(&next));
    }

    #[tokio::test]
    async fn a_new_client_ca_ends_the_sessions_of_the_old() {
        let (place, next) = (Place::new(), Place::new());
        let files = [place.issue("a", &["a.test"], EC)];
        let client = place.client_with(&place.issue("client", &["client"], EC));
        let auth = place.client_auth(Mode::Require);
        let tls = tls(&Config { client_auth: auth, ..config(&files) });
        meet(&tls, &client, "a.test").await.expect("served");
        place.write("ca.pem", "rubbish");
        assert!(tls.refresh().failed[0].contains("ca.pem: holds no certificate"));
        let met = meet(&tls, &client, "a.test").await.expect("still served");
        assert_eq!(met.kind, HandshakeKind::Resumed);
        let next = fs::read_to_string(next.path("ca.pem")).expect("reads");
        place.write("ca.pem", &next);
        assert_eq!(tls.refresh().replaced.len(), 1);
        check_refused(&tls, &client, "a.test", ("client_certificate", "alert")).await;
    }

    #[tokio::test]
    async fn what_is_no_handshake_has_a_reason() {
        let place = Place::new();
        let tls = tls(&config(&[place.issue("a", &["a.test"], EC)]));
        let check = async |sent: &[u8], expected: &str| {
            let (mut near, far) = tokio::io::duplex(1024);
            near.write_all(sent).await.expect("writes");
            near.shutdown().await.expect("closes");
            let error = tls.accept(far, None).await.expect_err("no TLS");
            assert_eq!(reason(&error), expected, "{sent:?} {error:?}");
        };
        check(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", "not_tls").await;
        check(b"SSH-2.0-OpenSSH_9.2\r\n", "not_tls").await;
        check(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", "not_tls").await;
        check(b"", "cut_off").await;
        check(b"\x16\x03\x01\x02\x00\x01", "cut_off").await;
    }

    #[test]
    fn post_quantum_key_exchange_comes_first() {
        let place = Place::new();
        let tls = tls(&config(&[place.issue("a", &["a.test"], EC)]));
        let server = tls.server_config();
        let groups = &server.crypto_provider().kx_groups;
        assert_eq!(groups[0].name(), NamedGroup::X25519MLKEM768);
    }

    #[test]
    fn every_wrong_file_is_a_fault_at_its_key() {
        let place = Place::new();
        let good = place.issue("a", &["a.test"], EC);
        let other = place.issue("b", &["a.test"], EC);
        let missing = place.path("missing");
        let config = Config {
            certificates: vec![
                Files { cert: missing.clone(), key: missing },
                good.clone(),
                Files { cert: good.key.clone(), key: good.cert.clone() },
                Files { cert: good.cert.clone(), key: other.key },
            ],
            client_auth: Some(ClientAuth { ca: good.key, mode: Mode::Require }),
            ..Config::default()
        };
        let faults = Tls::new(&config, &[]).expect_err("faulty");
        let at: Vec<String> = faults.iter().map(|fault| fault.at.to_string()).collect();
        let expected = [
            "certificates[0].cert",
            "certificates[0].key",
            "certificates[2].cert",
            "certificates[2].key",
            "certificates[3].key",
            "client_auth.ca",
        ];
        assert_eq!(at, expected, "{faults:?}");
        let none = Tls::new(&Config::default(), &[]).expect_err("faulty");
        assert_eq!(none, Faults::at("certificates", "needs at least one certificate"));
    }

    #[test]
    fn odd_certificates_are_served_with_a_warning() {
        let place = Place::new();
        let expired = place.issue_with("expired", &["a.test"], EC, |params| {
            params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        });
        let early = place.issue_with("early", &[], EC, |params| {
            params.not_before = rcgen::date_time_ymd(3000, 1, 1);
            params.not_after = rcgen::date_time_ymd(3001, 1, 1);
        });
        fs::set_permissions(&early.key, fs::Permissions::from_mode(0o644)).expect("sets");
        let warnings = tls(&config(&[expired, early])).warnings(SystemTime::now());
        let expected = [
            "expired.pem: the certificate has expired on 2020-01-01: renew it",
            "early.pem: the certificate is not valid before 3000-01-01",
            "early.pem: the certificate has no DNS name",
            "early.key: every user of this machine can read the key",
        ];
        assert_eq!(warnings.len(), expected.len(), "{warnings:?}");
        for (warning, expected) in warnings.iter().zip(expected) {
            assert!(warning.contains(expected), "{warning}");
        }
    }

    #[test]
    fn a_certificate_is_warned_of_in_its_last_two_weeks() {
        let place = Place::new();
        let files = place.issue_with("a", &["a.test"], EC, |params| {
            params.not_after = rcgen::date_time_ymd(2030, 1, 31);
        });
        let tls = tls(&config(std::slice::from_ref(&files)));
        let end = SystemTime::from(rcgen::date_time_ymd(2030, 1, 31));
        let day = Duration::from_secs(24 * 60 * 60);
        for (left, expected) in [
            (day * 15, None),
            (day * 14 - day / 2, Some("ends on 2030-01-31, in 13 days: renew it")),
            (day, Some("ends on 2030-01-31, in 1 day: renew it")),
            (day / 2, Some("ends on 2030-01-31, within a day: renew it")),
        ] {
            let expected: Vec<String> = expected
                .map(|what| format!("{}: the certificate {what}", files.cert.display()))
                .into_iter()
                .collect();
            assert_eq!(tls.warnings(end - left), expected, "{left:?}");
        }
    }

    #[test]
    fn keys_are_read_in_all_three_forms() {
        let place = Place::new();
        for (algorithm, label) in [(RSA, "RSA PRIVATE KEY"), (EC, "EC PRIVATE KEY")] {
            let files = place.issue("key", &["a.test"], algorithm);
            tls(&config(std::slice::from_ref(&files)));
            let PrivateKeyDer::Pkcs8(key) =
                PrivateKeyDer::from_pem_file(&files.key).expect("reads")
            else {
                panic!("rcgen writes PKCS#8");
            };
            // PKCS#1 and SEC1 are what PKCS#8 wraps: its third element (RFC 5958 §2).
            let (_, outer) = parse_der(key.secret_pkcs8_der()).expect("reads");
            let inner = outer[2].as_slice().expect("an octet string");
            let begin = format!("-----BEGIN {label}-----\n{}\n", base64(inner));
            fs::write(&files.key, format!("{begin}-----END {label}-----\n")).expect("writes");
            tls(&config(&[files]));
        }
    }

    fn base64(bytes: &[u8]) -> String {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let quartet = |chunk: &[u8]| {
            let byte = |at: usize| chunk.get(at).copied().unwrap_or_default();
            let bits = u32::from_be_bytes([0, byte(0), byte(1), byte(2)]);
            let digits = [18, 12, 6, 0].map(|shift| ALPHABET[(bits >> shift) as usize & 63]);
            let kept = chunk.len() + 1;
            std::array::from_fn::<u8, 4, _>(|at| if at < kept { digits[at] } else { b'=' })
        };
        bytes.chunks(3).flat_map(quartet).map(char::from).collect()
    }

    #[test]
    fn the_section_reads_as_it_is_written() {
        let text = "{ certificates: [{ cert: a.pem, key: a.key }], strict_sni: on, \
                    min_version: 1.3, client_auth: { ca: ca.pem, mode: request } }";
        let config: Config = serde_yaml::from_str(text).expect("reads");
        assert_eq!(config.min_version, MinVersion::Tls13);
        assert_eq!(config.client_auth.as_ref().map(|auth| auth.mode), Some(Mode::Request));
        let again = serde_yaml::to_string(&config).expect("writes");
        assert_eq!(serde_yaml::from_str::<Config>(&again).expect("reads"), config);
        for bad in ["min_version: 1.1", "min_version: 2", "certificates: [{ cert: a }]", "x: 1"] {
            assert!(serde_yaml::from_str::<Config>(bad).is_err(), "{bad}");
        }
    }
}
