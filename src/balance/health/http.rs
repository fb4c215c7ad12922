//! A check that asks for a page and judges the status of the answer.

use async_trait::async_trait;
use http::HeaderValue;
use http::header::{HOST, USER_AGENT};
use http::uri::PathAndQuery;
use pingora::connectors::ConnectorOptions;
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::lb::Backend;
use pingora::lb::health_check::HealthCheck;

use super::expect::Expected;
use super::{Peers, Turns, unhealthy};

/// What servers find in their logs.
pub(super) const AGENT: &str = "tidegate-health";
/// More of a body is not read: the status has said everything.
const MOST_BODY: usize = 64 * 1024;

pub(super) struct HttpProbe {
    path: PathAndQuery,
    host: Option<HeaderValue>,
    expected: Expected,
    peers: Peers,
    turns: Turns,
    connector: Connector,
}

impl HttpProbe {
    pub(super) fn new(
        path: PathAndQuery,
        host: Option<HeaderValue>,
        expected: Expected,
        peers: Peers,
        turns: Turns,
    ) -> Self {
        HttpProbe { path, host, expected, peers, turns, connector: connector() }
    }
}

#[async_trait]
impl HealthCheck for HttpProbe {
    async fn check(&self, target: &Backend) -> pingora::Result<()> {
        let (server, peer) = self.peers.find(target)?;
        let mut request = RequestHeader::build("GET", self.path.as_str().as_bytes(), None)?;
        match &self.host {
            Some(host) => request.insert_header(HOST, host)?,
            None => request.insert_header(HOST, server.authority())?,
        }
        request.insert_header(USER_AGENT, AGENT)?;

        let (mut session, _) = self.connector.get_http_session(&peer).await?;
        session.write_request_header(Box::new(request)).await?;
        session.finish_request_body().await?;
        session.read_response_header().await?;
        let status = session.response_header().map(|head| head.status.as_u16());
        match status {
            Some(status) if self.expected.has(status) => {}
            Some(status) => return unhealthy(format!("answered {status}")),
            None => return unhealthy("answered without a status".to_owned()),
        }
        // Servers log an error when a client leaves before the end of an answer.
        let mut read = 0;
        while read < MOST_BODY
            && let Some(part) = session.read_response_body().await?
        {
            read += part.len();
        }
        Ok(())
    }

    fn health_threshold(&self, success: bool) -> usize {
        self.turns.threshold(success)
    }
}

/// Connects anew for each check: an old connection may live where a new one would not.
pub(super) fn connector() -> Connector {
    Connector::new(Some(ConnectorOptions::new(1)))
}
