//! A stand-in for 3scale's Service Management API, after the recorded behaviour: the order of the checks, the bodies and
//! headers, counting some time after the answer, caches of its own, and the silent loss of whole batches.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use authorizer::clock::Clock;
use authorizer::periods::{self, Period, Windows};

use super::http::{Request, Response, Server};

pub const SERVICE: &str = "1001";
pub const TOKEN: &str = "st_1001";

#[derive(Clone)]
pub struct Limit {
    pub metric: &'static str,
    pub period: Period,
    pub max: u64,
}

#[derive(Clone)]
pub struct Application {
    pub id: String,
    pub user_key: String,
    pub keys: Vec<String>,
    pub active: bool,
    pub plan: String,
    pub limits: Vec<Limit>,
}

/// What a call is answered with in place of the real thing.
#[derive(Clone)]
pub enum Fault {
    Status(u16, &'static str),
    Raw(&'static [u8]),
    Close,
    Hang(Duration),
    /// Takes the call in, and loses the answer.
    LoseAnswer,
    /// Takes a report in and answers 500, as when its storage is slow.
    CountAnd500,
}

/// A report or authrep waiting to be counted: application id, time and usage.
struct Job(Vec<(Who, i64, Usage)>);

type Usage = Vec<(String, u64)>;

#[derive(Clone)]
enum Who {
    AppId(String),
    UserKey(String),
}

pub struct State {
    pub token: String,
    /// By user key or application id: mode 1 or 2.
    pub by_user_key: bool,
    pub service_active: bool,
    pub referrer_filter: bool,
    pub applications: Vec<Application>,
    /// Child to parent.
    pub parents: HashMap<String, String>,
    pub metrics: HashSet<String>,
    /// (application id, metric, period, window start) to count.
    counters: HashMap<(String, String, usize, i64), u64>,
    /// All that was ever counted: (application id, metric).
    pub totals: BTreeMap<(String, String), u64>,
    queue: VecDeque<Job>,
    /// Whether a job is counted as soon as its call is answered; else by [`Threescale::work`].
    pub prompt: bool,
    pub lost_batches: Vec<&'static str>,
    pub calls: BTreeMap<&'static str, u64>,
    pub largest_report: usize,
    /// In the order of the calls; the last one stays if `sticky`.
    pub faults: VecDeque<Fault>,
    pub sticky: bool,
    /// Only reports meet faults.
    pub only_reports: bool,
    /// Every query and body received, for looking for what should not be there.
    pub received: Vec<String>,
    pub keep_received: bool,
}

pub struct Threescale {
    pub server: Server,
    state: Arc<Mutex<State>>,
}

impl Threescale {
    /// With the reference's metrics and one application, `app_free` with the key `uk_free`, without limits.
    pub fn start(clock: Clock) -> Self {
        let parents = [
            ("products", "hits"),
            ("orders", "hits"),
            ("orders_lines", "orders"),
        ];
        let state = Arc::new(Mutex::new(State {
            token: TOKEN.to_owned(),
            by_user_key: true,
            service_active: true,
            referrer_filter: false,
            applications: Vec::new(),
            parents: parents
                .map(|(child, parent)| (child.to_owned(), parent.to_owned()))
                .into(),
            metrics: ["hits", "products", "orders", "orders_lines", "bytes"]
                .map(str::to_owned)
                .into(),
            counters: HashMap::new(),
            totals: BTreeMap::new(),
            queue: VecDeque::new(),
            prompt: true,
            lost_batches: Vec::new(),
            calls: BTreeMap::new(),
            largest_report: 0,
            faults: VecDeque::new(),
            sticky: false,
            only_reports: false,
            received: Vec::new(),
            keep_received: false,
        }));
        let shared = Arc::clone(&state);
        let server = Server::start(Arc::new(move |request| {
            answer(
                &mut shared.lock().expect("lock"),
                &request,
                clock.now_ms().div_euclid(1000),
            )
        }));
        let threescale = Self { server, state };
        threescale.add("free", &[]);
        threescale
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("lock")
    }

    /// An application `app_<name>` with the user key `uk_<name>`.
    pub fn add(&self, name: &str, limits: &[Limit]) {
        self.state().applications.push(Application {
            id: format!("app_{name}"),
            user_key: format!("uk_{name}"),
            keys: Vec::new(),
            active: true,
            plan: format!("Plan {name}"),
            limits: limits.to_vec(),
        });
    }

    /// The queue's worker: counts what was accepted.
    pub fn work(&self) {
        self.state().work();
    }

    pub fn calls(&self, kind: &str) -> u64 {
        self.state().calls.get(kind).copied().unwrap_or(0)
    }

    pub fn total(&self, name: &str, metric: &str) -> u64 {
        let key = (format!("app_{name}"), metric.to_owned());
        self.state().totals.get(&key).copied().unwrap_or(0)
    }

    /// All calls from now on fail so, or none any more.
    pub fn fail(&self, fault: Option<Fault>) {
        let mut state = self.state();
        state.sticky = fault.is_some();
        state.faults = fault.into_iter().collect();
    }

    /// The next calls fail so, one each.
    pub fn fail_next(&self, faults: &[Fault]) {
        let mut state = self.state();
        state.sticky = false;
        state.faults = faults.iter().cloned().collect();
    }
}

const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8"?>"#;

fn error(status: u16, code: &str, text: &str) -> Response {
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    xml(
        status,
        Vec::new(),
        format!("{HEAD}<error code=\"{code}\">{text}</error>"),
    )
}

fn xml(status: u16, mut headers: Vec<(String, String)>, body: String) -> Response {
    headers.push((
        "content-type".to_owned(),
        "application/vnd.3scale-v2.0+xml".to_owned(),
    ));
    Response::Reply {
        status,
        headers,
        body: body.into_bytes(),
    }
}

fn answer(state: &mut State, request: &Request, now: i64) -> Response {
    let (path, query) = request
        .target
        .split_once('?')
        .unwrap_or((&request.target, ""));
    let kind = match (request.method.as_str(), path) {
        ("GET", "/transactions/authorize.xml") => "authorize",
        ("GET", "/transactions/authrep.xml") => "authrep",
        ("POST", "/transactions.xml") => "report",
        _ => return Response::new(404, ""),
    };
    *state.calls.entry(kind).or_default() += 1;
    if state.keep_received {
        state.received.push(format!(
            "{query} {}",
            String::from_utf8_lossy(&request.body)
        ));
    }
    assert!(
        query.len() <= 10_240,
        "a query string that 3scale's web server refuses"
    );
    let fault = if state.only_reports && kind != "report" {
        None
    } else if state.sticky {
        state.faults.front().cloned()
    } else {
        state.faults.pop_front()
    };
    let parameters: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
        .chain(form_urlencoded::parse(&request.body))
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    if parameters.len() > 4096 {
        return error(
            400,
            "bad_request",
            "total number of query parameters exceeds limit (4096)",
        );
    }
    match fault {
        None => {}
        Some(Fault::Status(status, body)) => return Response::new(status, body),
        Some(Fault::Raw(bytes)) => return Response::Raw(bytes.to_vec()),
        Some(Fault::Close) => return Response::Close,
        Some(Fault::Hang(time)) => return Response::Hang(time),
        Some(Fault::LoseAnswer) => {
            let _ = state.call(kind, request, &parameters, now);
            return Response::Close;
        }
        Some(Fault::CountAnd500) => {
            let _ = state.call(kind, request, &parameters, now);
            return Response::new(500, "Internal Server Error");
        }
    }
    state.call(kind, request, &parameters, now)
}

fn usage_of(parameters: &[(String, String)], prefix: &str) -> Vec<(String, String)> {
    parameters
        .iter()
        .filter_map(|(name, value)| {
            let metric = name.strip_prefix(prefix)?.strip_suffix(']')?;
            Some((metric.trim().to_owned(), value.clone()))
        })
        .collect()
}

impl State {
    fn call(
        &mut self,
        kind: &str,
        request: &Request,
        parameters: &[(String, String)],
        now: i64,
    ) -> Response {
        let get = |name: &str| {
            parameters
                .iter()
                .rev()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.as_str())
                .filter(|v| !v.is_empty())
        };
        let Some(token) = get("service_token") else {
            return error(
                403,
                "provider_key_or_service_token_required",
                "Provider key or service token are required",
            );
        };
        let Some(service) = get("service_id") else {
            return error(422, "service_id_missing", "Service ID is missing");
        };
        if token != self.token || service != SERVICE {
            let text = format!("service token \"{token}\" or service id \"{service}\" is invalid");
            return error(403, "service_token_invalid", &text);
        }
        if kind == "report" {
            return self.report(parameters, now);
        }
        let options: Vec<(String, String)> = request
            .header("3scale-options")
            .map(|options| {
                form_urlencoded::parse(options.as_bytes())
                    .into_owned()
                    .collect()
            })
            .unwrap_or_default();
        let option = |name: &str| {
            options
                .iter()
                .any(|(key, value)| key == name && value == "1")
        };
        let no_body = option("no_body");
        let strip = |response: Response| match response {
            Response::Reply {
                status, headers, ..
            } if no_body => Response::Reply {
                status,
                headers,
                body: Vec::new(),
            },
            other => other,
        };
        strip(self.authorize(kind == "authrep", &get, parameters, &option, now))
    }

    fn authorize<'a>(
        &mut self,
        count: bool,
        get: &dyn Fn(&str) -> Option<&'a str>,
        parameters: &[(String, String)],
        option: &dyn Fn(&str) -> bool,
        now: i64,
    ) -> Response {
        let (user_key, app_id) = (get("user_key"), get("app_id"));
        if user_key.is_some() && app_id.is_some() {
            return error(
                403,
                "authentication_error",
                "either app_id or user_key is allowed, not both",
            );
        }
        let found = if self.by_user_key {
            let Some(key) = user_key else {
                return error(403, "user_key_invalid", "user key is missing");
            };
            match self.applications.iter().find(|a| a.user_key == key) {
                Some(application) => application.clone(),
                None => {
                    return error(
                        403,
                        "user_key_invalid",
                        &format!("user key \"{key}\" is invalid"),
                    );
                }
            }
        } else {
            let Some(id) = app_id else {
                return error(404, "application_not_found", "application id is missing");
            };
            match self.applications.iter().find(|a| a.id == id) {
                Some(application) => application.clone(),
                None => {
                    return error(
                        404,
                        "application_not_found",
                        &format!("application with id=\"{id}\" was not found"),
                    );
                }
            }
        };
        let usage = usage_of(parameters, "usage[");
        let unknown = usage
            .iter()
            .find(|(metric, _)| !self.metrics.contains(metric));
        if let (true, Some((metric, _))) = (option("no_body"), unknown) {
            return error(
                404,
                "metric_invalid",
                &format!("metric \"{metric}\" is invalid"),
            );
        }
        let denied = |code: &str, reason: &str| {
            let mut headers = Vec::new();
            if option("rejection_reason_header") {
                headers.push(("3scale-rejection-reason".to_owned(), code.to_owned()));
            }
            let plan = &found.plan;
            // The reason is not escaped.
            xml(
                409,
                headers,
                format!(
                    "{HEAD}<status><authorized>false</authorized><reason>{reason}</reason><plan>{plan}</plan></status>"
                ),
            )
        };
        if !self.by_user_key && !found.keys.is_empty() {
            match get("app_key") {
                None => return denied("application_key_invalid", "application key is missing"),
                Some(key) if !found.keys.iter().any(|known| known == key.trim()) => {
                    return denied(
                        "application_key_invalid",
                        &format!("application key \"{key}\" is invalid"),
                    );
                }
                Some(_) => {}
            }
        }
        if self.referrer_filter {
            return denied("referrer_not_allowed", "referrer is missing");
        }
        if !found.active {
            return denied("application_not_active", "application is not active");
        }
        if !self.service_active {
            return denied("service_not_active", "service is not active");
        }
        if let Some((metric, _)) = unknown {
            return error(
                404,
                "metric_invalid",
                &format!("metric \"{metric}\" is invalid"),
            );
        }
        let mut amounts = Vec::new();
        for (metric, value) in &usage {
            let Ok(amount) = value.parse::<u64>() else {
                return error(
                    403,
                    "usage_value_invalid",
                    &format!("usage value \"{value}\" for metric \"{metric}\" is invalid"),
                );
            };
            amounts.push((metric.clone(), amount));
        }
        let response = self.limits(&found, &amounts, count, option, now);
        if count && matches!(response, Response::Reply { status: 200, .. }) {
            let used: Vec<_> = amounts
                .into_iter()
                .filter(|(_, amount)| *amount > 0)
                .collect();
            if !used.is_empty() {
                self.queue
                    .push_back(Job(vec![(Who::AppId(found.id), now, used)]));
                if self.prompt {
                    self.work();
                }
            }
        }
        response
    }

    fn limits(
        &self,
        application: &Application,
        usage: &[(String, u64)],
        count: bool,
        option: &dyn Fn(&str) -> bool,
        now: i64,
    ) -> Response {
        let windows = Windows::at(now);
        let mut amounts: HashMap<String, u64> = HashMap::new();
        for (metric, amount) in usage {
            for metric in self.line(metric) {
                *amounts.entry(metric).or_default() += amount;
            }
        }
        let counter = |limit: &Limit| {
            let index = limit.period.index();
            let key = (
                application.id.clone(),
                limit.metric.to_owned(),
                index,
                windows.start[index],
            );
            self.counters.get(&key).copied().unwrap_or(0)
        };
        let applies = |limit: &&Limit| usage.is_empty() || amounts.contains_key(limit.metric);
        let exceeded = application.limits.iter().filter(applies).any(|limit| {
            counter(limit) + amounts.get(limit.metric).copied().unwrap_or(0) > limit.max
        });
        let shown = |limit: &Limit| {
            let extra = if count && !exceeded {
                amounts.get(limit.metric).copied().unwrap_or(0)
            } else {
                0
            };
            counter(limit) + extra
        };
        let mut headers = Vec::new();
        if option("limit_headers") {
            // Fewest remaining identical requests; on a tie the longer period.
            let chosen = application
                .limits
                .iter()
                .filter(applies)
                .filter_map(|limit| {
                    let amount = amounts.get(limit.metric).copied().unwrap_or(0);
                    let left = limit.max.saturating_sub(shown(limit));
                    let remaining = match amount {
                        0 if left == 0 => 0,
                        0 => return None,
                        amount if exceeded => left.checked_div(amount).map(|_| 0).unwrap_or(0),
                        amount => left / amount,
                    };
                    Some((remaining, std::cmp::Reverse(limit.period), limit.max))
                })
                .min();
            let mut put = |name: &str, value: i64| {
                headers.push((format!("3scale-limit-{name}"), value.to_string()))
            };
            match chosen {
                None => {
                    put("remaining", -1);
                    put("reset", -1);
                }
                Some((remaining, std::cmp::Reverse(period), max)) => {
                    put("remaining", remaining as i64);
                    let end = windows.end[period.index()];
                    put("reset", if end == i64::MAX { -1 } else { end - now });
                    put("max-value", max as i64);
                }
            }
        }
        let mut body = format!("{HEAD}<status><authorized>{}</authorized>", !exceeded);
        if exceeded {
            body.push_str("<reason>usage limits are exceeded</reason>");
        }
        body.push_str(&format!(
            "<plan>{}</plan>",
            application.plan.replace('&', "&amp;")
        ));
        if !application.limits.is_empty() {
            body.push_str("<usage_reports>");
            for limit in &application.limits {
                let index = limit.period.index();
                let word = ["minute", "hour", "day", "week", "month", "year", "eternity"][index];
                let flag = if counter(limit) > limit.max {
                    " exceeded=\"true\""
                } else {
                    ""
                };
                body.push_str(&format!(
                    "<usage_report metric=\"{}\" period=\"{word}\"{flag}>",
                    limit.metric
                ));
                if limit.period != Period::Eternity {
                    let time = |seconds| format!("{} +0000", periods::format(seconds));
                    body.push_str(&format!(
                        "<period_start>{}</period_start><period_end>{}</period_end>",
                        time(windows.start[index]),
                        time(windows.end[index])
                    ));
                }
                body.push_str(&format!(
                    "<max_value>{}</max_value><current_value>{}</current_value></usage_report>",
                    limit.max,
                    shown(limit)
                ));
            }
            body.push_str("</usage_reports>");
        }
        if option("list_app_keys") {
            body.push_str(&format!(
                "<app_keys app=\"{}\" svc=\"{SERVICE}\">",
                application.id
            ));
            for key in &application.keys {
                body.push_str(&format!("<key id=\"{key}\"/>"));
            }
            body.push_str("</app_keys>");
        }
        if option("hierarchy") {
            body.push_str("<hierarchy>");
            for limit in &application.limits {
                let mut children: Vec<&str> = self
                    .parents
                    .iter()
                    .filter(|(_, parent)| *parent == limit.metric)
                    .map(|(child, _)| child.as_str())
                    .collect();
                children.sort_unstable();
                body.push_str(&format!(
                    "<metric name=\"{}\" children=\"{}\"/>",
                    limit.metric,
                    children.join(" ")
                ));
            }
            body.push_str("</hierarchy>");
        }
        body.push_str("</status>");
        if exceeded {
            if option("rejection_reason_header") {
                headers.push((
                    "3scale-rejection-reason".to_owned(),
                    "limits_exceeded".to_owned(),
                ));
            }
            return xml(409, headers, body);
        }
        xml(200, headers, body)
    }

    /// A metric and its ancestors.
    fn line(&self, metric: &str) -> Vec<String> {
        let mut line = vec![metric.to_owned()];
        while let Some(parent) = line.last().and_then(|metric| self.parents.get(metric)) {
            line.push(parent.clone());
        }
        line
    }

    fn report(&mut self, parameters: &[(String, String)], now: i64) -> Response {
        let mut transactions: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        for (name, value) in parameters {
            let Some(rest) = name.strip_prefix("transactions[") else {
                continue;
            };
            let Some((index, field)) = rest.split_once(']') else {
                continue;
            };
            transactions
                .entry(index.to_owned())
                .or_default()
                .push((field.to_owned(), value.clone()));
        }
        if transactions.is_empty() {
            return error(
                400,
                "transactions_is_blank",
                "transactions parameter is blank",
            );
        }
        self.largest_report = self.largest_report.max(transactions.len());
        let mut job = Vec::new();
        let mut fault = None;
        for fields in transactions.values() {
            let get = |name: &str| {
                fields
                    .iter()
                    .find(|(field, _)| field == name)
                    .map(|(_, value)| value.as_str())
            };
            let time = match get("[timestamp]") {
                None => now,
                Some(text) => {
                    periods::parse(&format!("{text} +0000")).expect("our timestamps are understood")
                }
            };
            let who = match (get("[app_id]"), get("[user_key]")) {
                (Some(id), None) => Who::AppId(id.to_owned()),
                (None, Some(key)) => Who::UserKey(key.to_owned()),
                _ => {
                    fault = Some("authentication_error");
                    continue;
                }
            };
            let mut usage = Vec::new();
            for (metric, value) in usage_of(fields, "[usage][") {
                match value.parse() {
                    Ok(amount) => usage.push((metric, amount)),
                    Err(_) => fault = Some("usage_value_invalid"),
                }
            }
            job.push((who, time, usage));
        }
        match fault {
            // Found by the worker: accepted, and lost.
            Some(code) => self.lost_batches.push(code),
            None => self.queue.push_back(Job(job)),
        }
        if self.prompt {
            self.now_work(now);
        } else if let Some(Job(_)) = self.queue.back() {
            // Checked and counted when the worker comes to it.
        }
        Response::new(202, "")
    }

    pub fn work(&mut self) {
        self.now_work(i64::MAX);
    }

    /// Counts the queue. A batch with one fault is lost as a whole.
    fn now_work(&mut self, now: i64) {
        while let Some(Job(transactions)) = self.queue.pop_front() {
            let mut resolved = Vec::new();
            let mut fault = None;
            for (who, time, usage) in transactions {
                let application = self.applications.iter().find(|a| match &who {
                    Who::AppId(id) => a.id == *id,
                    Who::UserKey(key) => a.user_key == *key,
                });
                match application {
                    None => fault = Some("application_not_found"),
                    Some(application) => resolved.push((application.id.clone(), time, usage)),
                }
            }
            for (_, time, usage) in &resolved {
                if usage
                    .iter()
                    .any(|(metric, _)| !self.metrics.contains(metric))
                {
                    fault = Some("metric_invalid");
                }
                if now != i64::MAX && *time < now - 86_400 {
                    fault = Some("transaction_timestamp_too_old");
                }
                if now != i64::MAX && *time > now + 3_600 {
                    fault = Some("transaction_timestamp_too_new");
                }
            }
            if let Some(code) = fault {
                self.lost_batches.push(code);
                continue;
            }
            for (id, time, usage) in resolved {
                let windows = Windows::at(time);
                for (metric, amount) in usage {
                    *self.totals.entry((id.clone(), metric.clone())).or_default() += amount;
                    for metric in self.line(&metric) {
                        for period in Period::ALL {
                            let index = period.index();
                            let key = (id.clone(), metric.clone(), index, windows.start[index]);
                            *self.counters.entry(key).or_default() += amount;
                        }
                    }
                }
            }
        }
    }

    /// What is counted in a window that `at` lies in.
    pub fn counted(&self, name: &str, metric: &str, period: Period, at: i64) -> u64 {
        let index = period.index();
        let key = (
            format!("app_{name}"),
            metric.to_owned(),
            index,
            Windows::at(at).start[index],
        );
        self.counters.get(&key).copied().unwrap_or(0)
    }

    /// Counts as another gateway would.
    pub fn others(&mut self, name: &str, metric: &str, amount: u64, at: i64) {
        self.queue.push_back(Job(vec![(
            Who::AppId(format!("app_{name}")),
            at,
            vec![(metric.to_owned(), amount)],
        )]));
        self.work();
        let key = (format!("app_{name}"), metric.to_owned());
        *self.totals.entry(key).or_default() -= amount;
    }
}
