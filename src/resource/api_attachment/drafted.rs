//! Whether the API's draft uses this stack's authorizer.

use crate::api_gateway::{self, ApiTarget};
use crate::aws::optional;
use crate::resource::{Context, ResourceError};

/// Whether a method of the draft uses this stack's authorizer; not if the API does not exist. `is_our_uri`: whether
/// that authorizer is invoked at the URI.
///
/// # Errors
/// The errors of the services.
pub(super) async fn is_drafted(
    cx: &Context,
    target: &ApiTarget,
    is_our_uri: impl Fn(&str) -> bool,
) -> Result<bool, ResourceError> {
    let authorizers = api_gateway::authorizers(cx, target.api()).await?;
    let methods = optional(api_gateway::methods(cx, target.api()).await)?.unwrap_or_default();
    let mut ours = authorizers.iter().filter(|found| is_our_uri(&found.uri));
    Ok(ours.any(|ours| methods.iter().any(|method| method.asks(&ours.id))))
}
