//! The server behind: like albedo, which the tests are written for, it answers 200 and nothing,
//! or what a POST to /reflect asks it to.

use serde_json::Value;

use crate::exchange::{Exchange, Response, from_base64};

pub fn respond(request: &Exchange) -> Response {
    let path = request.target.split(|byte| *byte == b'?').next().unwrap_or_default();
    let is_reflected = path == b"/reflect" || path.starts_with(b"/reflect/");
    if request.method != b"POST" || !is_reflected {
        return Response { status: 200, ..Response::default() };
    }
    match serde_json::from_slice(&request.body) {
        Ok(wanted) => reflect(&wanted),
        Err(_) => Response { status: 400, ..Response::default() },
    }
}

fn reflect(wanted: &Value) -> Response {
    let status = wanted["status"].as_u64().unwrap_or(200);
    let mut headers: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for (name, value) in wanted["headers"].as_object().into_iter().flatten() {
        headers.push((name.clone().into_bytes(), value.as_str().unwrap().as_bytes().to_vec()));
    }
    let body = match (wanted["body"].as_str(), wanted["encodedBody"].as_str()) {
        (Some(plain), _) if !plain.is_empty() => plain.as_bytes().to_vec(),
        (_, Some(encoded)) => from_base64(encoded),
        _ => Vec::new(),
    };
    // What Go finds such bodies to be.
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"content-type")) {
        headers.push((b"Content-Type".to_vec(), b"text/plain; charset=utf-8".to_vec()));
    }
    Response { status: u16::try_from(status).unwrap(), headers, body }
}
