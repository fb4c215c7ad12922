//! `scripts/attack.sh`: that its attacks attack, and how it judges what it saw.

use std::hash::{Hash as _, Hasher};

use http::HeaderName;

use super::*;
use crate::support::tools::{Ran, run};
use crate::support::{Authority, Edge};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts");

/// Every way in that an attack may take.
const SITE: &str = "
listeners:
  - { address: '127.0.0.1:{port}' }
  - { address: '127.0.0.1:{port2}', protocols: [h1, h2c] }
  - { address: '127.0.0.1:{tls_port}', tls: { certificates: [{ cert: '{cert}', key: '{key}' }] } }
routes: [{ respond: { status: 200, body: own } }]
";

fn python(arguments: &[&str]) -> Ran {
    // -B: nothing is written beside the scripts.
    run("python3", "python3", &[&["-B"], arguments].concat(), "")
}

/// What a few lines of Python say that have the scripts at hand.
fn says(code: &str) -> String {
    let all = format!("import sys; sys.path.insert(0, '{SCRIPTS}/attack')\n{code}");
    python(&["-c", &all]).good().stdout
}

#[test]
fn promises_are_judged_as_they_are_meant() {
    let folder = format!("{SCRIPTS}/attack");
    python(&["-m", "unittest", "discover", "--start-directory", &folder]).good();
}

#[test]
fn all_attacks_with_three_rounds_take_less_than_an_hour() {
    let listed = run("bash", "bash", &[&format!("{SCRIPTS}/attack.sh"), "--list"], "").good();
    let last = listed.stdout.lines().last().unwrap();
    let minutes = last.strip_prefix("about ").unwrap().strip_suffix(" minutes in all").unwrap();
    assert!(minutes.parse::<u32>().unwrap() < 60, "{last}");
    let unknown = python(&[&format!("{SCRIPTS}/attack"), "--tidegate", "none", "nonsense"]);
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    assert!(
        unknown.stderr.contains("no such attack: nonsense; there are slow-head"),
        "{unknown:?}"
    );
}

/// Those of slowhttptest need that program, and longer than a second.
#[test]
fn every_attack_attacks() {
    let certs = Authority::new();
    certs.write("site", &["site.example"]);
    let at = |file: &str| certs.dir().join(file).display().to_string();
    let edge = Edge::start_with(SITE, &[("cert", &at("site.pem")), ("key", &at("site.key"))]);
    let all = says("import attacks\nfor each in attacks.ALL: print(each.name, each.over)");
    let attacks = all.lines().map(|line| line.split_once(' ').unwrap());
    let mut tried = 0;
    for (name, over) in attacks.filter(|(name, _)| !name.starts_with("slow-") && *name != "ranges")
    {
        let addr = match over {
            "h1" => edge.addr(),
            "h2" => edge.addr2(),
            "tls" => edge.tls_addr(),
            other => panic!("{name} is over {other}"),
        };
        let attacker = format!("{SCRIPTS}/attack/attacker.py");
        let ran = python(&[&attacker, name, &addr.port().to_string(), "0.2"]).good();
        let told: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        // On a slow machine a handshake may take longer than all of it.
        let did = ["sent", "stopped"].map(|what| told[what].as_u64().unwrap());
        assert!(did.iter().sum::<u64>() > 0, "{name}: {told}");
        assert!(!told["did"].as_str().unwrap().is_empty(), "{name}: {told}");
        tried += 1;
    }
    assert!(tried > 15, "{all}");
}

/// FNV-1a, as `http::HeaderMap` has it.
struct Fnv(u64);

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[test]
fn names_that_are_meant_to_collide_do() {
    let names = says("import collisions; print('\\n'.join(collisions.fnv_names(1200)))");
    let mut places = BTreeSet::new();
    let mut names: Vec<&str> = names.lines().collect();
    for name in &names {
        let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
        HeaderName::from_bytes(name.as_bytes()).unwrap().hash(&mut hash);
        places.insert(hash.finish() & 0x7fff);
    }
    assert_eq!(places.len(), 1, "{places:?}");
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 1200, "each is there once");
}
