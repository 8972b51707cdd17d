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
    pub authorizers: Vec<Authorizer>,
}

/// The bundled authorizer for one architecture.
#[derive(Debug)]
pub struct Authorizer {
    pub architecture: &'static str,
    /// The digest of the source, as in the tag of the functions.
    pub source: String,
    /// The digest of the zip file of the release, if the program belongs to one.
    pub zip: Option<String>,
    /// Where `up` takes the code from.
    pub supply: String,
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
        for authorizer in &self.authorizers {
            lines.push(format!(
                "  {:<6}  {}",
                authorizer.architecture, authorizer.source
            ));
        }
        lines.push("code of the functions".to_owned());
        for authorizer in &self.authorizers {
            let (architecture, supply) = (authorizer.architecture, &authorizer.supply);
            lines.push(format!("  {architecture:<6}  {supply}"));
            let zip = authorizer.zip.as_ref();
            lines.extend(zip.map(|zip| format!("          sha256 {zip}")));
        }
        lines.join("\n")
    }

    /// As JSON.
    pub fn document(&self) -> Value {
        let by_architecture = |value: &dyn Fn(&Authorizer) -> Value| {
            let authorizers = self.authorizers.iter();
            let values = authorizers.map(|of| (of.architecture.to_owned(), value(of)));
            Value::Object(values.collect())
        };
        json!({
            "version": self.version,
            "commit": self.commit,
            "target": self.target,
            "authorizer": by_architecture(&|authorizer| json!(authorizer.source)),
            "zips": by_architecture(&|authorizer| json!(authorizer.zip)),
            "code": by_architecture(&|authorizer| json!(authorizer.supply)),
        })
    }
}
