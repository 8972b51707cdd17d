//! The schemas of the documents of `sandbox -o json`.

use serde_json::Value;

use super::parts::{any, boolean, event, integer, list, map, null, nullable, number, object, text};
use super::texts;

/// What a sandbox prints when it is ready, the running ones, the stopped ones, the variables, the usage, and the load.
pub(super) fn documents() -> [Value; 6] {
    let facts = || {
        object([
            ("number", integer()),
            ("pid", integer()),
            ("endpoint", text()),
            ("url", text()),
            ("backend", text()),
            ("control", text()),
            ("redis_port", integer()),
            ("config", text()),
            ("since", text()),
        ])
    };
    let limit = object([
        ("metric", text()),
        ("period", text()),
        ("max", integer()),
        ("used", integer()),
    ]);
    let application = object([
        ("id", text()),
        ("plan", text()),
        ("active", boolean()),
        ("totals", map(integer())),
        ("limits", list(limit)),
    ]);
    let usage = object([
        ("service", text()),
        ("applications", list(application)),
        ("calls", map(integer())),
        ("waiting", integer()),
        ("lost_batches", texts()),
        ("not_reported", nullable(integer())),
    ]);
    let figures = || {
        let latency = ["p50", "p90", "p99", "p999", "max"];
        [
            ("decisions", integer()),
            ("allowed", integer()),
            ("refused", integer()),
            ("latency_us", object(latency.map(|rank| (rank, integer())))),
        ]
    };
    let mut load = object(figures().into_iter().chain([
        ("measured", text()),
        ("rate", integer()),
        ("seconds", number()),
        ("instances", integer()),
        ("decisions_per_second", number()),
        ("hit_rate", number()),
        ("calls", map(integer())),
        ("calls_saved", integer()),
        ("unanswered", integer()),
        ("usage_allowed", any([integer(), map(integer()), null()])),
        ("usage_reported", any([integer(), map(integer()), null()])),
        ("agrees", nullable(boolean())),
    ]));
    load["properties"]["chaos"] = object([
        ("part", text()),
        ("before", object(figures())),
        ("without", object(figures())),
        ("after", object(figures())),
    ]);
    [
        facts(),
        object([("sandboxes", list(facts()))]),
        object([("stopped", list(integer()))]),
        object([("variables", map(text()))]),
        usage,
        event("load", load),
    ]
}
