//! The test AWS: one server for all tests, from which each test forks its own account.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde_json::{Value, json};

use super::{python, times};

/// An account that behaves like AWS. It is deleted when this value is dropped.
#[derive(Debug)]
pub struct TestAws {
    pub port: u16,
}

/// The server of this process. The server and all its forks end with the process, because their standard input closes.
struct Root {
    _server: Child,
    empty: TestAws,
}

static ROOT: OnceLock<Root> = OnceLock::new();
/// Account states from which several tests start, by name.
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

    /// An account with the API that most tests protect, and another stack of the same tool.
    pub fn seeded() -> Self {
        Self::state("seeded", || {
            let aws = Self::start();
            aws.seed();
            aws
        })
    }

    /// An account in the state that `make` creates. Each named state is created once.
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

    /// A separate account with the current state, which is the state right after the held call if there is one.
    pub fn fork(&self) -> Self {
        times::measure();
        Self::at(&self.post("fork", &json!({})))
    }

    /// Adds the API and the other stack to an empty account.
    pub fn seed(&self) {
        self.post("seed", &json!({"api": api(), "foreign": true}));
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The address of the account as one that is not a loopback address. Linux connects to it through the loopback interface.
    pub fn distant_url(&self) -> String {
        format!("http://0.0.0.0:{}", self.port)
    }

    /// Sends a control request with a body.
    pub fn post(&self, path: &str, body: &Value) -> Value {
        let mut answer = ureq::post(format!("{}/_test/{path}", self.url()))
            .send_json(body)
            .expect("a control answer");
        answer.body_mut().read_json().expect("JSON")
    }

    /// Sends a control request without a body.
    pub fn get(&self, path: &str) -> Value {
        let mut answer = ureq::get(format!("{}/_test/{path}", self.url()))
            .call()
            .expect("a control answer");
        answer.body_mut().read_json().expect("JSON")
    }

    /// Makes one AWS call as another user.
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

    /// The requests since the log was last cleared.
    pub fn log(&self) -> Vec<Value> {
        self.get("log").as_array().cloned().expect("a list")
    }

    /// The operations of the changing requests since the log was last cleared.
    pub fn changes(&self) -> Vec<String> {
        let name = |entry: &Value| entry["operation"].as_str().map(str::to_owned);
        self.log()
            .iter()
            .filter(|entry| entry["mutating"] == true)
            .filter_map(name)
            .collect()
    }

    /// Checks the logged requests and clears the log: each request must be valid according to the service's model, and
    /// no server error is allowed except those that the test injected.
    pub fn check_log(&self) {
        for entry in self.log() {
            assert_eq!(entry["model_errors"], json!([]), "{entry}");
            assert_eq!(entry["unimplemented"], false, "{entry}");
            let server_error = entry["status"].as_u64().is_some_and(|status| status >= 500);
            // Lambda's status where a function cannot use its key.
            let code = entry["error_code"].as_str().unwrap_or_default();
            let is_meant = entry["injected"] == true || code.starts_with("KMS");
            assert!(!server_error || is_meant, "{entry}");
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

/// The API of the tests: open methods, an excepted method, and a method protected by AWS_IAM.
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

/// The `OPTIONS` integration that the console's "Enable CORS" creates. Its response has an empty template.
pub fn cors() -> Value {
    let origin = json!({"method.response.header.Access-Control-Allow-Origin": "'*'"});
    json!({
        "type": "MOCK", "requestTemplates": {"application/json": "{\"statusCode\": 200}"},
        "responses": [{"statusCode": "200", "responseTemplates": {"application/json": ""}, "responseParameters": origin}],
    })
}
