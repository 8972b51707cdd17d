//! What somebody else changes by hand is seen by `status` and `plan`, and repaired by `up`.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use support::{TestAws, Workplace, artifact, assert_same};

/// A stack that stands, and somebody who meddles with it.
struct Stack {
    aws: TestAws,
    workplace: Workplace,
    /// The account before the stack.
    before: Value,
    /// The account with the stack as it should be.
    whole: Value,
}

/// Something that somebody does: in words, how, and which resources it spoils, no more and no fewer.
type Drift = (&'static str, fn(&Stack), &'static [&'static str]);

impl Stack {
    fn new() -> Self {
        let aws = TestAws::seeded();
        let before = aws.account();
        let workplace = Workplace::new(&aws);
        workplace.succeed(&["up", "--yes"]);
        let whole = aws.account();
        Self {
            aws,
            workplace,
            before,
            whole,
        }
    }

    /// What the account holds under a logical id now.
    fn find(&self, list: &str, id: &str) -> Value {
        let account = self.aws.account();
        let all = account[list].as_array().expect("a list");
        let ours = |item: &&Value| {
            item["tags"]["threescale-gw:resource"] == id
                && item["tags"]["threescale-gw:stack"] == "orders"
        };
        all.iter()
            .find(ours)
            .unwrap_or_else(|| panic!("{id}"))
            .clone()
    }

    /// The physical id of an EC2 resource.
    fn id(&self, list: &str, id: &str) -> String {
        self.find(list, id)["id"]
            .as_str()
            .expect("an id")
            .to_owned()
    }

    fn ec2(&self, operation: &str, parameters: Value) -> Value {
        self.aws.call("ec2", operation, parameters)
    }

    fn lambda(&self, operation: &str, mut parameters: Value) {
        parameters["FunctionName"] = json!("threescale-gw-orders-authorizer");
        self.aws.call("lambda", operation, parameters);
    }

    /// The association that puts a subnet under its route table.
    fn association(&self, subnet: &str) -> String {
        let subnet = self.id("subnets", subnet);
        let filter = json!({"Filters": [{"Name": "association.subnet-id", "Values": [subnet]}]});
        let tables = self.ec2("DescribeRouteTables", filter);
        let associations = tables["RouteTables"][0]["Associations"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let found = associations
            .iter()
            .find(|found| found["SubnetId"] == subnet)
            .expect("an association");
        found["RouteTableAssociationId"]
            .as_str()
            .expect("an id")
            .to_owned()
    }

    fn delete_nat_gateway(&self) {
        let gateway = self.id("nat_gateways", "nat-gateway/a");
        self.ec2("DeleteNatGateway", json!({"NatGatewayId": gateway}));
    }

    /// The API, its draft by label.
    fn api(&self) -> (String, BTreeMap<String, Value>) {
        let account = self.aws.account();
        let apis = account["rest_apis"].as_array().expect("a list");
        let api = apis
            .iter()
            .find(|api| api["name"] == "orders-api")
            .expect("the API");
        let mut methods = BTreeMap::new();
        for resource in api["resources"].as_array().expect("a list") {
            for (verb, method) in resource["methods"].as_object().expect("a map") {
                let mut method = method.clone();
                method["resourceId"] = resource["id"].clone();
                methods.insert(
                    format!("{verb} {}", resource["path"].as_str().expect("a path")),
                    method,
                );
            }
        }
        (api["id"].as_str().expect("an id").to_owned(), methods)
    }

    /// Makes a method of the draft an open one.
    fn open(&self, label: &str) {
        let (id, methods) = self.api();
        let verb = label.split(' ').next().expect("a verb");
        let patches = json!([
            {"op": "replace", "path": "/authorizationType", "value": "NONE"},
            {"op": "replace", "path": "/authorizerId", "value": ""},
        ]);
        let resource = &methods[label]["resourceId"];
        let parameters = json!({"restApiId": id, "resourceId": resource, "httpMethod": verb, "patchOperations": patches});
        self.aws.call("apigateway", "UpdateMethod", parameters);
    }

    fn publish(&self) {
        let (id, _) = self.api();
        self.aws.call(
            "apigateway",
            "CreateDeployment",
            json!({"restApiId": id, "stageName": "prod"}),
        );
    }

    fn authorizer_id(&self) -> String {
        let (_, methods) = self.api();
        let found = methods
            .values()
            .find_map(|method| method["authorizerId"].as_str());
        found.expect("our authorizer").to_owned()
    }

    fn status(&self) -> (Option<i32>, Value) {
        let run = self.workplace.run(&["status", "-o", "json", "--exit-code"]);
        (run.code, run.json())
    }

    /// Lets somebody do one thing: it must be seen as what it is, and `up` must repair it.
    #[track_caller]
    fn repairs(&self, (what, happen, spoils): &Drift) -> Value {
        happen(self);
        let (code, status) = self.status();
        assert_eq!(
            unhealthy(&status),
            spoils.iter().map(|id| (*id).to_owned()).collect(),
            "{what}: {status}"
        );
        assert_eq!(
            (code, &status["healthy"]),
            (Some(3), &json!(false)),
            "{what}"
        );
        let plan = self.workplace.run(&["plan", "--exit-code"]);
        assert_eq!(plan.code, Some(3), "{what}: {}", plan.stdout);
        for id in *spoils {
            assert!(
                plan.stdout.contains(id),
                "{what}: {id} is not in\n{}",
                plan.stdout
            );
        }
        let up = self.workplace.run(&["up", "--yes"]);
        assert_eq!(up.code, Some(0), "{what}: {}", up.stderr);
        let (code, after) = self.status();
        assert_eq!(
            (code, unhealthy(&after)),
            (Some(0), BTreeSet::new()),
            "{what}: {after}"
        );
        status
    }

    /// Takes the stack away; nothing may be left of it.
    fn end(self) {
        self.workplace.succeed(&["down", "--yes"]);
        assert_same(&self.before, &self.aws.account());
    }
}

/// The resources that are not healthy.
fn unhealthy(status: &Value) -> BTreeSet<String> {
    let resources = status["resources"].as_array().expect("a list").iter();
    resources
        .filter(|resource| resource["health"] != "healthy")
        .map(|resource| resource["id"].as_str().expect("an id").to_owned())
        .collect()
}

/// The methods that callers cannot call without a credential.
fn protected(status: &Value) -> BTreeSet<String> {
    let methods = status["api"]["methods"].as_array().expect("a list").iter();
    methods
        .filter(|method| method["protected"] == true)
        .map(|method| {
            format!(
                "{} {}",
                method["method"].as_str().unwrap_or("?"),
                method["path"].as_str().unwrap_or("?")
            )
        })
        .collect()
}

const PROTECTED: [&str; 4] = [
    "ANY /files/{proxy+}",
    "GET /orders",
    "GET /orders/{id}",
    "POST /orders",
];

fn all_but(open: &[&str]) -> BTreeSet<String> {
    let left = PROTECTED.iter().filter(|label| !open.contains(label));
    left.map(|label| (*label).to_owned()).collect()
}

#[test]
fn the_network_is_repaired_in_place() {
    let drifts: &[Drift] = &[
        (
            "the world is let into the cache",
            |stack| {
                let rule = json!({"GroupId": stack.id("security_groups", "security-group/cache"), "IpPermissions": [
                    {"IpProtocol": "tcp", "FromPort": 6379, "ToPort": 6379, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
                    {"IpProtocol": "-1", "Ipv6Ranges": [{"CidrIpv6": "::/0"}]},
                ]});
                stack.ec2("AuthorizeSecurityGroupIngress", rule);
            },
            &["security-group/cache"],
        ),
        (
            "the authorizer is locked out of the cache",
            |stack| {
                let source = stack.id("security_groups", "security-group/authorizer");
                let rule = json!({"GroupId": stack.id("security_groups", "security-group/cache"), "IpPermissions": [
                    {"IpProtocol": "tcp", "FromPort": 6379, "ToPort": 6379, "UserIdGroupPairs": [{"GroupId": source}]},
                ]});
                stack.ec2("RevokeSecurityGroupIngress", rule);
            },
            &["security-group/cache"],
        ),
        (
            "a port is opened on the authorizer",
            |stack| {
                let rule = json!({"GroupId": stack.id("security_groups", "security-group/authorizer"), "IpPermissions": [
                    {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 23, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]},
                ]});
                stack.ec2("AuthorizeSecurityGroupIngress", rule);
            },
            &["security-group/authorizer"],
        ),
        (
            "the authorizer is not let out",
            |stack| {
                let rule = json!({"GroupId": stack.id("security_groups", "security-group/authorizer"), "IpPermissions": [
                    {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
                ]});
                stack.ec2("RevokeSecurityGroupEgress", rule);
            },
            &["security-group/authorizer"],
        ),
        (
            "both default routes are deleted",
            |stack| {
                for table in ["route-table/private", "route-table/public"] {
                    let table = stack.id("route_tables", table);
                    let route = json!({"RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0"});
                    stack.ec2("DeleteRoute", route);
                }
            },
            &["route-table/private", "route-table/public"],
        ),
        (
            "the private default route is led past the NAT gateway",
            |stack| {
                let route = json!({
                    "RouteTableId": stack.id("route_tables", "route-table/private"),
                    "DestinationCidrBlock": "0.0.0.0/0",
                    "GatewayId": stack.id("internet_gateways", "internet-gateway/main"),
                });
                stack.ec2("ReplaceRoute", route);
            },
            &["route-table/private"],
        ),
        (
            "a private subnet is moved to the public route table, a public one to none",
            |stack| {
                let moved = json!({
                    "AssociationId": stack.association("subnet/private-a"),
                    "RouteTableId": stack.id("route_tables", "route-table/public"),
                });
                stack.ec2("ReplaceRouteTableAssociation", moved);
                let association = stack.association("subnet/public-b");
                stack.ec2(
                    "DisassociateRouteTable",
                    json!({"AssociationId": association}),
                );
            },
            &["route-table/private", "route-table/public"],
        ),
        (
            "the VPC answers no names",
            |stack| {
                let vpc = stack.id("vpcs", "vpc/main");
                for attribute in ["EnableDnsHostnames", "EnableDnsSupport"] {
                    stack.ec2(
                        "ModifyVpcAttribute",
                        json!({"VpcId": vpc, attribute: {"Value": false}}),
                    );
                }
            },
            &["vpc/main"],
        ),
        (
            "tags are removed and changed",
            |stack| {
                let kinds = [
                    ("vpcs", "vpc/main"),
                    ("subnets", "subnet/private-b"),
                    ("internet_gateways", "internet-gateway/main"),
                    ("addresses", "elastic-ip/a"),
                    ("nat_gateways", "nat-gateway/a"),
                    ("route_tables", "route-table/public"),
                    ("security_groups", "security-group/cache"),
                ];
                let ids: Vec<_> = kinds.iter().map(|(list, id)| stack.id(list, id)).collect();
                stack.ec2(
                    "DeleteTags",
                    json!({"Resources": ids, "Tags": [{"Key": "team"}]}),
                );
                let subnet = stack.id("subnets", "subnet/public-a");
                let name =
                    json!({"Resources": [subnet], "Tags": [{"Key": "Name", "Value": "mine"}]});
                stack.ec2("CreateTags", name);
            },
            &[
                "elastic-ip/a",
                "internet-gateway/main",
                "nat-gateway/a",
                "route-table/public",
                "security-group/cache",
                "subnet/private-b",
                "subnet/public-a",
                "vpc/main",
            ],
        ),
    ];
    let stack = Stack::new();
    for drift in drifts {
        stack.repairs(drift);
        assert_same(&stack.whole, &stack.aws.account());
    }
    stack.end();
}

#[test]
fn what_is_deleted_from_the_network_is_made_anew() {
    let drifts: &[Drift] = &[
        (
            "the NAT gateway is deleted, so its route leads nowhere",
            Stack::delete_nat_gateway,
            &["nat-gateway/a", "route-table/private"],
        ),
        (
            "the Internet gateway is detached",
            |stack| {
                stack.delete_nat_gateway();
                let vpc = stack.id("vpcs", "vpc/main");
                let gateway = stack.id("internet_gateways", "internet-gateway/main");
                stack.ec2(
                    "DetachInternetGateway",
                    json!({"InternetGatewayId": gateway, "VpcId": vpc}),
                );
            },
            &[
                "internet-gateway/main",
                "nat-gateway/a",
                "route-table/private",
                "route-table/public",
            ],
        ),
        (
            "the whole way out is deleted",
            |stack| {
                stack.delete_nat_gateway();
                let address = stack.id("addresses", "elastic-ip/a");
                stack.ec2("ReleaseAddress", json!({"AllocationId": address}));
                let vpc = stack.id("vpcs", "vpc/main");
                let gateway = stack.id("internet_gateways", "internet-gateway/main");
                let detached = json!({"InternetGatewayId": gateway, "VpcId": vpc});
                stack.ec2("DetachInternetGateway", detached);
                stack.ec2(
                    "DeleteInternetGateway",
                    json!({"InternetGatewayId": gateway}),
                );
                for subnet in ["subnet/private-a", "subnet/private-b"] {
                    let association = stack.association(subnet);
                    stack.ec2(
                        "DisassociateRouteTable",
                        json!({"AssociationId": association}),
                    );
                }
                let table = stack.id("route_tables", "route-table/private");
                stack.ec2("DeleteRouteTable", json!({"RouteTableId": table}));
            },
            &[
                "elastic-ip/a",
                "internet-gateway/main",
                "nat-gateway/a",
                "route-table/private",
                "route-table/public",
            ],
        ),
        (
            "a subnet is deleted",
            |stack| {
                let subnet = stack.id("subnets", "subnet/public-b");
                stack.ec2("DeleteSubnet", json!({"SubnetId": subnet}));
            },
            &["route-table/public", "subnet/public-b"],
        ),
    ];
    let stack = Stack::new();
    for drift in drifts {
        stack.repairs(drift);
    }
    stack.end();
}

#[test]
fn the_functions_and_what_they_stand_on_are_repaired() {
    const ROLE: &str = "threescale-gw-orders-us-east-1";
    const RULE: &str = "threescale-gw-orders-reporter";
    const GROUP: &str = "/aws/lambda/threescale-gw-orders-reporter";
    let drifts: &[Drift] = &[
        (
            "the function is reconfigured",
            |stack| {
                let parameters = json!({"MemorySize": 512, "Timeout": 29, "Environment": {"Variables": {"DEBUG": "1"}}});
                stack.lambda("UpdateFunctionConfiguration", parameters);
            },
            &["lambda/authorizer"],
        ),
        (
            "the function is taken out of its VPC",
            |stack| {
                let nowhere = json!({"VpcConfig": {"SubnetIds": [], "SecurityGroupIds": []}});
                stack.lambda("UpdateFunctionConfiguration", nowhere);
            },
            &["lambda/authorizer"],
        ),
        (
            "other code is uploaded",
            |stack| {
                let zip = STANDARD.encode(artifact(7));
                stack.lambda("UpdateFunctionCode", json!({"ZipFile": {"$base64": zip}}));
            },
            &["lambda/authorizer"],
        ),
        (
            "both permissions are removed",
            |stack| {
                for name in ["authorizer", "reporter"] {
                    let function = stack.find("functions", &format!("lambda/{name}"));
                    let statements = function["policy"].as_array().expect("statements").clone();
                    for statement in statements {
                        let parameters = json!({"FunctionName": function["FunctionName"], "StatementId": statement["Sid"]});
                        stack.aws.call("lambda", "RemovePermission", parameters);
                    }
                }
            },
            &["lambda-permission/api", "lambda-permission/schedule"],
        ),
        (
            "the permission lets another rule in",
            |stack| {
                let of = json!({"FunctionName": RULE, "StatementId": "threescale-gw-schedule"});
                stack.aws.call("lambda", "RemovePermission", of.clone());
                let mut other = of;
                other["Action"] = json!("lambda:InvokeFunction");
                other["Principal"] = json!("events.amazonaws.com");
                other["SourceArn"] = json!("arn:aws:events:us-east-1:123456789012:rule/another");
                stack.aws.call("lambda", "AddPermission", other);
            },
            &["lambda-permission/schedule"],
        ),
        (
            "the rule is disabled and its target removed",
            |stack| {
                stack
                    .aws
                    .call("events", "DisableRule", json!({"Name": RULE}));
                stack.aws.call(
                    "events",
                    "RemoveTargets",
                    json!({"Rule": RULE, "Ids": ["reporter"]}),
                );
            },
            &["schedule/reporter"],
        ),
        (
            "the rule fires less often",
            |stack| {
                let parameters = json!({"Name": RULE, "ScheduleExpression": "rate(1 day)"});
                stack.aws.call("events", "PutRule", parameters);
            },
            &["schedule/reporter"],
        ),
        (
            "the rule is deleted",
            |stack| {
                stack.aws.call(
                    "events",
                    "RemoveTargets",
                    json!({"Rule": RULE, "Ids": ["reporter"]}),
                );
                stack
                    .aws
                    .call("events", "DeleteRule", json!({"Name": RULE}));
            },
            &["schedule/reporter"],
        ),
        (
            "the role may do anything, and anybody may be it",
            |stack| {
                let all = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]});
                let parameters = json!({"RoleName": ROLE, "PolicyName": "threescale-gw", "PolicyDocument": all.to_string()});
                stack.aws.call("iam", "PutRolePolicy", parameters);
                let mut trust = stack.find("roles", "iam-role/authorizer")["trust"].clone();
                trust["Statement"].as_array_mut().expect("statements").push(json!({
                    "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::210987654321:root"}, "Action": "sts:AssumeRole",
                }));
                let parameters = json!({"RoleName": ROLE, "PolicyDocument": trust.to_string()});
                stack.aws.call("iam", "UpdateAssumeRolePolicy", parameters);
            },
            &["iam-role/authorizer"],
        ),
        (
            "the role may do nothing",
            |stack| {
                let parameters = json!({"RoleName": ROLE, "PolicyName": "threescale-gw"});
                stack.aws.call("iam", "DeleteRolePolicy", parameters);
            },
            &["iam-role/authorizer"],
        ),
        (
            "logs are kept for another time, and for ever",
            |stack| {
                let parameters = json!({"logGroupName": GROUP, "retentionInDays": 1});
                stack.aws.call("logs", "PutRetentionPolicy", parameters);
                let group = GROUP.replace("reporter", "authorizer");
                stack.aws.call(
                    "logs",
                    "DeleteRetentionPolicy",
                    json!({"logGroupName": group}),
                );
            },
            &["log-group/authorizer", "log-group/reporter"],
        ),
        (
            "a log group is deleted",
            |stack| {
                stack
                    .aws
                    .call("logs", "DeleteLogGroup", json!({"logGroupName": GROUP}));
            },
            &["log-group/reporter"],
        ),
        (
            "tags are removed",
            |stack| {
                let arn = |service: &str, rest: &str| {
                    format!("arn:aws:{service}:us-east-1:123456789012:{rest}")
                };
                let function = arn("lambda", "function:threescale-gw-orders-authorizer");
                stack.aws.call(
                    "lambda",
                    "UntagResource",
                    json!({"Resource": function, "TagKeys": ["team"]}),
                );
                stack.aws.call(
                    "iam",
                    "UntagRole",
                    json!({"RoleName": ROLE, "TagKeys": ["team"]}),
                );
                let rule = arn("events", &format!("rule/{RULE}"));
                stack.aws.call(
                    "events",
                    "UntagResource",
                    json!({"ResourceARN": rule, "TagKeys": ["team"]}),
                );
                let group = arn("logs", &format!("log-group:{GROUP}"));
                stack.aws.call(
                    "logs",
                    "UntagResource",
                    json!({"resourceArn": group, "tagKeys": ["team"]}),
                );
                for (kind, name) in [("replicationgroup", "cache"), ("subnetgroup", "cache")] {
                    let name = arn(
                        "elasticache",
                        &format!("{kind}:threescale-gw-orders-{name}"),
                    );
                    let parameters = json!({"ResourceName": name, "TagKeys": ["team"]});
                    stack
                        .aws
                        .call("elasticache", "RemoveTagsFromResource", parameters);
                }
            },
            &[
                "cache-subnet-group/main",
                "cache/main",
                "iam-role/authorizer",
                "lambda/authorizer",
                "log-group/reporter",
                "schedule/reporter",
            ],
        ),
    ];
    let stack = Stack::new();
    for drift in drifts {
        stack.repairs(drift);
        assert_same(&stack.whole, &stack.aws.account());
    }
    stack.repairs(&(
        "a function and the role are deleted",
        |stack| {
            stack.lambda("DeleteFunction", json!({}));
            stack.aws.call(
                "iam",
                "DeleteRolePolicy",
                json!({"RoleName": ROLE, "PolicyName": "threescale-gw"}),
            );
            stack
                .aws
                .call("iam", "DeleteRole", json!({"RoleName": ROLE}));
        },
        &[
            "iam-role/authorizer",
            "lambda-permission/api",
            "lambda/authorizer",
        ],
    ));
    stack.end();
}

#[test]
fn the_cache_and_the_parameters_are_repaired() {
    fn put(stack: &Stack, name: &str, kind: &str) {
        let name = format!("/threescale-gw/orders/{name}");
        let parameters = json!({"Name": name, "Value": "of-somebody-else-altogether", "Type": kind, "Overwrite": true});
        stack.aws.call("ssm", "PutParameter", parameters);
    }
    fn delete(stack: &Stack, name: &str) {
        let parameters = json!({"Name": format!("/threescale-gw/orders/{name}")});
        stack.aws.call("ssm", "DeleteParameter", parameters);
    }
    const CACHE: &str = "threescale-gw-orders-cache";
    let drifts: &[Drift] = &[
        (
            "parameters are changed",
            |stack| {
                put(stack, "cache-endpoint", "String");
                put(stack, "secrets/service-token", "SecureString");
            },
            &["parameter/cache-endpoint", "secret/service-token"],
        ),
        (
            "parameters are deleted",
            |stack| {
                delete(stack, "cache-endpoint");
                delete(stack, "secrets/service-token");
            },
            &["parameter/cache-endpoint", "secret/service-token"],
        ),
        (
            "the cache gets a larger node",
            |stack| {
                let parameters = json!({"ReplicationGroupId": CACHE, "CacheNodeType": "cache.t4g.small", "ApplyImmediately": true});
                stack
                    .aws
                    .call("elasticache", "ModifyReplicationGroup", parameters);
            },
            &["cache/main"],
        ),
        (
            "the cache gets a replica",
            |stack| {
                let parameters = json!({"ReplicationGroupId": CACHE, "NewReplicaCount": 1, "ApplyImmediately": true});
                stack
                    .aws
                    .call("elasticache", "IncreaseReplicaCount", parameters);
            },
            &["cache/main"],
        ),
        (
            "the subnet group leaves a zone",
            |stack| {
                let subnets = json!([
                    stack.id("subnets", "subnet/private-a"),
                    stack.id("subnets", "subnet/public-b")
                ]);
                let parameters = json!({"CacheSubnetGroupName": CACHE, "SubnetIds": subnets});
                stack
                    .aws
                    .call("elasticache", "ModifyCacheSubnetGroup", parameters);
            },
            &["cache-subnet-group/main"],
        ),
    ];
    let stack = Stack::new();
    for drift in drifts {
        stack.repairs(drift);
        assert_same(&stack.whole, &stack.aws.account());
    }
    stack.repairs(&(
        "the cache is deleted",
        |stack| {
            stack.aws.call(
                "elasticache",
                "DeleteReplicationGroup",
                json!({"ReplicationGroupId": CACHE}),
            );
        },
        &["cache/main", "parameter/cache-endpoint"],
    ));
    stack.repairs(&(
        "the AUTH token is deleted, so nobody can tell it to the functions",
        |stack| delete(stack, "secrets/cache-auth-token"),
        &[
            "cache/main",
            "parameter/cache-endpoint",
            "secret/cache-auth-token",
        ],
    ));
    stack.repairs(&(
        "the AUTH token is changed, so the cache does not know it",
        |stack| put(stack, "secrets/cache-auth-token", "SecureString"),
        &["cache/main", "parameter/cache-endpoint"],
    ));
    stack.repairs(&(
        "the key of the hashes is deleted",
        |stack| delete(stack, "secrets/hash-key"),
        &["secret/hash-key"],
    ));
    stack.end();
}

/// Somebody changes how our authorizer asks.
fn remember(stack: &Stack) {
    let (id, _) = stack.api();
    let patches = json!([
        {"op": "replace", "path": "/authorizerResultTtlInSeconds", "value": "3600"},
        {"op": "replace", "path": "/identitySource", "value": "method.request.querystring.key"},
    ]);
    let parameters =
        json!({"restApiId": id, "authorizerId": stack.authorizer_id(), "patchOperations": patches});
    stack.aws.call("apigateway", "UpdateAuthorizer", parameters);
}

#[test]
fn protected_means_in_the_deployment_that_the_stage_serves() {
    let attachment: &[&str] = &["api-attachment/main"];
    // What happens, and which methods callers reach without a credential until it is repaired.
    let drifts: &[(Drift, &[&str])] = &[
        (
            (
                "a method is opened in the draft",
                |stack| stack.open("GET /orders"),
                attachment,
            ),
            &[],
        ),
        (
            (
                "a method is opened and published",
                |stack| {
                    stack.open("GET /orders");
                    stack.publish();
                },
                attachment,
            ),
            &["GET /orders"],
        ),
        (
            (
                "the stage is put back on the deployment before ours",
                |stack| {
                    let (id, _) = stack.api();
                    let apis = stack.before["rest_apis"]
                        .as_array()
                        .expect("a list")
                        .clone();
                    let api = apis
                        .iter()
                        .find(|api| api["id"] == id.as_str())
                        .expect("the API");
                    let patch = json!({"op": "replace", "path": "/deploymentId", "value": api["stages"][0]["deploymentId"]});
                    let parameters =
                        json!({"restApiId": id, "stageName": "prod", "patchOperations": [patch]});
                    stack.aws.call("apigateway", "UpdateStage", parameters);
                },
                attachment,
            ),
            &PROTECTED,
        ),
        (
            (
                "the authorizer remembers, and looks elsewhere for the credential",
                remember,
                &["api-authorizer/main"],
            ),
            &[],
        ),
        (
            (
                "the same, published",
                |stack| {
                    remember(stack);
                    stack.publish();
                },
                &["api-authorizer/main", "api-attachment/main"],
            ),
            &[],
        ),
        (
            (
                "everything is opened, and the authorizer deleted",
                |stack| {
                    let (id, authorizer) = (stack.api().0, stack.authorizer_id());
                    PROTECTED.iter().for_each(|label| stack.open(label));
                    let parameters = json!({"restApiId": id, "authorizerId": authorizer});
                    stack.aws.call("apigateway", "DeleteAuthorizer", parameters);
                    stack.publish();
                },
                &[
                    "api-attachment/main",
                    "api-authorizer/main",
                    "lambda-permission/api",
                ],
            ),
            &PROTECTED,
        ),
    ];
    let stack = Stack::new();
    assert_eq!(protected(&stack.status().1), all_but(&[]));
    for (drift, open) in drifts {
        let status = stack.repairs(drift);
        assert_eq!(protected(&status), all_but(open), "{}", drift.0);
        assert_eq!(protected(&stack.status().1), all_but(&[]), "{}", drift.0);
    }

    // A method that is added to the API is protected by the next run, as the configuration says.
    let (id, _) = stack.api();
    let drift: Drift = (
        "a method is added",
        |stack| {
            let (id, methods) = stack.api();
            let of = json!({"restApiId": id, "resourceId": methods["GET /orders"]["resourceId"], "httpMethod": "DELETE"});
            let mut method = of.clone();
            method["authorizationType"] = json!("NONE");
            stack.aws.call("apigateway", "PutMethod", method);
            let mut integration = of;
            integration["type"] = json!("MOCK");
            stack.aws.call("apigateway", "PutIntegration", integration);
            stack.publish();
        },
        attachment,
    );
    let status = stack.repairs(&drift);
    assert_eq!(protected(&status), all_but(&[]));
    assert!(protected(&stack.status().1).contains("DELETE /orders"));

    // Somebody published on top of ours meanwhile, so the stage is not put back but deployed anew.
    stack.workplace.succeed(&["down", "--yes"]);
    let after = stack.aws.account();
    let apis = after["rest_apis"].as_array().expect("a list");
    let api = apis
        .iter()
        .find(|api| api["id"] == id.as_str())
        .expect("the API");
    let stage = &api["stages"][0]["deploymentId"];
    let deployments = api["deployments"].as_array().expect("a list");
    let served = deployments
        .iter()
        .find(|found| found["id"] == *stage)
        .expect("the stage's");
    for verb in ["GET", "POST", "DELETE"] {
        assert_eq!(
            served["snapshot"]["methods"]["/orders"][verb]["authorizationType"], "NONE",
            "{verb}"
        );
    }
}

#[test]
fn a_role_that_may_more_is_seen_by_status_and_cut_back_by_the_next_change() {
    let stack = Stack::new();
    let (aws, workplace) = (&stack.aws, &stack.workplace);
    let role = "threescale-gw-orders-us-east-1";
    let document = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
    ]})
    .to_string();
    let inline = json!({"RoleName": role, "PolicyName": "more", "PolicyDocument": document});
    aws.call("iam", "PutRolePolicy", inline);
    let managed = json!({"PolicyName": "theirs", "PolicyDocument": document});
    let managed = aws.call("iam", "CreatePolicy", managed)["Policy"]["Arn"].clone();
    let attached = json!({"RoleName": role, "PolicyArn": managed});
    aws.call("iam", "AttachRolePolicy", attached);

    let (code, status) = stack.status();
    assert_eq!(code, Some(3), "{status}");
    assert_eq!(
        unhealthy(&status),
        BTreeSet::from(["iam-role/authorizer".to_owned()])
    );
    assert!(status.to_string().contains("further policies"), "{status}");
    // It is no reason to change anything by itself: a run that has nothing to do does not ask.
    assert_eq!(workplace.run(&["plan", "--exit-code"]).code, Some(0));
    workplace.edit("tags: {team: payments}", "tags: {team: pay}");
    workplace.succeed(&["up", "--yes"]);
    assert_eq!(stack.status().0, Some(0));
    let inline = aws.call("iam", "ListRolePolicies", json!({"RoleName": role}));
    assert_eq!(inline["PolicyNames"], json!(["threescale-gw"]));
    let attached = aws.call("iam", "ListAttachedRolePolicies", json!({"RoleName": role}));
    assert_eq!(attached["AttachedPolicies"], json!([]));
    aws.call("iam", "DeletePolicy", json!({"PolicyArn": managed}));
    stack.end();
}
