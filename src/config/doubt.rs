//! Which faults of meaning would only follow from faults of the file.
//!
//! The rooms judge a configuration in which faulty values are left out or
//! replaced. What they say of those, or because of them, is no fault of the
//! operator's, and would hide the one that is.

use std::collections::HashSet;

use super::pattern::Pattern;
use crate::fault::{Fault, KeyPath, Step};

/// Faults that hang on another key, too: inside the first, what is said of the
/// second is not to be believed once the third, or what it is a part of, has a fault.
const HANGS_ON: [(&str, &str, &str); 24] = [
    // What a file says that could not be read is not known.
    ("", "listeners", "listeners"),
    ("", "routes[].upstream", "upstreams"),
    ("", "routes[].upstreams.*", "upstreams"),
    ("", "routes[].rate_limits[]", "rate_limits"),
    ("", "defaults.rate_limits[]", "rate_limits"),
    ("", "routes[].access.countries", "clients.geo"),
    ("", "routes[].access.asns", "clients.geo"),
    ("", "routes[].access.challenge", "server.shed"),
    ("routes[]", "access.challenge_difficulty", "access.challenge"),
    ("routes[]", "access.challenge_lasts", "access.challenge"),
    ("", "server.pid_file", "server.upgrade_sock"),
    ("", "server.error_log", "server.upgrade_sock"),
    ("", "server.user", "server.daemon"),
    ("", "server.group", "server.daemon"),
    ("listeners[]", "protocols[]", "tls"),
    ("listeners[].tls", "certificates", "acme"),
    ("upstreams.*", "servers", "discover"),
    ("upstreams.*", "protocol", "tls"),
    ("upstreams.*.tls", "cert", "key"),
    ("upstreams.*.tls", "key", "cert"),
    ("routes[]", "redirect.to", "match.*"),
    ("routes[]", "rewrite.path", "match.*"),
    ("routes[].rewrite", "regex", "replace"),
    ("routes[].rewrite", "replace", "regex"),
];

/// What of a configuration is not what was written.
#[derive(Default)]
pub(super) struct Doubt {
    /// Where faults of the file are.
    told: Vec<KeyPath>,
    /// The values that are missing or stood in for.
    replaced: HashSet<KeyPath>,
}

impl Doubt {
    /// A fault of the file was found at this key.
    pub(super) fn told(&mut self, at: &KeyPath) {
        // What an included file would have said may be anywhere.
        let is_include = at.steps().first() == Some(&Step::from("include"));
        self.told.push(if is_include { KeyPath::root() } else { at.clone() });
    }

    /// This value is missing, or another stands in for it.
    pub(super) fn replaced(&mut self, at: KeyPath) {
        self.replaced.insert(at);
    }

    /// An unknown key was probably meant to be this one, which may be there as well.
    pub(super) fn misspelt(&mut self, meant: KeyPath, is_there: bool) {
        self.told.push(meant.clone());
        if !is_there {
            self.replaced(meant);
        }
    }

    /// The replaced value that this one is, or is a part of.
    pub(super) fn replaced_at(&self, at: &KeyPath) -> Option<KeyPath> {
        let steps = at.steps();
        let mut ways = (0..=steps.len()).filter_map(|end| steps.get(..end));
        ways.find_map(|way| self.replaced.get(way)).cloned()
    }

    /// Whether a fault of meaning only follows from faults of the file.
    pub(super) fn explains(&self, fault: &Fault) -> bool {
        [&fault.at].into_iter().chain(&fault.others).any(|at| self.is_at(at))
    }

    fn is_at(&self, at: &KeyPath) -> bool {
        // A whole is not judged while one of its parts is not what was written.
        let has_faulty_part = || self.told.iter().any(|told| told.steps().starts_with(at.steps()));
        self.replaced_at(at).is_some() || has_faulty_part() || self.hangs_on_a_fault(at.steps())
    }

    fn hangs_on_a_fault(&self, at: &[Step]) -> bool {
        HANGS_ON.iter().any(|(inside, judged, other)| {
            let (inside, judged) = (Pattern::new(inside), Pattern::new(judged));
            let Some((entry, rest)) = at.split_at_checked(inside.len()) else { return false };
            if !inside.fits(entry) || !judged.fits(rest) {
                return false;
            }
            let other = Pattern::new(other);
            let faulty = self.told.iter().filter_map(|told| told.steps().strip_prefix(entry));
            faulty.into_iter().any(|faulty| other.is_below(faulty))
        })
    }
}
