//! The environment contract: everything that the function reads from its environment, once at start.
//!
//! The crate's README documents the contract. The environment contains no secrets except AWS credentials: the secrets
//! are in the Parameter Store ([`crate::secrets`]).

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::base_paths::BasePaths;
use crate::stored::Stored;

/// Which of the two functions this process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Answers API Gateway's authorizer events.
    Authorizer,
    /// Delivers the counted usage to 3scale on a schedule.
    Reporter,
}

/// What the authorizer does with its decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// The decisions apply.
    #[default]
    Enforce,
    /// Every request is allowed. The decisions are logged.
    Observe {
        /// Whether the usage is reported to 3scale.
        reports: bool,
    },
}

impl Mode {
    /// Reads the mode through `var`.
    ///
    /// # Errors
    /// The variable that cannot be used.
    pub fn read(var: &dyn Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let given = |name: &str| var(name).filter(|value| !value.is_empty());
        let reports = match given("THREESCALE_GW_REPORT").as_deref() {
            None | Some("true") => true,
            Some("false") => false,
            Some(_) => return Err(bad("THREESCALE_GW_REPORT", "must be true or false")),
        };
        match given("THREESCALE_GW_MODE").as_deref() {
            Some("observe") => Ok(Self::Observe { reports }),
            None | Some("enforce") if reports => Ok(Self::Enforce),
            None | Some("enforce") => Err(bad(
                "THREESCALE_GW_REPORT",
                "can be false only in the mode observe",
            )),
            Some(_) => Err(bad("THREESCALE_GW_MODE", "must be enforce or observe")),
        }
    }

    /// Whether every request is allowed.
    #[must_use]
    pub fn observes(self) -> bool {
        self != Self::Enforce
    }

    /// Whether the usage is reported to 3scale.
    #[must_use]
    pub fn reports(self) -> bool {
        self != Self::Observe { reports: false }
    }

    /// The word in the environment, the log and the self-test.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Observe { .. } => "observe",
        }
    }
}

/// What happens when 3scale does not answer. The words and their meanings are APIcast's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Caching {
    /// Without an answer of 3scale, requests are refused.
    #[default]
    Strict,
    /// While 3scale does not answer, its last answer is used.
    Resilient,
    /// While 3scale does not answer, every request is allowed, except those whose last answer was a refusal.
    Allow,
    /// No cache: every request calls 3scale.
    None,
}

/// Where answers of 3scale and the counted usage are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    /// In Redis.
    #[default]
    Redis,
    /// In the memory of each process: every request calls 3scale, which counts it.
    Memory,
}

/// The kind of credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// 3scale's `backend_version` 1.
    UserKey,
    /// 3scale's `backend_version` 2: an application ID and, if the application has one, an application key.
    AppId,
}

/// The part of the request that contains a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// A header of the given name.
    Header,
    /// A query parameter of the given name.
    Query,
    /// The `Authorization` header: Basic or Bearer, parsed as in APIcast.
    Basic,
}

/// A place where the caller's credential can be.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialSource {
    /// The kind of credential.
    pub kind: CredentialKind,
    /// The part of the request.
    #[serde(rename = "in")]
    pub place: Place,
    /// The name of the header or parameter; not used by [`Place::Basic`].
    #[serde(default)]
    pub name: String,
    /// The name of the header or parameter with the application key.
    #[serde(default = "default_key_name")]
    pub key_name: String,
}

fn default_key_name() -> String {
    "app_key".to_owned()
}

/// A mapping rule, as in the portal.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSettings {
    /// The HTTP method in upper case, or `ANY`.
    pub method: String,
    /// The pattern, see [`crate::mapping`].
    pub pattern: String,
    /// The system name of the metric or method.
    pub metric: String,
    /// What each match adds to the metric; at least 1.
    #[serde(default = "one")]
    pub delta: u64,
    /// Whether a match ends the evaluation of rules.
    #[serde(default)]
    pub last: bool,
}

fn one() -> u64 {
    1
}

impl RuleSettings {
    /// # Errors
    /// Why the rule cannot be used.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        // Control characters separate fields in the cache (see the key layout in the README).
        if self.metric.trim().is_empty()
            || self.metric.len() > 255
            || self.metric.chars().any(char::is_control)
        {
            return Err("a mapping rule has an unusable metric name");
        }
        if !(1..=1_000_000_000_000).contains(&self.delta) {
            return Err("delta must be from 1 to 10^12");
        }
        Ok(())
    }
}

/// The format of answers to an HTTP API (payload 2.0). The event does not tell which one the API expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum HttpApiAnswer {
    /// `{"isAuthorized": …}`.
    #[default]
    Simple,
    /// An IAM policy, as for a REST API.
    Policy,
}

/// What API Gateway gets as the key for its usage plans, where an API takes the key from its authorizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageKey {
    /// The application ID.
    AppId,
    /// The user key of the request.
    UserKey,
}

/// The status with which a REST API answers a passed limit, according to its gateway responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Default)]
#[serde(try_from = "u16")]
pub enum LimitStatus {
    /// 403, as for every other refusal.
    #[default]
    Forbidden,
    /// 429. Every other refusal is a 401.
    TooManyRequests,
}

impl TryFrom<u16> for LimitStatus {
    type Error = &'static str;

    fn try_from(status: u16) -> Result<Self, Self::Error> {
        match status {
            403 => Ok(Self::Forbidden),
            429 => Ok(Self::TooManyRequests),
            _ => Err("limits must be 403 or 429"),
        }
    }
}

/// `THREESCALE_GW_SETTINGS`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// The ID of 3scale's service (product).
    pub service_id: String,
    /// The base URL of the Service Management API.
    pub backend: String,
    /// How many milliseconds a request waits for 3scale; without it, what the time for an answer leaves.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// The places of credentials. The first one that contains a credential is used.
    pub credentials: Vec<CredentialSource>,
    /// The mapping rules. Without any, each request is one hit.
    #[serde(default)]
    pub mapping_rules: Vec<RuleSettings>,
    /// The mapping rules that do not fit into the environment; JSON as in `mapping_rules`.
    #[serde(default)]
    pub stored_rules: Option<Stored>,
    /// Certificate authorities of 3scale, in addition to the public ones; PEM.
    #[serde(default)]
    pub stored_roots: Option<Stored>,
    /// What happens when 3scale does not answer.
    #[serde(default)]
    pub caching: Caching,
    /// Where answers are kept.
    #[serde(default)]
    pub cache: Storage,
    /// How many seconds an answer of 3scale is used.
    #[serde(default = "default_max_age")]
    pub max_age_s: u64,
    /// The seconds between two runs of the reporter.
    #[serde(default = "default_report_every")]
    pub report_every_s: u64,
    /// The format of answers to an HTTP API.
    #[serde(default)]
    pub http_api_answer: HttpApiAnswer,
    /// The key for usage plans; none by default.
    #[serde(default)]
    pub usage_key: Option<UsageKey>,
    /// The status of a passed limit.
    #[serde(default)]
    pub limits: LimitStatus,
}

fn default_max_age() -> u64 {
    60
}

fn default_report_every() -> u64 {
    60
}

/// The credentials and the address for calls to the Parameter Store, as Lambda sets them.
#[derive(Clone)]
pub struct Aws {
    /// `AWS_REGION`.
    pub region: String,
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: String,
    /// `AWS_SESSION_TOKEN`.
    pub session_token: Option<String>,
    /// `AWS_ENDPOINT_URL_SSM`, otherwise `AWS_ENDPOINT_URL`, otherwise the region's endpoint.
    pub ssm_endpoint: String,
}

impl fmt::Debug for Aws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aws")
            .field("region", &self.region)
            .field("ssm_endpoint", &self.ssm_endpoint)
            .finish_non_exhaustive()
    }
}

/// Which metrics become series in CloudWatch, each of which costs money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Series {
    /// Six, by stack.
    Few,
    /// All, by stack and function, and the decisions by reason; those six too.
    All,
}

impl Series {
    /// `THREESCALE_GW_METRICS`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "few" => Some(Self::Few),
            "all" => Some(Self::All),
            _ => None,
        }
    }
}

/// The time budgets, all of them far below API Gateway's time-outs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budgets {
    /// From the event to the answer.
    pub answer: Duration,
    /// One command to Redis, with the connection that it may need.
    pub redis: Duration,
    /// One read of the Parameter Store at start. Together with one command to Redis, it must leave time for an answer
    /// within 1 s of the start of the process.
    pub ssm: Duration,
    /// One report of the reporter to 3scale.
    pub report: Duration,
}

/// The part of the time for an answer that is reserved for writing it.
pub(crate) const WRITING: Duration = Duration::from_millis(30);

impl Default for Budgets {
    fn default() -> Self {
        Self {
            answer: Duration::from_millis(950),
            redis: Duration::from_millis(200),
            ssm: Duration::from_millis(600),
            report: Duration::from_millis(10_000),
        }
    }
}

/// The names of parameters below `THREESCALE_GW_PARAMETERS`. A published version of the function keeps its own names,
/// so that a new token or cache can be tested while the live version still reads the previous one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterNames {
    /// `THREESCALE_GW_TOKEN_PARAMETER`.
    pub service_token: String,
    /// `THREESCALE_GW_CACHE_PARAMETER`. Without it, `secrets/cache-url` if it exists, otherwise `cache-endpoint`.
    pub cache: Option<String>,
}

impl Default for ParameterNames {
    fn default() -> Self {
        Self {
            service_token: "secrets/service-token".to_owned(),
            cache: None,
        }
    }
}

/// The settings from the environment.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `THREESCALE_GW_ROLE`.
    pub role: Role,
    /// `THREESCALE_GW_MODE`, with `THREESCALE_GW_REPORT`.
    pub mode: Mode,
    /// `THREESCALE_GW_STACK`.
    pub stack: String,
    /// `THREESCALE_GW_PARAMETERS`.
    pub parameters: String,
    /// The parameters below that path that this process reads.
    pub names: ParameterNames,
    /// `THREESCALE_GW_SETTINGS`.
    pub service: Service,
    /// The access to the Parameter Store.
    pub aws: Aws,
    /// `AWS_LAMBDA_RUNTIME_API`: `host:port`, outside AWS optionally with a path.
    pub runtime_api: String,
    /// `AWS_LAMBDA_FUNCTION_NAME`, for metrics.
    pub function: String,
    /// `THREESCALE_GW_CA_FILE`: a PEM bundle of root certificates that replace Mozilla's.
    pub ca_file: Option<PathBuf>,
    /// `THREESCALE_GW_LOG_ALLOWED`: every n-th allowed decision is logged; 0 means none. In the mode observe, it is not used.
    pub log_allowed: u64,
    /// `THREESCALE_GW_METRICS`.
    pub series: Series,
    /// `THREESCALE_GW_BASE_PATHS`.
    pub base_paths: BasePaths,
    /// The time budgets.
    pub budgets: Budgets,
}

/// An environment variable that is missing or cannot be used. Never contains a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError {
    variable: &'static str,
    message: String,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.variable, self.message)
    }
}

impl std::error::Error for SettingsError {}

fn bad(variable: &'static str, message: impl Into<String>) -> SettingsError {
    SettingsError {
        variable,
        message: message.into(),
    }
}

impl Settings {
    /// Reads the environment through `var`.
    ///
    /// # Errors
    /// The first variable that is missing or cannot be used.
    pub fn read(var: &dyn Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let given = |name: &str| var(name).filter(|value| !value.is_empty());
        let get = |name: &'static str| given(name).ok_or_else(|| bad(name, "is not set"));
        let millis = |name: &'static str, default: Duration| match var(name) {
            None => Ok(default),
            Some(text) => text
                .parse::<u64>()
                .ok()
                .filter(|value| (1..=60_000).contains(value))
                .map(Duration::from_millis)
                .ok_or_else(|| bad(name, "must be milliseconds from 1 to 60000")),
        };
        let role = match get("THREESCALE_GW_ROLE")?.as_str() {
            "authorizer" => Role::Authorizer,
            "reporter" => Role::Reporter,
            _ => return Err(bad("THREESCALE_GW_ROLE", "must be authorizer or reporter")),
        };
        let mode = Mode::read(var)?;
        let service: Service = serde_json::from_str(&get("THREESCALE_GW_SETTINGS")?)
            .map_err(|error| bad("THREESCALE_GW_SETTINGS", error.to_string()))?;
        service.check()?;
        let stack = get("THREESCALE_GW_STACK")?;
        if stack.len() > 32
            || !stack
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        {
            return Err(bad("THREESCALE_GW_STACK", "must be letters, digits and -"));
        }
        let region = get("AWS_REGION")?;
        let ssm_endpoint = var("AWS_ENDPOINT_URL_SSM")
            .or_else(|| var("AWS_ENDPOINT_URL"))
            .filter(|url| !url.is_empty())
            .unwrap_or_else(|| {
                let suffix = given("THREESCALE_GW_DNS_SUFFIX");
                let suffix = suffix.as_deref().unwrap_or("amazonaws.com");
                format!("https://ssm.{region}.{suffix}")
            });
        let defaults = Budgets::default();
        let redis = millis("THREESCALE_GW_REDIS_MS", defaults.redis)?;
        Ok(Self {
            role,
            mode,
            stack,
            parameters: get("THREESCALE_GW_PARAMETERS")?
                .trim_end_matches('/')
                .to_owned(),
            names: ParameterNames {
                service_token: given("THREESCALE_GW_TOKEN_PARAMETER")
                    .unwrap_or_else(|| ParameterNames::default().service_token),
                cache: given("THREESCALE_GW_CACHE_PARAMETER"),
            },
            aws: Aws {
                region,
                access_key_id: get("AWS_ACCESS_KEY_ID")?,
                secret_access_key: get("AWS_SECRET_ACCESS_KEY")?,
                session_token: var("AWS_SESSION_TOKEN").filter(|token| !token.is_empty()),
                ssm_endpoint,
            },
            runtime_api: get("AWS_LAMBDA_RUNTIME_API")?,
            function: var("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_default(),
            ca_file: var("THREESCALE_GW_CA_FILE")
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
            log_allowed: match var("THREESCALE_GW_LOG_ALLOWED") {
                None => 100,
                Some(text) => text
                    .parse()
                    .map_err(|_| bad("THREESCALE_GW_LOG_ALLOWED", "must be a whole number"))?,
            },
            series: match given("THREESCALE_GW_METRICS") {
                None => Series::Few,
                Some(text) => Series::parse(&text)
                    .ok_or_else(|| bad("THREESCALE_GW_METRICS", "must be few or all"))?,
            },
            base_paths: match given("THREESCALE_GW_BASE_PATHS") {
                None => BasePaths::default(),
                Some(text) => serde_json::from_str(&text)
                    .map_err(|error| bad("THREESCALE_GW_BASE_PATHS", error.to_string()))?,
            },
            budgets: Budgets {
                answer: millis("THREESCALE_GW_ANSWER_MS", service.answer(redis))?,
                redis,
                ssm: millis("THREESCALE_GW_SSM_MS", defaults.ssm)?,
                report: millis("THREESCALE_GW_REPORT_MS", defaults.report)?,
            },
            service,
        })
    }
}

impl Service {
    fn check(&self) -> Result<(), SettingsError> {
        let name = "THREESCALE_GW_SETTINGS";
        let plain = |text: &str| {
            !text.is_empty()
                && text.len() <= 64
                && text
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        };
        if !plain(&self.service_id) {
            return Err(bad(name, "service_id must be letters, digits, - _ ."));
        }
        if !(self.backend.starts_with("https://") || self.backend.starts_with("http://")) {
            return Err(bad(name, "backend must be an http or https URL"));
        }
        if self.credentials.is_empty() {
            return Err(bad(name, "credentials must contain at least one place"));
        }
        for source in &self.credentials {
            if source.place != Place::Basic && source.name.is_empty() {
                return Err(bad(name, "a credential in header or query needs a name"));
            }
        }
        if self
            .timeout_ms
            .is_some_and(|ms| !(100..=4_000).contains(&ms))
        {
            return Err(bad(name, "timeout_ms must be from 100 to 4000"));
        }
        let rules = self.mapping_rules.iter().map(RuleSettings::check);
        if let Some(message) = rules.filter_map(Result::err).next() {
            return Err(bad(name, message));
        }
        if self.stored_rules.is_some() && !self.mapping_rules.is_empty() {
            return Err(bad(name, "give either mapping_rules or stored_rules"));
        }
        for stored in [&self.stored_rules, &self.stored_roots]
            .into_iter()
            .flatten()
        {
            if !stored.is_usable() {
                return Err(bad(
                    name,
                    "stored_rules and stored_roots must name parameters",
                ));
            }
        }
        Ok(())
    }

    /// The time for an answer: that for 3scale, one command to Redis, and writing it.
    fn answer(&self, redis: Duration) -> Duration {
        match self.timeout_ms {
            Some(ms) => Duration::from_millis(ms) + redis + WRITING,
            None => Budgets::default().answer,
        }
    }

    /// Whether answers and usage are in Redis.
    pub(crate) fn uses_redis(&self) -> bool {
        self.caching != Caching::None && self.cache == Storage::Redis
    }

    /// Whether the process remembers answers, because there is no Redis.
    pub(crate) fn remembers(&self) -> bool {
        self.caching != Caching::None && self.cache == Storage::Memory
    }

    /// How long an answer of 3scale is used.
    pub fn max_age(&self) -> Duration {
        Duration::from_secs(self.max_age_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &str) -> Option<String> {
        let value = match name {
            "THREESCALE_GW_ROLE" => "authorizer",
            "THREESCALE_GW_STACK" => "orders",
            "THREESCALE_GW_PARAMETERS" => "/threescale-gw/orders/",
            "THREESCALE_GW_SETTINGS" => {
                r#"{"service_id":"1001","backend":"https://su1.3scale.net",
                "credentials":[{"kind":"user_key","in":"header","name":"apikey"}]}"#
            }
            "AWS_REGION" => "eu-west-1",
            "AWS_ACCESS_KEY_ID" => "AKID",
            "AWS_SECRET_ACCESS_KEY" => "very-secret",
            "AWS_LAMBDA_RUNTIME_API" => "127.0.0.1:9001",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[test]
    fn reads_the_environment_with_defaults() {
        let settings = Settings::read(&environment).expect("settings");
        assert_eq!(settings.role, Role::Authorizer);
        assert_eq!(settings.parameters, "/threescale-gw/orders");
        assert_eq!(settings.names, ParameterNames::default());
        assert_eq!(
            settings.aws.ssm_endpoint,
            "https://ssm.eu-west-1.amazonaws.com"
        );
        let of_partition = |name: &str| match name {
            "AWS_REGION" => Some("eusc-de-east-1".to_owned()),
            "THREESCALE_GW_DNS_SUFFIX" => Some("amazonaws.eu".to_owned()),
            _ => environment(name),
        };
        let sovereign = Settings::read(&of_partition).expect("settings");
        assert_eq!(
            sovereign.aws.ssm_endpoint,
            "https://ssm.eusc-de-east-1.amazonaws.eu"
        );
        assert_eq!(settings.service.caching, Caching::Strict);
        assert_eq!(settings.service.max_age(), Duration::from_secs(60));
        assert_eq!(settings.budgets, Budgets::default());
        let start = settings.budgets.ssm + settings.budgets.redis;
        assert!(start + Duration::from_millis(100) < Duration::from_secs(1));
        assert!(!format!("{settings:?}").contains("very-secret"));
    }

    #[test]
    fn the_time_for_3scale_makes_the_time_for_an_answer() {
        let with = |timeout: &str, answer: Option<&str>| {
            let read = |name: &str| match name {
                "THREESCALE_GW_SETTINGS" => environment(name).map(|settings| {
                    settings.replacen('{', &format!("{{\"timeout_ms\":{timeout},"), 1)
                }),
                "THREESCALE_GW_ANSWER_MS" => answer.map(str::to_owned),
                _ => environment(name),
            };
            Settings::read(&read).map(|settings| settings.budgets.answer)
        };
        let ms = |ms| Ok(Duration::from_millis(ms));
        assert_eq!(with("720", None), ms(950));
        assert_eq!(with("3000", None), ms(3_230));
        assert_eq!(with("3000", Some("400")), ms(400));
        for timeout in ["99", "4001"] {
            let error = with(timeout, None).expect_err("refused").to_string();
            assert!(
                error.contains("timeout_ms must be from 100 to 4000"),
                "{error}"
            );
        }
    }

    #[test]
    fn the_mode_is_enforce_unless_the_environment_says_otherwise() {
        let read = |mode: Option<&str>, report: Option<&str>| {
            Mode::read(&|name| match name {
                "THREESCALE_GW_MODE" => mode.map(str::to_owned),
                "THREESCALE_GW_REPORT" => report.map(str::to_owned),
                _ => None,
            })
            .map_err(|error| error.to_string())
        };
        for enforce in [None, Some(""), Some("enforce")] {
            assert_eq!(read(enforce, None), Ok(Mode::Enforce));
            let error = read(enforce, Some("false")).expect_err("refused");
            assert!(error.contains("only in the mode observe"), "{error}");
        }
        for (report, reports) in [(None, true), (Some("true"), true), (Some("false"), false)] {
            let mode = read(Some("observe"), report).expect("a mode");
            assert_eq!(mode, Mode::Observe { reports });
            assert_eq!((mode.observes(), mode.reports()), (true, reports));
        }
        assert!(read(Some("watch"), None).is_err() && read(Some("observe"), Some("no")).is_err());
    }

    #[test]
    fn names_the_variable_that_is_wrong() {
        for (name, value, message) in [
            ("THREESCALE_GW_ROLE", None, "THREESCALE_GW_ROLE: is not set"),
            (
                "THREESCALE_GW_ROLE",
                Some("x"),
                "THREESCALE_GW_ROLE: must be authorizer or reporter",
            ),
            (
                "THREESCALE_GW_REDIS_MS",
                Some("0"),
                "THREESCALE_GW_REDIS_MS: must be milliseconds from 1 to 60000",
            ),
            (
                "THREESCALE_GW_SETTINGS",
                Some(r#"{"service_id":"a b","backend":"https://x","credentials":[]}"#),
                "THREESCALE_GW_SETTINGS: service_id must be letters, digits, - _ .",
            ),
            (
                "THREESCALE_GW_BASE_PATHS",
                Some(r#"{"api.example.com":"shop"}"#),
                "THREESCALE_GW_BASE_PATHS: invalid type: string \"shop\", expected a sequence at line 1 column 25",
            ),
            (
                "THREESCALE_GW_SETTINGS",
                Some(r#"{"limits":402}"#),
                "THREESCALE_GW_SETTINGS: limits must be 403 or 429 at line 1 column 14",
            ),
        ] {
            let error = Settings::read(&|asked| {
                if asked == name {
                    value.map(str::to_owned)
                } else {
                    environment(asked)
                }
            })
            .expect_err("refused");
            assert_eq!(error.to_string(), message);
        }
    }
}
