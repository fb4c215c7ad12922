//! In which form a client understands an answer of Tidegate.

use http::header::ACCEPT;
use http::{HeaderMap, Version};

use crate::encoding::{Weight, weighted};
use crate::upstream::headers::{is_call, is_grpc};

/// How an answer is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A page for people.
    Html,
    /// `application/problem+json` (RFC 9457) for programs.
    Problem,
    /// A gRPC status.
    Grpc,
}

impl Form {
    /// The form that suits the client of a request best.
    ///
    /// Programs say that they want JSON; whoever does not say is a person.
    pub(crate) fn wanted(request: &HeaderMap, version: Version) -> Form {
        // A call needs HTTP/2, but for its form for browsers.
        if is_call(request) && (version >= Version::HTTP_2 || !is_grpc(request)) {
            return Form::Grpc;
        }
        let html = wish(request, &["text/html"]);
        let problem = wish(request, &["application/problem+json", "application/json"]);
        if problem > html { Form::Problem } else { Form::Html }
    }
}

/// How much one of some media types is wanted, and how exactly it was named.
type Wish = (Weight, Naming);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Naming {
    Any,
    Kind,
    Exact,
}

/// The greatest wish for one of several media types (RFC 9110 §12.5.1).
fn wish(request: &HeaderMap, media_types: &[&str]) -> Wish {
    let wishes = media_types.iter().map(|media_type| wish_for(request, media_type));
    wishes.max().unwrap_or((Weight::UNWANTED, Naming::Any))
}

/// The wish for a media type: what names it most exactly counts.
fn wish_for(request: &HeaderMap, media_type: &str) -> Wish {
    let lines = request.get_all(ACCEPT).into_iter().filter_map(|line| line.to_str().ok());
    let ranges = lines.flat_map(weighted);
    let named = ranges.filter_map(|(range, weight)| Some((naming(range, media_type)?, weight)));
    let (naming, weight) = named.max().unwrap_or((Naming::Any, Weight::UNWANTED));
    (weight, naming)
}

fn naming(range: &str, media_type: &str) -> Option<Naming> {
    if range == "*/*" {
        return Some(Naming::Any);
    }
    if range.eq_ignore_ascii_case(media_type) {
        return Some(Naming::Exact);
    }
    let (kind, _) = media_type.split_once('/')?;
    let range_kind = range.strip_suffix("/*")?;
    range_kind.eq_ignore_ascii_case(kind).then_some(Naming::Kind)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::CONTENT_TYPE;

    use super::*;

    fn check(accept: &'static str, expected: Form) {
        let request = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
        assert_eq!(Form::wanted(&request, Version::HTTP_2), expected, "{accept}");
    }

    #[test]
    fn browsers_get_pages() {
        check("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Form::Html);
        check("*/*", Form::Html);
        check("image/avif,image/webp,*/*;q=0.8", Form::Html);
        check("image/png", Form::Html);
        check("", Form::Html);
        assert_eq!(Form::wanted(&HeaderMap::new(), Version::HTTP_2), Form::Html);
    }

    #[test]
    fn programs_get_problems() {
        check("application/json", Form::Problem);
        check("Application/Problem+JSON", Form::Problem);
        check("application/json, text/plain, */*", Form::Problem);
        check("application/*", Form::Problem);
    }

    #[test]
    fn weights_decide() {
        check("text/html;q=0.5, application/json", Form::Problem);
        check("text/html, application/json;q=0.9", Form::Html);
        check("text/html, application/json", Form::Html);
        check("text/html;q=0, */*;q=0.1", Form::Problem);
        check("application/json;q=0, application/problem+json;q=0, */*", Form::Html);
        check("application/json;q=0.1, */*", Form::Html);
        check("text/*, application/json;q=0.9", Form::Html);
        check("text/html;level=1;q=0.2, application/json;q=0.3", Form::Problem);
    }

    #[test]
    fn grpc_clients_get_a_status() {
        for (media_type, over_h1) in
            [("application/grpc+proto", Form::Problem), ("application/grpc-web", Form::Grpc)]
        {
            let request = HeaderMap::from_iter([
                (CONTENT_TYPE, HeaderValue::from_static(media_type)),
                (ACCEPT, HeaderValue::from_static("application/json")),
            ]);
            assert_eq!(Form::wanted(&request, Version::HTTP_2), Form::Grpc);
            assert_eq!(Form::wanted(&request, Version::HTTP_11), over_h1);
        }
    }
}
