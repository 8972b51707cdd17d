//! `status` and `plan` detect manual changes by another user, and `up` repairs them.

use std::collections::BTreeSet;

use crate::support::drifted::{Drift, Stack, unhealthy};
use crate::support::{artifact, assert_same};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

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
            "the alias leads to what is not published",
            |stack| {
                let parameters = json!({"Name": "live", "FunctionVersion": "$LATEST"});
                stack.lambda("UpdateAlias", parameters);
            },
            &["lambda-alias/authorizer"],
        ),
        (
            "another version is published, and some of the requests go there",
            |stack| {
                stack.lambda("UpdateFunctionConfiguration", json!({"Timeout": 29}));
                let made = stack.lambda("PublishVersion", json!({}));
                let weights = json!({made["Version"].as_str().expect("a number"): 0.5});
                let split = json!({"AdditionalVersionWeights": weights});
                stack.lambda(
                    "UpdateAlias",
                    json!({"Name": "live", "RoutingConfig": split}),
                );
            },
            &["lambda-alias/authorizer", "lambda/authorizer"],
        ),
        (
            "a permission is given to the function itself",
            |stack| {
                let parameters = json!({
                    "StatementId": "threescale-gw-api-another", "Action": "lambda:InvokeFunction",
                    "Principal": "apigateway.amazonaws.com",
                });
                stack.lambda("AddPermission", parameters);
            },
            &["lambda-permission/api-another-unqualified"],
        ),
        (
            "everybody may invoke the alias",
            |stack| {
                let parameters = json!({
                    "StatementId": "everybody", "Action": "lambda:InvokeFunction", "Principal": "*", "Qualifier": "live",
                });
                stack.lambda("AddPermission", parameters);
            },
            &["lambda-permission/everybody"],
        ),
        (
            "both permissions are removed",
            |stack| {
                for name in ["authorizer", "reporter"] {
                    let function = stack.find("functions", &format!("lambda/{name}"));
                    let alias = &function["aliases"][0];
                    let statements = alias["policy"].as_array().expect("statements").clone();
                    for statement in statements {
                        let parameters = json!({
                            "FunctionName": function["FunctionName"], "Qualifier": "live",
                            "StatementId": statement["Sid"],
                        });
                        stack.aws.call("lambda", "RemovePermission", parameters);
                    }
                }
            },
            &["lambda-permission/api", "lambda-permission/schedule"],
        ),
        (
            "the permission lets another rule in",
            |stack| {
                let of = json!({"FunctionName": RULE, "Qualifier": "live", "StatementId": "threescale-gw-schedule"});
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
            "the permission has one more condition",
            |stack| {
                let of = json!({"FunctionName": RULE, "Qualifier": "live", "StatementId": "threescale-gw-schedule"});
                stack.aws.call("lambda", "RemovePermission", of.clone());
                let mut other = of;
                other["Action"] = json!("lambda:InvokeFunction");
                other["Principal"] = json!("events.amazonaws.com");
                other["SourceArn"] = json!(
                    "arn:aws:events:us-east-1:123456789012:rule/threescale-gw-orders-reporter"
                );
                other["SourceAccount"] = json!("123456789012");
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
            "lambda-alias/authorizer",
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
            "a parameter is changed",
            |stack| put(stack, "cache-endpoint", "String"),
            &["parameter/cache-endpoint"],
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
        &["cache/main", "secret/cache-auth-token"],
    ));
    stack.repairs(&(
        "the AUTH token is changed, so the cache does not know it",
        |stack| put(stack, "secrets/cache-auth-token", "SecureString"),
        &["cache/main"],
    ));
    stack.repairs(&(
        "the key of the hashes is deleted",
        |stack| delete(stack, "secrets/hash-key"),
        &["secret/hash-key"],
    ));
    // A token that is not the configured one is never overwritten, because a function version might read it.
    stack.repairs(&(
        "the service token is changed",
        |stack| put(stack, "secrets/service-token", "SecureString"),
        &[
            "lambda-alias/authorizer",
            "lambda-alias/reporter",
            "lambda/authorizer",
            "lambda/reporter",
            "secret/service-token",
        ],
    ));
    stack.end();
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
    let resources = status["resources"].as_array().expect("resources").iter();
    let mut changes = resources.flat_map(|resource| resource["drift"].as_array().expect("changes"));
    let further = changes.find(|change| change["field"] == "further policies");
    let further = further.expect("a change");
    assert_eq!(further["before"], json!([managed, "more"]));
    assert_eq!(further["after"], json!([]));
    // Additional policies alone do not cause a change: a run without other changes does not look for them.
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
