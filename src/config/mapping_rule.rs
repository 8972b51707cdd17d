//! The format of mapping rules, as 3scale's Admin Portal validates it (porta's `proxy_rule.rb`) and 3scale's gateway
//! reads it.

use std::collections::BTreeSet;

use super::problem::Invalid;

/// Methods that a rule can have. `ANY` matches all of them.
pub(super) const METHODS: [&str; 8] = [
    "ANY", "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS",
];

const MAX_LENGTH: usize = 255;

/// Validates the pattern of a rule: an absolute path with `{name}` parameters, then an optional `$` that anchors the
/// end of the path, then an optional query.
pub(super) fn pattern(text: &str) -> Result<String, Invalid> {
    if text.len() > MAX_LENGTH {
        return Err(Invalid::new(format!(
            "must not be longer than {MAX_LENGTH} characters"
        )));
    }
    let (path, query) = match text.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (text, None),
    };
    let path = path.strip_suffix('$').unwrap_or(path);
    if !path.starts_with('/') {
        return Err(Invalid::new(
            "must be a path that begins with `/`, such as `/orders/{id}`",
        ));
    }
    let mut names = BTreeSet::new();
    let mut repeated = false;
    let mut fixed = String::new();
    for piece in pieces(path)? {
        match piece {
            Piece::Fixed(text) => fixed.push_str(text),
            Piece::Parameter(name) => {
                repeated |= !names.insert(name);
                // A placeholder, so that `{id}*` is not treated as `*` at the start.
                fixed.push('x');
            }
        }
    }
    if !is_fixed_path(&fixed) {
        return Err(Invalid::new(
            "must be a path of URL characters and `{name}` parameters; `$` only ends it, other characters need `%` and two digits",
        ));
    }
    if !is_expression(&fixed) {
        // In 3scale's gateway, `( ) * +` keep their meaning as a regular expression.
        return Err(Invalid::new(
            "must be a valid expression: `(` and `)` in pairs, `*` and `+` after what they repeat",
        ));
    }
    for argument in query.into_iter().flat_map(|query| query.split('&')) {
        let (name, value) = argument.split_once('=').unwrap_or((argument, ""));
        if name.contains(['{', '}']) {
            return Err(Invalid::new(
                "must not have `{` and `}` in the name of a query parameter",
            ));
        }
        if !is_query(name)
            || !pieces(value)?
                .iter()
                .all(|piece| matches!(piece, Piece::Parameter(_)) || piece.is_query())
        {
            return Err(Invalid::new(
                "must have a query of URL characters and `{name}` values, such as `?page={n}`",
            ));
        }
        repeated |= !names.insert(name);
    }
    if repeated {
        return Err(Invalid::new("must not name a parameter twice"));
    }
    Ok(text.to_owned())
}

enum Piece<'a> {
    Fixed(&'a str),
    Parameter(&'a str),
}

impl Piece<'_> {
    fn is_query(&self) -> bool {
        matches!(self, Self::Fixed(text) if is_query(text))
    }
}

/// Splits a text at its `{name}` parameters.
fn pieces(text: &str) -> Result<Vec<Piece<'_>>, Invalid> {
    let must = || {
        Invalid::new(
            "must have `{` and `}` only around a parameter's name of letters, digits and `_`",
        )
    };
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or_else(must)?;
        let is_name =
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_name || before.contains('}') {
            return Err(must());
        }
        pieces.extend([Piece::Fixed(before), Piece::Parameter(name)]);
        rest = after;
    }
    if rest.contains('}') {
        return Err(must());
    }
    pieces.push(Piece::Fixed(rest));
    Ok(pieces)
}

fn is_fixed_path(text: &str) -> bool {
    is_escaped_text(text, |c| is_unreserved(c) || "/:@&=+,;".contains(c))
}

fn is_query(text: &str) -> bool {
    is_escaped_text(text, |c| is_unreserved(c) || ";/?:@&=+$,[]".contains(c))
}

/// Unreserved characters of RFC 2396, which the Admin Portal uses.
fn is_unreserved(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.!~*'()".contains(c)
}

/// Whether a text has only allowed characters and `%` followed by two hexadecimal digits.
fn is_escaped_text(text: &str, allowed: impl Fn(char) -> bool) -> bool {
    let mut parts = text.split('%');
    let first = parts.next().unwrap_or_default();
    let is_escape =
        |part: &str| part.len() >= 2 && part.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    first.chars().all(&allowed) && parts.all(|part| is_escape(part) && part.chars().all(&allowed))
}

/// Whether groups are closed and every repetition follows something to repeat.
fn is_expression(text: &str) -> bool {
    let mut depth = 0usize;
    let mut repeatable = false;
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => match depth.checked_sub(1) {
                Some(outer) => depth = outer,
                None => return false,
            },
            '*' | '+' if !repeatable => return false,
            _ => {}
        }
        repeatable = !matches!(c, '(' | '*' | '+');
    }
    depth == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_the_recorded_patterns() {
        for text in [
            "/",
            "/$",
            "/foo",
            "/foo/",
            "/foo$",
            "/foo/{id}",
            "/foo/{id}$",
            "/foo/{id}/bar",
            "/foo/{id}.json",
            "/v{v}/x",
            "/a.b",
            "/a+b",
            "/a*",
            "/foo(bar)",
            "//a///b",
            "/foo%20bar",
            "/%C3%A9",
            "/b",
            "/foo?a=1",
            "/foo?a={x}",
            "/foo$?a={x}",
            "/foo?a=x{y}z",
            "/foo?a=b%20c",
            "/foo?a=",
            "/foo?a=1&b={b}",
            "/foo?a",
            "/a;b=c",
        ] {
            assert_eq!(pattern(text), Ok(text.to_owned()));
        }
        assert!(pattern(&format!("/{}", "a".repeat(254))).is_ok());
    }

    #[test]
    fn refuses_what_can_never_be_meant() {
        for (text, reason) in [
            ("", "begins with `/`"),
            ("foo", "begins with `/`"),
            ("?a=1", "begins with `/`"),
            ("$", "begins with `/`"),
            ("/foo bar", "URL characters"),
            ("/foo$bar", "URL characters"),
            ("/foo$$", "URL characters"),
            ("/ä", "URL characters"),
            ("/a|b", "URL characters"),
            ("/foo%2", "URL characters"),
            ("/foo%zz", "URL characters"),
            ("/foo%", "URL characters"),
            ("/%é", "URL characters"),
            ("/a{b", "`{` and `}` only around"),
            ("/a}b", "`{` and `}` only around"),
            ("/a}{b}", "`{` and `}` only around"),
            ("/{}", "`{` and `}` only around"),
            ("/{a-b}", "`{` and `}` only around"),
            ("/{{a}}", "`{` and `}` only around"),
            ("/a(b", "valid expression"),
            ("/a)b(", "valid expression"),
            ("/(*a)", "valid expression"),
            ("/a**", "valid expression"),
            ("/{a}/{a}", "twice"),
            ("/{a}?a=1", "twice"),
            ("/x?a=1&a=2", "twice"),
            ("/x?{a}=1", "name of a query parameter"),
            ("/x?a=b c", "URL characters"),
        ] {
            let error = pattern(text)
                .err()
                .map(|invalid| invalid.must)
                .unwrap_or_default();
            assert!(error.contains(reason), "{text:?}: {error:?}");
        }
        assert!(pattern(&format!("/{}", "a".repeat(255))).is_err());
    }
}
