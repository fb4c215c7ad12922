//! The media type of a file, by the extension of its name.

use std::path::Path;

use http::HeaderValue;

const UNKNOWN: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// The Content-Type of a file; text is taken to be UTF-8.
pub(super) fn content_type(name: &Path) -> HeaderValue {
    let Some(media_type) = mime_guess::from_path(name).first_raw() else {
        return UNKNOWN;
    };
    // RFC 9239: obsolete, and one name is enough for scripts and modules.
    let media_type = match media_type {
        "application/javascript" => "text/javascript",
        current => current,
    };
    if !media_type.starts_with("text/") {
        return HeaderValue::from_static(media_type);
    }
    HeaderValue::try_from(format!("{media_type}; charset=utf-8")).unwrap_or(UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_go_by_extension() {
        for (name, expected) in [
            ("index.html", "text/html; charset=utf-8"),
            ("a/STYLE.CSS", "text/css; charset=utf-8"),
            ("app.js", "text/javascript; charset=utf-8"),
            ("app.mjs", "text/javascript; charset=utf-8"),
            ("data.json", "application/json"),
            ("app.wasm", "application/wasm"),
            ("logo.svg", "image/svg+xml"),
            ("photo.avif", "image/avif"),
            ("photo.webp", "image/webp"),
            ("font.woff2", "font/woff2"),
            ("site.webmanifest", "application/manifest+json"),
            ("read.me.txt", "text/plain; charset=utf-8"),
            ("README", "application/octet-stream"),
            ("a.unheard-of", "application/octet-stream"),
        ] {
            assert_eq!(content_type(Path::new(name)), expected, "{name}");
        }
    }
}
