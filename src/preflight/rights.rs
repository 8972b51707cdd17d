//! Whether the policies of the operator allow what the plan needs.

use std::collections::BTreeSet;

use futures::future::try_join_all;

use super::findings::Verdict;
use super::subject::Subject;
use crate::engine::plan::Plan;
use crate::error::Result;
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::permissions::{self, Principal, Scope};
use crate::resource::Context;

/// Lets IAM simulate the policies of `caller`, the ARN of who calls: one request for each service.
///
/// # Errors
/// When the credentials are refused.
pub async fn rights(
    subject: Subject<'_>,
    cx: &Context,
    caller: &str,
    plan: &Plan,
) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    if subject.is_sandbox {
        return Ok(verdict);
    }
    let actions = plan.items.iter().map(|item| (item.id.kind, item.action));
    let needed = permissions::needed(actions);
    let principal = permissions::principal(caller);
    let (Some(principal), false) = (principal, needed.is_empty()) else {
        return Ok(verdict);
    };
    let aws = cx.aws();
    let arn = match principal {
        Principal::User(arn) => arn,
        Principal::Role(name) => {
            let without_path = || {
                let names = cx.names();
                format!(
                    "arn:{}:iam::{}:role/{name}",
                    names.partition(),
                    names.account
                )
            };
            aws.role_arn(&name).await?.unwrap_or_else(without_path)
        }
    };
    let scope = Scope::of_config(cx.names().clone(), subject.config);
    let scope = scope.with_api(&subject.facts.api.id);
    let context = scope.context(&cx.tags(&LogicalId::new(Kind::Vpc, "main")));
    let services = permissions::by_service(&needed, &scope);
    let asked = services.values().map(|(actions, resources)| {
        let actions: Vec<_> = actions.iter().copied().collect();
        let resources: Vec<_> = resources.iter().cloned().collect();
        let (arn, context) = (&arn, &context);
        async move {
            aws.allowed_nowhere(arn, &actions, &resources, context)
                .await
        }
    });
    let mut lacking = BTreeSet::new();
    for answer in try_join_all(asked).await? {
        match answer {
            Ok(actions) => lacking.extend(actions),
            Err(error) if verdict.notices.is_empty() => verdict.notices.push(format!(
                "the rights of {arn} could not be read and are not checked: {error}"
            )),
            Err(_) => {}
        }
    }
    let lacking: Vec<_> = lacking.into_iter().collect();
    verdict.faults.extend(permissions::lacking(&arn, &lacking));
    Ok(verdict)
}
