//! Whether a response may be stored at all (RFC 9111 §3, §3.5).

use http::header::{AUTHORIZATION, ETAG, LAST_MODIFIED, SET_COOKIE};
use http::{HeaderMap, Method, StatusCode};

use super::directives::{Directives, Reach, Span, Wishes};
use super::freshness::Lifetime;
use super::rules::{Clients, Rules, Strictness};
use super::statuses::{is_heuristic, is_understood};
use super::targeted::Control;

/// Why a response is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unstored {
    /// Only answers to GET are.
    Method,
    /// It is a part of a response, or none.
    Status,
    /// `must-understand`, and we do not.
    NotUnderstood,
    NoStore,
    Private,
    /// It is for who asked, and nothing says that it is for others.
    Authorization,
    /// It sets a cookie, and nothing says that it is for others.
    SetCookie,
    /// It depends on what no request tells: `Vary: *`, or more than we look at.
    Vary,
    /// Neither its fields nor its status allow it.
    NotAllowed,
    /// It could never be reused.
    Useless,
    /// It has more tags than are kept; a purge could miss it.
    Tags,
    /// Its client asked for that.
    ClientNoStore,
}

impl Unstored {
    /// It is about what is asked for, not about who asks: the next request for
    /// it will hardly fare better, and need not wait for others.
    pub(crate) const fn is_lasting(self) -> bool {
        match self {
            Unstored::NotUnderstood
            | Unstored::NoStore
            | Unstored::Private
            | Unstored::SetCookie
            | Unstored::Vary
            | Unstored::NotAllowed
            | Unstored::Useless
            | Unstored::Tags => true,
            Unstored::Method
            | Unstored::Status
            | Unstored::Authorization
            | Unstored::ClientNoStore => false,
        }
    }

    /// The word for logs and for `detail` in Cache-Status: a token.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Unstored::Method => "method",
            Unstored::Status => "status",
            Unstored::NotUnderstood => "must-understand",
            Unstored::NoStore => "no-store",
            Unstored::Private => "private",
            Unstored::Authorization => "authorization",
            Unstored::SetCookie => "set-cookie",
            Unstored::Vary => "vary",
            Unstored::NotAllowed => "not-allowed",
            Unstored::Useless => "not-reusable",
            Unstored::Tags => "too-many-tags",
            Unstored::ClientNoStore => "client-no-store",
        }
    }
}

/// What matters of a request and the response to it.
pub(super) struct Pair<'a> {
    pub method: &'a Method,
    pub request: &'a HeaderMap,
    pub status: StatusCode,
    pub response: &'a HeaderMap,
}

impl Pair<'_> {
    /// Goes through what forbids storing, then asks for what allows it.
    pub(super) fn check(
        &self,
        control: &Control,
        lifetime: Lifetime,
        rules: &Rules,
    ) -> Result<(), Unstored> {
        let directives = &control.directives;
        if *self.method != Method::GET {
            return Err(Unstored::Method);
        }
        self.check_status(directives)?;
        if directives.private == Reach::All {
            return Err(Unstored::Private);
        }
        if rules.clients == Clients::Heeded && Wishes::read(self.request).no_store {
            return Err(Unstored::ClientNoStore);
        }
        let is_shared = is_for_several(directives) || directives.must_revalidate;
        if self.request.contains_key(AUTHORIZATION) && !is_shared {
            return Err(Unstored::Authorization);
        }
        if rules.strictness == Strictness::Safe && self.sets_cookie(control) {
            return Err(Unstored::SetCookie);
        }
        if !is_heuristic(self.status) && !directives.public && lifetime == Lifetime::Unknown {
            return Err(Unstored::NotAllowed);
        }
        if self.is_useless(directives, lifetime) {
            return Err(Unstored::Useless);
        }
        Ok(())
    }

    fn check_status(&self, directives: &Directives) -> Result<(), Unstored> {
        let status = self.status;
        // A part is stored as one by who asked for it; here it would pass for the whole.
        let is_none = status.is_informational() || status == StatusCode::NOT_MODIFIED;
        if is_none || status == StatusCode::PARTIAL_CONTENT {
            return Err(Unstored::Status);
        }
        // Who understands the status passes over a no-store that is for others (§5.2.2.3).
        match (directives.must_understand, is_understood(status)) {
            (true, true) => Ok(()),
            (true, false) => Err(Unstored::NotUnderstood),
            (false, _) if directives.no_store => Err(Unstored::NoStore),
            (false, _) => Ok(()),
        }
    }

    /// It sets a cookie that others would get, and nothing says that they may.
    fn sets_cookie(&self, control: &Control) -> bool {
        let directives = &control.directives;
        let is_hidden = [&directives.private, &directives.no_cache]
            .iter()
            .any(|reach| reach.fields().contains(&SET_COOKIE));
        let is_meant = is_for_several(directives)
            || control.is_targeted && matches!(directives.max_age, Some(Span::For(_)));
        self.response.contains_key(SET_COOKIE) && !is_hidden && !is_meant
    }

    /// It is stale at once, and nothing is there to ask its server about it by.
    fn is_useless(&self, directives: &Directives, lifetime: Lifetime) -> bool {
        let is_stale = directives.no_cache == Reach::All || lifetime.length().is_zero();
        let is_sent_stale = directives.no_cache != Reach::All
            && directives.stale_while_revalidate.is_some_and(|span| !span.length().is_zero());
        is_stale && !is_sent_stale && !has_validator(self.response)
    }
}

/// The server says that others than who asked may have it.
fn is_for_several(directives: &Directives) -> bool {
    directives.public || matches!(directives.s_maxage, Some(Span::For(_)))
}

pub(super) fn has_validator(headers: &HeaderMap) -> bool {
    headers.contains_key(ETAG) || headers.contains_key(LAST_MODIFIED)
}

#[cfg(test)]
mod tests {
    use super::super::members::is_token_byte;
    use super::*;

    #[test]
    fn one_client_does_not_speak_for_the_next() {
        assert!(Unstored::NoStore.is_lasting() && Unstored::Vary.is_lasting());
        assert!(!Unstored::Authorization.is_lasting() && !Unstored::ClientNoStore.is_lasting());
    }

    /// The rules are tested with what they lead to, in `terms`.
    #[test]
    fn every_reason_has_a_word_of_its_own() {
        let mut words = [
            Unstored::Method,
            Unstored::Status,
            Unstored::NotUnderstood,
            Unstored::NoStore,
            Unstored::Private,
            Unstored::Authorization,
            Unstored::SetCookie,
            Unstored::Vary,
            Unstored::NotAllowed,
            Unstored::Useless,
            Unstored::Tags,
            Unstored::ClientNoStore,
        ]
        .map(Unstored::word)
        .to_vec();
        assert!(words.iter().all(|word| word.bytes().all(is_token_byte)), "{words:?}");
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), 12);
    }
}
