//! The security groups: the authorizer's group has no inbound rules, the cache's group allows
//! inbound traffic to its port from the groups of the functions only, that of a NAT instance all from
//! the private subnets. All keep EC2's default rule, which allows all outbound traffic.
//!
//! A published version keeps the groups that it was published with. A rule for them stays as long as
//! the version exists.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types::{
    IpPermission, IpRange, Ipv6Range, ResourceType, SecurityGroup as Live, UserIdGroupPair,
};

use super::claims::Claim;
use super::function_publication::Publication;
use super::{
    Context, Diff, Field, Identity, Listing, NEW, Reference, Resource, ResourceError, ResourceKind,
    Unmanaged,
};
use crate::aws::ec2::{filter, from_tags, of_stack, tagged, write_tags};
use crate::aws::paginate::pages;
use crate::aws::{optional, tags};
use crate::id::LogicalId;
use crate::kind::Kind;

/// The name of the group of the functions.
pub const AUTHORIZER: &str = "authorizer";
/// The name of the group of the cache.
pub const CACHE: &str = "cache";
/// The name of the group of a serverless cache. Without it, the stack has no serverless cache, and no user of one: the group exists
/// before them and after them. So other stacks need neither the calls that list them nor their permissions.
pub const SERVERLESS_CACHE: &str = "serverless-cache";

const RULE: Field = Field::Property("rule");
const RULE_OUT: Field = Field::Property("outbound rule");
const VPC: Field = Field::Property("vpc");

/// An inbound rule: protocol, ports and source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Rule {
    protocol: String,
    ports: Option<(i32, i32)>,
    source: String,
}

impl Rule {
    fn text(&self) -> String {
        match self.ports {
            Some((from, to)) if from == to => {
                format!("{} {from} from {}", self.protocol, self.source)
            }
            Some((from, to)) => format!("{} {from}-{to} from {}", self.protocol, self.source),
            None => format!("{} from {}", self.protocol, self.source),
        }
    }

    /// Converts the rule to the SDK's type.
    fn permission(&self, description: Option<&str>) -> IpPermission {
        let permission = IpPermission::builder()
            .ip_protocol(&self.protocol)
            .set_from_port(self.ports.map(|ports| ports.0))
            .set_to_port(self.ports.map(|ports| ports.1));
        let description = description.map(str::to_owned);
        if self.source.starts_with("sg-") {
            let pair = UserIdGroupPair::builder()
                .group_id(&self.source)
                .set_description(description)
                .build();
            permission.user_id_group_pairs(pair).build()
        } else if self.source.contains(':') {
            permission
                .ipv6_ranges(Ipv6Range::builder().cidr_ipv6(&self.source).build())
                .build()
        } else if self.source.starts_with("pl-") {
            let list = aws_sdk_ec2::types::PrefixListId::builder()
                .prefix_list_id(&self.source)
                .build();
            permission.prefix_list_ids(list).build()
        } else {
            permission
                .ip_ranges(
                    IpRange::builder()
                        .cidr_ip(&self.source)
                        .set_description(description)
                        .build(),
                )
                .build()
        }
    }

    /// All protocols and ports, to all destinations.
    fn everything() -> Self {
        Self {
            protocol: "-1".to_owned(),
            ports: None,
            source: "0.0.0.0/0".to_owned(),
        }
    }

    fn read(permission: IpPermission) -> Vec<Self> {
        let protocol = permission.ip_protocol.unwrap_or_default();
        let ports = permission.from_port.zip(permission.to_port);
        let groups = permission
            .user_id_group_pairs
            .unwrap_or_default()
            .into_iter()
            .filter_map(|pair| pair.group_id);
        let v4 = permission
            .ip_ranges
            .unwrap_or_default()
            .into_iter()
            .filter_map(|range| range.cidr_ip);
        let v6 = permission
            .ipv6_ranges
            .unwrap_or_default()
            .into_iter()
            .filter_map(|range| range.cidr_ipv6);
        let lists = permission
            .prefix_list_ids
            .unwrap_or_default()
            .into_iter()
            .filter_map(|list| list.prefix_list_id);
        groups
            .chain(v4)
            .chain(v6)
            .chain(lists)
            .map(|source| Self {
                protocol: protocol.clone(),
                ports,
                source,
            })
            .collect()
    }
}

/// The actual security group.
#[derive(Debug, Clone)]
pub struct Actual {
    pub(super) id: LogicalId,
    pub(super) group_id: String,
    /// It cannot be changed.
    pub(super) name: String,
    pub(super) vpc_id: String,
    ingress: BTreeSet<Rule>,
    /// The groups in `ingress` that the configuration does not name, and versions of the functions use.
    still_used: BTreeSet<String>,
    /// Whether all outbound traffic is allowed.
    lets_out: bool,
    tags: BTreeMap<String, String>,
}

impl Actual {
    /// The groups that its rules name.
    pub(super) fn groups_in_rules(&self) -> impl Iterator<Item = &str> {
        let sources = self.ingress.iter().map(|rule| rule.source.as_str());
        sources.filter(|source| source.starts_with("sg-"))
    }

    /// The inbound rules beside `wanted` that no version of the functions needs.
    fn surplus<'a>(&'a self, wanted: &'a BTreeSet<Rule>) -> impl Iterator<Item = &'a Rule> {
        let surplus = self.ingress.difference(wanted);
        surplus.filter(|rule| !self.still_used.contains(&rule.source))
    }
}

/// Security groups of EC2.
#[derive(Debug)]
pub struct SecurityGroups;

impl SecurityGroups {
    /// Whether the stack has a group of this name, in any network.
    ///
    /// # Errors
    /// When the listing fails.
    pub(super) async fn has(cx: &Context, name: &str) -> Result<bool, ResourceError> {
        let groups = Self::list(cx).await?.owned;
        Ok(groups.iter().any(|group| group.id.name == name))
    }

    /// Groups of other owners in the operator's VPC with the names that `ids` will have. A VPC of the
    /// stack has none.
    ///
    /// # Errors
    /// When the listing fails.
    pub async fn taken(
        cx: &Context,
        vpc_id: &str,
        ids: &[LogicalId],
    ) -> Result<Vec<Unmanaged>, ResourceError> {
        let names = ids.iter().map(|id| cx.names().exact(&id.name));
        let request = cx
            .aws()
            .ec2
            .describe_security_groups()
            .filters(filter("vpc-id", [vpc_id.to_owned()]))
            .filters(filter("group-name", names));
        // A name is unique within a VPC, so there is one page.
        let answer = cx
            .aws()
            .call_idempotent("ec2:DescribeSecurityGroups", || request.clone().send())
            .await?;
        let unmanaged = |group: Live| {
            let tags = from_tags(group.tags.as_ref());
            if tags::owner(&cx.names().stack, &tags).is_some() {
                return None;
            }
            let name = group.group_name?;
            let id = ids.iter().find(|id| cx.names().exact(&id.name) == name)?;
            Some(Unmanaged {
                id: id.clone(),
                physical_id: name,
                why: format!(
                    "{} in {vpc_id} {}",
                    group.group_id.unwrap_or_default(),
                    tags::why_unmanaged(&tags)
                ),
            })
        };
        let groups = answer.security_groups.unwrap_or_default();
        Ok(groups.into_iter().filter_map(unmanaged).collect())
    }

    /// The groups that the functions should have, if the run has a configuration.
    fn configured(cx: &Context, owned: &[Actual]) -> Option<BTreeSet<String>> {
        cx.options().home.as_ref()?;
        let given = &cx.options().security_groups;
        if !given.is_empty() {
            return Some(given.iter().cloned().collect());
        }
        let own = owned.iter().filter(|group| group.id.name == AUTHORIZER);
        Some(own.map(|group| group.group_id.clone()).collect())
    }

    /// Notes which groups in rules the functions still use. Reads the functions only if a rule names a group that is not
    /// configured.
    async fn note_users(cx: &Context, owned: &mut [Actual]) -> Result<(), ResourceError> {
        let Some(configured) = Self::configured(cx, owned) else {
            return Ok(());
        };
        let is_other = |group: &&str| !configured.contains(*group);
        let names_other = |group: &Actual| group.groups_in_rules().any(|named| is_other(&named));
        if !owned.iter().any(names_other) {
            return Ok(());
        }
        let functions = Publication::all(cx).await?;
        let used: BTreeSet<_> = functions
            .owned
            .iter()
            .flat_map(Publication::security_groups)
            .collect();
        for group in owned {
            let others = group.groups_in_rules().filter(is_other);
            let used = others.filter(|group| used.contains(group));
            group.still_used = used.map(str::to_owned).collect();
        }
        Ok(())
    }

    /// Removes the rules of the group of the cache for groups that neither the configuration names nor a version of the
    /// functions uses.
    pub(super) async fn forget_former(cx: &Context, group: &Actual) -> Result<(), ResourceError> {
        let owned = Self::list(cx).await?.owned;
        let Some(configured) = Self::configured(cx, &owned) else {
            return Ok(());
        };
        let former = group.ingress.iter().filter(|rule| {
            let source = &rule.source;
            source.starts_with("sg-")
                && !configured.contains(source)
                && !group.still_used.contains(source)
        });
        Self::revoke(cx, &group.group_id, former).await
    }

    async fn revoke(
        cx: &Context,
        group_id: &str,
        rules: impl Iterator<Item = &Rule>,
    ) -> Result<(), ResourceError> {
        let permissions: Vec<_> = rules.map(|rule| rule.permission(None)).collect();
        if permissions.is_empty() {
            return Ok(());
        }
        let request = cx
            .aws()
            .ec2
            .revoke_security_group_ingress()
            .group_id(group_id)
            .set_ip_permissions(Some(permissions));
        optional(
            cx.aws()
                .call_idempotent("ec2:RevokeSecurityGroupIngress", || request.clone().send())
                .await,
        )?;
        Ok(())
    }
}

impl ResourceKind for SecurityGroups {
    type Actual = Actual;
    const KIND: Kind = Kind::SecurityGroup;

    async fn fetch(cx: &Context) -> Result<Listing<Actual>, ResourceError> {
        let request = cx
            .aws()
            .ec2
            .describe_security_groups()
            .filters(of_stack(&cx.names().stack));
        let groups: Vec<Live> = pages(|token| async {
            let request = request.clone().set_next_token(token);
            let page = cx
                .aws()
                .call_idempotent("ec2:DescribeSecurityGroups", || request.clone().send())
                .await?;
            Ok((page.security_groups, page.next_token))
        })
        .await?;
        let mut listing = Listing::default();
        for group in groups {
            let tags = from_tags(group.tags.as_ref());
            let (Some(id), Some(group_id)) =
                (tags::owner(&cx.names().stack, &tags), group.group_id)
            else {
                continue;
            };
            let ingress = group
                .ip_permissions
                .unwrap_or_default()
                .into_iter()
                .flat_map(Rule::read)
                .collect();
            let lets_out = group
                .ip_permissions_egress
                .unwrap_or_default()
                .into_iter()
                .flat_map(Rule::read)
                .any(|rule| rule.protocol == "-1" && rule.source == "0.0.0.0/0");
            listing.owned.push(Actual {
                id,
                group_id,
                name: group.group_name.unwrap_or_default(),
                vpc_id: group.vpc_id.unwrap_or_default(),
                ingress,
                still_used: BTreeSet::new(),
                lets_out,
                tags,
            });
        }
        Self::note_users(cx, &mut listing.owned).await?;
        Ok(listing)
    }

    fn identify(actual: &Actual) -> Identity {
        Identity::ready(actual.id.clone(), actual.group_id.clone())
    }

    fn claim(stack: &str, actual: &Actual) -> Option<Claim> {
        Some(Claim {
            vpc: Some(actual.vpc_id.clone()),
            is_named: actual.name == format!("threescale-gw-{stack}-{}", actual.id.name),
            ..Claim::new(stack, Self::identify(actual), &actual.tags)
        })
    }

    async fn delete(cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
        // A group that another group's rule references cannot be deleted, so this group's rules that
        // reference other groups are removed first.
        let naming = actual
            .ingress
            .iter()
            .filter(|rule| rule.source.starts_with("sg-"));
        Self::revoke(cx, &actual.group_id, naming).await?;
        let request = cx
            .aws()
            .ec2
            .delete_security_group()
            .group_id(&actual.group_id);
        optional(
            cx.aws()
                .call_idempotent("ec2:DeleteSecurityGroup", || request.clone().send())
                .await,
        )?;
        Ok(())
    }
}

/// The inbound traffic that a security group allows.
#[derive(Debug)]
pub enum Admits {
    Nothing,
    /// Of the functions: the only port, and their groups.
    Functions(u16, Vec<Reference>),
    /// All traffic from these subnets, by their CIDR blocks: a rule that names a group does not admit what is forwarded.
    /// Source: Amazon VPC User Guide, "Security group rules", on middlebox appliances.
    Subnets(Vec<String>),
}

/// The desired security group.
#[derive(Debug)]
pub struct SecurityGroup {
    pub name: String,
    pub vpc: Reference,
    /// What it is for. It cannot be changed.
    pub description: &'static str,
    pub admits: Admits,
}

impl SecurityGroup {
    /// The required rules.
    fn rules(&self, cx: &Context) -> BTreeSet<Rule> {
        match &self.admits {
            Admits::Nothing => BTreeSet::new(),
            // A source that is not created yet has no id.
            Admits::Functions(port, groups) => {
                let port = i32::from(*port);
                let rule = |group: &Reference| Rule {
                    protocol: "tcp".to_owned(),
                    ports: Some((port, port)),
                    source: group.known_output(cx).unwrap_or_else(|| NEW.to_owned()),
                };
                groups.iter().map(rule).collect()
            }
            Admits::Subnets(cidrs) => {
                let rule = |source: &String| Rule {
                    source: source.clone(),
                    ..Rule::everything()
                };
                cidrs.iter().map(rule).collect()
            }
        }
    }
}

impl Resource for SecurityGroup {
    type Kind = SecurityGroups;

    fn name(&self) -> &str {
        &self.name
    }

    fn needs(&self) -> Vec<LogicalId> {
        [&self.vpc]
            .into_iter()
            .chain(match &self.admits {
                Admits::Functions(_, groups) => groups.as_slice(),
                Admits::Nothing | Admits::Subnets(_) => &[],
            })
            .filter_map(Reference::need)
            .collect()
    }

    fn diff(&self, cx: &Context, actual: &Actual) -> Diff {
        let mut diff = Diff::default();
        diff.immutable(
            VPC,
            &actual.vpc_id,
            self.vpc.known_output(cx).as_deref().unwrap_or(NEW),
        );
        let wanted = self.rules(cx);
        for rule in wanted.difference(&actual.ingress) {
            diff.field(RULE, "(none)", rule.text());
        }
        for rule in actual.surplus(&wanted) {
            diff.field(RULE, rule.text(), "(none)");
        }
        if !actual.lets_out {
            diff.field(RULE_OUT, "(none)", "everything to anywhere");
        }
        diff.tags(&cx.tags(&actual.id), &actual.tags);
        diff
    }

    async fn create(&self, cx: &Context) -> Result<(), ResourceError> {
        let tags = cx.tags(&LogicalId::new(Kind::SecurityGroup, self.name()));
        let request = cx
            .aws()
            .ec2
            .create_security_group()
            .vpc_id(self.vpc.resolve(cx)?)
            .group_name(cx.names().exact(&self.name))
            .description(self.description)
            .tag_specifications(tagged(ResourceType::SecurityGroup, tags));
        cx.aws()
            .call_non_idempotent("ec2:CreateSecurityGroup", || request.clone().send())
            .await?;
        Ok(())
    }

    async fn update(
        &self,
        cx: &Context,
        actual: &Actual,
        _diff: &Diff,
    ) -> Result<(), ResourceError> {
        let wanted = self.rules(cx);
        for rule in wanted.difference(&actual.ingress) {
            let permission = rule.permission(Some("the authorizer and the reporter"));
            let request = cx
                .aws()
                .ec2
                .authorize_security_group_ingress()
                .group_id(&actual.group_id)
                .ip_permissions(permission);
            cx.aws()
                .call_non_idempotent("ec2:AuthorizeSecurityGroupIngress", || {
                    request.clone().send()
                })
                .await?;
        }
        SecurityGroups::revoke(cx, &actual.group_id, actual.surplus(&wanted)).await?;
        if !actual.lets_out {
            let request = cx
                .aws()
                .ec2
                .authorize_security_group_egress()
                .group_id(&actual.group_id)
                .ip_permissions(Rule::everything().permission(None));
            cx.aws()
                .call_non_idempotent("ec2:AuthorizeSecurityGroupEgress", || {
                    request.clone().send()
                })
                .await?;
        }
        Ok(write_tags(
            cx.aws(),
            &actual.group_id,
            &cx.tags(&actual.id),
            &actual.tags,
        )
        .await?)
    }
}
