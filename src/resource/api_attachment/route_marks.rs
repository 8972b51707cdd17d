//! Routes in the head of the record, which has the size of one parameter: an API can have 300 routes with long paths. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::api_gateway::Method;

/// The length of the mark of one route.
const LENGTH: usize = 4;

/// A set of routes, of each of which only the beginning of a digest is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "String")]
pub struct Marks(String);

/// The set in a record; a former build wrote the labels of the routes.
#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    Marks(String),
    Labels(Vec<String>),
}

impl From<Stored> for Marks {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Marks(marks) => Self(marks),
            Stored::Labels(labels) => Self(labels.iter().map(|label| mark(label)).collect()),
        }
    }
}

impl From<Marks> for String {
    fn from(marks: Marks) -> Self {
        marks.0
    }
}

impl Marks {
    pub(super) fn of<'a>(routes: impl Iterator<Item = &'a Method>) -> Self {
        Self(routes.map(|route| mark(&route.label())).collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn contains(&self, route: &Method) -> bool {
        let mark = mark(&route.label());
        let mut marks = self.0.as_bytes().chunks(LENGTH);
        marks.any(|other| other == mark.as_bytes())
    }
}

fn mark(label: &str) -> String {
    let digest = Sha256::digest(label);
    URL_SAFE_NO_PAD.encode(&digest[..LENGTH / 4 * 3])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_routes_of_the_largest_api_fit_into_the_head() {
        let path = |number: usize| format!("/{}/{number}", "orders".repeat(20));
        let all: Vec<_> = (0..300)
            .map(|number| Method::new("GET", &path(number)))
            .collect();
        let (changed, others) = all.split_at(299);
        let marks = Marks::of(changed.iter());
        assert!(changed.iter().all(|route| marks.contains(route)));
        assert!(!others.iter().any(|route| marks.contains(route)));
        let text = serde_json::to_string(&marks).expect("JSON");
        assert!(text.len() < 1300, "{} bytes", text.len());
        assert_eq!(serde_json::from_str::<Marks>(&text).ok(), Some(marks));
        assert!(Marks::default().is_empty());
        let former: Marks = serde_json::from_str(r#"["GET /a", "$default"]"#).expect("labels");
        assert_eq!(
            former,
            Marks::of([Method::new("GET", "/a"), Method::new("", "$default")].iter())
        );
    }
}
