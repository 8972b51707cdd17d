//! The clients of everything outside the process: the Parameter Store, Redis, and 3scale, with the settings, the clock,
//! and the metrics. The authorizer, the reporter, and the self-test share them.

use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;

use crate::backend::Backend;
use crate::cache::{self, Cache};
use crate::clock::Clock;
use crate::connect::Background;
use crate::failure::{Cause, Failure};
use crate::http::{self, RootCertificates};
use crate::log::{self, Metrics};
use crate::redis::{self, RedisClient};
use crate::secrets::{self, Secrets, SecretsError, Values, Wanted};
use crate::settings::{RuleSettings, Settings};

/// Shortest time between two reads of the Parameter Store when a value from it does not work. It doubles with each read
/// that changes nothing, up to the second one.
const REREAD_EVERY: Duration = Duration::from_secs(10);
const LONGEST_REREAD: Duration = Duration::from_secs(320);
/// How often the Parameter Store is read if everything works, in the background: the hash key may have been recreated.
const REFRESH_EVERY: Duration = Duration::from_secs(300);
/// How long this can take. No event waits for it.
const REFRESH_TIME: Duration = Duration::from_secs(5);
/// The same while there are no secrets: without them every request is refused.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// The clients, kept for the life of the process.
#[derive(Debug)]
pub struct Clients {
    pub(crate) settings: Settings,
    pub(crate) agent: ureq::Agent,
    connector: Background,
    pub(crate) backend: Backend,
    pub(crate) cache: Cache,
    pub(crate) secrets: Result<Secrets, SecretsError>,
    /// What is stored in parameters and not read yet. It never changes in the life of a process.
    wanted: Wanted,
    /// The mapping rules that were read and not taken yet.
    rules: Option<Vec<RuleSettings>>,
    roots: Option<RootCertificates>,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Clock,
    /// When the last read of the Parameter Store ended.
    secrets_read: Option<Instant>,
    /// How many reads in a row changed nothing, while a value did not work.
    futile: u32,
    /// When the next read in the background is due.
    refresh_at: Instant,
    refresh: Option<Receiver<Result<Values, SecretsError>>>,
}

/// The time between two reads of the Parameter Store after this number of reads that changed nothing.
fn reread_after(futile: u32) -> Duration {
    REREAD_EVERY
        .saturating_mul(1 << futile.min(16))
        .min(LONGEST_REREAD)
}

fn next_refresh() -> Instant {
    Instant::now() + secrets::random_part(REFRESH_EVERY)
}

impl Clients {
    /// Creates the clients. Does not connect to anything.
    #[must_use]
    pub fn new(settings: Settings, roots: Option<&RootCertificates>, clock: Clock) -> Self {
        let (agent, connector) = http::client(roots, &[]);
        let cache = Cache::new(
            RedisClient::new(redis::tls_config(roots.map(RootCertificates::store))),
            match settings.mode.reports() {
                true => cache::prefix(&settings.stack, &settings.service.service_id),
                false => cache::unreported_prefix(&settings.stack, &settings.service.service_id),
            },
            process_id(),
            settings.service.max_age(),
            settings.mode.reports(),
        );
        Self {
            backend: Backend::new(
                agent.clone(),
                &settings.service.backend,
                &settings.service.service_id,
            ),
            metrics: Metrics::new(
                &settings.stack,
                &settings.function,
                settings.mode,
                settings.series,
            ),
            secrets: Err(SecretsError::Unreachable(Failure::new(
                Cause::Failed,
                "not read yet",
            ))),
            wanted: Wanted {
                rules: settings.service.stored_rules.clone(),
                roots: settings.service.stored_roots.clone(),
            },
            rules: None,
            roots: roots.cloned(),
            settings,
            agent,
            connector,
            cache,
            clock,
            secrets_read: None,
            futile: 0,
            refresh_at: next_refresh(),
            refresh: None,
        }
    }

    /// Reads the secrets and connects to Redis before the first event. A caller may already be waiting, so one deadline
    /// covers both. Meanwhile, a connection to 3scale is opened, that no request waits for: if 3scale is far away, it takes
    /// longer than a caller has.
    pub fn warm_up(&mut self) {
        // Only afterwards is it known whom to trust, if 3scale has a certificate authority of its own.
        if self.wanted.roots.is_none() {
            self.connector
                .begin(&self.settings.service.backend, self.agent.config());
        }
        let budgets = self.settings.budgets;
        let until = Instant::now() + budgets.ssm + budgets.redis;
        self.read_secrets(budgets.ssm);
        if self.secrets.is_ok() && self.settings.service.uses_redis() {
            // The first event tries again if this fails.
            let _ = self
                .cache
                .redis
                .connect(until.min(Instant::now() + budgets.redis * 2));
        }
    }

    /// Reads the Parameter Store. Keeps the secrets it has if the read fails.
    pub(crate) fn read_secrets(&mut self, budget: Duration) {
        // The result is in `secrets` and in the log.
        let _ = self.try_read_secrets(budget);
    }

    /// Does the same, and returns the result of this read.
    pub(crate) fn try_read_secrets(&mut self, budget: Duration) -> Result<(), SecretsError> {
        let read = secrets::read(
            &self.agent,
            &self.settings.aws,
            &self.settings.parameters,
            &self.settings.names,
            &self.wanted,
            budget,
        );
        // A value that fails a long time after the last read is another failure.
        let pause = reread_after(self.futile);
        if self
            .secrets_read
            .is_none_or(|last| last.elapsed() > pause * 2)
        {
            self.futile = 0;
        }
        // The pause begins at the end of the read, so that a slow Parameter Store is not called again at once.
        self.secrets_read = Some(Instant::now());
        self.refresh_at = next_refresh();
        match read {
            Ok(values) => {
                self.futile = match &self.secrets {
                    Ok(before) if *before == values.secrets => self.futile.saturating_add(1),
                    _ => 0,
                };
                self.use_values(values);
                Ok(())
            }
            Err(error) => {
                log::note(
                    "error",
                    "secrets",
                    serde_json::json!({ "error": error.to_string() }),
                );
                if self.secrets.is_err() {
                    self.secrets = Err(error.clone());
                }
                Err(error)
            }
        }
    }

    fn use_values(&mut self, values: Values) {
        let Values {
            secrets,
            rules,
            roots,
        } = values;
        self.cache.redis.set_endpoint(secrets.cache.clone());
        self.cache.set_keys(&secrets.keys);
        self.secrets = Ok(secrets);
        if self.wanted.rules.is_some() && rules.is_some() {
            self.wanted.rules = None;
            self.rules = rules;
        }
        if let (Some(more), Some(_)) = (roots, &self.wanted.roots) {
            self.wanted.roots = None;
            self.trust(&more);
        }
    }

    /// From now on, 3scale can also have a certificate of these authorities. The Parameter Store cannot.
    fn trust(&mut self, more: &[CertificateDer<'static>]) {
        let service = &self.settings.service;
        let (agent, connector) = http::client(self.roots.as_ref(), more);
        connector.begin(&service.backend, agent.config());
        self.backend = Backend::new(agent, &service.backend, &service.service_id);
        self.connector = connector;
    }

    /// The mapping rules from the Parameter Store, once, as soon as they were read.
    pub(crate) fn take_rules(&mut self) -> Option<Vec<RuleSettings>> {
        self.rules.take()
    }

    /// Begins to read the Parameter Store in the background if that is due, and uses what was read. No event waits for it.
    pub fn refresh(&mut self, now: Instant) {
        if let Some(refresh) = &self.refresh {
            match refresh.try_recv() {
                Ok(read) => {
                    self.refresh = None;
                    // If it failed, the secrets still work, or their failure is noticed elsewhere.
                    if let Ok(values) = read {
                        self.use_values(values);
                    }
                }
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => self.refresh = None,
            }
        } else if now >= self.refresh_at && self.secrets.is_ok() {
            self.refresh_at = next_refresh();
            let (sender, receiver) = mpsc::channel();
            let agent = self.agent.clone();
            let (aws, path) = (self.settings.aws.clone(), self.settings.parameters.clone());
            let names = self.settings.names.clone();
            let thread = std::thread::Builder::new()
                .name("refresh".to_owned())
                .spawn(move || {
                    // With the secrets, everything else was read, too.
                    let more = Wanted::default();
                    let read = secrets::read(&agent, &aws, &path, &names, &more, REFRESH_TIME);
                    // The receiver is gone if the process ends.
                    let _ = sender.send(read);
                });
            self.refresh = thread.is_ok().then_some(receiver);
        }
    }

    /// Reads the secrets again, and returns whether the service token is another one now.
    pub(crate) fn reread_token(&mut self, budget: Duration) -> bool {
        let before = self.service_token().map(str::to_owned);
        self.read_secrets(budget);
        self.service_token() != before.as_deref()
    }

    fn service_token(&self) -> Option<&str> {
        let secrets = self.secrets.as_ref().ok();
        secrets.map(|secrets| secrets.service_token.as_str())
    }

    /// Prepares work that needs Redis: reads the secrets if there are none, and connects. If the connection fails, reads
    /// the secrets again, because the endpoint may have been replaced.
    pub(crate) fn reach_cache(&mut self, deadline: Instant) {
        let left = || deadline.saturating_duration_since(Instant::now());
        if self.secrets.is_err() {
            // The reporter has more time than a caller.
            self.read_secrets((self.settings.budgets.ssm * 3).min(left() / 2));
        }
        let connect = |this: &mut Self| {
            let until = Instant::now() + (this.settings.budgets.redis * 5).min(left() / 2);
            this.cache.redis.connect(until).is_ok()
        };
        if !connect(self) && self.may_reread() {
            self.read_secrets((self.settings.budgets.ssm * 3).min(left() / 2));
            connect(self);
        }
    }

    /// The deadline of a command to Redis that begins now, within the request's deadline.
    pub(crate) fn redis_deadline(&self, deadline: Instant) -> Instant {
        deadline.min(Instant::now() + self.settings.budgets.redis)
    }

    /// Whether the Parameter Store may be read again because a value from it does not work.
    pub(crate) fn may_reread(&self) -> bool {
        self.secrets_read
            .is_none_or(|read| read.elapsed() >= reread_after(self.futile))
    }

    /// Whether the Parameter Store may be read again because there are no secrets.
    pub(crate) fn may_retry(&self) -> bool {
        self.secrets_read
            .is_none_or(|read| read.elapsed() >= RETRY_EVERY)
    }

    /// Ends the pause between two reads of the Parameter Store, for tests.
    #[doc(hidden)]
    pub fn forget_reading(&mut self) {
        self.secrets_read = None;
        self.refresh_at = Instant::now();
    }
}

/// A random name for this process. Redis tells the requests and batches of processes apart by it.
pub(crate) fn process_id() -> String {
    let mut bytes = [0_u8; 12];
    if getrandom::fill(&mut bytes).is_err() {
        // Without randomness: two processes with the same number do not start in the same nanosecond.
        let time = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        return format!("{}-{}", time.as_nanos(), std::process::id());
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_that_change_nothing_grow_further_apart() {
        let seconds = [0, 1, 2, 5, 6, 99].map(|futile| reread_after(futile).as_secs());
        assert_eq!(seconds, [10, 20, 40, 320, 320, 320]);
    }
}
