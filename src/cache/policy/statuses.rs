//! What a cache must know of a status before it stores a response with it.

use http::StatusCode;

/// Whether a response may be stored for a guessed time (RFC 9110 §15.1).
pub(super) fn is_heuristic(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// Whether it is one whose rules for caches we keep: those of RFC 9110 but for
/// 206 and 304, which are a part of a response and none (RFC 9111 §5.2.2.3).
pub(super) fn is_understood(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200..=205 | 300..=303 | 305 | 307 | 308 | 400..=417 | 421 | 422 | 426 | 500..=505
    )
}

/// Errors in whose place a stale response may go (RFC 5861 §4).
pub(super) fn is_failure(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}
