//! A request as far as a line of the security or the access log tells it.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use serde_json::Value as Json;

/// A request put together from a line.
#[derive(Debug)]
pub(super) struct Rebuilt {
    pub(super) request: Vec<u8>,
    /// The rules that the line says matched, and the names of what they matched.
    pub(super) rules: Vec<Logged>,
    pub(super) client: Option<String>,
    /// Why it was refused, if not by rules that score.
    pub(super) refusal: Option<String>,
}

/// A rule that matched, by a line of a log.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Logged {
    pub(super) id: u32,
    pub(super) names: Vec<String>,
}

/// Whether a text is a line of a log, and no request.
pub(super) fn is_log_line(text: &[u8]) -> bool {
    text.trim_ascii_start().starts_with(b"{")
}

/// Puts the request of a line together: its target, the fields that the line has,
/// and as a form those values that rules matched and the query does not have.
pub(super) fn rebuild(text: &[u8]) -> Result<Rebuilt> {
    let first = text.trim_ascii().split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line: Json = serde_json::from_slice(first).context("is no line of a log")?;
    let word = |key: &str| line[key].as_str().unwrap_or_default();
    let (method, path) = (word("method"), word("path"));
    if method.is_empty() || path.is_empty() {
        anyhow::bail!("is no line of a log: `method` and `path` are not there");
    }
    let query = line["query"].as_str();
    let target = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    let start = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", word("host"));
    let mut head = start.into_bytes();
    if let Some(agent) = line["user_agent"].as_str() {
        head.extend(field("User-Agent", agent.as_bytes()));
    }
    head.extend(field("Accept", b"*/*"));
    let mut form = String::new();
    for value in line["waf_matches"].as_array().into_iter().flatten().flat_map(values) {
        let Some((name, value)) = value else { continue };
        match name.split_once(':') {
            Some(("ARGS" | "ARGS_POST", key)) if !has_parameter(query, key) => {
                let pair = format!("{}={}", encoded(key.as_bytes()), encoded(&value));
                // Several rules have matched the same.
                if !form.split('&').any(|there| there == pair) {
                    let between = if form.is_empty() { "" } else { "&" };
                    write!(form, "{between}{pair}").context("a form")?;
                }
            }
            // Of a decoded value nobody can tell how it was written.
            Some(("REQUEST_HEADERS", key)) if !is_there(key) && !value.contains(&b'\n') => {
                let field = field(key, &value);
                if memchr::memmem::find(&head, &field).is_none() {
                    head.extend(field);
                }
            }
            _ => {}
        }
    }
    if !form.is_empty() {
        head.extend(field("Content-Type", b"application/x-www-form-urlencoded"));
        head.extend(field("Content-Length", form.len().to_string().as_bytes()));
    }
    let client = line["client_ip"].as_str().map(str::to_owned);
    let refusal = line["refusal"].as_str().filter(|word| *word != "blocked").map(str::to_owned);
    let request = [&head, &b"\r\n"[..], form.as_bytes()].concat();
    Ok(Rebuilt { request, rules: logged(&line), client, refusal })
}

fn field(name: &str, value: &[u8]) -> Vec<u8> {
    [name.as_bytes(), b": ", value, b"\r\n"].concat()
}

fn logged(line: &Json) -> Vec<Logged> {
    let matches = || line["waf_matches"].as_array().into_iter().flatten();
    let rules = line["waf_rules"].as_array().into_iter().flatten();
    let logged = rules.filter_map(|rule| {
        let of_it = matches().filter(|matched| matched["id"] == *rule);
        let values = of_it.filter_map(|matched| matched["values"].as_array()).flatten();
        let names = values.filter_map(|value| value["name"].as_str().map(str::to_owned));
        Some(Logged { id: u32::try_from(rule.as_u64()?).ok()?, names: names.collect() })
    });
    logged.collect()
}

/// The values that a rule matched, without what says that they were cut; none in
/// place of those that are masked.
fn values(matched: &Json) -> impl Iterator<Item = Option<(&str, Vec<u8>)>> {
    matched["values"].as_array().into_iter().flatten().map(|value| {
        let (name, shown) = (value["name"].as_str()?, value["value"].as_str()?);
        if shown.contains("***") {
            return None;
        }
        let bytes = value["hex"].as_str().and_then(unhex);
        let shown = shown.strip_prefix("...").unwrap_or(shown);
        let shown = shown.strip_suffix("...").unwrap_or(shown);
        Some((name, bytes.unwrap_or_else(|| shown.as_bytes().to_vec())))
    })
}

fn unhex(hex: &str) -> Option<Vec<u8>> {
    let pairs = hex.as_bytes().chunks_exact(2);
    pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()).collect()
}

fn has_parameter(query: Option<&str>, name: &str) -> bool {
    query.unwrap_or_default().split('&').any(|pair| {
        let written = pair.split('=').next().unwrap_or(pair).replace('+', " ");
        percent_decode_str(&written).eq(name.bytes())
    })
}

/// Fields that the line has by themselves, or that say how a body is framed.
fn is_there(name: &str) -> bool {
    ["host", "user-agent", "accept", "content-length", "transfer-encoding", "content-type"]
        .iter()
        .any(|there| name.eq_ignore_ascii_case(there))
}

fn encoded(bytes: &[u8]) -> String {
    percent_encode(bytes, NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: &str) {
        let rebuilt = rebuild(line.as_bytes()).expect("a line");
        assert_eq!(String::from_utf8_lossy(&rebuilt.request), expected);
    }

    #[test]
    fn a_request_is_put_together_from_what_a_line_has() {
        check(
            "{\"method\":\"GET\",\"host\":\"a\",\"path\":\"/x\",\"query\":\"q=1\"}\n{}",
            "GET /x?q=1 HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n",
        );
        let values = r#"[{"name":"ARGS:q","value":"1"},{"name":"ARGS:b c","value":"d'..."},
            {"name":"ARGS:h","value":"x","hex":"ff41"},{"name":"ARGS:p","value":"***"},
            {"name":"REQUEST_HEADERS:X-A","value":"y"},
            {"name":"REQUEST_HEADERS:X-B","value":"a\r\n\r\nGET /"},
            {"name":"REQUEST_HEADERS:Host","value":"z"}]"#;
        let line = format!(
            r#"{{"method":"POST","host":"a","path":"/x","query":"%71=1","user_agent":"me",
            "client_ip":"192.0.2.1","waf_rules":[5,7],"waf_matches":[{{"id":5,"values":{values}}},
            {{"id":7,"values":{values}}}]}}"#
        );
        let line = line.replace('\n', "");
        check(
            &line,
            "POST /x?%71=1 HTTP/1.1\r\nHost: a\r\nUser-Agent: me\r\nAccept: */*\r\nX-A: y\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 17\r\n\r\n\
             b%20c=d%27&h=%FFA",
        );
        let rebuilt = rebuild(line.as_bytes()).expect("a line");
        let names: Vec<&str> = rebuilt.rules[1].names.iter().map(String::as_str).collect();
        assert_eq!(rebuilt.rules.iter().map(|rule| rule.id).collect::<Vec<_>>(), [5, 7]);
        assert_eq!(names[..2], ["ARGS:q", "ARGS:b c"]);
        assert_eq!(rebuilt.client.as_deref(), Some("192.0.2.1"));
    }

    #[test]
    fn what_is_no_line_is_said() {
        assert!(is_log_line(b" {}") && !is_log_line(b"GET / HTTP/1.1"));
        for (text, expected) in [("{", "is no line of a log"), ("{}", "is no line of a log: `")] {
            let error = rebuild(text.as_bytes()).expect_err("no line").to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
