//! Random names and secrets.

/// `N` random bytes as hexadecimal digits.
///
/// # Errors
/// When the operating system provides no random bytes.
pub fn hex<const N: usize>() -> Result<String, getrandom::Error> {
    let mut random = [0; N];
    getrandom::fill(&mut random)?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}
