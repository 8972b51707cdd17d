//! What the metrics and the log of a stack are billed by: series, and bytes.

use std::collections::BTreeSet;

use authorizer::clock::Clock;
use serde_json::{Value, json};

use crate::support::cloudwatch::CloudWatch;
use crate::support::gateway::{World, environment, event};
use crate::support::runtime_api::{Answer, Process};
use crate::support::threescale::Fault;

const REPORT: &str = r#"{"source":"aws.events"}"#;

/// The log of a process with these events.
fn log(world: &World, role: &str, metrics: Option<&str>, events: &[String]) -> String {
    let mut environment = environment(role, &world.ssm, &world.settings, None);
    environment.extend(world.extra.iter().cloned());
    environment.extend(metrics.map(|value| ("THREESCALE_GW_METRICS".to_owned(), value.to_owned())));
    let process = Process::start(&environment);
    for event in events {
        process.api.invoke(event);
    }
    process.output()
}

fn world() -> World {
    let mut world = World::patient();
    world.clock = Clock::default();
    world
}

/// The names of the README's table of series, by when they are written.
fn documented(when: &str) -> BTreeSet<String> {
    let readme = include_str!("../../README.md");
    let table = readme
        .split("| series | written |")
        .nth(1)
        .expect("the table");
    let rows = table.lines().skip(2).take_while(|row| row.starts_with('|'));
    let cells = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    let of = cells.filter(|cells| cells[2] == when);
    of.map(|cells| cells[1].trim_matches('`').to_owned())
        .collect()
}

/// The names of the series, each of which is billed. Without `all`, they have one dimension.
fn names(watch: &CloudWatch) -> BTreeSet<String> {
    watch
        .series()
        .into_iter()
        .map(|(namespace, name, dimensions)| {
            assert_eq!(namespace, "ThreescaleGateway");
            assert_eq!(dimensions.keys().collect::<Vec<_>>(), ["Stack"]);
            assert_eq!(dimensions["Stack"], "test");
            name
        })
        .collect()
}

#[test]
fn a_stack_has_the_series_of_the_readme() {
    let mut world = world();
    let mut watch = CloudWatch::default();
    let take = |watch: &mut CloudWatch, world: &World, role: &str, events: &[String]| {
        watch.take_log(0, &log(world, role, None, events));
    };
    let report = [REPORT.to_owned()];

    take(&mut watch, &world, "reporter", &report);
    let idle = documented("always");
    assert_eq!(names(&watch), idle);

    let load = vec![event("uk_free", "/"); 200];
    take(&mut watch, &world, "authorizer", &load);
    take(&mut watch, &world, "authorizer", &[event("wrong", "/")]);
    take(&mut watch, &world, "reporter", &report);
    let busy: BTreeSet<_> = idle.union(&documented("with requests")).cloned().collect();
    assert_eq!(names(&watch), busy);

    world.settings["caching"] = json!("allow");
    world.threescale.fail(Some(Fault::Close));
    world.redis.stop();
    for key in ["uk_free", ""] {
        take(&mut watch, &world, "authorizer", &[event(key, "/")]);
    }
    let all: BTreeSet<_> = busy.union(&documented("in failures")).cloned().collect();
    assert_eq!(names(&watch), all);
}

/// What the price of a million requests in the CLI contains of the function's own lines.
#[test]
fn an_allowed_request_writes_few_bytes() {
    const REQUESTS: usize = 1000;
    let world = world();
    let load = vec![event("uk_free", "/"); REQUESTS];
    let bytes = log(&world, "authorizer", None, &load).len();
    assert!(bytes / REQUESTS <= 10, "{bytes}");
}

#[test]
fn all_metrics_are_series_if_they_are_wanted() {
    let world = world();
    let mut watch = CloudWatch::default();
    let requests = [event("uk_free", "/")];
    watch.take_log(0, &log(&world, "authorizer", Some("all"), &requests));
    watch.take_log(
        0,
        &log(&world, "reporter", Some("all"), &[REPORT.to_owned()]),
    );
    let by = |names: &[&str]| {
        watch
            .series()
            .into_iter()
            .filter(|(_, _, dimensions)| dimensions.keys().eq(names.iter()))
            .map(|(_, name, _)| name)
            .collect::<Vec<_>>()
    };
    assert_eq!(by(&["Stack"]), ["ReportLag", "UsageDelivered"]);
    assert_eq!(by(&["Reason", "Stack"]), ["Decisions"]);
    let of_functions = by(&["Function", "Stack"]);
    assert!(of_functions.len() > 10, "{of_functions:?}");
}

/// Lambda counts an answer 401 as an error. Its number is written with it, so that an alarm can subtract it.
#[test]
fn refusals_with_401_are_written_at_once() {
    let world = world();
    let events = vec![event("", "/"); 3];
    let log = log(&world, "authorizer", None, &events);
    let times = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|line| line["Unauthorized"].as_f64())
        .sum::<f64>();
    assert!((times - 3.0).abs() < f64::EPSILON, "{log}");
}

#[test]
fn an_unknown_choice_of_metrics_is_refused() {
    let world = world();
    let mut environment = environment("authorizer", &world.ssm, &world.settings, None);
    environment.push(("THREESCALE_GW_METRICS".to_owned(), "some".to_owned()));
    let process = Process::start(&environment);
    crate::support::eventually("the start fails", || process.api.init_error().is_some());
    let error = process.api.init_error().unwrap();
    assert!(
        error["errorMessage"]
            .as_str()
            .unwrap()
            .contains("THREESCALE_GW_METRICS: must be few or all"),
        "{error}"
    );
    assert_ne!(process.api.answer(0), Some(Answer::Result(Value::Null)));
}
