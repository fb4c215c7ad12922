//! The tests that come with CRS, sent through the whole proxy: what its rules log of each request
//! is in the record of that request.

mod albedo;
mod asking;
mod known;

use std::collections::HashMap;

use serde_json::Value as Json;
use tidegate_suite::case::{self, Stage};
use tidegate_suite::known::Override;
use tidegate_suite::outcome::Outcome;
use tidegate_suite::report::{Tally, say};
use tidegate_suite::{SETTINGS, crs};

use self::asking::{Asked, Heard, Over};
use self::known::Known;
use super::*;

/// What may be relaxed of how strictly heads are read is, so that rules see as much as can be.
const SITE: &str = "
log: { level: warn }
listeners:
  - address: '127.0.0.1:{port}'
    protocols: [h1, h2c]
    timeouts: { header: 2s, body: 2s }
    strict: { underscores: pass, path: raw, encoded_slashes: pass, double_encoding: pass }
upstreams: { app: { servers: ['{app}'], outlier: ~, retries: { attempts: 1 } } }
waf:
  core:
    mode: detect
    paranoia: 4
    rules: { crs: '{crs}', setup: '{setup}' }
    body: { inspect: 1MiB }
    responses: true
routes: [{ upstream: app, waf: core }]
";

/// As many ids as a record has at most; more would be hidden.
const MOST_IDS: usize = 64;

#[tokio::test(flavor = "multi_thread")]
async fn rules_log_over_h1_what_every_stage_expects() {
    run(Over::H1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_log_over_h2_what_every_stage_expects() {
    run(Over::H2).await;
}

async fn run(over: Over) {
    let Some(directory) = crs() else { return };
    let mut tally = Tally::default();
    let mut stages = case::read(&directory.join("tests/regression"));
    stages.retain(|stage| why_not(stage).map(|reason| tally.leave(reason)).is_none());
    let origin = albedo::start().await;
    let folder = tempfile::tempdir().unwrap();
    let setup = folder.path().join("setup.conf");
    let example = directory.join("crs-setup.conf.example");
    let settings = format!("SecAction \"id:900005,phase:1,pass,nolog,t:none,{SETTINGS}\"\n");
    fs::write(&setup, format!("Include \"{}\"\n{settings}", example.display())).unwrap();
    let edge = Edge::start_with(
        SITE,
        &[("app", &origin.addr), ("crs", &directory.display()), ("setup", &setup.display())],
    );
    let asked = over.ask_all(edge.addr(), &stages).await;
    let records = by_id(edge.stop());
    let known = judge(&stages, &asked, &records, over, &mut tally);
    say(&format!("CRS suite through the proxy over {}: {tally}", over.as_str()));
    assert!(tally.is_clean(&known), "{}", tally.faults(&known));
}

fn by_id(records: Vec<Json>) -> HashMap<String, Json> {
    let id = |record: &Json| record["request_id"].as_str().unwrap().to_owned();
    records.into_iter().map(|record| (id(&record), record)).collect()
}

/// Counts what came of the stages; what was to come of those that were asked.
fn judge(
    stages: &[Stage],
    asked: &[Asked],
    records: &HashMap<String, Json>,
    over: Over,
    tally: &mut Tally,
) -> Vec<Override> {
    let known: Vec<Known> = Known::all().into_iter().filter(|known| known.is_over(over)).collect();
    let mut expected: Vec<Override> = known.iter().flat_map(Known::overrides).collect();
    for (stage, asked) in stages.iter().zip(asked) {
        let heard = match asked {
            Ok(heard) => heard,
            Err(reason) => {
                tally.leave(reason);
                expected.retain(|known| known.stage != stage.name);
                continue;
            }
        };
        let record = heard.request_id.as_ref().and_then(|id| records.get(id));
        let refusal = record.and_then(refusal);
        let is_known = known.iter().any(|one| one.holds(&stage.name, heard.status, refusal));
        let faults = faults(stage, heard, record);
        tally.add(stage, &faults, if is_known { &expected } else { &[] });
    }
    expected
}

/// Why records cannot tell whether a stage passes.
fn why_not(stage: &Stage) -> Option<&'static str> {
    let is_of_text = stage.expected.is_of_text();
    is_of_text.then_some("of texts of a log, which records do not have")
}

/// By what a request was refused, if that was not for its rules to do.
fn refusal(record: &Json) -> Option<&str> {
    record["refusal"].as_str()
}

/// What of a stage is not as it expects.
fn faults(stage: &Stage, heard: &Heard, record: Option<&Json>) -> Vec<String> {
    let Some(record) = record else {
        return vec![format!("[{} no record]", heard.status)];
    };
    let rules = record["waf_rules"].as_array().into_iter().flatten();
    let logged: Vec<u32> = rules.map(|id| u32::try_from(id.as_u64().unwrap()).unwrap()).collect();
    let is_cut = logged.len() == MOST_IDS;
    let lines = logged.iter().map(|id| format!("[id \"{id}\"]").into_bytes()).collect();
    let outcome = Outcome { logged, lines, status: heard.status, ..Outcome::default() };
    let mut faults = stage.expected.faults_with_status(&outcome);
    let refusal = refusal(record);
    // What only says that rules are not to log is no proof where they were not asked.
    let is_judged = refusal.is_none()
        || stage.expected.is_of_parsers()
        || (stage.expected.includes_rules() && faults.is_empty());
    if is_cut && !(stage.expected.includes_rules() && faults.is_empty()) {
        faults.push("there may be more ids than a record has".to_owned());
    }
    if !is_judged || !faults.is_empty() {
        faults.insert(0, format!("[{} {}]", heard.status, refusal.unwrap_or("-")));
    }
    faults
}
