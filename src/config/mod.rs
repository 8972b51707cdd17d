//! The configuration file: what can be asked for, and a strict reader of it.
//!
//! [`load`] turns the text of a file into a [`Config`] that needs no further checks, or lists every
//! problem with the place it is at. Nothing here touches files, the network or the process's
//! environment: the caller passes in what there is.

mod document;
mod fields;
mod identifiers;
mod layout;
mod locate;
mod mapping_rule;
mod pattern;
mod problem;
mod read;
mod settings;
mod substitute;
#[cfg(test)]
mod tests;
mod validate;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ipnet::Ipv4Net;
use serde::Serialize;

pub use self::layout::SubnetPlan;
pub use self::problem::{Invalid, Problem, Problems};
use crate::pattern::MethodPattern;
use crate::responses::Responses;
use crate::secret::Secret;

/// Reads a configuration file.
///
/// `file_name` is used in messages only. `env` looks up the environment variables that values name
/// as `${NAME}` or `${NAME:-default}`; `None` is one that is not set.
///
/// # Errors
/// Every problem of the file at once, in its order.
pub fn load(
    file_name: &str,
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, Problems> {
    document::parse(text)
        .and_then(|root| fields::read(&root, env))
        .map_err(|flaws| Problems::new(file_name, flaws))
}

/// The stack that a configuration file names, whatever else is wrong with the file. `None` where that cannot be told.
pub fn stack_of(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Option<StackName> {
    fields::stack_of(&document::parse(text).ok()?, env)
}

/// A checked configuration, defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The stack's name, part of every name and tag.
    pub stack: StackName,
    /// The user's tags, added to everything that is made; 40 at most.
    pub tags: BTreeMap<String, String>,
    /// The API to protect.
    pub api: Api,
    /// The 3scale product that decides.
    pub threescale: Threescale,
    /// The network of the functions and the cache.
    pub network: Network,
    /// The cache of 3scale's answers and of the usage not yet reported.
    pub cache: Cache,
    /// The authorizer and reporter functions.
    pub authorizer: Authorizer,
    /// Whether `down` must refuse to remove the stack.
    pub deletion_protection: bool,
}

/// A stack's name: a lower-case letter, then at most 31 of `a-z`, `0-9` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StackName(String);

impl StackName {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for StackName {
    type Err = Invalid;

    /// Checks a stack's name.
    ///
    /// # Errors
    /// Says what a name must be.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        identifiers::stack_name(text)
    }
}

impl fmt::Display for StackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The existing API and which of its methods to protect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Api {
    /// Which REST API.
    pub selector: ApiSelector,
    /// The stage to deploy to.
    pub stage: String,
    /// The methods to protect; empty for the default, every open method but `OPTIONS`.
    pub protect: Vec<MethodPattern>,
    /// Methods to leave as they are, though `protect` means them.
    pub except: Vec<MethodPattern>,
    /// Which of API Gateway's answers to refused callers get 3scale's texts.
    pub responses: Responses,
}

/// How the API is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiSelector {
    /// By its id: ten of `a-z` and `0-9`.
    Id(String),
    /// By its name, which API Gateway does not keep unique.
    Name(String),
}

/// The 3scale product, and where callers put their credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Threescale {
    /// The product's id, decimal digits.
    pub service_id: String,
    /// A service token for the product.
    pub service_token: Secret,
    /// The address of the Service Management API, without a slash at its end. Without TLS only on
    /// loopback.
    pub backend: String,
    /// Where callers put their credentials.
    pub credentials: Credentials,
    /// What a request counts as, in the order in which rules apply; empty for one hit a request.
    pub mapping_rules: Vec<MappingRule>,
}

/// Where callers put their credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// What identifies an application.
    pub kind: CredentialKind,
    /// The part of the request that holds it.
    pub location: CredentialLocation,
    /// The name of the header or query parameter with the user key or the application id.
    pub name: String,
    /// The name of the one with the application key, next to an application id; else `None`.
    pub key_name: Option<String>,
}

/// What identifies an application at 3scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialKind {
    /// One secret, the user key.
    UserKey,
    /// An application id, with an application key where 3scale wants one.
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

/// A 3scale mapping rule: what a request that matches counts as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MappingRule {
    /// An HTTP method in upper case, or `ANY`.
    pub method: String,
    /// The path a request's path must begin with, as 3scale writes it: `{name}` for a part, `$` for
    /// the end, and perhaps query parameters.
    pub pattern: String,
    /// The system name of the metric or method that is counted.
    pub metric: String,
    /// How much is counted; at least 1.
    pub delta: u64,
    /// Whether no rule after this one is looked at.
    pub last: bool,
}

/// The network of the functions and the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The addresses of the VPC that is made: private, /16 to /28, large enough for `zones`.
    pub cidr: Ipv4Net,
    /// In how many availability zones it has subnets, 1 to 6.
    pub zones: u8,
    /// How many NAT gateways it has.
    pub nat: NatMode,
    /// A VPC of the user's, in place of one that is made.
    pub vpc: Option<ExistingVpc>,
}

impl Network {
    /// The subnets to make, public ones first, each kind in the order of the zones. All are of the
    /// same size, and as long as `cidr` and `zones` stay, so do they. None in a user's own VPC.
    pub fn subnets(&self) -> Vec<SubnetPlan> {
        match self.vpc {
            Some(_) => Vec::new(),
            None => layout::subnets(self.cidr, self.zones),
        }
    }
}

/// How many NAT gateways a network has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NatMode {
    /// One for all zones: cheaper, and gone with its zone.
    Single,
    /// One in each zone.
    PerZone,
}

/// A user's own network, which is neither changed nor deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExistingVpc {
    /// `vpc-...`, or `default` for the Region's default VPC.
    pub id: String,
    /// `subnet-...`, from which 3scale must be reachable; 1 to 16, none twice.
    pub subnets: Vec<String>,
}

/// The cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    /// What runs in it.
    pub engine: CacheEngine,
    /// ElastiCache's name for the size of a node.
    pub node_type: String,
    /// Copies of the one node that takes writes, 0 to 5.
    pub replicas: u8,
    /// Whether connections are encrypted; also what an AUTH token needs. With `url`, what that says.
    pub tls: bool,
    /// The address of a user's own cache, credentials included, in place of one that is made.
    pub url: Option<Secret>,
}

/// What runs in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheEngine {
    /// Redis OSS.
    Redis,
    /// Valkey.
    Valkey,
}

/// The authorizer and reporter functions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorizer {
    /// What processor they run on.
    pub architecture: Architecture,
    /// Their memory in MB, 128 to 10,240.
    pub memory: u32,
    /// What happens while 3scale does not answer.
    pub caching: Caching,
    /// How long an answer of 3scale may be used, in whole seconds; zero only without caching.
    pub max_age: Duration,
    /// How often usage is reported, in whole minutes, one or more.
    pub report_every: Duration,
    /// For how many days logs are kept, one of the terms CloudWatch Logs has.
    pub log_retention_days: u32,
    /// A zip file to use, in place of building the bundled authorizer. As written: neither checked
    /// nor made absolute.
    pub artifact: Option<PathBuf>,
}

/// What processor a function runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// Intel and AMD, 64 bit.
    X86_64,
    /// AWS Graviton.
    Arm64,
}

/// What cached answers are for, as in APIcast's caching policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caching {
    /// A failing 3scale denies.
    Strict,
    /// While 3scale fails, its last answer holds.
    Resilient,
    /// While 3scale fails, everything passes but what was denied last.
    Allow,
    /// Every request asks 3scale.
    None,
}

/// A setting that is one of a few words.
pub(crate) trait Choice: Copy + 'static {
    /// All of them, the default first.
    const ALL: &'static [Self];

    /// The word for it.
    fn word(self) -> &'static str;
}

impl CredentialKind {
    /// Returns the word for it in the file: `user_key` or `app_id`.
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
    /// Returns the word for it in the file: `header` or `query`.
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
    /// Returns the word for it in the file: `single` or `per-zone`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::PerZone => "per-zone",
        }
    }
}

impl Choice for NatMode {
    const ALL: &'static [Self] = &[Self::Single, Self::PerZone];

    fn word(self) -> &'static str {
        self.as_str()
    }
}

impl CacheEngine {
    /// Returns the word for it in the file and at ElastiCache: `redis` or `valkey`.
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
    /// Returns the word for it in the file and at Lambda: `x86_64` or `arm64`.
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

impl Caching {
    /// Returns the word for it in the file: `strict`, `resilient`, `allow` or `none`.
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
