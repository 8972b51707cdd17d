//! The path of a request below the root of the API, which the mapping rules are about.
//!
//! With a custom domain, the path of an event begins with the base path of the domain's mapping. The event does not name
//! the base path, but the resource, its parameters and the ARN tell which part of the path API Gateway routed.

use std::borrow::Cow;
use std::ops::Range;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What is encoded again. A `?` or `#` is not: a backend may see the end of the path there.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'?').remove(b'#');

/// What API Gateway says about the routed path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Route<'a> {
    /// The resource or route, for example `/orders/{id}` or `/{proxy+}`; empty if it is not known.
    pub(crate) resource: &'a str,
    /// The value of the greedy parameter of the resource, if it has one.
    pub(crate) greedy: Option<&'a str>,
    /// The ARN of the method or route: `arn:…:<api>/<stage>/<method>/<path>`.
    pub(crate) arn: &'a str,
}

/// The part of the path below the root of the API, and whether a slash at its end may be one that the resource does not
/// have.
///
/// The resource comes first, because the ARN can have a trailing slash that the resource does not have. If nothing fits,
/// the result is the whole path: no segment of the API's own is lost.
pub(crate) fn below_root<'p>(path: &'p str, route: &Route<'_>) -> (&'p str, bool) {
    let whole = Whole::of(path);
    if let Some(routed) = whole.by_resource(route) {
        return (routed, false);
    }
    (whole.by_arn(route.arn).unwrap_or(path), true)
}

/// Whether the path is the one in the ARN, character by character, without a slash at the end, and not longer than the
/// resource. Most requests are, and need nothing else.
pub(crate) fn is_whole(path: &str, resource: &str, arn: &str) -> bool {
    let slashes = |text: &str| text.bytes().filter(|byte| *byte == b'/').count();
    let below = path.strip_prefix('/');
    below.is_some()
        && below == of_arn(arn)
        && (path.len() == 1 || !path.ends_with('/'))
        && (resource.is_empty() || resource.ends_with("+}") || slashes(path) == slashes(resource))
}

/// The path in an ARN, without the slash in front.
pub(crate) fn of_arn(arn: &str) -> Option<&str> {
    arn.splitn(4, '/').nth(3)
}

/// The name of the resource's greedy parameter: `proxy` in `/{proxy+}`.
pub(crate) fn greedy_name(resource: &str) -> Option<&str> {
    let last = resource.trim_end_matches('/').rsplit('/').next()?;
    last.strip_prefix('{')?.strip_suffix("+}")
}

/// The routed part of a decoded path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Routed {
    /// This range of it.
    Part(Range<usize>),
    /// Encoded again: a parameter has a slash, which was encoded.
    Encoded(String),
}

/// The routed part of a decoded path that ends with the resource and the values of its parameters; `None` if it does not, or
/// if the values are not known. A slash at the end that the resource does not have is not part of it.
///
/// HTTP APIs decode `%2F`, so the segments of a path cannot be counted. The values tell which slashes were encoded.
pub(crate) fn by_parameters(
    path: &str,
    resource: &str,
    parameters: &[(Cow<'_, str>, Cow<'_, str>)],
) -> Option<Routed> {
    if !resource.starts_with('/') {
        return None;
    }
    let value = |name: &str| {
        let found = parameters.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_ref())
    };
    let parts: Vec<Part<'_>> = filled(resource)
        .into_iter()
        .map(|part| match part.strip_prefix('{') {
            None => Some(Part::Text(part)),
            Some(name) => {
                let name = name.strip_suffix('}')?;
                Some(match name.strip_suffix('+') {
                    Some(name) => Part::Greedy(value(name)?.into()),
                    None => Part::Value(value(name)?.into()),
                })
            }
        })
        .collect::<Option<_>>()?;
    ends_with(path, &parts).or_else(|| {
        // No source says whether the values are decoded, as the path is.
        let decoded: Vec<_> = parts.iter().map(Part::decoded).collect();
        (decoded != parts).then(|| ends_with(path, &decoded))?
    })
}

/// A part of a resource, with its value.
#[derive(PartialEq)]
enum Part<'a> {
    Text(&'a str),
    Value(Cow<'a, str>),
    Greedy(Cow<'a, str>),
}

impl Part<'_> {
    fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Value(text) | Self::Greedy(text) => text,
        }
    }

    fn decoded(&self) -> Part<'_> {
        let decode = |text| percent_decode_str(text).decode_utf8_lossy();
        match self {
            Self::Text(text) => Part::Text(text),
            Self::Value(text) => Part::Value(decode(text)),
            Self::Greedy(text) => Part::Greedy(decode(text)),
        }
    }

    fn encode_to(&self, path: &mut String) {
        let pieces: Vec<_> = match self {
            Self::Greedy(text) => text.split('/').collect(),
            Self::Text(_) | Self::Value(_) => vec![self.text()],
        };
        for piece in pieces {
            path.push('/');
            path.extend(utf8_percent_encode(piece, ENCODED));
        }
    }
}

/// API Gateway may deliver the path only up to a decoded `?`, and the values as a whole.
fn ends_with(path: &str, parts: &[Part<'_>]) -> Option<Routed> {
    let routed: String = parts.iter().flat_map(|part| ["/", part.text()]).collect();
    let short = path.trim_end_matches('/');
    let (whole, base) = [path, short].into_iter().find_map(|whole| {
        let base = whole.strip_suffix(&routed);
        let base = base.or_else(|| whole.strip_suffix(routed.split('?').next()?));
        Some((whole, base?))
    })?;
    let has_slash = |part: &Part<'_>| matches!(part, Part::Value(value) if value.contains('/'));
    if !parts.iter().any(has_slash) {
        return Some(Routed::Part(base.len()..whole.len()));
    }
    let mut encoded = String::with_capacity(routed.len() + 8);
    parts.iter().for_each(|part| part.encode_to(&mut encoded));
    if !whole.ends_with(&routed) {
        encoded.truncate(encoded.find('?').unwrap_or(encoded.len()));
    }
    Some(Routed::Encoded(encoded))
}

/// A path with the segments of it that are not empty, and where they begin.
struct Whole<'p> {
    path: &'p str,
    segments: Vec<(usize, &'p str)>,
}

impl<'p> Whole<'p> {
    fn of(path: &'p str) -> Self {
        let mut at = 0;
        let mut segments = Vec::with_capacity(8);
        for segment in path.split('/') {
            if !segment.is_empty() {
                segments.push((at, segment));
            }
            at += segment.len() + 1;
        }
        Self { path, segments }
    }

    /// The path from a segment on, with the slash before it.
    fn from(&self, segment: usize, with_end: bool) -> Option<&'p str> {
        let Some((at, _)) = self.segments.get(segment) else {
            return Some("/");
        };
        let from = self.path.get(at.checked_sub(1)?..)?;
        Some(if with_end {
            from
        } else {
            from.trim_end_matches('/')
        })
    }

    /// Whether the segments from `at` on are those of the template, in which `{name}` is any segment.
    fn fits(&self, at: usize, template: &[&str]) -> bool {
        let segments = self.segments.get(at..).unwrap_or_default();
        segments.len() >= template.len()
            && template
                .iter()
                .zip(segments)
                .all(|(wanted, (_, segment))| wanted.starts_with('{') || same(segment, wanted))
    }

    fn by_resource(&self, route: &Route<'_>) -> Option<&'p str> {
        if !route.resource.starts_with('/') {
            return None;
        }
        let mut template = filled(route.resource);
        if greedy_name(route.resource).is_none() {
            let at = self.segments.len().checked_sub(template.len())?;
            return self
                .fits(at, &template)
                .then(|| self.from(at, false))
                .flatten();
        }
        template.pop();
        let value = route.greedy?.trim_start_matches('/');
        let with_end = value.ends_with('/');
        (0..self.segments.len()).find_map(|at| {
            let (rest, _) = self.segments.get(at + template.len())?;
            let rest = self.path.get(*rest..)?.trim_end_matches('/');
            let found = self.fits(at, &template) && same(rest, value.trim_end_matches('/'));
            found.then(|| self.from(at, with_end)).flatten()
        })
    }

    fn by_arn(&self, arn: &str) -> Option<&'p str> {
        let routed = of_arn(arn)?;
        let template = filled(routed);
        let at = self.segments.len().checked_sub(template.len())?;
        let same = self.segments[at..]
            .iter()
            .zip(&template)
            .all(|((_, segment), wanted)| same(segment, wanted));
        same.then(|| self.from(at, routed.ends_with('/'))).flatten()
    }
}

fn filled(path: &str) -> Vec<&str> {
    path.split('/').filter(|part| !part.is_empty()).collect()
}

/// Whether two texts are equal, where one of them may be percent-encoded and the other not.
fn same(one: &str, other: &str) -> bool {
    let decoded = |text, plain: &str| percent_decode_str(text).eq(plain.bytes());
    one == other || decoded(one, other) || decoded(other, one)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routed<'p>(path: &'p str, resource: &str, greedy: Option<&str>, arn: &str) -> &'p str {
        let arn = format!("arn:aws:execute-api:eu-west-1:1:api/prod/GET{arn}");
        let route = Route {
            resource,
            greedy,
            arn: &arn,
        };
        below_root(path, &route).0
    }

    #[test]
    fn the_base_path_of_a_custom_domain_goes() {
        for (path, resource, greedy, arn, wanted) in [
            ("/orders/1", "/orders/{id}", None, "/orders/1", "/orders/1"),
            (
                "/shop/orders/1",
                "/orders/{id}",
                None,
                "/orders/1",
                "/orders/1",
            ),
            ("/a/b/orders", "/orders", None, "/orders", "/orders"),
            ("/shop", "/", None, "/", "/"),
            ("/shop/", "/", None, "/", "/"),
            ("/", "/", None, "/", "/"),
            // The API's own first resource equals the base path.
            ("/shop/1", "/shop/{id}", None, "/shop/1", "/shop/1"),
            ("/shop/shop/1", "/shop/{id}", None, "/shop/1", "/shop/1"),
            (
                "/shop/shop",
                "/{proxy+}",
                Some("shop/shop"),
                "/shop/shop",
                "/shop/shop",
            ),
            ("/shop/shop", "/{proxy+}", Some("shop"), "/shop", "/shop"),
            (
                "/shop/a/b/c",
                "/a/{proxy+}",
                Some("b/c"),
                "/a/b/c",
                "/a/b/c",
            ),
            ("/a/a/a/b", "/a/a/{proxy+}", Some("b"), "/a/a/b", "/a/a/b"),
            // The parameter is decoded or not, and the path stays as it was sent.
            (
                "/shop/a%2Fb%20c",
                "/{proxy+}",
                Some("a/b c"),
                "/a%2Fb%20c",
                "/a%2Fb%20c",
            ),
            (
                "/shop/a%2Fb",
                "/{proxy+}",
                Some("a%2Fb"),
                "/a%2Fb",
                "/a%2Fb",
            ),
            (
                "/shop/orders/a%2Fb",
                "/orders/{id}",
                None,
                "/orders/a%2Fb",
                "/orders/a%2Fb",
            ),
            // A decoded path and an ARN that is not, and the other way round.
            ("/shop/a b", "", None, "/a%20b", "/a b"),
            ("/shop/a%20b", "", None, "/a b", "/a%20b"),
        ] {
            assert_eq!(
                routed(path, resource, greedy, arn),
                wanted,
                "{path} {resource}"
            );
        }
    }

    #[test]
    fn without_a_resource_or_its_parameters_the_arn_decides() {
        for (path, resource, arn, wanted) in [
            ("/shop/orders/1", "", "/orders/1", "/orders/1"),
            ("/shop/orders/1", "/{proxy+}", "/orders/1", "/orders/1"),
            ("/shop/orders/", "", "/orders/", "/orders/"),
            ("/shop/orders/", "", "/orders", "/orders"),
            ("/shop", "", "/", "/"),
            ("/shop", "", "//", "/"),
        ] {
            assert_eq!(routed(path, resource, None, arn), wanted, "{path} {arn}");
        }
    }

    #[test]
    fn a_slash_that_the_resource_does_not_have_goes() {
        for (path, resource, greedy, wanted) in [
            ("/orders/", "/orders", None, "/orders"),
            ("/shop/orders/1/", "/orders/{id}", None, "/orders/1"),
            ("/orders//", "/orders", None, "/orders"),
            ("/docs/", "/{proxy+}", Some("docs"), "/docs"),
            ("/docs/", "/{proxy+}", Some("docs/"), "/docs/"),
        ] {
            assert_eq!(routed(path, resource, greedy, path), wanted, "{path}");
        }
    }

    #[test]
    fn nothing_is_lost_if_nothing_fits() {
        for (path, resource, greedy, arn) in [
            ("/lines", "/{proxy+}", None, "/orders"),
            ("/lines", "/orders", None, "/orders"),
            ("/lines", "/a/b/c", None, "/a/b/c"),
            ("/lines", "/{proxy+}", Some("x"), "/orders"),
            ("", "", None, "/orders"),
        ] {
            assert_eq!(routed(path, resource, greedy, arn), path, "{resource}");
        }
        let none = Route {
            resource: "",
            greedy: None,
            arn: "arn",
        };
        assert_eq!(below_root("/a", &none), ("/a", true));
    }

    #[test]
    fn the_values_of_the_parameters_tell_the_routed_part() {
        let routed = |path: &str, resource: &str, parameters: &[(&'static str, &'static str)]| {
            let parameters: Vec<_> = parameters
                .iter()
                .map(|(name, value)| (Cow::Borrowed(*name), Cow::Borrowed(*value)))
                .collect();
            by_parameters(path, resource, &parameters).map(|routed| match routed {
                Routed::Part(range) => (path[range].to_owned(), true),
                Routed::Encoded(path) => (path, false),
            })
        };
        let id = |value| [("id", value)];
        let proxy = |value| [("proxy", value)];
        let part = |path: &str| Some((path.to_owned(), true));
        let encoded = |path: &str| Some((path.to_owned(), false));
        for (path, resource, parameters, wanted) in [
            ("/orders", "/orders", &[][..], part("/orders")),
            ("/orders/", "/orders", &[], part("/orders")),
            ("/prod/orders", "/orders", &[], part("/orders")),
            ("/shop", "/", &[], part("")),
            ("/orders/1", "/orders/{id}", &id("1"), part("/orders/1")),
            ("/a/orders/1/", "/orders/{id}", &id("1"), part("/orders/1")),
            ("/x/a b", "/{id}", &id("a b"), part("/a b")),
            ("/x/a b", "/{id}", &id("a%20b"), part("/a b")),
            // Decoded once: the caller sent %2561.
            ("/x/a%61", "/{id}", &id("a%61"), part("/a%61")),
            ("/x/y/z", "/{proxy+}", &proxy("y/z"), part("/y/z")),
            ("/x/y/z/", "/{proxy+}", &proxy("y/z/"), part("/y/z/")),
            ("/x/y/z/", "/{proxy+}", &proxy("y/z"), part("/y/z")),
            ("/x/y/z", "/x/{proxy+}", &proxy("y/z"), part("/x/y/z")),
            // The caller sent an encoded slash.
            ("/x/y/z", "/x/{id}", &id("y/z"), encoded("/x/y%2Fz")),
            ("/x/y/z", "/x/{id}", &id("y%2Fz"), encoded("/x/y%2Fz")),
            ("/x/y/", "/x/{id}", &id("y/"), encoded("/x/y%2F")),
            ("/x/../y", "/x/{id}", &id("../y"), encoded("/x/%2E%2E%2Fy")),
            // The path ends at the decoded question mark, or goes on.
            ("/p/x/y", "/x/{id}", &id("y?z"), part("/x/y")),
            ("/p/x/y?z", "/x/{id}", &id("y?z"), part("/x/y?z")),
            ("/p/x/y/z", "/x/{id}", &id("y/z?a"), encoded("/x/y%2Fz")),
            ("/p/x/y/z?a", "/x/{id}", &id("y/z?a"), encoded("/x/y%2Fz?a")),
            ("/x/y", "/x/{id}", &id("z"), None),
            ("/x/y", "/x/{id}", &[], None),
            ("/x/y", "/x/{id}", &proxy("y"), None),
            ("/x/y", "$default", &[], None),
            ("/x/y", "", &[], None),
        ] {
            assert_eq!(
                routed(path, resource, parameters),
                wanted,
                "{path} {resource}"
            );
        }
        assert_eq!(
            routed(
                "/a/b/c/d",
                "/{id}/{proxy+}",
                &[("id", "a/b"), ("proxy", "c/d")]
            ),
            encoded("/a%2Fb/c/d")
        );
    }

    #[test]
    fn the_path_of_the_arn_is_the_whole_path() {
        let arn = |path: &str| format!("arn:aws:execute-api:eu-west-1:1:api/prod/GET{path}");
        assert!(is_whole("/orders/1", "", &arn("/orders/1")));
        assert!(is_whole("/orders/1", "/orders/{id}", &arn("/orders/1")));
        assert!(is_whole("/orders/1", "/{proxy+}", &arn("/orders/1")));
        assert!(is_whole("/", "/", &arn("/")));
        assert!(!is_whole("/orders/", "", &arn("/orders/")));
        assert!(!is_whole("/shop/orders", "", &arn("/orders")));
        assert!(!is_whole("/shop/orders", "/orders", &arn("/shop/orders")));
        assert!(!is_whole("/", "", "arn"));
        assert!(!is_whole("", "", "arn"));
    }
}
