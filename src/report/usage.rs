//! Reads the command line, and answers it where it asks for help or is wrong: with the colors and the width of the stream.

use std::ffi::OsString;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, FromArgMatches as _, ValueEnum as _};
use console::Term;
use serde_json::json;

use super::style::ColorChoice;
use super::{document, note, summary_object};
use crate::cli::{Cli, ColorWhen, Format};
use crate::code::Code;
use crate::error::ExitStatus;
use crate::event::Tally;

/// What other tools call a command, and what it is here.
const ELSEWHERE: [(&str, &[&str]); 10] = [
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
    ("release", &["forget", "orphan", "detach", "abandon"]),
    ("export", &["convert", "generate", "eject"]),
];

/// Reads the command line.
///
/// # Errors
/// The exit status, after help, the version or an error was written.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, ExitStatus> {
    let arguments: Vec<_> = arguments.into_iter().collect();
    let flags = Flags::read(&arguments);
    let choice = ColorChoice::from_environment(flags.color, flags.no_color);
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
    let shown = match choice.has_colors(Term::stderr().is_term()) {
        true => text.ansi().to_string(),
        false => text.to_string(),
    };
    note(with_code(&shown).trim_end());
    if flags.is_json {
        let named = flags
            .words
            .iter()
            .find(|word| command.find_subcommand(word).is_some());
        let streams = named.is_some_and(|command| ["up", "down"].contains(&command.as_str()));
        report_json(&text.to_string(), streams);
    }
    Err(ExitStatus::Usage)
}

/// The text of clap with the code of the error, as every other error has it.
fn with_code(text: &str) -> String {
    text.replacen("error:", &format!("error[{}]:", Code::Usage.as_str()), 1)
}

/// The error as a JSON object. `streams`: a summary is the last line.
fn report_json(text: &str, streams: bool) {
    let text = text.trim();
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let mut parts = text.split("\n\n").map(str::trim);
    let message = parts.next().unwrap_or_default();
    // What follows is a tip, the usage, and where help is.
    let hints: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
    let status = ExitStatus::Usage;
    document(json!({
        "event": "error",
        "code": Code::Usage,
        "message": message,
        "findings": [],
        "hints": hints,
        "exit_code": status as u8,
    }));
    if streams {
        document(summary_object(status, Tally::default(), Duration::ZERO));
    }
}

/// The flags that decide about the output also when the rest of the command line is wrong.
#[derive(Debug, PartialEq)]
struct Flags {
    color: ColorWhen,
    no_color: bool,
    is_json: bool,
    /// The arguments that are no flags.
    words: Vec<String>,
}

impl Flags {
    fn read(arguments: &[OsString]) -> Self {
        let mut flags = Self {
            color: ColorWhen::Auto,
            no_color: false,
            is_json: false,
            words: Vec::new(),
        };
        let arguments = arguments.iter().skip(1).map(|one| one.to_string_lossy());
        let mut arguments = arguments.take_while(|one| one != "--");
        while let Some(argument) = arguments.next() {
            let argument = argument.as_ref();
            // Of a flag with one letter, the value can follow at once.
            let (flag, value) = match argument.split_once('=') {
                Some((flag, value)) => (flag, Some(value.to_owned())),
                None => match argument
                    .strip_prefix("-o")
                    .filter(|value| !value.is_empty())
                {
                    Some(value) => ("-o", Some(value.to_owned())),
                    None => (argument, None),
                },
            };
            let value = || value.or_else(|| Some(arguments.next()?.into_owned()));
            match flag {
                "--no-color" => flags.no_color = true,
                "--color" => {
                    let when = value().and_then(|value| ColorWhen::from_str(&value, false).ok());
                    flags.color = when.unwrap_or(flags.color);
                }
                "-o" | "--output" => {
                    let format = value().and_then(|value| Format::from_str(&value, false).ok());
                    flags.is_json = format == Some(Format::Json);
                }
                word if !word.starts_with('-') => flags.words.push(argument.to_owned()),
                _ => {}
            }
        }
        flags
    }
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
    fn the_flags_of_the_output_are_read_from_a_wrong_command_line_too() {
        for (arguments, color, no_color, is_json) in [
            ("", ColorWhen::Auto, false, false),
            ("plan --color always", ColorWhen::Always, false, false),
            ("--color=never plam", ColorWhen::Never, false, false),
            ("plan --color loud", ColorWhen::Auto, false, false),
            ("plan --no-color --wrong", ColorWhen::Auto, true, false),
            ("plan -- --no-color -o json", ColorWhen::Auto, false, false),
            ("plan --color", ColorWhen::Auto, false, false),
            ("plan -o json --wrong", ColorWhen::Auto, false, true),
            ("plan -ojson", ColorWhen::Auto, false, true),
            ("plan -o=json", ColorWhen::Auto, false, true),
            ("--output json plam", ColorWhen::Auto, false, true),
            ("plan --output=json", ColorWhen::Auto, false, true),
            ("plan -o text -o", ColorWhen::Auto, false, false),
            ("plan -o yaml", ColorWhen::Auto, false, false),
        ] {
            let all: Vec<_> = ["threescale-gw"]
                .into_iter()
                .chain(arguments.split_whitespace())
                .map(OsString::from)
                .collect();
            let flags = Flags::read(&all);
            let found = (flags.color, flags.no_color, flags.is_json);
            assert_eq!(found, (color, no_color, is_json), "{arguments}");
        }
        let words =
            Flags::read(&["threescale-gw", "-v", "up", "--wrong"].map(OsString::from)).words;
        assert_eq!(words, ["up"]);
    }

    #[test]
    fn a_conflict_names_the_flags_that_were_typed() {
        for flag in ["--detach", "--keep"] {
            let arguments = ["threescale-gw", "sandbox", "--once", flag];
            let parsed = Cli::command().try_get_matches_from(arguments);
            let text = parsed.expect_err("a conflict").to_string();
            let other = format!("'--once' cannot be used with '{flag}'");
            assert!(text.contains(&other), "{text}");
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
