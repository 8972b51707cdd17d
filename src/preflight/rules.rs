//! Checks that find problems before anything is changed. All findings are reported together. Pure.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::json;

use crate::action::Action;
use crate::api_gateway::http::DEFAULT_ROUTE;
use crate::api_gateway::rest::definition::API_KEY_SOURCE;
use crate::api_gateway::{
    Api, ApiTarget, AuthorizationType, Authorizer, Draft, Method, Protocol, Stage,
};
use crate::aws::account::{Address, Quota, QuotaKind};
use crate::aws::tags;
use crate::config::{ApiSelector, Config, Mode, Vpc};
use crate::decision::guarded;
use crate::engine::plan::Item;
use crate::engine_version;
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::nearest::nearest;
use crate::package::Supply;
use crate::pattern::MethodPattern;
use crate::printable::line;
use crate::resource::api_attachment::record::Record;
use crate::resource::api_attachment::{other_stacks, responses, selection, undeployed_changes};
use crate::resource::{Field, Phase, Unmanaged, cache, cache_group, nat_instance, parameter};
use crate::responses::LimitStatus;
use crate::stack;

/// Selects the API that the configuration names. `place`: where it was looked for.
///
/// # Errors
/// One line that lists what was found instead.
pub fn choose_api(selector: &ApiSelector, place: &str, found: &[Api]) -> Result<Api, String> {
    let wanted = match selector {
        ApiSelector::Id(id) => format!("id {id}"),
        ApiSelector::Name(name) => format!("name {name}"),
    };
    match found {
        [api] => Ok(api.clone()),
        [] => Err(format!("no API has the {wanted} in {place}")),
        several => {
            let listed = several.iter();
            let listed: Vec<_> = listed
                .map(|api| format!("{} {}", api.protocol, api.id))
                .collect();
            Err(format!(
                "{} APIs have the {wanted} in {place} ({}): give `api.id`",
                several.len(),
                listed.join(", ")
            ))
        }
    }
}

/// Checks that the region has enough Availability Zones.
pub fn zones(config: &Config, zones: &[String]) -> Option<String> {
    let wanted = usize::from(config.network.zones);
    (zones.len() < wanted).then(|| {
        format!(
            "`network.zones` is {wanted}, and the region offers {} availability zones",
            zones.len()
        )
    })
}

/// Lists the resources of other owners that use this stack's names.
pub fn unmanaged<'a>(found: impl IntoIterator<Item = &'a Unmanaged>) -> Vec<String> {
    let text = |found: &Unmanaged| {
        format!(
            "{} cannot be created: {} already exists and {}",
            found.id, found.physical_id, found.why
        )
    };
    found.into_iter().map(text).collect()
}

/// Names the configured addresses that the NAT gateways cannot have. `new` are those of NAT gateways to create.
pub fn elastic_ips(
    given: &[String],
    new: &[String],
    found: &[Address],
    stack: &str,
) -> Vec<String> {
    let problem = |id: &String| {
        let Some(address) = found.iter().find(|address| address.id == *id) else {
            return Some(format!(
                "there is no address {id} in this account and region"
            ));
        };
        if tags::owner(stack, &address.tags).is_some() {
            return Some(format!(
                "{id} has the tags of this stack, which releases its own addresses: remove the tags `threescale-gw:...`"
            ));
        }
        let used_by = address.used_by.as_ref().filter(|_| new.contains(id))?;
        Some(format!(
            "{id} is in use by {used_by}: disassociate it, or name another address"
        ))
    };
    let problems = given.iter().filter_map(problem);
    problems
        .map(|problem| format!("network.elastic_ips: {problem}"))
        .collect()
}

/// Says that 3scale sees other addresses after the plan. `given` are those of the operator.
pub fn new_addresses(items: &[Item], given: &[String]) -> Option<String> {
    let is_gateway = |item: &&Item| matches!(item.id.kind, Kind::NatGateway | Kind::NatInstance);
    let mut gateways = items.iter().filter(is_gateway);
    let stays = |item: &Item| !matches!(item.action, Action::Create | Action::Delete);
    let (mut left, mut made) = (Vec::new(), 0);
    let mut has_one = false;
    for item in gateways.by_ref() {
        has_one |= stays(item);
        match item.action {
            Action::Delete => left.extend(item.output.attributes.get("public_ip").cloned()),
            Action::Create => made += 1,
            _ => {}
        }
    }
    if made == 0 || (left.is_empty() && !has_one) {
        return None;
    }
    left.retain(|ip| !ip.is_empty());
    let place = match left.as_slice() {
        [] => String::new(),
        left => format!(" in place of {}", left.join(", ")),
    };
    let sees = match made {
        1 => "a new address".to_owned(),
        several => format!("{several} new addresses"),
    };
    let remedy = match given.is_empty() {
        true => "name addresses of your own in `network.elastic_ips`, and admit them first",
        false => "admit those of `network.elastic_ips` first",
    };
    Some(format!(
        "3scale sees {sees}{place} after this change: if a firewall in front of 3scale admits addresses, {remedy}"
    ))
}

/// Names a resource in a state that does not end by itself.
pub fn blocked(item: &Item) -> Option<String> {
    match &item.phase {
        Some(Phase::Blocked { state, hint }) => Some(format!(
            "{} is in the state {state}, which does not end by itself: {hint}",
            item.id
        )),
        _ => None,
    }
}

/// Says when AWS ends the standard support of the version that the cache has after the plan.
pub fn engine_support(items: &[Item], config: &Config) -> Option<String> {
    let is_cache = |item: &&Item| item.id == LogicalId::new(Kind::Cache, "main");
    let item = items.iter().find(is_cache)?;
    let mut changes = item.changes.iter();
    let stays = !changes.any(|change| change.field == cache::ENGINE_VERSION);
    let actual = cache_group::engine_of(&item.output.attributes).filter(|_| stays);
    let wanted = stack::engine(config);
    let (engine, version) = actual.unwrap_or((wanted.engine, wanted.version));
    let today = Timestamp::now().strftime("%Y-%m-%d").to_string();
    let text = engine_version::support(engine, version, &today)?;
    Some(format!("{}: {text}", item.id))
}

/// Says that the way to 3scale is not encrypted.
pub fn plain_http(config: &Config) -> Option<String> {
    let threescale = &config.threescale;
    let is_plain = threescale.allow_plain_http && threescale.backend.starts_with("http://");
    is_plain.then(|| {
        format!(
            "threescale.backend: the functions send the service token and the keys of callers to {} unencrypted",
            threescale.backend
        )
    })
}

/// Says where the code of the functions comes from, unless the configuration does.
pub fn supply(supply: &Supply) -> Option<String> {
    let is_configured = matches!(supply, Supply::Artifact(_));
    (!is_configured).then(|| format!("the code of the authorizer is {supply}"))
}

/// Whether the plan gives a cache the configured node type.
pub fn sets_node_type(item: &Item) -> bool {
    let is_made = matches!(item.action, Action::Create | Action::Replace);
    let mut changes = item.changes.iter();
    item.id.kind == Kind::Cache
        && (is_made || changes.any(|change| change.field == cache::NODE_TYPE))
}

/// Says that a zone does not have the instance type of a NAT instance.
pub fn instance_type(id: &LogicalId, zone: &str) -> String {
    format!(
        "{id}: Amazon EC2 offers no {} in {zone}: use `network.nat: single`, or subnets in other zones",
        nat_instance::INSTANCE_TYPE
    )
}

/// Says that the Region does not have the node type.
pub fn node_type(node_type: &str, region: &str) -> String {
    format!(
        "cache.node_type: ElastiCache offers no {node_type} in {region}: choose another node type, or `cache.kind: serverless`"
    )
}

/// Says what a plan loses that replaces the cache.
pub fn replaced_cache(items: &[Item]) -> Option<String> {
    let is_replaced = |item: &&Item| item.id.kind.holds_usage() && item.action == Action::Replace;
    let item = items.iter().find(is_replaced)?;
    Some(format!(
        "{} is replaced: its usage is delivered to 3scale first; what is counted after that, until the cache is deleted, is lost; \
         until the new cache is available, 3scale is asked for every request",
        item.id
    ))
}

/// Says how the functions move to another network.
pub fn moves(items: &[Item]) -> Vec<String> {
    let is_left = |item: &&Item, kind| item.id.kind == kind && item.id.is_former();
    let left = |kind| items.iter().filter(move |item| is_left(item, kind));
    let id = |item: &Item| item.physical_id.clone().unwrap_or_default();
    let mut notices = Vec::new();
    if left(Kind::SecurityGroup).next().is_some() {
        notices.push(
            "the functions move to another network without an interruption: the former network stays until new versions of both \
             functions have passed their self-test in the new one and are live; 3scale then sees another public address"
                .to_owned(),
        );
    }
    let caches = left(Kind::Cache).chain(left(Kind::ServerlessCache));
    notices.extend(caches.map(|cache| {
        let desired = LogicalId::new(cache.id.kind, "main");
        let is_moved = items.iter().any(|item| item.id == desired);
        let cannot = match is_moved {
            true => "move it to another network",
            false => "change its kind",
        };
        format!(
            "cache {} stays until no function uses it: ElastiCache cannot {cannot}, so a second one is created; the \
             reporter delivers the usage in the former one to 3scale before it is deleted, and the new one starts empty",
            id(cache)
        )
    }));
    notices
}

/// Says what a stack gives up that is created without a cache, or leaves it.
pub fn memory(items: &[Item], config: &Config) -> Option<String> {
    let leaves_cache = Field::Item("environment", parameter::CACHE_PARAMETER.to_owned());
    let mut functions = items.iter().filter(|item| item.id.kind == Kind::Function);
    let is_new = functions.any(|item| {
        let mut changes = item.changes.iter();
        item.action == Action::Create || changes.any(|change| change.field == leaves_cache)
    });
    (config.cache.memory && is_new).then(|| {
        let idle = match config.network.vpc {
            Vpc::None => ", and nothing costs money while there are no requests",
            Vpc::Created | Vpc::Existing(_) => "",
        };
        format!(
            "`cache: memory`: each request waits for 3scale, which decides and counts it{idle}; what a process remembers of earlier \
             answers is lost with it"
        )
    })
}

/// Lists the quotas that the resources to create would exceed. `quotas` covers the zones that get a
/// NAT gateway.
pub fn quotas(new: &[LogicalId], quotas: &[Quota]) -> Vec<String> {
    let count = |kind| new.iter().filter(|id| id.kind == kind).count();
    quotas
        .iter()
        .filter_map(|quota| {
            let need = match quota.kind {
                QuotaKind::Vpcs => count(Kind::Vpc),
                QuotaKind::ElasticIps => count(Kind::ElasticIp),
                // One NAT gateway per zone.
                QuotaKind::NatGateways(_) => count(Kind::NatGateway).min(1),
            };
            (need > 0 && quota.used + need > quota.limit).then(|| {
                format!(
                    "{need} more needed, but the quota for {} is {} and {} are used",
                    quota.kind, quota.limit, quota.used
                )
            })
        })
        .collect()
}

/// The least number of concurrent executions that is not reported. New accounts have 10.
const CONCURRENCY: i32 = 100;

/// Describes a low limit of the account's concurrent executions.
pub fn concurrency(limit: Option<i32>) -> Option<String> {
    // The SDK reads an absent limit as 0.
    let limit = limit.filter(|limit| (1..CONCURRENCY).contains(limit))?;
    Some(format!(
        "Lambda runs at most {limit} executions at a time in this account and region, for all functions together; callers \
         beyond that receive a 500: request an increase of the quota \"Concurrent executions\" of Lambda"
    ))
}

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
    use crate::resource::Output;

    fn config(extra: &str) -> Config {
        let text = format!(
            "stack: orders\napi: {{name: orders-api, stage: prod{extra}}}\nthreescale: {{service_id: '1', service_token: t}}\n"
        );
        crate::config::load("test.yaml", &text, &|_| None).expect("a configuration")
    }

    fn method(path: &str, authorization: &str) -> Method {
        Method {
            path: path.to_owned(),
            method: "GET".to_owned(),
            resource_id: "r".to_owned(),
            authorization: authorization.into(),
            ..Method::default()
        }
    }

    #[test]
    fn an_api_must_be_there_and_be_one() {
        let api = |id: &str| Api {
            id: id.to_owned(),
            name: "orders-api".to_owned(),
            ..Api::default()
        };
        let place = "account 123456789012 and Region eu-west-1";
        let choose = |found: &[Api]| choose_api(&config("").api.selector, place, found);
        assert_eq!(
            choose(&[]).err().as_deref(),
            Some("no API has the name orders-api in account 123456789012 and Region eu-west-1")
        );
        assert_eq!(choose(&[api("a")]), Ok(api("a")));
        let http = Api {
            protocol: Protocol::Http,
            ..api("b")
        };
        assert_eq!(
            choose(&[api("a"), http]).expect_err("two"),
            "2 APIs have the name orders-api in account 123456789012 and Region eu-west-1 (REST API a, HTTP API b): give `api.id`"
        );
    }

    #[test]
    fn another_way_out_has_another_address() {
        let item = |id: &str, action, ip: &str| {
            let attributes = [("public_ip", ip.to_owned())].into();
            Item {
                id: id.parse().expect("a logical id"),
                action,
                physical_id: None,
                phase: None,
                changes: Vec::new(),
                output: Output {
                    physical_id: String::new(),
                    attributes,
                },
            }
        };
        let stays = item("nat-gateway/a", Action::None, "192.0.2.1");
        let leaves = item("nat-gateway/a", Action::Delete, "192.0.2.1");
        let made = item("nat-instance/a", Action::Create, "");
        let second = item("nat-gateway/b", Action::Create, "");
        assert_eq!(new_addresses(std::slice::from_ref(&made), &[]), None);
        assert_eq!(new_addresses(std::slice::from_ref(&stays), &[]), None);
        assert_eq!(
            new_addresses(&[leaves, made], &[]).as_deref(),
            Some(
                "3scale sees a new address in place of 192.0.2.1 after this change: if a firewall in front of 3scale admits \
                 addresses, name addresses of your own in `network.elastic_ips`, and admit them first"
            )
        );
        let text = new_addresses(&[stays, second], &["eipalloc-1".to_owned()]);
        let text = text.expect("a notice");
        assert!(
            text.starts_with("3scale sees a new address after"),
            "{text}"
        );
        assert!(
            text.ends_with("admit those of `network.elastic_ips` first"),
            "{text}"
        );
    }

    #[test]
    fn a_quota_counts_only_against_what_is_made() {
        let full = [
            Quota {
                kind: QuotaKind::Vpcs,
                limit: 5,
                used: 5,
            },
            Quota {
                kind: QuotaKind::ElasticIps,
                limit: 5,
                used: 4,
            },
        ];
        let new = [
            LogicalId::new(Kind::Vpc, "main"),
            LogicalId::new(Kind::ElasticIp, "a"),
        ];
        assert_eq!(quotas(&new, &full).len(), 1);
        assert!(quotas(&[], &full).is_empty());
    }

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
    fn an_address_of_ones_own_must_be_free() {
        let address = |id: &str, used_by: Option<&str>, tags: &[(&str, &str)]| Address {
            id: id.to_owned(),
            used_by: used_by.map(str::to_owned),
            tags: tags
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        };
        let ours = [
            ("threescale-gw:stack", "orders"),
            ("threescale-gw:resource", "elastic-ip/a"),
        ];
        let found = [
            address("free", None, &[("team", "a")]),
            address("used", Some("eni-1"), &[]),
            address("ours", None, &ours),
        ];
        let told = |given: &[&str], new: &[&str]| {
            let owned = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
            elastic_ips(&owned(given), &owned(new), &found, "orders")
        };
        assert!(told(&["free"], &["free"]).is_empty());
        // Its NAT gateway exists and uses it.
        assert!(told(&["used"], &[]).is_empty());
        assert!(told(&["used"], &["used"])[0].contains("in use by eni-1"));
        assert!(told(&["ours"], &[])[0].contains("tags of this stack"));
        assert!(told(&["gone"], &[])[0].contains("no address gone"));
    }

    #[test]
    fn a_low_limit_of_concurrent_executions_is_told() {
        for (limit, is_told) in [
            (Some(10), true),
            (Some(100), false),
            (Some(0), false),
            (None, false),
        ] {
            assert_eq!(concurrency(limit).is_some(), is_told, "{limit:?}");
        }
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
