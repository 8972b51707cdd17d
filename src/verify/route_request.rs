//! A request that reaches a certain route of an HTTP API, and no other one. Pure.
//!
//! Source: API Gateway Developer Guide, "Create routes for HTTP APIs": a full match comes before a greedy one, and `$default` is
//! last. A method's own route comes before `ANY`.

use super::expectation::Expectation;
use crate::api_gateway::Method;

/// The value of path parameters, and a key that no application has.
pub(super) const PLACEHOLDER: &str = "threescale-gw-verify";

/// The methods of a request to a route that accepts all of them: safe ones first.
const VERBS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/// How many segments a greedy parameter has at most in a request.
const DEPTH: usize = 4;

/// The method and the path of a request to the route, without a leading slash. `None` if other routes are in front of it in
/// each request that is tried.
pub(super) fn find<'a>(
    route: &'a Method,
    all: &[(Method, Expectation)],
) -> Option<(&'a str, String)> {
    let is_free = |verb: &str, path: &str| {
        let mut others = all.iter().map(|(other, _)| other);
        !others.any(|other| {
            other.key() != route.key() && matches(other, verb, path) && !comes_before(route, other)
        })
    };
    let verbs = match route.method.as_str() {
        "" | "ANY" => VERBS.to_vec(),
        verb => vec![verb],
    };
    let paths: Vec<_> = (1..=DEPTH)
        .map(|depth| path(route, depth))
        .chain(root(route))
        .collect();
    verbs.into_iter().find_map(|verb| {
        let path = paths.iter().find(|path| is_free(verb, path))?;
        Some((verb, path.trim_start_matches('/').to_owned()))
    })
}

/// The stage to which a request to this path leads at the API's own address, if it is one of these: the first segment may name a
/// stage, and every other path leads to `$default`. `path`: without a leading slash.
/// Source: API Gateway Developer Guide, "Working with routes for HTTP APIs".
pub fn other_stage<'a>(path: &str, stages: &'a [String]) -> Option<&'a String> {
    let first = path.split(['/', '?']).next();
    stages.iter().find(|stage| first == Some(stage.as_str()))
}

/// Whether preflight requests reach the route: it accepts every method, and the path has no route for `OPTIONS`.
pub(super) fn catches_preflights(route: &Method, all: &[(Method, Expectation)]) -> bool {
    let has_own = all
        .iter()
        .any(|(other, _)| other.path == route.path && other.method == "OPTIONS");
    matches!(route.method.as_str(), "" | "ANY") && !has_own
}

fn is_default(route: &Method) -> bool {
    route.method.is_empty()
}

/// Only `$default` matches the root of the API next to `/{proxy+}`.
fn root(route: &Method) -> Option<String> {
    is_default(route).then(|| "/".to_owned())
}

/// A path of the route with values for its parameters. `depth`: the segments of a greedy one.
fn path(route: &Method, depth: usize) -> String {
    let greedy = vec![PLACEHOLDER; depth].join("/");
    if is_default(route) {
        return format!("/{greedy}");
    }
    let parts = route.path.split('/').map(|part| {
        if part.ends_with("+}") {
            &greedy
        } else if part.starts_with('{') {
            PLACEHOLDER
        } else {
            part
        }
    });
    parts.collect::<Vec<_>>().join("/")
}

/// Whether the route accepts the request, if no other one does.
fn matches(route: &Method, verb: &str, path: &str) -> bool {
    if is_default(route) {
        return true;
    }
    if route.method != "ANY" && route.method != verb {
        return false;
    }
    let mut parts = path.split('/');
    let mut wanted = route.path.split('/');
    loop {
        match (wanted.next(), parts.next()) {
            (None, None) => return true,
            (Some(name), Some(part)) if name.ends_with("+}") => return !part.is_empty(),
            (Some(name), Some(part)) if name.starts_with('{') => {
                if part.is_empty() {
                    return false;
                }
            }
            (Some(name), Some(part)) if name == part => {}
            _ => return false,
        }
    }
}

/// Whether API Gateway surely prefers the route to another one that accepts the same request.
fn comes_before(route: &Method, other: &Method) -> bool {
    let rank = |route: &Method| match (is_default(route), route.path.ends_with("+}")) {
        (true, _) => 2,
        (false, true) => 1,
        (false, false) => 0,
    };
    let is_own = route.method != "ANY" && other.method == "ANY";
    rank(route) < rank(other) || (route.path == other.path && is_own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(route: &str, others: &[&str]) -> Option<String> {
        let method = |key: &str| match key.split_once(' ') {
            Some((verb, path)) => Method::new(verb, path),
            None => Method::new("", key),
        };
        let all: Vec<_> = others
            .iter()
            .chain([&route])
            .map(|key| (method(key), Expectation::Protected))
            .collect();
        let route = method(route);
        find(&route, &all).map(|(verb, path)| format!("{verb} /{path}"))
    }

    #[test]
    fn each_route_has_a_request_that_no_other_route_takes() {
        let request_at = |text: &str| Some(text.replace('*', PLACEHOLDER));
        for (route, others, expected) in [
            ("GET /orders/{id}", &[][..], request_at("GET /orders/*")),
            ("GET /", &[], request_at("GET /")),
            ("ANY /a", &["GET /a", "HEAD /a"], request_at("POST /a")),
            ("ANY /a", &["OPTIONS /a"], request_at("GET /a")),
            ("ANY /{proxy+}", &[], request_at("GET /*")),
            ("ANY /{proxy+}", &["GET /{id}"], request_at("GET /*/*")),
            ("GET /{id}", &["ANY /{proxy+}"], request_at("GET /*")),
            ("GET /{proxy+}", &["ANY /{proxy+}"], request_at("GET /*")),
            ("$default", &["GET /orders"], request_at("GET /*")),
            ("$default", &["GET /{id}"], request_at("GET /*/*")),
            (
                "$default",
                &["GET /{proxy+}", "GET /"],
                request_at("HEAD /*"),
            ),
            ("$default", &["ANY /{proxy+}"], request_at("GET /")),
            ("$default", &["ANY /{proxy+}", "ANY /"], None),
            (
                "ANY /a",
                &[
                    "GET /a",
                    "HEAD /a",
                    "POST /a",
                    "PUT /a",
                    "PATCH /a",
                    "DELETE /a",
                ],
                None,
            ),
        ] {
            assert_eq!(request(route, others), expected, "{route} {others:?}");
        }
    }

    #[test]
    fn a_first_segment_that_names_a_stage_leads_to_it() {
        let stages = ["dev".to_owned(), "v1".to_owned()];
        let found = |path| other_stage(path, &stages).map(String::as_str);
        for path in ["v1", "v1/", "v1/orders", "v1?apikey=x"] {
            assert_eq!(found(path), Some("v1"), "{path}");
        }
        for path in ["", "orders/v1", "v10", "V1/orders", "?v1"] {
            assert_eq!(found(path), None, "{path}");
        }
    }

    #[test]
    fn only_routes_for_every_method_catch_preflights() {
        let all = [
            (Method::new("ANY", "/a"), Expectation::Protected),
            (Method::new("ANY", "/b"), Expectation::Protected),
            (Method::new("OPTIONS", "/b"), Expectation::Open),
            (Method::new("GET", "/c"), Expectation::Protected),
            (Method::new("", "$default"), Expectation::Protected),
        ];
        let caught: Vec<_> = all
            .iter()
            .filter(|(route, _)| catches_preflights(route, &all))
            .map(|(route, _)| route.label())
            .collect();
        assert_eq!(caught, ["ANY /a", "$default"]);
    }
}
