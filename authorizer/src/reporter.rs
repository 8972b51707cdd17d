//! The reporter: takes the counted usage from Redis in batches and reports it to 3scale.
//!
//! A batch is taken in one step, stays in Redis until 3scale has accepted it, and belongs to one reporter at a time by
//! a lease. 3scale accepts a report before it checks it, and then silently drops all of it if it does not know one
//! application or metric. Usage of an application or metric that may not exist is therefore reported separately, so
//! that no other usage is lost with it.

mod batches;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::backend::{Backend, Delivery, Known, Transaction, groups};
use crate::batch::{Counter, Row, rows};
use crate::cache::{self, FORMER_MARK};
use crate::clients::{Clients, process_id};
use crate::clock::Clock;
use crate::credentials::Credential;
use crate::failure::{Cause, Failure};
use crate::keys::Name;
use crate::log::{self, Unit};
use crate::redis::{RedisClient, RedisError, Value as RedisValue};
use crate::reports::{Piece, by_minute, halves, is_ahead, parts, sent_minute};
use crate::scripts::{Batch, GRACE, Lists, Read, ReporterScripts};
use crate::selftest::UNKNOWN;
use crate::settings::Settings;

/// 3scale accepts usage that is at most 24 h old when its queue processes it; the margin is for a slow queue.
const DELIVERABLE_FOR_S: i64 = 86_400 - 600;
/// After this number of calls about applications, what is known by then is reported.
const MAX_ASKED: usize = 50;
/// How long delivered amounts may be missing from 3scale's counters: the grace of the scripts and a margin.
const UNCERTAIN_FOR: Duration = GRACE.saturating_add(Duration::from_secs(1));
/// After this number of counters that 3scale refuses and no report that it accepts, the run ends: the fault is not in the
/// counters.
const MAX_REFUSED_AT_FIRST: usize = 3;
/// The number of counters that a run finds out 3scale to refuse. Each costs some twenty reports.
const MAX_REFUSED: usize = 20;
/// With less time than this left, no new step begins.
const ENOUGH: Duration = Duration::from_millis(500);

/// The result of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// The reports that 3scale accepted.
    pub reports: u64,
    /// The transactions in these reports.
    pub transactions: u64,
    /// The sum of all delivered amounts.
    pub delivered: u64,
    /// The reports that were sent separately, because their application or metric may not exist.
    pub isolated: u64,
    /// The sum of all amounts that became too old.
    pub undeliverable: u64,
    /// The sum of all amounts that 3scale refuses and that were put aside.
    pub put_aside: u64,
    /// The reports that 3scale may or may not have accepted. They are sent again.
    pub in_doubt: u64,
    /// Why the run ended early.
    pub stopped: Option<String>,
}

impl Summary {
    /// The function's result. Its keys are a contract.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "reports": self.reports,
            "transactions": self.transactions,
            "delivered": self.delivered,
            "apart": self.isolated,
            "undeliverable": self.undeliverable,
            "put_aside": self.put_aside,
            "in_doubt": self.in_doubt,
            "stopped": self.stopped,
        })
    }
}

/// Why a run cannot continue.
enum Stop {
    Secrets,
    Redis(RedisError),
    Backend(String),
    /// 3scale refuses the service token or the service ID, which may have been replaced.
    Token(String),
    /// Another reporter owns the batch now.
    LostLease,
    Time,
}

impl From<RedisError> for Stop {
    fn from(error: RedisError) -> Self {
        Self::Redis(error)
    }
}

impl Stop {
    fn describe(&self) -> String {
        match self {
            Self::Secrets => "no secrets".to_owned(),
            Self::Redis(error) => format!("redis: {error}"),
            Self::Backend(why) | Self::Token(why) => format!("3scale: {why}"),
            Self::LostLease => "another reporter owns the batch".to_owned(),
            Self::Time => "no time left".to_owned(),
        }
    }
}

/// The applications of a batch that are ready to be reported.
#[derive(Debug)]
struct Chunk {
    batched: Vec<(Row, Name)>,
    isolated: Vec<(Row, Name)>,
    asked: usize,
    since: Instant,
}

impl Chunk {
    fn new() -> Self {
        Self {
            batched: Vec::new(),
            isolated: Vec::new(),
            asked: 0,
            since: Instant::now(),
        }
    }

    /// Adds an application that 3scale knows. Its counters from a clock that is ahead are sent alone.
    fn add(&mut self, mut row: Row, name: Name, now_s: i64) {
        let (ahead, counters) = row
            .counters
            .into_iter()
            .partition(|counter| is_ahead(counter.minute_s, now_s));
        row.counters = counters;
        let ahead: Vec<Counter> = ahead;
        if !ahead.is_empty() {
            self.isolated.push((row.with(ahead), name.clone()));
        }
        if !row.counters.is_empty() {
            self.batched.push((row, name));
        }
    }
}

/// Counters that 3scale has accepted and that are still in Redis, because it did not answer.
#[derive(Debug)]
struct Accepted {
    batch: String,
    /// Application and field.
    fields: Vec<(String, String)>,
}

/// The reporter.
#[derive(Debug)]
pub struct Reporter {
    owner: String,
    batches: u64,
    /// The next run removes them before anything else. Without it, they would be reported again.
    accepted: Vec<Accepted>,
    prefix: String,
    scripts: ReporterScripts,
}

/// A counter that 3scale refuses, even alone.
#[derive(Debug)]
struct Refused {
    lists: Lists,
    batch: String,
    application: String,
    counter: Counter,
    why: String,
    /// Whether sending it again is no use.
    content: bool,
}

struct Run<'a> {
    reporter: &'a mut Reporter,
    lists: Lists,
    backend: &'a Backend,
    redis: &'a mut RedisClient,
    keys: &'a crate::keys::Keys,
    token: &'a str,
    redis_budget: Duration,
    report_budget: Duration,
    /// The time that is not spent on calls about applications: enough to report what is known by then.
    reserve: Duration,
    deadline: Instant,
    clock: Clock,
    summary: &'a mut Summary,
    parts: u64,
    probed: bool,
    refused: Vec<Refused>,
}

impl Reporter {
    /// The reporter of the service in the settings.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let prefix = cache::prefix(&settings.stack, &settings.service.service_id);
        Self {
            owner: process_id(),
            batches: 0,
            accepted: Vec::new(),
            prefix,
            scripts: ReporterScripts::new(),
        }
    }

    /// Reports the counted usage until none is left, 3scale or Redis fails, or the time is over.
    pub fn run(&mut self, clients: &mut Clients, deadline: Instant) -> Summary {
        clients.reach_cache(deadline);
        let mut summary = Summary::default();
        let mut oldest_s = i64::MAX;
        let mut stopped = self.attempt(clients, deadline, &mut summary, &mut oldest_s);
        if matches!(stopped, Err(Stop::Token(_))) && new_token(clients, deadline) {
            stopped = self.attempt(clients, deadline, &mut summary, &mut oldest_s);
        }
        let is_complete = stopped.is_ok();
        summary.stopped = stopped.err().as_ref().map(Stop::describe);
        let level = if summary.stopped.is_some() {
            "warn"
        } else {
            "info"
        };
        log::note(level, "report", summary.to_json());
        for (name, value) in [
            ("UsageDelivered", summary.delivered),
            ("UsageUndeliverable", summary.undeliverable),
            ("ReportsApart", summary.isolated),
            ("UsagePutAside", summary.put_aside),
            ("ReportsInDoubt", summary.in_doubt),
            ("LostUsage", summary.undeliverable + summary.put_aside),
        ] {
            clients.metrics.add(name, value as f64);
        }
        // A run that finds nothing has no lag. One that cannot look says nothing.
        let lag_s = match oldest_s {
            i64::MAX => is_complete.then_some(0),
            oldest_s => Some(clients.clock.now_ms().div_euclid(1000) - oldest_s),
        };
        if let Some(lag_s) = lag_s {
            clients
                .metrics
                .sample("ReportLag", Unit::Seconds, lag_s as f64);
        }
        summary
    }

    /// Reports with the current secrets. Sets `oldest_s` to the first minute that has usage.
    fn attempt(
        &mut self,
        clients: &mut Clients,
        deadline: Instant,
        summary: &mut Summary,
        oldest_s: &mut i64,
    ) -> Result<(), Stop> {
        let secrets = clients.secrets.clone().map_err(|_| Stop::Secrets)?;
        let budgets = clients.settings.budgets;
        let left = deadline.saturating_duration_since(Instant::now());
        // First the usage of this release, so that nothing in the lists that former releases shared with other stacks of the
        // same name can be in its way.
        let [own, former] =
            [&cache::mark(&secrets.keys), FORMER_MARK].map(|mark| Lists::new(&self.prefix, mark));
        let mut run = Run {
            reporter: self,
            lists: own,
            backend: &clients.backend,
            redis: &mut clients.cache.redis,
            keys: &secrets.keys,
            token: &secrets.service_token,
            // The reporter has more time than a caller, and its commands can be large.
            redis_budget: budgets.redis * 10,
            report_budget: budgets.report,
            reserve: reserve(budgets.report, left),
            deadline,
            clock: clients.clock.clone(),
            summary,
            parts: 0,
            probed: false,
            refused: Vec::new(),
        };
        let result = run.all(oldest_s).and_then(|()| {
            run.lists = former;
            run.all(oldest_s)
        });
        let refused = run.settle_refused();
        result.and(refused)
    }
}

/// Reads the secrets again, and returns whether the service token changed. A run starts once a minute, so this needs no
/// pause.
fn new_token(clients: &mut Clients, deadline: Instant) -> bool {
    let left = deadline.saturating_duration_since(Instant::now());
    clients.reread_token((clients.settings.budgets.ssm * 3).min(left / 2))
}

impl Run<'_> {
    fn all(&mut self, oldest_s: &mut i64) -> Result<(), Stop> {
        self.remove_accepted()?;
        let mut all_taken = false;
        loop {
            if self.left() < ENOUGH {
                return Err(Stop::Time);
            }
            let batch = match self.claim()? {
                Some(batch) => batch,
                // Usage counted from now on is for the next run; otherwise a run would not end under traffic.
                None if all_taken => return Ok(()),
                None => match self.take()? {
                    Some((batch, more)) => {
                        all_taken = !more;
                        batch
                    }
                    None => return Ok(()),
                },
            };
            let result = self.deliver(&batch, oldest_s);
            if let Err(stop) = result {
                let accepted = &self.reporter.accepted;
                let is_accepted = accepted.iter().any(|accepted| accepted.batch == batch);
                if !matches!(stop, Stop::LostLease) && !is_accepted {
                    // Releases the batch, so that the next run does not wait for the lease to expire.
                    let _ = self.extend(&batch, self.clock.now_ms());
                }
                return Err(stop);
            }
        }
    }

    /// Puts the counters aside that 3scale refuses. If it accepted no other report in this run, the fault may not be
    /// theirs: they stay, and so do those whose refusal may end. The next run sends them again.
    fn settle_refused(&mut self) -> Result<(), Stop> {
        let refused = std::mem::take(&mut self.refused);
        let Some(last) = refused.last() else {
            return Ok(());
        };
        let why = last.why.clone();
        let at_fault = self.summary.reports > 0;
        let mut batches: Vec<(&Lists, &str)> = Vec::new();
        for Refused {
            lists,
            batch,
            application,
            counter,
            why,
            content,
        } in &refused
        {
            let aside = at_fault && *content;
            log::note(
                "error",
                if aside {
                    "usage-put-aside"
                } else {
                    "usage-refused"
                },
                json!({
                    "application": application,
                    "metric": counter.metric,
                    "minute": crate::periods::format(counter.minute_s),
                    "sum": counter.amount,
                    "answer": why,
                }),
            );
            if aside && self.put_aside(batch, application, &counter.field)? {
                self.summary.put_aside += counter.amount;
            }
            if batches.iter().all(|(_, known)| known != batch) {
                batches.push((lists, batch));
            }
        }
        let now_ms = self.clock.now_ms();
        for (lists, batch) in batches {
            self.lists = lists.clone();
            self.acknowledge(batch, &[], Duration::ZERO)?;
            // The next run does not wait for the lease of what is left.
            match self.extend(batch, now_ms) {
                Ok(()) | Err(Stop::LostLease) => {}
                Err(stop) => return Err(stop),
            }
        }
        if at_fault {
            Ok(())
        } else {
            Err(Stop::Backend(why))
        }
    }

    /// Removes what an earlier run could not remove.
    fn remove_accepted(&mut self) -> Result<(), Stop> {
        while let Some(Accepted { batch, fields }) = self.reporter.accepted.pop() {
            let counters: Vec<(&str, &str)> = fields
                .iter()
                .map(|(application, field)| (application.as_str(), field.as_str()))
                .collect();
            if let Err(stop) = self.acknowledge(&batch, &counters, UNCERTAIN_FOR) {
                self.reporter.accepted.push(Accepted { batch, fields });
                return Err(stop);
            }
        }
        Ok(())
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// How long a lease lasts: longer than the calls about a chunk, its report, and its removal from the batch
    /// together.
    fn lease_for_ms(&self) -> i64 {
        let lease = self.report_budget * 3 + self.redis_budget * 4 + Duration::from_secs(5);
        i64::try_from(lease.as_millis()).unwrap_or(60_000)
    }

    fn deliver(&mut self, batch: &str, oldest_s: &mut i64) -> Result<(), Stop> {
        let prefix = self.reporter.prefix.clone();
        let of = Batch {
            prefix: &prefix,
            id: batch,
        };
        let read = Read {
            batch: of,
            applications: &self.members(of)?,
        };
        let value = match read.applications {
            [] => RedisValue::Array(Vec::new()),
            _ => self.script(|scripts| &scripts.read, &read)?,
        };
        let mut rows = rows(&value, self.keys).ok_or_else(unexpected_reply)?;
        *oldest_s = rows
            .iter()
            .flat_map(|row| row.counters.iter().map(|counter| counter.minute_s))
            .fold(*oldest_s, i64::min);
        self.give_up_old(batch, &mut rows, self.clock.now_ms())?;
        let mut chunk = Chunk::new();
        for row in rows.into_iter().filter(|row| !row.counters.is_empty()) {
            let Some(name) = row.name.clone() else {
                // The name is encrypted with another key. It stays until it is too old, in case the key is restored.
                log::note(
                    "error",
                    "unreadable-name",
                    json!({ "application": row.application }),
                );
                continue;
            };
            // The first application is always checked by a call: 3scale may count a report that it answers with an
            // error, each time it is sent, so none is sent while 3scale does not answer such a call.
            let now_s = self.clock.now_ms().div_euclid(1000);
            if self.probed && row.proven(self.clock.now_ms()) {
                chunk.add(row, name, now_s);
                continue;
            }
            if chunk.asked >= MAX_ASKED || chunk.since.elapsed() >= self.report_budget {
                self.send_chunk(batch, &mut chunk)?;
            }
            match self.known(&name, &row) {
                Ok(true) => chunk.add(row, name, now_s),
                Ok(false) => chunk.isolated.push((row, name)),
                Err(Stop::Time) => {
                    // The next run reports the rest of the batch.
                    self.send_chunk(batch, &mut chunk)?;
                    return Err(Stop::Time);
                }
                Err(stop) => return Err(stop),
            }
            chunk.asked += 1;
        }
        self.send_chunk(batch, &mut chunk)?;
        // Removes the batch if nothing is left of it. An application without a readable name keeps it.
        self.acknowledge(batch, &[], Duration::ZERO)
    }

    fn send_chunk(&mut self, batch: &str, chunk: &mut Chunk) -> Result<(), Stop> {
        let chunk = std::mem::replace(chunk, Chunk::new());
        self.send_batched(batch, &chunk.batched)?;
        self.send_isolated(batch, &chunk.isolated)
    }

    /// Removes usage that is too old for 3scale. One such transaction would lose the whole report.
    fn give_up_old(&mut self, batch: &str, rows: &mut [Row], now_ms: i64) -> Result<(), Stop> {
        let first = now_ms.div_euclid(1000) - DELIVERABLE_FOR_S;
        let mut gone = Vec::new();
        let mut sums: BTreeMap<String, u64> = BTreeMap::new();
        for row in rows {
            row.counters.retain(|counter| {
                let deliverable = counter.minute_s >= first;
                if !deliverable {
                    *sums.entry(counter.metric.clone()).or_default() += counter.amount;
                    gone.push((row.application.clone(), counter.field.clone()));
                }
                deliverable
            });
        }
        if gone.is_empty() {
            return Ok(());
        }
        // Logged before it is removed: two log lines are better than none.
        log::note(
            "error",
            "usage-undeliverable",
            json!({ "usage": sums, "batch": batch }),
        );
        self.summary.undeliverable += sums.values().sum::<u64>();
        let fields: Vec<(&str, &str)> = gone
            .iter()
            .map(|(application, field)| (application.as_str(), field.as_str()))
            .collect();
        self.acknowledge(batch, &fields, Duration::ZERO)
    }

    fn known(&mut self, name: &Name, row: &Row) -> Result<bool, Stop> {
        let mut metrics: Vec<&str> = row
            .counters
            .iter()
            .map(|counter| counter.metric.as_str())
            .collect();
        metrics.sort_unstable();
        metrics.dedup();
        for metrics in groups(&metrics) {
            if !self.knows(name, &metrics)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn knows(&mut self, name: &Name, metrics: &[&str]) -> Result<bool, Stop> {
        let time = self.left().saturating_sub(self.reserve);
        if time < ENOUGH.min(self.report_budget) {
            return Err(Stop::Time);
        }
        let timeout = self.report_budget.min(time);
        let known =
            self.backend
                .application_exists(self.token, name, metrics.iter().copied(), timeout);
        let answered = match known {
            Known::Yes => {
                self.probed = true;
                return Ok(true);
            }
            Known::No => {
                self.probed = true;
                return Ok(false);
            }
            Known::Unclear(why) => {
                log::note("warn", "answer-unclear", json!({ "answer": why.text }));
                if self.probed {
                    return Ok(false);
                }
                // A question about a credential that no one has decides whether it is the set-up.
                let no_one = Credential::UserKey(UNKNOWN.to_owned());
                self.backend.check_service(self.token, &no_one, timeout)
            }
            Known::NoAnswer(why) => Err(why),
        };
        match answered {
            Ok(()) => {
                self.probed = true;
                Ok(false)
            }
            Err(why) if why.cause == Cause::CredentialKind => {
                self.probed = true;
                Ok(false)
            }
            // The call had less time than usual, so a time-out is not an outage.
            Err(why)
                if self.probed && why.cause == Cause::Timeout && timeout < self.report_budget =>
            {
                Err(Stop::Time)
            }
            Err(why) if matches!(why.cause, Cause::TokenInvalid | Cause::ServiceUnknown) => {
                Err(Stop::Token(why.text))
            }
            Err(why) => Err(Stop::Backend(why.text)),
        }
    }

    fn send_batched(&mut self, batch: &str, rows: &[(Row, Name)]) -> Result<(), Stop> {
        let pieces = rows.iter().flat_map(|(row, name)| {
            by_minute(&row.counters)
                .into_iter()
                .map(|(minute_s, counters)| Piece {
                    application: &row.application,
                    name,
                    minute_s,
                    counters,
                })
        });
        for part in parts(pieces) {
            self.send(batch, &part)?;
        }
        Ok(())
    }

    /// Sends one report for each application and metric, so that one that 3scale does not know loses only its own
    /// usage.
    fn send_isolated(&mut self, batch: &str, rows: &[(Row, Name)]) -> Result<(), Stop> {
        for (row, name) in rows {
            let now_s = self.clock.now_ms().div_euclid(1000);
            let mut metrics: BTreeMap<&str, Vec<Piece<'_>>> = BTreeMap::new();
            for counter in &row.counters {
                metrics.entry(&counter.metric).or_default().push(Piece {
                    application: &row.application,
                    name,
                    minute_s: sent_minute(counter.minute_s, now_s),
                    counters: vec![counter],
                });
            }
            let latest_s = row.counters.iter().map(|counter| counter.minute_s).max();
            if let Some(latest_s) = latest_s.filter(|latest_s| is_ahead(*latest_s, now_s)) {
                log::note(
                    "warn",
                    "usage-ahead",
                    json!({ "application": row.application, "ahead_s": latest_s - now_s }),
                );
            }
            for (metric, pieces) in metrics {
                let sum: u64 = pieces.iter().map(Piece::sum).sum();
                log::note(
                    "warn",
                    "usage-apart",
                    json!({ "application": row.application, "metric": metric, "sum": sum }),
                );
                for part in parts(pieces) {
                    self.send(batch, &part)?;
                    self.summary.isolated += 1;
                }
            }
        }
        Ok(())
    }

    /// Sends a report. If 3scale refuses it, sends each half of it, down to the one counter that is at fault.
    fn send(&mut self, batch: &str, pieces: &[Piece<'_>]) -> Result<(), Stop> {
        if pieces.is_empty() {
            return Ok(());
        }
        let Some((why, content)) = self.send_once(batch, pieces)? else {
            return Ok(());
        };
        if let Some((first, second)) = halves(pieces) {
            self.send(batch, &first)?;
            return self.send(batch, &second);
        }
        for piece in pieces {
            for counter in &piece.counters {
                self.refused.push(Refused {
                    lists: self.lists.clone(),
                    batch: batch.to_owned(),
                    application: piece.application.to_owned(),
                    counter: (*counter).clone(),
                    why: why.clone(),
                    content,
                });
            }
        }
        let most = match self.summary.reports {
            0 => MAX_REFUSED_AT_FIRST,
            _ => MAX_REFUSED,
        };
        if self.refused.len() >= most {
            return Err(Stop::Backend(why));
        }
        Ok(())
    }

    /// Sends a report. Returns why 3scale refuses it, and whether sending it again is no use.
    fn send_once(
        &mut self,
        batch: &str,
        pieces: &[Piece<'_>],
    ) -> Result<Option<(String, bool)>, Stop> {
        // Leaves time to remove the reported usage from the batch.
        let timeout = self.report_budget.min(self.left().saturating_sub(ENOUGH));
        if timeout < ENOUGH.min(self.report_budget) {
            return Err(Stop::Time);
        }
        self.extend(batch, self.clock.now_ms() + self.lease_for_ms())?;
        let transactions: Vec<Transaction<'_>> = pieces
            .iter()
            .map(|piece| Transaction {
                name: piece.name,
                timestamp_s: piece.minute_s,
                usage: piece
                    .counters
                    .iter()
                    .map(|counter| (counter.metric.as_str(), counter.amount))
                    .collect(),
            })
            .collect();
        match self.backend.report(self.token, &transactions, timeout) {
            Delivery::Accepted => {
                self.summary.reports += 1;
                self.summary.transactions += transactions.len() as u64;
                self.summary.delivered += pieces.iter().map(Piece::sum).sum::<u64>();
                let fields: Vec<(&str, &str)> = pieces
                    .iter()
                    .flat_map(|piece| {
                        piece
                            .counters
                            .iter()
                            .map(|counter| (piece.application, counter.field.as_str()))
                    })
                    .collect();
                if let Err(stop) = self.acknowledge(batch, &fields, UNCERTAIN_FOR) {
                    let fields = fields.into_iter();
                    self.reporter.accepted.push(Accepted {
                        batch: batch.to_owned(),
                        fields: fields.map(|(a, f)| (a.to_owned(), f.to_owned())).collect(),
                    });
                    return Err(stop);
                }
                Ok(None)
            }
            Delivery::Refused { why, content } => Ok(Some((why, content))),
            Delivery::NotAccepted(why) => Err(Stop::Backend(why)),
            Delivery::TokenRefused(why) => Err(Stop::Token(why)),
            Delivery::InDoubt(why) => {
                self.summary.in_doubt += 1;
                Err(Stop::Backend(format!("in doubt: {why}")))
            }
        }
    }
}

/// The part of a run's time for one report and for removing it from the batch. It leaves time for calls about
/// applications.
fn reserve(report: Duration, run: Duration) -> Duration {
    report.min(run / 3).max(ENOUGH) + ENOUGH
}

fn unexpected_reply() -> Stop {
    let failure = Failure::new(
        Cause::Failed,
        "an unexpected reply from a script of the reporter",
    );
    Stop::Redis(RedisError::NotDone(failure))
}
