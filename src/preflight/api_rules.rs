//! Checks of the API, its methods and its stages. Pure.

use crate::api_gateway::http::DEFAULT_ROUTE;
use crate::api_gateway::rest::definition::API_KEY_SOURCE;
use crate::api_gateway::{
    Api, ApiTarget, AuthorizationType, Authorizer, Draft, Method, Protocol, Stage,
};
use crate::config::{Config, Mode};
use crate::decision::guarded;
use crate::nearest::nearest;
use crate::pattern::MethodPattern;
use crate::printable::line;
use crate::resource::api_attachment::record::Record;
use crate::resource::api_attachment::{other_stacks, responses, selection, undeployed_changes};
use crate::responses::LimitStatus;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// The API's methods, sorted before any of them is changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Methods {
    /// The methods that will be protected.
    pub wanted: Vec<Method>,
    /// Messages about what will be left unchanged.
    pub notices: Vec<String>,
}

/// Sorts the API's methods into those that will be protected and those that are left unchanged.
///
/// `ours` is this stack's authorizer; `elsewhere` are the authorizers of other stacks that protect
/// other stages, whose methods may be borrowed; `record` is what is recorded for the API and stage.
pub fn methods(
    (config, target): (&Config, &ApiTarget),
    all: &[Method],
    ours: Option<&str>,
    elsewhere: &BTreeSet<String>,
    record: &Record,
) -> Methods {
    let mut sorted = Methods::default();
    for method in all
        .iter()
        .filter(|method| selection::is_wanted(method, &config.api.protect, &config.api.except))
    {
        let taken =
            ours.is_some_and(|authorizer| method.asks(authorizer)) || record.is_closed(method);
        let lent = other_stacks::is_lent(method, elsewhere);
        if lent {
            let text = format!(
                "{} uses the authorizer of another stack, which protects other stages: it keeps that authorizer in the draft, and \
                 uses this stack's in stage {}",
                method.label(),
                target.stage
            );
            sorted.notices.push(text);
        }
        if taken || lent || selection::is_free(method, &config.api.protect) {
            if !taken && !lent && method.authorization != AuthorizationType::None {
                let text = format!(
                    "{} has {} and will be {} because `api.protect` names it exactly",
                    method.label(),
                    method.authorization,
                    guarded(config.authorizer.mode == Mode::Observe)
                );
                sorted.notices.push(text);
            }
            sorted.wanted.push(method.clone());
        } else {
            let text = format!(
                "{} has {} and stays unchanged; to protect it, name it exactly in `api.protect`",
                method.label(),
                method.authorization
            );
            sorted.notices.push(text);
        }
    }
    sorted
}

/// Checks that no other stack protects one of these methods in the same stage. `beside`: the stacks of the stage, by their
/// authorizers.
pub fn of_another_stack(
    wanted: &[Method],
    beside: &BTreeMap<String, String>,
    stage: &str,
) -> Vec<String> {
    let theirs = wanted.iter().filter_map(|method| {
        let stack = beside.get(method.authorizer_id.as_ref()?)?;
        Some(format!(
            "{} is protected by stack {stack} in stage {stage}, where it can have one authorizer only: take it out of `api.protect` of \
             one of the two stacks",
            method.label()
        ))
    });
    theirs.collect()
}

/// Checks that the patterns of the configuration select methods of the API. An exact pattern of `api.protect` that
/// selects none would leave the intended method open, so it blocks; the others are notices.
pub fn patterns(config: &Config, all: &[Method], protocol: Protocol) -> (Vec<String>, Vec<String>) {
    let labels: Vec<_> = all.iter().map(Method::label).collect();
    let selects_none = |pattern: &&MethodPattern| {
        !all.iter()
            .any(|method| pattern.matches(&method.method, &method.path))
    };
    let text = |list: &str, pattern: &MethodPattern| {
        let name = pattern.to_string();
        let of_path = all.iter().find(|method| method.path == pattern.path);
        let similar = match of_path {
            Some(method) => Some(method.label()),
            None => nearest(&name, labels.iter().map(String::as_str)).map(str::to_owned),
        };
        let hint = match (similar, protocol) {
            (_, Protocol::WebSocket) => {
                ": of a WebSocket API, only $connect can have an authorizer".to_owned()
            }
            (Some(label), _) => format!(": did you mean {label}?"),
            (None, _) => String::new(),
        };
        format!(
            "`api.{list}`: {name} selects no {} of the API{hint}",
            protocol.unit()
        )
    };
    let (mut blockers, mut notices) = (Vec::new(), Vec::new());
    for pattern in config.api.protect.iter().filter(selects_none) {
        let list = match pattern.has_wildcard() {
            true => &mut notices,
            false => &mut blockers,
        };
        list.push(text("protect", pattern));
    }
    let except = config.api.except.iter().filter(selects_none);
    notices.extend(except.map(|pattern| text("except", pattern)));
    (blockers, notices)
}

/// Says where the source of the keys of usage plans and `api.usage_key` do not fit together.
pub fn usage_key(config: &Config, api: &Api, wanted: &[Method]) -> Option<String> {
    let from_authorizer = api.settings.get(API_KEY_SOURCE) == Some(&json!("AUTHORIZER"));
    match (from_authorizer, config.api.usage_key) {
        (true, None) => {
            let labels: Vec<_> = wanted
                .iter()
                .filter(|method| method.api_key_required)
                .map(Method::label)
                .collect();
            (!labels.is_empty()).then(|| {
                format!(
                    "API {} takes the keys of its usage plans from the authorizer (apiKeySource AUTHORIZER), which gives none: every \
                     request to {} would be refused; set `api.usage_key`",
                    api.id,
                    labels.join(", ")
                )
            })
        }
        (false, Some(_)) => Some(format!(
            "`api.usage_key` has no effect: API {} takes the keys of its usage plans from the header x-api-key",
            api.id
        )),
        _ => None,
    }
}

/// Names the methods of the draft without an integration: API Gateway does not deploy them.
pub fn without_integration(draft: &Draft) -> Option<String> {
    let is_without = |method: &&Method| !draft.integrations.contains_key(&method.key());
    let labels: Vec<_> = draft
        .methods
        .iter()
        .filter(is_without)
        .map(Method::label)
        .collect();
    (!labels.is_empty()).then(|| {
        format!(
            "API Gateway deploys no API with a method without an integration: add one to {}, or delete {}",
            labels.join(", "),
            if labels.len() == 1 { "it" } else { "them" }
        )
    })
}

/// Explains what happens to the methods that other stacks protect in other stages.
pub fn held(held: &[other_stacks::Held], stage: &str) -> Option<String> {
    let labels: Vec<_> = held.iter().map(|held| held.before.label()).collect();
    (!labels.is_empty()).then(|| {
        format!(
            "other stacks protect {} in other stages: in stage {stage} they are as they were before",
            labels.join(", ")
        )
    })
}

/// Warns that protected `ANY` methods also receive `OPTIONS` requests, which browsers send without
/// a credential.
pub fn preflights(
    mode: Mode,
    wanted: &[Method],
    all: &[Method],
    protocol: Protocol,
) -> Option<String> {
    const SHOWN: usize = 5;
    let mut options = all.iter().filter(|method| method.method == "OPTIONS");
    let takes_preflights = |method: &&Method| match method.method.as_str() {
        "ANY" => !options.clone().any(|one| one.path == method.path),
        _ => method.path == DEFAULT_ROUTE,
    };
    let mut taking: Vec<_> = wanted.iter().filter(takes_preflights).collect();
    if options.any(|one| is_whole(&one.path)) {
        taking.retain(|method| method.path != DEFAULT_ROUTE);
    }
    let is_default = |method: &&Method| method.path == DEFAULT_ROUTE;
    let has_default = taking.iter().any(is_default);
    let labels: Vec<_> = taking.into_iter().map(Method::label).collect();
    let (answer, them) = match labels.len() {
        0 => return None,
        1 => ("answers", "it"),
        _ => ("answer", "them"),
    };
    let path = match (labels.len(), has_default, protocol) {
        (1, true, _) => {
            "the API a route OPTIONS /{proxy+} without authorization and with an integration"
        }
        (_, true, _) => {
            "these paths an OPTIONS route of their own without authorization (`$default`: OPTIONS /{proxy+})"
        }
        (1, false, Protocol::Rest) => "this path an OPTIONS method of its own",
        (_, false, Protocol::Rest) => "these paths an OPTIONS method of their own",
        (1, false, _) => "this path an OPTIONS route of its own without authorization",
        (_, false, _) => "these paths an OPTIONS route of their own without authorization",
    };
    let more = match labels.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let shown: Vec<_> = labels.into_iter().take(SHOWN).collect();
    let effect = match mode {
        Mode::Enforce => "will be refused",
        Mode::Observe => "will be logged as refusals",
    };
    Some(format!(
        "{}{more} also {answer} OPTIONS, so CORS preflight requests {effect}: give {path}, or add {them} to `api.except`",
        shown.join(", ")
    ))
}

/// Whether a path is a single parameter for the rest of the path: `/{proxy+}`.
fn is_whole(path: &str) -> bool {
    let name = path
        .strip_prefix("/{")
        .and_then(|rest| rest.strip_suffix("+}"));
    name.is_some_and(|name| !name.contains('/'))
}

/// Checks that the API has room for one more authorizer, and names those that no method of the draft uses. More than the default
/// quota show that it was raised. Source: API Gateway quotas, 10 an API by default.
pub fn authorizers(
    target: &ApiTarget,
    all: &[Authorizer],
    methods: &[Method],
    ours: &str,
) -> Option<String> {
    const MOST: usize = 10;
    let is_there = all.iter().any(|authorizer| authorizer.name == ours);
    if is_there || all.len() != MOST {
        return None;
    }
    let is_used = |found: &&Authorizer| {
        let mut methods = methods.iter();
        methods.any(|method| method.authorizer_id.as_ref() == Some(&found.id))
    };
    let unused = all.iter().filter(|found| !is_used(found));
    let unused: Vec<_> = unused.map(|found| line(&found.name)).collect();
    let remedy = match unused.is_empty() {
        true => "delete one".to_owned(),
        false => format!("no method uses {}: delete one of them", unused.join(", ")),
    };
    Some(format!(
        "{} {} has {MOST} authorizers, which is API Gateway's quota, and the stack needs one more: {remedy}, or raise the quota",
        target.protocol, target.id
    ))
}

/// Checks for a canary release, which would let requests bypass the authorizer because it serves a
/// deployment of its own.
pub fn canary(target: &ApiTarget, stage: Option<&Stage>) -> Option<String> {
    let percent = stage?.canary.filter(|percent| *percent > 0.0)?;
    Some(format!(
        "stage {} has a canary release, whose {percent} % of the requests would bypass the authorizer: promote or delete it first",
        target.stage
    ))
}

/// Warns that another tool created the API and may undo this stack's changes.
pub fn maker(api: &Api) -> Option<String> {
    let maker = undeployed_changes::maker(&api.tags)?;
    Some(format!(
        "API {} is managed by {maker}: its next deployment may remove the authorizer; `threescale-gw status` shows it, `up` repairs it",
        api.id
    ))
}

/// Why this stack's gateway responses cannot be deployed: another stack on the API answers a passed
/// limit with the status `other`.
pub fn other_limits(other: &str) -> String {
    format!(
        "another stack on this API answers a passed limit with status {other}, and all stages of an API share the gateway response: \
         set `api.responses.limits: {other}`"
    )
}

/// Messages about the gateway responses: those that are left unchanged, and the other refusals that
/// this stack's responses affect. `has_policy`: the API has a resource policy.
pub fn responses(
    steps: &responses::Steps,
    all: &[Method],
    limits: LimitStatus,
    has_policy: bool,
) -> Vec<String> {
    let mut notices: Vec<_> = steps
        .left
        .iter()
        .map(|kind| {
            format!(
                "the gateway response {kind} is not managed by this stack and stays unchanged; to replace it, name it in `api.responses`"
            )
        })
        .collect();
    let guarded: Vec<_> = all
        .iter()
        .filter(|method| !["NONE", "CUSTOM"].contains(&method.authorization.as_str()))
        .map(Method::label)
        .collect();
    if limits == LimitStatus::TooManyRequests && !steps.write.is_empty() {
        notices.push(
            "a passed limit is answered with status 429, and every other refusal of the authorizer with status 401, which has no reason"
                .to_owned(),
        );
    }
    if steps.limits().is_some() && has_policy {
        notices.push(
            "a gateway response applies to the whole API: what its resource policy refuses is answered with status 429, too"
                .to_owned(),
        );
    }
    if !guarded.is_empty() && !steps.write.is_empty() {
        notices.push(format!(
            "a gateway response applies to the whole API: the authorization of {} refuses with the same texts",
            guarded.join(", ")
        ));
    }
    notices
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api_gateway::Protocol;
    use crate::preflight::examples::{config, method};

    #[test]
    fn preflights_that_will_be_refused_are_told() {
        let verb = |verb: &str, path: &str| Method {
            method: verb.to_owned(),
            ..method(path, "NONE")
        };
        let of = |extra: &str, all: &[Method], protocol| {
            let config = config(extra);
            let record = Record::default();
            let target = ApiTarget::of_segment("a1", "prod");
            let sorted = methods((&config, &target), all, None, &BTreeSet::new(), &record);
            assert_eq!(sorted.notices, [""; 0]);
            Vec::from_iter(preflights(
                config.authorizer.mode,
                &sorted.wanted,
                all,
                protocol,
            ))
        };
        let told = |extra: &str, all: &[Method]| of(extra, all, Protocol::Rest);
        let any = verb("ANY", "/x");
        let notices = told("", &[any.clone(), verb("GET", "/y")]);
        assert!(
            notices[0].starts_with("ANY /x also answers OPTIONS"),
            "{notices:?}"
        );
        // A path with an OPTIONS method of its own, and an excepted method, need no message.
        for (extra, all) in [
            ("", [any.clone(), verb("OPTIONS", "/x")]),
            (", except: [\"ANY /x\"]", [any.clone(), verb("GET", "/y")]),
        ] {
            assert_eq!(told(extra, &all), [""; 0]);
        }
        let route = of("", std::slice::from_ref(&any), Protocol::Http);
        assert!(
            route[0].contains(
                "give this path an OPTIONS route of its own without authorization, or add it to"
            ),
            "{route:?}"
        );
        // `$default` of an HTTP API.
        let default = verb("", "$default");
        let notices = told("", std::slice::from_ref(&default));
        assert_eq!(
            notices,
            [
                "$default also answers OPTIONS, so CORS preflight requests will be refused: give the API a route OPTIONS /{proxy+} \
                 without authorization and with an integration, or add it to `api.except`"
            ]
        );
        assert_eq!(
            told("", &[default.clone(), verb("OPTIONS", "/{all+}")]),
            [""; 0]
        );
        let both = told("", &[default, any]);
        assert!(
            both[0].starts_with("$default, ANY /x also answer"),
            "{both:?}"
        );
        assert!(
            both[0].contains("`$default`: OPTIONS /{proxy+}), or add them to"),
            "{both:?}"
        );
        let many: Vec<_> = (0..7).map(|n| verb("ANY", &format!("/{n}"))).collect();
        let notices = told("", &many);
        assert_eq!(notices.len(), 1);
        assert!(
            notices[0].starts_with("ANY /0, ANY /1, ANY /2, ANY /3, ANY /4 and 2 more also answer"),
            "{notices:?}"
        );
    }

    #[test]
    fn a_pattern_that_selects_no_method_is_told() {
        let verb = |verb: &str, path: &str| Method::new(verb, path);
        let all = [
            verb("GET", "/orders/{id}"),
            verb("ANY", "/files/{proxy+}"),
            verb("GET", "/health"),
        ];
        let told = |extra: &str| patterns(&config(extra), &all, Protocol::Rest);
        let nothing = (Vec::<String>::new(), Vec::<String>::new());
        assert_eq!(
            told(", protect: [\"GET /orders/*\", \"ANY /health\"]"),
            nothing
        );
        for (name, similar) in [
            ("GET /ordres/{id}", "GET /orders/{id}"),
            ("POST /health", "GET /health"),
            ("GET /files/{proxy+}", "ANY /files/{proxy+}"),
        ] {
            let (blockers, notices) = told(&format!(", protect: [\"{name}\"]"));
            let expected = format!(
                "`api.protect`: {name} selects no method of the API: did you mean {similar}?"
            );
            assert_eq!((blockers, notices), (vec![expected], Vec::new()));
        }
        let (blockers, notices) = told(", protect: [\"GET /nothing/*\"], except: [\"GET /zzz\"]");
        assert!(blockers.is_empty());
        assert!(
            notices[0].contains("GET /nothing/* selects no method"),
            "{notices:?}"
        );
        assert!(notices[1].contains("`api.except`: GET /zzz"), "{notices:?}");
        let of = |all: &[Method], protocol| {
            patterns(&config(", protect: [\"$default\"]"), all, protocol)
        };
        let (blockers, _) = of(&all, Protocol::Http);
        assert_eq!(
            blockers,
            ["`api.protect`: $default selects no route of the API"]
        );
        let (blockers, _) = of(&[verb("", "$connect")], Protocol::WebSocket);
        assert_eq!(
            blockers,
            [
                "`api.protect`: $default selects no route of the API: of a WebSocket API, only $connect can have an authorizer"
            ]
        );
    }

    #[test]
    fn keys_of_usage_plans_come_from_where_the_api_expects_them() {
        let api = |source: Option<&str>| Api {
            id: "a1b2c3d4e5".to_owned(),
            settings: source
                .map(|source| (API_KEY_SOURCE, json!(source)))
                .into_iter()
                .collect(),
            ..Api::default()
        };
        let required = Method {
            api_key_required: true,
            ..method("/orders", "NONE")
        };
        let methods = [required, method("/health", "NONE")];
        let found = |extra: &str, source| usage_key(&config(extra), &api(source), &methods);
        let text = found("", Some("AUTHORIZER")).expect("a finding");
        assert!(
            text.contains("GET /orders would be refused") && !text.contains("/health"),
            "{text}"
        );
        let none = usage_key(&config(""), &api(Some("AUTHORIZER")), &methods[1..]);
        assert_eq!(none, None);
        let given = ", usage_key: user_key";
        assert_eq!(found(given, Some("AUTHORIZER")), None);
        assert!(found(given, None).is_some_and(|text| text.contains("has no effect")));
        assert_eq!(found("", None), None);
    }

    #[test]
    fn methods_without_an_integration_are_named() {
        let methods = vec![Method::new("GET", "/a"), Method::new("GET", "/b")];
        let with = |key: &Method| (key.key(), [("type".to_owned(), "MOCK".into())].into());
        let draft = |integrations: &[Method]| Draft {
            integrations: integrations.iter().map(with).collect(),
            methods: methods.clone().into(),
            ..Draft::default()
        };
        assert_eq!(without_integration(&draft(&methods)), None);
        let text = without_integration(&draft(&methods[..1])).expect("a finding");
        assert!(text.ends_with("add one to GET /b, or delete it"), "{text}");
    }

    #[test]
    fn a_full_quota_of_authorizers_names_those_that_are_not_used() {
        let target = ApiTarget::of_segment("a1", "http.stage.prod");
        let all = |number: usize| -> Vec<_> {
            let one = |number: usize| Authorizer {
                id: format!("z{number}"),
                name: format!("n{number}"),
                uri: String::new(),
                kind: "REQUEST".to_owned(),
                identity_source: String::new(),
                ttl: 0,
                payload_format: String::new(),
            };
            (0..number).map(one).collect()
        };
        let used: Vec<_> = (2..12)
            .map(|number| Method {
                authorizer_id: Some(format!("z{number}")),
                ..method("/orders", "CUSTOM")
            })
            .collect();
        let told =
            |number, methods: &[Method], ours| authorizers(&target, &all(number), methods, ours);
        assert_eq!(
            told(10, &used, "ours").as_deref(),
            Some(
                "HTTP API a1 has 10 authorizers, which is API Gateway's quota, and the stack needs one more: no method uses n0, n1: \
                 delete one of them, or raise the quota"
            )
        );
        for (number, ours) in [(9, "ours"), (11, "ours"), (10, "n7")] {
            assert_eq!(told(number, &used, ours), None);
        }
    }

    #[test]
    fn guarded_methods_are_told() {
        let all = [method("/open", "NONE"), method("/iam", "AWS_IAM")];
        let target = ApiTarget::of_segment("a1", "prod");
        let sorted = methods(
            (&config(""), &target),
            &all,
            None,
            &BTreeSet::new(),
            &Record::default(),
        );
        assert_eq!(sorted.wanted, vec![all[0].clone()]);
        assert!(sorted.notices[0].contains("GET /iam has AWS_IAM and stays unchanged"));
        let named = methods(
            (&config(", protect: [\"GET /iam\"]"), &target),
            &all,
            None,
            &BTreeSet::new(),
            &Record::default(),
        );
        assert_eq!(named.wanted, vec![all[1].clone()]);
        assert!(named.notices[0].contains("will be protected"));
    }
}
