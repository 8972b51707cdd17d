//! A Lambda Runtime API on the loopback interface, and instances of the authorizer's real binary that use it.
//!
//! Only the instances receive its path: others could read events, which contain the callers' keys, or respond to them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use threescale_stand_in::http::{Request, Response, Server};

use crate::sandbox::keys::random;

const INVOCATIONS: &str = "/2018-06-01/runtime/invocation/";
/// The time limit of an invocation.
const INVOCATION: Duration = Duration::from_secs(10);

/// Receives the outcome of an event: its due time, whether it is a result or a function's error, and the text.
type Answered = dyn Fn(Instant, bool, &[u8]) + Send + Sync;

/// One function. Its events wait in one queue, and any free instance takes the next one.
pub struct Function {
    // Dropped in this order: first no request waits anymore, then the instances end, then the port closes.
    queue: Queue,
    instances: Vec<Instance>,
    server: Server,
}

#[derive(Clone)]
struct Queue(Arc<Shared>);

struct Shared {
    /// The prefix of every path.
    prefix: String,
    state: Mutex<State>,
    news: Condvar,
    answered: Box<Answered>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<(Instant, Arc<str>)>,
    open: HashMap<u64, Instant>,
    next: u64,
    over: bool,
}

struct Instance(Child);

impl Function {
    /// Starts `instances` processes of `binary`, which receive only `environment` and the address of the Runtime API.
    ///
    /// # Errors
    /// No port is free, or the binary cannot be run.
    pub fn start(
        binary: &Path,
        environment: &BTreeMap<String, String>,
        instances: usize,
        answered: impl Fn(Instant, bool, &[u8]) + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let prefix = format!("/{}", random::<16>()?);
        let queue = Queue(Arc::new(Shared {
            prefix: prefix.clone(),
            state: Mutex::default(),
            news: Condvar::new(),
            answered: Box::new(answered),
        }));
        let served = queue.clone();
        let server = Server::on(0, Arc::new(move |request| served.serve(&request)))
            .context("looking for a free port on 127.0.0.1")?;
        let mut function = Self {
            queue,
            instances: Vec::new(),
            server,
        };
        for _ in 0..instances {
            let child = Command::new(binary)
                .env_clear()
                .envs(environment)
                .env(
                    "AWS_LAMBDA_RUNTIME_API",
                    format!("{}{prefix}", function.server.address),
                )
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .context("starting the authorizer")?;
            function.instances.push(Instance(child));
        }
        Ok(function)
    }

    /// Adds events to the queue, each with its due time.
    pub fn invoke(&self, events: impl IntoIterator<Item = (Instant, Arc<str>)>) {
        self.queue.lock().waiting.extend(events);
        self.queue.0.news.notify_all();
    }

    /// The number of events without a response.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        let state = self.queue.lock();
        state.waiting.len() + state.open.len()
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function")
            .field("instances", &self.instances.len())
            .finish_non_exhaustive()
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        // Otherwise the server would wait for instances that wait for events.
        self.queue.lock().over = true;
        self.queue.0.news.notify_all();
        self.instances.clear();
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, request: &Request) -> Response {
        let Some(path) = request.target.strip_prefix(&self.0.prefix) else {
            return Response::new(403, "");
        };
        match path.strip_prefix(INVOCATIONS) {
            Some("next") => self.next(),
            Some(path) => self.take(path, &request.body),
            None => Response::new(202, "{}"),
        }
    }

    fn next(&self) -> Response {
        let mut state = self.lock();
        loop {
            if state.over {
                return Response::Close;
            }
            if let Some((due, event)) = state.waiting.pop_front() {
                let id = state.next;
                state.next += 1;
                state.open.insert(id, due);
                let since = SystemTime::now().duration_since(UNIX_EPOCH);
                let until = since.unwrap_or_default() + INVOCATION;
                let header = |name: &str, value: String| (name.to_owned(), value);
                return Response::Reply {
                    status: 200,
                    headers: vec![
                        header("Lambda-Runtime-Aws-Request-Id", id.to_string()),
                        header("Lambda-Runtime-Deadline-Ms", until.as_millis().to_string()),
                    ],
                    body: event.as_bytes().to_vec(),
                };
            }
            state = self
                .0
                .news
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn take(&self, path: &str, body: &[u8]) -> Response {
        let (id, kind) = path.split_once('/').unwrap_or((path, ""));
        let asked = id.parse().ok().and_then(|id: u64| {
            let due = self.lock().open.get(&id).copied();
            due.map(|due| (id, due))
        });
        if let Some((id, due)) = asked {
            (self.0.answered)(due, kind == "response", body);
            // Removed last: the thread that waits for the last response then reads all counts.
            self.lock().open.remove(&id);
        }
        Response::new(202, "{}")
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn events_are_for_its_instances_alone() {
        // Writes its Runtime API address to a file, and waits.
        let dir = tempfile::tempdir().expect("a folder");
        let (binary, said) = (dir.path().join("binary"), dir.path().join("said"));
        let script = format!(
            "#!/bin/sh\necho \"$AWS_LAMBDA_RUNTIME_API\" > '{0}.new'\nmv '{0}.new' '{0}'\nexec sleep 1000\n",
            said.display()
        );
        crate::private::write(&binary, 0o700, script.as_bytes()).expect("a script");
        let path = std::env::var("PATH").unwrap_or_default();
        let environment = BTreeMap::from([("PATH".to_owned(), path)]);
        let function = Function::start(&binary, &environment, 1, |_, _, _| {}).expect("started");
        function.invoke([(Instant::now(), Arc::from("{\"key\": \"a caller's\"}"))]);
        while !said.exists() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let said = std::fs::read_to_string(&said).expect("an address");
        let (address, prefix) = said.trim().split_once('/').expect("a path");
        let ask = |path: &str| {
            let mut stream = TcpStream::connect(address).expect("connected");
            let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
            stream.write_all(head.as_bytes()).expect("sent");
            stream.shutdown(std::net::Shutdown::Write).expect("sent");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("an answer");
            answer
        };
        for path in [
            "/2018-06-01/runtime/invocation/next",
            "/",
            "/x/2018-06-01/runtime/invocation/next",
        ] {
            let answer = ask(path);
            assert!(answer.starts_with("HTTP/1.1 403 "), "{path}: {answer}");
        }
        assert_eq!(function.unanswered(), 1);
        let answer = ask(&format!("/{prefix}{INVOCATIONS}next"));
        assert!(answer.contains("a caller's"), "{answer}");
    }
}
