//! The rules that requests are judged by, in the order in which they are loaded.

use std::path::{Path, PathBuf};

use tidegate_suite::SETTINGS;
use tidegate_suite::outcome::{SCORES, SCORES_OF_3, Scores};

use crate::known::Cause;

/// Rules of CRS that keep records of clients, or ask others about them; they are off unless a
/// setting gives them something to do.
pub(crate) const KEEP_STATE: [u32; 15] = [
    901_320, 901_321, 901_420, 910_000, 910_100, 910_120, 910_140, 912_120, 912_130, 912_140,
    912_160, 912_161, 912_170, 912_171, 949_100,
];

pub(crate) enum Source {
    Text(String),
    File(PathBuf),
}

pub(crate) struct Setup {
    pub(crate) sources: Vec<Source>,
    /// How many of them come before the rules of CRS.
    settings: usize,
    pub(crate) scores: Scores,
}

/// What an operator sets around CRS: bodies are read, and read as what they are.
const BODIES: &str = r#"
SecAuditEngine Off
SecRequestBodyAccess On
SecRequestBodyLimit 13107200
SecRequestBodyNoFilesLimit 1048576
SecResponseBodyAccess On
SecResponseBodyLimit 1048576
SecResponseBodyMimeType text/plain text/html text/xml application/json
SecRule REQUEST_HEADERS:Content-Type "^(?:application(?:/soap\+|/)|text/)xml" \
    "id:200000,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML"
SecRule REQUEST_HEADERS:Content-Type "^application/(?:[a-z0-9.-]+\+)?json" \
    "id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
"#;

impl Setup {
    /// How the tests are meant to be run: every rule, and none refuses.
    pub(crate) fn detecting(crs: &Path) -> Self {
        Self::new(crs, "DetectionOnly", 4)
    }

    pub(crate) fn blocking(crs: &Path, level: u8) -> Self {
        Self::new(crs, "On", level)
    }

    /// As libmodsecurity needs it to be right.
    pub(crate) fn mended(mut self, causes: &[Cause]) -> Self {
        for cause in causes {
            let before = cause.mended_before.iter().cloned().map(Source::Text);
            self.sources.splice(self.settings..self.settings, before).for_each(drop);
            self.sources.extend(cause.mended_after.iter().cloned().map(Source::Text));
        }
        self
    }

    /// The rules that the engine brings along.
    pub(crate) fn builtin(level: u8) -> Self {
        let level = format!(
            "SecAction \"id:900005,phase:1,pass,nolog,t:none,\
             setvar:tx.blocking_paranoia_level={level}\"\n"
        );
        let mut sources =
            vec![Source::Text(format!("SecRuleEngine On\n{BODIES}")), Source::Text(level)];
        let settings = sources.len();
        let rules = tidegate_waf::builtin().iter();
        sources.extend(rules.map(|(_, text)| Source::Text((*text).to_owned())));
        Self { sources, settings, scores: SCORES }
    }

    /// CRS 3 as Debian packages it.
    pub(crate) fn of_3(level: u8) -> Option<Self> {
        let (setup, crs) =
            (Path::new("/etc/modsecurity/crs"), Path::new("/usr/share/modsecurity-crs"));
        let setup = setup.join("crs-setup.conf");
        let is_there = setup.is_file() && crs.join("rules").is_dir();
        is_there.then(|| {
            let level = format!("tx.paranoia_level={level}");
            Self { scores: SCORES_OF_3, ..Self::with(setup, crs, "On", &level) }
        })
    }

    fn new(crs: &Path, engine: &str, level: u8) -> Self {
        let level = format!("tx.blocking_paranoia_level={level}");
        Self::with(crs.join("crs-setup.conf.example"), crs, engine, &level)
    }

    fn with(setup: PathBuf, crs: &Path, engine: &str, level: &str) -> Self {
        let mut rules: Vec<PathBuf> = std::fs::read_dir(crs.join("rules"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "conf"))
            .collect();
        rules.sort();
        let limits = format!(
            "SecAction \"id:900005,phase:1,pass,nolog,t:none,\
             setvar:{level},{SETTINGS}\"\n"
        );
        let mut sources = vec![
            Source::Text(format!("SecRuleEngine {engine}\n{BODIES}")),
            Source::File(setup),
            Source::Text(limits),
        ];
        let settings = sources.len();
        sources.extend(rules.into_iter().map(Source::File));
        Self { sources, settings, scores: SCORES }
    }
}
