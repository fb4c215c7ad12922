//! Pingora's headers as the rooms change them.

use http::{HeaderMap, HeaderName, HeaderValue};
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
