//! How browsers, applications and scripts send values: as a query, a form, JSON and so on.

use tidegate_suite::exchange::{Exchange, Response};

use super::chance::Chance;

pub(super) const CARRIERS: [Carrier; 12] = [
    Carrier::Query(Escapes::Percent),
    Carrier::Query(Escapes::Plus),
    Carrier::Form(Escapes::Plus),
    Carrier::Form(Escapes::All),
    Carrier::Json(Unicode::Raw),
    Carrier::Json(Unicode::Escaped),
    Carrier::Multipart,
    Carrier::Upload,
    Carrier::Xml,
    Carrier::Cookie,
    Carrier::Path,
    Carrier::Referer,
];

#[derive(Clone, Copy, Debug)]
pub(super) enum Carrier {
    Query(Escapes),
    Form(Escapes),
    Json(Unicode),
    Multipart,
    /// As the name of a file.
    Upload,
    Xml,
    Cookie,
    Path,
    Referer,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Escapes {
    /// Lower-case digits, %20 for a space.
    Percent,
    Plus,
    /// Every byte.
    All,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Unicode {
    Raw,
    Escaped,
}

const AGENTS: [&str; 8] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
     Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like \
     Gecko) Version/17.4 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (compatible; SearchBot/2.1; +http://www.example.com/bot.html)",
    "curl/8.5.0",
    "python-requests/2.31.0",
    "okhttp/4.12.0",
    "Acme-App/3.2 (Android 14; Pixel 8; de_DE)",
];

const COOKIES: [&str; 5] = [
    "_ga=GA1.1.1730415873.1718000000; _gid=GA1.2.99.1718000001; theme=dark",
    "session=f3a9c1d27b5e4a60; _fbp=fb.1.1718000000000.1098115397; cart=1884-22",
    "_pk_id.1.1fff=9b1b6d2a3c4e5f60.1718000000.; _pk_ses.1.1fff=1; consent=a%3A1%7Cb%3A0",
    "OptanonConsent=isGpcEnabled=0&datestamp=Mon+Jun+10+2024+12%3A00%3A00+GMT%2B0200&groups=C0001\
     %3A1%2CC0002%3A0",
    "mp_ab12_mixpanel=%7B%22distinct_id%22%3A%20%2218f%22%2C%22%24initial_referrer%22%3A%20%22%24\
     direct%22%7D; i18n=de_DE; __Host-next-auth.csrf-token=ab12cd%7Cef34",
];

/// A request with these fields; the first is the one in question.
pub(super) fn carry(carrier: Carrier, fields: &[(&str, String)], chance: &mut Chance) -> Exchange {
    let value = fields[0].1.as_str();
    match carrier {
        Carrier::Query(escapes) => get(&format!("/search?{}", form(fields, escapes)), &[], chance),
        Carrier::Path => get(&format!("/wiki/{}/edit", segment(value)), &[], chance),
        Carrier::Referer => {
            let from = format!("https://www.example.com/?{}", form(fields, Escapes::Percent));
            get("/news", &[("Referer", &from)], chance)
        }
        Carrier::Cookie => {
            let pairs =
                fields.iter().map(|(name, value)| (*name, escaped(value, Escapes::Percent)));
            let pairs: Vec<String> = pairs.map(|(name, value)| format!("{name}={value}")).collect();
            get("/account", &[("Cookie", &pairs.join("; "))], chance)
        }
        Carrier::Form(escapes) => {
            post("application/x-www-form-urlencoded", form(fields, escapes), chance)
        }
        Carrier::Json(unicode) => post("application/json", json(fields, unicode), chance),
        Carrier::Multipart => multipart(fields, None, chance),
        Carrier::Upload => multipart(&fields[1..], Some(value), chance),
        Carrier::Xml => {
            let elements = fields
                .iter()
                .map(|(_, value)| format!("<item note=\"{0}\">{0}</item>", entities(value)));
            let elements: String = elements.collect();
            post("application/xml", format!("<?xml version=\"1.0\"?><all>{elements}</all>"), chance)
        }
    }
}

fn get(target: &str, more: &[(&str, &str)], chance: &mut Chance) -> Exchange {
    let mut headers = vec![
        ("Host", "www.example.com"),
        ("User-Agent", *chance.pick(&AGENTS)),
        ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"),
        ("Accept-Language", "en-GB,en;q=0.7,de;q=0.3"),
        ("Cookie", *chance.pick(&COOKIES)),
    ];
    headers.retain(|(name, _)| more.iter().all(|(other, _)| name != other));
    headers.extend_from_slice(more);
    let pairs =
        headers.iter().map(|(name, value)| (name.as_bytes().into(), value.as_bytes().into()));
    Exchange {
        method: b"GET".to_vec(),
        target: target.as_bytes().to_vec(),
        protocol: b"HTTP/1.1".to_vec(),
        headers: pairs.collect(),
        response: Response { status: 200, ..Response::default() },
        ..Exchange::default()
    }
}

fn post(media_type: &str, body: String, chance: &mut Chance) -> Exchange {
    let length = body.len().to_string();
    let more = [("Content-Type", media_type), ("Content-Length", length.as_str())];
    Exchange { method: b"POST".to_vec(), body: body.into_bytes(), ..get("/posts", &more, chance) }
}

fn multipart(fields: &[(&str, String)], file: Option<&str>, chance: &mut Chance) -> Exchange {
    let boundary = format!("----Boundary{:016x}", chance.next());
    let mut body = String::new();
    for (name, value) in fields {
        body.push_str(&format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        ));
    }
    if let Some(name) = file {
        // As browsers write it.
        let name = name.replace('"', "%22").replace('\n', "%0A").replace('\\', "\\\\");
        body.push_str(&format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\nPK\u{3}\u{4} it's <b>any</b> bytes\r\n"
        ));
    }
    body.push_str(&format!("--{boundary}--\r\n"));
    post(&format!("multipart/form-data; boundary={boundary}"), body, chance)
}

fn form(fields: &[(&str, String)], escapes: Escapes) -> String {
    let pairs = fields.iter().map(|(name, value)| {
        format!("{}={}", escaped(name, Escapes::Percent), escaped(value, escapes))
    });
    pairs.collect::<Vec<_>>().join("&")
}

fn escaped(value: &str, escapes: Escapes) -> String {
    value.bytes().fold(String::new(), |mut text, byte| {
        match (escapes, byte) {
            (Escapes::Percent | Escapes::Plus, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9')
            | (Escapes::Percent | Escapes::Plus, b'-' | b'.' | b'_' | b'~') => {
                text.push(char::from(byte));
            }
            (Escapes::Plus, b' ') => text.push('+'),
            (Escapes::Percent, _) => text.push_str(&format!("%{byte:02x}")),
            (Escapes::Plus | Escapes::All, _) => text.push_str(&format!("%{byte:02X}")),
        }
        text
    })
}

/// What an application makes of a title: words with hyphens.
fn segment(value: &str) -> String {
    let plain =
        value.split(|letter: char| !letter.is_alphanumeric() && !"'().,!~".contains(letter));
    let words: Vec<&str> = plain.filter(|word| !word.trim_matches('.').is_empty()).collect();
    escaped(&words.join("-"), Escapes::Percent)
}

fn json(fields: &[(&str, String)], unicode: Unicode) -> String {
    let pairs = fields.iter().map(|(name, value)| {
        let value = match serde_json::from_str::<serde_json::Value>(value) {
            Ok(parsed) if parsed.is_object() || parsed.is_array() => value.clone(),
            _ => serde_json::to_string(value).unwrap(),
        };
        format!("{}:{value}", serde_json::to_string(name).unwrap())
    });
    let text = format!("{{{}}}", pairs.collect::<Vec<_>>().join(","));
    match unicode {
        Unicode::Raw => text,
        Unicode::Escaped => text.encode_utf16().fold(String::new(), |mut text, unit| {
            match char::from_u32(u32::from(unit)).filter(char::is_ascii) {
                Some('\'' | '<' | '>' | '&') | None => text.push_str(&format!("\\u{unit:04x}")),
                Some(letter) => text.push(letter),
            }
            text
        }),
    }
}

fn entities(value: &str) -> String {
    value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
