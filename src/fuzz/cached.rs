//! What a server says about keeping its answer, and a client about wanting it.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::cache::exchange;

/// A status, the lines of a request, an empty line, the lines of a response;
/// whether the response is stored.
pub fn cached(bytes: &[u8]) -> bool {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let status = lines.next().unwrap_or_default();
    let Ok(status) = StatusCode::from_bytes(status) else {
        return false;
    };
    let request = fields(lines.by_ref().take_while(|line| !line.is_empty()));
    exchange(status, &request, &fields(lines))
}

/// The fields of lines such as `name: value`; other lines are none.
fn fields<'a>(lines: impl Iterator<Item = &'a [u8]>) -> HeaderMap {
    let field = |line: &'a [u8]| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at(colon);
        let name = HeaderName::from_bytes(name).ok()?;
        Some((name, HeaderValue::from_bytes(value.get(1..)?.trim_ascii()).ok()?))
    };
    lines.filter_map(field).collect()
}
