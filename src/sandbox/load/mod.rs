//! Sends events, as API Gateway does, at a constant rate to instances of the authorizer's real binary.
//!
//! Bypasses the emulated API Gateway: it is a Python program, and only its own speed would be measured.

mod figures;
mod runtime;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

pub use figures::{Figures, Latency};
pub use runtime::Function;

use super::{ACCOUNT, ApiType, REGION};

/// The interval at which due events are sent together, because a timer is not more precise.
const PORTION: Duration = Duration::from_millis(1);

/// A kind of caller, and its share of the requests.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The event of its request.
    pub event: Arc<str>,
    /// The number of its requests in 100.
    pub share: u32,
}

/// An event as API Gateway sends it for `GET path` of an API and its stage, with these headers and query parameters.
#[must_use]
pub fn event(
    api_type: ApiType,
    (api, stage): (&str, &str),
    path: &str,
    headers: &[(String, String)],
    query: &[(String, String)],
) -> Arc<str> {
    let single = |pairs: &[(String, String)]| -> Map<String, Value> {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect()
    };
    let multi = |pairs: &[(String, String)]| -> Map<String, Value> {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| (name.clone(), json!([value])))
            .collect()
    };
    let arn = format!("arn:aws:execute-api:{REGION}:{ACCOUNT}:{api}/{stage}/GET{path}");
    let event = match api_type {
        ApiType::Rest => json!({
            "type": "REQUEST",
            "methodArn": arn,
            "resource": path,
            "path": path,
            "httpMethod": "GET",
            "headers": single(headers),
            "multiValueHeaders": multi(headers),
            "queryStringParameters": single(query),
            "multiValueQueryStringParameters": multi(query),
            "pathParameters": {},
            "stageVariables": {},
            "requestContext": {
                "path": format!("/{stage}{path}"), "stage": stage, "identity": {"sourceIp": "127.0.0.1"},
            },
        }),
        ApiType::Http => {
            let key = format!("GET {path}");
            let path = match stage {
                "$default" => path.to_owned(),
                stage => format!("/{stage}{path}"),
            };
            let headers = headers.iter();
            let headers = headers.map(|(name, value)| (name.to_lowercase(), json!(value)));
            let raw = query.iter().map(|(name, value)| format!("{name}={value}"));
            json!({
                "version": "2.0",
                "type": "REQUEST",
                "routeArn": arn,
                "identitySource": null,
                "routeKey": key,
                "rawPath": path,
                "rawQueryString": raw.collect::<Vec<_>>().join("&"),
                "headers": headers.collect::<Map<_, _>>(),
                "queryStringParameters": single(query),
                "requestContext": {
                    "accountId": ACCOUNT,
                    "apiId": api,
                    "domainName": format!("{api}.execute-api.{REGION}.amazonaws.com"),
                    "http": {"method": "GET", "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": ""},
                    "routeKey": key,
                    "stage": stage,
                },
            })
        }
    };
    event.to_string().into()
}

/// The caller of the n-th request. All callers are mixed evenly.
fn turn(callers: &[Caller], n: u64) -> Option<&Caller> {
    let whole: u32 = callers.iter().map(|caller| caller.share).sum();
    // 37 and 100 are coprime, so any 100 consecutive requests match every share.
    let mut place = u32::try_from(n.wrapping_mul(37) % u64::from(whole.max(1))).unwrap_or(0);
    callers.iter().find(|caller| {
        let found = place < caller.share;
        place = place.saturating_sub(caller.share);
        found
    })
}

/// Sends `rate` events per second for `time` and returns their number. Each event has its own due time, even if this
/// thread is late, and its latency is measured from there.
pub fn fire(
    function: &Function,
    callers: &[Caller],
    rate: u32,
    time: Duration,
    stop: &AtomicBool,
) -> u64 {
    let began = Instant::now();
    let mut sent: u64 = 0;
    let due = |n: u64| began + Duration::from_secs_f64(n as f64 / f64::from(rate));
    while !stop.load(Ordering::SeqCst) {
        let now = Instant::now();
        let end = (began + time).min(now);
        let mut events = Vec::new();
        while due(sent) < end {
            let caller = turn(callers, sent).map(|caller| Arc::clone(&caller.event));
            events.extend(caller.map(|event| (due(sent), event)));
            sent += 1;
        }
        function.invoke(events);
        if now >= began + time {
            break;
        }
        std::thread::sleep(PORTION);
    }
    sent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_caller_has_its_share() {
        let caller = |name: &str, share| Caller {
            event: name.into(),
            share,
        };
        let callers = [caller("a", 90), caller("b", 7), caller("c", 3)];
        let count = |name: &str| {
            let turns = (0..200).filter_map(|n| turn(&callers, n));
            turns.filter(|caller| &*caller.event == name).count()
        };
        assert_eq!((count("a"), count("b"), count("c")), (180, 14, 6));
        assert!(turn(&[], 5).is_none());
    }
}
