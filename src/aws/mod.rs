//! The AWS clients, built once, and the one path that every call takes: limited in number, rate
//! limited, and retried only where a retry can help.

pub mod account;
pub mod ec2;
pub mod elasticache;
pub mod encryption;
pub mod error;
pub mod example_api;
pub mod http;
pub mod kept;
pub mod kms;
mod known;
pub mod lambda;
pub mod logs;
mod nulls;
pub mod own_groups;
pub mod own_network;
pub mod paginate;
pub mod profile;
pub mod rate_limit;
mod reach;
mod region;
pub mod required_tags;
pub mod tags;
mod unreadable;

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_apigateway::config::endpoint::{DefaultResolver, Params, ResolveEndpoint as _};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::http::Response;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use tokio::sync::Semaphore;

pub use self::error::{AwsError, Class};
use crate::cancel::CancelToken;
use crate::code::Code;
use crate::error::Error;
use crate::event::{Event, Sink};
use crate::printable::line;
use crate::secret::AccessKey;

/// How long a call is retried that is safe to send again.
const RETRY_BUDGET: Duration = Duration::from_secs(120);

/// The region, profile and endpoint that the user selected.
#[derive(Debug, Clone, Default)]
pub struct Target {
    pub region: Option<String>,
    pub profile: Option<String>,
    pub endpoint_url: Option<String>,
    /// The maximum number of concurrent requests.
    pub parallelism: usize,
    /// An access key that replaces the credential chain; the sandbox sets its own.
    pub access_key: Option<AccessKey>,
}

/// Whether a call may be sent twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idempotency {
    /// A second call has no further effect.
    Safe,
    /// A second call could create a second resource: only a throttled call, which was not carried out,
    /// is sent again.
    Unsafe,
}

/// The AWS clients, with the region, endpoint and profile they use.
#[derive(Clone)]
pub struct Aws {
    pub apigateway: aws_sdk_apigateway::Client,
    pub apigatewayv2: aws_sdk_apigatewayv2::Client,
    pub cloudwatch: aws_sdk_cloudwatch::Client,
    pub ec2: aws_sdk_ec2::Client,
    pub elasticache: aws_sdk_elasticache::Client,
    pub events: aws_sdk_eventbridge::Client,
    pub iam: aws_sdk_iam::Client,
    pub kms: aws_sdk_kms::Client,
    pub lambda: aws_sdk_lambda::Client,
    pub logs: aws_sdk_cloudwatchlogs::Client,
    pub quotas: aws_sdk_servicequotas::Client,
    pub ssm: aws_sdk_ssm::Client,
    pub sts: aws_sdk_sts::Client,
    pub tagging: aws_sdk_resourcegroupstagging::Client,
    pub region: String,
    /// The domain of the region's endpoints, for example `amazonaws.com`.
    pub dns_suffix: String,
    /// The endpoint URL that replaces AWS's own, if any.
    pub endpoint_url: Option<String>,
    /// The profile that the user named; it is then the only source of credentials.
    pub profile: Option<String>,
    /// Who calls, once it was read.
    caller: Arc<OnceLock<account::CallerIdentity>>,
    /// Whether an endpoint is on this machine, where nothing starts to listen while a call is retried.
    is_local: bool,
    /// Whether anything has answered.
    has_answer: Arc<AtomicBool>,
    slots: Arc<Semaphore>,
    /// Keeps the calls to API Gateway below its quota. `None` for an emulator on this machine, which has none.
    pacer: Option<Arc<rate_limit::RateLimiter>>,
    cancel: Option<CancelToken>,
    sink: Sink,
    /// What the clients are built from.
    config: SdkConfig,
}

impl fmt::Debug for Aws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aws")
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

/// Refuses an endpoint that is no address.
fn check_endpoint(text: &str) -> Result<(), Error> {
    let url = url::Url::parse(text).ok();
    let is_address = |url: url::Url| ["http", "https"].contains(&url.scheme()) && url.has_host();
    if url.is_some_and(is_address) {
        return Ok(());
    }
    Err(Error::usage(format!(
        "the endpoint `{}` is no address: it must begin with http:// or https://",
        line(text)
    ))
    .hint("correct --endpoint-url or AWS_ENDPOINT_URL"))
}

impl Aws {
    /// Builds the clients. Sends no requests except those that the credential chain needs later.
    ///
    /// # Errors
    /// Invalid usage: an unknown profile, no region, or an invalid proxy address.
    pub async fn connect(target: &Target, sink: Sink) -> Result<Self, Error> {
        // An explicit access key replaces the profile.
        if target.access_key.is_none() {
            profile::check(target.profile.as_deref()).await?;
        }
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(5))
            .operation_attempt_timeout(Duration::from_secs(60))
            .build();
        // The SDK's retries are off: they would resend a create call without reading the state first, and
        // would wait without an event.
        let http = http::client()?;
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http.clone())
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts.clone());
        if let Some(region) = &target.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(profile) = &target.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(url) = &target.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        if let Some(key) = &target.access_key {
            let (id, secret) = (key.id.as_str(), key.secret.expose());
            loader = loader.credentials_provider(Credentials::new(id, secret, None, None, "fixed"));
        }
        let mut config = loader.load().await;
        if let (Some(profile), None) = (&target.profile, &target.access_key) {
            let provider = profile::credentials(profile, config.region(), http.clone(), timeouts);
            let provider = SharedCredentialsProvider::new(provider);
            config = config.into_builder().credentials_provider(provider).build();
        }
        if let Some(url) = config.endpoint_url() {
            check_endpoint(url)?;
        }
        let Some(region) = config.region().map(|region| region.as_ref().to_owned()) else {
            return Err(Error::usage("no AWS region is known")
                .with_code(Code::RegionUnknown)
                .hint("give --region, or set AWS_REGION; `region:` in the configuration is only compared with it"));
        };
        if let Some(note) = region::check(region_source(target), &region)? {
            sink.notice(note);
        }
        Ok(Self {
            profile: target.profile.clone(),
            slots: Arc::new(Semaphore::new(target.parallelism.max(1))),
            ..Self::of(config, region, sink).await
        })
    }

    /// The clients of a configuration for this Region.
    async fn of(config: SdkConfig, region: String, sink: Sink) -> Self {
        let mut apigateway = aws_sdk_apigateway::config::Builder::from(&config);
        let mut apigatewayv2 = aws_sdk_apigatewayv2::config::Builder::from(&config);
        if let Some(http) = config.http_client() {
            let http = nulls::without_nulls(http);
            apigateway = apigateway.http_client(http.clone());
            apigatewayv2 = apigatewayv2.http_client(http);
        }
        let is_emulated = config.endpoint_url().is_some_and(reach::is_loopback);
        Self {
            apigateway: aws_sdk_apigateway::Client::from_conf(apigateway.build()),
            apigatewayv2: aws_sdk_apigatewayv2::Client::from_conf(apigatewayv2.build()),
            cloudwatch: aws_sdk_cloudwatch::Client::new(&config),
            ec2: aws_sdk_ec2::Client::new(&config),
            elasticache: aws_sdk_elasticache::Client::new(&config),
            events: aws_sdk_eventbridge::Client::new(&config),
            iam: aws_sdk_iam::Client::new(&config),
            kms: aws_sdk_kms::Client::new(&config),
            lambda: aws_sdk_lambda::Client::new(&config),
            logs: aws_sdk_cloudwatchlogs::Client::new(&config),
            quotas: aws_sdk_servicequotas::Client::new(&config),
            ssm: aws_sdk_ssm::Client::new(&config),
            sts: aws_sdk_sts::Client::new(&config),
            tagging: aws_sdk_resourcegroupstagging::Client::new(&config),
            dns_suffix: dns_suffix(&region).await,
            region,
            endpoint_url: config.endpoint_url().map(str::to_owned),
            profile: None,
            caller: Arc::default(),
            is_local: reach::is_local(config.endpoint_url(), std::env::vars()),
            has_answer: Arc::default(),
            slots: Arc::new(Semaphore::new(1)),
            pacer: (!is_emulated).then(Arc::default),
            cancel: None,
            sink,
            config,
        }
    }

    /// The clients for another Region. They share the credentials, which are obtained once, and the number of concurrent
    /// requests.
    pub async fn in_region(&self, region: &str) -> Self {
        let there = Region::new(region.to_owned());
        let config = self.config.clone().into_builder().region(there).build();
        Self {
            profile: self.profile.clone(),
            caller: Arc::clone(&self.caller),
            slots: Arc::clone(&self.slots),
            cancel: self.cancel.clone(),
            ..Self::of(config, region.to_owned(), self.sink.clone()).await
        }
    }

    /// The same clients, but they start no more calls once the run must stop. Calls in flight complete.
    #[must_use]
    pub fn until(&self, cancel: &CancelToken) -> Self {
        Self {
            cancel: Some(cancel.clone()),
            ..self.clone()
        }
    }

    /// Checks whether another call of `operation` may start.
    fn proceed(&self, operation: &'static str) -> Result<(), AwsError> {
        match self.cancel.as_ref().and_then(CancelToken::stop) {
            None => Ok(()),
            Some(_) => Err(AwsError {
                class: Class::Stopped,
                ..AwsError::incomplete(operation, "canceled before the request was sent")
            }),
        }
    }

    /// What keeps the calls of `operation` below a quota.
    fn pacer(&self, operation: &str) -> Option<&rate_limit::RateLimiter> {
        let pacer = self.pacer.as_deref();
        pacer.filter(|_| operation.starts_with("apigateway:"))
    }

    /// Waits until the quota of the operation, if it has one, allows another call, or the run must stop.
    async fn acquire(&self, operation: &'static str) {
        let Some(pacer) = self.pacer(operation) else {
            return;
        };
        let admitted = pacer.acquire(operation);
        match &self.cancel {
            None => admitted.await,
            Some(cancel) => tokio::select! {
                () = admitted => {}
                _ = cancel.stopped() => {}
            },
        }
    }

    /// Sends one call of `operation` (`service:Operation`) and retries it while a retry is safe and the
    /// budget lasts.
    ///
    /// # Errors
    /// The last error, classified.
    pub async fn call<T, E, F, Fut>(
        &self,
        operation: &'static str,
        repeat: Idempotency,
        send: F,
    ) -> Result<T, AwsError>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<T, SdkError<E, Response>>>,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let began = Instant::now();
        let mut backoff = Backoff::new();
        loop {
            self.proceed(operation)?;
            self.acquire(operation).await;
            let slot = self.slots.acquire().await;
            // Both waits may have taken long, so check again.
            self.proceed(operation)?;
            let sent = Instant::now();
            // Boxed, because the SDK's future for one call has tens of kilobytes.
            let result = Box::pin(send())
                .await
                .map_err(|error| AwsError::new(operation, &error));
            drop(slot);
            let outcome = match &result {
                Ok(_) => "ok".to_owned(),
                Err(error) if error.class == Class::Unreadable => "unreadable".to_owned(),
                Err(error) if error.code.is_empty() => "no answer".to_owned(),
                Err(error) => error.code.clone(),
            };
            self.sink.emit(Event::Request {
                operation: operation.to_owned(),
                outcome,
                took: sent.elapsed(),
            });
            let error = match result {
                Ok(value) => {
                    self.has_answer.store(true, Ordering::Relaxed);
                    return Ok(value);
                }
                Err(error) => self.reached(error),
            };
            if error.class == Class::Throttled
                && let Some(pacer) = self.pacer(operation)
            {
                pacer.throttled();
            }
            let budget = match error.class {
                Class::Unreachable(budget) => budget,
                _ => RETRY_BUDGET,
            };
            let left = budget.saturating_sub(began.elapsed());
            let again = match error.class {
                Class::Throttled | Class::Unreachable(_) => true,
                Class::Ambiguous => repeat == Idempotency::Safe,
                _ => false,
            };
            if !again || left.is_zero() {
                return Err(error);
            }
            let wait = backoff.wait().min(left);
            self.sink.emit(Event::Retrying {
                id: None,
                cause: error.to_string(),
                wait,
            });
            self.pause(wait).await;
        }
    }

    /// Waits, or less if the run must stop.
    pub async fn pause(&self, wait: Duration) {
        match &self.cancel {
            Some(cancel) => cancel.sleep(wait).await,
            None => tokio::time::sleep(wait).await,
        }
    }

    /// The error, and for how long it makes sense to try again where no connection can be made.
    fn reached(&self, error: AwsError) -> AwsError {
        if error.status.is_some() {
            self.has_answer.store(true, Ordering::Relaxed);
            return error;
        }
        let has_answer = self.has_answer.load(Ordering::Relaxed);
        let Some(failure) = reach::failure(&error, self.is_local, has_answer) else {
            return error;
        };
        let at = self.endpoint_url.as_deref();
        let meant = region::meant(&self.region).filter(|meant| *meant != self.region);
        AwsError {
            class: Class::Unreachable(failure.budget()),
            message: failure.describe(at, &self.region, meant),
            ..error
        }
    }

    /// [`Self::call`] for a call that only reads, or that may be sent twice.
    ///
    /// # Errors
    /// The last error, classified.
    pub async fn call_idempotent<T, E, F, Fut>(
        &self,
        operation: &'static str,
        send: F,
    ) -> Result<T, AwsError>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<T, SdkError<E, Response>>>,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        self.call(operation, Idempotency::Safe, send).await
    }

    /// [`Self::call_idempotent`] for a change whose response is not needed.
    ///
    /// # Errors
    /// The last error, classified.
    pub async fn change<T, E, F, Fut>(
        &self,
        operation: &'static str,
        send: F,
    ) -> Result<(), AwsError>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<T, SdkError<E, Response>>>,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        carried_out(self.call_idempotent(operation, send).await)
    }

    /// [`Self::call`] for a call that creates something: the state must be read before the call is sent
    /// again.
    ///
    /// # Errors
    /// The last error, classified.
    pub async fn call_non_idempotent<T, E, F, Fut>(
        &self,
        operation: &'static str,
        send: F,
    ) -> Result<T, AwsError>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<T, SdkError<E, Response>>>,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        self.call(operation, Idempotency::Unsafe, send).await
    }
}

/// Where the name of the Region comes from.
fn region_source(target: &Target) -> &'static str {
    let variables = ["AWS_REGION", "AWS_DEFAULT_REGION"];
    let set = variables
        .into_iter()
        .find(|name| std::env::var_os(name).is_some());
    match (&target.region, set) {
        (Some(_), _) => "--region",
        (None, Some(name)) => name,
        (None, None) => "the AWS configuration",
    }
}

/// The domain of the region's endpoints, from the SDK's partition data.
async fn dns_suffix(region: &str) -> String {
    let suffix = async {
        let params = Params::builder().region(region).build().ok()?;
        let endpoint = DefaultResolver::new()
            .resolve_endpoint(&params)
            .await
            .ok()?;
        let domain = endpoint.url().split_once(&format!(".{region}."))?.1;
        Some(domain.trim_end_matches('/').to_owned())
    };
    suffix.await.unwrap_or_else(|| "amazonaws.com".to_owned())
}

/// Waits that double from a quarter of a second to eight seconds. Each is reduced by up to a
/// quarter at random, so that concurrent callers spread out.
#[derive(Debug)]
pub struct Backoff(Duration);

impl Backoff {
    /// Starts with the shortest wait.
    pub fn new() -> Self {
        Self(Duration::from_millis(250))
    }

    /// Returns the next wait and doubles the one after it.
    pub fn wait(&mut self) -> Duration {
        let full = self.0;
        self.0 = (full * 2).min(Duration::from_secs(8));
        let jitter = getrandom::u32().unwrap_or_default() % 256;
        full - full / 4 * jitter / 256
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

/// Converts a "not found" error to `None`.
///
/// # Errors
/// Every error except "not found".
pub fn optional<T>(result: Result<T, AwsError>) -> Result<Option<T>, AwsError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Treats a change as successful if it was carried out but its response cannot be read; for calls
/// whose response is not needed.
///
/// # Errors
/// Every other error.
pub fn carried_out<T>(result: Result<T, AwsError>) -> Result<(), AwsError> {
    match result {
        Err(error) if !error.is_carried_out() => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permissions::partition;

    #[tokio::test]
    async fn calls_to_api_gateway_are_paced_unless_they_reach_an_emulator() {
        for (url, is_paced) in [
            ("http://127.0.0.1:4566", false),
            ("http://localhost:4566", false),
            (
                "https://vpce-1.apigateway.us-east-1.vpce.amazonaws.com",
                true,
            ),
        ] {
            let target = Target {
                region: Some("us-east-1".to_owned()),
                endpoint_url: Some(url.to_owned()),
                access_key: Some(AccessKey {
                    id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
                    secret: "secret".to_owned().into(),
                }),
                ..Target::default()
            };
            let aws = Aws::connect(&target, Sink::channel().0).await;
            let aws = aws.expect("clients");
            let elsewhere = aws.in_region("eu-west-1").await;
            for aws in [aws, elsewhere] {
                let paced = aws.pacer("apigateway:GetStage").is_some();
                assert_eq!(paced, is_paced, "{url}");
                assert!(aws.pacer("ec2:DescribeVpcs").is_none());
            }
        }
    }

    #[tokio::test]
    async fn the_domain_is_that_of_the_partition() {
        for (region, of, suffix) in [
            ("us-east-1", "aws", "amazonaws.com"),
            ("us-gov-west-1", "aws-us-gov", "amazonaws.com"),
            ("cn-north-1", "aws-cn", "amazonaws.com.cn"),
            ("eusc-de-east-1", "aws-eusc", "amazonaws.eu"),
            ("us-iso-east-1", "aws-iso", "c2s.ic.gov"),
            ("us-isob-east-1", "aws-iso-b", "sc2s.sgov.gov"),
            ("eu-isoe-west-1", "aws-iso-e", "cloud.adc-e.uk"),
            ("us-isof-south-1", "aws-iso-f", "csp.hci.ic.gov"),
            // Newer than the SDK.
            ("xx-new-1", "aws", "amazonaws.com"),
        ] {
            assert_eq!(dns_suffix(region).await, suffix, "{region}");
            assert_eq!(partition(region), of, "{region}");
        }
    }
}
