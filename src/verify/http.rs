//! Sends requests to the API, as a caller does.

use std::io::Read as _;
use std::time::Duration;

use serde_json::Value;
use ureq::http::{Method, Request};

use super::{Answer, Probe};

/// API Gateway itself times out after 29 s unless its quota was raised.
const TIMEOUT: Duration = Duration::from_secs(35);
/// The number of bytes to read: API Gateway's own bodies are short, and a backend's body is not needed.
const READ: u64 = 4096;

/// A client for many requests to one API.
#[derive(Debug, Clone)]
pub struct Client {
    agent: ureq::Agent,
    base: String,
}

impl Client {
    /// A client for the API at `base`. A trailing slash is optional.
    pub fn new(base: &str) -> Self {
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
        }
    }

    /// Sends a request and blocks until the response arrives.
    ///
    /// # Errors
    /// Why there is no response. The text contains no header and no query string, and so no credential.
    pub fn ask(&self, probe: &Probe) -> Result<Answer, String> {
        let method =
            Method::from_bytes(probe.verb.as_bytes()).map_err(|error| error.to_string())?;
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{}", self.base, probe.path));
        for (name, value) in &probe.headers {
            request = request.header(name.as_str(), value.expose());
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
        let error_type = response
            .headers()
            .get("x-amzn-errortype")
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        Ok(Answer {
            status: response.status().as_u16(),
            error_type,
            body: serde_json::from_slice(&text).unwrap_or(Value::Null),
        })
    }
}

fn cause(error: &ureq::Error) -> String {
    match error {
        ureq::Error::HostNotFound => "its name cannot be resolved".to_owned(),
        ureq::Error::Timeout(_) => format!("no answer within {} s", TIMEOUT.as_secs()),
        ureq::Error::BadUri(_) => "that is no address".to_owned(),
        other => other.to_string(),
    }
}
