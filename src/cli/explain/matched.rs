//! What a rule found in a request or its answer, for people and for programs.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use crate::waf::{Explained, Judged, Of};

pub(super) fn rule(found: &Explained) -> String {
    let mut text = format!("\n{}", found.id);
    if let Some(severity) = found.severity {
        text.push_str(&format!(" {severity}"));
    }
    if found.score != 0 {
        text.push_str(&format!(" {:+}", found.score));
    }
    let message = shown(&found.message);
    text.push_str(&format!(" {message}\n    {}\n", found.place));
    for value in &found.values {
        let Judged { name, written, is_masked, .. } = value;
        let name = shown(name);
        let line = match (written, is_masked) {
            (_, true) => format!("    {name} is hidden by a rule\n"),
            (Some(written), _) => {
                format!("    {name} = {}\n      judged as {}\n", shown(written), excerpt(value))
            }
            (None, _) => format!("    {name} = {}\n", excerpt(value)),
        };
        text.push_str(&line);
    }
    if !found.data.is_empty() {
        text.push_str(&format!("    data: {}\n", shown(&found.data)));
    }
    text
}

pub(super) fn rule_json(found: &Explained) -> Json {
    let value = |value: &Judged| {
        json!({
            "name": shown(&value.name),
            "written": value.written.as_deref().map(shown),
            "judged": (!value.is_masked).then(|| excerpt(value)),
        })
    };
    json!({
        "id": found.id,
        "of": match found.of {
            Of::Request => "request",
            Of::Answer => "answer",
            Of::Logs => "logs",
        },
        "msg": shown(&found.message),
        "data": shown(&found.data),
        "severity": found.severity,
        "score": found.score,
        "file": found.place,
        "values": found.values.iter().map(value).collect::<Vec<_>>(),
    })
}

fn excerpt(value: &Judged) -> String {
    let [before, after] = value.is_cut.map(|is_cut| if is_cut { "..." } else { "" });
    format!("{before}{}{after}", shown(&value.seen))
}

/// Bytes for a terminal: nothing that steers it, and no byte unseen.
pub(super) fn shown(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' | '\'' => text.push(c),
                c => text.extend(c.escape_debug()),
            }
        }
        for byte in chunk.invalid() {
            // Writing to a text does not fail.
            write!(text, "\\x{byte:02x}").ok();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_neither_steer_a_terminal_nor_vanish() {
        for (bytes, expected) in [
            (&b"a'b\"c"[..], "a'b\"c"),
            (b"\x1b[2J\r\n\0", "\\u{1b}[2J\\r\\n\\0"),
            (b"a\\xff\xff", "a\\\\xff\\xff"),
            ("ä\u{202e}".as_bytes(), "ä\\u{202e}"),
        ] {
            assert_eq!(shown(bytes), expected);
        }
    }
}
