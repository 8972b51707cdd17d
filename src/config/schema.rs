//! The JSON Schema of the configuration, for editors.
//!
//! It accepts every file that the reader accepts, and refuses what a schema can express. Its sections, words, ranges and
//! defaults are those of the reader; only patterns and descriptions are written here. Draft 7, which editors support.

mod network;
mod parts;

use serde_json::{Value, json};

use self::network::{cache, network};
use self::parts::{
    EC2_ID, Properties, VARIABLE, boolean, choice, choice_of, described, duration, object,
    optional, path, text, variable, whole, with, word_of,
};
use super::identifiers::{LOG_RETENTION_DAYS, MAX_SECRET, MAX_THREESCALE_NAME};
use super::keys::{
    API, AUTHORIZER, CREDENTIALS, DEFAULT_BACKEND, DEFAULT_LOG_RETENTION_DAYS, DEFAULT_MAX_AGE,
    DEFAULT_MEMORY, DEFAULT_REPORT_EVERY, MAPPING_RULE, MAX_DELTA, MAX_SECURITY_GROUPS, MEMORY,
    MEMORY_MB, MONITORING, NO_NETWORK, RESPONSES, ROOT, THREESCALE,
};
use super::settings::DEFAULT_TIMEOUT;
use super::validate::MAX_TAGS;
use super::{
    Architecture, Caching, CredentialKind, CredentialLocation, MetricSeries, Mode,
    mapping_rule as rules, pattern,
};
use crate::responses::{ACCESS_DENIED, Responses};

/// What the names of an IAM resource consist of.
const IAM_NAME: &str = r"[A-Za-z0-9+=,.@_/-]*[A-Za-z0-9+=,.@_-]";

/// The schema of the whole file.
pub fn json_schema() -> Value {
    let mut schema = object(
        &ROOT,
        "The configuration of a stack of threescale-gw.",
        root(),
        &["stack", "api", "threescale"],
    );
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    schema["title"] = json!("threescale-gw");
    schema["definitions"] = json!({
        "variable": {"type": "string", "pattern": VARIABLE, "description": "${NAME} or ${NAME:-default}"},
    });
    schema["allOf"] = json!([
        {
            "if": {"required": ["network"], "properties": {"network": {"const": NO_NETWORK}}},
            "then": {
                "required": ["cache"],
                "properties": {
                    "cache": {"anyOf": [
                        {"const": MEMORY},
                        {"type": "object", "required": ["url"]},
                        variable(),
                    ]},
                    "authorizer": {"properties": {"security_groups": false}},
                },
            },
        },
        {
            "if": {
                "required": ["api"],
                "properties": {"api": {
                    "required": ["usage_key"],
                    "properties": {"usage_key": {"const": CredentialKind::UserKey.as_str()}},
                }},
            },
            "then": {"properties": {"threescale": {"properties": {"credentials": {"properties": {
                "kind": {"not": {"const": CredentialKind::AppId.as_str()}},
            }}}}}},
        },
    ]);
    schema
}

fn root() -> Properties {
    let tag_key = json!({
        "minLength": 1,
        "maxLength": 128,
        "pattern": TAG_TEXT,
        "not": {"pattern": "^([Aa][Ww][Ss]|[Tt][Hh][Rr][Ee][Ee][Ss][Cc][Aa][Ll][Ee]-[Gg][Ww]):|^[Nn][Aa][Mm][Ee]$"},
    });
    let tags = json!({
        "description": "Tags for every resource, in addition to those of threescale-gw.",
        "type": ["object", "null"],
        "maxProperties": MAX_TAGS,
        "propertyNames": tag_key,
        "additionalProperties": {
            "type": "string",
            "maxLength": 256,
            "pattern": format!("{TAG_TEXT}|{VARIABLE}"),
        },
    });
    vec![
        (
            "stack",
            text(
                "[a-z][a-z0-9-]{0,31}",
                "The name of the stack, part of the name and the tags of every resource.",
            ),
        ),
        (
            "account",
            text(
                "[0-9]{12}",
                "The only AWS account that the stack may be in. With other credentials, every command refuses.",
            ),
        ),
        (
            "region",
            with(
                text(
                    "[a-z0-9]*-[a-z0-9-]*",
                    "The only Region that the stack may be in. In another one, every command refuses.",
                ),
                &[("minLength", json!(4))],
            ),
        ),
        ("tags", tags),
        ("api", api()),
        ("threescale", threescale()),
        ("network", network()),
        ("cache", cache()),
        ("authorizer", authorizer()),
        ("monitoring", monitoring()),
        (
            "deletion_protection",
            boolean(
                false,
                "With true, `threescale-gw down` refuses until you set this to false and run `up`.",
            ),
        ),
    ]
}

/// The characters that all tagged services accept; of others than ASCII, all.
const TAG_TEXT: &str = r"^[^\x00-\x1f!-*,;<>?\[-\^`{-\x7f]*$";

fn api() -> Value {
    let method = format!(
        r"\s*(({})\s+/[^ \t\r\n?#]*|{})\s*",
        pattern::METHODS.join("|"),
        pattern::ROUTES.map(|route| format!(r"\{route}")).join("|")
    );
    let method = text(
        &method,
        "METHOD PATH, such as `GET /orders/*`; or `$default` of an HTTP API, `$connect` of a WebSocket API.",
    );
    let types = || {
        json!([
            {"type": "boolean"},
            {"type": "array", "items": word_of(&Responses::TYPES)},
            variable(),
        ])
    };
    let of_responses = vec![
        (
            "limits",
            json!({
                "description": "The status of a passed limit.",
                "default": 403,
                "anyOf": [{"enum": [403, 429]}, variable()],
            }),
        ),
        (
            "types",
            json!({
                "description": "Which gateway responses of the API tell refused callers the reason.",
                "default": true,
                "anyOf": types(),
            }),
        ),
    ];
    let mut object_of_responses = object(&RESPONSES, "Both settings.", of_responses, &[]);
    object_of_responses["allOf"] = json!([{
        "if": {"required": ["limits", "types"], "properties": {"limits": {"const": 429}}},
        "then": {"properties": {"types": {
            "not": {"const": false},
            "contains": {"anyOf": [{"const": ACCESS_DENIED}, variable()]},
        }}},
    }]);
    let mut responses: Vec<Value> = types().as_array().cloned().unwrap_or_default();
    responses.push(object_of_responses);
    let stage = || text(r"[A-Za-z0-9_-]{1,128}|\$default", "The name of a stage.");
    let properties = vec![
        (
            "id",
            text(
                "[a-z0-9]{8,12}",
                "The id of an existing REST, HTTP or WebSocket API.",
            ),
        ),
        (
            "name",
            json!({"description": "The name of an existing REST, HTTP or WebSocket API, in place of its id.", "type": "string", "pattern": r"[^ \t\r\n]"}),
        ),
        (
            "stage",
            json!({
                "description": "The stage to protect, or a list of stages, which change together.",
                "anyOf": [
                    stage(),
                    {"type": "array", "minItems": 1, "uniqueItems": true, "items": stage()},
                ],
            }),
        ),
        (
            "protect",
            json!({
                "description": "The methods or routes to protect; by default, every open one except OPTIONS. One that already has \
                    AWS_IAM or another authorizer is protected only if it is named exactly.",
                "type": "array",
                "minItems": 1,
                "items": method,
                "examples": [["ANY /*"]],
            }),
        ),
        (
            "except",
            json!({
                "description": "Methods to leave open.",
                "type": "array",
                "items": method,
                "examples": [["GET /health"]],
            }),
        ),
        (
            "responses",
            json!({
                "description": "The gateway responses to refused callers. Only for REST APIs.",
                "default": {"types": true, "limits": 403},
                "anyOf": responses,
            }),
        ),
        (
            "usage_key",
            described(
                choice_of::<CredentialKind>(),
                "What the authorizer gives API Gateway as the key of its usage plans, if the API takes the key from the authorizer. Not for HTTP APIs.",
            ),
        ),
    ];
    let mut section = object(&API, "The API to protect.", properties, &["stage"]);
    section["oneOf"] = json!([{"required": ["id"]}, {"required": ["name"]}]);
    section
}

fn threescale() -> Value {
    let properties = vec![
        (
            "service_id",
            text(
                &format!("[0-9]{{1,{MAX_THREESCALE_NAME}}}"),
                "The id of the product, a number in quotes (on the overview of the product in the Admin Portal).",
            ),
        ),
        (
            "service_token",
            with(
                text(
                    r"[^ \x00-\x1f\x7f]+",
                    "A service token of the product, usually ${THREESCALE_SERVICE_TOKEN}.",
                ),
                &[("maxLength", json!(MAX_SECRET))],
            ),
        ),
        (
            "backend",
            with(
                text(
                    r"[Hh][Tt][Tt][Pp][Ss]?:[^ \t\r\n?#@]+",
                    "The Service Management API of 3scale. http:// is possible for a private address only, and sends secrets unencrypted.",
                ),
                &[("default", json!(DEFAULT_BACKEND))],
            ),
        ),
        (
            "allow_plain_http",
            boolean(
                false,
                "Whether `backend` may begin with http:// for a private address.",
            ),
        ),
        (
            "ca_file",
            path(
                "A PEM file with the certificate authorities of a 3scale of your own, relative to this file. The public ones stay trusted.",
            ),
        ),
        (
            "timeout",
            duration(
                DEFAULT_TIMEOUT,
                "How long a request waits for 3scale, from 100ms to 4s.",
            ),
        ),
        ("credentials", credentials()),
        (
            "mapping_rules",
            json!({
                "description": "What a request counts. All matching rules add up, until one with `last: true`. Without rules, each \
                    request counts one hit.",
                "type": "array",
                "items": mapping_rule(),
            }),
        ),
    ];
    object(
        &THREESCALE,
        "The 3scale product that authorizes requests.",
        properties,
        &["service_id", "service_token"],
    )
}

fn credentials() -> Value {
    let name = r"[A-Za-z0-9._$-]{1,128}";
    let properties = vec![
        (
            "kind",
            choice::<CredentialKind>("What identifies an application."),
        ),
        ("in", choice::<CredentialLocation>("Where callers put it.")),
        (
            "name",
            text(
                name,
                "The name of the header or query parameter; by default `apikey`, and `app_id` for `kind: app_id`.",
            ),
        ),
        (
            "key_name",
            with(
                text(
                    name,
                    "The header or query parameter of the application key, for `kind: app_id`.",
                ),
                &[("default", json!("app_key"))],
            ),
        ),
    ];
    let mut section = optional(
        &CREDENTIALS,
        "Where callers send their credentials.",
        properties,
    );
    section["dependencies"] = json!({"key_name": {
        "required": ["kind"],
        "properties": {"kind": {"not": {"const": CredentialKind::UserKey.as_str()}}},
    }});
    section
}

fn mapping_rule() -> Value {
    let properties = vec![
        (
            "method",
            described(
                word_of(&rules::METHODS),
                "The method of the request, or ANY.",
            ),
        ),
        (
            "pattern",
            with(
                text(
                    "/.*",
                    "The beginning of the path, with {name} for a part of it, and $ for its end.",
                ),
                &[("maxLength", json!(MAX_THREESCALE_NAME))],
            ),
        ),
        (
            "metric",
            with(
                text(
                    "[A-Za-z0-9_][A-Za-z0-9_./-]*",
                    "The system name of the metric or method to count.",
                ),
                &[("maxLength", json!(MAX_THREESCALE_NAME))],
            ),
        ),
        ("delta", whole(1, MAX_DELTA, 1, "The amount to count.")),
        (
            "last",
            boolean(
                false,
                "Whether later rules are ignored after this one matches.",
            ),
        ),
    ];
    object(
        &MAPPING_RULE,
        "The usage of a matching request.",
        properties,
        &["method", "pattern", "metric"],
    )
}

fn monitoring() -> Value {
    let properties = vec![
        (
            "topic",
            text(
                "arn:aws[^:]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}",
                "The SNS topic that the alarms of the stack notify, which is never changed. Without it, there are no alarms.",
            ),
        ),
        (
            "dashboard",
            boolean(false, "Whether the stack has a dashboard in CloudWatch."),
        ),
        (
            "metrics",
            choice::<MetricSeries>(
                "Which metrics of the functions are series in CloudWatch, each of which costs money. few: those of the alarms and \
                 the dashboard. all: also those of each function, and the decisions by reason.",
            ),
        ),
    ];
    optional(
        &MONITORING,
        "What CloudWatch watches of the stack.",
        properties,
    )
}

fn authorizer() -> Value {
    let properties = vec![
        (
            "architecture",
            choice::<Architecture>("The processor architecture of the functions."),
        ),
        (
            "memory",
            whole(
                *MEMORY_MB.start(),
                *MEMORY_MB.end(),
                DEFAULT_MEMORY,
                "The memory of the functions, in MB.",
            ),
        ),
        (
            "caching",
            choice::<Caching>(
                "How cached answers of 3scale are used. While 3scale does not answer: strict denies, resilient uses the last answer, \
                 allow allows what was not denied before. none calls 3scale for every request.",
            ),
        ),
        (
            "max_age",
            duration(
                DEFAULT_MAX_AGE,
                "How long an answer of 3scale is used, up to 1d. A revoked key stops working within this time.",
            ),
        ),
        (
            "report_every",
            duration(
                DEFAULT_REPORT_EVERY,
                "How often usage is reported to 3scale, in whole minutes, up to 6h.",
            ),
        ),
        (
            "log_retention_days",
            json!({
                "description": "How long CloudWatch Logs keeps the logs of the functions.",
                "default": DEFAULT_LOG_RETENTION_DAYS,
                "anyOf": [{"enum": LOG_RETENTION_DAYS}, variable()],
            }),
        ),
        (
            "role_arn",
            text(
                &format!("arn:aws[^:]*:iam::[0-9]{{12}}:role/{IAM_NAME}"),
                "A role of your own for the functions, which is never changed. Without it, the stack creates one.",
            ),
        ),
        (
            "security_groups",
            json!({
                "description": "Security groups of your own for the functions, in the VPC of `network`. They are never changed.",
                "type": "array",
                "minItems": 1,
                "maxItems": MAX_SECURITY_GROUPS,
                "uniqueItems": true,
                "items": text(&format!("sg-{EC2_ID}"), "The id of a security group."),
            }),
        ),
        (
            "permissions_boundary",
            text(
                &format!("arn:aws[^:]*:iam::([0-9]{{12}}|aws):policy/{IAM_NAME}"),
                "The permissions boundary of the role of the functions.",
            ),
        ),
        (
            "kms_key",
            text(
                "arn:aws[^:]*:kms:[a-z0-9-]+:[0-9]{12}:key/(mrk-)?[0-9A-Fa-f-]{32,36}",
                "A KMS key of your own for the secrets and the environments of the functions, which is never changed.",
            ),
        ),
        (
            "mode",
            choice::<Mode>(
                "What the authorizer does with its decisions. enforce applies them. observe logs them, and allows every request.",
            ),
        ),
        (
            "report",
            boolean(
                true,
                "Whether usage is reported to 3scale. Only an authorizer that observes may report nothing.",
            ),
        ),
        (
            "artifact",
            path(
                "A zip file to use in place of a build of the bundled authorizer, relative to this file.",
            ),
        ),
    ];
    let mut section = optional(
        &AUTHORIZER,
        "The authorizer and reporter functions.",
        properties,
    );
    section["dependencies"] = json!({"role_arn": {"properties": {"permissions_boundary": false}}});
    section
}
