//! What a plan reports beside its actions.

use std::time::Duration;

use crate::prices::Costs;

/// What is known before anything is changed.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// What would make the plan fail.
    pub blockers: Vec<String>,
    /// What stays unchanged, and why.
    pub notices: Vec<String>,
    /// Undeployed changes of others that a deployment would publish.
    pub pending: Vec<String>,
    /// What a new attachment changes in the API.
    pub attaches: Vec<String>,
    /// What the stack costs, if the plan changes it.
    pub costs: Option<Costs>,
    /// How long it usually takes until the stack is ready.
    pub ready_in: Duration,
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
    /// Adds what a check finds.
    pub fn add(&mut self, verdict: Verdict) {
        self.blockers.extend(verdict.faults);
        self.notices.extend(verdict.notices);
    }
}
