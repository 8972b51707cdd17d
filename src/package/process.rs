//! Child processes that are ended together with whatever they started.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::Mutex;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

/// A child that leads a process group of its own; the whole group is killed when this is dropped before the child was
/// waited for. A signal that the terminal sends to our group does not reach it.
#[derive(Debug)]
pub(crate) struct Group {
    child: Child,
}

impl Group {
    /// Starts `command`. Nothing reads its standard input unless the caller set it.
    pub(crate) fn spawn(command: std::process::Command) -> io::Result<Self> {
        let child = Command::from(command)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self { child })
    }

    /// The child itself.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Kills the group. Nothing happens once the child was waited for, because its number may be another's by then.
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

/// Runs `command` to its end and hands over what it writes, as [`read`] does. Dropping the future ends the command.
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

/// Hands over what a child writes to its piped streams until all that hold them have ended, piece by piece: a piece ends
/// where a line ends or is about to be overwritten.
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
        // The grandchild holds the pipe open; it is closed once both are gone.
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
