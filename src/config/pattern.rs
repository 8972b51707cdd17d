//! Parses a [`MethodPattern`]: `GET /orders/*`, or the name of a route.

use std::str::FromStr;

use super::problem::Invalid;
use crate::nearest::nearest;
use crate::pattern::MethodPattern;

/// The methods that API Gateway supports, including `ANY`.
pub(super) const METHODS: [&str; 8] = [
    "ANY", "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS",
];

/// The routes without a method and a path: of an HTTP API, and of a WebSocket API the one that can have an authorizer.
/// Source: API Gateway Developer Guide, "Working with routes for HTTP APIs" and "Managing connected users and client apps".
pub(super) const ROUTES: [&str; 2] = ["$default", "$connect"];

impl FromStr for MethodPattern {
    type Err = Invalid;

    /// Parses `METHOD PATH`, or the name of a route.
    ///
    /// # Errors
    /// The form of a pattern, or the rule that is broken.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let form = || Invalid::new("must be a method and a path, such as `GET /orders/*`");
        let text = text.trim();
        if text.starts_with('$') {
            if !ROUTES.contains(&text) {
                let must = "must be `$default` of an HTTP API or `$connect` of a WebSocket API, or a method and a path";
                return Err(Invalid::new(must).did_you_mean(nearest(text, ROUTES)));
            }
            return Ok(Self {
                method: String::new(),
                path: text.to_owned(),
            });
        }
        let (method, path) = text.split_once(char::is_whitespace).ok_or_else(form)?;
        let path = path.trim_start();
        if !METHODS.contains(&method) {
            let must = format!("must begin with a method: {}", METHODS.join(", "));
            return Err(Invalid::new(must).did_you_mean(nearest(method, METHODS)));
        }
        check_path(path)?;
        Ok(Self {
            method: method.to_owned(),
            path: path.to_owned(),
        })
    }
}

fn check_path(path: &str) -> Result<(), Invalid> {
    let Some(inner) = path.strip_prefix('/') else {
        let route = ROUTES.into_iter().find(|route| *route == path);
        return Err(Invalid::new("must have a path that begins with `/`").did_you_mean(route));
    };
    if path.contains(|c: char| c.is_whitespace() || c.is_control() || "?#".contains(c)) {
        return Err(Invalid::new(
            "must have a path without white space, `?` and `#`",
        ));
    }
    if inner.is_empty() || inner == "*" {
        return Ok(());
    }
    let segments = inner.strip_suffix("/*").unwrap_or(inner);
    if segments.contains('*') {
        return Err(Invalid::new(
            "must have `*` only as the path's last segment, as in `/orders/*`",
        ));
    }
    if segments.split('/').any(str::is_empty) {
        return Err(Invalid::new(
            "must have a path without empty segments, and no `/` at its end",
        ));
    }
    if !segments.split('/').all(is_segment) {
        return Err(Invalid::new(
            "must have path parameters that fill their segment, as in `/orders/{id}` or `/{proxy+}`",
        ));
    }
    Ok(())
}

/// A resource's path part has no braces, or is one parameter: `{name}`, or `{name+}` for the rest.
fn is_segment(segment: &str) -> bool {
    let parameter = segment
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'));
    let name = parameter.map_or(segment, |name| name.strip_suffix('+').unwrap_or(name));
    !name.is_empty() && !name.contains(['{', '}'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> MethodPattern {
        text.parse().expect("a test's own pattern")
    }

    fn error(text: &str) -> String {
        text.parse::<MethodPattern>().map_or_else(
            |error| error.to_string(),
            |pattern| format!("accepted {pattern}"),
        )
    }

    #[test]
    fn prints_as_it_is_written() {
        for text in [
            "GET /health",
            "ANY /*",
            "POST /orders/{id}/*",
            "OPTIONS /{proxy+}",
            "$default",
            "$connect",
        ] {
            assert_eq!(pattern(text).to_string(), text);
        }
        assert_eq!(pattern("  GET \t /health ").to_string(), "GET /health");
    }

    #[test]
    fn says_what_is_wrong() {
        assert_eq!(
            error("/health"),
            "must be a method and a path, such as `GET /orders/*`"
        );
        assert_eq!(error("GET"), error(""));
        assert_eq!(
            error("$defalt"),
            "must be `$default` of an HTTP API or `$connect` of a WebSocket API, or a method and a path; did you mean `$default`?"
        );
        assert!(error("$default /a").starts_with("must be `$default`"));
        assert_eq!(
            error("ANY $default"),
            "must have a path that begins with `/`; did you mean `$default`?"
        );
        assert_eq!(
            error("get /health"),
            "must begin with a method: ANY, GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS; did you mean `GET`?",
        );
        assert!(error("* /health").starts_with("must begin with a method"));
        assert_eq!(error("GET health"), "must have a path that begins with `/`");
        assert_eq!(
            error("GET /a b"),
            "must have a path without white space, `?` and `#`"
        );
        for text in ["GET /a/*/b", "GET /a*", "GET /*a", "GET /**", "GET /*/*"] {
            assert_eq!(
                error(text),
                "must have `*` only as the path's last segment, as in `/orders/*`",
                "{text}"
            );
        }
        for text in ["GET /a/", "GET //a", "GET /a//b", "GET //*", "GET //"] {
            assert_eq!(
                error(text),
                "must have a path without empty segments, and no `/` at its end",
                "{text}"
            );
        }
        for text in [
            "GET /a{id}",
            "GET /{id",
            "GET /{}",
            "GET /{+}",
            "GET /{a}{b}",
        ] {
            assert!(
                error(text).starts_with("must have path parameters that fill"),
                "{text}"
            );
        }
    }
}
