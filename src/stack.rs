//! Converts a configuration to the desired stack: its resources and their needs. Pure.

mod own_vpc;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock};

use serde_json::json;

use crate::api_gateway::{ApiTarget, AuthorizerSettings, Protocol};
use crate::config::{
    CacheKind, Choice as _, Config, CredentialLocation, MetricSeries, Mode, NatMode, Vpc,
};
use crate::engine_version::{EngineVersion, WantedEngine};
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::monitoring::{self, Subject};
use crate::names::Names;
use crate::package::Package;
use crate::resource::alarm::Alarm;
use crate::resource::api_attachment::{ApiAttachment, Publication, Standing, Wanted};
use crate::resource::api_authorizer::{ApiAuthorizer, attached_name};
use crate::resource::cache::{Cache, TokenChange};
use crate::resource::cache_group::PORT;
use crate::resource::cache_subnet_group::CacheSubnetGroup;
use crate::resource::cache_user::CacheUser;
use crate::resource::cache_user_group::CacheUserGroup;
use crate::resource::dashboard::Dashboard;
use crate::resource::elastic_ip::ElasticIp;
use crate::resource::function::{self, Function};
use crate::resource::function_alias::{FunctionAlias, Goal};
use crate::resource::function_permission::{FunctionPermission, Invoker};
use crate::resource::health_check::SelfTestGate;
use crate::resource::iam_role::IamRole;
use crate::resource::internet_gateway::InternetGateway;
use crate::resource::log_group::LogGroup;
use crate::resource::nat_gateway::NatGateway;
use crate::resource::nat_instance::NatInstance;
use crate::resource::nat_instance_listing;
use crate::resource::parameter::{self, PlainParameter, SecretParameter, Source};
use crate::resource::route_table::{RouteTable, Target};
use crate::resource::schedule::Schedule;
use crate::resource::security_group::{self, Admits, SecurityGroup};
use crate::resource::serverless_cache::ServerlessCache;
use crate::resource::subnet::Subnet;
use crate::resource::vpc;
use crate::resource::vpc_endpoint::{self, VpcEndpoint};
use crate::resource::{DynResource, Reference};
use crate::responses::{LimitStatus, Responses};
use crate::secret::Secret;
use crate::stored::Stored;

pub use self::own_vpc::{NatPlace, OwnVpc, Way, Ways, subnet_id};

/// The authorizer must answer well before API Gateway's timeout of 29 s; the reporter works in
/// batches.
const TIMEOUTS: [(&str, i32); 2] = [("authorizer", 5), ("reporter", 50)];

/// The name of the address of the NAT instance.
pub const NAT_INSTANCE: &str = "nat-instance";

/// Facts that the configuration does not contain.
#[derive(Debug, Clone)]
pub struct Facts {
    pub names: Names,
    /// The domain of the region's endpoints.
    pub dns_suffix: String,
    /// The API and the first of its stages.
    pub api: ApiTarget,
    /// The other stages.
    pub more_stages: Vec<ApiTarget>,
    /// The base paths of the custom domain names that lead to the stages, by domain name. Empty unless the authorizer needs them.
    pub base_paths: BTreeMap<String, Vec<String>>,
    /// Availability Zones by index.
    pub zones: Vec<String>,
    /// The operator's own VPC, if the configuration names one that exists.
    pub own_vpc: Option<OwnVpc>,
    /// The first configured subnet of each zone of the operator's own VPC: those of an endpoint.
    pub endpoint_subnets: Vec<String>,
    /// The names under which the configured secrets and the address of the cache are stored; see [`parameter::names`].
    pub secrets: BTreeMap<&'static str, String>,
}

impl Facts {
    /// The stages of the API, the first one first.
    pub fn stages(&self) -> impl Iterator<Item = &ApiTarget> {
        [&self.api].into_iter().chain(&self.more_stages)
    }
}

/// The secrets from the configuration, by their plain names.
pub fn secrets_of(config: &Config) -> Vec<(&'static str, &Secret)> {
    let token = (parameter::SERVICE_TOKEN, &config.threescale.service_token);
    let url = config.cache.url.as_ref();
    [token]
        .into_iter()
        .chain(url.map(|url| (parameter::CACHE_URL, url)))
        .collect()
}

fn id(kind: Kind, name: &str) -> LogicalId {
    LogicalId::new(kind, name)
}

/// The letter of a zone in resource names: `a` for the first.
pub fn letter(zone: usize) -> String {
    char::from(b'a' + u8::try_from(zone % 26).unwrap_or_default()).to_string()
}

/// The index of the zone with this letter.
pub fn index(letter: &str) -> Option<usize> {
    let letter = letter.bytes().next()?;
    letter.checked_sub(b'a').map(usize::from)
}

/// The resources of the stack, in no particular order.
pub fn desired(
    config: &Config,
    facts: &Facts,
    package: &Arc<Package>,
    proof: &Arc<SelfTestGate>,
    publication: &Arc<Publication>,
) -> Vec<Arc<dyn DynResource>> {
    let mut nodes: Vec<Arc<dyn DynResource>> = Vec::new();
    let network = network(config, facts, &mut nodes);
    if let Some(vpc) = &network.vpc
        && config.authorizer.security_groups.is_empty()
    {
        nodes.push(Arc::new(SecurityGroup {
            name: security_group::AUTHORIZER.to_owned(),
            vpc: vpc.clone(),
            description: "threescale-gw: the authorizer",
            admits: Admits::Nothing,
        }));
    }
    let mut after = network.ways_out.clone();
    after.extend(endpoint(config, facts, &network, &mut nodes));
    after.extend(cache(config, &network, &mut nodes));
    after.extend(secrets(config, &mut nodes));
    after.extend(stored(config, &mut nodes));
    let protection = config.deletion_protection.then(|| "true".to_owned());
    let records = [
        (parameter::DELETION_PROTECTION, protection),
        (parameter::KMS_KEY, config.authorizer.kms_key.clone()),
        (
            parameter::MONITORING,
            config.monitoring.is_wanted().then(|| "true".to_owned()),
        ),
    ];
    for (name, value) in records {
        let Some(value) = value else { continue };
        nodes.push(Arc::new(PlainParameter {
            name: name.into(),
            source: Source::Given(Secret::from(value)),
            key_record: None,
        }));
    }
    if config.authorizer.role_arn.is_none() {
        nodes.push(Arc::new(IamRole {
            boundary: config.authorizer.permissions_boundary.clone(),
        }));
    }
    for name in function::NAMES {
        let days = i32::try_from(config.authorizer.log_retention_days).unwrap_or(i32::MAX);
        nodes.push(Arc::new(LogGroup {
            name,
            retention_days: days,
        }));
    }
    let [authorizer, reporter] = functions(config, facts, package, &network);
    nodes.push(authorizer.clone());
    nodes.push(reporter.clone());
    let api_authorizer = id(Kind::ApiAuthorizer, "main");
    let protocol = facts.api.protocol;
    let asks = AuthorizerSettings::of(protocol, &identity_source(config, protocol));
    nodes.push(Arc::new(FunctionAlias {
        function: authorizer,
        after,
        goal: Goal::Proved {
            proof: Arc::clone(proof),
            asks: asks.clone(),
        },
    }));
    nodes.push(Arc::new(FunctionAlias {
        function: reporter,
        // The reporter is updated only after the authorizer's version is verified.
        after: vec![id(Kind::FunctionAlias, "authorizer")],
        goal: Goal::Following {
            proof: Arc::clone(proof),
        },
    }));
    nodes.extend(invokers(config, &api_authorizer));
    nodes.push(Arc::new(ApiAuthorizer {
        api: facts.api.clone(),
        more: facts.more_stages.clone(),
        asks: asks.clone(),
        after: scheduled(config)
            .into_iter()
            .chain([id(Kind::FunctionAlias, "authorizer")])
            .collect(),
        proof: Arc::clone(proof),
    }));
    let wanted = Wanted {
        protect: config.api.protect.clone(),
        except: config.api.except.clone(),
        served: None,
        responses: config.api.responses.clone(),
        asks,
    };
    let mut before = None;
    for target in facts.stages() {
        let attachment = attachment(facts, target, wanted.clone(), publication, proof, before);
        before = Some(id(Kind::ApiAttachment, &attachment.name));
        nodes.push(Arc::new(attachment));
    }
    watched(config, facts, &mut nodes);
    nodes
}

/// The attachment to a stage. `after`: that to the stage before it.
fn attachment(
    facts: &Facts,
    target: &ApiTarget,
    wanted: Wanted,
    publication: &Arc<Publication>,
    proof: &Arc<SelfTestGate>,
    after: Option<LogicalId>,
) -> ApiAttachment {
    ApiAttachment {
        name: attached_name(Some(&facts.api), target),
        api: target.clone(),
        wanted,
        publication: Arc::clone(publication),
        authorizer: id(Kind::ApiAuthorizer, "main"),
        permission: id(Kind::FunctionPermission, "api"),
        after,
        proof: Arc::clone(proof),
        token: OnceLock::new(),
    }
}

/// The alarms and the dashboard.
fn watched(config: &Config, facts: &Facts, nodes: &mut Vec<Arc<dyn DynResource>>) {
    let subject = Subject {
        names: facts.names.clone(),
        timeout: config.threescale.timeout,
        report_every: scheduled(config).map(|_| config.authorizer.report_every),
    };
    let topic = config.monitoring.topic.as_ref();
    if let Some(topic) = topic {
        for alarm in monitoring::alarms(&subject) {
            nodes.push(Arc::new(Alarm {
                name: alarm.name,
                settings: alarm.settings,
                topic: topic.clone(),
            }));
        }
    }
    if config.monitoring.dashboard {
        nodes.push(Arc::new(Dashboard {
            body: monitoring::dashboard(&subject, topic.is_some()),
        }));
    }
}

/// The resources that move API and schedule from the functions themselves, as in releases without
/// aliases, to their aliases. They change neither the functions nor what is required of callers.
pub fn handover(
    config: &Config,
    facts: &Facts,
    package: &Arc<Package>,
    (target, standing): (&ApiTarget, Standing),
    publication: &Arc<Publication>,
) -> Vec<Arc<dyn DynResource>> {
    let proof = Arc::new(SelfTestGate::given());
    let network = network(config, facts, &mut Vec::new());
    let api_authorizer = id(Kind::ApiAuthorizer, "main");
    let mut nodes = invokers(config, &api_authorizer);
    for function in functions(config, facts, package, &network) {
        nodes.push(Arc::new(FunctionAlias {
            function,
            after: Vec::new(),
            goal: Goal::Standing,
        }));
    }
    nodes.push(Arc::new(ApiAuthorizer {
        api: facts.api.clone(),
        more: facts.more_stages.clone(),
        asks: standing.asks.clone(),
        after: vec![id(Kind::FunctionAlias, "authorizer")],
        proof: Arc::clone(&proof),
    }));
    let wanted = Wanted {
        protect: Vec::new(),
        except: Vec::new(),
        served: Some(standing.methods),
        // The version that the API invokes denies bad keys.
        responses: Responses {
            limits: LimitStatus::Forbidden,
            ..config.api.responses.clone()
        },
        asks: standing.asks,
    };
    nodes.push(Arc::new(attachment(
        facts,
        target,
        wanted,
        publication,
        &proof,
        None,
    )));
    nodes
}

/// The authorizer and the reporter.
fn functions(
    config: &Config,
    facts: &Facts,
    package: &Arc<Package>,
    network: &Network,
) -> [Arc<Function>; 2] {
    TIMEOUTS.map(|(name, timeout)| {
        Arc::new(Function {
            name,
            package: Arc::clone(package),
            architecture: config.authorizer.architecture.as_str(),
            memory: i32::try_from(config.authorizer.memory).unwrap_or(i32::MAX),
            timeout,
            environment: environment(config, facts, name),
            subnets: network.private.clone(),
            security_groups: security_groups(config, network),
            role: match &config.authorizer.role_arn {
                Some(own) => Reference::Given(own.clone()),
                None => Reference::Managed(id(Kind::IamRole, "authorizer")),
            },
            log_group: id(Kind::LogGroup, name),
            key_record: key_record(config),
        })
    })
}

/// The parameter that shows that the stack has a KMS key of the operator, if it has one.
fn key_record(config: &Config) -> Option<LogicalId> {
    let key = config.authorizer.kms_key.as_ref();
    key.map(|_| id(Kind::Parameter, parameter::KMS_KEY))
}

/// The security groups of the functions.
fn security_groups(config: &Config, network: &Network) -> Vec<Reference> {
    let given = &config.authorizer.security_groups;
    match &network.vpc {
        None => Vec::new(),
        Some(_) if given.is_empty() => {
            let group = id(Kind::SecurityGroup, security_group::AUTHORIZER);
            vec![Reference::Managed(group)]
        }
        Some(_) => given.iter().cloned().map(Reference::Given).collect(),
    }
}

/// The schedule of the reporter. Without a cache, there is nothing to report.
fn scheduled(config: &Config) -> Option<LogicalId> {
    (!config.cache.memory).then(|| id(Kind::Schedule, "reporter"))
}

/// The schedule, and the permissions of the schedule and the API to invoke the aliases.
fn invokers(config: &Config, api_authorizer: &LogicalId) -> Vec<Arc<dyn DynResource>> {
    let permission = |name, of, invoker| FunctionPermission {
        name,
        of,
        function: id(Kind::Function, of),
        alias: id(Kind::FunctionAlias, of),
        invoker,
    };
    let mut nodes: Vec<Arc<dyn DynResource>> = vec![Arc::new(permission(
        "api",
        "authorizer",
        Invoker::Authorizer(api_authorizer.clone()),
    ))];
    if scheduled(config).is_some() {
        nodes.push(Arc::new(permission("schedule", "reporter", Invoker::Rule)));
        nodes.push(Arc::new(Schedule {
            every: config.authorizer.report_every,
            alias: id(Kind::FunctionAlias, "reporter"),
            permission: id(Kind::FunctionPermission, "schedule"),
        }));
    }
    nodes
}

/// The network resources that other resources need.
#[derive(Debug, Default)]
struct Network {
    /// `None` if the functions run outside a VPC.
    vpc: Option<Reference>,
    private: Vec<Reference>,
    /// The route tables: without them, 3scale cannot be reached.
    ways_out: Vec<LogicalId>,
}

fn network(config: &Config, facts: &Facts, nodes: &mut Vec<Arc<dyn DynResource>>) -> Network {
    if config.network.vpc == Vpc::None {
        return Network::default();
    }
    if let (Some(own), Some(vpc)) = (config.network.existing(), &facts.own_vpc) {
        return own_vpc::network(config, own, vpc, nodes);
    }
    let vpc = id(Kind::Vpc, "main");
    let internet_gateway = id(Kind::InternetGateway, "main");
    nodes.push(Arc::new(vpc::Vpc {
        cidr: config.network.cidr.to_string(),
    }));
    nodes.push(Arc::new(InternetGateway {
        name: "main".to_owned(),
        vpc: Reference::Managed(vpc.clone()),
    }));
    let mut public = Vec::new();
    let mut private = Vec::new();
    for plan in config.network.subnets() {
        let side = if plan.public { "public" } else { "private" };
        let name = format!("{side}-{}", letter(plan.zone_index));
        let subnet = id(Kind::Subnet, &name);
        if plan.public {
            public.push(subnet)
        } else {
            private.push(subnet)
        }
        let zone = facts
            .zones
            .get(plan.zone_index)
            .cloned()
            .unwrap_or_default();
        nodes.push(Arc::new(Subnet {
            name,
            vpc: Reference::Managed(vpc.clone()),
            cidr: plan.cidr.to_string(),
            zone,
        }));
    }
    let gateways = config.network.nat_gateways();
    for (index, subnet) in public.iter().take(gateways).enumerate() {
        let name = letter(index);
        let address = match config.network.elastic_ips.get(index) {
            Some(own) => Reference::Given(own.clone()),
            None => {
                nodes.push(Arc::new(ElasticIp { name: name.clone() }));
                Reference::Managed(id(Kind::ElasticIp, &name))
            }
        };
        nodes.push(Arc::new(NatGateway {
            subnet: Reference::Managed(subnet.clone()),
            address,
            internet_gateway: Reference::Managed(internet_gateway.clone()),
            name,
        }));
    }
    if config.network.nat == NatMode::Instance {
        instance(config, &vpc, &public, nodes);
    }
    nodes.push(Arc::new(RouteTable {
        name: "public".to_owned(),
        vpc: Reference::Managed(vpc.clone()),
        target: Target::InternetGateway(Reference::Managed(internet_gateway)),
        subnets: public,
    }));
    let mut ways_out = vec![id(Kind::RouteTable, "public")];
    let gateway =
        |zone| Target::NatGateway(Reference::Managed(id(Kind::NatGateway, &letter(zone))));
    let tables: Vec<(String, Target, Vec<LogicalId>)> = match config.network.nat {
        // A created VPC without a way out is refused with the configuration.
        NatMode::Single | NatMode::None => {
            vec![("private".to_owned(), gateway(0), private.clone())]
        }
        NatMode::Instance => vec![(
            "private".to_owned(),
            Target::NatInstance(id(Kind::NatInstance, &letter(0))),
            private.clone(),
        )],
        NatMode::PerZone => private
            .iter()
            .enumerate()
            .map(|(zone, subnet)| {
                (
                    format!("private-{}", letter(zone)),
                    gateway(zone),
                    vec![subnet.clone()],
                )
            })
            .collect(),
    };
    for (name, target, subnets) in tables {
        ways_out.push(id(Kind::RouteTable, &name));
        nodes.push(Arc::new(RouteTable {
            name,
            vpc: Reference::Managed(vpc.clone()),
            target,
            subnets,
        }));
    }
    let private = private.into_iter().map(Reference::Managed).collect();
    Network {
        vpc: Some(Reference::Managed(vpc)),
        private,
        ways_out,
    }
}

/// The security group of the NAT instance, which admits the functions' subnets.
fn nat_group(vpc: Reference, ranges: Vec<String>) -> SecurityGroup {
    SecurityGroup {
        name: nat_instance_listing::GROUP_NAME.to_owned(),
        vpc,
        description: "threescale-gw: the NAT instance",
        admits: Admits::Subnets(ranges),
    }
}

/// The NAT instance in the first public subnet, with its address and its security group.
fn instance(
    config: &Config,
    vpc: &LogicalId,
    public: &[LogicalId],
    nodes: &mut Vec<Arc<dyn DynResource>>,
) {
    let Some(subnet) = public.first() else {
        return;
    };
    let address = match config.network.elastic_ips.first() {
        Some(own) => Reference::Given(own.clone()),
        None => {
            // Not that of the NAT gateway, which has its address until it is deleted.
            let name = NAT_INSTANCE.to_owned();
            let address = Reference::Managed(id(Kind::ElasticIp, &name));
            nodes.push(Arc::new(ElasticIp { name }));
            address
        }
    };
    let private = config.network.subnets().into_iter();
    let private = private.filter(|plan| !plan.public);
    let ranges = private.map(|plan| plan.cidr.to_string());
    let group = nat_group(Reference::Managed(vpc.clone()), ranges.collect());
    nodes.push(Arc::new(group));
    nodes.push(Arc::new(NatInstance {
        name: letter(0),
        subnet: Reference::Managed(subnet.clone()),
        security_group: id(Kind::SecurityGroup, nat_instance_listing::GROUP_NAME),
        address,
        internet_gateway: Reference::Managed(id(Kind::InternetGateway, "main")),
        route_table: Some(id(Kind::RouteTable, "public")),
        former_failures: Mutex::default(),
    }));
}

/// The port of the endpoints of AWS services.
const HTTPS: u16 = 443;

/// The endpoint of the Parameter Store, with its security group.
fn endpoint(
    config: &Config,
    facts: &Facts,
    network: &Network,
    nodes: &mut Vec<Arc<dyn DynResource>>,
) -> Option<LogicalId> {
    let vpc = network.vpc.as_ref().filter(|_| config.network.endpoints)?;
    nodes.push(Arc::new(SecurityGroup {
        name: vpc_endpoint::GROUP_NAME.to_owned(),
        vpc: vpc.clone(),
        description: "threescale-gw: the endpoint of the Parameter Store",
        admits: Admits::Functions(HTTPS, security_groups(config, network)),
    }));
    let (name, subnets) = match vpc {
        Reference::Managed(_) => ("ssm".to_owned(), network.private.clone()),
        Reference::Given(own) => {
            let name = LogicalId::in_vpc(Kind::VpcEndpoint, "ssm", own).name;
            let subnets = facts.endpoint_subnets.iter().cloned();
            let subnets = subnets.map(Reference::Given);
            // Those that the stack creates are in different zones.
            let created = network.private.iter();
            let created = created.filter(|subnet| matches!(subnet, Reference::Managed(_)));
            (name, subnets.chain(created.cloned()).collect())
        }
    };
    let endpoint = id(Kind::VpcEndpoint, &name);
    nodes.push(Arc::new(VpcEndpoint {
        name,
        vpc: vpc.clone(),
        subnets,
        security_group: id(Kind::SecurityGroup, vpc_endpoint::GROUP_NAME),
    }));
    Some(endpoint)
}

/// The name of the security group of the cache.
pub fn security_group_of_cache(config: &Config) -> &'static str {
    match config.cache.kind {
        CacheKind::Node => security_group::CACHE,
        CacheKind::Serverless => security_group::SERVERLESS_CACHE,
    }
}

/// The cache and its parameters; returns what the authorizer needs of it.
fn cache(
    config: &Config,
    network: &Network,
    nodes: &mut Vec<Arc<dyn DynResource>>,
) -> Vec<LogicalId> {
    if let Some(url) = &config.cache.url {
        let source = Source::Given(url.clone());
        nodes.push(Arc::new(SecretParameter {
            name: parameter::CACHE_URL.into(),
            source,
            key_record: key_record(config),
        }));
        return vec![id(Kind::Secret, parameter::CACHE_URL)];
    }
    let Some(vpc) = network.vpc.as_ref().filter(|_| config.cache.is_created()) else {
        return Vec::new();
    };
    let group_name = security_group_of_cache(config);
    let group = id(Kind::SecurityGroup, group_name);
    nodes.push(Arc::new(SecurityGroup {
        name: group_name.to_owned(),
        vpc: vpc.clone(),
        description: "threescale-gw: the cache",
        admits: Admits::Functions(PORT, security_groups(config, network)),
    }));
    let auth_token = id(Kind::Secret, parameter::CACHE_AUTH_TOKEN);
    if config.cache.tls {
        // 64 hexadecimal digits meet ElastiCache's limits of 16 to 128 characters and its character set.
        nodes.push(Arc::new(SecretParameter {
            name: parameter::CACHE_AUTH_TOKEN.into(),
            source: Source::Random(OnceLock::new()),
            key_record: key_record(config),
        }));
    }
    let cache = match config.cache.kind {
        CacheKind::Node => {
            nodes.push(Arc::new(CacheSubnetGroup {
                subnets: network.private.clone(),
            }));
            nodes.push(Arc::new(Cache {
                engine: engine(config),
                node_type: config.cache.node_type.clone(),
                replicas: config.cache.replicas,
                multi_az: config.network.zones > 1,
                tls: config.cache.tls,
                subnet_group: id(Kind::CacheSubnetGroup, "main"),
                security_group: group.clone(),
                auth_token: config.cache.tls.then_some(auth_token),
                token_change: TokenChange::default(),
            }));
            id(Kind::Cache, "main")
        }
        CacheKind::Serverless => {
            let user = id(Kind::CacheUser, "main");
            nodes.push(Arc::new(CacheUser {
                auth_token,
                security_group: group.clone(),
                token_change: TokenChange::default(),
            }));
            nodes.push(Arc::new(CacheUserGroup { user }));
            nodes.push(Arc::new(ServerlessCache {
                engine: engine(config),
                subnets: network.private.clone(),
                security_group: group.clone(),
                user_group: id(Kind::CacheUserGroup, "main"),
            }));
            id(Kind::ServerlessCache, "main")
        }
    };
    let source = Source::Endpoint {
        cache,
        tls: config.cache.tls,
    };
    nodes.push(Arc::new(PlainParameter {
        name: parameter::CACHE_ENDPOINT.into(),
        source,
        key_record: None,
    }));
    // A version of the functions in other security groups needs their rule, also where the cache does not change.
    vec![id(Kind::Parameter, parameter::CACHE_ENDPOINT), group]
}

/// The configured engine, with the pinned version if the configuration names none.
pub fn engine(config: &Config) -> WantedEngine {
    let engine = config.cache.engine.as_str();
    let named = config.cache.engine_version;
    WantedEngine {
        engine,
        version: named.unwrap_or_else(|| match config.cache.kind {
            CacheKind::Node => EngineVersion::pinned(engine),
            CacheKind::Serverless => EngineVersion::PINNED_SERVERLESS,
        }),
        is_named: named.is_some(),
    }
}

fn secrets(config: &Config, nodes: &mut Vec<Arc<dyn DynResource>>) -> Vec<LogicalId> {
    let token = Source::Given(config.threescale.service_token.clone());
    nodes.push(Arc::new(SecretParameter {
        name: parameter::SERVICE_TOKEN.into(),
        source: token,
        key_record: key_record(config),
    }));
    nodes.push(Arc::new(SecretParameter {
        name: parameter::HASH_KEY.into(),
        source: Source::Random(OnceLock::new()),
        key_record: key_record(config),
    }));
    vec![
        id(Kind::Secret, parameter::SERVICE_TOKEN),
        id(Kind::Secret, parameter::HASH_KEY),
    ]
}

/// The settings that do not fit into the environment.
fn stored(config: &Config, nodes: &mut Vec<Arc<dyn DynResource>>) -> Vec<LogicalId> {
    let mut parts = Vec::new();
    for (name, value) in config.stored().flat_map(Stored::parameters) {
        parts.push(id(Kind::Parameter, &name));
        nodes.push(Arc::new(PlainParameter {
            name: name.into(),
            source: Source::Given(Secret::from(value.to_owned())),
            key_record: None,
        }));
    }
    parts
}

/// The names of the parameters with the settings that do not fit into the environment.
pub fn stored_names(config: &Config) -> BTreeSet<String> {
    let parameters = config.stored().flat_map(Stored::parameters);
    parameters.map(|(name, _)| name).collect()
}

/// The environment of a function; its contract is in the authorizer's README. It contains no
/// secret.
fn environment(config: &Config, facts: &Facts, role: &str) -> BTreeMap<String, String> {
    let secret = |base: &'static str| {
        let name = facts.secrets.get(base).map_or(base, String::as_str);
        parameter::secret_path(name)
    };
    let cache = match &config.cache.url {
        Some(_) => Some(secret(parameter::CACHE_URL)),
        None if config.cache.memory => None,
        None => {
            let named = facts.secrets.get(parameter::CACHE_ENDPOINT);
            let name = named.map_or(parameter::CACHE_ENDPOINT, String::as_str);
            Some(name.to_owned())
        }
    };
    // Without the variable, the authorizer uses the domain of most regions.
    let suffix = Some(&facts.dns_suffix).filter(|suffix| *suffix != "amazonaws.com");
    let suffix = suffix.map(|suffix| ("THREESCALE_GW_DNS_SUFFIX", suffix.clone()));
    let observes = role == function::NAMES[0] && config.authorizer.mode == Mode::Observe;
    let mode = observes.then(|| (parameter::MODE, parameter::OBSERVE.to_owned()));
    let report =
        (observes && !config.authorizer.report).then(|| (parameter::REPORT, false.to_string()));
    let metrics = config.monitoring.metrics;
    let metrics = (metrics != MetricSeries::default())
        .then(|| (parameter::METRICS, metrics.word().to_owned()));
    let base_paths = (role == function::NAMES[0] && !facts.base_paths.is_empty())
        .then(|| (parameter::BASE_PATHS, json!(facts.base_paths).to_string()));
    [
        ("THREESCALE_GW_ROLE", role.to_owned()),
        ("THREESCALE_GW_STACK", facts.names.stack.clone()),
        ("THREESCALE_GW_PARAMETERS", facts.names.parameters()),
        (parameter::TOKEN_PARAMETER, secret(parameter::SERVICE_TOKEN)),
        (parameter::SETTINGS, config.authorizer_settings()),
    ]
    .into_iter()
    .chain(suffix)
    .chain(mode)
    .chain(report)
    .chain(metrics)
    .chain(base_paths)
    .chain(cache.map(|cache| (parameter::CACHE_PARAMETER, cache)))
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}

/// Whether base paths fit into the environment of the authorizer, beside its settings. Lambda allows 4 KB for all variables.
pub fn fits(config: &Config, base_paths: &BTreeMap<String, Vec<String>>) -> bool {
    const ROOM: usize = 3_400;
    config.authorizer_settings().len() + json!(base_paths).to_string().len() <= ROOM
}

/// Where API Gateway reads the credential: a request without it gets a 401, and the function is not
/// invoked. Empty if the authorizer observes, so that every request invokes it.
fn identity_source(config: &Config, protocol: Protocol) -> String {
    if config.authorizer.mode == Mode::Observe {
        return AuthorizerSettings::NO_IDENTITY_SOURCE.to_owned();
    }
    let prefix = match protocol {
        Protocol::Rest => "method.request",
        Protocol::Http => "$request",
        Protocol::WebSocket => "route.request",
    };
    let credentials = &config.threescale.credentials;
    let place = match credentials.location {
        CredentialLocation::Header => "header",
        CredentialLocation::Query => "querystring",
    };
    format!("{prefix}.{place}.{}", credentials.name)
}
