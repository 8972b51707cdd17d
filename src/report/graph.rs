//! The resources and their dependencies, as a Mermaid flowchart.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::LogicalId;

/// The flowchart, without dependencies that another dependency of the same resource implies.
pub fn mermaid(needs: &BTreeMap<LogicalId, Vec<LogicalId>>) -> String {
    let number: BTreeMap<_, _> = needs.keys().zip(0..).collect();
    let mut lines = vec!["flowchart LR".to_owned()];
    for (id, number) in &number {
        lines.push(format!("    n{number}[\"{id}\"]"));
    }
    for (id, direct) in needs {
        let direct: BTreeSet<_> = direct
            .iter()
            .filter(|need| needs.contains_key(*need))
            .collect();
        let implied: BTreeSet<_> = direct.iter().flat_map(|need| all(needs, need)).collect();
        for need in direct.difference(&implied) {
            lines.push(format!("    n{} --> n{}", number[need], number[id]));
        }
    }
    lines.join("\n")
}

/// All direct and indirect dependencies of `id`.
fn all<'a>(
    needs: &'a BTreeMap<LogicalId, Vec<LogicalId>>,
    id: &LogicalId,
) -> BTreeSet<&'a LogicalId> {
    let mut found = BTreeSet::new();
    let mut open: Vec<_> = needs.get(id).into_iter().flatten().collect();
    while let Some(next) = open.pop() {
        if found.insert(next) {
            open.extend(needs.get(next).into_iter().flatten());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn implied_needs_and_those_outside_the_stack_are_left_out() {
        let id = |text: &str| text.parse::<LogicalId>().expect("a logical id");
        let needs = [
            ("vpc/main", vec![]),
            ("subnet/a", vec!["vpc/main"]),
            (
                "nat-gateway/a",
                vec!["subnet/a", "vpc/main", "elastic-ip/a"],
            ),
        ];
        let needs = needs.map(|(name, needs)| (id(name), needs.into_iter().map(id).collect()));
        let text = mermaid(&BTreeMap::from(needs));
        assert_eq!(
            text,
            "flowchart LR\n    n0[\"vpc/main\"]\n    n1[\"subnet/a\"]\n    n2[\"nat-gateway/a\"]\n    \
             n0 --> n1\n    n1 --> n2"
        );
    }
}
