//! The zip files of a release: one line each, `x86_64 SOURCE ZIP`, with the SHA-256 of the authorizer's source and of the zip
//! file. A release writes it before it builds the program, which carries it.

/// The zip file for one architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zip {
    /// As Lambda calls it: `x86_64` or `arm64`.
    pub architecture: String,
    /// The hexadecimal SHA-256 of the source, as in the tag of the functions.
    pub source: String,
    /// The hexadecimal SHA-256 of the file.
    pub digest: String,
}

/// Reads the lines.
///
/// # Errors
/// The first line that is not one.
pub fn parse(text: &str) -> Result<Vec<Zip>, String> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let zips: Vec<_> = lines.map(line).collect::<Result<_, _>>()?;
    if zips.is_empty() {
        return Err("it names no zip file".to_owned());
    }
    Ok(zips)
}

fn line(text: &str) -> Result<Zip, String> {
    let words: Vec<_> = text.split_whitespace().collect();
    let &[architecture, source, digest] = words.as_slice() else {
        return Err(format!("`{text}` is not `ARCHITECTURE SOURCE ZIP`"));
    };
    if !["x86_64", "arm64"].contains(&architecture) {
        return Err(format!("`{architecture}` is not x86_64 or arm64"));
    }
    let is_digest = |word: &str| {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        word.len() == 64 && word.bytes().all(is_digit)
    };
    match [source, digest].into_iter().find(|word| !is_digest(word)) {
        Some(word) => Err(format!("`{word}` is not a SHA-256 in lowercase")),
        None => Ok(Zip {
            architecture: architecture.to_owned(),
            source: source.to_owned(),
            digest: digest.to_owned(),
        }),
    }
}

/// Whether the zip files may be downloaded from below this address.
///
/// # Errors
/// It is not HTTPS, or has more than a path.
pub fn check_url(url: &str) -> Result<(), String> {
    let rest = url
        .strip_prefix("https://")
        .filter(|rest| !rest.is_empty() && !rest.contains(['?', '#', '@', ' ']));
    rest.map(|_| ())
        .ok_or_else(|| format!("`{url}` is not `https://HOST/PATH`"))
}
