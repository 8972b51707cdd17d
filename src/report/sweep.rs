//! What `sweep` has done with each stack.

use std::time::Duration;

use serde_json::{Value, json};

use super::seconds;
use super::style::Style;
use crate::code::Code;
use crate::duration::elapsed;
use crate::error::ExitStatus;
use crate::event::{StackPlace, Tally};

/// What became of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Nothing of it is left.
    Deleted,
    /// Another run has deleted or renewed it since it was listed.
    Unneeded,
    /// Another run is at work on it, or on its API.
    Skipped(String),
    /// A part of it is left.
    Incomplete(ExitStatus),
    Failed {
        code: Code,
        status: ExitStatus,
        message: String,
        hints: Vec<String>,
    },
}

/// A stack that `sweep` was to delete.
#[derive(Debug, Clone)]
pub struct Swept {
    pub place: StackPlace,
    pub end: End,
    pub tally: Tally,
    pub took: Duration,
}

impl Swept {
    /// The word for its end in JSON.
    pub fn outcome(&self) -> &'static str {
        match &self.end {
            End::Deleted => "deleted",
            End::Unneeded => "unneeded",
            End::Skipped(_) => "skipped",
            End::Incomplete(_) => "incomplete",
            End::Failed { .. } => "failed",
        }
    }

    /// Its end as text.
    pub fn describe(&self, style: &Style) -> String {
        let deleted = match self.tally.deleted {
            1 => "1 resource".to_owned(),
            deleted => format!("{deleted} resources"),
        };
        match &self.end {
            End::Deleted => format!(
                "{}: {deleted} in {}",
                style.good("deleted"),
                elapsed(self.took)
            ),
            End::Unneeded => {
                format!("{}: it has not expired any more", style.dim("left alone"))
            }
            End::Skipped(why) => format!("{}: {why}", style.warn("skipped")),
            End::Incomplete(_) => format!(
                "{}: {deleted} deleted, {} failed in {}: run the same command again",
                style.bad("incomplete"),
                self.tally.failed,
                elapsed(self.took)
            ),
            End::Failed {
                code,
                message,
                hints,
                ..
            } => {
                let hints = hints.iter();
                let hints = hints.map(|hint| format!("\n  {} {hint}", style.dim("hint:")));
                format!(
                    "{} {message}{}",
                    style.bad(&format!("failed[{}]:", code.as_str())),
                    hints.collect::<String>()
                )
            }
        }
    }

    /// The stack as a line of JSON.
    fn object(&self) -> Value {
        let (code, message, hints) = match &self.end {
            End::Failed {
                code,
                message,
                hints,
                ..
            } => (Some(code), Some(message), hints.as_slice()),
            End::Skipped(why) => (Some(&Code::LockHeld), Some(why), [].as_slice()),
            _ => (None, None, [].as_slice()),
        };
        json!({
            "event": "stack",
            "stack": self.place.stack,
            "region": self.place.region,
            "outcome": self.outcome(),
            "deleted": self.tally.deleted,
            "failed": self.tally.failed,
            "seconds": seconds(self.took),
            "code": code,
            "message": message,
            "hints": hints,
        })
    }
}

/// One line per stack, for people.
pub fn table(swept: &[Swept], style: &Style) -> String {
    let names = swept.iter().map(|one| one.place.stack.chars().count());
    let width = names.max().unwrap_or_default();
    let mut regions: Vec<_> = swept.iter().map(|one| &one.place.region).collect();
    regions.sort();
    regions.dedup();
    let lines = swept.iter().map(|one| {
        let region = match regions.len() {
            1 => String::new(),
            _ => format!("{}  ", one.place.region),
        };
        let stack = &one.place.stack;
        format!("{stack:<width$}  {region}{}", one.describe(style))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// One object per line and stack.
pub fn lines(swept: &[Swept]) -> String {
    let lines = swept
        .iter()
        .map(|one| super::versioned(one.object()).to_string());
    lines.collect::<Vec<_>>().join("\n")
}

/// The exit status of the run. Pure.
pub fn status(swept: &[Swept]) -> ExitStatus {
    let of = |one: &Swept| match &one.end {
        End::Deleted | End::Unneeded | End::Skipped(_) => ExitStatus::Done,
        End::Incomplete(status) | End::Failed { status, .. } => *status,
    };
    let bad: Vec<_> = swept
        .iter()
        .map(of)
        .filter(|of| *of != ExitStatus::Done)
        .collect();
    let is_any_changed = swept.iter().any(|one| one.tally.is_any_changed());
    match bad.as_slice() {
        [] => ExitStatus::Done,
        bad if bad.contains(&ExitStatus::Interrupted) => ExitStatus::Interrupted,
        [first, rest @ ..] if !is_any_changed && rest.iter().all(|other| other == first) => *first,
        _ => ExitStatus::Partial,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn swept(stack: &str, end: End, deleted: usize) -> Swept {
        Swept {
            place: StackPlace {
                stack: stack.to_owned(),
                region: "us-east-1".to_owned(),
            },
            end,
            tally: Tally {
                deleted,
                ..Tally::default()
            },
            took: Duration::from_secs(12),
        }
    }

    fn failed(status: ExitStatus) -> End {
        End::Failed {
            code: Code::NetworkInUse,
            status,
            message: "others use the network".to_owned(),
            hints: vec!["remove what is named".to_owned()],
        }
    }

    #[test]
    fn one_failure_makes_the_run_partial_and_what_is_skipped_does_not() {
        let refused = || swept("b", failed(ExitStatus::Refused), 0);
        let deleted = || swept("a", End::Deleted, 9);
        let skipped = || swept("c", End::Skipped("locked".to_owned()), 0);
        let incomplete = |of| swept("d", End::Incomplete(of), 1);
        for (all, expected) in [
            (vec![], ExitStatus::Done),
            (
                vec![deleted(), skipped(), swept("e", End::Unneeded, 0)],
                ExitStatus::Done,
            ),
            (vec![refused()], ExitStatus::Refused),
            (vec![refused(), skipped(), refused()], ExitStatus::Refused),
            (vec![deleted(), refused()], ExitStatus::Partial),
            (vec![incomplete(ExitStatus::Partial)], ExitStatus::Partial),
            (
                vec![deleted(), incomplete(ExitStatus::Interrupted)],
                ExitStatus::Interrupted,
            ),
        ] {
            assert_eq!(status(&all), expected, "{all:?}");
        }
    }

    #[test]
    fn each_stack_has_a_line_for_people_and_one_for_programs() {
        let all = [
            swept("pr-7", End::Deleted, 1),
            swept("pr-12", failed(ExitStatus::Refused), 0),
            swept("b", End::Skipped("stack b is locked by kim".to_owned()), 0),
        ];
        assert_eq!(
            table(&all, &Style::plain()),
            "pr-7   deleted: 1 resource in 12 s\n\
             pr-12  failed[network-in-use]: others use the network\n  hint: remove what is named\n\
             b      skipped: stack b is locked by kim"
        );
        let lines: Vec<Value> = lines(&all)
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        assert_eq!(lines[0]["outcome"], "deleted");
        assert_eq!(lines[1]["code"], "network-in-use");
        assert_eq!(lines[2]["code"], "lock-held");
    }
}
