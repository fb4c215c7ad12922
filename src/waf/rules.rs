//! The rules of a profile: which files in which order, and what the profile
//! sets between them.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;

use tidegate_waf::parse::{
    self, Directive, Disk, EngineMode, Fault, Notice, OverLimit, Placed, Problem, Reader, Setting,
    Toggle, Tree, Warning,
};
use tidegate_waf::{RuleSet, Stock};

use super::config::{Config, Given, MOST_INSPECTED, Mode, Over, Rules, Skip};
use super::core_rules::CoreRules;
use super::exclusions;
use crate::fault::Faults;

/// Under which name the engine reads what it is to do.
const ENGINE: &str = "waf";
/// The id of the rule that sets what the profile says; the Core Rule Set has others.
const SETTINGS_ID: u32 = 9_890_000;

/// Rules of the Core Rule Set 3 and 4 that are left out with a warning, since the engine cannot
/// do what they say: they keep records of clients, ask others about them, or measure time.
const NOT_OF_CORE: [u32; 15] = [
    901_320, 901_321, 901_420, 910_000, 910_100, 910_120, 910_140, 912_120, 912_130, 912_140,
    912_160, 912_161, 912_170, 912_171, 949_100,
];

/// Bodies that are not what they say they are, and forms that servers may read in two ways:
/// the rules of such a body would see nothing of it.
const BODIES: &str = r#"
SecRule REQBODY_ERROR "!@eq 0" "id:9890010,phase:2,deny,status:400,t:none,log,severity:CRITICAL,\
    msg:'the body cannot be read: %{REQBODY_ERROR_MSG}',tag:body"
SecRule MULTIPART_STRICT_ERROR "!@eq 0" "id:9890011,phase:2,deny,status:400,t:none,log,\
    severity:CRITICAL,msg:'servers may read this form in two ways',tag:body"
"#;

/// Arguments of one request that are judged. ModSecurity's 1,000 is what PHP takes of a
/// form; what collects events or imports records is sent more in one body of JSON.
const MOST_ARGUMENTS: u32 = 10_000;

/// Types of answers that are judged besides text/plain and text/html, which the engine begins with:
/// errors are told in all of them, and pieces of a page in the last.
const TYPES: &str =
    "text/xml application/xml application/xhtml+xml application/json multipart/byteranges";

/// Rules that are loaded, and what of them does not act.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) set: RuleSet,
    pub(super) warnings: Vec<String>,
}

/// Loads what a profile names, but for what earlier ones have in common with it.
pub(super) fn load(config: &Config, stock: &mut Stock) -> Result<Loaded, Faults> {
    let skip: Vec<_> = config.skip.iter().map(|skip| (skip, Cell::new(false))).collect();
    let skips = |fault: &Fault| is_skipped(&skip, fault);
    let mut reader = Reader::new(&Disk, &skips);
    let defaults = format!("SecArgumentsLimit {MOST_ARGUMENTS}\nSecResponseBodyMimeType {TYPES}\n");
    text(&mut reader, ENGINE, &defaults);
    match &config.rules {
        Rules::Builtin(_) => {
            before(config, &mut reader);
            for (name, rules) in tidegate_waf::builtin() {
                text(&mut reader, name, rules);
            }
        }
        Rules::Given(given) => read_given(config, given, &mut reader)?,
    }
    for (name, removal) in exclusions::after(&config.exclude) {
        text(&mut reader, &name, &removal);
    }
    // Last, so that no file has another word.
    text(&mut reader, ENGINE, &engine(config));
    if config.responses.0 {
        text(&mut reader, ENGINE, "SecResponseBodyAccess On\n");
    }
    let tree = reader.finish().map_err(|found| faults(config, &found))?;
    exclusions::check(&config.exclude, &tree).map_err(|found| found.under("exclude"))?;
    let set = RuleSet::compile_with(&tree, &Disk, &skips, stock)
        .map_err(|found| faults(config, &found))?;
    let warnings = set.warnings().iter().filter(|one| !is_of_limit(&one.notice));
    let mut warnings = told(warnings);
    warnings.extend(overruled(config, &tree));
    let needless = skip.iter().filter(|(_, is_used)| !is_used.get());
    warnings.extend(needless.map(|(skip, _)| format!("skip: nothing had to be for `{skip}`")));
    warnings.extend(blind(config, &tree).map(str::to_owned));
    match config.responses.0 {
        true => check_answers(&set).map_err(|found| found.under("responses"))?,
        false => warnings.extend(unused(config, &set).map(str::to_owned)),
    }
    Ok(Loaded { set, warnings })
}

/// Warnings as lines; what is skipped of one file for one reason is one of them.
fn told<'a>(warnings: impl Iterator<Item = &'a Warning>) -> Vec<String> {
    let mut lines = Vec::new();
    let mut skipped: BTreeMap<_, Vec<&Warning>> = BTreeMap::new();
    for warning in warnings {
        match &warning.notice {
            Notice::Skipped(Problem::Refused { reason, .. }) => {
                skipped.entry((&warning.place.file, reason)).or_default().push(warning);
            }
            _ => lines.push(warning.to_string()),
        }
    }
    for ((file, reason), all) in skipped {
        lines.push(match all.as_slice() {
            [one] => one.to_string(),
            many => {
                let at: Vec<String> = many.iter().map(|one| one.place.line.to_string()).collect();
                let (file, at) = (file.display(), at.join(", "));
                format!("{file}: {} rules are skipped (lines {at}): {reason}", many.len())
            }
        });
    }
    lines
}

/// Whether it is of a limit that decides nothing here, ours or that of a file.
fn is_of_limit(notice: &Notice) -> bool {
    matches!(notice, Notice::Partly { name: "SecRequestBodyLimit", .. })
}

/// What files say otherwise than the profile, which decides.
fn overruled(config: &Config, tree: &Tree) -> Vec<String> {
    let mut overruled = Vec::new();
    for Placed { place, value } in &tree.directives {
        let Directive::Setting(setting) = value else { continue };
        let (name, key) = match setting {
            _ if *place.file == *Path::new(ENGINE) => continue,
            Setting::RuleEngine(mode) if *mode != engine_mode(config) => ("SecRuleEngine", "mode"),
            Setting::RequestBodyAccess(Toggle::Off) => ("SecRequestBodyAccess", "body"),
            Setting::RequestBodyLimit(limit) if *limit != config.body.inspect.0 => {
                ("SecRequestBodyLimit", "body.inspect")
            }
            Setting::RequestBodyNoFilesLimit(limit) if *limit != config.body.inspect.0 => {
                ("SecRequestBodyNoFilesLimit", "body.inspect")
            }
            Setting::RequestBodyLimitAction(OverLimit::Reject)
                if config.body.over != Over::Block =>
            {
                ("SecRequestBodyLimitAction", "body.over")
            }
            _ => continue,
        };
        overruled.push(format!("{place}: {name} does nothing; `{key}` of the profile decides"));
    }
    overruled
}

/// What is said of profiles that judge nothing, or next to it.
fn blind(config: &Config, tree: &Tree) -> impl Iterator<Item = &'static str> {
    let is_theirs = |file: &Path| {
        file != Path::new(ENGINE) && exclusions::index_of(file.to_str().unwrap_or("")).is_none()
    };
    let has_rule = tree.directives.iter().any(|Placed { place, value }| {
        matches!(value, Directive::Rule(_)) && is_theirs(&place.file)
    });
    let no_rule = (!has_rule).then_some("no rule is in these files: nothing is judged by them");
    let no_body = (config.body.inspect.0 == 0).then_some("body.inspect is 0: no body is judged");
    no_rule.into_iter().chain(no_body)
}

/// What is said of answers where none is judged.
fn unused(config: &Config, set: &RuleSet) -> impl Iterator<Item = &'static str> {
    let read = set.answers().are_read;
    let read = read.then_some("SecResponseBodyAccess does nothing without `responses: true`");
    let threshold = config.outbound_threshold;
    let threshold = threshold.map(|_| "outbound_threshold does nothing without `responses: true`");
    read.into_iter().chain(threshold)
}

/// Refuses to judge answers by rules that do not, or more of them than is kept.
fn check_answers(set: &RuleSet) -> Result<(), Faults> {
    let limit = set.answers().limit;
    if !set.has_rules_for_answers() {
        return Err(Faults::one("there is no rule for answers (phase 3 or 4) in these rules"));
    }
    if limit > MOST_INSPECTED.0 {
        let what = format!("SecResponseBodyLimit is {limit}; must be at most {}", MOST_INSPECTED.0);
        return Err(Faults::one(what));
    }
    Ok(())
}

fn text(reader: &mut Reader<'_>, name: &str, text: &str) {
    reader.text(Path::new(name), text.as_bytes());
}

/// What the engine is to do with these rules.
fn engine(config: &Config) -> String {
    let mode = engine_mode(config).name();
    let inspect = config.body.inspect.0;
    // Of a body that is larger only without its coding, the engine alone knows.
    let over = if config.body.over == Over::Block { "Reject" } else { "ProcessPartial" };
    format!(
        "SecRuleEngine {mode}\nSecRequestBodyAccess On\nSecRequestBodyLimit {inspect}\n\
         SecRequestBodyNoFilesLimit {inspect}\nSecRequestBodyLimitAction {over}\n"
    )
}

fn engine_mode(config: &Config) -> EngineMode {
    if config.mode == Mode::Block { EngineMode::On } else { EngineMode::DetectionOnly }
}

/// What stands before rules that score.
fn before(config: &Config, reader: &mut Reader<'_>) {
    let mut sets = String::new();
    let mut set = |name: &str, value: u32| sets.push_str(&format!(",setvar:tx.{name}={value}"));
    for name in ["blocking_paranoia_level", "detection_paranoia_level", "paranoia_level"] {
        if let Some(paranoia) = config.paranoia {
            set(name, paranoia.into());
        }
    }
    if let Some(threshold) = config.inbound_threshold {
        set("inbound_anomaly_score_threshold", threshold);
    }
    if let Some(threshold) = config.outbound_threshold {
        set("outbound_anomaly_score_threshold", threshold);
    }
    if !sets.is_empty() {
        let action = format!("SecAction \"id:{SETTINGS_ID},phase:1,pass,nolog,t:none{sets}\"\n");
        text(reader, ENGINE, &action);
    }
    for (name, rule) in exclusions::before(&config.exclude) {
        text(reader, &name, &rule);
    }
    text(reader, ENGINE, BODIES);
}

fn read_given(config: &Config, given: &Given, reader: &mut Reader<'_>) -> Result<(), Faults> {
    let core = given.crs.as_ref().map(|directory| {
        CoreRules::find(directory, given.setup.as_deref()).map_err(|found| found.under("rules"))
    });
    let core = core.transpose()?;
    core.iter().for_each(|core| reader.file(&core.setup));
    before(config, reader);
    let rules = core.iter().flat_map(|core| &core.rules).chain(&given.files);
    rules.for_each(|file| reader.file(file));
    Ok(())
}

/// Whether a fault is only warned of; notes what of the profile says so.
fn is_skipped(skip: &[(&Skip, Cell<bool>)], fault: &Fault) -> bool {
    let id = fault.rule.map(|id| id.0);
    let is_known = id.is_some_and(|id| NOT_OF_CORE.contains(&id));
    if is_known && matches!(fault.problem, Problem::Refused { .. }) {
        return true;
    }
    let found = skip.iter().find(|(skip, _)| match (skip, &fault.problem) {
        (Skip::Rule(skipped), _) => id == Some(*skipped),
        (Skip::Directive(name), Problem::Refused { name: refused, .. }) => {
            name.eq_ignore_ascii_case(refused)
        }
        (Skip::Directive(name), Problem::Unknown { name: unknown, .. }) => {
            name.eq_ignore_ascii_case(unknown)
        }
        (Skip::Directive(_), _) => false,
    });
    found.inspect(|(_, is_used)| is_used.set(true)).is_some()
}

/// Faults of rules, at the key that led to them.
fn faults(config: &Config, found: &parse::Faults) -> Faults {
    let mut faults = Faults::none();
    for fault in &found.0 {
        faults.extend(at_its_key(config, fault));
    }
    faults
}

fn at_its_key(config: &Config, fault: &Fault) -> Faults {
    let name = fault.place.file.to_str().unwrap_or_default();
    if let Some(index) = exclusions::index_of(name) {
        return Faults::at(index, fault.problem.to_string()).under("exclude");
    }
    let what = fault.to_string();
    let Rules::Given(given) = &config.rules else { return Faults::at("rules", what) };
    match given.files.iter().position(|file| **file == *fault.place.file) {
        Some(index) => Faults::at(index, what).under("files").under("rules"),
        None => Faults::at("crs", what).under("rules"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tidegate_waf::parse::Place;

    use super::*;

    /// What is said of a profile with one file of rules.
    fn said(rules: &str, keys: &str) -> Vec<String> {
        let folder = tempfile::tempdir().expect("a directory");
        let file = folder.path().join("own.conf");
        std::fs::write(&file, rules).expect("written");
        let written = format!("{{ rules: {{ files: [{}] }}, {keys} }}", file.display());
        let config: Config = serde_yaml::from_str(&written).expect("well-formed");
        load(&config, &mut Stock::default()).expect("rules").warnings
    }

    #[test]
    fn what_judges_nothing_is_told() {
        const RULE: &str = "SecRule ARGS x id:7,phase:2,deny\n";
        let nothing: [String; 0] = [];
        assert_eq!(said(RULE, ""), nothing);
        let no_rule = "no rule is in these files: nothing is judged by them";
        assert_eq!(said("# SecRule ARGS x id:7\n", ""), [no_rule]);
        let no_body = "body.inspect is 0: no body is judged";
        assert_eq!(said(RULE, "body: { inspect: 0, over: pass }"), [no_body]);
    }

    #[test]
    fn what_is_to_be_skipped_and_need_not_be_is_told() {
        let rules = "SecRule ARGS x id:7,phase:2,deny\nSecGeoLookupDb /x\n";
        let warnings = said(rules, "skip: [7, SecGeoLookupDb, SecMissing]");
        let needless: Vec<&String> = warnings.iter().filter(|w| w.starts_with("skip: ")).collect();
        let expected = ["7", "SecMissing"].map(|it| format!("skip: nothing had to be for `{it}`"));
        assert_eq!(needless, expected.iter().collect::<Vec<_>>(), "{warnings:?}");
    }

    #[test]
    fn what_is_skipped_of_a_file_for_one_reason_is_one_line() {
        let skipped = |file: &str, line, reason| {
            let place = Place { file: Arc::from(Path::new(file)), line, column: 1 };
            let problem = Problem::Refused { name: "initcol".to_owned(), reason };
            Warning { place, notice: Notice::Skipped(problem) }
        };
        let place = Place { file: Arc::from(Path::new("a")), line: 7, column: 2 };
        let other = Warning { place, notice: Notice::NoRule };
        let warnings =
            [skipped("b", 3, "x"), skipped("a", 9, "x"), other.clone(), skipped("b", 5, "x")];
        let expected = [
            other.to_string(),
            "a:9:1: skipped: initcol is not supported: x".to_owned(),
            "b: 2 rules are skipped (lines 3, 5): x".to_owned(),
        ];
        assert_eq!(told(warnings.iter()), expected);
        let others = [skipped("b", 3, "x"), skipped("b", 5, "y")];
        assert_eq!(told(others.iter()).len(), 2);
    }
}
