//! The Lambda Runtime API (<https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>), called by a blocking loop
//! on one connection.
//!
//! The loop is written by hand because Lambda passes one event at a time to a process, so an async executor and a general
//! HTTP client only add cost: with `lambda_runtime` and the `redis` crate, a cache hit with the same script took 1.4 to 1.65
//! times as long (p50) and twice the CPU time. The API consists of a few endpoints that have been stable for years.
//!
//! Supported are the next invocation, its response or error, and the initialization error. Not supported are response
//! streaming, extensions, and any HTTP other than version 1.0 and 1.1 without trailers. `httparse` parses the heads.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::input::Input;

/// An event with Lambda's headers.
#[derive(Debug)]
pub struct Invocation {
    /// Lambda's request ID.
    pub request_id: String,
    /// When Lambda ends the invocation.
    pub deadline: Instant,
    /// The event, as JSON.
    pub event: Vec<u8>,
}

/// The handler's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The JSON document that is the function's result.
    Answer(Vec<u8>),
    /// A function error with this text. API Gateway turns `Unauthorized` into a 401.
    Error(String),
}

/// Why the loop ended.
#[derive(Debug)]
pub enum RuntimeError {
    /// The Runtime API cannot be reached.
    Io(io::Error),
    /// The Runtime API's response is not what its documentation describes.
    Protocol(String),
}

impl fmt::Display for RuntimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "runtime API: {error}"),
            Self::Protocol(what) => write!(f, "runtime API: {what}"),
        }
    }
}

impl std::error::Error for RuntimeError {}

impl From<io::Error> for RuntimeError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A connection to the Runtime API.
#[derive(Debug)]
pub struct Runtime {
    address: String,
    /// The beginning of every path.
    prefix: String,
    stream: Option<TcpStream>,
    input: Input,
    output: Vec<u8>,
}

/// The size limit of an event. Lambda's own limit is 6 MB.
const MAX_EVENT: usize = 8 << 20;
const MAX_HEAD: usize = 64 << 10;

impl Runtime {
    /// `address` is `AWS_LAMBDA_RUNTIME_API`: `host:port`, outside AWS optionally with a path, below which the Runtime
    /// API is.
    #[must_use]
    pub fn new(address: &str) -> Self {
        let end = address.find('/').unwrap_or(address.len());
        let (address, prefix) = address.split_at(end);
        Self {
            address: address.to_owned(),
            prefix: prefix.trim_end_matches('/').to_owned(),
            stream: None,
            input: Input::default(),
            output: Vec::with_capacity(4 << 10),
        }
    }

    /// Waits for the next event, without a time-out: Lambda freezes the process meanwhile.
    ///
    /// # Errors
    /// The Runtime API cannot be reached, or its response is invalid.
    pub fn next_invocation(&mut self) -> Result<Invocation, RuntimeError> {
        self.start_request("GET", "/2018-06-01/runtime/invocation/next");
        self.output.extend_from_slice(b"\r\n");
        let head = self.exchange()?;
        if head.status != 200 {
            return Err(RuntimeError::Protocol(format!(
                "status {} for the next invocation",
                head.status
            )));
        }
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let left = head
            .deadline_at_ms
            .map_or(Duration::from_secs(10), |ms| {
                Duration::from_millis(ms).saturating_sub(now)
            })
            // A limit, so that a wrong clock does not overflow the addition below.
            .min(Duration::from_secs(900));
        Ok(Invocation {
            request_id: head.request_id.ok_or_else(|| {
                RuntimeError::Protocol("an invocation without a request ID".to_owned())
            })?,
            deadline: Instant::now() + left,
            event: self.input.bytes().to_vec(),
        })
    }

    /// Sends the answer.
    ///
    /// # Errors
    /// The Runtime API cannot be reached.
    pub fn reply(&mut self, request_id: &str, reply: &Reply) -> Result<(), RuntimeError> {
        let error;
        let (suffix, body): (&str, &[u8]) = match reply {
            Reply::Answer(body) => ("response", body),
            Reply::Error(message) => {
                error = error_body(message);
                ("error", &error)
            }
        };
        self.start_request(
            "POST",
            &format!("/2018-06-01/runtime/invocation/{request_id}/{suffix}"),
        );
        self.finish_with(body);
        // Lambda's response (202, or 4xx after it has ended the invocation) makes no difference.
        self.exchange().map(drop)
    }

    /// Reports that the function cannot start.
    ///
    /// # Errors
    /// The Runtime API cannot be reached.
    pub fn init_error(&mut self, message: &str) -> Result<(), RuntimeError> {
        self.start_request("POST", "/2018-06-01/runtime/init/error");
        self.finish_with(&error_body(message));
        self.exchange().map(drop)
    }

    fn start_request(&mut self, method: &str, path: &str) {
        self.output.clear();
        for part in [
            method,
            " ",
            &self.prefix,
            path,
            " HTTP/1.1\r\nHost: ",
            &self.address,
            "\r\n",
        ] {
            self.output.extend_from_slice(part.as_bytes());
        }
    }

    fn finish_with(&mut self, body: &[u8]) {
        self.output.extend_from_slice(
            format!(
                "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                body.len()
            )
            .as_bytes(),
        );
        self.output.extend_from_slice(body);
    }

    /// Sends the request and reads the whole response; its body is then in `input`. The server may have closed a
    /// connection that was used before, so the request is sent once more on a new one.
    fn exchange(&mut self) -> Result<Head, RuntimeError> {
        for attempt in 0.. {
            let fresh = self.stream.is_none();
            let mut stream = match self.stream.take() {
                Some(stream) => stream,
                None => {
                    let stream = TcpStream::connect(&self.address)?;
                    stream.set_nodelay(true)?;
                    stream
                }
            };
            let result = stream
                .write_all(&self.output)
                .map_err(RuntimeError::from)
                .and_then(|()| read_response(&mut stream, &mut self.input));
            match result {
                Ok(head) => {
                    if head.keep_alive {
                        self.stream = Some(stream);
                    }
                    return Ok(head);
                }
                Err(RuntimeError::Io(_)) if !fresh && attempt == 0 => {}
                Err(error) => return Err(error),
            }
        }
        Err(RuntimeError::Protocol("no answer".to_owned()))
    }
}

fn error_body(message: &str) -> Vec<u8> {
    let body =
        serde_json::json!({ "errorMessage": message, "errorType": "Error", "stackTrace": [] });
    body.to_string().into_bytes()
}

#[derive(Debug, Default)]
struct Head {
    status: u16,
    request_id: Option<String>,
    deadline_at_ms: Option<u64>,
    length: Option<usize>,
    chunked: bool,
    keep_alive: bool,
    /// The length of the head in bytes.
    size: usize,
}

fn read_response(stream: &mut impl Read, input: &mut Input) -> Result<Head, RuntimeError> {
    input.clear();
    let head = loop {
        more(stream, input)?;
        if let Some(head) = parse_head(input.bytes())? {
            break head;
        }
        if input.len() > MAX_HEAD {
            return Err(RuntimeError::Protocol(
                "the response head is too large".to_owned(),
            ));
        }
    };
    input.consume(head.size);
    if head.chunked {
        read_chunks(stream, input)?;
        return Ok(head);
    }
    let length = match head.length {
        Some(length) => length,
        None if matches!(head.status, 204 | 304) => 0,
        None => {
            // Without a length and not chunked, the body ends with the connection.
            while input.len() <= MAX_EVENT {
                if more(stream, input).is_err() {
                    break;
                }
            }
            return Ok(Head {
                keep_alive: false,
                ..head
            });
        }
    };
    if length > MAX_EVENT {
        return Err(RuntimeError::Protocol(
            "the response body is too large".to_owned(),
        ));
    }
    while input.len() < length {
        more(stream, input)?;
    }
    input.truncate(length);
    Ok(head)
}

/// Reads what has arrived, at least one byte.
fn more(stream: &mut impl Read, input: &mut Input) -> io::Result<()> {
    match input.read(stream)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

fn parse_head(input: &[u8]) -> Result<Option<Head>, RuntimeError> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let size = match response.parse(input) {
        Ok(httparse::Status::Complete(size)) => size,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(RuntimeError::Protocol(error.to_string())),
    };
    let mut head = Head {
        status: response.code.unwrap_or_default(),
        keep_alive: response.version == Some(1),
        size,
        ..Head::default()
    };
    for header in response.headers.iter() {
        let value = std::str::from_utf8(header.value).unwrap_or_default().trim();
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("lambda-runtime-aws-request-id") {
            head.request_id = Some(value.to_owned());
        } else if is("lambda-runtime-deadline-ms") {
            head.deadline_at_ms = value.parse().ok();
        } else if is("content-length") {
            head.length = Some(
                value
                    .parse()
                    .map_err(|_| RuntimeError::Protocol("an invalid content length".to_owned()))?,
            );
        } else if is("transfer-encoding") {
            head.chunked = value.eq_ignore_ascii_case("chunked");
        } else if is("connection") {
            head.keep_alive = !value.eq_ignore_ascii_case("close");
        }
    }
    Ok(Some(head))
}

/// Replaces a chunked body, whose beginning is in `input`, by the decoded one.
fn read_chunks(stream: &mut impl Read, input: &mut Input) -> Result<(), RuntimeError> {
    let mut body = Vec::new();
    loop {
        let (start, size) = loop {
            match httparse::parse_chunk_size(input.bytes()) {
                Ok(httparse::Status::Complete((used, size))) => break (used, size),
                Ok(httparse::Status::Partial) => more(stream, input)?,
                Err(_) => return Err(RuntimeError::Protocol("an invalid chunk".to_owned())),
            }
        };
        let size = usize::try_from(size)
            .ok()
            .filter(|size| size + body.len() <= MAX_EVENT)
            .ok_or_else(|| RuntimeError::Protocol("the response body is too large".to_owned()))?;
        // Each chunk ends with CR LF, including the last, empty one. There are no trailers.
        while input.len() < start + size + 2 {
            more(stream, input)?;
        }
        body.extend_from_slice(&input.bytes()[start..start + size]);
        input.consume(start + size + 2);
        if size == 0 {
            input.replace(body);
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the given bytes one by one, as a slow connection does.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else {
                return Ok(0);
            };
            buffer[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    fn read(text: &str) -> Result<(Head, String), RuntimeError> {
        let mut input = Input::default();
        let head = read_response(&mut Slow(text.as_bytes()), &mut input)?;
        Ok((head, String::from_utf8_lossy(input.bytes()).into_owned()))
    }

    #[test]
    fn asks_below_the_path_that_comes_with_the_address() {
        for (address, target) in [
            (
                "127.0.0.1:9001",
                "GET /next HTTP/1.1\r\nHost: 127.0.0.1:9001\r\n",
            ),
            ("h:1/secret", "GET /secret/next HTTP/1.1\r\nHost: h:1\r\n"),
            ("h:1/secret/", "GET /secret/next HTTP/1.1\r\nHost: h:1\r\n"),
        ] {
            let mut runtime = Runtime::new(address);
            runtime.start_request("GET", "/next");
            assert_eq!(String::from_utf8_lossy(&runtime.output), target);
        }
    }

    #[test]
    fn reads_a_body_with_length() {
        let (head, body) = read(
            "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: r1\r\nLambda-Runtime-Deadline-Ms: 12\r\n\
             Content-Length: 2\r\n\r\n{}",
        )
        .expect("response");
        assert_eq!(head.request_id.as_deref(), Some("r1"));
        assert_eq!(head.deadline_at_ms, Some(12));
        assert!(head.keep_alive);
        assert_eq!(body, "{}");
    }

    #[test]
    fn reads_a_chunked_body() {
        let (head, body) = read(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n",
        )
        .expect("response");
        assert!(head.keep_alive);
        assert_eq!(body, "{\"a\":1}");
    }

    #[test]
    fn reads_a_body_that_ends_with_the_connection() {
        let (head, body) = read("HTTP/1.0 200 OK\r\n\r\nabc").expect("response");
        assert!(!head.keep_alive);
        assert_eq!(body, "abc");
    }

    #[test]
    fn refuses_nonsense() {
        for text in [
            "",
            "nonsense\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        ] {
            assert!(read(text).is_err(), "{text:?}");
        }
    }
}
