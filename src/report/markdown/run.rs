//! The end of a change.

use std::time::Duration;

use super::{code, folded, list, outputs, page, place, table, text, verify};
use crate::action::Action;
use crate::duration::elapsed;
use crate::error::{Error, ExitStatus};
use crate::event::{Event, Scope, Tally};
use crate::report::heading::{counts, past};
use crate::verify::Report;

/// What the events of a run tell.
#[derive(Debug, Default)]
pub struct Changes {
    scope: Option<Scope>,
    done: Vec<Vec<String>>,
    failed: Vec<Vec<String>>,
    skipped: Vec<String>,
    notices: Vec<String>,
    /// The last results of each stage.
    verified: Vec<Report>,
}

impl Changes {
    /// Takes in one event.
    pub fn add(&mut self, event: &Event) {
        match event {
            Event::Scope(scope) => self.scope = Some(scope.clone()),
            Event::Finished {
                id,
                action,
                physical_id,
                took,
            } => self.done.push(vec![
                past(*action).to_owned(),
                code(&id.to_string()),
                code(physical_id.as_deref().unwrap_or_default()),
                elapsed(*took),
            ]),
            Event::Failed {
                code: of,
                id,
                action,
                error,
                hint,
            } => {
                let hint = hint
                    .as_ref()
                    .map(|hint| format!("<br>hint: {}", text(hint)));
                self.failed.push(vec![
                    code(of.as_str()),
                    format!("{} {}", verb(*action), code(&id.to_string())),
                    format!("{}{}", text(error), hint.unwrap_or_default()),
                ]);
            }
            Event::Skipped { id, because, .. } => {
                let (id, because) = (code(&id.to_string()), code(&because.to_string()));
                self.skipped.push(format!("{id}, which needs {because}"));
            }
            Event::Notice { id, text: told, .. } => {
                let id = id.as_ref().map(|id| format!("{}: ", code(&id.to_string())));
                let told = text(told);
                self.notices
                    .push(format!("{}{told}", id.unwrap_or_default()));
            }
            Event::Verified(report) => {
                self.verified.retain(|former| former.stage != report.stage);
                self.verified.push(report.clone());
            }
            _ => {}
        }
    }

    /// The stack that the run changes, if it came so far.
    fn stack(&self) -> Option<&str> {
        self.scope.as_ref().map(|scope| scope.stack.as_str())
    }
}

fn verb(action: Action) -> &'static str {
    match action {
        Action::None => "check",
        action => action.as_str(),
    }
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended<'a> {
    pub status: ExitStatus,
    /// Why it ended before the work, or during it.
    pub error: Option<&'a Error>,
    /// What it changed, and how long it took.
    pub totals: Option<(Tally, Duration)>,
    pub outputs: &'a [(&'static str, String)],
}

/// How the run ended, what failed, and what it changed.
pub fn run(changes: &Changes, ended: &Ended) -> String {
    let stack = changes
        .stack()
        .map(|stack| format!("Stack {}: ", code(stack)));
    let totals = ended
        .totals
        .map(|(tally, took)| format!(", {} in {}", counts(tally), elapsed(took)));
    let error = ended.error.map(|error| {
        let hints = error
            .hints()
            .iter()
            .map(|hint| format!("<br>hint: {}", text(hint)));
        let hints: String = hints.collect();
        format!(
            "{}: {}{hints}",
            code(error.code().as_str()),
            text(&error.to_string())
        )
    });
    let skipped = list(changes.skipped.iter().cloned());
    page([
        Some(format!(
            "### {}{}{}",
            stack.unwrap_or_default(),
            ended.status.as_str(),
            totals.unwrap_or_default()
        )),
        changes.scope.as_ref().map(place),
        error,
        table(&["Code", "Failed", "Cause"], &changes.failed),
        folded(&format!("{} skipped", changes.skipped.len()), skipped),
        list(changes.notices.iter().cloned()),
        (!changes.verified.is_empty()).then(|| verify::results(&changes.verified)),
        folded(
            &format!("{} changes", changes.done.len()),
            table(&["Change", "Resource", "Id", "Time"], &changes.done),
        ),
        outputs(ended.outputs),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Code;
    use crate::id::LogicalId;
    use crate::kind::Kind;

    #[test]
    fn a_run_tells_what_failed_before_what_it_changed() {
        let mut changes = Changes::default();
        let vpc = LogicalId::new(Kind::Vpc, "main");
        let cache = LogicalId::new(Kind::Cache, "main");
        for event in [
            Event::Finished {
                id: vpc,
                action: Action::Create,
                physical_id: Some("vpc-1".to_owned()),
                took: Duration::from_secs(2),
            },
            Event::Failed {
                code: Code::Failed,
                id: cache.clone(),
                action: Action::Create,
                error: "no <capacity>".to_owned(),
                hint: Some("try `cache.node_type`".to_owned()),
            },
            Event::Skipped {
                id: LogicalId::new(Kind::Function, "authorizer"),
                action: Action::Create,
                because: cache,
            },
        ] {
            changes.add(&event);
        }
        let tally = Tally {
            created: 1,
            failed: 1,
            ..Tally::default()
        };
        let ended = Ended {
            status: ExitStatus::Partial,
            error: None,
            totals: Some((tally, Duration::from_secs(61))),
            outputs: &[],
        };
        let written = run(&changes, &ended);
        assert!(
            written.starts_with("### partial, 1 created, 1 failed in 1 min 01 s\n"),
            "{written}"
        );
        let failed = "create `cache/main` | no &lt;capacity&gt;<br>hint: try `cache.node_type` |";
        let places = [
            failed,
            "1 skipped",
            "1 changes",
            "created | `vpc/main` | `vpc-1` | 2.0 s",
        ];
        let at: Vec<_> = places.iter().map(|part| written.find(part)).collect();
        assert!(
            at.iter().all(Option::is_some) && at.is_sorted(),
            "{at:?} {written}"
        );
    }
}
