//! What a run shows while it works: what runs and what it waits for, what comes next, how far it is, and for how long. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use textwrap::core::display_width;

use super::bar::bar;
use crate::action::Action;
use crate::duration::{about, elapsed};
use crate::engine::duration::{Left, remaining};
use crate::event::{Event, PlannedStep};
use crate::id::LogicalId;
use crate::printable::line;

/// How many of the resources that come next are named.
const NEXT: usize = 3;

/// A resource that is worked on.
#[derive(Debug)]
struct Running {
    since: Instant,
    action: Action,
    text: String,
}

/// Work that belongs to no resource, such as a build.
#[derive(Debug)]
struct Beside {
    since: Instant,
    text: String,
    share: Option<(u32, u32)>,
}

/// The state of a run.
#[derive(Debug, Default)]
pub struct Live {
    began: Option<Instant>,
    steps: Vec<PlannedStep>,
    started: BTreeMap<usize, Instant>,
    ended: BTreeSet<usize>,
    running: BTreeMap<LogicalId, Running>,
    beside: Option<Beside>,
}

impl Live {
    /// Takes note of an event.
    pub fn event(&mut self, event: &Event, now: Instant) {
        match event {
            Event::Planned { steps } => {
                self.began = self.began.or(Some(now));
                self.steps.clone_from(steps);
                self.started.clear();
                self.ended.clear();
                self.beside = None;
            }
            Event::StepStarted { index } => {
                self.started.insert(*index, now);
            }
            Event::StepEnded { index } => {
                self.ended.insert(*index);
            }
            Event::Started { id, action } => {
                let text = String::new();
                let running = Running {
                    since: now,
                    action: *action,
                    text,
                };
                self.running.entry(id.clone()).or_insert(running);
            }
            Event::Identified {
                id, physical_id, ..
            } => self.say(id, physical_id),
            Event::Waiting { id, what, .. } => self.say(id, what),
            Event::Retrying {
                id: Some(id),
                cause,
                ..
            } => self.say(id, &format!("trying again: {cause}")),
            Event::Progress { text, share } => {
                let since = self.beside.as_ref().map_or(now, |beside| beside.since);
                self.began = self.began.or(Some(now));
                self.beside = Some(Beside {
                    since,
                    text: line(text).into_owned(),
                    share: *share,
                });
            }
            Event::Finished { id, .. } | Event::Failed { id, .. } | Event::Left { id, .. } => {
                self.running.remove(id);
            }
            Event::Step { .. } => self.beside = None,
            _ => {}
        }
    }

    fn say(&mut self, id: &LogicalId, text: &str) {
        if let Some(running) = self.running.get_mut(id) {
            running.text = line(text).into_owned();
        }
    }

    /// The lines to show now on a terminal of this width; none while nothing is at work.
    pub fn lines(&self, now: Instant, columns: usize) -> Vec<String> {
        let is_at_work = self.ended.len() < self.steps.len();
        let mut lines = Vec::new();
        if is_at_work {
            let mut running: Vec<_> = self.running.iter().collect();
            running.sort_by_key(|(_, running)| running.since);
            lines.extend(rows(&running, now, columns));
        }
        if let Some(Beside { since, text, share }) = &self.beside {
            let bar = share.map(|share| format!("{} ", bar(share)));
            let time = elapsed(now.saturating_duration_since(*since));
            lines.push(format!("  {time:<10} {}{text}", bar.unwrap_or_default()));
        }
        if is_at_work {
            lines.extend(self.next());
            lines.push(self.summary(now));
        }
        lines
    }

    /// The resources that are not begun.
    fn next(&self) -> Option<String> {
        let mut next: Vec<&LogicalId> = Vec::new();
        for (index, step) in self.steps.iter().enumerate() {
            let is_begun = self.started.contains_key(&index) || self.ended.contains(&index);
            if !is_begun && !next.contains(&&step.id) && !self.running.contains_key(&step.id) {
                next.push(&step.id);
            }
        }
        let names: Vec<_> = next.iter().take(NEXT).map(ToString::to_string).collect();
        let more = next.len().saturating_sub(NEXT);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        (!names.is_empty()).then(|| format!("  not begun: {}{more}", names.join(", ")))
    }

    fn summary(&self, now: Instant) -> String {
        let of = |is_counted: &dyn Fn(usize) -> bool| {
            let steps = self.steps.iter().enumerate();
            let ids = steps
                .filter(|(index, _)| is_counted(*index))
                .map(|(_, step)| &step.id);
            ids.collect::<BTreeSet<_>>()
        };
        let all = of(&|_| true).len();
        // A resource with several steps is done with the last one.
        let open = of(&|index| !self.ended.contains(&index)).len();
        let took = self
            .began
            .map_or(Duration::ZERO, |began| now.saturating_duration_since(began));
        let left = self.left(now);
        let left = if left >= Duration::from_secs(10) {
            format!(", about {} left", about(left))
        } else {
            String::new()
        };
        format!("{}/{all} resources, {}{left}", all - open, elapsed(took))
    }

    /// How long the rest usually takes.
    fn left(&self, now: Instant) -> Duration {
        let steps: Vec<_> = self
            .steps
            .iter()
            .enumerate()
            .map(|(index, step)| {
                let left = match self.started.get(&index) {
                    _ if self.ended.contains(&index) => Left::Done,
                    Some(since) => Left::Running(now.saturating_duration_since(*since)),
                    None => Left::Whole,
                };
                (usual(step.action, &step.id), left, &step.needs)
            })
            .collect();
        remaining(&steps)
    }
}

/// How long such a step usually takes on AWS.
fn usual(action: Action, id: &LogicalId) -> Duration {
    let (creation, deletion) = id.kind.usual();
    let usual = match action {
        Action::Create | Action::Replace | Action::Wait => creation,
        Action::Delete => deletion,
        Action::Update | Action::None => None,
    };
    usual.unwrap_or_default()
}

/// The width of the columns of the logical ids and the times, on a terminal that is wide enough.
const WIDE: (usize, usize) = (28, 26);

/// How much of what AWS says about a resource must fit on its row.
const STATE: usize = 24;

/// A row for each resource that is worked on. The narrower the terminal is, the more of the rest is left out, so that the state of
/// each resource stays.
fn rows(running: &[(&LogicalId, &Running)], now: Instant, columns: usize) -> Vec<String> {
    let widest = running.iter().map(|(id, _)| id.to_string().len()).max();
    let narrow = (widest.unwrap_or_default(), 0);
    let is_fitting = |(row, text): &(String, &str)| {
        let text = display_width(text).min(STATE);
        display_width(row) + text < columns
    };
    let mut rows = Vec::new();
    for (has_usual, has_action, widths) in [
        (true, true, WIDE),
        (true, true, narrow),
        (false, true, narrow),
        (false, false, narrow),
    ] {
        let heads = running.iter();
        rows = heads
            .map(|(id, running)| running.head(id, now, (has_usual, has_action), widths))
            .collect();
        if rows.iter().all(is_fitting) {
            break;
        }
    }
    let rows = rows.into_iter();
    rows.map(|(head, text)| format!("{head}{text}").trim_end().to_owned())
        .collect()
}

impl Running {
    /// The row up to the state, and the state.
    fn head(
        &self,
        id: &LogicalId,
        now: Instant,
        (has_usual, has_action): (bool, bool),
        (of_id, of_time): (usize, usize),
    ) -> (String, &str) {
        let usual = match usual(self.action, id) {
            usual if has_usual && usual > Duration::ZERO => format!(" of about {}", about(usual)),
            _ => String::new(),
        };
        let time = format!(
            "{}{usual}",
            elapsed(now.saturating_duration_since(self.since))
        );
        let id = id.to_string();
        let action = match has_action || self.text.is_empty() {
            true => format!("{} ", self.action.as_str()),
            false => String::new(),
        };
        let head = format!("  {id:<of_id$} {time:<of_time$} {action}");
        (head, &self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Kind;

    fn id(kind: Kind, name: &str) -> LogicalId {
        LogicalId::new(kind, name)
    }

    fn step(kind: Kind, name: &str, needs: &[usize]) -> PlannedStep {
        PlannedStep {
            id: id(kind, name),
            action: Action::Create,
            needs: needs.iter().copied().collect(),
        }
    }

    #[test]
    fn the_block_tells_what_runs_what_comes_and_how_long_it_takes() {
        let now = Instant::now();
        let mut live = Live::default();
        assert_eq!(live.lines(now, 120), [""; 0]);
        let steps = vec![
            step(Kind::Vpc, "main", &[]),
            step(Kind::Subnet, "private-a", &[0]),
            step(Kind::NatGateway, "a", &[0]),
            step(Kind::Cache, "main", &[1]),
            step(Kind::Function, "authorizer", &[3]),
            step(Kind::FunctionAlias, "live", &[4]),
            step(Kind::ApiAuthorizer, "main", &[5]),
            step(Kind::ApiAttachment, "main", &[6]),
        ];
        live.event(&Event::Planned { steps }, now);
        let begin = |live: &mut Live, index: usize, id: &LogicalId, at| {
            live.event(&Event::StepStarted { index }, at);
            let (id, action) = (id.clone(), Action::Create);
            live.event(&Event::Started { id, action }, at);
        };
        let end = |live: &mut Live, index: usize, id: &LogicalId, at| {
            live.event(&Event::StepEnded { index }, at);
            let event = Event::Finished {
                id: id.clone(),
                action: Action::Create,
                physical_id: None,
                took: Duration::ZERO,
            };
            live.event(&event, at);
        };
        let (vpc, subnet, cache) = (
            id(Kind::Vpc, "main"),
            id(Kind::Subnet, "private-a"),
            id(Kind::Cache, "main"),
        );
        begin(&mut live, 0, &vpc, now);
        end(&mut live, 0, &vpc, now);
        begin(&mut live, 1, &subnet, now);
        end(&mut live, 1, &subnet, now);
        begin(&mut live, 2, &id(Kind::NatGateway, "a"), now);
        begin(&mut live, 3, &cache, now + Duration::from_secs(5));
        let waiting = Event::Waiting {
            id: cache,
            action: Action::Create,
            what: "creating\u{1b}[2J".to_owned(),
        };
        live.event(&waiting, now);
        let progress = Event::Progress {
            text: "compiling serde v1.0 (50/200)".to_owned(),
            share: Some((50, 200)),
        };
        live.event(&progress, now);
        let lines = live.lines(now + Duration::from_secs(65), 120);
        assert_eq!(
            lines,
            [
                "  nat-gateway/a                1 min 05 s of about 2 min  create",
                r"  cache/main                   1 min 00 s of about 7 min  create creating\u{1b}[2J",
                "  1 min 05 s [#####---------------] compiling serde v1.0 (50/200)",
                "  not begun: lambda/authorizer, lambda-alias/live, api-authorizer/main and 1 more",
                "2/8 resources, 1 min 05 s, about 8 min left",
            ]
        );
        // A step that takes longer than usual does not count against the rest.
        let lines = live.lines(now + Duration::from_secs(3600), 120);
        assert_eq!(
            lines.last().map(String::as_str),
            Some("2/8 resources, 1 h 00 min, about 2 min left")
        );
    }

    #[test]
    fn nothing_is_shown_once_everything_has_ended() {
        let now = Instant::now();
        let mut live = Live::default();
        let steps = vec![step(Kind::Vpc, "main", &[])];
        live.event(&Event::Planned { steps }, now);
        assert_eq!(live.lines(now, 80).len(), 2);
        live.event(&Event::StepEnded { index: 0 }, now);
        assert_eq!(live.lines(now, 80), [""; 0]);
    }

    #[test]
    fn a_narrow_terminal_shows_the_state_of_each_resource() {
        let now = Instant::now();
        let mut live = Live::default();
        let (cache, alias) = (id(Kind::Cache, "main"), id(Kind::FunctionAlias, "reporter"));
        let steps = vec![
            step(Kind::Cache, "main", &[]),
            step(Kind::FunctionAlias, "reporter", &[]),
        ];
        live.event(&Event::Planned { steps }, now);
        for (index, id) in [&cache, &alias].into_iter().enumerate() {
            live.event(&Event::StepStarted { index }, now);
            let (id, action) = (id.clone(), Action::Create);
            live.event(&Event::Started { id, action }, now);
        }
        let waiting = Event::Waiting {
            id: cache,
            action: Action::Create,
            what: "creating".to_owned(),
        };
        live.event(&waiting, now);
        let rows = |columns| {
            let lines = live.lines(now + Duration::from_secs(65), columns);
            lines[..2].to_vec()
        };
        assert_eq!(
            rows(120),
            [
                "  cache/main                   1 min 05 s of about 7 min  create creating",
                "  lambda-alias/reporter        1 min 05 s                 create",
            ]
        );
        assert_eq!(
            rows(70),
            [
                "  cache/main            1 min 05 s of about 7 min create creating",
                "  lambda-alias/reporter 1 min 05 s create",
            ]
        );
        assert_eq!(
            rows(60),
            [
                "  cache/main            1 min 05 s create creating",
                "  lambda-alias/reporter 1 min 05 s create",
            ]
        );
        assert_eq!(
            rows(46),
            [
                "  cache/main            1 min 05 s creating",
                "  lambda-alias/reporter 1 min 05 s create",
            ]
        );
    }
}
