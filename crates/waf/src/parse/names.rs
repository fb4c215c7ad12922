//! Names of the language: tables searched in any case, and the nearest name to a misspelt one.

use crate::parse::fault::{Fault, Problem};
use crate::parse::text::Part;

const LONGEST_NAME: usize = 40;
const FEW_NAMES: usize = 12;

/// An enum of names, each with its spelling and aliases; `what` names the kind in faults.
macro_rules! names {
    ($what:literal, $(#[$meta:meta])* $vis:vis enum $enum:ident {
        $($variant:ident = $name:literal $(| $alias:literal)*),+ $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis enum $enum {
            $(#[doc = concat!("`", $name, "`.")] $variant),+
        }

        impl $enum {
            /// The name as ModSecurity's manual writes it.
            #[must_use]
            $vis const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }

        impl $crate::parse::names::Named for $enum {
            const WHAT: &'static str = $what;
            fn table() -> &'static [(&'static str, Self)] {
                &[$(($name, Self::$variant), $(($alias, Self::$variant),)*)+]
            }
        }
    };
}
pub(crate) use names;

pub(crate) trait Named: Copy + 'static {
    const WHAT: &'static str;
    fn table() -> &'static [(&'static str, Self)];
}

/// The name that `part` spells, else a fault with the nearest one.
pub(crate) fn find<N: Named>(part: Part<'_>) -> Result<N, Fault> {
    lookup(part.bytes()).ok_or_else(|| {
        let names: Vec<_> = N::table().iter().map(|(name, _)| *name).collect();
        unknown(N::WHAT, part, &names)
    })
}

/// The fault of a name that is not in `names`, with the nearest one, or all if they are few.
pub(crate) fn unknown(what: &'static str, part: Part<'_>, names: &[&'static str]) -> Fault {
    let advice = match nearest(part.bytes(), names.iter().copied()) {
        Some(name) => format!(": did you mean `{name}`?"),
        None if names.len() <= FEW_NAMES => {
            let names: Vec<_> = names.iter().copied().filter(|name| !name.is_empty()).collect();
            format!(": write one of {}", names.join(", "))
        }
        None => String::new(),
    };
    Fault::at(part, Problem::Unknown { what, name: part.shown(), advice })
}

pub(crate) fn lookup<N: Named>(name: &[u8]) -> Option<N> {
    let found = N::table().iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name));
    found.map(|(_, named)| *named)
}

/// The name with the fewest edits, if those are at most a third of its length.
fn nearest(name: &[u8], names: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    if name.is_empty() || name.len() > LONGEST_NAME {
        return None;
    }
    let name = name.to_ascii_lowercase();
    names
        .filter(|known| known.len() > 1)
        .map(|known| (edits(&name, &known.as_bytes().to_ascii_lowercase()), known))
        .filter(|(edits, known)| *edits <= (known.len() / 3).clamp(1, 4))
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, known)| known)
}

/// Levenshtein's distance. O(a·b); a ≤ 40, b is a name of the language.
fn edits(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (y, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let kept = diagonal + usize::from(x != y);
            diagonal = *cell;
            left = kept.min(diagonal + 1).min(left + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(a.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_edits() {
        for (a, b, count) in
            [("", "", 0), ("a", "", 1), ("", "ab", 2), ("args", "arsg", 2), ("arg", "args", 1)]
        {
            assert_eq!(edits(a.as_bytes(), b.as_bytes()), count, "{a} {b}");
        }
    }

    #[test]
    fn finds_the_nearest_name_or_none() {
        for (name, expected) in [("ARG", Some("ARGS")), ("files", Some("FILES")), ("zzzzzz", None)]
        {
            assert_eq!(nearest(name.as_bytes(), ["ARGS", "FILES"].into_iter()), expected);
        }
        assert_eq!(nearest(&[b'A'; 4_000], ["ARGS"].into_iter()), None);
    }
}
