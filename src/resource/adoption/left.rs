//! What is in a network beside the network itself: what others use, and what has a name that cannot be changed. Pure.

use super::found::Found;
use super::outcome::{Adoption, Left, Wanted};
use super::owner::{other, own_id};
use crate::printable::line;

/// What the operator does with a resource that the stack has its own of.
const DELETE: &str = "delete it when `up` is done: `down` refuses while it is in the VPC";

/// Blocks what others have in the VPC. EC2 would not delete the VPC with it, and `up` may cut it off.
pub(super) fn others(found: &Found, adoption: &mut Adoption) {
    let of_endpoints: Vec<_> = found
        .endpoints
        .iter()
        .flat_map(|endpoint| &endpoint.interfaces)
        .collect();
    let mut texts = Vec::new();
    for interface in &found.interfaces {
        let description = &interface.description;
        // These are named as functions, caches and NAT gateways.
        let is_of_known = description.starts_with("AWS Lambda VPC ENI")
            || description.starts_with("ElastiCache")
            || interface.requester == "amazon-elasticache"
            || description.starts_with("Interface for NAT Gateway ");
        if is_of_known || of_endpoints.contains(&&interface.id) {
            continue;
        }
        texts.push(format!(
            "network interface {} (owner {}, {}, {:?})",
            interface.id,
            line(&interface.owner),
            line(&interface.status),
            line(description)
        ));
    }
    let endpoints = found.endpoints.iter();
    texts.extend(endpoints.map(|one| format!("VPC endpoint {} ({})", one.id, line(&one.service))));
    for peering in &found.peerings {
        let [one, two] = &peering.vpcs;
        let other = if *one == found.vpc.id { two } else { one };
        texts.push(format!(
            "VPC peering connection {} with {}",
            peering.id,
            line(other)
        ));
    }
    let attached = found.attached.iter().filter(|one| {
        let own = &found.internet_gateways;
        own.iter().all(|gateway| gateway.id != one.id)
    });
    texts.extend(attached.map(|one| format!("{} {}", one.what, one.id)));
    let texts = texts
        .into_iter()
        .map(|text| format!("others use {}: {text}", found.vpc.id));
    adoption.blockers.extend(texts);
}

/// Leaves what the stack finds by its name, which cannot be changed.
pub(super) fn functions_and_caches(wanted: &Wanted, found: &Found, adoption: &mut Adoption) {
    let stack = &wanted.stack;
    for group in &found.groups {
        if let Some(owner) = other(stack, &group.tags) {
            let text = format!("security group {} belongs to {owner}", group.id);
            adoption.blockers.push(text);
        }
    }
    let ours = format!("threescale-gw-{stack}-");
    let mut leave = |what, physical_id: &str, why: String, advice: String| {
        adoption.left.push(Left {
            what,
            physical_id: physical_id.to_owned(),
            why,
            advice: Some(advice),
        });
    };
    let is_free = |group: &&super::found::Group| {
        group.name != "default"
            && own_id(wanted, &group.tags).is_none()
            && other(stack, &group.tags).is_none()
    };
    for group in found.groups.iter().filter(is_free) {
        let why = format!(
            "its name is {}, which cannot be changed: `up` creates groups of its own",
            line(&group.name)
        );
        let advice = "delete it when nothing uses it: `down` refuses while it is in the VPC";
        leave("security group", &group.id, why, advice.to_owned());
    }
    let functions = found.functions.iter();
    for function in functions.filter(|function| !function.name.starts_with(&ours)) {
        let why = format!(
            "the name of a function cannot be changed: `up` creates {ours}authorizer and {ours}reporter"
        );
        let advice = match function.role.is_empty() {
            true => DELETE.to_owned(),
            false => format!(
                "{DELETE}; `authorizer.role_arn: {}` uses its role",
                line(&function.role)
            ),
        };
        leave("function", &function.name, why, advice);
    }
    let caches = found.caches.iter();
    for cache in caches.filter(|cache| !cache.name.starts_with(&ours)) {
        let what = match cache.is_group {
            true => "replication group",
            false => "cache cluster",
        };
        let why = format!("the id of a cache cannot be changed: `up` creates {ours}cache");
        let advice = match &cache.url {
            None => DELETE.to_owned(),
            Some(url) => {
                format!("`cache.url: {}` uses it instead; else {DELETE}", line(url))
            }
        };
        leave(what, &cache.name, why, advice);
    }
    let groups = found.cache_subnet_groups.iter();
    for name in groups.filter(|name| !name.starts_with(&ours)) {
        let why = format!("its name cannot be changed: `up` creates {ours}cache");
        leave(
            "cache subnet group",
            name,
            why,
            "delete it with its cache".to_owned(),
        );
    }
    let authorizers = found.authorizers.iter();
    for authorizer in authorizers.filter(|authorizer| !authorizer.name.starts_with(&ours)) {
        let why = format!(
            "{} ({}) is an authorizer of the API, and `up` creates one of its own",
            line(&authorizer.name),
            line(&authorizer.kind)
        );
        let methods: Vec<_> = authorizer
            .methods
            .iter()
            .map(|method| format!("\"{}\"", line(method)))
            .collect();
        let advice = match methods.is_empty() {
            true => "no method uses it: delete it".to_owned(),
            false => format!(
                "`up` takes over methods with another authorizer only if `api.protect` names them exactly: [{}]",
                methods.join(", ")
            ),
        };
        leave("authorizer", &authorizer.id, why, advice);
    }
}
