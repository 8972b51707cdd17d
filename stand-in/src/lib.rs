//! A stand-in for 3scale's Service Management API, for tests and for local experiments.
//!
//! It follows the recorded behavior of the real backend (Apisonator 3.4.3): endpoints, the order of checks, statuses,
//! codes, texts, bodies, headers, the options of `3scale-options`, limits and their headers, batches that are accepted
//! and then lost as a whole, counting some time after the response, and configuration that each process caches for 60
//! s. The recorded samples are in `tests/recorded.md`, and a test compares every one of them.
//!
//! Not supported: more than one service, multipart bodies, response codes (`log[code]`), and the Admin Portal.

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

/// An example of a [`File`] with comments, as the sandbox uses it.
pub const LIMITS: &str = include_str!("../limits.yaml");

/// Returns the time in Unix milliseconds.
type Clock = dyn Fn() -> i64 + Send + Sync;

/// A running stand-in. Dropping it closes its port and ends its threads.
pub struct Threescale {
    /// The server, or `None` while it is [stopped](Self::stop).
    listening: Mutex<Option<Server>>,
    address: SocketAddr,
    shared: Arc<Shared>,
    worker: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    clock: Box<Clock>,
    /// Notified when a job is queued and when the stand-in is dropped.
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
    /// Starts a stand-in with the recorded service and one application, `app_free` with the user key `uk_free` and
    /// without limits, on a free port of 127.0.0.1. `clock` returns the time in Unix milliseconds.
    ///
    /// # Errors
    /// If no port is free or no thread can be started.
    pub fn start(clock: impl Fn() -> i64 + Send + Sync + 'static) -> std::io::Result<Self> {
        let threescale = Self::serve(State::default(), 0, clock)?;
        threescale.add("free", &[]);
        Ok(threescale)
    }

    /// Starts a stand-in with this service, on this port of 127.0.0.1 or on a free port if it is 0.
    ///
    /// # Errors
    /// If the port is in use or no thread can be started.
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

    /// The address on which it listens, or on which it listened before it was stopped.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its address as a URL, without a trailing slash.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The state behind its endpoints. While the guard is held, no call is answered.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }

    /// Closes the port and all connections after it has answered the requests in progress. The state is kept, and the
    /// worker continues.
    pub fn stop(&self) {
        *self.listening() = None;
    }

    /// Listens again on the same port.
    ///
    /// # Errors
    /// If another process uses the port.
    pub fn restart(&self) -> std::io::Result<()> {
        let mut listening = self.listening();
        if listening.is_none() {
            *listening = Some(listen(&self.shared, self.address.port())?);
        }
        Ok(())
    }

    /// Listens again on the same port with one thread for all connections, as a listener of the real backend: after an
    /// answer it waits 0.2 s for the next request on the connection.
    ///
    /// # Errors
    /// If another process uses the port.
    pub fn use_one_thread(&self) -> std::io::Result<()> {
        let mut listening = self.listening();
        *listening = None;
        let handler = handler(&self.shared);
        *listening = Some(Server::on_one_thread(self.address.port(), handler)?);
        Ok(())
    }

    /// How often its only thread waited on a connection that was kept, and no request came.
    #[must_use]
    pub fn waits(&self) -> u64 {
        self.listening().as_ref().map_or(0, Server::waits)
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

    /// Runs the queue's worker, which counts everything that was accepted.
    pub fn work(&self) {
        let now_ms = (self.shared.clock)();
        reports::work(&mut self.state(), now_ms);
    }

    /// Queues the failed jobs again and processes them, as the scheduled task of the real backend does. The parts of
    /// them that could be counted are counted a second time.
    pub fn retry(&self) {
        let mut state = self.state();
        let failed = std::mem::take(&mut state.failed);
        state.queue.extend(failed);
        drop(state);
        self.work();
    }

    /// The number of calls to an endpoint; see [`State::calls`].
    #[must_use]
    pub fn calls(&self, kind: &str) -> u64 {
        self.state().calls.get(kind).copied().unwrap_or(0)
    }

    /// The total that was counted for the application `app_<name>` under this metric.
    #[must_use]
    pub fn total(&self, name: &str, metric: &str) -> u64 {
        let key = (format!("app_{name}"), metric.to_owned());
        self.state().totals.get(&key).copied().unwrap_or(0)
    }

    /// Makes all further calls fail with this fault, or with `None` lets them succeed again.
    pub fn fail(&self, fault: Option<Fault>) {
        let mut state = self.state();
        state.sticky = fault.is_some();
        state.faults = fault.into_iter().collect();
    }

    /// Makes the next calls fail, each with one of these faults.
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
    Server::on(port, handler(shared))
}

fn handler(shared: &Arc<Shared>) -> Arc<http::Handler> {
    let shared = Arc::clone(shared);
    Arc::new(move |request: http::Request| {
        let now_ms = (shared.clock)();
        let answer = routes::answer(&mut shared.lock(), &request, now_ms);
        shared.news.notify_all();
        answer
    })
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts jobs that have waited for the duration in [`Counting::After`].
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
