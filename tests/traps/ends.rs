//! Retries that would be none, and a shutdown that would sleep.

use rustix::process::Signal;

use super::{GET, SITE};
use crate::support::{Client, Edge, Origin, ports};

/// Pingora counts attempts as retries: 0 would be no attempt and no answer.
#[tokio::test(flavor = "multi_thread")]
async fn no_retries_still_means_one_attempt_and_an_answer() {
    let origin = Origin::ok().await;
    let edge = super::edge(&origin);
    assert_eq!(Client::ask(edge.addr(), GET).await.status, 200);

    let [nobody] = ports::free();
    let edge = Edge::start_with(SITE, &[("origin", &format!("127.0.0.1:{nobody}"))]);
    assert_eq!(Client::ask(edge.addr(), GET).await.status, 502);
    let records = edge.stop();
    assert_eq!((records[0]["attempts"].as_u64(), records.len()), (Some(1), 1));
}

/// Pingora sleeps its whole grace period whoever is there, 5 minutes unless told.
#[tokio::test(flavor = "multi_thread")]
async fn shutdown_takes_no_longer_than_requests_in_flight() {
    let origin = Origin::ok().await;
    let yaml = SITE.replace("threads: 1", "threads: 1, drain: 10m");
    let mut edge = Edge::start_with(&yaml, &[("origin", &origin.addr)]);
    let mut idle = Client::connect(edge.addr()).await;
    idle.send(GET).await;
    assert_eq!(idle.response().await.status, 200);
    let _silent = Client::connect(edge.addr()).await;
    edge.signal(Signal::TERM);
    assert!(edge.wait_exit().success());
    idle.expect_closed().await;
}
