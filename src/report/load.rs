//! The display of a load run on the sandbox, and its results.

use std::time::Duration;

use console::Term;
use serde_json::{Value, json};

use super::layout::cut;
use super::screen::rows;
use super::{note, seconds};
use crate::cli::Global;
use crate::duration::{elapsed, exact};
use crate::sandbox::Facts;
use crate::sandbox::load::{Figures, Latency};
use crate::sandbox::load_run::{Chaos, LoadEvent, LoadOptions, LoadOutcome};

/// A line of progress, where there is no terminal.
const LINE_EVERY: u64 = 5;
const PHASES: [&str; 3] = ["before", "without it", "after"];

/// The part that fails, in words.
fn word(part: Chaos) -> &'static str {
    match part {
        Chaos::Redis => "Redis",
        Chaos::Threescale => "3scale",
    }
}

/// The present width of the terminal.
fn columns() -> usize {
    Term::stderr().size().1.into()
}

/// The progress of a load run: updated in place on a terminal, else a line every few seconds.
#[derive(Debug)]
pub struct LoadDisplay {
    screen: Option<Term>,
    quiet: bool,
    rate: u32,
    rates: Vec<u64>,
    seconds: u64,
    decisions: u64,
    /// What the terminal shows.
    lines: Vec<String>,
}

impl LoadDisplay {
    /// A display on standard error, for a run at `rate` requests per second.
    pub fn new(global: &Global, rate: u32) -> Self {
        let screen = Term::stderr();
        let screen = (screen.is_term() && !global.quiet).then_some(screen);
        Self {
            screen,
            quiet: global.quiet,
            rate,
            rates: Vec::new(),
            seconds: 0,
            decisions: 0,
            lines: Vec::new(),
        }
    }

    /// Says what receives the load, which goes past the gateway.
    pub fn begin(&mut self, facts: &Facts, duration: Duration) {
        let (number, rate) = (facts.number, self.rate);
        let text = format!(
            "sends {rate} requests per second for {} to the functions of sandbox {number}",
            exact(duration)
        );
        self.say(&text);
    }

    /// Shows one event.
    pub fn show(&mut self, event: &LoadEvent<'_>) {
        match event {
            LoadEvent::Stopping(part) => self.say(&format!("stopping {}", word(*part))),
            LoadEvent::Starting(part) => self.say(&format!("starting {} again", word(*part))),
            LoadEvent::Second {
                recent,
                unanswered,
                calls,
            } => self.show_second(recent, *unanswered, *calls),
            LoadEvent::Sent => self.clear(),
        }
    }

    /// Prints a line above the display.
    fn say(&mut self, text: &str) {
        self.clear();
        if !self.quiet {
            note(text);
        }
    }

    /// Removes the display from the terminal.
    fn clear(&mut self) {
        if let Some(screen) = &self.screen {
            let lines = std::mem::take(&mut self.lines);
            let _ = screen.clear_last_lines(rows(&lines, columns()));
        }
    }

    fn show_second(&mut self, recent: &Figures, waiting: usize, calls: u64) {
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
            let lines = [self.curve(), line].map(|line| cut(&line, columns().saturating_sub(1)));
            note(&lines.join("\n"));
            self.lines = lines.into();
        } else if !self.quiet && self.seconds.is_multiple_of(LINE_EVERY) {
            note(&line);
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

/// The results as text.
pub fn text(outcome: &LoadOutcome, chaos: Option<Chaos>) -> String {
    let whole = &outcome.whole;
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
    let questions = outcome.questions();
    let mut lines = vec![
        format!(
            "{decisions} decisions in {}, {:.0} a second, by {} instances of the function's own binary",
            elapsed(outcome.took),
            outcome.rate(),
            outcome.instances
        ),
        "(events go to it as Lambda hands them over; the emulated gateway is not in the way)"
            .to_owned(),
        format!("latency   {}", latency(whole.latency())),
        format!(
            "hit rate  {:.2} %: {questions} questions to 3scale and {} reports, {} calls saved",
            percent(decisions.saturating_sub(questions), decisions),
            outcome.all_calls() - questions,
            decisions.saturating_sub(outcome.all_calls())
        ),
        format!("allowed   {}", whole.allowed),
        format!("refused   {}", refused(whole)),
    ];
    if let Some(part) = chaos {
        lines.push(format!("{} was stopped and started again:", word(part)));
        for (name, phase) in PHASES.iter().zip(&outcome.phases) {
            lines.push(format!(
                "  {name:<10}  {} allowed; refused: {}; {}",
                phase.allowed,
                refused(phase),
                latency(phase.latency())
            ));
        }
    }
    if outcome.unanswered > 0 {
        lines.push(format!(
            "{} requests were never answered",
            outcome.unanswered
        ));
    }
    lines.push(match outcome.agrees() {
        true => format!(
            "usage of what was allowed {} = reported to 3scale {}",
            whole.usage, outcome.reported
        ),
        false => format!(
            "usage of what was allowed {} is NOT what was reported to 3scale: {}",
            whole.usage, outcome.reported
        ),
    });
    lines.join("\n")
}

/// The results as a JSON document.
pub fn document(outcome: &LoadOutcome, options: &LoadOptions) -> Value {
    let figures = |figures: &Figures| {
        json!({
            "decisions": figures.decisions(),
            "allowed": figures.allowed,
            "refused": figures.refused,
            "latency_us": figures.latency(),
        })
    };
    let decisions = outcome.whole.decisions();
    let calls: serde_json::Map<_, _> = outcome
        .calls
        .iter()
        .map(|(kind, count)| (kind.clone(), json!(count)))
        .collect();
    let mut document = json!({
        "event": "load",
        "measured": "events to the function's own binary, past the emulated gateway",
        "rate": options.rate,
        "seconds": seconds(outcome.took),
        "instances": outcome.instances,
        "decisions_per_second": outcome.rate().round(),
        "hit_rate": percent(decisions.saturating_sub(outcome.questions()), decisions) / 100.0,
        "calls": calls,
        "calls_saved": decisions.saturating_sub(outcome.all_calls()),
        "unanswered": outcome.unanswered,
        "usage_allowed": outcome.whole.usage,
        "usage_reported": outcome.reported,
        "agrees": outcome.agrees(),
    });
    if let (Some(document), Value::Object(whole)) =
        (document.as_object_mut(), figures(&outcome.whole))
    {
        document.extend(whole);
        if let Some(part) = options.chaos {
            let phases = outcome.phases.iter().map(figures);
            let phases: Vec<Value> = phases.collect();
            document.insert(
                "chaos".to_owned(),
                json!({"part": word(part).to_lowercase(), "before": phases[0], "without": phases[1], "after": phases[2]}),
            );
        }
    }
    document
}
