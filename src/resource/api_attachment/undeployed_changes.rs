//! The changes of other users that a deployment would publish: a deployment is a
//! snapshot of the whole draft, with every undeployed edit. Pure except for [`look`].

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{automatic, responses};
use crate::api_gateway::export::{self, Export};
use crate::api_gateway::rest::definition::{self, Integration};
use crate::api_gateway::rest::interface::{self, Interface, Validation};
use crate::api_gateway::{
    self, Api, ApiTarget, AuthorizationType, Authorizer, Draft, Method, MethodKey, Protocol,
    Response, Served, Stage, http,
};
use crate::aws::optional;
use crate::resource::{Context, ResourceError, api_authorizer};
use crate::responses::Responses;

/// The two sides of the comparison: the draft, and what the stage serves.
#[derive(Debug, Clone, Copy)]
pub struct Sides<'a> {
    pub api: &'a Api,
    pub draft: &'a Draft,
    pub authorizers: &'a [Authorizer],
    pub responses: &'a BTreeMap<String, Response>,
    /// The deployment's summary: methods with their authorization.
    pub served: &'a Served,
    /// The stage's export, if the service provides one.
    pub export: Option<&'a Export>,
    /// The draft's request validators and models, if a method uses them.
    pub validation: &'a Validation,
}

/// The parts of the draft that this stack changes, and which are therefore not reported.
#[derive(Debug, Clone, Default)]
pub struct Ours {
    /// The methods whose authorization this stack changes.
    pub methods: BTreeSet<MethodKey>,
    /// The types of gateway responses that this stack writes.
    pub responses: BTreeSet<String>,
}

/// Lists undeployed edits, one line each. `ours` are the methods whose authorization this stack
/// changes.
///
/// # Errors
/// The errors of the services.
pub async fn look(
    cx: &Context,
    api: &Api,
    target: &ApiTarget,
    methods: BTreeSet<MethodKey>,
    wanted: &Responses,
) -> Result<Vec<String>, ResourceError> {
    match target.protocol {
        Protocol::Rest => {}
        // Of a frozen stage, the edits of others are deployed in any case.
        Protocol::Http if automatic::is_left_frozen(cx, target).await? => return Ok(Vec::new()),
        Protocol::Http => {
            let stage = api_gateway::stage(cx, target).await?;
            // Their automatic deployment may be pending.
            if !(*stage).as_ref().is_some_and(may_wait) {
                return Ok(Vec::new());
            }
            let is_our_uri = |uri: &str| api_authorizer::is_ours(cx, uri);
            return match http::pending::look(cx, target, &methods, is_our_uri).await? {
                Some(changes) => Ok(changes),
                None => Ok(vec![unlisted(target)]),
            };
        }
        // Its draft cannot be compared with a deployment.
        Protocol::WebSocket => return Ok(Vec::new()),
    }
    let stage = api_gateway::stage(cx, target).await?;
    // If the service does not report what the stage serves, no comparison is possible.
    let Some(served) = (*stage).as_ref().and_then(|stage| stage.served.as_ref()) else {
        return Ok(Vec::new());
    };
    let Some(draft) = optional(api_gateway::rest::methods::draft(cx, &target.id).await)? else {
        return Ok(Vec::new());
    };
    let now = api_gateway::responses(cx, target.api()).await?;
    let steps = responses::look(cx, target, wanted).await?;
    let ours = Ours {
        methods,
        responses: steps
            .managed
            .keys()
            .map(|kind| (*kind).to_owned())
            .chain(steps.restore)
            .collect(),
    };
    let export = api_gateway::export(cx, target).await?;
    let authorizers = api_gateway::authorizers(cx, target.api()).await?;
    let validates = (*export).as_ref().is_some_and(|export| {
        let served = export.methods.values().map(|method| &method.interface);
        let mut all = served.chain(draft.interfaces.values());
        all.any(interface::is_validated)
    });
    let validation = match validates {
        true => interface::validation(cx, &target.id).await?,
        false => Validation::default(),
    };
    let sides = Sides {
        api,
        validation: &validation,
        draft: &draft,
        authorizers: &authorizers,
        responses: &now,
        served,
        export: (*export).as_ref(),
    };
    Ok(edits(&sides, &ours))
}

/// Whether edits may wait for a deployment to the stage: automatic deployment leaves none, unless it failed.
fn may_wait(stage: &Stage) -> bool {
    !stage.deploys_automatically || stage.failed_deployment.is_some()
}

/// The undeployed edits of an API of which nothing is known.
pub fn unlisted(target: &ApiTarget) -> String {
    let why = match target.protocol {
        Protocol::Rest | Protocol::Http => "could not export",
        Protocol::WebSocket => "does not list",
    };
    format!(
        "what waits in the draft of {} {}, which API Gateway {why}",
        target.protocol, target.id
    )
}

/// Describes the edits, in the order of the API.
pub fn edits(sides: &Sides<'_>, ours: &Ours) -> Vec<String> {
    let (mut edits, mut effects) = (Vec::new(), Vec::new());
    for method in sides.draft.methods.iter() {
        let key = method.key();
        let Some(served) = sides.served.get(&key) else {
            edits.push(format!("{} is new", method.label()));
            continue;
        };
        if *served != method.authorization && !ours.methods.contains(&key) {
            let now = &method.authorization;
            edits.push(format!(
                "{}: authorization {served} -> {now}",
                method.label()
            ));
        }
        let exported = sides.export.and_then(|export| export.methods.get(&key));
        if let Some(exported) = exported {
            let is_ours = ours.methods.contains(&key);
            edits.extend(guard(method, exported, sides, is_ours));
            let empty = Integration::new();
            let draft = sides.draft.integrations.get(&key).unwrap_or(&empty);
            let fields = different(draft, &exported.integration);
            if !fields.is_empty() {
                edits.push(format!(
                    "{}: integration changed ({})",
                    method.label(),
                    fields.join(", ")
                ));
            }
            let empty = Interface::new();
            let draft = sides.draft.interfaces.get(&key).unwrap_or(&empty);
            let draft = sides.validation.effect(draft);
            let served = sides.export.map(|export| &export.validation);
            let served = served.map(|served| served.effect(&exported.interface));
            let fields = different(&draft, &served.unwrap_or_default());
            if !fields.is_empty() {
                let fields = fields.join(", ");
                edits.push(format!("{}: request changed ({fields})", method.label()));
            }
            effects.push(draft);
        }
    }
    let drafted: BTreeSet<_> = sides.draft.methods.iter().map(Method::key).collect();
    for key in sides.served.keys() {
        if !drafted.contains(key) {
            edits.push(format!("{key} is removed"));
        }
    }
    if let Some(export) = sides.export {
        edits.extend(
            different(&sides.api.settings, &export.settings)
                .into_iter()
                .map(|name| format!("the API's {name} changed")),
        );
        let unknown = export.unknown.iter().filter(|(name, value)| {
            !definition::has_extension(&sides.api.description, name, value)
        });
        edits.extend(unknown.map(|(name, _)| format!("the API's {name} changed")));
        edits.extend(sides.validation.changes(&export.validation, &effects));
        edits.extend(gateway_responses(sides.responses, &export.responses, ours));
    }
    edits
}

/// Describes other changes to a method's authorization. `is_ours`: the method uses this stack's
/// authorizer.
fn guard(draft: &Method, served: &export::Method, sides: &Sides<'_>, is_ours: bool) -> Vec<String> {
    let authorizer = sides
        .authorizers
        .iter()
        .find(|authorizer| draft.authorizer_id.as_ref() == Some(&authorizer.id))
        .filter(|authorizer| !is_ours && !authorizer.uri.is_empty());
    let pair = authorizer.zip(served.authorizer_uri.as_ref());
    let other_authorizer = pair.is_some_and(|(now, served)| now.uri != *served);
    let other_settings = pair
        .filter(|_| !other_authorizer)
        .is_some_and(|(now, uri)| {
            let served = sides.export.and_then(|export| export.authorizers.get(uri));
            served.is_some_and(|served| !served.is_as(now))
        });
    let scopes: BTreeSet<_> = draft.scopes.iter().cloned().collect();
    let other_scopes = !is_ours
        && draft.authorization == AuthorizationType::CognitoUserPools
        && scopes != served.scopes;
    let changed = [
        (other_authorizer, "another authorizer"),
        (other_settings, "the settings of its authorizer changed"),
        (other_scopes, "scopes changed"),
        (
            draft.api_key_required && !served.api_key,
            "an API key is required",
        ),
        (
            !draft.api_key_required && served.api_key,
            "no API key is required any more",
        ),
    ];
    changed
        .into_iter()
        .filter(|(is_so, _)| *is_so)
        .map(|(_, words)| format!("{}: {words}", draft.label()))
        .collect()
}

/// The names under which two maps differ.
fn different<K: Ord + AsRef<str>>(a: &BTreeMap<K, Value>, b: &BTreeMap<K, Value>) -> Vec<String> {
    let names: BTreeSet<&K> = a.keys().chain(b.keys()).collect();
    names
        .into_iter()
        .filter(|name| a.get(name) != b.get(name))
        .map(|name| name.as_ref().to_owned())
        .collect()
}

fn gateway_responses(
    draft: &BTreeMap<String, Response>,
    served: &BTreeMap<String, Response>,
    ours: &Ours,
) -> Vec<String> {
    let kinds: BTreeSet<_> = draft.keys().chain(served.keys()).collect();
    kinds
        .into_iter()
        .filter(|kind| !ours.responses.contains(*kind))
        .filter_map(|kind| {
            let of = |side: &BTreeMap<String, Response>| {
                let found = side.get(kind).filter(|found| !found.is_default(kind));
                found.map(|found| found.meaning(kind))
            };
            let word = match (of(draft), of(served)) {
                (Some(_), None) => "is new",
                (None, Some(_)) => "is removed",
                (Some(now), Some(served)) if now != served => "changed",
                _ => return None,
            };
            Some(format!("gateway response {kind} {word}"))
        })
        .collect()
}

/// The tool that made the API, from its tags, if its next deployment may undo this stack's changes.
/// The tags are those that the tools set by default or that their guides recommend.
pub fn maker(tags: &BTreeMap<String, String>) -> Option<String> {
    let named = |name: &str| {
        tags.iter().any(|(key, value)| {
            key.to_lowercase().contains(name) || value.to_lowercase().contains(name)
        })
    };
    let stack = tags.get("aws:cloudformation:stack-name");
    let tool = if named("serverless") || (stack.is_some() && tags.contains_key("STAGE")) {
        "the Serverless Framework"
    } else if tags.values().any(|value| value == "SAM") {
        "SAM"
    } else if tags
        .keys()
        .any(|key| key.starts_with("aws-cdk:") || key.starts_with("aws:cdk:"))
    {
        "CDK"
    } else if named("terraform") {
        "Terraform"
    } else if named("opentofu") {
        "OpenTofu"
    } else if named("pulumi") {
        "Pulumi"
    } else if stack.is_some() {
        "CloudFormation"
    } else {
        return None;
    };
    Some(match stack {
        Some(stack) => format!("{tool} (stack {stack})"),
        None => tool.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::api_gateway::Method;

    fn method(verb: &str, path: &str, authorization: &str) -> Method {
        Method {
            authorization: authorization.into(),
            ..Method::new(verb, path)
        }
    }

    fn key(verb: &str, path: &str) -> MethodKey {
        MethodKey::new(path, verb)
    }

    fn found(draft: &Draft, served: &Served, export: Option<&Export>, ours: &Ours) -> Vec<String> {
        let (api, responses) = (Api::default(), BTreeMap::new());
        edits(
            &Sides {
                api: &api,
                draft,
                authorizers: &[],
                responses: &responses,
                served,
                export,
                validation: &Validation::default(),
            },
            ours,
        )
    }

    #[test]
    fn new_removed_and_reguarded_methods_are_told_and_ours_are_not() {
        let draft = Draft {
            methods: Arc::new(vec![
                method("GET", "/new", "NONE"),
                method("GET", "/orders", "CUSTOM"),
                method("GET", "/user", "AWS_IAM"),
            ]),
            ..Draft::default()
        };
        let served = Served::from([
            (key("GET", "/orders"), "NONE".into()),
            (key("GET", "/user"), "NONE".into()),
            (key("GET", "/old"), "NONE".into()),
        ]);
        let ours = Ours {
            methods: BTreeSet::from([key("GET", "/orders")]),
            ..Ours::default()
        };
        assert_eq!(
            found(&draft, &served, None, &ours),
            [
                "GET /new is new",
                "GET /user: authorization NONE -> AWS_IAM",
                "GET /old is removed"
            ]
        );
    }

    #[test]
    fn a_changed_integration_setting_and_response_are_told() {
        let at = key("GET", "/orders");
        let integration =
            |uri: &str| definition::exported(&json!({"type": "http_proxy", "uri": uri}));
        let draft = Draft {
            methods: Arc::new(vec![method("GET", "/orders", "NONE")]),
            integrations: BTreeMap::from([(at.clone(), integration("https://new"))]),
            ..Draft::default()
        };
        let mut export = Export::default();
        let served = Served::from([(at.clone(), "NONE".into())]);
        export.methods.entry(at.clone()).or_default().integration = integration("https://new");
        assert!(found(&draft, &served, Some(&export), &Ours::default()).is_empty());
        export.methods.entry(at).or_default().integration = integration("https://old");
        export
            .settings
            .insert("API key source", json!("AUTHORIZER"));
        for kind in ["THROTTLED", "ACCESS_DENIED", "DEFAULT_4XX"] {
            let response = Response::default();
            export.responses.insert(kind.to_owned(), response);
        }
        let ours = Ours {
            responses: BTreeSet::from(["ACCESS_DENIED".to_owned()]),
            ..Ours::default()
        };
        assert_eq!(
            found(&draft, &served, Some(&export), &ours),
            [
                "GET /orders: integration changed (uri)",
                "the API's API key source changed",
                "gateway response THROTTLED is removed",
            ]
        );
    }

    #[test]
    fn without_an_export_only_a_stage_that_is_behind_its_draft_may_leave_edits() {
        let stage = |deploys_automatically, failed: Option<&str>| Stage {
            deploys_automatically,
            failed_deployment: failed.map(str::to_owned),
            ..Stage::default()
        };
        assert!(may_wait(&stage(false, None)) && may_wait(&stage(true, Some("no luck"))));
        assert!(!may_wait(&stage(true, None)));
    }

    #[test]
    fn makers_are_known_by_their_tags() {
        let made = |tags: &[(&str, &str)]| {
            let tags = tags
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect();
            maker(&tags)
        };
        assert_eq!(made(&[("team", "payments")]), None);
        let stack = ("aws:cloudformation:stack-name", "shop");
        assert_eq!(
            made(&[stack]).as_deref(),
            Some("CloudFormation (stack shop)")
        );
        assert_eq!(
            made(&[stack, ("lambda:createdBy", "SAM")]).as_deref(),
            Some("SAM (stack shop)")
        );
        assert_eq!(
            made(&[stack, ("STAGE", "dev")]).as_deref(),
            Some("the Serverless Framework (stack shop)")
        );
        assert_eq!(
            made(&[("ManagedBy", "Terraform")]).as_deref(),
            Some("Terraform")
        );
        assert_eq!(
            made(&[("aws-cdk:id", "x"), stack]).as_deref(),
            Some("CDK (stack shop)")
        );
    }
}
