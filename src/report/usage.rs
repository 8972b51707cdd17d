//! Reads the command line, and answers it where it asks for help or is wrong: with the colors and the width of the stream.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, FromArgMatches as _, ValueEnum as _};
use console::Term;

use super::note;
use super::style::ColorChoice;
use crate::cli::{Cli, ColorWhen};
use crate::error::ExitStatus;

/// What other tools call a command, and what it is here.
const ELSEWHERE: [(&str, &[&str]); 8] = [
    (
        "up",
        &[
            "apply", "deploy", "create", "install", "start", "update", "upgrade",
        ],
    ),
    (
        "down",
        &["destroy", "delete", "remove", "uninstall", "teardown", "rm"],
    ),
    ("sweep", &["prune", "gc", "cleanup", "clean", "reap"]),
    ("plan", &["diff", "preview", "synth", "dry-run"]),
    ("status", &["show", "describe", "info", "state"]),
    ("verify", &["test", "check"]),
    ("logs", &["tail"]),
    ("rollback", &["undo", "revert"]),
];

/// Reads the command line.
///
/// # Errors
/// The exit status, after help, the version or an error was written.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, ExitStatus> {
    let arguments: Vec<_> = arguments.into_iter().collect();
    let (when, no_color) = color_flags(&arguments);
    let choice = ColorChoice::from_environment(when, no_color);
    let color = match choice.has_colors(Term::stdout().is_term()) {
        true => clap::ColorChoice::Always,
        false => clap::ColorChoice::Never,
    };
    let mut command = Cli::command().color(color);
    let parsed = command
        .try_get_matches_from_mut(arguments)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let error = match parsed {
        Ok(cli) => return Ok(cli),
        Err(error) => error.format(&mut command),
    };
    if !error.use_stderr() {
        let _ = error.print();
        return Err(ExitStatus::Done);
    }
    let text = with_command(error, &command).render();
    let text = match choice.has_colors(Term::stderr().is_term()) {
        true => text.ansi().to_string(),
        false => text.to_string(),
    };
    note(text.trim_end());
    Err(ExitStatus::Usage)
}

/// The flags that decide about colors also when the rest of the command line is wrong.
fn color_flags(arguments: &[OsString]) -> (ColorWhen, bool) {
    let (mut when, mut no_color) = (ColorWhen::Auto, false);
    let arguments = arguments.iter().skip(1).map(|one| one.to_string_lossy());
    let mut arguments = arguments.take_while(|one| one != "--");
    while let Some(argument) = arguments.next() {
        let value = match argument.as_ref() {
            "--no-color" => {
                no_color = true;
                continue;
            }
            "--color" => arguments.next(),
            other => other
                .strip_prefix("--color=")
                .map(|value| value.to_owned().into()),
        };
        let value = value.and_then(|value| ColorWhen::from_str(&value, false).ok());
        when = value.unwrap_or(when);
    }
    (when, no_color)
}

/// Names the command that does what a command of other tools does.
fn with_command(mut error: clap::Error, command: &clap::Command) -> clap::Error {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return error;
    }
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else {
        return error;
    };
    let word = word.to_lowercase();
    let here = ELSEWHERE
        .iter()
        .find(|(_, words)| words.contains(&word.as_str()));
    if let Some((name, _)) = here {
        let about = command
            .find_subcommand(name)
            .and_then(clap::Command::get_about);
        let about = about.map(|about| format!(": {about}")).unwrap_or_default();
        let tip = format!("the command is '{name}'{about}");
        error.remove(ContextKind::SuggestedSubcommand);
        error.insert(
            ContextKind::Suggested,
            ContextValue::StyledStrs(vec![tip.into()]),
        );
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_of_colors_are_read_from_a_wrong_command_line_too() {
        for (arguments, flags) in [
            ("", (ColorWhen::Auto, false)),
            ("plan --color always", (ColorWhen::Always, false)),
            ("--color=never plam", (ColorWhen::Never, false)),
            ("plan --color loud", (ColorWhen::Auto, false)),
            ("plan --no-color --wrong", (ColorWhen::Auto, true)),
            ("plan -- --no-color", (ColorWhen::Auto, false)),
            ("plan --color", (ColorWhen::Auto, false)),
        ] {
            let arguments: Vec<_> = ["threescale-gw"]
                .into_iter()
                .chain(arguments.split_whitespace())
                .map(OsString::from)
                .collect();
            assert_eq!(color_flags(&arguments), flags, "{arguments:?}");
        }
    }

    #[test]
    fn every_command_of_other_tools_leads_to_one_that_is_there() {
        let command = Cli::command();
        for (name, words) in ELSEWHERE {
            assert!(command.find_subcommand(name).is_some(), "{name}");
            for word in words {
                assert!(command.find_subcommand(word).is_none(), "{word}");
            }
        }
    }
}
