//! Policies: as JSON documents for the AWS CLI, and as Terraform resources.

use serde_json::{Value, json};

use crate::permissions;

/// What a policy is for.
#[derive(Debug, Clone, Copy)]
pub struct Title<'a> {
    pub stack: &'a str,
    /// The command, or `trust`.
    pub name: &'a str,
}

/// Everything in one document.
pub fn json<'a>(title: Title<'_>, documents: impl IntoIterator<Item = &'a Value>) -> Value {
    let policies: Vec<_> = documents
        .into_iter()
        .map(|document| json!({"characters": permissions::size(document), "document": document}))
        .collect();
    json!({"stack": title.stack, "for": title.name, "policies": policies})
}

/// A policy document with line breaks.
pub fn document(document: &Value) -> String {
    serde_json::to_string_pretty(document).unwrap_or_default()
}

/// A document as an expression of Terraform, in which JSON is valid. `${` would begin a template.
fn expression(value: &Value) -> String {
    document(value)
        .replace("${", "$${")
        .replace("%{", "%%{")
        .replace('\n', "\n  ")
}

/// A managed policy. `part`: the number, if there are several.
pub fn terraform(title: Title<'_>, part: Option<usize>, value: &Value) -> String {
    let Title { stack, name } = title;
    let end = part.map_or_else(String::new, |part| format!("-{part}"));
    let stack = match stack {
        permissions::ANY_STACK => String::new(),
        stack => format!("{stack}-"),
    };
    let label = format!("threescale-gw-{stack}{name}{end}");
    format!(
        "resource \"aws_iam_policy\" \"{label}\" {{\n  name = \"{label}\"\n  policy = jsonencode({})\n}}",
        expression(value)
    )
}

/// A role with this trust policy.
pub fn terraform_role(title: Title<'_>, trust: &Value) -> String {
    let label = format!("threescale-gw-{}-operator", title.stack);
    format!(
        "resource \"aws_iam_role\" \"{label}\" {{\n  name = \"{label}\"\n  assume_role_policy = jsonencode({})\n}}",
        expression(trust)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terraform_expression_has_no_template() {
        let text = terraform(
            Title {
                stack: "orders",
                name: "up",
            },
            Some(2),
            &json!({"Resource": "${aws:username} %{if}"}),
        );
        assert!(text.contains("\"$${aws:username} %%{if}\""), "{text}");
        assert!(
            text.starts_with("resource \"aws_iam_policy\" \"threescale-gw-orders-up-2\" {"),
            "{text}"
        );
    }
}
