//! Reads what the checks of the operator's own security groups need.

use aws_sdk_ec2::types::IpPermission;
use ipnet::Ipv4Net;

use super::ec2::filter;
use super::paginate::pages;
use super::{Aws, AwsError};

/// Where a rule lets traffic go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    Range(Ipv4Net),
    /// The id of a security group or of a prefix list.
    Named(String),
}

/// A rule for outbound traffic over IPv4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outbound {
    /// `tcp`, `6`, another protocol, or `-1` for all.
    pub protocol: String,
    /// The ports; `None` for all.
    pub ports: Option<(u16, u16)>,
    pub to: Destination,
}

/// A security group of the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub id: String,
    pub vpc: String,
    pub outbound: Vec<Outbound>,
}

impl Aws {
    /// The security groups with these ids that exist.
    ///
    /// # Errors
    /// When the listing fails.
    pub async fn security_groups(&self, ids: &[String]) -> Result<Vec<Group>, AwsError> {
        let request = self.ec2.describe_security_groups();
        let request = request.filters(filter("group-id", ids.iter().cloned()));
        let groups = pages(|token| async {
            let request = request.clone().set_next_token(token);
            let page = self
                .call_idempotent("ec2:DescribeSecurityGroups", || request.clone().send())
                .await?;
            Ok((page.security_groups, page.next_token))
        })
        .await?;
        let group = |group: aws_sdk_ec2::types::SecurityGroup| {
            let rules = group.ip_permissions_egress.unwrap_or_default();
            Some(Group {
                id: group.group_id?,
                vpc: group.vpc_id.unwrap_or_default(),
                outbound: rules.into_iter().flat_map(outbound).collect(),
            })
        };
        Ok(groups.into_iter().filter_map(group).collect())
    }
}

/// A permission has a rule for each of its destinations. Destinations of IPv6 are left out.
fn outbound(permission: IpPermission) -> Vec<Outbound> {
    let port = |port: Option<i32>| port.and_then(|port| u16::try_from(port).ok());
    let ports = port(permission.from_port).zip(port(permission.to_port));
    let protocol = permission.ip_protocol.unwrap_or_default();
    let ranges = permission.ip_ranges.unwrap_or_default().into_iter();
    let ranges = ranges.filter_map(|range| range.cidr_ip?.parse().ok().map(Destination::Range));
    let groups = permission.user_id_group_pairs.unwrap_or_default();
    let groups = groups.into_iter().filter_map(|pair| pair.group_id);
    let lists = permission.prefix_list_ids.unwrap_or_default();
    let lists = lists.into_iter().filter_map(|list| list.prefix_list_id);
    let rule = |to| Outbound {
        protocol: protocol.clone(),
        ports,
        to,
    };
    let named = groups.chain(lists).map(Destination::Named);
    ranges.chain(named).map(rule).collect()
}
