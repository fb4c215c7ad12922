//! How go-ftw escapes the fields of a form that a test writes plainly.

/// The body as it is sent: escaped field by field, unless it looks escaped.
pub fn escaped(body: &[u8]) -> Vec<u8> {
    if unescaped(body).as_deref() != Some(body) {
        return body.to_vec();
    }
    let fields: Vec<Vec<u8>> = fields(body).map(escaped_field).collect();
    fields.join(&b'&')
}

/// The fields between `&`; a `&` at the end begins no field.
fn fields(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    let body = body.strip_suffix(b"&").unwrap_or(body);
    body.split(|byte| *byte == b'&')
}

fn escaped_field(field: &[u8]) -> Vec<u8> {
    match field.iter().position(|byte| *byte == b'=') {
        None => escape(field),
        Some(at) => {
            let (name, rest) = field.split_at(at);
            [escape(name), b"=".to_vec(), escape(rest.get(1..).unwrap_or_default())].concat()
        }
    }
}

fn escape(bytes: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::new();
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(*byte);
            }
            b' ' => escaped.push(b'+'),
            _ => escaped.extend(format!("%{byte:02X}").bytes()),
        }
    }
    escaped
}

/// None where a `%` is followed by something else than two digits.
fn unescaped(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        rest = after;
        match first {
            b'+' => plain.push(b' '),
            b'%' => {
                let digits = std::str::from_utf8(after.get(..2)?).ok()?;
                if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                    return None;
                }
                plain.push(u8::from_str_radix(digits, 16).ok()?);
                rest = after.get(2..)?;
            }
            _ => plain.push(*first),
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    #[track_caller]
    fn check(body: &str, expected: &str) {
        assert_eq!(String::from_utf8(super::escaped(body.as_bytes())).unwrap(), expected);
    }

    #[test]
    fn escapes_what_is_written_plainly() {
        check("a=b c&d=/é=", "a=b+c&d=%2F%C3%A9%3D");
        check("<x>", "%3Cx%3E");
        check("a=1&", "a=1");
        check("a=1&&b", "a=1&&b");
    }

    #[test]
    fn leaves_what_looks_escaped() {
        check("a=b+c d", "a=b+c d");
        check("a=%20 ", "a=%20 ");
        check("a=100% ", "a=100% ");
    }
}
