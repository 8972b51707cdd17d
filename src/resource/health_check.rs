//! The authorizer's self-test: it verifies from inside the VPC that Redis and 3scale can be reached
//! and that a decision is made, before an API depends on it.
//!
//! The event and its response are defined between the authorizer and this program; the authorizer's
//! README lists the causes.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_sdk_lambda::primitives::Blob;
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use super::function::NAMES;
use super::parameter::OBSERVE;
use super::{Context, ResourceError, function_publication};
use crate::aws::{AwsError, Backoff, Class};
use crate::event::Event;
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::names::LIVE;
use crate::notice::NoticeCode;
use crate::printable;

/// How long a temporary failure is retried: names and routes of new resources take a moment.
const PATIENCE: Duration = Duration::from_secs(15);

/// The cause where Lambda cannot use the key of the function's environment.
const KMS_KEY: &str = "kms_key";

/// The result of one part of the self-test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// `secrets`, `redis`, `threescale` or `decision`.
    pub name: String,
    pub ok: bool,
    /// Duration in milliseconds.
    #[serde(default)]
    pub ms: u64,
    #[serde(default)]
    pub error: Option<String>,
    /// A stable identifier of the cause; an older authorizer returns none.
    #[serde(default)]
    pub cause: Option<String>,
    /// What is not as it should be although the check passed.
    #[serde(default)]
    pub warning: Option<String>,
}

impl Check {
    fn cause(&self) -> &str {
        self.cause.as_deref().unwrap_or_default()
    }

    /// Whether it did not run, because an earlier check failed.
    pub fn is_skipped(&self) -> bool {
        !self.ok && self.cause() == "skipped"
    }

    /// Whether the failure may end within seconds without a change. `may_be_new`: the role may have a new permission, which
    /// takes effect with a delay.
    fn is_passing(&self, may_be_new: bool) -> bool {
        let passing = ["dns", "timeout", "no_route", "refused", "endpoint_missing"];
        passing.contains(&self.cause()) || (may_be_new && self.cause() == "ssm_denied")
    }

    /// The warning, with its remedy.
    fn warned(&self) -> Option<String> {
        let warning = printable::line(self.warning.as_deref()?);
        let remedy = match self.name.as_str() {
            "redis" => ": set `maxmemory-policy` to `noeviction` or `volatile-lru`",
            _ => "",
        };
        Some(format!("{warning}{remedy}"))
    }

    /// The remedy, by check and cause.
    pub fn remedy(&self) -> &'static str {
        match (self.name.as_str(), self.cause()) {
            ("secrets", "ssm_denied") => {
                "the role may not read this stack's parameters: `threescale-gw up` repairs the role; else look for a permissions \
                 boundary or a service control policy, and with `authorizer.kms_key` at the state and the policy of the key"
            }
            (
                "secrets",
                "ssm_unreachable" | "timeout" | "dns" | "no_route" | "refused" | "tls"
                | "tls_chain" | "tls_name" | "tls_validity",
            ) => {
                "the functions' subnets have no way to the Parameter Store: check their route to a NAT gateway, or set \
                 `network.endpoints: true`"
            }
            ("secrets", _) => "run `threescale-gw up` again: it recreates the missing parameters",
            ("redis", "dns") => {
                "the cache's name is not known in the VPC: DNS support must be on; a new cache's name may take a minute, run the same \
                 command again"
            }
            ("redis", "timeout" | "no_route") => {
                "the cache's security group must admit its port from the functions' group, and both must share the VPC: \
                 `threescale-gw status` shows drift"
            }
            ("redis", "refused") => {
                "nothing listens there: check `cache.url`, or the cache's state with `threescale-gw status`"
            }
            ("redis", "tls" | "tls_chain" | "tls_name" | "tls_validity") => {
                "`cache.tls`, or the scheme of `cache.url` (rediss://), must fit the cache, and its certificate must be valid"
            }
            ("redis", "auth") => {
                "the cache refuses the password: check `cache.url`; for a managed cache, `threescale-gw up` sets the AUTH token again"
            }
            ("redis" | "decision", "read_only") => {
                "that is a replica: give the address of the primary in `cache.url`"
            }
            ("redis" | "decision", "full") => {
                "the cache is full, or accepts no more connections: give it a larger `cache.node_type`; for one of your own, set another \
                 eviction policy or a larger `maxclients`"
            }
            ("decision", "scripts") => {
                "the cache must run Lua scripts (EVALSHA); a proxy or a restricted user may forbid them"
            }
            ("redis", "endpoint_missing") => {
                "run `threescale-gw up` again: it writes the cache's address"
            }
            ("redis", _) => {
                "what answers there does not speak Redis as expected: check `cache.url`"
            }
            ("threescale", "dns") => {
                "check the name in `threescale.backend`, and that the VPC resolves it: a private name needs a private hosted zone that is \
                 associated with the VPC"
            }
            ("threescale", "timeout" | "no_route") => {
                "there is no way to 3scale: the private subnets need a route 0.0.0.0/0 to a NAT gateway, or for a private address a route \
                 to its network (peering, transit gateway), and nothing may block its port on the way there and back"
            }
            ("threescale", "refused") => "nothing listens at `threescale.backend`",
            ("threescale", "tls_chain") => {
                "the functions do not trust the authority of the certificate at `threescale.backend`: put its certificate into \
                 `threescale.ca_file`; the server must send all intermediate certificates"
            }
            ("threescale", "tls_name") => {
                "the certificate at `threescale.backend` is for another name: use a name that is in the certificate"
            }
            ("threescale", "tls_validity") => {
                "the certificate at `threescale.backend` has expired or is not valid yet: renew it"
            }
            ("threescale", "tls") => {
                "what answers at `threescale.backend` does not speak TLS as expected: check its port"
            }
            ("threescale", "token_invalid") => {
                "3scale refuses the service token: check `threescale.service_token`; a token belongs to one service"
            }
            ("threescale", "service_unknown") => {
                "3scale does not know the service: check `threescale.service_id`"
            }
            ("threescale", "metric_unknown") => {
                "a metric of `threescale.mapping_rules` is not defined in 3scale: use its system name"
            }
            ("threescale", "credential_kind") => {
                "the product wants the other kind of credential: check `threescale.credentials.kind`"
            }
            ("threescale", "http_status") => {
                "3scale answers with an error: look at its status page, or check `threescale.backend`"
            }
            ("threescale", _) => "`threescale.backend` is not 3scale's Service Management API",
            ("authorizer", "inactive") => {
                "Lambda made the function inactive, because it was not invoked for weeks, and restores it now; this takes up to two \
                 minutes: run the same command again"
            }
            ("authorizer", "throttled_reserved") => {
                "the function's reserved concurrency is used up, or it is 0: raise it, or remove it from the function"
            }
            ("authorizer", "throttled") => {
                "the account's concurrent executions are used up: raise that quota of Lambda in Service Quotas"
            }
            ("authorizer", KMS_KEY) => {
                "Lambda cannot decrypt the environment of the function: enable `authorizer.kms_key`, or cancel its deletion, and check that \
                 its policy allows the role of the functions to use it"
            }
            ("decision", _) => {
                "this should not happen: look at the authorizer's log group, and report it"
            }
            _ => "look at the authorizer's log group",
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(cause) = &self.cause {
            write!(f, " ({cause})")?;
        }
        write!(f, ": {}", self.error.as_deref().unwrap_or("failed"))
    }
}

/// The result of a self-test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub ok: bool,
    pub checks: Vec<Check>,
    /// `enforce` or `observe`; an older authorizer returns none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
}

impl Report {
    /// The checks that ran and failed.
    pub fn failed(&self) -> impl Iterator<Item = &Check> {
        self.checks
            .iter()
            .filter(|check| !check.ok && !check.is_skipped())
    }

    fn is_passing(&self, may_be_new: bool) -> bool {
        self.failed().all(|check| check.is_passing(may_be_new))
    }

    /// What is not as it should be although the checks passed, with the remedies.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        self.checks.iter().filter_map(Check::warned)
    }

    /// Whether the authorizer allows every request.
    pub fn observes(&self) -> bool {
        self.mode.as_deref() == Some(OBSERVE)
    }

    /// The failure as an error; `None` if all checks passed.
    pub fn failure(&self) -> Option<ResourceError> {
        (!self.ok).then(|| self.as_error(NAMES[0]))
    }

    /// The failure of this function as an error.
    fn as_error(&self, function: &str) -> ResourceError {
        let failed: Vec<_> = self.failed().collect();
        let what = failed
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("; ");
        let mut remedies: Vec<_> = failed.iter().map(|check| check.remedy()).collect();
        remedies.dedup();
        let text = match function {
            "authorizer" => format!("the authorizer cannot decide: {what}"),
            _ => format!("the {function} cannot work: {what}"),
        };
        ResourceError::SelfTest {
            what: text,
            hint: Some(remedies.join("; ")),
        }
    }
}

/// Runs the self-test once, on the version that the API invokes.
///
/// # Errors
/// When the function cannot be invoked, fails, or returns an unexpected response.
pub async fn run(cx: &Context) -> Result<Report, ResourceError> {
    // A stack of a release without aliases has none.
    let alias = function_publication::live_version(cx)
        .await?
        .map(|_| LIVE.to_owned());
    run_on(cx, NAMES[0], alias).await
}

/// Runs the self-test of a function once, on an alias, a version, or the function itself.
async fn run_on(
    cx: &Context,
    function: &str,
    qualifier: Option<String>,
) -> Result<Report, ResourceError> {
    let request = cx
        .aws()
        .lambda
        .invoke()
        .function_name(cx.names().function(function))
        .set_qualifier(qualifier)
        .payload(Blob::new(r#"{"threescale-gw":"self-test"}"#));
    let answer = cx
        .aws()
        .call_idempotent("lambda:Invoke", || request.clone().send())
        .await?;
    let payload = answer.payload.map(Blob::into_inner).unwrap_or_default();
    if answer.function_error.is_some() {
        return Err(crashed(function, &payload));
    }
    serde_json::from_slice(&payload).map_err(|error| {
        let text = format!("the {function} answered something else than a self-test: {error}");
        ResourceError::SelfTest {
            what: text,
            hint: Some(
                "its code may be older than this program: `threescale-gw up --only authorizer`"
                    .to_owned(),
            ),
        }
    })
}

/// The cause of an invocation that Lambda refused.
fn refusal(error: &AwsError) -> Option<&'static str> {
    match (error.code.as_str(), error.reason.as_deref()) {
        ("CodeArtifactUserPendingException" | "ResourceNotReadyException", _) => Some("inactive"),
        ("TooManyRequestsException", Some("ReservedFunctionConcurrentInvocationLimitExceeded")) => {
            Some("throttled_reserved")
        }
        ("TooManyRequestsException", _) => Some("throttled"),
        _ if error.is_about_key() => Some(KMS_KEY),
        _ => None,
    }
}

/// Converts a failed invocation to a report.
fn unanswered(error: ResourceError) -> Report {
    let cause = error.aws().and_then(refusal).map(str::to_owned);
    Report {
        ok: false,
        checks: vec![Check {
            name: "authorizer".to_owned(),
            ok: false,
            ms: 0,
            error: Some(error.to_string()),
            cause,
            warning: None,
        }],
        mode: None,
    }
}

/// The result of a self-test for a caller who may lack the permission to invoke the function.
#[derive(Debug)]
pub enum Asked {
    Answered(Report),
    /// The caller may not invoke the function, for this reason: the result is unknown.
    Denied(String),
}

/// Runs the self-test once, if the caller has the permission.
pub async fn asked(cx: &Context) -> Asked {
    match run(cx).await {
        Err(ResourceError::Aws(error)) if error.class == Class::Denied => {
            Asked::Denied(error.to_string())
        }
        answered => Asked::Answered(answered.unwrap_or_else(unanswered)),
    }
}

/// The error of a function that crashed, from the message of its runtime.
fn crashed(function: &str, payload: &[u8]) -> ResourceError {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Crash {
        #[serde(default)]
        error_type: String,
        #[serde(default)]
        error_message: String,
    }
    let text = match serde_json::from_slice(payload) {
        Ok(Crash {
            error_type,
            error_message,
        }) => format!("{error_type} {error_message}"),
        Err(_) => "no reason given".to_owned(),
    };
    ResourceError::SelfTest {
        what: format!("the {function} failed: {}", printable::line(text.trim())),
        hint: Some("look at the authorizer's log group".to_owned()),
    }
}

/// The verification that the authorizer works; it runs at most once per run, however many steps
/// need it.
#[derive(Debug, Default)]
pub struct SelfTestGate {
    live: OnceCell<()>,
    /// The versions that passed, by function.
    versions: Mutex<BTreeSet<(&'static str, u64)>>,
    /// Whether the role may have got the permission for a KMS key a moment ago.
    may_be_new: bool,
}

impl SelfTestGate {
    /// A gate; `has_key`: the functions use a KMS key of the operator.
    pub fn new(has_key: bool) -> Self {
        Self {
            may_be_new: has_key,
            ..Self::default()
        }
    }

    /// A gate that counts as passed.
    pub fn given() -> Self {
        Self {
            live: OnceCell::new_with(Some(())),
            ..Self::default()
        }
    }

    /// Waits until the self-test of the version that the API invokes has passed.
    ///
    /// # Errors
    /// The failed check, its cause, and the remedy.
    pub async fn ensure_passed(&self, cx: &Context) -> Result<(), ResourceError> {
        let prove = || async {
            let alias = function_publication::live_version(cx)
                .await?
                .map(|_| LIVE.to_owned());
            prove(cx, NAMES[0], alias, self.may_be_new, false).await
        };
        self.live.get_or_try_init(prove).await.map(|_| ())
    }

    /// Waits until the self-test of a version that will become live has passed. `observes`: whether the version must allow every
    /// request.
    ///
    /// # Errors
    /// The failed check, its cause, and the remedy.
    pub async fn ensure_version_passed(
        &self,
        cx: &Context,
        function: &'static str,
        version: u64,
        observes: bool,
    ) -> Result<(), ResourceError> {
        if self.has_passed(function, version) {
            return Ok(());
        }
        let qualifier = Some(version.to_string());
        prove(cx, function, qualifier, self.may_be_new, observes).await?;
        self.proved().insert((function, version));
        if function == NAMES[0] {
            // The alias moves to this version before anything else of the API is changed.
            let _ = self.live.set(());
        }
        Ok(())
    }

    /// Whether the self-test of this version has passed in this run.
    pub fn has_passed(&self, function: &'static str, version: u64) -> bool {
        self.proved().contains(&(function, version))
    }

    fn proved(&self) -> MutexGuard<'_, BTreeSet<(&'static str, u64)>> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn prove(
    cx: &Context,
    function: &'static str,
    qualifier: Option<String>,
    may_be_new: bool,
    observes: bool,
) -> Result<(), ResourceError> {
    let began = Instant::now();
    let mut backoff = Backoff::new();
    loop {
        let (failure, patience) = match run_on(cx, function, qualifier.clone()).await {
            Ok(report) if report.ok && observes && !report.observes() => {
                return Err(ResourceError::SelfTest {
                    what: format!(
                        "the {function} does not observe: its code is older than `authorizer.mode`"
                    ),
                    hint: Some(
                        "remove `authorizer.artifact`, or build it from the source of this program"
                            .to_owned(),
                    ),
                });
            }
            Ok(report) if report.ok => {
                if function == NAMES[0] {
                    let warnings = report.warnings();
                    warnings.for_each(|text| cx.sink().finding(NoticeCode::SelfTestWarning, text));
                }
                return Ok(());
            }
            Ok(report) => (
                report.as_error(function),
                report.is_passing(may_be_new).then_some(PATIENCE),
            ),
            // Lambda restores an inactive function, or throttles the invocation.
            Err(error) => match error.aws().map(|error| error.class) {
                Some(Class::NotYet(budget)) => {
                    let failure = unanswered(error).as_error(function);
                    (failure, Some(budget))
                }
                _ => return Err(error),
            },
        };
        if patience.is_none_or(|patience| began.elapsed() > patience) {
            return Err(failure);
        }
        let wait = backoff.wait();
        cx.sink().emit(Event::Retrying {
            id: Some(LogicalId::new(Kind::Function, function)),
            cause: failure.to_string(),
            wait,
        });
        tokio::time::sleep(wait).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(checks: &[(&str, bool, Option<&str>)]) -> Report {
        let checks: Vec<_> = checks
            .iter()
            .map(|(name, ok, cause)| Check {
                name: (*name).to_owned(),
                ok: *ok,
                ms: 1,
                error: (!ok).then(|| format!("no {name}")),
                cause: cause.map(str::to_owned),
                warning: None,
            })
            .collect();
        Report {
            ok: checks.iter().all(|check| check.ok),
            checks,
            mode: None,
        }
    }

    #[test]
    fn a_failure_names_what_failed_by_itself_and_what_to_do() {
        let report = report(&[
            ("secrets", true, None),
            ("redis", false, Some("tls")),
            ("threescale", false, Some("token_invalid")),
            ("decision", false, Some("skipped")),
        ]);
        let failure = report.failure().expect("a failure");
        let text = failure.to_string();
        assert!(text.contains("redis (tls): no redis"), "{text}");
        assert!(text.contains("threescale (token_invalid)"), "{text}");
        assert!(!text.contains("decision"), "{text}");
        let hint = failure.hint().expect("a hint");
        assert!(
            hint.contains("cache.tls") && hint.contains("threescale.service_token"),
            "{hint}"
        );
    }

    #[test]
    fn only_what_may_pass_by_itself_is_tried_again() {
        assert!(
            report(&[
                ("redis", false, Some("dns")),
                ("decision", false, Some("skipped"))
            ])
            .is_passing(false)
        );
        assert!(
            !report(&[
                ("redis", false, Some("dns")),
                ("threescale", false, Some("token_invalid"))
            ])
            .is_passing(false)
        );
        assert!(!report(&[("redis", false, None)]).is_passing(true));
        let denied = report(&[("secrets", false, Some("ssm_denied"))]);
        assert!(denied.is_passing(true) && !denied.is_passing(false));
    }

    #[test]
    fn a_crash_is_told_in_the_words_of_the_runtime() {
        let error = crashed("authorizer", br#"{"errorType":"Sandbox.Timedout","errorMessage":"Task timed out after 5.00 seconds"}"#);
        assert!(
            error
                .to_string()
                .contains("Sandbox.Timedout Task timed out"),
            "{error}"
        );
        assert!(
            crashed("authorizer", b"")
                .to_string()
                .contains("no reason given")
        );
    }
}
