//! What HTTP and WebSocket APIs lack of what REST APIs have, and what that means for a plan. Pure.

use std::collections::BTreeSet;

use crate::api_gateway::{Api, ApiRef, ApiTarget, ListedStage, Method, Protocol, Stage};
use crate::config::{self, Config, CredentialLocation, LimitedKey, MappingRule};
use crate::decision::guarded;
use crate::resource::api_attachment::undeployed_changes;

/// The keys of the configuration that an API of this kind cannot have, each with the reason.
pub fn unsupported(api: &config::Api, protocol: Protocol) -> Vec<(LimitedKey, String)> {
    let why = |limited: &LimitedKey| match (limited.key, protocol) {
        ("responses", Protocol::Http | Protocol::WebSocket) => {
            Some("have no gateway responses: status, body and headers of a refusal are fixed")
        }
        ("usage_key", Protocol::Http) => Some("have no API keys and no usage plans"),
        _ => None,
    };
    let limited = api.limited.0.iter();
    let found = limited.filter_map(|limited| {
        let (key, why) = (limited.key, why(limited)?);
        Some((
            *limited,
            format!("api.{key}: {protocol}s {why}; remove the key"),
        ))
    });
    found.collect()
}

/// Names the other stages that would serve the changed routes at once. `configured`: the stages of the configuration, which
/// change together. `frozen`: those whose automatic deployment another stack turns on again.
pub fn other_stages(
    api: ApiRef<'_>,
    stages: &[ListedStage],
    configured: &[&str],
    frozen: &BTreeSet<String>,
) -> Option<String> {
    let others = stages
        .iter()
        .filter(|stage| !configured.contains(&stage.name.as_str()));
    let others: Vec<_> = others
        .filter_map(|stage| match &stage.name {
            name if stage.deploys_automatically => Some(name.clone()),
            name if frozen.contains(name) => Some(format!(
                "{name} (off until the next `up` or `down` of another stack)"
            )),
            _ => None,
        })
        .collect();
    let (stages, deploy, it, them) = match others.len() {
        0 => return None,
        1 => ("stage", "deploys", "its", "it"),
        _ => ("stages", "deploy", "their", "them"),
    };
    let (protocol, id) = (api.protocol, api.id);
    Some(format!(
        "{stages} {} of {protocol} {id} {deploy} automatically, and would serve the authorizer as soon as the routes change: turn off \
         {it} automatic deployment, or add {them} to `api.stage`",
        others.join(", ")
    ))
}

/// Names the stages of an HTTP or WebSocket API to which the stack is `attached`, and that are not among the `configured` ones,
/// which are of one API.
pub fn former_stages(configured: &[&ApiTarget], attached: &BTreeSet<ApiTarget>) -> Option<String> {
    let target = configured.first()?;
    let is_former = |other: &&ApiTarget| other.api() == target.api() && !configured.contains(other);
    let former = attached.iter().filter(is_former);
    let former: Vec<_> = former.map(|other| other.stage.as_str()).collect();
    let stages: Vec<_> = configured.iter().map(|stage| &*stage.stage).collect();
    (target.protocol != Protocol::Rest && !former.is_empty()).then(|| {
        format!(
            "the stack is attached to stage {} of {} {}, and `api.stage` is {} now: add the former stage, or run `threescale-gw down` first",
            former.join(", "),
            target.protocol,
            target.id,
            stages.join(", ")
        )
    })
}

/// Names a stage that may not change together with the others of the configuration.
pub fn managed_stage(stages: &[(&ApiTarget, Option<Stage>)]) -> Option<String> {
    let mut managed = stages.iter().filter(|(_, stage)| {
        let stage = stage.as_ref();
        stage.is_some_and(|stage| stage.is_managed && stage.deploys_automatically)
    });
    let (target, _) = managed.next().filter(|_| stages.len() > 1)?;
    Some(format!(
        "stage {} of {} {} was created by quick create: API Gateway may refuse to turn off its automatic deployment, so its routes cannot \
         change together with those of other stages: name it alone in `api.stage`, or leave it out",
        target.stage, target.protocol, target.id
    ))
}

/// Names those of `routes`, which the plan protects, that API Gateway may refuse to change.
pub fn managed_routes<'a>(api: &Api, routes: impl Iterator<Item = &'a Method>) -> Option<String> {
    let managed = routes.filter(|route| route.is_managed);
    let managed: BTreeSet<_> = managed.map(Method::label).collect();
    let managed: Vec<_> = managed.into_iter().collect();
    (!managed.is_empty()).then(|| {
        format!(
            "{} of {} {} was created by quick create: API Gateway may refuse to set its authorizer; then `up` fails, and `api.except` must \
             leave it out",
            managed.join(", "),
            api.protocol,
            api.id
        )
    })
}

/// Says that nothing is deployed to an existing stage, and what to do.
pub fn without_deployment(target: &ApiTarget) -> String {
    let ApiTarget {
        id,
        stage,
        protocol,
    } = target;
    format!(
        "stage {stage} of {protocol} {id} has no deployment: deploy the API to it, for example with `aws apigatewayv2 create-deployment \
         --api-id {id} --stage-name '{stage}'`"
    )
}

/// What a plan that changes the routes of the API cannot promise, one sentence each. `lacks_connect`: the API has no route
/// `$connect`. `changes_settings`: the plan changes the settings of the authorizer.
pub fn notices(
    config: &Config,
    api: &Api,
    stages: &[(&ApiTarget, Option<Stage>)],
    lacks_connect: bool,
    changes_settings: bool,
) -> Vec<String> {
    if api.protocol == Protocol::Rest {
        return Vec::new();
    }
    let mut notices = vec![match api.protocol {
        Protocol::WebSocket => "a WebSocket API tells a refused caller only the status of the handshake, without a reason".to_owned(),
        _ => "an HTTP API tells a refused caller no reason, no `Retry-After` and no CORS headers: the log of the authorizer and \
              `threescale-gw report` have the reasons"
            .to_owned(),
    }];
    let automatic = |is_managed: bool| {
        let stages = stages.iter().filter(move |(_, stage)| {
            let stage = stage.as_ref();
            stage.is_some_and(|stage| stage.deploys_automatically && stage.is_managed == is_managed)
        });
        stages.map(|(target, _)| target.stage.as_str())
    };
    let frozen: Vec<_> = automatic(false).collect();
    if !frozen.is_empty() {
        notices.push(format!(
            "automatic deployment of stage {} is turned off while the routes change, and on again after the verification: what others \
             change meanwhile is deployed then",
            frozen.join(", ")
        ));
    }
    notices.extend(automatic(true).map(|stage| {
        format!(
            "stage {stage} was created by quick create: API Gateway may refuse to turn off its automatic deployment, and its routes then \
             change one at a time, not in one moment: one of them is changed and verified before the others"
        )
    }));
    if changes_settings {
        notices.extend(automatic(true).map(|stage| {
            format!(
                "the settings of the authorizer change for all routes of stage {stage} at once, before they are verified, if API Gateway \
                 refuses that: if the verification fails, the former settings are restored"
            )
        }));
    }
    if api.protocol == Protocol::WebSocket {
        notices.extend(of_connections(config, lacks_connect));
    }
    notices
}

fn of_connections(config: &Config, lacks_connect: bool) -> Vec<String> {
    let mut notices = vec![
        "only the route $connect asks the authorizer: each connection counts once, its messages do not, and a revoked key works until \
         its connection ends, after 2 hours at most"
            .to_owned(),
    ];
    if lacks_connect {
        notices.push(format!(
            "the API has no route $connect, so every connection is accepted: it will be created, without an integration, and {}; \
             `down` deletes it",
            guarded(config.authorizer.mode == config::Mode::Observe)
        ));
    }
    let credentials = &config.threescale.credentials;
    if credentials.location == CredentialLocation::Header {
        notices.push(format!(
            "threescale.credentials: a browser cannot send the header {} when it opens a WebSocket; if browsers call the API, use \
             `in: query`",
            credentials.name
        ));
    }
    let rules = &config.threescale.mapping_rules;
    if !rules.is_empty() && !rules.iter().any(counts_connections) {
        notices.push(
            "threescale.mapping_rules: a connection counts as GET /, which no rule matches: every connection would be refused"
                .to_owned(),
        );
    }
    notices
}

/// Whether a rule matches `GET /`.
fn counts_connections(rule: &MappingRule) -> bool {
    let path = rule.pattern.split('?').next();
    ["GET", "ANY"].contains(&rule.method.as_str()) && matches!(path, Some("/" | "/$"))
}

/// What a deployment may publish, where the draft cannot be compared with what is deployed.
pub fn unlisted(target: &ApiTarget, stage: Option<&Stage>) -> Option<String> {
    let waits = stage.is_some_and(|stage| !stage.deploys_automatically);
    (target.protocol == Protocol::WebSocket && waits).then(|| undeployed_changes::unlisted(target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_stage_of_the_same_http_api_is_named() {
        let at = |stage: &str| ApiTarget::of_segment("a1", stage);
        let attached = |stages: &[&str]| stages.iter().map(|stage| at(stage)).collect();
        let dev = at("http.stage.dev");
        let former = former_stages(&[&dev], &attached(&["http.default", "http.stage.dev"]));
        let text = "the stack is attached to stage $default of HTTP API a1, and `api.stage` is dev now: add the former stage, or run \
                    `threescale-gw down` first";
        assert_eq!(former.as_deref(), Some(text));
        for (target, others) in [
            ("http.stage.dev", vec!["http.stage.dev"]),
            ("dev", vec!["prod"]),
            ("http.stage.dev", vec![]),
        ] {
            assert_eq!(former_stages(&[&at(target)], &attached(&others)), None);
        }
        let both = [at("http.default"), dev];
        let attached = attached(&["http.default", "http.stage.dev"]);
        assert_eq!(former_stages(&[&both[0], &both[1]], &attached), None);
    }

    fn config(api: &str, threescale: &str) -> Config {
        let text = format!(
            "stack: orders\napi: {{name: chat, stage: prod{api}}}\nthreescale: {{service_id: '1', service_token: t{threescale}}}\n"
        );
        config::load("test.yaml", &text, &|_| None).expect("a configuration")
    }

    fn api(protocol: Protocol) -> Api {
        Api {
            id: "a1b2c3d4e5".to_owned(),
            protocol,
            ..Api::default()
        }
    }

    fn stage(deploys_automatically: bool, is_managed: bool) -> Stage {
        Stage {
            deployment_id: "d1".to_owned(),
            description: String::new(),
            served: None,
            canary: None,
            authorizer_uris: None,
            deploys_automatically,
            is_managed,
            failed_deployment: None,
        }
    }

    #[test]
    fn keys_that_the_kind_cannot_have_are_refused_at_their_place() {
        let told = |api: &str, protocol| {
            let found = unsupported(&config(api, "").api, protocol).into_iter();
            let lines = found.map(|(key, text)| format!("{}:{}: {text}", key.line, key.column));
            lines.collect::<Vec<_>>()
        };
        for responses in ["true", "false", "[UNAUTHORIZED]", "{limits: 429}"] {
            let given = format!(", responses: {responses}");
            assert_eq!(told(&given, Protocol::Rest), [""; 0]);
            assert_eq!(
                told(&given, Protocol::Http),
                [
                    "2:43: api.responses: HTTP APIs have no gateway responses: status, body and headers of a refusal are fixed; remove the \
                     key"
                ]
            );
            assert_eq!(told(&given, Protocol::WebSocket).len(), 1);
        }
        let given = ", usage_key: user_key";
        assert!(
            told(given, Protocol::Http)[0].contains("api.usage_key: HTTP APIs have no API keys")
        );
        assert_eq!(told(given, Protocol::WebSocket), [""; 0]);
        assert_eq!(told("", Protocol::Http), [""; 0]);
    }

    #[test]
    fn other_stages_that_deploy_automatically_are_named() {
        let listed = |name: &str, deploys_automatically| ListedStage {
            name: name.to_owned(),
            deployment: Some("d1".to_owned()),
            deploys_automatically,
        };
        let stages = [
            listed("prod", true),
            listed("test", true),
            listed("old", false),
        ];
        let http = api(Protocol::Http);
        let with = |configured: &[&str], frozen: &[&str]| {
            let frozen = frozen.iter().map(|name| (*name).to_owned()).collect();
            other_stages(http.api(), &stages, configured, &frozen)
        };
        let told = |configured: &[&str]| with(configured, &[]);
        assert_eq!(
            told(&["prod"]).as_deref(),
            Some(
                "stage test of HTTP API a1b2c3d4e5 deploys automatically, and would serve the authorizer as soon as the routes change: \
                 turn off its automatic deployment, or add it to `api.stage`"
            )
        );
        assert_eq!(told(&["prod", "test"]), None);
        assert_eq!(with(&["prod", "test", "old"], &["old"]), None);
        let frozen = with(&["prod", "test"], &["old"]).unwrap_or_default();
        assert!(
            frozen.starts_with("stage old (off until the next `up` or `down` of another stack) of"),
            "{frozen}"
        );
        let both = told(&["old"]).expect("two");
        assert!(
            both.starts_with("stages prod, test of")
                && both
                    .ends_with("turn off their automatic deployment, or add them to `api.stage`")
        );
    }

    #[test]
    fn a_rest_api_keeps_every_promise() {
        let rest = api(Protocol::Rest);
        let target = rest.api().stage("prod");
        let stages = [(&target, Some(stage(false, false)))];
        assert_eq!(
            notices(&config("", ""), &rest, &stages, false, true),
            [""; 0]
        );
    }

    #[test]
    fn each_promise_that_an_http_api_cannot_keep_is_one_sentence() {
        let http = api(Protocol::Http);
        let target = http.api().stage("prod");
        let changed = |stage: Stage, changes_settings| {
            let stages = [(&target, Some(stage))];
            notices(&config("", ""), &http, &stages, false, changes_settings)
        };
        let told = |stage| changed(stage, false);
        assert_eq!(told(stage(false, false)).len(), 1);
        let automatic = told(stage(true, false));
        assert_eq!(automatic.len(), 2);
        assert!(
            automatic[1].starts_with("automatic deployment of stage prod is turned off"),
            "{automatic:?}"
        );
        assert_eq!(told(stage(false, true)).len(), 1);
        let managed = told(stage(true, true));
        assert_eq!(managed.len(), 2);
        assert!(
            managed[1].starts_with("stage prod was created by quick create"),
            "{managed:?}"
        );
        // The other stages serve the settings with the deployment.
        for other in [stage(false, false), stage(true, false), stage(false, true)] {
            assert_eq!(changed(other.clone(), true), told(other));
        }
        let managed = changed(stage(true, true), true);
        assert!(
            managed[2].contains("at once, before they are verified"),
            "{managed:?}"
        );
        let other = http.api().stage("dev");
        let several = |is_managed| [&target, &other].map(|at| (at, Some(stage(true, is_managed))));
        let refused = managed_stage(&several(true)).expect("a refusal");
        assert!(refused.starts_with("stage prod of HTTP API a1b2c3d4e5 was created by quick"));
        assert_eq!(managed_stage(&several(true)[..1]), None);
        let frozen = several(false);
        assert_eq!(managed_stage(&frozen), None);
        let told = notices(&config("", ""), &http, &frozen, false, false);
        assert!(
            told[1].starts_with("automatic deployment of stage prod, dev is"),
            "{told:?}"
        );
    }

    #[test]
    fn a_connection_is_what_counts_on_a_websocket_api() {
        let chat = api(Protocol::WebSocket);
        let target = chat.api().stage("prod");
        let told = |threescale: &str, lacks_connect| {
            notices(
                &config("", threescale),
                &chat,
                &[(&target, Some(stage(false, false)))],
                lacks_connect,
                false,
            )
        };
        let query = ", credentials: {in: query}";
        assert_eq!(told(query, false).len(), 2);
        assert!(told(query, true)[2].contains("no route $connect"));
        assert!(told("", false)[2].contains("the header apikey"));
        let rules = |method: &str, pattern: &str| {
            format!(
                "{query}, mapping_rules: [{{method: {method}, pattern: \"{pattern}\", metric: hits}}]"
            )
        };
        for (method, pattern, matches) in [
            ("GET", "/", true),
            ("ANY", "/$", true),
            ("POST", "/", false),
            ("GET", "/orders", false),
        ] {
            assert_eq!(
                told(&rules(method, pattern), false).len(),
                if matches { 2 } else { 3 },
                "{method} {pattern}"
            );
        }
    }

    #[test]
    fn only_a_draft_that_waits_needs_consent() {
        let target = |protocol| api(protocol).api().stage("prod");
        let waits = Some(stage(false, false));
        assert!(unlisted(&target(Protocol::WebSocket), waits.as_ref()).is_some());
        assert_eq!(unlisted(&target(Protocol::Http), waits.as_ref()), None);
        assert_eq!(
            unlisted(&target(Protocol::WebSocket), Some(&stage(true, false))),
            None
        );
        assert_eq!(unlisted(&target(Protocol::WebSocket), None), None);
    }

    #[test]
    fn a_route_of_quick_create_is_named() {
        let managed = Method {
            is_managed: true,
            ..Method::new("", "$default")
        };
        let other = Method::new("GET", "/orders");
        let api = api(Protocol::Http);
        let told = managed_routes(&api, [&other, &managed, &managed].into_iter());
        let text = "$default of HTTP API a1b2c3d4e5 was created by quick create: API Gateway may refuse to set its authorizer; then `up` \
                    fails, and `api.except` must leave it out";
        assert_eq!(told.as_deref(), Some(text));
        assert_eq!(managed_routes(&api, [&other].into_iter()), None);
    }
}
