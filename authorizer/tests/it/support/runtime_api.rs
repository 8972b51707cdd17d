//! A Lambda Runtime API, and the real binary that uses it.

use std::collections::VecDeque;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::http::{Request, Response, Server};

#[derive(Default)]
struct State {
    events: VecDeque<(u64, Vec<u8>)>,
    answers: Vec<(u64, Answer)>,
    init_error: Option<Value>,
    /// Whether the process has asked for an event.
    is_started: bool,
    next: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    Result(Value),
    Error(Value),
}

/// The Runtime API of one function.
pub struct RuntimeApi {
    pub server: Server,
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl RuntimeApi {
    pub fn start() -> Self {
        let shared = Arc::new((Mutex::new(State::default()), Condvar::new()));
        let state = Arc::clone(&shared);
        let server = Server::start(Arc::new(move |request| serve(&state, &request)));
        Self { server, shared }
    }

    /// Sends an event and waits for its result.
    pub fn invoke(&self, event: &str) -> Answer {
        let (lock, changed) = &*self.shared;
        let mut state = lock.lock().expect("lock");
        let id = state.next;
        state.next += 1;
        state.events.push_back((id, event.as_bytes().to_vec()));
        changed.notify_all();
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(at) = state.answers.iter().position(|(of, _)| *of == id) {
                return state.answers.remove(at).1;
            }
            assert!(Instant::now() < deadline, "no answer to {event}");
            state = changed
                .wait_timeout(state, Duration::from_millis(100))
                .expect("lock")
                .0;
        }
    }

    /// Waits until the process is ready for its first event: what is before is not part of an invocation.
    pub fn wait_for_start(&self) {
        let (lock, changed) = &*self.shared;
        let state = lock.lock().expect("lock");
        let (state, _) = changed
            .wait_timeout_while(state, Duration::from_secs(30), |state| !state.is_started)
            .expect("lock");
        assert!(state.is_started, "the process does not start");
    }

    /// Sends an event without waiting. Returns its number.
    pub fn begin(&self, event: &str) -> u64 {
        let (lock, changed) = &*self.shared;
        let mut state = lock.lock().expect("lock");
        let id = state.next;
        state.next += 1;
        state.events.push_back((id, event.as_bytes().to_vec()));
        changed.notify_all();
        id
    }

    /// The result of an event, if there is one.
    pub fn answer(&self, id: u64) -> Option<Answer> {
        let mut state = self.shared.0.lock().expect("lock");
        let at = state.answers.iter().position(|(of, _)| *of == id)?;
        Some(state.answers.remove(at).1)
    }

    pub fn init_error(&self) -> Option<Value> {
        self.shared.0.lock().expect("lock").init_error.clone()
    }
}

fn serve(shared: &(Mutex<State>, Condvar), request: &Request) -> Response {
    let (lock, changed) = shared;
    let mut state = lock.lock().expect("lock");
    let path = request
        .target
        .strip_prefix("/2018-06-01/runtime/")
        .unwrap_or_default();
    let body = || serde_json::from_slice(&request.body).unwrap_or(Value::Null);
    if path == "invocation/next" {
        state.is_started = true;
        changed.notify_all();
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some((id, event)) = state.events.pop_front() {
                let until = SystemTime::now().duration_since(UNIX_EPOCH).expect("clock")
                    + Duration::from_secs(10);
                return Response::Reply {
                    status: 200,
                    headers: vec![
                        (
                            "Lambda-Runtime-Aws-Request-Id".into(),
                            format!("request-{id}"),
                        ),
                        (
                            "Lambda-Runtime-Deadline-Ms".into(),
                            until.as_millis().to_string(),
                        ),
                    ],
                    body: event,
                };
            }
            if Instant::now() > deadline {
                return Response::Close;
            }
            state = changed
                .wait_timeout(state, Duration::from_millis(200))
                .expect("lock")
                .0;
        }
    }
    if path == "init/error" {
        state.init_error = Some(body());
        return Response::new(202, "{}");
    }
    let mut parts = path.split('/').skip(1);
    let id = parts
        .next()
        .and_then(|id| id.strip_prefix("request-"))
        .and_then(|id| id.parse().ok())
        .expect("a request id");
    let answer = match parts.next() {
        Some("response") => Answer::Result(body()),
        Some("error") => Answer::Error(body()),
        other => panic!("{other:?}"),
    };
    state.answers.push((id, answer));
    changed.notify_all();
    Response::new(202, "{}")
}

/// The real binary as a function.
pub struct Process {
    pub api: RuntimeApi,
    pub child: Child,
}

impl Process {
    pub fn start(environment: &[(String, String)]) -> Self {
        let api = RuntimeApi::start();
        let child = Command::new(binary())
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .env("AWS_LAMBDA_RUNTIME_API", api.server.address.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("bootstrap runs");
        Self { api, child }
    }

    /// Ends the process and returns its output.
    pub fn output(mut self) -> String {
        self.kill();
        let mut text = String::new();
        if let Some(mut stdout) = self.child.stdout.take() {
            stdout.read_to_string(&mut text).expect("text");
        }
        text
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_bootstrap"))
}
