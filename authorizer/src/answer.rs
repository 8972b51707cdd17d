//! The answer to API Gateway.

use std::borrow::Cow;

use serde::Serialize;

use crate::event::Format;
use crate::runtime::Reply;
use crate::settings::{HttpApiAnswer, LimitStatus};

/// What happens to the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It is allowed.
    Allow,
    /// It is refused: with a 403, or as a failure if the reason is one.
    Deny,
    /// It is refused with a 401, because it has no credential.
    Unauthorized,
}

/// A decision, with everything that the answer says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What happens to the request.
    pub effect: Effect,
    /// The reason: one of the words in the README.
    pub reason: String,
    /// The application's ID, if it is known.
    pub app_id: Option<String>,
    /// The plan's name, if it is known.
    pub plan: Option<String>,
    /// What was counted, for example `hits=1`; for an exceeded limit, its metric.
    pub metric: String,
    /// How many more such requests would be allowed.
    pub remaining: Option<u64>,
    /// The seconds until the current window of the closest limit ends.
    pub reset_s: Option<u64>,
    /// The seconds after which another request can be allowed.
    pub retry_after_s: Option<u64>,
}

impl Outcome {
    /// A refusal.
    #[must_use]
    pub fn deny(reason: &str) -> Self {
        Self {
            effect: Effect::Deny,
            reason: reason.to_owned(),
            app_id: None,
            plan: None,
            metric: String::new(),
            remaining: None,
            reset_s: None,
            retry_after_s: None,
        }
    }
}

/// How the function answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// With an Allow.
    Allow,
    /// With a Deny: 403, or the status of passed limits.
    Deny,
    /// With the error that API Gateway turns into a 401.
    Unauthorized,
    /// With another error: API Gateway answers 5xx.
    Failure,
}

impl Kind {
    /// The word in the log.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Unauthorized => "unauthorized",
            Self::Failure => "failure",
        }
    }
}

/// How the function answers with this outcome. `limits`: how a REST API answers a passed limit.
#[must_use]
pub fn kind(outcome: &Outcome, format: Format, limits: LimitStatus) -> Kind {
    // HTTP and WebSocket APIs have one fixed status for a refusal.
    let refuses_only_limits = limits == LimitStatus::TooManyRequests
        && format == Format::Policy
        && outcome.reason != LIMIT;
    match outcome.effect {
        Effect::Allow => Kind::Allow,
        // An HTTP API may answer 500 to any function error.
        Effect::Unauthorized if format == Format::HttpApi => Kind::Deny,
        Effect::Unauthorized => Kind::Unauthorized,
        // A Deny would read as the caller's fault.
        Effect::Deny if FAILURES.contains(&outcome.reason.as_str()) => Kind::Failure,
        Effect::Deny if refuses_only_limits => Kind::Unauthorized,
        Effect::Deny => Kind::Deny,
    }
}

/// The reasons that are no caller's fault: no decision could be made.
const FAILURES: [&str; 4] = [
    "backend_unavailable",
    "not_ready",
    "misconfigured",
    "internal",
];

/// The reason of a passed limit.
const LIMIT: &str = "limits_exceeded";

/// The longest value of the context, in bytes. With ten values, the answer stays far below 8 KiB, the smallest limit of
/// all kinds of APIs.
const MAX_VALUE: usize = 512;
/// The longest resource ARN that API Gateway accepts in a policy.
const MAX_RESOURCE: usize = 512;

/// The message of a refusal: APIcast's default error text. API Gateway's responses to callers contain it.
fn words(reason: &str) -> &'static str {
    match reason {
        "no_mapping_rule" | "path_ambiguous" => "No Mapping Rule matched",
        LIMIT => "Usage limit exceeded",
        _ => "Authentication failed",
    }
}

/// Formats the answer. `usage_key`: the key for usage plans. `limits`: how a REST API answers a passed limit.
#[must_use]
pub fn write(
    outcome: &Outcome,
    format: Format,
    arn: &str,
    http_api: HttpApiAnswer,
    usage_key: Option<&str>,
    limits: LimitStatus,
) -> Reply {
    let allow = match kind(outcome, format, limits) {
        Kind::Allow => true,
        Kind::Deny => false,
        // API Gateway turns exactly this text into a 401.
        Kind::Unauthorized => return Reply::Error("Unauthorized".to_owned()),
        // Any other text becomes an AUTHORIZER_FAILURE, for which a REST API can have a status of its own.
        Kind::Failure => return Reply::Error(outcome.reason.clone()),
    };
    let numbers = [outcome.remaining, outcome.reset_s, outcome.retry_after_s]
        .map(|number| number.map(|number| number.to_string()));
    let [limit_remaining, limit_reset, retry_after] = &numbers;
    let context = Context {
        reason: clean(&outcome.reason),
        message: (!allow).then(|| words(&outcome.reason)),
        app_id: outcome.app_id.as_deref().map(clean),
        plan: outcome.plan.as_deref().map(clean),
        metric: Some(clean(&outcome.metric)).filter(|metric| !metric.is_empty()),
        limit_remaining: limit_remaining.as_deref(),
        limit_reset: limit_reset.as_deref(),
        retry_after: retry_after.as_deref(),
    };
    let written = if format == Format::HttpApi && http_api == HttpApiAnswer::Simple {
        serde_json::to_vec(&Simple {
            is_authorized: allow,
            context,
        })
    } else {
        serde_json::to_vec(&Policy {
            principal_id: context.app_id.as_deref().unwrap_or("unknown"),
            policy_document: Document {
                version: "2012-10-17",
                statement: [Statement {
                    action: "execute-api:Invoke",
                    effect: if allow { "Allow" } else { "Deny" },
                    resource: match format {
                        Format::WebSocket => connections(arn),
                        _ if allow => stage(arn),
                        _ => method(arn),
                    },
                }],
            },
            context: &context,
            // HTTP APIs have no usage plans.
            usage_identifier_key: usage_key.filter(|_| allow && format != Format::HttpApi),
        })
    };
    // Strings and booleans can always be serialized.
    written.map_or_else(|_| Reply::Error("internal error".to_owned()), Reply::Answer)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Simple<'a> {
    is_authorized: bool,
    context: Context<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Policy<'a> {
    principal_id: &'a str,
    policy_document: Document,
    context: &'a Context<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage_identifier_key: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    version: &'static str,
    statement: [Statement; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    action: &'static str,
    effect: &'static str,
    resource: String,
}

/// Flat strings only: API Gateway accepts nothing else.
#[derive(Serialize)]
struct Context<'a> {
    reason: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metric: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit_remaining: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit_reset: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<&'a str>,
}

/// A value can become a header: removes control characters and limits the length.
fn clean(value: &str) -> Cow<'_, str> {
    if value.len() <= MAX_VALUE && !value.contains(char::is_control) {
        return Cow::Borrowed(value);
    }
    let mut text = String::with_capacity(MAX_VALUE);
    for character in value.chars().filter(|c| !c.is_control()) {
        if text.len() + character.len_utf8() > MAX_VALUE {
            break;
        }
        text.push(character);
    }
    Cow::Owned(text)
}

/// `arn:…:<api>/<stage>/*/*`: API Gateway may cache an Allow, so it must be right for every method.
fn stage(arn: &str) -> String {
    below_stage(arn, "*/*")
}

/// `arn:…:<api>/<stage>/*`: the ARN of a connection is `arn:…:<api>/<stage>/$connect`, which `*/*` does not match.
fn connections(arn: &str) -> String {
    below_stage(arn, "*")
}

fn below_stage(arn: &str, what: &str) -> String {
    let mut parts = arn.splitn(3, '/');
    match (parts.next(), parts.next()) {
        (Some(api), Some(stage)) => format!("{api}/{stage}/{what}"),
        _ => arn.to_owned(),
    }
}

/// The requested method, without the path if that makes it too long. A Deny allows nothing in either case.
fn method(arn: &str) -> String {
    if arn.len() <= MAX_RESOURCE && !arn.is_empty() {
        return arn.to_owned();
    }
    let parts: Vec<&str> = arn.splitn(4, '/').collect();
    match parts[..] {
        [api, stage, method, _] if arn.len() > MAX_RESOURCE => format!("{api}/{stage}/{method}/*"),
        _ => "*".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ARN: &str = "arn:aws:execute-api:us-east-1:123456789012:api/prod/GET/orders/1";

    fn written(outcome: &Outcome, format: Format, arn: &str) -> Value {
        match write(
            outcome,
            format,
            arn,
            HttpApiAnswer::Simple,
            None,
            LimitStatus::Forbidden,
        ) {
            Reply::Answer(body) => serde_json::from_slice(&body).expect("JSON"),
            Reply::Error(error) => panic!("{error}"),
        }
    }

    fn allowed() -> Outcome {
        Outcome {
            effect: Effect::Allow,
            reason: "authorized".to_owned(),
            app_id: Some("app".to_owned()),
            plan: Some("Free\r\nX: y".to_owned()),
            metric: "hits=1".to_owned(),
            remaining: Some(4),
            reset_s: Some(60),
            retry_after_s: None,
        }
    }

    #[test]
    fn allows_the_whole_stage() {
        let answer = written(&allowed(), Format::Policy, ARN);
        assert_eq!(
            answer["policyDocument"]["Statement"][0],
            json!({"Action": "execute-api:Invoke", "Effect": "Allow",
                "Resource": "arn:aws:execute-api:us-east-1:123456789012:api/prod/*/*"})
        );
        assert_eq!(answer["principalId"], "app");
        assert_eq!(
            answer["context"],
            json!({"reason": "authorized", "app_id": "app", "plan": "FreeX: y", "metric": "hits=1",
                "limit_remaining": "4", "limit_reset": "60"})
        );
    }

    #[test]
    fn denies_one_method() {
        let answer = written(&Outcome::deny("no_mapping_rule"), Format::Policy, ARN);
        assert_eq!(answer["policyDocument"]["Statement"][0]["Resource"], ARN);
        assert_eq!(answer["policyDocument"]["Statement"][0]["Effect"], "Deny");
        assert_eq!(answer["principalId"], "unknown");
        assert_eq!(answer["context"]["message"], "No Mapping Rule matched");
    }

    #[test]
    fn a_usage_plan_gets_the_key_of_an_allowed_request() {
        let key = |outcome: &Outcome, format| match write(
            outcome,
            format,
            ARN,
            HttpApiAnswer::Simple,
            Some("the-key"),
            LimitStatus::Forbidden,
        ) {
            Reply::Answer(body) => {
                let answer: Value = serde_json::from_slice(&body).expect("JSON");
                answer["usageIdentifierKey"].clone()
            }
            Reply::Error(error) => panic!("{error}"),
        };
        assert_eq!(key(&allowed(), Format::Policy), "the-key");
        assert_eq!(key(&allowed(), Format::HttpApi), Value::Null);
        assert_eq!(key(&Outcome::deny("denied"), Format::Policy), Value::Null);
    }

    #[test]
    fn a_long_path_is_left_out() {
        let arn = format!("{ARN}/{}", "x".repeat(600));
        let answer = written(&Outcome::deny("x"), Format::Policy, &arn);
        assert_eq!(
            answer["policyDocument"]["Statement"][0]["Resource"],
            "arn:aws:execute-api:us-east-1:123456789012:api/prod/GET/*"
        );
    }

    #[test]
    fn simple_answers_are_real_booleans() {
        assert_eq!(
            written(&allowed(), Format::HttpApi, "")["isAuthorized"],
            true
        );
        assert_eq!(
            written(&Outcome::deny("x"), Format::HttpApi, "")["isAuthorized"],
            false
        );
        let Reply::Answer(body) = write(
            &allowed(),
            Format::HttpApi,
            ARN,
            HttpApiAnswer::Policy,
            Some("key"),
            LimitStatus::Forbidden,
        ) else {
            panic!("no answer")
        };
        let body = String::from_utf8_lossy(&body);
        assert!(body.contains("policyDocument") && !body.contains("usageIdentifierKey"));
    }

    #[test]
    fn missing_credentials_are_the_word_api_gateway_knows() {
        let outcome = Outcome {
            effect: Effect::Unauthorized,
            ..Outcome::deny("credential_missing")
        };
        assert_eq!(
            write(
                &outcome,
                Format::Policy,
                ARN,
                HttpApiAnswer::Simple,
                None,
                LimitStatus::Forbidden
            ),
            Reply::Error("Unauthorized".to_owned())
        );
    }

    #[test]
    fn an_http_api_gets_a_refusal_for_missing_credentials() {
        let outcome = Outcome {
            effect: Effect::Unauthorized,
            ..Outcome::deny("credential_missing")
        };
        let answer = written(&outcome, Format::HttpApi, ARN);
        assert_eq!(answer["isAuthorized"], false);
        assert_eq!(answer["context"]["reason"], "credential_missing");
    }

    #[test]
    fn a_connection_is_decided_for_the_whole_stage() {
        const CONNECT: &str =
            "arn:aws:execute-api:us-east-1:123456789012:abcdef123/default/$connect";
        const ALL: &str = "arn:aws:execute-api:us-east-1:123456789012:abcdef123/default/*";
        let statement = |outcome: &Outcome| {
            let answer = written(outcome, Format::WebSocket, CONNECT);
            let statement = &answer["policyDocument"]["Statement"][0];
            (statement["Effect"].clone(), statement["Resource"].clone())
        };
        assert_eq!(statement(&allowed()), (json!("Allow"), json!(ALL)));
        let denied = Outcome::deny("user_key_invalid");
        assert_eq!(statement(&denied), (json!("Deny"), json!(ALL)));
        let reply = |effect, reason: &str| {
            let outcome = Outcome {
                effect,
                ..Outcome::deny(reason)
            };
            // The status of limits is a setting of REST APIs.
            let limits = LimitStatus::TooManyRequests;
            let simple = HttpApiAnswer::Simple;
            write(
                &outcome,
                Format::WebSocket,
                CONNECT,
                simple,
                Some("key"),
                limits,
            )
        };
        assert_eq!(
            reply(Effect::Unauthorized, "credential_missing"),
            Reply::Error("Unauthorized".to_owned())
        );
        assert_eq!(
            reply(Effect::Deny, "not_ready"),
            Reply::Error("not_ready".to_owned())
        );
        let is_answer = |reply| matches!(reply, Reply::Answer(_));
        assert!(is_answer(reply(Effect::Deny, "no_mapping_rule")));
        let Reply::Answer(allowed) = reply(Effect::Allow, "authorized") else {
            panic!("no answer")
        };
        assert!(String::from_utf8_lossy(&allowed).contains(r#""usageIdentifierKey":"key""#));
    }

    #[test]
    fn with_429_a_deny_is_always_a_passed_limit() {
        let reply = |reason: &str, format| {
            let outcome = Outcome::deny(reason);
            write(
                &outcome,
                format,
                ARN,
                HttpApiAnswer::Simple,
                None,
                LimitStatus::TooManyRequests,
            )
        };
        let refused = ["user_key_invalid", "no_mapping_rule", "too_many_unknown"];
        for reason in refused {
            let unauthorized = Reply::Error("Unauthorized".to_owned());
            assert_eq!(reply(reason, Format::Policy), unauthorized);
            assert!(matches!(reply(reason, Format::HttpApi), Reply::Answer(_)));
        }
        assert!(matches!(reply(LIMIT, Format::Policy), Reply::Answer(_)));
        let failure = reply("not_ready", Format::Policy);
        assert_eq!(failure, Reply::Error("not_ready".to_owned()));
        let allowed = write(
            &allowed(),
            Format::Policy,
            ARN,
            HttpApiAnswer::Simple,
            None,
            LimitStatus::TooManyRequests,
        );
        assert!(matches!(allowed, Reply::Answer(_)));
    }

    #[test]
    fn what_is_no_fault_of_the_caller_is_no_deny() {
        for reason in FAILURES {
            for format in [Format::Policy, Format::HttpApi] {
                assert_eq!(
                    write(
                        &Outcome::deny(reason),
                        format,
                        ARN,
                        HttpApiAnswer::Simple,
                        None,
                        LimitStatus::Forbidden
                    ),
                    Reply::Error(reason.to_owned())
                );
            }
        }
    }

    #[test]
    fn the_context_stays_small() {
        let mut outcome = allowed();
        outcome.plan = Some("é".repeat(5000));
        outcome.metric = "m".repeat(5000);
        outcome.app_id = Some("a".repeat(5000));
        let Reply::Answer(body) = write(
            &outcome,
            Format::Policy,
            ARN,
            HttpApiAnswer::Simple,
            None,
            LimitStatus::Forbidden,
        ) else {
            panic!("no answer")
        };
        assert!(body.len() < 4096);
    }
}
