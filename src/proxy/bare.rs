//! Takes the coding off an answer that turns out to have no body.
//!
//! A server that speaks HTTP/2 may end its answer with the head. Pingora tells
//! that to its modules alone, after the filter in which a coding is chosen; so
//! such an answer gets a module, and no other has to carry one.

use std::any::Any;

use async_trait::async_trait;
use http::header::CONTENT_ENCODING;
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::modules::http::{HttpModule, HttpModuleBuilder, HttpModules, Module};
use pingora_proxy::Session;

/// Watches the head of an answer that is to be encoded by us.
pub(super) fn watch(session: &mut Session) {
    let mut modules = HttpModules::new();
    modules.add_module(Box::new(Watch));
    session.downstream_modules_ctx = modules.build_ctx();
}

struct Watch;

impl HttpModuleBuilder for Watch {
    fn init(&self) -> Module {
        Box::new(Watch)
    }
}

#[async_trait]
impl HttpModule for Watch {
    async fn response_header_filter(
        &mut self,
        response: &mut ResponseHeader,
        end_of_stream: bool,
    ) -> Result<()> {
        // Nothing at all is no stream of any coding.
        if end_of_stream {
            response.remove_header(&CONTENT_ENCODING);
        }
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
