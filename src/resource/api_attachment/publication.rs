//! What a run has published of the API, and what it may.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::api_gateway::ApiTarget;

/// The publication of the API in this run.
#[derive(Debug, Default)]
pub struct Publication {
    /// The undeployed changes of other users that the operator has accepted. Until they are set, any change
    /// may be published.
    accepted: Mutex<Option<Vec<String>>>,
    /// The stages that this run has deployed.
    made: Mutex<BTreeSet<ApiTarget>>,
    /// The stages that this run has thawed before its end, which has published changes of others.
    republished: Mutex<BTreeSet<ApiTarget>>,
}

impl Publication {
    /// Sets the changes that the operator was shown; `None` accepts any.
    pub fn accept(&self, shown: Option<Vec<String>>) {
        *self.accepted.lock().unwrap_or_else(PoisonError::into_inner) = shown;
    }

    /// The stages that this run has deployed.
    pub fn made(&self) -> BTreeSet<ApiTarget> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.clone()
    }

    /// Notes that this run has changed what callers of the stage see.
    pub(super) fn note_made(&self, target: &ApiTarget) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.insert(target.clone());
    }

    /// The stages that this run has thawed before its end, which has published changes of others.
    pub fn republished(&self) -> BTreeSet<ApiTarget> {
        let republished = self.republished.lock();
        republished.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that the thaw of the stage has published changes of others.
    pub(super) fn note_republished(&self, target: &ApiTarget) {
        let republished = self.republished.lock();
        let mut republished = republished.unwrap_or_else(PoisonError::into_inner);
        republished.insert(target.clone());
    }

    /// Those of `found` that the operator was not shown.
    pub(super) fn new_among(&self, found: &[String]) -> Vec<String> {
        let shown = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = |change: &&String| {
            let shown = shown.as_ref();
            shown.is_some_and(|shown| !shown.contains(*change))
        };
        found.iter().filter(is_new).cloned().collect()
    }
}
