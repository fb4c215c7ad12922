//! The most specific match wins: by host, by path, by conditions, by order.

use std::fmt::Write as _;

use super::ask;
use crate::support::{Client, Edge};

/// A site of these routes, each a name and a match; each answers with its name.
fn edge(routes: &[(&str, &str)]) -> Edge {
    let mut yaml = String::from(
        "listeners: [{ address: '127.0.0.1:{port}', protocols: [h1, h2c] }]\nroutes:\n",
    );
    for (name, on) in routes {
        writeln!(yaml, "  - {{ name: {name}, match: {on}, respond: {{ body: {name} }} }}").unwrap();
    }
    Edge::start(&yaml)
}

/// Compares the names of the routes that take requests.
async fn check(edge: &Edge, expected: &[(&str, &str)]) {
    for (request, name) in expected {
        for answer in ask(edge, request).await {
            assert_eq!((answer.status, answer.text().as_str()), (200, *name), "{request}");
        }
    }
}

/// The same for requests that no route takes.
async fn check_none(edge: &Edge, requests: &[&str]) {
    for request in requests {
        for answer in ask(edge, request).await {
            assert_eq!((answer.status, answer.header("allow")), (404, None), "{request}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exact_host_goes_before_the_longest_wildcard_before_any() {
    let edge = edge(&[
        ("any", "{}"),
        ("wild", "{ hosts: ['*.example'] }"),
        ("deep", "{ hosts: ['*.a.example'] }"),
        ("exact", "{ hosts: [a.example, B.a.example, 192.0.2.1, '[2001:db8::1]'] }"),
    ]);
    check(
        &edge,
        &[
            ("GET a.example/", "exact"),
            ("GET A.Example:8080/", "exact"),
            ("GET a.example./", "exact"),
            ("GET b.a.example/", "exact"),
            ("GET 192.0.2.1/", "exact"),
            ("GET [2001:DB8:0::1]:80/", "exact"),
            ("GET c.a.example/", "deep"),
            ("GET d.c.a.example/", "deep"),
            ("GET b.example/", "wild"),
            ("GET aa.example/", "wild"),
            ("GET example/", "any"),
            ("GET a.example.other/", "any"),
            ("GET [2001:db8::2]/", "any"),
        ],
    )
    .await;
    // HTTP/1.0 may name no host.
    assert_eq!(Client::ask(edge.addr(), "GET / HTTP/1.0\r\n\r\n").await.text(), "any");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exact_path_goes_before_the_longest_prefix_before_a_regex() {
    let edge = edge(&[
        ("any", "{}"),
        ("regex", "{ path_regex: '/(a|x|long).*' }"),
        ("later", "{ path_regex: '/x.*' }"),
        ("prefix", "{ path_prefix: /a }"),
        ("below", "{ path_prefix: /a/ }"),
        ("exact", "{ path: /a/b }"),
    ]);
    check(
        &edge,
        &[
            ("GET h/a/b", "exact"),
            ("GET h/a/b?x=/c", "exact"),
            ("GET h/a/b/", "below"),
            ("GET h/a/", "below"),
            ("GET h/a", "prefix"),
            ("GET h/ab", "regex"),
            ("GET h/xy", "regex"),
            ("GET h/y/xy", "any"),
            ("GET h/A/b", "any"),
            // However the path is written, the route is that of its normal form.
            ("GET h/%61/%62", "exact"),
            ("GET h/x/../a/./b", "exact"),
            ("GET h//a//b", "exact"),
            ("GET h/a/c/..", "below"),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_counts_before_path_before_conditions_before_order() {
    let edge = edge(&[
        ("path", "{ path: /a }"),
        ("host", "{ hosts: [a.example], path_prefix: /a }"),
        ("method", "{ path_prefix: /c, methods: [GET] }"),
        ("both", "{ path_prefix: /c, methods: [GET], query: { x: '1' } }"),
        ("query", "{ path_prefix: /c, query: { y: '1' } }"),
        ("bare", "{ path_prefix: /c }"),
        ("elsewhere", "{ hosts: [b.example], path: /only }"),
    ]);
    check(
        &edge,
        &[
            ("GET a.example/a", "host"),
            ("GET b.example/a", "path"),
            ("GET b.example/c?x=1", "both"),
            // As many conditions as the other: the first in the file.
            ("GET b.example/c?y=1", "method"),
            ("POST b.example/c?x=1&y=1", "query"),
            ("POST b.example/c?x=1", "bare"),
            // A better host whose path does not match is no obstacle.
            ("GET b.example/c/d", "method"),
            ("GET b.example/only", "elsewhere"),
        ],
    )
    .await;
    check_none(&edge, &["GET b.example/only/", "GET a.example/only", "GET a.example/"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_choose_and_others_are_told_which_there_are() {
    let edge = edge(&[
        ("read", "{ path: /r, methods: [GET] }"),
        ("write", "{ path: /r, methods: [PUT, DELETE] }"),
        ("form", "{ path: /h, methods: [POST], query: { x: '1' } }"),
    ]);
    check(&edge, &[("GET h/r", "read"), ("PUT h/r", "write"), ("DELETE h/r", "write")]).await;
    for answer in ask(&edge, "HEAD h/r").await {
        assert_eq!((answer.status, answer.header("content-length")), (200, Some("4")));
    }
    for (request, allowed) in
        [("POST h/r", "DELETE, GET, HEAD, PUT"), ("OPTIONS h/r", "DELETE, GET, HEAD, PUT")]
    {
        for answer in ask(&edge, request).await {
            assert_eq!((answer.status, answer.header("allow")), (405, Some(allowed)), "{request}");
        }
    }
    for answer in ask(&edge, "GET h/h?x=1").await {
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
    }
    // Another method would change nothing here.
    check_none(&edge, &["GET h/h", "GET h/x", "POST h/h?x=2"]).await;
    let mut refused = Vec::new();
    for record in edge.stop().into_iter().filter(|record| record["status"] != 200) {
        assert_eq!(record["route"], serde_json::Value::Null, "{record}");
        refused.push(record["refusal"].as_str().unwrap().to_owned());
    }
    refused.sort_unstable();
    assert_eq!(refused, [["method"; 6], ["no_route"; 6]].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_choose_by_value_or_by_being_there() {
    let edge = edge(&[
        ("two", "{ headers: { X-Version: '2' } }"),
        ("some", "{ headers: { x-flag: '*' } }"),
        ("both", "{ headers: { x-version: '2', x-flag: '*' } }"),
        ("bare", "{}"),
    ]);
    for (fields, expected) in [
        ("x-version: 2\r\n", "two"),
        ("X-VERSION:   2  \r\n", "two"),
        ("x-version: 1\r\nx-version: 2\r\n", "two"),
        ("x-version: 2\r\nx-flag:\r\n", "both"),
        ("x-flag: whatever\r\n", "some"),
        ("x-version: 22\r\n", "bare"),
        ("x-version: 1, 2\r\n", "bare"),
        ("x-other: 2\r\n", "bare"),
    ] {
        let request = format!("GET / HTTP/1.1\r\nhost: h\r\n{fields}\r\n");
        assert_eq!(Client::ask(edge.addr(), request).await.text(), expected, "{fields:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_choose_by_what_they_mean() {
    let edge = edge(&[
        ("beta", "{ path: /, query: { beta: '1' } }"),
        ("named", "{ path: /, query: { name: 'a b&c' } }"),
        ("some", "{ path: /, query: { debug: '*' } }"),
    ]);
    check(
        &edge,
        &[
            ("GET h/?beta=1", "beta"),
            ("GET h/?x=2&beta=1&y", "beta"),
            ("GET h/?b%65ta=%31", "beta"),
            ("GET h/?beta=0&beta=1", "beta"),
            ("GET h/?name=a+b%26c", "named"),
            ("GET h/?name=a%20b%26c", "named"),
            ("GET h/?debug", "some"),
            ("GET h/?debug=", "some"),
            ("GET h/?debug=x", "some"),
        ],
    )
    .await;
    check_none(&edge, &["GET h/?beta", "GET h/?beta=11", "GET h/?Beta=1", "GET h/", "GET h/?"])
        .await;
    check_none(&edge, &["GET h/?name=a", "GET h/?xbeta=1", "GET h/?x=beta=1"]).await;
}
