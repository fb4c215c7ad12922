//! What rooms may know of each other, and of pingora.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{File, House};

/// Modules that a door opens to other rooms, and why their items are not at
/// the door itself.
const OPEN: [(&str, &str); 3] = [
    ("upstream/framing", "settles heads of answers on behalf of the conductor"),
    ("upstream/headers", "names and judges header fields on behalf of the conductor"),
    ("control/admin", "the admin listener is put together in server.rs"),
];

/// Where pingora is named beyond its header types, and why. A room that can be
/// written without pingora can be tested without it and outlive it.
const ADAPTERS: [(&str, &str); 14] = [
    ("proxy/", "the conductor: pingora's hooks are its table of contents"),
    ("server.rs", "starts pingora's server"),
    ("server/silence/house.rs", "its tests stop the clock of pingora's timeouts, too"),
    ("listen/", "hands connections to pingora as sessions, and is one of its services"),
    ("cache/storage.rs", "the store behind the trait that pingora's cache asks"),
    ("cache/meta.rs", "what of a stored head pingora's cache is told"),
    ("cache/passes.rs", "remembers for pingora's cache what is not stored"),
    ("balance/", "finds and checks servers by pingora's load-balancing traits"),
    ("upstream/mod.rs", "an upstream makes pingora's peers"),
    ("upstream/connect.rs", "says to pingora's peers how to connect"),
    ("upstream/tls.rs", "reads certificates into what pingora's peers hold"),
    ("control/mod.rs", "background work runs as a pingora service"),
    ("control/stop.rs", "pingora's server asks it when to end"),
    ("control/admin.rs", "an HTTP application behind the same listener code"),
];

/// Dependencies that a crate must not have, by the first part of their name.
const FORBIDDEN: [(&str, &[&str]); 4] = [
    ("sockets", &["pingora"]),
    ("waf", &["pingora", "tokio", "hyper", "h2"]),
    ("store", &["pingora", "http", "hyper", "h2"]),
    // Any other crate.
    ("", &["pingora"]),
];

/// The rooms, in the order of src/lib.rs.
fn rooms(house: &House) -> Vec<String> {
    let lib = &house.get("src/lib.rs").expect("src/lib.rs").code;
    let declared = lib.find(&["mod"]).filter(|at| lib.text(at + 2) == ";");
    declared.map(|at| lib.text(at + 1).to_owned()).collect()
}

/// The room of a file; none of src/lib.rs and src/main.rs.
fn room_of<'a>(file: &'a File, rooms: &[String]) -> Option<&'a str> {
    let name = file.path.strip_prefix("src/")?;
    let name = name.split('/').next().unwrap_or(name);
    let name = name.strip_suffix(".rs").unwrap_or(name);
    rooms.iter().any(|room| room == name).then_some(name)
}

/// How deep below the crate a file's module lies: 1 is a room's door.
fn depth(file: &File) -> usize {
    let path = file.path.strip_prefix("src/").unwrap_or(&file.path);
    let path = path.strip_suffix("/mod.rs").unwrap_or(path);
    path.split('/').count()
}

pub(super) fn looks_ahead(house: &House) -> Vec<String> {
    let rooms = rooms(house);
    let place = |name: &str| rooms.iter().position(|room| room == name);
    let mut faults = Vec::new();
    for file in house.below("src/") {
        let Some(own) = room_of(file, &rooms) else { continue };
        for path in file.code.paths(|word| word == "crate") {
            let Some(other) = path.words.get(1) else { continue };
            match place(other) {
                Some(at) if Some(at) <= place(own) => {}
                Some(_) => faults.push(file.fault(
                    path.line,
                    format!("`{own}` uses `{other}`, which src/lib.rs declares after it"),
                )),
                None => faults.push(file.fault(
                    path.line,
                    format!("`{}` is in no room of src/lib.rs", path.words.join("::")),
                )),
            }
        }
        faults.extend(ways_out_by_super(file));
    }
    faults
}

/// `super` must not lead out of the room: the checks look for `crate` alone.
fn ways_out_by_super(file: &File) -> Vec<String> {
    let code = &file.code;
    let blocks: Vec<(usize, usize)> = code
        .find(&["mod"])
        .filter_map(|at| Some((at, code.end(at + 2).filter(|_| code.text(at + 2) == "{")?)))
        .collect();
    let mut faults = Vec::new();
    for path in code.paths(|word| word == "super") {
        let steps = path.words.iter().take_while(|word| *word == "super").count();
        let within = blocks.iter().filter(|(start, end)| (*start..*end).contains(&path.at));
        if steps >= depth(file) + within.count() {
            let what = format!("`{}` leads out of the room; write `crate`", path.words.join("::"));
            faults.push(file.fault(path.line, what));
        }
    }
    faults
}

/// The compiler keeps rooms out of private modules; here doors are kept from
/// opening more of them.
pub(super) fn open_siblings(house: &House) -> Vec<String> {
    let mut faults = Vec::new();
    let mut opened = BTreeSet::new();
    for file in house.below("src/").filter(|file| depth(file) == 1) {
        let room = file.path.trim_start_matches("src/").trim_end_matches(".rs");
        let room = room.trim_end_matches("/mod");
        if room == "lib" {
            continue;
        }
        let code = &file.code;
        for at in code.find(&["mod"]) {
            let is_open = at >= 1 && code.text(at - 1) == "pub"
                || at >= 3 && code.reads(at - 3, &["(", "crate", ")"]);
            if !is_open {
                continue;
            }
            let module = format!("{room}/{}", code.text(at + 1));
            if OPEN.iter().any(|(open, _)| *open == module) {
                opened.insert(module);
            } else {
                let what = format!("opens `{module}`; declare what others need at the door");
                faults.push(file.fault(code.line(at), what));
            }
        }
    }
    let unused = OPEN.iter().filter(|(open, _)| !opened.contains(*open));
    faults.extend(unused.map(|(open, _)| format!("tests/tidy/rooms.rs: `{open}` is not open")));
    faults
}

pub(super) fn strangers_to_pingora(house: &House) -> Vec<String> {
    let mut faults = Vec::new();
    let mut used = BTreeSet::new();
    for file in house.below("src/") {
        let path = file.path.trim_start_matches("src/");
        let adapter = ADAPTERS.iter().find(|(adapter, _)| path.starts_with(adapter));
        for (line, name) in names_of_pingora(file) {
            match adapter {
                // Sessions and requests are the conductor's business alone.
                Some((adapter, _))
                    if !name.starts_with("pingora_proxy")
                        || matches!(*adapter, "proxy/" | "server.rs") =>
                {
                    used.insert(*adapter);
                }
                _ => faults.push(file.fault(line, format!("names `{name}`"))),
            }
        }
    }
    let unused = ADAPTERS.iter().filter(|(adapter, _)| !used.contains(adapter));
    faults.extend(unused.map(|(name, _)| format!("tests/tidy/rooms.rs: `{name}` is no adapter")));
    faults
}

/// Each mention of pingora that is not of its header types.
fn names_of_pingora(file: &File) -> Vec<(usize, String)> {
    let code = &file.code;
    let paths = code.paths(|word| word.starts_with("pingora")).into_iter();
    let paths = paths.map(|path| (path.line, path.words.join("::")));
    let renamed = code.find(&["as"]).filter(|at| code.text(at - 1).starts_with("pingora"));
    let renamed = renamed.map(|at| (code.line(at), format!("{} as", code.text(at - 1))));
    let named = paths.filter(|(_, path)| !path.starts_with("pingora::http::"));
    named.chain(renamed).collect()
}

/// Looks at everything that a crate depends on, directly or not, as Cargo.lock
/// knows it; tests included.
pub(super) fn wrong_dependencies(house: &House) -> Vec<String> {
    let lock = &house.get("Cargo.lock").expect("Cargo.lock").text;
    let packages = packages(lock);
    let mut faults = Vec::new();
    for manifest in house.below("crates/").filter(|file| file.path.ends_with("/Cargo.toml")) {
        let name = manifest.path.trim_start_matches("crates/").trim_end_matches("/Cargo.toml");
        let all = all_dependencies(&packages, &format!("tidegate-{name}"));
        if all.is_empty() {
            faults.push(manifest.fault(1, format!("Cargo.lock has no tidegate-{name}")));
        }
        let rule = FORBIDDEN.iter().find(|(of, _)| *of == name || of.is_empty());
        let forbidden = rule.map_or(&[][..], |(_, forbidden)| forbidden);
        let is_forbidden = |package: &&str| {
            forbidden.iter().any(|forbidden| {
                let rest = package.strip_prefix(forbidden);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
            })
        };
        for package in all.iter().copied().filter(is_forbidden) {
            faults.push(manifest.fault(1, format!("depends on {package}, maybe by another crate")));
        }
    }
    faults
}

/// What each package depends on, by name.
fn packages(lock: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut packages: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in lock.split("[[package]]").skip(1) {
        let name = package.lines().find_map(|line| line.strip_prefix("name = "));
        let Some(name) = name else { continue };
        // A dependency is "name", or "name version" where there are several.
        let listed = package.lines().filter_map(|line| line.strip_prefix(" \""));
        let listed = listed.filter_map(|line| line.split(['"', ' ']).next());
        packages.entry(name.trim_matches('"')).or_default().extend(listed);
    }
    packages
}

fn all_dependencies<'l>(packages: &BTreeMap<&'l str, Vec<&'l str>>, of: &str) -> BTreeSet<&'l str> {
    let mut all = BTreeSet::new();
    let mut todo: Vec<&str> = packages.get(of).into_iter().flatten().copied().collect();
    while let Some(name) = todo.pop() {
        if all.insert(name) {
            todo.extend(packages.get(name).into_iter().flatten());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIB: &str = "mod units;\nmod route;\nmod upstream;\npub mod cli;\n";

    #[track_caller]
    fn check(find: fn(&House) -> Vec<String>, path: &str, code: &str, expected: &[&str]) {
        let found = find(&House::of(&[("src/lib.rs", LIB), (path, code)]));
        let found: Vec<&String> = found.iter().filter(|fault| fault.starts_with(path)).collect();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(&format!("{path}:{expected}")), "{found}");
        }
    }

    #[test]
    fn finds_every_look_ahead() {
        let ahead = |code, expected| check(looks_ahead, "src/route/mod.rs", code, expected);
        ahead("use crate::units::Period;\nuse crate::route::path;", &[]);
        ahead("\nuse crate::upstream::Pool;", &["2: `route` uses `upstream`"]);
        ahead("use crate::{units, upstream::{self, Pool}};", &["1: `route`", "1: `route`"]);
        ahead("fn f() { g(crate::upstream::X) }", &["1: `route` uses `upstream`"]);
        ahead("fn f() { select! { x = crate::cli::X => {} } }", &["1: `route` uses `cli`"]);
        ahead("use crate::nowhere::X;", &["1: `crate::nowhere::X` is in no room"]);
        ahead("// crate::upstream::X\nconst A: &str = \"crate::upstream\";", &[]);
    }

    #[test]
    fn finds_ways_around_the_list() {
        let around = |path, code, expected| check(looks_ahead, path, code, expected);
        around("src/route/mod.rs", "use super::upstream::Pool;", &["1: `super::upstream"]);
        around("src/route/path.rs", "use super::Match;", &[]);
        around("src/route/path.rs", "use super::super::upstream::X;", &["1: `super::super"]);
        around("src/route/mod.rs", "mod tests { use super::*; }", &[]);
        around("src/route/mod.rs", "mod tests { use super::super::cli; }", &["1: `super"]);
    }

    #[test]
    fn finds_pingora_where_it_is_not_at_home() {
        let named = |path, code, expected| check(strangers_to_pingora, path, code, expected);
        named("src/route/mod.rs", "use pingora::http::RequestHeader;", &[]);
        named("src/route/mod.rs", "use pingora::Error;", &["1: names `pingora::Error`"]);
        named("src/route/mod.rs", "use pingora as p;", &["1: names `pingora as`"]);
        named("src/listen/h1.rs", "use pingora::Error;", &[]);
        named("src/listen/h1.rs", "use pingora_proxy::Session;", &["1: names `pingora_proxy"]);
        named("src/proxy/mod.rs", "use pingora_proxy::Session;", &[]);
    }

    #[test]
    fn finds_doors_that_open_too_much() {
        let opened = |code, expected| check(open_siblings, "src/route/mod.rs", code, expected);
        opened("mod path;\npub(super) mod host;", &[]);
        opened("mod path;\npub(crate) mod host;", &["2: opens `route/host`"]);
        opened("pub mod host;", &["1: opens `route/host`"]);
    }

    #[test]
    fn finds_dependencies_of_dependencies() {
        let lock = "[[package]]\nname = \"tidegate-waf\"\ndependencies = [\n \"a\",\n]\n\
                    [[package]]\nname = \"a\"\ndependencies = [\n \"tokio-util 0.7\",\n]\n";
        let house = House::of(&[("Cargo.lock", lock), ("crates/waf/Cargo.toml", "")]);
        let expected = "crates/waf/Cargo.toml:1: depends on tokio-util, maybe by another crate";
        assert_eq!(wrong_dependencies(&house), [expected]);
    }
}
