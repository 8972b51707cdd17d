//! The sandbox: one command starts the whole system on this machine, requests pass through all of it, and nothing
//! remains after it ends.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use crate::support::sandbox::{Foreground, Home, PROGRAM, reported, request, totals};
use crate::support::{built, eventually};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use threescale_stand_in::http::{Response, Server};

/// A free port outside the range from which the operating system assigns ports.
fn free_port() -> u16 {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").expect("a range");
    let first = range.split_whitespace().next().expect("its beginning");
    let first: u16 = first.parse().expect("a number");
    (1024..first)
        .rev()
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}

/// Two sandboxes share nothing. Allowed requests appear at 3scale on the reporter's schedule, the other commands work
/// against the sandbox, and Ctrl-C leaves nothing behind.
#[test]
fn requests_flow_through_all_of_it() {
    let home = Home::new();
    let port = free_port().to_string();
    let (first, one) = Foreground::start(&home, &["--port", &port]);
    let (second, two) = Foreground::start(&home, &[]);
    assert_eq!((&one["number"], &two["number"]), (&1.into(), &2.into()));
    assert_eq!(one["endpoint"], format!("http://127.0.0.1:{port}"));
    for name in ["endpoint", "backend", "control", "redis_port", "config"] {
        assert_ne!(one[name], two[name], "{name}");
    }
    let url = one["url"].as_str().expect("a URL");
    let orders = format!("{url}/orders");
    let key = |key: &'static str| [("apikey", key)];
    assert_eq!(request("GET", &format!("{url}/health"), &[]).0, 200);
    assert_eq!(request("OPTIONS", &orders, &[]).0, 200);
    for (headers, status, reason) in [
        (&[][..], 401, "credential_missing"),
        (&key("no-such-key"), 403, "user_key_invalid"),
        (&key("sandbox-suspended"), 403, "application_not_active"),
    ] {
        let (answered, body) = request("GET", &orders, headers);
        let body: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!((answered, &body["error"]), (status, &Value::from(reason)));
    }
    for (method, path) in [("GET", "orders"), ("POST", "orders"), ("GET", "products")] {
        let (status, body) = request(method, &format!("{url}/{path}"), &key("sandbox-unlimited"));
        assert_eq!(
            (status, body.as_str()),
            (200, r#"{"answer": "of the backend"}"#)
        );
    }
    let passed = (0..11).filter(|_| request("GET", &orders, &key("sandbox-five")).0 == 200);
    let passed = passed.count();
    // Eleven requests sent at once fall into one minute or two.
    assert!(
        (5..=10).contains(&passed),
        "{passed} passed a limit of 5 a minute"
    );
    // The requests of `verify` with an accepted key count as usage.
    let verified = home.said(&["verify", "--sandbox=1", "--key", "sandbox-unlimited"]);
    let proven = verified.matches("good key").count() as u64;
    assert_eq!(proven, 2, "{verified}");
    home.said(&["status", "--sandbox=1", "--deep", "--exit-code"]);

    let logs = home.said(&["logs", "--sandbox=1"]);
    for refusal in ["reason=user_key_invalid", "reason=application_not_active"] {
        assert!(logs.contains(refusal), "{logs}");
    }

    // With the flag alone, the other commands find no changes.
    let plan = home.run(&["plan", "--sandbox=1", "--exit-code"]);
    assert_eq!(plan.status.code(), Some(0));
    // The same holds with only the environment variables for other tools. A flag takes precedence over them.
    let led = home.environment(&two);
    for (arguments, facts) in [
        (&["plan", "--exit-code"][..], &two),
        (&["plan", "--exit-code", "--sandbox=1"], &one),
    ] {
        let command = &mut home.command(PROGRAM);
        command.args(arguments).envs(&led);
        let plan = command
            .current_dir(home.dir.path())
            .output()
            .expect("it runs");
        let said = format!("{plan:?}");
        assert_eq!(plan.status.code(), Some(0), "{said}");
        let url = facts["url"].as_str().expect("a URL");
        let api = url.rsplit('/').nth(1).expect("an id");
        let verify = &mut home.command(PROGRAM);
        verify.args(["verify", "-o", "json"]).args(&arguments[2..]);
        let verify = verify.envs(&led).output().expect("it runs");
        let said = String::from_utf8_lossy(&verify.stdout);
        assert!(said.contains(api), "{said}");
    }
    let status = home.said(&["status", "--sandbox", "-o", "json"]);
    let status: Value = serde_json::from_str(&status).expect("a document");
    assert_eq!(status["healthy"], true);
    assert!(url.contains(status["api"]["id"].as_str().expect("an id")));

    // All of it is counted by 3scale, or waits in Redis.
    let all = 3 + proven + passed as u64;
    let usage = home.usage();
    let counted: u64 = totals(&usage).iter().sum();
    let waiting = usage["not_reported"].as_u64().expect("a number");
    assert!(counted + waiting >= all, "{usage}");
    let usage = reported(|| {
        let usage = home.usage();
        let is_all = totals(&usage) == [3 + proven, passed as u64, 0];
        let is_reported = is_all && usage["not_reported"] == 0;
        is_reported.then_some(usage.clone()).ok_or(usage)
    });
    assert_eq!(usage["lost_batches"], serde_json::json!([]));
    // The API is open again, as before the stack.
    home.said(&["rollback", "--sandbox=2"]);
    let of_second = format!("{}/orders", two["url"].as_str().expect("a URL"));
    assert_eq!(request("GET", &of_second, &[]).0, 200);
    let status = home.said(&["status", "--sandbox=2", "-o", "json"]);
    let status: Value = serde_json::from_str(&status).expect("a document");
    assert_eq!(status["api"]["rolled_back"], true, "{status}");
    let methods = status["api"]["methods"].as_array().expect("a list");
    assert!(
        methods.iter().all(|method| method["protected"] == false),
        "{status}"
    );
    assert_eq!(second.interrupt(), Some(0));
    home.assert_gone(&two);
    assert_eq!(request("GET", &orders, &key("sandbox-unlimited")).0, 200);
    assert_eq!(first.interrupt(), Some(0));
    home.assert_nothing_left(&one);
}

/// The API as text: the authorization of its methods, its authorizers, and its gateway responses.
fn api_of(home: &Home, facts: &Value) -> Vec<String> {
    let url = facts["url"].as_str().expect("a URL");
    let id = url.rsplit('/').nth(1).expect("an id");
    [
        "resources?embed=methods",
        "authorizers",
        "gatewayresponses",
        "deployments",
        "stages",
    ]
    .map(|part| {
        let (status, body) = home.call(facts, "apigateway", &format!("/restapis/{id}/{part}"), &[]);
        assert_eq!(status, 200, "{part}: {body}");
        body
    })
    .into()
}

/// Listens, but never accepts a connection or responds.
fn silent() -> (std::net::TcpListener, u16) {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    (listener, port)
}

/// Runs the real authorizer in a real Lambda runtime while one of its dependencies is stopped, silent, speaks another
/// protocol, or refuses. `up` names the dependency and leaves the API unchanged.
#[test]
fn up_proves_the_authorizer_before_it_touches_the_api() {
    let home = Home::new();
    let (sandbox, facts) = Foreground::start(&home, &[]);
    home.said(&["down", "--sandbox", "--yes"]);
    let before = api_of(&home, &facts);
    let config = facts["config"].as_str().expect("a path");
    let config = std::fs::read_to_string(config).expect("a configuration");
    let backend = facts["backend"].as_str().expect("an address");
    let redis = facts["redis_port"].as_u64().expect("a port");
    let ((_hangs, hangs), closed) = (silent(), "127.0.0.1:1");
    // A web server that is not 3scale.
    let elsewhere = Server::start(Arc::new(|_| Response::new(404, "")));
    let plain = backend.trim_start_matches("http://");
    let broken = home.dir.path().join("broken.yaml");
    let with_backend = |address: &str| config.replace(backend, address);
    let with_cache = |url: &str| {
        let (head, _) = config.split_once("cache:").expect("a cache");
        format!("{head}cache: {{url: \"{url}\"}}\n")
    };
    for (text, cause) in [
        (
            with_backend(&format!("http://{closed}")),
            "threescale (refused)",
        ),
        (
            with_backend(&format!("http://127.0.0.1:{hangs}")),
            "threescale (timeout)",
        ),
        (
            with_backend("https://threescale.invalid"),
            "threescale (dns)",
        ),
        (
            with_backend(&format!("https://{plain}")),
            "threescale (tls)",
        ),
        (with_backend(&elsewhere.url()), "threescale (http_status)"),
        (with_cache(&format!("redis://{closed}")), "redis (refused)"),
        (
            with_cache(&format!("redis://127.0.0.1:{hangs}")),
            "redis (timeout)",
        ),
        (with_cache(&format!("redis://{plain}")), "redis (protocol)"),
        (with_cache("redis://redis.invalid"), "redis (dns)"),
        (
            with_cache(&format!("rediss://127.0.0.1:{redis}")),
            "redis (tls)",
        ),
        (
            with_cache(&format!("redis://:wrong@127.0.0.1:{redis}")),
            "redis (auth)",
        ),
    ] {
        assert_ne!(text, config, "{cause}");
        std::fs::write(&broken, text).expect("a file");
        let file = broken.to_str().expect("text");
        let up = home.run(&["up", "--sandbox", "--yes", "-f", file]);
        let said = String::from_utf8_lossy(&up.stderr);
        assert_eq!(up.status.code(), Some(1), "{cause}: {said}");
        assert!(said.contains(cause), "{cause}: {said}");
        let is_3scale = cause.starts_with("threescale") && !cause.contains("dns");
        assert_eq!(
            said.contains("are not checked from this machine"),
            is_3scale,
            "{cause}: {said}"
        );
        assert!(said.contains("the API was not changed"), "{cause}: {said}");
        assert!(
            !said.contains("sandbox-token") && !said.contains("wrong@"),
            "{said}"
        );
        assert_eq!(api_of(&home, &facts), before, "{cause}");
    }
    // A wrong token is refused before anything is made.
    let text = config.replace("sandbox-token", "another-token");
    std::fs::write(&broken, text).expect("a file");
    let file = broken.to_str().expect("text");
    let up = home.run(&["up", "--sandbox", "--yes", "-f", file]);
    let said = String::from_utf8_lossy(&up.stderr);
    assert_eq!(up.status.code(), Some(4), "{said}");
    assert!(said.contains("service_token_invalid"), "{said}");
    assert!(!said.contains("another-token"), "{said}");
    home.said(&["up", "--sandbox", "--yes"]);
    assert_eq!(sandbox.interrupt(), Some(0));
}

/// A custom configuration, limits, and API, with credentials of another kind in another place.
#[test]
fn ones_own_configuration_limits_and_api() {
    let home = Home::new();
    let file = |name: &str, text: &str| {
        let path = home.dir.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    // An architecture that differs from this machine's.
    let other = match std::env::consts::ARCH {
        "x86_64" => "arm64",
        _ => "x86_64",
    };
    // So many that they do not fit into the environment of the functions.
    let more = (0..2000_u32).map(|number| {
        let noise = number.wrapping_mul(2_654_435_761);
        format!("    - {{method: GET, pattern: '/v2/{noise:x}/{{id}}', metric: reads}}\n")
    });
    let more: String = more.collect();
    let config = file(
        "mine.yaml",
        &r#"
stack: mine
api: {id: a1b2c3d4e5, stage: live, protect: ["ANY /v1/*"], except: ["GET /v1/free/*"]}
threescale:
  service_id: "42"
  service_token: ${A_TOKEN_THAT_IS_NOT_SET}
  credentials: {kind: app_id, in: query, name: id, key_name: secret}
  mapping_rules:
MORE    - {method: GET, pattern: "/v1/items/{id}", metric: reads, delta: 2}
    - {method: POST, pattern: "/v1/items", metric: writes}
network: {vpc: vpc-0123456789abcdef0, subnets: [subnet-0123456789abcdef0, subnet-0123456789abcdef1]}
authorizer: {architecture: OTHER}
deletion_protection: true
"#
        .replace("OTHER", other)
        .replace("MORE", &more),
    );
    let limits = file(
        "limits.yaml",
        r"
mode: app_id
metrics: [{name: reads, parent: hits}, {name: writes, parent: hits}]
applications:
  - {id: shop, app_keys: [one, two], limits: [{metric: reads, period: year, max: 6}]}
  - {id: free}
",
    );
    let api = file(
        "api.yaml",
        r"
openapi: 3.0.1
paths:
  /open: {get: {}}
  /v1/free/of/charge: {get: {}}
  /v1/items: {get: {}, post: {}}
  /v1/items/{id}: {get: {}}
  /v1/nothing: {get: {}}
",
    );
    let given = ["--config", &config, "--limits", &limits, "--api", &api];
    let (sandbox, facts) = Foreground::start(&home, &given);
    let url = facts["url"].as_str().expect("a URL");
    assert!(url.ends_with("/live"), "{url}");
    let status = |method: &str, path: &str| request(method, &format!("{url}{path}"), &[]).0;
    assert_eq!(status("GET", "/open"), 200);
    assert_eq!(status("GET", "/v1/free/of/charge"), 200);
    assert_eq!(status("GET", "/v1/items/7"), 401);
    assert_eq!(status("GET", "/v1/items/7?id=shop&secret=three"), 403);
    assert_eq!(status("GET", "/v1/items/7?id=nobody"), 403);
    // A read counts 2, and the limit is 6 a year.
    let reads = ["one", "two", "one", "two"]
        .map(|key| status("GET", &format!("/v1/items/7?id=shop&secret={key}")));
    assert_eq!(reads, [200, 200, 200, 403]);
    assert_eq!(status("POST", "/v1/items?id=shop&secret=one"), 200);
    assert_eq!(status("POST", "/v1/items?id=free"), 200);
    // No mapping rule matches, so the request has no metric to count.
    assert_eq!(status("GET", "/v1/nothing?id=free"), 403);
    let usage = home.usage();
    assert_eq!(usage["service"], "42");
    assert_eq!(usage["applications"][0]["limits"][0]["max"], 6);
    let text = std::fs::read_to_string(facts["config"].as_str().expect("a path"));
    assert!(!text.expect("a file").contains("A_TOKEN_THAT_IS_NOT_SET"));
    assert_eq!(sandbox.interrupt(), Some(0));
    home.assert_nothing_left(&facts);
}

/// The keys of the template, as `section.key` inside a section, whether or not they are commented out.
fn keys_of_the_template() -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    let mut section = String::new();
    for line in include_str!("../../../templates/threescale-gw.yaml").lines() {
        let text = line.trim_start_matches([' ', '#']);
        let Some((key, _)) = text.split_once(':') else {
            continue;
        };
        let is_key = !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        if !is_key {
            continue;
        }
        if line.starts_with("  ") || line.starts_with("#  ") {
            keys.insert(format!("{section}.{key}"));
        } else {
            key.clone_into(&mut section);
            keys.insert(key.to_owned());
        }
    }
    keys
}

/// Changes every key of the template that can differ in a sandbox, all at once and back again. `up` applies the
/// changes, and then there are no changes left.
#[test]
fn every_key_of_the_template_can_be_changed_there() {
    // Keys that stay as they are: the stack's name, what the stand-in defines, and the sandbox's Redis. Keys that do
    // not work in a sandbox: a program for another architecture or a custom artifact, an existing network, addresses,
    // policies, roles and keys that an account must have, and an ElastiCache cache of the emulator, which has no password.
    let fixed = [
        "authorizer.architecture",
        "authorizer.artifact",
        "authorizer.kms_key",
        "authorizer.permissions_boundary",
        "authorizer.role_arn",
        "authorizer.security_groups",
        "cache.engine",
        "cache.engine_version",
        "cache.kind",
        "cache.node_type",
        "cache.replicas",
        "cache.tls",
        "network.elastic_ips",
        "network.route",
        "network.subnet_cidrs",
        "network.subnets",
        "network.vpc",
    ];
    let home = Home::new();
    let (sandbox, facts) = Foreground::start(&home, &[]);
    let path = facts["config"].as_str().expect("a path");
    let example = std::fs::read_to_string(path).expect("a configuration");
    let url = facts["url"].as_str().expect("a URL");
    let api = url.rsplit('/').nth(1).expect("an id");
    let backend = facts["backend"].as_str().expect("an address");
    let (head, _) = example.split_once("api:").expect("an API");
    let (_, cache) = example.split_once("cache:").expect("a cache");
    let threescale = |more: &str| {
        let (_, rest) = example.split_once("threescale:").expect("a service");
        let (own, _) = rest.split_once("cache:").expect("a cache");
        format!("threescale:{own}{more}")
    };
    let changed = format!(
        r#"{head}
account: "123456789012"
region: us-east-1
tags: {{team: payments}}
api: {{id: "{api}", stage: prod, usage_key: user_key, protect: ["GET /orders", "POST /orders", "GET /health"], except: ["POST /orders"], responses: {{limits: 429, types: [UNAUTHORIZED, ACCESS_DENIED]}}}}
{}
network: {{cidr: 10.43.0.0/16, zones: 3, nat: per-zone, endpoints: true}}
cache:{}
authorizer: {{memory: 256, caching: resilient, max_age: 30s, report_every: 2m, log_retention_days: 7}}
monitoring: {{topic: "arn:aws:sns:us-east-1:123456789012:alarms", dashboard: true, metrics: all}}
deletion_protection: true
"#,
        threescale(
            "  allow_plain_http: true
  ca_file: authority.pem
  timeout: 2s
  credentials: {kind: user_key, in: query, name: key}
  mapping_rules: [{method: GET, pattern: /orders, metric: hits, delta: 2, last: true}]"
        )
        .replace(backend, &backend.replace("127.0.0.1", "localhost")),
        cache.replace("127.0.0.1", "localhost"),
    );
    // Every request is allowed, so what the other keys change would not show.
    let observed = changed.replacen(
        "authorizer: {",
        "authorizer: {mode: observe, report: false, ",
        1,
    );
    let other_stage = format!(
        "{head}api: {{name: orders-api, stage: other}}\n{}\ncache:{cache}",
        threescale("")
    );
    let document = |text: &str| -> Value { serde_yaml::from_str(text).expect("YAML") };
    let mut left = keys_of_the_template();
    assert!(left.len() > 30, "{left:?}");
    for (section, value) in [&observed, &other_stage]
        .iter()
        .flat_map(|text| document(text).as_object().cloned().expect("a mapping"))
    {
        left.remove(&section);
        for (key, _) in value.as_object().into_iter().flatten() {
            left.remove(&format!("{section}.{key}"));
        }
    }
    assert_eq!(left, fixed.map(str::to_owned).into());

    let stages = format!("/restapis/{api}/stages");
    let deployments = format!("/restapis/{api}/deployments");
    let (_, all) = home.call(&facts, "apigateway", &deployments, &[]);
    let all: Value = serde_json::from_str(&all).expect("JSON");
    let all = all["item"].as_array().expect("a list");
    let is_ours = |found: &&Value| {
        let description = found["description"].as_str().unwrap_or_default();
        description.starts_with("threescale-gw-")
    };
    // A stage can leave the stack if it had a deployment without the authorizer.
    let former = all
        .iter()
        .find(|found| !is_ours(found))
        .expect("one of the owner");
    let other = serde_json::json!({"stageName": "other", "deploymentId": former["id"]});
    let body = other.to_string();
    let json = "content-type: application/json";
    let (made, said) = home.call(&facts, "apigateway", &stages, &["-H", json, "-d", &body]);
    assert_eq!(made, 201, "{said}");
    let authority = include_bytes!("../support/authority.pem");
    std::fs::write(home.dir.path().join("authority.pem"), authority).expect("a file");
    let file = home.dir.path().join("changed.yaml");
    for (what, text, stage, query, header) in [
        ("changed", &changed, "prod", "?key=sandbox-unlimited", ""),
        ("observed", &observed, "prod", "", ""),
        (
            "another stage",
            &other_stage,
            "other",
            "",
            "sandbox-unlimited",
        ),
        ("as before", &example, "prod", "", "sandbox-unlimited"),
    ] {
        std::fs::write(&file, text).expect("a file");
        let file = file.to_str().expect("text");
        let run = |arguments: &[&str]| {
            let run = home.run(&[arguments, &["--sandbox", "-f", file]].concat());
            let said = String::from_utf8_lossy(&run.stderr).into_owned();
            let shown = String::from_utf8_lossy(&run.stdout).into_owned();
            (
                run.status.code(),
                format!("{what}: {arguments:?}: {said}\n{shown}"),
            )
        };
        for (arguments, code) in [
            (&["plan", "--exit-code"][..], 3),
            (&["up", "--yes"], 0),
            (&["plan", "--exit-code"], 0),
        ] {
            let (ended, said) = run(arguments);
            assert_eq!(ended, Some(code), "{said}");
        }
        let orders = format!("{}/{stage}/orders{query}", url.trim_end_matches("/prod"));
        assert_eq!(
            request("GET", &orders, &[("apikey", header)]).0,
            200,
            "{what}"
        );
        if what == "observed" {
            eventually("the request without a key", || {
                let (_, said) = run(&["report", "-o", "json"]);
                said.contains(r#""group":"no_key""#).then_some(())
            });
        }
    }
    assert_eq!(sandbox.interrupt(), Some(0));
}

/// A program of a release whose zip file cannot be downloaded starts a sandbox with what it builds.
#[test]
fn a_program_of_a_release_builds_the_authorizer_if_told_to() {
    let home = Home::new();
    let version: Value =
        serde_json::from_str(&home.said(&["version", "-o", "json"])).expect("a document");
    let architecture = built::host();
    let source = version["authorizer"][architecture].as_str();
    let source = source.expect("a digest");
    let zips = home.dir.path().join("zips.txt");
    let line = format!("{architecture} {source} {}\n", "0".repeat(64));
    std::fs::write(&zips, line).expect("a file");
    let run = |more: &[&str]| {
        let mut command = home.command(PROGRAM);
        command.args(["sandbox", "--once"]).args(more);
        command.env("THREESCALE_GW_RELEASE_ZIPS", &zips);
        command.env("THREESCALE_GW_RELEASE_URL", "https://127.0.0.1:1/v1/");
        let output = command.output().expect("it runs");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), text)
    };
    let (code, text) = run(&[]);
    assert_eq!(code, Some(4), "{text}");
    assert!(
        text.contains("https://127.0.0.1:1/v1/") && text.contains("--build"),
        "{text}"
    );
    let (code, text) = run(&["--build"]);
    assert_eq!(code, Some(0), "{text}");
    home.assert_no_folder_left();
}

/// If `sandbox --detach` receives a signal, or if its foreground process is killed while it starts, everything ends.
#[test]
fn a_sandbox_that_is_to_be_kept_ends_with_its_start() {
    let home = Home::new();
    // The first line of output, during preparation, and a line from the time when the servers run.
    let (early, late) = ("", "created the REST API");
    for (moment, signal, code) in [
        (early, Signal::INT, Some(130)),
        (early, Signal::KILL, None),
        (late, Signal::TERM, Some(130)),
        (late, Signal::KILL, None),
    ] {
        let child = home
            .command(PROGRAM)
            .args(["sandbox", "--detach"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the sandbox starts");
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let mut sandbox = Foreground(child);
        let errors = BufReader::new(sandbox.0.stderr.take().expect("its errors"));
        let mut lines = errors.lines().map_while(Result::ok);
        let mut said = Vec::new();
        let begins = lines.any(|line| {
            said.push(line);
            said.last().is_some_and(|line| line.contains(moment))
        });
        assert!(begins, "it ended: {said:?}");
        eventually("its folder", || {
            let mut found = std::fs::read_dir(home.temporary()).ok()?;
            found.next().map(|_| ())
        });
        kill_process(pid.expect("a process id"), signal).expect("a signal");
        assert_eq!(sandbox.0.wait().expect("a status").code(), code);
        home.assert_no_process_left();
        home.assert_no_folder_left();
        let status = home.said(&["sandbox", "status"]);
        assert!(status.contains("no sandbox is running"), "{status}");
    }
}

/// Each missing prerequisite is reported in one line with a remedy, and nothing starts.
#[test]
fn what_is_missing_is_said_in_one_line() {
    let home = Home::new();
    let fail = |arguments: &[&str], path: &str, cache: &Path| {
        let mut command = home.command(PROGRAM);
        command
            .args(arguments)
            .env("PATH", path)
            .env("THREESCALE_GW_CACHE", cache)
            // A package index that is not reachable.
            .envs([
                ("PIP_INDEX_URL", "http://127.0.0.1:1/simple"),
                ("PIP_CONFIG_FILE", "/dev/null"),
                ("PIP_RETRIES", "0"),
            ]);
        let output = command.output().expect("the program runs");
        let text = String::from_utf8(output.stderr).expect("text");
        let errors: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("error["))
            .collect();
        assert_eq!(errors.len(), 1, "{text}");
        (output.status.code(), errors[0].to_owned())
    };
    let cache = home.dir.path().join("cache");
    let empty = home.temporary().display().to_string();
    for arguments in [["sandbox"].as_slice(), &["sandbox", "--keep"]] {
        let (code, error) = fail(arguments, &empty, &cache);
        assert_eq!(code, Some(1));
        assert!(
            error.contains("there is no `python3`: the sandbox needs Python 3.10"),
            "{error}"
        );
    }
    let usual = std::env::var("PATH").unwrap_or_default();
    let (code, error) = fail(&["sandbox", "-q"], &usual, &cache);
    assert_eq!(code, Some(1), "{error}");
    assert!(
        error.contains("the network and a package index are needed once"),
        "{error}"
    );
    for (arguments, wanted) in [
        (
            ["sandbox", "--config", "/none.yaml"],
            "/none.yaml: reading it",
        ),
        (["sandbox", "--limits", "/none.yaml"], "reading /none.yaml"),
        (["sandbox", "--api", "/none.yaml"], "/none.yaml: reading it"),
        (["sandbox", "usage", "-q"], "no sandbox is running"),
        (["status", "--sandbox=3", "-q"], "no sandbox 3 is running"),
    ] {
        let (code, error) = fail(&arguments, &usual, &cache);
        assert_eq!(code, Some(2), "{error}");
        assert!(error.contains(wanted), "{error}");
    }

    // A port that is in use. The packages are already installed.
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let shared = home.shared();
    let (code, error) = fail(&["sandbox", "--port", &port, "-q"], &usual, &shared);
    assert_eq!(code, Some(1), "{error}");
    let wanted =
        format!("port {port} of 127.0.0.1 is not available: stop the process that listens on it");
    assert!(error.contains(&wanted), "{error}");
    home.assert_no_folder_left();
}
