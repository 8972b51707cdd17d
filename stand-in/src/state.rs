//! The state of the service: its configuration, its counters, its queue, and the faults to inject.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use crate::memo::Process;
use crate::model::{
    Amount, Application, Counting, Fault, IntegrationError, Job, Mode, SERVICE, TOKEN, line,
};
use crate::periods::Period;

/// The maximum number of stored integration errors.
const KEPT_ERRORS: usize = 1000;

/// Everything behind the stand-in's endpoints. It can be changed at any time.
#[derive(Debug)]
pub struct State {
    /// The service's ID.
    pub service: String,
    /// The service's token.
    pub token: String,
    /// The key of the provider that the service belongs to.
    pub provider_key: String,
    /// Keys of providers that have other services.
    pub other_providers: Vec<String>,
    /// How its applications authenticate.
    pub mode: Mode,
    /// Whether the service is active.
    pub service_active: bool,
    /// Whether applications with referrer filters must send a referrer.
    pub referrer_filters_required: bool,
    /// Its applications.
    pub applications: Vec<Application>,
    /// The parent of each method.
    pub parents: BTreeMap<String, String>,
    /// The system names of the metrics.
    pub metrics: BTreeSet<String>,
    /// Everything that was counted, under the metric with which it was reported: (application ID, metric).
    pub totals: BTreeMap<(String, String), u64>,
    /// When calls are counted.
    pub counting: Counting,
    /// Whether each process caches its view of the service for 60 s, as the real processes do.
    pub caching: bool,
    /// The number of listener processes. A connection always belongs to the same process.
    pub processes: u64,
    /// The error codes of batches that were accepted and then lost as a whole.
    pub lost_batches: Vec<&'static str>,
    /// The latest 1000 errors, oldest first.
    pub integration_errors: VecDeque<IntegrationError>,
    /// The number of calls by endpoint: `authorize`, `authrep`, `oauth_authorize`, `oauth_authrep`, `report`.
    pub calls: BTreeMap<&'static str, u64>,
    /// The number of transactions in the largest report so far.
    pub largest_report: usize,
    /// The faults in the order of the calls. The first one is kept if `sticky` is set.
    pub faults: VecDeque<Fault>,
    /// Whether the first fault applies to all calls.
    pub sticky: bool,
    /// Whether faults apply only to reports.
    pub only_reports: bool,
    /// A firewall in front: it refuses every call whose query or body contains this text, with this status and HTML.
    pub firewall: Option<(String, u16)>,
    /// The size of the largest body of a report that a server in front lets pass. It answers 413 to a larger one.
    pub largest_allowed_body: Option<usize>,
    /// The size of the largest body of a report so far.
    pub largest_body: usize,
    /// Every query and body received, so that a test can search them for data that must not be sent.
    pub received: Vec<String>,
    /// Whether queries and bodies are stored in `received`.
    pub keep_received: bool,
    /// The counters by application ID, metric, period, and start of the window.
    pub(crate) counters: HashMap<(String, String, Period, i64), u64>,
    pub(crate) queue: VecDeque<Job>,
    /// Jobs that fail on every attempt; see [`crate::Threescale::retry`].
    pub(crate) failed: Vec<Job>,
    /// The caches of the listener processes and of the worker.
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
            firewall: None,
            largest_allowed_body: None,
            largest_body: 0,
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
    /// The counter of the application `app_<name>` in the window that contains `at` (Unix seconds).
    #[must_use]
    pub fn counted(&self, name: &str, metric: &str, period: Period, at: i64) -> u64 {
        self.counter(&format!("app_{name}"), metric, period, at)
    }

    /// The same counter by the application's ID.
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

    /// The number of accepted calls that are not counted yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Counts usage for `app_<name>` as another gateway would. It is not included in [`Self::totals`].
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
