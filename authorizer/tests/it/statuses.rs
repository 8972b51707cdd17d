//! Every row of the reference's table of statuses (section 6), through a real decision: the answer, and what the cache
//! stores of it.

use authorizer::answer::Effect;
use authorizer::backend::{Answer, Backend, Call};
use authorizer::credentials::Credential;
use authorizer::decide::Source;
use serde_json::json;

use crate::support::gateway::{World, decide, event};
use crate::support::threescale::{Fault, Mode, SERVICE, TOKEN};

const ERROR_HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8"?>"#;

type Row = (
    u16,
    Option<&'static str>,
    String,
    Effect,
    &'static str,
    bool,
);

/// Answers that 3scale can give about a caller: status, reason header, body; then the effect and the reason of the
/// decision, and whether the next request is answered from the cache.
#[test]
fn every_row_of_the_table() {
    let status = |authorized: &str, reason: &str| {
        format!(
            "{ERROR_HEAD}<status><authorized>{authorized}</authorized>{reason}<plan>Free</plan></status>"
        )
    };
    let error =
        |code: &str, text: &str| format!("{ERROR_HEAD}<error code=\"{code}\">{text}</error>");
    let reason = |text: &str| status("false", &format!("<reason>{text}</reason>"));
    let rows: Vec<Row> = vec![
        (
            200,
            None,
            status("true", ""),
            Effect::Allow,
            "authorized",
            true,
        ),
        (
            409,
            Some("limits_exceeded"),
            reason("usage limits are exceeded"),
            Effect::Deny,
            "limits_exceeded",
            true,
        ),
        // The limits are reported, and none of them explains the refusal.
        (
            409,
            Some("limits_exceeded"),
            status("false", "<reason>usage limits are exceeded</reason>").replace(
                "</status>",
                "<usage_reports><usage_report metric=\"hits\" period=\"eternity\"><max_value>9</max_value>\
                 <current_value>3</current_value></usage_report></usage_reports></status>",
            ),
            Effect::Deny,
            "limits_exceeded",
            true,
        ),
        (
            409,
            Some("application_key_invalid"),
            reason("application key \"<b>&\" is invalid"),
            Effect::Deny,
            "application_key_invalid",
            true,
        ),
        (
            409,
            Some("application_key_invalid"),
            reason("application key is missing"),
            Effect::Deny,
            "application_key_invalid",
            true,
        ),
        (
            409,
            Some("application_not_active"),
            reason("application is not active"),
            Effect::Deny,
            "application_not_active",
            true,
        ),
        (
            409,
            Some("service_not_active"),
            reason("service is not active"),
            Effect::Deny,
            "service_not_active",
            true,
        ),
        (
            409,
            Some("referrer_not_allowed"),
            reason("referrer is missing"),
            Effect::Deny,
            "referrer_not_allowed",
            true,
        ),
        (
            409,
            Some("oauth_not_enabled"),
            reason("oauth is not enabled"),
            Effect::Deny,
            "oauth_not_enabled",
            true,
        ),
        (
            409,
            Some("redirect_uri_invalid"),
            reason("redirect_uri \"x\" is invalid"),
            Effect::Deny,
            "redirect_uri_invalid",
            true,
        ),
        (
            409,
            Some("redirect_url_invalid"),
            reason("redirect_url \"x\" is invalid"),
            Effect::Deny,
            "redirect_url_invalid",
            true,
        ),
        (409, None, reason("who knows"), Effect::Deny, "denied", true),
        (
            409,
            Some("who_knows"),
            reason("who knows"),
            Effect::Deny,
            "denied",
            true,
        ),
        (
            403,
            None,
            error("user_key_invalid", "user key \"x\" is invalid"),
            Effect::Deny,
            "user_key_invalid",
            true,
        ),
        (
            403,
            None,
            error(
                "authentication_error",
                "either app_id or user_key is allowed, not both",
            ),
            Effect::Deny,
            "authentication_error",
            true,
        ),
        (
            404,
            None,
            error(
                "application_not_found",
                "application with id=\"x\" was not found",
            ),
            Effect::Deny,
            "application_not_found",
            true,
        ),
        (
            409,
            Some("referrer_not_allowed"),
            reason("referrer \"<x>&\" is not allowed"),
            Effect::Deny,
            "referrer_not_allowed",
            true,
        ),
        (
            403,
            None,
            error("user_key_invalid", "user key is missing"),
            Effect::Deny,
            "user_key_invalid",
            true,
        ),
        (
            404,
            None,
            error("application_not_found", "application id is missing"),
            Effect::Deny,
            "application_not_found",
            true,
        ),
        (
            403,
            None,
            error(
                "usage_value_invalid",
                "usage value for metric \"hits\" can not be empty",
            ),
            Effect::Deny,
            "denied",
            true,
        ),
        (
            404,
            None,
            error("metric_invalid", "metric \"hits\" is invalid"),
            Effect::Deny,
            "misconfigured",
            false,
        ),
        (
            403,
            None,
            error(
                "usage_value_invalid",
                "usage value \"x\" for metric \"hits\" is invalid",
            ),
            Effect::Deny,
            "denied",
            true,
        ),
        (
            403,
            None,
            error(
                "provider_key_or_service_token_required",
                "Provider key or service token are required",
            ),
            Effect::Deny,
            "misconfigured",
            false,
        ),
        (
            403,
            None,
            error("provider_key_invalid", "provider key \"x\" is invalid"),
            Effect::Deny,
            "misconfigured",
            false,
        ),
        (
            403,
            None,
            error("provider_key_invalid_or_service_missing", "x"),
            Effect::Deny,
            "misconfigured",
            false,
        ),
        (
            403,
            None,
            error(
                "service_token_invalid",
                "service token \"x\" or service id \"y\" is invalid",
            ),
            Effect::Deny,
            "misconfigured",
            false,
        ),
        (
            403,
            None,
            error("service_id_invalid", "service id \"x\" is invalid"),
            Effect::Deny,
            "misconfigured",
            false,
        ),
        (
            403,
            None,
            String::new(),
            Effect::Deny,
            "denied",
            true,
        ),
        (
            404,
            None,
            String::new(),
            Effect::Deny,
            "denied",
            true,
        ),
        (
            422,
            None,
            error("service_id_missing", "Service ID is missing"),
            Effect::Deny,
            "misconfigured",
            false,
        ),
        (
            422,
            None,
            error("not_valid_data", "all data must be valid UTF8"),
            Effect::Deny,
            "denied",
            true,
        ),
        (
            400,
            None,
            error(
                "bad_request",
                "Invalid query parameters: invalid %-encoding",
            ),
            Effect::Deny,
            "denied",
            true,
        ),
        (
            400,
            None,
            error("end_users_no_longer_supported", "x"),
            Effect::Deny,
            "denied",
            true,
        ),
        (
            400,
            None,
            String::new(),
            Effect::Deny,
            "denied",
            true,
        ),
        (
            500,
            None,
            "Internal Server Error".to_owned(),
            Effect::Deny,
            "backend_unavailable",
            false,
        ),
        (
            500,
            None,
            String::new(),
            Effect::Deny,
            "backend_unavailable",
            false,
        ),
        (
            502,
            None,
            "<html>".to_owned(),
            Effect::Deny,
            "backend_unavailable",
            false,
        ),
        (
            503,
            None,
            String::new(),
            Effect::Deny,
            "backend_unavailable",
            false,
        ),
        (
            504,
            None,
            String::new(),
            Effect::Deny,
            "backend_unavailable",
            false,
        ),
        (
            403,
            None,
            "<html>Request blocked</html>".to_owned(),
            Effect::Deny,
            "denied",
            true,
        ),
        (
            414,
            None,
            String::new(),
            Effect::Deny,
            "denied",
            true,
        ),
        (
            408,
            None,
            String::new(),
            Effect::Deny,
            "backend_unavailable",
            false,
        ),
        (
            421,
            None,
            String::new(),
            Effect::Deny,
            "backend_unavailable",
            false,
        ),
        (
            425,
            None,
            String::new(),
            Effect::Deny,
            "backend_unavailable",
            false,
        ),
        (
            429,
            None,
            "slow down".to_owned(),
            Effect::Deny,
            "backend_unavailable",
            false,
        ),
        (
            302,
            None,
            String::new(),
            Effect::Deny,
            "denied",
            true,
        ),
        (
            204,
            None,
            String::new(),
            Effect::Deny,
            "denied",
            true,
        ),
        (
            200,
            None,
            String::new(),
            Effect::Deny,
            "backend_unavailable",
            false,
        ),
        (
            200,
            None,
            "<status>".to_owned(),
            Effect::Deny,
            "backend_unavailable",
            false,
        ),
        (
            200,
            None,
            status("false", ""),
            Effect::Deny,
            "backend_unavailable",
            false,
        ),
        (
            200,
            None,
            "HTTP/1.1 200 OK".to_owned(),
            Effect::Deny,
            "backend_unavailable",
            false,
        ),
    ];
    let world = World::patient();
    for (n, (status, header, body, effect, wanted, cached)) in rows.into_iter().enumerate() {
        let raw = format!(
            "HTTP/1.1 {status} X\r\n{}Content-Length: {}\r\n\r\n{body}",
            header
                .map(|header| format!("3scale-rejection-reason: {header}\r\n"))
                .unwrap_or_default(),
            body.len()
        );
        let raw: &'static [u8] = Box::leak(raw.into_bytes().into_boxed_slice());
        // Fewer refusals in one second than stop the calls.
        world.advance(1_000);
        let mut authorizer = world.authorizer();
        world.threescale.fail(Some(Fault::Raw(raw)));
        let row = format!("{status} {header:?} {body}");
        let first = decide(&mut authorizer, &event(&format!("key-{n}"), "/"));
        assert_eq!(
            (first.outcome.effect, first.outcome.reason.as_str()),
            (effect, wanted),
            "{row}"
        );
        assert_eq!(
            first.source == Source::Mode,
            wanted == "backend_unavailable",
            "{row}"
        );
        world.threescale.fail(None);
        let second = decide(&mut world.authorizer(), &event(&format!("key-{n}"), "/"));
        assert_eq!(second.source == Source::Cache, cached, "{row}");
        if cached {
            assert_eq!(second.outcome.reason, first.outcome.reason, "{row}");
        } else {
            assert_eq!(second.outcome.reason, "user_key_invalid", "{row}");
        }
    }
}

/// 3scale's 409 for limits can be about a metric that this request does not use. The authorizer decides by the reported
/// numbers.
#[test]
fn another_metrics_limit_does_not_stop_this_one() {
    use crate::support::threescale::{Limit, Period};
    let world = World::patient().with(
        "mapping_rules",
        json!([
            { "method": "GET", "pattern": "/orders", "metric": "orders" },
            { "method": "GET", "pattern": "/bytes", "metric": "bytes" },
        ]),
    );
    let minute = |metric: &str, max| Limit::new(metric, Period::Minute, max);
    world
        .threescale
        .add("a", &[minute("orders", 2), minute("bytes", 5)]);
    let now = world.clock.now_ms() / 1000;
    world.threescale.state().others("a", "bytes", 6, now);
    let mut authorizer = world.authorizer();
    for wanted in ["authorized", "authorized", "limits_exceeded"] {
        assert_eq!(
            decide(&mut authorizer, &event("uk_a", "/orders"))
                .outcome
                .reason,
            wanted
        );
    }
    let refused = decide(&mut authorizer, &event("uk_a", "/bytes")).outcome;
    assert_eq!(
        (refused.reason.as_str(), refused.metric.as_str()),
        ("limits_exceeded", "bytes")
    );
    assert_eq!(refused.retry_after_s, Some(50));
}

/// Rows that our own calls never produce, tested with the client.
#[test]
fn a_wrong_token_is_our_fault_and_not_the_callers() {
    let world = World::patient();
    let backend = Backend::new(
        authorizer::http::agent(None),
        &world.threescale.url(),
        SERVICE,
    );
    let ask = |token: &str, key: &str, usage: &[(&str, u64)]| {
        backend.ask(
            Call::Authorize,
            token,
            &Credential::UserKey(key.to_owned()),
            usage.iter().copied(),
            std::time::Duration::from_secs(5),
        )
    };
    assert_eq!(
        ask("bad", "uk_free", &[]),
        Answer::Misconfigured("service_token_invalid".to_owned())
    );
    assert_eq!(
        ask(TOKEN, "uk_free", &[("nope", 1)]),
        Answer::MetricInvalid(Some("nope".to_owned()))
    );
    assert_eq!(
        ask(TOKEN, "x", &[]),
        Answer::Denied("user_key_invalid".to_owned())
    );
    assert!(matches!(
        ask(TOKEN, "uk_free", &[("hits", 1)]),
        Answer::Authorized(..)
    ));
}

/// Special characters of a query string arrive unchanged.
#[test]
fn credentials_arrive_unchanged() {
    let world = World::patient();
    let odd = "a+b&c=d%20e#f g/é\"<>[]";
    world.threescale.state().applications[0].user_key = odd.to_owned();
    let decided = decide(&mut world.authorizer(), &event(odd, "/"));
    assert_eq!(decided.outcome.effect, Effect::Allow);
}

#[test]
fn app_id_services() {
    let world = World::patient().with(
        "credentials",
        json!([{ "kind": "app_id", "in": "header", "name": "app_id" }]),
    );
    world.threescale.state().mode = Mode::AppId;
    world.threescale.state().applications[0].keys = vec!["k1".to_owned(), "k2".to_owned()];
    let event = |id: &str, key: Option<&str>| {
        let mut event: serde_json::Value = serde_json::from_str(&event("x", "/")).unwrap();
        event["multiValueHeaders"] = json!({ "App-Id": [id] });
        if let Some(key) = key {
            event["multiValueHeaders"]["App-Key"] = json!([key]);
        }
        event.to_string()
    };
    let mut authorizer = world.authorizer();
    let mut reason = |id: &str, key: Option<&str>| {
        let decided = decide(&mut authorizer, &event(id, key));
        (decided.outcome.reason, decided.outcome.app_id)
    };
    let good = ("authorized".to_owned(), Some("app_free".to_owned()));
    assert_eq!(reason("app_free", Some("k1")), good);
    assert_eq!(reason("app_free", Some("k2")), good);
    assert_eq!(reason("app_free", Some("k3")).0, "application_key_invalid");
    assert_eq!(reason("app_free", None).0, "application_key_invalid");
    assert_eq!(reason("app_x", Some("k1")).0, "application_not_found");
    assert_eq!(reason("app_free", Some("k1")), good);
    // Two keys of one application have one counter.
    let summary = world.report();
    assert_eq!(
        (summary.delivered, summary.transactions, summary.isolated),
        (3, 1, 0)
    );
    assert_eq!(world.threescale.total("free", "hits"), 3);
}

/// A metric that 3scale does not know affects only the requests that use it.
#[test]
fn one_unknown_metric_does_not_stop_the_others() {
    let world = World::patient().with(
        "mapping_rules",
        json!([
            { "method": "GET", "pattern": "/orders", "metric": "orders" },
            { "method": "GET", "pattern": "/nope", "metric": "nope" },
            { "method": "GET", "pattern": "/nada", "metric": "nada" },
        ]),
    );
    let mut authorizer = world.authorizer();
    for _ in 0..3 {
        assert_eq!(
            decide(&mut authorizer, &event("uk_free", "/orders"))
                .outcome
                .reason,
            "authorized"
        );
    }
    assert!(world.threescale.calls("authorize") <= 3);
    assert_eq!(
        decide(&mut authorizer, &event("uk_free", "/nope"))
            .outcome
            .reason,
        "misconfigured"
    );
    assert_eq!(
        decide(&mut world.authorizer(), &event("uk_free", "/orders"))
            .outcome
            .reason,
        "authorized"
    );
    assert_eq!(world.report().delivered, 4);
    assert!(world.threescale.state().lost_batches.is_empty());
}
