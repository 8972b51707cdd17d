//! Reports and counters that 3scale, or a server in front of it, refuses.

use authorizer::answer::Effect;
use authorizer::clock::Clock;
use serde_json::json;

use crate::reports::{hit, nothing_left};
use crate::support::gateway::{Authorizer, World, decide, event};
use crate::support::threescale::{Fault, Period};

/// The reference's table of statuses, as answers to a report. Usage that was not accepted is sent again, and a report
/// that may or may not have been accepted is in doubt.
#[test]
fn every_row_of_the_table_as_an_answer_to_a_report() {
    let refused = [
        (400, "bad_request"),
        (400, "content_type_invalid"),
        (400, "transactions_is_blank"),
        (400, "transactions_format_invalid"),
        (400, "transactions_has_nil_transaction"),
        (400, ""),
        (403, "provider_key_or_service_token_required"),
        (403, "provider_key_invalid"),
        (403, "provider_key_invalid_or_service_missing"),
        (403, "service_token_invalid"),
        (403, "service_id_invalid"),
        (403, ""),
        (404, ""),
        (422, "service_id_missing"),
        (422, "not_valid_data"),
        (429, ""),
    ];
    let doubtful = [
        (500, "Internal Server Error"),
        (500, ""),
        (502, "<html>"),
        (503, ""),
        (504, ""),
        (200, "<html>"),
        (302, ""),
    ];
    let world = World::patient();
    world.threescale.state().only_reports = true;
    for (status, code) in refused.into_iter().chain(doubtful) {
        hit(&world, "uk_free", 5);
        let in_doubt = doubtful.contains(&(status, code));
        let body = if code.is_empty() || in_doubt {
            code.to_owned()
        } else {
            format!(r#"<?xml version="1.0"?><error code="{code}">text</error>"#)
        };
        let before = world.threescale.total("free", "hits");
        world
            .threescale
            .fail_next(&[Fault::Status(status, body.leak())]);
        let first = world.report();
        assert_eq!(
            (first.delivered, first.in_doubt),
            (0, u64::from(in_doubt)),
            "{status} {code}"
        );
        let said = first.stopped.expect("a reason");
        assert!(said.contains(&status.to_string()), "{said}");
        assert!(in_doubt || said.contains(code), "{said}");
        assert_eq!(world.report().delivered, 5, "{status} {code}");
        assert_eq!(world.threescale.total("free", "hits"), before + 5);
        nothing_left(&world);
    }
    // The only status that means accepted.
    hit(&world, "uk_free", 5);
    world.threescale.fail_next(&[Fault::Status(202, "")]);
    assert_eq!(world.report().delivered, 5);
    nothing_left(&world);
}

fn many(world: &World, applications: usize) {
    let mut authorizer = world.authorizer();
    for n in 0..applications {
        world.threescale.add(&format!("n{n}"), &[]);
        decide(&mut authorizer, &event(&format!("uk_n{n}"), "/"));
    }
}

fn firewall(world: &World, rule: Option<(&str, u16)>) {
    world.threescale.state().firewall = rule.map(|(text, status)| (text.to_owned(), status));
}

/// One counter of many makes 3scale, or a server in front of it, refuse the report: the others are delivered, and it is
/// put aside and kept.
#[test]
fn a_refused_counter_is_put_aside_and_stops_no_other() {
    for status in [400, 413, 422] {
        let world = World::patient();
        many(&world, 30);
        firewall(&world, Some(("=app_n7&", status)));
        let summary = world.report();
        assert_eq!(
            (summary.delivered, summary.put_aside, summary.stopped),
            (29, 1, None),
            "{status}"
        );
        nothing_left(&world);
        let aside = world.redis.ask("KEYS *}:x:*");
        let key = aside.lines().nth(2).expect("a key").trim();
        let fields = world.redis.ask(&format!("HVALS {key}"));
        assert_eq!(
            fields.lines().next(),
            Some("*2"),
            "a counter and a name: {fields}"
        );
        assert!(world.redis.ask(&format!("TTL {key}")).starts_with(":2"));
        // The queue goes on.
        hit(&world, "uk_n1", 2);
        hit(&world, "uk_n7", 3);
        let summary = world.report();
        assert_eq!((summary.delivered, summary.put_aside), (2, 3), "{status}");
        assert_eq!(world.threescale.total("n1", "hits"), 3);
        nothing_left(&world);
    }
}

/// A refusal that may end, such as that of a firewall: the counter stays, and the others are delivered.
#[test]
fn a_counter_that_may_pass_later_stays() {
    let world = World::patient();
    many(&world, 30);
    firewall(&world, Some(("=app_n7&", 403)));
    for delivered in [29, 0] {
        let summary = world.report();
        assert_eq!((summary.delivered, summary.put_aside), (delivered, 0));
    }
    firewall(&world, None);
    let summary = world.report();
    assert_eq!((summary.delivered, summary.stopped), (1, None));
    assert_eq!(world.threescale.total("n7", "hits"), 1);
    nothing_left(&world);
}

/// If every report is refused, the fault is not in the counters: nothing is put aside, and the run ends soon.
#[test]
fn a_refusal_of_all_reports_puts_nothing_aside() {
    let world = World::patient();
    many(&world, 30);
    firewall(&world, Some(("transactions", 400)));
    let summary = world.report();
    assert_eq!((summary.delivered, summary.put_aside), (0, 0));
    assert!(summary.stopped.expect("a reason").contains("400"));
    let reports = world.threescale.calls("report");
    assert!(reports <= 12, "{reports}");
    firewall(&world, None);
    assert_eq!(world.report().delivered, 30);
    nothing_left(&world);
}

/// A server in front of 3scale can allow less than 3scale.
#[test]
fn reports_fit_into_small_servers() {
    let metric = "m".repeat(200);
    let world = World::patient().with(
        "mapping_rules",
        json!([{ "method": "GET", "pattern": "/", "metric": metric }]),
    );
    world.threescale.state().metrics.insert(metric.clone());
    many(&world, 400);
    assert_eq!(world.report().delivered, 400);
    let largest = world.threescale.state().largest_body;
    assert!((50_000..100_000).contains(&largest), "{largest}");
    nothing_left(&world);

    world.threescale.state().largest_allowed_body = Some(20_000);
    many(&world, 400);
    let summary = world.report();
    assert_eq!(
        (summary.delivered, summary.put_aside, summary.stopped),
        (400, 0, None)
    );
    nothing_left(&world);
}

/// An application about which the answer is unclear is reported apart, and the others are reported.
#[test]
fn an_unclear_answer_about_an_application_ends_no_run() {
    for applications in [5, 1] {
        let world = World::patient();
        many(&world, applications);
        // No confirmation is recent enough.
        world.advance(76_000);
        firewall(&world, Some(("=uk_n0&", 403)));
        let summary = world.report();
        assert_eq!(
            (summary.delivered, summary.isolated, summary.stopped),
            (applications as u64, 1, None)
        );
        nothing_left(&world);
    }
    // Nothing passes at all: it is not the application.
    let world = World::patient();
    many(&world, 3);
    world.advance(76_000);
    firewall(&world, Some(("service_id", 403)));
    let summary = world.report();
    assert_eq!((summary.delivered, summary.reports), (0, 0));
    assert!(summary.stopped.is_some());
    firewall(&world, None);
    assert_eq!(world.report().delivered, 3);
}

/// An application with more metrics than fit into one question.
#[test]
fn many_metrics_are_asked_about_in_parts() {
    let rules: Vec<_> = (0..60)
        .map(|n| {
            let metric = format!("{n:0200}");
            json!({ "method": "GET", "pattern": format!("/{n}$"), "metric": metric })
        })
        .collect();
    let world = World::patient().with("mapping_rules", json!(rules));
    let metrics = (0..60).map(|n| format!("{n:0200}"));
    world.threescale.state().metrics.extend(metrics);
    let mut authorizer = world.authorizer();
    for n in 0..60 {
        decide(&mut authorizer, &event("uk_free", &format!("/{n}")));
    }
    world.advance(76_000);
    let summary = world.report();
    assert_eq!(
        (summary.delivered, summary.isolated, summary.stopped),
        (60, 0, None)
    );
    nothing_left(&world);
}

/// A counter from a clock that is ahead of time would cost the whole report. It is reported alone, with the present minute.
#[test]
fn a_clock_ahead_of_time_costs_no_other_usage() {
    let world = World::patient();
    hit(&world, "uk_free", 5);
    world.threescale.add("a", &[]);
    let now = world.clock.now_ms();
    let ahead = Clock::standing(now + 2 * 3_600_000);
    let settings = world.read_settings("authorizer");
    let mut wrong = Authorizer::new(settings, None, ahead);
    wrong.clients.warm_up();
    for key in ["uk_a", "uk_a", "uk_free"] {
        let decided = decide(&mut wrong, &event(key, "/"));
        assert_eq!(decided.outcome.effect, Effect::Allow);
    }
    hit(&world, "uk_free", 1);
    let summary = world.report();
    assert_eq!(
        (summary.delivered, summary.isolated, summary.stopped),
        (9, 2, None)
    );
    let state = world.threescale.state();
    assert_eq!(state.lost_batches, [""; 0]);
    for (name, wanted) in [("free", 7), ("a", 2)] {
        let counted = state.counted(name, "hits", Period::Minute, now / 1000);
        assert_eq!(counted, wanted, "{name}");
    }
    drop(state);
    nothing_left(&world);
}
