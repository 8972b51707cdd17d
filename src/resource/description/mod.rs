//! What each resource of the stack is, in enough detail to write it in the language of another tool. It only reads.
//!
//! The shapes have no types of an SDK, and no secret is read into them.

mod api;
mod cache;
mod functions;
mod network;

use std::collections::BTreeMap;

use serde_json::Value;

pub use self::api::{Attachment, Authorizer};
pub use self::cache::{Cache, CacheUser, ServerlessCache};
pub use self::functions::{Alias, Function, LogGroup, Permission, Role, Schedule};
pub use self::network::{
    Address, Association, Endpoint, NatInstance, RouteTable, Rule, SecurityGroup, Subnet, Target,
    Volume,
};
use super::{Context, ResourceError};
use crate::aws::AwsError;
use crate::id::LogicalId;
use crate::kind::Kind;

/// A resource of the stack that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    pub id: LogicalId,
    pub what: What,
    /// Empty for a resource that cannot have tags.
    pub tags: BTreeMap<String, String>,
}

/// The properties of a resource, by its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    Vpc {
        vpc_id: String,
        cidr: String,
        dns_support: bool,
        dns_hostnames: bool,
    },
    Subnet(Subnet),
    InternetGateway {
        gateway_id: String,
        vpc_id: Option<String>,
    },
    ElasticIp {
        allocation_id: String,
        public_ip: String,
    },
    NatGateway {
        gateway_id: String,
        subnet_id: String,
        allocation_id: String,
    },
    NatInstance(NatInstance),
    RouteTable(RouteTable),
    SecurityGroup(SecurityGroup),
    VpcEndpoint(Endpoint),
    CacheSubnetGroup {
        name: String,
        description: String,
        subnets: Vec<String>,
    },
    Cache(Cache),
    CacheUser(CacheUser),
    CacheUserGroup {
        group_id: String,
        engine: String,
        users: Vec<String>,
    },
    ServerlessCache(ServerlessCache),
    /// The name alone: a secret is not read.
    Secret {
        name: String,
    },
    Parameter {
        name: String,
        value: String,
    },
    Role(Role),
    LogGroup(LogGroup),
    Function(Function),
    Alias(Alias),
    Permission(Permission),
    Schedule(Schedule),
    Authorizer(Authorizer),
    Attachment(Attachment),
}

/// Describes the resources with these logical and physical ids, in this order. A resource that no longer exists is left out.
///
/// # Errors
/// When a resource cannot be read.
pub async fn describe(
    cx: &Context,
    ids: &[(LogicalId, String)],
) -> Result<Vec<Description>, (LogicalId, ResourceError)> {
    let described = ids.iter().map(|(id, physical_id)| async move {
        let described = one(cx, id, physical_id).await;
        described.map_err(|error| (id.clone(), error))
    });
    let described = futures::future::try_join_all(described).await?;
    Ok(described.into_iter().flatten().collect())
}

async fn one(
    cx: &Context,
    id: &LogicalId,
    physical_id: &str,
) -> Result<Vec<Description>, ResourceError> {
    let found = match id.kind {
        Kind::Vpc => network::vpc(cx, physical_id).await?,
        Kind::Subnet => network::subnet(cx, physical_id).await?,
        Kind::InternetGateway => network::internet_gateway(cx, physical_id).await?,
        Kind::ElasticIp => network::elastic_ip(cx, physical_id).await?,
        Kind::NatGateway => network::nat_gateway(cx, physical_id).await?,
        Kind::NatInstance => network::nat_instance(cx, physical_id).await?,
        Kind::RouteTable => network::route_table(cx, physical_id).await?,
        Kind::SecurityGroup => network::security_group(cx, physical_id).await?,
        Kind::VpcEndpoint => network::endpoint(cx, physical_id).await?,
        Kind::CacheSubnetGroup => cache::subnet_group(cx, physical_id).await?,
        Kind::Cache => cache::replication_group(cx, physical_id).await?,
        Kind::CacheUser => cache::user(cx, physical_id).await?,
        Kind::CacheUserGroup => cache::user_group(cx, physical_id).await?,
        Kind::ServerlessCache => cache::serverless(cx, physical_id).await?,
        Kind::Secret => functions::secret(cx, physical_id),
        Kind::Parameter => functions::parameter(cx, physical_id).await?,
        Kind::IamRole => functions::role(cx, physical_id).await?,
        Kind::LogGroup => functions::log_group(cx, physical_id).await?,
        Kind::Function => functions::function(cx, physical_id).await?,
        Kind::FunctionAlias => functions::alias(cx, id).await?,
        Kind::FunctionPermission => functions::permission(cx, id).await?,
        Kind::Schedule => functions::schedule(cx, physical_id).await?,
        Kind::ApiAuthorizer => api::authorizer(cx, id).await?,
        Kind::ApiAttachment => api::attachment(cx, id).await?,
        // A part of its route table, what Lambda creates and deletes, and what is left out of an export.
        Kind::RouteAssociation | Kind::NetworkInterface | Kind::Alarm | Kind::Dashboard => None,
    };
    let describe = |(what, tags)| Description {
        id: id.clone(),
        what,
        tags,
    };
    Ok(found.map(describe).into_iter().collect())
}

/// The properties of a resource, and its tags; `None` if it no longer exists.
type Found = Option<(What, BTreeMap<String, String>)>;

/// Parses a policy document as IAM returns it: URL-encoded JSON.
fn document(text: &str) -> Value {
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8_lossy();
    serde_json::from_str(&decoded).unwrap_or(Value::Null)
}

/// An answer of `call` without what it was asked for.
fn incomplete(call: &'static str, what: &str) -> ResourceError {
    AwsError::incomplete(call, format!("the response has no {what}")).into()
}
