//! Converts Cargo's output to progress lines, and keeps its last lines for an error.

use std::collections::VecDeque;
use std::sync::Arc;

/// Receives progress lines: lowercase fragments such as `compiling ring v0.17.14 (23/140)`, with what is done and all of it, if
/// that is known.
pub type Progress = Arc<dyn Fn(String, Option<(u32, u32)>) + Send + Sync>;

/// How many of the last lines are kept for an error.
const KEPT: usize = 30;

/// Reads Cargo's messages.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// Compiled and total units, once Cargo has reported them.
    count: Option<(u32, u32)>,
    said: VecDeque<String>,
}

impl Meter {
    /// Reads a piece of Cargo's output and returns its progress line, if it has one.
    pub(super) fn piece(&mut self, piece: &str) -> Option<String> {
        let piece = piece.replace("\x1b[K", "");
        let text = piece.trim_start();
        let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
        match verb {
            "Building" if rest.starts_with('[') => {
                self.count = count(rest).or(self.count);
                None
            }
            "Compiling" => {
                // Cargo appends the folder of a path dependency.
                let unit = rest.split(" (").next().unwrap_or(rest);
                let count = self
                    .count
                    .map(|(done, all)| format!(" ({done}/{all})"))
                    .unwrap_or_default();
                Some(format!("compiling {unit}{count}"))
            }
            "Downloading" | "Updating" if !rest.contains('[') => {
                Some(format!("{} {rest}", verb.to_lowercase()))
            }
            "Blocking" => Some(format!(
                "waiting: {}",
                rest.trim_start_matches("waiting for ")
            )),
            // Too many to show, and not useful in an error.
            "Adding" | "Downloaded" | "Downloading" | "Fetch" | "Finished" | "Locking"
            | "Updating" => None,
            _ => {
                if self.said.len() == KEPT {
                    self.said.pop_front();
                }
                self.said.push_back(piece);
                None
            }
        }
    }

    /// Compiled and total units, once Cargo has reported them.
    pub(super) fn count(&self) -> Option<(u32, u32)> {
        self.count
    }

    /// The last lines that were neither progress nor success.
    pub(super) fn said(&self) -> String {
        self.said
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("\n")
    }
}

/// Parses the two numbers of `[====>  ] 23/140: serde`.
fn count(bar: &str) -> Option<(u32, u32)> {
    let (_, numbers) = bar.split_once("] ")?;
    let (done, all) = numbers.split(':').next()?.split_once('/')?;
    Some((done.trim().parse().ok()?, all.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_told_with_their_count() {
        let mut meter = Meter::default();
        let mut lines = Vec::new();
        for piece in [
            "    Updating crates.io index",
            " Downloading crates ...",
            "  Downloaded ring v0.17.14",
            "   Compiling libc v0.2.191",
            "    Building [=>     ] 2/64: libc, cc(build.rs)",
            "   Compiling ring v0.17.14\x1b[K",
            "    Building [==>    ] no/numbers",
            "   Compiling authorizer v0.1.0 (/cache/authorizer)",
            "    Finished `release` profile [optimized] target(s) in 1m 02s",
            "",
        ] {
            lines.extend(meter.piece(piece));
        }
        let expected = [
            "updating crates.io index",
            "downloading crates ...",
            "compiling libc v0.2.191",
            "compiling ring v0.17.14 (2/64)",
            "compiling authorizer v0.1.0 (2/64)",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn an_error_is_kept_without_the_noise() {
        let mut meter = Meter::default();
        for piece in [
            "   Compiling x v1.0.0",
            "error[E0432]: unresolved import",
            "  --> src/lib.rs:1:5",
        ] {
            meter.piece(piece);
        }
        assert_eq!(
            meter.said(),
            "error[E0432]: unresolved import\n  --> src/lib.rs:1:5"
        );
        (0..100).for_each(|number| assert!(meter.piece(&format!("note: {number}")).is_none()));
        assert_eq!(meter.said().lines().count(), KEPT);
        assert!(meter.said().ends_with("note: 99"));
    }
}
