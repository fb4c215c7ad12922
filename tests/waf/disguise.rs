//! Bodies that are not what they say, or that servers read in their own way, before our own rules.

use super::*;

const OWN: &str = "
listeners: [{ address: '127.0.0.1:{port}' }]
upstreams: { app: {app} }
waf: { standard: { body: {body} } }
defaults: { waf: standard }
routes: [{ upstream: app }]
";
const FORM: &str = "application/x-www-form-urlencoded";
const SQL: &str = "1 union select password from users";

fn behind(origin: &Origin, body: &str) -> Edge {
    let app = format!("{{ servers: ['{}'] }}", origin.addr);
    Edge::start_with(OWN, &[("app", &app), ("body", &body)])
}

/// The status that a body of this type gets, with more fields.
async fn post(edge: &Edge, fields: &str, body: &[u8]) -> u16 {
    let length = body.len();
    let head = format!(
        "POST / HTTP/1.1\r\nhost: a.example\r\n{BROWSER}content-length: {length}\r\n{fields}\r\n"
    );
    Client::ask(edge.addr(), [head.as_bytes(), body].concat()).await.status
}

async fn check(cases: &[(&str, &str, u16)]) {
    let origin = Origin::ok().await;
    let edge = behind(&origin, "{}");
    for (fields, body, expected) in cases {
        assert_eq!(post(&edge, fields, body.as_bytes()).await, *expected, "{fields:?} {body}");
    }
}

fn typed(media_type: &str) -> String {
    format!("content-type: {media_type}\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn json_and_xml_are_judged_whatever_their_type() {
    let json = format!("{{\"id\":\"{SQL}\"}}");
    let hidden = json.replace("union", "\\u0075nion").replace("select", "\\u0073elect");
    let xml = format!("<?xml version=\"1.0\"?><a>{SQL}</a>");
    let good = "{\"id\":\"the union of 1 and 2\"}";
    let types = ["text/plain", "application/octet-stream", "application/csp-report", FORM];
    for fields in types.map(typed).iter().map(String::as_str).chain([""]) {
        check(&[
            (fields, &json, 403),
            (fields, &hidden, 403),
            (fields, &format!("{{\"a\":1}}\n{hidden}"), 403),
            (fields, &xml, 403),
            (fields, good, 200),
            (fields, "{ not: json }", 200),
            (fields, "<p>a paragraph", 200),
        ])
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_a_name_is_judged_as_a_field() {
    let form = |name: &str, value: &str| {
        let part = format!("form-data; name=\"q\"; filename=\"{name}\"");
        format!("--b\r\nContent-Disposition: {part}\r\n\r\n{value}\r\n--b--\r\n")
    };
    let fields = typed("multipart/form-data; boundary=b");
    check(&[
        (&fields, &form("", SQL), 403),
        (&fields, &form("", ""), 200),
        (&fields, &form("notes.txt", SQL), 200),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_is_not_hidden_by_the_type_of_other_parts() {
    let parts = |head: &str| format!("--b\r\n{head}\r\n\r\nvalue\r\n--b--\r\n");
    let of_form = parts("Content-Disposition: form-data; name=\"q\"");
    for kind in ["mixed", "related", "x"] {
        let fields = typed(&format!("multipart/{kind}; boundary=b"));
        check(&[
            (&fields, &of_form, 403),
            (&fields, &of_form.replace(": form", ":\r\n form"), 403),
            (&fields, &parts("Content-Type: application/json"), 200),
        ])
        .await;
    }
    check(&[(&typed("multipart/form-data; boundary=b"), &of_form, 200)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charset_that_hides_a_form_is_refused() {
    // The same in EBCDIC, as code page 37 has it.
    let hidden = "q=%F1%40%A4%95%89%96%95";
    let of_form = |charset: &str| typed(&format!("{FORM}; charset={charset}"));
    check(&[
        (&of_form("ibm037"), hidden, 403),
        (&of_form("\"IBM500\""), hidden, 403),
        (&of_form("utf-7"), "q=x", 403),
        (&of_form("utf-16le"), "q=x", 403),
        (&of_form("utf-8"), "q=x", 200),
        (&of_form("windows-1252"), "q=x", 200),
        (&of_form("cp1252"), "q=x", 200),
        (&of_form("Shift_JIS"), "q=x", 200),
        (&typed("text/csv; charset=utf-16le"), "q,x", 200),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn codings_that_nobody_knows_pass_where_no_rule_reads_the_body() {
    let coded = |media_type: &str, coding: &str| {
        format!("{}content-encoding: {coding}\r\n", typed(media_type))
    };
    check(&[
        (&coded("application/x-protobuf", "snappy"), "x", 200),
        (&coded("application/octet-stream", "aws-chunked"), "x", 200),
        (&coded(FORM, "snappy"), "q=x", 403),
        (&coded("text/plain", "snappy"), &format!("{{\"a\":\"{SQL}\"}}"), 403),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_scanners_files_and_loaders_are_told_from_those_that_hold_them() {
    let origin = Origin::ok().await;
    let edge = behind(&origin, "{}");
    for (target, agent, expected) in [
        ("/", "Hydration/1.0 (fitness)", 200),
        ("/", "OpenMapTiles/3.1", 200),
        ("/", "Mozilla/5.0 (Hydra)", 403),
        ("/", "Mozilla/5.0 (compatible; Nmap Scripting Engine)", 403),
        ("/", "Nuclei - Open-source project", 403),
        ("/", "sqlmap/1.8#stable", 403),
        ("/", "paros/3.2", 403),
        ("/wiki/etc/hosts-file", "x", 200),
        ("/wiki/etc/groups", "x", 200),
        ("/x/etc/hosts", "x", 403),
        ("/x/etc/passwd-", "x", 403),
        ("/?class.module.classLoader.resources.context.parent=x", "x", 403),
        ("/?json.class.name=x&class=module", "x", 200),
        ("/?u=http://[::ffff:a9fe:a9fe]/latest/meta-data/", "x", 403),
        ("/?u=http://2852039166/latest/meta-data/", "x", 403),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nhost: a\r\nuser-agent: {agent}\r\n\r\n");
        assert_eq!(Client::ask(edge.addr(), request).await.status, expected, "{target} {agent}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_json_body_may_have_a_mark_and_thousands_of_numbers() {
    let fields = typed("application/json");
    let numbers = vec!["0.125"; 20_000].join(",");
    let events = vec!["{\"event\":\"x\"}"; 8_000].join(",");
    check(&[
        (&fields, "\u{feff}{\"a\":1}", 200),
        (&fields, &format!("\u{feff}{{\"a\":\"{SQL}\"}}"), 403),
        (&fields, &format!("{{\"vector\":[{numbers}],\"model\":\"m\"}}"), 200),
        (&fields, &format!("{{\"vector\":[{numbers}],\"model\":\"{SQL}\"}}"), 403),
        (&fields, &format!("[{events}]"), 200),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_prefix_of_json_and_xml_is_judged_though_it_has_no_end() {
    let origin = Origin::ok().await;
    let edge = behind(&origin, "{ inspect: 1KiB }");
    let json = |id: &str, more: usize| {
        let body = format!("{{\"id\":\"{id}\",\"text\":\"\"}}");
        body.replace("\"\"", &format!("\"{}\"", "x".repeat(1024 + more - body.len())))
    };
    let xml = |text: &str| format!("<a><b>{text}</b>{}</a>", "<c>x</c>".repeat(200));
    for (media_type, body, expected) in [
        ("application/json", json("7", 0), 200),
        ("application/json", json("7", 1), 200),
        ("application/json", json("7", 2), 200),
        ("application/json", json("7", 70_000), 200),
        ("application/json", json(SQL, 70_000), 403),
        ("text/plain", json("7", 70_000), 200),
        ("text/plain", json(SQL, 70_000), 403),
        ("text/xml", xml("7"), 200),
        ("text/xml", xml(SQL), 403),
    ] {
        let found = post(&edge, &typed(media_type), body.as_bytes()).await;
        assert_eq!(found, expected, "{media_type} of {}", body.len());
        let chunked = format!(
            "POST / HTTP/1.1\r\nhost: a.example\r\n{BROWSER}{}transfer-encoding: chunked\r\n\r\n",
            typed(media_type)
        );
        let chunks = format!("{chunked}{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
        assert_eq!(Client::ask(edge.addr(), chunks).await.status, expected, "{media_type} chunked");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_without_its_coding_is_refused_as_any_other() {
    use std::io::Write;
    let gzip = |plain: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(plain.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let origin = Origin::ok().await;
    let fields = format!("{}content-encoding: gzip\r\n", typed("application/json"));
    let long = gzip(&format!("{{\"a\":\"{}\",\"id\":\"{SQL}\"}}", "x".repeat(5_000)));
    for (over, expected) in [("inspect_prefix", 200), ("block", 413)] {
        let edge = behind(&origin, &format!("{{ inspect: 4KiB, over: {over} }}"));
        assert_eq!(post(&edge, &fields, &gzip("{\"a\":1}")).await, 200, "{over}");
        assert_eq!(post(&edge, &fields, &long).await, expected, "{over}");
    }
}
