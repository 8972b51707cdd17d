//! What a run shows while it works: what runs and what it waits for, what comes next, how far it is, and for how long. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::bar::bar;
use super::{about, elapsed};
use crate::action::Action;
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

    /// The lines to show now; none while nothing is at work.
    pub fn lines(&self, now: Instant) -> Vec<String> {
        let is_at_work = self.ended.len() < self.steps.len();
        let mut lines = Vec::new();
        if is_at_work {
            let mut running: Vec<_> = self.running.iter().collect();
            running.sort_by_key(|(_, running)| running.since);
            lines.extend(
                running
                    .into_iter()
                    .map(|(id, running)| running.line(id, now)),
            );
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

impl Running {
    fn line(&self, id: &LogicalId, now: Instant) -> String {
        let usual = match usual(self.action, id) {
            Duration::ZERO => String::new(),
            usual => format!(" of about {}", about(usual)),
        };
        let time = format!(
            "{}{usual}",
            elapsed(now.saturating_duration_since(self.since))
        );
        let id = id.to_string();
        let line = format!(
            "  {id:<28} {time:<26} {} {}",
            self.action.as_str(),
            self.text
        );
        line.trim_end().to_owned()
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
        assert_eq!(live.lines(now), [""; 0]);
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
        let lines = live.lines(now + Duration::from_secs(65));
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
        let lines = live.lines(now + Duration::from_secs(3600));
        assert_eq!(
            lines.last().map(String::as_str),
            Some("2/8 resources, 60 min 00 s, about 2 min left")
        );
    }

    #[test]
    fn nothing_is_shown_once_everything_has_ended() {
        let now = Instant::now();
        let mut live = Live::default();
        let steps = vec![step(Kind::Vpc, "main", &[])];
        live.event(&Event::Planned { steps }, now);
        assert_eq!(live.lines(now).len(), 2);
        live.event(&Event::StepEnded { index: 0 }, now);
        assert_eq!(live.lines(now), [""; 0]);
    }
}
