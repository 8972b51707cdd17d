//! Parses usage values.

use crate::answers::Failure;
use crate::model::Amount;

/// Parses a value: optional spaces, an optional `#`, and digits.
pub(crate) fn amount(metric: &str, value: Option<&str>) -> Result<Amount, Failure> {
    let invalid = |text: String| Failure::new(403, "usage_value_invalid", text);
    let value = value.unwrap_or_default();
    let text = value.trim();
    if text.is_empty() {
        let text = format!("usage value for metric \"{metric}\" can not be empty");
        return Err(invalid(text));
    }
    let (set, digits) = match text.strip_prefix('#') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let text = format!("usage value \"{value}\" for metric \"{metric}\" is invalid");
        return Err(invalid(text));
    }
    // Digits that do not fit into 64 bits are accepted as a number, which then fails in the queue.
    let number = digits.parse().unwrap_or(u64::MAX);
    Ok(if set {
        Amount::Set(number)
    } else {
        Amount::Add(number)
    })
}
