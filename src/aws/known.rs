//! What a run does not need to know.

use super::{AwsError, Class};

/// Separates what may be unknown from what ends the run: a missing permission to check must not block it.
pub(super) fn known<T>(
    result: Result<T, AwsError>,
    unread: &mut Vec<AwsError>,
) -> Result<Option<T>, AwsError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.class == Class::Credentials => Err(error),
        Err(error) => {
            unread.push(error);
            Ok(None)
        }
    }
}
