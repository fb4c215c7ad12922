//! Programs that a route turns away.

use crate::support::{Client, Edge};

#[tokio::test(flavor = "multi_thread")]
async fn programs_that_are_denied_are_turned_away() {
    let edge = Edge::start(
        "
listeners: [{ address: '127.0.0.1:{port}' }]
routes:
  - respond: {}
    access: { user_agents: { deny: [sqlmap, Nikto, '~^curl/[0-7][.]', '~^$'] } }
  - match: { path: /open }
    respond: {}
    access: { user_agents: { deny: [] } }
",
    );
    for (agent, status) in [
        (Some("Mozilla/5.0 (X11; Linux x86_64)"), 200),
        (Some("sqlmap/1.7#stable"), 403),
        (Some("Mozilla/5.0 NIKTO/2.1"), 403),
        (Some("curl/7.88.1"), 403),
        (Some("curl/8.5.0"), 200),
        (Some("libcurl/7.1"), 200),
        (Some(""), 403),
        (None, 403),
    ] {
        let line = agent.map(|agent| format!("user-agent: {agent}\r\n")).unwrap_or_default();
        for (path, status) in [("/", status), ("/open", 200)] {
            let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n{line}\r\n");
            let answer = Client::ask(edge.addr(), request).await;
            assert_eq!(answer.status, status, "{path} {agent:?}");
        }
    }
    let records = edge.stop();
    let refused: Vec<_> = records.iter().filter(|record| record["status"] == 403).collect();
    assert_eq!(refused.len(), 5);
    for record in refused {
        assert_eq!((&record["room"], &record["refusal"]), (&"access".into(), &"user_agent".into()));
    }
}
