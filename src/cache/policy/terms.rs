//! Under which terms a stored response may be used again (RFC 9111 §4, RFC 5861).

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::directives::{Directives, MaxStale, Reach, Span, Wishes};
use super::freshness::Lifetime;
use super::rules::{Clients, Rules, Strictness};
use super::statuses::is_failure;
use super::storable::{Pair, Unstored, has_validator};
use super::targeted::Control;
use super::vary::Varying;
use super::{age, groups};
use tidegate_store::Moment;

/// How long a response is kept whose server can be asked whether it is good still.
const ASKED_ABOUT: Duration = Duration::from_secs(7 * 86_400);

/// A response as it came, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer<'a> {
    pub status: StatusCode,
    pub headers: &'a HeaderMap,
    /// When the request for it was sent.
    pub asked: Moment,
    /// When its head came.
    pub received: Moment,
}

/// What a stored response may be used for, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Terms {
    /// When its age was zero.
    born: Moment,
    /// How old it may be and fresh.
    lifetime: Duration,
    /// How long after that it is sent while a new one is fetched.
    while_revalidating: Duration,
    /// How long it stands in for an error of the server.
    if_error: Duration,
    /// How long it stands in for a server that cannot be reached.
    if_unreachable: Duration,
    /// It is never used unless its server says so (`no-cache`).
    is_asked_about: bool,
    /// Once stale, it is never used unless its server says so.
    is_strict: bool,
    /// Its server can tell whether it is good still.
    has_validator: bool,
    /// Fields that only who asked for it may see.
    private: Vec<HeaderName>,
    /// Fields that are for who asked for it or asked about it.
    unvalidated: Vec<HeaderName>,
    /// The fields of requests that it depends on.
    pub vary: Vec<HeaderName>,
}

/// What a stored response is good for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// It is the answer.
    Fresh,
    /// It is the answer, and a new one is to be fetched beside that.
    WhileRevalidating,
    /// It is the answer, as its client would take it stale.
    StaleAsAsked,
    /// Its server is to be asked first.
    Validate,
    /// Its server was to be asked first, which its client does not want: 504.
    Refuse,
}

/// What became of asking the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It could not be reached, or did not answer to the end of a head.
    Unreachable,
    Answered(StatusCode),
}

/// Judges whether a response may be stored, and for what.
pub(crate) fn judge(
    method: &Method,
    request: &HeaderMap,
    answer: Answer<'_>,
    rules: &Rules,
) -> Result<Terms, Unstored> {
    let control = Control::read(answer.headers);
    let lifetime = Lifetime::read(answer.status, &control, answer.headers, answer.received, rules);
    let pair = Pair { method, request, status: answer.status, response: answer.headers };
    pair.check(&control, lifetime, rules)?;
    let Varying::By(vary) = Varying::read(answer.headers) else { return Err(Unstored::Vary) };
    if groups::are_too_many(answer.headers) {
        return Err(Unstored::Tags);
    }
    Ok(Terms::new(answer, &control.directives, lifetime, rules, vary))
}

/// Judges a stored response anew: read from a disk, or by another profile.
///
/// `asked` is [`Terms::born`]: the stored fields have no Age any more. What
/// the request for it was is settled, as it has been stored.
pub(crate) fn judge_stored(answer: Answer<'_>, rules: &Rules) -> Result<Terms, Unstored> {
    judge(&Method::GET, &HeaderMap::new(), answer, rules)
}

impl Terms {
    fn new(
        answer: Answer<'_>,
        directives: &Directives,
        lifetime: Lifetime,
        rules: &Rules,
        vary: Vec<HeaderName>,
    ) -> Self {
        let initial = age::initial(answer.headers, answer.asked, answer.received);
        // s-maxage says proxy-revalidate, too (§5.2.2.10).
        let is_strict = directives.must_revalidate
            || directives.proxy_revalidate
            || directives.s_maxage.is_some();
        // What a server lets be fresh at no time, a profile does not let stand in.
        let is_reused = !lifetime.length().is_zero();
        let or_if_reused = |span: Duration| if is_reused { span } else { Duration::ZERO };
        let said = |span: Option<Span>| span.map(|span| span.length());
        let stands_in = or_if_reused(rules.stale_if_error);
        let on_error = match rules.strictness {
            Strictness::Safe => stands_in,
            // An error is an answer: only the server may say to hide it (§4.2.4).
            Strictness::Rfc => Duration::ZERO,
        };
        let if_error = said(directives.stale_if_error);
        Terms {
            born: answer.received.before(initial),
            lifetime: lifetime.length(),
            while_revalidating: said(directives.stale_while_revalidate)
                .unwrap_or_else(|| or_if_reused(rules.stale_while_revalidate)),
            if_error: if_error.unwrap_or(on_error),
            if_unreachable: if_error.unwrap_or(stands_in),
            is_asked_about: directives.no_cache == Reach::All,
            is_strict,
            has_validator: has_validator(answer.headers),
            private: directives.private.fields().to_vec(),
            unvalidated: directives.no_cache.fields().to_vec(),
            vary,
        }
    }

    /// The same, yet stale since `moment`, if it was fresh then: a soft purge.
    pub(crate) fn stale_since(mut self, moment: Moment) -> Self {
        self.lifetime = self.lifetime.min(moment.since(self.born));
        self
    }

    /// When its age was zero.
    pub(crate) fn born(&self) -> Moment {
        self.born
    }

    pub(crate) fn age(&self, now: Moment) -> Duration {
        now.since(self.born)
    }

    /// What goes into Age.
    pub(crate) fn age_field(&self, now: Moment) -> HeaderValue {
        age::field(self.age(now))
    }

    /// Seconds that it is fresh for; less than zero once it is stale.
    pub(crate) fn ttl(&self, now: Moment) -> i64 {
        let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
        seconds(self.lifetime).saturating_sub(seconds(self.age(now)))
    }

    /// Until when it is worth keeping: nothing uses it later.
    pub(crate) fn keep_until(&self) -> Moment {
        let stale = match self.is_asked_about || self.is_strict {
            true => Duration::ZERO,
            false => self.while_revalidating.max(self.if_error).max(self.if_unreachable),
        };
        let asked_about = if self.has_validator { ASKED_ABOUT } else { Duration::ZERO };
        self.born.after(self.lifetime).after(stale.max(asked_about))
    }

    /// What it is good for, for a request with these headers.
    pub(crate) fn use_for(&self, request: &HeaderMap, rules: &Rules, now: Moment) -> Use {
        match rules.clients {
            Clients::PassedOver => self.use_at(now),
            Clients::Heeded => self.use_as_wished(&Wishes::read(request), now),
        }
    }

    /// Whether it stands in for what became of asking the server.
    pub(crate) fn stands_in(&self, failure: Failure, now: Moment) -> bool {
        let window = match failure {
            Failure::Unreachable => self.if_unreachable,
            Failure::Answered(status) if is_failure(status) => self.if_error,
            Failure::Answered(_) => return false,
        };
        !self.is_asked_about && (self.is_fresh(now) || self.is_stale_within(window, now))
    }

    /// Fields that others than its first client never see.
    pub(crate) fn private_fields(&self) -> &[HeaderName] {
        &self.private
    }

    /// Fields that are left out unless the server was asked just now.
    pub(crate) fn unvalidated_fields(&self) -> &[HeaderName] {
        &self.unvalidated
    }

    fn use_at(&self, now: Moment) -> Use {
        if self.is_asked_about {
            Use::Validate
        } else if self.is_fresh(now) {
            Use::Fresh
        } else if self.is_stale_within(self.while_revalidating, now) {
            Use::WhileRevalidating
        } else {
            Use::Validate
        }
    }

    /// The same with what the client would take (§5.2.1), which asks for less
    /// and for more than the server allows.
    fn use_as_wished(&self, wishes: &Wishes, now: Moment) -> Use {
        let age = self.age(now);
        let rest = self.lifetime.saturating_sub(age);
        let is_too_old = wishes.max_age.is_some_and(|most| age > most);
        let is_too_short = wishes.min_fresh.is_some_and(|least| rest < least);
        let is_taken_stale = match wishes.max_stale {
            None => false,
            Some(MaxStale::Any) => !self.is_strict && !self.is_asked_about,
            Some(MaxStale::For(most)) => !self.is_asked_about && self.is_stale_within(most, now),
        };
        let wished = match self.use_at(now) {
            _ if wishes.no_cache || is_too_old || is_too_short => Use::Validate,
            Use::Validate | Use::WhileRevalidating if is_taken_stale => Use::StaleAsAsked,
            other => other,
        };
        match wished {
            Use::Validate if wishes.only_if_cached => Use::Refuse,
            other => other,
        }
    }

    fn is_fresh(&self, now: Moment) -> bool {
        self.age(now) < self.lifetime
    }

    /// Stale, no longer than `window`, and nothing forbids to send it so.
    fn is_stale_within(&self, window: Duration, now: Moment) -> bool {
        let staleness = self.age(now).checked_sub(self.lifetime);
        !self.is_strict && staleness.is_some_and(|staleness| staleness < window)
    }
}

#[cfg(test)]
mod tests;
