//! The base paths under which custom domain names lead to the API. An event has the whole path, and does not say which part
//! of it is the base path.

use std::collections::BTreeMap;

use serde::Deserialize;

/// `THREESCALE_GW_BASE_PATHS`: for each custom domain name, the base paths of its mappings to the API. A mapping without a
/// base path is an empty text.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Default)]
#[serde(transparent)]
pub struct BasePaths(BTreeMap<String, Vec<String>>);

impl BasePaths {
    /// Where the path goes on after the longest base path of the domain name that it begins with, as API Gateway selects a
    /// mapping; `None` if it begins with none.
    pub(crate) fn end(&self, domain: &str, path: &str) -> Option<usize> {
        let whole = path.trim_start_matches('/');
        let fitting = self.of(domain)?.iter().filter_map(|base| {
            let base = base.trim_matches('/');
            if base.is_empty() {
                return Some(0);
            }
            let rest = whole.strip_prefix(base)?;
            (rest.is_empty() || rest.starts_with('/')).then_some(path.len() - rest.len())
        });
        fitting.max()
    }

    /// The base paths of a domain name. A name of its own has priority over the wildcard that includes it.
    fn of(&self, domain: &str) -> Option<&Vec<String>> {
        let find = |wanted: &dyn Fn(&str) -> bool| {
            let mut names = self.0.iter();
            names.find(|(name, _)| wanted(name)).map(|(_, paths)| paths)
        };
        let (_, parent) = domain.split_once('.')?;
        find(&|name| name.eq_ignore_ascii_case(domain)).or_else(|| {
            find(&|name| {
                let wildcard = name.strip_prefix("*.");
                wildcard.is_some_and(|name| name.eq_ignore_ascii_case(parent))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_base_path_of_the_domain_goes() {
        let paths: BasePaths = serde_json::from_str(
            r#"{"api.example.com": ["", "shop", "/shop/v2/"], "*.example.org": ["a"], "B.example.org": ["b"]}"#,
        )
        .expect("base paths");
        for (domain, path, wanted) in [
            ("api.example.com", "/shop/orders", Some("/orders")),
            ("API.Example.com", "/shop", Some("")),
            ("api.example.com", "/shop/", Some("/")),
            ("api.example.com", "/shop/v2/orders/", Some("/orders/")),
            ("api.example.com", "/shop/v20", Some("/v20")),
            ("api.example.com", "//shop//x", Some("//x")),
            ("api.example.com", "/shops", Some("/shops")),
            ("api.example.com", "", Some("")),
            ("x.example.org", "/a/b", Some("/b")),
            ("x.example.org", "/b/a", None),
            ("b.example.org", "/b/a", Some("/a")),
            ("b.example.org", "/a/b", None),
            ("x.y.example.org", "/a/b", None),
            ("example.org", "/a/b", None),
            ("", "/a/b", None),
        ] {
            let below = paths.end(domain, path).map(|at| &path[at..]);
            assert_eq!(below, wanted, "{domain}{path}");
        }
        assert_eq!(BasePaths::default().end("api.example.com", "/a"), None);
    }
}
