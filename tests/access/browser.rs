//! The challenge in a real browser.

use serde_json::json;

use crate::support::browser::Browser;
use crate::support::{Authority, Client, Edge, Origin};

const SITE: &str = "
listeners:
  - { address: '127.0.0.1:{port}' }
  - address: '127.0.0.1:{tls_port}'
    protocols: [h1, h2]
    tls: { certificates: [{ cert: '{certs}/a.pem', key: '{certs}/a.key' }] }
upstreams: { app: { servers: ['{origin}'] } }
routes:
  - upstream: app
    access: { challenge: always, challenge_difficulty: {bits} }
    headers: { response: { preset: secure } }
  - match: { path_prefix: /media/ }
    files: { root: '{dir}/www' }
    access: { challenge: always, challenge_difficulty: {bits} }
";

struct Shop {
    edge: Edge,
    origin: Origin,
    _certs: Authority,
}

impl Shop {
    async fn open(bits: u8) -> Shop {
        let certs = Authority::new();
        certs.write("a", &["shop.test"]);
        // Every page says what it was asked for.
        let origin = Origin::scripted(|mut conn| async move {
            while let Some(request) = conn.request().await {
                let page = format!("<!doctype html><title>Shop</title><pre>{}", request.head);
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length:";
                conn.send(format!("{head} {}\r\n\r\n{page}", page.len())).await;
            }
        })
        .await;
        let at = certs.dir().display();
        let edge =
            Edge::start_with(SITE, &[("certs", &at), ("origin", &origin.addr), ("bits", &bits)]);
        std::fs::write(edge.dir().join("www/clip"), "0123456789").unwrap();
        Shop { edge, origin, _certs: certs }
    }

    /// Its address on a name that is no `localhost`, so that without TLS it is
    /// no secure context.
    fn plain(&self, path: &str) -> String {
        format!("http://shop.test:{}{path}", self.edge.addr().port())
    }

    fn tls(&self, path: &str) -> String {
        format!("https://shop.test:{}{path}", self.edge.tls_addr().port())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_lands_where_it_wanted_to_go_and_is_not_asked_again() {
    let shop = Shop::open(16).await;
    let mut browser = Browser::start().await;
    browser.go(&shop.plain("/cart?item=1#top")).await;
    let text = browser.await_text("GET /cart?item=1 HTTP/1.1").await;
    assert_eq!(browser.says("isSecureContext").await, false);
    assert_eq!(browser.says("document.title").await, "Shop");
    assert_eq!(browser.says("location.href").await, shop.plain("/cart?item=1#top"));
    assert!(!text.to_lowercase().contains("tg_pass"), "{text}");
    let cookies = browser.cookies(&shop.plain("/")).await;
    assert_eq!(cookies.len(), 1, "{cookies:?}");
    let cookie = &cookies[0];
    assert_eq!((&cookie["name"], &cookie["httpOnly"]), (&json!("tg_pass"), &json!(true)));
    assert_eq!((&cookie["secure"], &cookie["sameSite"]), (&json!(false), &json!("Lax")));

    browser.go(&shop.plain("/second")).await;
    browser.await_text("GET /second HTTP/1.1").await;
    let part = "fetch('/media/clip', { headers: { range: 'bytes=2-5' } })
        .then(async answer => answer.status + ' ' + await answer.text())";
    assert_eq!(browser.says(part).await, "206 2345");
    let post = "fetch('/buy', { method: 'POST', body: 'x' }).then(answer => answer.status)";
    assert_eq!(browser.says(post).await, 200);

    // The pass is good for the network that it was given to.
    let field = format!("cookie: tg_pass={}\r\n", cookie["value"].as_str().unwrap());
    let request = format!("GET / HTTP/1.1\r\nhost: shop.test\r\n{field}\r\n");
    assert_eq!(Client::ask(shop.edge.addr(), &request).await.status, 200);
    let mut other = Client::connect_from("127.0.0.2", shop.edge.addr()).await;
    other.send(&request).await;
    assert_eq!(other.response().await.status, 403);
    let records = shop.edge.stop();
    let of_browser = |word: &str| records.iter().filter(|r| r["refusal"] == word).count();
    assert_eq!((of_browser("challenge"), of_browser("challenge_solved")), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_looks_like_a_host_is_a_path() {
    let shop = Shop::open(8).await;
    let mut browser = Browser::start().await;
    browser.go(&shop.plain("//elsewhere.test/cart?item=1")).await;
    browser.await_text("GET /elsewhere.test/cart?item=1 HTTP/1.1").await;
    assert_eq!(browser.says("document.title").await, "Shop");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_solves_it_over_tls_and_keeps_the_pass_there() {
    let shop = Shop::open(12).await;
    let mut browser = Browser::start().await;
    browser.go(&shop.tls("/cart")).await;
    browser.await_text("GET /cart HTTP/1.1").await;
    assert_eq!(browser.says("isSecureContext").await, true);
    let cookies = browser.cookies(&shop.tls("/")).await;
    assert_eq!((cookies.len(), &cookies[0]["secure"]), (1, &json!(true)), "{cookies:?}");
    assert_eq!(cookies[0]["name"], "__Host-tg_pass");
    assert_eq!(browser.cookies(&shop.plain("/")).await.len(), 0);
    browser.go(&shop.tls("/second")).await;
    browser.await_text("GET /second HTTP/1.1").await;
    assert!(shop.edge.records().iter().any(|record| record["protocol"] == "HTTP/2.0"));
    // Without TLS there is another pass to be had, and both are kept from servers.
    browser.go(&shop.plain("/third")).await;
    browser.await_text("GET /third HTTP/1.1").await;
    browser.go(&shop.tls("/fourth")).await;
    let text = browser.await_text("GET /fourth HTTP/1.1").await;
    assert!(!text.contains("tg_pass"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_javascript_people_read_what_to_do() {
    let shop = Shop::open(12).await;
    let mut browser = Browser::start().await;
    browser.forbid_scripts().await;
    browser.go(&shop.plain("/")).await;
    let text = browser.await_text("It needs JavaScript, which is switched off.").await;
    let [record] = &shop.edge.access_log(1)[..] else { panic!("one request") };
    assert!(text.contains(record["request_id"].as_str().unwrap()), "{text}");
    assert!(!text.contains("Try again") && !text.contains("Working"), "{text}");
    assert_eq!(shop.origin.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn screen_readers_hear_what_happens() {
    // So much work that the page stays.
    let shop = Shop::open(24).await;
    let mut browser = Browser::start().await;
    browser.go(&shop.plain("/")).await;
    browser.await_text("Working. This takes a few seconds.").await;
    assert_eq!(browser.says("document.documentElement.lang").await, "en");
    assert_eq!(browser.says("document.title").await, "One moment, please");
    let nodes = browser.accessible().await;
    let find = |role: &str| {
        let found = nodes.iter().filter(|node| node["role"]["value"] == role);
        let found: Vec<_> = found.collect();
        assert_eq!(found.len(), 1, "{role}: {nodes:?}");
        found[0].clone()
    };
    assert_eq!(find("heading")["name"]["value"], "One moment, please");
    let status = find("status");
    let live = status["properties"].as_array().unwrap().iter().find(|p| p["name"] == "live");
    assert_eq!(live.unwrap()["value"]["value"], "polite");
    assert_eq!(find("progressbar")["name"]["value"], "Arithmetic");
    // Nothing is wider than a narrow window, at four times the size.
    browser
        .call(
            "Emulation.setDeviceMetricsOverride",
            json!({ "width": 320, "height": 640, "deviceScaleFactor": 4, "mobile": true }),
        )
        .await;
    let width = "document.documentElement.scrollWidth <= innerWidth";
    assert_eq!(browser.says(width).await, true);
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_pass_gets_lost_is_told_so_and_does_not_work_for_ever() {
    let shop = Shop::open(8).await;
    let (addr, mut browser) = (shop.edge.addr(), Browser::start().await);
    // What is between them takes every cookie away.
    let between = Origin::scripted(move |mut conn| async move {
        let Some(request) = conn.request().await else { return };
        let kept = |line: &&str| !line.starts_with("Co") && !line.is_empty();
        let kept: Vec<&str> = request.head.split("\r\n").filter(kept).collect();
        let mut client = Client::connect(addr).await;
        client.send(format!("{}\r\nconnection: close\r\n\r\n", kept.join("\r\n"))).await;
        conn.send(client.read_to_end().await).await;
    })
    .await;
    browser.go(&format!("http://shop.test:{}/", between.addr.port())).await;
    let text = browser.await_text("Your browser did not keep what it was given").await;
    assert!(text.contains("Try again"), "{text}");
    assert_eq!(shop.origin.requests(), 0);
    let records = shop.edge.stop();
    let solved = records.iter().filter(|record| record["refusal"] == "challenge_solved");
    assert_eq!(solved.count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_forbids_cookies_is_told_to_allow_them() {
    let shop = Shop::open(8).await;
    let mut browser = Browser::start().await;
    let script = "Object.defineProperty(navigator, 'cookieEnabled', { value: false })";
    let on_every_page = json!({ "source": script });
    browser.call("Page.enable", json!({})).await;
    browser.call("Page.addScriptToEvaluateOnNewDocument", on_every_page).await;
    browser.go(&shop.plain("/")).await;
    let text = browser.await_text("This needs cookies.").await;
    assert!(text.contains("Try again"), "{text}");
    assert_eq!(shop.edge.access_log(1).len(), 1);
}
