//! Methods that use this stack's authorizer although their original state is not recorded: another
//! user deleted the record, or set the authorizer manually.
//!
//! The deployment that the stage had before this stack's still contains the authorization type of
//! each method. This is sufficient for an open method and for one with AWS_IAM; which authorizer a
//! method had cannot be determined.

use super::record::AttachmentState;
use crate::api_gateway::{self, ApiTarget, AuthorizationType, Method};
use crate::resource::{Context, ResourceError};

/// Divides `methods`, given in their current state, into those whose original state can be
/// determined, in that state, and the others, in their current state.
///
/// # Errors
/// The error of the service.
pub async fn look(
    cx: &Context,
    target: &ApiTarget,
    head: Option<&AttachmentState>,
    methods: Vec<Method>,
) -> Result<(Vec<Method>, Vec<Method>), ResourceError> {
    let (mut found, mut unknown) = (Vec::new(), Vec::new());
    let previous = head.and_then(|head| head.previous_deployment.as_ref());
    let served = match previous.filter(|_| !methods.is_empty()) {
        Some(previous) => api_gateway::deployment(cx, target.api(), previous).await?.1,
        None => None,
    };
    let served = served.unwrap_or_default();
    for method in methods {
        let key = method.key();
        match served.get(&key) {
            Some(authorization @ (AuthorizationType::None | AuthorizationType::AwsIam)) => found
                .push(Method {
                    authorization: authorization.clone(),
                    authorizer_id: None,
                    authorizer: None,
                    scopes: Vec::new(),
                    ..method
                }),
            _ => unknown.push(method),
        }
    }
    Ok((found, unknown))
}

/// Refuses to continue if methods could not be restored.
///
/// # Errors
/// Names the methods.
pub fn refuse(unknown: &[Method]) -> Result<(), ResourceError> {
    if unknown.is_empty() {
        return Ok(());
    }
    let labels: Vec<_> = unknown.iter().map(Method::label).collect();
    let text = format!(
        "the original authorization of {} is not recorded: set another authorization, then run the same command again",
        labels.join(", ")
    );
    Err(ResourceError::Blocked {
        what: text,
        hint: None,
    })
}
