//! What this program is: its version, commit and target, and the authorizer that it contains.

use serde_json::{Value, json};

/// What `version` tells.
#[derive(Debug)]
pub struct Version<'a> {
    pub version: &'a str,
    /// The hash of the commit, if it is known.
    pub commit: Option<&'a str>,
    /// The target triple.
    pub target: &'a str,
    /// The digest of the bundled authorizer for each architecture, as in the tag of the functions.
    pub authorizer: Vec<(&'a str, String)>,
}

impl Version<'_> {
    /// As text: the version, and the rest if `verbose`.
    pub fn text(&self, verbose: bool) -> String {
        let first = format!("threescale-gw {}", self.version);
        if !verbose {
            return first;
        }
        let mut lines = vec![
            first,
            format!("commit      {}", self.commit.unwrap_or("unknown")),
            format!("target      {}", self.target),
            "authorizer".to_owned(),
        ];
        let digests = self.authorizer.iter();
        lines
            .extend(digests.map(|(architecture, digest)| format!("  {architecture:<6}  {digest}")));
        lines.join("\n")
    }

    /// As JSON.
    pub fn document(&self) -> Value {
        let authorizer = self.authorizer.iter();
        let authorizer: serde_json::Map<_, _> = authorizer
            .map(|(architecture, digest)| ((*architecture).to_owned(), json!(digest)))
            .collect();
        json!({
            "version": self.version,
            "commit": self.commit,
            "target": self.target,
            "authorizer": authorizer,
        })
    }
}
