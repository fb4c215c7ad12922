//! @detectSQLi and @detectXSS: libinjection's judgement.

/// The fingerprint of the SQL in `value`, if it is an injection.
pub(crate) fn sql(value: &[u8]) -> Option<[u8; 8]> {
    let found = libinjectionrs::detect_sqli(value);
    if !found.is_injection() {
        return None;
    }
    let mut bytes = [0; 8];
    let fingerprint = found.fingerprint?;
    for (slot, byte) in bytes.iter_mut().zip(fingerprint.as_bytes()) {
        *slot = *byte;
    }
    Some(bytes)
}

pub(crate) fn is_xss(value: &[u8]) -> bool {
    libinjectionrs::detect_xss(value).is_injection()
}
