//! Sends requests to the API, as a caller does.

use std::io::Read as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::Value;
use ureq::http::{Method, Request};

use super::answer::Answer;
use super::probes::Probe;
use crate::api_gateway::Protocol;

/// API Gateway itself times out after 29 s unless its quota was raised.
const TIMEOUT: Duration = Duration::from_secs(35);
/// The number of bytes to read: API Gateway's own bodies are short, and a backend's body is not needed.
const READ: u64 = 4096;

/// What a path contains in encoded form only. A percent sign is that of an encoded character.
/// Source: RFC 3986, section 3.3.
const ENCODED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A client for many requests to one API.
#[derive(Debug, Clone)]
pub struct Client {
    agent: ureq::Agent,
    base: String,
    protocol: Protocol,
}

impl Client {
    /// A client for the API at `base`. A trailing slash is optional. A connection to a WebSocket API begins with a request.
    pub fn new(base: &str, protocol: Protocol) -> Self {
        let base = match base.strip_prefix("ws") {
            Some(rest) => format!("http{rest}"),
            None => base.to_owned(),
        };
        // Only emulators use plain HTTP. Requests to them bypass the proxy, as AWS calls do.
        let is_https = base.starts_with("https://");
        let config = ureq::Agent::config_builder()
            .proxy(is_https.then(ureq::Proxy::try_from_env).flatten())
            .timeout_global(Some(TIMEOUT))
            // Redirects come from the backend and are not followed.
            .max_redirects(0)
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .user_agent(concat!("threescale-gw/", env!("CARGO_PKG_VERSION")))
            .build();
        Self {
            agent: config.into(),
            base: format!("{}/", base.trim_end_matches('/')),
            protocol,
        }
    }

    /// Sends a request and blocks until the response arrives.
    ///
    /// # Errors
    /// Why there is no response. The text contains no header and no query string, and so no credential.
    pub fn ask(&self, probe: &Probe) -> Result<Answer, String> {
        let method =
            Method::from_bytes(probe.verb.as_bytes()).map_err(|error| error.to_string())?;
        let mut request =
            Request::builder()
                .method(method)
                .uri(format!("{}{}", self.base, encoded(&probe.path)));
        for (name, value) in &probe.headers {
            request = request.header(name.as_str(), value.expose());
        }
        if self.protocol == Protocol::WebSocket {
            for (name, value) in handshake()? {
                request = request.header(name, value);
            }
        }
        let request = request
            .body(())
            .map_err(|_| "the credential cannot be sent".to_owned())?;
        let mut response = self.agent.run(request).map_err(|error| cause(&error))?;
        let mut text = Vec::new();
        // A truncated body does not change the meaning of the status.
        let _ = response
            .body_mut()
            .as_reader()
            .take(READ)
            .read_to_end(&mut text);
        let body: Value = serde_json::from_slice(&text).unwrap_or(Value::Null);
        let header = |name: &str| {
            let value = response.headers().get(name);
            value
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        let of_body = || body["requestId"].as_str().map(str::to_owned);
        Ok(Answer {
            protocol: self.protocol,
            status: response.status().as_u16(),
            error_type: header("x-amzn-errortype"),
            request_id: header("apigw-requestid").or_else(of_body),
            body,
            is_to_head: probe.verb == "HEAD",
        })
    }
}

/// A path of the API, and a query string, as a caller sends them.
fn encoded(path: &str) -> String {
    utf8_percent_encode(path, ENCODED).to_string()
}

/// The headers that open a WebSocket connection. The client closes a connection that was accepted as soon as the answer is read.
/// Source: RFC 6455, section 4.1.
fn handshake() -> Result<[(&'static str, String); 4], String> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(|error| error.to_string())?;
    Ok([
        ("Connection", "Upgrade".to_owned()),
        ("Upgrade", "websocket".to_owned()),
        ("Sec-WebSocket-Version", "13".to_owned()),
        ("Sec-WebSocket-Key", STANDARD.encode(nonce)),
    ])
}

fn cause(error: &ureq::Error) -> String {
    match error {
        ureq::Error::HostNotFound => "its name cannot be resolved".to_owned(),
        ureq::Error::Timeout(_) => format!("no answer within {} s", TIMEOUT.as_secs()),
        ureq::Error::BadUri(_) => "that is no address".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread;

    use super::*;
    use crate::secret::Secret;
    use crate::verify::Check;

    #[test]
    fn a_path_is_sent_as_callers_send_it() {
        for (path, sent) in [
            (
                "orders/threescale-gw-verify?apikey=a%26b",
                "orders/threescale-gw-verify?apikey=a%26b",
            ),
            ("v1.0/größe", "v1.0/gr%C3%B6%C3%9Fe"),
            ("日本/a%20b", "%E6%97%A5%E6%9C%AC/a%20b"),
            ("a b\u{1b}/:act~;=@,", "a%20b%1B/:act~;=@,"),
        ] {
            assert_eq!(encoded(path), sent);
        }
    }

    #[test]
    fn an_accepted_connection_is_closed_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let server = thread::spawn(move || {
            let (stream, _) = listener.accept().expect("a connection");
            let mut reader = BufReader::new(stream);
            let mut request = Vec::new();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).expect("a line");
                if line.trim().is_empty() {
                    break;
                }
                request.push(line.trim().to_ascii_lowercase());
            }
            let accepted = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
            let stream = reader.get_mut();
            stream.write_all(accepted.as_bytes()).expect("an answer");
            let left = reader.read(&mut [0; 8]).expect("the end");
            (request, left)
        });
        let client = Client::new(&format!("ws://127.0.0.1:{port}/prod/"), Protocol::WebSocket);
        let probe = Probe {
            label: "$connect".to_owned(),
            check: Check::GoodKey,
            verb: "GET".to_owned(),
            path: "?a=1".to_owned(),
            headers: vec![("apikey".to_owned(), Secret::from("k".to_owned()))],
            is_open_in_stage: None,
        };
        let answer = client.ask(&probe).expect("an answer");
        assert_eq!(answer.status, 101);
        let (request, left) = server.join().expect("the server");
        assert_eq!(left, 0);
        assert_eq!(request[0], "get /prod/?a=1 http/1.1");
        for header in [
            "connection: upgrade",
            "upgrade: websocket",
            "sec-websocket-version: 13",
            "apikey: k",
        ] {
            assert!(request.iter().any(|line| line == header), "{request:?}");
        }
    }
}
