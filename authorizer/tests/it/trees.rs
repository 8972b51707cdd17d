//! Trees of metrics: in the shapes that the portal makes, each decision is the one of 3scale's own `authrep`, and in any
//! other tree nothing passes that 3scale refuses.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use authorizer::answer::Effect;
use authorizer::backend::{Answer, Backend, Call};
use authorizer::credentials::Credential;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;

use crate::support::gateway::{World, decide, event};
use crate::support::threescale::{Limit, Period, TOKEN};

/// The usage of one kind of request.
type Kind = Vec<(String, u64)>;

/// A service, the limits of a plan, what others have used, and the kinds of requests.
#[derive(Debug, Clone)]
struct Case {
    parents: BTreeMap<String, String>,
    metrics: Vec<String>,
    limits: Vec<Limit>,
    others: Vec<(String, u64)>,
    kinds: Vec<Kind>,
    /// The kind of each request, and the seconds before it.
    requests: Vec<(usize, i64)>,
}

/// A case with requests that use one of a metric each.
fn case(parents: &[(&str, &str)], limits: &[(&str, Period, u64)], requests: &str) -> Case {
    let mut used: Vec<&str> = requests.split(' ').collect();
    let position = |used: &[&str], name| used.iter().position(|known| *known == name);
    let of_parents = parents.iter().flat_map(|(child, parent)| [*child, *parent]);
    let of_limits = limits.iter().map(|(metric, _, _)| *metric);
    let all = of_parents.chain(of_limits).chain(used.iter().copied());
    let metrics = all.chain(["hits"]).map(str::to_owned).collect();
    used.sort_unstable();
    used.dedup();
    Case {
        parents: parents
            .iter()
            .map(|(child, parent)| ((*child).to_owned(), (*parent).to_owned()))
            .collect(),
        metrics,
        limits: limits
            .iter()
            .map(|(metric, period, max)| Limit::new(*metric, *period, *max))
            .collect(),
        others: Vec::new(),
        kinds: used
            .iter()
            .map(|name| vec![((*name).to_owned(), 1)])
            .collect(),
        requests: requests
            .split(' ')
            .filter_map(|name| Some((position(&used, name)?, 0)))
            .collect(),
    }
}

/// What the authorizer says and what 3scale says about each request, one letter each: `A` or `d`. Only what both allow is
/// counted at 3scale. Also the number of `authorize` calls.
fn decisions(world: &mut World, case: &Case) -> (String, String, u64) {
    let name = format!("n{}", world.threescale.state().applications.len());
    let oracle = format!("{name}-oracle");
    {
        let mut state = world.threescale.state();
        state.parents = case.parents.clone();
        state.metrics = case.metrics.iter().cloned().collect();
    }
    for name in [&name, &oracle] {
        world.threescale.add(name, &case.limits);
        for (metric, amount) in &case.others {
            let mut state = world.threescale.state();
            state.others(name, metric, *amount, world.clock.now_ms() / 1000);
        }
    }
    let rules = case.kinds.iter().enumerate().flat_map(|(kind, usage)| {
        usage.iter().map(move |(metric, delta)| {
            json!({ "method": "GET", "pattern": format!("/{kind}$"), "metric": metric, "delta": delta })
        })
    });
    world.settings["mapping_rules"] = rules.collect();
    let mut authorizer = world.authorizer();
    let backend = Backend::new(
        authorizer::http::agent(None),
        &world.threescale.url(),
        "1001",
    );
    let ask = |call, usage: &Kind| {
        let credential = Credential::UserKey(format!("uk_{oracle}"));
        let usage = usage
            .iter()
            .map(|(metric, amount)| (metric.as_str(), *amount));
        let answer = backend.ask(call, TOKEN, &credential, usage, Duration::from_secs(20));
        match answer {
            Answer::Authorized(..) => true,
            Answer::LimitsExceeded(..) => false,
            other => panic!("{other:?}"),
        }
    };
    let before = world.threescale.calls("authorize");
    let (mut ours, mut theirs) = (String::new(), String::new());
    let mut asked = 0;
    for (kind, before) in &case.requests {
        world.advance(before * 1000);
        let path = format!("/{kind}");
        let decided = decide(&mut authorizer, &event(&format!("uk_{name}"), &path));
        let allowed = decided.outcome.effect == Effect::Allow;
        assert!(
            allowed || decided.outcome.reason == "limits_exceeded",
            "{decided:?}"
        );
        let usage = &case.kinds[*kind];
        let right = ask(Call::Authorize, usage);
        asked += 1;
        if allowed && right {
            assert!(ask(Call::AuthRep, usage));
        }
        ours.push(if allowed { 'A' } else { 'd' });
        theirs.push(if right { 'A' } else { 'd' });
    }
    let calls = world.threescale.calls("authorize") - before - asked;
    (ours, theirs, calls)
}

const BACKEND: [(&str, &str); 4] = [
    ("a.12", "hits.12"),
    ("b.12", "hits.12"),
    ("hits.12", "hits"),
    ("checkout", "hits"),
];

/// The recorded decisions of 3scale.
#[test]
fn the_decisions_of_3scale() {
    use Period::{Day, Eternity, Minute, Year};
    let mut world = World::patient();
    let nine = "t0 t1 t2 t3 t4 t5 t6 t7 t8";
    for (parents, limits, requests, wanted) in [
        (
            &BACKEND[..],
            &[("hits", Day, 1000), ("b.12", Eternity, 0)][..],
            "a.12 a.12 b.12 hits.12 checkout",
            "AAdAA",
        ),
        (
            &BACKEND[..],
            &[("hits", Day, 1000), ("checkout", Day, 2)],
            "a.12 b.12 a.12 checkout checkout checkout",
            "AAAAAd",
        ),
        (
            &BACKEND[..],
            &[("hits", Day, 1000), ("b.12", Day, 2)],
            "a.12 a.12 a.12 b.12 b.12 b.12",
            "AAAAAd",
        ),
        (
            &[][..],
            &[("hits", Day, 3)],
            &format!("t0 t0 t0 t0 t0 {nine}"),
            "AAAAAAAAAAAAAA",
        ),
        (
            &[("b", "a"), ("c", "b")][..],
            &[("a", Day, 1), ("c", Day, 1)],
            "a c",
            "Ad",
        ),
        // The limit of the attached backend's method cannot be used up in one question, because that of hits is smaller.
        (
            &BACKEND[..],
            &[("hits", Minute, 5), ("b.12", Day, 7), ("bytes", Day, 9)],
            "a.12 a.12 b.12 bytes b.12 a.12 b.12 bytes",
            "AAAAAAdA",
        ),
        (
            &BACKEND[..],
            &[("hits", Minute, 5), ("hits", Year, 1000), ("b.12", Day, 7)],
            "a.12 a.12 b.12 b.12 a.12 b.12",
            "AAAAAd",
        ),
        // The hits of the product allow less than the method of the attached backend, and `t0` counts toward neither.
        (
            &[("hits.12", "hits"), ("b.12", "hits.12"), ("t3m", "t3")][..],
            &[("hits", Minute, 3), ("b.12", Minute, 5), ("t3m", Minute, 3)],
            "t0 t0 t0 t0 t0 t0",
            "AAAAAA",
        ),
        (
            &BACKEND[..],
            &[("hits.12", Day, 2), ("b.12", Day, 0)],
            "a.12 hits checkout b.12 hits.12 a.12 hits",
            "AAAdAdA",
        ),
    ] {
        let case = case(parents, limits, requests);
        let (ours, theirs, calls) = decisions(&mut world, &case);
        assert_eq!(
            (ours.as_str(), theirs.as_str()),
            (wanted, wanted),
            "{case:?}"
        );
        assert!(calls <= 20, "{calls}: {case:?}");
    }
}

/// A minute later, the limit of `hits` allows more, and the one of `b.12` was never that of `a.12`.
#[test]
fn a_method_is_not_counted_toward_the_limit_of_another_one() {
    let mut world = World::patient();
    let limits = [("hits", Period::Minute, 5), ("b.12", Period::Day, 7)];
    let case = case(&BACKEND, &limits, "a.12");
    decisions(&mut world, &case);
    let name = "uk_n1";
    let mut authorizer = world.authorizer();
    let mut passed = 1;
    for _ in 0..4 {
        for _ in 0..6 {
            let decided = decide(&mut authorizer, &event(name, "/0"));
            passed += u32::from(decided.outcome.effect == Effect::Allow);
        }
        world.advance(60_000);
    }
    assert_eq!(passed, 20);
}

fn period() -> impl Strategy<Value = Period> {
    prop::sample::select(vec![
        Period::Minute,
        Period::Hour,
        Period::Day,
        Period::Month,
        Period::Eternity,
    ])
}

/// Limits, usage of others and requests for a service with these metrics.
fn plan(parents: BTreeMap<String, String>, metrics: Vec<String>) -> impl Strategy<Value = Case> {
    let limits = prop::collection::vec(
        (
            any::<Index>(),
            period(),
            prop::sample::select(vec![0_u64, 1, 2, 3, 5, 8, 1000]),
        ),
        1..6,
    );
    let others = prop::collection::vec((any::<Index>(), 1..4_u64), 0..3);
    let kinds = prop::collection::vec(
        prop::collection::vec((any::<Index>(), 1..4_u64), 1..3),
        1..10,
    );
    let before = prop_oneof![6 => Just(0_i64), 2 => 1..60_i64, 1 => 60..90_000_i64];
    let requests = prop::collection::vec((any::<Index>(), before), 4..24);
    (limits, others, kinds, requests).prop_map(move |(limits, others, kinds, requests)| {
        let name = |index: &Index| index.get(&metrics).clone();
        let mut all: Vec<Limit> = Vec::new();
        for (index, period, max) in limits {
            let metric = name(&index);
            let same = |limit: &Limit| limit.metric == metric && limit.period == period;
            if !all.iter().any(same) {
                all.push(Limit::new(metric, period, max));
            }
        }
        let usage = |kind: &Vec<(Index, u64)>| {
            let mut usage: Kind = Vec::new();
            for (index, amount) in kind {
                let metric = name(index);
                match usage.iter_mut().find(|(known, _)| *known == metric) {
                    Some((_, sum)) => *sum += amount,
                    None => usage.push((metric, *amount)),
                }
            }
            usage
        };
        let kinds: Vec<Kind> = kinds.iter().map(usage).collect();
        Case {
            parents: parents.clone(),
            metrics: metrics.clone(),
            limits: all,
            others: others
                .iter()
                .map(|(index, amount)| (name(index), *amount))
                .collect(),
            requests: requests
                .iter()
                .map(|(index, before)| (index.index(kinds.len()), *before))
                .collect(),
            kinds,
        }
    })
}

/// Metrics with methods below them, and attached backends, whose hits are below the product's, with methods below those,
/// and metrics with methods of their own.
fn portal() -> impl Strategy<Value = Case> {
    (
        0..4_usize,
        prop::collection::vec(0..3_usize, 0..9),
        prop::collection::vec((0..4_usize, prop::collection::vec(0..2_usize, 0..2)), 0..3),
    )
        .prop_flat_map(|(methods, tops, backends)| {
            let mut parents = BTreeMap::new();
            let mut metrics = vec!["hits".to_owned()];
            let mut add = |name: String, parent: Option<&str>| {
                if let Some(parent) = parent {
                    parents.insert(name.clone(), parent.to_owned());
                }
                metrics.push(name);
            };
            for method in 0..methods {
                add(format!("m{method}"), Some("hits"));
            }
            for (top, methods) in tops.iter().enumerate() {
                add(format!("t{top}"), None);
                for method in 0..*methods {
                    add(format!("t{top}m{method}"), Some(&format!("t{top}")));
                }
            }
            for (backend, (methods, tops)) in backends.iter().enumerate() {
                let id = backend + 12;
                add(format!("hits.{id}"), Some("hits"));
                for method in 0..*methods {
                    add(format!("m{method}.{id}"), Some(&format!("hits.{id}")));
                }
                for (top, methods) in tops.iter().enumerate() {
                    add(format!("t{top}.{id}"), None);
                    for method in 0..*methods {
                        add(
                            format!("t{top}m{method}.{id}"),
                            Some(&format!("t{top}.{id}")),
                        );
                    }
                }
            }
            plan(parents, metrics)
        })
}

/// Any tree, also with `hits` below another metric, and with names as the portal makes them.
fn any_tree() -> impl Strategy<Value = Case> {
    let names = ["a", "b", "hits", "c", "hits.12", "d.12", "e.12", "f"];
    prop::collection::vec(any::<Option<Index>>(), names.len()).prop_flat_map(move |above| {
        let mut parents = BTreeMap::new();
        for (at, (name, above)) in names.iter().zip(&above).enumerate() {
            // The metrics before it, so that there is no circle.
            if let (Some(above), true) = (above, at > 0) {
                parents.insert((*name).to_owned(), above.get(&names[..at]).to_string());
            }
        }
        plan(parents, names.map(str::to_owned).to_vec())
    })
}

fn cases() -> u32 {
    let more = std::env::var("TREE_CASES").ok();
    more.and_then(|text| text.parse().ok()).unwrap_or(60)
}

fn run(strategy: impl Strategy<Value = Case>, check: impl Fn(&Case, &str, &str) -> bool) -> u32 {
    let config = ProptestConfig {
        cases: cases(),
        failure_persistence: None,
        max_shrink_iters: 400,
        ..ProptestConfig::default()
    };
    let world = std::cell::RefCell::new(World::patient());
    let allowed = Cell::new(0);
    let mut runner = proptest::test_runner::TestRunner::new(config);
    runner
        .run(&strategy, |case| {
            let (ours, theirs, calls) = decisions(&mut world.borrow_mut(), &case);
            allowed.set(allowed.get() + ours.matches('A').count());
            prop_assert!(
                check(&case, &ours, &theirs),
                "ours {ours}, theirs {theirs}, {calls} calls"
            );
            Ok(())
        })
        .unwrap();
    u32::try_from(allowed.get()).unwrap()
}

#[test]
fn in_the_portals_shapes_every_decision_is_3scales() {
    assert!(run(portal(), |_, ours, theirs| ours == theirs) > 100);
}

#[test]
fn in_no_tree_more_passes_than_3scale_allows() {
    let never_looser = |_: &Case, ours: &str, theirs: &str| {
        let mut pairs = ours.bytes().zip(theirs.bytes());
        pairs.all(|(ours, theirs)| ours == b'd' || theirs == b'A')
    };
    assert!(run(any_tree(), never_looser) > 100);
}
