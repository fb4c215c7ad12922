//! The answers of the challenge: a page that works, what is told where nobody
//! would see one, and the pass for work that is done.

use http::{HeaderName, HeaderValue, StatusCode, header};

use crate::access::{Challenged, Denied, Pressure, Unproven};
use crate::respond::{self, Answer, ErrorPages, FIXED_FIELDS, Form, Page, WorkPage};

use super::refuse::Refusal;

/// When a route is worth another try that sheds load, in seconds.
const ONCE_CALM: HeaderValue = HeaderValue::from_static("30");

const NO_PASS: &str = "Only browsers that have opened a page of this site get an answer here. \
                       Please go back, load the page again, and then repeat what you did.";

/// The answer, as the client understands it.
pub(super) fn answer(
    challenged: &Challenged,
    status: StatusCode,
    request_id: &str,
    form: Form,
    pages: &ErrorPages,
) -> Answer {
    let unproven = match challenged {
        Challenged::Solved(pass) => return respond::paid(status, pass.clone()),
        Challenged::Unproven(unproven) => unproven,
    };
    let mut answer = match &unproven.puzzle {
        Some(puzzle) => {
            let (reason, puzzle, bits) = (reason(unproven), &*puzzle.digits, puzzle.difficulty);
            WorkPage { status, reason, puzzle, bits, request_id }.answer()
        }
        None => Page { status, text: Some(NO_PASS), request_id }.answer(form, pages),
    };
    if unproven.pressure == Pressure::Shedding {
        answer.headers.push((header::RETRY_AFTER, ONCE_CALM));
    }
    answer
}

fn reason(unproven: &Unproven) -> &'static str {
    match unproven.pressure {
        Pressure::Calm => "This site checks that its visitors use a browser.",
        Pressure::Shedding => "This site is very busy and lets people with browsers in first.",
    }
}

/// Fields of an answer that stay as they are, whatever the route says.
pub(super) fn fixed_fields(refusal: &Refusal) -> &'static [HeaderName] {
    match refusal {
        Refusal::Denied(Denied::Challenge(_)) => &FIXED_FIELDS,
        _ => &[],
    }
}
