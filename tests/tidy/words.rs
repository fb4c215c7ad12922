//! Words that have no place in finished code.

use super::source::{Code, House};

/// In two halves, lest this file be its own fault.
const NOTES: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// Files and tools of the place where the code is written.
const WORKPLACE: [&str; 6] = [
    concat!("/wo", "rk/"),
    concat!("/tmp/tar", "get"),
    concat!("work", "tree"),
    concat!("BRI", "EF"),
    concat!("clau", "de"),
    concat!("sub", "agent"),
];

/// Where notes are looked for: not in prose, which may speak about them.
const CODE: [&str; 6] = [".rs", ".toml", ".yaml", ".sh", ".html", ".py"];

pub(super) fn unfinished(house: &House) -> Vec<String> {
    let mut faults = Vec::new();
    for file in house.all() {
        for (at, what) in unfinished_code(&file.code) {
            faults.push(file.fault(file.code.line(at), what));
        }
        if !CODE.iter().any(|extension| file.path.ends_with(extension)) {
            continue;
        }
        for (line, text) in file.lines() {
            if let Some(note) = NOTES.iter().find(|note| is_bare(text, note)) {
                let what = format!("write `{note}(#issue): what` or do it");
                faults.push(file.fault(line, what));
            }
        }
    }
    faults
}

fn unfinished_code(code: &Code) -> Vec<(usize, String)> {
    let left = ["todo", "unimplemented", "dbg"].into_iter().flat_map(|name| {
        let calls = (0..code.len()).filter(move |at| code.reads(*at, &[name, "!"]));
        calls.map(move |at| (at, format!("`{name}!` is left")))
    });
    let ignored = attributes(code).filter(|(start, end)| {
        let is_conditional = code.text(start + 1) == "cfg_attr";
        let last = if is_conditional { *end } else { start + 2 };
        (start + 1..last).any(|at| code.text(at) == "ignore")
    });
    let ignored = ignored.map(|(at, _)| (at, "an ignored test is no test".to_owned()));
    left.chain(ignored).collect()
}

/// Whether the note stands alone, without the number of an issue.
fn is_bare(line: &str, note: &str) -> bool {
    line.match_indices(note).any(|(at, _)| {
        let (before, rest) = line.split_at(at);
        let after = rest.strip_prefix(note).unwrap_or_default();
        let is_word = !before.ends_with(|c: char| c.is_alphanumeric())
            && !after.starts_with(|c: char| c.is_alphanumeric());
        is_word && !after.starts_with("(#")
    })
}

pub(super) fn silenced_lints(house: &House) -> Vec<String> {
    let mut faults = Vec::new();
    for file in house.rust() {
        let code = &file.code;
        for (start, end) in attributes(code) {
            let inside = (start..end).find(|at| code.reads(*at, &["allow", "("]));
            faults.extend(inside.map(|at| file.fault(code.line(at), "an #[allow]")));
        }
    }
    faults
}

/// Where each attribute begins and ends: its brackets.
fn attributes(code: &Code) -> impl Iterator<Item = (usize, usize)> + '_ {
    code.find(&["["]).filter_map(|at| {
        let is_outer = at >= 1 && code.text(at - 1) == "#";
        let is_inner = at >= 2 && code.reads(at - 2, &["#", "!"]);
        let end = code.end(at).filter(|_| is_outer || is_inner)?;
        Some((at, end))
    })
}

pub(super) fn unsafe_code(house: &House) -> Vec<String> {
    let mut faults = Vec::new();
    for file in house.below("src/") {
        let code = &file.code;
        faults.extend(code.find(&["unsafe"]).map(|at| file.fault(code.line(at), "unsafe code")));
    }
    faults
}

pub(super) fn workplace(house: &House) -> Vec<String> {
    let mut faults = Vec::new();
    for file in house.all() {
        for (line, text) in file.lines() {
            let lower = text.to_lowercase();
            let is_named = |word: &&&str| text.contains(**word) || lower.contains(**word);
            if let Some(word) = WORKPLACE.iter().find(is_named) {
                faults.push(file.fault(line, format!("mentions `{word}`")));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(find: fn(&House) -> Vec<String>, code: &str, expected: usize) {
        let found = find(&House::of(&[("src/a.rs", code)]));
        assert_eq!(found.len(), expected, "{code}: {found:?}");
    }

    #[test]
    fn finds_what_is_left_undone() {
        check(unfinished, concat!("fn f() { to", "do!() }"), 1);
        check(unfinished, "fn f() { todo.pop() }", 0);
        check(unfinished, "#[test]\n#[ignore]\nfn f() {}", 1);
        check(unfinished, "#[ignore = \"slow\"]\nfn f() {}", 1);
        check(unfinished, "#[cfg_attr(windows, ignore)]\nfn f() {}", 1);
        check(unfinished, "#[serde(skip)]\nfn ignore() {}", 0);
        for note in NOTES {
            check(unfinished, &format!("// {note}: later"), 1);
            check(unfinished, &format!("// {note}(#12): later"), 0);
            check(unfinished, &format!("// MA{note}"), 0);
        }
    }

    #[test]
    fn finds_silenced_lints_but_not_calls() {
        check(silenced_lints, "#[allow(dead_code)]\nfn f() {}", 1);
        check(silenced_lints, "#![allow(dead_code)]", 1);
        check(silenced_lints, "#[cfg_attr(test, allow(dead_code))]\nfn f() {}", 1);
        check(silenced_lints, "#[expect(dead_code, reason = \"r\")]\nfn f() { allow(1) }", 0);
    }

    #[test]
    fn finds_unsafe_code_but_not_the_word() {
        check(unsafe_code, "fn f() { unsafe { g() } }", 1);
        check(unsafe_code, "// unsafe\nconst A: &str = \"unsafe\";", 0);
    }

    #[test]
    fn finds_words_of_the_workplace() {
        for word in WORKPLACE {
            check(workplace, &format!("// see {word}"), 1);
        }
        check(workplace, "// it works", 0);
    }
}
