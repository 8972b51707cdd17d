//! What the stage serves, as the service tells it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::api_gateway::export::{Export, Method as Exported};
use crate::api_gateway::{self, ApiTarget, AuthorizationType, Method, MethodKey, Protocol, Stage};
use crate::error::Result;
use crate::resource::{Context, api_authorizer};
use crate::verify::{Check, Expectation, Fault, Row};

/// What the stage serves. The service does not tell it for every API.
pub(super) struct InStage {
    export: Arc<Option<Export>>,
    /// Read if there is no export.
    stage: Option<Stage>,
    /// The routes of the draft that have this stack's authorizer, if nothing tells what the stage serves.
    drafted: BTreeSet<MethodKey>,
    /// Whether this stack's authorizer has an identity source, so that API Gateway refuses requests without a key itself.
    pub(super) need_key: bool,
}

impl InStage {
    pub(super) async fn read(cx: &Context, target: &ApiTarget) -> Result<Self> {
        let cx = cx.fresh();
        let export = api_gateway::export(&cx, target).await?;
        let stage = match &*export {
            Some(_) => None,
            None => (*api_gateway::stage(&cx, target).await?).clone(),
        };
        let (mut drafted, mut need_key) = (BTreeSet::new(), true);
        if target.protocol != Protocol::Rest {
            let authorizers = api_gateway::authorizers(&cx, target.api()).await?;
            let mut ours = authorizers.iter();
            let ours = ours.find(|found| api_authorizer::is_ours(&cx, &found.uri));
            need_key = ours.is_none_or(|ours| !ours.identity_source.is_empty());
            if let (None, Some(ours)) = (&*export, ours) {
                let methods = api_gateway::methods(&cx, target.api()).await?;
                let asking = methods.iter().filter(|method| method.asks(&ours.id));
                drafted = asking.map(Method::key).collect();
            }
        }
        Ok(Self {
            export,
            stage,
            drafted,
            need_key,
        })
    }

    /// Whether the draft is all that is known.
    pub(super) fn is_draft(&self) -> bool {
        self.export.is_none()
    }

    fn exported(&self, key: &MethodKey) -> Option<&Exported> {
        (*self.export).as_ref()?.methods.get(key)
    }

    /// Whether a method needs no authorization; `None` if that is not known, or the stage does not have it.
    pub(super) fn is_open(&self, key: &MethodKey) -> Option<bool> {
        match &*self.export {
            Some(_) => {
                let served = self.exported(key)?;
                Some(served.guard.is_none() && served.authorizer_uri.is_none())
            }
            None => {
                let served = self.stage.as_ref()?.served.as_ref()?;
                Some(*served.get(key)? == AuthorizationType::None)
            }
        }
    }

    /// Whether a route has this stack's authorizer: in the stage, or in the draft if that is all that is known.
    pub(super) fn has_ours(&self, cx: &Context, key: &MethodKey) -> bool {
        if self.is_draft() {
            return self.drafted.contains(key);
        }
        let uri = self
            .exported(key)
            .and_then(|served| served.authorizer_uri.as_ref());
        uri.is_some_and(|uri| api_authorizer::is_ours(cx, uri))
    }

    /// Protected methods that the stage serves without our authorizer. A refusal alone does not show this, because a
    /// required API key, a policy, a firewall or the backend itself may also refuse.
    pub(super) fn misguarded(&self, cx: &Context, methods: &[(Method, Expectation)]) -> Vec<Row> {
        let ours = |uri: &str| api_authorizer::is_ours(cx, uri);
        // Information that the service does not return is not a fault.
        let fault = |method: &Method| {
            let key = method.key();
            match &*self.export {
                Some(_) => self
                    .exported(&key)
                    .and_then(|served| exported(served, ours)),
                None => {
                    let served = self.stage.as_ref()?.served.as_ref()?;
                    summed_up(served.get(&key)?)
                }
            }
        };
        let row = |method: &Method| {
            Some(Row {
                label: method.label(),
                check: Check::Guard,
                verb: String::new(),
                status: None,
                request_id: None,
                verdict: Err(fault(method)?),
                as_before: false,
            })
        };
        methods
            .iter()
            .filter(|(_, meant)| *meant == Expectation::Protected)
            .filter_map(|(method, _)| row(method))
            .collect()
    }
}

/// The fault of a protected method, according to the stage's export.
fn exported(served: &Exported, ours: impl Fn(&str) -> bool) -> Option<(Fault, String)> {
    match (&served.authorizer_uri, &served.guard) {
        (Some(uri), _) if ours(uri) => None,
        (Some(by), _) => Some(decided_by(by)),
        // An authorizer whose address is not in the export.
        (None, Some(guard)) if guard == "custom" => None,
        (None, Some(guard)) => Some(decided_by(guard)),
        (None, None) => Some(unguarded()),
    }
}

/// The fault of a protected method with this authorization type in the deployment's summary.
fn summed_up(authorization: &AuthorizationType) -> Option<(Fault, String)> {
    match authorization {
        AuthorizationType::Custom => None,
        AuthorizationType::None => Some(unguarded()),
        other => Some(decided_by(other.as_str())),
    }
}

fn decided_by(other: &str) -> (Fault, String) {
    (
        Fault::WrongAuthorizer,
        format!("the stage serves it with {other}"),
    )
}

fn unguarded() -> (Fault, String) {
    let text = "the stage serves it without an authorizer";
    (Fault::Open, text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_stage_serves_without_our_authorizer_is_a_fault() {
        let served = |uri: Option<&str>, guard: Option<&str>| {
            let served = Exported {
                authorizer_uri: uri.map(str::to_owned),
                guard: guard.map(str::to_owned),
                ..Exported::default()
            };
            exported(&served, |uri| uri == "arn:ours").map(|(fault, _)| fault)
        };
        let custom = Some("custom");
        assert_eq!(served(Some("arn:ours"), custom), None);
        assert_eq!(
            served(Some("arn:theirs"), custom),
            Some(Fault::WrongAuthorizer)
        );
        assert_eq!(served(None, custom), None);
        assert_eq!(served(None, Some("awsSigv4")), Some(Fault::WrongAuthorizer));
        assert_eq!(served(None, None), Some(Fault::Open));
        let fault = |authorization| summed_up(&authorization).map(|(fault, _)| fault);
        assert_eq!(
            [
                AuthorizationType::Custom,
                AuthorizationType::None,
                AuthorizationType::AwsIam
            ]
            .map(fault),
            [None, Some(Fault::Open), Some(Fault::WrongAuthorizer)]
        );
    }
}
