//! RESP2, the protocol of Redis: writes commands, reads replies, and classifies error replies.

use crate::failure::{Cause, Failure};

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A null bulk or array.
    Nil,
    /// An integer.
    Int(i64),
    /// A simple or bulk string.
    Text(Vec<u8>),
    /// An error reply.
    Error(String),
    /// An array.
    Array(Vec<Value>),
}

/// The codes that Redis 6 puts into the text of an error that a script ran into.
const INNER: [&str; 6] = [
    "OOM",
    "READONLY",
    "NOPERM",
    "MISCONF",
    "NOREPLICAS",
    "MASTERDOWN",
];

/// The code of an error reply: its first word, or the code of the error that a script ran into. The rest of the text
/// can contain arguments.
#[must_use]
pub fn error_code(error: &str) -> &str {
    let code = error.split(' ').next().unwrap_or_default();
    if code != "ERR" {
        return code;
    }
    INNER
        .into_iter()
        .find(|inner| {
            error
                .split(": -")
                .skip(1)
                .any(|rest| rest.split(' ').next() == Some(inner))
        })
        .unwrap_or(code)
}

/// What a server that accepts no more connections sends on a new one. It has no code of its own.
pub(crate) const MAX_CLIENTS: &str = "ERR max number of clients reached";

/// The failure for an error reply. Its text is only the code, or `MAX_CLIENTS`.
#[must_use]
pub fn refusal(error: &str) -> Failure {
    if error.starts_with(MAX_CLIENTS) {
        return Failure::new(Cause::Full, MAX_CLIENTS);
    }
    let code = error_code(error);
    let cause = match code {
        "NOAUTH" | "WRONGPASS" | "NOPERM" => Cause::Auth,
        "READONLY" | "MISCONF" | "NOREPLICAS" | "MASTERDOWN" => Cause::ReadOnly,
        "OOM" => Cause::Full,
        _ => Cause::Protocol,
    };
    Failure::new(cause, code)
}

/// Arguments of a command, already encoded.
#[derive(Debug, Clone, Default)]
pub struct Arguments {
    bytes: Vec<u8>,
    count: usize,
}

impl Arguments {
    /// Adds a string.
    pub fn text(&mut self, argument: impl AsRef<[u8]>) -> &mut Self {
        put(&mut self.bytes, argument.as_ref());
        self.count += 1;
        self
    }

    /// Adds a string that consists of these parts.
    pub(crate) fn joined(&mut self, parts: &[&str]) -> &mut Self {
        begin(&mut self.bytes, parts.iter().map(|part| part.len()).sum());
        for part in parts {
            self.bytes.extend_from_slice(part.as_bytes());
        }
        self.bytes.extend_from_slice(b"\r\n");
        self.count += 1;
        self
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Adds a number.
    pub fn number(&mut self, number: impl itoa::Integer) -> &mut Self {
        let mut buffer = itoa::Buffer::new();
        self.text(buffer.format(number))
    }
}

fn begin(output: &mut Vec<u8>, length: usize) {
    let mut buffer = itoa::Buffer::new();
    output.push(b'$');
    output.extend_from_slice(buffer.format(length).as_bytes());
    output.extend_from_slice(b"\r\n");
}

fn put(output: &mut Vec<u8>, argument: &[u8]) {
    begin(output, argument.len());
    output.extend_from_slice(argument);
    output.extend_from_slice(b"\r\n");
}

/// Writes a command.
pub fn encode(output: &mut Vec<u8>, words: &[&[u8]], rest: &Arguments) {
    let mut buffer = itoa::Buffer::new();
    output.push(b'*');
    output.extend_from_slice(buffer.format(words.len() + rest.count).as_bytes());
    output.extend_from_slice(b"\r\n");
    for word in words {
        put(output, word);
    }
    output.extend_from_slice(&rest.bytes);
}

/// The bytes are not RESP, or not a reply to a command of this crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProtocolError;

/// Reads one reply from the beginning, and returns it with its length in bytes; `None` if the reply is incomplete.
///
/// # Errors
/// The bytes are not RESP, or not a reply to a command of this crate.
pub fn decode(input: &[u8]) -> Result<Option<(Value, usize)>, ProtocolError> {
    let mut at = 0;
    let value = decode_at(input, &mut at, 0)?;
    Ok(value.map(|value| (value, at)))
}

/// The size limit of a reply: larger than any reply to the commands of this crate.
pub(super) const MAX_ANSWER: usize = 64 << 20;

const MAX_DEPTH: usize = 8;

fn decode_at(input: &[u8], at: &mut usize, depth: usize) -> Result<Option<Value>, ProtocolError> {
    let Some(line) = line(input, at)? else {
        return Ok(None);
    };
    let (kind, rest) = line.split_first().ok_or(ProtocolError)?;
    let number = || {
        std::str::from_utf8(rest)
            .ok()
            .and_then(|text| text.parse::<i64>().ok())
            .ok_or(ProtocolError)
    };
    Ok(Some(match kind {
        b'+' => Value::Text(rest.to_vec()),
        b'-' => Value::Error(String::from_utf8_lossy(rest).into_owned()),
        b':' => Value::Int(number()?),
        b'$' => {
            let length = number()?;
            if length == -1 {
                return Ok(Some(Value::Nil));
            }
            let length = usize::try_from(length).map_err(|_| ProtocolError)?;
            if length > MAX_ANSWER {
                return Err(ProtocolError);
            }
            let Some(bytes) = input.get(*at..*at + length + 2) else {
                return Ok(None);
            };
            let (text, end) = bytes.split_at(length);
            if end != b"\r\n" {
                return Err(ProtocolError);
            }
            *at += length + 2;
            Value::Text(text.to_vec())
        }
        b'*' => {
            let length = number()?;
            if length == -1 {
                return Ok(Some(Value::Nil));
            }
            let length = usize::try_from(length).map_err(|_| ProtocolError)?;
            if depth >= MAX_DEPTH || length > MAX_ANSWER {
                return Err(ProtocolError);
            }
            // The length is not trusted: memory is allocated only for values that arrived.
            let mut values = Vec::with_capacity(length.min(1024));
            for _ in 0..length {
                match decode_at(input, at, depth + 1)? {
                    Some(value) => values.push(value),
                    None => return Ok(None),
                }
            }
            Value::Array(values)
        }
        _ => return Err(ProtocolError),
    }))
}

fn line<'a>(input: &'a [u8], at: &mut usize) -> Result<Option<&'a [u8]>, ProtocolError> {
    const MAX_LINE: usize = 64 << 10;
    let rest = &input[*at..];
    match rest.windows(2).position(|pair| pair == b"\r\n") {
        Some(end) => {
            *at += end + 2;
            Ok(Some(&rest[..end]))
        }
        None if rest.len() > MAX_LINE => Err(ProtocolError),
        None => match rest.first() {
            // An early error, so that a server with another protocol is not waited for.
            Some(first) if !b"+-:$*".contains(first) => Err(ProtocolError),
            _ => Ok(None),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_all_kinds_and_every_cut_of_them() {
        let bytes = b"*6\r\n:-7\r\n$3\r\na\r\n\r\n+OK\r\n-ERR x\r\n$-1\r\n*0\r\n";
        let value = Value::Array(vec![
            Value::Int(-7),
            Value::Text(b"a\r\n".to_vec()),
            Value::Text(b"OK".to_vec()),
            Value::Error("ERR x".to_owned()),
            Value::Nil,
            Value::Array(Vec::new()),
        ]);
        assert_eq!(decode(bytes), Ok(Some((value, bytes.len()))));
        for cut in 0..bytes.len() {
            assert_eq!(decode(&bytes[..cut]), Ok(None), "{cut}");
        }
    }

    #[test]
    fn refuses_nonsense() {
        for bytes in [
            &b"HTTP/1.1 400"[..],
            b"\r\n",
            b":x\r\n",
            b"$-2\r\n",
            b"$1\r\nabc",
            b"$99999999999\r\n",
            b"*99999999999\r\n",
            &b"*1\r\n".repeat(20),
        ] {
            assert_eq!(decode(bytes), Err(ProtocolError), "{bytes:?}");
        }
    }

    #[test]
    fn codes_of_error_answers() {
        for (error, code, cause) in [
            (
                "OOM command not allowed when used memory > 'maxmemory'.",
                "OOM",
                Cause::Full,
            ),
            (
                "ERR Error running script (call to f_0a): @user_script:7: @user_script: 7: -OOM command not allowed",
                "OOM",
                Cause::Full,
            ),
            (
                "ERR Error running script (call to f_0a): @user_script:7: @user_script: 7: -READONLY You can't write",
                "READONLY",
                Cause::ReadOnly,
            ),
            (
                "ERR unknown command `x: -SECRET`, with args",
                "ERR",
                Cause::Protocol,
            ),
            (
                "WRONGPASS invalid username-password pair",
                "WRONGPASS",
                Cause::Auth,
            ),
            ("ERR max number of clients reached", "ERR", Cause::Full),
            ("MOVED 3999 127.0.0.1:6381", "MOVED", Cause::Protocol),
            ("", "", Cause::Protocol),
        ] {
            assert_eq!((error_code(error), refusal(error).cause), (code, cause));
        }
    }

    #[test]
    fn encodes() {
        let mut output = Vec::new();
        let mut rest = Arguments::default();
        rest.text("\r\n").number(-7);
        encode(&mut output, &[b"GET"], &rest);
        assert_eq!(output, b"*3\r\n$3\r\nGET\r\n$2\r\n\r\n\r\n$2\r\n-7\r\n");
    }
}
