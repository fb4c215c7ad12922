//! A bad value of every key is refused: with its place, and what would be right.

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

/// What `tidegate -t` says of a file with this line, in a folder.
fn test(line: &str, folder: &Path) -> (i32, String) {
    let given = |section: &str| line.split(':').next() == section.split(':').next();
    let rest = REST.into_iter().filter(|section| !given(section));
    let text: String = [line].into_iter().chain(rest).map(|line| format!("{line}\n")).collect();
    fs::write(folder.join("tidegate.yaml"), text).unwrap();
    let mut command = Command::new(BINARY);
    command.args(["-c", "tidegate.yaml", "-t"]).current_dir(folder).env_remove("TIDEGATE_TOKEN");
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
    let mut wrong = Vec::new();
    let mut count = 0;
    for key in keys::read(keys::TABLE).unwrap() {
        for Bad { yaml, said } in key.bad {
            let found = test(yaml, certs.dir());
            if found != (1, format!("tidegate.yaml:{said}\n")) {
                wrong.push(format!("{yaml}\n  expected {said}\n  found    {found:?}"));
            }
            count += 1;
        }
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    // The rest of the file is good without a bad line.
    assert_eq!(test("log: {}", certs.dir()), (0, "tidegate.yaml: good\n".to_owned()));
}
