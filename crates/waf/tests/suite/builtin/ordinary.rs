//! Requests that nobody may refuse, made for the test: the same in every run.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_suite::exchange::Exchange;

use super::carrier::{CARRIERS, Carrier, carry};
use super::chance::Chance;
use super::values::Values;

pub(super) const REQUESTS: usize = 2_000;
/// Of the test; others serve to look for more.
pub(super) const SEED: u64 = 4;

const NAMES: [&str; 24] = [
    "q",
    "search",
    "name",
    "comment",
    "message",
    "body",
    "title",
    "note",
    "filter[price]",
    "items[0][name]",
    "user.address",
    "text",
    "content",
    "data",
    "value",
    "description",
    "tags[]",
    "field_1",
    "order",
    "where",
    "select",
    "from",
    "group",
    "return",
];

pub(super) struct Ordinary {
    pub(super) kind: &'static str,
    pub(super) carrier: Carrier,
    pub(super) value: String,
    pub(super) exchange: Exchange,
}

/// Ordinary requests, and those of kinds that begin with `beyond`, which rules cannot all tell
/// from attacks: code in the languages that attacks are written in.
pub(super) fn requests(values: &Values, seed: u64, is_beyond: bool, count: usize) -> Vec<Ordinary> {
    let mut chance = Chance::new(seed);
    let all = values.templates.iter();
    let templates: Vec<_> =
        all.filter(|template| template.kind.starts_with("beyond") == is_beyond).copied().collect();
    let beside = values.of_kinds(&["name", "search", "token", "price", "date", "email"]);
    let made = (0..count).map(|number| {
        let template = templates[number % templates.len()];
        let value = values.fill(template, &mut chance);
        let carrier = *chance.pick(&CARRIERS);
        let mut fields = vec![(*chance.pick(&NAMES), value.clone())];
        for name in ["page", "csrf_token", "lang"].iter().take(chance.below(4)) {
            let template = *chance.pick(&beside);
            fields.push((name, values.fill(template, &mut chance)));
        }
        let exchange = carry(carrier, &fields, &mut chance);
        Ordinary { kind: template.kind, carrier, value, exchange }
    });
    made.collect()
}

/// How varied they are.
pub(super) fn variety(requests: &[Ordinary], values: &Values) -> String {
    let distinct: BTreeSet<&str> = requests.iter().map(|one| one.value.as_str()).collect();
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for one in requests {
        *kinds.entry(one.kind).or_default() += 1;
    }
    let templates = values.templates.iter().filter(|one| !one.kind.starts_with("beyond")).count();
    format!(
        "{} requests with {} distinct values of {templates} templates, sent in {} ways: {kinds:?}",
        requests.len(),
        distinct.len(),
        CARRIERS.len()
    )
}
