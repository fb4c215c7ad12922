//! What a route does with a request that was let in.

use http::Version;
use tokio::time::Instant;

use crate::respond::Answer;
use crate::route::{Matched, Rewrite};
use crate::sanitise::Head;
use crate::site::{Action, NamedBy, Route};
use crate::upstream::{Need, Protocol, Upstream, headers};

use super::answer::Reply;
use super::context::{Context, Forward};
use super::refuse::Refusal;

/// What the route does with the request.
pub(super) fn act(
    route: &Route,
    found: &Matched,
    head: &Head<'_>,
    sent: Option<String>,
    version: Version,
    ctx: &mut Context,
) -> Result<Option<Reply>, Refusal> {
    match &route.action {
        Action::Redirect(redirect) => {
            let location = redirect.location(head, found);
            Ok(Some(Reply::Answer(Answer::redirect(redirect.status(), location))))
        }
        Action::Respond(fixed) => Ok(Some(Reply::Answer(fixed.answer()))),
        Action::Files { named_by, .. } => {
            let path = match named_by {
                NamedBy::Rest => found.rest(&head.path),
                NamedBy::Path => &head.path,
            };
            let url_path = head.path.clone().into_owned();
            Ok(Some(Reply::File { path: path.to_owned(), url_path }))
        }
        Action::Proxy(targets) => {
            let rewrite = route.rewrite.as_ref();
            let target = rewrite.and_then(|rewrite| rewrite.target(head, found));
            let host = rewrite.and_then(Rewrite::host).map(str::to_owned);
            let upstream = targets.choose().clone();
            let began = ctx.exchange().map_or_else(Instant::now, |exchange| exchange.began());
            ctx.forward = Some(Forward {
                need: need(head, version, &upstream),
                upstream,
                target: target.or(sent),
                host,
                client_host: head.host_and_port(),
                tried: Vec::new(),
                lease: None,
                attempts: 0,
                stale: 0,
                failures: Vec::new(),
                began,
                connect: None,
                first_byte: None,
                status: None,
                goes_elsewhere: None,
                silence: None,
                is_answered: false,
                in_use: None,
            });
            Ok(None)
        }
    }
}

/// What the request needs of a connection to a server.
///
/// A call takes HTTP/2 on both sides: nothing else becomes patient by the type
/// that a client gives it, nor for servers that no calls are meant for.
fn need(head: &Head<'_>, version: Version, upstream: &Upstream) -> Need {
    let may_call = may_be_call(head, version) && upstream.protocol() != Protocol::H1;
    match head.upgrade {
        true => Need::Upgrade,
        false if may_call => Need::Call,
        false => Need::Exchange,
    }
}

/// Whether it is a call, if its servers take any.
pub(super) fn may_be_call(head: &Head<'_>, version: Version) -> bool {
    version == Version::HTTP_2 && headers::is_call(head.headers)
}
