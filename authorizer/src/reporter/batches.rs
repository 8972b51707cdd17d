//! The batches in Redis: takes usage into a batch, keeps its lease, and removes what was reported.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::{Run, Stop, unexpected_reply};
use crate::batch::text;
use crate::redis::{Arguments, RedisError, Script, Value as RedisValue};
use crate::reports::MAX_FIELDS;
use crate::scripts::{
    Aside, Batch, Claim, Lease, ReporterScripts, ScriptArgs, ScriptKeys, Settle, Take, encoded,
};

impl Run<'_> {
    /// Puts a counter aside; returns whether the batch had it.
    pub(super) fn put_aside(
        &mut self,
        batch: &str,
        application: &str,
        field: &str,
    ) -> Result<bool, Stop> {
        let prefix = self.reporter.prefix.clone();
        let aside = Aside {
            batch: Batch {
                prefix: &prefix,
                id: batch,
            },
            application,
            field,
        };
        let value = self.script(|scripts| &scripts.aside, &aside)?;
        Ok(value == RedisValue::Int(1))
    }

    pub(super) fn script(
        &mut self,
        which: fn(&ReporterScripts) -> &Script,
        script: &(impl ScriptKeys + ScriptArgs),
    ) -> Result<RedisValue, RedisError> {
        let deadline = self.deadline.min(Instant::now() + self.redis_budget);
        let (keys, arguments) = encoded(script);
        self.redis
            .script(which(&self.reporter.scripts), keys, &arguments, deadline)
    }

    /// Runs a command that lists applications.
    fn applications(&mut self, words: &[&[u8]]) -> Result<Vec<String>, Stop> {
        let deadline = self.deadline.min(Instant::now() + self.redis_budget);
        let value = self.redis.command(words, &Arguments::default(), deadline)?;
        let RedisValue::Array(found) = value else {
            return Err(unexpected_reply());
        };
        Ok(found.iter().filter_map(text).collect())
    }

    /// The applications of a batch.
    pub(super) fn members(&mut self, batch: Batch<'_>) -> Result<Vec<String>, Stop> {
        let members = batch.members();
        self.applications(&[b"LRANGE", members.as_bytes(), b"0", b"-1"])
    }

    pub(super) fn claim(&mut self) -> Result<Option<String>, Stop> {
        let claim = Claim {
            lists: &self.lists.clone(),
            now_ms: self.clock.now_ms(),
            lease_for_ms: self.lease_for_ms(),
            owner: &self.reporter.owner.clone(),
        };
        let value = self.script(|scripts| &scripts.claim, &claim)?;
        Ok(text(&value))
    }

    /// Takes a new batch, and returns whether more usage is left than fits.
    pub(super) fn take(&mut self) -> Result<Option<(String, bool)>, Stop> {
        let (lists, prefix, owner) = (
            self.lists.clone(),
            self.reporter.prefix.clone(),
            self.reporter.owner.clone(),
        );
        loop {
            // Each has a name and a counter at least.
            let most = MAX_FIELDS / 2;
            let count = most.to_string();
            let applications =
                self.applications(&[b"SRANDMEMBER", lists.dirty.as_bytes(), count.as_bytes()])?;
            if applications.is_empty() {
                return Ok(None);
            }
            self.reporter.batches += 1;
            let id = format!("{owner}-{}", self.reporter.batches);
            let take = Take {
                lists: &lists,
                batch: Batch {
                    prefix: &prefix,
                    id: &id,
                },
                now_ms: self.clock.now_ms(),
                lease_for_ms: self.lease_for_ms(),
                owner: &owner,
                max_fields: MAX_FIELDS,
                applications: &applications,
            };
            let value = self.script(|scripts| &scripts.take, &take)?;
            let RedisValue::Array(numbers) = value else {
                return Err(unexpected_reply());
            };
            let more =
                applications.len() == most || matches!(numbers.get(1), Some(RedisValue::Int(1)));
            match numbers.first() {
                Some(RedisValue::Int(1..)) => return Ok(Some((id, more))),
                // Another reporter has taken them.
                _ if more => {}
                _ => return Ok(None),
            }
        }
    }

    /// Makes sure that this reporter still owns the batch, and sets the end of the lease.
    pub(super) fn extend(&mut self, batch: &str, until_ms: i64) -> Result<(), Stop> {
        let lease = Lease {
            lists: &self.lists.clone(),
            batch,
            owner: &self.reporter.owner.clone(),
            until_ms,
        };
        let value = self.script(|scripts| &scripts.lease, &lease)?;
        if value == RedisValue::Int(1) {
            Ok(())
        } else {
            Err(Stop::LostLease)
        }
    }

    /// Removes fields from the batch; without fields, the applications that have none left. Otherwise the usage would be
    /// reported again, so this is tried up to three times, which is safe.
    pub(super) fn acknowledge(
        &mut self,
        batch: &str,
        fields: &[(&str, &str)],
        keep_for: Duration,
    ) -> Result<(), Stop> {
        self.parts += 1;
        let part = format!("{batch}-{}", self.parts);
        let mut last = None;
        for attempt in 0..3 {
            if attempt > 0 {
                std::thread::sleep(Duration::from_millis(100).min(self.left()));
            }
            match self.settle(batch, &part, fields, keep_for) {
                Ok(()) => return Ok(()),
                Err(stop) => last = Some(stop),
            }
        }
        Err(last.unwrap_or(Stop::Time))
    }

    fn settle(
        &mut self,
        batch: &str,
        part: &str,
        fields: &[(&str, &str)],
        keep_for: Duration,
    ) -> Result<(), Stop> {
        let (lists, prefix) = (self.lists.clone(), self.reporter.prefix.clone());
        let batch = Batch {
            prefix: &prefix,
            id: batch,
        };
        let applications = match fields {
            [] => self.members(batch)?,
            // No other call comes between a report and the removal of its counters.
            _ => {
                let touched: BTreeSet<&str> =
                    fields.iter().map(|(application, _)| *application).collect();
                touched.into_iter().map(str::to_owned).collect()
            }
        };
        let settle = Settle {
            lists: &lists,
            batch,
            part,
            keep_for_ms: u64::try_from(keep_for.as_millis()).unwrap_or(u64::MAX),
            applications: &applications,
            counters: fields,
        };
        self.script(|scripts| &scripts.settle, &settle)?;
        Ok(())
    }
}
