//! A stand-in for 3scale's Service Management API, for tests and for trying things out on one machine.
//!
//! It is held to the recorded behaviour of the real backend (Apisonator 3.4.3): endpoints, order of checks, statuses,
//! codes, texts, bodies, headers, the options of `3scale-options`, limits and their headers, what is accepted and then
//! lost as a whole batch, counting some time after the answer, and configuration that each process keeps for 60 s. The
//! recorded samples stand in `tests/recorded.md`, and a test compares every one.
//!
//! Not here: more than one service, multipart bodies, response codes (`log[code]`), the Admin Portal.

mod amount;
mod answers;
mod cached;
mod checks;
mod file;
pub mod http;
mod limits;
mod memo;
mod model;
mod params;
mod periods;
mod reports;
mod routes;
mod state;

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

pub use file::{Activity, AppEntry, File, Metric};
pub use http::Server;
pub use model::{Application, Counting, Fault, IntegrationError, Limit, Mode, SERVICE, TOKEN};
pub use periods::Period;
pub use state::State;

/// Tells the time, in Unix milliseconds.
type Clock = dyn Fn() -> i64 + Send + Sync;

/// A running stand-in. Dropping it closes its port and ends its threads.
pub struct Threescale {
    /// Where it listens; `None` while it is [stopped](Self::stop).
    listening: Mutex<Option<Server>>,
    address: SocketAddr,
    shared: Arc<Shared>,
    worker: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    clock: Box<Clock>,
    /// Something was put in the queue, or the end has come.
    news: Condvar,
    over: std::sync::atomic::AtomicBool,
}

impl fmt::Debug for Threescale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Threescale")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Threescale {
    /// With the recorded service and one application, `app_free` with the user key `uk_free`, without limits; on a free
    /// port of 127.0.0.1. `clock` tells the time in Unix milliseconds.
    ///
    /// # Errors
    /// No port, or no thread.
    pub fn start(clock: impl Fn() -> i64 + Send + Sync + 'static) -> std::io::Result<Self> {
        let threescale = Self::serve(State::default(), 0, clock)?;
        threescale.add("free", &[]);
        Ok(threescale)
    }

    /// With this service, on this port of 127.0.0.1 or on a free one if it is 0.
    ///
    /// # Errors
    /// The port is taken, or there is no thread.
    pub fn serve(
        state: State,
        port: u16,
        clock: impl Fn() -> i64 + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            clock: Box::new(clock),
            news: Condvar::new(),
            over: false.into(),
        });
        let listening = listen(&shared, port)?;
        let background = Arc::clone(&shared);
        let worker = std::thread::Builder::new()
            .name("stand-in-worker".to_owned())
            .spawn(move || background.work_on())?;
        Ok(Self {
            address: listening.address,
            listening: Mutex::new(Some(listening)),
            shared,
            worker: Some(worker),
        })
    }

    /// Where it listens, or did before it was stopped.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its address as a URL, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything behind it. While this is held, no call is answered.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }

    /// Closes the port and all connections, after it has answered what it has begun. Everything it knows is kept, and its
    /// worker goes on.
    pub fn stop(&self) {
        *self.listening() = None;
    }

    /// Listens again on the same port.
    ///
    /// # Errors
    /// Somebody else has taken the port.
    pub fn restart(&self) -> std::io::Result<()> {
        let mut listening = self.listening();
        if listening.is_none() {
            *listening = Some(listen(&self.shared, self.address.port())?);
        }
        Ok(())
    }

    fn listening(&self) -> MutexGuard<'_, Option<Server>> {
        self.listening
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an application `app_<name>` with the user key `uk_<name>`.
    pub fn add(&self, name: &str, limits: &[Limit]) {
        self.state().applications.push(Application {
            user_key: format!("uk_{name}"),
            limits: limits.to_vec(),
            ..Application::new(format!("app_{name}"), format!("Plan {name}"))
        });
    }

    /// The queue's worker: counts all that was accepted.
    pub fn work(&self) {
        let now_ms = (self.shared.clock)();
        reports::work(&mut self.state(), now_ms);
    }

    /// Puts failed jobs back and works on them, as the real one's scheduled task does: whatever of them could be counted
    /// is counted once more.
    pub fn retry(&self) {
        let mut state = self.state();
        let failed = std::mem::take(&mut state.failed);
        state.queue.extend(failed);
        drop(state);
        self.work();
    }

    /// How often an endpoint was called; see [`State::calls`].
    #[must_use]
    pub fn calls(&self, kind: &str) -> u64 {
        self.state().calls.get(kind).copied().unwrap_or(0)
    }

    /// What was ever counted for the application `app_<name>` under this metric.
    #[must_use]
    pub fn total(&self, name: &str, metric: &str) -> u64 {
        let key = (format!("app_{name}"), metric.to_owned());
        self.state().totals.get(&key).copied().unwrap_or(0)
    }

    /// All calls from now on fail so, or none any more.
    pub fn fail(&self, fault: Option<Fault>) {
        let mut state = self.state();
        state.sticky = fault.is_some();
        state.faults = fault.into_iter().collect();
    }

    /// The next calls fail so, one each.
    pub fn fail_next(&self, faults: &[Fault]) {
        let mut state = self.state();
        state.sticky = false;
        state.faults = faults.iter().cloned().collect();
    }
}

impl Drop for Threescale {
    fn drop(&mut self) {
        self.stop();
        let held = self.shared.lock();
        self.shared
            .over
            .store(true, std::sync::atomic::Ordering::SeqCst);
        drop(held);
        self.shared.news.notify_all();
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}

fn listen(shared: &Arc<Shared>, port: u16) -> std::io::Result<Server> {
    let shared = Arc::clone(shared);
    let handler = move |request: http::Request| {
        let now_ms = (shared.clock)();
        let answer = routes::answer(&mut shared.lock(), &request, now_ms);
        shared.news.notify_all();
        answer
    };
    Server::on(port, Arc::new(handler))
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what has waited for as long as [`Counting::After`] says.
    fn work_on(&self) {
        let mut state = self.lock();
        while !self.over.load(std::sync::atomic::Ordering::SeqCst) {
            let Counting::After(delay) = state.counting else {
                state = self.wait(state, None);
                continue;
            };
            let Some(job) = state.queue.front() else {
                state = self.wait(state, None);
                continue;
            };
            let left = (job.accepted + delay).saturating_duration_since(Instant::now());
            if !left.is_zero() {
                state = self.wait(state, Some(left));
            } else if let Some(job) = state.queue.pop_front() {
                reports::count(&mut state, job, (self.clock)());
            }
        }
    }

    fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        time: Option<std::time::Duration>,
    ) -> MutexGuard<'a, State> {
        match time {
            None => self
                .news
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner),
            Some(time) => {
                let woken = self.news.wait_timeout(state, time);
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }
}
