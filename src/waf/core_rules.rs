//! Where the files of the OWASP Core Rule Set are.

use std::fs;
use std::path::{Path, PathBuf};

use crate::fault::Faults;

/// What Debian's package has beside the directory of its rules.
const DEBIAN: &str = "/etc/modsecurity/crs";
const SETUP: &str = "crs-setup.conf";
/// The one that comes with the rules, where nobody wrote another.
const EXAMPLE: &str = "crs-setup.conf.example";

/// The files of the Core Rule Set, in their order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CoreRules {
    pub(super) setup: PathBuf,
    // Invariant: never empty.
    pub(super) rules: Vec<PathBuf>,
}

impl CoreRules {
    /// Finds them in a directory as it is released, or as Debian splits it.
    pub(super) fn find(directory: &Path, setup: Option<&Path>) -> Result<CoreRules, Faults> {
        let beside = directory.ends_with("modsecurity-crs").then(|| PathBuf::from(DEBIAN));
        let places = [Some(directory.to_path_buf()), beside.clone()];
        let mut candidates = places.iter().flatten().map(|place| place.join(SETUP));
        let setup = match setup {
            Some(setup) => setup.to_path_buf(),
            None => {
                candidates.find(|path| path.is_file()).unwrap_or_else(|| directory.join(EXAMPLE))
            }
        };
        let mut rules =
            rules_in(&directory.join("rules")).map_err(|what| Faults::at("crs", what))?;
        let own = beside.and_then(|place| rules_in(&place).ok()).unwrap_or_default();
        rules.extend(own.into_iter().filter(|path| !path.ends_with(SETUP)));
        rules.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
        Ok(CoreRules { setup, rules })
    }
}

fn rules_in(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let shown = directory.display();
    let entries = fs::read_dir(directory).map_err(|error| format!("{shown}: {error}"))?;
    let mut rules = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| format!("{shown}: {error}"))?.path();
        if path.extension().is_some_and(|extension| extension == "conf") {
            rules.push(path);
        }
    }
    if rules.is_empty() {
        return Err(format!("{shown} has no rules; write the directory that holds `rules`"));
    }
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(paths: &[PathBuf]) -> Vec<String> {
        let name = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into());
        paths.iter().filter_map(name).collect()
    }

    #[test]
    fn finds_the_files_of_a_release_in_their_order() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("rules")).unwrap();
        for name in ["REQUEST-949-B.conf", "REQUEST-901-A.conf", "words.data", "X.conf.example"] {
            fs::write(dir.path().join("rules").join(name), "").unwrap();
        }
        let found = CoreRules::find(dir.path(), None).unwrap();
        assert_eq!(names(&found.rules), ["REQUEST-901-A.conf", "REQUEST-949-B.conf"]);
        assert_eq!(found.setup, dir.path().join(EXAMPLE));
        fs::write(dir.path().join(SETUP), "").unwrap();
        assert_eq!(CoreRules::find(dir.path(), None).unwrap().setup, dir.path().join(SETUP));
        let own = Path::new("own.conf");
        assert_eq!(CoreRules::find(dir.path(), Some(own)).unwrap().setup, own);
    }

    #[test]
    fn the_package_of_debian_has_its_setup_and_own_rules_elsewhere() {
        let package = Path::new("/usr/share/modsecurity-crs");
        if !package.join("rules").is_dir() || !Path::new(DEBIAN).join(SETUP).is_file() {
            eprintln!("no modsecurity-crs: not run");
            return;
        }
        let found = CoreRules::find(package, None).unwrap();
        assert_eq!(found.setup, Path::new(DEBIAN).join(SETUP));
        let own = rules_in(Path::new(DEBIAN)).unwrap();
        let own = own.iter().filter(|path| **path != found.setup);
        assert!(own.clone().all(|path| found.rules.contains(path)), "{:?}", found.rules);
        assert!(own.count() > 0 && !found.rules.contains(&found.setup));
        let all = names(&found.rules);
        assert!(all.is_sorted(), "{all:?}");
    }

    #[test]
    fn a_directory_without_rules_is_a_fault() {
        let dir = tempfile::tempdir().unwrap();
        let fault = |path: &Path| CoreRules::find(path, None).unwrap_err();
        assert!(fault(dir.path()).iter().any(|fault| fault.what.contains("No such file")));
        fs::create_dir(dir.path().join("rules")).unwrap();
        assert!(fault(dir.path()).iter().any(|fault| fault.what.contains("has no rules")));
    }
}
