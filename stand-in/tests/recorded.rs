//! Sends every sample in `recorded.md` unchanged over a connection and compares the response: the status line, all
//! headers that the sample shows and their order, and the body.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use threescale_stand_in::{Application, Fault, Limit, Mode, Period, State, Threescale};

/// 2026-11-22 07:14:00 UTC.
const QUARTER_PAST: i64 = 1_795_331_640;
/// Headers that the samples omit unless they are the subject of the sample.
const USUAL: [&str; 4] = [
    "access-control-allow-origin",
    "access-control-expose-headers",
    "content-security-policy",
    "x-content-type-options",
];

struct Sample {
    name: String,
    request: String,
    answer: String,
}

/// The samples that contain a request and a response, which are all except G14.
fn samples() -> Vec<Sample> {
    let text = include_str!("recorded.md");
    let sections = text.split("\n#### ").skip(1);
    sections
        .filter_map(|section| {
            let name = section.split(' ').next()?.to_owned();
            let mut blocks = section.split("```http\n").skip(1);
            let mut block = || {
                let block = blocks.next()?.split("\n```").next()?;
                Some(block.to_owned())
            };
            let (request, answer) = (block()?, block()?);
            Some(Sample {
                name,
                request,
                answer,
            })
        })
        .collect()
}

fn application(id: &str, user_key: &str, plan: &str, limits: Vec<Limit>) -> Application {
    Application {
        user_key: user_key.to_owned(),
        limits,
        ..Application::new(id, plan)
    }
}

/// The service of a sample, in its state when the sample was recorded.
fn service(id: &str) -> State {
    let hits = |period, max| Limit::new("hits", period, max);
    let five = || vec![hits(Period::Minute, 5)];
    let multi = || {
        vec![
            hits(Period::Day, 100),
            hits(Period::Minute, 10),
            Limit::new("orders", Period::Hour, 3),
            Limit::new("bytes", Period::Month, 1000),
        ]
    };
    let mut all = Vec::new();
    for (n, period) in Period::ALL.into_iter().enumerate() {
        all.push(hits(period, 10_u64.pow(u32::try_from(n).unwrap() + 3)));
    }
    let mut applications = vec![
        application("app_pfree", &format!("uk_{id}_pfree"), "Free", Vec::new()),
        application(
            "app_pmulti",
            &format!("uk_{id}_pmulti"),
            "Multi & more",
            multi(),
        ),
        application(
            "app_pzero",
            &format!("uk_{id}_pzero"),
            "Zero",
            vec![hits(Period::Eternity, 0)],
        ),
        application(
            "app_peter",
            &format!("uk_{id}_peter"),
            "Eternal",
            vec![hits(Period::Eternity, 20)],
        ),
        application("app_pall", &format!("uk_{id}_pall"), "All periods", all),
        application("app_susp", "uk_susp", "Free", Vec::new()),
        application("app_twokeys", "uk_twokeys", "Free", Vec::new()),
        application("app_fk1", "fk1", "Multi & more", multi()),
        application("app_fk3", "fk3", "Free", Vec::new()),
    ];
    for n in 0..30 {
        applications.push(application(
            &format!("app_t{n}"),
            &format!("tk{n}"),
            "Five a minute",
            five(),
        ));
    }
    applications[5].active = false;
    for (at, keys) in [
        (0, &["ak_pfree"][..]),
        (2, &["ak_pzero"]),
        (6, &["k1", "k2"]),
    ] {
        applications[at].keys = keys.iter().map(|&key| key.to_owned()).collect();
    }
    for application in &mut applications {
        if id == "1003" {
            application.redirect_url = "https://app.example.com/cb?a=1&b=2".to_owned();
        }
        if id == "1004" {
            application.referrer_filters =
                vec!["*.example.com".to_owned(), "other.test".to_owned()];
        }
    }
    let mut state = State::default();
    state.service = id.to_owned();
    state.token = format!("st_{id}");
    state.mode = match id {
        "1002" => Mode::AppId,
        "1003" => Mode::Oauth,
        _ => Mode::UserKey,
    };
    state.service_active = id != "1005";
    state.referrer_filters_required = id == "1004";
    state.applications = applications;
    state
}

/// The time at which a sample was recorded, and the usage counted by then: application, metric, amount, seconds before.
type Circumstances = (i64, &'static [(&'static str, &'static str, u64, i64)]);

fn circumstances(name: &str) -> Circumstances {
    let at = QUARTER_PAST;
    match name {
        "A3" => (at, &[("t0", "hits", 4, 0)]),
        "A4" => (at, &[("t0", "hits", 5, 0)]),
        "A5" => (at + 1, &[("t0", "hits", 5, 0)]),
        "A6" | "A7" | "A8" => (at + 2, &[("t2", "hits", 12, 0)]),
        "A9" => (at + 1, &[]),
        "A10" => (at - 180, &[]),
        "A11" => (at + 662, &[]),
        "F1" => (at - 94, &[]),
        // Counted some minutes earlier in the same hour.
        "F4" => (
            at - 100,
            &[("pmulti", "hits", 1, 300), ("pmulti", "orders", 1, 300)],
        ),
        _ => (at, &[]),
    }
}

struct Answer {
    status: String,
    headers: Vec<(String, String)>,
    body: String,
}

fn parse(text: &str) -> Answer {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    Answer {
        status: lines.next().unwrap().to_owned(),
        headers: lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        body: body.to_owned(),
    }
}

fn exchange(address: std::net::SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request).unwrap();
    // Marks the end of the request, so that the server closes the connection after its response.
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.replace("\r\n", "\n")
}

fn raw(sample: &str) -> Vec<u8> {
    let (head, body) = sample.split_once("\n\n").unwrap_or((sample, ""));
    let mut request = head.replace('\n', "\r\n");
    if !body.is_empty() {
        request.push_str(&format!("\r\nContent-Length: {}", body.len()));
    }
    format!("{request}\r\n\r\n{body}").into_bytes()
}

/// The order of a metric's children is not defined.
fn any_order(body: &str) -> String {
    body.replace(
        "children=\"products orders\"",
        "children=\"orders products\"",
    )
}

#[test]
fn every_sample_is_answered_as_it_was_recorded() {
    let samples = samples();
    assert_eq!(samples.len(), 75, "samples were lost on the way");
    for Sample {
        name,
        request,
        answer,
    } in samples
    {
        let id = ["1002", "1003", "1004", "1005"]
            .into_iter()
            .find(|id| request.contains(&format!("st_{id}")));
        let (now, counted) = circumstances(&name);
        let threescale =
            Threescale::serve(service(id.unwrap_or("1001")), 0, move || now * 1000).unwrap();
        for (application, metric, amount, before) in counted {
            threescale
                .state()
                .others(application, metric, *amount, now - before);
        }
        if name.starts_with('H') {
            threescale.fail(Some(Fault::CountAnd500));
        }
        let given = exchange(threescale.address(), &raw(&request));
        let (given, wanted) = (parse(&given), parse(&answer));
        assert_eq!(given.status, wanted.status, "{name}");
        let shows_all = wanted.headers.iter().any(|(name, _)| name == USUAL[0]);
        let shown = |headers: Vec<(String, String)>| -> Vec<_> {
            let wanted =
                |(name, _): &(String, String)| shows_all || !USUAL.contains(&name.as_str());
            headers.into_iter().filter(wanted).collect()
        };
        if name == "F4" {
            assert_eq!(any_order(&given.body), any_order(&wanted.body), "{name}");
        } else {
            // The web server's text ends with a line break that the samples do not show.
            assert_eq!(given.body.trim_end(), wanted.body, "{name}");
        }
        assert_eq!(shown(given.headers), shown(wanted.headers), "{name}");
        // Rejected by the worker, not by the listener.
        let lost: &[&str] = match name.as_str() {
            "G8" => &["user_key_invalid"],
            "G13" => &["transaction_timestamp_too_old"],
            _ => &[],
        };
        assert_eq!(threescale.state().lost_batches, lost, "{name}");
    }
}

#[test]
fn a_lost_batch_counts_nothing_and_says_why() {
    let samples = samples();
    let sample = samples.iter().find(|sample| sample.name == "G8").unwrap();
    let threescale = Threescale::serve(service("1001"), 0, || QUARTER_PAST * 1000).unwrap();
    exchange(threescale.address(), &raw(&sample.request));
    let state = threescale.state();
    assert!(state.totals.is_empty());
    let error = state.integration_errors.back().unwrap();
    assert_eq!(
        (error.code, error.text.as_str(), &error.request),
        ("user_key_invalid", "user key \"bad\" is invalid", &None)
    );
}

/// Sample G14 and the other size limits in section 13.
#[test]
fn limits_of_size() {
    let threescale = Threescale::serve(service("1001"), 0, || QUARTER_PAST * 1000).unwrap();
    let report = |transactions: usize| {
        let mut body = "service_token=st_1001&service_id=1001".to_owned();
        for n in 0..transactions {
            body.push_str(&format!(
                "&transactions[{n}][user_key]=fk3&transactions[{n}][usage][hits]=1&transactions[{n}][timestamp]={QUARTER_PAST}"
            ));
        }
        let head = "POST /transactions.xml HTTP/1.1\nHost: x";
        parse(&exchange(
            threescale.address(),
            &raw(&format!("{head}\n\n{body}")),
        ))
    };
    assert_eq!(report(1364).status, "HTTP/1.1 202 Accepted");
    assert_eq!(report(1365).status, "HTTP/1.1 400 Bad Request");
    let wanted = "<error code=\"bad_request\">total number of query parameters (6002) exceeds limit (4096)</error>";
    assert!(report(2000).body.ends_with(wanted));
    assert_eq!(threescale.state().totals.values().sum::<u64>(), 1364);

    let large = |size: usize| {
        let mut body = "service_token=st_1001&service_id=1001&transactions[0][user_key]=fk3\
                        &transactions[0][usage][hits]=1&x="
            .to_owned();
        body.push_str(&"x".repeat(size - body.len()));
        let head = "POST /transactions.xml HTTP/1.1\nHost: x";
        parse(&exchange(
            threescale.address(),
            &raw(&format!("{head}\n\n{body}")),
        ))
    };
    assert_eq!(large(4_194_304).status, "HTTP/1.1 202 Accepted");
    let refused = large(4_194_305);
    assert_eq!(refused.status, "HTTP/1.1 400 Bad Request");
    let wanted = "<error code=\"bad_request\">total query size exceeds limit (4194304)</error>";
    assert!(refused.body.ends_with(wanted));

    let get = |query: usize, header: usize| {
        let query = "x".repeat(query);
        let header = "y".repeat(header);
        let text =
            format!("GET /transactions/authorize.xml?{query} HTTP/1.1\nHost: x\nZ: {header}");
        exchange(threescale.address(), &raw(&text))
    };
    assert!(get(10_240, 80_000 - 10_400).starts_with("HTTP/1.1 403 "));
    assert_eq!(get(10_241, 1), "HTTP/1.0 400 Bad Request\n\n");
    assert_eq!(get(1, 100_000), "HTTP/1.0 400 Bad Request\n\n");
}

/// A clock that the test advances.
fn clock() -> (Arc<AtomicI64>, impl Fn() -> i64 + Send + Sync + 'static) {
    let seconds = Arc::new(AtomicI64::new(QUARTER_PAST));
    let told = Arc::clone(&seconds);
    (seconds, move || told.load(Ordering::SeqCst) * 1000)
}

fn authorize(threescale: &Threescale, key: &str) -> u16 {
    let query = format!("service_token=st_1001&service_id=1001&user_key={key}");
    let text = format!("GET /transactions/authorize.xml?{query} HTTP/1.1\nHost: x");
    let answer = exchange(threescale.address(), &raw(&text));
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

/// Section 12: each process caches its lookups for 60 s separately, including lookups that find nothing.
#[test]
fn configuration_is_kept_for_a_minute_by_each_process() {
    let (seconds, clock) = clock();
    let threescale = Threescale::serve(service("1001"), 0, clock).unwrap();
    {
        let mut state = threescale.state();
        state.caching = true;
        state.processes = 2;
    }
    // Connections are assigned to the processes in turn.
    let both = |key: &str| [authorize(&threescale, key), authorize(&threescale, key)];
    assert_eq!(authorize(&threescale, "late"), 403);
    assert_eq!(both("tk1"), [200, 200]);
    {
        let mut state = threescale.state();
        state
            .applications
            .push(application("app_late", "late", "Free", Vec::new()));
        let application = state.applications.iter_mut().find(|a| a.user_key == "tk1");
        application.unwrap().active = false;
    }
    // The second process has not looked up the new key yet, so it accepts the key immediately.
    assert_eq!(authorize(&threescale, "late"), 200);
    assert_eq!(authorize(&threescale, "late"), 403);
    seconds.fetch_add(59, Ordering::SeqCst);
    assert_eq!(authorize(&threescale, "late"), 200);
    assert_eq!(authorize(&threescale, "late"), 403);
    assert_eq!(both("tk1"), [200, 200]);
    seconds.fetch_add(1, Ordering::SeqCst);
    assert_eq!(both("late"), [200, 200]);
    assert_eq!(both("tk1"), [409, 409]);
}

/// The worker has its own caches: a batch can be lost although its application exists by now.
#[test]
fn the_worker_keeps_what_it_knows_too() {
    let (seconds, clock) = clock();
    let threescale = Threescale::serve(service("1001"), 0, clock).unwrap();
    threescale.state().caching = true;
    let report = || {
        let body = "service_token=st_1001&service_id=1001&transactions[0][app_id]=late&transactions[0][usage][hits]=1";
        let text = format!("POST /transactions.xml HTTP/1.1\nHost: x\n\n{body}");
        assert!(exchange(threescale.address(), &raw(&text)).starts_with("HTTP/1.1 202 "));
    };
    report();
    threescale
        .state()
        .applications
        .push(Application::new("late", "Free"));
    report();
    assert_eq!(
        threescale.state().lost_batches,
        ["application_not_found"; 2]
    );
    seconds.fetch_add(60, Ordering::SeqCst);
    report();
    assert_eq!(threescale.state().totals.values().sum::<u64>(), 1);
}

fn authrep(threescale: &Threescale, usage: &str) -> u16 {
    let query = format!("service_token=st_1001&service_id=1001&user_key=tk1&{usage}");
    let text = format!("GET /transactions/authrep.xml?{query} HTTP/1.1\nHost: x");
    let answer = exchange(threescale.address(), &raw(&text));
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

/// Section 12: while the worker is stopped, every call is allowed. Queued usage counts in the minute in which it is
/// processed.
#[test]
fn counting_comes_after_the_answer() {
    let (seconds, clock) = clock();
    let threescale = Threescale::serve(service("1001"), 0, clock).unwrap();
    threescale.state().counting = threescale_stand_in::Counting::Manual;
    for _ in 0..7 {
        assert_eq!(authrep(&threescale, "usage[hits]=1"), 200);
    }
    seconds.fetch_add(60, Ordering::SeqCst);
    threescale.work();
    let counted = |at| threescale.state().counted("t1", "hits", Period::Minute, at);
    assert_eq!((counted(QUARTER_PAST), counted(QUARTER_PAST + 60)), (0, 7));
    assert_eq!(authrep(&threescale, "usage[hits]=1"), 409);
}

#[test]
fn a_worker_in_the_background() {
    let threescale = Threescale::serve(service("1001"), 0, || QUARTER_PAST * 1000).unwrap();
    let short = std::time::Duration::from_millis(20);
    threescale.state().counting = threescale_stand_in::Counting::After(short);
    assert_eq!(authrep(&threescale, "usage[hits]=1"), 200);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while threescale.total("t1", "hits") == 0 {
        assert!(std::time::Instant::now() < deadline, "never counted");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

/// Section 10: added values, set values, parents, and jobs that fail on every attempt.
#[test]
fn usage_values() {
    let threescale = Threescale::serve(service("1001"), 0, || QUARTER_PAST * 1000).unwrap();
    let counted = |metric: &str| {
        threescale
            .state()
            .counted("t1", metric, Period::Day, QUARTER_PAST)
    };
    assert_eq!(
        authrep(&threescale, "usage[hits]=1&usage[orders]=%20001"),
        200
    );
    assert_eq!((counted("hits"), counted("orders")), (2, 1));
    assert_eq!(authrep(&threescale, "usage[orders]=%234"), 200);
    assert_eq!((counted("hits"), counted("orders")), (4, 4));
    assert_eq!(
        authrep(&threescale, "usage[bytes]=99999999999999999999"),
        200
    );
    assert_eq!(counted("bytes"), 0);
    assert!(threescale.state().integration_errors.is_empty());
    for bad in ["", "+", "-1", "%2B1", "1.5", "1e3", "0x10", "many"] {
        assert_eq!(
            authrep(&threescale, &format!("usage[bytes]={bad}")),
            403,
            "{bad}"
        );
    }
    assert_eq!(threescale.state().integration_errors.len(), 8);
    assert_eq!(authrep(&threescale, "usage[hits]=0"), 200);
    assert_eq!(threescale.state().waiting(), 0);
}

/// The limit headers of 3scale's code, whose comparison depends on the order of the limits if one of them does not limit
/// the request; and `#N` beside other metrics.
#[test]
fn limit_headers_and_set_values() {
    let threescale = Threescale::serve(service("1001"), 0, || QUARTER_PAST * 1000).unwrap();
    let day = |metric: &str, max| Limit::new(metric, Period::Day, max);
    let ask = |limits: &[Limit], call: &str, usage: &str, options: &str| {
        let mut state = threescale.state();
        let known = state.applications.iter_mut().find(|a| a.user_key == "tk1");
        known.unwrap().limits = limits.to_vec();
        drop(state);
        let query = format!("service_token=st_1001&service_id=1001&user_key=tk1&{usage}");
        let text = format!(
            "GET /transactions/{call}.xml?{query} HTTP/1.1\nHost: x\n3scale-options: limit_headers=1{options}"
        );
        let answer = parse(&exchange(threescale.address(), &raw(&text)));
        let remaining = answer
            .headers
            .iter()
            .find(|(name, _)| name == "3scale-limit-remaining");
        let remaining: i64 = remaining.unwrap().1.parse().unwrap();
        let status: u16 = answer.status.split(' ').nth(1).unwrap().parse().unwrap();
        (status, remaining)
    };
    let limits = [day("hits", 100), day("bytes", 9)];
    let turned = [day("bytes", 9), day("hits", 100)];
    let both = "usage[hits]=3&usage[bytes]=0";
    assert_eq!(ask(&limits, "authorize", both, ""), (200, -1));
    assert_eq!(ask(&turned, "authorize", both, ""), (200, 33));
    assert_eq!(ask(&limits, "authorize", "", ""), (200, -1));
    assert_eq!(ask(&[day("bytes", 0)], "authorize", "", ""), (200, 0));
    assert_eq!(
        ask(&[day("bytes", 0), day("hits", 1)], "authorize", "", ""),
        (200, -1)
    );
    assert_eq!(
        ask(&limits, "authorize", "usage[orders_lines]=3", ""),
        (200, 33)
    );
    // Flat usage: nothing is added to the parent for the decision, but the headers are about it.
    let flat = "&flat_usage=1";
    assert_eq!(
        ask(&limits, "authorize", "usage[orders]=101", flat),
        (200, 0)
    );
    assert_eq!(
        ask(&limits, "authorize", "usage[orders]=50", flat),
        (200, 2)
    );
    assert_eq!(ask(&limits, "authorize", "usage[orders]=101", ""), (409, 0));
    // A value to add that comes after one to set for the parent is added to 0, in either order.
    let counted = |metric: &str| {
        let state = threescale.state();
        state.counted("t1", metric, Period::Day, QUARTER_PAST)
    };
    assert_eq!(
        ask(&limits, "authrep", "usage[orders]=1&usage[hits]=%2350", "").0,
        200
    );
    assert_eq!((counted("hits"), counted("orders")), (1, 1));
    assert_eq!(
        ask(&limits, "authrep", "usage[hits]=%2350&usage[orders]=1", "").0,
        200
    );
    assert_eq!((counted("hits"), counted("orders")), (2, 2));
    assert_eq!(
        ask(&limits, "authrep", "usage[orders]=%2320&usage[hits]=4", "").0,
        200
    );
    assert_eq!((counted("hits"), counted("orders")), (20, 20));
    assert_eq!(
        ask(&limits, "authrep", "usage[hits]=4&usage[products]=1", "").0,
        200
    );
    assert_eq!((counted("hits"), counted("products")), (25, 1));
}

/// Section 7: a wrong application key with an unknown metric results in a 409, or a 404 with `no_body`.
#[test]
fn the_order_of_checks() {
    let threescale = Threescale::serve(service("1002"), 0, || QUARTER_PAST * 1000).unwrap();
    let ask = |more: &str| {
        let query = format!("service_token=st_1002&service_id=1002&app_id=app_pfree&{more}");
        let text = format!("GET /transactions/authorize.xml?{query} HTTP/1.1\nHost: x");
        let answer = exchange(threescale.address(), &raw(&text));
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(ask("app_key=bad&usage[nope]=1"), "409");
    assert_eq!(ask("app_key=bad&usage[nope]=1&no_body=1"), "404");
    assert_eq!(ask("app_key=bad&usage[nope]=1&no_body"), "409");
    assert_eq!(ask("app_key=%20ak_pfree%20&usage[hits]=x"), "403");
    assert_eq!(ask("app_key=&usage[hits]=1"), "409");
    let empty = "service_token=st_1002&service_id=1002&app_id=app_pfree&app_key=";
    let text = format!("GET /transactions/authorize.xml?{empty} HTTP/1.1\nHost: x");
    assert!(exchange(threescale.address(), &raw(&text)).contains("application key is missing"));
    threescale.state().applications[0].active = false;
    assert_eq!(ask("app_key=ak_pfree&usage[hits]=x"), "409");
}

/// Rows of the table of statuses that have no sample, and the rules of section 2 for the provider's credentials.
#[test]
fn rows_without_a_sample() {
    let threescale = Threescale::serve(service("1003"), 0, || QUARTER_PAST * 1000).unwrap();
    let ask = |path: &str, query: &str| {
        let text = format!(
            "GET {path}?{query} HTTP/1.1\nHost: x\n3scale-options: rejection_reason_header=1"
        );
        let answer = parse(&exchange(threescale.address(), &raw(&text)));
        let mut headers = answer.headers.into_iter();
        let reason = headers.find(|(name, _)| name == "3scale-rejection-reason");
        let code = answer.body.split("error code=\"").nth(1);
        let code = code
            .and_then(|text| text.split('"').next())
            .map(str::to_owned);
        let status = answer.status.split(' ').nth(1).unwrap().to_owned();
        (status, reason.map(|(_, value)| value).or(code))
    };
    let oauth = "/transactions/oauth_authorize.xml";
    let service = "service_token=st_1003&service_id=1003";
    let said = |status: &str, code: &str| (status.to_owned(), Some(code.to_owned()));
    let allowed = ("200".to_owned(), None);
    let wrong = format!("{service}&app_id=app_pfree&redirect_url=x&redirect_uri=y");
    assert_eq!(ask(oauth, &wrong), said("409", "redirect_url_invalid"));
    assert_eq!(
        ask(oauth, &format!("{service}&app_id=app_pfree&app_key=")),
        said("409", "application_key_invalid")
    );
    let plain = "/transactions/authorize.xml";
    assert_eq!(
        ask(
            "//transactions/authorize.xml",
            &format!("{service}&app_id=app_pfree")
        ),
        allowed
    );
    for (provider, wanted) in [
        ("provider_key=pk_main&service_id=1003", allowed.clone()),
        ("provider_key=pk_main&service_id=foo-1003", allowed.clone()),
        ("provider_key=pk_main", allowed.clone()),
        // A wrong key takes precedence over a correct token. An empty key counts as no key.
        (
            "provider_key=x&service_id=1003&service_token=st_1003",
            said("403", "provider_key_invalid"),
        ),
        (
            "provider_key=&service_id=1003&service_token=st_1003",
            allowed.clone(),
        ),
        (
            "service_id=1003&service_token=",
            said("403", "provider_key_or_service_token_required"),
        ),
        (
            "service_id=%20&service_token=st_1003",
            said("422", "service_id_missing"),
        ),
    ] {
        assert_eq!(
            ask(plain, &format!("{provider}&app_id=app_pfree")),
            wanted,
            "{provider}"
        );
    }
    assert_eq!(ask("/transactions/authorize.xml/", service).0, "404");
    let of_user = "&transactions[0][app_id]=app_pfree&transactions[0][user_id]=u";
    let head = "POST /transactions.xml HTTP/1.1\nHost: x";
    let text = raw(&format!("{head}\n\n{service}{of_user}"));
    let refused = exchange(threescale.address(), &text);
    assert!(refused.starts_with("HTTP/1.1 400 ") && refused.contains("end_users_no_longer"));
    assert_eq!(ask("/status", "").0, "200");
}

/// The state is kept while the port is closed, and the same port is used again.
#[test]
fn stopped_and_restarted() {
    let threescale = Threescale::serve(service("1001"), 0, || QUARTER_PAST * 1000).unwrap();
    assert_eq!(authrep(&threescale, "usage[hits]=1"), 200);
    let mut kept = TcpStream::connect(threescale.address()).unwrap();
    threescale.stop();
    assert_eq!(kept.read(&mut [0]).unwrap_or(0), 0, "a connection is left");
    assert!(TcpStream::connect(threescale.address()).is_err());
    threescale.restart().unwrap();
    assert_eq!(authrep(&threescale, "usage[hits]=1"), 200);
    assert_eq!(threescale.total("t1", "hits"), 2);
}
