use serde_json::json;

use super::*;
use crate::error::ExitStatus;

fn document() -> Value {
    json!({
        "stack": "orders", "region": "us-east-1", "account": "123456789012", "caller": "arn", "profile": null,
        "account_alias": null, "api": {"id": "a1", "name": "shop", "stage": "prod"}, "attaches": [], "automatic_stages": [],
        "pending": ["GET /new is new"], "costs": {"idle_per_month": 50.01},
        "resources": [{
            "id": "security-group/cache", "kind": "security-group", "physical_id": "sg-1", "state": "ready",
            "action": "update",
            "drift": [{"field": "rule", "from": "tcp 22", "to": "(none)", "before": "tcp 22", "after": null}],
        }],
    })
}

fn text(change: impl FnOnce(&mut Value)) -> String {
    let configuration = json!({"cache": {"node_type": "cache.t4g.micro"}, "stack": "orders"});
    let mut content = content(document(), configuration, "c0de", "2026-11-29T00:00:00Z");
    change(&mut content);
    format!("{content:#}\n")
}

fn whole() -> PlanFile {
    parse("p.json", &text(|_| ())).expect("a plan")
}

#[test]
fn a_written_file_is_read_back_and_names_no_user() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("p.json");
    fs::write(&path, "an older file").expect("written");
    write(&path, &serde_json::from_str(&text(|_| ())).expect("JSON")).expect("written");
    assert_eq!(read(&path).expect("a plan"), whole());
    let metadata = fs::metadata(&path).expect("a file");
    assert!(crate::private::is_private(&metadata));
    let names: Vec<_> = fs::read_dir(folder.path()).expect("a folder").collect();
    assert_eq!(names.len(), 1);
    assert!(!text(|_| ()).contains("\"caller\""));
}

#[test]
fn a_file_that_cannot_be_used_is_refused_with_its_name_and_place() {
    let (usage, refused) = (ExitStatus::Usage, ExitStatus::Refused);
    for (text, status, said) in [
        (
            String::new(),
            usage,
            "p.json:1:1: EOF while parsing a value",
        ),
        (
            "{\n  \"stack\": }".to_owned(),
            usage,
            "p.json:2:12: expected value",
        ),
        (
            "{}".to_owned(),
            refused,
            "p.json: this is no file of `plan --out`",
        ),
        (
            "[]".to_owned(),
            refused,
            "p.json: this is no file of `plan --out`",
        ),
        (
            text(|content| content["version"] = "0.0.9".into()),
            refused,
            "p.json: its version is \"0.0.9\", and this program's is",
        ),
        (
            text(|content| content["format_version"] = 2.into()),
            refused,
            "p.json: its format_version is 2, and",
        ),
        (
            text(|content| content["resources"][0]["action"] = "none".into()),
            refused,
            "p.json:20:3: the file was changed after it was written",
        ),
        (
            text(|content| {
                content["resources"] = json!([]);
                content["stack"] = 7.into();
                content[DIGEST] = digest(content).into();
            }),
            usage,
            "p.json:29:",
        ),
    ] {
        let error = parse("p.json", &text).expect_err("refused");
        assert_eq!(error.status(), status, "{text}");
        assert_eq!(error.code(), Code::PlanFileInvalid);
        let found = error.to_string();
        assert!(found.starts_with(said), "{found}");
    }
    let missing = read(Path::new("/none/p.json")).expect_err("not there");
    assert_eq!(missing.status(), usage);
}

#[test]
fn a_plan_of_something_else_is_named() {
    let mut now = whole();
    assert_eq!(mismatches(&whole(), &now), []);
    now.account = "999999999999".to_owned();
    now.api.stage = "dev".to_owned();
    now.configuration["cache"]["node_type"] = "cache.t4g.small".into();
    now.configuration["tags"] = json!({"team": "a"});
    now.package = "other".to_owned();
    let texts: Vec<_> = mismatches(&whole(), &now)
        .into_iter()
        .map(|finding| finding.message)
        .collect();
    assert_eq!(
        texts,
        [
            "the plan is for account 123456789012, and this run is for 999999999999",
            "the plan is for stage prod, and this run is for dev",
            "the configuration differs: cache.node_type is \"cache.t4g.micro\" in the plan, and \"cache.t4g.small\" now",
            "the configuration differs: tags is null in the plan, and {\"team\":\"a\"} now",
            "the authorizer is another one than that of the plan",
        ]
    );
}

/// What is said about a resource that was like the first and is like the second.
fn said(before: Option<Resource>, after: Option<Resource>) -> Vec<String> {
    let (before, after): (Vec<_>, Vec<_>) =
        (before.into_iter().collect(), after.into_iter().collect());
    let found = resources(&before, &after).into_iter();
    found
        .map(|finding| {
            assert_eq!(finding.code, Code::PlanStale);
            assert_eq!(finding.resource.as_deref(), Some("vpc/main"));
            finding.message
        })
        .collect()
}

fn resource(drift: &[(&str, &str, &str)]) -> Resource {
    let drift = drift.iter().map(|(field, from, to)| Drift {
        field: (*field).to_owned(),
        from: (*from).to_owned(),
        to: (*to).to_owned(),
    });
    Resource {
        id: "vpc/main".to_owned(),
        physical_id: Some("vpc-1".to_owned()),
        state: "ready".to_owned(),
        action: "update".to_owned(),
        drift: drift.collect(),
    }
}

#[test]
fn each_way_to_change_has_its_words() {
    let plain = || resource(&[]);
    let with = |change: fn(&mut Resource)| {
        let mut resource = plain();
        change(&mut resource);
        Some(resource)
    };
    assert_eq!(said(Some(plain()), Some(plain())), [""; 0]);
    for (before, after, text) in [
        (Some(plain()), None, "vpc-1 is gone"),
        (None, Some(plain()), "vpc-1 is there, and not in the plan"),
        (
            Some(plain()),
            with(|one| one.physical_id = None),
            "vpc-1 was deleted since the plan",
        ),
        (
            with(|one| one.physical_id = None),
            Some(plain()),
            "vpc-1 was created since the plan",
        ),
        (
            Some(plain()),
            with(|one| one.physical_id = Some("vpc-2".to_owned())),
            "vpc-2 has taken the place of vpc-1 since the plan",
        ),
        (
            Some(plain()),
            with(|one| one.state = "deleting".to_owned()),
            "its state was ready and is deleting",
        ),
        (
            Some(plain()),
            with(|one| one.action = "replace".to_owned()),
            "the plan is to update it, and now to replace it",
        ),
        (
            Some(plain()),
            Some(resource(&[("rule", "tcp 22", "(none)")])),
            "rule tcp 22 was added since the plan",
        ),
        (
            Some(plain()),
            Some(resource(&[("rule", "(none)", "tcp 6379")])),
            "rule tcp 6379 was removed since the plan",
        ),
        (
            Some(resource(&[("memory", "64 MB", "128 MB")])),
            Some(resource(&[("memory", "256 MB", "128 MB")])),
            "memory was 64 MB and is 256 MB",
        ),
        (
            Some(plain()),
            Some(resource(&[("memory", "256 MB", "128 MB")])),
            "memory differs since the plan: 256 MB -> 128 MB",
        ),
        (
            Some(resource(&[("memory", "256 MB", "128 MB")])),
            Some(plain()),
            "memory differs no longer since the plan: 256 MB -> 128 MB",
        ),
    ] {
        assert_eq!(said(before, after), [format!("vpc/main: {text}")]);
    }
}

#[test]
fn what_a_deployment_publishes_is_compared() {
    let mut now = whole();
    now.pending = vec!["GET /other is new".to_owned()];
    now.attaches = vec!["GET /orders: NONE -> protected".to_owned()];
    let found = differences(&whole(), &now).into_iter();
    let texts: Vec<_> = found.map(|finding| finding.message).collect();
    let begin = "api-attachment/main: ";
    assert_eq!(
        texts,
        [
            "a change of the API was added since the plan: GET /orders: NONE -> protected",
            "an undeployed change of others was added since the plan: GET /other is new",
            "an undeployed change of others is gone since the plan: GET /new is new",
        ]
        .map(|text| format!("{begin}{text}"))
    );
}
