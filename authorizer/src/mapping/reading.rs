//! Reads the path of a request as nginx in front of APIcast does, or as a backend may.

use std::borrow::Cow;
use std::fmt::Write as _;

use percent_encoding::percent_decode_str;

/// How a path is understood. The parts of a path that are not normalized by API Gateway are normalized by some backends
/// and not by others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    /// An encoded slash separates segments.
    slashes: bool,
    /// The segments `.` and `..` are resolved.
    dots: bool,
}

impl Reading {
    /// As nginx in front of APIcast.
    pub(super) const APICAST: Self = Self {
        slashes: true,
        dots: true,
    };
    pub(super) const OTHERS: [Self; 3] = [
        Self {
            slashes: false,
            dots: true,
        },
        Self {
            slashes: true,
            dots: false,
        },
        Self {
            slashes: false,
            dots: false,
        },
    ];
}

/// Whether the path needs no change, as most paths. A dot may be part of a dot segment.
pub(super) fn is_plain(path: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'~' | b'/');
    path.starts_with('/') && !path.contains("//") && path.bytes().all(plain)
}

/// Whether the path contains an encoded slash or a dot segment.
pub(super) fn has_dots_or_slashes(path: &str, decoded: bool) -> bool {
    let bytes = decode(path, decoded);
    let slashes = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'/').count();
    slashes(&bytes) != slashes(path.as_bytes())
        || bytes
            .split(|byte| *byte == b'/')
            .any(|segment| matches!(segment, b"." | b".."))
}

fn decode(path: &str, decoded: bool) -> Cow<'_, [u8]> {
    if decoded {
        Cow::Borrowed(path.as_bytes())
    } else {
        percent_decode_str(path).into()
    }
}

/// The path as nginx normalizes it, escaped again: percent-decoded, slashes merged, dot segments resolved; the last two
/// as far as the reading says.
pub(super) fn normalize(path: &str, decoded: bool, reading: Reading) -> Cow<'_, str> {
    if is_plain(path) {
        return Cow::Borrowed(path);
    }
    let whole;
    let mut parts: Vec<Cow<'_, [u8]>> = Vec::new();
    if reading.slashes {
        whole = decode(path, decoded);
        parts.extend(whole.split(|b| *b == b'/').map(Cow::Borrowed));
    } else {
        parts.extend(path.split('/').map(|part| decode(part, decoded)));
    }
    let mut segments: Vec<&[u8]> = Vec::new();
    let mut directory = true;
    for segment in &parts {
        directory = true;
        match segment.as_ref() {
            b"" => {}
            b"." if reading.dots => {}
            b".." if reading.dots => {
                segments.pop();
            }
            segment => {
                segments.push(segment);
                directory = false;
            }
        }
    }
    let mut escaped = String::with_capacity(path.len() + 8);
    for segment in &segments {
        escaped.push('/');
        for byte in *segment {
            match byte {
                0..=0x20
                | 0x7f..=0xff
                | b'"'
                | b'#'
                | b'%'
                | b'/'
                | b'<'
                | b'>'
                | b'?'
                | b'\\'
                | b'^'
                | b'`'
                | b'{'
                | b'|'
                | b'}' => {
                    // Writing to a String cannot fail.
                    let _ = write!(escaped, "%{byte:02X}");
                }
                _ => escaped.push(char::from(*byte)),
            }
        }
    }
    if directory {
        escaped.push('/');
    }
    Cow::Owned(escaped)
}
