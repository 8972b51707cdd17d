//! The status: every resource with its health and drift, the endpoints, the methods.

use serde_json::{Value, json};

use super::plan::id_width;
use super::style::Style;
use crate::action::Action;
use crate::engine::plan::Item;
use crate::names::Names;
use crate::resource::{Phase, health_check};
use crate::rest_api::AuthorizationType;

/// A method of the API as callers see it.
#[derive(Debug, Clone)]
pub struct Method {
    pub method: String,
    pub path: String,
    /// Whether the stage's active deployment protects it, regardless of the draft.
    pub protected: bool,
    /// The authorization type in that deployment.
    pub authorization: AuthorizationType,
    /// How it differs from the expected state, as text.
    pub remark: Option<String>,
}

/// Everything that `status` reports.
#[derive(Debug, Clone)]
pub struct Status {
    pub names: Names,
    /// Whether the resources were compared with a configuration.
    pub is_compared: bool,
    pub items: Vec<Item>,
    pub api: Option<(String, String)>,
    /// Whether the live authorizer observes; `None` if there is none.
    pub observes: Option<bool>,
    /// Whether the API was verified as the stage serves it; `None` if the stage does not use the authorizer.
    pub verified: Option<bool>,
    pub methods: Vec<Method>,
    pub outputs: Vec<(&'static str, String)>,
    pub notices: Vec<String>,
    /// Why callers are refused, as far as that is known without the self-test.
    pub faults: Vec<String>,
    /// The result of the self-test, if it was run.
    pub self_test: Option<health_check::Report>,
    pub lock: Option<String>,
}

/// A resource's health in one word. Without a comparison, a resource that exists is ready.
fn health(item: &Item, is_compared: bool) -> &'static str {
    match (
        item.phase.as_ref().map(crate::resource::Phase::as_str),
        item.action,
    ) {
        (None, _) => "missing",
        (Some(phase), _) if phase != "ready" => phase,
        (_, Action::None) if !is_compared => "ready",
        (_, Action::None) => "healthy",
        (_, Action::Delete) => "orphan",
        _ => "drifted",
    }
}

fn check_line(check: &health_check::Check, style: &Style) -> String {
    if check.ok {
        return format!(
            "{} {:<10} {} ms",
            style.good("ok     "),
            check.name,
            check.ms
        );
    }
    let text = format!("{} {check}", style.bad("failed "));
    if check.is_skipped() {
        return text;
    }
    format!("{text}\n        {} {}", style.dim("hint:"), check.remedy())
}

impl Status {
    /// Whether every resource matches the configuration. Without one, whether every resource is ready.
    fn is_as_configured(&self) -> bool {
        let is_ready = |item: &Item| self.is_compared || matches!(item.phase, Some(Phase::Ready));
        let is_well = |item: &Item| item.action == Action::None && is_ready(item);
        !self.items.is_empty() && self.items.iter().all(is_well)
    }

    /// Whether every resource and every method matches the configuration, and the self-test passes.
    pub fn is_healthy(&self) -> bool {
        self.is_as_configured()
            && self.self_test.as_ref().is_none_or(|report| report.ok)
            && self.faults.is_empty()
            && self.methods.iter().all(|method| method.remark.is_none())
    }

    /// The status as text.
    pub fn table(&self, style: &Style) -> String {
        let names = &self.names;
        let mut lines = vec![
            style.bold(&format!(
                "Stack {} in {} (account {})",
                names.stack, names.region, names.account
            )),
            String::new(),
        ];
        let width = id_width(self.items.iter());
        for item in &self.items {
            let health = health(item, self.is_compared);
            let word = format!("{health:<9}");
            let word = match health {
                "healthy" | "ready" => style.good(&word),
                "missing" | "failed" => style.bad(&word),
                _ => style.warn(&word),
            };
            let physical_id = item.physical_id.as_deref().unwrap_or("-");
            lines.push(
                format!("{word} {:<width$} {physical_id}", item.id.to_string())
                    .trim_end()
                    .to_owned(),
            );
            lines.extend(
                item.changes
                    .iter()
                    .map(|change| style.dim(&format!("            {change}"))),
            );
        }
        if let Some((id, stage)) = &self.api {
            lines.extend([
                String::new(),
                style.bold(&format!("API {id}, stage {stage}")),
            ]);
            let meets = match self.observes {
                Some(true) => {
                    Some(style.warn("observe: all requests are allowed; refusals are only logged"))
                }
                Some(false) => Some("enforce".to_owned()),
                None => None,
            };
            lines.extend(meets.map(|meets| format!("mode  {meets}")));
            for method in &self.methods {
                // A method with another authorization type is neither open nor protected by this stack.
                let word = match (method.protected, &method.authorization) {
                    (true, _) => style.good("protected"),
                    (false, AuthorizationType::None) => style.warn("open     "),
                    (false, _) => style.dim("guarded  "),
                };
                let guard = (!method.protected && method.authorization != AuthorizationType::None)
                    .then(|| format!("by {}", method.authorization));
                let remark = method
                    .remark
                    .clone()
                    .or(guard)
                    .map(|remark| format!("  {remark}"))
                    .unwrap_or_default();
                lines.push(format!(
                    "{word} {:<7} {}{}",
                    method.method,
                    method.path,
                    style.warn(&remark)
                ));
            }
        }
        if let Some(report) = &self.self_test {
            lines.extend([String::new(), style.bold("The authorizer's self-test")]);
            lines.extend(report.checks.iter().map(|check| check_line(check, style)));
        }
        lines.push(String::new());
        let width = self
            .outputs
            .iter()
            .map(|(name, _)| name.len())
            .max()
            .unwrap_or_default();
        lines.extend(
            self.outputs
                .iter()
                .map(|(name, value)| format!("{name:<width$}  {value}")),
        );
        lines.extend(
            self.faults
                .iter()
                .map(|fault| format!("{} {fault}", style.bad("fault"))),
        );
        lines.extend(
            self.notices
                .iter()
                .map(|notice| format!("{} {notice}", style.warn("note"))),
        );
        if let Some(lock) = &self.lock {
            lines.push(format!("{} locked by {lock}", style.warn("note")));
        }
        lines.push(if self.is_healthy() && !self.is_compared {
            style.good(match &self.self_test {
                Some(_) => "healthy (not compared with a configuration)",
                None => {
                    "healthy (not compared with a configuration, and the self-test was not run)"
                }
            })
        } else if self.is_healthy() && self.self_test.is_none() {
            style.good("healthy (configuration only: the self-test was not run)")
        } else if self.is_healthy() {
            style.good("healthy")
        } else if self.items.iter().all(|item| item.phase.is_none()) {
            style.warn("no resources: `threescale-gw up` creates them")
        } else {
            let passes = self.self_test.as_ref().is_none_or(|report| report.ok);
            style.bad(match (self.is_as_configured(), passes) {
                (false, _) => "unhealthy: run `threescale-gw up` to repair",
                // The resources match the configuration, so `up` repairs nothing. The lines above name the fix.
                (true, false) if self.observes == Some(true) => {
                    "unhealthy: the authorizer does not pass its self-test; it allows all requests"
                }
                (true, false) => {
                    "unhealthy: the authorizer does not pass its self-test, so callers are refused"
                }
                (true, true) => "unhealthy: see the faults and the methods above",
            })
        });
        lines.join("\n")
    }

    /// The status as one JSON document.
    pub fn document(&self) -> Value {
        let resources: Vec<_> = self
            .items
            .iter()
            .map(|item| {
                json!({
                    "id": item.id,
                    "kind": item.id.kind.as_str(),
                    "physical_id": item.physical_id,
                    "state": item.phase.as_ref().map_or("absent", |phase| phase.as_str()),
                    "health": health(item, self.is_compared),
                    "drift": item.changes,
                })
            })
            .collect();
        let methods: Vec<_> = self
            .methods
            .iter()
            .map(|m| json!({"method": m.method, "path": m.path, "protected": m.protected, "authorization": m.authorization}))
            .collect();
        let outputs: serde_json::Map<_, _> = self
            .outputs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!(value)))
            .collect();
        json!({
            "stack": self.names.stack,
            "region": self.names.region,
            "account": self.names.account,
            "resources": resources,
            "api": self.api.as_ref().map(|(id, stage)| json!({"id": id, "stage": stage, "verified": self.verified, "methods": methods})),
            "mode": self.observes.map(|observes| if observes { "observe" } else { "enforce" }),
            "outputs": outputs,
            "self_test": self.self_test,
            "compared": self.is_compared,
            "notices": self.notices,
            "faults": self.faults,
            "lock": self.lock,
            "healthy": self.is_healthy(),
        })
    }
}
