//! Tokens.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use aws_lc_rs::hmac;
use http::Request as HttpRequest;
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::signer::{Signer, after, key_set, part};
use crate::support::origin::{self, Request};
use crate::support::websocket::{self, echoes};
use crate::support::{Client, Edge, H2Client, Origin, Response, ports, within};

const SITE: &str = "
listeners: [{ address: '127.0.0.1:{port}', protocols: [h1, h2c], strict: { underscores: pass } }]
upstreams: { app: { servers: ['{app}'] } }
routes:
  - upstream: app
    access:
      jwt:
        jwks: '{jwks}'
        issuer: https://quay.example
        audience: ships
        headers: { x-user: sub, x-roles: realm.roles, x-none: none }
  - match: { path_prefix: /any }
    upstream: app
    access:
      jwt:
        jwks: '{jwks}'
        algorithms: [RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA]
        leeway: 1m
";

fn claims() -> Json {
    json!({
        "iss": "https://quay.example", "aud": ["cars", "ships"], "exp": after(300),
        "sub": "ann", "realm": { "roles": ["crew", "cook"] },
    })
}

/// The claims with others in the place of some; null takes one away.
fn but(others: Json) -> Json {
    let mut claims = claims();
    for (name, value) in others.as_object().unwrap() {
        match value {
            Json::Null => claims.as_object_mut().unwrap().remove(name),
            value => claims.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    claims
}

/// A file of keys in a folder of its own.
fn file(signers: &[&Signer]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    std::fs::write(&path, key_set(signers)).unwrap();
    (folder, path)
}

fn start(jwks: &dyn std::fmt::Display, origin: &Origin) -> Edge {
    Edge::start_with(SITE, &[("jwks", jwks), ("app", &origin.addr)])
}

fn ask(path: &str, token: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a.example\r\nauthorization: Bearer {token}\r\n{more}\r\n")
}

async fn status(edge: &Edge, path: &str, token: &str) -> u16 {
    Client::ask(edge.addr(), ask(path, token, "")).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_token_tells_the_server_who_asks() {
    let origin = Origin::echo().await;
    let signer = Signer::new("one", "ES256");
    let (_folder, keys) = file(&[&signer]);
    let edge = start(&keys.display(), &origin);
    let token = signer.sign("ES256", &claims());
    let lies = "x-user: root\r\nX-User: admin\r\nx_user: root\r\nx-roles: captain\r\nx-none: x\r\n";
    let mut client = Client::connect(edge.addr()).await;
    // The second time from memory; the third time the client would have our
    // fields be those of its connection, which are removed.
    for more in [lies.to_owned(), lies.to_owned(), format!("connection: x-user, x-roles\r\n{lies}")]
    {
        client.send(ask("/", &token, &more)).await;
        let seen = Request::echoed(&client.response().await);
        assert_eq!(seen.all("x-user").collect::<Vec<_>>(), ["ann"], "{more}");
        assert_eq!(seen.all("x-roles").collect::<Vec<_>>(), ["crew,cook"]);
        assert_eq!((seen.header("x-none"), seen.header("x_user")), (None, None));
        assert_eq!(seen.header("authorization"), Some(format!("Bearer {token}").as_str()));
    }
    // A claim that is not there, or that no field can hold, is told by nobody else.
    let padded = [json!(" captain"), json!("captain\t"), json!("captain ")];
    for roles in [json!("a\r\nx-admin: yes"), json!({}), json!(["a,b"]), Json::Null]
        .into_iter()
        .chain(padded)
    {
        let token = signer.sign("ES256", &but(json!({ "realm": { "roles": roles } })));
        client.send(ask("/", &token, lies)).await;
        let seen = Request::echoed(&client.response().await);
        assert_eq!((seen.header("x-roles"), seen.header("x-admin")), (None, None));
    }
    let records = edge.stop();
    assert!(records.iter().all(|record| record["user"] == "ann"));
    assert!(!format!("{records:?}").contains(&token), "no token is told");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_algorithm_is_verified_and_only_those_allowed() {
    let origin = Origin::ok().await;
    let all = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];
    let [rsa, p256, p384, ed] = [("r", "RS256"), ("2", "ES256"), ("3", "ES384"), ("e", "EdDSA")]
        .map(|(id, algorithm)| Signer::new(id, algorithm));
    let (_folder, keys) = file(&[&rsa, &p256, &p384, &ed]);
    let edge = start(&keys.display(), &origin);
    for algorithm in all {
        let signer = match algorithm {
            "ES256" => &p256,
            "ES384" => &p384,
            "EdDSA" => &ed,
            _ => &rsa,
        };
        let token = signer.sign(algorithm, &claims());
        assert_eq!(status(&edge, "/any", &token).await, 200, "{algorithm}");
        let is_default = matches!(algorithm, "RS256" | "ES256" | "EdDSA");
        let expected = if is_default { 200 } else { 401 };
        assert_eq!(status(&edge, "/", &token).await, expected, "{algorithm}");
        // Without an id, each key of the kind is tried.
        let token = signer.sign_as(&json!({ "alg": algorithm }), algorithm, &claims());
        assert_eq!(status(&edge, "/any", &token).await, 200, "{algorithm}");
        // Signed by one, said to be by another.
        for other in all.into_iter().filter(|other| *other != algorithm) {
            let head = json!({ "alg": other, "kid": "r" });
            let token = signer.sign_as(&head, algorithm, &claims());
            assert_eq!(status(&edge, "/any", &token).await, 401, "{algorithm} as {other}");
        }
    }
}

/// Tokens that are none, and the word of the log for each.
fn bad_tokens(signer: &Signer) -> Vec<(String, &'static str)> {
    let good = signer.sign("RS256", &claims());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let head = |json: Json| part(json.to_string());
    let body = part(claims().to_string());
    let forged = part(but(json!({ "sub": "root" })).to_string());
    // The public key as a secret: whoever takes any key for any algorithm takes this.
    let confused = format!("{}.{body}", head(json!({ "alg": "HS256", "kid": "one" })));
    let secret = hmac::Key::new(hmac::HMAC_SHA256, &signer.public_der());
    let confused = format!("{confused}.{}", part(hmac::sign(&secret, confused.as_bytes())));
    let none = |alg: &str| format!("{}.{body}.", head(json!({ "alg": alg, "kid": "one" })));
    let signed_but = |others: Json| signer.sign("RS256", &but(others));
    let stranger = Signer::new("one", "RS256");
    let with_key = json!({ "alg": "RS256", "kid": "one", "jwk": stranger.public() });
    let unknown = json!({ "alg": "RS256", "kid": "../../dev/null" });
    let critical = json!({ "alg": "RS256", "kid": "one", "crit": ["exp"] });
    vec![
        ("abc".to_owned(), "jwt_malformed"),
        (signed.to_owned(), "jwt_malformed"),
        (format!("{good}.{signature}"), "jwt_malformed"),
        (signer.sign_as(&critical, "RS256", &claims()), "jwt_malformed"),
        (signed_but(json!({ "more": "x".repeat(20_000) })), "jwt_malformed"),
        (none("none"), "jwt_algorithm"),
        (none("None"), "jwt_algorithm"),
        (none(""), "jwt_algorithm"),
        (confused, "jwt_algorithm"),
        (signer.sign("RS384", &claims()), "jwt_algorithm"),
        (signer.sign_as(&unknown, "RS256", &claims()), "jwt_key"),
        (format!("{signed}."), "jwt_signature"),
        (format!("{signed}.{}", part([0; 256])), "jwt_signature"),
        (format!("{}.{forged}.{signature}", signed.split_once('.').unwrap().0), "jwt_signature"),
        (stranger.sign("RS256", &claims()), "jwt_signature"),
        (stranger.sign_as(&with_key, "RS256", &claims()), "jwt_signature"),
        (signed_but(json!({ "exp": after(-31) })), "jwt_expired"),
        (signed_but(json!({ "exp": null })), "jwt_claims"),
        (signed_but(json!({ "exp": "9999999999" })), "jwt_claims"),
        (signed_but(json!({ "nbf": after(60) })), "jwt_too_early"),
        (signed_but(json!({ "iss": "https://quay.example.evil" })), "jwt_issuer"),
        (signed_but(json!({ "iss": null })), "jwt_issuer"),
        (signed_but(json!({ "aud": "cars" })), "jwt_audience"),
        (signed_but(json!({ "aud": null })), "jwt_audience"),
        (signed_but(json!({ "aud": [] })), "jwt_audience"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_are_none_are_refused_each_by_its_word() {
    let origin = Origin::ok().await;
    let signer = Signer::new("one", "RS256");
    let (_folder, keys) = file(&[&signer]);
    let edge = start(&keys.display(), &origin);
    let bad = bad_tokens(&signer);
    let mut client = Client::connect(edge.addr()).await;
    for (token, _) in &bad {
        client.send(ask("/", token, "")).await;
        let answer = client.response().await;
        assert_eq!(answer.status, 401, "{token}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
    }
    assert_eq!(origin.requests(), 0);
    // Who shows no token is only asked for one.
    for given in [
        "",
        "authorization: Bearer\r\n",
        "authorization: Basic YW5uOnRpZGU=\r\n",
        "cookie: token=x\r\n",
    ] {
        let request = format!("GET /?access_token=x HTTP/1.1\r\nhost: a.example\r\n{given}\r\n");
        let answer = Client::ask(edge.addr(), request).await;
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")));
    }
    let good = signer.sign("RS256", &claims());
    let twice = format!("authorization: Bearer {}\r\n", bad[12].0);
    assert_eq!(Client::ask(edge.addr(), ask("/", &good, &twice)).await.status, 400);
    assert_eq!(status(&edge, "/", &good).await, 200);
    let records = edge.stop();
    let tags = records.iter().map(|record| record["refusal"].as_str());
    let missing = std::iter::repeat_n("jwt_missing", 4);
    let expected = bad.iter().map(|(_, tag)| *tag).chain(missing).chain(["credentials_twice"]);
    assert!(tags.eq(expected.map(Some).chain([None])), "{records:?}");
    assert!(records.iter().all(|record| record["status"] == 200 || record["room"] == "access"));
}

#[tokio::test(flavor = "multi_thread")]
async fn issuer_audience_and_leeway_are_what_a_route_says() {
    let origin = Origin::ok().await;
    let signer = Signer::new("one", "ES256");
    let (_folder, keys) = file(&[&signer]);
    let edge = start(&keys.display(), &origin);
    for (others, strict, lax) in [
        (json!({}), 200, 200),
        (json!({ "aud": "ships" }), 200, 200),
        (json!({ "iss": "x" }), 401, 200),
        (json!({ "aud": "x" }), 401, 200),
        (json!({ "exp": after(-10) }), 200, 200),
        (json!({ "exp": after(-45) }), 401, 200),
        (json!({ "nbf": after(45) }), 401, 200),
        (json!({ "exp": after(-90) }), 401, 401),
    ] {
        let token = signer.sign("ES256", &but(others.clone()));
        let found = (status(&edge, "/", &token).await, status(&edge, "/any", &token).await);
        assert_eq!(found, (strict, lax), "{others}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_remembered_ends_when_it_says() {
    let origin = Origin::ok().await;
    let signer = Signer::new("one", "ES256");
    let (_folder, keys) = file(&[&signer]);
    let edge = start(&keys.display(), &origin);
    // With the leeway of half a minute, there are some seconds left.
    let token = signer.sign("ES256", &but(json!({ "exp": after(-25) })));
    assert_eq!(status(&edge, "/", &token).await, 200);
    within("the end of the token", async { while status(&edge, "/", &token).await == 200 {} })
        .await;
    assert_eq!(status(&edge, "/", &token).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_asked_for_over_h2_and_before_a_websocket() {
    let server = Origin::scripted(websocket::echo).await;
    let signer = Signer::new("one", "EdDSA");
    let (_folder, keys) = file(&[&signer]);
    let edge = start(&keys.display(), &server);
    let [good, bad] = [300, -300]
        .map(|exp| format!("Bearer {}", signer.sign("EdDSA", &but(json!({ "exp": after(exp) })))));
    let shaken = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let refused = Client::ask(edge.addr(), ask("/", bad.trim_start_matches("Bearer "), shaken));
    assert_eq!(refused.await.status, 401);
    assert_eq!(server.connections(), 0);
    let stream = TcpStream::connect(edge.addr()).await.unwrap();
    let mut socket = websocket::signed_in(stream, "ws://a.example/chat", &good).await;
    echoes(&mut socket, "hello").await;
    drop((socket, edge));

    let origin = Origin::echo().await;
    let edge = start(&keys.display(), &origin);
    let mut client = H2Client::connect(edge.addr()).await;
    for (token, expected) in [(&good, 200), (&bad, 401), (&good, 200)] {
        let request = HttpRequest::get("http://a.example/")
            .header("authorization", token)
            .header("x-user", "root")
            .body(())
            .unwrap();
        let answer = client.ask(request, "").await.unwrap().response;
        assert_eq!(answer.status, expected);
        if expected == 200 {
            let seen = Request::echoed(&answer);
            assert_eq!(seen.all("x-user").collect::<Vec<_>>(), ["ann"]);
        }
    }
}

/// A server of keys, which answers what it is told to.
async fn key_server(answer: &Arc<Mutex<String>>) -> Origin {
    let answer = answer.clone();
    Origin::scripted(move |mut conn| {
        let answer = answer.clone();
        async move {
            while conn.request().await.is_some() {
                let answer = answer.lock().unwrap().clone();
                conn.send(answer).await;
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_fetched_and_an_unknown_one_has_them_fetched_again() {
    let origin = Origin::ok().await;
    let [one, two, three] = ["one", "two", "three"].map(|id| Signer::new(id, "ES256"));
    let answer = Arc::new(Mutex::new("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n".to_owned()));
    let server = key_server(&answer).await;
    let edge = start(&format!("http://{}/keys?secret=xyzzy", server.addr), &origin);
    let tokens = [&one, &two, &three].map(|signer| signer.sign("ES256", &claims()));
    // Nobody comes in as long as there are no keys.
    let ask_one = Client::ask(edge.addr(), ask("/", &tokens[0], "")).await;
    assert_eq!((ask_one.status, ask_one.header("retry-after")), (503, Some("1")));
    *answer.lock().unwrap() = origin::ok(&key_set(&[&one]));
    edge.await_stderr("the keys are there again");
    assert_eq!(status(&edge, "/", &tokens[0]).await, 200);
    // The issuer takes a new key into use: the first token by it has it fetched.
    *answer.lock().unwrap() = origin::ok(&key_set(&[&two]));
    assert_eq!(status(&edge, "/", &tokens[1]).await, 200);
    // The old key is gone, and with it what was remembered of its tokens.
    assert_eq!(status(&edge, "/", &tokens[0]).await, 401);
    // Strangers cannot have it fetched again and again.
    let fetches = server.requests();
    for _ in 0..5 {
        assert_eq!(status(&edge, "/", &tokens[2]).await, 401);
    }
    assert_eq!(server.requests(), fetches);
    assert_eq!(status(&edge, "/", &tokens[1]).await, 200);
    // A reload keeps them, whatever the server says now.
    *answer.lock().unwrap() = origin::ok("{}");
    assert_eq!(edge.admin_post("/api/reload").status, 200);
    server.await_requests(fetches + 1);
    edge.await_stderr("the last ones stay");
    assert_eq!(status(&edge, "/", &tokens[1]).await, 200);
    let shown = edge.admin_get("/api/config").text();
    let stderr = edge.stderr();
    assert!(shown.contains("/keys?***") && !shown.contains("xyzzy") && !stderr.contains("xyzzy"));
    assert!(stderr.contains("no keys: answered 500; tokens cannot be verified"), "{stderr}");
    let records = edge.stop();
    assert_eq!(records[0]["refusal"], "jwt_no_keys");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_tokens_fill_comes_by_no_other_route_to_the_same_servers() {
    let (origin, other) = (Origin::echo().await, Origin::echo().await);
    let signer = Signer::new("one", "ES256");
    let (_folder, keys) = file(&[&signer]);
    let yaml = "
listeners: [{ address: '127.0.0.1:{port}', strict: { underscores: pass } }]
upstreams:
  app: { servers: ['{app}'] }
  other: { servers: ['{other}'] }
  again: { servers: ['localhost:{app_port}'], retries: { attempts: 1 } }
  partly: { servers: ['{app}', '{other}'] }
routes:
  - upstream: app
    access: { jwt: { jwks: '{jwks}', headers: { x-user: sub } } }
  - match: { path: /open }
    upstream: app
  - match: { path: /again }
    upstream: again
  - match: { path: /partly }
    upstream: partly
  - match: { path: /both }
    upstreams: { app: 1, other: 1 }
  - match: { path: /other }
    upstream: other
";
    let places: [(&str, &dyn std::fmt::Display); 4] = [
        ("jwks", &keys.display()),
        ("app", &origin.addr),
        ("app_port", &origin.addr.port()),
        ("other", &other.addr),
    ];
    let edge = Edge::start_with(yaml, &places);
    let lies = "x-user: root\r\nx_user: root\r\nx.user: root\r\n";
    for (path, names) in [
        ("/open", &[][..]),
        ("/again", &[]),
        ("/partly", &[]),
        ("/both", &[]),
        ("/other", &["x-user", "x_user", "x.user"]),
    ] {
        let seen = Request::echoed(&Client::ask(edge.addr(), ask(path, "none", lies)).await);
        for name in ["x-user", "x_user", "x.user"] {
            assert_eq!(seen.header(name).is_some(), names.contains(&name), "{name} to {path}");
        }
    }
    // Of a claim that is not there, nobody speaks in another spelling.
    let token = signer.sign("ES256", &but(json!({ "sub": null })));
    let seen = Request::echoed(&Client::ask(edge.addr(), ask("/", &token, lies)).await);
    for name in ["x-user", "x_user", "x.user"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_keys_that_changes_is_read_again() {
    let origin = Origin::ok().await;
    let [one, two] = ["one", "two"].map(|id| Signer::new(id, "ES256"));
    let (_folder, keys) = file(&[&one]);
    let edge = start(&keys.display(), &origin);
    let tokens = [&one, &two].map(|signer| signer.sign("ES256", &claims()));
    let statuses =
        async || [status(&edge, "/", &tokens[0]).await, status(&edge, "/", &tokens[1]).await];
    assert_eq!(statuses().await, [200, 401]);
    std::fs::write(&keys, key_set(&[&two])).unwrap();
    edge.await_stderr(&format!("file replaced: {} (1 keys)", keys.display()));
    // What was remembered of the first is forgotten with its key.
    assert_eq!(statuses().await, [401, 200]);
    std::fs::write(&keys, "{}").unwrap();
    edge.await_stderr("file not replaced, the old one stays: ");
    assert_eq!(statuses().await, [401, 200]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_of_keys_nobody_comes_in() {
    let origin = Origin::ok().await;
    let signer = Signer::new("one", "ES256");
    let dead = ports::free::<1>()[0];
    let edge = start(&format!("http://127.0.0.1:{dead}/keys"), &origin);
    let token = signer.sign("ES256", &claims());
    let refused: Response = Client::ask(edge.addr(), ask("/", &token, "")).await;
    assert_eq!(refused.status, 503);
    assert_eq!(origin.requests(), 0);
}
