//! `sandbox --load` and `--chaos`: many requests, what callers see of it, and whether the sums agree.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};
use threescale_stand_in::Application;

use super::messages;
use super::running::{Running, now_ms};
use crate::aws::lambda;
use crate::cli::{Chaos, Format, Global, SandboxArgs};
use crate::commands::session::cache_dir;
use crate::config::CredentialLocation;
use crate::error::{Error, ExitStatus, Result};
use crate::package::{self, Package};
use crate::private;
use crate::report;
use crate::report::load::{LoadDisplay, LoadOutcome, word};
use crate::sandbox::load::{Caller, Figures, Function, event, fire};
use crate::sandbox::usage::Usage;
use crate::sandbox::{ACCOUNT, REGION};

/// Instances of the authorizer.
const INSTANCES: usize = 8;
/// The rate of a chaos run that names none.
const RATE: u32 = 500;
/// How often the reporter runs under load; its schedule of one minute is too long for a short run.
const REPORT_EVERY: Duration = Duration::from_secs(5);
/// How long all usage may take to arrive at 3scale.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

/// What is known so far, filled by the threads that take answers.
#[derive(Default)]
struct Seen {
    phase: usize,
    phases: [Figures; 3],
    /// Since the last look.
    recent: Figures,
}

/// Fires, shows, and ends when all usage has arrived.
pub(super) async fn run(
    global: &Global,
    args: &SandboxArgs,
    running: &mut Running,
    path: &str,
) -> Result<ExitStatus> {
    let rate = args.load.unwrap_or(RATE);
    let fired = apply(global, args, running, path, rate).await;
    let outcome = fired.map_err(Error::failed)?;
    match global.output {
        Format::Json => report::result(&outcome.document(args.chaos, rate).to_string()),
        Format::Text => report::result(&outcome.text(args.chaos)),
    }
    Ok(match outcome.agrees() && outcome.unanswered == 0 {
        true => ExitStatus::Done,
        false => ExitStatus::Failed,
    })
}

async fn apply(
    global: &Global,
    args: &SandboxArgs,
    running: &mut Running,
    path: &str,
    rate: u32,
) -> anyhow::Result<LoadOutcome> {
    let binary = binary(running).await?;
    let seen = Arc::<Mutex<Seen>>::default();
    let answered = Arc::clone(&seen);
    let environment = environment(running, "authorizer").await?;
    let function = Function::start(&binary, &environment, INSTANCES, move |due, ok, answer| {
        let took = due.elapsed();
        let mut seen = lock(&answered);
        let phase = seen.phase;
        seen.phases[phase].add(took, ok, answer);
        seen.recent.add(took, ok, answer);
    })?;
    let function = Arc::new(function);
    let reporter = Reporter::start(running, &binary).await?;
    let callers = callers(running, path);
    // Usage of earlier requests is no part of it.
    reporter.settle(running, 0).await?;
    let before = usage(running);

    let began = Instant::now();
    let gun = LoadGenerator::start(Arc::clone(&function), callers, rate, args.duration);
    let mut picture = LoadDisplay::new(global, rate);
    let mut clock = tokio::time::interval(Duration::from_secs(1));
    clock.tick().await;
    let mut next_report = REPORT_EVERY;
    while began.elapsed() < args.duration {
        clock.tick().await;
        let elapsed = began.elapsed();
        let phase = lock(&seen).phase;
        if let Some(part) = args.chaos {
            if phase == 0 && elapsed * 3 >= args.duration {
                picture.say(&format!("stopping {}", word(part)));
                lock(&seen).phase = 1;
                stop_part(running, part).await?;
            } else if phase == 1 && elapsed * 3 >= args.duration * 2 {
                picture.say(&format!("starting {} again", word(part)));
                start_part(running, part).await?;
                lock(&seen).phase = 2;
            }
        }
        if elapsed >= next_report {
            next_report += REPORT_EVERY;
            reporter.report();
        }
        let recent = std::mem::take(&mut lock(&seen).recent);
        let calls = usage(running).all_calls() - before.all_calls();
        picture.show(&recent, function.unanswered(), calls);
    }
    let phase = lock(&seen).phase;
    if let (Some(part), 1) = (args.chaos, phase) {
        start_part(running, part).await?;
    }
    // It began a moment after this clock, so its last events may be due now.
    let _ = tokio::task::spawn_blocking(move || gun.wait()).await;
    let deadline = Instant::now() + SETTLED_WITHIN;
    while function.unanswered() > 0 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let took = began.elapsed();
    let phases = lock(&seen).phases.clone();
    let mut whole = Figures::default();
    phases.iter().for_each(|phase| whole.merge(phase));
    picture.clear();
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

/// Fires from a thread of its own. Dropped, it ends and is waited for: also when the user does not want to see the end of it,
/// nothing holds on to the function's instances then.
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

    /// Waits until every event is handed over.
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

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
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

/// The binary that was deployed, once more as a file.
async fn binary(running: &Running) -> anyhow::Result<PathBuf> {
    let authorizer = &running.config.authorizer;
    let architecture = authorizer.architecture.as_str();
    let package = match &authorizer.artifact {
        Some(artifact) => Package::artifact(artifact, architecture)?,
        None => Package::bundled(architecture, cache_dir()?, Arc::new(|_| {}))?,
    };
    let path = running.sandbox.dir().join("bootstrap-under-load");
    let executable = package::executable(&package.zip().await?)?;
    private::write(&path, 0o700, &executable).context("writing the authorizer's binary")?;
    Ok(path)
}

/// What the deployed function sees, and what Lambda adds to it.
async fn environment(
    running: &Running,
    role: &str,
) -> anyhow::Result<std::collections::BTreeMap<String, String>> {
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
    let stage = running.config.api.stage.as_str();
    let caller = |application: &Application, share: u32| {
        let (mut headers, mut query) = (Vec::new(), Vec::new());
        for (location, name, value) in messages::credentials(&running.config, application) {
            match location {
                CredentialLocation::Header => headers.push((name, value)),
                CredentialLocation::Query => query.push((name, value)),
            }
        }
        let event = event((REGION, ACCOUNT, api, stage), path, &headers, &query);
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

/// The reporter's real binary, run when we say so.
struct Reporter {
    function: Function,
    last: Arc<Mutex<Value>>,
}

impl Reporter {
    async fn start(running: &Running, binary: &std::path::Path) -> anyhow::Result<Self> {
        let last = Arc::<Mutex<Value>>::default();
        let answered = Arc::clone(&last);
        let environment = environment(running, "reporter").await?;
        let function = Function::start(binary, &environment, 1, move |_, _, answer| {
            let answer = serde_json::from_slice(answer).unwrap_or_default();
            *answered.lock().unwrap_or_else(PoisonError::into_inner) = answer;
        })?;
        Ok(Self { function, last })
    }

    /// Begins a run, unless one is under way.
    fn report(&self) {
        if self.function.unanswered() == 0 {
            let event = json!({"detail-type": "Scheduled Event", "source": "aws.events"});
            self.function
                .invoke([(Instant::now(), Arc::from(event.to_string()))]);
        }
    }

    /// Runs until nothing is left to report, 3scale has counted all it accepted, and at least `wanted` has arrived - or
    /// the time for that is over.
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
