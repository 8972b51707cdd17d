//! The view that a listener process or the worker has of the configuration: each caches every lookup for 60 s,
//! including lookups that find nothing.

use std::sync::Arc;

use crate::memo::{Metrics, Process, Service};
use crate::model::{Application, Limit};
use crate::state::State;

/// The view of one process at one point in time.
pub(crate) struct View<'a> {
    state: &'a State,
    process: Process,
    now_ms: i64,
}

impl State {
    /// Takes the caches of a process out of the state. [`Self::keep`] puts them back. The worker is the process
    /// `u64::MAX`.
    pub(crate) fn view(&mut self, process: u64, now_ms: i64) -> (Process, i64) {
        let known = match self.caching {
            true => self.known.remove(&process).unwrap_or_default(),
            false => Process::default(),
        };
        (known, now_ms)
    }

    pub(crate) fn keep(&mut self, process: u64, known: Process) {
        if self.caching {
            self.known.insert(process, known);
        }
    }
}

impl<'a> View<'a> {
    pub(crate) fn new(state: &'a State, (process, now_ms): (Process, i64)) -> Self {
        Self {
            state,
            process,
            now_ms,
        }
    }

    pub(crate) fn into_process(self) -> Process {
        self.process
    }

    pub(crate) fn token(&mut self, token: &str, service: &str) -> bool {
        let state = self.state;
        let name = format!("{service} {token}");
        let load = || state.token == token && state.service == service;
        self.process.tokens.get(&name, self.now_ms, load)
    }

    pub(crate) fn service(&mut self) -> Service {
        let state = self.state;
        let load = || Service {
            mode: state.mode,
            active: state.service_active,
            referrer_filters_required: state.referrer_filters_required,
        };
        self.process.service.get("", self.now_ms, load)
    }

    pub(crate) fn id_of(&mut self, user_key: &str) -> Option<String> {
        let state = self.state;
        let load = || {
            let mut all = state.applications.iter();
            let found = all.find(|known| known.user_key == user_key && !user_key.is_empty());
            found.map(|found| found.id.clone())
        };
        self.process.user_keys.get(user_key, self.now_ms, load)
    }

    pub(crate) fn application(&mut self, id: &str) -> Option<Arc<Application>> {
        let state = self.state;
        let load = || find(state, id).cloned().map(Arc::new);
        self.process.applications.get(id, self.now_ms, load)
    }

    pub(crate) fn keys(&mut self, id: &str) -> Vec<String> {
        let state = self.state;
        let load = || find(state, id).map(|found| found.keys.clone());
        let load = || load().unwrap_or_default();
        self.process.keys.get(id, self.now_ms, load)
    }

    pub(crate) fn limits(&mut self, id: &str) -> Vec<Limit> {
        let state = self.state;
        let load = || find(state, id).map(|found| found.limits.clone());
        let load = || load().unwrap_or_default();
        self.process.limits.get(id, self.now_ms, load)
    }

    pub(crate) fn metrics(&mut self) -> Arc<Metrics> {
        let state = self.state;
        let load = || {
            Arc::new(Metrics {
                names: state.metrics.clone(),
                parents: state.parents.clone(),
            })
        };
        self.process.metrics.get("", self.now_ms, load)
    }
}

fn find<'a>(state: &'a State, id: &str) -> Option<&'a Application> {
    state.applications.iter().find(|known| known.id == id)
}
