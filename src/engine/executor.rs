//! Executes the steps of a plan: each step starts as soon as the steps it needs are done.
//!
//! If a step fails, the steps that need it are skipped; the others continue. The executor emits
//! events and never prints.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;

use super::plan::{Operation, Plan, Step};
use super::polls::Polls;
use super::step::{StepError, StepRunner};
use crate::action::Action;
use crate::cancel::{CancelToken, StopReason};
use crate::event::{Event, PlannedStep, Tally};
use crate::id::LogicalId;
use crate::resource::{Context, ResourceError};

/// The result of an execution.
#[derive(Debug, Default)]
pub struct Outcome {
    pub tally: Tally,
    /// Each cause is listed once.
    pub failures: Vec<(LogicalId, ResourceError)>,
    pub skipped: Vec<LogicalId>,
    /// What AWS is still deleting, and what can be deleted only after that, if the run does not wait for it.
    pub left: Vec<LogicalId>,
    pub stopped: Option<StopReason>,
}

impl Outcome {
    /// Whether every step succeeded.
    pub fn is_done(&self) -> bool {
        self.failures.is_empty() && self.stopped.is_none()
    }
}

/// Executes `plan`. Once `cancel` is set, no further step or call starts.
pub async fn execute(plan: &Plan, cx: &Context, cancel: &CancelToken) -> Outcome {
    let cx = &cx.until(cancel);
    let polls = &Polls::default();
    let mut outcome = Outcome::default();
    outcome.tally.unchanged = plan.count(Action::None);
    let mut left: BTreeMap<usize, BTreeSet<usize>> = plan
        .steps
        .iter()
        .enumerate()
        .map(|(index, step)| (index, step.needs.clone()))
        .collect();
    let steps = plan.steps.iter().map(|step| PlannedStep {
        id: step.id.clone(),
        action: step.action,
        needs: step.needs.clone(),
    });
    cx.sink().emit(Event::Planned {
        steps: steps.collect(),
    });
    let mut running = FuturesUnordered::new();
    // A resource with two steps, such as a replaced one, starts with the first and finishes with the
    // last.
    let converges = |index: usize| match &plan.steps[index].work {
        Operation::Converge(_) => true,
        Operation::Delete(..) => !plan.steps.iter().any(|step| {
            step.id == plan.steps[index].id && matches!(step.work, Operation::Converge(_))
        }),
        Operation::Drain(_) => true,
        Operation::Detach(_) | Operation::Empty(..) => false,
    };
    loop {
        if cancel.stop().is_none() {
            let ready: Vec<_> = left
                .iter()
                .filter(|(_, needs)| needs.is_empty())
                .map(|(index, _)| *index)
                .collect();
            for index in ready {
                left.remove(&index);
                let step = &plan.steps[index];
                cx.sink().emit(Event::StepStarted { index });
                cx.sink().emit(Event::Started {
                    id: step.id.clone(),
                    action: step.action,
                });
                running.push(async move {
                    let began = Instant::now();
                    (index, began, StepRunner::run(step, cx, cancel, polls).await)
                });
            }
        }
        let Some((index, began, result)) = running.next().await else {
            break;
        };
        let step = &plan.steps[index];
        let (id, action) = (step.id.clone(), step.action);
        cx.sink().emit(Event::StepEnded { index });
        match result {
            Ok(physical_id) => {
                for needs in left.values_mut() {
                    needs.remove(&index);
                }
                if converges(index) {
                    count(
                        &mut outcome.tally,
                        action,
                        matches!(step.work, Operation::Drain(_)),
                    );
                    cx.sink().emit(Event::Finished {
                        id,
                        action,
                        physical_id,
                        took: began.elapsed(),
                    });
                }
            }
            Err(StepError::Stopped(stop)) => outcome.stopped = Some(stop),
            Err(StepError::Left) => {
                let because = None;
                cx.sink().emit(Event::Left {
                    id: id.clone(),
                    action,
                    because,
                });
                outcome.left.push(id);
                for dependent in dependents(plan, &mut left, index, cx) {
                    cx.sink().emit(Event::Left {
                        id: dependent.id.clone(),
                        action: dependent.action,
                        because: Some(step.id.clone()),
                    });
                    outcome.left.push(dependent.id.clone());
                }
            }
            Err(StepError::Failed(error)) => {
                outcome.tally.failed += 1;
                // One cause may fail several resources, for example a build that both functions need: report it
                // once.
                let mut told = outcome.failures.iter();
                let told = told.find(|(_, other)| other.is_same_cause(&error));
                let (text, hint) = match told {
                    Some((first, _)) => (format!("{}, as with {first}", error.subject()), None),
                    None => (error.to_string(), error.hint()),
                };
                cx.sink().emit(Event::Failed {
                    code: error.kind(),
                    id: id.clone(),
                    action,
                    error: text,
                    hint,
                });
                for dependent in dependents(plan, &mut left, index, cx) {
                    cx.sink().emit(Event::Skipped {
                        id: dependent.id.clone(),
                        action: dependent.action,
                        because: id.clone(),
                    });
                    outcome.skipped.push(dependent.id.clone());
                }
                outcome.failures.push((id, error));
            }
        }
    }
    if outcome.failures.is_empty() && outcome.stopped.is_none() && cancel.stop().is_none() {
        // Steps that were never started must not count as done.
        for index in left.keys() {
            let id = plan.steps[*index].id.clone();
            outcome.tally.failed += 1;
            outcome.failures.push((
                id,
                ResourceError::Bug("the step was never scheduled".to_owned()),
            ));
        }
    }
    outcome.stopped = outcome
        .stopped
        .or(cancel.stop().filter(|_| !left.is_empty()));
    outcome
}

fn count(tally: &mut Tally, action: Action, drain: bool) {
    match action {
        Action::Create => tally.created += 1,
        Action::Update | Action::Wait => tally.updated += 1,
        Action::Replace => tally.replaced += 1,
        // Lambda owns its network interfaces, so deleting them does not count as a deletion of this stack's
        // resources.
        Action::Delete if !drain => tally.deleted += 1,
        Action::Delete | Action::None => {}
    }
}

/// Removes from `left` all steps that need this one, directly or indirectly, and returns those of other resources: a
/// resource with several steps is reported once, with this one.
fn dependents<'a>(
    plan: &'a Plan,
    left: &mut BTreeMap<usize, BTreeSet<usize>>,
    ended: usize,
    cx: &Context,
) -> Vec<&'a Step> {
    let mut all = Vec::new();
    let mut gone = vec![ended];
    while let Some(index) = gone.pop() {
        let dependents: Vec<_> = left
            .iter()
            .filter(|(_, needs)| needs.contains(&index))
            .map(|(index, _)| *index)
            .collect();
        for dependent in dependents {
            left.remove(&dependent);
            cx.sink().emit(Event::StepEnded { index: dependent });
            let step = &plan.steps[dependent];
            if step.id != plan.steps[ended].id {
                all.push(step);
            }
            gone.push(dependent);
        }
    }
    all
}
