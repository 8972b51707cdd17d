//! `sandbox --load` and `--chaos`: many requests, what callers see of it, and whether the sums agree.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use console::Term;
use serde_json::{Value, json};
use threescale_stand_in::Application;

use super::messages;
use super::running::{Running, now_ms};
use crate::aws::function_view;
use crate::cli::{Chaos, Format, Global, SandboxArgs};
use crate::commands::session::cache_dir;
use crate::config::CredentialLocation;
use crate::error::{Error, ExitStatus, Result};
use crate::package::{self, Package};
use crate::private;
use crate::report;
use crate::sandbox::load::{Caller, Figures, Function, Latency, event, fire};
use crate::sandbox::usage::Usage;
use crate::sandbox::{ACCOUNT, REGION};

/// Instances of the authorizer.
const INSTANCES: usize = 8;
/// The rate of a chaos run that names none.
const RATE: u32 = 500;
/// How often the reporter runs meanwhile; its schedule has a minute, which a short load would not see.
const REPORT_EVERY: Duration = Duration::from_secs(5);
/// How long all usage may take to arrive at 3scale.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
/// A line of progress, where there is no terminal.
const LINE_EVERY: u64 = 5;
const PHASES: [&str; 3] = ["before", "without it", "after"];

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
        Format::Json => report::result(&outcome.document(args, rate).to_string()),
        Format::Text => report::result(&outcome.text(args)),
    }
    Ok(match outcome.agrees() && outcome.unanswered == 0 {
        true => ExitStatus::Done,
        false => ExitStatus::Failed,
    })
}

/// All that a run came to.
struct Outcome {
    phases: [Figures; 3],
    whole: Figures,
    took: Duration,
    unanswered: usize,
    /// Calls of 3scale by kind.
    calls: Vec<(String, u64)>,
    reported: u64,
}

async fn apply(
    global: &Global,
    args: &SandboxArgs,
    running: &mut Running,
    path: &str,
    rate: u32,
) -> anyhow::Result<Outcome> {
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
    Ok(Outcome {
        unanswered: function.unanswered(),
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

fn word(part: Chaos) -> &'static str {
    match part {
        Chaos::Redis => "Redis",
        Chaos::Threescale => "3scale",
    }
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
    let mut environment = function_view::environment(&running.aws, &name).await?;
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

/// Nine of ten requests are of applications without limits; the rest are of limited and suspended ones, and of nobody.
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

/// The live picture: on a terminal in place, else a line now and then.
struct LoadDisplay {
    screen: Option<Term>,
    quiet: bool,
    rate: u32,
    rates: Vec<u64>,
    seconds: u64,
    decisions: u64,
    lines: usize,
}

impl LoadDisplay {
    fn new(global: &Global, rate: u32) -> Self {
        let screen = Term::stderr();
        let screen = (screen.is_term() && !global.quiet).then_some(screen);
        Self {
            screen,
            quiet: global.quiet,
            rate,
            rates: Vec::new(),
            seconds: 0,
            decisions: 0,
            lines: 0,
        }
    }

    fn say(&mut self, text: &str) {
        self.clear();
        if !self.quiet {
            report::note(text);
        }
    }

    fn clear(&mut self) {
        if let Some(screen) = &self.screen {
            let _ = screen.clear_last_lines(std::mem::take(&mut self.lines));
        }
    }

    fn show(&mut self, recent: &Figures, waiting: usize, calls: u64) {
        self.seconds += 1;
        self.decisions += recent.decisions();
        self.rates.push(recent.decisions());
        let latency = recent.latency();
        let line = format!(
            "{:>4} s  {:>6} decisions/s  p50 {}, p99 {}  {} waiting  {} calls of 3scale, {:.2} % saved",
            self.seconds,
            recent.decisions(),
            ms(latency.p50),
            ms(latency.p99),
            waiting,
            calls,
            percent(self.decisions.saturating_sub(calls), self.decisions),
        );
        if self.screen.is_some() {
            self.clear();
            report::note(&format!("{}\n{line}", self.curve()));
            self.lines = 2;
        } else if !self.quiet && self.seconds.is_multiple_of(LINE_EVERY) {
            report::note(&line);
        }
    }

    /// Decisions a second over the last minute, as bars.
    fn curve(&self) -> String {
        const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        let top = self.rates.iter().copied().max().unwrap_or(0);
        let top = top.max(u64::from(self.rate)).max(1);
        let bar = |rate: &u64| {
            let height = usize::try_from(rate * 8 / top).unwrap_or(8);
            BARS.get(height).copied().unwrap_or('█')
        };
        let from = self.rates.len().saturating_sub(60);
        self.rates[from..].iter().map(bar).collect()
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / whole.max(1) as f64
}

/// Microseconds, for people.
fn ms(us: u32) -> String {
    match us {
        0..10_000 => format!("{:.1} ms", f64::from(us) / 1000.0),
        _ => format!("{} ms", us / 1000),
    }
}

impl Outcome {
    /// Whether what passed is what 3scale has counted, to the request.
    fn agrees(&self) -> bool {
        self.whole.usage == self.reported
    }

    /// Questions about a caller, as opposed to reports.
    fn questions(&self) -> u64 {
        let asked = self.calls.iter().filter(|(kind, _)| kind != "report");
        asked.map(|(_, count)| count).sum()
    }

    fn all_calls(&self) -> u64 {
        self.calls.iter().map(|(_, count)| count).sum()
    }

    fn rate(&self) -> f64 {
        self.whole.decisions() as f64 / self.took.as_secs_f64()
    }

    fn text(&self, args: &SandboxArgs) -> String {
        let whole = &self.whole;
        let decisions = whole.decisions();
        let latency = |latency: Latency| {
            format!(
                "p50 {}, p90 {}, p99 {}, p99.9 {}, slowest {}",
                ms(latency.p50),
                ms(latency.p90),
                ms(latency.p99),
                ms(latency.p999),
                ms(latency.max)
            )
        };
        let refused = |figures: &Figures| match figures.refused.is_empty() {
            true => "none".to_owned(),
            false => {
                let reasons = figures.refused.iter();
                let reasons: Vec<String> = reasons
                    .map(|(reason, count)| format!("{count} {reason}"))
                    .collect();
                reasons.join(", ")
            }
        };
        let questions = self.questions();
        let mut lines = vec![
            format!(
                "{decisions} decisions in {}, {:.0} a second, by {INSTANCES} instances of the function's own binary",
                report::elapsed(self.took),
                self.rate()
            ),
            "(events go to it as Lambda hands them over; the emulated gateway is not in the way)"
                .to_owned(),
            format!("latency   {}", latency(whole.latency())),
            format!(
                "hit rate  {:.2} %: {questions} questions to 3scale and {} reports, {} calls saved",
                percent(decisions.saturating_sub(questions), decisions),
                self.all_calls() - questions,
                decisions.saturating_sub(self.all_calls())
            ),
            format!("allowed   {}", whole.allowed),
            format!("refused   {}", refused(whole)),
        ];
        if let Some(part) = args.chaos {
            lines.push(format!("{} was stopped and started again:", word(part)));
            for (name, phase) in PHASES.iter().zip(&self.phases) {
                lines.push(format!(
                    "  {name:<10}  {} allowed; refused: {}; {}",
                    phase.allowed,
                    refused(phase),
                    latency(phase.latency())
                ));
            }
        }
        if self.unanswered > 0 {
            lines.push(format!("{} requests were never answered", self.unanswered));
        }
        lines.push(match self.agrees() {
            true => format!(
                "usage of what was allowed {} = reported to 3scale {}",
                whole.usage, self.reported
            ),
            false => format!(
                "usage of what was allowed {} is NOT what was reported to 3scale: {}",
                whole.usage, self.reported
            ),
        });
        lines.join("\n")
    }

    fn document(&self, args: &SandboxArgs, rate: u32) -> Value {
        let figures = |figures: &Figures| {
            json!({
                "decisions": figures.decisions(),
                "allowed": figures.allowed,
                "refused": figures.refused,
                "latency_us": figures.latency(),
            })
        };
        let decisions = self.whole.decisions();
        let calls: serde_json::Map<_, _> = self
            .calls
            .iter()
            .map(|(kind, count)| (kind.clone(), json!(count)))
            .collect();
        let mut document = json!({
            "event": "load",
            "measured": "events to the function's own binary, past the emulated gateway",
            "rate": rate,
            "seconds": report::seconds(self.took),
            "instances": INSTANCES,
            "decisions_per_second": self.rate().round(),
            "hit_rate": percent(decisions.saturating_sub(self.questions()), decisions) / 100.0,
            "calls": calls,
            "calls_saved": decisions.saturating_sub(self.all_calls()),
            "unanswered": self.unanswered,
            "usage_allowed": self.whole.usage,
            "usage_reported": self.reported,
            "agrees": self.agrees(),
        });
        if let (Some(document), Value::Object(whole)) =
            (document.as_object_mut(), figures(&self.whole))
        {
            document.extend(whole);
            if let Some(part) = args.chaos {
                let phases = self.phases.iter().map(figures);
                let phases: Vec<Value> = phases.collect();
                document.insert(
                    "chaos".to_owned(),
                    json!({"part": word(part).to_lowercase(), "before": phases[0], "without": phases[1], "after": phases[2]}),
                );
            }
        }
        document
    }
}
