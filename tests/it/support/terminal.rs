//! The binary on a terminal of its own: a pseudo-terminal of any size, and an emulator that shows what a user sees.

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Workplace, python};

/// Runs a command on a new terminal. Standard output is what the terminal receives; each line of standard input is one
/// instruction.
const SCRIPT: &str = r#"
import fcntl, json, os, pty, select, selectors, struct, sys, termios
rows, columns, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
ready, go = os.pipe()
pid, terminal = pty.fork()
if pid == 0:
    os.read(ready, 1)
    os.execvp(command[0], command)
def size(rows, columns):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
size(rows, columns)
os.write(go, b"x")
watch = selectors.DefaultSelector()
watch.register(terminal, selectors.EVENT_READ)
watch.register(0, selectors.EVENT_READ)
told = b""
while True:
    ready = {key.fd for key, _ in watch.select()}
    if 0 in ready:
        part = os.read(0, 4096)
        if not part:
            watch.unregister(0)
        told += part
        *lines, told = told.split(b"\n")
        for line in lines:
            line = json.loads(line)
            if "size" in line:
                while select.select([terminal], [], [], 0)[0]:
                    os.write(1, os.read(terminal, 65536))
                size(*line["size"])
                os.write(1, b"\x1b]resized\x07")
            else:
                os.write(terminal, line["keys"].encode())
    if terminal in ready:
        try:
            part = os.read(terminal, 65536)
        except OSError:
            break
        if not part:
            break
        os.write(1, part)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) % 256)
"#;

/// What the script writes at the place where the size changes.
const RESIZED: &str = "\u{1b}]resized\u{7}";

/// A run on a terminal.
pub struct Terminal {
    child: Child,
    orders: Option<ChildStdin>,
    parts: Receiver<Vec<u8>>,
    screen: vt100::Parser,
    /// Every byte that the terminal received.
    pub received: Vec<u8>,
}

impl Terminal {
    /// Starts the binary with these arguments on a terminal of this size.
    pub fn start(workplace: &Workplace, size: (u16, u16), arguments: &[&str]) -> Self {
        let binary = env!("CARGO_BIN_EXE_threescale-gw");
        let command: Vec<_> = [binary].iter().chain(arguments).copied().collect();
        Self::of(workplace, size, &command, &[])
    }

    /// Starts any command in the environment of the binary, with more variables.
    pub fn of(
        workplace: &Workplace,
        (rows, columns): (u16, u16),
        command: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let requirements =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/aws/requirements.txt");
        let binary = workplace.command(&[]);
        let mut run = Command::new(python::venv(&requirements));
        run.args(["-c", SCRIPT])
            .args([rows.to_string(), columns.to_string()])
            .args(command)
            .env_clear()
            .current_dir(workplace.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let of_binary = binary.get_envs();
        run.envs(of_binary.filter_map(|(key, value)| Some((key, value?))));
        run.env("TERM", "xterm-256color")
            .env("THREESCALE_GW", env!("CARGO_BIN_EXE_threescale-gw"))
            .envs(variables.iter().copied());
        let mut child = run.spawn().expect("a terminal");
        let mut output = child.stdout.take().expect("its output");
        let (sender, parts) = channel();
        std::thread::spawn(move || {
            let mut part = vec![0; 65536];
            while let Ok(length @ 1..) = output.read(&mut part) {
                if sender.send(part[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            orders: child.stdin.take(),
            child,
            parts,
            screen: vt100::Parser::new(rows, columns, 0),
            received: Vec::new(),
        }
    }

    fn order(&mut self, order: &Value) {
        let orders = self.orders.as_mut().expect("its input");
        writeln!(orders, "{order}").expect("a reader");
    }

    /// Types these keys.
    pub fn keys(&mut self, keys: &str) {
        self.order(&json!({ "keys": keys }));
    }

    /// Changes the size. As most terminals do, the emulator wraps its lines again.
    pub fn resize(&mut self, rows: u16, columns: u16) {
        self.order(&json!({"size": [rows, columns]}));
        let mark = RESIZED.as_bytes();
        let mut taken = Vec::new();
        let rest = loop {
            taken.extend(self.parts.recv().expect("the new size"));
            let at = taken.windows(mark.len()).position(|part| part == mark);
            if let Some(at) = at {
                let rest = taken.split_off(at + mark.len());
                taken.truncate(at);
                break rest;
            }
        };
        self.take(&taken);
        let old = self.screen.screen();
        let (row, _) = old.cursor_position();
        let (_, width) = old.size();
        let lines: Vec<_> = old.rows(0, width).take(usize::from(row)).collect();
        let mut resized = vt100::Parser::new(rows, columns, 0);
        for line in lines {
            resized.process(line.as_bytes());
            resized.process(b"\r\n");
        }
        self.screen = resized;
        self.take(&rest);
    }

    /// Waits until the terminal shows what is wanted. The deadline only stops a test that hangs.
    #[track_caller]
    pub fn until(&mut self, what: &str, is_wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let shown = self.shown();
            if is_wanted(&shown) {
                return shown;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.parts.recv_timeout(left) {
                Ok(part) => self.take(&part),
                Err(_) => panic!("{what} is not shown:\n{}", self.shown()),
            }
        }
    }

    /// Waits for the next drawing of the live block, and returns what the terminal shows then.
    pub fn drawing(&mut self) -> String {
        let from = self.received.len();
        let end = b"\x1b[?2026l";
        while !self.received[from..]
            .windows(end.len())
            .any(|part| part == end)
        {
            let part = self.parts.recv().expect("a drawing");
            self.take(&part);
        }
        self.shown()
    }

    /// What the terminal shows.
    pub fn shown(&self) -> String {
        self.screen.screen().contents()
    }

    fn take(&mut self, part: &[u8]) {
        self.screen.process(part);
        self.received.extend(part);
    }

    /// Types the answer if the command asks this question before it ends.
    pub fn answer(&mut self, question: &str, answer: &str) {
        while let Ok(part) = self.parts.recv() {
            self.take(&part);
            if self.shown().contains(question) {
                self.keys(&format!("{answer}\n"));
                return;
            }
        }
    }

    /// Waits until the command ends. Returns its exit code and what the terminal shows then.
    pub fn end(&mut self) -> (Option<i32>, String) {
        while let Ok(part) = self.parts.recv() {
            self.take(&part);
        }
        let code = self.child.wait().expect("its end").code();
        (code, self.shown())
    }

    /// Everything that was written, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.received).into_owned()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl std::fmt::Debug for Terminal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Terminal").finish_non_exhaustive()
    }
}
