//! Security groups of the operator for the functions: used, never changed, never deleted.

use serde_json::{Value, json};

use crate::moves::assert_served;
use crate::own::{Network, add, default_network, own_network, own_network_in};
use crate::support::kill::{Killed, each, killed_after_each};
use crate::support::{TestAws, Workplace, assert_same, counts};

/// A zip file with an empty file `bootstrap`.
const EMPTY: &str = "UEsDBBQAAAAAAAAAIQAAAAAAAAAAAAAAAAAJAAAAYm9vdHN0cmFwUEsBAhQDFAAAAAAAAAAhAAAAAAAAAAAAAAAAAAkAAAAAAAAAAAAAAIABAAAAAGJvb3RzdHJhcFBLBQYAAAAAAQABADcAAAAnAAAAAAA=";

fn id(value: &Value) -> String {
    value.as_str().expect("an id").to_owned()
}

/// Creates a security group, which lets everything out.
fn create(aws: &TestAws, vpc: &str, name: &str) -> String {
    let group = json!({"GroupName": name, "Description": "of the operator", "VpcId": vpc});
    id(&aws.call("ec2", "CreateSecurityGroup", group)["GroupId"])
}

/// Removes the rule that lets everything out, and lets some ports out.
fn close(aws: &TestAws, group: &str, ports: &[u16]) {
    let all = json!([{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]);
    let all = json!({"GroupId": group, "IpPermissions": all});
    aws.call("ec2", "RevokeSecurityGroupEgress", all);
    for port in ports {
        let range = json!([{"CidrIp": "0.0.0.0/0"}]);
        let rule =
            json!({"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": range});
        let rule = json!({"GroupId": group, "IpPermissions": [rule]});
        aws.call("ec2", "AuthorizeSecurityGroupEgress", rule);
    }
}

/// The beginning of the settings of the authorizer.
fn line(groups: &[&str]) -> String {
    format!("authorizer: {{security_groups: [{}], ", groups.join(", "))
}

/// The security groups of the stack: their names.
fn of_stack(aws: &TestAws) -> Vec<String> {
    let account = aws.account();
    let groups = account["security_groups"]
        .as_array()
        .expect("a list")
        .iter();
    let ours = groups.filter(|group| group["tags"]["threescale-gw:stack"] == "orders");
    let mut names: Vec<_> = ours.map(|group| id(&group["name"])).collect();
    names.sort();
    names
}

/// The groups that the group of the cache admits.
fn admitted(aws: &TestAws) -> Vec<String> {
    let named =
        json!({"Filters": [{"Name": "group-name", "Values": ["threescale-gw-orders-cache"]}]});
    let groups = aws.call("ec2", "DescribeSecurityGroups", named);
    let rules = groups["SecurityGroups"][0]["IpPermissions"].as_array();
    let rules = rules.expect("rules").iter();
    let pairs = rules.flat_map(|rule| rule["UserIdGroupPairs"].as_array().expect("a list"));
    pairs.map(|pair| id(&pair["GroupId"])).collect()
}

#[test]
fn the_functions_use_the_security_groups_of_the_operator() {
    for network in [own_network, default_network] {
        let aws = TestAws::seeded();
        aws.post("config", &json!({"eni_linger": 0.2}));
        let Network { text, vpc } = network(&aws);
        let (web, cache) = (create(&aws, &vpc, "web"), create(&aws, &vpc, "cache"));
        close(&aws, &web, &[443]);
        close(&aws, &cache, &[6379]);
        let before = aws.account();
        let workplace = Workplace::new(&aws);
        add(&workplace, &text);
        workplace.edit("authorizer: {", &line(&[&web, &cache]));
        workplace.succeed(&["up", "--yes"]);
        assert_eq!(of_stack(&aws), ["threescale-gw-orders-cache"]);
        let mut used = vec![web.clone(), cache.clone()];
        let mut found = admitted(&aws);
        used.sort();
        found.sort();
        assert_eq!(found, used);
        assert_served(&aws, "in the groups of the operator");
        aws.check_log();
        let again = workplace.succeed(&["up", "--yes"]);
        assert!(again.stderr.contains("No changes"), "{}", again.stderr);
        workplace.succeed(&["status", "--exit-code"]);
        workplace.succeed(&["down", "--yes", "--stack", "orders"]);
        assert_same(&before, &aws.account());
    }
}

#[test]
fn groups_that_cannot_work_are_refused_before_anything_changes() {
    let aws = TestAws::seeded();
    let Network { text, vpc } = own_network(&aws);
    let other = own_network_in(&aws, "10.8").vpc;
    let (own, elsewhere) = (create(&aws, &vpc, "own"), create(&aws, &other, "own"));
    let (shut, no_cache) = (create(&aws, &vpc, "shut"), create(&aws, &vpc, "no-cache"));
    close(&aws, &shut, &[]);
    close(&aws, &no_cache, &[443]);
    let workplace = Workplace::new(&aws);
    add(&workplace, &text);
    let placeholder = line(&["sg-00000000"]);
    workplace.edit("authorizer: {", &placeholder);
    for (groups, exit, told) in [
        (
            &["sg-00000000"][..],
            4,
            &["there is no security group sg-00000000"][..],
        ),
        (
            &[&*elsewhere, &own],
            4,
            &[&*format!("{elsewhere} is in {other}, not in {vpc}")],
        ),
        (
            &[&*shut],
            4,
            &[
                "outbound traffic to TCP port 443",
                "outbound traffic to TCP port 6379",
            ],
        ),
        (&[&*no_cache], 4, &["outbound traffic to TCP port 6379"]),
        (
            &["own"],
            2,
            &["authorizer.security_groups[0]: must be a security group's id"],
        ),
    ] {
        workplace.edit(&placeholder, &line(groups));
        let up = workplace.run(&["up", "--yes"]);
        assert_eq!(up.code, Some(exit), "{}", up.stderr);
        for told in told {
            let lines = up.stderr.lines().filter(|line| line.contains(told));
            assert_eq!(lines.count(), 1, "{told}: {}", up.stderr);
        }
        workplace.edit(&line(groups), &placeholder);
    }
    // Without a VPC, or before it exists.
    for (network, exit, told) in [
        (
            "network: none\ncache: memory",
            2,
            "authorizer.security_groups: is for functions in a VPC",
        ),
        ("# created", 4, "this run creates the VPC of the stack"),
    ] {
        workplace.edit(&text, network);
        let up = workplace.run(&["up", "--yes"]);
        assert_eq!(up.code, Some(exit), "{}", up.stderr);
        assert!(up.stderr.contains(told), "{}", up.stderr);
        workplace.edit(network, &text);
    }
    assert!(aws.changes().is_empty());

    // A rule for a part of the network only.
    let near = json!([{"IpProtocol": "tcp", "FromPort": 6379, "ToPort": 6379, "IpRanges": [{"CidrIp": "10.9.0.0/24"}]}]);
    let near = json!({"GroupId": no_cache, "IpPermissions": near});
    aws.call("ec2", "AuthorizeSecurityGroupEgress", near);
    workplace.edit(&placeholder, &line(&[&no_cache]));
    let plan = workplace.succeed(&["plan"]);
    assert!(
        plan.stdout.contains("TCP port 6379 only to 10.9.0.0/24"),
        "{}",
        plan.stdout
    );
    workplace.succeed(&["up", "--yes"]);
    // A group of the stack would be deleted under the functions.
    let account = aws.account();
    let mut groups = account["security_groups"]
        .as_array()
        .expect("a list")
        .iter();
    let ours = groups.find(|group| group["name"] == "threescale-gw-orders-cache");
    let ours = id(&ours.expect("the group")["id"]);
    workplace.edit(&line(&[&no_cache]), &line(&[&ours]));
    let plan = workplace.run(&["plan"]);
    assert_eq!(plan.code, Some(4), "{}", plan.stderr);
    assert!(
        plan.stderr.contains("belongs to the stack"),
        "{}",
        plan.stderr
    );
}

/// Changes the groups of a live stack. After every changing call, the live versions reach their cache; a run that is killed
/// there is completed by the next one.
fn changes(aws: &TestAws, network: &str, before: &Value, from: &str, to: &str) {
    let here = Workplace::new(aws);
    add(&here, network);
    here.edit("authorizer: {", to);
    assert_served(aws, "before");
    let states = killed_after_each(aws, &here, &["up", "--yes"], "*");
    assert_served(aws, "after");
    let plan = here.run(&["plan", "--exit-code"]);
    assert_eq!(plan.code, Some(0), "{}", plan.stdout);
    assert_eq!(admitted(aws).len(), 1);
    let whole = counts(&aws.account());
    each(states, |nth, Killed { after, aws }| {
        let when = format!("{from} -> {to}, killed after {nth}, {after}");
        assert_served(&aws, &when);
        let here = Workplace::new(&aws);
        add(&here, network);
        match nth % 4 {
            0 => {
                here.succeed(&["down", "--yes", "--stack", "orders"]);
                assert_same(before, &aws.account());
                return;
            }
            // Back to the former groups.
            1 => here.edit("authorizer: {", from),
            _ => here.edit("authorizer: {", to),
        }
        here.succeed(&["up", "--yes"]);
        assert_served(&aws, &when);
        let plan = here.run(&["plan", "--exit-code"]);
        assert_eq!(plan.code, Some(0), "{when}: {}", plan.stdout);
        assert_eq!(admitted(&aws).len(), 1, "{when}");
        if nth % 4 > 1 {
            assert_eq!(counts(&aws.account()), whole, "{when}");
        }
    });
}

#[test]
fn a_change_of_the_groups_never_keeps_the_functions_from_their_cache() {
    let aws = TestAws::seeded();
    aws.post("config", &json!({"eni_linger": 0.05}));
    let Network { text, vpc } = own_network(&aws);
    let (one, other) = (create(&aws, &vpc, "one"), create(&aws, &vpc, "other"));
    let before = aws.account();
    let here = Workplace::new(&aws);
    add(&here, &text);
    here.succeed(&["up", "--yes"]);
    let (none, one, other) = ("authorizer: {".to_owned(), line(&[&one]), line(&[&other]));
    for (from, to) in [(&none, &one), (&one, &other), (&other, &none)] {
        changes(&aws, &text, &before, from, to);
    }
}

/// The groups can be in the VPC of the stack, once it exists.
#[test]
fn groups_in_the_vpc_of_the_stack_are_used() {
    let aws = TestAws::seeded();
    aws.post("config", &json!({"eni_linger": 0.05}));
    let before = aws.account();
    let here = Workplace::new(&aws);
    here.succeed(&["up", "--yes"]);
    let account = aws.account();
    let mut vpcs = account["vpcs"].as_array().expect("a list").iter();
    let vpc = vpcs.find(|vpc| vpc["tags"]["threescale-gw:stack"] == "orders");
    let own = create(&aws, &id(&vpc.expect("the VPC")["id"]), "own");
    here.edit("authorizer: {", &line(&[&own]));
    // The functions alone would not reach the cache.
    aws.check_log();
    let only = here.run(&["up", "--yes", "--only", "authorizer"]);
    assert_eq!(only.code, Some(4), "{}", only.stderr);
    let told = "the functions get other security groups, which the cache does not admit yet";
    assert!(only.stderr.contains(told), "{}", only.stderr);
    assert!(aws.changes().is_empty());
    here.succeed(&["up", "--yes"]);
    assert_served(&aws, "in a group of the operator");
    assert_eq!(admitted(&aws), [&*own]);
    assert_eq!(here.run(&["plan", "--exit-code"]).code, Some(0));
    let refused = here.run(&["down", "--yes"]);
    assert_eq!(refused.code, Some(4), "{}", refused.stderr);
    assert!(refused.stderr.contains(&own), "{}", refused.stderr);
    here.edit(&line(&[&own]), "authorizer: {");
    here.succeed(&["up", "--yes"]);
    // Lambda deletes its interfaces in the group later.
    let of_group = json!({"Filters": [{"Name": "group-id", "Values": [own]}]});
    let left = aws.call("ec2", "DescribeNetworkInterfaces", of_group);
    for interface in left["NetworkInterfaces"].as_array().expect("a list") {
        let interface = json!({"NetworkInterfaceId": interface["NetworkInterfaceId"]});
        aws.call("ec2", "DeleteNetworkInterface", interface);
    }
    aws.call("ec2", "DeleteSecurityGroup", json!({"GroupId": own}));
    here.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());
}

/// Lambda gives functions with the same subnets and groups the same interfaces.
#[test]
fn interfaces_that_other_functions_share_are_left_to_them() {
    let aws = TestAws::seeded();
    aws.post("config", &json!({"eni_linger": 0.05}));
    let Network { text, vpc } = own_network(&aws);
    let own = create(&aws, &vpc, "own");
    let here = Workplace::new(&aws);
    add(&here, &text);
    here.edit("authorizer: {", &line(&[&own]));
    here.succeed(&["up", "--yes"]);
    let trust = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]});
    let role = json!({"RoleName": "theirs", "AssumeRolePolicyDocument": trust.to_string()});
    let role = id(&aws.call("iam", "CreateRole", role)["Role"]["Arn"]);
    let may = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "ec2:CreateNetworkInterface", "Resource": "*"}]});
    let may = json!({"RoleName": "theirs", "PolicyName": "own", "PolicyDocument": may.to_string()});
    aws.call("iam", "PutRolePolicy", may);
    let ours = json!({"FunctionName": "threescale-gw-orders-authorizer"});
    let ours = aws.call("lambda", "GetFunctionConfiguration", ours);
    let network = json!({"SubnetIds": ours["VpcConfig"]["SubnetIds"], "SecurityGroupIds": [own]});
    let theirs = json!({"FunctionName": "theirs", "Role": role, "Runtime": "provided.al2023", "Handler": "bootstrap",
        "Code": {"ZipFile": {"$base64": EMPTY}}, "VpcConfig": network});
    aws.call("lambda", "CreateFunction", theirs);
    let interfaces = || aws.account()["network_interfaces"].as_array().map(Vec::len);
    let shared = interfaces();
    here.succeed(&["down", "--yes"]);
    assert_eq!(of_stack(&aws), [""; 0]);
    assert!(interfaces() < shared, "those of the cache are gone");
    let left = aws.account()["network_interfaces"].to_string();
    assert!(left.contains("threescale-gw-orders-"), "{left}");
}

#[test]
fn the_endpoint_and_a_serverless_cache_follow_the_groups_in_one_run() {
    let aws = TestAws::seeded();
    aws.post("config", &json!({"eni_linger": 0.05}));
    let Network { text, vpc } = own_network(&aws);
    let names = json!({"VpcId": vpc, "EnableDnsHostnames": {"Value": true}});
    aws.call("ec2", "ModifyVpcAttribute", names);
    let own = create(&aws, &vpc, "web");
    let before = aws.account();
    let workplace = Workplace::new(&aws);
    let text = text.replace("network: {", "network: {endpoints: true, ");
    add(&workplace, &format!("{text}\ncache: {{kind: serverless}}"));
    let own = line(&[&own]);
    for (from, to) in [("authorizer: {", own.as_str()), (&own, "authorizer: {")] {
        workplace.succeed(&["up", "--yes"]);
        workplace.edit(from, to);
        workplace.succeed(&["up", "--yes"]);
        let plan = workplace.run(&["plan", "--exit-code"]);
        assert_eq!(plan.code, Some(0), "{from} -> {to}: {}", plan.stdout);
        assert_served(&aws, to);
    }
    workplace.succeed(&["down", "--yes", "--stack", "orders"]);
    assert_same(&before, &aws.account());
}
