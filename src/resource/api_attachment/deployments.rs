//! The API's deployments: which of them this stack made, how one is published, and how the stage's
//! former deployment is restored.

use super::actual::Actual;
use super::marker::{is_restored, protects, restores};
use crate::api_gateway::{self, ApiTarget, Deployment, deployments};
use crate::resource::{Context, ResourceError};

/// Whether a deployment was made by a `down --keep-protected` that was interrupted. One that
/// completed leaves such a deployment too, which is then the deployment that the stage had before
/// this stack.
pub(super) fn is_of_closing(actual: &Actual, id: &str, description: &str) -> bool {
    let head = actual.record.head.as_ref().filter(|head| head.closing);
    head.is_some_and(|head| head.previous_deployment.as_deref() != Some(id))
        && description == restores(&actual.marker, true)
}

/// The deployments of others that are in `now` and not in `before`, except `known`. Newest last. Automatic deployments do not
/// count: API Gateway may list one late, and makes none while the stage is frozen. Pure.
fn new_of_others<'a>(
    mark: &str,
    before: &[Deployment],
    now: &'a [Deployment],
    known: &[Option<&str>],
) -> Vec<&'a Deployment> {
    let is_new = |found: &&Deployment| {
        let is_known = known.contains(&Some(found.id.as_str()))
            || before.iter().any(|former| former.id == found.id);
        let is_ours =
            protects(&found.description, mark).is_some() || is_restored(&found.description, mark);
        !is_known && !is_ours && !found.is_automatic
    };
    let mut new: Vec<_> = now.iter().filter(is_new).collect();
    new.sort_by_key(|found| found.created);
    new
}

/// The newest deployment that others made after `before` was listed, and that the stage served until this run moved it. API
/// Gateway has no conditional update, so this shows only after the move. `known` are the deployments between which the stage
/// was moved. A deployment that another stage serves does not count.
///
/// # Errors
/// The errors of the service.
pub(super) async fn replaced(
    cx: &Context,
    target: &ApiTarget,
    mark: &str,
    before: &[Deployment],
    known: &[Option<&str>],
) -> Result<Option<String>, ResourceError> {
    let now = deployments(cx, target.api()).await?;
    let mut new = new_of_others(mark, before, &now, known);
    if new.is_empty() {
        return Ok(None);
    }
    let stages = api_gateway::stages(cx.aws(), target.api()).await?;
    let is_elsewhere = |id: &str| {
        let mut stages = stages.iter();
        stages.any(|stage| stage.name != target.stage && stage.deployment.as_deref() == Some(id))
    };
    new.retain(|found| !is_elsewhere(&found.id));
    Ok(new.last().map(|found| found.id.clone()))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn only_new_deployments_of_others_count() {
        const MARK: &str = "threescale-gw-orders";
        let made = |id: &str, description: &str, second| Deployment {
            id: id.to_owned(),
            description: description.to_owned(),
            created: Timestamp::from_second(second).ok(),
            is_automatic: description.starts_with("Automatic"),
        };
        let before = [made("a", "theirs", 1)];
        let now = [
            made("a", "theirs", 1),
            made("d", "theirs", 5),
            made("b", "theirs", 2),
            made("c", "theirs", 4),
            made("e", "threescale-gw-orders protects 1", 6),
            made("f", "threescale-gw-orders restored", 6),
            made("g", "threescale-gw-orders-2 protects 1", 3),
            made(
                "h",
                "Automatic deployment triggered by changes to the Api configuration",
                7,
            ),
        ];
        let new = new_of_others(MARK, &before, &now, &[Some("b"), None]);
        let ids: Vec<_> = new.iter().map(|found| found.id.as_str()).collect();
        assert_eq!(ids, ["g", "c", "d"]);
        assert!(new_of_others(MARK, &now, &now, &[]).is_empty());
    }
}
