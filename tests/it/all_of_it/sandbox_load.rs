//! The sandbox under load, while its parts fail.

use std::process::Stdio;
use std::time::Duration;

use crate::support::eventually;
use crate::support::sandbox::{Foreground, Home, PROGRAM};
use serde_json::Value;

/// Sends load while a part is stopped and started again. Every request is answered, and 3scale counts exactly the
/// allowed requests.
fn under_load(more: &[&str]) -> Value {
    let home = Home::new();
    let mut arguments = vec!["sandbox", "-o", "json", "--load", "200", "--for", "9s"];
    arguments.extend(more);
    let output = home.run(&arguments);
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let document = text.lines().last().expect(&errors);
    let document: Value = serde_json::from_str(document).expect("a document");
    assert_eq!(output.status.code(), Some(0), "{document}\n{errors}");
    let told = "sends 200 requests per second for 9 s to the functions of sandbox 1";
    assert!(errors.contains(told), "{errors}");
    assert_eq!(document["agrees"], true, "{document}");
    assert_eq!(document["usage_allowed"], document["usage_reported"]);
    assert_eq!(document["allowed"], document["usage_allowed"]);
    assert_eq!(
        (&document["decisions"], &document["unanswered"]),
        (&1800.into(), &0.into())
    );
    // Nine out of ten requests belong to an application without limits.
    assert!(document["allowed"].as_u64() >= Some(1600), "{document}");
    home.assert_no_folder_left();
    document
}

/// A signal under load ends everything, including the function instances that serve the load.
#[test]
fn a_signal_under_load_leaves_nothing() {
    let home = Home::new();
    let child = home
        .command(PROGRAM)
        .args(["sandbox", "-q", "--load", "50", "--for", "10m"])
        .stdout(Stdio::null())
        .spawn()
        .expect("the sandbox starts");
    let mut sandbox = Foreground(child);
    // The authorizer might have to be built first, which takes minutes.
    let facts = loop {
        let status = home.said(&["sandbox", "status", "-o", "json"]);
        let status: Value = serde_json::from_str(&status).expect("a document");
        if let Some(facts) = status["sandboxes"].get(0) {
            break facts.clone();
        }
        assert!(
            sandbox.0.try_wait().expect("a status").is_none(),
            "it ended"
        );
        std::thread::sleep(Duration::from_millis(100));
    };
    eventually("a request that reaches 3scale", || {
        home.usage()["calls"]["authorize"].as_u64()
    });
    assert_eq!(sandbox.interrupt(), Some(130));
    home.assert_nothing_left(&facts);
}

#[test]
fn nothing_is_lost_under_load() {
    let document = under_load(&[]);
    assert!(document["hit_rate"].as_f64() > Some(0.95), "{document}");
    assert!(document["calls_saved"].as_u64() > Some(1700), "{document}");
}

#[test]
fn nothing_is_lost_when_redis_is_restarted() {
    // With the events of an HTTP API.
    let document = under_load(&["--chaos", "redis", "--api-type", "http"]);
    let without = &document["chaos"]["without"];
    // While Redis is down, the authorizer calls 3scale directly.
    assert!(without["allowed"].as_u64() > Some(0), "{document}");
    assert!(
        document["calls"]["authrep"].as_u64() > Some(0),
        "{document}"
    );
}

#[test]
fn nothing_is_lost_when_3scale_is_restarted() {
    let document = under_load(&["--chaos", "threescale"]);
    let without = &document["chaos"]["without"];
    // While 3scale is down, the authorizer decides from the data in Redis.
    assert!(without["allowed"].as_u64() > Some(0), "{document}");
    assert!(document["calls"].get("authrep").is_none(), "{document}");
}
