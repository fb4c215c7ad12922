//! Pingora's headers as the rooms change them.

use http::request::Parts as ReqParts;
use http::response::Parts as RespParts;
use http::{HeaderMap, HeaderName, HeaderValue};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};

use crate::respond::Fields;

/// Implements [`Fields`] by pingora's own methods, which keep the case of
/// names in step; they fail for names alone, and these are names already.
macro_rules! fields {
    ($($header:ty),*) => {$(
        impl Fields for $header {
            fn map(&self) -> &HeaderMap {
                &self.headers
            }

            fn set(&mut self, name: HeaderName, value: HeaderValue) {
                self.insert_header(name, value).expect("a valid name and value");
            }

            fn add(&mut self, name: HeaderName, value: HeaderValue) {
                self.append_header(name, value).expect("a valid name and value");
            }

            fn remove(&mut self, name: &HeaderName) {
                self.remove_header(name);
            }
        }
    )*};
}

fields!(RequestHeader, ResponseHeader);

/// Forgets in which case a client wrote the names of its fields.
///
/// Names have no case (RFC 9110 §5.1), h2 has them in lower case anyway, and
/// pingora's second map of them costs a seventh of a request's instructions.
pub(super) fn forget_request_case(request: &mut RequestHeader) -> Result<()> {
    if request.has_case() {
        let empty = RequestHeader::build_no_case("GET", b"/", Some(0))?;
        *request = ReqParts::from(std::mem::replace(request, empty)).into();
    }
    Ok(())
}

/// The same for a server's answer; its reason phrase goes as well.
pub(super) fn forget_response_case(response: &mut ResponseHeader) -> Result<()> {
    if response.has_case() {
        let empty = ResponseHeader::build_no_case(200, Some(0))?;
        *response = RespParts::from(std::mem::replace(response, empty)).into();
    }
    Ok(())
}
