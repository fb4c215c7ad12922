//! Requests made so that rules and a server would read different things.

use crate::exchange::{Request, check_request};

const FORM: &str = "application/x-www-form-urlencoded";

/// Logs 1 if an argument of the body is the attack, 2 if the body cannot be trusted.
const RULES: &str = r#"
    SecRule ARGS_POST "@streq attack" "id:1,phase:2,pass"
    SecRule REQBODY_ERROR|MULTIPART_STRICT_ERROR "@eq 1" "id:2,phase:2,pass"
"#;

#[test]
fn a_media_type_ends_where_servers_end_it() {
    for (media_type, expected) in [
        (FORM, &[1][..]),
        ("Application/X-WWW-Form-URLEncoded", &[1]),
        ("application/x-www-form-urlencoded ; charset=utf-8", &[1]),
        ("application/x-www-form-urlencoded;", &[1]),
        (" application/x-www-form-urlencoded", &[1]),
        ("application/x-www-form-urlencoded charset=utf-8", &[1]),
        ("application/x-www-form-urlencoded, text/plain", &[1]),
        ("application/x-www-form-urlencoded\tx", &[1]),
        ("application/x-www-form-urlencodedx", &[]),
    ] {
        check_request(RULES, &Request::post(media_type, b"a=attack"), expected);
    }
}

#[test]
fn two_media_types_are_a_fault() {
    let request = Request::post("text/plain", b"a=attack");
    check_request(RULES, &request.with("content-type", FORM), &[1, 2]);
    check_request(
        RULES,
        &Request::post(FORM, b"a=attack").with("Content-Type", "text/plain"),
        &[1, 2],
    );
    check_request(RULES, &Request::post(FORM, b"a=attack").with("Content-Type", FORM), &[1]);
}

#[test]
fn content_codings_in_several_fields_are_one_list() {
    // `a=attack`, compressed.
    let gzip = [
        31, 139, 8, 0, 0, 0, 0, 0, 0, 3, 75, 180, 77, 44, 41, 73, 76, 206, 6, 0, 70, 55, 213, 70,
        8, 0, 0, 0,
    ];
    let post = || Request::post(FORM, &gzip);
    check_request(RULES, &post().with("Content-Encoding", "gzip"), &[1]);
    check_request(RULES, &post().with("Content-Encoding", "identity, gzip"), &[1]);
    let two = post().with("Content-Encoding", "identity").with("Content-Encoding", "gzip");
    check_request(RULES, &two, &[1]);
}

#[test]
fn a_coding_that_a_server_may_ignore_hides_nothing() {
    let request = || Request::post(FORM, b"b=1&a=attack");
    check_request(RULES, &request().with("Content-Encoding", "gzip"), &[1, 2]);
    check_request(RULES, &request().with("Content-Encoding", "unheard-of"), &[1, 2]);
    // A good body of gzip whose name of a file is a form too.
    let gzip = [
        31, 139, 8, 8, 0, 0, 0, 0, 0, 3, 38, 97, 61, 97, 116, 116, 97, 99, 107, 38, 0, 75, 180, 53,
        4, 0, 129, 48, 98, 141, 3, 0, 0, 0,
    ];
    check_request(RULES, &Request::post(FORM, &gzip).with("Content-Encoding", "gzip"), &[1]);
    let json = Request::post("application/json", b"{\"a\":\"attack\"}");
    check_request(RULES, &json.with("Content-Encoding", "br"), &[1, 2]);
    let form = b"--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nattack\r\n--b--\r\n";
    let form = Request::post("multipart/form-data; boundary=b", form);
    check_request(RULES, &form.with("Content-Encoding", "deflate"), &[1, 2]);
}

#[test]
fn a_body_of_any_method_is_read() {
    for method in ["GET", "HEAD", "DELETE", "PROPFIND"] {
        let request = Request { method, ..Request::post(FORM, b"a=attack") };
        check_request(RULES, &request, &[1]);
    }
}

#[test]
fn cookies_without_a_name_are_judged() {
    let rules = "SecRule REQUEST_COOKIES \"@contains attack\" \"id:1,phase:1,pass\"";
    for (cookie, expected) in [
        ("a=attack", &[1][..]),
        ("=attack", &[1]),
        ("b=1; =attack", &[1]),
        ("b=1;;", &[]),
        ("b=1, a=attack", &[1]),
    ] {
        check_request(rules, &Request::get("/").with("Cookie", cookie), expected);
    }
    let names = "SecRule REQUEST_COOKIES_NAMES \"@contains attack\" \"id:1,phase:1,pass\"";
    check_request(names, &Request::get("/").with("Cookie", "attack"), &[1]);
    check_request(names, &Request::get("/").with("cookie", "a=1").with("cookie", "attack=1"), &[1]);
}

#[test]
fn arguments_without_names_or_values_are_judged() {
    let rules = "SecRule ARGS|ARGS_NAMES \"@contains attack\" \"id:1,phase:1,pass\"";
    for target in ["/?attack", "/?=attack", "/?a=1&&=attack", "/?a=1?attack", "/?a=b=attack"] {
        check_request(rules, &Request::get(target), &[1]);
    }
    for target in ["/?x=at%00tack", "/?at%74ack", "/?a=1;b=attack", "http://b.example?attack"] {
        let without_nul = rules.replace("\" \"id", "\" \"t:removeNulls,id");
        check_request(&without_nul, &Request::get(target), &[1]);
    }
}

#[test]
fn what_is_beyond_the_most_arguments_is_told() {
    let rules = "SecArgumentsLimit 3\nSecRule ARGS \"@streq attack\" \"id:1,phase:2,pass\"";
    for (request, expected) in [
        (Request::get("/?a=1&b=2&c=3"), "none"),
        (Request::get("/?a=1&b=2&c=3&d=attack"), "more arguments than are inspected"),
        (Request::post(FORM, b"a=1&b=2&c=3&d=attack"), "more arguments than are inspected"),
        (
            Request::post("application/json", b"{\"a\":[\"1x\",\"2x\",\"3x\",\"4x\"]}"),
            "more arguments than are inspected",
        ),
    ] {
        assert_eq!(crate::exchange::tell(rules, &request).refusal(), expected);
    }
}

#[test]
fn what_is_beyond_the_bounds_of_a_body_is_told() {
    let expected = "a body with more, longer or deeper parts than are inspected";
    let refusal = |request: &Request<'_>| crate::exchange::tell("", request).refusal();
    let part = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nc\r\n";
    let form = |parts: usize| [&part.repeat(parts), "--b--\r\n"].concat();
    for (parts, expected) in [(1000, "none"), (1001, expected)] {
        let form = form(parts);
        let request = Request::post("multipart/form-data; boundary=b", form.as_bytes());
        assert_eq!(refusal(&request), expected, "{parts} parts");
    }
    let json = |depth: usize| ["[".repeat(depth), "]".repeat(depth)].concat();
    for (depth, expected) in [(512, "none"), (513, expected)] {
        let json = json(depth);
        assert_eq!(refusal(&Request::post("application/json", json.as_bytes())), expected);
    }
    let xml = |depth: usize| ["<a>".repeat(depth), "</a>".repeat(depth)].concat();
    for (depth, expected) in [(512, "none"), (513, expected)] {
        let xml = xml(depth);
        assert_eq!(refusal(&Request::post("text/xml", xml.as_bytes())), expected);
    }
    let three = Request::post(FORM, b"a=1").with("Content-Encoding", "gzip, gzip, gzip");
    assert_eq!(refusal(&three), expected);
    // A server that does not look at the coding would read it.
    let deep = json(513);
    let uncoded = Request::post("application/json", deep.as_bytes());
    assert_eq!(refusal(&uncoded.with("Content-Encoding", "gzip")), expected);
    // Each name repeats those above it: a small body must not make large ones.
    let named = |key: usize| format!("{{\"{}\":[{}0]}}", "k".repeat(key), "0,".repeat(99));
    for (key, expected) in [(40, "none"), (4000, expected)] {
        let named = named(key);
        assert_eq!(refusal(&Request::post("application/json", named.as_bytes())), expected);
    }
}

#[test]
fn what_takes_too_much_work_is_told() {
    let rule = |id: usize| format!("SecRule ARGS \"@rx a\" \"id:{id},phase:2,pass,nolog\"\n");
    let body = "a=".to_owned() + &"a".repeat(100_000);
    for (rules, expected) in
        [(600, "none"), (800, "more work for rules than one request may cause")]
    {
        let written: String = (1..=rules).map(rule).collect();
        let told = crate::exchange::tell(&written, &Request::post(FORM, body.as_bytes()));
        assert_eq!(told.refusal(), expected, "{rules}");
        let evaluated = told.transaction.evaluated_rules();
        assert!(evaluated == rules || (600..700).contains(&evaluated), "{evaluated} of {rules}");
    }
}

#[test]
fn every_media_type_of_a_tree_is_read_as_one() {
    for (media_type, processor) in [
        ("application/json", "JSON"),
        ("TEXT/JSON; charset=utf-8", "JSON"),
        ("application/vnd.api+json", "JSON"),
        ("application/xml", "XML"),
        ("text/xml", "XML"),
        ("application/soap+xml;action=a", "XML"),
        ("text/plain", ""),
    ] {
        let rule =
            format!("SecRule REQBODY_PROCESSOR \"@streq {processor}\" \"id:1,phase:1,pass\"");
        check_request(&rule, &Request::post(media_type, b""), &[1]);
    }
}

#[test]
fn names_of_files_are_judged_as_every_server_reads_them() {
    let part = "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"good\"; \
                filename*=UTF-8''at%74ack\r\n\r\nx\r\n--b--\r\n";
    let rules = "SecRule FILES \"@contains attack\" \"id:1,phase:2,pass\"
        SecRule FILES \"@streq good\" \"id:2,phase:2,pass\"";
    let request = Request::post("multipart/form-data; boundary=b", part.as_bytes());
    check_request(rules, &request, &[1, 2]);
    let rule = "SecRule REQUEST_BASENAME \"@streq attack\" \"id:1,phase:1,pass\"";
    for target in ["/a/attack", "/a\\attack", "/a%5cattack", "/a/b\\attack?c/d"] {
        check_request(rule, &Request::get(target), &[1]);
    }
}

#[test]
fn what_is_not_escaped_right_in_a_query_or_a_form_is_known() {
    let rule = "SecRule URLENCODED_ERROR \"@eq 1\" \"id:1,phase:2,pass\"";
    for text in ["a=%", "a=%4", "a=%zz&b=1", "%=1"] {
        check_request(rule, &Request::get(&format!("/?{text}")), &[1]);
        check_request(rule, &Request::post(FORM, text.as_bytes()), &[1]);
    }
    check_request(rule, &Request::get("/?a=%41+b"), &[]);
    check_request(rule, &Request::post(FORM, b"a=%41+b"), &[]);
}

#[test]
fn a_path_is_judged_as_servers_read_it() {
    let rules = "SecRule REQUEST_FILENAME \"@contains /etc/passwd\" \"id:1,phase:1,pass\"";
    for target in
        ["/etc/passwd", "/%65tc/passwd", "/etc%2fpasswd", "http://b/etc/passwd", "/a;b/etc/passwd?"]
    {
        check_request(rules, &Request::get(target), &[1]);
    }
}
