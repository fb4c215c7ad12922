//! The admin listener: health, metrics and the API that operators drive.
//!
//! Who may ask is for its `Guard`. Each change leaves a line in the error log.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use serde::Serialize;

use crate::listen::{Door, Event, Exchange, Framing, HeadFault, Listener, Refused};
use crate::sanitise::{self, Body};
use crate::site::State;

use super::bans::{self, BANS};
use super::guard::{Asked, Denied, Guard};
use super::purge::{self, PURGE};
use super::reload::Reloader;

/// The application behind the admin listener.
pub(crate) struct Admin {
    pub(crate) reloader: Arc<Reloader>,
    pub(crate) state: Arc<State>,
    pub(crate) guard: Guard,
}

/// A small answer: its status, media type and body.
type Answer = (StatusCode, &'static str, Vec<u8>);

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
/// What a 401 asks for (RFC 9110 §11.6.1).
const CHALLENGE: &str = "Bearer realm=\"tidegate\"";
/// What Prometheus scrapes (exposition format 0.0.4).
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let exchange = Exchange::of(session.digest()).cloned();
        let peer = exchange.as_ref().map(|exchange| exchange.connection.peer);
        if let Some(exchange) = &exchange {
            exchange.set_recorded();
        }
        let request = session.req_header().clone();
        let asked =
            Asked { method: &request.method, uri: &request.uri, headers: &request.headers, peer };
        let (status, media_type, body) = match self.guard.check(&asked) {
            Ok(()) => self.answer(&asked, session).await,
            Err(denied) => deny(denied),
        };
        let mut response = respond(status, media_type, body);
        let (name, value) = match status {
            StatusCode::METHOD_NOT_ALLOWED => (header::ALLOW, methods(asked.uri.path())),
            StatusCode::UNAUTHORIZED => (header::WWW_AUTHENTICATE, Some(CHALLENGE)),
            _ => return response,
        };
        if let Some(value) = value {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

impl Admin {
    async fn answer(&self, asked: &Asked<'_>, session: &mut ServerSession) -> Answer {
        let site = || self.reloader.site();
        match (asked.method.as_str(), asked.uri.path()) {
            ("GET" | "HEAD", "/healthz") => plain(StatusCode::OK, "ok\n"),
            ("GET" | "HEAD", "/readyz") => self.readiness(),
            ("GET" | "HEAD", "/metrics") => {
                (StatusCode::OK, METRICS, self.state.metrics.render().into_bytes())
            }
            ("GET", "/api/config") => self.config(),
            ("GET", "/api/upstreams") => self.upstreams(),
            ("POST", "/api/reload") => self.reload(asked).await,
            ("GET", BANS) => json(&bans::list(&site(), &self.state)),
            ("POST", BANS) => match body(session).await {
                Some(body) => said(bans::add(&body, asked.peer, &site(), &self.state)),
                None => plain(StatusCode::PAYLOAD_TOO_LARGE, "more than 4 KiB, or cut off\n"),
            },
            ("DELETE", path) if one_ban(path).is_some() => {
                let network = one_ban(path).unwrap_or_default();
                said(bans::lift(network, asked.peer, &site(), &self.state))
            }
            ("POST", PURGE) => match body(session).await {
                Some(body) => said(purge::purge(&body, asked.peer, &site(), &self.state).await),
                None => plain(StatusCode::PAYLOAD_TOO_LARGE, "more than 4 KiB, or cut off\n"),
            },
            (_, path) if methods(path).is_some() => {
                plain(StatusCode::METHOD_NOT_ALLOWED, "not with this method\n")
            }
            _ => plain(StatusCode::NOT_FOUND, "no such page\n"),
        }
    }

    /// Not ready while draining, or when a required upstream has no server.
    fn readiness(&self) -> Answer {
        if self.state.is_draining() {
            return plain(StatusCode::SERVICE_UNAVAILABLE, "draining\n");
        }
        let site = self.reloader.site();
        let missing: Vec<&str> = site
            .upstreams
            .values()
            .filter(|upstream| upstream.pool.is_required() && !upstream.pool.has_server())
            .map(|upstream| &*upstream.name)
            .collect();
        if missing.is_empty() {
            return plain(StatusCode::OK, "ready\n");
        }
        let what = format!("no server: {}\n", missing.join(", "));
        (StatusCode::SERVICE_UNAVAILABLE, TEXT, what.into_bytes())
    }

    /// The configuration as running, defaults included, secrets left out.
    fn config(&self) -> Answer {
        json(&self.reloader.site().config.without_secrets())
    }

    fn upstreams(&self) -> Answer {
        let site = self.reloader.site();
        let status = site.upstreams.iter().map(|(name, up)| (name, up.pool.status()));
        let status: std::collections::BTreeMap<_, _> = status.collect();
        json(&status)
    }

    async fn reload(&self, asked: &Asked<'_>) -> Answer {
        let who = asked.peer.map_or_else(|| "unknown".to_owned(), |peer| peer.to_string());
        match self.reloader.reload().await {
            Ok(()) => {
                ::log::info!("admin: {who} reloaded the site");
                plain(StatusCode::OK, "reloaded\n")
            }
            Err(faults) => {
                ::log::warn!("admin: {who} asked for a reload, refused: {faults}");
                (StatusCode::UNPROCESSABLE_ENTITY, TEXT, format!("{faults}\n").into_bytes())
            }
        }
    }
}

/// The network of a path below that of all bans.
fn one_ban(path: &str) -> Option<&str> {
    path.strip_prefix(BANS)?.strip_prefix('/').filter(|network| !network.is_empty())
}

/// The whole body; none if it is too large, or did not come to its end.
async fn body(session: &mut ServerSession) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    while let Some(piece) = session.read_request_body().await.ok()? {
        whole.extend_from_slice(&piece);
        if whole.len() > bans::MOST_BODY {
            return None;
        }
    }
    Some(whole)
}

fn said((status, line): (StatusCode, String)) -> Answer {
    (status, TEXT, line.into_bytes())
}

fn deny(denied: Denied) -> Answer {
    match denied {
        Denied::Host => plain(
            StatusCode::MISDIRECTED_REQUEST,
            "not a name of this listener; admin.hosts lists them\n",
        ),
        Denied::Origin => plain(StatusCode::FORBIDDEN, "asked from another site\n"),
        Denied::Token => plain(StatusCode::UNAUTHORIZED, "show the token: Authorization: Bearer\n"),
    }
}

/// The methods of a page, if there is such a page.
fn methods(path: &str) -> Option<&'static str> {
    match path {
        "/healthz" | "/readyz" | "/metrics" => Some("GET, HEAD"),
        "/api/config" | "/api/upstreams" => Some("GET"),
        "/api/reload" | PURGE => Some("POST"),
        BANS => Some("GET, POST"),
        _ if one_ban(path).is_some() => Some("DELETE"),
        _ => None,
    }
}

fn plain(status: StatusCode, text: &'static str) -> Answer {
    (status, TEXT, text.into())
}

fn json(value: &impl Serialize) -> Answer {
    match serde_json::to_vec_pretty(value) {
        Ok(body) => (StatusCode::OK, JSON, body),
        Err(error) => {
            let what = format!("{error}\n");
            (StatusCode::INTERNAL_SERVER_ERROR, TEXT, what.into_bytes())
        }
    }
}

fn respond(status: StatusCode, media_type: &'static str, body: Vec<u8>) -> Response<Vec<u8>> {
    let length = HeaderValue::from(body.len());
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, length);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    response
}

/// The admin listener's door: the same rules for heads, and no access log.
pub(crate) struct AdminDoor;

impl Door for AdminDoor {
    fn judge(&self, _: &Exchange, head: &[u8]) -> Result<Framing, Refused> {
        let refused = || Refused(Bytes::from_static(BAD_REQUEST));
        let framing = sanitise::judge(head).map_err(|_| refused())?;
        match framing.body {
            _ if framing.upgrade => Err(refused()),
            Body::None => Ok(Framing::Length(0)),
            Body::Length(length) => Ok(Framing::Length(length)),
            Body::Chunked => Ok(Framing::Chunked),
        }
    }

    fn answer(&self, _: &Exchange, _: HeadFault, _: &[u8]) -> Refused {
        Refused(Bytes::from_static(BAD_REQUEST))
    }

    fn lost(&self, exchange: &Exchange) {
        ::log::debug!("admin: {} asked nothing we understood", exchange.connection.peer);
    }

    fn trusts(&self, _: IpAddr) -> bool {
        false
    }

    fn flooded(&self, _: IpAddr) {}

    fn admits(&self, _: IpAddr) -> bool {
        true
    }

    fn count(&self, _: &Listener, _: Event) {}
}

const BAD_REQUEST: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
