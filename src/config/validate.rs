//! Rules that concern more than one key.

use serde_json::json;

use super::identifiers::Way;
use super::layout::{LONGEST_SUBNET_PREFIX, longest_vpc_prefix, slices};
use super::read::{Field, Reader, Section, join};
use super::settings::MAX_SETTINGS;
use super::{
    Authorizer, CacheEngine, CacheKind, Caching, Config, CredentialKind, CredentialLocation,
    Credentials, Mode, NatMode, Network, RouteMode, Vpc,
};
use crate::engine_version::{EngineVersion, FIRST_VALKEY, REDIS_VERSIONS};
use crate::pattern::MethodPattern;
use crate::stored::{MAX_COMPRESSED, RULES, Stored, TooLarge};

const NEEDS_CREATE: &str =
    "is for a network whose way out the stack creates: add `network.route: create`, or remove it";

/// AWS allows 50 tags. The stack adds some, and some remain for tags that users add later.
pub(super) const MAX_TAGS: usize = 40;

/// Reports the keys that contradict `reason`, each at its value.
pub(super) fn forbid(reader: &mut Reader<'_>, section: &Section<'_>, keys: &[&str], reason: &str) {
    for field in keys.iter().filter_map(|key| section.field(key)) {
        reader.report(field, reason);
    }
}

/// Limits the number of tags. Keys that differ only in case are the same key for IAM, which refuses both.
pub(super) fn tags(reader: &mut Reader<'_>, section: &Section<'_>) {
    let fields: Vec<(&str, &Field<'_>)> = section.fields().collect();
    if fields.len() > MAX_TAGS {
        let message = format!("must be at most {MAX_TAGS} tags, not {}", fields.len());
        reader.report_at(section.at(), section.path(), &message);
        return;
    }
    for (index, (key, field)) in fields.iter().enumerate() {
        let lower = key.to_lowercase();
        let same = |(other, _): &&(&str, &Field<'_>)| other.to_lowercase() == lower;
        if let Some((_, other)) = fields.iter().take(index).find(same) {
            let message = format!("differs from `{}` only in case", other.path);
            reader.report_at(field.key_at, &field.path, &message);
        }
    }
}

/// Requires exactly one of `id` and `name` to select the API.
pub(super) fn selector(reader: &mut Reader<'_>, section: &Section<'_>) {
    match (section.field("id"), section.field("name")) {
        (Some(id), Some(name)) => {
            let second = if id.key_at < name.key_at { name } else { id };
            reader.report(second, "give either `api.id` or `api.name`, not both");
        }
        (None, None) => reader.report_at(
            section.at(),
            &join(section.path(), "id"),
            "missing; give it, or `api.name`",
        ),
        _ => {}
    }
}

/// At least one method must remain to protect.
pub(super) fn protected(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    protect: &[MethodPattern],
    except: &[MethodPattern],
) {
    let Some(field) = section.field("except") else {
        return;
    };
    let everything = [MethodPattern {
        method: "ANY".to_owned(),
        path: "/*".to_owned(),
    }];
    let protect = if protect.is_empty() {
        &everything
    } else {
        protect
    };
    if protect
        .iter()
        .all(|wanted| except.iter().any(|excepted| excepted.covers(wanted)))
    {
        reader.report(
            field,
            "excludes everything that `api.protect` names: no method would be protected",
        );
    }
}

/// Why a user key has no `key_name`.
pub(super) const USER_KEY_HAS_ONE: &str =
    "is for `kind: app_id` only: a user key has no second key";

/// An application key has its own name, and is allowed only with an application id.
pub(super) fn credentials(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    credentials: &Credentials,
) {
    let Some(field) = section.field("key_name") else {
        if names_clash(credentials) {
            let message =
                "is also the name of the application key, unless `key_name` says otherwise";
            if let Some(field) = section.field("name") {
                reader.report(field, message);
            }
        }
        return;
    };
    if credentials.kind == CredentialKind::UserKey {
        reader.report(field, USER_KEY_HAS_ONE);
    } else if names_clash(credentials) {
        reader.report(field, "must differ from `name`");
    }
}

pub(super) fn names_clash(credentials: &Credentials) -> bool {
    let Some(key_name) = &credentials.key_name else {
        return false;
    };
    match credentials.location {
        CredentialLocation::Header => key_name.eq_ignore_ascii_case(&credentials.name),
        CredentialLocation::Query => *key_name == credentials.name,
    }
}

/// A user's own VPC needs subnets, to use or to create, and excludes the keys of a created one.
pub(super) fn own_network(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    has_nat_gateway: bool,
    route: Option<RouteMode>,
) {
    let (subnets, cidrs) = (section.field("subnets"), section.field("subnet_cidrs"));
    let Some(vpc) = section.field("vpc") else {
        if let Some(subnets) = subnets.or(cidrs) {
            reader.report(subnets, "needs `network.vpc`: the VPC they are in");
        }
        forbid(
            reader,
            section,
            &["route"],
            "needs `network.vpc`: the VPC of the subnets",
        );
        if let Some(nat) = section.field("nat").filter(|_| has_nat_gateway) {
            reader.report(
                nat,
                "needs `network.vpc`: the VPC of the NAT gateway, and `network.route: create`",
            );
        }
        return;
    };
    match (subnets, cidrs) {
        (None, None) => reader.report(
            vpc,
            "needs `network.subnets`, the subnets to use in it, or `network.subnet_cidrs`, the subnets to create",
        ),
        (Some(_), Some(cidrs)) => {
            reader.report(cidrs, "is in place of `network.subnets`: remove one of them");
        }
        _ => {}
    }
    forbid(
        reader,
        section,
        &["cidr", "zones"],
        "is for a managed network: remove it if you use `network.vpc`",
    );
    if route == Some(RouteMode::Existing) {
        forbid(reader, section, &["elastic_ips"], NEEDS_CREATE);
    }
}

/// A VPC of the user has its own way out unless the stack creates it, and one that the stack creates has no other.
pub(super) fn way_out(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    mode: Option<NatMode>,
    route: Option<RouteMode>,
) {
    let (Some(field), Some(mode)) = (section.field("nat"), mode) else {
        return;
    };
    match (section.field("vpc").is_some(), mode, route) {
        (true, NatMode::None, Some(RouteMode::Create)) => reader.report(
            field,
            "contradicts `network.route: create`: remove one of them",
        ),
        (true, NatMode::None, _) => {}
        (true, _, Some(RouteMode::Existing)) => reader.report(field, NEEDS_CREATE),
        (false, NatMode::None, _) => reader.report(
            field,
            "needs `network.vpc`: a VPC that the stack creates has no other way to 3scale; if 3scale has a private address, \
             name a VPC of yours that reaches it",
        ),
        _ => {}
    }
}

/// ElastiCache is reachable only from inside a VPC.
pub(super) fn outside(reader: &mut Reader<'_>, root: &Section<'_>, config: &Config) {
    if let Some(field) = root
        .field("network")
        .filter(|_| config.network.vpc == Vpc::None && config.cache.is_created())
    {
        reader.report(
            field,
            "without a VPC, the stack can have no cache of its own: add `cache: memory`, or `cache.url`",
        );
    }
}

/// Security groups belong to a VPC.
pub(super) fn security_groups(reader: &mut Reader<'_>, section: &Section<'_>, config: &Config) {
    if config.network.vpc == Vpc::None {
        let reason = "is for functions in a VPC: remove it if you use `network: none`";
        forbid(reader, section, &["security_groups"], reason);
    }
}

/// There must be one address for each NAT gateway, or for the NAT instance. With a NAT gateway in each zone of a user's own
/// VPC, their number is known to the plan only.
pub(super) fn elastic_ips(reader: &mut Reader<'_>, section: &Section<'_>, network: &Network) {
    let needed = match (network.is_created(), &network.nat_gateway) {
        (true, _) => network.addresses(),
        (false, Some(_)) => 0,
        (false, None) if network.nat == NatMode::PerZone => return,
        (false, None) => 1,
    };
    let given = network.elastic_ips.len();
    if let Some(field) = section.field("elastic_ips").filter(|_| given != needed) {
        let each = match network.nat {
            NatMode::Instance => "for the NAT instance",
            _ => "for each NAT gateway",
        };
        let message = format!("must name one address {each}: {needed}, not {given}");
        reader.report(field, &message);
    }
}

/// The CIDR block must have room for a public and a private subnet in each zone.
pub(super) fn room(reader: &mut Reader<'_>, section: &Section<'_>, network: &Network) {
    let longest = longest_vpc_prefix(network.zones);
    let Some(field) = section
        .field("cidr")
        .filter(|_| network.cidr.prefix_len() > longest)
    else {
        return;
    };
    let zones = if network.zones == 1 {
        "1 zone".to_owned()
    } else {
        format!("{} zones", network.zones)
    };
    let message = format!(
        "is too small for {zones}: must be /{longest} or larger, to hold {} subnets of at least /{LONGEST_SUBNET_PREFIX}",
        slices(network.zones),
    );
    reader.report(field, &message);
}

/// Redis OSS ends with 7.1, and Valkey begins with 7.2.
pub(super) fn engine_version(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    engine: CacheEngine,
    version: EngineVersion,
) {
    let message = match engine {
        CacheEngine::Redis if !REDIS_VERSIONS.contains(&version) => {
            "must be 6.2, 7.0 or 7.1 for `redis`".to_owned()
        }
        CacheEngine::Valkey if version < FIRST_VALKEY => {
            format!("must be {FIRST_VALKEY} or newer for `valkey`")
        }
        _ => return,
    };
    if let Some(field) = section.field("engine_version") {
        reader.report(field, &message);
    }
}

/// A serverless cache has no nodes of the user, always TLS, and here always Valkey: with Redis OSS, it costs 15 times as much.
pub(super) fn serverless(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    engine: Option<CacheEngine>,
) {
    let reason =
        "is for `kind: node`: a serverless cache has no nodes to choose, and is in several zones";
    forbid(reader, section, &["node_type", "replicas"], reason);
    let reason = "is for `kind: node`: a serverless cache always has TLS";
    forbid(reader, section, &["tls"], reason);
    if let Some(field) = section.field("engine")
        && engine == Some(CacheEngine::Redis)
    {
        reader.report(field, "must be `valkey` for `kind: serverless`");
    }
}

/// A serverless cache is in at least two zones.
pub(super) fn serverless_zones(reader: &mut Reader<'_>, root: &Section<'_>, config: &Config) {
    let is_in_one = config.network.is_created() && config.network.zones < 2;
    if let Some(field) = root.field("cache")
        && config.cache.kind == CacheKind::Serverless
        && is_in_one
    {
        reader.report(
            field,
            "`kind: serverless` needs subnets in two zones: `network.zones` must be 2 or more",
        );
    }
}

/// A user's own cache has its own nodes, and its address determines TLS.
pub(super) fn own_cache(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    url_tls: Option<bool>,
    tls: bool,
) {
    if section.field("url").is_none() {
        return;
    }
    let reason = "is for a managed cache: remove it if you use `cache.url`";
    forbid(
        reader,
        section,
        &["kind", "engine_version", "node_type", "replicas"],
        reason,
    );
    if let (Some(field), Some(url_tls)) = (section.field("tls"), url_tls)
        && url_tls != tls
    {
        let scheme = if url_tls { "rediss://" } else { "redis://" };
        reader.report(
            field,
            &format!("contradicts `cache.url`, which begins with `{scheme}`"),
        );
    }
}

/// A role of the operator is not changed.
pub(super) fn role(reader: &mut Reader<'_>, section: &Section<'_>) {
    if let Some(field) = section.field("permissions_boundary")
        && section.field("role_arn").is_some()
    {
        reader.report(
            field,
            "does not go together with `authorizer.role_arn`, whose role is not changed",
        );
    }
}

/// A cache with a maximum age of zero is no cache.
pub(super) fn age(reader: &mut Reader<'_>, section: &Section<'_>, authorizer: &Authorizer) {
    if let Some(field) = section.field("max_age")
        && authorizer.max_age.is_zero()
        && authorizer.caching != Caching::None
    {
        reader.report(
            field,
            "must be at least `1s`, or set `authorizer.caching: none`",
        );
    }
}

/// What is enforced is counted.
pub(super) fn report(reader: &mut Reader<'_>, section: &Section<'_>, authorizer: &Authorizer) {
    if let Some(field) = section.field("report")
        && !authorizer.report
        && authorizer.mode == Mode::Enforce
    {
        reader.report(field, "needs `authorizer.mode: observe`");
    }
}

/// A caller with an application id sends no user key.
pub(super) fn usage_key(reader: &mut Reader<'_>, section: &Section<'_>, config: &Config) {
    let sent = config.threescale.credentials.kind;
    let wanted = config.api.usage_key;
    if let Some(field) = section.field("usage_key")
        && (wanted, sent) == (Some(CredentialKind::UserKey), CredentialKind::AppId)
    {
        reader.report(field, "must be `app_id`: callers send no user key");
    }
}

/// The service token and the callers' keys are a part of the URL, so plain HTTP is for private networks, and only if that is
/// intended.
pub(super) fn way(reader: &mut Reader<'_>, field: &Field<'_>, way: Way, is_allowed: bool) {
    match way {
        Way::Encrypted | Way::Loopback => {}
        Way::Private if is_allowed => {}
        Way::Private => reader.report(
            field,
            "must begin with `https://`: `http://` sends the service token and the keys of callers unencrypted; \
             `threescale.allow_plain_http: true` allows it",
        ),
        Way::Public => reader.report(
            field,
            "must begin with `https://`: `http://` is for private addresses only, with `threescale.allow_plain_http: true`",
        ),
    }
}

/// The settings must fit into the functions' environment. Mapping rules that do not are stored in parameters.
pub(super) fn settings(reader: &mut Reader<'_>, rules: Option<&Field<'_>>, config: &mut Config) {
    let Some(field) = rules.filter(|_| config.authorizer_settings().len() > MAX_SETTINGS) else {
        return;
    };
    let rules = &config.threescale.mapping_rules;
    match Stored::new(RULES, &json!(rules).to_string(), rules.len()) {
        Ok(stored) => config.threescale.stored_rules = Some(stored),
        Err(TooLarge(size)) => {
            let message = format!(
                "too many or too long: {} rules take {size} bytes, compressed, and at most {MAX_COMPRESSED} fit into the parameters of the stack",
                rules.len(),
            );
            reader.report(field, &message);
        }
    }
}
