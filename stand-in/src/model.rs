//! What the stand-in knows: a service with its applications, the counters, and the queue of what is not counted yet.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::periods::Period;

/// The service of [`crate::Threescale::start`], as in the recorded samples.
pub const SERVICE: &str = "1001";
/// Its token.
pub const TOKEN: &str = "st_1001";

/// A usage limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// The metric's system name.
    pub metric: String,
    /// Per what.
    pub period: Period,
    /// What is allowed; 0 for ever disables the metric.
    pub max: u64,
}

impl Limit {
    /// At most `max` of `metric` a `period`.
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
    /// Its id.
    pub id: String,
    /// Its user key; empty if it has none.
    pub user_key: String,
    /// Its application keys.
    pub keys: Vec<String>,
    /// Whether it is active.
    pub active: bool,
    /// The name of its plan.
    pub plan: String,
    /// The limits of its plan.
    pub limits: Vec<Limit>,
    /// Which referrers are let in; `*` is any text. Empty: all.
    pub referrer_filters: Vec<String>,
    /// For OAuth; empty if it has none.
    pub redirect_url: String,
}

impl Application {
    /// An active one without limits and credentials.
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

/// How a service's applications prove who they are.
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
    /// Before its call is answered: slower than nothing real, and the simplest for a test.
    Prompt,
    /// When [`crate::Threescale::work`] is called.
    Manual,
    /// By a worker in the background, so long after the call was taken in.
    After(Duration),
}

/// What a call is answered with in place of the real thing.
#[derive(Debug, Clone)]
pub enum Fault {
    /// This status and body.
    Status(u16, &'static str),
    /// These bytes.
    Raw(&'static [u8]),
    /// The connection ends without an answer.
    Close,
    /// Nothing for so long, then the connection ends.
    Hang(Duration),
    /// Takes the call in, and loses the answer.
    LoseAnswer,
    /// Takes a report in and answers 500, as when its storage is slow.
    CountAnd500,
}

/// An entry of the service's list of integration errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntegrationError {
    /// As in the table of statuses.
    pub code: &'static str,
    /// For people.
    pub text: String,
    /// Unix seconds.
    pub time: i64,
    /// The whole path and query of an authorize call; nothing for a report.
    pub request: Option<String>,
}

/// How much of a metric, or `#N`: the counter itself.
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

/// By which of its names a transaction calls its application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Who {
    AppId(String),
    UserKey(String),
    Both,
    Nobody,
}

/// One transaction of a report as it was sent, checked only when it is counted.
#[derive(Debug, Clone)]
pub(crate) struct Transaction {
    pub(crate) who: Who,
    pub(crate) timestamp: Option<String>,
    /// Metric and value; a value that is `None` was sent without `=`.
    pub(crate) usage: Vec<(String, Option<String>)>,
}

/// An accepted call that waits to be counted.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) transactions: Vec<Transaction>,
    /// Whether the caller has added methods to their parents itself.
    pub(crate) flat: bool,
    pub(crate) accepted: Instant,
}

/// A metric and its ancestors, from itself up.
pub(crate) fn line(parents: &BTreeMap<String, String>, metric: &str) -> Vec<String> {
    let mut line = vec![metric.to_owned()];
    while let Some(parent) = line.last().and_then(|metric| parents.get(metric)) {
        // A ring of parents cannot be made in 3scale; here it would never end.
        if line.contains(parent) {
            break;
        }
        line.push(parent.clone());
    }
    line
}
