//! A KMS key of the operator for the secrets and the environments of the functions: used, never changed, never deleted.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::moves::assert_served;
use crate::support::kill::{Killed, each, killed_after_each};
use crate::support::{TestAws, Workplace, assert_same, counts, standing};

const ROLE: &str = "arn:aws:iam::123456789012:role/threescale-gw/threescale-gw-orders-us-east-1";

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// Creates a key and returns its ARN.
fn create(aws: &TestAws, description: &str) -> String {
    let key = aws.call("kms", "CreateKey", json!({"Description": description}));
    text(&key["KeyMetadata"]["Arn"])
}

/// The parameters that name a key in the calls that change it.
fn named(key: &str) -> Value {
    json!({"KeyId": key.rsplit('/').next()})
}

/// The beginning of the settings of the authorizer.
fn line(key: Option<&str>) -> String {
    let setting = key.map(|key| format!("kms_key: \"{key}\", "));
    format!("authorizer: {{{}", setting.unwrap_or_default())
}

/// A folder whose configuration has this key.
fn workplace(aws: &TestAws, key: Option<&str>) -> Workplace {
    let here = Workplace::new(aws);
    here.edit("authorizer: {", &line(key));
    here
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().expect("a list")
}

/// The keys that the stack uses: of its secrets, of its functions and their versions, and in the policy of its role.
fn used(aws: &TestAws) -> [BTreeSet<String>; 3] {
    let account = aws.account();
    let parameters = list(&account, "parameters").iter();
    let secrets = parameters.filter(|parameter| {
        text(&parameter["name"]).starts_with("/threescale-gw/orders/")
            && parameter["type"] == "SecureString"
    });
    let secrets = secrets.map(|secret| text(&secret["key"])).collect();
    let functions = list(&account, "functions")
        .iter()
        .filter(|function| text(&function["FunctionName"]).starts_with("threescale-gw-orders-"));
    let of_functions = functions.flat_map(|function| {
        let versions = list(function, "versions").iter();
        versions.chain([function]).map(|one| {
            let key = one["KMSKeyArn"].as_str();
            key.unwrap_or("(none)").to_owned()
        })
    });
    let of_functions = of_functions.collect();
    let role = list(&account, "roles").iter();
    let role = role.filter(|role| role["arn"] == ROLE);
    let statements = role.flat_map(|role| list(&role["policies"]["threescale-gw"], "Statement"));
    let decrypts = statements.filter(|statement| statement["Action"] == "kms:Decrypt");
    let of_role = decrypts.flat_map(|statement| list(statement, "Resource"));
    let of_role = of_role.map(text).collect();
    [secrets, of_functions, of_role]
}

/// What [`used`] is where the stack uses this key, or those of AWS.
fn only(key: Option<&str>) -> [BTreeSet<String>; 3] {
    let one = |key: &str| BTreeSet::from([key.to_owned()]);
    match key {
        Some(key) => [one(key), one(key), one(key)],
        None => [one("alias/aws/ssm"), one("(none)"), BTreeSet::new()],
    }
}

#[track_caller]
fn assert_unchanged(here: &Workplace, when: &str) {
    let plan = here.run(&["plan", "--exit-code"]);
    assert_eq!(plan.code, Some(0), "{when}: {}{}", plan.stdout, plan.stderr);
}

#[test]
fn secrets_and_environments_have_the_key_of_the_operator() {
    let aws = TestAws::seeded();
    let key = create(&aws, "own");
    let before = aws.account();
    let here = workplace(&aws, Some(&key));
    here.succeed(&["up", "--yes"]);
    assert_eq!(used(&aws), only(Some(&key)));
    assert_served(&aws, "after the first run");
    assert_unchanged(&here, "after the first run");

    // A write without a key would have the default one.
    here.succeed(&["up", "--yes", "--rotate-cache-token"]);
    assert_eq!(used(&aws), only(Some(&key)));
    // A secret that was written again by hand, with another key.
    let secret = json!({"Name": "/threescale-gw/orders/secrets/hash-key", "Value": "00".repeat(32),
        "Type": "SecureString", "Overwrite": true});
    aws.call("ssm", "PutParameter", secret);
    let plan = here.succeed(&["plan"]).stdout;
    let told = format!("key of secrets/hash-key: aws/ssm -> {key}");
    assert!(plan.contains(&told), "{plan}");
    here.succeed(&["up", "--yes"]);
    assert_eq!(used(&aws), only(Some(&key)));
    assert_unchanged(&here, "after a repair");

    // The record of the key was deleted by hand.
    let record = json!({"Name": "/threescale-gw/orders/kms-key"});
    for key in [Some(&*key), None] {
        let aws = aws.fork();
        aws.call("ssm", "DeleteParameter", record.clone());
        let here = workplace(&aws, key);
        here.succeed(&["up", "--yes"]);
        assert_eq!(used(&aws), only(key), "without the record of the key");
        assert_served(&aws, "without the record of the key");
        assert_unchanged(&here, "without the record of the key");
    }

    // `down` needs neither the secrets nor the key.
    for (change, words) in [
        ("DisableKey", "is disabled"),
        ("ScheduleKeyDeletion", "is pending deletion"),
    ] {
        let aws = aws.fork();
        aws.call("kms", change, named(&key));
        let denied = json!([{"service": "ssm", "operation": "DescribeParameters", "kind": "deny"}]);
        aws.post("faults", &denied);
        let here = workplace(&aws, Some(&key));
        let reason = "the secrets of the stack cannot be decrypted";
        for command in [&["plan"][..], &["up", "--yes"], &["verify"]] {
            let run = here.run(command);
            assert_eq!(run.code, Some(4), "{}", run.stderr);
            for part in ["error[kms-key-unusable]", reason, words] {
                assert!(run.stderr.contains(part), "{}", run.stderr);
            }
        }
        let status = here.run(&["status", "--exit-code"]);
        assert_eq!(status.code, Some(3), "{}", status.stderr);
        let drift = format!("drift is not known: {reason}");
        for part in [&*drift, words, "(kms_key)", "enable `authorizer.kms_key`"] {
            assert!(status.stdout.contains(part), "{part}: {}", status.stdout);
        }
        let down = here.succeed(&["down", "--yes"]);
        assert!(!down.stderr.contains("panicked"), "{}", down.stderr);
        if change == "ScheduleKeyDeletion" {
            aws.call("kms", "CancelKeyDeletion", named(&key));
        }
        aws.call("kms", "EnableKey", named(&key));
        assert_same(&before, &aws.account());
    }
    here.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());
}

#[test]
fn a_key_that_cannot_be_used_is_refused_before_anything_is_changed() {
    let aws = TestAws::seeded();
    let (disabled, deleted) = (create(&aws, "disabled"), create(&aws, "deleted"));
    aws.call("kms", "DisableKey", named(&disabled));
    aws.call("kms", "ScheduleKeyDeletion", named(&deleted));
    let signing = json!({"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"});
    let signing = text(&aws.call("kms", "CreateKey", signing)["KeyMetadata"]["Arn"]);
    let own = create(&aws, "own");
    let before = aws.account();
    let elsewhere = own.replace("us-east-1", "eu-west-1");
    let alias = own.replace("key/", "alias/");
    let missing = format!("{}000000000000", &own[..own.len() - 12]);
    for (key, exit, words) in [
        (&*disabled, 4, "is disabled: enable it, or use another key"),
        (
            &deleted,
            4,
            "is pending deletion: cancel the deletion and enable it",
        ),
        (
            &signing,
            4,
            "is a key ECC_NIST_P256 for SIGN_VERIFY: it must be",
        ),
        (&missing, 4, "there is no key arn:aws:kms:us-east-1:"),
        (
            &elsewhere,
            4,
            "is not a key of the Region us-east-1 in the partition aws",
        ),
        (
            &alias,
            2,
            "authorizer.kms_key: must be the ARN of a KMS key",
        ),
        (&alias, 2, "an alias is no key"),
    ] {
        let here = workplace(&aws, Some(key));
        let up = here.run(&["up", "--yes"]);
        assert_eq!(up.code, Some(exit), "{}", up.stderr);
        assert!(up.stderr.contains(words), "{}", up.stderr);
    }
    assert_same(&before, &aws.account());

    let denied = json!([{"service": "kms", "operation": "DescribeKey", "kind": "deny"}]);
    aws.post("faults", &denied);
    let plan = workplace(&aws, Some(&own)).succeed(&["plan"]).stdout;
    let note = "authorizer.kms_key could not be read and is not checked";
    assert!(plan.contains(note), "{plan}");
}

/// Changes the key of the stack of `aws`. Callers are served after every changing call, and a run that is killed there is
/// completed by the next one, reverted, or followed by `down`.
fn changes(before: &Value, aws: &TestAws, from: Option<&str>, to: Option<&str>) {
    let here = workplace(aws, to);
    let plan = here.succeed(&["plan"]).stdout;
    for (secret, is_told) in [("hash-key", true), ("service-token", false)] {
        let told = plan.contains(&format!("key of secrets/{secret}"));
        assert_eq!(told, is_told, "{secret}: {plan}");
    }
    let states = killed_after_each(aws, &here, &["up", "--yes"], "*");
    assert!(states.len() >= 10, "{} changing calls", states.len());
    assert_served(aws, "after");
    assert_eq!(used(aws), only(to));
    assert_unchanged(&here, "after");
    let whole = counts(&aws.account());
    each(states, |nth, Killed { after, aws }| {
        let when = format!("{from:?} -> {to:?}, killed after {nth}, {after}");
        assert_served(&aws, &when);
        let key = match nth % 3 {
            0 => {
                workplace(&aws, to).succeed(&["down", "--yes"]);
                return assert_same(before, &aws.account());
            }
            1 => from,
            _ => to,
        };
        let here = workplace(&aws, key);
        here.succeed(&["up", "--yes"]);
        assert_served(&aws, &when);
        assert_eq!(used(&aws), only(key), "{when}");
        assert_unchanged(&here, &when);
        if key == to {
            assert_eq!(counts(&aws.account()), whole, "{when}");
        }
    });
}

#[test]
fn a_change_of_the_key_never_leaves_callers_without_their_secrets() {
    let aws = TestAws::seeded();
    let (first, second) = (create(&aws, "first"), create(&aws, "second"));
    let before = aws.account();
    workplace(&aws, None).succeed(&["up", "--yes"]);
    changes(&before, &aws, None, Some(&first));
    changes(&before, &aws, Some(&first), Some(&second));
    changes(&before, &aws, Some(&second), None);
    workplace(&aws, None).succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());
}

/// A network that is replaced is deleted first. Whether the stack had a key is known until nothing has it.
#[test]
fn a_key_that_goes_with_the_network_is_left_after_a_kill() {
    const CIDR: [&str; 2] = ["10.42.0.0/16", "10.43.0.0/16"];
    let aws = TestAws::seeded();
    let key = create(&aws, "own");
    let with = |aws: &TestAws, key: Option<&str>, cidr: &str| {
        let here = workplace(aws, key);
        let line = line(key);
        here.edit(&line, &format!("network: {{cidr: {cidr}}}\n{line}"));
        here
    };
    with(&aws, Some(&key), CIDR[0]).succeed(&["up", "--yes"]);
    let here = with(&aws, None, CIDR[1]);
    let mut states = killed_after_each(&aws, &here, &["up", "--yes"], "*");
    assert_eq!(used(&aws), only(None));
    let mut nth = 0;
    states.retain(|_| {
        nth += 1;
        nth % 5 == 0
    });
    each(states, |_, Killed { after, aws }| {
        let here = with(&aws, None, CIDR[1]);
        here.succeed(&["up", "--yes"]);
        assert_eq!(used(&aws), only(None), "killed after {after}");
        assert_unchanged(&here, &after);
    });
}

/// With a cache of the operator, whose URL is a secret, and without a cache.
#[test]
fn the_key_of_a_stack_without_a_cache_of_its_own_can_be_changed() {
    let aws = TestAws::seeded();
    let key = create(&aws, "own");
    let before = aws.account();
    for more in [
        "cache: {url: \"rediss://user:secret@cache.example.com:6379\"}",
        "network: none\ncache: memory",
    ] {
        for wanted in [None, Some(&*key), None] {
            let here = workplace(&aws, wanted);
            here.edit("authorizer: {", &format!("{more}\nauthorizer: {{"));
            here.succeed(&["up", "--yes"]);
            assert_served(&aws, more);
            assert_eq!(used(&aws), only(wanted), "{more}");
            assert_unchanged(&here, more);
        }
        workplace(&aws, None).succeed(&["down", "--yes"]);
        assert_same(&before, &aws.account());
    }
}

#[test]
fn a_key_that_the_role_cannot_use_is_found_before_callers_need_it() {
    let (aws, here) = standing();
    let key = create(&aws, "own");
    let root = json!({"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
        "Action": "kms:*", "Resource": "*"});
    let deny = json!({"Effect": "Deny", "Principal": {"AWS": ROLE}, "Action": "kms:Decrypt", "Resource": "*"});
    let policy = json!({"Version": "2012-10-17", "Statement": [root, deny]}).to_string();
    let id = key.rsplit('/').next();
    let change = json!({"KeyId": id, "PolicyName": "default", "Policy": policy});
    aws.call("kms", "PutKeyPolicy", change);
    let before = aws.account();
    let with_key = workplace(&aws, Some(&key));
    let alone = with_key.run(&["up", "--yes", "--only", "authorizer"]);
    assert_eq!(alone.code, Some(4), "{}", alone.stderr);
    let told = "the functions get another KMS key, which their role may not use yet";
    assert!(alone.stderr.contains(told), "{}", alone.stderr);
    assert_same(&before, &aws.account());
    let up = with_key.run(&["up", "--yes"]);
    assert_eq!(up.code, Some(1), "{}", up.stderr);
    for part in [
        "secrets (ssm_denied)",
        "the state and the policy of the key",
    ] {
        assert!(up.stderr.contains(part), "{}", up.stderr);
    }
    assert_served(&aws, "after a key that the role cannot use");
    // The secrets that the live versions read have no other key.
    let [_, _, of_role] = used(&aws);
    assert_eq!(of_role, BTreeSet::from([key]));
    here.succeed(&["up", "--yes"]);
    assert_eq!(used(&aws), only(None));
    assert_unchanged(&here, "after the return");
    assert_eq!(counts(&before), counts(&aws.account()));
}

/// A role of the operator, whose permissions are checked.
#[test]
fn a_role_of_the_operator_must_be_allowed_to_decrypt() {
    let aws = TestAws::seeded();
    let key = create(&aws, "own");
    let own = crate::own_role::create(&aws, "own", "lambda.amazonaws.com");
    let empty = aws.account();
    let here = Workplace::new(&aws);
    let line = format!("authorizer: {{role_arn: \"{own}\", ");
    here.edit("authorizer: {", &line);
    here.succeed(&["up", "--yes"]);
    here.edit(&line, &format!("{line}kms_key: \"{key}\", "));
    let up = here.run(&["up", "--yes"]);
    assert_eq!(up.code, Some(4), "{}", up.stderr);
    let told = format!("do not allow kms:Decrypt on {key}");
    assert!(up.stderr.contains(&told), "{}", up.stderr);

    let decrypts = json!({"Effect": "Allow", "Action": "kms:Decrypt", "Resource": key});
    let policy = json!({"Version": "2012-10-17", "Statement": [decrypts]}).to_string();
    let policy = json!({"RoleName": "own", "PolicyName": "key", "PolicyDocument": policy});
    aws.call("iam", "PutRolePolicy", policy);
    here.succeed(&["up", "--yes"]);
    assert_served(&aws, "with a key");
    let mut wanted = only(Some(&key));
    wanted[2].clear();
    assert_eq!(used(&aws), wanted);
    here.edit(&format!("kms_key: \"{key}\", "), "");
    here.succeed(&["up", "--yes"]);
    assert_served(&aws, "without a key");
    assert_eq!(used(&aws), only(None));
    here.succeed(&["down", "--yes"]);
    let policy = json!({"RoleName": "own", "PolicyName": "key"});
    aws.call("iam", "DeleteRolePolicy", policy);
    assert_same(&empty, &aws.account());
}
