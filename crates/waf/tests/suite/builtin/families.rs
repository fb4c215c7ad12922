//! How much of each family of attacks is refused, and how much that is none.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use serde_yaml::Value;
use tidegate_suite::case::Stage;
use tidegate_suite::outcome::Outcome;
use tidegate_waf::parse::{Action, Directive, Disk, Reader};

/// What the rules claim to know, by the numbers of the files of CRS that know it.
const FAMILIES: [(&str, &[u32]); 9] = [
    ("SQL injection", &[942]),
    ("scripts (XSS)", &[941]),
    ("files: traversal, inclusion", &[930, 931]),
    ("commands", &[932]),
    ("PHP", &[933]),
    ("templates, Node, SSRF", &[934]),
    ("Java, Log4j", &[944]),
    ("protocol: headers, forms", &[921, 922]),
    ("scanners", &[913]),
];

#[derive(Default)]
pub(super) struct Share {
    pub(super) refused: usize,
    pub(super) all: usize,
}

impl Share {
    fn add(&mut self, outcome: &Outcome) {
        self.refused += usize::from(outcome.is_refused);
        self.all += 1;
    }

    pub(super) fn percent(&self) -> f64 {
        let all = u32::try_from(self.all.max(1)).unwrap();
        100.0 * f64::from(u32::try_from(self.refused).unwrap()) / f64::from(all)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} ({:.1} %)", self.refused, self.all, self.percent())
    }
}

/// The stages of a family.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) name: &'static str,
    /// Those that expect a rule of level 1 to log.
    pub(super) attacks: Share,
    /// Those that only expect rules not to log.
    pub(super) others: Share,
    /// The same, without those that were reviewed: attacks that another rule knows.
    pub(super) harmless: Share,
    /// Those of the others that CRS refuses at level 1, by another rule than the one that they
    /// are about.
    pub(super) refused_by_crs: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: refused of attacks {}, of stages that only expect no match {}, of these without \
             the reviewed {}; CRS at level 1 refuses {}",
            self.name, self.attacks, self.others, self.harmless, self.refused_by_crs
        )
    }
}

/// What is judged: a stage, what the rules here say of it, and what CRS says at level 1.
pub(super) type Judged<'a> = (&'a Stage, &'a Outcome, &'a Outcome);

pub(super) fn tally<'a>(
    judged: impl Iterator<Item = Judged<'a>>,
    level_1: &BTreeSet<u32>,
    reviewed: &[Reviewed],
) -> Vec<Tally> {
    let mut tallies: Vec<Tally> =
        FAMILIES.iter().map(|(name, _)| Tally { name, ..Tally::default() }).collect();
    for (stage, ours, theirs) in judged {
        let Some(tally) = family(stage).and_then(|place| tallies.get_mut(place)) else { continue };
        if stage.expected.expects_any_of(level_1) {
            tally.attacks.add(ours);
        } else if stage.expected.only_excludes_rules() {
            tally.others.add(ours);
            tally.refused_by_crs += usize::from(theirs.is_refused);
            if !reviewed.iter().any(|one| one.stage == stage.name) {
                tally.harmless.add(ours);
            }
        }
    }
    tallies
}

/// The place of a stage's family among `FAMILIES`.
pub(super) fn family(stage: &Stage) -> Option<usize> {
    let file = stage.name.get(..3).and_then(|digits| digits.parse::<u32>().ok())?;
    FAMILIES.iter().position(|(_, files)| files.contains(&file))
}

pub(super) fn sum(tallies: &[Tally]) -> Tally {
    let mut sum = Tally { name: "all", ..Tally::default() };
    for one in tallies {
        for (into, from) in [
            (&mut sum.attacks, &one.attacks),
            (&mut sum.others, &one.others),
            (&mut sum.harmless, &one.harmless),
        ] {
            into.refused += from.refused;
            into.all += from.all;
        }
        sum.refused_by_crs += one.refused_by_crs;
    }
    sum
}

/// A stage that only expects some rule not to match, and is an attack that other rules know.
pub(super) struct Reviewed {
    pub(super) stage: String,
}

/// The list beside this file.
pub(super) fn reviewed() -> Vec<Reviewed> {
    let list: Value = serde_yaml::from_str(include_str!("attacks_elsewhere.yaml")).unwrap();
    let stages = list.as_sequence().into_iter().flatten().flat_map(|entry| {
        assert!(entry["attack"].as_str().is_some_and(|attack| !attack.is_empty()), "{entry:?}");
        entry["stages"].as_sequence().unwrap()
    });
    stages.map(|stage| Reviewed { stage: stage.as_str().unwrap().to_owned() }).collect()
}

/// The rules of CRS at paranoia level 1.
pub(super) fn level_1(crs: &Path) -> BTreeSet<u32> {
    let mut reader = Reader::new(&Disk, &|_| false);
    reader.text(&crs.join("all.conf"), b"Include rules/*.conf");
    let tree = reader.finish().unwrap_or_else(|faults| panic!("{faults}"));
    let rules = tree.directives.iter().filter_map(|directive| match &directive.value {
        Directive::Rule(rule) => Some(rule),
        _ => None,
    });
    let of_level = rules.filter(|rule| {
        let mut actions = rule.links.iter().flat_map(|link| &link.actions);
        actions.any(|action| match &action.value {
            Action::Tag(tag) => tag.literal() == Some(b"paranoia-level/1"),
            _ => false,
        })
    });
    of_level.map(|rule| rule.id.0).collect()
}
