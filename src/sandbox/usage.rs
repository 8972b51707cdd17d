//! The usage that the 3scale stand-in has counted, as a document.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use threescale_stand_in::{Limit, Period, State};

/// All usage.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// The service's id.
    pub service: String,
    /// In the order of the service.
    pub applications: Vec<AppUsage>,
    /// The number of calls by endpoint.
    pub calls: BTreeMap<String, u64>,
    /// Accepted calls that are not counted yet.
    pub waiting: usize,
    /// Codes of batches that were accepted, and then lost entirely.
    pub lost_batches: Vec<String>,
    /// What the authorizer has counted in Redis and the reporter has not delivered, if Redis answers.
    #[serde(default)]
    pub not_reported: Option<u64>,
}

/// The usage of one application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppUsage {
    /// Its id.
    pub id: String,
    /// Its plan.
    pub plan: String,
    /// Whether it is active.
    pub active: bool,
    /// All usage ever counted, by the metric that it was reported for.
    pub totals: BTreeMap<String, u64>,
    /// Its limits.
    pub limits: Vec<LimitUsage>,
}

/// The usage of one limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitUsage {
    /// The limit.
    #[serde(flatten)]
    pub limit: Limit,
    /// The usage in the current period.
    pub used: u64,
}

impl Usage {
    /// The usage in the stand-in's state at `now`, in Unix seconds.
    #[must_use]
    pub fn of(state: &State, now: i64) -> Self {
        let applications = state.applications.iter().map(|application| {
            let id = &application.id;
            let totals = state.totals.iter().filter(|((of, _), _)| of == id);
            let used = |limit: &Limit| LimitUsage {
                limit: limit.clone(),
                used: state.counter(id, &limit.metric, limit.period, now),
            };
            AppUsage {
                id: id.clone(),
                plan: application.plan.clone(),
                active: application.active,
                totals: totals
                    .map(|((_, metric), total)| (metric.clone(), *total))
                    .collect(),
                limits: application.limits.iter().map(used).collect(),
            }
        });
        let calls = state.calls.iter();
        Self {
            service: state.service.clone(),
            applications: applications.collect(),
            calls: calls
                .map(|(kind, count)| ((*kind).to_owned(), *count))
                .collect(),
            waiting: state.waiting(),
            lost_batches: state
                .lost_batches
                .iter()
                .map(|&code| code.to_owned())
                .collect(),
            not_reported: None,
        }
    }

    /// The sum of all usage, regardless of its metric.
    #[must_use]
    pub fn sum(&self) -> u64 {
        let totals = self.applications.iter().flat_map(|app| app.totals.values());
        totals.sum()
    }

    /// The number of calls of all kinds.
    #[must_use]
    pub fn all_calls(&self) -> u64 {
        self.calls.values().sum()
    }

    /// The usage as a table.
    #[must_use]
    pub fn table(&self) -> String {
        let wide = self.applications.iter().map(|app| app.id.len()).max();
        let wide = wide.unwrap_or_default().max("application".len());
        let mut lines = vec![format!("{:<wide$}  {:<10}  usage", "application", "state")];
        for app in &self.applications {
            let state = if app.active { "active" } else { "suspended" };
            let totals = app.totals.iter();
            let mut usage: Vec<String> = totals
                .map(|(metric, total)| format!("{metric} {total}"))
                .collect();
            if usage.is_empty() {
                usage.push("none yet".to_owned());
            }
            let limits = app.limits.iter();
            usage.extend(limits.map(|LimitUsage { limit, used }| {
                let period = match limit.period {
                    Period::Eternity => "ever".to_owned(),
                    period => format!("this {}", period.word()),
                };
                format!("{} {used} of {} {period}", limit.metric, limit.max)
            }));
            lines.push(format!(
                "{:<wide$}  {state:<10}  {}",
                app.id,
                usage.join(", ")
            ));
        }
        let calls = self.calls.iter();
        let calls: Vec<String> = calls
            .map(|(kind, count)| format!("{kind} {count}"))
            .collect();
        let calls = match calls.is_empty() {
            true => "none yet".to_owned(),
            false => calls.join(", "),
        };
        lines.push(format!("calls: {calls}"));
        if let Some(count) = self.not_reported {
            lines.push(format!("waiting for the next report: {count}"));
        }
        if !self.lost_batches.is_empty() {
            lines.push(format!("batches lost: {}", self.lost_batches.join(", ")));
        }
        lines.join("\n")
    }
}
