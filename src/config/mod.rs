//! The configuration file: its data model and a strict reader.
//!
//! [`load`] turns the text of a file into a [`Config`] that needs no further checks, or lists every problem with its
//! position. Nothing here accesses files, the network or the process's environment: the caller passes in all inputs.

mod ca_file;
mod document;
mod draft;
mod fields;
mod identifiers;
mod keys;
mod layout;
mod locate;
mod mapping_rule;
mod network;
mod pattern;
mod problem;
mod read;
mod schema;
mod serialized;
mod settings;
mod substitute;
#[cfg(test)]
mod tests;
mod validate;
mod values;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ipnet::Ipv4Net;
use serde::Serialize;

pub use self::ca_file::{BadFile, Certificates, certificates};
pub use self::draft::{Answer, Draft};
pub use self::layout::SubnetPlan;
pub use self::problem::{Invalid, Problem, Problems, Unset};
pub use self::schema::json_schema;
use crate::engine_version::EngineVersion;
use crate::pattern::MethodPattern;
use crate::responses::Responses;
use crate::secret::Secret;
use crate::stored::Stored;

/// Reads a configuration file.
///
/// `file_name` is used only in messages. `env` looks up the environment variables that values reference as `${NAME}` or
/// `${NAME:-default}`; `None` means that the variable is not set.
///
/// # Errors
/// Every problem of the file at once, in file order.
pub fn load(
    file_name: &str,
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, Problems> {
    document::parse(text)
        .and_then(|root| fields::read(&root, env))
        .map_err(|flaws| Problems::new(file_name, flaws))
}

/// What a check without the environment finds.
#[derive(Debug)]
pub struct Checked {
    /// In file order.
    pub problems: Vec<Problem>,
    /// The values that were not checked, in file order. Rules that need them were not checked either.
    pub unset: Vec<Unset>,
    /// The configuration if everything in it is known and valid, except that secrets may be placeholders.
    pub config: Option<Config>,
}

/// Checks a configuration file, as [`load`] does, on a machine that may not have its environment variables: those that are
/// not set are no problem.
pub fn check(file_name: &str, text: &str, env: &dyn Fn(&str) -> Option<String>) -> Checked {
    let (config, flaws, open) = match document::parse(text) {
        Ok(root) => fields::check(&root, env),
        Err(flaws) => (None, flaws, Vec::new()),
    };
    let config = config.filter(|_| flaws.is_empty());
    Checked {
        problems: Problems::new(file_name, flaws).0,
        unset: Unset::all(file_name, open),
        config,
    }
}

/// The stack that a configuration file names, even if the rest of the file is invalid. `None` if it cannot be
/// determined.
pub fn stack_of(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Option<StackName> {
    fields::stack_of(&document::parse(text).ok()?, env)
}

/// The account and region that a configuration file is for, even if the rest of the file is invalid.
pub fn place_of(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Place {
    document::parse(text).map_or_else(|_| Place::default(), |root| fields::place_of(&root, env))
}

/// The account and region that the stack must be in; `None` allows any.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Twelve digits.
    pub account: Option<String>,
    /// For example `eu-west-1`.
    pub region: Option<String>,
}

/// A valid configuration with defaults applied. Serializes without the values of secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Config {
    /// The stack's name, part of every name and tag.
    pub stack: StackName,
    /// Where the stack must be.
    #[serde(flatten)]
    pub place: Place,
    /// The user's tags, added to every created resource; 40 at most.
    pub tags: BTreeMap<String, String>,
    /// The API to protect.
    pub api: Api,
    /// The 3scale product that authorizes requests.
    pub threescale: Threescale,
    /// The network of the functions and the cache.
    pub network: Network,
    /// The cache of 3scale's responses and of the usage that is not reported yet.
    pub cache: Cache,
    /// The authorizer and reporter functions.
    pub authorizer: Authorizer,
    /// Whether `down` must refuse to remove the stack.
    pub deletion_protection: bool,
    /// What CloudWatch watches of the stack.
    pub monitoring: Monitoring,
}

/// A stack's name: a lower-case letter, then at most 31 of `a-z`, `0-9` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct StackName(String);

impl StackName {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for StackName {
    type Err = Invalid;

    /// Parses a stack's name.
    ///
    /// # Errors
    /// The required form of a name.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        identifiers::stack_name(text)
    }
}

/// Parses the ARN of a KMS key, as `authorizer.kms_key`.
///
/// # Errors
/// The required form.
pub fn kms_key(text: &str) -> Result<String, Invalid> {
    identifiers::kms_key(text)
}

impl fmt::Display for StackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The existing API and the methods to protect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Api {
    /// Which REST, HTTP or WebSocket API.
    #[serde(flatten)]
    pub selector: ApiSelector,
    /// The stages to protect: one or more, each once. They change together.
    #[serde(rename = "stage", serialize_with = "serialized::one_or_texts")]
    pub stages: Vec<String>,
    /// The methods to protect; empty for the default: every open method except `OPTIONS`.
    #[serde(serialize_with = "serialized::texts")]
    pub protect: Vec<MethodPattern>,
    /// Methods to leave unchanged even if they match `protect`.
    #[serde(serialize_with = "serialized::texts")]
    pub except: Vec<MethodPattern>,
    /// Which of API Gateway's responses to refused callers get 3scale's texts.
    pub responses: Responses,
    /// What the authorizer gives API Gateway as the key of its usage plans.
    pub usage_key: Option<CredentialKind>,
    /// The keys of the file that not every kind of API can have.
    #[serde(skip)]
    pub limited: LimitedKeys,
}

impl Api {
    /// The first of the stages.
    pub fn stage(&self) -> &str {
        self.stages.first().map_or("", String::as_str)
    }
}

/// The keys of a file that not every kind of API can have. They are equal in all files, because a default that is written out is
/// the same configuration.
#[derive(Debug, Clone, Default, Eq)]
pub struct LimitedKeys(pub Vec<LimitedKey>);

impl PartialEq for LimitedKeys {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// A key of the file that not every kind of API can have. The kind is known only once the API is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitedKey {
    /// `responses` or `usage_key`.
    pub key: &'static str,
    /// The line of the value, counted from 1.
    pub line: usize,
    /// The column of the value, counted from 1.
    pub column: usize,
}

/// How the API is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ApiSelector {
    /// By its id: ten of `a-z` and `0-9`.
    Id(String),
    /// By its name. API Gateway does not require unique names.
    Name(String),
}

/// The 3scale product, and where callers put their credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Threescale {
    /// The product's id, decimal digits.
    pub service_id: String,
    /// A service token for the product.
    #[serde(skip)]
    pub service_token: Secret,
    /// The address of the Service Management API, without a trailing slash.
    pub backend: String,
    /// Whether it may be a private address that is reached without TLS. On loopback, it always may.
    pub allow_plain_http: bool,
    /// A PEM file with certificate authorities of 3scale, in addition to the public ones.
    pub ca_file: Option<NamedFile>,
    /// The certificates of that file as they are stored in parameters; `None` until the file is read.
    pub stored_roots: Option<Stored>,
    /// How long a request waits for 3scale.
    #[serde(serialize_with = "serialized::duration")]
    pub timeout: Duration,
    /// Where callers put their credentials.
    pub credentials: Credentials,
    /// The usage of a request, in the order in which rules apply; empty for one hit per request.
    pub mapping_rules: Vec<MappingRule>,
    /// The mapping rules as they are stored in parameters, if they do not fit into the environment.
    pub stored_rules: Option<Stored>,
}

/// Where callers put their credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Credentials {
    /// What identifies an application.
    pub kind: CredentialKind,
    /// The part of the request that holds it.
    pub location: CredentialLocation,
    /// The name of the header or query parameter with the user key or the application id.
    pub name: String,
    /// The name of the header or query parameter with the application key, if an application id is used; otherwise
    /// `None`.
    pub key_name: Option<String>,
}

/// What identifies an application in 3scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialKind {
    /// A single secret, the user key.
    UserKey,
    /// An application id, with an application key if 3scale requires one.
    AppId,
}

/// The part of a request that holds credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialLocation {
    /// A header.
    Header,
    /// A query parameter.
    Query,
}

/// A 3scale mapping rule: the usage of a matching request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MappingRule {
    /// An HTTP method in upper case, or `ANY`.
    pub method: String,
    /// The required start of the request's path, in 3scale's syntax: `{name}` for a path part, `$` for the end, and
    /// optional query parameters.
    pub pattern: String,
    /// The system name of the metric or method to count.
    pub metric: String,
    /// The amount to count; at least 1.
    pub delta: u64,
    /// Whether later rules are ignored after this one matches.
    pub last: bool,
}

/// The network of the functions and the cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Network {
    /// The CIDR block of the VPC to create: private, /16 to /28, large enough for `zones`.
    #[serde(serialize_with = "serialized::text")]
    pub cidr: Ipv4Net,
    /// The number of Availability Zones with subnets, 1 to 6.
    pub zones: u8,
    /// Its way out.
    pub nat: NatMode,
    /// The id of the user's own NAT gateway, in place of new ones.
    pub nat_gateway: Option<String>,
    /// Whether the functions reach the Parameter Store through a VPC endpoint.
    pub endpoints: bool,
    /// The allocation ids of the user's own addresses, one for each NAT gateway or for the NAT instance; empty to allocate
    /// addresses.
    pub elastic_ips: Vec<String>,
    /// Where the functions run.
    pub vpc: Vpc,
}

/// The VPC of the functions and the cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Vpc {
    /// The stack creates it.
    Created,
    /// The user's own.
    Existing(ExistingVpc),
    /// None: the functions reach the Internet through Lambda's own network.
    None,
}

impl Network {
    /// The subnets to create, public ones first, each kind in zone order. All have the same size and do not change as
    /// long as `cidr` and `zones` do not change. Empty unless the stack creates the VPC.
    pub fn subnets(&self) -> Vec<SubnetPlan> {
        match self.vpc {
            Vpc::Existing(_) | Vpc::None => Vec::new(),
            Vpc::Created => layout::subnets(self.cidr, self.zones),
        }
    }

    /// Whether the stack creates the VPC.
    pub fn is_created(&self) -> bool {
        self.vpc == Vpc::Created
    }

    /// The user's own VPC.
    pub fn existing(&self) -> Option<&ExistingVpc> {
        match &self.vpc {
            Vpc::Existing(own) => Some(own),
            Vpc::Created | Vpc::None => None,
        }
    }

    /// The number of NAT gateways of a created VPC.
    pub fn nat_gateways(&self) -> usize {
        match self.nat {
            NatMode::Single => 1,
            NatMode::PerZone => usize::from(self.zones),
            NatMode::Instance | NatMode::None => 0,
        }
    }

    /// The number of public addresses of a created network.
    pub fn addresses(&self) -> usize {
        match self.nat {
            NatMode::Instance => 1,
            _ => self.nat_gateways(),
        }
    }
}

/// The way out of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NatMode {
    /// One NAT gateway for all zones: cheaper, but unavailable if its zone fails.
    Single,
    /// One in each zone.
    PerZone,
    /// A NAT instance: cheaper than a NAT gateway, and without 3scale for minutes when it is replaced.
    Instance,
    /// The way out is the user's: only for a VPC of the user.
    None,
}

/// A user's own VPC, which is never deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExistingVpc {
    /// `vpc-...`, or `default` for the Region's default VPC.
    pub id: String,
    /// `subnet-...`; 1 to 16, no duplicates. Empty if the stack creates the subnets.
    pub subnets: Vec<String>,
    /// The CIDR blocks of the private subnets to create, each in another Availability Zone; at most 6.
    #[serde(serialize_with = "serialized::texts")]
    pub subnet_cidrs: Vec<Ipv4Net>,
    /// Where the subnets have their route to 3scale from.
    pub route: RouteMode,
}

/// Where the subnets in a user's own VPC have their route to 3scale from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteMode {
    /// The user's route tables.
    Existing,
    /// The stack creates what is missing.
    Create,
}

/// The cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cache {
    /// Whether it has nodes. A serverless cache is a created one.
    pub kind: CacheKind,
    /// The engine; Valkey for a serverless cache.
    pub engine: CacheEngine,
    /// The version of the engine; `None` for the pinned one. Of a serverless cache, only the major version counts.
    pub engine_version: Option<EngineVersion>,
    /// The ElastiCache node type.
    pub node_type: String,
    /// The number of read replicas, 0 to 5.
    pub replicas: u8,
    /// Whether connections are encrypted, which an AUTH token also requires. With `url`, determined by its scheme.
    pub tls: bool,
    /// The address of a user's own cache, including credentials, in place of a created one.
    #[serde(serialize_with = "serialized::is_set")]
    pub url: Option<Secret>,
    /// Whether there is no cache but the memory of each process, so that every request calls 3scale.
    pub memory: bool,
}

impl Cache {
    /// Whether the stack creates the cache.
    pub fn is_created(&self) -> bool {
        self.url.is_none() && !self.memory
    }
}

/// What a created cache consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheKind {
    /// Nodes of a type that the configuration names.
    Node,
    /// What ElastiCache Serverless provides.
    Serverless,
}

/// The engine of the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheEngine {
    /// Redis OSS.
    Redis,
    /// Valkey.
    Valkey,
}

/// The authorizer and reporter functions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Authorizer {
    /// Whether its decisions apply.
    pub mode: Mode,
    /// Whether usage is reported to 3scale; `false` only in the mode observe.
    pub report: bool,
    /// Their processor architecture.
    pub architecture: Architecture,
    /// Their memory in MB, 128 to 10,240.
    pub memory: u32,
    /// The behavior while 3scale does not respond.
    pub caching: Caching,
    /// How long a response of 3scale may be used, in whole seconds; zero only without caching.
    #[serde(serialize_with = "serialized::duration")]
    pub max_age: Duration,
    /// The reporting interval in whole minutes, one or more.
    #[serde(serialize_with = "serialized::duration")]
    pub report_every: Duration,
    /// The log retention in days, one of the periods that CloudWatch Logs supports.
    pub log_retention_days: u32,
    /// The ARN of the operator's own role of the functions.
    pub role_arn: Option<String>,
    /// The ids of the user's own security groups of the functions, which are never changed or deleted; 1 to 5, or empty for
    /// that of the stack.
    pub security_groups: Vec<String>,
    /// The ARN of the policy that is the permissions boundary of the functions' role.
    pub permissions_boundary: Option<String>,
    /// The ARN of the user's own KMS key for the secrets and the functions' environments, which is never changed or deleted.
    pub kms_key: Option<String>,
    /// A zip file to use in place of a build of the bundled authorizer.
    pub artifact: Option<NamedFile>,
}

/// What CloudWatch watches of a stack.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Monitoring {
    /// The ARN of the SNS topic that alarms notify, which is never changed; without it, there are no alarms.
    pub topic: Option<String>,
    /// Whether there is a dashboard.
    pub dashboard: bool,
    /// Which metrics of the functions are series in CloudWatch.
    pub metrics: MetricSeries,
}

impl Monitoring {
    /// Whether the stack has alarms or a dashboard.
    pub fn is_wanted(&self) -> bool {
        self.topic.is_some() || self.dashboard
    }
}

/// Which metrics of the functions are series in CloudWatch, each of which costs money.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MetricSeries {
    /// Those of alarms and dashboard.
    #[default]
    Few,
    /// All, by function and by reason.
    All,
}

/// A file that the configuration names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NamedFile {
    /// As written in the file: not checked and not made absolute.
    pub path: PathBuf,
    /// The line of the path in the configuration, counted from 1.
    #[serde(skip)]
    pub line: usize,
    /// The column of the path, counted from 1.
    #[serde(skip)]
    pub column: usize,
}

/// The processor architecture of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// Intel and AMD, 64-bit.
    X86_64,
    /// AWS Graviton.
    Arm64,
}

/// What the authorizer does with its decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// They apply.
    Enforce,
    /// They are logged, and every request is allowed.
    Observe,
}

/// How cached responses are used, as in APIcast's caching policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caching {
    /// A failing 3scale denies requests.
    Strict,
    /// While 3scale fails, its last response applies.
    Resilient,
    /// While 3scale fails, every request passes unless it was denied last.
    Allow,
    /// Every request calls 3scale.
    None,
}

/// A setting with a few possible words.
pub(crate) trait Choice: Copy + 'static {
    /// All values, the default first.
    const ALL: &'static [Self];

    /// The word in the file.
    fn word(self) -> &'static str;
}

impl CredentialKind {
    /// Returns the word in the file: `user_key` or `app_id`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UserKey => "user_key",
            Self::AppId => "app_id",
        }
    }
}

impl Choice for CredentialKind {
    const ALL: &'static [Self] = &[Self::UserKey, Self::AppId];

    fn word(self) -> &'static str {
        self.as_str()
    }
}

impl CredentialLocation {
    /// Returns the word in the file: `header` or `query`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Query => "query",
        }
    }
}

impl Choice for CredentialLocation {
    const ALL: &'static [Self] = &[Self::Header, Self::Query];

    fn word(self) -> &'static str {
        self.as_str()
    }
}

impl NatMode {
    /// Returns the word in the file: `single`, `per-zone`, `instance` or `none`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::PerZone => "per-zone",
            Self::Instance => "instance",
            Self::None => "none",
        }
    }
}

impl Choice for RouteMode {
    const ALL: &'static [Self] = &[Self::Existing, Self::Create];

    fn word(self) -> &'static str {
        match self {
            Self::Existing => "existing",
            Self::Create => "create",
        }
    }
}

impl Choice for NatMode {
    const ALL: &'static [Self] = &[Self::Single, Self::PerZone, Self::Instance, Self::None];

    fn word(self) -> &'static str {
        self.as_str()
    }
}

impl CacheKind {
    /// Returns the word in the file: `node` or `serverless`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Serverless => "serverless",
        }
    }
}

impl Choice for CacheKind {
    const ALL: &'static [Self] = &[Self::Node, Self::Serverless];

    fn word(self) -> &'static str {
        self.as_str()
    }
}

impl CacheEngine {
    /// Returns the word in the file and in ElastiCache: `redis` or `valkey`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Valkey => "valkey",
        }
    }
}

impl Choice for CacheEngine {
    const ALL: &'static [Self] = &[Self::Redis, Self::Valkey];

    fn word(self) -> &'static str {
        self.as_str()
    }
}

impl Architecture {
    /// Returns the word in the file and in Lambda: `x86_64` or `arm64`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        }
    }
}

impl Choice for Architecture {
    const ALL: &'static [Self] = &[Self::X86_64, Self::Arm64];

    fn word(self) -> &'static str {
        self.as_str()
    }
}

impl Mode {
    /// Returns the word in the file: `enforce` or `observe`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Observe => "observe",
        }
    }
}

impl Choice for MetricSeries {
    const ALL: &'static [Self] = &[Self::Few, Self::All];

    fn word(self) -> &'static str {
        match self {
            Self::Few => "few",
            Self::All => "all",
        }
    }
}

impl Choice for Mode {
    const ALL: &'static [Self] = &[Self::Enforce, Self::Observe];

    fn word(self) -> &'static str {
        self.as_str()
    }
}

impl Caching {
    /// Returns the word in the file: `strict`, `resilient`, `allow` or `none`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Resilient => "resilient",
            Self::Allow => "allow",
            Self::None => "none",
        }
    }
}

impl Choice for Caching {
    const ALL: &'static [Self] = &[Self::Strict, Self::Resilient, Self::Allow, Self::None];

    fn word(self) -> &'static str {
        self.as_str()
    }
}
