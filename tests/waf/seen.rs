//! What rules see of a request, where a proxy could have changed it.

use super::*;

const RULES: &str = r#"
SecRule &REQUEST_HEADERS:Host "@eq 0" "id:10,phase:1,deny,status:403"
SecRule REQUEST_HEADERS:Host "@streq b.example:8080" "id:11,phase:1,deny,status:403"
SecRule REQUEST_LINE "@streq GET http://a.example/far?q=1 HTTP/1.1" "id:12,phase:1,deny,status:403"
SecRule REQUEST_LINE "@streq GET /near?q=1 HTTP/2.0" "id:13,phase:1,deny,status:403"
SecRule REQUEST_URI "@streq /both?q=1" "id:14,phase:1,deny,status:403"
"#;

async fn h1(edge: &Edge, head: &str) -> u16 {
    Client::ask(edge.addr(), format!("{head}\r\n\r\n")).await.status
}

async fn h2(edge: &Edge, url: &str) -> u16 {
    H2Client::connect(edge.addr()).await.get(url).await.response.status
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_see_the_target_and_the_host_as_they_are_written() {
    let dir = folder(&[("own.conf", RULES)]);
    let edge = answering("{ rules: { files: ['DIR/own.conf'] } }", &dir);
    for (head, expected) in [
        ("GET / HTTP/1.0", 403),
        ("GET / HTTP/1.0\r\nhost: a.example", 200),
        ("GET / HTTP/1.1\r\nhost: b.example:8080", 403),
        ("GET http://a.example/far?q=1 HTTP/1.1\r\nhost: a.example", 403),
        ("GET http://a.example/far?q=2 HTTP/1.1\r\nhost: a.example", 200),
        ("GET http://a.example/both?q=1 HTTP/1.1\r\nhost: a.example", 403),
        ("GET /far?q=1 HTTP/1.1\r\nhost: a.example", 200),
        ("GET /both?q=1 HTTP/1.1\r\nhost: a.example", 403),
    ] {
        assert_eq!(h1(&edge, head).await, expected, "{head}");
    }
    for (url, expected) in [
        ("http://a.example/near?q=1", 403),
        ("http://a.example/near?q=2", 200),
        ("http://a.example/both?q=1", 403),
        ("http://b.example:8080/", 403),
    ] {
        assert_eq!(h2(&edge, url).await, expected, "{url}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_see_who_asks_and_not_the_proxy_between() {
    let rules = r#"
SecRule REMOTE_ADDR "@ipMatch 192.0.2.7" "id:20,phase:1,deny,chain"
    SecRule REMOTE_PORT "@gt 0"
SecRule SERVER_ADDR "!@ipMatch 127.0.0.1" "id:21,phase:1,deny"
SecRule SERVER_PORT "@eq 0" "id:22,phase:1,deny"
"#;
    let dir = folder(&[("own.conf", rules)]);
    let site = "
listeners: [{ address: '127.0.0.1:{port}' }]
clients: { trusted_proxies: {proxies} }
waf: { own: { rules: { files: ['{rules}'] } } }
defaults: { waf: own }
routes: [{ respond: {} }]
";
    let rules = dir.path().join("own.conf").display().to_string();
    for (proxies, expected) in [("[127.0.0.0/8]", 403), ("[]", 200)] {
        let edge = Edge::start_with(site, &[("proxies", &proxies), ("rules", &rules)]);
        let head = "GET / HTTP/1.1\r\nhost: a.example\r\nx-forwarded-for: 192.0.2.7";
        assert_eq!(h1(&edge, head).await, expected, "{proxies}");
    }
}
