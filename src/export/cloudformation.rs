//! A CloudFormation template, and the list of the resources that a change set imports. Pure.
//!
//! Source: the resource types of the CloudFormation registry, with their primary identifiers.

mod cache;
mod functions;
mod network;

use serde_json::{Map, Value, json};
use serde_yaml::Mapping;

use super::labels::{Labels, Property};
use super::{Export, File, Written, hcl, header, managed};
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::resource::description::{Description, What};

/// A resource of the template, and what identifies it in the account.
struct Resource {
    label: String,
    kind: &'static str,
    identifier: Value,
    properties: Value,
}

/// How resources refer to each other, and what was written so far.
struct Writer {
    labels: Labels,
    resources: Vec<Resource>,
    /// The names of the parameters with the places of the code.
    parameters: Vec<(String, &'static str)>,
}

impl Writer {
    fn add(
        &mut self,
        label: impl Into<String>,
        kind: &'static str,
        identifier: Value,
        properties: Value,
    ) {
        self.resources.push(Resource {
            label: label.into(),
            kind,
            identifier,
            properties,
        });
    }

    fn label(&self, found: &Description) -> String {
        self.labels.of(&found.id).to_owned()
    }

    /// An id or an ARN, as a reference if it is that of an exported resource.
    fn id(&self, text: &str) -> Value {
        let Some(to) = self.labels.id(text) else {
            return json!(text);
        };
        match (to.kind, to.property) {
            (Kind::ElasticIp, Property::Id) => json!({"Fn::GetAtt": [to.label, "AllocationId"]}),
            (Kind::SecurityGroup, Property::Id) => json!({"Fn::GetAtt": [to.label, "GroupId"]}),
            // It returns the ARN of the alias.
            (Kind::FunctionAlias, Property::Arn) | (_, Property::Id) => json!({"Ref": to.label}),
            (_, Property::Arn) => json!({"Fn::GetAtt": [to.label, "Arn"]}),
            // The template has no attribute for it.
            (_, Property::InvokeUri | Property::Interface) => json!(text),
        }
    }

    fn ids(&self, ids: &[String]) -> Value {
        ids.iter().map(|id| self.id(id)).collect()
    }

    /// A name of a resource of this kind.
    fn name(&self, kind: Kind, text: &str) -> Value {
        match self.labels.name(kind, text) {
            Some(to) => json!({"Ref": to.label}),
            None => json!(text),
        }
    }

    fn write(&mut self, found: &Description) {
        let label = self.label(found);
        match &found.what {
            What::Vpc {
                vpc_id,
                cidr,
                dns_support,
                dns_hostnames,
            } => {
                let properties = json!({
                    "CidrBlock": cidr,
                    "EnableDnsSupport": dns_support,
                    "EnableDnsHostnames": dns_hostnames,
                });
                self.add(
                    label,
                    "AWS::EC2::VPC",
                    json!({"VpcId": vpc_id}),
                    tagged(properties, found),
                );
            }
            What::Subnet(subnet) => network::subnet(self, found, subnet),
            What::InternetGateway { gateway_id, vpc_id } => {
                network::internet_gateway(self, found, gateway_id, vpc_id.as_deref());
            }
            What::ElasticIp {
                allocation_id,
                public_ip,
            } => {
                self.add(
                    label,
                    "AWS::EC2::EIP",
                    json!({"PublicIp": public_ip, "AllocationId": allocation_id}),
                    tagged(json!({"Domain": "vpc"}), found),
                );
            }
            What::NatGateway {
                gateway_id,
                subnet_id,
                allocation_id,
            } => {
                let properties = json!({
                    "AllocationId": self.id(allocation_id),
                    "SubnetId": self.id(subnet_id),
                });
                self.add(
                    label,
                    "AWS::EC2::NatGateway",
                    json!({"NatGatewayId": gateway_id}),
                    tagged(properties, found),
                );
            }
            What::NatInstance(instance) => network::nat_instance(self, found, instance),
            What::RouteTable(table) => network::route_table(self, found, table),
            What::SecurityGroup(group) => network::security_group(self, found, group),
            What::VpcEndpoint(endpoint) => network::endpoint(self, found, endpoint),
            What::CacheSubnetGroup {
                name,
                description,
                subnets,
            } => {
                let properties = json!({
                    "CacheSubnetGroupName": name,
                    "Description": description,
                    "SubnetIds": self.ids(subnets),
                });
                self.add(
                    label,
                    "AWS::ElastiCache::SubnetGroup",
                    json!({"CacheSubnetGroupName": name}),
                    tagged(properties, found),
                );
            }
            What::Cache(cache) => cache::replication_group(self, found, cache),
            What::CacheUser(user) => cache::user(self, found, user),
            What::CacheUserGroup {
                group_id,
                engine,
                users,
            } => {
                let users = users.iter().map(|user| self.name(Kind::CacheUser, user));
                let properties = json!({
                    "UserGroupId": group_id,
                    "Engine": engine,
                    "UserIds": users.collect::<Vec<_>>(),
                });
                self.add(
                    label,
                    "AWS::ElastiCache::UserGroup",
                    json!({"UserGroupId": group_id}),
                    tagged(properties, found),
                );
            }
            What::ServerlessCache(cache) => cache::serverless(self, found, cache),
            What::Parameter { name, value } => {
                // The tags of this type are a map.
                let tags: Map<_, _> = managed(&found.tags)
                    .map(|(key, value)| (key.clone(), json!(value)))
                    .collect();
                let mut properties = json!({"Name": name, "Type": "String", "Value": value});
                if !tags.is_empty() {
                    properties["Tags"] = tags.into();
                }
                self.add(
                    label,
                    "AWS::SSM::Parameter",
                    json!({"Name": name}),
                    properties,
                );
            }
            What::Role(role) => functions::role(self, found, role),
            What::LogGroup(group) => functions::log_group(self, found, group),
            What::Function(function) => functions::function(self, found, function),
            What::Alias(alias) => functions::alias(self, found, alias),
            What::Permission(permission) => functions::permission(self, found, permission),
            What::Schedule(schedule) => functions::schedule(self, found, schedule),
            What::Authorizer(authorizer) => functions::authorizer(self, found, authorizer),
            What::Secret { .. } | What::Attachment(_) => {}
        }
    }
}

/// The properties with the tags of the resource.
fn tagged(mut properties: Value, found: &Description) -> Value {
    let tags = managed(&found.tags).map(|(key, value)| json!({"Key": key, "Value": value}));
    let tags: Vec<_> = tags.collect();
    if !tags.is_empty() {
        properties["Tags"] = tags.into();
    }
    properties
}

/// Sets a property if there is a value.
fn set(properties: &mut Value, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        properties[name] = value.into();
    }
}

/// The label of a resource: letters and digits.
fn label(id: &LogicalId) -> String {
    let kind = id.kind.as_str();
    let words = kind
        .split('-')
        .chain(id.name.split(|c: char| !c.is_ascii_alphanumeric()));
    words
        .map(|word| {
            let mut letters = word.chars();
            let first = letters.next().map(|first| first.to_ascii_uppercase());
            first.into_iter().chain(letters).collect::<String>()
        })
        .collect()
}

/// A resource of the template. It stays when it is removed from the stack of CloudFormation.
fn entry(resource: &Resource) -> Result<Mapping, serde_yaml::Error> {
    let mut entry = Mapping::new();
    for (key, value) in [
        ("Type", json!(resource.kind)),
        ("DeletionPolicy", json!("Retain")),
        ("UpdateReplacePolicy", json!("Retain")),
        ("Properties", resource.properties.clone()),
    ] {
        entry.insert(key.into(), serde_yaml::to_value(value)?);
    }
    Ok(entry)
}

fn template(export: &Export, writer: &Writer) -> Result<String, serde_yaml::Error> {
    let parameters: Map<_, _> = writer
        .parameters
        .iter()
        .map(|(name, what)| (name.clone(), json!({"Type": "String", "Description": what})))
        .collect();
    let mut resources = Mapping::new();
    for resource in &writer.resources {
        resources.insert(resource.label.as_str().into(), entry(resource)?.into());
    }
    let mut template = Mapping::new();
    template.insert("AWSTemplateFormatVersion".into(), "2010-09-09".into());
    let description = format!(
        "The stack {} of threescale-gw in {}",
        export.stack, export.region
    );
    template.insert("Description".into(), description.into());
    if !parameters.is_empty() {
        template.insert("Parameters".into(), serde_yaml::to_value(parameters)?);
    }
    template.insert("Resources".into(), resources.into());
    serde_yaml::to_string(&template)
}

/// The files of the export.
pub(super) fn write(export: &Export) -> Written {
    let mut writer = Writer {
        labels: Labels::new(&export.resources, label),
        resources: Vec::new(),
        parameters: Vec::new(),
    };
    for found in &export.resources {
        writer.write(found);
    }
    let imports: Vec<_> = writer
        .resources
        .iter()
        .map(|resource| {
            json!({
                "ResourceType": resource.kind,
                "LogicalResourceId": resource.label,
                "ResourceIdentifier": resource.identifier,
            })
        })
        .collect();
    let left_out = export.left_out();
    let mut about = header(export, "The resources");
    about.push(
        "CloudFormation does not compare an imported resource with its properties here: detect drift after the import.".to_owned(),
    );
    about.extend(left_out.iter().map(|text| format!("Not here: {text}")));
    let about: Vec<_> = about.iter().flat_map(|text| hcl::wrapped(text)).collect();
    // Texts, numbers and lists can always be written.
    let template = template(export, &writer).unwrap_or_default();
    let imports = serde_json::to_string_pretty(&imports).unwrap_or_default();
    Written {
        imported: writer.resources.len(),
        files: vec![
            File {
                name: "template.yaml",
                content: format!("{}{template}", hcl::comment(&about)),
            },
            File {
                name: "resources-to-import.json",
                content: imports + "\n",
            },
        ],
        left_out,
    }
}
