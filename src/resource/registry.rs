//! The list of all kinds.

use super::dynamic::{DynKind, any};
use super::{
    alarm, api_attachment, api_authorizer, cache_group, cache_subnet_group, cache_user,
    cache_user_group, dashboard, elastic_ip, function, function_alias, function_permission,
    iam_role, internet_gateway, log_group, nat_gateway, nat_instance_listing, network_interface,
    parameter, route_association, route_table, schedule, security_group, serverless_cache, subnet,
    vpc, vpc_endpoint,
};

/// Every kind, in the order of reports.
pub fn dyn_kinds() -> [&'static dyn DynKind; 28] {
    const {
        [
            any::<vpc::Vpcs>(),
            any::<subnet::Subnets>(),
            any::<internet_gateway::InternetGateways>(),
            any::<elastic_ip::ElasticIps>(),
            any::<nat_gateway::NatGateways>(),
            any::<nat_instance_listing::NatInstances>(),
            any::<route_table::RouteTables>(),
            any::<route_association::RouteAssociations>(),
            any::<security_group::SecurityGroups>(),
            any::<vpc_endpoint::VpcEndpoints>(),
            any::<cache_subnet_group::CacheSubnetGroups>(),
            any::<cache_group::Caches>(),
            any::<cache_user::CacheUsers>(),
            any::<cache_user_group::CacheUserGroups>(),
            any::<serverless_cache::ServerlessCaches>(),
            any::<parameter::Secrets>(),
            any::<parameter::Parameters>(),
            any::<iam_role::IamRoles>(),
            any::<log_group::LogGroups>(),
            any::<function::Functions>(),
            any::<function_alias::FunctionAliases>(),
            any::<function_permission::FunctionPermissions>(),
            any::<schedule::Schedules>(),
            any::<network_interface::NetworkInterfaces>(),
            any::<api_authorizer::ApiAuthorizers>(),
            any::<api_attachment::ApiAttachments>(),
            any::<alarm::Alarms>(),
            any::<dashboard::Dashboards>(),
        ]
    }
}
