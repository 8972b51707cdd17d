//! Other stacks of this program on the same API.
//!
//! A method of the draft belongs to the API and not to a stage, and holds one authorizer; a stage serves a snapshot of the
//! draft. So two stacks can protect one method in two stages: the draft keeps the authorizer of the one that came first,
//! and the other borrows the method for the moment of its own deployment.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::aws::ec2::pages;
use crate::aws::{AwsError, Class};
use crate::names::Names;
use crate::resource::api::{self, Method};
use crate::resource::{ApiTarget, Cx};

/// The authorizers of stacks that are attached to other stages of this API, and not to this one.
///
/// # Errors
/// What the services answer.
pub async fn elsewhere(cx: &Cx, target: &ApiTarget) -> Result<Arc<BTreeSet<String>>, AwsError> {
    let ask = async {
        let authorizers = api::authorizers(cx, &target.id).await?;
        let mut elsewhere = BTreeSet::new();
        for authorizer in authorizers.iter() {
            let Some(stack) = stack_of(&authorizer.name).filter(|stack| *stack != cx.names().stack)
            else {
                continue;
            };
            let stages = stages(cx, stack, &target.id).await?;
            if !stages.is_empty() && !stages.contains(&target.stage) {
                elsewhere.insert(authorizer.id.clone());
            }
        }
        Ok(elsewhere)
    };
    cx.view()
        .once(format!("elsewhere {} {}", target.id, target.stage), ask)
        .await
}

/// Whether a method asks an authorizer of a stack that is attached to other stages only.
pub fn is_lent(method: &Method, elsewhere: &BTreeSet<String>) -> bool {
    method
        .authorizer_id
        .as_ref()
        .is_some_and(|id| elsewhere.contains(id))
}

/// The stack whose authorizer bears this name.
pub fn stack_of(authorizer: &str) -> Option<&str> {
    authorizer
        .strip_prefix("threescale-gw-")?
        .strip_suffix("-authorizer")
}

/// The stages of the API that a stack is attached to, by what it recorded; none if that may not be read.
async fn stages(cx: &Cx, stack: &str, api_id: &str) -> Result<BTreeSet<String>, AwsError> {
    let names = Names::new(stack, &cx.names().region, &cx.names().account);
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
            .repeatable("ssm:GetParametersByPath", || request.clone().send())
            .await;
        match page {
            Err(error) if error.class == Class::Denied => Ok((None, None)),
            page => page.map(|page| (page.parameters, page.next_token)),
        }
    })
    .await?;
    Ok(parameters
        .into_iter()
        .filter_map(|parameter| {
            let name = parameter.name?;
            let below = name.strip_prefix(&path)?.strip_prefix('/')?;
            Some(below.split('/').next()?.to_owned())
        })
        .collect())
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
