//! The kinds of resources: names, deletion order and usual durations. Data only.

use std::time::Duration;

/// A kind of resource, in the order of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Vpc,
    Subnet,
    InternetGateway,
    ElasticIp,
    NatGateway,
    NatInstance,
    RouteTable,
    RouteAssociation,
    SecurityGroup,
    VpcEndpoint,
    CacheSubnetGroup,
    Cache,
    CacheUser,
    CacheUserGroup,
    ServerlessCache,
    Secret,
    Parameter,
    IamRole,
    LogGroup,
    Function,
    FunctionAlias,
    FunctionPermission,
    Schedule,
    NetworkInterface,
    ApiAuthorizer,
    ApiAttachment,
    Alarm,
    Dashboard,
}

impl Kind {
    /// Every kind, in the order of reports.
    pub const ALL: [Self; 28] = [
        Self::Vpc,
        Self::Subnet,
        Self::InternetGateway,
        Self::ElasticIp,
        Self::NatGateway,
        Self::NatInstance,
        Self::RouteTable,
        Self::RouteAssociation,
        Self::SecurityGroup,
        Self::VpcEndpoint,
        Self::CacheSubnetGroup,
        Self::Cache,
        Self::CacheUser,
        Self::CacheUserGroup,
        Self::ServerlessCache,
        Self::Secret,
        Self::Parameter,
        Self::IamRole,
        Self::LogGroup,
        Self::Function,
        Self::FunctionAlias,
        Self::FunctionPermission,
        Self::Schedule,
        Self::NetworkInterface,
        Self::ApiAuthorizer,
        Self::ApiAttachment,
        Self::Alarm,
        Self::Dashboard,
    ];

    /// The word used in logical ids.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vpc => "vpc",
            Self::Subnet => "subnet",
            Self::InternetGateway => "internet-gateway",
            Self::ElasticIp => "elastic-ip",
            Self::NatGateway => "nat-gateway",
            Self::NatInstance => "nat-instance",
            Self::RouteTable => "route-table",
            Self::RouteAssociation => "route-association",
            Self::SecurityGroup => "security-group",
            Self::VpcEndpoint => "vpc-endpoint",
            Self::CacheSubnetGroup => "cache-subnet-group",
            Self::Cache => "cache",
            Self::CacheUser => "cache-user",
            Self::CacheUserGroup => "cache-user-group",
            Self::ServerlessCache => "serverless-cache",
            Self::Secret => "secret",
            Self::Parameter => "parameter",
            Self::IamRole => "iam-role",
            Self::LogGroup => "log-group",
            Self::Function => "lambda",
            Self::FunctionAlias => "lambda-alias",
            Self::FunctionPermission => "lambda-permission",
            Self::Schedule => "schedule",
            Self::NetworkInterface => "network-interface",
            Self::ApiAuthorizer => "api-authorizer",
            Self::ApiAttachment => "api-attachment",
            Self::Alarm => "alarm",
            Self::Dashboard => "dashboard",
        }
    }

    /// Parses the word used in logical ids.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The kinds that must no longer exist before a resource of this kind is deleted. The API always
    /// comes first: nothing that its authorizer depends on is changed while the API still uses the
    /// authorizer. Source: Lambda Developer Guide, foundation-networking, on role and interfaces;
    /// Amazon VPC User Guide, on what each deletion waits for.
    pub fn deleted_after(self) -> &'static [Self] {
        match self {
            Self::ApiAttachment | Self::Alarm | Self::Dashboard => &[],
            Self::ApiAuthorizer
            | Self::FunctionPermission
            | Self::Cache
            | Self::ServerlessCache
            | Self::VpcEndpoint => &[Self::ApiAttachment],
            // What else is in a subnet of the operator keeps its way out until the subnet has its former one.
            Self::NatGateway | Self::NatInstance => &[Self::ApiAttachment, Self::RouteAssociation],
            // A reporter that no longer runs is silent: its alarm goes first.
            Self::Schedule => &[Self::Alarm],
            // A version keeps the VPC configuration it was published with: its interfaces exist as long as the
            // version.
            Self::FunctionAlias => &[
                Self::ApiAttachment,
                Self::FunctionPermission,
                Self::Schedule,
            ],
            Self::Function => &[
                Self::ApiAttachment,
                Self::FunctionAlias,
                Self::FunctionPermission,
                Self::Schedule,
            ],
            Self::NetworkInterface => &[Self::Function],
            Self::RouteAssociation => &[Self::ApiAttachment],
            Self::RouteTable => &[Self::ApiAttachment, Self::RouteAssociation],
            Self::ElasticIp => &[Self::NatGateway, Self::NatInstance],
            Self::InternetGateway => &[Self::NatGateway, Self::NatInstance, Self::ElasticIp],
            Self::CacheSubnetGroup => &[Self::Cache],
            // A user group cannot be deleted while a cache has it, nor the user `default` of a group.
            Self::CacheUserGroup => &[Self::ServerlessCache],
            Self::CacheUser => &[Self::CacheUserGroup],
            Self::Subnet => &[
                Self::NatGateway,
                Self::NatInstance,
                Self::VpcEndpoint,
                Self::Cache,
                Self::CacheSubnetGroup,
                Self::ServerlessCache,
                Self::RouteTable,
                Self::NetworkInterface,
            ],
            Self::SecurityGroup => &[
                Self::Cache,
                Self::ServerlessCache,
                Self::CacheUser,
                Self::CacheUserGroup,
                Self::NatInstance,
                Self::VpcEndpoint,
                Self::NetworkInterface,
            ],
            Self::Vpc => &[
                Self::Subnet,
                Self::SecurityGroup,
                Self::RouteTable,
                Self::InternetGateway,
            ],
            // Lambda uses the role to delete the interfaces: without the role they are never deleted.
            Self::IamRole => &[Self::Function, Self::NetworkInterface],
            // A parameter records that there may be alarms and a dashboard.
            Self::Parameter => &[Self::Function, Self::Alarm, Self::Dashboard],
            Self::Secret | Self::LogGroup => &[Self::Function],
        }
    }

    /// Whether others can use a resource of this kind, so that AWS does not delete it.
    pub fn is_network(self) -> bool {
        matches!(
            self,
            Self::Vpc
                | Self::Subnet
                | Self::InternetGateway
                | Self::RouteTable
                | Self::SecurityGroup
        )
    }

    /// Whether the traffic of others can go through a resource of this kind, or need it otherwise. AWS still deletes some of them.
    pub fn can_serve_others(self) -> bool {
        let is_way_out = matches!(
            self,
            Self::NatGateway | Self::NatInstance | Self::RouteAssociation
        );
        is_way_out || self.is_network()
    }

    /// The kind of resource that AWS leaves behind when a resource of this kind is deleted, and deletes
    /// later. Source: Lambda Developer Guide, foundation-networking, on Hyperplane network interfaces.
    pub fn leaves_behind(self) -> Option<Self> {
        match self {
            Self::Function => Some(Self::NetworkInterface),
            _ => None,
        }
    }

    /// Whether a resource of this kind holds what would be lost with it: the counted usage.
    pub fn holds_usage(self) -> bool {
        matches!(self, Self::Cache | Self::ServerlessCache)
    }

    /// Whether the delivery of the counted usage needs no resource of this kind.
    pub fn delivers_no_usage(self) -> bool {
        matches!(
            self,
            Self::ApiAttachment
                | Self::ApiAuthorizer
                | Self::FunctionPermission
                | Self::Schedule
                | Self::Alarm
                | Self::Dashboard
        )
    }

    /// Whether AWS creates and deletes resources of this kind, so that they are not resources of the
    /// stack.
    pub fn is_left_behind(self) -> bool {
        Self::ALL
            .into_iter()
            .any(|kind| kind.leaves_behind() == Some(self))
    }

    /// The kinds that are changed only after an undesired resource of this kind is deleted. The
    /// functions read every parameter of the stack: with the address of a former cache, the authorizer
    /// would not pass its self-test.
    pub fn deleted_before(self) -> &'static [Self] {
        match self {
            Self::Secret | Self::Parameter => &[Self::ApiAuthorizer, Self::ApiAttachment],
            _ => &[],
        }
    }

    /// The usual durations of creation and deletion on AWS, where they are long enough to report.
    pub fn usual(self) -> (Option<Duration>, Option<Duration>) {
        let minutes = |n: u64| Some(Duration::from_secs(n * 60));
        match self {
            Self::NatGateway => (minutes(2), minutes(2)),
            Self::NatInstance => (minutes(2), minutes(1)),
            Self::VpcEndpoint => (minutes(2), minutes(3)),
            Self::Cache => (minutes(7), minutes(6)),
            Self::ServerlessCache => (minutes(1), minutes(2)),
            Self::Function => (minutes(2), minutes(1)),
            Self::NetworkInterface => (None, minutes(20)),
            Self::IamRole => (Some(Duration::from_secs(10)), None),
            _ => (None, None),
        }
    }

    /// The time limit of a wait in a state that this version does not know: three times the usual
    /// duration.
    pub fn budget_of_unknown(self) -> Duration {
        let usual = self.usual().0.unwrap_or(Duration::from_secs(60));
        (usual * 3).min(self.budget())
    }

    /// The time limit of a wait, after which it fails. Source: the timeouts of Terraform's AWS
    /// provider.
    pub fn budget(self) -> Duration {
        let minutes = match self {
            Self::Cache => 60,
            Self::ServerlessCache => 40,
            Self::NatGateway => 30,
            Self::NetworkInterface | Self::Subnet | Self::SecurityGroup => 45,
            Self::InternetGateway => 20,
            Self::NatInstance => 15,
            Self::VpcEndpoint => 10,
            Self::Function | Self::FunctionAlias | Self::CacheUserGroup => 10,
            _ => 5,
        };
        Duration::from_secs(minutes * 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_unique_and_read_back() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(Kind::parse("bucket"), None);
    }

    #[test]
    fn an_unknown_state_is_given_up_before_the_time_limit() {
        for kind in Kind::ALL {
            assert!(kind.budget_of_unknown() <= kind.budget());
        }
        let minutes = |n: u64| Duration::from_secs(n * 60);
        assert_eq!(Kind::Cache.budget_of_unknown(), minutes(21));
        assert_eq!(Kind::Vpc.budget_of_unknown(), minutes(3));
    }

    #[test]
    fn the_order_of_deletion_has_an_end_and_begins_with_the_api() {
        fn depth(kind: Kind, seen: usize) -> usize {
            assert!(seen < Kind::ALL.len(), "a cycle through {}", kind.as_str());
            kind.deleted_after()
                .iter()
                .map(|before| 1 + depth(*before, seen + 1))
                .max()
                .unwrap_or(0)
        }
        for kind in Kind::ALL {
            depth(kind, 0);
        }
        assert_eq!(depth(Kind::ApiAttachment, 0), 0);
    }
}
