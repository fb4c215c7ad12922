//! Where connections enter: from the socket to a request that pingora may see.

pub(crate) mod proxy_protocol;
pub(crate) mod tls;
