//! Authorize and authrep: the checks in their order. The first check that fails determines the response.

use std::sync::Arc;

use crate::amount::amount;
use crate::answers::{Failure, HEAD, escape, xml};
use crate::cached::View;
use crate::http::Response;
use crate::limits::Standing;
use crate::memo::Metrics;
use crate::model::Limit;
use crate::model::{Amount, Application, IntegrationError, Job, Mode, Transaction, Who};
use crate::params::{Map, Param};
use crate::reports;
use crate::state::State;

/// The options in `3scale-options`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    pub(crate) rejection_reason_header: bool,
    pub(crate) limit_headers: bool,
    pub(crate) no_body: bool,
    pub(crate) hierarchy: bool,
    pub(crate) list_app_keys: bool,
    pub(crate) flat_usage: bool,
}

/// One authorize or authrep call.
pub(crate) struct Call<'a> {
    pub(crate) params: &'a Map,
    pub(crate) options: Options,
    /// Whether the call reports the usage that it allows.
    pub(crate) count: bool,
    pub(crate) oauth: bool,
    pub(crate) target: &'a str,
    pub(crate) process: u64,
    pub(crate) now_ms: i64,
}

/// A denial with the status 409: code and text.
type Denial = (&'static str, String);

/// The data of the calling application once it is identified.
struct Known {
    application: Arc<Application>,
    keys: Vec<String>,
    limits: Vec<Limit>,
    metrics: Arc<Metrics>,
}

/// Checks the provider's credentials: service token with service id, or provider key.
pub(crate) fn provider(
    state: &mut State,
    process: u64,
    params: &Map,
    now_ms: i64,
) -> Result<(), Failure> {
    let present = |name: &str| params.any_text(name).filter(|text| !text.is_empty());
    let service = params.text("service_id");
    if let Some(key) = present("provider_key") {
        let ours = key == state.provider_key;
        let known = ours || state.other_providers.iter().any(|other| other == key);
        let invalid = || format!("provider key \"{key}\" is invalid");
        let Some(service) = service else {
            // The provider's default service. Services of other providers are not part of the stand-in.
            let text = format!("provider key \"{key}\" invalid and/or service ID missing");
            let code = "provider_key_invalid_or_service_missing";
            return match ours {
                true => Ok(()),
                false => Err(Failure::new(403, code, text)),
            };
        };
        if !known {
            return Err(Failure::new(403, "provider_key_invalid", invalid()));
        }
        let last = service.rsplit('-').next();
        if !ours || (service != state.service && last != Some(&state.service)) {
            let text = format!("service id \"{service}\" is invalid");
            return Err(Failure::new(403, "service_id_invalid", text));
        }
        return Ok(());
    }
    let Some(token) = present("service_token") else {
        let text = "Provider key or service token are required";
        let code = "provider_key_or_service_token_required";
        return Err(Failure::new(403, code, text));
    };
    let Some(service) = service else {
        let text = "Service ID is missing";
        return Err(Failure::new(422, "service_id_missing", text));
    };
    let known = state.view(process, now_ms);
    let mut view = View::new(state, known);
    let good = view.token(token, service);
    let known = view.into_process();
    state.keep(process, known);
    if !good {
        let text = format!("service token \"{token}\" or service id \"{service}\" is invalid");
        return Err(Failure::new(403, "service_token_invalid", text));
    }
    Ok(())
}

impl Call<'_> {
    pub(crate) fn answer(&self, state: &mut State) -> Response {
        if let Err(failure) = provider(state, self.process, self.params, self.now_ms) {
            return failure.response();
        }
        match self.check(state) {
            Ok(response) => response,
            Err(failure) => {
                if !failure.code.is_empty() {
                    state.keep_error(IntegrationError {
                        code: failure.code,
                        text: failure.text.clone(),
                        time: self.now_ms.div_euclid(1000),
                        request: Some(self.target.to_owned()),
                    });
                }
                failure.response()
            }
        }
    }

    fn check(&self, state: &mut State) -> Result<Response, Failure> {
        if self.params.any_text("user_id").is_some() {
            return Err(Failure::end_users());
        }
        let usage = match self.params.get("usage") {
            None | Some(Param::Nil) => Vec::new(),
            Some(Param::Map(map)) => self.usage(map),
            Some(_) => return Err(Failure::new(403, "", "")),
        };
        let known = state.view(self.process, self.now_ms);
        let mut view = View::new(state, known);
        let checked = self.checked(&mut view, &usage);
        let known = view.into_process();
        let answered = checked.map(|(known, denial, amounts)| match denial {
            Some(denial) => (self.denied(state, &known, &denial), None),
            None => {
                let standing = Standing::new(state, self, &known, &amounts);
                let response = self.limited(&known, &standing);
                let used = (self.count && !standing.exceeded).then_some(known.application);
                (response, used)
            }
        });
        state.keep(self.process, known);
        let (response, used) = answered?;
        if let Some(application) = used {
            self.queue(state, &application.id, usage);
        }
        Ok(response)
    }

    /// The metrics with their values as sent. Spaces around a metric's name are removed, except with `no_body`.
    fn usage(&self, map: &Map) -> Vec<(String, Option<String>)> {
        let text = |value: &Param| match value {
            Param::Text(text) => Some(text.clone()),
            _ => None,
        };
        let name = |name: &str| match self.options.no_body {
            true => name.to_owned(),
            false => name.trim().to_owned(),
        };
        map.iter()
            .map(|(metric, value)| (name(metric), text(value)))
            .collect()
    }

    #[expect(clippy::type_complexity, reason = "taken apart at once")]
    fn checked(
        &self,
        view: &mut View<'_>,
        usage: &[(String, Option<String>)],
    ) -> Result<(Known, Option<Denial>, Vec<(String, Amount)>), Failure> {
        let service = view.service();
        let application = self.application(view, service.mode)?;
        let known = Known {
            keys: view.keys(&application.id),
            limits: view.limits(&application.id),
            metrics: view.metrics(),
            application,
        };
        let metrics_known = || match usage
            .iter()
            .find(|(metric, _)| !known.metrics.names.contains(metric))
        {
            Some((metric, _)) => {
                let text = format!("metric \"{metric}\" is invalid");
                Err(Failure::new(404, "metric_invalid", text))
            }
            None => Ok(()),
        };
        if self.options.no_body {
            metrics_known()?;
        }
        let denial = self
            .credentials(service.mode, &known)
            .or_else(|| self.referrer(service.referrer_filters_required, &known.application))
            .or_else(|| {
                let inactive = !known.application.active;
                let text = || "application is not active".to_owned();
                inactive.then(|| ("application_not_active", text()))
            })
            .or_else(|| {
                let text = || "service is not active".to_owned();
                (!service.active).then(|| ("service_not_active", text()))
            });
        if denial.is_some() {
            return Ok((known, denial, Vec::new()));
        }
        metrics_known()?;
        let mut amounts = Vec::new();
        for (metric, value) in usage {
            amounts.push((metric.clone(), amount(metric, value.as_deref())?));
        }
        Ok((known, None, amounts))
    }

    fn application(&self, view: &mut View<'_>, mode: Mode) -> Result<Arc<Application>, Failure> {
        let (user_key, id) = (self.params.text("user_key"), self.params.text("app_id"));
        if user_key.is_some() && id.is_some() {
            let text = "either app_id or user_key is allowed, not both";
            return Err(Failure::new(403, "authentication_error", text));
        }
        if mode == Mode::UserKey && !self.oauth {
            let invalid = |text: String| Failure::new(403, "user_key_invalid", text);
            let key = user_key.ok_or_else(|| invalid("user key is missing".to_owned()))?;
            let id = view.id_of(key);
            let found = id.and_then(|id| view.application(&id));
            return found.ok_or_else(|| invalid(format!("user key \"{key}\" is invalid")));
        }
        let missing = |text: String| Failure::new(404, "application_not_found", text);
        let id = id.ok_or_else(|| missing("application id is missing".to_owned()))?;
        let found = view.application(id);
        found.ok_or_else(|| missing(format!("application with id=\"{id}\" was not found")))
    }

    /// Checks the OAuth settings, the application key, and the redirect URL.
    fn credentials(&self, mode: Mode, known: &Known) -> Option<Denial> {
        if self.oauth && mode != Mode::Oauth {
            return Some(("oauth_not_enabled", "oauth is not enabled".to_owned()));
        }
        let key = self.params.any_text("app_key");
        let trusted = match mode {
            Mode::UserKey => true,
            Mode::AppId => known.keys.is_empty(),
            Mode::Oauth => key.is_none(),
        };
        if !trusted {
            let text = match key {
                None => Some("application key is missing".to_owned()),
                Some(key) if key.trim().is_empty() => Some("application key is missing".to_owned()),
                Some(key) if known.keys.iter().any(|known| known == key.trim()) => None,
                Some(key) => Some(format!("application key \"{key}\" is invalid")),
            };
            if let Some(text) = text {
                return Some(("application_key_invalid", text));
            }
        }
        let (name, code) = self.redirect();
        let sent = self.params.text(name).filter(|_| self.oauth)?;
        let wrong = sent != known.application.redirect_url;
        wrong.then(|| (code, format!("{name} \"{sent}\" is invalid")))
    }

    /// The name of the redirect URL parameter that the call uses, with the matching error code.
    fn redirect(&self) -> (&'static str, &'static str) {
        let sent = |name| self.params.text(name).is_some();
        match sent("redirect_uri") && !sent("redirect_url") {
            true => ("redirect_uri", "redirect_uri_invalid"),
            false => ("redirect_url", "redirect_url_invalid"),
        }
    }

    fn referrer(&self, required: bool, application: &Application) -> Option<Denial> {
        if !required || application.referrer_filters.is_empty() {
            return None;
        }
        let text = match self.params.text("referrer") {
            None => "referrer is missing".to_owned(),
            Some("*") => return None,
            Some(sent) => {
                let mut filters = application.referrer_filters.iter();
                if filters.any(|filter| matches(filter, sent)) {
                    return None;
                }
                format!("referrer \"{sent}\" is not allowed")
            }
        };
        Some(("referrer_not_allowed", text))
    }

    fn queue(&self, state: &mut State, id: &str, usage: Vec<(String, Option<String>)>) {
        let transaction = Transaction {
            who: Who::AppId(id.to_owned()),
            timestamp: None,
            usage,
        };
        let job = Job {
            transactions: vec![transaction],
            flat: self.options.flat_usage,
            accepted: std::time::Instant::now(),
        };
        reports::queue(state, job, self.now_ms);
    }

    fn denied(&self, state: &State, known: &Known, (code, reason): &Denial) -> Response {
        let standing = Standing::new(state, self, known, &[]);
        let mut headers = Vec::new();
        if self.options.rejection_reason_header {
            headers.push(("3scale-rejection-reason", (*code).to_owned()));
        }
        let body = self.body(known, Some(reason), &standing.stored());
        xml(409, headers, body)
    }

    fn limited(&self, known: &Known, standing: &Standing<'_>) -> Response {
        let mut headers = Vec::new();
        if standing.exceeded && self.options.rejection_reason_header {
            headers.push(("3scale-rejection-reason", "limits_exceeded".to_owned()));
        }
        if self.options.limit_headers {
            headers.extend(standing.headers(self.now_ms));
        }
        let reason = standing.exceeded.then_some("usage limits are exceeded");
        let body = self.body(known, reason, &standing.reports());
        xml(if standing.exceeded { 409 } else { 200 }, headers, body)
    }

    fn body(&self, known: &Known, reason: Option<&str>, usage_reports: &str) -> String {
        let application = &known.application;
        let mut body = format!(
            "{HEAD}<status><authorized>{}</authorized>",
            reason.is_none()
        );
        if let Some(reason) = reason {
            // Not escaped, as in 3scale: text from the caller can make the document malformed.
            body.push_str(&format!("<reason>{reason}</reason>"));
        }
        if self.oauth {
            let (name, _) = self.redirect();
            let key = known.keys.first().map_or("", String::as_str);
            body.push_str(&format!(
                "<application><id>{}</id><key>{key}</key><{name}>{}</{name}></application>",
                application.id,
                escape(&application.redirect_url)
            ));
        }
        body.push_str(&format!("<plan>{}</plan>", escape(&application.plan)));
        body.push_str(usage_reports);
        if self.options.list_app_keys {
            let service = self.params.text("service_id").unwrap_or_default();
            let id = &application.id;
            body.push_str(&format!("<app_keys app=\"{id}\" svc=\"{service}\">"));
            for key in known.keys.iter().take(256) {
                body.push_str(&format!("<key id=\"{key}\"/>"));
            }
            body.push_str("</app_keys>");
        }
        if self.options.hierarchy {
            body.push_str("<hierarchy>");
            for limit in known.ordered() {
                let parents = known.metrics.parents.iter();
                let children: Vec<&str> = parents
                    .filter(|(_, parent)| **parent == limit.metric)
                    .map(|(child, _)| child.as_str())
                    .collect();
                let children = children.join(" ");
                let name = &limit.metric;
                body.push_str(&format!(
                    "<metric name=\"{name}\" children=\"{children}\"/>"
                ));
            }
            body.push_str("</hierarchy>");
        }
        body.push_str("</status>");
        body
    }
}

impl Known {
    /// The limits grouped by metric in the order of the plan, with the longest period first within a metric.
    pub(crate) fn ordered(&self) -> Vec<&Limit> {
        let mut metrics: Vec<&str> = Vec::new();
        for limit in &self.limits {
            if !metrics.contains(&limit.metric.as_str()) {
                metrics.push(&limit.metric);
            }
        }
        let mut limits: Vec<&Limit> = self.limits.iter().collect();
        limits.sort_by_key(|limit| {
            let at = metrics.iter().position(|metric| *metric == limit.metric);
            (at, std::cmp::Reverse(limit.period))
        });
        limits
    }
}

impl<'a> Standing<'a> {
    fn new(state: &State, call: &Call<'_>, known: &'a Known, usage: &[(String, Amount)]) -> Self {
        let now = call.now_ms.div_euclid(1000);
        let limits = known.ordered().into_iter().map(|limit| {
            let counter = state.counter(&known.application.id, &limit.metric, limit.period, now);
            (limit, counter)
        });
        Self::of(
            limits.collect(),
            &known.metrics.parents,
            usage,
            call.options.flat_usage,
            call.count,
            now,
        )
    }
}

/// Whether the whole text matches the filter, in which `*` matches any text.
fn matches(filter: &str, text: &str) -> bool {
    match filter.split_once('*') {
        None => filter == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            let mut ends = (0..=text.len()).filter(|at| text.is_char_boundary(*at));
            ends.any(|at| matches(rest, &text[at..]))
        }),
    }
}
