//! `import`: a network that was made by hand becomes the stack's.

use crate::cli::pretty;
use crate::support::handmade::{Handmade, Tutorial, handmade, id, owned, strings};
use crate::support::kill::{Killed, each, killed_after_each};
use crate::support::rest_api::{account, assert_mentions};
use crate::support::{Run, TestAws, Workplace, assert_same, eventually};
use insta::assert_snapshot;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

#[test]
fn a_network_like_the_stacks_own_is_adopted_as_it_is() {
    let (aws, made, before) = handmade();
    let workplace = Workplace::new(&aws);
    aws.post("log/clear", &json!({}));
    let refused = workplace.run(&["import"]);
    assert_eq!(refused.code, Some(4), "{}", refused.stderr);
    assert!(refused.stderr.contains("pass --yes"), "{}", refused.stderr);
    assert_eq!(aws.log(), Vec::<Value>::new());

    let run = workplace.succeed(&["import", "--yes", "-o", "json"]);
    let document = run.json();
    assert_eq!(document["outcome"], "imported", "{document}");
    assert_eq!(document["created_by_up"], json!([]));
    assert_eq!(document["left"], json!([]), "{document}");
    assert_eq!(owned(&aws), strings(made.expected()));
    let account = aws.account();
    let vpcs = account["vpcs"].as_array().expect("a list");
    let vpc = vpcs
        .iter()
        .find(|vpc| vpc["id"] == made.vpc.as_str())
        .expect("it");
    assert_eq!(vpc["tags"]["threescale-gw:imported"], "3scale tutorial");
    assert_eq!(vpc["tags"]["Name"], "threescale-gw-orders-vpc-main");
    assert_eq!(vpc["tags"]["team"], "payments");

    let again = workplace.succeed(&["import", "--yes"]);
    assert!(
        again.stdout.contains("nothing to import"),
        "{}",
        again.stdout
    );
    let plan = workplace.succeed(&["plan", "-o", "json"]).json();
    for resource in plan["resources"].as_array().expect("a list") {
        let is_ours = made.expected().iter().any(|(id, _)| resource["id"] == *id);
        let action = match resource["id"].as_str() {
            // EC2 creates a VPC without host names.
            Some("vpc/main") => "update",
            _ if is_ours => "none",
            _ => "create",
        };
        assert_eq!(resource["action"], action, "{resource}");
    }
    workplace.succeed(&["up", "--yes"]);
    assert_eq!(owned(&aws), strings(made.expected()));
    assert_eq!(workplace.run(&["plan", "--exit-code"]).code, Some(0));
    workplace.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());
}

/// The VPC wizard of the console makes small subnets, and one private table for each zone.
#[test]
fn a_network_with_other_ranges_keeps_them() {
    let aws = TestAws::seeded();
    let before = aws.account();
    let ranges = [
        "10.0.0.0/20",
        "10.0.16.0/20",
        "10.0.128.0/20",
        "10.0.144.0/20",
    ];
    let made = Handmade::make(&aws, "10.0.0.0/16", ranges);
    let call = |operation: &str, parameters: Value| aws.call("ec2", operation, parameters);
    let second = call("CreateRouteTable", json!({"VpcId": made.vpc}));
    let second = id(&second["RouteTable"]["RouteTableId"]);
    let route = json!({
        "RouteTableId": second, "DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": made.nat,
    });
    call("CreateRoute", route);
    let by_subnet =
        json!({"Filters": [{"Name": "association.subnet-id", "Values": [made.private[1]]}]});
    let tables = call("DescribeRouteTables", by_subnet);
    let associations = tables["RouteTables"][0]["Associations"]
        .as_array()
        .expect("a list")
        .clone();
    let of_subnet = associations
        .iter()
        .find(|one| one["SubnetId"] == made.private[1].as_str());
    let association = &of_subnet.expect("an association")["RouteTableAssociationId"];
    let moved = json!({"AssociationId": association, "RouteTableId": second});
    call("ReplaceRouteTableAssociation", moved);

    let workplace = Workplace::new(&aws);
    let seen = aws.account();
    let refused = workplace.run(&["import", "--yes"]);
    assert_eq!(refused.code, Some(4), "{}", refused.stderr);
    let hint = "it fits with `network.cidr: 10.0.0.0/16`";
    assert!(refused.stderr.contains(hint), "{}", refused.stderr);
    assert_same(&seen, &aws.account());

    workplace.edit(
        "tags: {team: payments}",
        "tags: {team: payments}\nnetwork: {cidr: 10.0.0.0/16}",
    );
    workplace.succeed(&["import", "--yes"]);
    let mut expected = made.expected();
    expected.push(("route-table/private-b", second));
    let mut expected = strings(expected);
    expected.sort();
    assert_eq!(owned(&aws), expected);
    workplace.succeed(&["up", "--yes"]);
    // One NAT gateway needs one table.
    assert_eq!(owned(&aws), strings(made.expected()));
    assert_eq!(workplace.run(&["plan", "--exit-code"]).code, Some(0));
    // `up` repairs what was imported.
    let whole = aws.account();
    let route = json!({"RouteTableId": made.tables[1], "DestinationCidrBlock": "0.0.0.0/0"});
    call("DeleteRoute", route);
    let name = json!({"Resources": [made.public[1]], "Tags": [{"Key": "Name"}]});
    call("DeleteTags", name);
    assert_eq!(workplace.run(&["plan", "--exit-code"]).code, Some(3));
    workplace.succeed(&["up", "--yes"]);
    assert_same(&whole, &aws.account());
    workplace.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());
}

/// Until the last call, nothing is the stack's; after it, everything is.
#[test]
fn an_import_that_is_killed_is_finished_by_the_next_one() {
    let (aws, made, before) = handmade();
    let workplace = Workplace::new(&aws);
    let states = killed_after_each(&aws, &workplace, &["import", "--yes"], "*");
    let tags = states
        .iter()
        .filter(|state| state.after == "CreateTags")
        .count();
    assert_eq!(tags, made.expected().len() + 1);
    let last = states.len();
    each(states, |number, Killed { after, aws }| {
        let workplace = Workplace::new(&aws);
        let found = owned(&aws);
        let whole = strings(made.expected());
        assert!(
            found.is_empty() || found == whole,
            "{after} {number}: {found:?}"
        );
        if found.is_empty() {
            let network = |account: &Value| {
                [
                    "vpcs",
                    "subnets",
                    "nat_gateways",
                    "addresses",
                    "route_tables",
                ]
                .map(|list| account[list].clone())
            };
            let seen = aws.account();
            workplace.succeed(&["down", "--yes"]);
            assert_eq!(network(&seen), network(&aws.account()), "{after}");
            if number == 5 {
                up_without_it(&aws.fork());
                a_part_of_it(&aws.fork(), &made);
            }
        }
        workplace.succeed(&["import", "--yes"]);
        assert_eq!(owned(&aws), whole, "{after}");
        let account = aws.account();
        let vpcs = account["vpcs"].as_array().expect("a list");
        let vpc = vpcs
            .iter()
            .find(|vpc| vpc["id"] == made.vpc.as_str())
            .expect("it");
        assert_eq!(
            vpc["tags"]["threescale-gw:imported"], "3scale tutorial",
            "{after}"
        );
        if number == 3 || number == last {
            workplace.succeed(&["up", "--yes"]);
        }
        workplace.succeed(&["down", "--yes"]);
        assert_same(&before, &aws.account());
    });
}

/// A signal stops it between two calls, and other runs of the stack are excluded meanwhile.
#[test]
fn an_import_excludes_other_runs_and_stops_at_a_signal() {
    let (aws, made, before) = handmade();
    let workplace = Workplace::new(&aws);
    let rule = json!([{"kind": "hold", "service": "ec2", "operation": "CreateTags", "nth": 3}]);
    aws.post("faults", &rule);
    let child = workplace.start(&["import", "--yes"]);
    assert_ne!(aws.get("held?timeout=60")["held"], Value::Null);
    let up = workplace.run(&["up", "--yes"]);
    assert_eq!(up.code, Some(4), "{}", up.stderr);
    assert_mentions(&up, &["stack orders is locked by"]);
    let process = i32::try_from(child.id()).expect("a process id");
    let process = Pid::from_raw(process).expect("a process");
    kill_process(process, Signal::INT).expect("a signal");
    aws.post("faults", &json!([]));
    aws.post("release", &json!({}));
    let run = Run::of(child.wait_with_output().expect("its end"));
    assert_eq!(run.code, Some(130), "{}", run.stderr);
    assert_mentions(&run, &["run the same command again"]);
    assert_eq!(owned(&aws), []);
    assert_eq!(aws.account()["parameters"], before["parameters"]);
    workplace.succeed(&["import", "--yes"]);
    assert_eq!(owned(&aws), strings(made.expected()));
}

/// If EC2 tagged only a part of the resources, `down` would delete nothing, and another import would tag the rest.
fn a_part_of_it(aws: &TestAws, made: &Handmade) {
    let workplace = Workplace::new(aws);
    let tag = |key: &str, value: &str| {
        let tag = json!({"Resources": [made.vpc], "Tags": [{"Key": key, "Value": value}]});
        aws.call("ec2", "CreateTags", tag);
    };
    tag("threescale-gw:resource", "vpc/main");
    tag("threescale-gw:stack", "orders");
    let seen = aws.account();
    let refused = workplace.run(&["down", "--yes"]);
    assert_eq!(refused.code, Some(4), "{}", refused.stderr);
    assert_same(&seen, &aws.account());
    workplace.succeed(&["import", "--yes"]);
    assert_eq!(owned(aws), strings(made.expected()));
}

/// Without another import, `up` creates a network of its own, and `down` deletes only that.
fn up_without_it(aws: &TestAws) {
    let workplace = Workplace::new(aws);
    let seen = aws.account();
    workplace.succeed(&["up", "--yes"]);
    let whole = aws.account();
    let import = workplace.run(&["import", "--yes"]);
    assert!(
        import.stdout.contains("nothing to import"),
        "{}{}",
        import.stdout,
        import.stderr
    );
    let vpcs = seen["vpcs"].as_array().expect("a list").iter();
    let theirs = vpcs.filter(|vpc| vpc["tags"]["threescale-gw:imported"] == "3scale tutorial");
    for vpc in theirs {
        let refused = workplace.run(&[
            "import",
            "--yes",
            "--vpc",
            vpc["id"].as_str().expect("an id"),
        ]);
        assert_eq!(refused.code, Some(4), "{}", refused.stderr);
        let text = "the stack already has vpc/main";
        assert!(refused.stderr.contains(text), "{}", refused.stderr);
    }
    assert_same(&whole, &aws.account());
    workplace.succeed(&["down", "--yes"]);
    assert_same(&seen, &aws.account());
}

/// The lines of the configuration for the VPC of the tutorial.
fn with_cidr(workplace: &Workplace) {
    workplace.edit(
        "tags: {team: payments}",
        "tags: {team: payments}\nnetwork: {cidr: 10.0.0.0/16}",
    );
}

#[test]
fn the_network_of_the_tutorial_is_adopted_and_the_rest_is_named_and_left() {
    let (aws, _) = account();
    let before = aws.account();
    let made = Tutorial::make(&aws);
    let workplace = Workplace::new(&aws);
    with_cidr(&workplace);
    let seen = aws.account();
    // Without the permission to list them, functions are noted, and found by their interfaces at `down`.
    let denied = json!([{"service": "lambda", "operation": "ListFunctions", "kind": "deny"}]);
    aws.post("faults", &denied);
    let tags = json!([{"service": "ec2", "operation": "CreateTags", "kind": "deny"}, denied[0]]);
    aws.post("faults", &tags);
    let failed = workplace.run(&["import", "--yes"]);
    assert_eq!(failed.code, Some(5), "{}", failed.stderr);
    assert_mentions(
        &failed,
        &[
            "which functions are in the VPC is not known",
            "ec2:CreateTags",
            "run the same command again",
        ],
    );
    aws.post("faults", &json!([]));
    assert_same(&seen, &aws.account());

    let run = workplace.succeed(&["import", "--yes"]);
    assert_mentions(
        &run,
        &[
            "security group sg-",
            "its name is redis, which cannot be changed",
            "function tutorial: the name of a function cannot be changed",
            "`authorizer.role_arn: arn:aws:iam::123456789012:role/tutorial` uses its role",
            "cache cluster tutorial: the id of a cache cannot be changed",
            "`cache.url: redis://tutorial.tstaws.0001.use1.cache.amazonaws.com:6379` uses it instead",
            "cache subnet group tutorial",
            &format!(
                "route table {}: it is the main route table",
                made.main_table
            ),
            "own (REQUEST) is an authorizer of the API",
            "names them exactly: [\"GET /me\"]",
            "created by `up`: subnet/private-b, subnet/public-b, route-table/public",
            "`threescale-gw plan` shows",
        ],
    );
    let ids = [
        "elastic-ip/a",
        "internet-gateway/main",
        "nat-gateway/a",
        "route-table/private",
        "subnet/private-a",
        "subnet/public-a",
        "vpc/main",
    ];
    let adopted = owned(&aws);
    assert_eq!(
        adopted
            .iter()
            .map(|(id, _)| id.as_str())
            .collect::<Vec<_>>(),
        ids
    );
    let after = aws.account();
    for list in [
        "functions",
        "cache_clusters",
        "cache_subnet_groups",
        "security_groups",
        "rest_apis",
        "roles",
    ] {
        assert_eq!(seen[list], after[list], "{list}");
    }
    workplace.succeed(&["up", "--yes"]);
    assert_eq!(workplace.run(&["plan", "--exit-code"]).code, Some(0));
    for one in &adopted {
        assert!(owned(&aws).contains(one), "{one:?} is replaced");
    }
    let after = aws.account();
    for list in ["cache_clusters", "roles"] {
        let theirs = |account: &Value| {
            let all = account[list].as_array().cloned().expect("a list");
            let is_ours = |one: &Value| one["tags"]["threescale-gw:stack"] == "orders";
            all.into_iter()
                .filter(|one| !is_ours(one))
                .collect::<Vec<_>>()
        };
        assert_eq!(theirs(&seen), theirs(&after), "{list}");
    }
    let refused = workplace.run(&["down", "--yes"]);
    assert_eq!(refused.code, Some(4), "{}", refused.stderr);
    assert_mentions(
        &refused,
        &[
            "others use the network of stack orders",
            "AWS Lambda VPC ENI-tutorial",
            "(redis)",
        ],
    );
    assert_same(&after, &aws.account());
    made.remove_left(&aws);
    workplace.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());
}

#[test]
fn the_document_of_an_import() {
    let (aws, _) = account();
    Tutorial::make(&aws);
    let workplace = Workplace::new(&aws);
    let refused = workplace.run(&["import", "--yes", "-o", "json"]);
    assert_eq!(refused.code, Some(4));
    let [document, error] = &refused.lines()[..] else {
        panic!("{}", refused.stdout)
    };
    assert_eq!(
        error["hints"][0],
        "it fits with `network.cidr: 10.0.0.0/16`"
    );
    assert_eq!(document["settings"], json!({"network.cidr": "10.0.0.0/16"}));
    assert_eq!(document["outcome"], "refused");
    assert_eq!(document["blockers"], error["findings"]);
    assert_eq!(document["blockers"][0]["code"], "cannot-import");
    with_cidr(&workplace);
    let run = workplace.succeed(&["import", "--yes", "-o", "json"]);
    assert_snapshot!("document", pretty(&aws, &run));
    let again = workplace.succeed(&["import", "--yes", "-o", "json"]).json();
    assert_eq!(again["outcome"], "unchanged");
}

/// The address stays with its owner if the configuration names it.
#[test]
fn the_address_of_another_owner_is_named_in_the_configuration() {
    let (aws, made, _) = handmade();
    let tag = json!({"Resources": [made.address], "Tags": [{"Key": "terraform", "Value": "true"}]});
    aws.call("ec2", "CreateTags", tag);
    let before = aws.account();
    let workplace = Workplace::new(&aws);
    let line = format!("network: {{elastic_ips: [{}]}}", made.address);
    workplace.edit(
        "tags: {team: payments}",
        &format!("tags: {{team: payments}}\n{line}"),
    );
    let run = workplace.succeed(&["import", "--yes"]);
    assert_mentions(&run, &["`network.elastic_ips` names it: it stays yours"]);
    let mut expected = made.expected();
    expected.retain(|(id, _)| *id != "elastic-ip/a");
    assert_eq!(owned(&aws), strings(expected));
    assert_eq!(aws.account()["addresses"], before["addresses"]);
    let plan = workplace.succeed(&["plan"]);
    assert_mentions(&plan, &["Plan: 20 to create, 1 to update, 8 unchanged."]);
    workplace.edit(&line, "");
    workplace.succeed(&["down", "--yes"]);
    let account = aws.account();
    let addresses = account["addresses"].as_array().expect("a list");
    let mut theirs = addresses.iter();
    let theirs = theirs.find(|address| address["id"] == made.address.as_str());
    let theirs = theirs.expect("it is not released");
    assert_eq!(theirs["tags"], json!({"terraform": "true"}));
}

/// A stack that has run elsewhere, or has used the VPC as the operator's own, moves into the network that it imports.
#[test]
fn a_stack_moves_into_what_it_imports() {
    let (aws, made, before) = handmade();
    let inside = format!(
        "network: {{vpc: {}, subnets: [{}]}}",
        made.vpc,
        made.private.join(", ")
    );
    for line in ["network: none\ncache: memory", &inside] {
        let aws = aws.fork();
        let workplace = Workplace::new(&aws);
        let tags = "tags: {team: payments}\n";
        workplace.edit(tags, &format!("{tags}{line}\n"));
        workplace.succeed(&["up", "--yes"]);
        workplace.edit(&format!("{line}\n"), "");
        workplace.succeed(&["import", "--yes", "--vpc", &made.vpc]);
        assert_eq!(owned(&aws), strings(made.expected()));
        workplace.succeed(&["up", "--yes"]);
        assert_eq!(owned(&aws), strings(made.expected()));
        let plan = workplace.run(&["plan", "--exit-code"]);
        assert_eq!(plan.code, Some(0), "{line}: {}", plan.stdout);
        workplace.succeed(&["down", "--yes"]);
        assert_same(&before, &aws.account());
    }
}

/// A tag takes a moment to become visible: the run ends when `up` would see all of them.
#[test]
fn an_import_waits_until_its_tags_are_shown() {
    let (aws, made, _) = handmade();
    let workplace = Workplace::new(&aws);
    let last = made.expected().len() + 1;
    let rule = json!({"kind": "hold", "service": "ec2", "operation": "CreateTags", "nth": last});
    aws.post("faults", &json!([rule]));
    let child = workplace.start(&["import", "--yes"]);
    assert_ne!(aws.get("held?timeout=60")["held"], Value::Null);
    aws.post("log/clear", &json!({}));
    aws.post("config", &json!({"omit": {"DescribeVpcs": ["Tags"]}}));
    aws.post("faults", &json!([]));
    aws.post("release", &json!({}));
    eventually("a second look", || {
        let log = aws.log();
        let looks = log
            .iter()
            .filter(|entry| entry["operation"] == "DescribeVpcs");
        (looks.count() > 1).then_some(())
    });
    aws.post("config", &json!({"omit": {"DescribeVpcs": []}}));
    let run = Run::of(child.wait_with_output().expect("its end"));
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(owned(&aws), strings(made.expected()));
}
