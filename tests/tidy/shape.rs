//! Files and functions: that each is found, named and short.

use std::collections::BTreeSet;

use super::source::{Code, File, House};

const FUNCTION: usize = 70;
const FILE: usize = 400;

/// Names under which anything could be put, and in time is.
const EMPTY: [&str; 10] = [
    "util", "utils", "common", "helper", "helpers", "misc", "manager", "managers", "handler",
    "handlers",
];

/// Where `mod` lines begin.
const ROOTS: [&str; 4] = ["src/lib.rs", "src/main.rs", "tests/main.rs", "build.rs"];

/// A file that the compiler finds, and whether only for tests.
struct Module {
    path: String,
    is_test: bool,
}

fn modules(house: &House) -> Vec<Module> {
    let crates = house.below("crates/").filter(|file| {
        let name = file.path.split('/').skip(2).collect::<Vec<_>>().join("/");
        let is_root = |name: &str| {
            !name.contains('/') || name.matches('/').count() == 1 && name.ends_with("/main.rs")
        };
        let is_own_binary = ["tests/", "benches/", "examples/"]
            .iter()
            .any(|folder| name.strip_prefix(folder).is_some_and(is_root));
        is_own_binary || ["src/lib.rs", "src/main.rs", "build.rs"].contains(&name.as_str())
    });
    let roots = crates.map(|file| file.path.as_str()).chain(ROOTS);
    let roots = roots.filter(|path| house.get(path).is_some());
    let mut found: Vec<Module> = roots
        .map(|path| Module {
            path: path.to_owned(),
            is_test: path.split('/').any(|part| part == "tests"),
        })
        .collect();
    let mut next = 0;
    while let Some(Module { path, is_test }) = found.get(next) {
        let (path, is_test) = (path.clone(), *is_test);
        let Some(file) = house.get(&path) else { break };
        for (name, is_own_test) in declared(&file.code) {
            let folder = folder_of(&path);
            let places = [format!("{folder}/{name}.rs"), format!("{folder}/{name}/mod.rs")];
            let place = places.into_iter().find(|place| house.get(place).is_some());
            found.extend(place.map(|path| Module { path, is_test: is_test || is_own_test }));
        }
        next += 1;
    }
    found
}

/// The modules that a file leads to, and whether only for tests.
fn declared(code: &Code) -> Vec<(&str, bool)> {
    let lines = code.find(&["mod"]).filter(|at| code.text(at + 2) == ";");
    lines.map(|at| (code.text(at + 1), is_for_tests(code, at))).collect()
}

fn is_for_tests(code: &Code, at: usize) -> bool {
    at >= 7 && code.reads(at - 7, &["#", "[", "cfg", "(", "test", ")", "]"])
}

/// Where the modules of a file lie.
fn folder_of(path: &str) -> String {
    let (folder, name) = path.rsplit_once('/').unwrap_or((".", path));
    match name {
        "mod.rs" | "lib.rs" | "main.rs" => folder.to_owned(),
        // Each file there is a binary of its own, and the root of its modules.
        _ if is_of_binaries(folder) => folder.to_owned(),
        _ => path.trim_end_matches(".rs").to_owned(),
    }
}

fn is_of_binaries(folder: &str) -> bool {
    folder.starts_with("crates/")
        && ["/tests", "/benches", "/examples"].iter().any(|end| folder.ends_with(end))
}

pub(super) fn unreachable_files(house: &House) -> Vec<String> {
    let reached: BTreeSet<String> = modules(house).into_iter().map(|module| module.path).collect();
    let is_ours = |file: &&File| {
        ["src/", "tests/", "crates/"].iter().any(|folder| file.path.starts_with(folder))
    };
    let lost = house.rust().filter(is_ours).filter(|file| !reached.contains(&file.path));
    let mut faults: Vec<String> = lost.map(|file| file.fault(1, "no `mod` leads here")).collect();
    let is_data = |file: &&File| !file.path.ends_with(".rs");
    for file in house.below("src/").filter(is_data) {
        let name = file.path.rsplit('/').next().unwrap_or(&file.path);
        let named = format!("include_str!(\"{name}\")");
        if !house.below("src/").any(|other| other.text.contains(&named)) {
            faults.push(file.fault(1, "no include_str! reads this"));
        }
    }
    faults
}

pub(super) fn long_functions(house: &House) -> Vec<String> {
    let mut faults = Vec::new();
    for file in house.rust() {
        let code = &file.code;
        for at in code.find(&["fn"]) {
            let Some(end) = end_of_function(code, at) else { continue };
            let lines = code.line(end) - code.line(at) + 1;
            if lines > FUNCTION {
                let what = format!("`{}` has {lines} lines", code.text(at + 1));
                faults.push(file.fault(code.line(at), what));
            }
        }
    }
    faults
}

/// The last token of the function at `at`; none of a type or a declaration.
fn end_of_function(code: &Code, at: usize) -> Option<usize> {
    let mut next = at + 1;
    while next < code.len() {
        match (code.text(next), code.end(next)) {
            ("{", end) => return end,
            (";" | "," | "=" | ")" | "}", _) => return None,
            (_, Some(end)) => next = end + 1,
            _ => next += 1,
        }
    }
    None
}

pub(super) fn long_files(house: &House) -> Vec<String> {
    let modules = modules(house);
    let mut faults = Vec::new();
    for module in modules.iter().filter(|module| !module.is_test) {
        let Some(file) = house.get(&module.path) else { continue };
        let lines = lines_before_tests(file);
        if lines > FILE {
            faults.push(file.fault(FILE + 1, format!("{lines} lines before the tests")));
        }
    }
    faults
}

fn lines_before_tests(file: &File) -> usize {
    let code = &file.code;
    let tests = code.find(&["mod", "tests"]).find(|at| is_for_tests(code, *at));
    // Two lines up: the attribute and the line before it.
    tests.map_or_else(|| file.text.lines().count(), |at| code.line(at).saturating_sub(2))
}

pub(super) fn empty_names(house: &House) -> Vec<String> {
    let says_nothing = |file: &&File| {
        let mut words = file.path.split('/').map(|word| word.split('.').next().unwrap_or(word));
        words.any(|word| EMPTY.contains(&word))
    };
    house.all().filter(says_nothing).map(|file| file.fault(1, "name it for its idea")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_files_that_no_module_leads_to() {
        let check = |root: &str, shared: &str, expected: &[&str]| {
            let house = House::of(&[(root, "mod shared;"), (shared, ""), ("src/lib.rs", "")]);
            let expected: Vec<String> =
                expected.iter().map(|path| format!("{path}:1: no `mod` leads here")).collect();
            assert_eq!(unreachable_files(&house), expected, "{root}");
        };
        for kind in ["tests", "benches", "examples"] {
            let file = format!("crates/a/{kind}/one.rs");
            check(&file, &format!("crates/a/{kind}/shared/mod.rs"), &[]);
            let lost = format!("crates/a/{kind}/one/shared.rs");
            check(&file, &lost, &[&lost]);
            check(&format!("crates/a/{kind}/one/main.rs"), &lost, &[]);
        }
        check("src/main.rs", "src/shared.rs", &[]);
        check("src/main.rs", "src/main/shared.rs", &["src/main/shared.rs"]);
    }

    #[test]
    fn finds_files_that_nothing_leads_to() {
        let house = House::of(&[
            ("src/lib.rs", "mod route;"),
            ("src/route/mod.rs", "mod path;\n#[cfg(test)]\nmod tests;"),
            ("src/route/path.rs", "const A: &str = include_str!(\"page.html\");"),
            ("src/route/tests.rs", ""),
            ("src/route/host.rs", ""),
            ("src/route/page.html", ""),
            ("src/route/page.css", ""),
            ("tests/main.rs", ""),
            ("tests/lost.rs", "#[test]\nfn never_run() {}"),
            ("crates/a/tests/b/main.rs", "mod c;"),
            ("crates/a/tests/b/c.rs", ""),
            ("crates/a/tests/b/d.rs", ""),
            ("crates/a/benches/e.rs", ""),
        ]);
        let expected = [
            "crates/a/tests/b/d.rs:1: no `mod` leads here",
            "src/route/host.rs:1: no `mod` leads here",
            "tests/lost.rs:1: no `mod` leads here",
            "src/route/page.css:1: no include_str! reads this",
        ];
        assert_eq!(unreachable_files(&house), expected);
    }

    #[test]
    fn counts_lines_of_functions_and_files() {
        let function = |lines: usize| format!("fn f() {{{}}}\n", "\n".repeat(lines - 1));
        let tests = "#[cfg(test)]\nmod tests {\n    fn g() {}\n}\n";
        let check = |code: String, functions, files| {
            let house = House::of(&[("src/lib.rs", &code)]);
            assert_eq!(long_functions(&house).len(), functions, "functions");
            assert_eq!(long_files(&house).len(), files, "files");
        };
        check(function(70), 0, 0);
        check(function(71), 1, 0);
        check("const A: u8 = 1;\n".repeat(400), 0, 0);
        check("const A: u8 = 1;\n".repeat(401), 0, 1);
        check("const A: u8 = 1;\n".repeat(399) + "\n" + tests, 0, 0);
        check(format!("type F = fn() -> u8;\n{}", function(70)), 0, 0);
    }

    #[test]
    fn finds_names_that_say_nothing() {
        let house = House::of(&[("src/utils.rs", ""), ("tests/common/mod.rs", "")]);
        assert_eq!(empty_names(&house).len(), 2);
        assert!(empty_names(&House::of(&[("src/route.rs", "")])).is_empty());
    }
}
