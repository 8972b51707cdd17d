//! The alarms and the dashboard of a stack.

use serde_json::{Value, json};

use crate::support::kill::{Killed, each, killed_after_each};
use crate::support::rest_api::assert_mentions;
use crate::support::{TestAws, Workplace, assert_same, standing};

const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:alarms";
const DASHBOARD: &str = "threescale-gw-orders-us-east-1";
const BOTH: &str =
    "monitoring: {topic: \"arn:aws:sns:us-east-1:123456789012:alarms\", dashboard: true}\n";

fn alarm(name: &str) -> String {
    format!("threescale-gw-orders-{name}")
}

/// A folder whose configuration has this section.
fn workplace(aws: &TestAws, section: &str) -> Workplace {
    let here = Workplace::new(aws);
    here.edit("tags:", &format!("{section}tags:"));
    here
}

fn list<'a>(account: &'a Value, name: &str) -> &'a [Value] {
    account[name].as_array().expect("a list")
}

fn described(aws: &TestAws, name: &str) -> Value {
    let names = json!({"AlarmNames": [alarm(name)]});
    aws.call("cloudwatch", "DescribeAlarms", names)["MetricAlarms"][0].clone()
}

/// A stack with alarms and a dashboard.
fn watched() -> (TestAws, Workplace) {
    let aws = TestAws::state("watched", || {
        let (aws, _) = standing();
        workplace(&aws, BOTH).succeed(&["up", "--yes"]);
        aws
    });
    let here = workplace(&aws, BOTH);
    (aws, here)
}

#[track_caller]
fn assert_unchanged(here: &Workplace) {
    let plan = here.run(&["plan", "--exit-code"]);
    assert_eq!(plan.code, Some(0), "{}{}", plan.stdout, plan.stderr);
}

#[test]
fn they_are_created_repaired_and_deleted_with_the_key() {
    let (aws, plain) = standing();
    let before = aws.account();
    let here = workplace(&aws, BOTH);
    let plan = here.succeed(&["plan"]);
    assert_mentions(
        &plan,
        &["alarm/authorizer-errors", "dashboard/main", "alarms 0.90"],
    );
    here.succeed(&["up", "--yes"]);
    aws.check_log();
    assert_unchanged(&here);

    let account = aws.account();
    let alarms = list(&account, "alarms");
    assert_eq!(alarms.len(), 7);
    for alarm in alarms {
        assert_eq!(
            (&alarm["actions"], &alarm["ok_actions"]),
            (&json!([TOPIC]), &json!([TOPIC]))
        );
        let tags = &alarm["tags"];
        assert_eq!(
            (&tags["threescale-gw:stack"], &tags["team"]),
            (&json!("orders"), &json!("payments"))
        );
    }
    let [dashboard] = list(&account, "dashboards") else {
        panic!("one dashboard");
    };
    assert_eq!(dashboard["name"], DASHBOARD);
    assert_eq!(dashboard["tags"]["threescale-gw:stack"], "orders");
    let errors = described(&aws, "authorizer-errors");
    assert_eq!(errors["Metrics"].as_array().expect("queries").len(), 4);
    assert_eq!(errors["Metrics"][3]["ReturnData"], true);
    let duration = described(&aws, "authorizer-duration");
    assert_eq!(
        (&duration["ExtendedStatistic"], &duration["Threshold"]),
        (&json!("p99"), &json!(648.0))
    );
    assert_eq!(
        described(&aws, "reporter-silent")["TreatMissingData"],
        "breaching"
    );

    // Another limit for requests is another limit for the alarm; without a dashboard, it is deleted, and the alarms stay.
    let slower = workplace(
        &aws,
        "monitoring: {topic: \"arn:aws:sns:us-east-1:123456789012:alarms\"}\n",
    );
    slower.edit("service_token:", "timeout: 2s, service_token:");
    let plan = slower.succeed(&["plan"]);
    assert_mentions(
        &plan,
        &["condition: > 648 in 3 of 5 periods -> > 1800 in 3 of 5 periods"],
    );
    slower.succeed(&["up", "--yes"]);
    assert_eq!(described(&aws, "authorizer-duration")["Threshold"], 1800.0);
    assert!(list(&aws.account(), "dashboards").is_empty());

    plain.succeed(&["up", "--yes"]);
    let after = aws.account();
    for name in ["alarms", "dashboards"] {
        assert_eq!(before[name], after[name], "{name}");
    }
}

#[test]
fn what_others_change_is_told_and_restored() {
    let (aws, here) = watched();
    let account = aws.account();
    let threshold = {
        let found = described(&aws, "report-lag");
        let names = [
            "AlarmName",
            "Namespace",
            "MetricName",
            "Dimensions",
            "Statistic",
            "Period",
            "EvaluationPeriods",
            "ComparisonOperator",
        ];
        let mut put: serde_json::Map<_, _> = names
            .iter()
            .map(|name| ((*name).to_owned(), found[name].clone()))
            .collect();
        put.insert("Threshold".to_owned(), json!(7200));
        Value::Object(put)
    };
    aws.call("cloudwatch", "PutMetricAlarm", threshold);
    aws.call(
        "cloudwatch",
        "DisableAlarmActions",
        json!({"AlarmNames": [alarm("usage-lost")]}),
    );
    aws.call(
        "cloudwatch",
        "DeleteAlarms",
        json!({"AlarmNames": [alarm("decisions-degraded")]}),
    );
    let body = json!({"widgets": []}).to_string();
    aws.call(
        "cloudwatch",
        "PutDashboard",
        json!({"DashboardName": DASHBOARD, "DashboardBody": body}),
    );
    let plan = here.succeed(&["plan"]);
    assert_mentions(
        &plan,
        &[
            "condition: > 7200 in 1 of 1 periods -> > 3600 in 1 of 1 periods",
            "missing data: missing -> notBreaching",
            "actions: disabled; ALARM:",
            "alarm/decisions-degraded",
            "widgets: changed -> those of this version",
        ],
    );
    let plan = here.succeed(&["plan", "-o", "json"]).json();
    let changes = |id: &str, field: &str| {
        let resources = list(&plan, "resources").iter();
        let resource = resources.clone().find(|found| found["id"] == id);
        let drift = list(resource.expect(id), "drift").iter();
        let change = drift.clone().find(|change| change["field"] == field);
        let change = change.expect(field);
        [change["before"].clone(), change["after"].clone()]
    };
    let actions = |is_enabled: bool| json!({"enabled": is_enabled, "alarm": [TOPIC], "ok": [TOPIC], "insufficient_data": []});
    let is = changes("alarm/usage-lost", "actions");
    assert_eq!(is, [actions(false), actions(true)]);
    let status = here.run(&["status"]);
    assert_eq!(status.code, Some(0), "{}", status.stderr);
    assert_mentions(&status, &["alarm/report-lag", "dashboard/main"]);
    here.succeed(&["up", "--yes"]);
    assert_unchanged(&here);
    assert_same(&account, &aws.account());
}

#[test]
fn alarms_of_others_stay_as_they_are() {
    let (aws, _) = standing();
    let here = workplace(&aws, BOTH);
    let theirs = json!({"AlarmName": alarm("usage-lost"), "AlarmRule": "FALSE"});
    aws.call("cloudwatch", "PutCompositeAlarm", theirs);
    let body = json!({"widgets": []}).to_string();
    aws.call(
        "cloudwatch",
        "PutDashboard",
        json!({"DashboardName": DASHBOARD, "DashboardBody": body}),
    );
    let before = aws.account();
    for command in [&["plan"][..], &["up", "--yes"]] {
        let run = here.run(command);
        assert_eq!(run.code, Some(4), "{}{}", run.stdout, run.stderr);
        assert_mentions(
            &run,
            &[
                &alarm("usage-lost"),
                DASHBOARD,
                "is not managed by this stack",
            ],
        );
    }
    assert_same(&before, &aws.account());
    // Without the section, the stack needs neither name.
    Workplace::new(&aws).succeed(&["down", "--yes"]);
    let after = aws.account();
    for name in ["alarms", "dashboards"] {
        assert_eq!(before[name], after[name], "{name}");
    }
}

#[test]
fn a_composite_alarm_that_depends_on_one_is_named() {
    let (aws, here) = watched();
    let rule = format!("ALARM({})", alarm("usage-lost"));
    aws.call(
        "cloudwatch",
        "PutCompositeAlarm",
        json!({"AlarmName": "on-call", "AlarmRule": rule}),
    );
    let down = here.run(&["down", "--yes"]);
    assert_eq!(down.code, Some(5), "{}", down.stderr);
    assert_mentions(
        &down,
        &[
            "the composite alarm on-call depends on alarm threescale-gw-orders-usage-lost",
            "remove threescale-gw-orders-usage-lost from",
        ],
    );
    aws.call(
        "cloudwatch",
        "DeleteAlarms",
        json!({"AlarmNames": ["on-call"]}),
    );
    here.succeed(&["down", "--yes"]);
    assert!(list(&aws.account(), "alarms").is_empty());
}

#[test]
fn a_run_that_is_killed_after_any_call_is_completed_by_the_next() {
    let (aws, plain) = standing();
    let here = workplace(&aws, BOTH);
    let before = aws.account();
    let created = killed_after_each(&aws, &here, &["up", "--yes"], "cloudwatch");
    assert_eq!(created.len(), 8);
    let complete = aws.account();
    each(created, |_, Killed { after, aws }| {
        let here = workplace(&aws, BOTH);
        here.succeed(&["up", "--yes"]);
        for name in ["alarms", "dashboards"] {
            assert_eq!(complete[name], aws.account()[name], "{after}");
        }
    });
    let deleted = killed_after_each(&aws, &plain, &["up", "--yes"], "cloudwatch");
    assert_eq!(deleted.len(), 8);
    each(deleted, |_, Killed { after, aws }| {
        Workplace::new(&aws).succeed(&["up", "--yes"]);
        for name in ["alarms", "dashboards"] {
            assert_eq!(before[name], aws.account()[name], "{after}");
        }
    });
}

#[test]
fn the_topic_is_checked_before_anything_is_changed() {
    let (aws, _) = standing();
    let before = aws.account();
    for (topic, code, words) in [
        ("alarms", 2, "must be the ARN of an SNS topic"),
        (
            "arn:aws:sns:us-east-1:123456789012:alarms.fifo",
            2,
            "an alarm cannot notify a FIFO topic",
        ),
        (
            "arn:aws:sns:eu-west-1:123456789012:alarms",
            4,
            "an alarm notifies topics of its own Region only",
        ),
    ] {
        let here = workplace(&aws, &format!("monitoring: {{topic: \"{topic}\"}}\n"));
        let run = here.run(&["up", "--yes"]);
        assert_eq!(run.code, Some(code), "{topic}: {}", run.stderr);
        assert_mentions(&run, &[words]);
    }
    assert_same(&before, &aws.account());
    let foreign = workplace(
        &aws,
        "monitoring: {topic: \"arn:aws:sns:us-east-1:210987654321:alarms\"}\n",
    );
    assert_mentions(
        &foreign.succeed(&["plan"]),
        &["its access policy must allow CloudWatch alarms of account 123456789012"],
    );
}

/// A policy of a release without alarms is enough for a stack without them.
#[test]
fn rights_for_alarms_are_needed_only_with_alarms() {
    let (aws, plain) = standing();
    let denied = ["DescribeAlarms", "GetDashboard"]
        .map(|operation| json!({"service": "cloudwatch", "operation": operation, "kind": "deny"}));
    aws.post("faults", &json!(denied));
    let watched = workplace(&aws, BOTH).run(&["plan"]);
    assert_eq!(watched.code, Some(1), "{}", watched.stderr);
    assert_mentions(&watched, &["cloudwatch:"]);
    assert_unchanged(&plain);
    plain.succeed(&["status"]);
    plain.succeed(&["down", "--yes"]);
}

#[test]
fn all_metrics_are_a_setting_of_the_functions() {
    let (aws, _) = standing();
    let here = workplace(&aws, "monitoring: {metrics: all}\n");
    here.succeed(&["up", "--yes"]);
    let account = aws.account();
    let functions = list(&account, "functions").iter();
    let of: Vec<_> = functions
        .filter(|function| {
            let name = function["FunctionName"].as_str().expect("a name");
            name.starts_with("threescale-gw-orders-")
        })
        .map(|function| &function["Environment"]["Variables"]["THREESCALE_GW_METRICS"])
        .collect();
    assert_eq!(of, ["all", "all"]);
    assert!(list(&account, "alarms").is_empty());
}
