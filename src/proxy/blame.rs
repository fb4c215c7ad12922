//! Whose doing a refusal is: the security log is for what clients did, and in an
//! overload all others would fill it.

use crate::access::{BasicFault, Challenged, Denied, ForwardFault, JwtFault, Pressure, Unproven};
use crate::limit::Exceeded;
use crate::log::Blame;
use crate::waf::Blocked;

use super::refuse::Refusal;

pub(super) fn of(refusal: &Refusal) -> Blame {
    match refusal {
        Refusal::Malformed(_)
        | Refusal::Head(_)
        | Refusal::WrongHost(_)
        | Refusal::TwoClients(_)
        | Refusal::NoRoute(_)
        | Refusal::BodyTooLarge
        | Refusal::NotStored
        | Refusal::NoPurge
        | Refusal::ClientTooSlow
        | Refusal::NoFile
        | Refusal::FileMethod => Blame::Client,
        Refusal::Denied(denied) => of_denied(denied),
        Refusal::Exceeded(exceeded) => match exceeded {
            Exceeded::Banned
            | Exceeded::Rate { .. }
            | Exceeded::Client
            | Exceeded::ClientOfRoute => Blame::Client,
            Exceeded::Route => Blame::Site,
        },
        Refusal::Blocked(blocked) => match blocked {
            Blocked::Rule(_) | Blocked::Uninspected(_) | Blocked::Over | Blocked::ClientFull => {
                Blame::Client
            }
            // Whoever asks for such an answer may know what it does, and the log is where to look.
            Blocked::Answer(_) => Blame::Client,
            Blocked::Full | Blocked::AnswerUninspected | Blocked::AnswerOver => Blame::Site,
        },
        // Whoever leaves has done nothing.
        Refusal::ClientLeft(_)
        | Refusal::Crowded(_)
        | Refusal::NoServer(_)
        | Refusal::ServerUnreachable
        | Refusal::BadAnswer
        | Refusal::ServerTooSlow
        | Refusal::TookTooLong
        | Refusal::Internal => Blame::Site,
    }
}

fn of_denied(denied: &Denied) -> Blame {
    match denied {
        Denied::Basic(BasicFault::Busy | BasicFault::Unverifiable, _)
        | Denied::Jwt(JwtFault::NotReady) => Blame::Site,
        Denied::Forward(fault) => match fault {
            ForwardFault::Refused(_) => Blame::Client,
            ForwardFault::Unreachable(_)
            | ForwardFault::TooSlow
            | ForwardFault::Busy
            | ForwardFault::Unusable(_) => Blame::Site,
        },
        // All who come are asked as long as the route gets too much.
        Denied::Challenge(challenged) => match challenged {
            _ if challenged.is_lie() => Blame::Client,
            Challenged::Unproven(Unproven { pressure: Pressure::Shedding, .. }) => Blame::Site,
            Challenged::Unproven(_) | Challenged::Solved(_) => Blame::Client,
        },
        _ => Blame::Client,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::balance::NoServer;
    use crate::route::NoRoute;
    use crate::sanitise::Malformed;

    #[test]
    fn what_is_too_much_for_the_site_is_no_clients_doing() {
        let asked = || HeaderValue::from_static("Basic");
        for (refusal, expected) in [
            (Malformed::BareLf.into(), Blame::Client),
            (NoRoute::Unknown.into(), Blame::Client),
            (Denied::Network.into(), Blame::Client),
            (Denied::Basic(BasicFault::Wrong, asked()).into(), Blame::Client),
            (Denied::Basic(BasicFault::Busy, asked()).into(), Blame::Site),
            (Denied::Jwt(JwtFault::Expired).into(), Blame::Client),
            (Denied::Jwt(JwtFault::NotReady).into(), Blame::Site),
            (Denied::Forward(ForwardFault::TooSlow).into(), Blame::Site),
            (Denied::Forward(ForwardFault::Busy).into(), Blame::Site),
            (Denied::Forward(ForwardFault::Unreachable(String::new())).into(), Blame::Site),
            (Exceeded::Banned.into(), Blame::Client),
            (Exceeded::ClientOfRoute.into(), Blame::Client),
            (Exceeded::Route.into(), Blame::Site),
            (Blocked::Rule("942100".into()).into(), Blame::Client),
            (Blocked::Full.into(), Blame::Site),
            (Blocked::Answer("951100".into()).into(), Blame::Client),
            (Blocked::AnswerOver.into(), Blame::Site),
            (Refusal::NoServer(NoServer::AllBusy), Blame::Site),
            (Refusal::TookTooLong, Blame::Site),
        ] {
            assert_eq!(of(&refusal), expected, "{refusal:?}");
        }
    }
}
