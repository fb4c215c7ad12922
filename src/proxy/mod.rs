//! The conductor: walks every request through the rooms, in order.
//!
//! This is pingora's `ProxyHttp` as a table of short hooks. What happens is in the files: `admit`
//! (may it come in), `act` (what its route does), `forward` (to a server and back), `attempt` (how
//! that ends, and whether once more), `deliver` (what the client gets and what is remembered),
//! `meter` (how much it asks), `inspect` (what it looks like), `withhold` (what its answer looks
//! like), `persist` (whether its connection stays), `refuse` (every answer that is a no), `failure`
//! (what pingora ends a request with). `door` is the same conductor before pingora begins.
//!
//! Pingora boxes the future of each hook; what few requests wait for has a box of its own.

mod act;
mod admit;
mod ahead;
mod answer;
mod attempt;
mod background;
mod bare;
mod blame;
mod cached;
mod changed;
mod context;
mod cutting;
mod deliver;
mod door;
mod failure;
mod fields;
mod forward;
mod hit;
mod inspect;
mod keep;
mod meter;
mod named;
mod parts;
mod persist;
mod purge;
mod refuse;
mod searched;
mod show;
mod slice;
mod sliced;
mod stale;
mod summary;
mod withhold;
mod work;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderMap;
use pingora::cache::key::HashBinary;
use pingora::cache::{CacheKey, CacheMeta, ForcedFreshness, HitHandler, RespCacheable};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::protocols::Digest;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, Result};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, RangeType, Session};

use crate::site::{Site, State};

use self::answer::Reply;
use self::context::{Context, Link, Piece};
pub(crate) use self::door::FrontDoor;
use self::refuse::Refusal;

/// Serves requests by the site as it is when each of them begins.
pub(crate) struct Conductor {
    site: Arc<ArcSwap<Site>>,
    state: Arc<State>,
    worker: usize,
}

impl Conductor {
    /// `worker` is the index of the worker that it serves requests on.
    pub(crate) fn new(site: Arc<ArcSwap<Site>>, state: Arc<State>, worker: usize) -> Self {
        Conductor { site, state, worker }
    }

    /// Lets a request in, and as much of its body as is to be judged before.
    async fn admit(
        &self,
        session: &mut Session,
        ctx: &mut Context,
    ) -> Result<Option<Reply>, Refusal> {
        let reply = admit::admit(session, ctx, &self.state).await?;
        inspect::body(reply.is_none(), session, ctx, &self.state).await?;
        Ok(reply)
    }

    /// Pingora asks only when a request begins.
    fn note_draining(&self, session: &mut Session) {
        if self.state.is_draining() {
            session.set_keepalive(None);
        }
    }
}

#[async_trait]
impl ProxyHttp for Conductor {
    // Pingora moves it around with the futures that hold it, a dozen times for each request.
    type CTX = Box<Context>;

    fn new_ctx(&self) -> Box<Context> {
        Box::new(Context::new(self.site.load_full(), self.worker))
    }

    fn allow_spawning_subrequest(&self, _session: &Session, ctx: &Box<Context>) -> bool {
        !ctx.is_background
    }

    // Pingora's own compression module would cost every request its context.
    fn init_downstream_modules(&self, _: &mut HttpModules) {}

    async fn early_request_filter(
        &self,
        session: &mut Session,
        ctx: &mut Box<Context>,
    ) -> Result<()> {
        admit::begin(session, ctx)
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut Box<Context>) -> Result<bool> {
        self.note_draining(session);
        if ctx.is_background {
            return match background::admit(session, ctx, &self.state) {
                Ok(()) => Ok(false),
                Err(refusal) => Box::pin(refuse::send(&refusal, session, ctx)).await,
            };
        }
        match self.admit(session, ctx).await {
            Ok(None) => Ok(hit::serve(session, ctx, &self.state).await?
                || sliced::serve(session, ctx, &self.state).await?),
            Ok(Some(reply)) => answer::send(reply, session, ctx).await,
            Err(Refusal::ClientLeft(error)) => Err(error),
            Err(refusal) => {
                meter::part(&refusal, session, ctx);
                Box::pin(refuse::send(&refusal, session, ctx)).await
            }
        }
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Box<Context>,
    ) -> Result<()> {
        forward::request_body(session, body, piece(end_of_stream), ctx)?;
        inspect::piece(body, piece(end_of_stream), ctx)?;
        meter::body(session, body.as_ref().map_or(0, Bytes::len), ctx, &self.state).await
    }

    async fn upstream_peer(
        &self,
        session: &mut Session,
        ctx: &mut Box<Context>,
    ) -> Result<Box<HttpPeer>> {
        forward::choose_server(session, ctx)
    }

    async fn connected_to_upstream(
        &self,
        _session: &mut Session,
        reused: bool,
        _peer: &HttpPeer,
        _fd: std::os::unix::io::RawFd,
        digest: Option<&Digest>,
        ctx: &mut Box<Context>,
    ) -> Result<()> {
        forward::connected(link(reused), digest, ctx);
        Ok(())
    }

    fn fail_to_connect(
        &self,
        session: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut Box<Context>,
        error: Box<Error>,
    ) -> Box<Error> {
        attempt::unconnected(session, error, ctx)
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Box<Context>,
    ) -> Result<()> {
        forward::prepare_request(session, request, ctx).await
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Box<Context>,
    ) -> Result<()> {
        forward::answered(session, response, ctx)?;
        if deliver::is_interim(response.status) {
            return Box::pin(keep::pass_interim(session, response, ctx)).await;
        }
        keep::answered(session, response, ctx, &self.state).await;
        changed::forget(session.req_header(), response, ctx, &self.state).await;
        Ok(())
    }

    fn request_cache_filter(&self, session: &mut Session, ctx: &mut Box<Context>) -> Result<()> {
        cached::enable(session, ctx, &self.state);
        Ok(())
    }

    fn cache_key_callback(&self, _session: &Session, ctx: &mut Box<Context>) -> Result<CacheKey> {
        cached::key(ctx)
    }

    fn cache_vary_filter(
        &self,
        meta: &CacheMeta,
        ctx: &mut Box<Context>,
        request: &RequestHeader,
    ) -> Option<HashBinary> {
        cached::vary(meta, request, ctx)
    }

    async fn cache_hit_filter(
        &self,
        session: &mut Session,
        meta: &CacheMeta,
        _body: &mut HitHandler,
        _is_fresh: bool,
        ctx: &mut Box<Context>,
    ) -> Result<Option<ForcedFreshness>> {
        Ok(Some(cached::judge_found(session, meta, ctx)))
    }

    fn cache_miss(&self, session: &mut Session, ctx: &mut Box<Context>) {
        cached::miss(session, ctx);
    }

    async fn proxy_upstream_filter(
        &self,
        session: &mut Session,
        ctx: &mut Box<Context>,
    ) -> Result<bool> {
        match cached::ask(session, ctx, &self.state) {
            Ok(()) => sliced::serve_late(session, ctx, &self.state).await.map(|is_sent| !is_sent),
            // Pingora hears whether the request goes on.
            Err(refusal) => {
                Box::pin(refuse::send(&refusal, session, ctx)).await.map(|is_told| !is_told)
            }
        }
    }

    fn should_serve_stale(
        &self,
        session: &mut Session,
        ctx: &mut Box<Context>,
        error: Option<&Error>,
    ) -> bool {
        match error {
            None => stale::goes_while_fetched(ctx),
            Some(error) => stale::stands_in(session, error, ctx),
        }
    }

    fn response_cache_filter(
        &self,
        session: &Session,
        response: &ResponseHeader,
        ctx: &mut Box<Context>,
    ) -> Result<RespCacheable> {
        Ok(keep::judge_answer(session, response, ctx, &self.state))
    }

    fn cache_not_modified_filter(
        &self,
        session: &Session,
        response: &ResponseHeader,
        ctx: &mut Box<Context>,
    ) -> Result<bool> {
        Ok(show::is_not_modified(session, response, ctx))
    }

    fn range_header_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Box<Context>,
    ) -> RangeType {
        show::range(session, response, ctx)
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Box<Context>,
    ) -> Result<()> {
        self.note_draining(session);
        background::answered(session, response, ctx)?;
        stale::answered(session, response, ctx);
        show::head(session, response, ctx);
        ahead::begin(session, response, ctx, &self.state);
        withhold::head(session, response, ctx)
    }

    fn upstream_response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        _end_of_stream: bool,
        ctx: &mut Box<Context>,
    ) -> Result<Option<Duration>> {
        if let (Some(cutting), Some(bytes)) = (&mut ctx.cutting, body) {
            cutting.push(bytes);
        }
        Ok(None)
    }

    fn response_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Box<Context>,
    ) -> Result<Option<Duration>> {
        deliver::hurry(session, ctx);
        withhold::piece(session, body, piece(end_of_stream), ctx)?;
        deliver::response_body(body, piece(end_of_stream), ctx)?;
        if end_of_stream {
            forward::answer_ends(session, ctx);
        }
        Ok(None)
    }

    async fn response_trailer_filter(
        &self,
        session: &mut Session,
        _trailers: &mut HeaderMap,
        ctx: &mut Box<Context>,
    ) -> Result<Option<Bytes>> {
        Ok(withhold::trailers(session, ctx).await)
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        ctx: &mut Box<Context>,
        client_reused: bool,
    ) -> Box<Error> {
        attempt::broken(session, error, link(client_reused), ctx)
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut Box<Context>,
    ) -> FailToProxy {
        failure::tell(session, error, ctx).await
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut Box<Context>) {
        withhold::finish(session, error, ctx).await;
        inspect::close(session, ctx);
        deliver::record(session, error, ctx, &self.state);
    }

    // Every failure is in the access record of its request already.
    fn suppress_error_log(&self, _: &Session, _: &Box<Context>, _: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _: &Session,
        _: &Box<Context>,
        _: &Error,
        _: ProxyWarnLogContext,
    ) -> bool {
        true
    }
}

// What pingora tells by booleans.
fn piece(is_last: bool) -> Piece {
    if is_last { Piece::Last } else { Piece::Inner }
}

fn link(is_reused: bool) -> Link {
    if is_reused { Link::Pooled } else { Link::New }
}
