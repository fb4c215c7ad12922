//! Asks other servers on behalf of this room: for keys, and who may pass.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};

/// Idle connections that are kept to one server, and for how long.
const MOST_IDLE: usize = 64;
const IDLE_FOR: Duration = Duration::from_secs(30);
/// The largest head of an answer.
const LARGEST_HEAD: usize = 32 * 1024;

/// The body of an answer, to come.
pub(super) type Coming = UnsyncBoxBody<Bytes, Unanswered>;

/// A client of HTTP/1.1, in the clear or over TLS with the system's authorities.
///
/// It follows no redirects: where a server sends us is not where the operator did.
#[derive(Clone)]
pub(super) struct Outbound {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    // Why no server can prove who it is, if none can.
    rootless: Option<Arc<str>>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unanswered {
    #[error("{0}")]
    Unreachable(String),
    #[error("the answer is too large")]
    TooLarge,
}

impl Outbound {
    /// `roots` are the authorities that servers' certificates are held against, or
    /// why there are none: no server is asked over https then.
    pub(super) fn new(roots: Result<RootCertStore, String>) -> Self {
        let (roots, rootless) = match roots {
            Ok(roots) => (roots, None),
            Err(why) => (RootCertStore::empty(), Some(Arc::from(why))),
        };
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        let tls = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .expect("the provider has these versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new();
        let connector = connector.with_tls_config(tls).https_or_http().enable_http1();
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(MOST_IDLE)
            .pool_idle_timeout(IDLE_FOR)
            .pool_timer(TokioTimer::new())
            .http1_max_buf_size(LARGEST_HEAD)
            .build(connector.wrap_connector(http));
        Outbound { client, rootless }
    }

    /// Whether servers can prove who they are.
    pub(super) fn has_roots(&self) -> bool {
        self.rootless.is_none()
    }

    /// Reads the URL of a server that can be asked.
    pub(super) fn read_url(&self, text: &str) -> Result<Uri, String> {
        let url = read_url(text)?;
        match &self.rootless {
            Some(why) if url.scheme_str() == Some("https") => {
                Err(format!("https needs the system's authorities: {why}"))
            }
            _ => Ok(url),
        }
    }

    /// The whole answer; the caller bounds how long it may take.
    pub(super) async fn ask(
        &self,
        request: Request<Empty<Bytes>>,
        largest: usize,
    ) -> Result<Response<Bytes>, Unanswered> {
        let (head, body) = self.send(request).await?.into_parts();
        Ok(Response::from_parts(head, read(body, largest).await?))
    }

    /// The head of an answer, with its body to come.
    pub(super) async fn send(
        &self,
        request: Request<Empty<Bytes>>,
    ) -> Result<Response<Coming>, Unanswered> {
        let answer = self.client.request(request).await.map_err(|error| unreachable(&error))?;
        Ok(answer.map(|body| body.map_err(|error| unreachable(&error)).boxed_unsync()))
    }
}

impl std::fmt::Debug for Outbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Outbound")
    }
}

/// The whole body of an answer.
pub(super) async fn read(body: Coming, largest: usize) -> Result<Bytes, Unanswered> {
    let body = Limited::new(body, largest).collect().await;
    let body = body.map_err(|error| match error.downcast() {
        Ok(why) => *why,
        // All that a bound says besides.
        Err(_) => Unanswered::TooLarge,
    })?;
    Ok(body.to_bytes())
}

/// The system's authorities, or why there are none.
pub(super) fn system_roots() -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs().map_err(|error| error.to_string())?;
    let mut roots = RootCertStore::empty();
    // What cannot be used of them is not trusted.
    roots.add_parsable_certificates(found);
    if roots.is_empty() {
        return Err("there are none; SSL_CERT_FILE may name a file of them".to_owned());
    }
    Ok(roots)
}

/// Reads the URL of a server to ask.
pub(super) fn read_url(text: &str) -> Result<Uri, String> {
    let wrong = |what: &str| format!("{what}; write http://host:port/path or https://host/path");
    let url: Uri = text.parse().map_err(|_| wrong("is no URL"))?;
    let Some(authority) = url.authority() else {
        return Err(wrong("names no host"));
    };
    if !matches!(url.scheme_str(), Some("http" | "https")) {
        return Err(wrong("is neither http nor https"));
    }
    if authority.as_str().contains('@') {
        // It would be shown wherever the configuration is.
        return Err("must not hold a name and a password".to_owned());
    }
    // A port that is none would be left out in silence, and another one asked.
    let port = authority.as_str().rsplit_once(':').filter(|(_, rest)| !rest.ends_with(']'));
    if port.is_some() && url.port_u16().is_none_or(|port| port == 0) {
        return Err("has a port that is no number from 1 to 65535".to_owned());
    }
    if text.contains('#') {
        return Err("has a fragment, which no server is asked for".to_owned());
    }
    Ok(url)
}

/// The error and what it came from, in one line.
fn unreachable(error: &(dyn std::error::Error + 'static)) -> Unanswered {
    let mut text = error.to_string();
    let mut source = error.source();
    // As deep as errors are nested, which is as often as code wraps one.
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    Unanswered::Unreachable(text)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use rustls::ServerConfig;
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    /// Answers one request over TLS, as `localhost`; how that went.
    async fn answer_one(listener: TcpListener, config: ServerConfig) -> std::io::Result<()> {
        let (stream, _) = listener.accept().await?;
        let mut stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await?;
        stream.shutdown().await
    }

    async fn ask(outbound: &Outbound, addr: SocketAddr) -> Result<Bytes, Unanswered> {
        let url = format!("https://localhost:{}/", addr.port());
        let request = Request::get(url).body(Empty::new()).expect("a request");
        outbound.ask(request, 2).await.map(Response::into_body)
    }

    #[tokio::test]
    async fn servers_over_tls_must_prove_who_they_are() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
        let certificate = made.cert.der().clone();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).expect("a certificate");
        let config = || {
            let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
            ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
                .with_safe_default_protocol_versions()
                .expect("versions")
                .with_no_client_auth()
                .with_single_cert(vec![certificate.clone()], PrivateKeyDer::Pkcs8(key))
                .expect("a pair")
        };
        let none = RootCertStore::empty();
        for (roots, is_trusted) in [(Ok(roots), true), (Ok(none), false)] {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
            let addr = listener.local_addr().expect("an address");
            let outbound = Outbound::new(roots);
            let (asked, served) =
                tokio::join!(ask(&outbound, addr), answer_one(listener, config()));
            assert_eq!((asked.is_ok(), served.is_ok()), (is_trusted, is_trusted), "{asked:?}");
            if let Err(Unanswered::Unreachable(why)) = asked {
                assert!(why.contains("certificate"), "{why}");
            }
        }
    }

    #[test]
    fn without_authorities_https_is_a_fault_that_says_why() {
        let outbound = Outbound::new(Err("the cellar is flooded".to_owned()));
        let said = outbound.read_url("https://a.example/").expect_err("no authorities");
        assert_eq!(said, "https needs the system's authorities: the cellar is flooded");
        assert!(outbound.read_url("http://a.example/").is_ok() && !outbound.has_roots());
    }

    #[test]
    fn a_url_says_a_scheme_and_a_host() {
        for good in ["http://auth:9000/check", "https://a.example", "http://[::1]:1/?x=y"] {
            assert!(read_url(good).is_ok(), "{good}");
        }
        for (bad, expected) in [
            ("/check", "names no host"),
            ("auth:9000", "is neither http nor https"),
            ("ftp://a/", "is neither http nor https"),
            ("http://a b/", "is no URL"),
            ("http://user:secret@a/", "must not hold a name and a password"),
            ("http://user@[::1]/", "must not hold a name and a password"),
            ("http://127.0.0.1:99999/check", "has a port that is no number"),
            ("http://a:0/", "has a port that is no number"),
            ("http://a:/", "has a port that is no number"),
            ("http://[::1]:65536/", "has a port that is no number"),
            ("http://a/#x", "has a fragment"),
            ("", "is no URL"),
        ] {
            let said = read_url(bad).expect_err(bad);
            assert!(said.starts_with(expected), "{bad}: {said}");
        }
    }
}
