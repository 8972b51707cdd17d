//! A small HTTP/1.1 server with kept connections, whose handler can also misbehave.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub struct Request {
    pub method: String,
    /// Path with query, as sent.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

pub enum Response {
    Reply {
        status: u16,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    },
    /// These bytes, then the connection ends.
    Raw(Vec<u8>),
    /// The connection ends without a byte.
    Close,
    /// Nothing for so long, then the connection ends.
    Hang(Duration),
}

impl Response {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::Reply {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }
}

pub type Handler = dyn Fn(Request) -> Response + Send + Sync;

/// A running server; it ends with this value.
pub struct Server {
    pub address: SocketAddr,
    stop: Arc<AtomicBool>,
}

impl Server {
    pub fn start(handler: Arc<Handler>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let (Ok(stream), handler, stopped) =
                    (stream, Arc::clone(&handler), Arc::clone(&stopped))
                else {
                    continue;
                };
                std::thread::spawn(move || {
                    // A client that goes away ends its own thread only.
                    let _ = serve(stream, &handler, &stopped);
                });
            }
        });
        Self { address, stop }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the listener up.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(mut stream: TcpStream, handler: &Arc<Handler>, stop: &AtomicBool) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = Vec::new();
    while let Some(request) = read(&mut stream, &mut input)? {
        if stop.load(Ordering::SeqCst) {
            return Ok(());
        }
        match handler(request) {
            Response::Reply {
                status,
                headers,
                body,
            } => {
                let mut output = format!("HTTP/1.1 {status} X\r\n");
                for (name, value) in headers {
                    output.push_str(&format!("{name}: {value}\r\n"));
                }
                output.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
                let mut output = output.into_bytes();
                output.extend(body);
                stream.write_all(&output)?;
            }
            Response::Raw(bytes) => return stream.write_all(&bytes),
            Response::Close => return Ok(()),
            Response::Hang(time) => {
                std::thread::sleep(time);
                return Ok(());
            }
        }
    }
    Ok(())
}

fn read(stream: &mut TcpStream, input: &mut Vec<u8>) -> std::io::Result<Option<Request>> {
    let mut chunk = [0_u8; 16384];
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut parsed = httparse::Request::new(&mut headers);
        if let Ok(httparse::Status::Complete(head)) = parsed.parse(input) {
            let headers: Vec<(String, String)> = parsed
                .headers
                .iter()
                .map(|h| {
                    (
                        h.name.to_owned(),
                        String::from_utf8_lossy(h.value).into_owned(),
                    )
                })
                .collect();
            let method = parsed.method.unwrap_or_default().to_owned();
            let target = parsed.path.unwrap_or_default().to_owned();
            let length = headers
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .and_then(|(_, value)| value.parse().ok())
                .unwrap_or(0);
            while input.len() < head + length {
                match stream.read(&mut chunk)? {
                    0 => return Ok(None),
                    n => input.extend_from_slice(&chunk[..n]),
                }
            }
            let body = input[head..head + length].to_vec();
            input.drain(..head + length);
            return Ok(Some(Request {
                method,
                target,
                headers,
                body,
            }));
        }
        match stream.read(&mut chunk)? {
            0 => return Ok(None),
            n => input.extend_from_slice(&chunk[..n]),
        }
    }
}
