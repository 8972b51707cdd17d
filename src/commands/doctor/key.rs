//! `doctor --key`: what 3scale says about a key.

use std::io::{BufRead as _, IsTerminal as _};

use crate::cli::{Format, Global};
use crate::commands::input::{environment, load, read_roots};
use crate::error::{Error, ExitStatus, Result};
use crate::report::doctor::{key_document, key_table};
use crate::report::{self, style::Style};
use crate::secret::Secret;
use crate::threescale::{self, Application, Question, Verdict};
use crate::verify::Key;

/// The variable that other commands read a key from, too.
const VARIABLE: &str = "THREESCALE_TEST_KEY";

/// Asks 3scale from this machine. It counts no usage.
pub(super) async fn run(global: &Global) -> Result<ExitStatus> {
    let mut config = load(global).await?;
    read_roots(global, &mut config)?;
    let config = &config.threescale;
    let endpoint = global
        .endpoint_url
        .clone()
        .or_else(|| environment("AWS_ENDPOINT_URL"));
    if !threescale::is_asked(endpoint.as_deref(), &config.backend) {
        return Err(Error::refused(format!(
            "{} is not asked, because AWS is an emulator on this machine",
            config.backend
        )));
    }
    let secret = key().await?;
    let Key { id, key } = Key::parse(secret.expose(), &config.credentials);
    let masked = masked(id.expose());
    let question = Question::new(config, Some(Application { id, key }));
    let Some(question) = question else {
        return Err(Error::usage(
            "`threescale.backend` is no address of a server",
        ));
    };
    let told = threescale::about(question).await;
    match global.output {
        Format::Text | Format::Markdown => {
            report::text(&key_table(&masked, &told, &Style::stdout(global)))
        }
        Format::Json => report::document(key_document(&masked, &told)),
    }
    Ok(match told.verdict {
        Verdict::Allowed | Verdict::Refused(_) => ExitStatus::Done,
        Verdict::Fault(_) | Verdict::Unclear(_) => ExitStatus::Failed,
    })
}

/// The key, from where no process list shows it.
async fn key() -> Result<Secret> {
    if let Some(key) = environment(VARIABLE).filter(|key| !key.is_empty()) {
        return Ok(Secret::from(key));
    }
    let read = tokio::task::spawn_blocking(|| {
        let stdin = std::io::stdin();
        if stdin.is_terminal() {
            report::question("The key (it is not shown): ");
            return console::Term::stderr().read_secure_line();
        }
        let mut line = String::new();
        stdin.lock().read_line(&mut line).map(|_| line)
    });
    let line = read
        .await
        .map_err(|error| Error::failed(anyhow::anyhow!(error)))?
        .map_err(|error| Error::failed(anyhow::anyhow!(error).context("reading the key")))?;
    match line.trim() {
        "" => Err(Error::usage("--key: there is no key").hint(format!(
            "set {VARIABLE}, or write a user key, or `<app_id>:<app_key>`, to standard input"
        ))),
        key => Ok(Secret::from(key.to_owned())),
    }
}

/// The end of a long key or application id, as the log of the authorizer shows it.
fn masked(text: &str) -> String {
    let characters = text.chars().count();
    if characters < 16 {
        return "***".to_owned();
    }
    let tail: String = text.chars().skip(characters - 4).collect();
    format!("***{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_a_long_key_is_shown() {
        assert_eq!(masked("0123456789abcdef"), "***cdef");
        assert_eq!(masked("short"), "***");
        assert_eq!(masked(""), "***");
    }
}
