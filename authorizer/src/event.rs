//! The events of the functions, parsed as API Gateway, EventBridge, and the CLI send them.
//!
//! REST APIs send `REQUEST` and `TOKEN` events (payload 1.0), HTTP APIs payload 2.0, and WebSocket APIs a `REQUEST` event
//! without a method and a path. In all of them, query parameters are percent-decoded, except in `rawQueryString` of payload
//! 2.0. That one is used, because the decoded form joins repeated parameters with commas. Header values are raw; payload 2.0
//! joins repeated headers with commas. REST APIs leave the path encoded, and HTTP APIs decode it.

use std::borrow::Cow;
use std::fmt;
use std::slice::SliceIndex;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::base_paths::BasePaths;
use crate::path::{self, Route, Routed};

/// An event.
#[derive(Debug)]
pub enum Event<'a> {
    /// Decide on this request.
    Authorize(Box<Request<'a>>),
    /// The schedule started the reporter.
    Scheduled,
    /// Run the self-test.
    SelfTest,
}

/// The format of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// An IAM policy for this method of a REST API.
    Policy,
    /// Payload 2.0: the settings select the format.
    HttpApi,
    /// An IAM policy for a connection to a WebSocket API.
    WebSocket,
}

/// A request to the API, as far as the decision needs it.
#[derive(Debug)]
pub struct Request<'a> {
    /// The format of the answer.
    pub format: Format,
    /// The ARN of the method or route; can be empty in payload 2.0.
    pub arn: Cow<'a, str>,
    /// The HTTP method, in upper case.
    pub method: Cow<'a, str>,
    /// The path of the resource or route that matched, such as `/orders/{id}`, or `$default` or `$connect`; empty if the
    /// event does not have it.
    pub resource: Cow<'a, str>,
    /// The path below the root of the API, without stage and base path.
    pub path: Cow<'a, str>,
    /// Whether the path is percent-decoded already.
    pub path_is_decoded: bool,
    /// Whether a slash at the end of the path may be one that the resource does not have.
    pub path_has_open_end: bool,
    /// All values of all headers, as sent.
    pub headers: Pairs<'a>,
    /// The query parameters, decoded and in their order.
    pub query: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// The credential of a TOKEN event.
    pub token: Option<Cow<'a, str>>,
    /// The caller's address, if the event has it.
    pub source_ip: Option<Cow<'a, str>>,
    /// The id that API Gateway gives the request and its response, if the event has it.
    pub gateway_id: Option<Cow<'a, str>>,
}

impl Request<'_> {
    /// All values of a header. The case of its name is ignored.
    pub fn header(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers
            .0
            .iter()
            .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_ref())
    }

    /// The ids of the API and of its stage, as the ARN has them.
    pub(crate) fn stage(&self) -> (Option<&str>, Option<&str>) {
        let place = self.arn.splitn(6, ':').nth(5).unwrap_or_default();
        let mut parts = place.split('/').filter(|part| !part.is_empty());
        (parts.next(), parts.next())
    }

    /// All values of a query parameter. The case of its name matters.
    pub fn parameter(&self, name: &str) -> impl Iterator<Item = &str> {
        self.query
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_ref())
    }
}

/// Why an event cannot be parsed. Contains no part of the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventError {
    /// It is not JSON, or a member is missing or has the wrong type.
    Malformed,
    /// It is not a known kind of event.
    Unknown,
}

impl fmt::Display for EventError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the event is malformed",
            Self::Unknown => "the event is not of a kind that this function accepts",
        })
    }
}

impl std::error::Error for EventError {}

/// The name-value pairs of a JSON object whose values are strings or lists of strings.
#[derive(Debug, Default)]
pub struct Pairs<'a>(pub Vec<(Cow<'a, str>, Cow<'a, str>)>);

/// A string that borrows from the input if it contains no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The values of a name: a string, a list of strings, or null.
struct Values<'a>(Vec<Cow<'a, str>>);

impl<'de: 'a, 'a> Deserialize<'de> for Values<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any<'a>(std::marker::PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Any<'a> {
            type Value = Values<'a>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }
            fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
                Ok(Values(vec![Cow::Borrowed(value)]))
            }
            fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
                Ok(Values(vec![Cow::Owned(value.to_owned())]))
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Values(Vec::new()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut values = Vec::with_capacity(1);
                while let Some(Text(value)) = seq.next_element()? {
                    values.push(value);
                }
                Ok(Values(values))
            }
        }
        deserializer.deserialize_any(Any(std::marker::PhantomData))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map<'a>(std::marker::PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Map<'a> {
            type Value = Pairs<'a>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Pairs::default())
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::with_capacity(16);
                while let Some(Text(name)) = map.next_key()? {
                    let Values(values) = map.next_value()?;
                    for value in values {
                        pairs.push((name.clone(), value));
                    }
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_any(Map(std::marker::PhantomData))
    }
}

/// The union of all events' members. `Text`, because serde copies a `Cow` inside an `Option`.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Raw<'a> {
    #[serde(borrow, rename = "threescale-gw")]
    ours: Option<Text<'a>>,
    #[serde(borrow)]
    version: Option<Text<'a>>,
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    method_arn: Option<Text<'a>>,
    #[serde(borrow)]
    route_arn: Option<Text<'a>>,
    #[serde(borrow)]
    authorization_token: Option<Text<'a>>,
    #[serde(borrow)]
    http_method: Option<Text<'a>>,
    #[serde(borrow)]
    path: Option<Text<'a>>,
    #[serde(borrow)]
    resource: Option<Text<'a>>,
    #[serde(borrow)]
    route_key: Option<Text<'a>>,
    #[serde(borrow)]
    path_parameters: Option<&'a RawValue>,
    #[serde(borrow)]
    raw_path: Option<Text<'a>>,
    #[serde(borrow)]
    raw_query_string: Option<Text<'a>>,
    #[serde(borrow)]
    headers: Option<&'a RawValue>,
    #[serde(borrow)]
    multi_value_headers: Option<&'a RawValue>,
    #[serde(borrow)]
    query_string_parameters: Option<&'a RawValue>,
    #[serde(borrow)]
    multi_value_query_string_parameters: Option<&'a RawValue>,
    #[serde(borrow)]
    request_context: Option<Context<'a>>,
    #[serde(borrow)]
    source: Option<Text<'a>>,
    #[serde(borrow, rename = "detail-type")]
    detail_type: Option<Text<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Context<'a> {
    #[serde(borrow)]
    http: Option<Http<'a>>,
    #[serde(borrow)]
    stage: Option<Text<'a>>,
    #[serde(borrow)]
    api_id: Option<Text<'a>>,
    #[serde(borrow)]
    domain_name: Option<Text<'a>>,
    #[serde(borrow)]
    identity: Option<Identity<'a>>,
    #[serde(borrow)]
    request_id: Option<Text<'a>>,
    #[serde(borrow)]
    event_type: Option<Text<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Identity<'a> {
    #[serde(borrow)]
    source_ip: Option<Text<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Http<'a> {
    #[serde(borrow)]
    method: Option<Text<'a>>,
    #[serde(borrow)]
    path: Option<Text<'a>>,
    #[serde(borrow)]
    source_ip: Option<Text<'a>>,
}

fn is(text: Option<&Text<'_>>, word: &str) -> bool {
    text.is_some_and(|Text(text)| text == word)
}

fn string(text: Option<Text<'_>>) -> Cow<'_, str> {
    text.map_or(Cow::Borrowed(""), |Text(text)| text)
}

/// Parses an event of an API without custom domain names, or whose base paths are not known.
///
/// # Errors
/// It is not a JSON object of a known kind.
pub fn parse(event: &[u8]) -> Result<Event<'_>, EventError> {
    parse_with(event, &BasePaths::default())
}

/// Parses an event.
///
/// # Errors
/// It is not a JSON object of a known kind.
pub fn parse_with<'a>(event: &'a [u8], base_paths: &BasePaths) -> Result<Event<'a>, EventError> {
    // Checked once here: from bytes, each string of the event is checked on its own.
    let event = std::str::from_utf8(event).map_err(|_| EventError::Malformed)?;
    let raw: Raw<'_> = serde_json::from_str(event).map_err(|_| EventError::Malformed)?;
    if is(raw.ours.as_ref(), "self-test") {
        return Ok(Event::SelfTest);
    }
    if is(raw.kind.as_ref(), "TOKEN") {
        return token(raw);
    }
    if is(raw.version.as_ref(), "2.0") {
        return http_api(raw, base_paths);
    }
    if is(raw.kind.as_ref(), "REQUEST") {
        // Only HTTP APIs send a version.
        if raw.version.is_some() && !is(raw.version.as_ref(), "1.0") {
            return Err(EventError::Unknown);
        }
        return request(raw, base_paths);
    }
    if is(raw.detail_type.as_ref(), "Scheduled Event")
        || is(raw.source.as_ref(), "aws.events")
        || is(raw.source.as_ref(), "aws.scheduler")
    {
        return Ok(Event::Scheduled);
    }
    Err(EventError::Unknown)
}

fn token(raw: Raw<'_>) -> Result<Event<'_>, EventError> {
    let arn = raw.method_arn.ok_or(EventError::Malformed)?.0;
    // arn:partition:execute-api:region:account:api/stage/METHOD/path: only this contains the method and the path of a
    // TOKEN event.
    let method = arn.split('/').nth(2).ok_or(EventError::Malformed)?;
    let (method, path) = (
        method.to_owned(),
        format!("/{}", path::of_arn(&arn).unwrap_or_default()),
    );
    Ok(Event::Authorize(Box::new(Request {
        format: Format::Policy,
        method: Cow::Owned(method),
        resource: Cow::Borrowed(""),
        path: Cow::Owned(path),
        path_is_decoded: false,
        path_has_open_end: true,
        arn,
        headers: Pairs::default(),
        query: Vec::new(),
        token: Some(string(raw.authorization_token)),
        source_ip: None,
        gateway_id: None,
    })))
}

/// A request to a REST API, or a new connection to a WebSocket API.
fn request<'a>(raw: Raw<'a>, base_paths: &BasePaths) -> Result<Event<'a>, EventError> {
    let arn = raw.method_arn.ok_or(EventError::Malformed)?.0;
    let context = raw.request_context.unwrap_or_default();
    let (format, method, resource, path, path_has_open_end);
    if is(context.event_type.as_ref(), "CONNECT") {
        // It has neither a method nor a path.
        format = Format::WebSocket;
        method = Cow::Borrowed("GET");
        resource = Cow::Borrowed("$connect");
        (path, path_has_open_end) = (Cow::Borrowed("/"), false);
    } else {
        format = Format::Policy;
        method = raw.http_method.ok_or(EventError::Malformed)?.0;
        resource = string(raw.resource);
        let whole = raw.path.ok_or(EventError::Malformed)?.0;
        let known = base_paths.end(custom_domain(&context), &whole);
        (path, path_has_open_end) = routed(whole, &resource, raw.path_parameters, &arn, known)?;
    }
    Ok(Event::Authorize(Box::new(Request {
        format,
        arn,
        method,
        resource,
        path,
        path_is_decoded: raw.version.is_some(),
        path_has_open_end,
        // The multi-value members contain all values. Emulators and old tests send only the others.
        headers: first_filled(raw.multi_value_headers, raw.headers)?,
        query: first_filled(
            raw.multi_value_query_string_parameters,
            raw.query_string_parameters,
        )?
        .0,
        token: None,
        source_ip: context
            .identity
            .and_then(|identity| identity.source_ip)
            .map(|Text(ip)| ip),
        gateway_id: gateway_id(context.request_id),
    })))
}

/// The path below the root of the API, and whether its end is open. `known`: the end of the base path, if the settings have
/// it, which counts if the resource does not tell.
fn routed<'a>(
    whole: Cow<'a, str>,
    resource: &str,
    parameters: Option<&RawValue>,
    arn: &str,
    known: Option<usize>,
) -> Result<(Cow<'a, str>, bool), EventError> {
    if path::is_whole(&whole, resource, arn) {
        return Ok((whole, false));
    }
    let parameters = match path::greedy_name(resource) {
        Some(_) => pairs(parameters)?,
        None => Pairs::default(),
    };
    let greedy = path::greedy_name(resource).and_then(|name| {
        let found = parameters.0.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_ref())
    });
    let route = Route {
        resource,
        greedy,
        arn,
    };
    if let Some(end) = known
        && path::below_root(&whole, &route).1
    {
        return Ok((part(whole, end..), true));
    }
    Ok(match whole {
        Cow::Borrowed(whole) => {
            let (path, open) = path::below_root(whole, &route);
            (Cow::Borrowed(path), open)
        }
        Cow::Owned(whole) => {
            let (path, open) = path::below_root(&whole, &route);
            (Cow::Owned(path.to_owned()), open)
        }
    })
}

/// Parses the first of the two, and the second one only if the first is empty.
fn first_filled<'a>(
    first: Option<&'a RawValue>,
    second: Option<&'a RawValue>,
) -> Result<Pairs<'a>, EventError> {
    let first = pairs(first)?;
    if first.0.is_empty() {
        return pairs(second);
    }
    Ok(first)
}

fn pairs(raw: Option<&RawValue>) -> Result<Pairs<'_>, EventError> {
    raw.map_or(Ok(Pairs::default()), |raw| {
        serde_json::from_str(raw.get()).map_err(|_| EventError::Malformed)
    })
}

fn http_api<'a>(raw: Raw<'a>, base_paths: &BasePaths) -> Result<Event<'a>, EventError> {
    let mut context = raw.request_context.unwrap_or_default();
    let http = context.http.take().unwrap_or_default();
    let arn = string(raw.route_arn);
    let whole = raw.raw_path.or(http.path).ok_or(EventError::Malformed)?.0;
    let domain = custom_domain(&context);
    // "GET /orders/{id}" or "$default"
    let route_key = string(raw.route_key);
    let (resource, shown) = match route_key.split_once(' ') {
        Some((_, path)) => (path, path),
        None => ("", route_key.as_ref()),
    };
    let parameters = pairs(raw.path_parameters)?;
    let (path, path_is_decoded, path_has_open_end) =
        match path::by_parameters(&whole, resource, &parameters.0) {
            Some(Routed::Part(range)) => (part(whole, range), true, false),
            Some(Routed::Encoded(path)) => (Cow::Owned(path), false, false),
            None if domain.is_empty() => {
                let stage = context.stage.as_ref().map_or("", |Text(stage)| stage);
                (without_stage(whole, stage), true, true)
            }
            None => match base_paths.end(domain, &whole) {
                Some(end) => (part(whole, end..), true, true),
                None => {
                    let (path, open) = routed(whole, resource, raw.path_parameters, &arn, None)?;
                    (path, true, open)
                }
            },
        };
    let query = match raw.raw_query_string {
        Some(Text(Cow::Borrowed(query))) => form_urlencoded::parse(query.as_bytes()).collect(),
        Some(Text(Cow::Owned(query))) => form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .map(|(name, value)| (Cow::Owned(name), Cow::Owned(value)))
            .collect(),
        None => pairs(raw.query_string_parameters)?.0,
    };
    Ok(Event::Authorize(Box::new(Request {
        format: Format::HttpApi,
        arn,
        method: http.method.ok_or(EventError::Malformed)?.0,
        resource: Cow::Owned(shown.to_owned()),
        path,
        path_is_decoded,
        path_has_open_end,
        headers: pairs(raw.headers)?,
        query,
        token: None,
        source_ip: http.source_ip.map(|Text(ip)| ip),
        gateway_id: gateway_id(context.request_id),
    })))
}

/// The id of a request, which callers can set: one that is too long is none.
fn gateway_id(id: Option<Text<'_>>) -> Option<Cow<'_, str>> {
    id.map(|Text(id)| id).filter(|id| id.len() <= 128)
}

/// Whether the request was sent to the API's own address, `<api>.execute-api.<region>.amazonaws.com`. Emulators do not
/// say it.
fn on_own_address(api: &str, domain: &str) -> bool {
    domain.is_empty()
        || domain.split_once('.').is_some_and(|(first, rest)| {
            (api.is_empty() || first.eq_ignore_ascii_case(api)) && rest.starts_with("execute-api.")
        })
}

/// The custom domain name that the request was sent to; empty for the API's own address.
fn custom_domain<'c>(context: &'c Context<'_>) -> &'c str {
    let text = |text: &'c Option<Text<'_>>| text.as_ref().map_or("", |Text(text)| text.as_ref());
    let domain = text(&context.domain_name);
    match on_own_address(text(&context.api_id), domain) {
        true => "",
        false => domain,
    }
}

/// On the API's own address, the path of an HTTP API begins with the name of the stage, except for the stage `$default`.
fn without_stage<'a>(path: Cow<'a, str>, stage: &str) -> Cow<'a, str> {
    if matches!(stage, "" | "$default") {
        return path;
    }
    let rest = path.trim_start_matches('/').strip_prefix(stage);
    match rest.filter(|rest| rest.is_empty() || rest.starts_with('/')) {
        Some(rest) => {
            let at = path.len() - rest.len();
            part(path, at..)
        }
        None => path,
    }
}

/// A part of a path; the root if it is empty.
fn part(path: Cow<'_, str>, range: impl SliceIndex<str, Output = str>) -> Cow<'_, str> {
    let part = match path {
        Cow::Borrowed(path) => Cow::Borrowed(&path[range]),
        Cow::Owned(path) => Cow::Owned(path[range].to_owned()),
    };
    if part.is_empty() {
        return Cow::Borrowed("/");
    }
    part
}

#[cfg(test)]
mod tests;
