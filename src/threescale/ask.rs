//! The requests. Their URLs contain the service token, so no text shows a URL or an error of the HTTP client.

use std::collections::BTreeSet;
use std::io::{self, Read as _};
use std::time::{Duration, Instant};

use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use url::Url;
use url::form_urlencoded::Serializer;

use super::application::{self, Told, Verdict};
use super::judge::{self, Asked, Findings, Proof, Reply};
use crate::config::{CredentialKind, Threescale};
use crate::printable;
use crate::secret::Secret;

/// How long all requests take at most.
const TIMEOUT: Duration = Duration::from_secs(4);
/// The bytes of a body that are read. An error document is short; the limits of a plan take about 250 bytes each.
const READ: u64 = 65_536;
/// A credential that no application has.
const PROBE: &str = "threescale-gw-preflight";
/// The length of the metrics in one query string, which 3scale limits to 10,240 bytes.
const GROUP: usize = 6000;

/// An application that exists.
#[derive(Debug, Clone)]
pub struct Application {
    /// The user key, or the application id.
    pub id: Secret,
    /// The application key that accompanies an application id.
    pub key: Option<Secret>,
}

/// What to ask, and where.
#[derive(Debug)]
pub struct Question {
    backend: Url,
    place: String,
    service_id: String,
    token: Secret,
    kind: CredentialKind,
    application: Option<Application>,
    metrics: Vec<String>,
    /// PEM certificates of authorities, in addition to the public ones.
    roots: Option<String>,
}

impl Question {
    /// What the configuration depends on. With an application, also whether the metrics exist. `None` if the address of 3scale
    /// cannot be used.
    pub fn new(config: &Threescale, application: Option<Application>) -> Option<Self> {
        let backend = Url::parse(&config.backend).ok()?;
        let host = backend.host_str()?;
        let port = backend.port_or_known_default()?;
        let metrics: BTreeSet<_> = config
            .mapping_rules
            .iter()
            .map(|rule| rule.metric.clone())
            .collect();
        Some(Self {
            place: format!("{host}:{port}"),
            service_id: config.service_id.clone(),
            token: config.service_token.clone(),
            kind: config.credentials.kind,
            application,
            metrics: metrics.into_iter().collect(),
            roots: config.stored_roots.as_ref().map(|roots| roots.content()),
            backend,
        })
    }

    fn url(&self, metrics: &[String]) -> String {
        let base = self.backend.as_str().trim_end_matches('/');
        let mut query = Serializer::new(String::new());
        query.append_pair("service_token", self.token.expose());
        query.append_pair("service_id", &self.service_id);
        let application = self.application.as_ref();
        let id = application.map_or(PROBE, |application| application.id.expose());
        match self.kind {
            CredentialKind::UserKey => query.append_pair("user_key", id),
            CredentialKind::AppId => query.append_pair("app_id", id),
        };
        let key = application.and_then(|application| application.key.as_ref());
        if let (CredentialKind::AppId, Some(key)) = (self.kind, key) {
            query.append_pair("app_key", key.expose());
        }
        for metric in metrics {
            query.append_pair(&format!("usage[{metric}]"), "0");
        }
        format!("{base}/transactions/authorize.xml?{}", query.finish())
    }
}

/// Asks 3scale, for 4 seconds at most.
pub async fn ask(question: Question) -> Findings {
    let place = question.place.clone();
    let asked = tokio::task::spawn_blocking(move || Asking::new(&question).run());
    asked.await.unwrap_or_else(|_| Findings {
        notices: vec![format!("3scale ({place}) could not be asked")],
        ..Findings::default()
    })
}

/// Asks 3scale about the application of the question, for 4 seconds at most.
pub async fn about(question: Question) -> Told {
    let place = question.place.clone();
    let asked = tokio::task::spawn_blocking(move || Asking::new(&question).about());
    asked.await.unwrap_or_else(|_| Told {
        verdict: Verdict::Unclear(format!("3scale ({place}) could not be asked")),
        plan: None,
        limits: Vec::new(),
        missing: Vec::new(),
        notices: Vec::new(),
    })
}

struct Asking<'a> {
    question: &'a Question,
    agent: ureq::Agent,
    /// With the public authorities only, if `agent` uses those of the configuration.
    other: Option<ureq::Agent>,
    deadline: Instant,
}

impl<'a> Asking<'a> {
    fn new(question: &'a Question) -> Self {
        let is_https = question.backend.scheme() == "https";
        let roots = question.roots.as_deref().filter(|_| is_https);
        let agent = |roots| {
            let tls = TlsConfig::builder().root_certs(roots).build();
            let config = ureq::Agent::config_builder()
                .proxy(is_https.then(ureq::Proxy::try_from_env).flatten())
                .max_redirects(0)
                .http_status_as_error(false)
                .tls_config(tls)
                .user_agent(concat!("threescale-gw/", env!("CARGO_PKG_VERSION")))
                .build();
            ureq::Agent::from(config)
        };
        Self {
            question,
            agent: agent(roots.map_or(RootCerts::WebPki, certificates)),
            other: roots.map(|_| agent(RootCerts::WebPki)),
            deadline: Instant::now() + TIMEOUT,
        }
    }

    fn asked(&self) -> Asked<'a> {
        let question = self.question;
        Asked {
            place: &question.place,
            service_id: &question.service_id,
            kind: question.kind,
            has_key: question.application.is_some(),
        }
    }

    fn about(mut self) -> Told {
        let reply = self.get(&[], "rejection_reason_header=1");
        let mut told = application::judge(self.asked(), &reply);
        if matches!(told.verdict, Verdict::Allowed | Verdict::Refused(_)) {
            let (missing, unclear) = self.missing();
            told.missing = missing;
            told.notices.extend(
                unclear.and_then(|why| judge::unchecked_metrics(&self.question.metrics, &why)),
            );
        }
        told
    }

    fn run(mut self) -> Findings {
        let (question, asked) = (self.question, self.asked());
        let mut findings = Findings::default();
        let reply = self.get(&[], "rejection_reason_header=1");
        match judge::service(asked, &reply) {
            Proof::Passed if asked.has_key => self.metrics(&mut findings),
            Proof::Passed => findings.notices.extend(judge::unchecked_metrics(
                &question.metrics,
                "3scale checks metrics only for an application that exists. Pass its key with --key",
            )),
            Proof::Fault(text) => findings.faults.push(text),
            Proof::Unclear(text) => findings.notices.push(text),
        }
        findings
    }

    fn metrics(&mut self, findings: &mut Findings) {
        let (missing, unclear) = self.missing();
        let fault = judge::missing_metrics(&self.question.service_id, &missing);
        findings.faults.extend(fault);
        let notice = unclear.and_then(|why| judge::unchecked_metrics(&self.question.metrics, &why));
        findings.notices.extend(notice);
    }

    /// The metrics that do not exist, and why some are not known: of a group where one is missing, each is asked for.
    fn missing(&mut self) -> (Vec<String>, Option<String>) {
        let (mut missing, mut unclear) = (Vec::new(), None);
        for group in groups(&self.question.metrics) {
            match self.have(group) {
                Ok(true) => {}
                Ok(false) if group.len() == 1 => missing.extend_from_slice(group),
                Ok(false) => {
                    for metric in group {
                        match self.have(std::slice::from_ref(metric)) {
                            Ok(true) => {}
                            Ok(false) => missing.push(metric.clone()),
                            Err(why) => unclear = Some(why),
                        }
                    }
                }
                Err(why) => unclear = Some(why),
            }
        }
        (missing, unclear)
    }

    fn have(&mut self, metrics: &[String]) -> Result<bool, String> {
        judge::have_metrics(&self.get(metrics, "no_body=1"))
    }

    fn get(&mut self, metrics: &[String], options: &str) -> Reply {
        let url = self.question.url(metrics);
        let mut answer = self.send(&self.agent, &url, options);
        // A server with a certificate of a public authority. The token is not sent before the certificate is checked.
        if answer.as_ref().is_err_and(is_tls)
            && let Some(other) = self.other.take()
        {
            self.agent = other;
            answer = self.send(&self.agent, &url, options);
        }
        answer.unwrap_or_else(|error| Reply::None(cause(&error)))
    }

    fn send(&self, agent: &ureq::Agent, url: &str, options: &str) -> Result<Reply, ureq::Error> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ureq::Error::Timeout(ureq::Timeout::Global));
        }
        let mut response = agent
            .get(url)
            .config()
            .timeout_global(Some(left))
            .build()
            .header("3scale-options", options)
            .call()?;
        let reason = response.headers().get("3scale-rejection-reason");
        let reason = reason.and_then(|value| value.to_str().ok());
        let reason = reason.map(|reason| printable::line(reason).into_owned());
        let mut body = Vec::new();
        let reader = response.body_mut().as_reader();
        // The status means the same with a body that breaks off.
        let _ = reader.take(READ).read_to_end(&mut body);
        Ok(Reply::Response {
            status: response.status().as_u16(),
            reason,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }
}

fn certificates(pem: &str) -> RootCerts {
    let items = parse_pem(pem.as_bytes()).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    RootCerts::new_with_certs(&items.collect::<Vec<_>>())
}

/// Parts of the metrics that fit into one query string.
fn groups(metrics: &[String]) -> Vec<&[String]> {
    // A byte takes three in a URL at most. The rest is `&usage[]=0`, encoded.
    let length = |metric: &String| 3 * metric.len() + 15;
    let mut groups = Vec::new();
    let (mut start, mut size) = (0, 0);
    for (index, metric) in metrics.iter().enumerate() {
        if index > start && size + length(metric) > GROUP {
            groups.push(&metrics[start..index]);
            (start, size) = (index, 0);
        }
        size += length(metric);
    }
    if start < metrics.len() {
        groups.push(&metrics[start..]);
    }
    groups
}

fn of_tls(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn is_tls(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) => true,
        ureq::Error::Io(error) => of_tls(error).is_some(),
        _ => false,
    }
}

/// Why there is no response, without the URL.
fn cause(error: &ureq::Error) -> String {
    let tls = |error: &rustls::Error| format!("TLS: {}", printable::line(&error.to_string()));
    match error {
        ureq::Error::HostNotFound => "its name does not resolve".to_owned(),
        ureq::Error::Timeout(_) => format!("no answer within {} s", TIMEOUT.as_secs()),
        ureq::Error::Rustls(error) => tls(error),
        ureq::Error::Tls(what) => format!("TLS: {what}"),
        ureq::Error::Io(error) => match of_tls(error) {
            Some(error) => tls(error),
            None => error.kind().to_string(),
        },
        ureq::Error::ConnectionFailed => "the connection failed".to_owned(),
        ureq::Error::ConnectProxyFailed(_) | ureq::Error::InvalidProxyUrl => {
            "the proxy does not connect to it".to_owned()
        }
        ureq::Error::Protocol(_) => "its response is not HTTP".to_owned(),
        _ => "the request failed".to_owned(),
    }
}

#[cfg(test)]
mod tests;
