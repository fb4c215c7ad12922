//! Paths with wildcards, as Include takes them: `*`, `?` and `[a-z]`, not across slashes.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::parse::bounds::FILES;
use crate::parse::files::Files;

/// The files that `pattern` matches, sorted; one without wildcards if it exists.
pub(crate) fn expand(pattern: &Path, files: &dyn Files) -> io::Result<Vec<PathBuf>> {
    let mut found = vec![PathBuf::new()];
    for component in pattern.components() {
        let name = component.as_os_str();
        if !matches!(component, Component::Normal(_)) || !has_wildcard(name) {
            found.iter_mut().for_each(|path| path.push(name));
            continue;
        }
        found = descend(&found, name, files)?;
    }
    found.retain(|path| files.exists(path));
    found.sort();
    Ok(found)
}

fn has_wildcard(name: &OsStr) -> bool {
    name.as_bytes().iter().any(|byte| matches!(byte, b'*' | b'?' | b'['))
}

fn descend(bases: &[PathBuf], pattern: &OsStr, files: &dyn Files) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for base in bases {
        let names = match files.list(base) {
            Ok(names) => names,
            // Among several, a base may be a file or gone.
            Err(error) if is_no_directory(&error) => continue,
            Err(error) => return Err(error),
        };
        for name in names {
            if matches(pattern.as_bytes(), name.as_bytes()) {
                found.push(base.join(name));
            }
            if found.len() > FILES {
                return Err(io::Error::other(format!("it matches more than {FILES} files")));
            }
        }
    }
    Ok(found)
}

fn is_no_directory(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Whether a whole name matches; a dot at its start must be written. O(pattern·name).
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    if name.first() == Some(&b'.') && pattern.first() != Some(&b'.') {
        return false;
    }
    let (mut p, mut n) = (0, 0);
    // Where to go on when what follows the last star does not match: one byte more for the star.
    let mut star: Option<(usize, usize)> = None;
    while let Some(byte) = name.get(n) {
        let rest = pattern.get(p..).unwrap_or_default();
        if rest.first() == Some(&b'*') {
            star = Some((p + 1, n));
            p += 1;
        } else if let Some(length) = one(rest, *byte) {
            p += length;
            n += 1;
        } else if let Some((after, taken)) = star {
            star = Some((after, taken + 1));
            (p, n) = (after, taken + 1);
        } else {
            return false;
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|byte| *byte == b'*')
}

/// The length of what matches one byte at the start of `pattern`.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'[', set @ ..] => match bracket(set, byte) {
            Some((true, length)) => Some(length + 1),
            Some((false, _)) => None,
            None => (byte == b'[').then_some(1),
        },
        [first, ..] => (*first == byte).then_some(1),
        [] => None,
    }
}

/// Whether a set holds the byte, and the set's length with its bracket; None if it is not closed.
fn bracket(set: &[u8], byte: u8) -> Option<(bool, usize)> {
    let negated = matches!(set.first(), Some(b'!' | b'^'));
    let start = usize::from(negated);
    // A bracket that comes first is a member.
    let close = set.iter().skip(start + 1).position(|b| *b == b']')? + start + 1;
    let mut members = set.get(start..close)?;
    let mut held = false;
    while let Some(first) = members.first() {
        match members {
            [low, b'-', high, rest @ ..] => {
                held |= (*low..=*high).contains(&byte);
                members = rest;
            }
            [_, rest @ ..] => {
                held |= *first == byte;
                members = rest;
            }
            [] => break,
        }
    }
    Some((held != negated, close + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, name: &str, expected: bool) {
        assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
    }

    #[test]
    fn matches_names() {
        check("*.conf", "a.conf", true);
        check("*.conf", "a.conf.example", false);
        check("*.conf", ".a.conf", false);
        check(".*", ".a", true);
        check("a?c", "abc", true);
        check("a?c", "ac", false);
        check("*a*b*", "xxaxxbxx", true);
        check("*a*b", "xxaxxbxx", false);
        check("", "", true);
        check("*", "", true);
        check("REQUEST-9[0-4]*", "REQUEST-932-X", true);
        check("REQUEST-9[!0-4]*", "REQUEST-932-X", false);
        check("[]]", "]", true);
        check("[a", "[a", true);
        check("[a-]", "-", true);
    }

    #[test]
    fn many_stars_do_not_explode() {
        check(&"*a".repeat(100), &"a".repeat(99), false);
        check(&"*a".repeat(100), &format!("{}b", "a".repeat(4_000)), false);
    }
}
