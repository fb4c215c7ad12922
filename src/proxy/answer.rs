//! Answers that no server gives: redirects, fixed answers, files, refusals.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use pingora::http::ResponseHeader;
use pingora::{ErrorType, OrErr, Result};
use pingora_proxy::Session;

use crate::files::{Ask, Missing, Served};
use crate::listen::{HttpsRedirect, Listener};
use crate::respond::Answer;
use crate::sanitise::{Head, Malformed};
use crate::site::Action;

use super::context::{Context, Piece};
use super::deliver;
use super::fields;
use super::refuse::{self, Refusal};
use super::withhold;

/// What answers a request that no server is asked.
pub(super) enum Reply {
    Answer(Answer),
    /// A file below the route's `files.root`.
    File {
        path: String,
        /// The whole path of the URL, of which `path` may be the rest.
        url_path: String,
    },
}

/// Sends the answer; true, as pingora's filter says "answered".
pub(super) async fn send(reply: Reply, session: &mut Session, ctx: &mut Context) -> Result<bool> {
    match reply {
        Reply::Answer(answer) => {
            write(answer, session, ctx).await?;
            Ok(true)
        }
        Reply::File { path, url_path } => Box::pin(send_file(&path, &url_path, session, ctx)).await,
    }
}

/// Writes an answer with its body, as far as the request wants one.
pub(super) async fn write(answer: Answer, session: &mut Session, ctx: &mut Context) -> Result<()> {
    write_fixed(answer, &[], session, ctx).await
}

/// The same; no rule of the route changes these of its fields.
pub(super) async fn write_fixed(
    answer: Answer,
    fixed: &[HeaderName],
    session: &mut Session,
    ctx: &mut Context,
) -> Result<()> {
    let mut headers = collect(answer.headers);
    let own = fixed.iter().filter_map(|name| Some((name, headers.get(name)?.clone())));
    let own: Vec<(&HeaderName, HeaderValue)> = own.collect();
    let may_have_body = !matches!(answer.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if answer.body.is_empty() && may_have_body && session.req_header().version < Version::HTTP_2 {
        // Without a length, an answer of HTTP/1 ends only with its connection.
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(0));
    }
    deliver::finish_head(session, answer.status, &mut headers, ctx)?;
    for (name, value) in own {
        headers.insert(name, value);
    }
    let response = fields::response(answer.status, headers);
    let ends = answer.body.is_empty() || session.req_header().method == Method::HEAD;
    if ends {
        return write_whole_head(response, session, ctx).await;
    }
    session.write_response_header(Box::new(response), false).await?;
    write_body(Some(answer.body), Piece::Last, session, ctx).await
}

/// The way to https, where the listener sends every request there: none is
/// answered in the clear.
pub(super) fn to_https(listener: &Listener, head: &Head<'_>) -> Result<Option<Reply>, Refusal> {
    let HttpsRedirect::Port(port) = listener.https_redirect else {
        return Ok(None);
    };
    if head.host.is_empty() {
        return Err(Malformed::NoHost.into());
    }
    let mut location = format!("https://{}", head.host);
    if port != 443 {
        location.push_str(&format!(":{port}"));
    }
    // `OPTIONS *` asks for the host itself, without a path (RFC 9110 §7.1).
    if head.path != "*" {
        location.push_str(&head.path);
    }
    if let Some(query) = head.query {
        location.push('?');
        location.push_str(query);
    }
    let location = HeaderValue::try_from(location).map_err(|_| Refusal::Internal)?;
    Ok(Some(Reply::Answer(Answer::redirect(StatusCode::PERMANENT_REDIRECT, location))))
}

/// Whether the client has been told more than interim answers. After a 101, it
/// reads whatever comes as the protocol that it switched to.
pub(super) fn has_begun(session: &Session) -> bool {
    session.response_written().is_some_and(|head| !deliver::is_interim(head.status))
}

async fn send_file(
    path: &str,
    url_path: &str,
    session: &mut Session,
    ctx: &mut Context,
) -> Result<bool> {
    let route = ctx.route.clone();
    let Some(Action::Files { files, .. }) = route.as_ref().map(|route| &route.action) else {
        return refuse::send(&Refusal::Internal, session, ctx).await;
    };
    let request = session.req_header();
    let query = request.uri.query();
    let ask = Ask { method: &request.method, path, url_path, query, headers: &request.headers };
    let refusal = match files.serve(&ask).await {
        Ok(served) => match write_file(served, session, ctx).await? {
            Ok(()) => return Ok(true),
            Err(refusal) => refusal,
        },
        Err(Missing::Method) => Refusal::FileMethod,
        Err(Missing::NotFound | Missing::Forbidden) => Refusal::NoFile,
        Err(Missing::Unreadable(error)) => {
            ctx.error = Some(error.to_string());
            Refusal::Internal
        }
    };
    refuse::send(&refusal, session, ctx).await
}

/// Writes a file, unless rules are against it.
async fn write_file(
    mut served: Served,
    session: &mut Session,
    ctx: &mut Context,
) -> Result<Result<(), Refusal>> {
    let mut headers = collect(std::mem::take(&mut served.headers));
    let length = served.body.length();
    let kept = match withhold::file(&mut served, &headers, session, ctx).await {
        Ok(kept) => kept,
        Err(refusal) => return Ok(Err(refusal)),
    };
    deliver::finish_head(session, served.status, &mut headers, ctx)?;
    // A 304 describes no body (RFC 9110 §15.4.5), but for who decided by the type of its 200.
    if served.status == StatusCode::NOT_MODIFIED {
        for name in [header::CONTENT_TYPE, header::CONTENT_LENGTH, header::CONTENT_ENCODING] {
            headers.remove(name);
        }
    }
    let response = fields::response(served.status, headers);
    let mut body = served.body;
    if length == 0 {
        return write_whole_head(response, session, ctx).await.map(Ok);
    }
    session.write_response_header(Box::new(response), false).await?;
    if let Some(kept) = kept {
        write_body(Some(kept), Piece::Inner, session, ctx).await?;
    }
    while let Some(piece) = body.next().await.or_err(ErrorType::InternalError, "reading a file")? {
        withhold::watch(&piece, ctx);
        write_body(Some(piece), Piece::Inner, session, ctx).await?;
    }
    write_body(None, Piece::Last, session, ctx).await.map(Ok)
}

/// The fields as a map, with room for those that every answer gets.
fn collect(fields: Vec<(HeaderName, HeaderValue)>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(fields.len() + 4);
    for (name, value) in fields {
        headers.append(name, value);
    }
    headers
}

/// Writes a head that no body follows.
pub(super) async fn write_whole_head(
    response: ResponseHeader,
    session: &mut Session,
    ctx: &Context,
) -> Result<()> {
    if let Some(exchange) = ctx.exchange() {
        exchange.set_head_is_all();
    }
    session.write_response_header(Box::new(response), true).await
}

/// Writes a piece of body through the encoder, if there is one.
pub(super) async fn write_body(
    mut bytes: Option<Bytes>,
    piece: Piece,
    session: &mut Session,
    ctx: &mut Context,
) -> Result<()> {
    deliver::hurry(session, ctx);
    deliver::response_body(&mut bytes, piece, ctx)?;
    session.write_response_body(bytes, piece == Piece::Last).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::sanitise::Strict;

    #[test]
    fn plain_requests_are_sent_to_https_where_the_listener_says_so() {
        let request = http::Request::get("/x?y").header(header::HOST, "a.example:8080");
        let request = request.body(()).expect("a request");
        let (method, uri, headers) = (request.method(), request.uri(), request.headers());
        let head = Head::read(method, uri, Version::HTTP_11, headers, &Strict::default());
        let head = head.expect("a sound head");
        for (redirect, expected) in [
            ("off", None),
            ("on", Some("https://a.example/x?y")),
            ("8443", Some("https://a.example:8443/x?y")),
        ] {
            let written = format!("{{ address: '127.0.0.1:1', https_redirect: {redirect} }}");
            let config: config::Listener = serde_yaml::from_str(&written).expect("well-formed");
            let listener = Listener::new(&config).expect("good");
            let location = match to_https(&listener, &head) {
                Ok(Some(Reply::Answer(answer))) => Some(answer.headers[0].1.clone()),
                _ => None,
            };
            assert_eq!(location.as_ref().map(HeaderValue::as_bytes), expected.map(str::as_bytes));
        }
    }
}
