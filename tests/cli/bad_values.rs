//! A bad value of every key is refused: with its place, and what would be right.

use std::thread;

use super::*;
use crate::conf::{HASH, KEYS};
use crate::support::Authority;
use crate::support::keys::{self, Bad};

/// What a file needs besides the line that is bad.
const REST: [&str; 4] = [
    "listeners: [{ address: '127.0.0.1:0' }]",
    "upstreams: { app: { servers: ['127.0.0.1:1'] } }",
    "routes: [{ respond: { status: 200 } }]",
    // Our own rules take a while to compile, and are none of its business.
    "defaults: { waf: off }",
];

/// Files that are tested at the same time, each by a process.
const AT_ONCE: usize = 4;

/// What `tidegate -t` says of a file of this name with this line, in a folder.
fn test(line: &str, folder: &Path, name: &str) -> (i32, String) {
    let given = |section: &str| line.split(':').next() == section.split(':').next();
    let rest = REST.into_iter().filter(|section| !given(section));
    let text: String = [line].into_iter().chain(rest).map(|line| format!("{line}\n")).collect();
    fs::write(folder.join(name), text).unwrap();
    let mut command = Command::new(BINARY);
    command.args(["-c", name, "-t"]).current_dir(folder).env_remove("TIDEGATE_TOKEN");
    ran(&mut command)
}

#[test]
fn a_bad_value_of_every_key_is_refused_at_its_place() {
    let certs = Authority::new();
    certs.write("a", &["a.example"]);
    certs.write("b", &["b.example"]);
    fs::write(certs.dir().join("users"), format!("ann:{HASH}\nbob:$apr1$a$b\n")).unwrap();
    fs::write(certs.dir().join("good-users"), format!("ann:{HASH}\n")).unwrap();
    fs::write(certs.dir().join("keys.json"), KEYS).unwrap();
    let keys = keys::read(keys::TABLE).unwrap();
    let all: Vec<Bad> = keys.into_iter().flat_map(|key| key.bad).collect();
    let check = |name: &str, Bad { yaml, said }: &Bad| {
        // Some name the file that they are in.
        let [yaml, said] = [yaml, said].map(|text| text.replace("tidegate.yaml", name));
        let found = test(&yaml, certs.dir(), name);
        let is_right = found == (1, format!("{name}:{said}\n"));
        (!is_right).then(|| format!("{yaml}\n  expected {said}\n  found    {found:?}"))
    };
    let wrong: Vec<String> = thread::scope(|scope| {
        let check = &check;
        let all = &all;
        let start = |index| {
            scope.spawn(move || {
                let name = format!("tidegate-{index}.yaml");
                let part = all.iter().skip(index).step_by(AT_ONCE);
                part.filter_map(|bad| check(&name, bad)).collect::<Vec<_>>()
            })
        };
        let parts: Vec<_> = (0..AT_ONCE).map(start).collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), all.len(), wrong.join("\n"));
    // The rest of the file is good without a bad line.
    let said = test("log: {}", certs.dir(), "tidegate.yaml");
    assert_eq!(said, (0, "tidegate.yaml: good\n".to_owned()));
}
