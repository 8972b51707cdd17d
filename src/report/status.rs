//! The status: every resource with its health and drift, the endpoints, the methods.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::plan::id_width;
use super::style::Style;
use crate::action::Action;
use crate::api_gateway::{ApiTarget, AuthorizationType, MethodKey, Protocol};
use crate::decision::guarded;
use crate::engine::plan::Item;
use crate::expiry::{self, Expiry};
use crate::kind::Kind;
use crate::names::Names;
use crate::prices;
use crate::printable::line;
use crate::resource::doors::Door;
use crate::resource::{Phase, health_check};

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

impl Method {
    /// Its name: `GET /orders`, or `$default`.
    pub(super) fn label(&self) -> String {
        MethodKey::new(&*self.path, &*self.method).to_string()
    }

    /// Its state in a word. A method with another authorization type is neither open nor protected by this stack.
    pub(super) fn word(&self, observes: bool) -> &'static str {
        match (self.protected, &self.authorization) {
            (true, _) => guarded(observes),
            (false, AuthorizationType::None) => "open",
            (false, _) => "guarded",
        }
    }

    /// How it differs from the expected state, or what guards it.
    pub(super) fn told(&self) -> Option<String> {
        let is_guarded = !self.protected && self.authorization != AuthorizationType::None;
        let guard = is_guarded.then(|| format!("by {}", self.authorization));
        self.remark.clone().or(guard)
    }
}

/// A stage that the stack is attached to.
#[derive(Debug, Clone)]
pub struct Attached {
    pub target: ApiTarget,
    /// Whether each change of an HTTP or WebSocket API is deployed to the stage at once; `None` for other APIs, and if the
    /// stage does not exist.
    pub deploys_automatically: Option<bool>,
    /// Why the last automatic deployment failed, if it did.
    pub failed_deployment: Option<String>,
    /// Whether the stage serves the deployment from before the stack again, and the stack is still in the draft: after `rollback`, or an
    /// interrupted `down`.
    pub is_rolled_back: bool,
    /// Whether the API was verified as the stage serves it; `None` if the stage does not use the authorizer.
    pub verified: Option<bool>,
    /// When and by which version of this program the served deployment was verified.
    pub verified_at: Option<Timestamp>,
    pub verified_by: Option<String>,
    pub methods: Vec<Method>,
}

impl Attached {
    fn heading(&self) -> String {
        let ApiTarget {
            id,
            stage,
            protocol,
        } = &self.target;
        match protocol {
            Protocol::Rest => format!("API {id}, stage {stage}"),
            other => format!("{other} {id}, stage {stage}"),
        }
    }

    /// The stage as JSON, without the API.
    fn document(&self) -> Value {
        let verified_at = self.verified_at.map(|at| at.strftime("%Y-%m-%dT%H:%M:%SZ"));
        let methods = self.methods.iter().map(|m| {
            json!({"method": m.method, "path": m.path, "protected": m.protected, "authorization": m.authorization, "remark": m.remark})
        });
        json!({
            "stage": self.target.stage, "verified": self.verified, "automatic_deployment": self.deploys_automatically,
            "failed_deployment": self.failed_deployment,
            "rolled_back": self.is_rolled_back, "verified_at": verified_at.map(|at| at.to_string()),
            "verified_by": self.verified_by, "methods": methods.collect::<Vec<_>>(),
        })
    }
}

/// Everything that `status` reports.
#[derive(Debug, Clone)]
pub struct Status {
    pub names: Names,
    /// Whether the resources were compared with a configuration.
    pub is_compared: bool,
    pub items: Vec<Item>,
    /// The stages of the API that the stack is attached to.
    pub stages: Vec<Attached>,
    /// Whether the live authorizer observes; `None` if there is none.
    pub observes: Option<bool>,
    /// What each billed part costs per month when idle, where the price is known. A sandbox costs nothing.
    pub costs: Option<Vec<Option<f64>>>,
    /// The ways to the API past the authorizer.
    pub doors: Vec<Door>,
    pub outputs: Vec<(&'static str, String)>,
    pub notices: Vec<String>,
    /// Why callers are refused, as far as that is known without the self-test.
    pub faults: Vec<String>,
    /// The result of the self-test, if it was run.
    pub self_test: Option<health_check::Report>,
    pub lock: Option<String>,
    /// When the stack expires, if it does.
    pub expiry: Option<Expiry>,
}

/// A resource's health in one word. Without a comparison, a resource that exists is ready.
pub(super) fn health(item: &Item, is_compared: bool) -> &'static str {
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
            && self.is_attached()
            && !self.is_rolled_back()
            && self.self_test.as_ref().is_none_or(|report| report.ok)
            && self.faults.is_empty()
            && self.methods().all(|(_, method)| method.remark.is_none())
    }

    fn is_rolled_back(&self) -> bool {
        self.stages.iter().any(|stage| stage.is_rolled_back)
    }

    /// The methods of each stage.
    pub(super) fn methods(&self) -> impl Iterator<Item = (&Attached, &Method)> {
        let stages = self.stages.iter();
        stages.flat_map(|stage| stage.methods.iter().map(move |method| (stage, method)))
    }

    /// The names of the stages that a sentence is about, if the stack is attached to several.
    fn named(&self, stage: &Attached) -> String {
        match self.stages.len() {
            0 | 1 => String::new(),
            _ => format!("stage {} ", line(&stage.target.stage)),
        }
    }

    /// The sum of the known prices, and whether all are known.
    fn cost(&self) -> Option<(f64, bool)> {
        self.costs.as_deref().map(prices::sum)
    }

    /// Whether the account has nothing of the stack.
    fn is_absent(&self) -> bool {
        self.items.iter().all(|item| item.phase.is_none())
    }

    /// Whether the stack is attached to an API.
    fn is_attached(&self) -> bool {
        let mut attachments = self.items.iter();
        attachments.any(|item| item.id.kind == Kind::ApiAttachment && item.phase.is_some())
    }

    fn verdict(&self, style: &Style) -> String {
        let passes = self.self_test.as_ref().is_none_or(|report| report.ok);
        if self.is_healthy() {
            let verdict = match (self.is_compared, self.self_test.is_some()) {
                (true, true) => "healthy",
                (true, false) => "healthy (configuration only: the self-test was not run)",
                (false, true) => "healthy (not compared with a configuration)",
                (false, false) => {
                    "healthy (not compared with a configuration, and the self-test was not run)"
                }
            };
            match self.doors.len() {
                0 => style.good(verdict),
                1 => style.warn(&format!("{verdict}, but 1 way past the authorizer")),
                count => style.warn(&format!("{verdict}, but {count} ways past the authorizer")),
            }
        } else if self.is_absent() {
            style.warn("no resources: `threescale-gw up` creates them")
        } else {
            style.bad(match (self.is_as_configured(), passes) {
                _ if self.lock.is_some()
                    && (!self.is_as_configured() || !self.faults.is_empty()) =>
                {
                    "unhealthy: a run is in progress, or was interrupted (see the lock)"
                }
                _ if !self.is_attached() => {
                    "incomplete: attached to no API. `threescale-gw up` completes the stack, `threescale-gw down` deletes the rest"
                }
                _ if self.is_rolled_back() => return style.bad(&self.rolled_back()),
                (false, _) => "unhealthy: run `threescale-gw up` to repair",
                // The resources match the configuration, so `up` repairs nothing. The lines below name the fix.
                (true, false) if self.observes == Some(true) => {
                    "unhealthy: the authorizer does not pass its self-test; it allows all requests"
                }
                (true, false) if self.stages.is_empty() => {
                    "unhealthy: the stack is attached to no API, and the authorizer does not pass its self-test"
                }
                (true, false) => {
                    "unhealthy: the authorizer does not pass its self-test, so callers are refused"
                }
                (true, true) if !self.faults.is_empty() => "unhealthy: see the faults below",
                (true, true) if self.protocol() == Protocol::Rest => {
                    "unhealthy: see the methods below"
                }
                (true, true) => "unhealthy: see the routes below",
            })
        }
    }

    /// The verdict if a stage serves the deployment from before the stack. Nothing shows whether a rollback or a killed run is the
    /// cause.
    fn rolled_back(&self) -> String {
        let all = self.stages.iter().filter(|stage| stage.is_rolled_back);
        let all: Vec<_> = all.map(|stage| &*stage.target.stage).collect();
        let serves = match all.as_slice() {
            [only] => format!("stage {} serves", line(only)),
            several => format!("stages {} serve", line(&several.join(", "))),
        };
        format!(
            "not protected: {serves} the deployment from before the stack, after a rollback or an interrupted run. `threescale-gw up` \
             protects the API again, when the cause is removed; `threescale-gw down` deletes the stack"
        )
    }

    /// The verdict, and what is true of the whole stack.
    pub(super) fn summary(&self, style: &Style) -> Vec<String> {
        let mut lines = vec![self.verdict(style)];
        for stage in &self.stages {
            let Some(at) = stage.verified_at else {
                continue;
            };
            let by = stage.verified_by.as_deref();
            let by = by.map(|by| format!(" by version {}", line(by)));
            lines.push(format!(
                "{}verified at {}{}",
                self.named(stage),
                at.strftime("%Y-%m-%d %H:%M UTC"),
                by.unwrap_or_default()
            ));
        }
        if let Some((known, is_complete)) = self.cost().filter(|_| !self.is_absent()) {
            let least = if is_complete { "about" } else { "at least" };
            lines.push(format!(
                "costs {least} ${known:.2} a month when idle ({}, {})",
                prices::REGION,
                prices::AS_OF
            ));
        }
        if let Some(expiry) = self.expiry {
            let now = Timestamp::now();
            let text = expiry.describe(now);
            lines.push(match expiry.has_passed(now, Duration::ZERO) {
                true => style.warn(&text),
                false => text,
            });
        }
        if let Some(lock) = &self.lock {
            lines.push(format!("{} locked by {lock}", style.warn("note")));
        }
        let doors = self.doors.iter().map(Door::describe);
        lines.extend(doors.map(|door| format!("{} {}", style.bad("door"), line(&door))));
        let faults = self.faults.iter();
        lines.extend(faults.map(|fault| format!("{} {fault}", style.bad("fault"))));
        let notices = self.notices.iter();
        lines.extend(notices.map(|notice| format!("{} {notice}", style.warn("note"))));
        lines
    }

    /// Whether a resource is healthy, as far as that is known.
    pub(super) fn is_well(&self, item: &Item) -> bool {
        ["healthy", "ready"].contains(&health(item, self.is_compared))
    }

    /// The resources that are not healthy, or `all` of them.
    fn resources(&self, all: bool, style: &Style) -> Vec<String> {
        let health = |item: &Item| health(item, self.is_compared);
        let shown = || {
            let items = self.items.iter();
            items.filter(|item| all || !self.is_well(item))
        };
        let width = id_width(shown());
        let mut lines = Vec::new();
        for item in shown() {
            let health = health(item);
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
        let word = if self.is_compared { "healthy" } else { "ready" };
        let hidden = self.items.len() - shown().count();
        match (hidden, lines.is_empty()) {
            (0, _) => {}
            (hidden, true) => lines.push(format!("all {hidden} resources are {word}")),
            (hidden, false) => lines.push(format!(
                "{hidden} of {} resources are {word}",
                self.items.len()
            )),
        }
        lines
    }

    /// The methods of a stage that are not protected, or `all` of them.
    fn methods_of(&self, stage: &Attached, all: bool, style: &Style) -> Vec<String> {
        let observes = self.observes == Some(true);
        let guarded = guarded(observes);
        let is_shown = |method: &&Method| all || !method.protected || method.remark.is_some();
        let mut lines = Vec::new();
        for method in stage.methods.iter().filter(is_shown) {
            let word = format!("{:<9}", method.word(observes));
            let word = match (method.protected, &method.authorization) {
                (true, _) => style.good(&word),
                (false, AuthorizationType::None) => style.warn(&word),
                (false, _) => style.dim(&word),
            };
            let remark = method.told().map(|told| format!("  {told}"));
            let remark = remark.unwrap_or_default();
            lines.push(format!(
                "{word} {:<7} {}{}",
                method.method,
                line(&method.path),
                style.warn(&remark)
            ));
        }
        let hidden = stage.methods.len() - lines.len();
        if hidden > 0 {
            lines.push(format!("{} {guarded}", self.units(hidden)));
        }
        lines
    }

    /// That many methods or routes, with the verb.
    pub(super) fn units(&self, count: usize) -> String {
        let unit = self.protocol().unit();
        match count {
            1 => format!("{count} {unit} is"),
            _ => format!("{count} {unit}s are"),
        }
    }

    pub(super) fn protocol(&self) -> Protocol {
        let first = self.stages.first();
        first.map_or(Protocol::Rest, |stage| stage.target.protocol)
    }

    /// The status as text: the verdict, and what is not healthy. `all`: everything.
    pub fn table(&self, all: bool, style: &Style) -> String {
        let names = &self.names;
        let mut lines = vec![style.bold(&format!(
            "Stack {} in {} (account {})",
            names.stack, names.region, names.account
        ))];
        lines.extend(self.summary(style));
        let resources = self.resources(all, style);
        if !resources.is_empty() {
            lines.push(String::new());
            lines.extend(resources);
        }
        for stage in &self.stages {
            lines.extend([String::new(), style.bold(&stage.heading())]);
            let meets = match self.observes {
                Some(true) => {
                    Some(style.warn("observe: all requests are allowed; refusals are only logged"))
                }
                Some(false) => Some("enforce".to_owned()),
                None => None,
            };
            lines.extend(meets.map(|meets| format!("mode  {meets}")));
            let deployment = stage.deploys_automatically;
            lines.extend(deployment.map(|is_on| {
                let word = if is_on { "on" } else { "off" };
                format!("automatic deployment  {word}")
            }));
            lines.extend(
                stage
                    .failed_deployment
                    .iter()
                    .map(|why| style.warn(&format!("last automatic deployment  failed: {why}"))),
            );
            lines.extend(self.methods_of(stage, all, style));
        }
        match &self.self_test {
            Some(report) if all || !report.ok => {
                lines.extend([String::new(), style.bold("The authorizer's self-test")]);
                lines.extend(report.checks.iter().map(|check| check_line(check, style)));
            }
            Some(_) => lines.push("the authorizer passes its self-test".to_owned()),
            None => {}
        }
        lines.push(String::new());
        let outputs = self.outputs.iter();
        let width = outputs.clone().map(|(name, _)| name.len()).max();
        let width = width.unwrap_or_default();
        lines.extend(outputs.map(|(name, value)| format!("{name:<width$}  {value}")));
        if !all && !self.is_absent() {
            lines.push(style.dim("--all shows everything"));
        }
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
        let api = self.stages.first().map(|first| {
            let mut api = first.document();
            api["id"] = first.target.id.as_str().into();
            api["protocol"] = first.target.protocol.as_str().into();
            api["doors"] = json!(self.doors);
            let stages = self.stages.iter().map(Attached::document);
            api["stages"] = stages.collect::<Vec<_>>().into();
            api
        });
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
            "mode": self.observes.map(|observes| if observes { "observe" } else { "enforce" }),
            "api": api,
            "outputs": outputs,
            "self_test": self.self_test,
            "compared": self.is_compared,
            "notices": self.notices,
            "faults": self.faults,
            "cost_per_month": self.cost().map(|(known, _)| (known * 100.0).round() / 100.0),
            "cost_is_complete": self.cost().map(|(_, is_complete)| is_complete),
            "lock": self.lock,
            "expires": self.expiry.and_then(Expiry::at).map(expiry::text),
            "healthy": self.is_healthy(),
        })
    }
}
