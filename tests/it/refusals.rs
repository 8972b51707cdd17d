//! `report`: the sums of the authorizer's log, without a configuration.

use crate::support::rest_api::assert_mentions;
use crate::support::{TestAws, Workplace, standing};
use serde_json::{Value, json};

const GROUP: &str = "/aws/lambda/threescale-gw-orders-authorizer";

/// Creates the log group of the authorizer.
pub(crate) fn create_log(aws: &TestAws) {
    aws.call("logs", "CreateLogGroup", json!({"logGroupName": GROUP}));
    aws.call(
        "logs",
        "CreateLogStream",
        json!({"logGroupName": GROUP, "logStreamName": "one"}),
    );
}

/// Writes lines to the log of the authorizer, with the present time.
pub(crate) fn write(aws: &TestAws, lines: &[Value]) {
    let now = jiff::Timestamp::now().as_millisecond();
    let events: Vec<_> = lines
        .iter()
        .map(|line| json!({"timestamp": now, "message": line.to_string()}))
        .collect();
    aws.call(
        "logs",
        "PutLogEvents",
        json!({"logGroupName": GROUP, "logStreamName": "one", "logEvents": events}),
    );
}

fn decision(reason: &str, allowed: bool) -> Value {
    json!({
        "level": "info", "event": "decision", "mode": "observe", "allowed": allowed, "reason": reason,
        "credential": "***9f3c", "method": "GET", "resource": "/orders",
    })
}

#[test]
fn who_would_be_refused_is_told_by_the_name_of_the_stack() {
    let aws = TestAws::seeded();
    create_log(&aws);
    let here = Workplace::new(&aws);
    std::fs::remove_file(here.path("threescale-gw.yaml")).expect("removed");
    let by_name: [&str; 3] = ["report", "--stack", "orders"];
    let nothing = here.succeed(&by_name);
    assert_eq!(nothing.stdout, "");
    assert_mentions(&nothing, &["no decision was logged in the last 1 day"]);
    let mut lines = vec![decision("user_key_invalid", false)];
    lines.extend((0..3).map(|_| decision("authorized", true)));
    lines.push(json!({"event": "backend", "error": "no route"}));
    write(&aws, &lines);
    aws.call(
        "logs",
        "PutLogEvents",
        json!({"logGroupName": GROUP, "logStreamName": "one",
               "logEvents": [{"timestamp": jiff::Timestamp::now().as_millisecond(), "message": "REPORT RequestId: 1"}]}),
    );
    let text = here.succeed(&by_name);
    assert_mentions(
        &text,
        &[
            "observe: 4 requests, 1 (25.0%) would be refused",
            "GET /orders",
            "key ***9f3c: once",
        ],
    );
    let mut arguments = by_name.to_vec();
    arguments.extend(["--since", "7d", "-o", "json"]);
    let document = here.succeed(&arguments).json();
    assert_eq!(document["stack"], "orders");
    let group = &document["modes"][0]["groups"][0];
    assert_eq!(
        (&group["group"], &group["requests"], &group["share"]),
        (&json!("bad_key"), &json!(1), &json!(0.25))
    );
    let missing = here.run(&["report", "--stack", "nowhere"]);
    assert_eq!(missing.code, Some(4), "{}", missing.stderr);
    assert_mentions(&missing, &["there is no stack nowhere"]);
}

#[test]
fn a_stack_that_does_not_exist_is_not_reported() {
    let (_aws, here) = standing();
    let report = here.run(&["report", "--stack", "ordres", "-f", "none.yaml"]);
    assert_mentions(
        &report,
        &["there is no stack ordres", "did you mean `orders`?"],
    );
    assert_eq!(report.code, Some(4));
}
