//! Other stacks of this program on the same API.
//!
//! A method of the draft belongs to the API and not to a stage, and has one authorizer; a stage
//! serves a snapshot of the draft. Two stacks can therefore protect one method in two stages: the
//! draft keeps the authorizer of the first stack, and the second stack borrows the method only
//! while it makes its own deployment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::record::{self, AttachmentState, ResponseBackup};
use crate::api_gateway::{self, ApiRef, ApiTarget, Method};
use crate::aws::Class;
use crate::aws::paginate::pages;
use crate::resource::{Context, ResourceError};

/// Another stack on the same API.
#[derive(Debug, Clone)]
pub struct Other {
    pub stack: String,
    pub authorizer_id: String,
    /// The stages it is attached to, from its record; empty if the record cannot be read.
    pub stages: BTreeSet<String>,
    /// Those of them whose automatic deployment it has turned off.
    pub frozen: BTreeSet<String>,
    /// The original states of the methods it protects.
    pub methods: Vec<Method>,
    /// The gateway responses it replaced. Gateway responses belong to the API, so stacks share them.
    pub responses: BTreeMap<String, ResponseBackup>,
}

/// A method that another stack protects in other stages.
#[derive(Debug, Clone)]
pub struct Held {
    /// The state of the method before that stack protected it.
    pub before: Method,
    /// The id of the authorizer that the draft's method uses now.
    pub authorizer_id: String,
}

/// Lists the other stacks of this program that have an authorizer in the API.
///
/// # Errors
/// The errors of the services.
pub async fn others(cx: &Context, api: ApiRef<'_>) -> Result<Arc<Vec<Other>>, ResourceError> {
    let ask = async {
        let mut others = Vec::new();
        for authorizer in api_gateway::authorizers(cx, api).await?.iter() {
            let Some(stack) = stack_of(&authorizer.name).filter(|stack| *stack != cx.names().stack)
            else {
                continue;
            };
            others.push(look(cx, stack, api.id, &authorizer.id).await?);
        }
        Ok(others)
    };
    cx.listings()
        .get_or_fetch(format!("others {}", api.id), ask)
        .await
}

/// The stacks that are attached to this stage, too, by their authorizers.
///
/// # Errors
/// The errors of the services.
pub async fn beside(
    cx: &Context,
    target: &ApiTarget,
) -> Result<BTreeMap<String, String>, ResourceError> {
    let others = others(cx, target.api()).await?;
    let beside = others
        .iter()
        .filter(|other| other.stages.contains(&target.stage));
    Ok(beside
        .map(|other| (other.authorizer_id.clone(), other.stack.clone()))
        .collect())
}

/// The authorizers of stacks that are attached to other stages of this API, and not to this one.
///
/// # Errors
/// The errors of the services.
pub async fn elsewhere(
    cx: &Context,
    target: &ApiTarget,
) -> Result<BTreeSet<String>, ResourceError> {
    let others = others(cx, target.api()).await?;
    Ok(others
        .iter()
        .filter(|other| !other.stages.is_empty() && !other.stages.contains(&target.stage))
        .map(|other| other.authorizer_id.clone())
        .collect())
}

/// The methods that those stacks protect.
///
/// # Errors
/// The errors of the services.
pub async fn held_elsewhere(cx: &Context, target: &ApiTarget) -> Result<Vec<Held>, ResourceError> {
    let elsewhere = elsewhere(cx, target).await?;
    let others = others(cx, target.api()).await?;
    let others = others
        .iter()
        .filter(|other| elsewhere.contains(&other.authorizer_id));
    Ok(others
        .flat_map(|other| {
            other.methods.iter().map(|before| Held {
                before: before.clone(),
                authorizer_id: other.authorizer_id.clone(),
            })
        })
        .collect())
}

/// Whether a method uses an authorizer of a stack that is attached to other stages only.
pub fn is_lent(method: &Method, elsewhere: &BTreeSet<String>) -> bool {
    method
        .authorizer_id
        .as_ref()
        .is_some_and(|id| elsewhere.contains(id))
}

/// The stack that has an authorizer of this name.
pub fn stack_of(authorizer: &str) -> Option<&str> {
    authorizer
        .strip_prefix("threescale-gw-")?
        .strip_suffix("-authorizer")
}

/// Reads another stack's records of the API.
async fn look(
    cx: &Context,
    stack: &str,
    api_id: &str,
    authorizer_id: &str,
) -> Result<Other, ResourceError> {
    let names = cx.names().of_stack(stack);
    let path = format!("{}/attachment/{api_id}", names.parameters());
    let request = cx
        .aws()
        .ssm
        .get_parameters_by_path()
        .path(&path)
        .recursive(true);
    let parameters = pages(|token| async {
        let request = request.clone().set_next_token(token);
        let page = cx
            .aws()
            .call_idempotent("ssm:GetParametersByPath", || request.clone().send())
            .await;
        match page {
            Err(error) if error.class == Class::Denied => Ok((None, None)),
            page => page.map(|page| (page.parameters, page.next_token)),
        }
    })
    .await?;
    let mut other = Other {
        stack: stack.to_owned(),
        authorizer_id: authorizer_id.to_owned(),
        stages: BTreeSet::new(),
        frozen: BTreeSet::new(),
        methods: Vec::new(),
        responses: BTreeMap::new(),
    };
    for parameter in parameters {
        let name = parameter.name.unwrap_or_default();
        let below = name
            .strip_prefix(&path)
            .and_then(|rest| rest.strip_prefix('/'));
        let Some((stage, part)) = below.and_then(|below| below.split_once('/')) else {
            continue;
        };
        let stage = ApiTarget::of_segment(api_id, stage).stage;
        other.stages.insert(stage.clone());
        // A record of another version cannot be interpreted.
        let value = parameter.value.as_deref().unwrap_or_default();
        if let Some(kind) = part.strip_prefix(record::RESPONSE) {
            let taken = serde_json::from_str(value).ok();
            other
                .responses
                .extend(taken.map(|taken| (kind.to_owned(), taken)));
        } else if part == record::HEAD {
            let head: Option<AttachmentState> = serde_json::from_str(value).ok();
            if head.is_some_and(|head| head.frozen) {
                other.frozen.insert(stage);
            }
        } else if part.starts_with(record::METHODS) {
            // Each of its stages has a record of them.
            let methods: Vec<Method> = serde_json::from_str(value).unwrap_or_default();
            for method in methods {
                if other
                    .methods
                    .iter()
                    .all(|known| known.key() != method.key())
                {
                    other.methods.push(method);
                }
            }
        }
    }
    Ok(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_is_known_by_the_name_of_its_authorizer() {
        assert_eq!(stack_of("threescale-gw-orders-authorizer"), Some("orders"));
        assert_eq!(stack_of("my-authorizer"), None);
    }
}
