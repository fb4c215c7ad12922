//! The one table from what went wrong to what the client is told.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use pingora::{Error, Result};
use pingora_proxy::Session;

use crate::access::{BasicFault, Challenged, Denied, ForwardFault, JwtFault, Verdict};
use crate::balance::NoServer;
use crate::client::TwoClients;
use crate::limit::{Crowded, Exceeded, Offence};
use crate::listen::{HeadFault, WrongHost};
use crate::log::{Blame, Room};
use crate::respond::{Answer, ErrorPages, Form, Page};
use crate::route::NoRoute;
use crate::sanitise::{Kind, Malformed};
use crate::waf::Blocked;

use super::answer;
use super::blame;
use super::context::Context;
use super::meter;
use super::work;

/// Everything a request may be refused for, or fail with.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The head has no one reading.
    Malformed(Malformed),
    /// The head could not be read.
    Head(HeadFault),
    /// Its TLS connection does not stand for the host.
    WrongHost(WrongHost),
    /// Nobody can tell who asks.
    TwoClients(TwoClients),
    /// No route takes it.
    NoRoute(NoRoute),
    /// Who asks may not.
    Denied(Denied),
    /// Who asks asks too much.
    Exceeded(Exceeded),
    /// All requests together are too many.
    Crowded(Crowded),
    /// The rules are against it.
    Blocked(Blocked),
    /// The body is larger than the route allows.
    BodyTooLarge,
    /// The client stopped sending its body.
    ClientTooSlow,
    /// The client left before anybody was asked for it.
    ClientLeft(Box<Error>),
    /// Its client wants it from the cache alone, which has nothing for it.
    NotStored,
    /// Its client may not purge.
    NoPurge,
    /// No file of that name.
    NoFile,
    /// Files are only read.
    FileMethod,
    /// No server may be asked.
    NoServer(NoServer),
    /// No server could be connected to.
    ServerUnreachable,
    /// A server's answer broke off or is none.
    BadAnswer,
    /// A server did not connect or answer in time.
    ServerTooSlow,
    /// The request took longer in all than its route allows.
    TookTooLong,
    /// The fault is ours.
    Internal,
}

/// How a refusal is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    /// What a client gets; 0 where nobody is left to be told.
    pub(super) status: u16,
    /// Who refuses.
    pub(super) room: Room,
    /// Why, as a word of the log.
    pub(super) tag: &'static str,
    /// Whose doing it is.
    pub(super) blame: Blame,
    /// What the client did wrong, if anybody could have known it.
    pub(super) offence: Option<Offence>,
}

impl Refusal {
    /// The table: what a client is told, and what the log says.
    pub(super) fn told(&self) -> Told {
        use Room::{
            Access, Balance, Cache, Client, Files, Limit, Listen, Proxy, Route, Sanitise, Upstream,
            Waf,
        };
        let (status, room, tag) = match self {
            Refusal::Malformed(cause) => (of_kind(cause.kind()), Sanitise, cause.tag()),
            Refusal::Head(fault) => of_head(*fault),
            Refusal::WrongHost(WrongHost) => (421, Listen, "wrong_host"),
            Refusal::TwoClients(TwoClients) => (400, Client, "two_clients"),
            Refusal::NoRoute(NoRoute::Unknown) => (404, Route, "no_route"),
            Refusal::NoRoute(NoRoute::Method { .. }) => (405, Route, "method"),
            Refusal::Denied(denied) => (of_denied(denied), Access, denied.tag()),
            Refusal::Exceeded(exceeded) => (of_exceeded(exceeded), Limit, exceeded.tag()),
            Refusal::Crowded(_) => (503, Limit, "shed"),
            Refusal::Blocked(blocked) => (of_blocked(blocked), Waf, blocked.tag()),
            Refusal::BodyTooLarge => (413, Listen, "body_too_large"),
            Refusal::ClientTooSlow => (408, Listen, "body_too_slow"),
            Refusal::ClientLeft(_) => (0, Listen, "client_left"),
            Refusal::NotStored => (504, Cache, "not_stored"),
            Refusal::NoPurge => (403, Cache, "purge"),
            Refusal::NoFile => (404, Files, "no_file"),
            Refusal::FileMethod => (405, Files, "method"),
            Refusal::NoServer(NoServer::NoneHealthy) => (503, Balance, "no_healthy_server"),
            Refusal::NoServer(NoServer::AllBusy) => (503, Balance, "all_servers_busy"),
            Refusal::ServerUnreachable => (502, Upstream, "server_unreachable"),
            Refusal::BadAnswer => (502, Upstream, "server_answer"),
            Refusal::ServerTooSlow => (504, Upstream, "server_too_slow"),
            Refusal::TookTooLong => (504, Proxy, "took_too_long"),
            Refusal::Internal => (500, Proxy, "internal"),
        };
        let (blame, offence) = (blame::of(self), meter::offence(self, status));
        Told { status, room, tag, blame, offence }
    }

    /// What of the configuration it is by, for the log.
    pub(super) fn rule(&self) -> Option<Arc<str>> {
        match self {
            Refusal::Exceeded(exceeded) => exceeded.rule(),
            Refusal::Crowded(crowded) => Some(crowded.rule.clone()),
            Refusal::Blocked(blocked) => blocked.rule(),
            _ => None,
        }
    }

    /// The answer, as the client understands it.
    pub(super) fn page(&self, request_id: &str, form: Form, pages: &ErrorPages) -> Answer {
        if let Refusal::Denied(Denied::Forward(ForwardFault::Refused(verdict))) = self {
            return of_verdict(verdict);
        }
        let status = StatusCode::from_u16(self.told().status);
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if let Refusal::Denied(Denied::Challenge(challenged)) = self {
            return work::answer(challenged, status, request_id, form, pages);
        }
        let mut answer = Page { status, text: None, request_id }.answer(form, pages);
        answer.headers.extend(self.hint());
        if let Refusal::Exceeded(exceeded) = self {
            answer.headers.extend(exceeded.fields());
        }
        answer
    }

    /// What the client needs to know besides.
    fn hint(&self) -> Option<(HeaderName, HeaderValue)> {
        let allow = |methods: &str| {
            let value = HeaderValue::from_str(methods).ok()?;
            Some((header::ALLOW, value))
        };
        match self {
            Refusal::NoRoute(NoRoute::Method { allow: methods })
            | Refusal::Denied(Denied::Method { allow: methods }) => {
                let methods: Vec<&str> = methods.iter().map(Method::as_str).collect();
                allow(&methods.join(", "))
            }
            Refusal::FileMethod => allow("GET, HEAD"),
            Refusal::Malformed(cause) if cause.kind() == Kind::Method => allow(ALLOWABLE),
            Refusal::Denied(denied) => hint_of_denied(denied, self.told().status),
            Refusal::Crowded(crowded) => {
                Some((header::RETRY_AFTER, HeaderValue::from(u16::from(crowded.retry_after))))
            }
            Refusal::NoServer(_) | Refusal::Blocked(Blocked::ClientFull | Blocked::Full) => {
                Some((header::RETRY_AFTER, HeaderValue::from_static("1")))
            }
            _ => None,
        }
    }
}

/// The methods that some route may allow, where none has been found yet
/// (RFC 9110 §15.5.6 asks for a list).
const ALLOWABLE: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

fn of_head(fault: HeadFault) -> (u16, Room, &'static str) {
    match fault {
        HeadFault::TooSlow => (408, Room::Listen, "head_too_slow"),
        HeadFault::UriTooLong => (414, Room::Listen, "uri_too_long"),
        HeadFault::TooLarge => (431, Room::Listen, "head_too_large"),
        HeadFault::CutOff => (0, Room::Listen, "head_cut_off"),
        HeadFault::Chunks => (400, Room::Sanitise, "chunks"),
        HeadFault::Unspoken => (505, Room::Listen, "protocol"),
    }
}

fn of_denied(denied: &Denied) -> u16 {
    match denied {
        Denied::Network
        | Denied::Country
        | Denied::Asn
        | Denied::Referer
        | Denied::UserAgent
        | Denied::Signature
        | Denied::Expired => 403,
        Denied::Method { .. } => 405,
        Denied::TwoCredentials => 400,
        Denied::Basic(BasicFault::Busy | BasicFault::Unverifiable, _)
        | Denied::Jwt(JwtFault::NotReady) => 503,
        Denied::Basic(..) | Denied::Jwt(_) => 401,
        Denied::Forward(ForwardFault::Refused(verdict)) => verdict.status.as_u16(),
        Denied::Forward(
            ForwardFault::Unreachable(_) | ForwardFault::TooSlow | ForwardFault::Busy,
        ) => 503,
        Denied::Forward(ForwardFault::Unusable(_)) => 502,
        Denied::Challenge(Challenged::Unproven(_)) => 403,
        Denied::Challenge(Challenged::Solved(_)) => 204,
    }
}

fn hint_of_denied(denied: &Denied, status: u16) -> Option<(HeaderName, HeaderValue)> {
    let challenge = match denied {
        _ if status == 503 => {
            return Some((header::RETRY_AFTER, HeaderValue::from_static("1")));
        }
        Denied::Basic(_, challenge) => challenge.clone(),
        // Who shows nothing is told nothing but the scheme (RFC 6750 §3.1).
        Denied::Jwt(JwtFault::Missing) => HeaderValue::from_static("Bearer"),
        Denied::Jwt(_) => HeaderValue::from_static("Bearer error=\"invalid_token\""),
        _ => return None,
    };
    Some((header::WWW_AUTHENTICATE, challenge))
}

/// What another server has to say to the client.
fn of_verdict(verdict: &Verdict) -> Answer {
    let mut headers = verdict.headers.clone();
    headers.push((header::CACHE_CONTROL, HeaderValue::from_static("no-store")));
    if !verdict.body.is_empty() {
        headers.push((header::CONTENT_LENGTH, HeaderValue::from(verdict.body.len())));
    }
    Answer { status: verdict.status, headers, body: verdict.body.clone() }
}

fn of_exceeded(exceeded: &Exceeded) -> u16 {
    match exceeded {
        Exceeded::Banned => 403,
        Exceeded::Rate { .. } | Exceeded::Client | Exceeded::ClientOfRoute => 429,
        Exceeded::Route => 503,
    }
}

fn of_blocked(blocked: &Blocked) -> u16 {
    match blocked {
        Blocked::Rule(_) | Blocked::Uninspected(_) | Blocked::Answer(_) => 403,
        Blocked::Over => 413,
        Blocked::ClientFull => 429,
        Blocked::Full => 503,
        // Nobody can say that the answer is one to be told.
        Blocked::AnswerUninspected | Blocked::AnswerOver => 502,
    }
}

fn of_kind(kind: Kind) -> u16 {
    match kind {
        Kind::BadRequest => 400,
        Kind::Method => 405,
        Kind::Version => 505,
        Kind::Expectation => 417,
    }
}

impl From<Malformed> for Refusal {
    fn from(cause: Malformed) -> Self {
        Refusal::Malformed(cause)
    }
}

impl From<WrongHost> for Refusal {
    fn from(cause: WrongHost) -> Self {
        Refusal::WrongHost(cause)
    }
}

impl From<HeadFault> for Refusal {
    fn from(cause: HeadFault) -> Self {
        Refusal::Head(cause)
    }
}

impl From<Denied> for Refusal {
    fn from(cause: Denied) -> Self {
        Refusal::Denied(cause)
    }
}

impl From<Exceeded> for Refusal {
    fn from(cause: Exceeded) -> Self {
        Refusal::Exceeded(cause)
    }
}

impl From<Blocked> for Refusal {
    fn from(cause: Blocked) -> Self {
        Refusal::Blocked(cause)
    }
}

impl From<Crowded> for Refusal {
    fn from(cause: Crowded) -> Self {
        Refusal::Crowded(cause)
    }
}

impl From<TwoClients> for Refusal {
    fn from(cause: TwoClients) -> Self {
        Refusal::TwoClients(cause)
    }
}

impl From<NoRoute> for Refusal {
    fn from(cause: NoRoute) -> Self {
        Refusal::NoRoute(cause)
    }
}

/// Tells the client; true, as pingora's filter says "answered".
pub(super) async fn send(
    refusal: &Refusal,
    session: &mut Session,
    ctx: &mut Context,
) -> Result<bool> {
    ctx.refuse(refusal);
    if let Refusal::Denied(Denied::Forward(fault)) = refusal {
        ctx.error = Some(format!("forward: {fault}"));
    }
    if let Some(exchange) = ctx.exchange() {
        // What tells that time is up comes after that.
        exchange.no_deadline();
        exchange.no_end();
        if matches!(refusal, Refusal::Malformed(_) | Refusal::Head(HeadFault::TooLarge)) {
            exchange.set_malformed();
        }
    }
    if let Refusal::Crowded(Crowded { pause: Some(pause), .. }) = refusal {
        tokio::time::sleep(*pause).await;
    }
    let (site, route) = (ctx.site.clone(), ctx.route.clone());
    let pages = route.as_ref().map_or(&site.defaults.error_pages, |route| &route.error_pages);
    let request = session.req_header();
    let form = Form::wanted(&request.headers, request.version);
    let id = ctx.request_id.as_ref().map_or("", |id| id.as_ref());
    let answer = refusal.page(id, form, pages);
    answer::write_fixed(answer, work::fixed_fields(refusal), session, ctx).await?;
    Ok(true)
}
