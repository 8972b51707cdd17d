//! Commands for a running sandbox: they find it by its facts file and call it over loopback.

use std::time::{Duration, Instant};

use console::Term;

use super::folders::all_running;
use super::messages;
use super::signals::End;
use crate::cli::{Format, Global, SandboxAction};
use crate::error::{Error, ExitStatus, Result};
use crate::report;
use crate::report::layout::wrap;
use crate::report::screen::rows;
use crate::sandbox::usage::Usage;
use crate::sandbox::{Found, REGION, ask_control, not_reported};

/// The time limit for a sandbox to end.
const GONE_WITHIN: Duration = Duration::from_secs(30);
/// The polling interval.
const AGAIN: Duration = Duration::from_millis(50);

/// Points a command to the sandbox that `--sandbox` names: its AWS endpoint, its access key, and its configuration
/// unless the user specifies another one.
pub(in crate::commands) fn apply_sandbox_target(global: &mut Global) -> Result<()> {
    if global.sandbox.is_none() {
        return Ok(());
    }
    let Found { facts, keys } = chosen(global)?;
    global.endpoint_url = Some(facts.endpoint);
    global.region = Some(REGION.to_owned());
    global.profile = None;
    global.access_key = Some(keys.access);
    // The environment may still point to another sandbox.
    if !global.names_file() {
        global.file = facts.config;
    }
    Ok(())
}

/// `status`, `stop`, `usage`, `env`.
pub(super) async fn run(global: &Global, action: SandboxAction) -> Result<ExitStatus> {
    match action {
        SandboxAction::Status => status(global)?,
        SandboxAction::Stop => return stop(global).await,
        SandboxAction::Usage => usage(global, &chosen(global)?).await?,
        SandboxAction::Env => {
            let variables = messages::environment(&chosen(global)?);
            match global.output {
                Format::Text | Format::Markdown => report::result(&messages::exports(&variables)),
                Format::Json => {
                    let variables: serde_json::Map<_, _> = variables
                        .into_iter()
                        .map(|(name, value)| (name.to_owned(), value.into()))
                        .collect();
                    report::document(serde_json::json!({ "variables": variables }));
                }
            }
        }
    }
    Ok(ExitStatus::Done)
}

/// The sandbox that `--sandbox=N` names, or the first running one.
fn chosen(global: &Global) -> Result<Found> {
    let wanted = global.sandbox.filter(|number| *number > 0);
    let mut all = all_running()?.into_iter();
    let found = match wanted {
        Some(number) => all.find(|found| found.facts.number == number),
        None => all.next(),
    };
    found.ok_or_else(|| {
        let text = match wanted {
            Some(number) => format!("no sandbox {number} is running"),
            None => "no sandbox is running".to_owned(),
        };
        Error::usage(text).hint("start one with `threescale-gw sandbox --detach`")
    })
}

fn status(global: &Global) -> Result<()> {
    let all: Vec<_> = all_running()?
        .into_iter()
        .map(|found| found.facts)
        .collect();
    if global.output == Format::Json {
        report::document(serde_json::json!({ "sandboxes": all }));
        return Ok(());
    }
    if all.is_empty() {
        report::result("no sandbox is running");
    }
    for facts in &all {
        report::text(&messages::facts(facts));
    }
    Ok(())
}

async fn stop(global: &Global) -> Result<ExitStatus> {
    let all = match global.sandbox {
        Some(1..) => vec![chosen(global)?],
        _ => all_running()?,
    };
    let is_json = global.output == Format::Json;
    if all.is_empty() && !is_json {
        report::result("no sandbox is running");
    }
    let mut stopped = Vec::new();
    for Found { facts, keys } in all {
        ask_control(&facts.control, &keys.control, "POST /stop")
            .await
            .map_err(Error::failed)?;
        let number = facts.number;
        let began = Instant::now();
        while all_running()?
            .iter()
            .any(|other| other.facts.number == number)
        {
            if began.elapsed() > GONE_WITHIN {
                let text = format!("sandbox {number} (process {}) does not end", facts.pid);
                return Err(Error::failed(anyhow::anyhow!(text)));
            }
            tokio::time::sleep(AGAIN).await;
        }
        stopped.push(number);
        if !is_json {
            report::result(&format!("stopped sandbox {number}"));
        }
    }
    if is_json {
        report::document(serde_json::json!({ "stopped": stopped }));
    }
    Ok(ExitStatus::Done)
}

/// Prints the usage once. On a terminal, refreshes it in place every second until Ctrl-C or the end of the sandbox.
async fn usage(global: &Global, found: &Found) -> Result<()> {
    let ask = || async {
        let (control, key) = (&found.facts.control, &found.keys.control);
        // First, so that what is delivered meanwhile is not missing in both.
        let not_reported = not_reported(&found.facts, &found.keys).await;
        let text = ask_control(control, key, "GET /usage").await;
        let usage = text.and_then(|text| Ok(serde_json::from_slice::<Usage>(&text)?));
        let usage = usage.map(|usage| Usage {
            not_reported,
            ..usage
        });
        usage.map_err(Error::failed)
    };
    if global.output == Format::Json {
        report::document(serde_json::json!(ask().await?));
        return Ok(());
    }
    let screen = Term::stdout();
    if !screen.is_term() {
        report::result(&ask().await?.table());
        return Ok(());
    }
    let mut shown = Vec::new();
    let mut end = End::listen()?;
    loop {
        let table = ask().await?.table();
        let columns = usize::from(screen.size().1);
        let _ = screen.clear_last_lines(rows(&shown, columns));
        let table = wrap(&table, columns);
        shown = table.lines().map(str::to_owned).collect();
        report::result(&table);
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            () = end.come() => {
                report::interrupted();
                return Ok(());
            }
        }
    }
}
