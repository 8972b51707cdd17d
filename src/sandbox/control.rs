//! How other commands talk to a running sandbox: over HTTP on the loopback interface.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use threescale_stand_in::http::{Request, Response, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::usage::Usage;

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The listening end, of the running sandbox.
#[derive(Debug)]
pub struct Control {
    server: Server,
    stop: Arc<Notify>,
}

impl Control {
    /// Answers with what `usage` says, and waits for the order to stop.
    ///
    /// # Errors
    /// There is no free port.
    pub fn start(usage: impl Fn() -> Usage + Send + Sync + 'static) -> anyhow::Result<Self> {
        let stop = Arc::new(Notify::new());
        let notify = Arc::clone(&stop);
        let handler =
            move |request: Request| match (request.method.as_str(), request.target.as_str()) {
                ("GET", "/usage") => match serde_json::to_vec(&usage()) {
                    Ok(text) => Response::new(200, text),
                    Err(_) => Response::new(500, ""),
                },
                // A page in a browser cannot send a header of its own without asking first.
                ("POST", "/stop") if request.header("threescale-gw").is_some() => {
                    notify.notify_one();
                    Response::new(202, "")
                }
                _ => Response::new(404, ""),
            };
        let server = Server::on(0, Arc::new(handler)).context(super::NO_PORT)?;
        Ok(Self { server, stop })
    }

    /// Where it listens, `127.0.0.1:port`.
    #[must_use]
    pub fn address(&self) -> String {
        self.server.address.to_string()
    }

    /// Waits for the order to stop.
    pub async fn stopped(&self) {
        self.stop.notified().await;
    }
}

/// Asks a running sandbox: `GET /usage`, `POST /stop`.
///
/// # Errors
/// It does not answer, or refuses.
pub async fn ask(control: &str, question: &str) -> anyhow::Result<Vec<u8>> {
    let exchange = async {
        let mut stream = TcpStream::connect(control).await?;
        let head = format!("{question} HTTP/1.1\r\nHost: {control}\r\nthreescale-gw: 1\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        // The end of what is asked: after its answer the other end closes, too.
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

    #[tokio::test]
    async fn questions_and_orders() {
        let control = Control::start(Usage::default).expect("a port");
        let usage = ask(&control.address(), "GET /usage").await.expect("usage");
        let usage: Usage = serde_json::from_slice(&usage).expect("a document");
        assert!(usage.applications.is_empty());
        assert!(ask(&control.address(), "GET /stop").await.is_err());
        let stopped = ask(&control.address(), "POST /stop").await;
        assert!(stopped.expect("taken").is_empty());
        control.stopped().await;
        let address = control.address();
        drop(control);
        assert!(ask(&address, "GET /usage").await.is_err());
    }
}
