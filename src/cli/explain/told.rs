//! What an operator is told of a request: as text, or as JSON.

use serde_json::{Value as Json, json};

use crate::sanitise::Malformed;
use crate::waf::{Blocked, Explanation, Of, Remedy, Score};

use super::log_line::Logged;
use super::matched::{rule, rule_json, shown};

/// What became of a request.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It is refused before anybody looks for its route.
    Malformed(Malformed),
    /// No route takes it.
    NoRoute,
    /// No rules are asked about it.
    Unjudged {
        route: Option<String>,
        why: &'static str,
    },
    Judged(Box<Judgement>),
}

/// What rules make of a request.
#[derive(Debug)]
pub(super) struct Judgement {
    pub(super) request: String,
    pub(super) route: Option<String>,
    pub(super) profile: String,
    pub(super) is_detecting: bool,
    /// Whether the profile excludes something already.
    pub(super) has_exclusions: bool,
    pub(super) explanation: Explanation,
    /// Why the answer that is there was not judged.
    pub(super) unheard: Option<Unheard>,
    pub(super) remedy: Option<Remedy>,
}

/// Why an answer is not judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unheard {
    /// The profile judges none.
    Profile,
    /// The route asks no server.
    Ours,
    /// The request comes to no server.
    Refused,
}

/// The answer.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) outcome: Outcome,
    /// The rules that matched the request, by the line of a log that it was put together from.
    pub(super) rules_of_log: Vec<Logged>,
    /// By which listener, if by others it is otherwise; and how by those.
    pub(super) listener: Option<String>,
    pub(super) others: Vec<(String, Outcome)>,
    /// Why else it was refused, by that line.
    pub(super) refusal_of_log: Option<String>,
}

impl Outcome {
    pub(super) fn is_refused(&self) -> bool {
        match self {
            Outcome::Malformed(_) | Outcome::NoRoute => true,
            Outcome::Judged(judgement) => judgement.explanation.refused.is_some(),
            Outcome::Unjudged { .. } => false,
        }
    }

    /// Whether nothing that is told of them is different.
    pub(super) fn is_same(&self, other: &Outcome) -> bool {
        self.json(&[]) == other.json(&[])
    }

    fn text(&self, missing: &[&Logged]) -> String {
        match self {
            Outcome::Judged(judgement) => judgement.text(missing),
            _ => self.headline(),
        }
    }

    /// The same in a sentence.
    fn headline(&self) -> String {
        match self {
            Outcome::Malformed(malformed) => {
                let tag = malformed.tag();
                format!("Refused before any rule is asked: {malformed} (sanitise, `{tag}`).")
            }
            Outcome::NoRoute => "Refused before any rule is asked: no route takes it.".to_owned(),
            Outcome::Unjudged { route, why } => match route {
                Some(route) => format!("Passes: no rule is asked. Route `{route}`: {why}."),
                None => format!("Passes: no rule is asked, {why}."),
            },
            Outcome::Judged(judgement) => judgement.verdict(),
        }
    }

    fn json(&self, missing: &[&Logged]) -> Json {
        match self {
            Outcome::Malformed(malformed) => {
                json!({ "verdict": "refused", "room": "sanitise", "refusal": malformed.tag() })
            }
            Outcome::NoRoute => {
                json!({ "verdict": "refused", "room": "route", "refusal": "no_route" })
            }
            Outcome::Unjudged { route, why } => {
                json!({ "verdict": "passes", "route": route, "why": why })
            }
            Outcome::Judged(judgement) => judgement.json(missing),
        }
    }
}

impl Told {
    pub(super) fn of(outcome: Outcome) -> Told {
        Told {
            outcome,
            rules_of_log: Vec::new(),
            listener: None,
            others: Vec::new(),
            refusal_of_log: None,
        }
    }

    pub(super) fn is_refused(&self) -> bool {
        self.outcome.is_refused()
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        if let Some(listener) = &self.listener {
            text.push_str(&format!("By listener {listener}:\n\n"));
        }
        text.push_str(&self.outcome.text(&self.missing()));
        for (listener, outcome) in &self.others {
            let headline = outcome.headline();
            text.push_str(&format!(
                "\n\nBy listener {listener} it is otherwise (--listener {listener} says more):\n\
                 {headline}"
            ));
        }
        if let (Some(refusal), false) = (&self.refusal_of_log, self.is_refused()) {
            let refusal = shown(refusal.as_bytes());
            text.push_str(&format!(
                "\n\nThe line says `{refusal}`, which is not by rules that judge requests, or by what \
                 no line tells of them: explain the whole request."
            ));
        }
        text
    }

    pub(super) fn json(&self) -> String {
        let mut value = self.outcome.json(&self.missing());
        if let Some(listener) = &self.listener {
            let others = self.others.iter().map(|(listener, outcome)| {
                let mut other = outcome.json(&[]);
                other["listener"] = json!(listener);
                other
            });
            let others: Vec<Json> = others.collect();
            (value["listener"], value["others"]) = (json!(listener), json!(others));
        }
        format!("{value:#}")
    }

    /// Rules that the log has, and that do not match what it tells of the request.
    fn missing(&self) -> Vec<&Logged> {
        let Outcome::Judged(judgement) = &self.outcome else { return Vec::new() };
        let matched = |id: u32| judgement.explanation.matches.iter().any(|found| found.id == id);
        self.rules_of_log.iter().filter(|rule| !matched(rule.id)).collect()
    }
}

impl Judgement {
    fn text(&self, missing: &[&Logged]) -> String {
        let mut text = format!("{}: ", self.request);
        if let Some(route) = &self.route {
            text.push_str(&format!("route `{route}`, "));
        }
        text.push_str(&format!("profile `{}`\n", self.profile));
        for matched in &self.explanation.matches {
            text.push_str(&rule(matched));
        }
        text.push_str(&format!("\n{}\n", self.verdict()));
        if let Some(unheard) = self.unheard {
            let profile = &self.profile;
            text.push_str(&match unheard {
                Unheard::Profile => {
                    format!("The answer is not judged: `{profile}` has no `responses: true`.\n")
                }
                Unheard::Ours => "The answer is not judged: the route asks no server.\n".to_owned(),
                Unheard::Refused => {
                    "The answer is not judged: no server is asked, for the request is refused.\n"
                        .to_owned()
                }
            });
        }
        if !missing.is_empty() {
            text.push_str(
                "\nThe log has rules that do not match what its line tells of the request; \
                 explain the whole request to see why:\n",
            );
            for Logged { id, names } in missing {
                text.push_str(&format!("    {id} {}\n", shown(names.join(" ").as_bytes())));
            }
        }
        text.push_str(&self.way_out());
        text.trim_end().to_owned()
    }

    fn verdict(&self) -> String {
        let Explanation { request, answer, .. } = &self.explanation;
        let mut score = scored(*request);
        if let Some(answer) = answer {
            score = format!("{score}; of its answer {}", scored(*answer));
        }
        match (&self.explanation.refused, &self.explanation.detected) {
            (Some(blocked), _) => format!("Refused: {}; {score}.", why(blocked)),
            (None, Some(blocked)) if self.is_detecting => {
                format!("Passes, for the profile only detects. {}; {score}.", why(blocked))
            }
            (None, Some(blocked)) => {
                format!("Passes, for rules only detect here. {}; {score}.", why(blocked))
            }
            (None, None) => format!("Passes: {score}."),
        }
    }

    /// What would let the request pass.
    fn way_out(&self) -> String {
        let Some(against) = self.explanation.against() else { return String::new() };
        let Some(remedy) = &self.remedy else {
            let key = format!("waf.{}.body", self.profile);
            return match against {
                Blocked::Over => format!("See {key}: `inspect` and `over`.\n"),
                Blocked::Rule(id) | Blocked::Answer(id) => {
                    format!("No exclusion that was tried lets it pass; see rule {id} itself.\n")
                }
                _ => "No exclusion lets it pass.\n".to_owned(),
            };
        };
        let add = if self.has_exclusions { "Add it to what the profile excludes" } else { "Write" };
        let (what, rest) = match self.explanation.decisive() {
            (Of::Answer, _) => ("answer", remedy.after.answer),
            _ => ("request", Some(remedy.after.request)),
        };
        let rest = rest.map_or(0, |score| score.sum);
        format!(
            "\nIf the {what} is harmless, this lets it pass (tried: score {rest}). {add}:\n\n{}",
            self.yaml(remedy)
        )
    }

    /// The exclusions as they stand in the configuration.
    fn yaml(&self, remedy: &Remedy) -> String {
        let mut text = format!("waf:\n  {}:\n    exclude:\n", self.profile);
        for one in &remedy.exclude {
            text.push_str(&format!("      - {one}\n"));
        }
        text
    }

    fn json(&self, missing: &[&Logged]) -> Json {
        let Explanation { refused, detected, request, answer, matches } = &self.explanation;
        let verdict = match (refused, detected) {
            (Some(_), _) => "refused",
            (None, Some(_)) => "detected",
            (None, None) => "passes",
        };
        let against = self.explanation.against();
        let remedy = self.remedy.as_ref().map(|remedy| {
            let exclude: Vec<Json> = remedy.exclude.iter().map(|one| json!(one)).collect();
            let Explanation { request, answer, .. } = &remedy.after;
            json!({
                "exclude": exclude,
                "yaml": self.yaml(remedy),
                "score": request.sum,
                "answer_score": answer.map(|answer| answer.sum),
            })
        });
        let unheard = self.unheard.map(|unheard| match unheard {
            Unheard::Profile => "responses",
            Unheard::Ours => "no_server",
            Unheard::Refused => "request_refused",
        });
        json!({
            "request": self.request,
            "route": self.route,
            "profile": self.profile,
            "verdict": verdict,
            "refusal": against.map(Blocked::tag),
            "rule": against.and_then(Blocked::rule_id),
            "score": request.sum,
            "threshold": request.threshold,
            "answer_score": answer.map(|answer| answer.sum),
            "answer_threshold": answer.and_then(|answer| answer.threshold),
            "answer_unjudged": unheard,
            "matches": matches.iter().map(rule_json).collect::<Vec<_>>(),
            "missing": missing.iter().map(|rule| rule.id).collect::<Vec<_>>(),
            "remedy": remedy,
        })
    }
}

fn scored(score: Score) -> String {
    let Score { sum, threshold } = score;
    let of = threshold.map_or(String::new(), |threshold| format!(", {threshold} refuse"));
    format!("score {sum}{of}")
}

fn why(blocked: &Blocked) -> String {
    match blocked {
        Blocked::Rule(id) => format!("rule {id} is against it"),
        Blocked::Uninspected(overrun) => overrun.to_string(),
        Blocked::Over => "its body is larger than what is judged".to_owned(),
        Blocked::ClientFull | Blocked::Full => "its body is larger than what is kept".to_owned(),
        Blocked::Answer(id) => format!("rule {id} is against its answer"),
        Blocked::AnswerUninspected | Blocked::AnswerOver => {
            "its answer is more than what is judged".to_owned()
        }
    }
}
