//! The endpoints: routing, and the checks that apply to every call.

use crate::answers::{Failure, broken, without_body, xml};
use crate::checks::{Call, Options};
use crate::http::{REFUSED, Request, Response};
use crate::model::Fault;
use crate::params::{Map, Param, Refusal, read};
use crate::state::State;

/// The maximum number of bytes in a query string that the web server accepts.
const LONGEST_QUERY: usize = 10_240;

/// Answers one request at the time `now_ms` in Unix milliseconds.
pub(crate) fn answer(state: &mut State, request: &Request, now_ms: i64) -> Response {
    let (path, query) = match request.target.split_once('?') {
        Some((path, query)) => (path, query),
        None => (request.target.as_str(), ""),
    };
    if query.len() > LONGEST_QUERY {
        return Response::Raw(REFUSED.to_vec());
    }
    let path = format!("/{}", path.trim_start_matches('/'));
    let reading = matches!(request.method.as_str(), "GET" | "HEAD");
    let (kind, call) = match (reading, request.method.as_str(), path.as_str()) {
        (true, _, "/transactions/authorize.xml") => ("authorize", Some((false, false))),
        (true, _, "/transactions/authrep.xml") => ("authrep", Some((true, false))),
        (true, _, "/transactions/oauth_authorize.xml") => ("oauth_authorize", Some((false, true))),
        (true, _, "/transactions/oauth_authrep.xml") => ("oauth_authrep", Some((true, true))),
        (false, "POST", "/transactions.xml") => ("report", None),
        (true, _, "/status") => {
            return typed(
                "application/json",
                r#"{"status":"ok","version":{"backend":"3.4.3"}}"#,
            );
        }
        (true, _, "/check.txt") => return typed("text/plain", "ok"),
        (true, "HEAD", "/available") => return Response::new(200, ""),
        (false, "OPTIONS", _) => return preflight(),
        _ => {
            let cascade = ("x-cascade", "pass".to_owned());
            return xml(404, vec![cascade], String::new());
        }
    };
    *state.calls.entry(kind).or_default() += 1;
    if state.keep_received {
        let body = String::from_utf8_lossy(&request.body);
        state.received.push(format!("{query} {body}"));
    }
    if kind == "report" {
        state.largest_body = state.largest_body.max(request.body.len());
    }
    if let Some(refusal) = in_front(state, request, query) {
        return refusal;
    }
    let fault = if state.only_reports && kind != "report" {
        None
    } else if state.sticky {
        state.faults.front().cloned()
    } else {
        state.faults.pop_front()
    };
    let mut real = || match call {
        Some((count, oauth)) => transaction(state, request, query, (count, oauth), now_ms),
        None => report(state, request, query, now_ms),
    };
    match fault {
        None => real(),
        Some(Fault::Status(status, body)) => Response::new(status, body),
        Some(Fault::Raw(bytes)) => Response::Raw(bytes.to_vec()),
        Some(Fault::Close) => Response::Close,
        Some(Fault::Hang(time)) => Response::Hang(time),
        Some(Fault::LoseAnswer) => {
            let _ = real();
            Response::Close
        }
        Some(Fault::CountAnd500) => {
            let _ = real();
            broken()
        }
    }
}

/// What a server in front of 3scale refuses.
fn in_front(state: &State, request: &Request, query: &str) -> Option<Response> {
    const HTML: &str = "<html><body>Request blocked</body></html>";
    if let Some(largest) = state.largest_allowed_body
        && request.body.len() > largest
    {
        return Some(Response::new(413, HTML));
    }
    let (text, status) = state.firewall.as_ref()?;
    let found = query.contains(text) || String::from_utf8_lossy(&request.body).contains(text);
    found.then(|| Response::new(*status, HTML))
}

fn typed(content_type: &str, body: &str) -> Response {
    Response::Reply {
        status: 200,
        headers: vec![("content-type".to_owned(), content_type.to_owned())],
        body: body.as_bytes().to_vec(),
    }
}

fn preflight() -> Response {
    let headers = [
        ("access-control-allow-origin", "*"),
        (
            "access-control-allow-methods",
            "GET, POST, PATCH, PUT, DELETE",
        ),
        (
            "access-control-allow-headers",
            "DNT,X-CustomHeader,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,3scale-options",
        ),
        ("access-control-max-age", "86400"),
    ];
    Response::Reply {
        status: 204,
        headers: headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        body: Vec::new(),
    }
}

fn refused(refusal: &Refusal) -> Response {
    let text = match refusal {
        Refusal::Utf8 => {
            return Failure::new(422, "not_valid_data", "all data must be valid UTF8").response();
        }
        Refusal::Encoding => "Invalid query parameters: invalid %-encoding".to_owned(),
        Refusal::Syntax => {
            "request contains syntax errors, should not be repeated without modification".to_owned()
        }
        Refusal::TooMany(count) => {
            format!("total number of query parameters ({count}) exceeds limit (4096)")
        }
        Refusal::TooLong => "total query size exceeds limit (4194304)".to_owned(),
    };
    Failure::new(400, "bad_request", text).response()
}

/// Parses the request header `3scale-options`. `None` if it is invalid. Two headers are joined with a comma.
fn options(request: &Request) -> Option<Options> {
    let sent: Vec<&str> = request
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("3scale-options"))
        .map(|(_, value)| value.as_str())
        .collect();
    let mut map = Map::default();
    read(sent.join(", ").as_bytes(), &mut map).ok()?;
    let is_one = |name: &str| map.any_text(name) == Some("1");
    Some(Options {
        rejection_reason_header: is_one("rejection_reason_header"),
        limit_headers: is_one("limit_headers"),
        no_body: map.any_text("no_body").is_some_and(switched_on),
        hierarchy: is_one("hierarchy"),
        list_app_keys: is_one("list_app_keys"),
        flat_usage: is_one("flat_usage"),
    })
}

fn switched_on(value: &str) -> bool {
    !matches!(value, "0" | "false")
}

fn transaction(
    state: &mut State,
    request: &Request,
    query: &str,
    (count, oauth): (bool, bool),
    now_ms: i64,
) -> Response {
    let mut params = Map::default();
    if let Err(refusal) = read(query.as_bytes(), &mut params) {
        return refused(&refusal);
    }
    let Some(mut options) = options(request) else {
        return broken();
    };
    options.no_body |= params.any_text("no_body").is_some_and(switched_on);
    let call = Call {
        params: &params,
        options,
        count,
        oauth,
        target: &request.target,
        process: request.connection % state.processes.max(1),
        now_ms,
    };
    let response = call.answer(state);
    match options.no_body {
        true => without_body(response),
        false => response,
    }
}

fn report(state: &mut State, request: &Request, query: &str, now_ms: i64) -> Response {
    let content_type = request.header("content-type").unwrap_or_default();
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    let kind = kind.to_ascii_lowercase();
    let mut params = Map::default();
    if let Err(refusal) = read(query.as_bytes(), &mut params) {
        return refused(&refusal);
    }
    match kind.as_str() {
        "" | "application/x-www-form-urlencoded" => {}
        "multipart/form-data" => {
            return Response::new(501, "the stand-in does not read multipart bodies\n");
        }
        _ => {
            let text = format!("invalid Content-Type: {content_type}");
            return Failure::new(400, "content_type_invalid", text).response();
        }
    }
    match read(&request.body, &mut params) {
        Ok(()) => {}
        // In a body, this error makes the application fail, so the response is an empty 500.
        Err(Refusal::Encoding) => return Response::new(500, ""),
        Err(refusal) => return refused(&refusal),
    }
    let Some(options) = options(request) else {
        return broken();
    };
    let process = request.connection % state.processes.max(1);
    if let Err(failure) = crate::checks::provider(state, process, &params, now_ms) {
        return failure.response();
    }
    match params.get("transactions") {
        None | Some(Param::Nil) => blank(),
        Some(Param::Text(text)) if text.trim().is_empty() => blank(),
        Some(Param::Map(map)) => crate::reports::accept(state, map, options.flat_usage, now_ms),
        Some(_) => {
            let text = "transactions format is invalid";
            Failure::new(400, "transactions_format_invalid", text).response()
        }
    }
}

fn blank() -> Response {
    let text = "transactions parameter is blank";
    Failure::new(400, "transactions_is_blank", text).response()
}
