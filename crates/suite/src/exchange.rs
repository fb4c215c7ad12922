//! What passes between a client and a server in one stage, as bytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

pub type Headers = Vec<(Vec<u8>, Vec<u8>)>;

#[derive(Clone, Debug, Default)]
pub struct Exchange {
    pub method: Vec<u8>,
    pub target: Vec<u8>,
    pub protocol: Vec<u8>,
    pub headers: Headers,
    pub body: Vec<u8>,
    pub response: Response,
}

#[derive(Clone, Debug, Default)]
pub struct Response {
    pub status: u16,
    pub headers: Headers,
    pub body: Vec<u8>,
}

impl Exchange {
    /// The first value of a field of the request.
    pub fn field(&self, name: &[u8]) -> Option<&[u8]> {
        field(&self.headers, name)
    }

    /// The line of JSON that the oracle reads.
    pub fn to_json(&self) -> Value {
        json!({
            "method": text(&self.method),
            "target": text(&self.target),
            "protocol": text(&self.protocol),
            "headers": pairs(&self.headers),
            "body": text(&self.body),
            "response": {
                "status": self.response.status,
                "headers": pairs(&self.response.headers),
                "body": text(&self.response.body),
            },
        })
    }
}

/// The first value of a field.
pub fn field<'a>(headers: &'a Headers, wanted: &[u8]) -> Option<&'a [u8]> {
    let mut found = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
    found.next().map(|(_, value)| &value[..])
}

fn pairs(headers: &Headers) -> Value {
    headers.iter().map(|(name, value)| json!([text(name), text(value)])).collect()
}

fn text(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => json!({ "base64": STANDARD.encode(bytes) }),
    }
}

/// The bytes of a text as the oracle writes it.
pub fn bytes(value: &Value) -> Vec<u8> {
    match value.as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => STANDARD.decode(value["base64"].as_str().unwrap()).unwrap(),
    }
}

pub fn from_base64(text: &str) -> Vec<u8> {
    let letters: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    STANDARD.decode(letters).unwrap()
}
