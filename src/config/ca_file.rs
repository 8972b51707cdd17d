//! The file with certificate authorities of 3scale: PEM, with nothing but certificates.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

/// The certificates of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificates {
    /// The certificates alone, each once.
    pub pem: String,
    pub count: usize,
}

/// Why a file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadFile {
    /// Counted from 1.
    pub line: usize,
    /// What must be different; never a part of the file, which may be a key.
    pub must: &'static str,
}

/// A block that has begun.
struct Block {
    line: usize,
    base64: String,
}

/// Reads a PEM file. Text between the certificates is ignored.
///
/// # Errors
/// The first line that is wrong.
pub fn certificates(bytes: &[u8]) -> Result<Certificates, BadFile> {
    let bad = |line, must| BadFile { line, must };
    let text =
        std::str::from_utf8(bytes).map_err(|_| bad(1, "must be a PEM file, which is text"))?;
    let mut found: Vec<Vec<u8>> = Vec::new();
    let mut block: Option<Block> = None;
    for (line, text) in (1..).zip(text.lines().map(str::trim)) {
        let begins = text.strip_prefix("-----BEGIN ");
        let Some(open) = &mut block else {
            match begins {
                Some("CERTIFICATE-----") => {
                    let base64 = String::new();
                    block = Some(Block { line, base64 });
                }
                Some(_) => {
                    return Err(bad(
                        line,
                        "must contain certificates only, and no other block",
                    ));
                }
                None if text.starts_with("-----END ") => {
                    return Err(bad(line, "must not end a block that has not begun"));
                }
                None => {}
            }
            continue;
        };
        if begins.is_some() {
            return Err(bad(
                line,
                "must not begin a certificate before the end of the one before",
            ));
        }
        if text != "-----END CERTIFICATE-----" {
            let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
            if !text.bytes().all(is_base64) {
                return Err(bad(line, "must be Base64 up to the end of the certificate"));
            }
            open.base64.push_str(text);
            continue;
        }
        let der = STANDARD
            .decode(&open.base64)
            .map_err(|_| bad(open.line, "must be a certificate in valid Base64"))?;
        let mut store = RootCertStore::empty();
        store
            .add(CertificateDer::from(der.clone()))
            .map_err(|_| bad(open.line, "must be an X.509 certificate of an authority"))?;
        if !found.contains(&der) {
            found.push(der);
        }
        block = None;
    }
    if let Some(open) = block {
        return Err(bad(open.line, "must be a certificate with an end"));
    }
    if found.is_empty() {
        return Err(bad(
            1,
            "must contain a certificate: `-----BEGIN CERTIFICATE-----`",
        ));
    }
    let pem = found.iter().map(|der| pem(der)).collect();
    let count = found.len();
    Ok(Certificates { pem, count })
}

fn pem(der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for line in base64.as_bytes().chunks(64) {
        // Writing to a String cannot fail.
        let _ = writeln!(pem, "{}", String::from_utf8_lossy(line));
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = include_str!("../../tests/it/support/authority.pem");

    #[test]
    fn keeps_the_certificates_alone() {
        let expected = Certificates {
            pem: GOOD.to_owned(),
            count: 1,
        };
        let bundle = format!(
            "# An authority\r\n{}\nsubject=x\n{GOOD}",
            GOOD.replace('\n', "\r\n")
        );
        for text in [GOOD, &bundle] {
            assert_eq!(certificates(text.as_bytes()), Ok(expected.clone()));
        }
    }

    #[test]
    fn names_the_line_that_is_wrong() {
        let lines: Vec<_> = GOOD.lines().collect();
        let without_end = lines[..lines.len() - 1].join("\n");
        let key = format!("{GOOD}-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
        let block = |content: &str| {
            format!("\n-----BEGIN CERTIFICATE-----\n{content}\n-----END CERTIFICATE-----\n")
        };
        for (text, line, must) in [
            (String::new(), 1, "must contain a certificate"),
            ("hello\n".to_owned(), 1, "must contain a certificate"),
            (without_end.clone(), 1, "with an end"),
            (
                format!("{without_end}\n{GOOD}"),
                lines.len(),
                "before the end",
            ),
            (key, lines.len() + 1, "certificates only"),
            (
                format!("{GOOD}-----END CERTIFICATE-----"),
                lines.len() + 1,
                "has not begun",
            ),
            (block("AA AA"), 3, "must be Base64"),
            (block("AAAAA"), 2, "valid Base64"),
            (block("AAAA"), 2, "X.509"),
        ] {
            let bad = certificates(text.as_bytes()).expect_err(&text);
            assert_eq!(bad.line, line, "{text}");
            assert!(bad.must.contains(must), "{bad:?}: {text}");
        }
        let der = STANDARD
            .decode(lines[1..lines.len() - 1].concat())
            .expect("Base64");
        assert_eq!(certificates(&der).expect_err("not text").line, 1);
    }
}
