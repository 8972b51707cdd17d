//! Terraform configuration with `import` blocks. Pure.
//!
//! Source: the documentation of the AWS provider, "Import" of each resource.

mod cache;
mod functions;
mod network;

use std::collections::BTreeMap;

use super::hcl::{self, Block, Expression, Item};
use super::labels::{Labels, Property, Reference};
use super::{Export, File, PREFIX, Written, header, managed};
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::resource::description::{Description, What};

/// A resource of Terraform, and the id under which its provider imports it.
struct Resource {
    block: Block,
    import: String,
}

/// What a description becomes.
#[derive(Default)]
struct Resources(Vec<Resource>);

impl Resources {
    fn add(&mut self, import: impl Into<String>, block: Block) {
        self.0.push(Resource {
            block,
            import: import.into(),
        });
    }
}

/// How resources refer to each other.
struct Writer {
    labels: Labels,
}

impl Writer {
    /// An id, an ARN or a URI, as a reference if it is that of an exported resource.
    fn id(&self, text: &str) -> Expression {
        match self.labels.id(text) {
            Some(reference) => Expression::Reference(address(&reference)),
            None => text.into(),
        }
    }

    fn ids(&self, ids: &[String]) -> Expression {
        Expression::List(ids.iter().map(|id| self.id(id)).collect())
    }

    /// A name of a resource of this kind.
    fn name(&self, kind: Kind, text: &str) -> Expression {
        match self.labels.name(kind, text) {
            Some(reference) => Expression::Reference(address(&reference)),
            None => text.into(),
        }
    }

    fn block(&self, kind: &str, found: &Description) -> Block {
        Block::new("resource", [kind, self.labels.of(&found.id)])
    }

    fn resources(&self, found: &Description) -> Resources {
        let mut all = Resources::default();
        match &found.what {
            What::Vpc {
                vpc_id,
                cidr,
                dns_support,
                dns_hostnames,
            } => {
                let block = self
                    .block("aws_vpc", found)
                    .with("cidr_block", cidr.as_str())
                    .with("enable_dns_support", *dns_support)
                    .with("enable_dns_hostnames", *dns_hostnames);
                all.add(vpc_id, tagged(block, found));
            }
            What::Subnet(subnet) => network::subnet(self, found, subnet, &mut all),
            What::InternetGateway { gateway_id, vpc_id } => {
                let mut block = self.block("aws_internet_gateway", found);
                if let Some(vpc_id) = vpc_id {
                    block = block.with("vpc_id", self.id(vpc_id));
                }
                all.add(gateway_id, tagged(block, found));
            }
            What::ElasticIp { allocation_id, .. } => {
                let block = self.block("aws_eip", found).with("domain", "vpc");
                all.add(allocation_id, tagged(block, found));
            }
            What::NatGateway {
                gateway_id,
                subnet_id,
                allocation_id,
            } => {
                let block = self
                    .block("aws_nat_gateway", found)
                    .with("allocation_id", self.id(allocation_id))
                    .with("subnet_id", self.id(subnet_id));
                all.add(gateway_id, tagged(block, found));
            }
            What::NatInstance(instance) => network::nat_instance(self, found, instance, &mut all),
            What::RouteTable(table) => network::route_table(self, found, table, &mut all),
            What::SecurityGroup(group) => network::security_group(self, found, group, &mut all),
            What::VpcEndpoint(endpoint) => network::endpoint(self, found, endpoint, &mut all),
            What::CacheSubnetGroup {
                name,
                description,
                subnets,
            } => {
                let block = self
                    .block("aws_elasticache_subnet_group", found)
                    .with("name", name.as_str())
                    .with("description", description.as_str())
                    .with("subnet_ids", self.ids(subnets));
                all.add(name, tagged(block, found));
            }
            What::Cache(cache) => cache::replication_group(self, found, cache, &mut all),
            What::CacheUser(user) => cache::user(self, found, user, &mut all),
            What::CacheUserGroup {
                group_id,
                engine,
                users,
            } => {
                let users = users.iter().map(|user| self.name(Kind::CacheUser, user));
                let block = self
                    .block("aws_elasticache_user_group", found)
                    .with("user_group_id", group_id.as_str())
                    .with("engine", engine.as_str())
                    .with("user_ids", users.collect::<Vec<_>>());
                all.add(group_id, tagged(block, found));
            }
            What::ServerlessCache(cache) => cache::serverless(self, found, cache, &mut all),
            What::Parameter { name, value } => {
                let block = self
                    .block("aws_ssm_parameter", found)
                    .with("name", name.as_str())
                    .with("type", "String")
                    .with("value", value.as_str());
                all.add(name, tagged(block, found));
            }
            What::Role(role) => functions::role(self, found, role, &mut all),
            What::LogGroup(group) => functions::log_group(self, found, group, &mut all),
            What::Function(function) => functions::function(self, found, function, &mut all),
            What::Alias(alias) => functions::alias(self, found, alias, &mut all),
            What::Permission(permission) => {
                functions::permission(self, found, permission, &mut all);
            }
            What::Schedule(schedule) => functions::schedule(self, found, schedule, &mut all),
            What::Authorizer(authorizer) => {
                functions::authorizer(self, found, authorizer, &mut all);
            }
            What::Secret { .. } | What::Attachment(_) => {}
        }
        all
    }
}

/// The address of a property of a resource.
fn address(to: &Reference<'_>) -> String {
    let (kind, id) = match to.kind {
        Kind::Vpc => ("aws_vpc", "id"),
        Kind::Subnet => ("aws_subnet", "id"),
        Kind::InternetGateway => ("aws_internet_gateway", "id"),
        Kind::ElasticIp => ("aws_eip", "id"),
        Kind::NatGateway => ("aws_nat_gateway", "id"),
        Kind::NatInstance => ("aws_instance", "id"),
        Kind::RouteTable | Kind::RouteAssociation => ("aws_route_table", "id"),
        Kind::SecurityGroup => ("aws_security_group", "id"),
        Kind::VpcEndpoint => ("aws_vpc_endpoint", "id"),
        Kind::CacheSubnetGroup => ("aws_elasticache_subnet_group", "name"),
        Kind::Cache => ("aws_elasticache_replication_group", "id"),
        Kind::CacheUser => ("aws_elasticache_user", "user_id"),
        Kind::CacheUserGroup => ("aws_elasticache_user_group", "user_group_id"),
        Kind::ServerlessCache => ("aws_elasticache_serverless_cache", "name"),
        Kind::Secret | Kind::Parameter => ("aws_ssm_parameter", "name"),
        Kind::IamRole => ("aws_iam_role", "name"),
        Kind::LogGroup => ("aws_cloudwatch_log_group", "name"),
        Kind::Function => ("aws_lambda_function", "function_name"),
        Kind::FunctionAlias => ("aws_lambda_alias", "name"),
        Kind::FunctionPermission => ("aws_lambda_permission", "id"),
        Kind::Schedule => ("aws_cloudwatch_event_rule", "name"),
        Kind::ApiAuthorizer => ("aws_api_gateway_authorizer", "id"),
        Kind::Alarm => ("aws_cloudwatch_metric_alarm", "id"),
        Kind::Dashboard => ("aws_cloudwatch_dashboard", "id"),
        Kind::NetworkInterface | Kind::ApiAttachment => ("aws_network_interface", "id"),
    };
    let property = match to.property {
        Property::Id => id,
        Property::Arn => "arn",
        Property::InvokeUri => "invoke_arn",
        Property::Interface => "primary_network_interface_id",
    };
    format!("{kind}.{}.{property}", to.label)
}

/// The block with the tags of the resource.
fn tagged(block: Block, found: &Description) -> Block {
    with_tags(block, &found.tags)
}

fn with_tags(block: Block, tags: &BTreeMap<String, String>) -> Block {
    let tags = managed(tags).map(|(key, value)| (key.clone(), value.as_str().into()));
    let tags: Vec<_> = tags.collect();
    match tags.is_empty() {
        true => block,
        false => block.with("tags", Expression::Object(tags)),
    }
}

/// A block that says which attributes Terraform leaves as they are.
fn ignoring(attributes: &[&str]) -> Block {
    let attributes = attributes.iter();
    let attributes = attributes.map(|name| Expression::Reference((*name).to_owned()));
    let mut block = Block::new("lifecycle", []);
    block.items.push(Item::Attribute(
        "ignore_changes".to_owned(),
        Expression::List(attributes.collect()),
    ));
    block
}

/// The label of a resource: a word of Terraform.
fn label(id: &LogicalId) -> String {
    let plain = |c: char| match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' => c,
        _ => '_',
    };
    let label: String = id.name.chars().map(plain).collect();
    match label.starts_with(|first: char| first.is_ascii_digit()) {
        true => format!("_{label}"),
        false => label,
    }
}

/// The versions and the provider.
fn settings(export: &Export) -> [Block; 2] {
    let provider = [("source", "hashicorp/aws"), ("version", "~> 5.100")];
    let provider = provider.map(|(key, value)| (key.to_owned(), value.into()));
    let mut required = Block::new("required_providers", []);
    required.items.push(Item::Attribute(
        "aws".to_owned(),
        Expression::Object(provider.into()),
    ));
    let terraform = Block::new("terraform", [])
        .with("required_version", ">= 1.5")
        .with_block(required);
    let ignored = Block::new("ignore_tags", []).with("key_prefixes", vec![PREFIX.into()]);
    let ignored = ignored.about("The tags with which threescale-gw finds the stack. Terraform neither adds nor removes them.");
    let provider = Block::new("provider", ["aws"])
        .with("region", export.region.as_str())
        .with("allowed_account_ids", vec![export.account.as_str().into()])
        .with_block(ignored);
    [terraform, provider]
}

/// The files of the export.
pub(super) fn write(export: &Export) -> Written {
    let writer = Writer {
        labels: Labels::new(&export.resources, label),
    };
    let resources = export.resources.iter();
    let resources: Vec<_> = resources
        .flat_map(|found| writer.resources(found).0)
        .collect();
    let imports = resources.iter().map(|resource| {
        let to = resource.block.labels.join(".");
        Block::new("import", [])
            .with("to", Expression::Reference(to))
            .with("id", resource.import.as_str())
    });
    let imports: Vec<_> = imports.collect();
    let left_out = export.left_out();
    let mut about = header(export, "The resources");
    if !left_out.is_empty() {
        about.push(String::new());
        about.push("Not in this configuration:".to_owned());
        about.extend(left_out.iter().map(|text| format!("- {text}")));
    }
    let imported = resources.len();
    let blocks: Vec<_> = resources
        .into_iter()
        .map(|resource| resource.block)
        .collect();
    let once = "Remove this file after `terraform apply`.".to_owned();
    let mut about_imports = header(export, "What Terraform takes over");
    about_imports.push(once);
    let file = |name, about: &[String], blocks: &[Block]| File {
        name,
        content: format!("{}\n{}", commented(about), hcl::file(blocks)),
    };
    Written {
        files: vec![
            file(
                "versions.tf",
                &header(export, "Terraform configuration"),
                &settings(export),
            ),
            file("main.tf", &about, &blocks),
            file("imports.tf", &about_imports, &imports),
        ],
        imported,
        left_out,
    }
}

fn commented(lines: &[String]) -> String {
    let wrapped = lines.iter().flat_map(|line| match line.is_empty() {
        true => vec![String::new()],
        false => hcl::wrapped(line),
    });
    hcl::comment(&wrapped.collect::<Vec<_>>())
}
