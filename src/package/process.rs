//! Child processes that are killed together with the processes they started.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::Mutex;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

/// A child that leads its own process group. Dropping this before the child has been waited for kills the whole group.
/// Signals from the terminal to this program's group do not reach it.
#[derive(Debug)]
pub(crate) struct Group {
    child: Child,
}

impl Group {
    /// Starts `command` as the leader of a new process group.
    pub(crate) fn spawn(command: std::process::Command) -> io::Result<Self> {
        let child = Command::from(command)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self { child })
    }

    /// The group leader.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Kills the group. Does nothing after the child has been waited for: another process can have its id by then.
    pub(crate) fn kill(&self) {
        let leader = self
            .child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        if let Some(leader) = leader {
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs `command` to completion and passes its output to `line`, as [`read`] does. Dropping the future kills it.
pub(crate) async fn run(
    mut command: std::process::Command,
    line: impl FnMut(&str) + Send,
) -> io::Result<ExitStatus> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut group = Group::spawn(command)?;
    let said = read(group.child(), line).await;
    let status = group.child().wait().await?;
    said?;
    Ok(status)
}

/// Passes the output of a child's piped streams to `line` until all processes that hold them have ended. A piece ends
/// at a line feed or carriage return.
pub(crate) fn read<F: FnMut(&str) + Send>(
    child: &mut Child,
    line: F,
) -> impl Future<Output = io::Result<()>> + Send + use<F> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let line = Mutex::new(line);
    async move {
        let (stdout, stderr) = tokio::join!(pieces(stdout, &line), pieces(stderr, &line));
        stdout.and(stderr)
    }
}

async fn pieces(
    stream: Option<impl AsyncRead + Unpin>,
    line: &Mutex<impl FnMut(&str)>,
) -> io::Result<()> {
    let Some(mut stream) = stream else {
        return Ok(());
    };
    let hand_over = |piece: &[u8]| {
        let text = String::from_utf8_lossy(piece);
        let text = text.trim_end();
        if let (false, Ok(mut line)) = (text.is_empty(), line.lock()) {
            line(text);
        }
    };
    let (mut rest, mut buffer) = (Vec::new(), vec![0; 16 * 1024]);
    loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            hand_over(&rest);
            return Ok(());
        }
        for byte in &buffer[..read] {
            match byte {
                b'\r' | b'\n' => hand_over(&std::mem::take(&mut rest)),
                _ => rest.push(*byte),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn shell(script: &str) -> std::process::Command {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn both_streams_are_handed_over_in_pieces() {
        let mut pieces = Vec::new();
        let script = r"printf 'one\rtwo\n\nthree'; printf 'four\n' >&2; exit 3";
        let status = run(shell(script), |piece| pieces.push(piece.to_owned()))
            .await
            .expect("it ran");
        assert_eq!(status.code(), Some(3));
        pieces.sort();
        assert_eq!(pieces, ["four", "one", "three", "two"]);
    }

    #[tokio::test]
    async fn a_dropped_group_takes_its_children_with_it() {
        // The grandchild also holds the pipe, which closes only after both have ended.
        let mut command = shell("sleep 1000 & echo started; wait");
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut group = Group::spawn(command).expect("a group");
        let mut stdout = group.child().stdout.take().expect("a pipe");
        let mut buffer = [0; 64];
        assert!(stdout.read(&mut buffer).await.expect("a line") > 0);
        drop(group);
        let end = tokio::time::timeout(Duration::from_secs(30), stdout.read(&mut buffer)).await;
        assert_eq!(
            end.expect("the end comes").expect("the end of the stream"),
            0
        );
    }
}
