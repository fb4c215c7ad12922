//! Stages that are known to go otherwise, each with a reason that somebody has looked at.

use serde_yaml::Value;

/// A stage that may fail, and why.
#[derive(Clone, Debug)]
pub struct Override {
    pub stage: String,
    pub reason: String,
}

/// The list that `text` is: each entry with its `stage` and the `reason`.
pub fn overrides(text: &str) -> Vec<Override> {
    let list: Value = serde_yaml::from_str(text).unwrap();
    let entries = list.as_sequence().into_iter().flatten();
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap().to_owned();
    entries
        .map(|entry| Override { stage: text(entry, "stage"), reason: text(entry, "reason") })
        .collect()
}
