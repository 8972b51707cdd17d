//! Hexadecimal digits of hashes and random values.

/// The bytes as lower-case hexadecimal digits, two for each.
pub fn encode(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `N` random bytes as hexadecimal digits.
///
/// # Errors
/// When the operating system provides no random bytes.
pub fn random<const N: usize>() -> Result<String, getrandom::Error> {
    let mut random = [0; N];
    getrandom::fill(&mut random)?;
    Ok(encode(&random))
}
