//! Patterns that select methods of an API, such as `GET /orders/*`.

use std::fmt;

/// A selection of an API's methods, written `METHOD PATH`.
///
/// `ANY` means every method. The path is the API's resource path, including path parameters
/// (`/orders/{id}`). A path that ends in `/*` selects everything below it, and `/*` alone selects
/// the whole API. A route of an HTTP or WebSocket API without a path has a name: `$default` or `$connect`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MethodPattern {
    /// `ANY` or an HTTP method in upper case; empty for a named route.
    pub method: String,
    /// The resource path, which may end in `/*`, or the name of a route.
    pub path: String,
}

impl MethodPattern {
    /// Whether the pattern selects the API's method `method` (which may itself be `ANY`) at `path`.
    pub fn matches(&self, method: &str, path: &str) -> bool {
        self.takes_method(method) && self.takes_path(path)
    }

    /// Whether the pattern can select several paths.
    pub fn has_wildcard(&self) -> bool {
        self.below().is_some()
    }

    /// Whether the pattern names exactly this method: no wildcard, the same path and literally the same
    /// method. `ANY` names only a method that is `ANY` in the API.
    pub fn is_exact(&self, method: &str, path: &str) -> bool {
        self.below().is_none() && self.method == method && self.path == path
    }

    /// Whether this pattern selects everything that `other` can select.
    pub fn covers(&self, other: &Self) -> bool {
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

    /// The path prefix of a pattern with a wildcard: `/orders/` for `/orders/*`.
    fn below(&self) -> Option<&str> {
        self.path.strip_suffix('*')
    }
}

impl fmt::Display for MethodPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.method.is_empty() {
            return f.write_str(&self.path);
        }
        write!(f, "{} {}", self.method, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> MethodPattern {
        let (method, path) = text.split_once(' ').unwrap_or(("", text));
        MethodPattern {
            method: method.to_owned(),
            path: path.to_owned(),
        }
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
    fn a_named_route_is_a_part_of_the_whole_api() {
        let default = pattern("$default");
        assert!(default.matches("", "$default") && default.is_exact("", "$default"));
        assert!(!default.matches("GET", "/$default") && !default.matches("", "$connect"));
        let all = pattern("ANY /*");
        assert!(all.matches("", "$default") && all.covers(&default) && !default.covers(&all));
        assert!(!all.is_exact("", "$default"));
        for narrow in ["GET /*", "ANY /", "ANY /orders/*"] {
            assert!(!pattern(narrow).matches("", "$default"), "{narrow}");
        }
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
}
