//! Whether the functions can work in security groups of the operator. Pure.

use std::collections::BTreeSet;

use ipnet::Ipv4Net;

use super::findings::Verdict;
use crate::aws::own_groups::{Destination, Group, Outbound};

/// The port of the Parameter Store.
const HTTPS: u16 = 443;

/// What the functions need of their security groups.
#[derive(Debug, Clone)]
pub struct Needs<'a> {
    /// The configured groups.
    pub groups: &'a [String],
    /// The VPC of the functions; `None` if the stack has yet to create it.
    pub vpc: Option<&'a str>,
    /// The security groups of the stack.
    pub of_stack: &'a BTreeSet<String>,
    /// The host of 3scale, and its port.
    pub host: &'a str,
    pub port: u16,
    /// The port of the cache, if there is one.
    pub cache_port: Option<u16>,
    /// The security group of the stack's cache, if it exists.
    pub cache_group: Option<&'a str>,
    /// The address ranges of the subnets of the stack's cache; empty with another cache.
    pub cache_ranges: &'a [Ipv4Net],
}

/// Checks the security groups of the operator. `found` are those that exist.
pub fn judge(needs: &Needs<'_>, found: &[Group]) -> Verdict {
    let mut verdict = Verdict::default();
    let Some(vpc) = needs.vpc else {
        verdict.faults.push(
            "authorizer.security_groups: a security group belongs to a VPC, and this run creates the VPC of the stack: \
             name the groups after that, or use `network.vpc`"
                .to_owned(),
        );
        return verdict;
    };
    for id in needs.groups {
        let fault = match found.iter().find(|group| group.id == *id) {
            None => format!("there is no security group {id}"),
            Some(_) if needs.of_stack.contains(id) => {
                format!("{id} belongs to the stack: name a security group of your own")
            }
            Some(group) if group.vpc != vpc => format!("{id} is in {}, not in {vpc}", group.vpc),
            Some(_) => continue,
        };
        verdict
            .faults
            .push(format!("authorizer.security_groups: {fault}"));
    }
    if !verdict.faults.is_empty() {
        return verdict;
    }
    let names = needs.groups.join(", ");
    let mut ways = vec![(needs.port, needs.host.to_owned())];
    match needs.port {
        HTTPS => ways[0].1.push_str(" and the Parameter Store"),
        _ => ways.push((HTTPS, "the Parameter Store".to_owned())),
    }
    for (port, what) in ways {
        let lets = way(found, port);
        let is_open = lets.iter().any(|rule| is_everywhere(&rule.to));
        report(&mut verdict, &names, port, &what, &lets, is_open);
    }
    if let Some(port) = needs.cache_port {
        let lets = way(found, port);
        let reaches = |to: &Destination| match to {
            Destination::Range(range) => {
                let ranges = needs.cache_ranges;
                !ranges.is_empty() && ranges.iter().all(|one| range.contains(one))
            }
            Destination::Named(id) => needs.cache_group == Some(id),
        };
        let is_open = lets
            .iter()
            .any(|rule| is_everywhere(&rule.to) || reaches(&rule.to));
        report(&mut verdict, &names, port, "the cache", &lets, is_open);
    }
    verdict
}

/// The rules that allow connections to a port. Each group adds to what the others allow.
fn way(groups: &[Group], port: u16) -> Vec<&Outbound> {
    let rules = groups.iter().flat_map(|group| &group.outbound);
    let lets = rules.filter(|rule| match rule.protocol.as_str() {
        "-1" => true,
        "tcp" | "6" => rule
            .ports
            .is_none_or(|(from, to)| (from..=to).contains(&port)),
        _ => false,
    });
    lets.collect()
}

fn is_everywhere(to: &Destination) -> bool {
    matches!(to, Destination::Range(range) if range.prefix_len() == 0)
}

fn report(
    verdict: &mut Verdict,
    names: &str,
    port: u16,
    what: &str,
    lets: &[&Outbound],
    is_open: bool,
) {
    if lets.is_empty() {
        verdict.faults.push(format!(
            "authorizer.security_groups: no rule of {names} allows outbound traffic to TCP port {port}, so the functions do not \
             reach {what}: add one"
        ));
    } else if !is_open {
        let to: BTreeSet<_> = lets
            .iter()
            .map(|rule| match &rule.to {
                Destination::Range(range) => range.to_string(),
                Destination::Named(id) => id.clone(),
            })
            .collect();
        let to: Vec<_> = to.into_iter().collect();
        verdict.notices.push(format!(
            "authorizer.security_groups: {names} allow outbound traffic to TCP port {port} only to {}: whether the functions \
             reach {what} is not checked",
            to.join(", ")
        ));
    }
}

#[cfg(test)]
mod tests;
