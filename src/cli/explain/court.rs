//! A request and its answer before the rules of its route, as a listener reads them.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use http::Method;

use crate::config::{self, Config};
use crate::sanitise::Head;
use crate::site::{Action, Site};
use crate::upstream::headers::is_stream;
use crate::waf::{self, Asked, Mode, Named, Profile, Remedy, Shelf, Whole, WholeAnswer};

use super::request::Request;
use super::told::{Judgement, Outcome, Unheard};

/// The port of a client that is only thought of.
const PORT: u16 = 40_000;

/// What is judged.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) request: Request,
    pub(super) answer: Option<WholeAnswer>,
    pub(super) client: IpAddr,
}

/// What is looked for besides a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Search {
    Nothing,
    /// Exclusions that let it pass.
    Exclusions,
}

/// Judges one case by each listener that it may come in by.
pub(super) struct Court<'a> {
    config: &'a Config,
    site: &'a Site,
    /// The profile that was asked for by its name.
    named: Option<&'a str>,
    case: Case,
    profiles: Profiles,
}

/// What was loaded for one listener serves the others, too.
#[derive(Default)]
struct Profiles {
    shelf: Shelf,
    // None for those that are off.
    loaded: HashMap<String, Option<Arc<Profile>>>,
}

/// By which rules a request is judged.
struct Judging {
    profile: String,
    /// None if the profile was asked for by its name.
    route: Option<String>,
    reads_bodies: bool,
    /// Why no answer is judged.
    unheard: Option<Unheard>,
}

enum Found {
    Profile(Judging),
    /// It does not come before rules.
    Nothing(Outcome),
}

impl<'a> Court<'a> {
    pub(super) fn new(
        config: &'a Config,
        site: &'a Site,
        named: Option<&'a str>,
        case: Case,
    ) -> Self {
        Court { config, site, named, case, profiles: Profiles::default() }
    }

    /// Judges what comes in by this listener.
    pub(super) fn judge(&mut self, listener: SocketAddr, search: Search) -> Result<Outcome> {
        let strict = self.site.strict(&listener.to_string());
        let Request { method, target, uri, version, headers, body, is_upgrade } =
            &self.case.request;
        let mut headers = headers.clone();
        for name in strict.names_to_drop(&headers) {
            headers.remove(name);
        }
        let head = match Head::read(method, uri, *version, &headers, strict) {
            Ok(head) => head,
            Err(malformed) => return Ok(Outcome::Malformed(malformed)),
        };
        let found = match find(self.named, &head, self.config, self.site)? {
            Found::Profile(found) => found,
            Found::Nothing(outcome) => return Ok(outcome),
        };
        let Profiles { shelf, loaded } = &mut self.profiles;
        let settings = self.config.waf.get(&found.profile).cloned().unwrap_or_default();
        if !loaded.contains_key(&found.profile) {
            let profile = Profile::new(&settings, shelf).map_err(|faults| anyhow!("{faults:?}"))?;
            loaded.insert(found.profile.clone(), profile.map(Arc::new));
        }
        let Some(Some(profile)) = loaded.get(&found.profile) else {
            return Ok(Outcome::Unjudged { route: found.route, why: "its profile is off" });
        };
        let asked = Asked {
            head: &head,
            target,
            version: *version,
            client: SocketAddr::new(self.case.client, PORT),
            server: listener,
            request_id: "explained",
        };
        let answer = self.case.answer.as_ref().filter(|_| found.unheard.is_none());
        let answer = answer.map(|answer| {
            // Nobody waits for the end of a stream.
            let is_bodiless = *method == Method::HEAD || is_stream(&answer.headers);
            let body = answer.body.clone().filter(|_| !is_bodiless);
            WholeAnswer { status: answer.status, headers: answer.headers.clone(), body }
        });
        let body = body.as_deref().filter(|_| found.reads_bodies && !is_upgrade);
        let whole = Whole { asked, body, answer: answer.as_ref() };
        let explanation = profile.explain(&whole);
        let remedy = match (explanation.against(), search) {
            (Some(_), Search::Exclusions) => {
                Remedy::find(&settings, &whole, explanation.clone(), shelf)
            }
            _ => None,
        };
        let unheard = self.case.answer.as_ref().and_then(|_| match found.unheard {
            _ if explanation.answer.is_some() => None,
            None if !profile.judges_answers() => Some(Unheard::Profile),
            None => Some(Unheard::Refused),
            unheard => unheard,
        });
        Ok(Outcome::Judged(Box::new(Judgement {
            request: format!("{method} {} of {}", head.path, head.host),
            route: found.route,
            profile: found.profile,
            is_detecting: settings.mode == Mode::Detect,
            has_exclusions: !settings.exclude.is_empty(),
            explanation,
            unheard,
            remedy,
        })))
    }
}

fn find(named: Option<&str>, head: &Head<'_>, config: &Config, site: &Site) -> Result<Found> {
    if let Some(name) = named {
        if name != waf::STANDARD && !config.waf.contains_key(name) {
            let names = config.waf.keys().map(String::as_str).chain([waf::STANDARD]);
            bail!("{}", config::unknown("profile", name, names));
        }
        let profile = name.to_owned();
        let judging = Judging { profile, route: None, reads_bodies: true, unheard: None };
        return Ok(Found::Profile(judging));
    }
    let Ok((route, _)) = site.find(head) else {
        return Ok(Found::Nothing(Outcome::NoRoute));
    };
    let index = site.routes().position(|other| std::ptr::eq(other, &**route));
    let written = index.and_then(|index| config.routes.get(index)?.waf.as_ref());
    let (named, route_name) =
        (written.unwrap_or(&config.defaults.waf), Some(route.name.to_string()));
    Ok(match named {
        Named::Off => {
            Found::Nothing(Outcome::Unjudged { route: route_name, why: "its route has waf: off" })
        }
        Named::Profile(name) => Found::Profile(Judging {
            profile: name.clone(),
            route: route_name,
            // Answers of ours need no body, which is not judged then.
            reads_bodies: matches!(route.action, Action::Proxy(_)),
            unheard: match route.action {
                Action::Proxy(_) | Action::Files { .. } => None,
                _ => Some(Unheard::Ours),
            },
        }),
    })
}
