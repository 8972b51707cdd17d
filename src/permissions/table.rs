//! The IAM actions that the program uses, and the resources on which. Data only.
//!
//! Source: the requests of the program; Service Authorization Reference, for the resource types and condition keys.

use crate::kind::Kind;

/// What an action is allowed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum On {
    /// Everything: the action has no resource, or lists what the stack may own.
    Any,
    Api,
    /// Custom domain names.
    Domains,
    Rule,
    Role,
    /// The role of the functions, passed to Lambda.
    PassedRole,
    /// The service-linked role of ElastiCache.
    ServiceLinkedRole,
    /// A managed policy, which may be the permissions boundary.
    Policy,
    Function,
    LogGroup,
    Alarm,
    /// Dashboards have no Region.
    Dashboard,
    Parameter,
    /// The public parameter with the image of a NAT instance.
    ImageParameter,
    /// ElastiCache's resources of the stack, and its default parameter groups.
    Cache,
    /// New resources of EC2, with the stack's tag.
    Created,
    /// The VPC in which something is created, or to which something is attached.
    InVpc,
    /// What a NAT gateway, an endpoint or an instance is created in or with.
    With,
    /// Route tables and subnets, which may be the operator's.
    Routes,
    /// Addresses and what has them.
    Addresses,
    /// Network interfaces: those that Lambda creates have no tag of the stack.
    Interfaces,
    /// Resources of EC2 with the stack's tag.
    Own,
    /// The KMS keys of the operator.
    Key,
    /// Users and roles: one of them is the operator.
    Operator,
    /// Tags of a resource that is created.
    Tags,
    /// The endpoint that ElastiCache creates for a serverless cache.
    CacheEndpoint,
}

/// An action, and on what.
pub type Right = (&'static str, On);

/// The rights for one action on a kind.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rights {
    /// Used in any case.
    pub always: &'static [Right],
    /// Used if the configuration or the account requires it.
    pub maybe: &'static [Right],
}

const NONE: Rights = Rights {
    always: &[],
    maybe: &[],
};

const fn rights(always: &'static [Right], maybe: &'static [Right]) -> Rights {
    Rights { always, maybe }
}

/// To read the stack, the API and the account: every command.
pub const READ: &[Right] = &[
    ("sts:GetCallerIdentity", On::Any),
    ("apigateway:GET", On::Api),
    ("cloudwatch:DescribeAlarms", On::Any),
    ("cloudwatch:GetDashboard", On::Dashboard),
    ("cloudwatch:ListTagsForResource", On::Alarm),
    ("cloudwatch:ListTagsForResource", On::Dashboard),
    ("ec2:DescribeAddresses", On::Any),
    ("ec2:DescribeInstances", On::Any),
    ("ec2:DescribeInstanceStatus", On::Any),
    ("ec2:DescribeInternetGateways", On::Any),
    ("ec2:DescribeNatGateways", On::Any),
    ("ec2:DescribeRouteTables", On::Any),
    ("ec2:DescribeSecurityGroups", On::Any),
    ("ec2:DescribeSubnets", On::Any),
    ("ec2:DescribeVpcAttribute", On::Any),
    ("ec2:DescribeVpcEndpoints", On::Any),
    ("ec2:DescribeVpcs", On::Any),
    ("elasticache:DescribeCacheSubnetGroups", On::Any),
    ("elasticache:DescribeReplicationGroups", On::Any),
    ("elasticache:DescribeServerlessCaches", On::Any),
    ("elasticache:DescribeUserGroups", On::Any),
    ("elasticache:DescribeUsers", On::Any),
    ("elasticache:ListTagsForResource", On::Any),
    ("events:DescribeRule", On::Rule),
    ("events:ListTagsForResource", On::Rule),
    ("events:ListTargetsByRule", On::Rule),
    ("iam:GetRole", On::Role),
    ("iam:GetRolePolicy", On::Role),
    ("lambda:GetFunction", On::Function),
    ("lambda:GetPolicy", On::Function),
    ("lambda:ListAliases", On::Function),
    ("lambda:ListVersionsByFunction", On::Function),
    ("logs:DescribeLogGroups", On::Any),
    ("logs:ListTagsForResource", On::LogGroup),
    ("ssm:GetParametersByPath", On::Parameter),
];

/// To check a plan before anything is changed.
pub const CHECK: &[Right] = &[
    ("apigateway:GET", On::Domains),
    ("apigateway:ListRoutingRules", On::Any),
    ("ec2:DescribeAccountVpcEncryptionControl", On::Any),
    ("ec2:DescribeAvailabilityZones", On::Any),
    ("ec2:DescribeInstanceTypeOfferings", On::Any),
    ("ec2:DescribeVpcBlockPublicAccessExclusions", On::Any),
    ("ec2:DescribeVpcBlockPublicAccessOptions", On::Any),
    ("ec2:DescribeVpcEncryptionControls", On::Any),
    ("elasticache:DescribeReservedCacheNodesOfferings", On::Any),
    ("iam:GetPolicy", On::Policy),
    ("iam:GetRole", On::Operator),
    ("iam:ListAccountAliases", On::Any),
    ("iam:SimulatePrincipalPolicy", On::Operator),
    ("lambda:GetAccountSettings", On::Any),
    ("servicequotas:GetServiceQuota", On::Any),
    ("ssm:ListTagsForResource", On::Parameter),
    ("tag:ListRequiredTags", On::Any),
];

/// To find what others have in the network of the stack, before a part of it is deleted.
pub const NEIGHBORS: &[Right] = &[
    ("ec2:DescribeCarrierGateways", On::Any),
    ("ec2:DescribeEgressOnlyInternetGateways", On::Any),
    ("ec2:DescribeNetworkAcls", On::Any),
    ("ec2:DescribeNetworkInterfaces", On::Any),
    ("ec2:DescribeVpcPeeringConnections", On::Any),
    ("ec2:DescribeVpnGateways", On::Any),
    ("lambda:ListFunctions", On::Any),
];

/// For `plan --out`, which looks as closely as an `up` that changes something.
pub const PLAN: &[Right] = &[
    ("elasticache:DescribeCacheClusters", On::Any),
    ("iam:ListAttachedRolePolicies", On::Role),
    ("iam:ListRolePolicies", On::Role),
];

/// For `status`, in addition.
pub const STATUS: &[Right] = &[
    ("apigateway:GET", On::Domains),
    ("apigateway:ListRoutingRules", On::Any),
    ("elasticache:DescribeCacheClusters", On::Any),
    ("iam:ListAttachedRolePolicies", On::Role),
    ("iam:ListRolePolicies", On::Role),
    ("iam:ListRoles", On::Any),
    ("lambda:GetAccountSettings", On::Any),
    ("lambda:InvokeFunction", On::Function),
    ("ssm:DescribeParameters", On::Any),
    ("tag:GetResources", On::Any),
];

/// For `export`, in addition. Those of EC2 are for a NAT instance.
pub const EXPORT: &[Right] = &[
    ("apigateway:GET", On::Domains),
    ("apigateway:ListRoutingRules", On::Any),
    ("ec2:DescribeInstanceAttribute", On::Any),
    ("ec2:DescribeInstanceCreditSpecifications", On::Any),
    ("ec2:DescribeVolumes", On::Any),
    ("elasticache:DescribeCacheClusters", On::Any),
    ("iam:ListAttachedRolePolicies", On::Role),
    ("iam:ListRolePolicies", On::Role),
    ("iam:ListRoles", On::Any),
    ("ssm:DescribeParameters", On::Any),
    ("ssm:ListTagsForResource", On::Parameter),
    ("tag:GetResources", On::Any),
];

/// With a KMS key of the operator: for every command except `down`, for `plan` and `up`, and for `up`.
pub const KEY: [&[Right]; 3] = [
    &[
        ("kms:Decrypt", On::Key),
        ("ssm:DescribeParameters", On::Any),
    ],
    &[("kms:DescribeKey", On::Key)],
    &[("kms:CreateGrant", On::Key), ("kms:Encrypt", On::Key)],
];

/// The lock of the stack, and that of the API.
pub const LOCK: &[Right] = &[
    ("ssm:AddTagsToResource", On::Parameter),
    ("ssm:DeleteParameter", On::Parameter),
    ("ssm:PutParameter", On::Parameter),
];

/// For every `up` that changes something.
pub const UP: &[Right] = &[("lambda:InvokeFunction", On::Function)];

/// While `up` runs, for any change.
pub const UP_MAYBE: &[Right] = &[
    ("ec2:DescribeVpcEndpointServices", On::Any),
    ("ec2:GetConsoleOutput", On::Own),
    ("elasticache:DescribeCacheClusters", On::Any),
    ("iam:ListAttachedRolePolicies", On::Role),
    ("iam:ListRolePolicies", On::Role),
    ("lambda:GetFunctionConfiguration", On::Function),
    // The verification of an HTTP or WebSocket API.
    ("logs:FilterLogEvents", On::LogGroup),
];

/// While `down` runs, or finds no stack. It also publishes the API, and writes gateway responses that others have customized.
pub const DOWN_MAYBE: &[Right] = &[
    ("apigateway:POST", On::Api),
    ("apigateway:PUT", On::Api),
    ("iam:ListAccountAliases", On::Any),
    ("iam:ListRoles", On::Any),
    ("lambda:GetFunctionConfiguration", On::Function),
    ("lambda:InvokeFunction", On::Function),
    ("ssm:DescribeParameters", On::Any),
    ("ssm:ListTagsForResource", On::Parameter),
    ("tag:GetResources", On::Any),
];

/// For `sweep`, in addition to what `down` needs: it lists the stacks, and reads which have expired.
pub const SWEEP: &[Right] = &[
    ("ec2:DescribeRegions", On::Any),
    ("ssm:GetParameters", On::Parameter),
];

/// To create a resource of a kind.
pub const fn create(kind: Kind) -> Rights {
    match kind {
        Kind::Vpc => rights(
            &[
                ("ec2:CreateVpc", On::Created),
                ("ec2:CreateTags", On::Tags),
                ("ec2:ModifyVpcAttribute", On::Own),
            ],
            &[],
        ),
        Kind::Subnet => rights(
            &[
                ("ec2:CreateSubnet", On::Created),
                ("ec2:CreateSubnet", On::InVpc),
                ("ec2:CreateTags", On::Tags),
            ],
            &[],
        ),
        Kind::InternetGateway => rights(
            &[
                ("ec2:CreateInternetGateway", On::Created),
                ("ec2:AttachInternetGateway", On::Own),
                ("ec2:AttachInternetGateway", On::InVpc),
                ("ec2:CreateTags", On::Tags),
            ],
            &[],
        ),
        Kind::ElasticIp => rights(
            &[
                ("ec2:AllocateAddress", On::Created),
                ("ec2:CreateTags", On::Tags),
            ],
            &[],
        ),
        Kind::NatGateway => rights(
            &[
                ("ec2:CreateNatGateway", On::Created),
                ("ec2:CreateNatGateway", On::With),
                ("ec2:CreateTags", On::Tags),
            ],
            &[],
        ),
        Kind::NatInstance => rights(
            &[
                ("ec2:RunInstances", On::Created),
                ("ec2:RunInstances", On::With),
                ("ec2:CreateTags", On::Tags),
                ("ec2:ModifyInstanceAttribute", On::Own),
                ("ssm:GetParameters", On::ImageParameter),
            ],
            &[("ec2:AssociateAddress", On::Addresses)],
        ),
        Kind::RouteTable => rights(
            &[
                ("ec2:CreateRouteTable", On::Created),
                ("ec2:CreateRouteTable", On::InVpc),
                ("ec2:CreateTags", On::Tags),
            ],
            &[
                ("ec2:CreateRoute", On::Own),
                ("ec2:AssociateRouteTable", On::Routes),
            ],
        ),
        Kind::RouteAssociation => rights(
            &[],
            &[
                ("ec2:AssociateRouteTable", On::Routes),
                ("ec2:ReplaceRouteTableAssociation", On::Routes),
            ],
        ),
        Kind::SecurityGroup => rights(
            &[
                ("ec2:CreateSecurityGroup", On::Created),
                ("ec2:CreateSecurityGroup", On::InVpc),
                ("ec2:CreateTags", On::Tags),
            ],
            &[
                ("ec2:AuthorizeSecurityGroupEgress", On::Own),
                ("ec2:AuthorizeSecurityGroupIngress", On::Own),
            ],
        ),
        Kind::VpcEndpoint => rights(
            &[
                ("ec2:CreateVpcEndpoint", On::Created),
                ("ec2:CreateVpcEndpoint", On::InVpc),
                ("ec2:CreateVpcEndpoint", On::With),
                ("ec2:CreateTags", On::Tags),
            ],
            &[("route53:AssociateVPCWithHostedZone", On::Any)],
        ),
        Kind::CacheSubnetGroup => rights(
            &[
                ("elasticache:CreateCacheSubnetGroup", On::Cache),
                ("elasticache:AddTagsToResource", On::Cache),
            ],
            &[],
        ),
        Kind::Cache => rights(
            &[
                ("elasticache:CreateReplicationGroup", On::Cache),
                ("elasticache:AddTagsToResource", On::Cache),
            ],
            &[("iam:CreateServiceLinkedRole", On::ServiceLinkedRole)],
        ),
        Kind::CacheUser => rights(
            &[
                ("elasticache:CreateUser", On::Cache),
                ("elasticache:AddTagsToResource", On::Cache),
            ],
            &[],
        ),
        Kind::CacheUserGroup => rights(
            &[
                ("elasticache:CreateUserGroup", On::Cache),
                ("elasticache:AddTagsToResource", On::Cache),
            ],
            &[],
        ),
        // ElastiCache creates the endpoint of the cache with the permissions of the caller.
        Kind::ServerlessCache => rights(
            &[
                ("elasticache:CreateServerlessCache", On::Cache),
                ("elasticache:AddTagsToResource", On::Cache),
            ],
            &[
                ("ec2:CreateVpcEndpoint", On::CacheEndpoint),
                ("ec2:CreateVpcEndpoint", On::InVpc),
                ("ec2:CreateVpcEndpoint", On::With),
                ("ec2:CreateTags", On::Tags),
                ("iam:CreateServiceLinkedRole", On::ServiceLinkedRole),
            ],
        ),
        Kind::Secret | Kind::Parameter => rights(
            &[
                ("ssm:PutParameter", On::Parameter),
                ("ssm:AddTagsToResource", On::Parameter),
            ],
            &[],
        ),
        Kind::IamRole => rights(
            &[
                ("iam:CreateRole", On::Role),
                ("iam:TagRole", On::Role),
                ("iam:PutRolePolicy", On::Role),
            ],
            &[],
        ),
        Kind::LogGroup => rights(
            &[
                ("logs:CreateLogGroup", On::LogGroup),
                ("logs:PutRetentionPolicy", On::LogGroup),
                ("logs:TagResource", On::LogGroup),
            ],
            &[],
        ),
        Kind::Function => rights(
            &[
                ("lambda:CreateFunction", On::Function),
                ("lambda:TagResource", On::Function),
                ("iam:PassRole", On::PassedRole),
            ],
            &[],
        ),
        Kind::FunctionAlias => rights(
            &[
                ("lambda:CreateAlias", On::Function),
                ("lambda:PublishVersion", On::Function),
            ],
            &[],
        ),
        Kind::FunctionPermission => rights(&[("lambda:AddPermission", On::Function)], &[]),
        Kind::Schedule => rights(
            &[
                ("events:PutRule", On::Rule),
                ("events:PutTargets", On::Rule),
                ("events:TagResource", On::Rule),
            ],
            &[],
        ),
        Kind::Alarm => rights(
            &[
                ("cloudwatch:PutMetricAlarm", On::Alarm),
                ("cloudwatch:TagResource", On::Alarm),
            ],
            &[],
        ),
        Kind::Dashboard => rights(
            &[
                ("cloudwatch:PutDashboard", On::Dashboard),
                ("cloudwatch:TagResource", On::Dashboard),
            ],
            &[],
        ),
        Kind::ApiAuthorizer => rights(&[("apigateway:POST", On::Api)], &[]),
        Kind::ApiAttachment => rights(
            &[
                ("apigateway:PATCH", On::Api),
                ("apigateway:POST", On::Api),
                ("ssm:PutParameter", On::Parameter),
            ],
            &[("apigateway:PUT", On::Api)],
        ),
        Kind::NetworkInterface => NONE,
    }
}

/// To change a resource of a kind in place. What a change uses depends on it.
pub const fn update(kind: Kind) -> Rights {
    let maybe: &'static [Right] = match kind {
        Kind::Vpc => &[
            ("ec2:ModifyVpcAttribute", On::Own),
            ("ec2:CreateTags", On::Own),
        ],
        Kind::Subnet | Kind::ElasticIp | Kind::NatGateway => &[("ec2:CreateTags", On::Own)],
        Kind::InternetGateway => &[
            ("ec2:AttachInternetGateway", On::Own),
            ("ec2:AttachInternetGateway", On::InVpc),
            ("ec2:CreateTags", On::Own),
        ],
        Kind::NatInstance => &[
            ("ec2:AssociateAddress", On::Addresses),
            ("ec2:ModifyInstanceAttribute", On::Own),
            ("ec2:StartInstances", On::Own),
            ("ec2:CreateTags", On::Own),
        ],
        Kind::RouteTable => &[
            ("ec2:AssociateRouteTable", On::Routes),
            ("ec2:CreateRoute", On::Own),
            ("ec2:DisassociateRouteTable", On::Routes),
            ("ec2:ReplaceRoute", On::Own),
            ("ec2:ReplaceRouteTableAssociation", On::Routes),
            ("ec2:CreateTags", On::Own),
        ],
        Kind::RouteAssociation => &[
            ("ec2:AssociateRouteTable", On::Routes),
            ("ec2:ReplaceRouteTableAssociation", On::Routes),
            ("ec2:CreateTags", On::Own),
        ],
        Kind::SecurityGroup => &[
            ("ec2:AuthorizeSecurityGroupEgress", On::Own),
            ("ec2:AuthorizeSecurityGroupIngress", On::Own),
            ("ec2:RevokeSecurityGroupIngress", On::Own),
            ("ec2:CreateTags", On::Own),
        ],
        Kind::VpcEndpoint => &[
            ("ec2:ModifyVpcEndpoint", On::Own),
            ("ec2:ModifyVpcEndpoint", On::With),
            ("ec2:CreateTags", On::Own),
        ],
        Kind::CacheSubnetGroup => &[
            ("elasticache:AddTagsToResource", On::Cache),
            ("elasticache:ModifyCacheSubnetGroup", On::Cache),
        ],
        Kind::Cache => &[
            ("elasticache:AddTagsToResource", On::Cache),
            ("elasticache:DecreaseReplicaCount", On::Cache),
            ("elasticache:IncreaseReplicaCount", On::Cache),
            ("elasticache:ModifyReplicationGroup", On::Cache),
        ],
        Kind::CacheUser => &[
            ("elasticache:AddTagsToResource", On::Cache),
            ("elasticache:ModifyUser", On::Cache),
        ],
        Kind::CacheUserGroup => &[
            ("elasticache:AddTagsToResource", On::Cache),
            ("elasticache:ModifyUserGroup", On::Cache),
        ],
        Kind::ServerlessCache => &[
            ("elasticache:AddTagsToResource", On::Cache),
            ("elasticache:ModifyServerlessCache", On::Cache),
        ],
        Kind::Secret | Kind::Parameter => &[
            ("ssm:AddTagsToResource", On::Parameter),
            ("ssm:PutParameter", On::Parameter),
        ],
        Kind::IamRole => &[
            ("iam:DeleteRolePolicy", On::Role),
            ("iam:DetachRolePolicy", On::Role),
            ("iam:PutRolePermissionsBoundary", On::Role),
            ("iam:PutRolePolicy", On::Role),
            ("iam:TagRole", On::Role),
            ("iam:UpdateAssumeRolePolicy", On::Role),
        ],
        Kind::LogGroup => &[
            ("logs:PutRetentionPolicy", On::LogGroup),
            ("logs:TagResource", On::LogGroup),
        ],
        Kind::Function => &[
            ("iam:PassRole", On::PassedRole),
            ("lambda:TagResource", On::Function),
            ("lambda:UpdateFunctionCode", On::Function),
            ("lambda:UpdateFunctionConfiguration", On::Function),
        ],
        Kind::FunctionAlias => &[
            ("lambda:PublishVersion", On::Function),
            ("lambda:UpdateAlias", On::Function),
        ],
        Kind::FunctionPermission => &[
            ("lambda:AddPermission", On::Function),
            ("lambda:RemovePermission", On::Function),
        ],
        Kind::Schedule => &[
            ("events:PutRule", On::Rule),
            ("events:PutTargets", On::Rule),
            ("events:RemoveTargets", On::Rule),
            ("events:TagResource", On::Rule),
        ],
        Kind::Alarm => &[
            ("cloudwatch:PutMetricAlarm", On::Alarm),
            ("cloudwatch:TagResource", On::Alarm),
        ],
        Kind::Dashboard => &[
            ("cloudwatch:PutDashboard", On::Dashboard),
            ("cloudwatch:TagResource", On::Dashboard),
        ],
        Kind::ApiAuthorizer => &[("apigateway:PATCH", On::Api)],
        Kind::ApiAttachment => &[
            ("apigateway:DELETE", On::Api),
            ("apigateway:PATCH", On::Api),
            ("apigateway:POST", On::Api),
            ("apigateway:PUT", On::Api),
        ],
        Kind::NetworkInterface => &[],
    };
    rights(&[], maybe)
}

/// To delete a resource of a kind.
pub const fn delete(kind: Kind) -> Rights {
    match kind {
        Kind::Vpc => rights(&[("ec2:DeleteVpc", On::Own)], &[]),
        Kind::Subnet => rights(&[("ec2:DeleteSubnet", On::Own)], &[]),
        Kind::InternetGateway => rights(
            &[("ec2:DeleteInternetGateway", On::Own)],
            &[
                ("ec2:DetachInternetGateway", On::Own),
                ("ec2:DetachInternetGateway", On::InVpc),
            ],
        ),
        Kind::ElasticIp => rights(&[("ec2:ReleaseAddress", On::Own)], &[]),
        Kind::NatGateway => rights(&[("ec2:DeleteNatGateway", On::Own)], &[]),
        Kind::NatInstance => rights(&[("ec2:TerminateInstances", On::Own)], &[]),
        Kind::RouteTable => rights(
            &[("ec2:DeleteRouteTable", On::Own)],
            &[("ec2:DisassociateRouteTable", On::Routes)],
        ),
        Kind::RouteAssociation => rights(
            &[],
            &[
                ("ec2:DisassociateRouteTable", On::Routes),
                ("ec2:ReplaceRouteTableAssociation", On::Routes),
            ],
        ),
        Kind::SecurityGroup => rights(
            &[("ec2:DeleteSecurityGroup", On::Own)],
            &[("ec2:RevokeSecurityGroupIngress", On::Own)],
        ),
        Kind::VpcEndpoint => rights(&[("ec2:DeleteVpcEndpoints", On::Own)], &[]),
        Kind::CacheSubnetGroup => rights(&[("elasticache:DeleteCacheSubnetGroup", On::Cache)], &[]),
        Kind::Cache => rights(&[("elasticache:DeleteReplicationGroup", On::Cache)], &[]),
        Kind::CacheUser => rights(&[("elasticache:DeleteUser", On::Cache)], &[]),
        Kind::CacheUserGroup => rights(&[("elasticache:DeleteUserGroup", On::Cache)], &[]),
        Kind::ServerlessCache => rights(&[("elasticache:DeleteServerlessCache", On::Cache)], &[]),
        Kind::Secret | Kind::Parameter => rights(&[("ssm:DeleteParameter", On::Parameter)], &[]),
        Kind::IamRole => rights(
            &[
                ("iam:DeleteRole", On::Role),
                ("iam:ListAttachedRolePolicies", On::Role),
                ("iam:ListRolePolicies", On::Role),
            ],
            &[
                ("iam:DeleteRolePolicy", On::Role),
                ("iam:DetachRolePolicy", On::Role),
            ],
        ),
        Kind::LogGroup => rights(&[("logs:DeleteLogGroup", On::LogGroup)], &[]),
        // A function leaves its subnets before it is deleted, so that its interfaces go sooner.
        Kind::Function => rights(
            &[("lambda:DeleteFunction", On::Function)],
            &[("lambda:UpdateFunctionConfiguration", On::Function)],
        ),
        Kind::FunctionAlias => rights(&[("lambda:DeleteAlias", On::Function)], &[]),
        Kind::FunctionPermission => rights(&[("lambda:RemovePermission", On::Function)], &[]),
        Kind::Schedule => rights(
            &[("events:DeleteRule", On::Rule)],
            &[("events:RemoveTargets", On::Rule)],
        ),
        Kind::Alarm => rights(&[("cloudwatch:DeleteAlarms", On::Alarm)], &[]),
        Kind::Dashboard => rights(&[("cloudwatch:DeleteDashboards", On::Dashboard)], &[]),
        Kind::ApiAuthorizer => rights(&[("apigateway:DELETE", On::Api)], &[]),
        Kind::ApiAttachment => rights(
            &[("apigateway:PATCH", On::Api)],
            &[
                ("apigateway:DELETE", On::Api),
                ("apigateway:POST", On::Api),
                ("apigateway:PUT", On::Api),
            ],
        ),
        Kind::NetworkInterface => rights(
            &[],
            &[
                ("ec2:DeleteNetworkInterface", On::Interfaces),
                ("ec2:DescribeNetworkInterfaces", On::Any),
            ],
        ),
    }
}
