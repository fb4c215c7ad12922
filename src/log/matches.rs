//! Rules that matched, and what they matched, as the security log shows them.
//!
//! A value is shown if it cannot be a secret: none of cookies, of credentials, of
//! parameters named like a password, and of what may hold one of those no more
//! than what stands before it.

use std::borrow::Cow;

use super::json;
use super::secrets;
use super::text::{CUT, decimal};

const MASK: &[u8] = b"***";

/// A rule that matched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Matched {
    pub id: u32,
    pub message: Vec<u8>,
    /// Whether the message is the same whatever matched.
    pub is_message_fixed: bool,
    pub severity: Option<&'static str>,
    /// What it added to the score.
    pub score: i64,
    pub values: Vec<Excerpt>,
}

/// A part of a value that a rule matched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Excerpt {
    /// As rules write it: `ARGS:q`.
    pub name: Vec<u8>,
    /// After the transformations of the rule; whole characters, if it is text.
    pub value: Vec<u8>,
    /// A rule says that nobody is to see it.
    pub is_masked: bool,
    /// Whether more of the value stood before and after this.
    pub is_cut: [bool; 2],
}

/// Appends the field `waf_matches`; nothing where there are none.
pub(super) fn write(line: &mut Vec<u8>, matches: &[Matched], own: &[String]) {
    for (index, matched) in matches.iter().enumerate() {
        match index {
            0 => line.extend_from_slice(b",\"waf_matches\":["),
            _ => line.push(b','),
        }
        line.extend_from_slice(b"{\"id\":");
        decimal(line, matched.id.into());
        matched.write(line, own);
        line.push(b'}');
    }
    if !matches.is_empty() {
        line.push(b']');
    }
}

impl Matched {
    fn write(&self, line: &mut Vec<u8>, own: &[String]) {
        let values: Vec<_> = self.values.iter().map(|value| (value, value.shown(own))).collect();
        let is_whole = values.iter().all(|(value, shown)| **shown == *value.value);
        if !self.message.is_empty() && (self.is_message_fixed || is_whole) {
            json::masked(line, "msg", Some(self.message.as_slice()), own);
        }
        json::text(line, "severity", self.severity);
        if self.score != 0 {
            json::name(line, "score");
            line.extend_from_slice(self.score.to_string().as_bytes());
        }
        json::name(line, "values");
        line.push(b'[');
        for (index, (value, shown)) in values.iter().enumerate() {
            if index > 0 {
                line.push(b',');
            }
            value.write(line, shown, own);
        }
        line.push(b']');
    }
}

impl Excerpt {
    fn write(&self, line: &mut Vec<u8>, shown: &[u8], own: &[String]) {
        line.extend_from_slice(b"{\"name\":");
        json::quoted(line, &without_json_secrets(&self.name, own));
        json::name(line, "value");
        let [before, after] = self.is_cut.map(|is_cut| if is_cut { CUT } else { &[] });
        json::quoted(line, &[before, shown, after].concat());
        if str::from_utf8(shown).is_err() {
            // What reads back as `\xHH` may be a byte, or those four letters.
            json::name(line, "hex");
            let hex: String = shown.iter().map(|byte| format!("{byte:02x}")).collect();
            json::quoted(line, hex.as_bytes());
        }
        line.push(b'}');
    }

    /// The value without what may be a secret; `own` are names of the operator's secrets.
    fn shown(&self, own: &[String]) -> Cow<'_, [u8]> {
        let colon = memchr::memchr(b':', &self.name).unwrap_or(self.name.len());
        let (variable, key) = self.name.split_at(colon);
        let key = key.strip_prefix(b":").unwrap_or_default();
        let is_hidden = self.is_masked
            || match variable {
                // Which cookies are sessions, nobody can tell.
                b"REQUEST_COOKIES" | b"XML" | b"RESPONSE_BODY" => true,
                // What rules copied may be of anything; a number tells nothing.
                b"TX" => !self.value.iter().all(u8::is_ascii_digit),
                _ if variable.ends_with(b"HEADERS") => is_cookie(key) || secrets::in_name(key, own),
                _ if variable.ends_with(b"NAMES") => false,
                _ => secrets::in_name(key, own),
            };
        match variable {
            _ if is_hidden => Cow::Borrowed(MASK),
            b"ARGS" | b"ARGS_GET" | b"ARGS_POST" | b"REQUEST_HEADERS" | b"RESPONSE_HEADERS"
            | b"FILES" | b"REQUEST_FILENAME" | b"REQUEST_BASENAME" => {
                let mut shown = Vec::with_capacity(self.value.len());
                let open = without_json_secrets(&self.value, own);
                secrets::mask(&open, own, |piece| shown.extend_from_slice(piece));
                Cow::Owned(shown)
            }
            _ if variable.ends_with(b"NAMES") => without_json_secrets(&self.value, own),
            // It may begin in the middle of a secret.
            _ if self.is_cut[0] => Cow::Borrowed(MASK),
            _ => match secrets::find(&self.value, own) {
                Some(end) => {
                    let shown = self.value.get(..end).unwrap_or_default();
                    Cow::Owned([shown, MASK].concat())
                }
                None => Cow::Borrowed(&self.value),
            },
        }
    }
}

/// A text up to the first secret of a JSON document in it: some send one as a field
/// of a form, or as a form, whose first name it is then.
fn without_json_secrets<'t>(text: &'t [u8], own: &[String]) -> Cow<'t, [u8]> {
    match secrets::find_in_json(text, own) {
        Some(start) => Cow::Owned([text.get(..start).unwrap_or_default(), MASK].concat()),
        None => Cow::Borrowed(text),
    }
}

fn is_cookie(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"cookie") || name.eq_ignore_ascii_case(b"set-cookie")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn written(matched: &Matched) -> Value {
        let mut line = b"{\"a\":1".to_vec();
        write(&mut line, std::slice::from_ref(matched), &["ticket".to_owned()]);
        line.push(b'}');
        assert!(line.iter().all(|byte| (b' '..=b'~').contains(byte)));
        let mut line: Value = serde_json::from_slice(&line).expect("JSON");
        line["waf_matches"][0].take()
    }

    #[track_caller]
    fn check(name: &str, value: &str, expected: &str) {
        let excerpt = Excerpt {
            name: name.as_bytes().to_vec(),
            value: value.as_bytes().to_vec(),
            ..Excerpt::default()
        };
        let matched = Matched { values: vec![excerpt], ..Matched::default() };
        assert_eq!(written(&matched)["values"][0]["value"], expected, "{name}");
    }

    #[test]
    fn a_rule_is_told_with_what_it_matched() {
        let value = Excerpt {
            name: b"ARGS:q\"".to_vec(),
            value: b"1' or\n1=1".to_vec(),
            is_cut: [false, true],
            ..Excerpt::default()
        };
        let matched = Matched {
            id: 942_100,
            message: b"SQL injection".to_vec(),
            severity: Some("CRITICAL"),
            score: 5,
            values: vec![value],
            ..Matched::default()
        };
        let expected = json!({
            "id": 942_100, "msg": "SQL injection", "severity": "CRITICAL", "score": 5,
            "values": [{ "name": "ARGS:q\"", "value": "1' or\n1=1..." }],
        });
        assert_eq!(written(&matched), expected);
        let none = Matched { id: 1, ..Matched::default() };
        assert_eq!(written(&none), json!({ "id": 1, "values": [] }));
    }

    #[test]
    fn nothing_is_written_where_nothing_matched() {
        let mut line = Vec::new();
        write(&mut line, &[], &[]);
        assert!(line.is_empty());
    }

    #[test]
    fn bytes_that_are_no_text_are_told_without_loss() {
        for (value, shown, hex) in [
            (&b"a\xff\\xff"[..], "a\\xff\\xff", json!("61ff5c786666")),
            (b"a\\xff", "a\\xff", Value::Null),
            ("é\0".as_bytes(), "é\0", Value::Null),
        ] {
            let excerpt =
                Excerpt { name: b"ARGS:q".to_vec(), value: value.to_vec(), ..Excerpt::default() };
            let matched = Matched { values: vec![excerpt], ..Matched::default() };
            let found = &written(&matched)["values"][0];
            assert_eq!((&found["value"], &found["hex"]), (&json!(shown), &hex));
        }
    }

    #[test]
    fn secrets_are_masked_by_their_names() {
        check("ARGS:q", "select x", "select x");
        for name in ["password", "user[Password]", "json.user.token", "ticket", "newPassword"] {
            check(&format!("ARGS:{name}"), "x", "***");
            check(&format!("ARGS_POST:{name}"), "x", "***");
        }
        for name in ["card_number", "cvv", "json.card.cvc", "payment[iban]", "ssn", "newCardNumber"]
        {
            check(&format!("ARGS:{name}"), "4111111111111111", "***");
        }
        check("ARGS:caliban", "of the Tempest", "of the Tempest");
        check("ARGS_NAMES:password", "password", "password");
        for name in ["Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key", "X-CSRF-Token"]
        {
            check(&format!("REQUEST_HEADERS:{name}"), "x", "***");
        }
        check("REQUEST_HEADERS:Referer", "https://a/?code=1&x=2", "https://a/?code=***&x=2");
        check("REQUEST_HEADERS:User-Agent", "sqlmap", "sqlmap");
        check("RESPONSE_HEADERS:Set-Cookie", "x", "***");
        check("REQUEST_COOKIES:theme", "x", "***");
        check("REQUEST_COOKIES_NAMES:sid", "sid", "sid");
        check("ARGS:url", "https://a/?token=1&x=2", "https://a/?token=***&x=2");
    }

    #[test]
    fn secrets_in_json_are_masked_wherever_it_stands() {
        let json = r#"{"a":1,"userPassword" : "x","b":2}"#;
        check("ARGS:data", json, r#"{"a":1,"userPassword" :***"#);
        check("ARGS_NAMES:x", json, r#"{"a":1,"userPassword" :***"#);
        check("ARGS:data", r#"{\"token\":1}"#, r#"{\"token\":***"#);
        check("ARGS:json.query", r#"login(password: "x")"#, "login(password:***");
        check("ARGS:q", r#"{"ticket":1}"#, r#"{"ticket":***"#);
        for harmless in ["the password: none", "a:b", r#"{"a":"b"}"#, "code: 5"] {
            check("ARGS:q", harmless, harmless);
        }
        let name = br#"ARGS:{"password":"x"#.to_vec();
        let value = Excerpt { name, value: b"y".to_vec(), ..Excerpt::default() };
        let matched = Matched { values: vec![value], ..Matched::default() };
        let expected = json!({ "name": "ARGS:{\"password\":***", "value": "***" });
        assert_eq!(written(&matched)["values"][0], expected);
    }

    #[test]
    fn what_holds_a_whole_request_is_shown_up_to_its_first_secret() {
        check("QUERY_STRING", "q=a&b=c", "q=a&b=c");
        check("QUERY_STRING", "q=a&token=c%26d&e=f", "q=a&token***");
        check("QUERY_STRING", "q=a&user%5Bcode%5D=c&e=f", "q=a&user%5Bcode%5D=***");
        check("ARGS:url", "https://a/?login[code]=1&x=2", "https://a/?login[code]=***&x=2");
        check("REQUEST_BODY", "{\"a\":1,\"code\": \"x\"}", "{\"a\":1,\"code\":***");
        check("REQUEST_BODY", "a=1&cvv=123&b=2", "a=1&cvv=***");
        check("REQUEST_BODY", "{\"a\":1,\"userPassword\": \"x\"}", "{\"a\":1,\"userPassw***");
        check("REQUEST_URI", "/a;jsessionid=1?b", "/a;jsessionid=***");
        check("XML:/*", "anything", "***");
        check("TX:1", "anything", "***");
        check("TX:blocking_inbound_anomaly_score", "15", "15");
    }

    #[test]
    fn what_may_begin_within_a_secret_is_not_shown() {
        for (name, expected) in [("QUERY_STRING", "...***"), ("ARGS:q", "...x")] {
            let excerpt = Excerpt {
                name: name.into(),
                value: b"x".to_vec(),
                is_cut: [true, false],
                ..Excerpt::default()
            };
            let matched = Matched { values: vec![excerpt], ..Matched::default() };
            assert_eq!(written(&matched)["values"][0]["value"], expected);
        }
    }

    #[test]
    fn a_message_that_may_repeat_a_secret_is_left_out() {
        for (is_message_fixed, name, expected) in [
            (true, "ARGS:password", json!("x is bad")),
            (false, "ARGS:password", Value::Null),
            (false, "ARGS:q", json!("x is bad")),
        ] {
            let value = Excerpt { name: name.into(), value: b"x".to_vec(), ..Excerpt::default() };
            let message = b"x is bad".to_vec();
            let matched =
                Matched { message, is_message_fixed, values: vec![value], ..Matched::default() };
            assert_eq!(written(&matched)["msg"], expected, "{name}");
        }
    }
}
