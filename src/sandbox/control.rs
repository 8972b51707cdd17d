//! How other commands communicate with a running sandbox: over HTTP on the loopback interface.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use sha2::{Digest as _, Sha256};
use threescale_stand_in::http::{Request, Response, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::usage::Usage;
use crate::secret::Secret;

/// The error if no port is free.
pub const NO_PORT: &str = "127.0.0.1 has no free port: end programs that hold many connections, or widen net.ipv4.ip_local_port_range";
/// The header with the key. A web page must send a CORS preflight request before it, which is refused.
const KEY: &str = "threescale-gw-key";
/// The timeout of a request.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The server side, in the running sandbox.
#[derive(Debug)]
pub struct Control {
    server: Server,
    stop: Arc<Notify>,
}

impl Control {
    /// Serves `usage` and the stop request to clients that have the key.
    ///
    /// # Errors
    /// There is no free port.
    pub fn start(
        key: &Secret,
        usage: impl Fn() -> Usage + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let stop = Arc::new(Notify::new());
        let notify = Arc::clone(&stop);
        let key = key.clone();
        let handler = move |request: Request| {
            if !is_allowed(&request, &key) {
                return Response::new(403, "");
            }
            match (request.method.as_str(), request.target.as_str()) {
                ("GET", "/usage") => match serde_json::to_vec(&usage()) {
                    Ok(text) => Response::new(200, text),
                    Err(_) => Response::new(500, ""),
                },
                ("POST", "/stop") => {
                    notify.notify_one();
                    Response::new(202, "")
                }
                _ => Response::new(404, ""),
            }
        };
        let server = Server::on(0, Arc::new(handler)).context(NO_PORT)?;
        Ok(Self { server, stop })
    }

    /// The address that it listens on, `127.0.0.1:port`.
    #[must_use]
    pub fn address(&self) -> String {
        self.server.address.to_string()
    }

    /// Waits for the stop request.
    pub async fn stopped(&self) {
        self.stop.notified().await;
    }
}

/// Whether a request comes from a program of this user: it has the key, its host is the loopback interface, and it does
/// not come from a web page.
fn is_allowed(request: &Request, key: &Secret) -> bool {
    let host = request.header("host").unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    // Compares hashes, so that the duration of the comparison reveals nothing about the key.
    let hash = |text: &str| Sha256::digest(text.as_bytes());
    request.header("origin").is_none()
        && ["127.0.0.1", "localhost"].contains(&name)
        && hash(request.header(KEY).unwrap_or_default()) == hash(key.expose())
}

/// Sends a request to a running sandbox: `GET /usage`, `POST /stop`.
///
/// # Errors
/// It does not respond, or refuses the request.
pub async fn ask(control: &str, key: &Secret, question: &str) -> anyhow::Result<Vec<u8>> {
    let exchange = async {
        let mut stream = TcpStream::connect(control).await?;
        let head = format!(
            "{question} HTTP/1.1\r\nHost: {control}\r\n{KEY}: {}\r\n\r\n",
            key.expose()
        );
        stream.write_all(head.as_bytes()).await?;
        // The end of the request: the server closes the connection after its response.
        stream.shutdown().await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = tokio::time::timeout(ANSWER_WITHIN, exchange)
        .await
        .context("the sandbox does not answer")?
        .context("the sandbox does not answer")?;
    ensure!(
        answer.starts_with(b"HTTP/1.1 2"),
        "the sandbox refuses {question}"
    );
    let body = answer
        .windows(4)
        .position(|piece| piece == b"\r\n\r\n")
        .context("the sandbox's answer has no end of its head")?;
    Ok(answer[body + 4..].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_program_that_has_the_key_is_allowed() {
        let key = Secret::from("key".to_owned());
        let allowed = |headers: &[(&str, &str)]| {
            let headers = headers.iter();
            let headers = headers.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let request = Request {
                method: "GET".to_owned(),
                target: "/usage".to_owned(),
                headers: headers.collect(),
                body: Vec::new(),
                connection: 0,
            };
            is_allowed(&request, &key)
        };
        let (host, right) = (("Host", "127.0.0.1:81"), (KEY, "key"));
        assert!(allowed(&[host, right]));
        assert!(allowed(&[("Host", "localhost"), right]));
        assert!(!allowed(&[host]), "no key");
        assert!(!allowed(&[host, (KEY, "")]) && !allowed(&[host, (KEY, "kex")]));
        assert!(!allowed(&[right]), "no host");
        assert!(!allowed(&[("Host", "evil.example:81"), right]), "rebound");
        assert!(!allowed(&[host, right, ("Origin", "null")]), "a web page");
    }

    #[tokio::test]
    async fn questions_and_orders() {
        let key = Secret::from("key".to_owned());
        let control = Control::start(&key, Usage::default).expect("a port");
        let other = Secret::from("other".to_owned());
        assert!(ask(&control.address(), &other, "GET /usage").await.is_err());
        let usage = ask(&control.address(), &key, "GET /usage")
            .await
            .expect("usage");
        let usage: Usage = serde_json::from_slice(&usage).expect("a document");
        assert!(usage.applications.is_empty());
        assert!(ask(&control.address(), &key, "GET /stop").await.is_err());
        let stopped = ask(&control.address(), &key, "POST /stop").await;
        assert!(stopped.expect("taken").is_empty());
        control.stopped().await;
        let address = control.address();
        drop(control);
        assert!(ask(&address, &key, "GET /usage").await.is_err());
    }
}
