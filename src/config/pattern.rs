//! Parses a [`MethodPattern`]: `GET /orders/*`.

use std::str::FromStr;

use super::problem::Invalid;
use crate::nearest::nearest;
use crate::pattern::MethodPattern;

/// The methods that API Gateway supports, including `ANY`.
pub(super) const METHODS: [&str; 8] = [
    "ANY", "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS",
];

impl FromStr for MethodPattern {
    type Err = Invalid;

    /// Parses `METHOD PATH`.
    ///
    /// # Errors
    /// The form of a pattern, or the rule that is broken.
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
