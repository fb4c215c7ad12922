//! Why a request may not pass; what it is told, `proxy` decides.

use http::{HeaderValue, Method};

use super::{BasicFault, Challenged, ForwardFault, JwtFault};

/// Why a request may not pass.
#[derive(Debug, Clone)]
pub(crate) enum Denied {
    /// Its client's network is denied, or not among those allowed.
    Network,
    /// Its client's country is denied, or not among those allowed.
    Country,
    /// The same of its client's autonomous system.
    Asn,
    /// The route takes other methods.
    Method { allow: Vec<Method> },
    /// It was led here by another site, or does not say by which.
    Referer,
    /// Its program is not let in.
    UserAgent,
    /// Its link is not signed, or not with the key.
    Signature,
    /// Its link was good once.
    Expired,
    /// More than one Authorization, of which servers may read different ones.
    TwoCredentials,
    /// No name and password that are right; with what is asked for.
    Basic(BasicFault, HeaderValue),
    /// No token that is good.
    Jwt(JwtFault),
    /// Another server has not let it pass.
    Forward(ForwardFault),
    /// It has to do some work first, or has just done it.
    Challenge(Challenged),
}

impl Denied {
    /// Why, as a word of the log.
    pub(crate) fn tag(&self) -> &'static str {
        match self {
            Denied::Network => "network",
            Denied::Country => "country",
            Denied::Asn => "asn",
            Denied::Method { .. } => "method",
            Denied::Referer => "referer",
            Denied::UserAgent => "user_agent",
            Denied::Signature => "signature",
            Denied::Expired => "expired",
            Denied::TwoCredentials => "credentials_twice",
            Denied::Basic(fault, _) => fault.tag(),
            Denied::Jwt(fault) => fault.tag(),
            Denied::Forward(fault) => fault.tag(),
            Denied::Challenge(challenged) => challenged.tag(),
        }
    }
}
