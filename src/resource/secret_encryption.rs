//! Secrets get another key after the live versions of the functions have proved that their role may use it: one call reads all
//! secrets, and fails if the role cannot decrypt one of them.

use super::parameter::{self, Secrets};
use super::parameter_keys::DEFAULT;
use super::{Context, ResourceError, iam_role};

/// A secret with another key than the desired one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outdated {
    /// Below the stack's path.
    pub path: String,
    pub key: String,
}

/// How a key is shown.
pub(super) fn shown(key: Option<&str>) -> &str {
    key.unwrap_or("aws/ssm")
}

/// The secrets with another key than the configured one, if the stack has or had one.
///
/// # Errors
/// When a listing fails.
pub(super) async fn outdated(cx: &Context) -> Result<Vec<Outdated>, ResourceError> {
    let Some(wanted) = cx.options().wanted_kms_key() else {
        return Ok(Vec::new());
    };
    let keys = parameter::keys(cx).await?;
    let others = keys.iter().flat_map(|keys| keys.others(wanted));
    let outdated = others.map(|(path, key)| Outdated {
        path: path.to_owned(),
        key: shown(key).to_owned(),
    });
    Ok(outdated.collect())
}

/// Encrypts these secrets with the configured key, and takes the permission for the former keys from the role.
///
/// # Errors
/// When a call fails.
pub(super) async fn renew(
    cx: &Context,
    outdated: impl Iterator<Item = &Outdated>,
) -> Result<(), ResourceError> {
    let Some(wanted) = cx.options().wanted_kms_key() else {
        return Ok(());
    };
    let key = wanted.unwrap_or(DEFAULT);
    for secret in outdated {
        Secrets::encrypt_again(cx, &secret.path, key).await?;
    }
    // A fresh view: this run has changed the keys.
    iam_role::release_keys(&cx.fresh()).await
}
