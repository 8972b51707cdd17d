//! Checks that find problems before anything is changed. All findings are reported together. Pure.

use jiff::Timestamp;

use crate::action::Action;
use crate::api_gateway::Api;
use crate::aws::account::{Address, Quota, QuotaKind};
use crate::aws::tags;
use crate::config::{ApiSelector, Config, Vpc};
use crate::engine::plan::Item;
use crate::engine_version;
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::package::Supply;
use crate::resource::{Field, Phase, Unmanaged, cache, cache_group, nat_instance, parameter};
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api_gateway::Protocol;
    use crate::preflight::examples::config;
    use crate::resource::Output;

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
}
