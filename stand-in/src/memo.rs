//! The parts of the configuration that one process caches.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::model::{Application, Limit, Mode};

/// How long a lookup is cached, in milliseconds.
const KEPT_MS: i64 = 60_000;

/// The cached lookups of one kind, by name.
#[derive(Debug)]
pub(crate) struct Memo<V>(HashMap<String, (i64, V)>);

impl<V> Default for Memo<V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<V: Clone> Memo<V> {
    pub(crate) fn get(&mut self, name: &str, now_ms: i64, load: impl FnOnce() -> V) -> V {
        match self.0.get(name) {
            Some((until, value)) if now_ms < *until => value.clone(),
            _ => {
                let value = load();
                let entry = (now_ms.saturating_add(KEPT_MS), value.clone());
                self.0.insert(name.to_owned(), entry);
                value
            }
        }
    }
}

/// The caches of one process.
#[derive(Debug, Default)]
pub(crate) struct Process {
    pub(crate) tokens: Memo<bool>,
    pub(crate) service: Memo<Service>,
    pub(crate) user_keys: Memo<Option<String>>,
    pub(crate) applications: Memo<Option<Arc<Application>>>,
    pub(crate) keys: Memo<Vec<String>>,
    pub(crate) limits: Memo<Vec<Limit>>,
    pub(crate) metrics: Memo<Arc<Metrics>>,
}

/// The properties of the service itself.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    pub(crate) mode: Mode,
    pub(crate) active: bool,
    pub(crate) referrer_filters_required: bool,
}

/// The service's metrics.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) names: BTreeSet<String>,
    pub(crate) parents: BTreeMap<String, String>,
}
