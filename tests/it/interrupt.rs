//! Signals, timeouts, and concurrent runs: calls in flight complete, the lock is released, and the next run continues.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Stdio};

use crate::support::{Run, TestAws, Workplace, assert_same, eventually};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

pub(crate) fn send(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .expect("a process id");
    kill_process(pid, signal).expect("a signal");
}

/// Starts `up` and returns when its third changing call after the lock is in flight and held.
fn held_up(aws: &TestAws, workplace: &Workplace) -> Child {
    aws.post(
        "faults",
        &json!([{"operation": "CreateVpc", "kind": "hold"}]),
    );
    let child = workplace.start(&["up", "--yes", "-o", "json"]);
    eventually("the held call", || {
        (!aws.get("held?timeout=1")["held"].is_null()).then_some(())
    });
    child
}

fn lock_is_gone(aws: &TestAws) -> bool {
    let account = aws.account();
    let parameters = account["parameters"].as_array().expect("a list");
    !parameters
        .iter()
        .any(|parameter| parameter["name"] == "/threescale-gw/orders/lock")
}

#[test]
fn a_signal_lets_calls_in_flight_return_and_gives_the_lock_back() {
    for signal in [Signal::INT, Signal::TERM] {
        let aws = TestAws::seeded();
        let before = aws.account();
        let workplace = Workplace::new(&aws);
        let mut child = held_up(&aws, &workplace);
        send(&child, signal);
        // The run reports the interruption and then waits for the held call. It must not end before that call returns.
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let said = lines.find(|line| {
            line.as_ref()
                .is_ok_and(|line| line.contains("\"interrupted\""))
        });
        assert!(said.is_some());
        assert!(child.try_wait().expect("a status").is_none(), "it waits");
        aws.post("release", &json!({}));
        let last = lines.map_while(Result::ok).last().expect("a summary");
        assert_eq!(child.wait().expect("its end").code(), Some(130));
        assert!(last.contains("\"outcome\":\"interrupted\""), "{last}");
        assert!(lock_is_gone(&aws));
        assert!(
            !aws.changes()
                .iter()
                .any(|operation| operation == "CreateSubnet"),
            "nothing new began"
        );

        aws.post("faults", &json!([]));
        workplace.succeed(&["up", "--yes"]);
        assert_eq!(workplace.run(&["plan", "--exit-code"]).code, Some(0));
        workplace.succeed(&["down", "--yes"]);
        assert_same(&before, &aws.account());
    }
}

/// Writes a substitute for cargo to a folder: it prints a version, and its build writes its process ID and never ends.
fn endless_cargo(workplace: &Workplace) -> (std::path::PathBuf, std::path::PathBuf) {
    let (folder, started) = (workplace.path("tools"), workplace.path("started"));
    fs::create_dir(&folder).expect("a folder");
    let script = format!(
        "#!/bin/sh\ncase \"$1\" in\n--version) echo cargo 1.94.1 ;;\nlambda) exit 1 ;;\n\
         *) echo $$ > {0}.new && mv {0}.new {0} && exec sleep 3600 ;;\nesac\n",
        started.display()
    );
    let cargo = folder.join("cargo");
    fs::write(&cargo, script).expect("a script");
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).expect("an executable");
    (folder, started)
}

#[test]
fn a_signal_ends_the_build_of_the_authorizer() {
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    workplace.edit("authorizer: {artifact: bootstrap.zip}", "");
    let (folder, started) = endless_cargo(&workplace);
    let path = std::env::var("PATH").unwrap_or_default();
    // Tools that manage compilers keep their settings in the home folder, or in one that a variable names.
    let managed = ["HOME", "CARGO_HOME", "RUSTUP_HOME"]
        .into_iter()
        .filter_map(|name| Some((name, std::env::var_os(name)?)));
    let child = workplace
        .command(&["up", "--yes"])
        .envs(managed)
        .env("PATH", format!("{}:{path}", folder.display()))
        .env("THREESCALE_GW_CACHE", workplace.path("cache"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let build = eventually("the build", || fs::read_to_string(&started).ok());
    send(&child, Signal::INT);
    let ended = Run::of(child.wait_with_output().expect("its end"));
    assert_eq!(ended.code, Some(130), "{}", ended.stderr);
    assert!(lock_is_gone(&aws));
    assert!(
        !aws.changes()
            .iter()
            .any(|operation| operation == "CreateFunction")
    );
    let process = format!("/proc/{}", build.trim());
    eventually("the end of the build", || {
        (!Path::new(&process).exists()).then_some(())
    });
}

#[test]
fn a_second_signal_leaves_at_once() {
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    let mut child = held_up(&aws, &workplace);
    // The signal is sent repeatedly because two pending signals of one kind can be merged into one.
    let status = eventually("its end", || {
        send(&child, Signal::INT);
        child.try_wait().expect("a status")
    });
    assert_eq!(status.code(), Some(130));
    aws.post("release", &json!({}));
    aws.post("faults", &json!([]));
    let next = workplace.succeed(&["up", "--yes"]);
    assert!(
        next.stderr.contains("took over the expired lock of"),
        "{}",
        next.stderr
    );
}

/// Sends a signal to a run with `-o json`, waits until the run reports it, and returns the lines that follow.
fn interrupted(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let output = child.stdout.take().expect("its output");
    send(child, Signal::INT);
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("\"interrupted\"")));
    lines
}

/// Starts a run and returns when a call that matches `rule` is held.
fn held_at(aws: &TestAws, workplace: &Workplace, arguments: &[&str], rule: &Value) -> Child {
    aws.post("faults", &json!([rule]));
    let child = workplace.start(arguments);
    eventually("the held call", || {
        (!aws.get("held?timeout=1")["held"].is_null()).then_some(())
    });
    child
}

#[test]
fn a_signal_amid_the_methods_of_the_api_begins_no_further_call() {
    let aws = TestAws::seeded();
    let before = aws.account();
    let workplace = Workplace::new(&aws);
    let calls = |operation: &str| {
        aws.changes()
            .iter()
            .filter(|name| *name == operation)
            .count()
    };

    let rule = json!({"operation": "UpdateMethod", "nth": 2, "kind": "hold"});
    let mut up = held_at(&aws, &workplace, &["up", "--yes", "-o", "json"], &rule);
    let rest = interrupted(&mut up);
    aws.post("release", &json!({}));
    let last = rest.last().expect("a summary");
    assert_eq!(up.wait().expect("its end").code(), Some(130));
    assert!(last.contains("\"outcome\":\"interrupted\""), "{last}");
    assert!(last.contains("\"failed\":0"), "{last}");
    assert_eq!((calls("UpdateMethod"), calls("CreateDeployment")), (2, 0));
    assert!(lock_is_gone(&aws));
    aws.post("faults", &json!([]));
    workplace.succeed(&["up", "--yes"]);
    assert_eq!(workplace.run(&["plan", "--exit-code"]).code, Some(0));
    aws.check_log();

    let mut down = held_at(&aws, &workplace, &["down", "--yes", "-o", "json"], &rule);
    let rest = interrupted(&mut down);
    aws.post("release", &json!({}));
    rest.last().expect("a summary");
    assert_eq!(down.wait().expect("its end").code(), Some(130));
    assert_eq!((calls("UpdateMethod"), calls("CreateDeployment")), (2, 0));
    assert!(lock_is_gone(&aws));
    aws.post("faults", &json!([]));
    workplace.succeed(&["down", "--yes"]);
    assert_same(&before, &aws.account());
}

#[test]
fn a_signal_ends_a_call_that_is_tried_again_and_again() {
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    let tries = |operation: &str| {
        aws.changes()
            .iter()
            .filter(|name| *name == operation)
            .count()
    };
    // The lock is the first parameter that is written, and the VPC is the first resource that is created.
    for (operation, kind) in [("PutParameter", "500"), ("CreateVpc", "throttle")] {
        aws.post("faults", &json!([{"operation": operation, "kind": kind}]));
        let mut child = workplace.start(&["up", "--yes", "-o", "json"]);
        eventually("some tries", || (tries(operation) >= 3).then_some(()));
        let mut lines = interrupted(&mut child);
        assert_eq!(child.wait().expect("its end").code(), Some(130));
        assert!(lines.any(|line| line.contains("\"outcome\":\"interrupted\"")));
        assert!(lock_is_gone(&aws));
        aws.post("faults", &json!([]));
        aws.check_log();
    }
    workplace.succeed(&["up", "--yes"]);
}

#[test]
fn a_lock_that_cannot_be_written_is_said_to_be_tried_again() {
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    let fault = json!({"operation": "PutParameter", "kind": "500", "times": 2});
    aws.post("faults", &json!([fault]));
    let up = workplace.succeed(&["up", "--yes", "-o", "json"]);
    let said = up
        .lines()
        .iter()
        .filter(|line| line["event"] == "retrying" && line["resource"].is_null())
        .count();
    assert_eq!(said, 2, "{}", up.stdout);
}

#[test]
fn the_lock_of_another_is_not_given_back() {
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    let up = held_up(&aws, &workplace);
    let theirs = json!({
        "token": "0123456789abcdef", "owner": "ann", "host": "build-7", "pid": 4711, "boot": "0",
        "since": "2026-01-02T03:04:05Z", "expires": "2999-01-01T00:00:00Z",
    });
    let parameter = json!({
        "Name": "/threescale-gw/orders/lock", "Value": theirs.to_string(), "Type": "String", "Overwrite": true,
    });
    aws.call("ssm", "PutParameter", parameter);
    aws.post("faults", &json!([]));
    aws.post("release", &json!({}));
    let up = Run::of(up.wait_with_output().expect("its end"));
    assert_eq!(up.code, Some(130), "{}", up.stderr);
    let text = "the lock is held by ann@build-7";
    assert!(up.stdout.contains(text), "{}", up.stdout);
    let unlock = workplace.succeed(&["unlock", "--yes"]);
    assert!(
        unlock
            .stdout
            .contains("released the lock held by ann@build-7"),
        "{}",
        unlock.stdout
    );
    assert!(lock_is_gone(&aws));
}

#[test]
fn a_signal_before_anything_is_changed_leaves_at_once() {
    let aws = TestAws::seeded();
    aws.post(
        "faults",
        &json!([{"operation": "DescribeVpcs", "kind": "hold-before"}]),
    );
    let workplace = Workplace::new(&aws);
    let child = workplace.start(&["up", "--yes"]);
    eventually("the held call", || {
        (!aws.get("held?timeout=1")["held"].is_null()).then_some(())
    });
    send(&child, Signal::TERM);
    assert_eq!(
        Run::of(child.wait_with_output().expect("its end")).code,
        Some(130)
    );
    aws.post("release", &json!({}));
    assert!(aws.changes().is_empty());
}

#[test]
fn the_time_given_is_kept_and_the_next_run_goes_on() {
    let aws = TestAws::seeded();
    aws.post("config", &json!({"delay": {"cache": 3600}}));
    let workplace = Workplace::new(&aws);
    let run = workplace.run(&["up", "--yes", "--timeout", "2s"]);
    assert_eq!(run.code, Some(5), "{}", run.stderr);
    assert!(
        run.stderr.contains("the --timeout has passed"),
        "{}",
        run.stderr
    );
    assert!(lock_is_gone(&aws));
    // On a slow machine, the timeout can pass before the cache is requested.
    aws.post("config", &json!({"delay": 0}));
    aws.post("advance", &json!({"seconds": 3600}));
    workplace.succeed(&["up", "--yes"]);
}

#[test]
fn of_two_runs_at_once_one_is_refused() {
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    let first = held_up(&aws, &workplace);
    let second = workplace.run(&["up", "--yes"]);
    assert_eq!(second.code, Some(4), "{}", second.stderr);
    assert!(
        second.stderr.contains("stack orders is locked by"),
        "{}",
        second.stderr
    );
    let down = workplace.run(&["down", "--yes"]);
    assert_eq!(down.code, Some(4), "{}", down.stderr);
    aws.post("release", &json!({}));
    let first = Run::of(first.wait_with_output().expect("its end"));
    assert_eq!(first.code, Some(0), "{}", first.stderr);
}
