//! The state of the service: its configuration, its counters, its queue, and the faults to play.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use crate::memo::Process;
use crate::model::{
    Amount, Application, Counting, Fault, IntegrationError, Job, Mode, SERVICE, TOKEN, line,
};
use crate::periods::Period;

/// Integration errors that are kept.
const KEPT_ERRORS: usize = 1000;

/// Everything behind the stand-in's endpoints, open to be changed at any time.
#[derive(Debug)]
pub struct State {
    /// The service's id.
    pub service: String,
    /// The service's token.
    pub token: String,
    /// The key of the provider that the service belongs to.
    pub provider_key: String,
    /// Keys of providers that have other services.
    pub other_providers: Vec<String>,
    /// How its applications prove who they are.
    pub mode: Mode,
    /// Whether it is active.
    pub service_active: bool,
    /// Whether it demands a referrer of applications with filters.
    pub referrer_filters_required: bool,
    /// Its applications.
    pub applications: Vec<Application>,
    /// Child to parent.
    pub parents: BTreeMap<String, String>,
    /// System names.
    pub metrics: BTreeSet<String>,
    /// All that was ever counted, under the metric it was reported as: (application id, metric).
    pub totals: BTreeMap<(String, String), u64>,
    /// When calls are counted.
    pub counting: Counting,
    /// Whether each process keeps what it knows about the service for 60 s, as the real ones do.
    pub caching: bool,
    /// How many listener processes there are; a connection stays with its process.
    pub processes: u64,
    /// The codes of batches that were accepted, and lost as a whole.
    pub lost_batches: Vec<&'static str>,
    /// The newest 1000, oldest first.
    pub integration_errors: VecDeque<IntegrationError>,
    /// Calls by endpoint: `authorize`, `authrep`, `oauth_authorize`, `oauth_authrep`, `report`.
    pub calls: BTreeMap<&'static str, u64>,
    /// Transactions of the largest report so far.
    pub largest_report: usize,
    /// In the order of the calls; the first one stays if `sticky`.
    pub faults: VecDeque<Fault>,
    /// Whether all calls meet the first fault.
    pub sticky: bool,
    /// Only reports meet faults.
    pub only_reports: bool,
    /// Every query and body received, for looking for what should not be there.
    pub received: Vec<String>,
    /// Whether `received` is kept.
    pub keep_received: bool,
    /// (application id, metric, period, window start) to count.
    pub(crate) counters: HashMap<(String, String, Period, i64), u64>,
    pub(crate) queue: VecDeque<Job>,
    /// Jobs that fail again and again; see [`crate::Threescale::retry`].
    pub(crate) failed: Vec<Job>,
    /// The caches of the listener processes, then that of the worker at the end.
    pub(crate) known: HashMap<u64, Process>,
}

impl Default for State {
    /// The recorded service 1001 without applications: `hits` with the methods `products` and `orders`, `orders_lines`
    /// under `orders`, and `bytes`.
    fn default() -> Self {
        let parents = [
            ("products", "hits"),
            ("orders", "hits"),
            ("orders_lines", "orders"),
        ];
        let metrics = ["hits", "products", "orders", "orders_lines", "bytes"];
        Self {
            service: SERVICE.to_owned(),
            token: TOKEN.to_owned(),
            provider_key: "pk_main".to_owned(),
            other_providers: vec!["pk_other".to_owned()],
            mode: Mode::UserKey,
            service_active: true,
            referrer_filters_required: false,
            applications: Vec::new(),
            parents: parents
                .map(|(child, parent)| (child.to_owned(), parent.to_owned()))
                .into(),
            metrics: metrics.map(str::to_owned).into(),
            totals: BTreeMap::new(),
            counting: Counting::Prompt,
            caching: false,
            processes: 1,
            lost_batches: Vec::new(),
            integration_errors: VecDeque::new(),
            calls: BTreeMap::new(),
            largest_report: 0,
            faults: VecDeque::new(),
            sticky: false,
            only_reports: false,
            received: Vec::new(),
            keep_received: false,
            counters: HashMap::new(),
            queue: VecDeque::new(),
            failed: Vec::new(),
            known: HashMap::new(),
        }
    }
}

impl State {
    /// What is counted for the application `app_<name>` in the window that `at` (Unix seconds) lies in.
    #[must_use]
    pub fn counted(&self, name: &str, metric: &str, period: Period, at: i64) -> u64 {
        self.counter(&format!("app_{name}"), metric, period, at)
    }

    /// The same by the application's id.
    #[must_use]
    pub fn counter(&self, id: &str, metric: &str, period: Period, at: i64) -> u64 {
        let key = (
            id.to_owned(),
            metric.to_owned(),
            period,
            period.window(at).0,
        );
        self.counters.get(&key).copied().unwrap_or(0)
    }

    /// Accepted calls that are not counted yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Counts for `app_<name>` as another gateway would, and not in [`Self::totals`].
    pub fn others(&mut self, name: &str, metric: &str, amount: u64, at: i64) {
        let id = format!("app_{name}");
        for metric in line(&self.parents, metric) {
            self.add(&id, &metric, Amount::Add(amount), at);
        }
    }

    pub(crate) fn add(&mut self, id: &str, metric: &str, amount: Amount, at: i64) {
        for period in Period::ALL {
            let key = (
                id.to_owned(),
                metric.to_owned(),
                period,
                period.window(at).0,
            );
            let counter = self.counters.entry(key).or_default();
            *counter = match amount {
                Amount::Add(number) => counter.saturating_add(number),
                Amount::Set(number) => number,
            };
        }
    }

    pub(crate) fn keep_error(&mut self, error: IntegrationError) {
        if self.integration_errors.len() == KEPT_ERRORS {
            self.integration_errors.pop_front();
        }
        self.integration_errors.push_back(error);
    }
}
