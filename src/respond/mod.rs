//! What the client gets: header fields as the operator wants them, bodies made
//! smaller, and the answers that Tidegate gives itself.
//!
//! Which answer a request gets is for `proxy` to decide; how it looks, for us.

mod compress;
mod fields;
mod grpc;
mod headers;
mod hop_by_hop;
mod negotiate;

pub(crate) use self::compress::Encoder;
pub(crate) use self::fields::Fields;
pub(crate) use self::headers::{ChangesConfig, Config as HeadersConfig, HeaderRules, Rules};
pub(crate) use self::hop_by_hop::remove_hop_by_hop;
pub(crate) use self::negotiate::{Asked, Compression, Config as CompressConfig};
