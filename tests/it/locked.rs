//! A stack with a lock: one that somebody holds, one that cannot be read, and one whose holder no longer exists.

use crate::preflight::{assert_mentions, carried_out};
use crate::support::{TestAws, Workplace, assert_same};
use serde_json::{Value, json};

/// A lock as released versions write it.
pub(crate) fn lock(host: &str, boot: &str, pid: u32) -> Value {
    json!({
        "token": "0123456789abcdef", "owner": "ann", "host": host, "pid": pid, "boot": boot,
        "since": "2026-01-02T03:04:05Z", "expires": "2026-01-02T03:07:05Z",
    })
}

pub(crate) fn put_lock(aws: &TestAws, value: &str) {
    let parameters = json!({"Name": "/threescale-gw/orders/lock", "Value": value, "Type": "String", "Overwrite": true});
    aws.call("ssm", "PutParameter", parameters);
}

#[test]
fn a_lock_that_somebody_holds_is_respected_and_can_be_broken() {
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    let holder = "ann@build-7 (process 4711) since 2026-01-02 03:04:05 UTC";
    put_lock(&aws, &lock("build-7", "0", 4711).to_string());
    let up = workplace.run(&["up", "--yes"]);
    assert_mentions(
        &up,
        4,
        &[
            &format!("stack orders is locked by {holder}"),
            "threescale-gw unlock --stack orders",
        ],
    );
    assert!(carried_out(&aws).is_empty());
    assert_mentions(&workplace.run(&["plan"]), 0, &["Plan: 30 to create"]);
    assert_mentions(
        &workplace.run(&["status"]),
        0,
        &[&format!("locked by {holder}")],
    );

    let unlock = workplace.run(&["unlock", "--yes", "--stack", "orders"]);
    assert_mentions(
        &unlock,
        0,
        &[&format!("released the lock held by {holder}")],
    );
    assert_mentions(
        &workplace.run(&["unlock"]),
        0,
        &["stack orders is not locked"],
    );
    workplace.succeed(&["up", "--yes"]);

    put_lock(&aws, &lock("build-7", "0", 4711).to_string());
    aws.check_log();
    let down = workplace.run(&["down", "--yes", "--stack", "orders"]);
    assert_mentions(&down, 4, &[&format!("stack orders is locked by {holder}")]);
    assert!(carried_out(&aws).is_empty());
}

#[test]
fn a_lock_that_cannot_be_read_is_respected_and_can_be_broken() {
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    let unknown = "an unknown holder (the lock cannot be read)";
    put_lock(&aws, "by hand");
    for command in [&["up", "--yes"][..], &["down", "--yes"]] {
        let texts = [
            &*format!("stack orders is locked by {unknown}"),
            "threescale-gw unlock --stack orders",
        ];
        assert_mentions(&workplace.run(command), 4, &texts);
    }
    assert!(carried_out(&aws).is_empty());
    let status = workplace.run(&["status"]);
    assert_mentions(&status, 0, &[&format!("locked by {unknown}")]);
    let unlock = workplace.run(&["unlock"]);
    assert_mentions(
        &unlock,
        0,
        &[&format!("released the lock held by {unknown}")],
    );
    workplace.succeed(&["up", "--yes"]);
}

#[test]
fn a_dead_lock_is_taken_over_and_that_is_said() {
    let aws = TestAws::seeded();
    let before = aws.account();
    let workplace = Workplace::new(&aws);
    let read = |path: &str| {
        std::fs::read_to_string(path)
            .expect("this machine")
            .trim()
            .to_owned()
    };
    let (host, boot) = (
        read("/proc/sys/kernel/hostname"),
        read("/proc/sys/kernel/random/boot_id"),
    );
    // No process ID exceeds this value.
    let free = read("/proc/sys/kernel/pid_max")
        .parse::<u32>()
        .expect("a number")
        + 1;
    let mut ended = lock(&host, &boot, free);
    let namespace = std::fs::read_link("/proc/self/ns/pid").expect("a namespace");
    ended["pid_namespace"] = json!(namespace.to_str());
    ended["started"] = json!(1);
    let dead = [
        (
            lock("build-7", "0", 4711),
            200,
            "took over the expired lock of ann@build-7 (process 4711)".to_owned(),
        ),
        (
            ended,
            0,
            format!("took over the expired lock of ann@{host} (process {free})"),
        ),
    ];
    for (lock, age, text) in &dead {
        for command in [["up", "--yes"], ["down", "--yes"]] {
            put_lock(&aws, &lock.to_string());
            aws.post("advance", &json!({"seconds": age}));
            assert_mentions(&workplace.run(&command), 0, &[text]);
        }
        assert_same(&before, &aws.account());
    }
    // What an earlier version says of its process proves nothing: it may be in another container.
    put_lock(&aws, &lock(&host, &boot, free).to_string());
    assert_mentions(&workplace.run(&["up", "--yes"]), 4, &["is locked by ann"]);
}
