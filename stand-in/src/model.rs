//! The data of the stand-in: a service with its applications, the counters, and the queue of usage that is not counted
//! yet.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::periods::Period;

/// The service ID of [`crate::Threescale::start`], as in the recorded samples.
pub const SERVICE: &str = "1001";
/// The service token.
pub const TOKEN: &str = "st_1001";

/// A usage limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// The metric's system name.
    pub metric: String,
    /// The period in which the limit applies.
    pub period: Period,
    /// The allowed amount. With `Eternity`, 0 disables the metric.
    pub max: u64,
}

impl Limit {
    /// At most `max` of `metric` in each `period`.
    pub fn new(metric: impl Into<String>, period: Period, max: u64) -> Self {
        let metric = metric.into();
        Self {
            metric,
            period,
            max,
        }
    }
}

/// An application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// Its ID.
    pub id: String,
    /// Its user key, or empty if it has none.
    pub user_key: String,
    /// Its application keys.
    pub keys: Vec<String>,
    /// Whether it is active.
    pub active: bool,
    /// The name of its plan.
    pub plan: String,
    /// The limits of its plan.
    pub limits: Vec<Limit>,
    /// The allowed referrers, in which `*` matches any text. If empty, all are allowed.
    pub referrer_filters: Vec<String>,
    /// The redirect URL for OAuth, or empty if it has none.
    pub redirect_url: String,
}

impl Application {
    /// An active application without limits and credentials.
    pub fn new(id: impl Into<String>, plan: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            user_key: String::new(),
            keys: Vec::new(),
            active: true,
            plan: plan.into(),
            limits: Vec::new(),
            referrer_filters: Vec::new(),
            redirect_url: String::new(),
        }
    }
}

/// How a service's applications authenticate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// `backend_version` 1.
    #[default]
    UserKey,
    /// `backend_version` 2.
    AppId,
    /// `backend_version` oauth.
    Oauth,
}

/// When a report or an authrep is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counting {
    /// Before the response to the call. The real backend never counts this early, but it is the simplest mode for a
    /// test.
    Prompt,
    /// When [`crate::Threescale::work`] is called.
    Manual,
    /// By a background worker, this long after the call was accepted.
    After(Duration),
}

/// The response to a call instead of the normal one.
#[derive(Debug, Clone)]
pub enum Fault {
    /// This status and body.
    Status(u16, &'static str),
    /// These bytes.
    Raw(&'static [u8]),
    /// The connection is closed without a response.
    Close,
    /// No response for this duration, then the connection is closed.
    Hang(Duration),
    /// The call is accepted, but its response is lost.
    LoseAnswer,
    /// A report is accepted and answered with a 500, as when 3scale's storage is slow.
    CountAnd500,
}

/// An entry of the service's list of integration errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntegrationError {
    /// The code, as in the table of statuses.
    pub code: &'static str,
    /// The human-readable text.
    pub text: String,
    /// The time in Unix seconds.
    pub time: i64,
    /// The path and query of an authorize call, or `None` for a report.
    pub request: Option<String>,
}

/// An amount to add to a metric, or, written as `#N`, the new value of the counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Amount {
    Add(u64),
    Set(u64),
}

impl Amount {
    pub(crate) fn number(self) -> u64 {
        let (Self::Add(number) | Self::Set(number)) = self;
        number
    }
}

/// How a transaction identifies its application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Who {
    AppId(String),
    UserKey(String),
    Both,
    Nobody,
}

/// A transaction of a report as it was sent. It is checked only when it is counted.
#[derive(Debug, Clone)]
pub(crate) struct Transaction {
    pub(crate) who: Who,
    pub(crate) timestamp: Option<String>,
    /// Metrics and values. A value is `None` if it was sent without `=`.
    pub(crate) usage: Vec<(String, Option<String>)>,
}

/// An accepted call that waits to be counted.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) transactions: Vec<Transaction>,
    /// Whether the caller has already added the usage of methods to their parents.
    pub(crate) flat: bool,
    pub(crate) accepted: Instant,
}

/// The usage with that of methods added to all their ancestors. As in 3scale, the result depends on the order if there
/// are values to set: a value to set replaces an ancestor's usage, and a value to add is added to 0 after that.
pub(crate) fn with_ancestors(
    parents: &BTreeMap<String, String>,
    usage: &[(String, Amount)],
) -> Vec<(String, Amount)> {
    let mut whole = usage.to_vec();
    for (metric, amount) in usage {
        for ancestor in line(parents, metric).into_iter().skip(1) {
            let at = whole.iter().position(|(name, _)| *name == ancestor);
            let at = at.unwrap_or_else(|| {
                whole.push((ancestor, Amount::Add(0)));
                whole.len() - 1
            });
            whole[at].1 = match (whole[at].1, *amount) {
                (_, Amount::Set(number)) => Amount::Set(number),
                (Amount::Set(_), Amount::Add(more)) => Amount::Add(more),
                (Amount::Add(sum), Amount::Add(more)) => Amount::Add(sum.saturating_add(more)),
            };
        }
    }
    whole
}

/// All metrics below a metric, in 3scale's order.
pub(crate) fn descendants(parents: &BTreeMap<String, String>, metric: &str) -> Vec<String> {
    let mut all: Vec<String> = parents
        .iter()
        .filter(|(child, parent)| *parent == metric && *child != metric)
        .map(|(child, _)| child.clone())
        .collect();
    for child in all.clone() {
        // 3scale does not allow a cycle of parents. Here, it would result in an endless recursion.
        if !line(parents, metric).contains(&child) {
            all.extend(descendants(parents, &child));
        }
    }
    all
}

/// A metric and its ancestors, starting with the metric itself.
pub(crate) fn line(parents: &BTreeMap<String, String>, metric: &str) -> Vec<String> {
    let mut line = vec![metric.to_owned()];
    while let Some(parent) = line.last().and_then(|metric| parents.get(metric)) {
        // 3scale does not allow a cycle of parents. Here, it would result in an endless loop.
        if line.contains(parent) {
            break;
        }
        line.push(parent.clone());
    }
    line
}
