//! Methods that ask our authorizer though no record says what they were before: somebody deleted the record, or gave a
//! method our authorizer by hand.
//!
//! The deployment that the stage had before ours still tells the type of each method. That is all there is to know of an
//! open one and of one with AWS_IAM; what another authorizer it was, nobody can tell any more.

use super::record::AttachmentState;
use crate::resource::{Context, ResourceError};
use crate::rest_api::{self, ApiTarget, AuthorizationType, Method};

/// Sorts `methods`, given as they are, into those whose former state can be told, as they were, and the rest, as they are.
///
/// # Errors
/// What the service answers.
pub async fn look(
    cx: &Context,
    target: &ApiTarget,
    head: Option<&AttachmentState>,
    methods: Vec<Method>,
) -> Result<(Vec<Method>, Vec<Method>), ResourceError> {
    let (mut found, mut unknown) = (Vec::new(), Vec::new());
    let previous = head.and_then(|head| head.previous_deployment.as_ref());
    let served = match previous.filter(|_| !methods.is_empty()) {
        Some(previous) => rest_api::deployment(cx, &target.id, previous).await?.1,
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

/// Refuses to go on where methods could not be given back.
///
/// # Errors
/// Names them.
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
