//! `logs`: the output of both functions in chronological order, as text and as JSON.

use std::io::{BufRead as _, BufReader};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::rest_api::assert_mentions;
use crate::support::{TestAws, Workplace};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

const REFUSED: &str = r#"{"level":"info","event":"decision","allowed":false,"reason":"limits_exceeded","metric":"hits","method":"GET","credential":"ab…"}"#;
const REPORTED: &str = r#"{"level":"info","event":"report","transactions":3}"#;
const METRIC: &str = r#"{"_aws":{"Timestamp":7},"CacheHits":1}"#;
const INVOCATION: &str = "REPORT RequestId: 7 Duration: 2 ms";

/// Writes lines to the log group of a function, each with a time this many seconds ago.
fn write(aws: &TestAws, function: &str, lines: &[(u64, &str)]) {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a time after 1970");
    let events: Vec<_> = lines
        .iter()
        .map(|(ago, text)| json!({"timestamp": (now.as_secs() - ago) * 1000, "message": text}))
        .collect();
    aws.call(
        "logs",
        "PutLogEvents",
        json!({"logGroupName": group(function), "logStreamName": "one", "logEvents": events}),
    );
}

fn group(function: &str) -> String {
    format!("/aws/lambda/threescale-gw-orders-{function}")
}

/// A stack whose functions have not written anything yet.
fn stack(aws: &TestAws) -> Workplace {
    let here = Workplace::new(aws);
    here.succeed(&["up", "--yes"]);
    for function in ["authorizer", "reporter"] {
        aws.call(
            "logs",
            "CreateLogStream",
            json!({"logGroupName": group(function), "logStreamName": "one"}),
        );
    }
    here
}

#[test]
fn the_lines_of_both_come_in_the_order_of_time() {
    let aws = TestAws::seeded();
    let here = stack(&aws);
    let nothing = here.succeed(&["logs"]);
    assert_eq!(nothing.stdout, "");
    assert_mentions(&nothing, &["nothing was written in the last 10 min"]);

    let authorizer = [
        (3600, "old"),
        (60, INVOCATION),
        (60, METRIC),
        (50, REFUSED),
        (20, "panicked\u{1b}[2J"),
    ];
    write(&aws, "authorizer", &authorizer);
    write(&aws, "reporter", &[(30, REPORTED)]);
    let words = |arguments: &[&str]| -> Vec<String> {
        let run = here.succeed(arguments);
        let line = |line: &str| line.split_once(' ').expect("a time").1.to_owned();
        run.stdout.lines().map(line).collect()
    };
    let refused = "authorizer info  decision refused credential=ab… method=GET metric=hits reason=limits_exceeded";
    let reported = "reporter   info  report transactions=3";
    let panicked = "authorizer panicked\\u{1b}[2J";
    assert_eq!(words(&["logs"]), [refused, reported, panicked]);
    assert_eq!(words(&["logs", "reporter"]), [reported]);
    assert_eq!(words(&["logs", "--since", "40s"]), [reported, panicked]);
    assert_eq!(words(&["logs", "--filter", "limits_exceeded"]), [refused]);
    let all = words(&["logs", "authorizer", "--all", "--since", "2h"]);
    assert_eq!(
        all,
        [
            "authorizer old",
            &format!("authorizer {INVOCATION}"),
            "authorizer CacheHits=1 _aws={\"Timestamp\":7}",
            refused,
            panicked
        ]
    );

    // No configuration is required, and the JSON output contains every line.
    let run = here.succeed(&["logs", "-o", "json", "--stack", "orders", "-f", "none.yaml"]);
    let lines = run.lines();
    assert_eq!(lines.len(), 5);
    assert_eq!(lines[0]["text"], INVOCATION);
    assert_eq!(lines[2]["record"]["reason"], "limits_exceeded");
    let reporter = &lines[3];
    assert_eq!(
        (&reporter["event"], &reporter["function"]),
        (&"log".into(), &"reporter".into())
    );
    assert!(reporter["time"].as_str().expect("a time").ends_with('Z'));
}

#[test]
fn the_lines_of_a_trace_are_found_by_either_header() {
    const ROOT: &str = "1-67891233-abcdef012345678912345678";
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let aws = TestAws::seeded();
    let here = stack(&aws);
    let amzn = format!("Root={ROOT};Sampled=1");
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let traced =
        json!({"event": "decision", "amzn_trace": amzn, "traceparent": parent}).to_string();
    let other = json!({"event": "decision", "path": format!("/{ROOT}/{TRACE}")}).to_string();
    write(
        &aws,
        "authorizer",
        &[(5, REFUSED), (4, &other), (3, &traced)],
    );
    for id in [ROOT, &amzn, TRACE, &parent] {
        let run = here.succeed(&["logs", "--trace", id, "-o", "json"]);
        let lines = run.lines();
        assert_eq!(lines.len(), 1, "{id}: {}", run.stdout);
        assert_eq!(lines[0]["record"]["traceparent"], parent);
    }
    for wrong in [&["--trace", "x"][..], &["--trace", ROOT, "--filter", "x"]] {
        let run = here.run(&[&["logs"], wrong].concat());
        assert_eq!(run.code, Some(2), "{}", run.stderr);
    }
}

#[test]
fn more_than_a_page_comes_whole() {
    let aws = TestAws::seeded();
    let here = stack(&aws);
    // Source: FilterLogEvents returns at most 10,000 events per page, and PutLogEvents accepts as many per call.
    write(&aws, "authorizer", &vec![(60, "first"); 10_000]);
    write(&aws, "authorizer", &[(50, "last")]);
    let run = here.succeed(&["logs", "authorizer"]);
    assert_eq!(run.stdout.lines().count(), 10_001);
    assert!(run.stdout.trim_end().ends_with("last"));
}

#[test]
fn what_is_written_later_follows_until_it_is_interrupted() {
    let aws = TestAws::seeded();
    let here = stack(&aws);
    write(&aws, "authorizer", &[(5, REFUSED)]);
    let mut child = here.start(&["logs", "--follow", "-o", "json"]);
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let mut next = || -> Value {
        let line = lines.next().expect("a line").expect("text");
        serde_json::from_str(&line).expect("JSON")
    };
    assert_eq!(next()["record"]["reason"], "limits_exceeded");
    // Lines that are written later, one of them with an earlier timestamp.
    write(&aws, "reporter", &[(0, REPORTED)]);
    assert_eq!(next()["record"]["transactions"], 3);
    write(&aws, "reporter", &[(2, "late"), (0, "last")]);
    assert_eq!(next()["text"], "late");
    assert_eq!(next()["text"], "last");
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    kill_process(pid.expect("a process id"), Signal::INT).expect("a signal");
    assert_eq!(child.wait().expect("its end").code(), Some(130));
    assert!(lines.next().is_none(), "no line comes twice");
}

#[test]
fn an_interrupt_while_it_asks_ends_it() {
    let aws = TestAws::seeded();
    let here = stack(&aws);
    write(&aws, "authorizer", &[(5, REFUSED)]);
    let mut child = here.start(&["logs", "--follow"]);
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    lines.next().expect("a line").expect("text");
    aws.post(
        "faults",
        &json!([{"operation": "FilterLogEvents", "kind": "hold-before"}]),
    );
    assert_ne!(aws.get("held?timeout=60")["held"], Value::Null);
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    kill_process(pid.expect("a process id"), Signal::INT).expect("a signal");
    // The run ends even though its call gets no response.
    assert_eq!(child.wait().expect("its end").code(), Some(130));
    aws.post("release", &json!({}));
}

#[test]
fn what_cannot_be_read_is_said() {
    let aws = TestAws::seeded();
    let here = Workplace::new(&aws);
    let none = here.run(&["logs"]);
    assert_eq!(none.code, Some(4), "{}", none.stderr);
    assert_mentions(&none, &["there is no stack orders in us-east-1"]);
    here.succeed(&["up", "--yes"]);
    aws.post(
        "faults",
        &json!([{"operation": "FilterLogEvents", "kind": "deny"}]),
    );
    let denied = here.run(&["logs"]);
    assert_eq!(denied.code, Some(1), "{}", denied.stderr);
    assert_mentions(&denied, &["logs:FilterLogEvents"]);
    let wrong = here.run(&["logs", "cache"]);
    assert_eq!(wrong.code, Some(2), "{}", wrong.stderr);
}
