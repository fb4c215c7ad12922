//! How much of each family of attacks is refused, and how much that is none.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use tidegate_waf::parse::{Action, Directive, Disk, Reader};

use crate::case::Stage;
use crate::outcome::Outcome;

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
    /// Those that only expect rules not to log, and that CRS itself does not refuse at level 1.
    pub(super) others: Share,
    /// Those of them that CRS refuses: attacks that another of its rules knows.
    pub(super) known_otherwise: Share,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: refused of attacks {}, of what CRS lets pass, too, {}, of what it refuses by \
             other rules {}",
            self.name, self.attacks, self.others, self.known_otherwise
        )
    }
}

pub(super) fn tally(
    stages: &[Stage],
    ours: &[Outcome],
    theirs: &[Outcome],
    level_1: &BTreeSet<u32>,
) -> Vec<Tally> {
    let mut tallies: Vec<Tally> =
        FAMILIES.iter().map(|(name, _)| Tally { name, ..Tally::default() }).collect();
    for ((stage, ours), theirs) in stages.iter().zip(ours).zip(theirs) {
        let family = stage.name.get(..3).and_then(|digits| digits.parse::<u32>().ok());
        let place =
            FAMILIES.iter().position(|(_, files)| family.is_some_and(|f| files.contains(&f)));
        let Some(tally) = place.and_then(|place| tallies.get_mut(place)) else { continue };
        if stage.expected.expects_any_of(level_1) {
            tally.attacks.add(ours);
        } else if stage.expected.only_excludes_rules() {
            match theirs.is_refused {
                true => tally.known_otherwise.add(ours),
                false => tally.others.add(ours),
            }
        }
    }
    tallies
}

pub(super) fn sum(tallies: &[Tally]) -> Tally {
    let mut sum = Tally { name: "all", ..Tally::default() };
    for one in tallies {
        for (into, from) in [
            (&mut sum.attacks, &one.attacks),
            (&mut sum.others, &one.others),
            (&mut sum.known_otherwise, &one.known_otherwise),
        ] {
            into.refused += from.refused;
            into.all += from.all;
        }
    }
    sum
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
