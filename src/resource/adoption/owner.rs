//! Whose a resource is, from its tags. Pure.

use super::found::Tags;
use super::outcome::Wanted;
use crate::aws::tags;
use crate::id::LogicalId;
use crate::printable::line;

/// The tools that manage resources and leave their name in a tag, as conventions have it. None of them reserves a tag, except
/// CloudFormation, whose tags begin with `aws:`.
const TOOLS: [&str; 6] = [
    "terraform",
    "opentofu",
    "pulumi",
    "crossplane",
    "cloudformation",
    "eksctl",
];

/// The logical id in the tags, if they are the stack's.
pub(super) fn own_id(wanted: &Wanted, of: &Tags) -> Option<LogicalId> {
    tags::owner(&wanted.stack, of)
}

/// The owner of a resource that is not free to be adopted.
pub(super) fn other(stack: &str, of: &Tags) -> Option<String> {
    if let Some(owner) = of.get(tags::STACK).filter(|owner| *owner != stack) {
        return Some(format!("stack {} of this tool", line(owner)));
    }
    let shown = |(key, value): (&String, &String)| {
        format!("another tool (tag {} = {})", line(key), line(value))
    };
    if let Some(stack) = of.get("aws:cloudformation:stack-name") {
        return Some(format!("CloudFormation stack {}", line(stack)));
    }
    // Only AWS can write these. Source: Amazon EC2 User Guide, tag restrictions.
    if let Some(tag) = of.iter().find(|(key, _)| key.starts_with("aws:")) {
        return Some(shown(tag));
    }
    let is_by_tool = |(key, value): &(&String, &String)| {
        let (key, value) = (key.to_lowercase(), value.to_lowercase());
        let words: String = key.chars().filter(char::is_ascii_alphanumeric).collect();
        let names_tool = TOOLS.iter().any(|tool| value.contains(tool));
        let is_manager = ["managedby", "createdby", "provisioner", "provisionedby"]
            .iter()
            .any(|word| words.ends_with(word));
        let is_named = TOOLS.iter().any(|tool| words.contains(tool));
        // Source: Kubernetes, cloud provider tags.
        let is_cluster = key.starts_with("kubernetes.io/cluster/");
        is_cluster
            || (is_manager && names_tool)
            || (is_named && !matches!(value.as_str(), "false" | "no" | "0"))
    };
    of.iter().find(is_by_tool).map(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_in_the_tags() {
        let owner =
            |key: &str, value: &str| other("orders", &[(key.to_owned(), value.to_owned())].into());
        for (key, value, of) in [
            ("threescale-gw:stack", "other", "stack other of this tool"),
            (
                "aws:cloudformation:stack-name",
                "net",
                "CloudFormation stack net",
            ),
            (
                "aws:servicecatalog:portfolioArn",
                "p",
                "another tool (tag aws:servicecatalog:portfolioArn = p)",
            ),
            (
                "ManagedBy",
                "Terraform",
                "another tool (tag ManagedBy = Terraform)",
            ),
            (
                "managed-by",
                "pulumi",
                "another tool (tag managed-by = pulumi)",
            ),
            ("terraform", "true", "another tool (tag terraform = true)"),
            (
                "terraform_workspace",
                "x",
                "another tool (tag terraform_workspace = x)",
            ),
            (
                "kubernetes.io/cluster/c",
                "owned",
                "another tool (tag kubernetes.io/cluster/c = owned)",
            ),
        ] {
            assert_eq!(owner(key, value).as_deref(), Some(of), "{key}");
        }
        for (key, value) in [
            ("threescale-gw:stack", "orders"),
            ("Name", "terraform-vpc"),
            ("managed-by", "alice"),
            ("terraform", "false"),
            ("team", "payments"),
        ] {
            assert_eq!(owner(key, value), None, "{key}");
        }
    }
}
