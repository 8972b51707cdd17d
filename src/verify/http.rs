//! Sends one request to the API, as a caller would.

use std::io::Read as _;
use std::time::Duration;

use serde_json::Value;
use ureq::http::{Method, Request};

use super::{Answer, Probe};

/// API Gateway itself gives up after 29 s unless its quota was raised.
const TIMEOUT: Duration = Duration::from_secs(35);
/// A body of API Gateway's own is short; of a backend's nothing needs to be known.
const READ: u64 = 4096;

/// A client for many requests to one API.
#[derive(Debug, Clone)]
pub struct Client {
    agent: ureq::Agent,
    base: String,
}

impl Client {
    /// Calls below `base`, which ends with a slash.
    pub fn new(base: &str) -> Self {
        // Plain HTTP is an emulator's, and goes there directly, as the calls of AWS do.
        let is_https = base.starts_with("https://");
        let config = ureq::Agent::config_builder()
            .proxy(is_https.then(ureq::Proxy::try_from_env).flatten())
            .timeout_global(Some(TIMEOUT))
            // Redirects of the backend are not followed.
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

    /// Sends a request; blocks until its answer is there.
    ///
    /// # Errors
    /// Why there is no answer. It names no header and no query, so no credential.
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
        // A body that breaks off does not change what the status says.
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
