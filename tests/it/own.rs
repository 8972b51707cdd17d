//! An existing network and an existing cache: used, never changed, never deleted.

use crate::support::{TestAws, Workplace, assert_same};
use serde_json::{Value, json};

/// An address that contains a secret.
const CACHE: &str = "cache: {url: \"rediss://user:own-cache-secret@cache.example.com:6379\"}";

/// A network that another user created, and the lines that configure it.
pub(crate) struct Network {
    pub(crate) text: String,
    vpc: String,
}

fn own_network(aws: &TestAws) -> Network {
    own_network_in(aws, "10.9")
}

/// A VPC with private subnets in two zones. `range`: the first two parts of its addresses.
pub(crate) fn own_network_in(aws: &TestAws, range: &str) -> Network {
    let block = json!({"CidrBlock": format!("{range}.0.0/16")});
    let vpc = aws.call("ec2", "CreateVpc", block);
    let vpc = id(&vpc["Vpc"]["VpcId"]);
    let subnets = ["a", "b", "a"].into_iter().enumerate();
    let subnets = subnets.map(|(index, zone)| {
        let subnet = json!({
            "VpcId": vpc, "CidrBlock": format!("{range}.{index}.0/24"), "AvailabilityZone": format!("us-east-1{zone}"),
        });
        id(&aws.call("ec2", "CreateSubnet", subnet)["Subnet"]["SubnetId"])
    });
    let subnets: Vec<_> = subnets.collect();
    with_a_way_out(aws, &vpc, &vpc, &subnets)
}

/// The default VPC of the region.
fn default_network(aws: &TestAws) -> Network {
    let account = aws.account();
    let list = |name: &str| account[name].as_array().cloned().expect("a list");
    let vpc = list("vpcs")
        .iter()
        .find(|vpc| vpc["default"] == true)
        .map(|vpc| id(&vpc["id"]))
        .expect("a default VPC");
    let subnets: Vec<_> = list("subnets")
        .iter()
        .filter(|subnet| subnet["vpc"] == vpc.as_str())
        .map(|subnet| id(&subnet["id"]))
        .collect();
    with_a_way_out(aws, "default", &vpc, &subnets)
}

/// Routes the first two subnets to a NAT gateway in the third one.
fn with_a_way_out(aws: &TestAws, name: &str, vpc: &str, subnets: &[String]) -> Network {
    let call = |operation: &str, parameters: Value| aws.call("ec2", operation, parameters);
    let gateway = call("CreateInternetGateway", json!({}));
    let gateway = &gateway["InternetGateway"]["InternetGatewayId"];
    call(
        "AttachInternetGateway",
        json!({"InternetGatewayId": gateway, "VpcId": vpc}),
    );
    let address = call("AllocateAddress", json!({"Domain": "vpc"}));
    let nat = json!({"SubnetId": subnets[2], "AllocationId": address["AllocationId"]});
    let nat = call("CreateNatGateway", nat);
    let nat = &nat["NatGateway"]["NatGatewayId"];
    let table = call("CreateRouteTable", json!({"VpcId": vpc}));
    let table = &table["RouteTable"]["RouteTableId"];
    let route =
        json!({"RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": nat});
    call("CreateRoute", route);
    for subnet in &subnets[..2] {
        call(
            "AssociateRouteTable",
            json!({"RouteTableId": table, "SubnetId": subnet}),
        );
    }
    let public = call("CreateRouteTable", json!({"VpcId": vpc}));
    let public = &public["RouteTable"]["RouteTableId"];
    let route =
        json!({"RouteTableId": public, "DestinationCidrBlock": "0.0.0.0/0", "GatewayId": gateway});
    call("CreateRoute", route);
    call(
        "AssociateRouteTable",
        json!({"RouteTableId": public, "SubnetId": subnets[2]}),
    );
    Network {
        text: format!(
            "network: {{vpc: {name}, subnets: [{}]}}",
            subnets[..2].join(", ")
        ),
        vpc: vpc.to_owned(),
    }
}

pub(crate) fn id(value: &Value) -> String {
    value.as_str().expect("an id").to_owned()
}

/// Adds lines to the configuration.
pub(crate) fn add(workplace: &Workplace, lines: &str) {
    workplace.edit(
        "tags: {team: payments}",
        &format!("tags: {{team: payments}}\n{lines}"),
    );
}

/// The number of resources of a kind that the stack owns.
pub(crate) fn owned(aws: &TestAws, kind: &str) -> usize {
    let account = aws.account();
    let list = account[kind].as_array().expect("a list");
    list.iter()
        .filter(|item| item["tags"]["threescale-gw:stack"] == "orders")
        .count()
}

const NETWORK: [&str; 6] = [
    "vpcs",
    "subnets",
    "internet_gateways",
    "addresses",
    "nat_gateways",
    "route_tables",
];

/// Runs `up`, checks that nothing more changes and that the stack is healthy, calls `look`, and runs `down`, which must
/// leave no trace.
pub(crate) fn lives(aws: &TestAws, lines: &str, look: impl Fn(&Workplace)) {
    let before = aws.account();
    let workplace = Workplace::new(aws);
    add(&workplace, lines);
    workplace.succeed(&["up", "--yes"]);
    aws.check_log();
    let again = workplace.succeed(&["up", "--yes"]);
    assert!(again.stderr.contains("No changes"), "{}", again.stderr);
    assert_eq!(aws.get("stats")["mutating"], 0);
    let status = workplace.succeed(&["status", "--exit-code", "-o", "json"]);
    assert_eq!(status.json()["healthy"], true, "{}", status.stdout);
    look(&workplace);
    workplace.succeed(&["down", "--yes", "--stack", "orders"]);
    assert_same(&before, &aws.account());
}

#[test]
fn a_network_of_ones_own_is_used_and_left_as_it_is() {
    for network in [own_network, default_network] {
        let aws = TestAws::seeded();
        aws.post("config", &json!({"eni_linger": 0.2}));
        let Network { text, vpc } = network(&aws);
        lives(&aws, &text, |_| {
            for kind in NETWORK {
                assert_eq!(owned(&aws, kind), 0, "{kind}");
            }
            let account = aws.account();
            let groups = account["security_groups"].as_array().expect("a list");
            let ours: Vec<_> = groups
                .iter()
                .filter(|group| group["tags"]["threescale-gw:stack"] == "orders")
                .collect();
            assert_eq!(ours.len(), 2);
            assert!(
                ours.iter().all(|group| group["vpc"] == vpc.as_str()),
                "{ours:?}"
            );
            assert_eq!(owned(&aws, "replication_groups"), 1);
        });
    }
}

#[test]
fn each_fault_of_a_network_of_ones_own_is_a_line_of_the_plan() {
    let aws = TestAws::seeded();
    let Network { text, vpc } = own_network(&aws);
    let workplace = Workplace::new(&aws);
    add(&workplace, &text);
    let plan = workplace.succeed(&["plan"]);
    assert!(!plan.stderr.contains("network."), "{}", plan.stderr);

    let call = |operation: &str, parameters: Value| aws.call("ec2", operation, parameters);
    // A network ACL of its own denies everything.
    let acls = call(
        "DescribeNetworkAcls",
        json!({"Filters": [{"Name": "vpc-id", "Values": [vpc]}]}),
    );
    let closed = call("CreateNetworkAcl", json!({"VpcId": vpc}));
    let closed = id(&closed["NetworkAcl"]["NetworkAclId"]);
    let associations = acls["NetworkAcls"][0]["Associations"]
        .as_array()
        .cloned()
        .expect("a list");
    let of_first = associations
        .iter()
        .find(|one| text.contains(one["SubnetId"].as_str().expect("an id")));
    let of_first = of_first.expect("an association");
    let first = id(&of_first["SubnetId"]);
    call(
        "ReplaceNetworkAclAssociation",
        json!({"AssociationId": of_first["NetworkAclAssociationId"], "NetworkAclId": closed}),
    );
    let off = json!({"Value": false});
    call(
        "ModifyVpcAttribute",
        json!({"VpcId": vpc, "EnableDnsSupport": off}),
    );
    let in_vpc = json!({"Filter": [{"Name": "vpc-id", "Values": [vpc]}]});
    let nat = call("DescribeNatGateways", in_vpc)["NatGateways"][0]["NatGatewayId"].clone();
    call("DeleteNatGateway", json!({"NatGatewayId": nat}));
    let control = call("CreateVpcEncryptionControl", json!({"VpcId": vpc}));
    let control = &control["VpcEncryptionControl"]["VpcEncryptionControlId"];
    call(
        "ModifyVpcEncryptionControl",
        json!({"VpcEncryptionControlId": control, "Mode": "enforce"}),
    );
    call(
        "ModifyVpcBlockPublicAccessOptions",
        json!({"InternetGatewayBlockMode": "block-bidirectional"}),
    );

    let expected = [
        format!(
            "{first} has a default route to {}",
            nat.as_str().expect("an id")
        ),
        format!(
            "the network ACL {closed} of {first} does not allow outbound traffic to TCP port 443"
        ),
        format!("DNS support (enableDnsSupport) of {vpc} is off"),
        "Lambda is not excluded".to_owned(),
        "block-bidirectional".to_owned(),
    ];
    let up = workplace.run(&["up", "--yes"]);
    assert_eq!(up.code, Some(4), "{}", up.stderr);
    for text in &expected {
        let lines = up
            .stderr
            .lines()
            .filter(|line| line.contains(text.as_str()))
            .count();
        assert_eq!(lines, 1, "{text}: {}", up.stderr);
    }
    assert!(aws.changes().is_empty());

    // An exclusion ends the block of public access.
    call(
        "CreateVpcBlockPublicAccessExclusion",
        json!({"VpcId": vpc, "InternetGatewayExclusionMode": "allow-egress"}),
    );
    let plan = workplace.run(&["plan"]);
    assert!(
        !plan.stderr.contains("block-bidirectional"),
        "{}",
        plan.stderr
    );
    assert!(plan.stderr.contains("enableDnsSupport"), "{}", plan.stderr);
}

#[test]
fn an_account_that_blocks_nat_gateways_is_refused() {
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    let block = |mode: &str| {
        let mode = json!({"InternetGatewayBlockMode": mode});
        aws.call("ec2", "ModifyVpcBlockPublicAccessOptions", mode);
    };
    block("block-bidirectional");
    let up = workplace.run(&["up", "--yes"]);
    assert_eq!(up.code, Some(4), "{}", up.stderr);
    assert!(up.stderr.contains("block-ingress"), "{}", up.stderr);
    assert!(aws.changes().is_empty());
    block("block-ingress");
    workplace.succeed(&["plan"]);
}

#[test]
fn a_network_that_may_not_be_read_is_not_checked() {
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    add(&workplace, &own_network(&aws).text);
    for operation in [
        "DescribeNetworkAcls",
        "DescribeVpcEncryptionControls",
        "DescribeVpcBlockPublicAccessOptions",
    ] {
        aws.post(
            "faults",
            &json!([{"service": "ec2", "operation": operation, "kind": "deny"}]),
        );
        let plan = workplace.succeed(&["plan"]);
        assert!(
            plan.stderr.contains("not checked") || plan.stdout.contains("not checked"),
            "{operation}: {}",
            plan.stderr
        );
        assert!(
            plan.stdout.contains(operation) || plan.stderr.contains(operation),
            "{operation}: {}",
            plan.stdout
        );
    }
}

#[test]
fn a_cache_of_ones_own_is_used_and_its_address_is_secret() {
    let aws = TestAws::seeded();
    lives(&aws, CACHE, |workplace| {
        for kind in ["replication_groups", "cache_subnet_groups"] {
            assert_eq!(owned(&aws, kind), 0, "{kind}");
        }
        let account = aws.account();
        let parameters = account["parameters"].as_array().expect("a list");
        let url = parameters
            .iter()
            .find(|parameter| parameter["name"] == "/threescale-gw/orders/secrets/cache-url");
        assert_eq!(url.expect("the address")["type"], "SecureString");
        assert!(!account.to_string().contains("own-cache-secret"));
        // A changed address is one change, and its value is not shown either.
        workplace.edit("own-cache-secret", "own-cache-secret-2");
        let plan = workplace.run(&["plan", "--exit-code"]);
        assert_eq!(plan.code, Some(3), "{}", plan.stderr);
        assert!(plan.stdout.contains("secret/cache-url"), "{}", plan.stdout);
        let up = workplace.succeed(&["up", "--yes", "-v"]);
        for shown in [&plan, &up] {
            let text = format!("{}{}", shown.stdout, shown.stderr);
            assert!(!text.contains("own-cache-secret"), "{text}");
        }
    });
}

/// No VPC, no cache.
const NOTHING: &str = "network: none\ncache: memory";

#[test]
fn a_stack_without_a_network_and_a_cache_costs_nothing() {
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    add(&workplace, NOTHING);
    let plan = workplace.succeed(&["plan"]);
    let told =
        "each request waits for 3scale, which decides and counts it, and nothing costs money";
    assert!(plan.stdout.contains(told), "{}", plan.stdout);
    drop(workplace);
    lives(&aws, NOTHING, |workplace| {
        for kind in NETWORK {
            assert_eq!(owned(&aws, kind), 0, "{kind}");
        }
        for kind in [
            "security_groups",
            "replication_groups",
            "cache_subnet_groups",
            "rules",
        ] {
            assert_eq!(owned(&aws, kind), 0, "{kind}");
        }
        assert_eq!(owned(&aws, "functions"), 2);
        workplace.succeed(&["verify"]);
        workplace.succeed(&["rollback"]);
        workplace.succeed(&["up", "--yes"]);
        // Told once, and not with every change.
        workplace.edit("cache: memory", "cache: memory\ndeletion_protection: false");
        workplace.edit("authorizer: {", "authorizer: {max_age: 30s, ");
        let plan = workplace.run(&["plan", "--exit-code"]);
        assert_eq!(plan.code, Some(3), "{}", plan.stderr);
        assert!(
            !plan.stdout.contains("each request waits"),
            "{}",
            plan.stdout
        );
    });
}

#[test]
fn a_cache_of_ones_own_is_used_without_a_network() {
    let aws = TestAws::seeded();
    let lines = format!("network: none\n{CACHE}");
    lives(&aws, &lines, |_| {
        assert_eq!(owned(&aws, "security_groups"), 0);
        assert_eq!(owned(&aws, "rules"), 1);
    });
}

#[test]
fn addresses_of_ones_own_are_used_and_never_released() {
    let aws = TestAws::seeded();
    let allocate = || {
        let address = aws.call("ec2", "AllocateAddress", json!({"Domain": "vpc"}));
        id(&address["AllocationId"])
    };
    aws.post("config", &json!({"quotas": {"elastic_ips": 10}}));
    let (first, second, used) = (allocate(), allocate(), allocate());
    let pair = json!({"AllocationId": used, "NetworkInterfaceId": interface(&aws)});
    aws.call("ec2", "AssociateAddress", pair);
    let before = aws.account();
    let workplace = Workplace::new(&aws);
    add(&workplace, "network: {elastic_ips: [eipalloc-00000000]}");
    for (wrong, exit, words) in [
        (
            "eipalloc-00000000",
            4,
            "there is no address eipalloc-00000000",
        ),
        (&*used, 4, "is in use by eni-"),
        ("nonsense", 2, "network.elastic_ips[0]"),
        (
            &*format!("{first}, {second}"),
            2,
            "one address for each NAT gateway",
        ),
    ] {
        workplace.edit(
            "elastic_ips: [eipalloc-00000000]",
            &format!("elastic_ips: [{wrong}]"),
        );
        let up = workplace.run(&["up", "--yes"]);
        assert_eq!(up.code, Some(exit), "{}", up.stderr);
        assert!(up.stderr.contains(words), "{}", up.stderr);
        workplace.edit(
            &format!("elastic_ips: [{wrong}]"),
            "elastic_ips: [eipalloc-00000000]",
        );
    }
    assert_same(&before, &aws.account());
    workplace.edit("eipalloc-00000000", &first);
    workplace.succeed(&["up", "--yes"]);
    assert_eq!(owned(&aws, "addresses"), 0);
    assert_eq!(workplace.run(&["plan", "--exit-code"]).code, Some(0));
    let status = workplace.succeed(&["status", "--exit-code", "-o", "json"]);
    assert!(
        status.json()["outputs"]["nat_public_ip"].is_string(),
        "{}",
        status.stdout
    );
    // Another address needs another NAT gateway. Without the key, the stack allocates one.
    workplace.edit(&first, &second);
    workplace.succeed(&["up", "--yes"]);
    workplace.edit(&format!("network: {{elastic_ips: [{second}]}}"), "# here");
    workplace.succeed(&["up", "--yes"]);
    let down = workplace.succeed(&["down", "--yes"]);
    let text = format!("{}{}", down.stdout, down.stderr);
    assert!(text.contains("is released"), "{text}");
    assert_same(&before, &aws.account());
}

/// A network interface of another user in the default VPC.
fn interface(aws: &TestAws) -> String {
    let account = aws.account();
    let subnets = account["subnets"].as_array().expect("a list");
    let subnet = json!({"SubnetId": subnets[0]["id"]});
    let interface = aws.call("ec2", "CreateNetworkInterface", subnet);
    id(&interface["NetworkInterface"]["NetworkInterfaceId"])
}

#[test]
fn the_role_has_the_configured_permissions_boundary() {
    let aws = TestAws::seeded();
    let document = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}"#;
    let policy = |name: &str| {
        let policy = json!({"PolicyName": name, "PolicyDocument": document});
        id(&aws.call("iam", "CreatePolicy", policy)["Policy"]["Arn"])
    };
    let (one, other) = (policy("one"), policy("other"));
    let before = aws.account();
    let workplace = Workplace::new(&aws);
    let line = |arn: &str| format!("authorizer: {{permissions_boundary: \"{arn}\", ");
    let missing = one.replace("/one", "/missing");
    workplace.edit("authorizer: {", &line(&missing));
    for (wrong, exit, words) in [
        (&*missing, 4, "there is no policy"),
        ("arn:aws-cn:iam::aws:policy/a", 4, "in the partition aws"),
        ("no-arn", 2, "must be the ARN of an IAM policy"),
    ] {
        workplace.edit(&missing, wrong);
        let up = workplace.run(&["up", "--yes"]);
        assert_eq!(up.code, Some(exit), "{}", up.stderr);
        assert!(up.stderr.contains(words), "{}", up.stderr);
        workplace.edit(wrong, &missing);
    }
    assert_same(&before, &aws.account());
    let boundary = || {
        let account = aws.account();
        let mut roles = account["roles"].as_array().expect("a list").iter();
        let ours = roles.find(|role| role["tags"]["threescale-gw:stack"] == "orders");
        id(&ours.expect("the role")["permissions_boundary"])
    };
    workplace.edit(&missing, &one);
    workplace.succeed(&["up", "--yes"]);
    assert_eq!(boundary(), one);
    workplace.edit(&one, &other);
    let plan = workplace.run(&["plan", "--exit-code"]);
    assert_eq!(plan.code, Some(3), "{}", plan.stdout);
    assert!(
        plan.stdout.contains("permissions boundary"),
        "{}",
        plan.stdout
    );
    workplace.succeed(&["up", "--yes"]);
    assert_eq!(boundary(), other);
    // Without the key, the boundary stays: an organization may have set it.
    workplace.edit(&line(&other), "authorizer: {");
    assert_eq!(workplace.run(&["plan", "--exit-code"]).code, Some(0));
    workplace.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());
}

#[test]
fn a_stack_moves_to_what_is_the_operators_own_and_back() {
    let aws = TestAws::seeded();
    aws.post(
        "config",
        &json!({"eni_linger": 0.2, "quotas": {"vpcs": 10}}),
    );
    let network = own_network(&aws).text;
    let before = aws.account();
    let workplace = Workplace::new(&aws);
    let whole = format!("{network}\n{CACHE}");
    add(&workplace, "# here");
    workplace.succeed(&["up", "--yes"]);
    let mut now = "# here".to_owned();
    for next in [&*network, &*whole, "# here", CACHE, &*whole, "# here"] {
        workplace.edit(&now, next);
        next.clone_into(&mut now);
        workplace.succeed(&["up", "--yes"]);
        let plan = workplace.run(&["plan", "--exit-code"]);
        assert_eq!(plan.code, Some(0), "{next}: {}", plan.stdout);
        let makes = usize::from(!next.contains("vpc:"));
        assert_eq!(owned(&aws, "vpcs"), makes, "{next}");
        let makes = usize::from(!next.contains("url:"));
        assert_eq!(owned(&aws, "replication_groups"), makes, "{next}");
    }
    workplace.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());
}

#[test]
fn a_group_of_others_with_our_name_is_refused() {
    let aws = TestAws::seeded();
    let Network { text, vpc } = own_network(&aws);
    for name in ["authorizer", "cache"] {
        let group = json!({"GroupName": format!("threescale-gw-orders-{name}"), "Description": "theirs", "VpcId": vpc});
        aws.call("ec2", "CreateSecurityGroup", group);
    }
    let before = aws.account();
    let told = ["authorizer", "cache"].map(|name| {
        format!(
            "security-group/{name} cannot be created: threescale-gw-orders-{name} already exists"
        )
    });
    // With an existing cache, the stack creates no security group for a cache, so that name does not conflict.
    for (lines, count) in [(text.clone(), 2), (format!("{text}\n{CACHE}"), 1)] {
        let workplace = Workplace::new(&aws);
        add(&workplace, &lines);
        for command in [&["plan"][..], &["up", "--yes"]] {
            let run = workplace.run(command);
            assert_eq!(run.code, Some(4), "{}", run.stderr);
            let told = told.iter().filter(|text| run.stderr.contains(*text));
            assert_eq!(told.count(), count, "{}", run.stderr);
        }
    }
    assert!(aws.changes().is_empty());
    assert_same(&before, &aws.account());
}

#[test]
fn subnets_of_another_network_are_refused() {
    let aws = TestAws::seeded();
    let (own, default) = (own_network(&aws), default_network(&aws));
    let (vpc, subnets) = (
        own.vpc,
        default.text.split_once(" subnets:").expect("subnets").1,
    );
    let workplace = Workplace::new(&aws);
    add(
        &workplace,
        &format!("network: {{vpc: {vpc}, subnets:{subnets}"),
    );
    let run = workplace.run(&["up", "--yes"]);
    assert_eq!(run.code, Some(4), "{}", run.stderr);
    let told = run.stderr.matches(&format!("is not in {vpc}")).count();
    assert_eq!(told, 2, "{}", run.stderr);
    assert!(aws.changes().is_empty());
}

#[test]
fn what_others_have_in_our_groups_keeps_down_from_beginning() {
    let aws = TestAws::seeded();
    let Network { text, vpc } = own_network(&aws);
    let before = aws.account();
    let workplace = Workplace::new(&aws);
    add(&workplace, &text);
    workplace.succeed(&["up", "--yes"]);
    let account = aws.account();
    let of = |list: &str, key: &str, value: &str| {
        let list = account[list].as_array().expect("a list").clone();
        let found = list.into_iter().find(|item| item[key] == value);
        id(&found.expect("a resource")["id"])
    };
    let subnet = of("subnets", "vpc", &vpc);
    let ours = of("security_groups", "name", "threescale-gw-orders-authorizer");
    let server = json!({"SubnetId": subnet, "Groups": [ours], "Description": "their server"});
    let server = aws.call("ec2", "CreateNetworkInterface", server);
    let server = id(&server["NetworkInterface"]["NetworkInterfaceId"]);
    aws.check_log();
    let refused = workplace.run(&["down", "--yes"]);
    assert_eq!(refused.code, Some(4), "{}", refused.stderr);
    assert!(refused.stderr.contains(&server), "{}", refused.stderr);
    assert!(aws.changes().is_empty());
    workplace.succeed(&["down", "--yes", "--leave-network"]);
    assert_eq!(owned(&aws, "security_groups"), 1);
    assert_eq!(owned(&aws, "roles") + owned(&aws, "functions"), 0);
    aws.call(
        "ec2",
        "DeleteNetworkInterface",
        json!({"NetworkInterfaceId": server}),
    );
    workplace.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());
}
