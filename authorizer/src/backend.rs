//! The client of 3scale's Service Management API.
//!
//! It follows recorded responses of a running backend and classifies statuses and codes by their meaning for a
//! decision. It takes the reason of a 409 only from the header: the body can contain the caller's own text, unescaped.

use std::time::{Duration, Instant, SystemTime};

use crate::credentials::Credential;
use crate::failure::{Cause, Failure};
use crate::http;
use crate::keys::Name;
use crate::xml::{self, Document, Status};

/// The client of one service. The service token is an argument, because it can be replaced while the process runs.
#[derive(Debug)]
pub struct Backend {
    agent: ureq::Agent,
    base: String,
    service_id: String,
}

/// 3scale's answer about a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Status 200.
    Authorized(Box<Status>, Headers),
    /// Status 409 with `limits_exceeded`. `None` if the body could not be read.
    LimitsExceeded(Option<Box<Status>>, Headers),
    /// 3scale refuses the caller, with this code.
    Denied(String),
    /// A metric of the usage does not exist in 3scale; its name, if the text contains it.
    MetricInvalid(Option<String>),
    /// 3scale refuses the service token or the service ID, with this code.
    Misconfigured(String),
    /// A refusal that is neither about the caller nor about the service token, such as that of a firewall in front of
    /// 3scale. It may be about this request alone.
    Unclear(String),
    /// There is no decision: no connection, no answer in time, a status that asks to try again later, or an invalid
    /// document. With the time that the answer asks to wait.
    None(Failure, Option<Duration>),
}

/// The response headers about limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Headers {
    /// `3scale-limit-remaining`; -1 if no limit applies.
    pub remaining: Option<i64>,
    /// `3scale-limit-reset`, in seconds; -1 means never.
    pub reset_s: Option<i64>,
    /// `3scale-limit-max-value`.
    pub max: Option<i64>,
}

/// The result of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// Status 202: 3scale queued the report.
    Accepted,
    /// 3scale did not queue the report, for this reason.
    NotAccepted(String),
    /// The same, because of the service token or the service ID.
    TokenRefused(String),
    /// 3scale, or a server in front of it, refused this report. `content` says that the status is one for a report that
    /// cannot be accepted as it is, so that sending it again is no use.
    Refused { why: String, content: bool },
    /// 3scale may or may not have queued the report, for this reason.
    InDoubt(String),
}

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Checks, but does not count.
    Authorize,
    /// Checks and, if the request is allowed, counts.
    AuthRep,
}

/// A transaction of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction<'a> {
    /// The application.
    pub name: &'a Name,
    /// The minute of the usage, Unix seconds.
    pub timestamp_s: i64,
    /// The metrics with their amounts.
    pub usage: Vec<(&'a str, u64)>,
}

/// The size limit of a report's body. Servers in front of 3scale can have limits far below that of 3scale itself.
pub const MAX_REPORT: usize = 100_000;
/// More than the authentication in a report needs.
const AUTHENTICATION: usize = 2_000;
/// More than the encoded name of one field of a transaction, without the metric, and its value need, except for the
/// application.
const FIELD: usize = 72;

/// The encoded size of a transaction without its metrics, rounded up.
pub(crate) fn transaction_size(name: &Name) -> usize {
    let text = name.app_id.as_deref().or(name.user_key.as_deref());
    2 * FIELD + encoded(text.unwrap_or_default())
}

/// The encoded size of one metric of a transaction with its amount, rounded up.
pub(crate) fn metric_size(metric: &str) -> usize {
    FIELD + encoded(metric)
}

/// The size that the transactions of a report can have together.
pub(crate) const MAX_TRANSACTIONS: usize = MAX_REPORT - AUTHENTICATION;

fn encoded(text: &str) -> usize {
    form_urlencoded::byte_serialize(text.as_bytes())
        .map(str::len)
        .sum()
}

/// Splits metrics into groups that fit into one question.
pub(crate) fn groups<T: AsRef<str>>(metrics: &[T]) -> Vec<Vec<&str>> {
    const MOST: usize = 4_000;
    let mut groups: Vec<Vec<&str>> = Vec::new();
    let mut size = MOST;
    for metric in metrics {
        let metric = metric.as_ref();
        // The longest percent-encoding, and the characters around the name.
        let length = metric.len() * 3 + 16;
        if size + length > MOST {
            groups.push(Vec::new());
            size = 0;
        }
        size += length;
        if let Some(group) = groups.last_mut() {
            group.push(metric);
        }
    }
    groups
}

/// The size limit of a response. A plan with a thousand limits has 300 kB.
const MAX_BODY: u64 = 2 << 20;

impl Backend {
    /// `base` is the URL of the Service Management API.
    #[must_use]
    pub fn new(agent: ureq::Agent, base: &str, service_id: &str) -> Self {
        Self {
            agent,
            base: base.trim_end_matches('/').to_owned(),
            service_id: service_id.to_owned(),
        }
    }

    /// Asks about a caller. An amount of 0 in `usage` only makes 3scale check that the metric exists.
    #[must_use]
    pub fn ask<'a>(
        &self,
        call: Call,
        token: &str,
        credential: &Credential,
        usage: impl Iterator<Item = (&'a str, u64)>,
        timeout: Duration,
    ) -> Answer {
        self.ask_referred(call, token, credential, None, usage, timeout)
    }

    /// The same about a caller with a referrer. Only applications with referrer filters need it.
    #[must_use]
    pub fn ask_referred<'a>(
        &self,
        call: Call,
        token: &str,
        credential: &Credential,
        referrer: Option<&str>,
        usage: impl Iterator<Item = (&'a str, u64)>,
        timeout: Duration,
    ) -> Answer {
        let deadline = Instant::now() + timeout;
        let path = match call {
            Call::Authorize => "authorize",
            Call::AuthRep => "authrep",
        };
        let mut query = self.authentication(token);
        match credential {
            Credential::UserKey(key) => {
                query.append_pair("user_key", key);
            }
            Credential::AppId { id, key } => {
                query.append_pair("app_id", id);
                if let Some(key) = key {
                    query.append_pair("app_key", key);
                }
            }
        }
        if let Some(referrer) = referrer {
            query.append_pair("referrer", referrer);
        }
        for (metric, amount) in usage {
            query.append_pair(&format!("usage[{metric}]"), &amount.to_string());
        }
        let options = match credential {
            // Only the answer with the list of application keys contains the application ID for a user key.
            Credential::UserKey(_) => {
                "rejection_reason_header=1&limit_headers=1&hierarchy=1&list_app_keys=1"
            }
            Credential::AppId { .. } => "rejection_reason_header=1&limit_headers=1&hierarchy=1",
        };
        let url = format!("{}/transactions/{path}.xml?{}", self.base, query.finish());
        match self.get(&url, options, deadline, call == Call::Authorize) {
            Ok(response) => response.answer(),
            Err(why) => Answer::None(why, None),
        }
    }

    /// The backend's host and port, for messages.
    #[must_use]
    pub fn place(&self) -> String {
        http::place(&self.base)
    }

    /// Asks about a credential that does not exist. The answer shows whether the service token, the service ID, and the
    /// kind of credential are right. 3scale checks metrics only after it has found the application.
    ///
    /// # Errors
    /// The first of these that is wrong, or that 3scale does not answer.
    pub fn check_service(
        &self,
        token: &str,
        unknown: &Credential,
        timeout: Duration,
    ) -> Result<(), Failure> {
        let mut query = self.authentication(token);
        match unknown {
            Credential::UserKey(key) => query.append_pair("user_key", key),
            Credential::AppId { id, .. } => query.append_pair("app_id", id),
        };
        let url = format!(
            "{}/transactions/authorize.xml?{}",
            self.base,
            query.finish()
        );
        let deadline = Instant::now() + timeout;
        let response = self.get(&url, "rejection_reason_header=1", deadline, true)?;
        let by_user_key = matches!(unknown, Credential::UserKey(_));
        response.proof(by_user_key, &self.service_id)
    }

    /// Whether 3scale knows an application and all these metrics. If it does not, it would silently drop a report with
    /// them. With `no_body`, 3scale checks the metrics before application keys and state (section 7 of the reference),
    /// so no key is needed. A wrong token and an unknown user key then give the same empty 403, so a second call
    /// distinguishes them.
    #[must_use]
    pub fn application_exists<'a>(
        &self,
        token: &str,
        name: &Name,
        metrics: impl Iterator<Item = &'a str>,
        timeout: Duration,
    ) -> Known {
        let mut query = self.authentication(token);
        match (&name.user_key, &name.app_id) {
            (Some(key), _) => query.append_pair("user_key", key),
            (None, Some(id)) => query.append_pair("app_id", id),
            (None, None) => return Known::No,
        };
        for metric in metrics {
            query.append_pair(&format!("usage[{metric}]"), "0");
        }
        let url = format!(
            "{}/transactions/authorize.xml?{}",
            self.base,
            query.finish()
        );
        let deadline = Instant::now() + timeout;
        match self.get(&url, "rejection_reason_header=1&no_body=1", deadline, true) {
            Ok(response) => match response.status {
                200 | 409 => Known::Yes,
                404 => Known::No,
                403 => match self.get(&url, "rejection_reason_header=1", deadline, true) {
                    Ok(response) => response.unknown(name.user_key.is_some(), &self.service_id),
                    Err(why) => Known::NoAnswer(why),
                },
                status if is_outage(status) => Known::NoAnswer(unexpected(status)),
                status => Known::Unclear(unexpected(status)),
            },
            Err(why) => Known::NoAnswer(why),
        }
    }

    /// Reports a batch of at most 1000 transactions.
    #[must_use]
    pub fn report(
        &self,
        token: &str,
        transactions: &[Transaction<'_>],
        timeout: Duration,
    ) -> Delivery {
        let mut body = self.authentication(token);
        for (index, transaction) in transactions.iter().enumerate() {
            let of = |field: &str| format!("transactions[{index}][{field}]");
            // The ID stays valid if the user key is replaced. Both together would make 3scale drop the report.
            match (&transaction.name.app_id, &transaction.name.user_key) {
                (Some(id), _) => body.append_pair(&of("app_id"), id),
                (None, Some(key)) => body.append_pair(&of("user_key"), key),
                (None, None) => {
                    return Delivery::NotAccepted("an application without a name".into());
                }
            };
            body.append_pair(
                &of("timestamp"),
                &crate::periods::format(transaction.timestamp_s),
            );
            for (metric, amount) in &transaction.usage {
                body.append_pair(
                    &format!("transactions[{index}][usage][{metric}]"),
                    &amount.to_string(),
                );
            }
        }
        let result = self
            .agent
            .post(format!("{}/transactions.xml", self.base))
            .config()
            .timeout_global(Some(timeout))
            .timeout_connect(Some(http::connecting(timeout)))
            .max_idle_age(http::MAX_IDLE_COUNTING)
            .build()
            .content_type("application/x-www-form-urlencoded")
            .send(body.finish());
        match result {
            Ok(mut response) => {
                let status = response.status().as_u16();
                let text = response.body_mut().read_to_string().unwrap_or_default();
                match status {
                    202 => Delivery::Accepted,
                    // The listener refused the report, so it is not queued.
                    400..=498 if is_outage(status) => Delivery::NotAccepted(status.to_string()),
                    400..=499 => {
                        let content = matches!(status, 400 | 413 | 422);
                        match xml::parse(&text) {
                            Some(Document::Error { code, .. }) => {
                                let why = format!("{status} {code}");
                                if about_token(&code).is_some() {
                                    Delivery::TokenRefused(why)
                                } else {
                                    Delivery::Refused { why, content }
                                }
                            }
                            _ => Delivery::Refused {
                                why: status.to_string(),
                                content,
                            },
                        }
                    }
                    // 3scale has been observed to count a report that it answered with a 500.
                    _ => Delivery::InDoubt(format!("status {status}")),
                }
            }
            Err(error) if http::never_sent(&error) => {
                Delivery::NotAccepted(http::failure(&error).text)
            }
            Err(error) => Delivery::InDoubt(http::failure(&error).text),
        }
    }

    fn authentication(&self, token: &str) -> form_urlencoded::Serializer<'static, String> {
        let mut query = form_urlencoded::Serializer::new(String::with_capacity(256));
        query.append_pair("service_token", token);
        query.append_pair("service_id", &self.service_id);
        query
    }

    fn get(
        &self,
        url: &str,
        options: &str,
        deadline: Instant,
        repeatable: bool,
    ) -> Result<Response, Failure> {
        let mut first = true;
        loop {
            let started = Instant::now();
            let left = deadline.saturating_duration_since(started);
            if left.is_zero() {
                return Err(Failure::new(Cause::Timeout, "time-out: no answer"));
            }
            let mut config = self
                .agent
                .get(url)
                .config()
                .timeout_global(Some(left))
                .timeout_connect(Some(http::connecting(left)));
            if !repeatable {
                config = config.max_idle_age(http::MAX_IDLE_COUNTING);
            }
            let result = config.build().header("3scale-options", options).call();
            match result {
                Ok(response) => return Response::read(response),
                // The server closed the idle connection. A call that counts is repeated only if the server cannot have
                // got it.
                Err(error) if first && http::not_sent(&error).is_some() => first = false,
                Err(ureq::Error::Io(_)) if first && repeatable => first = false,
                Err(error) => return Err(http::failure(&error)),
            }
        }
    }
}

/// Whether 3scale knows the application and the metrics of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// The application and the metrics exist.
    Yes,
    /// At least one of them does not exist.
    No,
    /// A refusal that is neither about them nor about the service token.
    Unclear(Failure),
    /// 3scale gave no answer about them.
    NoAnswer(Failure),
}

struct Response {
    status: u16,
    reason: Option<String>,
    retry_after: Option<Duration>,
    headers: Headers,
    body: String,
}

impl Response {
    fn read(mut response: ureq::http::Response<ureq::Body>) -> Result<Self, Failure> {
        let header = |name: &str| {
            response
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let number = |name: &str| header(name).and_then(|value| value.parse().ok());
        let status = response.status().as_u16();
        let reason = header("3scale-rejection-reason").map(str::to_owned);
        let headers = Headers {
            remaining: number("3scale-limit-remaining"),
            reset_s: number("3scale-limit-reset"),
            max: number("3scale-limit-max-value"),
        };
        let retry_after =
            header("retry-after").and_then(|value| http::retry_after(value, SystemTime::now()));
        let body = response
            .body_mut()
            .with_config()
            .limit(MAX_BODY)
            .read_to_string()
            .map_err(|error| http::failure(&error))?;
        Ok(Self {
            status,
            reason,
            retry_after,
            headers,
            body,
        })
    }

    fn proof(&self, by_user_key: bool, service_id: &str) -> Result<(), Failure> {
        let fail = |cause, text: String| Err(Failure::new(cause, text));
        let status = self.status;
        match (status, xml::parse(&self.body)) {
            (200 | 409, Some(Document::Status(_))) => Ok(()),
            // The body of a 409 may be malformed.
            (409, _) if self.reason.is_some() => Ok(()),
            (400..=499, Some(Document::Error { code, .. })) => match code.as_str() {
                "user_key_invalid" if by_user_key => Ok(()),
                "application_not_found" if !by_user_key => Ok(()),
                "user_key_invalid" => fail(
                    Cause::CredentialKind,
                    format!("the service {service_id} takes user keys, but app_id is configured"),
                ),
                "application_not_found" => fail(
                    Cause::CredentialKind,
                    format!("the service {service_id} takes app_id, but user_key is configured"),
                ),
                "service_token_invalid" => fail(
                    Cause::TokenInvalid,
                    format!(
                        "the service token is wrong, or it is not one for the service {service_id}: 3scale gives the \
                         same answer for both (service_token_invalid)"
                    ),
                ),
                code => match about_token(code) {
                    Some(Cause::ServiceUnknown) => fail(
                        Cause::ServiceUnknown,
                        format!("3scale does not know the service {service_id} ({code})"),
                    ),
                    Some(cause) => fail(cause, format!("3scale answered {code}")),
                    None => fail(
                        Cause::HttpStatus,
                        format!("status {status} with an unexpected error"),
                    ),
                },
            },
            (200 | 403 | 409, _) => fail(
                Cause::Protocol,
                format!("status {status} without a 3scale document"),
            ),
            _ => Err(unexpected(status)),
        }
    }

    /// What a refusal means for an application: it does not exist, provided that the token and the service are right.
    fn unknown(&self, by_user_key: bool, service_id: &str) -> Known {
        match self.proof(by_user_key, service_id) {
            Ok(()) => Known::No,
            Err(why) if why.cause == Cause::CredentialKind => Known::No,
            Err(why) if matches!(why.cause, Cause::TokenInvalid | Cause::ServiceUnknown) => {
                Known::NoAnswer(why)
            }
            Err(why) if is_outage(self.status) => Known::NoAnswer(why),
            Err(why) => Known::Unclear(why),
        }
    }

    fn answer(self) -> Answer {
        let document = || xml::parse(&self.body);
        let unclear = || Answer::Unclear(format!("status {}", self.status));
        match self.status {
            200 => match document() {
                Some(Document::Status(status)) if status.authorized => {
                    Answer::Authorized(Box::new(status), self.headers)
                }
                _ => Answer::None(
                    Failure::new(Cause::Protocol, "a 200 response that is not understood"),
                    None,
                ),
            },
            409 => match self.reason.as_deref() {
                Some("limits_exceeded") => {
                    let status = match document() {
                        Some(Document::Status(status)) if !status.authorized => {
                            Some(Box::new(status))
                        }
                        _ => None,
                    };
                    Answer::LimitsExceeded(status, self.headers)
                }
                Some(
                    code @ ("application_key_invalid"
                    | "application_not_active"
                    | "service_not_active"
                    | "referrer_not_allowed"
                    | "oauth_not_enabled"
                    | "redirect_uri_invalid"
                    | "redirect_url_invalid"),
                ) => Answer::Denied(code.to_owned()),
                _ => Answer::Denied("denied".to_owned()),
            },
            status if is_outage(status) => Answer::None(unexpected(status), self.retry_after),
            400..=498 => match document() {
                Some(Document::Error { code, text }) => match code.as_str() {
                    "user_key_invalid" | "application_not_found" | "authentication_error" => {
                        Answer::Denied(code)
                    }
                    "metric_invalid" => Answer::MetricInvalid(quoted(&text)),
                    _ if about_token(&code).is_some() => Answer::Misconfigured(code),
                    _ if code.len() < 80
                        && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') =>
                    {
                        Answer::Unclear(format!("status {} {code}", self.status))
                    }
                    _ => unclear(),
                },
                _ => unclear(),
            },
            201..=399 => unclear(),
            status => Answer::None(unexpected(status), self.retry_after),
        }
    }
}

/// Whether a status means that 3scale, or a server in front of it, does not answer at the moment: a time-out, too many
/// requests, or a server error. The request may succeed later without a change.
fn is_outage(status: u16) -> bool {
    matches!(status, 408 | 421 | 425 | 429 | 499..)
}

/// The cause, if the error code is about the service token or the service ID.
fn about_token(code: &str) -> Option<Cause> {
    match code {
        "service_token_invalid"
        | "provider_key_invalid"
        | "provider_key_invalid_or_service_missing"
        | "provider_key_or_service_token_required" => Some(Cause::TokenInvalid),
        "service_id_invalid" | "service_id_missing" => Some(Cause::ServiceUnknown),
        _ => None,
    }
}

fn unexpected(status: u16) -> Failure {
    Failure::new(Cause::HttpStatus, format!("status {status}"))
}

/// The text between the first and the last quotation mark.
fn quoted(text: &str) -> Option<String> {
    let start = text.find('"')? + 1;
    let end = text.rfind('"')?;
    text.get(start..end).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use threescale_stand_in::Threescale;
    use ureq::unversioned::resolver::DefaultResolver;
    use ureq::unversioned::transport::{
        Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
    };

    use super::*;
    use crate::connect::{Background, Line};

    /// A kept connection that the server has closed. That shows when a call is sent, or only when its answer is read.
    #[derive(Debug)]
    struct Closed {
        shows_late: bool,
        buffers: LazyBuffers,
    }

    impl Transport for Closed {
        fn buffers(&mut self) -> &mut dyn Buffers {
            &mut self.buffers
        }

        fn transmit_output(&mut self, _: usize, _: NextTimeout) -> Result<(), ureq::Error> {
            match self.shows_late {
                true => Ok(()),
                false => Err(io::Error::from(io::ErrorKind::BrokenPipe).into()),
            }
        }

        fn await_input(&mut self, _: NextTimeout) -> Result<bool, ureq::Error> {
            Err(io::Error::from(io::ErrorKind::ConnectionReset).into())
        }

        fn is_open(&mut self) -> bool {
            true
        }
    }

    /// The first connections are closed ones.
    #[derive(Debug)]
    struct Connections {
        closed: AtomicUsize,
        shows_late: bool,
        real: Background,
    }

    impl Connector for Connections {
        type Out = Line;

        fn connect(
            &self,
            details: &ConnectionDetails<'_>,
            chained: Option<()>,
        ) -> Result<Option<Line>, ureq::Error> {
            let one_less = |closed: usize| closed.checked_sub(1);
            let order = Ordering::SeqCst;
            if self.closed.fetch_update(order, order, one_less).is_err() {
                return self.real.connect(details, chained);
            }
            Ok(Some(Line::kept(Box::new(Closed {
                shows_late: self.shows_late,
                buffers: LazyBuffers::new(16 << 10, 16 << 10),
            }))))
        }
    }

    /// In the mode `none`, a call counts. It is sent again only if 3scale cannot have received it.
    #[test]
    fn a_call_on_a_closed_connection_is_repeated_if_nothing_can_have_been_counted() {
        for (call, shows_late, closed, passes) in [
            (Call::AuthRep, false, 1, true),
            (Call::AuthRep, false, 2, false),
            (Call::AuthRep, true, 1, false),
            (Call::Authorize, false, 1, true),
            (Call::Authorize, true, 1, true),
            (Call::Authorize, true, 2, false),
        ] {
            let threescale = Threescale::start(|| 1_795_331_650_000).expect("the stand-in");
            let connections = Connections {
                closed: closed.into(),
                shows_late,
                real: Background::new(crate::tls::Tls::new(crate::http::store(None))),
            };
            let config = ureq::Agent::config_builder()
                .http_status_as_error(false)
                .build();
            let agent = ureq::Agent::with_parts(config, connections, DefaultResolver::default());
            let backend = Backend::new(agent, &threescale.url(), "1001");
            let answer = backend.ask(
                call,
                "st_1001",
                &Credential::UserKey("uk_free".to_owned()),
                [("hits", 1)].into_iter(),
                Duration::from_secs(20),
            );
            let context = format!("{call:?} {shows_late} {closed}: {answer:?}");
            match answer {
                Answer::Authorized(..) => assert!(passes, "{context}"),
                Answer::None(..) => assert!(!passes, "{context}"),
                _ => panic!("{context}"),
            }
            let counted = u64::from(passes && call == Call::AuthRep);
            assert_eq!(threescale.total("free", "hits"), counted, "{context}");
        }
    }

    fn answer(status: u16, reason: Option<&str>, body: &str) -> Answer {
        Response {
            status,
            reason: reason.map(str::to_owned),
            retry_after: None,
            headers: Headers::default(),
            body: body.to_owned(),
        }
        .answer()
    }

    #[test]
    fn nothing_but_a_whole_200_allows() {
        let good = "<status><authorized>true</authorized><plan>P</plan></status>";
        assert!(matches!(answer(200, None, good), Answer::Authorized(..)));
        for status in (100..600).filter(|status| *status != 200) {
            assert!(
                !matches!(answer(status, None, good), Answer::Authorized(..)),
                "{status}"
            );
        }
        for cut in 0..good.len() {
            assert!(matches!(answer(200, None, &good[..cut]), Answer::None(..)));
        }
        let denied = good.replace("true", "false");
        assert!(matches!(answer(200, None, &denied), Answer::None(..)));
    }

    #[test]
    fn a_refusal_that_3scale_does_not_send_is_no_outage() {
        for status in [201, 204, 301, 400, 401, 403, 404, 414, 418, 431, 498] {
            assert!(matches!(answer(status, None, "<html>"), Answer::Unclear(_)));
        }
        for status in [408, 421, 425, 429, 499, 500, 502, 503, 504] {
            assert!(matches!(answer(status, None, ""), Answer::None(..)));
        }
    }

    #[test]
    fn only_the_token_and_the_service_are_the_set_up() {
        let error = |code: &str| format!("<error code=\"{code}\">text</error>");
        for code in [
            "service_token_invalid",
            "service_id_invalid",
            "service_id_missing",
        ] {
            assert_eq!(
                answer(403, None, &error(code)),
                Answer::Misconfigured(code.to_owned())
            );
        }
        for code in ["usage_value_invalid", "not_valid_data", "bad_request"] {
            assert_eq!(
                answer(403, None, &error(code)),
                Answer::Unclear(format!("status 403 {code}"))
            );
        }
    }

    #[test]
    fn a_wrong_token_is_not_an_unknown_application() {
        let unknown = |status: u16, code: &str| {
            let body = match code {
                "" => String::new(),
                code => format!("<error code=\"{code}\">text</error>"),
            };
            let response = Response {
                status,
                reason: None,
                retry_after: None,
                headers: Headers::default(),
                body,
            };
            response.unknown(true, "1001")
        };
        for (status, code) in [(403, "user_key_invalid"), (404, "application_not_found")] {
            assert_eq!(unknown(status, code), Known::No, "{code}");
        }
        for (status, code, cause) in [
            (403, "service_token_invalid", Cause::TokenInvalid),
            (403, "provider_key_invalid", Cause::TokenInvalid),
            (403, "service_id_invalid", Cause::ServiceUnknown),
            (422, "service_id_missing", Cause::ServiceUnknown),
            (429, "", Cause::HttpStatus),
            (500, "", Cause::HttpStatus),
        ] {
            match unknown(status, code) {
                Known::NoAnswer(why) => assert_eq!(why.cause, cause, "{code}"),
                known => panic!("{code}: {known:?}"),
            }
        }
        assert!(matches!(unknown(403, ""), Known::Unclear(_)));
    }

    #[test]
    fn sizes_are_rounded_up() {
        let name = Name {
            app_id: Some("app é/1".to_owned()),
            user_key: None,
        };
        let metric = "a metric+é";
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.append_pair("transactions[999][app_id]", "app é/1");
        body.append_pair("transactions[999][timestamp]", "2026-11-22 07:14:10");
        let without = body.finish().len();
        assert!(transaction_size(&name) > without);
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.append_pair(
            &format!("transactions[999][usage][{metric}]"),
            &u64::MAX.to_string(),
        );
        assert!(metric_size(metric) > body.finish().len());
    }

    #[test]
    fn the_name_of_an_unknown_metric() {
        assert_eq!(
            answer(
                404,
                None,
                "<error code=\"metric_invalid\">metric \"no\"pe\" is invalid</error>"
            ),
            Answer::MetricInvalid(Some("no\"pe".to_owned()))
        );
    }
}
