use super::*;

/// Sun, 06 Nov 1994 08:49:37 GMT
const RECEIVED: Moment = Moment::from_millis(784_111_777_000);
const MODIFIED: (&str, &str) = ("last-modified", "Sun, 06 Nov 1994 08:32:57 GMT");
const ETAG: (&str, &str) = ("etag", "\"a\"");

fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    let field = |(name, value): &(&str, &str)| {
        let name: HeaderName = name.parse().expect("a name");
        (name, HeaderValue::from_str(value).expect("a value"))
    };
    fields.iter().map(field).collect()
}

/// A request, and the response to it.
struct Case<'a> {
    method: Method,
    request: &'a [(&'a str, &'a str)],
    status: u16,
    rules: Rules,
}

impl Default for Case<'_> {
    fn default() -> Self {
        Case { method: Method::GET, request: &[], status: 200, rules: Rules::default() }
    }
}

impl Case<'_> {
    fn judge(&self, response: &[(&str, &str)]) -> Result<Terms, Unstored> {
        let status = StatusCode::from_u16(self.status).expect("a status");
        let headers_of_response = headers(response);
        let answer =
            Answer { status, headers: &headers_of_response, asked: RECEIVED, received: RECEIVED };
        judge(&self.method, &headers(self.request), answer, &self.rules)
    }

    #[track_caller]
    fn refuses(&self, response: &[(&str, &str)], why: Unstored) {
        assert_eq!(self.judge(response).err(), Some(why), "{} {response:?}", self.status);
    }

    #[track_caller]
    fn stores(&self, response: &[(&str, &str)]) {
        assert_eq!(self.judge(response).err(), None, "{} {response:?}", self.status);
    }
}

fn terms(cache_control: &str) -> Terms {
    Case::default().judge(&[("cache-control", cache_control), ETAG]).expect("stored")
}

fn later(seconds: u64) -> Moment {
    RECEIVED.after(Duration::from_secs(seconds))
}

#[track_caller]
fn check_use(terms: &Terms, seconds: u64, expected: Use) {
    assert_eq!(terms.use_for(&HeaderMap::new(), &Rules::default(), later(seconds)), expected);
}

fn strict() -> Rules {
    Rules { strictness: Strictness::Rfc, ..Rules::default() }
}

fn heeding() -> Rules {
    Rules { clients: Clients::Heeded, ..Rules::default() }
}

// §3: what is stored.

#[test]
fn only_answers_to_get_are_stored() {
    let fresh = [("cache-control", "max-age=60, public")];
    Case::default().stores(&fresh);
    for method in ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "QUERY", "FOO"] {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        Case { method, ..Case::default() }.refuses(&fresh, Unstored::Method);
    }
}

#[test]
fn no_store_and_private_are_not_stored() {
    let case = Case::default();
    for line in ["no-store", "No-StOrE, max-age=60", "max-age=60, no-store=1", "public, no-store"] {
        case.refuses(&[("cache-control", line)], Unstored::NoStore);
    }
    for line in ["private", "private, max-age=60", "max-age=60, private=\"\"", "public, private"] {
        case.refuses(&[("cache-control", line)], Unstored::Private);
    }
    case.refuses(
        &[("cache-control", "max-age=60"), ("cache-control", "no-store")],
        Unstored::NoStore,
    );
}

#[test]
fn private_with_fields_is_stored_without_them() {
    let terms = terms("private=\"x-a, set-cookie\", no-cache=\"x-b\", max-age=60");
    assert_eq!(terms.private_fields(), ["x-a", "set-cookie"]);
    assert_eq!(terms.unvalidated_fields(), ["x-b"]);
    check_use(&terms, 0, Use::Fresh);
}

#[test]
fn a_response_is_stored_if_it_says_how_long_or_its_status_allows_it() {
    for status in [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501] {
        let case = Case { status, ..Case::default() };
        case.stores(&[MODIFIED]);
        case.stores(&[("cache-control", "max-age=60")]);
    }
    for status in [201, 202, 299, 302, 303, 307, 400, 403, 418, 499, 500, 502, 503, 504, 599] {
        let case = Case { status, ..Case::default() };
        case.refuses(&[MODIFIED], Unstored::NotAllowed);
        case.stores(&[("cache-control", "max-age=60")]);
        case.stores(&[("cache-control", "s-maxage=60")]);
        case.stores(&[("expires", "Sun, 06 Nov 1994 09:49:37 GMT")]);
        case.stores(&[("cache-control", "public"), MODIFIED]);
    }
}

#[test]
fn a_part_is_never_stored_as_the_whole() {
    let fresh = [("cache-control", "max-age=60"), ("content-range", "bytes 0-1/10")];
    Case { status: 206, ..Case::default() }.refuses(&fresh, Unstored::Status);
    Case { status: 304, ..Case::default() }.refuses(&fresh, Unstored::Status);
    Case { status: 103, ..Case::default() }.refuses(&fresh, Unstored::Status);
}

#[test]
fn must_understand_is_for_who_understands() {
    let both = [("cache-control", "max-age=60, no-store, must-understand")];
    let alone = [("cache-control", "max-age=60, must-understand")];
    for status in [200, 404, 503] {
        let case = Case { status, ..Case::default() };
        case.stores(&both);
        case.stores(&alone);
    }
    for status in [299, 499, 599] {
        let case = Case { status, ..Case::default() };
        case.refuses(&both, Unstored::NotUnderstood);
        case.refuses(&alone, Unstored::NotUnderstood);
    }
}

#[test]
fn what_could_never_be_reused_is_not_stored() {
    let case = Case::default();
    for response in [
        &[][..],
        &[("cache-control", "max-age=0")],
        &[("cache-control", "max-age=x")],
        &[("cache-control", "no-cache, max-age=60")],
        &[("cache-control", "no-cache, max-age=60, stale-while-revalidate=60")],
        &[("expires", "0")],
        &[("cache-control", "public")],
    ] {
        case.refuses(response, Unstored::Useless);
        let with_tag: Vec<_> = response.iter().copied().chain([ETAG]).collect();
        case.stores(&with_tag);
    }
    case.stores(&[("cache-control", "max-age=0, stale-while-revalidate=60")]);
    case.stores(&[("cache-control", "foo"), MODIFIED]);
}

#[test]
fn pragma_in_a_response_says_nothing() {
    Case::default().stores(&[("pragma", "no-cache"), ("cache-control", "max-age=60")]);
    Case::default().stores(&[("pragma", "no-cache"), MODIFIED]);
}

// §3.5: Authorization.

#[test]
fn what_credentials_asked_for_is_stored_if_it_is_for_others() {
    let case = Case { request: &[("authorization", "Basic x")], ..Case::default() };
    for line in ["max-age=60", "max-age=60, no-cache", "max-age=60, proxy-revalidate", "public=1"] {
        case.refuses(&[("cache-control", line), ETAG], Unstored::Authorization);
    }
    case.refuses(&[("expires", "Sun, 06 Nov 1994 09:49:37 GMT")], Unstored::Authorization);
    case.refuses(&[("cache-control", "s-maxage=x, max-age=60"), ETAG], Unstored::Authorization);
    for line in ["max-age=60, public", "s-maxage=60", "max-age=60, must-revalidate"] {
        case.stores(&[("cache-control", line)]);
    }
    case.stores(&[("cdn-cache-control", "max-age=60, public")]);
    case.refuses(&[("cdn-cache-control", "max-age=60")], Unstored::Authorization);
    case.refuses(
        &[("cdn-cache-control", "max-age=60"), ("cache-control", "public")],
        Unstored::Authorization,
    );
}

// Cookies: the profile.

#[test]
fn a_cookie_is_not_for_others_unless_that_is_said() {
    let cookie = ("set-cookie", "a=1");
    let safe = Case::default();
    let rfc = Case { rules: strict(), ..Case::default() };
    for line in ["max-age=60", "max-age=60, must-revalidate", "s-maxage=x, max-age=60"] {
        safe.refuses(&[("cache-control", line), cookie, ETAG], Unstored::SetCookie);
        rfc.stores(&[("cache-control", line), cookie, ETAG]);
    }
    safe.refuses(&[cookie, MODIFIED], Unstored::SetCookie);
    rfc.stores(&[cookie, MODIFIED]);
    for line in [
        "max-age=60, public",
        "s-maxage=60",
        "max-age=60, private=\"set-cookie\"",
        "max-age=60, no-cache=\"Set-Cookie\"",
    ] {
        safe.stores(&[("cache-control", line), cookie]);
    }
    safe.stores(&[("cdn-cache-control", "max-age=60"), cookie]);
    safe.refuses(&[("cdn-cache-control", "foo"), cookie, MODIFIED], Unstored::SetCookie);
}

// §4.1: Vary.

#[test]
fn what_depends_on_anything_is_not_stored() {
    let fresh = ("cache-control", "max-age=60");
    for line in ["*", "foo, *", "*, foo", ", *"] {
        Case::default().refuses(&[fresh, ("vary", line)], Unstored::Vary);
    }
    Case::default().refuses(&[fresh, ("vary", "foo"), ("vary", "*")], Unstored::Vary);
    let terms = Case::default().judge(&[fresh, ("vary", "Foo, a")]).expect("stored");
    assert_eq!(terms.vary, ["a", "foo"]);
}

#[test]
fn what_a_purge_could_miss_is_not_stored() {
    let tags = (0..300).map(|number| number.to_string()).collect::<Vec<_>>().join(" ");
    let fresh = ("cache-control", "max-age=60");
    Case::default().refuses(&[fresh, ("surrogate-key", &tags)], Unstored::Tags);
}

// RFC 9213: targeted fields.

#[test]
fn a_targeted_field_decides_alone() {
    let case = Case::default();
    let hour = ("cdn-cache-control", "max-age=3600");
    for line in ["no-store", "private", "max-age=1", "max-age=0, no-cache"] {
        let terms = case.judge(&[hour, ("cache-control", line)]).expect(line);
        check_use(&terms, 3599, Use::Fresh);
    }
    let fresh = ("cache-control", "max-age=3600");
    case.refuses(&[fresh, ("cdn-cache-control", "no-store")], Unstored::NoStore);
    case.refuses(&[fresh, ("cdn-cache-control", "private")], Unstored::Private);
    let terms = case.judge(&[fresh, ("cdn-cache-control", "max-age=1")]).expect("stored");
    check_use(&terms, 2, Use::Validate);
    let own = ("tidegate-cache-control", "max-age=7");
    let terms = case.judge(&[own, hour, fresh]).expect("stored");
    check_use(&terms, 8, Use::Validate);
}

// §4.2: freshness and age.

#[test]
fn a_response_is_fresh_until_its_lifetime_ends() {
    let terms = terms("max-age=60");
    check_use(&terms, 0, Use::Fresh);
    check_use(&terms, 59, Use::Fresh);
    check_use(&terms, 60, Use::Validate);
    assert_eq!(terms.ttl(later(10)), 50);
    assert_eq!(terms.ttl(later(70)), -10);
    assert_eq!(terms.age_field(later(10)), "10");
}

#[test]
fn an_age_that_it_came_with_counts() {
    let case = Case::default();
    let fresh = ("cache-control", "max-age=60");
    let terms = case.judge(&[fresh, ("age", "50")]).expect("stored");
    check_use(&terms, 9, Use::Fresh);
    check_use(&terms, 10, Use::Validate);
    assert_eq!(terms.age_field(later(5)), "55");
    let terms = case.judge(&[fresh, ("age", "60"), ETAG]).expect("stored");
    check_use(&terms, 0, Use::Validate);
    let terms = case.judge(&[fresh, ("date", "Sun, 06 Nov 1994 08:49:07 GMT")]).expect("stored");
    check_use(&terms, 29, Use::Fresh);
    check_use(&terms, 30, Use::Validate);
}

#[test]
fn expires_date_and_age_are_taken_together() {
    let at = |minute: u64| format!("Sun, 06 Nov 1994 08:{minute}:37 GMT");
    // Minutes of Date and Expires, seconds of Age, and how long it is fresh still.
    for (date, expires, age, expected) in [
        (49, 59, 0, 600),
        (49, 59, 540, 60),
        (49, 59, 660, -60),
        (39, 59, 0, 600),
        (39, 59, 60, 600),
        (39, 59, 900, 300),
        (59, 59, 0, 0),
        (55, 59, 0, 240),
        (49, 39, 0, 0),
    ] {
        let (date, expires, age) = (at(date), at(expires), age.to_string());
        let fields = [("date", &*date), ("expires", &*expires), ("age", &*age), ETAG];
        let terms = Case::default().judge(&fields).expect("stored");
        assert_eq!(terms.ttl(RECEIVED), expected, "{fields:?}");
    }
}

#[test]
fn the_time_that_the_answer_took_counts() {
    let headers = headers(&[("cache-control", "max-age=60")]);
    let asked = RECEIVED.before(Duration::from_secs(20));
    let answer = Answer { status: StatusCode::OK, headers: &headers, asked, received: RECEIVED };
    let terms = judge(&Method::GET, &HeaderMap::new(), answer, &Rules::default()).expect("stored");
    check_use(&terms, 39, Use::Fresh);
    check_use(&terms, 40, Use::Validate);
}

#[test]
fn what_was_stored_is_as_old_after_a_restart() {
    let mut kept = headers(&[("cache-control", "max-age=60, must-revalidate"), ("age", "50")]);
    let status = StatusCode::OK;
    let asked = RECEIVED.before(Duration::from_secs(3));
    let answer = Answer { status, headers: &kept, asked, received: RECEIVED };
    let request = headers(&[("authorization", "x")]);
    let terms = judge(&Method::GET, &request, answer, &Rules::default()).expect("stored");
    assert_eq!(terms.age(RECEIVED), Duration::from_secs(53));
    super::super::strip::before_storing(&mut kept, RECEIVED);
    let answer = Answer { status, headers: &kept, asked: terms.born(), received: RECEIVED };
    assert_eq!(judge_stored(answer, &Rules::default()), Ok(terms));
}

#[test]
fn no_cache_is_never_used_unasked() {
    let terms = terms("no-cache, max-age=60, stale-while-revalidate=60, stale-if-error=60");
    check_use(&terms, 0, Use::Validate);
    check_use(&terms, 61, Use::Validate);
    assert!(!terms.stands_in(Failure::Unreachable, later(1)));
    assert!(!terms.stands_in(Failure::Answered(StatusCode::BAD_GATEWAY), later(1)));
}

#[test]
fn a_soft_purge_makes_it_stale() {
    let terms = terms("max-age=60, stale-while-revalidate=60").stale_since(later(10));
    check_use(&terms, 9, Use::Fresh);
    check_use(&terms, 10, Use::WhileRevalidating);
    check_use(&terms, 70, Use::Validate);
}

// RFC 5861 §3: stale while it is revalidated.

#[test]
fn stale_while_revalidate_is_a_window_after_the_lifetime() {
    let terms = terms("max-age=60, stale-while-revalidate=30");
    check_use(&terms, 59, Use::Fresh);
    check_use(&terms, 60, Use::WhileRevalidating);
    check_use(&terms, 89, Use::WhileRevalidating);
    check_use(&terms, 90, Use::Validate);
}

#[test]
fn the_server_outranks_the_profile_about_staleness() {
    let minute = Duration::from_secs(60);
    let rules = Rules { stale_while_revalidate: minute, ..Rules::default() };
    let case = Case { rules, ..Case::default() };
    let judge = |line| case.judge(&[("cache-control", line), ETAG]).expect("stored");
    check_use(&judge("max-age=60"), 119, Use::WhileRevalidating);
    check_use(&judge("max-age=60"), 120, Use::Validate);
    check_use(&judge("max-age=60, stale-while-revalidate=5"), 66, Use::Validate);
    check_use(&judge("max-age=60, stale-while-revalidate=x"), 61, Use::Validate);
    check_use(&judge("max-age=0"), 1, Use::Validate);
    check_use(&judge("foo"), 1, Use::Validate);
}

#[test]
fn what_must_be_revalidated_is_never_sent_stale() {
    for line in [
        "max-age=60, must-revalidate",
        "max-age=60, proxy-revalidate",
        "s-maxage=60",
        "max-age=60, no-cache",
    ] {
        let terms = terms(&format!("{line}, stale-while-revalidate=60, stale-if-error=60"));
        check_use(&terms, 61, Use::Validate);
        assert!(!terms.stands_in(Failure::Unreachable, later(61)), "{line}");
        assert!(!terms.stands_in(Failure::Answered(StatusCode::BAD_GATEWAY), later(61)), "{line}");
    }
}

// §4.2.4 and RFC 5861 §4: stale for want of a better one.

#[test]
fn a_stale_response_stands_in_for_a_server_that_is_not_there() {
    let day = 86_400;
    let plain = terms("max-age=60");
    assert!(plain.stands_in(Failure::Unreachable, later(61)));
    assert!(plain.stands_in(Failure::Unreachable, later(59 + day)));
    assert!(!plain.stands_in(Failure::Unreachable, later(60 + day)));
    let said = terms("max-age=60, stale-if-error=30");
    assert!(said.stands_in(Failure::Unreachable, later(89)));
    assert!(!said.stands_in(Failure::Unreachable, later(90)));
    assert!(!terms("max-age=60, stale-if-error=0").stands_in(Failure::Unreachable, later(61)));
    assert!(!terms("max-age=0").stands_in(Failure::Unreachable, later(1)), "never fresh");
    assert!(
        !terms("foo").stands_in(Failure::Unreachable, later(1)),
        "nobody said that it is fresh"
    );
}

#[test]
fn a_stale_response_stands_in_for_errors_alone() {
    let terms = terms("max-age=60, stale-if-error=60");
    for status in [500, 502, 503, 504] {
        let status = StatusCode::from_u16(status).expect("a status");
        assert!(terms.stands_in(Failure::Answered(status), later(61)), "{status}");
        assert!(!terms.stands_in(Failure::Answered(status), later(120)), "{status}");
    }
    for status in [200, 301, 304, 400, 403, 404, 410, 501, 505, 599] {
        let status = StatusCode::from_u16(status).expect("a status");
        assert!(!terms.stands_in(Failure::Answered(status), later(61)), "{status}");
    }
}

#[test]
fn by_the_rfc_alone_the_server_must_allow_to_hide_its_errors() {
    let case = Case { rules: strict(), ..Case::default() };
    let judge = |line| case.judge(&[("cache-control", line), ETAG]).expect("stored");
    let error = Failure::Answered(StatusCode::SERVICE_UNAVAILABLE);
    assert!(!judge("max-age=60").stands_in(error, later(61)));
    assert!(judge("max-age=60").stands_in(Failure::Unreachable, later(61)));
    assert!(judge("max-age=60, stale-if-error=60").stands_in(error, later(61)));
    assert!(terms("max-age=60").stands_in(error, later(61)), "the profile allows it otherwise");
}

// §5.2.1: what clients ask for.

#[track_caller]
fn check_wish(response: &str, request: &str, seconds: u64, expected: Use) {
    let request = headers(&[("cache-control", request)]);
    let found = terms(response).use_for(&request, &heeding(), later(seconds));
    assert_eq!(found, expected, "{response} {request:?} {seconds}");
}

#[test]
fn clients_are_heeded_where_the_profile_says_so() {
    let request = headers(&[("cache-control", "no-cache, no-store, only-if-cached")]);
    let fresh = terms("max-age=60");
    assert_eq!(fresh.use_for(&request, &Rules::default(), later(1)), Use::Fresh);
    let unheeded = Case { request: &[("cache-control", "no-store")], ..Case::default() };
    unheeded.stores(&[("cache-control", "max-age=60")]);
    let heeded = Case { rules: heeding(), ..unheeded };
    heeded.refuses(&[("cache-control", "max-age=60")], Unstored::ClientNoStore);
}

#[test]
fn clients_may_ask_for_younger_responses() {
    check_wish("max-age=60", "no-cache", 1, Use::Validate);
    check_wish("max-age=60", "max-age=0", 1, Use::Validate);
    check_wish("max-age=60", "max-age=5", 5, Use::Fresh);
    check_wish("max-age=60", "max-age=5", 6, Use::Validate);
    check_wish("max-age=60", "min-fresh=10", 50, Use::Fresh);
    check_wish("max-age=60", "min-fresh=10", 51, Use::Validate);
    check_wish("max-age=60", "foo", 1, Use::Fresh);
}

#[test]
fn clients_may_take_stale_responses_that_may_be_sent() {
    check_wish("max-age=60", "max-stale", 10_000, Use::StaleAsAsked);
    check_wish("max-age=60", "max-stale=10", 69, Use::StaleAsAsked);
    check_wish("max-age=60", "max-stale=10", 70, Use::Validate);
    check_wish("max-age=60", "max-stale", 1, Use::Fresh);
    check_wish("max-age=60, must-revalidate", "max-stale", 61, Use::Validate);
    check_wish("max-age=60, no-cache", "max-stale=10", 1, Use::Validate);
    check_wish("s-maxage=60", "max-stale=10", 61, Use::Validate);
    check_wish("max-age=60", "max-stale, no-cache", 61, Use::Validate);
}

#[test]
fn clients_may_ask_for_what_is_stored_alone() {
    check_wish("max-age=60", "only-if-cached", 1, Use::Fresh);
    check_wish("max-age=60", "only-if-cached", 61, Use::Refuse);
    check_wish("max-age=60", "only-if-cached, max-stale", 61, Use::StaleAsAsked);
}

#[test]
fn responses_are_kept_as_long_as_something_uses_them() {
    let hour = 3600;
    assert_eq!(
        terms("max-age=60").keep_until(),
        RECEIVED.after(ASKED_ABOUT).after(Duration::from_secs(60))
    );
    let judge = |line| Case::default().judge(&[("cache-control", line)]).expect("stored");
    assert_eq!(judge("max-age=60, stale-if-error=3600").keep_until(), later(60 + hour));
    assert_eq!(
        judge("max-age=60, stale-if-error=9, stale-while-revalidate=30").keep_until(),
        later(90)
    );
    assert_eq!(judge("s-maxage=60, stale-if-error=3600").keep_until(), later(60));
}
