//! A client connection as one of pingora's streams.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID,
};
use tokio::io::AsyncWriteExt;

use super::EdgeIo;

impl std::fmt::Debug for EdgeIo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EdgeIo").field("peer", &self.connection.peer).finish_non_exhaustive()
    }
}

#[async_trait]
impl Shutdown for EdgeIo {
    async fn shutdown(&mut self) {
        if let Err(error) = AsyncWriteExt::shutdown(self).await {
            ::log::debug!("closing the connection of {}: {error}", self.connection.peer);
        }
    }
}

impl UniqueID for EdgeIo {
    fn id(&self) -> i32 {
        self.transport.as_fd().as_raw_fd()
    }
}

impl Ssl for EdgeIo {
    fn selected_alpn_proto(&self) -> Option<ALPN> {
        None
    }
}

impl Peek for EdgeIo {}

impl GetTimingDigest for EdgeIo {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for EdgeIo {
    // The only digest that carries a value of ours to the hooks, on h1 and h2
    // alike; pingora itself does not look into it.
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.digest.clone()
    }
}

impl GetSocketDigest for EdgeIo {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}
