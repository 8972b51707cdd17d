//! The descriptions of this stack's deployments: which stack made a deployment, and what it
//! contains. Pure.

use crate::resource::Context;

/// The text that marks a deployment as made by this stack.
pub(super) fn marker(cx: &Context) -> String {
    format!("threescale-gw-{}", cx.names().stack)
}

/// Whether a deployment's description says that this stack made it to protect the API.
pub(super) fn is_ours(cx: &Context, description: &str) -> bool {
    protects(description, &marker(cx)).is_some()
}

/// The description of a deployment that restores the API, or that leaves it closed.
pub(super) fn restores(mark: &str, closed: bool) -> String {
    match closed {
        true => format!("{mark} keeps closed"),
        false => format!("{mark} restored"),
    }
}

/// Whether it is the description of such a deployment.
pub(super) fn is_restored(description: &str, mark: &str) -> bool {
    [false, true]
        .map(|closed| restores(mark, closed))
        .iter()
        .any(|ours| ours == description)
}

/// What a deployment of this stack contains in addition to the methods, as digests. Deployments of
/// other versions may lack some of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct DeploymentDigest<'a> {
    /// The authorizer settings; a deployment keeps those it was made with.
    pub authorizer: Option<&'a str>,
    /// This stack's gateway responses, if any.
    pub responses: Option<&'a str>,
    /// The status of a Deny, if it is not that of other refusals.
    pub limits: Option<&'a str>,
}

/// The description of a deployment that protects the API.
pub(super) fn description(mark: &str, token: &str, holds: DeploymentDigest<'_>) -> String {
    let mut text = format!("{mark} protects {token}");
    let parts = [
        ("authorizer", holds.authorizer),
        ("responses", holds.responses),
        ("limits", holds.limits),
    ];
    for (name, part) in parts {
        if let Some(part) = part {
            text.push_str(&format!(" {name} {part}"));
        }
    }
    text
}

/// The contents of a deployment made by the stack with this `mark`; `None` if another owner made
/// it.
pub(super) fn protects<'a>(description: &'a str, mark: &str) -> Option<DeploymentDigest<'a>> {
    let rest = description.strip_prefix(mark)?.strip_prefix(" protects ")?;
    let words: Vec<_> = rest.split(' ').collect();
    let behind = |name: &str| {
        let at = words.iter().position(|word| *word == name)?;
        words.get(at + 1).copied()
    };
    Some(DeploymentDigest {
        authorizer: behind("authorizer"),
        responses: behind("responses"),
        limits: behind("limits"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_tells_whose_it_is_and_what_it_holds() {
        const MARK: &str = "threescale-gw-orders";
        for authorizer in [None, Some("11223344")] {
            for responses in [None, Some("0a1b2c3d")] {
                for limits in [None, Some("429")] {
                    let holds = DeploymentDigest {
                        authorizer,
                        responses,
                        limits,
                    };
                    let text = description(MARK, "abc", holds);
                    assert_eq!(protects(&text, MARK), Some(holds), "{text}");
                }
            }
        }
        for others in [
            "threescale-gw-orders restored",
            "threescale-gw-orders-2 protects abc",
            "first release",
        ] {
            assert_eq!(protects(others, MARK), None);
        }
    }
}
