//! The ARNs and the conditions of the resources of one stack. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::table::On;
use crate::config::{ApiSelector, CacheKind, Config, NatMode, RouteMode, Vpc};
use crate::kind::Kind;
use crate::names::Names;

/// The tag that names the stack of a resource.
const TAG: &str = "threescale-gw:stack";

/// The calls that create something with tags.
const CREATING: [&str; 9] = [
    "AllocateAddress",
    "CreateInternetGateway",
    "CreateNatGateway",
    "CreateRouteTable",
    "CreateSecurityGroup",
    "CreateSubnet",
    "CreateVpc",
    "CreateVpcEndpoint",
    "RunInstances",
];

/// How the Regions of each partition begin; all others are of `aws`. Source: `regionRegex` in `partitions.json` of the AWS SDKs.
const PARTITIONS: [(&str, &str); 7] = [
    ("cn-", "aws-cn"),
    ("eu-isoe-", "aws-iso-e"),
    ("eusc-", "aws-eusc"),
    ("us-gov-", "aws-us-gov"),
    ("us-iso-", "aws-iso"),
    ("us-isob-", "aws-iso-b"),
    ("us-isof-", "aws-iso-f"),
];

/// The partition of a Region.
pub fn partition(region: &str) -> &'static str {
    let mut all = PARTITIONS.into_iter();
    let found = all.find(|(start, _)| region.starts_with(start));
    found.map_or("aws", |(_, partition)| partition)
}

/// What a policy is for: a stack, and what its configuration makes of it.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The names of the stack. An account or a Region that is not known is `*`.
    pub names: Names,
    /// The id of the API. `None` if it is not known.
    pub(super) api: Option<String>,
    /// The parts of API Gateway that the API may be in. An id does not tell.
    pub(super) collections: &'static [Collection],
    /// The stages of the API; empty if they are not known.
    pub(super) stages: Vec<String>,
    vpc: Network,
    /// The role of the operator.
    role: Option<String>,
    /// The permissions boundary.
    boundary: Option<String>,
    /// The KMS key of the configuration, and those that the stack has had.
    kms_keys: BTreeSet<String>,
    /// The kinds that the configuration does not make.
    unused: Vec<Kind>,
}

/// The part of API Gateway that an API is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collection {
    /// REST APIs.
    RestApis,
    /// HTTP and WebSocket APIs.
    Apis,
}

impl Collection {
    const ALL: &'static [Self] = &[Self::RestApis, Self::Apis];

    /// The first part of the path in ARNs. Source: API Gateway Developer Guide, "Amazon Resource Name (ARN) reference".
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::RestApis => "/restapis",
            Self::Apis => "/apis",
        }
    }
}

/// The name of a stack in the names of all stacks.
pub const ANY_STACK: &str = "*";

#[derive(Debug, Clone, PartialEq, Eq)]
enum Network {
    /// The stack creates its network.
    Created,
    /// It is in this VPC of the operator, or creates none.
    Vpc(String),
    /// One of both.
    Unknown,
}

impl Scope {
    /// Of a stack about which nothing else is known: with all kinds of resources.
    pub fn of_stack(names: Names) -> Self {
        Self {
            names,
            api: None,
            collections: Collection::ALL,
            stages: Vec::new(),
            vpc: Network::Unknown,
            role: None,
            boundary: None,
            kms_keys: BTreeSet::new(),
            unused: Vec::new(),
        }
    }

    /// Of the stack of a configuration.
    pub fn of_config(names: Names, config: &Config) -> Self {
        let network = &config.network;
        let cache = config.cache.is_created() && network.vpc != Vpc::None;
        let is_serverless = config.cache.kind == CacheKind::Serverless;
        let is_instance = network.nat == NatMode::Instance;
        let has_network = network.vpc != Vpc::None;
        // A VPC of the operator may have no internet gateway.
        let creates_route = network
            .existing()
            .is_some_and(|own| own.route == RouteMode::Create);
        let unused = [
            (Kind::NatInstance, is_instance),
            (Kind::NatGateway, has_network && !is_instance),
            (Kind::VpcEndpoint, network.endpoints),
            (Kind::Cache, cache && !is_serverless),
            (Kind::CacheSubnetGroup, cache && !is_serverless),
            (Kind::ServerlessCache, cache && is_serverless),
            (Kind::CacheUser, cache && is_serverless),
            (Kind::CacheUserGroup, cache && is_serverless),
            (Kind::Vpc, network.is_created()),
            (Kind::InternetGateway, network.is_created() || creates_route),
            (Kind::RouteAssociation, network.existing().is_some()),
            (Kind::SecurityGroup, has_network),
            (Kind::Subnet, has_network),
            (Kind::ElasticIp, has_network),
            (Kind::RouteTable, has_network),
            (Kind::NetworkInterface, has_network),
            (Kind::IamRole, config.authorizer.role_arn.is_none()),
            (Kind::Alarm, config.monitoring.topic.is_some()),
            (Kind::Dashboard, config.monitoring.dashboard),
        ];
        let unused = unused.into_iter().filter(|(_, is_used)| !is_used);
        Self {
            names,
            api: match &config.api.selector {
                ApiSelector::Id(id) => Some(id.clone()),
                ApiSelector::Name(_) => None,
            },
            collections: Collection::ALL,
            stages: config.api.stages.clone(),
            vpc: match &network.vpc {
                Vpc::Created => Network::Created,
                Vpc::Existing(own) if own.id != "default" => Network::Vpc(own.id.clone()),
                Vpc::Existing(_) | Vpc::None => Network::Unknown,
            },
            role: config.authorizer.role_arn.clone(),
            boundary: config.authorizer.permissions_boundary.clone(),
            kms_keys: config.authorizer.kms_key.iter().cloned().collect(),
            unused: unused.map(|(kind, _)| kind).collect(),
        }
    }

    /// With the id of the API, which is known to be in this part of API Gateway.
    #[must_use]
    pub fn with_api(self, id: &str, collection: Collection) -> Self {
        Self {
            api: Some(id.to_owned()),
            collections: match collection {
                Collection::RestApis => &[Collection::RestApis],
                Collection::Apis => &[Collection::Apis],
            },
            ..self
        }
    }

    /// What a request of the program contains, for a simulation: the Region, the tags, and the service that gets the role.
    pub fn context(&self, tags: &BTreeMap<String, String>) -> Vec<(String, String)> {
        let mut all = vec![
            ("aws:RequestedRegion".to_owned(), self.names.region.clone()),
            (
                "iam:PassedToService".to_owned(),
                "lambda.amazonaws.com".to_owned(),
            ),
            ("ec2:CreateAction".to_owned(), "CreateVpc".to_owned()),
        ];
        for (key, value) in tags {
            for of in ["aws:RequestTag", "aws:ResourceTag"] {
                all.push((format!("{of}/{key}"), value.clone()));
            }
        }
        all
    }

    /// Whether the configuration makes resources of this kind.
    pub fn uses(&self, kind: Kind) -> bool {
        !self.unused.contains(&kind)
    }

    pub(super) fn arn(&self, service: &str, rest: &str) -> String {
        let Names {
            region, account, ..
        } = &self.names;
        format!(
            "arn:{}:{service}:{region}:{account}:{rest}",
            self.names.partition()
        )
    }

    /// The ARN of an IAM resource, which is in no Region.
    fn iam(&self, rest: &str) -> String {
        format!(
            "arn:{}:iam::{}:{rest}",
            self.names.partition(),
            self.names.account
        )
    }

    /// The ARN of a resource that belongs to no account.
    pub(super) fn public(&self, service: &str, rest: &str) -> String {
        let region = &self.names.region;
        format!("arn:{}:{service}:{region}::{rest}", self.names.partition())
    }

    fn ec2(&self, types: &[&str]) -> Vec<String> {
        types
            .iter()
            .map(|kind| self.arn("ec2", &format!("{kind}/*")))
            .collect()
    }

    /// With KMS keys that the stack has, beside that of the configuration.
    #[must_use]
    pub fn with_keys(mut self, keys: impl IntoIterator<Item = String>) -> Self {
        self.kms_keys.extend(keys);
        self
    }

    /// Whether the stack has, or had, a KMS key of the operator.
    pub fn has_key(&self) -> bool {
        !self.kms_keys.is_empty()
    }

    /// The resources of a policy's statement.
    pub fn resources(&self, on: On) -> Vec<String> {
        let named = self.names.exact("*");
        match on {
            On::Any => vec!["*".to_owned()],
            On::Api => {
                let id = self.api.as_ref().map(|id| format!("/{id}"));
                let id = id.unwrap_or_default();
                let paths = self.collections.iter().map(|of| of.path());
                paths
                    .flat_map(|path| [format!("{path}{id}"), format!("{path}{id}/*")])
                    .map(|path| self.public("apigateway", &path))
                    .collect()
            }
            On::Domains => vec![
                self.public("apigateway", "/domainnames"),
                self.public("apigateway", "/domainnames/*"),
            ],
            On::Key => self.kms_keys.iter().cloned().collect(),
            On::Rule => vec![self.arn("events", &format!("rule/{named}"))],
            On::Role | On::PassedRole => vec![match &self.role {
                Some(role) => role.clone(),
                None => self.names.role_arn(),
            }],
            On::ServiceLinkedRole => vec![self.iam(
                "role/aws-service-role/elasticache.amazonaws.com/AWSServiceRoleForElastiCache",
            )],
            On::Policy => vec![match &self.boundary {
                Some(policy) => policy.clone(),
                None => self.iam("policy/*"),
            }],
            On::Operator => vec![self.iam("user/*"), self.iam("role/*")],
            On::Function => vec![self.arn("lambda", &format!("function:{named}"))],
            On::Alarm => vec![self.arn("cloudwatch", &format!("alarm:{named}"))],
            On::Dashboard => {
                let Names { account, .. } = &self.names;
                let partition = self.names.partition();
                vec![format!(
                    "arn:{partition}:cloudwatch::{account}:dashboard/{named}"
                )]
            }
            On::LogGroup => vec![self.arn("logs", &format!("log-group:/aws/lambda/{named}"))],
            On::Parameter => {
                let of_stack = self.names.parameters();
                let of_api = self.names.of_api(self.api.as_deref().unwrap_or("*"));
                let of_api = of_api.parameters();
                [of_stack, of_api]
                    .iter()
                    .flat_map(|path| [path.clone(), format!("{path}/*")])
                    .map(|path| self.arn("ssm", &format!("parameter{path}")))
                    .collect()
            }
            On::ImageParameter => {
                vec![self.public("ssm", "parameter/aws/service/ami-amazon-linux-latest/*")]
            }
            On::Cache => {
                // A long name of a stack ends in a hash there.
                let cache = self.names.cache(0);
                let cache = cache.strip_suffix("cache").unwrap_or(&cache);
                let mut all = vec![self.arn("elasticache", &format!("*:{cache}*"))];
                let group = self.arn("elasticache", &format!("*:{named}"));
                all.extend((!all.contains(&group)).then_some(group));
                all.push(self.arn("elasticache", "parametergroup:default.*"));
                all
            }
            On::Created | On::Own | On::Tags => vec![self.arn("ec2", "*/*")],
            On::InVpc => vec![match &self.vpc {
                Network::Vpc(id) => self.arn("ec2", &format!("vpc/{id}")),
                Network::Created | Network::Unknown => self.arn("ec2", "vpc/*"),
            }],
            On::With => {
                let mut all = self.ec2(&[
                    "subnet",
                    "security-group",
                    "elastic-ip",
                    "network-interface",
                    "volume",
                    "route-table",
                ]);
                all.push(self.public("ec2", "image/*"));
                all
            }
            On::Routes => self.ec2(&["route-table", "subnet"]),
            On::Addresses => self.ec2(&["elastic-ip", "instance", "network-interface"]),
            On::Interfaces => self.ec2(&["network-interface"]),
            On::CacheEndpoint => self.ec2(&["vpc-endpoint"]),
        }
    }

    /// The condition of a policy's statement.
    pub fn condition(&self, on: On) -> Option<Value> {
        let stack = &self.names.stack;
        // Any stack has a pattern for its name.
        let operator = match stack == ANY_STACK {
            true => "StringLike",
            false => "StringEquals",
        };
        let tagged = |key: &str| json!({operator: {format!("{key}/{TAG}"): stack}});
        match on {
            On::Created => Some(tagged("aws:RequestTag")),
            On::Own => Some(tagged("aws:ResourceTag")),
            On::InVpc | On::Routes => {
                (self.vpc == Network::Created).then(|| tagged("aws:ResourceTag"))
            }
            On::Tags => Some(json!({"StringEquals": {"ec2:CreateAction": CREATING}})),
            On::PassedRole => {
                Some(json!({"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}))
            }
            On::ServiceLinkedRole => {
                Some(json!({"StringEquals": {"iam:AWSServiceName": "elasticache.amazonaws.com"}}))
            }
            On::CacheEndpoint => Some(
                json!({"StringLike": {"ec2:VpceServiceName": "com.amazonaws.elasticache.serverless.*"}}),
            ),
            _ => None,
        }
    }
}
