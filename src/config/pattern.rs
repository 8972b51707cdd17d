//! Which methods of an API are meant: `GET /orders/*`.

use std::fmt;
use std::str::FromStr;

use super::problem::{Invalid, nearest};

/// The methods API Gateway knows, `ANY` among them.
const METHODS: [&str; 8] = [
    "ANY", "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS",
];

/// A selection of an API's methods, written `METHOD PATH`.
///
/// `ANY` stands for every method. The path is a resource's path as the API has it, parameters
/// included (`/orders/{id}`); one that ends in `/*` stands for everything below, and `/*` alone for
/// the whole API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MethodPattern {
    /// `ANY` or an HTTP method in upper case.
    pub method: String,
    /// The resource's path; may end in `/*`.
    pub path: String,
}

impl MethodPattern {
    /// Whether the API's method `method` (which may itself be `ANY`) at `path` is among those meant.
    pub fn matches(&self, method: &str, path: &str) -> bool {
        self.takes_method(method) && self.takes_path(path)
    }

    /// Whether the pattern names this one method: no wildcard, same path, and literally the same
    /// method, so that `ANY` names only a method that is `ANY` in the API.
    pub fn is_exact(&self, method: &str, path: &str) -> bool {
        self.below().is_none() && self.method == method && self.path == path
    }

    /// Whether everything that `other` can mean is meant by this pattern too.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.takes_method(&other.method)
            && match (self.below(), other.below()) {
                (Some(below), Some(other)) => other.starts_with(below),
                (None, Some(_)) => false,
                (_, None) => self.takes_path(&other.path),
            }
    }

    fn takes_method(&self, method: &str) -> bool {
        self.method == "ANY" || self.method == method
    }

    fn takes_path(&self, path: &str) -> bool {
        match self.below() {
            Some("/") => true,
            Some(below) => path.len() > below.len() && path.starts_with(below),
            None => self.path == path,
        }
    }

    /// What the paths meant begin with, if the pattern has a wildcard: `/orders/` for `/orders/*`.
    fn below(&self) -> Option<&str> {
        self.path.strip_suffix('*')
    }
}

impl fmt::Display for MethodPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

impl FromStr for MethodPattern {
    type Err = Invalid;

    /// Reads `METHOD PATH`.
    ///
    /// # Errors
    /// Says what such a pattern looks like, or which rule is broken.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let form = || Invalid::new("must be a method and a path, such as `GET /orders/*`");
        let (method, path) = text
            .trim()
            .split_once(char::is_whitespace)
            .ok_or_else(form)?;
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
        return Err(Invalid::new("must have a path that begins with `/`"));
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
    fn a_wildcard_takes_what_is_below() {
        let all = pattern("ANY /*");
        for path in ["/", "/orders", "/orders/{id}", "/{proxy+}"] {
            assert!(
                all.matches("GET", path) && all.matches("ANY", path),
                "{path}"
            );
        }
        let orders = pattern("GET /orders/*");
        assert!(orders.matches("GET", "/orders/{id}"));
        assert!(orders.matches("GET", "/orders/{id}/lines"));
        for (method, path) in [
            ("GET", "/orders"),
            ("GET", "/"),
            ("GET", "/ordersx/y"),
            ("POST", "/orders/{id}"),
            ("ANY", "/orders/{id}"),
        ] {
            assert!(!orders.matches(method, path), "{method} {path}");
        }
    }

    #[test]
    fn without_a_wildcard_the_path_is_the_same() {
        let root = pattern("GET /");
        assert!(root.matches("GET", "/") && !root.matches("GET", "/orders"));
        let order = pattern("ANY /orders/{id}");
        assert!(order.matches("GET", "/orders/{id}") && !order.matches("GET", "/orders/{order}"));
        assert!(order.matches("ANY", "/orders/{id}"));
    }

    #[test]
    fn exact_is_one_method_named_literally() {
        assert!(pattern("GET /orders").is_exact("GET", "/orders"));
        assert!(pattern("ANY /orders").is_exact("ANY", "/orders"));
        assert!(!pattern("ANY /orders").is_exact("GET", "/orders"));
        assert!(!pattern("GET /*").is_exact("GET", "/orders"));
        assert!(!pattern("GET /orders/*").is_exact("GET", "/orders/*"));
    }

    #[test]
    fn covers_is_matching_of_patterns() {
        for (wide, narrow) in [
            ("ANY /*", "ANY /*"),
            ("ANY /*", "GET /"),
            ("GET /a/*", "GET /a/b/*"),
            ("GET /a/*", "GET /a/b"),
            ("GET /a", "GET /a"),
        ] {
            assert!(
                pattern(wide).covers(&pattern(narrow)),
                "{wide} covers {narrow}"
            );
        }
        for (wide, narrow) in [
            ("GET /*", "ANY /*"),
            ("GET /a/*", "GET /a"),
            ("GET /a", "GET /a/*"),
            ("GET /a/b/*", "GET /a/*"),
            ("GET /a/*", "GET /ab/*"),
        ] {
            assert!(
                !pattern(wide).covers(&pattern(narrow)),
                "{wide} does not cover {narrow}"
            );
        }
    }

    #[test]
    fn prints_as_it_is_written() {
        for text in [
            "GET /health",
            "ANY /*",
            "POST /orders/{id}/*",
            "OPTIONS /{proxy+}",
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
