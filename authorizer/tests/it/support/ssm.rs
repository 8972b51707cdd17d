//! A stand-in for the Parameter Store. It checks paging, decryption flags, and signatures, and returns values.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::http::{Request, Response, Server};

#[derive(Default)]
pub struct State {
    pub parameters: Vec<(String, String)>,
    pub reads: u64,
    pub fault: Option<Fault>,
}

#[derive(Clone, Copy)]
pub enum Fault {
    Denied,
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
        let mut state = self.state.lock().expect("lock");
        state.parameters.retain(|(known, _)| *known != name);
        state.parameters.push((name, value.to_owned()));
    }

    pub fn delete(&self, name: &str) {
        let name = format!("{PATH}/{name}");
        let mut state = self.state.lock().expect("lock");
        state.parameters.retain(|(known, _)| *known != name);
    }

    pub fn fault(&self, fault: Option<Fault>) {
        self.state.lock().expect("lock").fault = fault;
    }
}

fn answer(state: &Mutex<State>, request: &Request) -> Response {
    let mut state = state.lock().expect("lock");
    state.reads += 1;
    match state.fault {
        None => {}
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
        Some("AmazonSSM.GetParametersByPath")
    );
    let question: Value = serde_json::from_slice(&request.body).expect("JSON");
    assert_eq!(question["Path"], PATH);
    assert_eq!(question["Recursive"], true);
    assert_eq!(question["WithDecryption"], true);
    // Pages of two parameters, some with only a token, as the service returns them.
    let from: usize = question["NextToken"]
        .as_str()
        .map_or(0, |token| token.parse().expect("token"));
    let page: Vec<Value> = state
        .parameters
        .iter()
        .skip(from)
        .take(2)
        .map(|(name, value)| json!({ "Name": name, "Value": value, "Type": "SecureString" }))
        .collect();
    let next = from + 2;
    let mut answer = json!({ "Parameters": page });
    if next < state.parameters.len() + 2 {
        answer["NextToken"] = json!(next.to_string());
    }
    Response::new(200, answer.to_string())
}
