//! The test AWS: one server for all tests, from which each test forks an account of its own.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde_json::{Value, json};

use super::{python, times};

/// An account that behaves as AWS does; it ends with this value.
#[derive(Debug)]
pub struct TestAws {
    pub port: u16,
}

/// The server of this process. It and all its forks end with the process, because its standard input is then closed.
struct Root {
    _server: Child,
    empty: TestAws,
}

static ROOT: OnceLock<Root> = OnceLock::new();
/// Accounts that several tests begin with, by name.
static STATES: Mutex<BTreeMap<String, Arc<OnceLock<TestAws>>>> = Mutex::new(BTreeMap::new());

impl Root {
    fn start() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/aws");
        let mut child = Command::new(python::venv(&folder.join("requirements.txt")))
            .arg("server.py")
            .args(["--port", "0"])
            .current_dir(folder)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the test AWS starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output"))
            .read_line(&mut line)
            .expect("its port");
        let hello: Value = serde_json::from_str(&line).expect("a line of JSON");
        Self {
            _server: child,
            empty: TestAws::at(&hello),
        }
    }
}

impl TestAws {
    fn at(answer: &Value) -> Self {
        let port = answer["port"].as_u64();
        let port = port.and_then(|port| u16::try_from(port).ok());
        Self {
            port: port.expect("a port"),
        }
    }

    /// An empty account.
    pub fn start() -> Self {
        ROOT.get_or_init(Root::start).empty.fork()
    }

    /// An account with the API most tests protect, and a look-alike stack of somebody else.
    pub fn seeded() -> Self {
        Self::state("seeded", || {
            let aws = Self::start();
            aws.seed();
            aws
        })
    }

    /// An account as `make` leaves it. What has a name is made once.
    pub fn state(name: &str, make: impl FnOnce() -> Self) -> Self {
        let state = {
            let mut states = STATES.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(states.entry(name.to_owned()).or_default())
        };
        let made = state.get_or_init(|| {
            let aws = make();
            aws.check_log();
            aws
        });
        made.fork()
    }

    /// An account of its own as this one is now, right after the call that is held, if one is.
    pub fn fork(&self) -> Self {
        times::measure();
        Self::at(&self.post("fork", &json!({})))
    }

    /// Fills an empty account.
    pub fn seed(&self) {
        self.post("seed", &json!({"api": api(), "foreign": true}));
    }

    /// Where the server listens.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Sends a control request.
    pub fn post(&self, path: &str, body: &Value) -> Value {
        let mut answer = ureq::post(format!("{}/_test/{path}", self.url()))
            .send_json(body)
            .expect("a control answer");
        answer.body_mut().read_json().expect("JSON")
    }

    /// Asks a control question.
    pub fn get(&self, path: &str) -> Value {
        let mut answer = ureq::get(format!("{}/_test/{path}", self.url()))
            .call()
            .expect("a control answer");
        answer.body_mut().read_json().expect("JSON")
    }

    /// Makes one AWS call as somebody else.
    pub fn call(&self, service: &str, operation: &str, parameters: Value) -> Value {
        self.post(
            "call",
            &json!({"service": service, "operation": operation, "parameters": parameters}),
        )
    }

    /// Everything in the account.
    pub fn account(&self) -> Value {
        self.get("account")
    }

    /// The requests so far.
    pub fn log(&self) -> Vec<Value> {
        self.get("log").as_array().cloned().expect("a list")
    }

    /// The operations of the changing requests so far.
    pub fn changes(&self) -> Vec<String> {
        let name = |entry: &Value| entry["operation"].as_str().map(str::to_owned);
        self.log()
            .iter()
            .filter(|entry| entry["mutating"] == true)
            .filter_map(name)
            .collect()
    }

    /// Forgets the requests so far, after a look at them: each must have been valid by the service's own model, and no
    /// server error may have come that the test did not ask for.
    pub fn check_log(&self) {
        for entry in self.log() {
            assert_eq!(entry["model_errors"], json!([]), "{entry}");
            assert_eq!(entry["unimplemented"], false, "{entry}");
            let server_error = entry["status"].as_u64().is_some_and(|status| status >= 500);
            assert!(!server_error || entry["injected"] == true, "{entry}");
        }
        self.post("log/clear", &json!({}));
    }
}

impl Drop for TestAws {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.check_log();
        }
        let _ = ureq::post(format!("{}/_test/end", self.url())).send_empty();
    }
}

/// The API of the tests: open methods, one that is excepted, one that AWS_IAM guards.
pub fn api() -> Value {
    json!({
        "name": "orders-api",
        "stage": "prod",
        "tags": {"owner": "orders"},
        "methods": [
            {"method": "GET", "path": "/orders"},
            {"method": "POST", "path": "/orders", "api_key_required": true},
            {"method": "OPTIONS", "path": "/orders", "integration": cors()},
            {"method": "GET", "path": "/orders/{id}"},
            {"method": "ANY", "path": "/files/{proxy+}"},
            {"method": "GET", "path": "/health"},
            {"method": "GET", "path": "/internal", "authorization_type": "AWS_IAM"},
        ],
    })
}

/// What the console's "Enable CORS" gives `OPTIONS`: its response has a template without text.
pub fn cors() -> Value {
    let origin = json!({"method.response.header.Access-Control-Allow-Origin": "'*'"});
    json!({
        "type": "MOCK", "requestTemplates": {"application/json": "{\"statusCode\": 200}"},
        "responses": [{"statusCode": "200", "responseTemplates": {"application/json": ""}, "responseParameters": origin}],
    })
}
