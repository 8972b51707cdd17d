//! What a plan reports beside its actions.

use std::time::Duration;

use serde::Serialize;

use crate::api_gateway::ApiTarget;
use crate::code::Code;
use crate::finding::Finding;
use crate::prices::Costs;

/// What is known before anything is changed.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// What would make the plan fail.
    pub blockers: Vec<Finding>,
    /// What stays unchanged, and why.
    pub notices: Vec<String>,
    /// Undeployed changes of others that a deployment would publish.
    pub pending: Vec<String>,
    /// What a new attachment changes in the API.
    pub attaches: Vec<String>,
    /// The stages that deploy automatically, and whose automatic deployment is off while their API changes.
    pub automatic_stages: Vec<String>,
    /// The methods that the plan protects or opens.
    pub methods: MethodChanges,
    /// What the stack costs, if the plan changes it.
    pub costs: Option<Costs>,
    /// How long it usually takes until the stack is ready.
    pub ready_in: Duration,
}

/// The methods of APIs that the plan changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MethodChanges {
    /// Those that the authorizer protects after the plan, and not before.
    pub closed: Vec<ChangedMethod>,
    /// Those that the authorizer no longer protects after the plan, and nothing else either.
    pub opened: Vec<ChangedMethod>,
}

/// A method of an API, in a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangedMethod {
    pub api: String,
    pub stage: String,
    /// `GET /orders`.
    pub method: String,
}

impl ChangedMethod {
    /// A method of the API in this stage.
    pub fn new(target: &ApiTarget, method: String) -> Self {
        Self {
            api: target.id.clone(),
            stage: target.stage.clone(),
            method,
        }
    }
}

/// What a check finds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// What keeps the functions from working.
    pub faults: Vec<String>,
    /// What may.
    pub notices: Vec<String>,
}

impl Verdict {
    /// Adds what another check finds.
    pub fn add(&mut self, other: Self) {
        self.faults.extend(other.faults);
        self.notices.extend(other.notices);
    }
}

impl Findings {
    /// Adds what would make the plan fail, with the code of the check.
    pub fn block(&mut self, code: Code, messages: impl IntoIterator<Item = String>) {
        self.blockers.extend(Finding::all(code, messages));
    }

    /// Adds what a check finds, with its code.
    pub fn add(&mut self, code: Code, verdict: Verdict) {
        self.block(code, verdict.faults);
        self.notices.extend(verdict.notices);
    }
}
