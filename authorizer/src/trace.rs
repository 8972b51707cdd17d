//! The ids under which others trace a request: what `X-Amzn-Trace-Id` and `traceparent` say.
//!
//! Callers choose both headers. A value that does not have the form below is not logged.

use std::cell::RefCell;

use serde_json::{Map, Value};

use crate::event::Request;

/// The longest `X-Amzn-Trace-Id` that is logged, in bytes. Those of AWS have up to 130.
const MAX_AMZN: usize = 256;
/// The length of a `traceparent` of version 00. Later versions begin in the same way.
const PARENT: usize = 55;

thread_local! {
    /// The ids of the present request. A process has one at a time.
    static PRESENT: RefCell<Ids> = RefCell::default();
}

/// The ids of a request. Each is empty if the request does not have it. The strings are kept, so that most requests
/// allocate nothing.
#[derive(Debug, Default)]
struct Ids {
    amzn: String,
    parent: String,
}

/// Remembers the ids of a request until [`forget`].
pub(crate) fn remember(request: &Request<'_>) {
    let (mut amzn, mut parent) = (Header::default(), Header::default());
    for (name, value) in &request.headers.0 {
        // By length first: most headers are neither.
        match name.len() {
            15 if name.eq_ignore_ascii_case("x-amzn-trace-id") => amzn.add(value),
            11 if name.eq_ignore_ascii_case("traceparent") => parent.add(value),
            _ => {}
        }
    }
    if amzn.value.is_none() && parent.value.is_none() {
        return;
    }
    PRESENT.with_borrow_mut(|ids| {
        if let Some(value) = amzn.only().filter(|value| is_amzn(value)) {
            ids.amzn.push_str(value);
        }
        if let Some(value) = parent.only().and_then(w3c) {
            ids.parent.push_str(value);
        }
    });
}

/// Forgets the ids of the request.
pub(crate) fn forget() {
    PRESENT.with_borrow_mut(|ids| {
        ids.amzn.clear();
        ids.parent.clear();
    });
}

/// Adds the ids of the present request to a log line.
pub(crate) fn add_to(line: &mut Map<String, Value>) {
    PRESENT.with_borrow(|ids| {
        for (name, value) in [("amzn_trace", &ids.amzn), ("traceparent", &ids.parent)] {
            if !value.is_empty() {
                line.insert(name.to_owned(), value.as_str().into());
            }
        }
    });
}

/// The values of a header.
#[derive(Default)]
struct Header<'a> {
    value: Option<&'a str>,
    is_repeated: bool,
}

impl<'a> Header<'a> {
    fn add(&mut self, value: &'a str) {
        self.is_repeated |= self.value.is_some();
        self.value = Some(value.trim());
    }

    /// The value. Of several, none can be told from the others.
    fn only(&self) -> Option<&'a str> {
        self.value.filter(|_| !self.is_repeated)
    }
}

/// Whether a value has the form of `X-Amzn-Trace-Id`: `name=value` pairs with a `Root`. Source: Elastic Load Balancing, "Request
/// tracing for your Application Load Balancer"; AWS X-Ray Developer Guide, "Tracing header".
fn is_amzn(value: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"=;:,._-/@+".contains(&byte);
    let is_root = |id: &str| {
        let mut parts = id.split('-');
        let lengths = [1, 8, 24].map(|length| {
            parts
                .next()
                .is_some_and(|part| part.len() == length && is_hex(part))
        });
        lengths == [true; 3] && parts.next().is_none()
    };
    value.len() <= MAX_AMZN
        && value.bytes().all(plain)
        && value
            .split(';')
            .filter_map(|pair| pair.strip_prefix("Root="))
            .any(is_root)
}

/// The part of a `traceparent` that all versions have, if the value is valid. Source: W3C Trace Context, section 3.2.
fn w3c(value: &str) -> Option<&str> {
    let known = value.get(..PARENT)?;
    let mut parts = known.split('-');
    let [version, trace, parent, flags] = [2, 32, 16, 2].map(|length| {
        parts
            .next()
            .filter(|part| part.len() == length && is_lower_hex(part))
    });
    let is_zero = |part: &str| part.bytes().all(|byte| byte == b'0');
    let rest = &value[PARENT..];
    let is_valid = flags.is_some()
        && parts.next().is_none()
        && !is_zero(trace?)
        && !is_zero(parent?)
        && match version? {
            "00" => rest.is_empty(),
            "ff" => false,
            _ => rest.is_empty() || rest.starts_with('-'),
        };
    is_valid.then_some(known)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn only_a_valid_traceparent_is_logged() {
        let whole = format!("00-{TRACE}-00f067aa0ba902b7-01");
        assert_eq!(w3c(&whole), Some(whole.as_str()));
        let later = format!("cc-{TRACE}-00f067aa0ba902b7-01");
        assert_eq!(w3c(&later), Some(later.as_str()));
        assert_eq!(w3c(&format!("{later}-more")), Some(later.as_str()));
        for wrong in [
            String::new(),
            whole.to_uppercase(),
            whole[..54].to_owned(),
            format!("{whole}-more"),
            format!("{later}more"),
            format!("ff-{TRACE}-00f067aa0ba902b7-01"),
            format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{TRACE}-00f067aa0ba902b7-0\u{1b}"),
            format!("0-0{TRACE}-00f067aa0ba902b7-01"),
            "é".repeat(40),
        ] {
            assert_eq!(w3c(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_a_valid_trace_of_aws_is_logged() {
        let root = "Root=1-67891233-abcdef012345678912345678";
        for right in [
            root.to_owned(),
            format!("{root};Parent=463ac35c9f6413ad;Sampled=1"),
            format!("Self=1-67891233-12456789abcdef012345678a;{root}"),
            format!("{root};Lineage=a87bd80c:0|68fd508a:5").replace('|', ","),
        ] {
            assert!(is_amzn(&right), "{right}");
        }
        for wrong in [
            String::new(),
            "Sampled=1".to_owned(),
            format!("{root}0"),
            root.replace("1-", ""),
            root.replace('a', "x"),
            format!("{root};note=\u{1b}[2J"),
            format!("{root};note=a\nb"),
            format!("{root};note={}", "x".repeat(MAX_AMZN)),
        ] {
            assert!(!is_amzn(&wrong), "{wrong}");
        }
    }
}
