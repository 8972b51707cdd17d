//! `sandbox --keep`: the same program once more in the background, and its words until it stands.

use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, anyhow};

use crate::error::{Error, ExitStatus, Result};
use crate::event::Sink;
use crate::report;

/// The line by which the one in the background says that it stands.
pub(super) const STANDS: &str = "threescale-gw: the sandbox stands";

/// Starts it and waits until it stands.
pub(super) async fn run(sink: Sink) -> Result<ExitStatus> {
    drop(sink);
    let started = tokio::task::spawn_blocking(start).await;
    let started = started.context("waiting for the sandbox");
    started.and_then(|started| started).map_err(Error::failed)
}

fn start() -> anyhow::Result<ExitStatus> {
    let this = std::env::current_exe().context("finding this program")?;
    // A group of its own: the terminal's Ctrl-C is not for it.
    let mut child = Command::new(this)
        .args(
            std::env::args_os()
                .skip(1)
                .filter(|argument| argument != "--keep"),
        )
        .arg("--background")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting the sandbox in the background")?;
    let errors = child.stderr.take();
    std::thread::spawn(move || relay(errors, report::note));
    let mut stands = false;
    let output = child.stdout.take().context("the sandbox has no output")?;
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        if line == STANDS {
            stands = true;
            break;
        }
        report::result(&line);
    }
    if stands {
        return Ok(ExitStatus::Done);
    }
    let status = child.wait().context("waiting for the sandbox")?;
    // It has said why.
    Ok(match status.code() {
        Some(2) => ExitStatus::Usage,
        Some(4) => ExitStatus::Refused,
        Some(5) => ExitStatus::Partial,
        Some(130) => ExitStatus::Interrupted,
        Some(_) => ExitStatus::Failed,
        None => return Err(anyhow!("the sandbox was killed")),
    })
}

fn relay(stream: Option<impl Read>, write: impl Fn(&str)) {
    for line in stream
        .into_iter()
        .flat_map(|stream| BufReader::new(stream).lines())
    {
        match line {
            Ok(line) => write(&line),
            Err(_) => return,
        }
    }
}
