//! The OWASP Core Rule Set, where a copy lies beside the project.

use std::path::{Path, PathBuf};

use tidegate_waf::RuleSet;
use tidegate_waf::parse::{Disk, Fault, Reader};

/// The one rule that keeps records of clients, which is off unless a setting asks for it.
const KEEPS_STATE: u32 = 901_320;

/// The directory that TIDEGATE_CRS names, else the one beside the project; if there is none, that is
/// told.
pub(crate) fn find() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/crs-4.28.0");
    let crs = std::env::var_os("TIDEGATE_CRS").map_or(beside, PathBuf::from);
    if crs.is_dir() {
        return Some(crs);
    }
    println!("no CRS in {}: not run", crs.display());
    None
}

/// All of its rules, which refuse, after what is `set` for them.
pub(crate) fn load(crs: &Path, set: &str) -> RuleSet {
    let skip = |fault: &Fault| fault.rule.is_some_and(|id| id.0 == KEEPS_STATE);
    let mut reader = Reader::new(&Disk, &skip);
    let text = format!(
        "SecRuleEngine On\nSecRequestBodyNoFilesLimit 131072\n\
         Include crs-setup.conf.example\n{set}\nInclude rules/*.conf\n"
    );
    reader.text(&crs.join("all.conf"), text.as_bytes());
    let tree = reader.finish().unwrap_or_else(|faults| panic!("{faults}"));
    RuleSet::compile(&tree, &Disk, &skip).unwrap_or_else(|faults| panic!("{faults}"))
}
