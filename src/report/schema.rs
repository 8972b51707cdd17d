//! The JSON Schemas of the documents of `-o json` and of the file of `plan --out`. Draft 7, as that of the configuration.
//!
//! They allow further keys: new ones can be added. The tests validate every document without this freedom.

mod parts;
mod sandbox;

use serde_json::{Value, json};

use self::parts::{
    any, boolean, event, integer, list, map, nullable, number, object, text, with, words,
};
use super::SCHEMA_VERSION;
use crate::action::Action;
use crate::api_gateway::Protocol;
use crate::cli::Document;
use crate::code::Code;
use crate::config;
use crate::kind::Kind;
use crate::notice::NoticeCode;
use crate::plan_file::{FORMAT, FORMAT_VERSION};

/// The schema of a document.
pub fn schema(of: Document) -> Value {
    let (about, schema) = match of {
        Document::Configuration => return config::json_schema(),
        Document::Plan => ("The document of `plan -o json`.", plan()),
        Document::PlanFile => ("The file of `plan --out`.", plan_file()),
        Document::Up | Document::Down => {
            ("One line of `up -o json` or `down -o json`.", any(stream()))
        }
        Document::Sweep => (
            "One line of `sweep -o json`, or the document with --dry-run.",
            any(sweep()),
        ),
        Document::Status => ("The document of `status -o json`.", status()),
        Document::Verify => ("The document of `verify -o json`.", object(verify())),
        Document::Rollback => ("The document of `rollback -o json`.", rollback()),
        Document::Report => ("The document of `report -o json`.", report()),
        Document::Logs => ("One line of `logs -o json`.", logs()),
        Document::List => ("The document of `list -o json`.", stacks()),
        Document::Import => ("The document of `import -o json`.", import()),
        Document::Release => (
            "The document of `release -o json`, and the file of --out.",
            release(),
        ),
        Document::Export => ("The document of `export -o json`.", export()),
        Document::Unlock => ("The document of `unlock -o json`.", unlock()),
        Document::Doctor => (
            "The document of `doctor -o json`, without and with --request or --key.",
            any([checks(), decisions(), key()]),
        ),
        Document::IamPolicy => ("The document of `iam-policy -o json`.", iam_policy()),
        Document::Validate => ("The document of `validate -o json`.", validate()),
        Document::Version => ("The document of `version -o json`.", version()),
        Document::Explain => (
            "The document of `explain -o json`, with and without a code.",
            any([
                object(explanation()),
                object([("codes", list(object(explanation())))]),
            ]),
        ),
        Document::Init => ("The document of `init -o json`.", init()),
        Document::Sandbox => (
            "A document of `sandbox -o json`.",
            any(sandbox::documents()),
        ),
        Document::Error => ("What every command prints if it fails.", error()),
    };
    let mut schema = versioned(schema);
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    schema["title"] = json!("threescale-gw");
    schema["description"] = json!(about);
    schema
}

/// Adds the version to each form of a document.
fn versioned(mut schema: Value) -> Value {
    if let Some(forms) = schema.get_mut("anyOf").and_then(Value::as_array_mut) {
        for form in forms {
            *form = versioned(form.take());
        }
        return schema;
    }
    with(schema, "schema_version", json!({"const": SCHEMA_VERSION}))
}

fn code() -> Value {
    words(Code::ALL.iter().map(|code| code.as_str()))
}

fn kind() -> Value {
    words(Kind::ALL.iter().map(|kind| kind.as_str()))
}

fn action() -> Value {
    words(Action::ALL.map(Action::as_str))
}

fn texts() -> Value {
    list(text())
}

/// Where a document is about.
fn place() -> [(&'static str, Value); 3] {
    [("stack", text()), ("region", text()), ("account", text())]
}

fn protocol() -> Value {
    words([Protocol::Rest, Protocol::Http, Protocol::WebSocket].map(Protocol::as_str))
}

fn api() -> Value {
    object([
        ("id", text()),
        ("protocol", protocol()),
        ("name", nullable(text())),
        ("stage", text()),
    ])
}

/// A property of a resource, or null.
fn value() -> Value {
    json!({
        "type": ["array", "boolean", "null", "number", "object", "string"],
        "items": {"type": ["null", "number", "string"]},
    })
}

/// A resource as it was observed; `more` is what is said about it.
fn resource(more: (&'static str, Value)) -> Value {
    let drift = object([
        ("field", text()),
        ("from", text()),
        ("to", text()),
        ("before", value()),
        ("after", value()),
    ]);
    let states = [
        "absent", "pending", "unknown", "ready", "deleting", "failed",
    ];
    object([
        ("id", text()),
        ("kind", kind()),
        ("physical_id", nullable(text())),
        ("state", words(states)),
        more,
        ("drift", list(drift)),
    ])
}

fn finding() -> Value {
    let mut finding = object([("code", code()), ("message", text())]);
    for (key, schema) in [
        ("resource", text()),
        ("file", text()),
        ("line", integer()),
        ("column", integer()),
    ] {
        finding["properties"][key] = schema;
    }
    finding
}

fn outputs() -> Value {
    map(text())
}

fn plan() -> Value {
    let changed = || {
        list(object([
            ("api", text()),
            ("stage", text()),
            ("method", text()),
        ]))
    };
    let idle = object([("item", text()), ("per_month", nullable(number()))]);
    let cheaper = object([
        ("change", text()),
        ("saves_per_month", number()),
        ("but", nullable(text())),
    ]);
    let costs = object([
        ("currency", text()),
        ("region", text()),
        ("as_of", text()),
        ("idle", list(idle)),
        ("idle_per_month", number()),
        ("metrics_per_month", number()),
        ("per_million_requests", number()),
        ("cheaper", nullable(cheaper)),
    ]);
    object(place().into_iter().chain([
        ("account_alias", nullable(text())),
        ("caller", nullable(text())),
        ("profile", nullable(text())),
        ("api", nullable(api())),
        ("stages", texts()),
        ("resources", list(resource(("action", action())))),
        (
            "totals",
            object(Action::ALL.map(|action| (action.as_str(), integer()))),
        ),
        (
            "methods",
            object([("closed", changed()), ("opened", changed())]),
        ),
        ("attaches", texts()),
        ("automatic_stages", texts()),
        ("blockers", list(finding())),
        ("notices", texts()),
        ("pending", texts()),
        ("costs", nullable(costs)),
        ("ready_in_minutes", integer()),
        ("outputs", outputs()),
    ]))
}

fn plan_file() -> Value {
    let mut plan = plan();
    for key in ["caller", "profile", "account_alias"] {
        plan = parts::without(plan, key);
    }
    for (key, schema) in [
        ("format", json!({"const": FORMAT})),
        ("format_version", json!({"const": FORMAT_VERSION})),
        ("version", text()),
        ("created", text()),
        ("configuration", json!({"type": "object"})),
        ("package", text()),
        ("digest", text()),
    ] {
        plan = with(plan, key, schema);
    }
    plan
}

/// The lines of `up` and `down`.
fn stream() -> Vec<Value> {
    let of_resource = |name, more: Vec<(&'static str, Value)>| {
        let keys = [("resource", text()), ("kind", kind()), ("action", action())];
        event(name, object(keys.into_iter().chain(more)))
    };
    let mut finished = of_resource("finished", vec![("seconds", number())]);
    finished["properties"]["physical_id"] = text();
    let scope = place().into_iter().chain([
        ("account_alias", nullable(text())),
        ("caller", nullable(text())),
        ("profile", nullable(text())),
        ("apis", list(api())),
    ]);
    let counts = [
        "created",
        "updated",
        "replaced",
        "deleted",
        "unchanged",
        "failed",
    ];
    let outcomes = [
        "done",
        "failed",
        "usage",
        "refused",
        "partial",
        "interrupted",
    ];
    let summary = counts
        .map(|count| (count, integer()))
        .into_iter()
        .chain([("outcome", words(outcomes)), ("seconds", number())]);
    let said = |name| event(name, object([("text", text())]));
    let retrying = object([
        ("resource", nullable(text())),
        ("cause", text()),
        ("wait_seconds", number()),
    ]);
    let failed = vec![
        ("code", code()),
        ("error", text()),
        ("hint", nullable(text())),
    ];
    let codes = NoticeCode::ALL.iter().map(|code| code.as_str());
    let notice = object([
        ("resource", nullable(text())),
        ("code", nullable(words(codes))),
        ("text", text()),
    ]);
    let mut outputs = event("outputs", object([]));
    outputs["additionalProperties"] = text();
    vec![
        event("scope", object(scope)),
        event("plan", plan()),
        of_resource("started", Vec::new()),
        of_resource("identified", vec![("physical_id", text())]),
        of_resource("waiting", vec![("for", text())]),
        event("retrying", retrying),
        finished,
        of_resource("failed", failed),
        of_resource("skipped", vec![("because", text())]),
        of_resource("left", vec![("because", nullable(text()))]),
        event("notice", notice),
        said("step"),
        said("progress"),
        event("verified", object(verify())),
        event("interrupted", object([])),
        outputs,
        event("summary", object(summary)),
        error(),
    ]
}

/// The lines of a stack have its name and Region.
fn sweep() -> Vec<Value> {
    let of_stack = |mut line: Value| {
        line["properties"]["stack"] = text();
        line["properties"]["region"] = text();
        line
    };
    let outcomes = ["deleted", "unneeded", "skipped", "incomplete", "failed"];
    let stack = object([
        ("stack", text()),
        ("region", text()),
        ("outcome", words(outcomes)),
        ("deleted", integer()),
        ("failed", integer()),
        ("seconds", number()),
        ("code", nullable(code())),
        ("message", nullable(text())),
        ("hints", texts()),
    ]);
    let lines = stream().into_iter().map(of_stack);
    lines.chain([event("stack", stack), stacks()]).collect()
}

fn error() -> Value {
    let error = object([
        ("code", code()),
        ("message", text()),
        ("findings", list(finding())),
        ("hints", texts()),
        ("exit_code", integer()),
    ]);
    event("error", error)
}

fn verify() -> [(&'static str, Value); 6] {
    let checks = [
        "no key",
        "bad key",
        "good key",
        "open",
        "preflight",
        "guard",
        "self-test",
    ];
    let faults = [
        "open",
        "misplaced",
        "key_refused",
        "refuses",
        "not_asked",
        "authorizer_failed",
        "wrong_authorizer",
        "unproven",
        "nobody_gets_in",
        "blocked",
        "enforced",
        "wrong_mode",
        "not_served",
        "not_admitted",
        "throttled",
        "unreachable",
    ];
    let stage = object([
        ("stage", text()),
        ("url", text()),
        ("ok", boolean()),
        ("skipped", nullable(text())),
    ]);
    let request = object([
        ("stage", text()),
        ("method", text()),
        ("check", words(checks)),
        ("request", text()),
        ("status", nullable(integer())),
        ("ok", boolean()),
        ("fault", nullable(words(faults))),
        ("detail", nullable(text())),
        ("unmapped", boolean()),
        ("as_before", boolean()),
    ]);
    [
        ("url", text()),
        ("ok", boolean()),
        ("skipped", nullable(text())),
        ("notes", texts()),
        ("stages", list(stage)),
        ("requests", list(request)),
    ]
}

fn status() -> Value {
    let healths = [
        "healthy", "ready", "drifted", "missing", "pending", "unknown", "deleting", "failed",
        "orphan",
    ];
    let method = object([
        ("method", text()),
        ("path", text()),
        ("protected", boolean()),
        ("authorization", text()),
        ("remark", nullable(text())),
    ]);
    let door = any([
        object([
            ("kind", json!({"const": "stage"})),
            ("stage", text()),
            ("methods", texts()),
            ("url", nullable(text())),
        ]),
        object([
            ("kind", json!({"const": "domain"})),
            ("domain", text()),
            ("base_path", text()),
            ("stage", text()),
        ]),
        object([
            ("kind", json!({"const": "method"})),
            ("method", text()),
            ("stage", text()),
        ]),
    ]);
    let of_stage = || {
        [
            ("stage", text()),
            ("automatic_deployment", nullable(boolean())),
            ("failed_deployment", nullable(text())),
            ("verified", nullable(boolean())),
            ("rolled_back", boolean()),
            ("verified_at", nullable(text())),
            ("verified_by", nullable(text())),
            ("methods", list(method.clone())),
        ]
    };
    let of_api = [
        ("id", text()),
        ("protocol", protocol()),
        ("doors", list(door)),
        ("stages", list(object(of_stage()))),
    ];
    let api = object(of_stage().into_iter().chain(of_api));
    let check = object([
        ("name", text()),
        ("ok", boolean()),
        ("ms", integer()),
        ("error", nullable(text())),
        ("cause", nullable(text())),
        ("warning", nullable(text())),
    ]);
    let mode = || words(["enforce", "observe"]);
    let mut self_test = object([("ok", boolean()), ("checks", list(check))]);
    self_test["properties"]["mode"] = mode();
    object(place().into_iter().chain([
        ("resources", list(resource(("health", words(healths))))),
        ("api", nullable(api)),
        ("mode", nullable(mode())),
        ("outputs", outputs()),
        ("lock", nullable(text())),
        ("expires", nullable(text())),
        ("cost_per_month", nullable(number())),
        ("cost_is_complete", nullable(boolean())),
        ("self_test", nullable(self_test)),
        ("compared", boolean()),
        ("notices", texts()),
        ("faults", texts()),
        ("healthy", boolean()),
    ]))
}

fn rollback() -> Value {
    let stage = object([
        ("api", text()),
        ("stage", text()),
        ("moved", boolean()),
        ("from", nullable(text())),
        ("to", nullable(text())),
    ]);
    let function = object([("name", text()), ("from", text()), ("to", text())]);
    object(place().into_iter().chain([
        ("stages", list(stage)),
        ("functions", list(function)),
        ("notices", texts()),
    ]))
}

fn report() -> Value {
    let counted = |key| list(object([(key, text()), ("requests", integer())]));
    let example = object([
        ("credential", nullable(text())),
        ("method", text()),
        ("path", nullable(text())),
        ("metric", nullable(text())),
        ("requests", integer()),
        ("last", text()),
    ]);
    let groups = [
        "no_key",
        "bad_key",
        "limit",
        "unmatched",
        "failure",
        "other",
    ];
    let group = object([
        ("group", words(groups)),
        ("requests", integer()),
        ("share", number()),
        ("reasons", counted("reason")),
        ("methods", counted("method")),
        ("examples", list(example)),
    ]);
    let mode = object([
        ("mode", words(["observe", "enforce"])),
        ("requests", integer()),
        ("refused", integer()),
        ("not_logged", integer()),
        ("groups", list(group)),
    ]);
    object([
        ("stack", text()),
        ("since", text()),
        ("modes", list(mode)),
        ("notes", texts()),
    ])
}

fn logs() -> Value {
    let mut line = object([
        ("time", text()),
        ("function", words(["authorizer", "reporter"])),
    ]);
    line["properties"]["text"] = text();
    line["properties"]["record"] = json!({"type": "object"});
    event("log", line)
}

fn stacks() -> Value {
    let skipped = object([
        ("region", text()),
        ("why", words(["not_enabled", "denied", "failed"])),
        ("error", nullable(text())),
    ]);
    let stack = object([
        ("stack", text()),
        ("region", text()),
        ("apis", list(api())),
        ("created", nullable(text())),
        ("created_by", nullable(text())),
        ("version", nullable(text())),
        ("expires", nullable(text())),
        ("expired", boolean()),
        ("cost_per_month", nullable(number())),
        ("cost_is_complete", nullable(boolean())),
        ("locked", boolean()),
    ]);
    let prices = object([("currency", text()), ("region", text()), ("as_of", text())]);
    object([
        ("account", text()),
        ("regions", texts()),
        ("skipped", list(skipped)),
        ("stacks", list(stack)),
        ("prices", prices),
        ("notices", texts()),
    ])
}

fn import() -> Value {
    let resource = object([
        ("id", text()),
        ("kind", kind()),
        ("physical_id", text()),
        ("action", words(["import", "none"])),
    ]);
    let left = object([
        ("what", text()),
        ("physical_id", text()),
        ("why", text()),
        ("advice", nullable(text())),
    ]);
    object(place().into_iter().chain([
        ("vpc", text()),
        ("outcome", words(["imported", "unchanged", "refused"])),
        ("resources", list(resource)),
        ("created_by_up", texts()),
        ("left", list(left)),
        ("blockers", list(finding())),
        ("settings", json!({"type": "object"})),
    ]))
}

fn unlock() -> Value {
    let api = object([("api", text()), ("broken", text())]);
    object(
        place()
            .into_iter()
            .chain([("broken", nullable(text())), ("apis", list(api))]),
    )
}

fn checks() -> Value {
    let check = object([
        ("name", text()),
        ("result", words(["ok", "warn", "fail", "skipped"])),
        ("text", text()),
        ("hint", nullable(text())),
    ]);
    object([("checks", list(check)), ("ok", boolean())])
}

fn decisions() -> Value {
    let explanation = object([("cause", text()), ("effect", text()), ("action", text())]);
    let decision = object([
        ("time", text()),
        ("allowed", boolean()),
        ("mode", words(["enforce", "observe"])),
        ("reason", text()),
        ("explanation", nullable(explanation)),
        ("source", nullable(text())),
        ("method", nullable(text())),
        ("resource", nullable(text())),
        ("path", nullable(text())),
        ("credential", nullable(text())),
        ("metric", nullable(text())),
    ]);
    object([
        ("stack", text()),
        ("request", text()),
        ("decisions", list(decision)),
        ("meanings", texts()),
    ])
}

fn key() -> Value {
    let explanation = object([("cause", text()), ("effect", text()), ("action", text())]);
    let limit = object([
        ("metric", text()),
        ("period", text()),
        ("max", integer()),
        ("used", integer()),
        ("used_up", boolean()),
        ("ends", nullable(text())),
    ]);
    object([
        ("key", text()),
        ("allowed", nullable(boolean())),
        ("reason", nullable(text())),
        ("explanation", nullable(explanation)),
        ("text", nullable(text())),
        ("plan", nullable(text())),
        ("limits", list(limit)),
        ("missing_metrics", texts()),
        ("notices", texts()),
    ])
}

fn release() -> Value {
    let resource = object([
        ("id", text()),
        ("kind", kind()),
        ("physical_id", nullable(text())),
    ]);
    object(place().into_iter().chain([
        ("outcome", words(["released", "unchanged"])),
        ("resources", list(resource)),
        ("records", map(json!({}))),
        ("kept", texts()),
    ]))
}

fn export() -> Value {
    let file = any([
        object([("path", text())]),
        object([("name", text()), ("text", text())]),
    ]);
    object([
        ("format", words(["terraform", "cloudformation"])),
        ("stack", text()),
        ("files", list(file)),
        ("imported", integer()),
        ("left_out", texts()),
        ("warnings", texts()),
        ("next", texts()),
    ])
}

fn iam_policy() -> Value {
    let policy = object([
        ("characters", integer()),
        ("document", json!({"type": "object"})),
    ]);
    object([
        ("stack", text()),
        ("for", text()),
        ("policies", list(policy)),
    ])
}

fn validate() -> Value {
    let at = || [("file", text()), ("line", integer()), ("column", integer())];
    let problem = at()
        .into_iter()
        .chain([("code", code()), ("message", text())]);
    let unset = at()
        .into_iter()
        .chain([("key", text()), ("variable", text())]);
    object([
        ("file", text()),
        ("valid", boolean()),
        ("problems", list(object(problem))),
        ("unset", list(object(unset))),
    ])
}

fn version() -> Value {
    object([
        ("version", text()),
        ("commit", nullable(text())),
        ("target", text()),
        ("authorizer", map(text())),
        ("zips", map(nullable(text()))),
        ("code", map(text())),
    ])
}

fn explanation() -> [(&'static str, Value); 5] {
    [
        ("code", text()),
        ("kind", words(["error", "notice", "reason"])),
        ("cause", text()),
        ("effect", text()),
        ("action", text()),
    ]
}

fn init() -> Value {
    let mut api = object([("stage", text())]);
    api["properties"]["id"] = text();
    api["properties"]["name"] = text();
    object([
        ("file", nullable(text())),
        ("text", text()),
        ("stack", text()),
        ("api", api),
        ("next", texts()),
    ])
}

#[cfg(test)]
mod tests {
    use boon::{Compiler, Schemas};
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn every_schema_is_valid_and_has_the_version() {
        for of in Document::value_variants() {
            let schema = schema(*of);
            if *of != Document::Configuration {
                assert!(schema.to_string().contains("schema_version"), "{of:?}");
            }
            let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
            compiler
                .add_resource("schema.json", schema)
                .expect("a schema");
            compiler
                .compile("schema.json", &mut schemas)
                .expect("a valid schema");
        }
    }
}
