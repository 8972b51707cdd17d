//! The service as described in a file: its metrics, applications, and limits.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::model::{Application, Limit, Mode, line};
use crate::state::State;

/// A complete service. Every key has a default.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    /// The service's ID.
    pub service_id: String,
    /// The service's token.
    pub service_token: String,
    /// How its applications authenticate.
    pub mode: Mode,
    /// Its metrics in addition to `hits`, which always exists.
    pub metrics: Vec<Metric>,
    /// Its applications.
    pub applications: Vec<AppEntry>,
}

/// A metric, or a method of one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// Its system name.
    pub name: String,
    /// The metric that this is a method of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
}

/// An application.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppEntry {
    /// Its ID.
    pub id: String,
    /// Its user key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_key: Option<String>,
    /// Its application keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub app_keys: Vec<String>,
    /// The name of its plan.
    #[serde(default = "plan")]
    pub plan: String,
    /// Whether it is active.
    #[serde(default)]
    pub state: Activity,
    /// The limits of its plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<Limit>,
}

/// An application's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// Its requests are allowed.
    #[default]
    Active,
    /// Its requests are denied.
    Suspended,
}

fn plan() -> String {
    "Default".to_owned()
}

impl Default for File {
    fn default() -> Self {
        Self {
            service_id: crate::model::SERVICE.to_owned(),
            service_token: crate::model::TOKEN.to_owned(),
            mode: Mode::UserKey,
            metrics: Vec::new(),
            applications: Vec::new(),
        }
    }
}

impl File {
    /// The state that the file describes.
    ///
    /// # Errors
    /// One sentence for each entry in the file that 3scale would not accept.
    pub fn state(&self) -> Result<State, Vec<String>> {
        let mut problems = Vec::new();
        let mut names: BTreeSet<String> = BTreeSet::from(["hits".to_owned()]);
        names.extend(self.metrics.iter().map(|metric| metric.name.clone()));
        let mut parents = std::collections::BTreeMap::new();
        for Metric { name, parent } in &self.metrics {
            let Some(parent) = parent else { continue };
            if !names.contains(parent) {
                problems.push(format!(
                    "metric `{name}`: its parent `{parent}` is no metric"
                ));
            }
            parents.insert(name.clone(), parent.clone());
        }
        for name in parents.keys() {
            let up = line(&parents, name);
            let top = up.last().and_then(|top| parents.get(top));
            if top.is_some() {
                problems.push(format!("metric `{name}` is its own ancestor"));
            }
        }
        let (mut ids, mut keys) = (BTreeSet::new(), BTreeSet::new());
        for entry in &self.applications {
            let id = &entry.id;
            if id.trim().is_empty() || !ids.insert(id) {
                problems.push(format!("application `{id}`: its id is empty or taken"));
            }
            let user_key = entry.user_key.as_ref();
            if user_key.is_some_and(|key| key.trim().is_empty() || !keys.insert(key)) {
                problems.push(format!(
                    "application `{id}`: its user_key is empty or taken"
                ));
            }
            if self.mode == Mode::UserKey && user_key.is_none() {
                problems.push(format!("application `{id}` has no user_key"));
            }
            for Limit { metric, .. } in &entry.limits {
                if !names.contains(metric) {
                    problems.push(format!("application `{id}`: `{metric}` is no metric"));
                }
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let applications = self.applications.iter().map(AppEntry::application);
        Ok(State {
            service: self.service_id.clone(),
            token: self.service_token.clone(),
            mode: self.mode,
            metrics: names,
            parents,
            applications: applications.collect(),
            ..State::default()
        })
    }
}

impl AppEntry {
    fn application(&self) -> Application {
        Application {
            user_key: self.user_key.clone().unwrap_or_default(),
            keys: self.app_keys.clone(),
            active: self.state == Activity::Active,
            limits: self.limits.clone(),
            ..Application::new(self.id.clone(), self.plan.clone())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_says() {
        let file: File = serde_json::from_value(serde_json::json!({
            "service_id": "7", "service_token": "t", "mode": "app_id",
            "metrics": [{"name": "orders", "parent": "hits"}],
            "applications": [
                {"id": "a", "app_keys": ["k"], "state": "suspended"},
                {"id": "b", "user_key": "u", "plan": "P", "limits": [{"metric": "orders", "period": "minute", "max": 5}]},
            ],
        }))
        .expect("a file");
        let state = file.state().expect("a service");
        assert_eq!((state.service.as_str(), state.mode), ("7", Mode::AppId));
        assert_eq!(state.metrics.len(), 2);
        assert!(!state.applications[0].active && state.applications[1].active);
        assert_eq!(state.applications[1].limits.len(), 1);
    }

    #[test]
    fn every_problem_is_said() {
        let limits = vec![Limit::new("nope", crate::Period::Day, 1)];
        let entry = |id: &str, user_key: Option<&str>| AppEntry {
            id: id.to_owned(),
            user_key: user_key.map(str::to_owned),
            app_keys: Vec::new(),
            plan: plan(),
            state: Activity::Active,
            limits: limits.clone(),
        };
        let metric = |name: &str, parent: &str| Metric {
            name: name.to_owned(),
            parent: Some(parent.to_owned()),
        };
        let file = File {
            metrics: vec![metric("a", "b"), metric("b", "a"), metric("c", "x")],
            applications: vec![
                entry("1", Some("k")),
                entry("1", Some("k")),
                entry("2", None),
            ],
            ..File::default()
        };
        let problems = file.state().expect_err("problems");
        assert_eq!(problems.len(), 9, "{problems:#?}");
        let unknown: Result<File, _> = serde_json::from_str(r#"{"aplications": []}"#);
        assert!(unknown.is_err());
    }
}
