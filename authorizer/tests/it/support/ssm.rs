//! A stand-in for the Parameter Store. It checks names, decryption flags, and signatures, and returns values.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::http::{Request, Response, Server};

#[derive(Default)]
pub struct State {
    pub parameters: Vec<(String, String)>,
    pub reads: u64,
    pub fault: Option<Fault>,
    /// How many of the next calls fail with the fault; all of them if it is `None`.
    pub times: Option<u64>,
}

#[derive(Clone, Copy)]
pub enum Fault {
    Denied,
    Throttled,
    Broken,
    Slow(Duration),
    Nonsense,
}

pub struct Ssm {
    pub server: Server,
    pub state: Arc<Mutex<State>>,
}

pub const PATH: &str = "/threescale-gw/test";
pub const HASH_KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

impl Ssm {
    /// With the secrets of every stack; `cache` is the endpoint, if any.
    pub fn start(token: &str, cache: Option<&str>) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let server = Server::start(Arc::new(move |request| answer(&shared, &request)));
        let ssm = Self { server, state };
        ssm.put("secrets/service-token", token);
        ssm.put("secrets/hash-key", HASH_KEY);
        ssm.put("lock", "somebody");
        if let Some(cache) = cache {
            ssm.put("cache-endpoint", cache);
        }
        ssm
    }

    pub fn put(&self, name: &str, value: &str) {
        let name = format!("{PATH}/{name}");
        assert!(value.len() <= 4096, "{name} does not fit");
        let mut state = self.state.lock().expect("lock");
        state.parameters.retain(|(known, _)| *known != name);
        state.parameters.push((name, value.to_owned()));
    }

    pub fn get(&self, name: &str) -> String {
        let name = format!("{PATH}/{name}");
        let state = self.state.lock().expect("lock");
        let mut parameters = state.parameters.iter();
        let found = parameters.find(|(known, _)| *known == name);
        found.map(|(_, value)| value.clone()).expect("a parameter")
    }

    pub fn delete(&self, name: &str) {
        let name = format!("{PATH}/{name}");
        let mut state = self.state.lock().expect("lock");
        state.parameters.retain(|(known, _)| *known != name);
    }

    pub fn fault(&self, fault: Option<Fault>) {
        let mut state = self.state.lock().expect("lock");
        state.fault = fault;
        state.times = None;
    }

    /// Makes this many of the next calls fail.
    pub fn fail_next(&self, times: u64, fault: Fault) {
        let mut state = self.state.lock().expect("lock");
        state.fault = Some(fault);
        state.times = Some(times);
    }

    pub fn reads(&self) -> u64 {
        self.state.lock().expect("lock").reads
    }
}

fn answer(state: &Mutex<State>, request: &Request) -> Response {
    let mut state = state.lock().expect("lock");
    state.reads += 1;
    let fault = match &mut state.times {
        Some(0) => None,
        Some(times) => {
            *times -= 1;
            state.fault
        }
        None => state.fault,
    };
    match fault {
        None => {}
        Some(Fault::Throttled) => {
            return Response::new(
                400,
                r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#,
            );
        }
        Some(Fault::Denied) => {
            return Response::new(400, r#"{"__type":"AccessDeniedException","Message":"no"}"#);
        }
        Some(Fault::Broken) => return Response::new(500, "{}"),
        Some(Fault::Nonsense) => return Response::new(200, "<html>"),
        Some(Fault::Slow(time)) => {
            drop(state);
            return Response::Hang(time);
        }
    }
    let signed = request.header("authorization").unwrap_or_default();
    assert!(
        signed.starts_with("AWS4-HMAC-SHA256 Credential=AKIDTEST/")
            && signed.contains("/eu-west-1/ssm/aws4_request"),
        "{signed}"
    );
    assert!(signed.contains("x-amz-security-token"));
    assert_eq!(
        request.header("x-amz-target"),
        Some("AmazonSSM.GetParameters")
    );
    let question: Value = serde_json::from_slice(&request.body).expect("JSON");
    assert_eq!(question["WithDecryption"], true);
    let names: Vec<&str> = question["Names"]
        .as_array()
        .expect("names")
        .iter()
        .map(|name| name.as_str().expect("a name"))
        .collect();
    // The service refuses more than ten, and a name that is there twice.
    assert!((1..=10).contains(&names.len()), "{names:?}");
    let different: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(different.len(), names.len(), "{names:?}");
    let (found, missing): (Vec<&str>, Vec<&str>) = names
        .into_iter()
        .partition(|name| state.parameters.iter().any(|(known, _)| known == name));
    let found: Vec<Value> = state
        .parameters
        .iter()
        .filter(|(name, _)| found.contains(&name.as_str()))
        .map(|(name, value)| json!({ "Name": name, "Value": value, "Type": "SecureString" }))
        .collect();
    let answer = json!({ "Parameters": found, "InvalidParameters": missing });
    Response::new(200, answer.to_string())
}
