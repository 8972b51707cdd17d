//! Networks that a person makes by hand.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};

use super::{TestAws, artifact};

pub fn id(value: &Value) -> String {
    value.as_str().expect("an id").to_owned()
}

/// A network as a person makes it, with the tutorial at hand.
pub struct Handmade {
    pub vpc: String,
    pub internet_gateway: String,
    pub address: String,
    pub nat: String,
    pub public: Vec<String>,
    pub private: Vec<String>,
    pub tables: Vec<String>,
}

/// The ranges that the stack of the default configuration has.
pub const SAME: [&str; 4] = [
    "10.42.0.0/18",
    "10.42.64.0/18",
    "10.42.128.0/18",
    "10.42.192.0/18",
];

impl Handmade {
    /// A VPC with these ranges: the public subnets of two zones, then the private ones.
    pub fn make(aws: &TestAws, cidr: &str, ranges: [&str; 4]) -> Self {
        let call = |operation: &str, parameters: Value| aws.call("ec2", operation, parameters);
        let vpc = call("CreateVpc", json!({"CidrBlock": cidr}));
        let vpc = id(&vpc["Vpc"]["VpcId"]);
        let subnets = ranges.into_iter().zip(["a", "b", "a", "b"]);
        let subnets = subnets.map(|(range, zone)| {
            let subnet = json!({"VpcId": vpc, "CidrBlock": range, "AvailabilityZone": format!("us-east-1{zone}")});
            id(&call("CreateSubnet", subnet)["Subnet"]["SubnetId"])
        });
        let mut public: Vec<_> = subnets.collect();
        let private = public.split_off(2);
        let gateway = call("CreateInternetGateway", json!({}));
        let internet_gateway = id(&gateway["InternetGateway"]["InternetGatewayId"]);
        let attachment = json!({"InternetGatewayId": internet_gateway, "VpcId": vpc});
        call("AttachInternetGateway", attachment);
        let address = id(&call("AllocateAddress", json!({"Domain": "vpc"}))["AllocationId"]);
        let nat = json!({"SubnetId": public[0], "AllocationId": address});
        let nat = id(&call("CreateNatGateway", nat)["NatGateway"]["NatGatewayId"]);
        let table = |target: (&str, &str), subnets: &[String]| {
            let table = call("CreateRouteTable", json!({"VpcId": vpc}));
            let table = id(&table["RouteTable"]["RouteTableId"]);
            let route = json!({
                "RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0", target.0: target.1,
            });
            call("CreateRoute", route);
            for subnet in subnets {
                let association = json!({"RouteTableId": table, "SubnetId": subnet});
                call("AssociateRouteTable", association);
            }
            table
        };
        let tables = vec![
            table(("GatewayId", &internet_gateway), &public),
            table(("NatGatewayId", &nat), &private),
        ];
        // As the console names it.
        let name =
            json!({"Resources": [vpc], "Tags": [{"Key": "Name", "Value": "3scale tutorial"}]});
        call("CreateTags", name);
        Self {
            vpc,
            internet_gateway,
            address,
            nat,
            public,
            private,
            tables,
        }
    }

    /// The physical ids, by the logical ids that they get.
    pub fn expected(&self) -> Vec<(&'static str, String)> {
        vec![
            ("elastic-ip/a", self.address.clone()),
            ("internet-gateway/main", self.internet_gateway.clone()),
            ("nat-gateway/a", self.nat.clone()),
            ("route-table/private", self.tables[1].clone()),
            ("route-table/public", self.tables[0].clone()),
            ("subnet/private-a", self.private[0].clone()),
            ("subnet/private-b", self.private[1].clone()),
            ("subnet/public-a", self.public[0].clone()),
            ("subnet/public-b", self.public[1].clone()),
            ("vpc/main", self.vpc.clone()),
        ]
    }
}

/// The resources of the stack in EC2, by their logical ids.
pub fn owned(aws: &TestAws) -> Vec<(String, String)> {
    let account = aws.account();
    let lists = [
        "vpcs",
        "subnets",
        "internet_gateways",
        "addresses",
        "nat_gateways",
        "route_tables",
    ];
    let mut owned = Vec::new();
    for list in lists {
        let all = account[list].as_array().expect("a list").iter();
        let ours = all.filter(|item| item["tags"]["threescale-gw:stack"] == "orders");
        owned.extend(
            ours.map(|item| (id(&item["tags"]["threescale-gw:resource"]), id(&item["id"]))),
        );
    }
    owned.sort();
    owned
}

pub fn strings(expected: Vec<(&'static str, String)>) -> Vec<(String, String)> {
    let expected = expected.into_iter();
    expected
        .map(|(id, physical_id)| (id.to_owned(), physical_id))
        .collect()
}

/// An account with a handmade network like the stack's own, and the account before that.
pub fn handmade() -> (TestAws, Handmade, Value) {
    let aws = TestAws::seeded();
    let before = aws.account();
    let made = Handmade::make(&aws, "10.42.0.0/16", SAME);
    (aws, made, before)
}

/// The tutorial: one public subnet of the main route table, one private subnet with a table of its own, a cache, a function.
pub struct Tutorial {
    pub groups: [String; 2],
    pub main_table: String,
}

impl Tutorial {
    pub fn make(aws: &TestAws) -> Self {
        let call = |operation: &str, parameters: Value| aws.call("ec2", operation, parameters);
        let vpc = id(&call("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"}))["Vpc"]["VpcId"]);
        let [public, private] = ["10.0.0.0/24", "10.0.1.0/24"].map(|range| {
            let subnet =
                json!({"VpcId": vpc, "CidrBlock": range, "AvailabilityZone": "us-east-1b"});
            id(&call("CreateSubnet", subnet)["Subnet"]["SubnetId"])
        });
        let gateway = call("CreateInternetGateway", json!({}));
        let gateway = id(&gateway["InternetGateway"]["InternetGatewayId"]);
        call(
            "AttachInternetGateway",
            json!({"InternetGatewayId": gateway, "VpcId": vpc}),
        );
        let main = json!({"Filters": [{"Name": "vpc-id", "Values": [vpc]}]});
        let main_table = id(&call("DescribeRouteTables", main)["RouteTables"][0]["RouteTableId"]);
        let all = "0.0.0.0/0";
        let route =
            json!({"RouteTableId": main_table, "DestinationCidrBlock": all, "GatewayId": gateway});
        call("CreateRoute", route);
        let address = id(&call("AllocateAddress", json!({"Domain": "vpc"}))["AllocationId"]);
        let nat = call(
            "CreateNatGateway",
            json!({"SubnetId": public, "AllocationId": address}),
        );
        let nat = id(&nat["NatGateway"]["NatGatewayId"]);
        let table = call("CreateRouteTable", json!({"VpcId": vpc}));
        let table = id(&table["RouteTable"]["RouteTableId"]);
        let route =
            json!({"RouteTableId": table, "DestinationCidrBlock": all, "NatGatewayId": nat});
        call("CreateRoute", route);
        call(
            "AssociateRouteTable",
            json!({"RouteTableId": table, "SubnetId": private}),
        );
        let groups = ["redis", "authorizer"].map(|name| {
            let group = json!({"GroupName": name, "Description": name, "VpcId": vpc});
            id(&call("CreateSecurityGroup", group)["GroupId"])
        });
        let subnet_group = json!({
            "CacheSubnetGroupName": "tutorial", "CacheSubnetGroupDescription": "x", "SubnetIds": [private],
        });
        aws.call("elasticache", "CreateCacheSubnetGroup", subnet_group);
        let cache = json!({
            "CacheClusterId": "tutorial", "CacheNodeType": "cache.t3.micro", "Engine": "redis", "NumCacheNodes": 1,
            "CacheSubnetGroupName": "tutorial", "SecurityGroupIds": [groups[0]],
        });
        aws.call("elasticache", "CreateCacheCluster", cache);
        let trust = json!({
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
        });
        let role = json!({"RoleName": "tutorial", "AssumeRolePolicyDocument": trust.to_string()});
        let role = id(&aws.call("iam", "CreateRole", role)["Role"]["Arn"]);
        let interfaces = json!({
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": ["ec2:CreateNetworkInterface"], "Resource": "*"}],
        });
        let policy = json!({"RoleName": "tutorial", "PolicyName": "vpc", "PolicyDocument": interfaces.to_string()});
        aws.call("iam", "PutRolePolicy", policy);
        let zip = BASE64_STANDARD.encode(artifact(9));
        let function = json!({
            "FunctionName": "tutorial", "Runtime": "provided.al2023", "Handler": "bootstrap", "Role": role,
            "Code": {"ZipFile": {"$base64": zip}},
            "VpcConfig": {"SubnetIds": [private], "SecurityGroupIds": [groups[1]]},
        });
        aws.call("lambda", "CreateFunction", function);
        Self { groups, main_table }
    }

    /// What a person deletes after the stack has its own.
    pub fn remove_left(&self, aws: &TestAws) {
        aws.call(
            "lambda",
            "DeleteFunction",
            json!({"FunctionName": "tutorial"}),
        );
        aws.call(
            "elasticache",
            "DeleteCacheCluster",
            json!({"CacheClusterId": "tutorial"}),
        );
        let group = json!({"CacheSubnetGroupName": "tutorial"});
        aws.call("elasticache", "DeleteCacheSubnetGroup", group);
        // Lambda leaves its interface behind.
        let by_group = json!({"Filters": [{"Name": "group-id", "Values": self.groups}]});
        let left = aws.call("ec2", "DescribeNetworkInterfaces", by_group);
        for interface in left["NetworkInterfaces"].as_array().expect("a list") {
            let interface = json!({"NetworkInterfaceId": interface["NetworkInterfaceId"]});
            aws.call("ec2", "DeleteNetworkInterface", interface);
        }
        for group in &self.groups {
            aws.call("ec2", "DeleteSecurityGroup", json!({"GroupId": group}));
        }
        let policy = json!({"RoleName": "tutorial", "PolicyName": "vpc"});
        aws.call("iam", "DeleteRolePolicy", policy);
        aws.call("iam", "DeleteRole", json!({"RoleName": "tutorial"}));
    }
}
