//! Whether the policies of the operator allow what the plan needs.

use std::collections::BTreeSet;

use futures::future::try_join_all;

use super::findings::Verdict;
use super::subject::Subject;
use crate::action::Action;
use crate::api_gateway::{self, Protocol};
use crate::config::{ApiSelector, Config};
use crate::engine::plan::Plan;
use crate::error::Result;
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::permissions::table::Right;
use crate::permissions::{self, Collection, Principal, Scope};
use crate::resource::Context;

/// What the policies of who calls allow, as IAM simulates them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Simulated {
    /// The ARN of the user or role.
    pub arn: String,
    /// The actions that they do not allow.
    pub lacking: Vec<String>,
    /// Why IAM does not tell, or does not tell all.
    pub unread: Option<String>,
}

/// Whether the policies of `caller`, the ARN of who calls, allow what the plan needs.
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
    let scope = Scope::of_config(cx.names().clone(), subject.config);
    let scope = scope.with_api(
        &subject.facts.api.id,
        collection(subject.facts.api.protocol),
    );
    if let Some(simulated) = simulated(cx, caller, &needed, &scope).await? {
        let Simulated {
            arn,
            lacking,
            unread,
        } = simulated;
        verdict.notices.extend(unread.map(|error| {
            format!("the rights of {arn} could not be read and are not checked: {error}")
        }));
        verdict.faults.extend(permissions::lacking(&arn, &lacking));
    }
    Ok(verdict)
}

/// The same for a new stack of this configuration. `None` if the policies of the caller cannot be simulated.
///
/// # Errors
/// When the credentials are refused.
pub async fn rights_of_new(
    cx: &Context,
    caller: &str,
    config: &Config,
) -> Result<Option<Simulated>> {
    let mut scope = Scope::of_config(cx.names().clone(), config);
    if let ApiSelector::Name(name) = &config.api.selector {
        // Without its id, the rights on it are not checked.
        let found = api_gateway::find(cx.aws(), None, Some(name)).await;
        if let Ok([api]) = found.as_deref() {
            scope = scope.with_api(&api.id, collection(api.protocol));
        }
    }
    let kinds = Kind::ALL.into_iter().filter(|kind| scope.uses(*kind));
    let needed = permissions::needed(kinds.map(|kind| (kind, Action::Create)));
    simulated(cx, caller, &needed, &scope).await
}

/// The part of API Gateway that an API of this protocol is in.
fn collection(protocol: Protocol) -> Collection {
    match protocol {
        Protocol::Rest => Collection::RestApis,
        Protocol::Http | Protocol::WebSocket => Collection::Apis,
    }
}

/// Lets IAM simulate the policies of `caller`: one request for each service.
async fn simulated(
    cx: &Context,
    caller: &str,
    needed: &BTreeSet<Right>,
    scope: &Scope,
) -> Result<Option<Simulated>> {
    let principal = permissions::principal(caller);
    let (Some(principal), false) = (principal, needed.is_empty()) else {
        return Ok(None);
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
    let context = scope.context(&cx.tags(&LogicalId::new(Kind::Vpc, "main")));
    let services = permissions::by_service(needed, scope);
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
    let mut unread = None;
    for answer in try_join_all(asked).await? {
        match answer {
            Ok(actions) => lacking.extend(actions),
            Err(error) => unread = unread.or_else(|| Some(error.to_string())),
        }
    }
    Ok(Some(Simulated {
        arn,
        lacking: lacking.into_iter().collect(),
        unread,
    }))
}
