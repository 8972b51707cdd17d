//! Protects one method of the draft.

use crate::api_gateway::change::set_authorizer;
use crate::api_gateway::{ApiTarget, Method};
use crate::aws::Class;
use crate::resource::{Context, ResourceError};

/// Sets this stack's authorizer on a method.
///
/// # Errors
/// The error of the service, which may be that a route of quick create cannot be changed.
pub(super) async fn protect(
    cx: &Context,
    target: &ApiTarget,
    method: &Method,
    authorizer_id: &str,
) -> Result<(), ResourceError> {
    match set_authorizer(cx, target.api(), method, authorizer_id).await {
        Err(error) if method.is_managed && error.class == Class::Fatal => {
            Err(ResourceError::Blocked {
                what: format!(
                    "API Gateway sets no authorizer on route {} of API {}, which was made by quick create: {error}",
                    method.label(),
                    target.id
                ),
                hint: Some("leave the route out with `api.except`: it stays as it is, so create a route of your own, for example `ANY /{proxy+}`, for what must be protected".to_owned()),
            })
        }
        protected => Ok(protected?),
    }
}
