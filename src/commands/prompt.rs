//! Questions on the terminal, other than a confirmation.

use std::io::BufRead as _;

use crate::code::Code;
use crate::config::Invalid;
use crate::error::{Error, Result};
use crate::report;

/// One of the things to choose from.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    /// What the user can type in place of its number.
    pub(super) value: String,
    /// What is shown, on one line.
    pub(super) label: String,
}

/// Asks until the answer is valid. An empty answer is the default.
pub(super) async fn ask(
    question: &str,
    default: Option<&str>,
    check: impl Fn(&str) -> Result<(), Invalid>,
) -> Result<String> {
    let default = default.filter(|default| check(default).is_ok());
    let prompt = match default {
        Some(default) => format!("{question} [{default}]: "),
        None => format!("{question}: "),
    };
    loop {
        let line = read(&prompt).await?;
        let text = match (line.trim(), default) {
            ("", Some(default)) => default,
            (text, _) => text,
        };
        match check(text) {
            Ok(()) => return Ok(text.to_owned()),
            Err(invalid) => report::note(&invalid.to_string()),
        }
    }
}

/// Asks for one of several, by number or value. The first one is the default. Returns its index.
pub(super) async fn choose(title: &str, choices: &[Choice]) -> Result<usize> {
    let width = choices.len().to_string().len();
    let mut lines = vec![format!("{title}:")];
    for (number, choice) in (1..).zip(choices) {
        lines.push(format!("  {number:>width$}  {}", choice.label));
    }
    report::note(&lines.join("\n"));
    loop {
        let line = read("Number [1]: ").await?;
        let text = match line.trim() {
            "" => "1",
            text => text,
        };
        let by_value = choices.iter().position(|choice| choice.value == text);
        let by_number = text
            .parse::<usize>()
            .ok()
            .and_then(|number| number.checked_sub(1));
        let found = by_value.or(by_number.filter(|index| *index < choices.len()));
        if let Some(index) = found {
            return Ok(index);
        }
        report::note(&format!("must be a number from 1 to {}", choices.len()));
    }
}

/// Reads a line of the terminal.
async fn read(prompt: &str) -> Result<String> {
    report::question(prompt);
    let line = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line);
        read.map(|length| (length > 0).then_some(line))
    })
    .await
    .map_err(|error| Error::failed(anyhow::anyhow!(error)))?
    .map_err(|error| Error::failed(anyhow::anyhow!(error).context("reading the answer")))?;
    line.ok_or_else(|| {
        report::note("");
        Error::refused("canceled; nothing was written").with_code(Code::NotConfirmed)
    })
}
