//! The reviewed list of stages that go otherwise where HTTP is read first.

use serde_yaml::Value;
use tidegate_suite::known::Override;

use super::asking::Over;

/// Stages that Tidegate answers by itself, or that rules see otherwise, and how.
pub(super) struct Known {
    stages: Vec<String>,
    reason: String,
    over: Option<String>,
    status: u16,
    refusal: Option<String>,
}

impl Known {
    pub(super) fn all() -> Vec<Known> {
        let list: Value = serde_yaml::from_str(include_str!("known.yaml")).unwrap();
        list.as_sequence().unwrap().iter().map(Known::read).collect()
    }

    fn read(entry: &Value) -> Known {
        let text = |key: &str| entry.get(key).map(|value| value.as_str().unwrap().to_owned());
        let stages = entry["stages"].as_sequence().unwrap();
        Known {
            stages: stages.iter().map(|stage| stage.as_str().unwrap().to_owned()).collect(),
            reason: text("reason").unwrap(),
            over: text("over"),
            status: u16::try_from(entry["status"].as_u64().unwrap()).unwrap(),
            refusal: text("refusal"),
        }
    }

    pub(super) fn is_over(&self, over: Over) -> bool {
        self.over.as_deref().is_none_or(|known| known == over.as_str())
    }

    /// Whether this stage is known to be answered so.
    pub(super) fn holds(&self, stage: &str, status: u16, refusal: Option<&str>) -> bool {
        let is_meant = self.stages.iter().any(|known| known == stage);
        is_meant && self.status == status && self.refusal.as_deref() == refusal
    }

    pub(super) fn overrides(&self) -> impl Iterator<Item = Override> {
        let reason = &self.reason;
        self.stages.iter().map(|stage| Override { stage: stage.clone(), reason: reason.clone() })
    }
}
