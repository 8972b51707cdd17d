//! A load run: many requests to the deployed authorizer, optionally without Redis or 3scale for a third of the time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};
use threescale_stand_in::Application;

use super::REGION;
use super::load::{Caller, Figures, Function, event, fire};
use super::running::{Running, now_ms};
use super::set_up::credentials;
use super::usage::Usage;
use crate::aws::lambda;
use crate::config::CredentialLocation;
use crate::package::{self, Package};
use crate::private;

/// Instances of the authorizer.
const INSTANCES: usize = 8;
/// How often the reporter runs under load; its schedule of one minute is too long for a short run.
const REPORT_EVERY: Duration = Duration::from_secs(5);
/// The longest time until 3scale has counted all usage.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

/// The part that is stopped for the second third of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Chaos {
    Redis,
    Threescale,
}

/// What a run sends.
#[derive(Debug)]
pub struct LoadOptions {
    /// Requests per second.
    pub rate: u32,
    pub duration: Duration,
    pub chaos: Option<Chaos>,
    /// A protected path.
    pub path: String,
    /// Whether the authorizer is built on this machine, although there may be a zip file of a release.
    pub builds: bool,
    /// The folder of built packages.
    pub cache: PathBuf,
}

/// What happens in a run.
#[derive(Debug)]
pub enum LoadEvent<'a> {
    Stopping(Chaos),
    Starting(Chaos),
    /// One more second: the answers in it, the requests without an answer, and the calls of 3scale so far.
    Second {
        recent: &'a Figures,
        unanswered: usize,
        calls: u64,
    },
    /// No more requests are sent.
    Sent,
}

/// The results of a load run.
#[derive(Debug)]
pub struct LoadOutcome {
    /// Before the part was stopped, without it, and after it was started again.
    pub phases: [Figures; 3],
    pub whole: Figures,
    pub took: Duration,
    pub unanswered: usize,
    /// Instances of the authorizer.
    pub instances: usize,
    /// Calls of 3scale by kind.
    pub calls: Vec<(String, u64)>,
    pub reported: u64,
}

impl LoadOutcome {
    /// Whether 3scale counted exactly what was allowed.
    pub fn agrees(&self) -> bool {
        self.whole.usage == self.reported
    }

    /// The calls about callers, without the reports.
    pub fn questions(&self) -> u64 {
        let asked = self.calls.iter().filter(|(kind, _)| kind != "report");
        asked.map(|(_, count)| count).sum()
    }

    /// All calls of 3scale.
    pub fn all_calls(&self) -> u64 {
        self.calls.iter().map(|(_, count)| count).sum()
    }

    /// Decisions per second.
    pub fn rate(&self) -> f64 {
        self.whole.decisions() as f64 / self.took.as_secs_f64()
    }
}

/// What is known so far, filled by the threads that receive answers.
#[derive(Default)]
struct Received {
    phase: usize,
    phases: [Figures; 3],
    /// Since the last event.
    recent: Figures,
}

/// Sends requests to the deployed authorizer, and returns after all usage arrived at 3scale.
///
/// # Errors
///
/// A program or a server does not start or stop, or the reporter does not finish in time.
pub async fn run(
    running: &mut Running,
    options: &LoadOptions,
    on_event: &mut dyn FnMut(LoadEvent<'_>),
) -> anyhow::Result<LoadOutcome> {
    let binary = binary(running, options).await?;
    let received = Arc::<Mutex<Received>>::default();
    let answered = Arc::clone(&received);
    let environment = environment(running, "authorizer").await?;
    let function = Function::start(&binary, &environment, INSTANCES, move |due, ok, answer| {
        let took = due.elapsed();
        let mut received = lock(&answered);
        let phase = received.phase;
        received.phases[phase].add(took, ok, answer);
        received.recent.add(took, ok, answer);
    })?;
    let function = Arc::new(function);
    let reporter = Reporter::start(running, &binary).await?;
    let callers = callers(running, &options.path);
    // Usage of earlier requests is no part of it.
    reporter.settle(running, 0).await?;
    let before = usage(running);

    let began = Instant::now();
    let generator = LoadGenerator::start(
        Arc::clone(&function),
        callers,
        options.rate,
        options.duration,
    );
    let mut clock = tokio::time::interval(Duration::from_secs(1));
    clock.tick().await;
    let mut next_report = REPORT_EVERY;
    while began.elapsed() < options.duration {
        clock.tick().await;
        let elapsed = began.elapsed();
        let phase = lock(&received).phase;
        if let Some(part) = options.chaos {
            if phase == 0 && elapsed * 3 >= options.duration {
                on_event(LoadEvent::Stopping(part));
                lock(&received).phase = 1;
                stop_part(running, part).await?;
            } else if phase == 1 && elapsed * 3 >= options.duration * 2 {
                on_event(LoadEvent::Starting(part));
                start_part(running, part).await?;
                lock(&received).phase = 2;
            }
        }
        if elapsed >= next_report {
            next_report += REPORT_EVERY;
            reporter.report();
        }
        let recent = std::mem::take(&mut lock(&received).recent);
        let calls = usage(running).all_calls() - before.all_calls();
        on_event(LoadEvent::Second {
            recent: &recent,
            unanswered: function.unanswered(),
            calls,
        });
    }
    let phase = lock(&received).phase;
    if let (Some(part), 1) = (options.chaos, phase) {
        start_part(running, part).await?;
    }
    // It started a moment after this clock, so its last events may be due now.
    let _ = tokio::task::spawn_blocking(move || generator.wait()).await;
    let deadline = Instant::now() + SETTLED_WITHIN;
    while function.unanswered() > 0 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let took = began.elapsed();
    let phases = lock(&received).phases.clone();
    let mut whole = Figures::default();
    phases.iter().for_each(|phase| whole.merge(phase));
    on_event(LoadEvent::Sent);
    reporter.settle(running, before.sum() + whole.usage).await?;
    let after = usage(running);
    let calls = after.calls.iter().map(|(kind, count)| {
        let earlier = before.calls.get(kind).copied().unwrap_or(0);
        (kind.clone(), count - earlier)
    });
    Ok(LoadOutcome {
        unanswered: function.unanswered(),
        instances: INSTANCES,
        took,
        calls: calls.collect(),
        reported: after.sum() - before.sum(),
        phases,
        whole,
    })
}

/// Sends from its own thread. Dropping this value stops the thread and waits for it, so that an interrupted run releases the
/// function's instances.
struct LoadGenerator {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<u64>>,
}

impl LoadGenerator {
    fn start(function: Arc<Function>, callers: Vec<Caller>, rate: u32, time: Duration) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let heard = Arc::clone(&stop);
        let thread = std::thread::spawn(move || fire(&function, &callers, rate, time, &heard));
        Self {
            stop,
            thread: Some(thread),
        }
    }

    /// Waits until every event is sent.
    fn wait(mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for LoadGenerator {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(received: &Mutex<Received>) -> MutexGuard<'_, Received> {
    received.lock().unwrap_or_else(PoisonError::into_inner)
}

fn usage(running: &Running) -> Usage {
    Usage::of(&running.threescale.state(), now_ms() / 1000)
}

async fn stop_part(running: &mut Running, part: Chaos) -> anyhow::Result<()> {
    match part {
        Chaos::Redis => running.sandbox.stop_redis().await,
        Chaos::Threescale => {
            let threescale = Arc::clone(&running.threescale);
            let stopped = tokio::task::spawn_blocking(move || threescale.stop()).await;
            stopped.context("stopping the stand-in for 3scale")
        }
    }
}

async fn start_part(running: &mut Running, part: Chaos) -> anyhow::Result<()> {
    match part {
        Chaos::Redis => running.sandbox.start_redis().await,
        Chaos::Threescale => {
            let started = running.threescale.restart();
            started.context("starting the stand-in for 3scale again")
        }
    }
}

/// Writes the deployed binary to a file.
async fn binary(running: &Running, options: &LoadOptions) -> anyhow::Result<PathBuf> {
    let authorizer = &running.config.authorizer;
    let architecture = authorizer.architecture.as_str();
    let package = match &authorizer.artifact {
        Some(artifact) => Package::artifact(&artifact.path, architecture)?,
        None => {
            let cache = options.cache.clone();
            let package = Package::bundled(architecture, cache, Arc::new(|_, _| {}))?;
            match options.builds {
                true => package.with_release(None),
                false => package,
            }
        }
    };
    let path = running.sandbox.dir().join("bootstrap-under-load");
    let executable = package::executable(&package.zip().await?)?;
    private::write(&path, 0o700, &executable).context("writing the authorizer's binary")?;
    Ok(path)
}

/// The environment of the deployed function, with what Lambda adds to it.
async fn environment(running: &Running, role: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let name = running.names.function(role);
    let mut environment = lambda::environment(&running.aws, &name).await?;
    let access = &running.keys.access;
    for (variable, value) in [
        ("AWS_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", &access.id),
        ("AWS_SECRET_ACCESS_KEY", access.secret.expose()),
        ("AWS_ENDPOINT_URL", &running.facts.endpoint),
        ("AWS_LAMBDA_FUNCTION_NAME", &name),
    ] {
        environment.insert(variable.to_owned(), value.to_owned());
    }
    Ok(environment)
}

/// Nine of ten requests are of applications without limits; the rest are of limited and suspended ones, and of unknown keys.
fn callers(running: &Running, path: &str) -> Vec<Caller> {
    let state = running.threescale.state();
    let mut unknown = Application::new("no-such-application", "");
    "no-such-key".clone_into(&mut unknown.user_key);
    let kinds: [(u32, Vec<&Application>); 3] = [
        (
            90,
            state
                .applications
                .iter()
                .filter(|app| app.active && app.limits.is_empty())
                .collect(),
        ),
        (
            5,
            state
                .applications
                .iter()
                .filter(|app| app.active && !app.limits.is_empty())
                .collect(),
        ),
        (
            3,
            state
                .applications
                .iter()
                .filter(|app| !app.active)
                .collect(),
        ),
    ];
    let api = running.facts.url.rsplit('/').nth(1).unwrap_or_default();
    let stage = running.config.api.stage();
    let caller = |application: &Application, share: u32| {
        let (mut headers, mut query) = (Vec::new(), Vec::new());
        for (location, name, value) in credentials(&running.config, application) {
            match location {
                CredentialLocation::Header => headers.push((name, value)),
                CredentialLocation::Query => query.push((name, value)),
            }
        }
        let event = event(running.api_type, (api, stage), path, &headers, &query);
        Caller { event, share }
    };
    let mut callers = Vec::new();
    for (share, applications) in &kinds {
        let count = u32::try_from(applications.len()).unwrap_or(u32::MAX).max(1);
        for application in applications {
            callers.push(caller(application, (share / count).max(1)));
        }
    }
    callers.push(caller(&unknown, 2));
    callers
}

/// The reporter's real binary, invoked by the run instead of the schedule.
struct Reporter {
    function: Function,
    last: Arc<Mutex<Value>>,
}

impl Reporter {
    async fn start(running: &Running, binary: &Path) -> anyhow::Result<Self> {
        let last = Arc::<Mutex<Value>>::default();
        let answered = Arc::clone(&last);
        let environment = environment(running, "reporter").await?;
        let function = Function::start(binary, &environment, 1, move |_, _, answer| {
            let answer = serde_json::from_slice(answer).unwrap_or_default();
            *answered.lock().unwrap_or_else(PoisonError::into_inner) = answer;
        })?;
        Ok(Self { function, last })
    }

    /// Invokes it, unless an invocation is in progress.
    fn report(&self) {
        if self.function.unanswered() == 0 {
            let event = json!({"detail-type": "Scheduled Event", "source": "aws.events"});
            self.function
                .invoke([(Instant::now(), Arc::from(event.to_string()))]);
        }
    }

    /// Invokes it until no usage is left, 3scale has counted everything it accepted, and at least `wanted` has arrived, or
    /// until the time is over.
    async fn settle(&self, running: &Running, wanted: u64) -> anyhow::Result<()> {
        let deadline = Instant::now() + SETTLED_WITHIN;
        loop {
            self.report();
            while self.function.unanswered() > 0 || running.threescale.state().waiting() > 0 {
                anyhow::ensure!(
                    Instant::now() < deadline,
                    "the reporter has not finished within {} s",
                    SETTLED_WITHIN.as_secs()
                );
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let last = self
                .last
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            let empty = last["delivered"] == 0 && last["stopped"].is_null();
            if (empty && usage(running).sum() >= wanted) || Instant::now() > deadline {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}
