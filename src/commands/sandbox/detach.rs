//! `sandbox --detach`: starts the same program in the background and shows its output until the sandbox is ready.
//!
//! Until then the background process ends with this process. A signal is forwarded to it, and its standard input is
//! closed by the kernel no matter how this process ends.

use std::fs::File;
use std::io::{IsTerminal as _, Read as _};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use rustix::process::{Pid, Signal, getpid, kill_process, kill_process_group};
use rustix::termios::{LocalModes, tcgetattr};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use super::signals::End;
use crate::error::{Error, ExitStatus, Result};
use crate::event::Sink;
use crate::report;

/// The line by which the background process reports that the sandbox is ready.
pub(super) const READY_MARKER: &str = "threescale-gw: the sandbox is ready";
/// How long to wait for the remaining output after the background process ends.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Starts the background process and waits until the sandbox is ready.
pub(super) async fn run(sink: Sink) -> Result<ExitStatus> {
    drop(sink);
    let mut end = End::listen()?;
    start(&mut end).await.map_err(Error::failed)
}

async fn start(end: &mut End) -> anyhow::Result<ExitStatus> {
    let this = std::env::current_exe().context("finding this program")?;
    let arguments = std::env::args_os()
        .skip(1)
        .filter(|argument| argument != "--detach" && argument != "--keep");
    // A separate process group: once the sandbox is ready, Ctrl-C on the terminal does not reach it.
    let mut child = Command::new(this)
        .args(arguments)
        .arg("--background")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(if shares_terminal() {
            Stdio::inherit()
        } else {
            Stdio::piped()
        })
        .spawn()
        .context("starting the sandbox in the background")?;
    // Kept open until the end of this function.
    let _alive = child.stdin.take();
    let errors = tokio::spawn(relay(child.stderr.take()));
    let output = child.stdout.take().context("the sandbox has no output")?;
    let mut lines = BufReader::new(output).lines();
    let mut interrupted = false;
    loop {
        tokio::select! {
            line = lines.next_line() => match line {
                Ok(Some(line)) if line == READY_MARKER && !interrupted => return Ok(ExitStatus::Done),
                Ok(Some(line)) if line == READY_MARKER => {}
                Ok(Some(line)) => report::guide(&line),
                Ok(None) | Err(_) => break,
            },
            () = end.come() => {
                interrupted = true;
                interrupt(&child);
            }
        }
    }
    let status = loop {
        tokio::select! {
            status = child.wait() => break status.context("waiting for the sandbox")?,
            () = end.come() => {
                interrupted = true;
                interrupt(&child);
            }
        }
    };
    let _ = tokio::time::timeout(LAST_WORDS, errors).await;
    if interrupted {
        return Ok(ExitStatus::Interrupted);
    }
    // The process has already reported the reason.
    Ok(match status.code() {
        Some(2) => ExitStatus::Usage,
        Some(4) => ExitStatus::Refused,
        Some(5) => ExitStatus::Partial,
        Some(130) => ExitStatus::Interrupted,
        Some(_) => ExitStatus::Failed,
        None => return Err(anyhow!("the sandbox was killed")),
    })
}

/// Forwards a signal to the whole process group, as a terminal does.
fn interrupt(child: &Child) {
    let leader = child.id().and_then(|id| i32::try_from(id).ok());
    if let Some(leader) = leader.and_then(Pid::from_raw) {
        let _ = kill_process_group(leader, Signal::INT);
    }
}

/// Whether the background process draws on the terminal itself, as this process would. A terminal can be set to stop background
/// processes that write (`stty tostop`).
fn shares_terminal() -> bool {
    let stderr = std::io::stderr();
    let modes = tcgetattr(&stderr).map(|modes| modes.local_modes);
    stderr.is_terminal() && modes.is_ok_and(|modes| !modes.contains(LocalModes::TOSTOP))
}

/// In the background process: writes nothing more to the terminal.
pub(super) fn leave_terminal() {
    report::screen::clear();
    if let Ok(nowhere) = File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stderr(&nowhere);
    }
}

async fn relay(stream: Option<impl AsyncRead + Unpin>) {
    let Some(stream) = stream else { return };
    let mut lines = BufReader::new(stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        report::note(&line);
    }
}

/// In the background process: until `ready` is set, the end of the parent process acts like Ctrl-C.
pub(super) fn watch(ready: &Arc<AtomicBool>) {
    let ready = Arc::clone(ready);
    std::thread::spawn(move || {
        let _ = std::io::stdin().lock().read_to_end(&mut Vec::new());
        if !ready.load(Ordering::SeqCst) {
            let _ = kill_process(getpid(), Signal::INT);
        }
    });
}
