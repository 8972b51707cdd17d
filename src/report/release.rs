//! What `release` forgets, as text and as JSON.

use serde_json::{Map, Value, json};

use super::style::Style;
use crate::api_gateway::{ApiTarget, AuthorizationType, Method};
use crate::names::Names;
use crate::printable::line;
use crate::resource::release::Tagged;

/// What is released.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Released {
    /// The resources that lose their tags.
    pub tagged: Vec<Tagged>,
    /// What the methods were before the stack.
    pub methods: Vec<(ApiTarget, Method)>,
    /// The records that are removed, by their names below the path of the stack.
    pub records: Vec<(String, String)>,
    /// The parameters that stay.
    pub kept: Vec<String>,
}

impl Released {
    /// Whether the account has nothing of the stack.
    pub fn is_empty(&self) -> bool {
        self.tagged.is_empty() && self.records.is_empty() && self.kept.is_empty()
    }
}

/// What a method was before the stack.
fn former(method: &Method) -> String {
    match (&method.authorization, &method.authorizer_id) {
        _ if method.is_absent => "was absent".to_owned(),
        (AuthorizationType::None, _) => "was open (NONE)".to_owned(),
        (other, Some(authorizer)) => format!("had {other}, authorizer {}", line(authorizer)),
        (other, None) => format!("had {other}"),
    }
}

/// The table as text.
pub fn table(found: &Released, style: &Style) -> String {
    let mut lines: Vec<_> = found
        .tagged
        .iter()
        .map(|one| {
            let text = format!("{:<32} {}", one.id.to_string(), line(&one.physical_id));
            style.dim(&text)
        })
        .collect();
    if !found.methods.is_empty() {
        lines.push(String::new());
        lines.push("This record is removed. Only with it could `down` restore the API:".to_owned());
        lines.extend(found.methods.iter().map(|(target, method)| {
            format!(
                "  {} of API {}, stage {}: {}",
                line(&method.label()),
                target.id,
                line(&target.stage),
                former(method)
            )
        }));
    }
    lines.push(String::new());
    lines.push(format!(
        "Release: {} to forget. All of them stay and keep their costs, and callers notice nothing. No command of this program \
         changes or deletes them again.",
        found.tagged.len()
    ));
    lines.join("\n")
}

/// The same as one JSON document.
pub fn document(found: &Released, names: &Names, outcome: &str) -> Value {
    let resources: Vec<_> = found
        .tagged
        .iter()
        .map(|one| json!({"id": one.id, "kind": one.id.kind.as_str(), "physical_id": one.physical_id}))
        .collect();
    // A record that cannot be read is shown as it is.
    let value = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
    let records: Map<_, _> = found
        .records
        .iter()
        .map(|(name, text)| (names.parameter(name), value(text)))
        .collect();
    json!({
        "stack": names.stack,
        "region": names.region,
        "account": names.account,
        "outcome": outcome,
        "resources": resources,
        "records": records,
        "kept": found.kept,
    })
}
