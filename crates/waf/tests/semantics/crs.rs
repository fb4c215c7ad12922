//! What other engines had wrong with CRS (waf.md §1), where a copy lies beside the project.

use std::path::Path;
use std::sync::Arc;

use tidegate_waf::RuleSet;
use tidegate_waf::parse::{Disk, Fault, Reader};

use crate::exchange::{Request, tell_by};

/// CRS at paranoia level 1, refusing.
fn crs() -> Option<Arc<RuleSet>> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/crs-4.28.0");
    let directory = std::env::var_os("TIDEGATE_CRS").map_or(beside, Into::into);
    if !directory.is_dir() {
        eprintln!("no CRS in {}: not run", directory.display());
        return None;
    }
    // It only acts with collections that last.
    let skip = |fault: &Fault| fault.rule.is_some_and(|id| id.0 == 901_320);
    let mut reader = Reader::new(&Disk, &skip);
    reader
        .text(&directory.join("all.conf"), b"Include crs-setup.conf.example\nInclude rules/*.conf");
    let tree = reader.finish().unwrap_or_else(|faults| panic!("{faults}"));
    let rules = RuleSet::compile(&tree, &Disk, &skip).unwrap_or_else(|faults| panic!("{faults}"));
    Some(Arc::new(rules))
}

fn browser(target: &str) -> Request<'_> {
    Request::get(target)
        .with("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101")
        .with("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
}

#[test]
fn ordinary_words_pass() {
    let Some(rules) = crs() else { return };
    for value in [
        "room+1+and+2",
        "O%27Reilly+%26+Sons+--+books",
        "terms+1+or+more+items",
        "select+a+union+from+the+list",
    ] {
        let target = format!("/search?q={value}");
        let told = tell_by(Arc::clone(&rules), &browser(&target));
        assert_eq!(told.refusal(), "none", "{value}: {:?}", told.ids());
        assert_eq!(told.ids(), [0; 0], "{value}");
    }
}

#[test]
fn the_score_of_a_chain_counts() {
    let Some(rules) = crs() else { return };
    let form = || browser("/").with("Content-Type", "application/x-www-form-urlencoded");
    let told = tell_by(Arc::clone(&rules), &form().with("Content-Length", "5"));
    assert!(told.ids().contains(&920_170), "{:?}", told.ids());
    assert_eq!(told.transaction.tx_number("blocking_inbound_anomaly_score"), Some(5));
    assert_eq!(told.refusal(), "403 in 2 by 949110");
    let told = tell_by(rules, &browser("/").with("Content-Length", "0"));
    assert!(!told.ids().contains(&920_170), "{:?}", told.ids());
}

#[test]
fn an_attack_is_refused_and_its_value_told() {
    let Some(rules) = crs() else { return };
    let told = tell_by(rules, &browser("/?id=1%27+or+%271%27=%271"));
    assert_eq!(told.refusal(), "403 in 2 by 949110");
    let mut matches = told.transaction.matches().iter();
    let sqli = matches.find(|one| one.id.0 == 942_100).expect("libinjection finds it");
    let data = sqli.data.escape_ascii().to_string();
    assert!(data.ends_with("found within ARGS:id: 1\\' or \\'1\\'=\\'1"), "{data}");
}
