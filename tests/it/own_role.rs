//! A role of the operator for the functions: used, never changed, never deleted.

use serde_json::{Value, json};

use crate::support::kill::{Killed, each, killed_after_each};
use crate::support::{TestAws, Workplace, assert_same, standing};

fn id(value: &Value) -> String {
    value.as_str().expect("an id").to_owned()
}

/// Creates a role that a service can assume, with the permissions that the functions need, and returns its ARN.
pub(crate) fn create(aws: &TestAws, name: &str, service: &str) -> String {
    let arn = create_bare(aws, name, service);
    let actions = [
        "ec2:CreateNetworkInterface",
        "ec2:DeleteNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "ssm:GetParameters",
    ];
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}],
    });
    let policy =
        json!({"RoleName": name, "PolicyName": "own", "PolicyDocument": policy.to_string()});
    aws.call("iam", "PutRolePolicy", policy);
    arn
}

/// The same without permissions.
fn create_bare(aws: &TestAws, name: &str, service: &str) -> String {
    let trust = json!({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}],
    });
    let role = json!({"RoleName": name, "AssumeRolePolicyDocument": trust.to_string()});
    id(&aws.call("iam", "CreateRole", role)["Role"]["Arn"])
}

/// The same as [`create`], with one more statement of the trust policy: beside the one that allows it (`Deny`), or in
/// its place.
fn with_trust(aws: &TestAws, name: &str, effect: &str, condition: &Value) -> String {
    let arn = create(aws, name, "lambda.amazonaws.com");
    let service = json!({"Service": "lambda.amazonaws.com"});
    let allow = json!({"Effect": "Allow", "Principal": service, "Action": "sts:AssumeRole"});
    let one = json!({"Effect": effect, "Principal": service, "Action": "sts:AssumeRole", "Condition": condition});
    let statements = match effect {
        "Deny" => json!([allow, one]),
        _ => json!([one]),
    };
    let trust = json!({"Version": "2012-10-17", "Statement": statements});
    let trust = json!({"RoleName": name, "PolicyDocument": trust.to_string()});
    aws.call("iam", "UpdateAssumeRolePolicy", trust);
    arn
}

/// The beginning of the settings of the authorizer.
fn line(arn: &str) -> String {
    format!("authorizer: {{role_arn: \"{arn}\", ")
}

/// Whether the stack has a role, and the operator has one.
fn roles(aws: &TestAws) -> (bool, bool) {
    let account = aws.account();
    let roles = account["roles"].as_array().expect("a list");
    let exists = |name: &str| roles.iter().any(|role| role["name"] == name);
    (exists("threescale-gw-orders-us-east-1"), exists("own"))
}

/// The role of each function.
fn roles_of_functions(aws: &TestAws) -> Vec<String> {
    let functions = aws.call("lambda", "ListFunctions", json!({}));
    let functions = functions["Functions"].as_array().expect("a list").iter();
    let ours = functions.filter(|function| id(&function["FunctionName"]).contains("-orders-"));
    ours.map(|function| id(&function["Role"])).collect()
}

#[test]
fn the_functions_use_the_role_of_the_operator() {
    let aws = TestAws::seeded();
    let own = create(&aws, "own", "lambda.amazonaws.com");
    let wrong = create(&aws, "wrong", "ec2.amazonaws.com");
    let bare = create_bare(&aws, "bare", "lambda.amazonaws.com");
    let (denied, elsewhere_only) = (
        with_trust(&aws, "denied", "Deny", &json!({})),
        with_trust(
            &aws,
            "elsewhere-only",
            "Allow",
            &json!({"StringEquals": {"aws:SourceAccount": "999999999999"}}),
        ),
    );
    let before = aws.account();
    let workplace = Workplace::new(&aws);
    let missing = own.replace("/own", "/missing");
    let elsewhere = own.replace("123456789012", "999999999999");
    workplace.edit("authorizer: {", &line(&missing));
    for (bad, exit, words) in [
        (&*missing, 4, "there is no role"),
        (
            &wrong,
            4,
            "does not let lambda.amazonaws.com assume the role",
        ),
        (&bare, 4, "do not allow ssm:GetParameters on arn:aws:ssm:"),
        (&denied, 4, "denies lambda.amazonaws.com to assume the role"),
        (
            &elsewhere_only,
            4,
            "the conditions of the trust policy of arn:aws:iam::123456789012:role/elsewhere-only (aws:SourceAccount) do not let",
        ),
        (&elsewhere, 4, "is not a role of account 123456789012"),
        ("no-arn", 2, "must be the ARN of an IAM role"),
    ] {
        workplace.edit(&missing, bad);
        let up = workplace.run(&["up", "--yes"]);
        assert_eq!(up.code, Some(exit), "{}", up.stderr);
        assert!(up.stderr.contains(words), "{}", up.stderr);
        workplace.edit(bad, &missing);
    }
    assert_same(&before, &aws.account());

    // Without the permission to simulate, the permissions of the role are not checked.
    let denied =
        json!([{"service": "iam", "operation": "SimulatePrincipalPolicy", "kind": "deny"}]);
    aws.post("faults", &denied);
    workplace.edit(&missing, &bare);
    let plan = workplace.succeed(&["plan"]);
    let note = "a part of authorizer.role_arn could not be read and is not checked";
    assert!(plan.stdout.contains(note), "{}", plan.stdout);
    workplace.edit(&bare, &missing);
    aws.post("faults", &json!([]));

    // Conditions on what the call of Lambda contains are checked, and others are named.
    let condition = json!({
        "StringEquals": {"aws:SourceAccount": "123456789012"},
        "Bool": {"aws:PrincipalIsAWSService": "true"},
    });
    let own = with_trust(&aws, "conditional", "Allow", &condition);
    workplace.edit(&missing, &own);
    let plan = workplace.succeed(&["plan"]);
    let note = "depends on aws:PrincipalIsAWSService, which is not checked";
    assert!(plan.stdout.contains(note), "{}", plan.stdout);
    workplace.edit(&own, &missing);
    let role = json!({"RoleName": "conditional", "PolicyName": "own"});
    aws.call("iam", "DeleteRolePolicy", role);
    aws.call("iam", "DeleteRole", json!({"RoleName": "conditional"}));

    let own = missing.replace("/missing", "/own");
    workplace.edit(&missing, &own);
    workplace.succeed(&["up", "--yes"]);
    assert_eq!(roles(&aws), (false, true));
    assert_eq!(roles_of_functions(&aws), [own.clone(), own.clone()]);
    assert_eq!(workplace.run(&["plan", "--exit-code"]).code, Some(0));
    workplace.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());
}

/// From the role of the stack to that of the operator and back.
#[test]
fn a_change_of_the_role_that_is_killed_is_finished_by_the_next_run() {
    let (aws, workplace) = standing();
    let own = create(&aws, "own", "lambda.amazonaws.com");
    let line = line(&own);
    workplace.edit("authorizer: {", &line);
    let states = killed_after_each(&aws, &workplace, &["up", "--yes"], "*");
    each(states, |_, Killed { after, aws }| {
        let workplace = Workplace::new(&aws);
        workplace.edit("authorizer: {", &line);
        workplace.succeed(&["up", "--yes"]);
        assert_eq!(roles(&aws), (false, true), "{after}");
        let own = [own.clone(), own.clone()];
        assert_eq!(roles_of_functions(&aws), own, "{after}");
        workplace.edit(&line, "authorizer: {");
        workplace.succeed(&["up", "--yes"]);
        assert_eq!(roles(&aws), (true, true), "{after}");
        let changed = roles_of_functions(&aws);
        assert!(changed.iter().all(|role| !own.contains(role)), "{after}");
    });
}
