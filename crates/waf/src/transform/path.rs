//! Paths without doubled separators and without references to themselves or their parents.

use std::borrow::Cow;

use memchr::memchr2;

use super::rewrite::settle;

pub(super) fn is_trigger(byte: u8) -> bool {
    matches!(byte, b'/' | b'.')
}

pub(super) fn is_trigger_win(byte: u8) -> bool {
    matches!(byte, b'/' | b'\\' | b'.')
}

/// Resolves `.` and `..`, and makes one of several slashes.
///
/// An absolute path stays below its root; a relative one keeps what leads above its start.
/// Like ModSecurity it drops a part that ends with `..`, and takes the path to be above its
/// start, once it has been there, as long as it is one byte long.
pub(super) fn normalize(value: &[u8]) -> Cow<'_, [u8]> {
    normalize_by(value, |byte| byte == b'/')
}

/// Does the same with `\` read as `/`, and written as such.
///
/// ModSecurity lets the third of three backslashes in a row stand. Here it is one more slash,
/// lest it hide a path.
pub(super) fn normalize_win(value: &[u8]) -> Cow<'_, [u8]> {
    normalize_by(value, |byte| matches!(byte, b'/' | b'\\'))
}

fn normalize_by(value: &[u8], is_slash: impl Fn(u8) -> bool) -> Cow<'_, [u8]> {
    let (Some(first), Some(last)) = (value.first(), value.last()) else {
        return Cow::Borrowed(value);
    };
    if is_normal(value, &is_slash) {
        return Cow::Borrowed(value);
    }
    let mut walk = Walk { out: Vec::with_capacity(value.len()), is_at_start: false };
    let (is_relative, is_folder) = (!is_slash(*first), is_slash(*last));
    if !is_relative {
        walk.out.push(b'/');
    }
    let parts = value.split(|&byte| is_slash(byte)).filter(|part| !part.is_empty());
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        if is_relative {
            walk.enter_relative(part);
        } else {
            walk.enter(part);
        }
        let is_followed = is_folder || parts.peek().is_some();
        if is_followed && !(is_relative && walk.out.is_empty()) {
            walk.out.push(b'/');
        }
    }
    if !is_folder && walk.out.ends_with(b"/") {
        walk.out.pop();
    }
    settle(value, walk.out)
}

fn is_normal(value: &[u8], is_slash: impl Fn(u8) -> bool) -> bool {
    if memchr2(b'/', b'\\', value).is_none() {
        return value != b"." && !value.ends_with(b"..");
    }
    let mut is_after_slash = false;
    for &byte in value {
        let is_slash = is_slash(byte);
        if is_slash && (is_after_slash || byte != b'/') {
            return false;
        }
        is_after_slash = is_slash;
    }
    value.split(|&byte| byte == b'/').all(|part| part != b"." && !part.ends_with(b".."))
}

/// The path so far. Invariant: where a part is entered, it is empty or ends with a slash.
struct Walk {
    out: Vec<u8>,
    is_at_start: bool,
}

impl Walk {
    fn enter_relative(&mut self, part: &[u8]) {
        let is_nothing_before = self.out.len() + part.len() <= 3;
        if part.ends_with(b"..") && (self.is_at_start || is_nothing_before) {
            self.is_at_start = true;
            self.out.extend_from_slice(part);
        } else {
            self.enter(part);
        }
    }

    fn enter(&mut self, part: &[u8]) {
        match part {
            b"." => self.drop_slash(),
            b".." => {
                self.drop_slash();
                let parent = self.out.iter().rposition(|&byte| byte == b'/');
                self.out.truncate(parent.unwrap_or_default());
                self.is_at_start |= self.out.is_empty();
            }
            [_, .., b'.', b'.'] => {
                self.drop_slash();
                self.is_at_start |= self.out.is_empty();
            }
            _ => {
                let is_first_byte = self.out.is_empty() && part.len() == 1;
                self.is_at_start &= part.ends_with(b".") || is_first_byte;
                self.out.extend_from_slice(part);
            }
        }
    }

    fn drop_slash(&mut self) {
        if self.out.ends_with(b"/") {
            self.out.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::rewrite::check;

    #[test]
    fn an_absolute_path_stays_below_its_root() {
        check(normalize, b"/../../etc/./passwd", b"/etc/passwd");
        check(normalize, b"/a/b/..//../c/", b"/c/");
        check(normalize, b"/a/../..", b"");
    }

    #[test]
    fn a_relative_path_keeps_what_leads_above_it() {
        check(normalize, b"../../a/../b", b"../../b");
        check(normalize, b"dir/../../b/..", b"..");
        check(normalize, b"a/../b/..", b"b/..");
    }

    #[test]
    fn drops_a_part_that_ends_with_two_dots() {
        check(normalize, b"/a/b../c", b"/a/c");
        check(normalize, b"/a/.../c", b"/a/c");
        check(normalize, b"b../c", b"b../c");
    }

    #[test]
    fn leaves_a_normal_path() {
        for value in ["", "/", "a", "/a", "a/", "/a/b.c/d./.e/..f", "..", "../", "../.."] {
            check(normalize, value.as_bytes(), value.as_bytes());
            check(normalize_win, value.as_bytes(), value.as_bytes());
        }
        check(normalize, br"a\..\b", br"a\..\b");
    }

    #[test]
    fn a_backslash_is_a_slash_to_windows() {
        check(normalize_win, br"\a/.\b\..\\c\", b"/a/c/");
        check(normalize_win, br"a\\\b", b"a/b");
    }
}
