//! The names of resources in the other language, and how one refers to another. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::LogicalId;
use crate::kind::Kind;
use crate::resource::description::{Description, What};

/// A property of a resource that others name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Property {
    Id,
    Arn,
    /// The URI with which API Gateway invokes a function.
    InvokeUri,
    /// The network interface of an instance.
    Interface,
}

/// Where a text refers to: the kind, the label of the resource, and its property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference<'a> {
    pub kind: Kind,
    pub label: &'a str,
    pub property: Property,
}

/// The labels of all resources.
#[derive(Debug, Default)]
pub(super) struct Labels {
    labels: BTreeMap<LogicalId, String>,
    /// What an id, an ARN or a URI refers to. Each is unique.
    ids: BTreeMap<String, (LogicalId, Property)>,
    /// What a name refers to. Names are unique within their kind.
    names: BTreeMap<(Kind, String), LogicalId>,
}

impl Labels {
    /// Labels that consist of what `spell` makes of the kind and the name. They are unique within their kind.
    pub(super) fn new(resources: &[Description], spell: impl Fn(&LogicalId) -> String) -> Self {
        let mut all = Self::default();
        let mut taken = BTreeSet::new();
        for found in resources {
            let plain = spell(&found.id);
            let mut label = plain.clone();
            let mut number = 1;
            while !taken.insert((found.id.kind, label.clone())) {
                number += 1;
                label = format!("{plain}{number}");
            }
            all.labels.insert(found.id.clone(), label);
            all.note(found);
        }
        all
    }

    /// The label of a resource.
    pub(super) fn of(&self, id: &LogicalId) -> &str {
        self.labels.get(id).map_or("", String::as_str)
    }

    /// What an id, an ARN or a URI refers to.
    pub(super) fn id(&self, text: &str) -> Option<Reference<'_>> {
        let (id, property) = self.ids.get(text)?;
        Some(self.reference(id, *property))
    }

    /// What a name refers to.
    pub(super) fn name(&self, kind: Kind, text: &str) -> Option<Reference<'_>> {
        let id = self.names.get(&(kind, text.to_owned()))?;
        Some(self.reference(id, Property::Id))
    }

    fn reference(&self, id: &LogicalId, property: Property) -> Reference<'_> {
        Reference {
            kind: id.kind,
            label: self.of(id),
            property,
        }
    }

    fn note(&mut self, found: &Description) {
        let kind = found.id.kind;
        let mut id = |text: &str, property| {
            if !text.is_empty() {
                self.ids
                    .insert(text.to_owned(), (found.id.clone(), property));
            }
        };
        let name = match &found.what {
            What::Vpc { vpc_id: text, .. }
            | What::InternetGateway {
                gateway_id: text, ..
            }
            | What::ElasticIp {
                allocation_id: text,
                ..
            }
            | What::NatGateway {
                gateway_id: text, ..
            } => {
                id(text, Property::Id);
                return;
            }
            What::Subnet(subnet) => {
                id(&subnet.subnet_id, Property::Id);
                return;
            }
            What::NatInstance(instance) => {
                id(&instance.instance_id, Property::Id);
                id(&instance.interface_id, Property::Interface);
                return;
            }
            What::RouteTable(table) => {
                id(&table.table_id, Property::Id);
                return;
            }
            What::SecurityGroup(group) => {
                id(&group.group_id, Property::Id);
                return;
            }
            What::Role(role) => {
                id(&role.arn, Property::Arn);
                &role.name
            }
            What::Function(function) => {
                id(&function.arn, Property::Arn);
                &function.name
            }
            What::Alias(alias) => {
                id(&alias.arn, Property::Arn);
                let mut arn = alias.arn.split(':');
                if let (Some(partition), Some(region)) = (arn.nth(1), arn.nth(1)) {
                    let uri = format!(
                        "arn:{partition}:apigateway:{region}:lambda:path/2015-03-31/functions/{}/invocations",
                        alias.arn
                    );
                    id(&uri, Property::InvokeUri);
                }
                &alias.function
            }
            What::Schedule(schedule) => {
                id(&schedule.arn, Property::Arn);
                &schedule.rule
            }
            What::CacheSubnetGroup { name, .. } => name,
            What::CacheUser(user) => &user.user_id,
            What::CacheUserGroup { group_id, .. } => group_id,
            _ => return,
        };
        self.names.insert((kind, name.clone()), found.id.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_unique_within_their_kind_and_ids_refer_to_them() {
        let subnet = |name: &str, id: &str| Description {
            id: LogicalId::new(Kind::Subnet, name),
            what: What::Subnet(crate::resource::description::Subnet {
                subnet_id: id.to_owned(),
                vpc_id: "vpc-1".to_owned(),
                cidr: String::new(),
                zone: String::new(),
                maps_public_ips: false,
            }),
            tags: BTreeMap::new(),
        };
        let all = [
            subnet("a@1", "subnet-1"),
            subnet("a-1", "subnet-2"),
            subnet("b", "subnet-3"),
        ];
        let labels = Labels::new(&all, |id| id.name.replace(['@', '-'], "_"));
        let label = |id: &str| labels.id(id).map(|to| to.label.to_owned());
        assert_eq!(label("subnet-1").as_deref(), Some("a_1"));
        assert_eq!(label("subnet-2").as_deref(), Some("a_12"));
        assert_eq!(label("subnet-3").as_deref(), Some("b"));
        // What is not exported is named by its id.
        assert_eq!(label("vpc-1"), None);
        assert_eq!(labels.name(Kind::Subnet, "b"), None);
    }

    #[test]
    fn the_uri_of_an_authorizer_refers_to_the_alias() {
        let arn = "arn:aws-cn:lambda:cn-north-1:123456789012:function:f:live";
        let alias = Description {
            id: LogicalId::new(Kind::FunctionAlias, "authorizer"),
            what: What::Alias(crate::resource::description::Alias {
                arn: arn.to_owned(),
                name: "live".to_owned(),
                function: "f".to_owned(),
                version: "1".to_owned(),
                description: String::new(),
                weights: BTreeMap::new(),
            }),
            tags: BTreeMap::new(),
        };
        let labels = Labels::new(&[alias], |id| id.name.clone());
        let uri = format!(
            "arn:aws-cn:apigateway:cn-north-1:lambda:path/2015-03-31/functions/{arn}/invocations"
        );
        let property = |text: &str| labels.id(text).map(|to| to.property);
        assert_eq!(property(&uri), Some(Property::InvokeUri));
        assert_eq!(property(arn), Some(Property::Arn));
        assert_eq!(
            labels.name(Kind::FunctionAlias, "f").map(|to| to.label),
            Some("authorizer")
        );
    }
}
