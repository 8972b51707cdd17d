//! Lists all kinds in the account concurrently and compares each desired resource with its actual
//! state.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::try_join_all;

use super::graph;
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::resource::{
    Context, Diff, DynKind, DynResource, Live, Output, Phase, ResourceError, Unmanaged, dyn_kinds,
};

/// The actual state of a desired resource.
#[derive(Debug, Clone)]
pub struct ObservedState {
    pub phase: Phase,
    pub output: Output,
    pub diff: Diff,
}

/// The state of the account at one point in time.
#[derive(Default)]
pub struct Observation {
    /// Every desired resource in dependency order, with its actual state if it exists.
    pub nodes: Vec<(Arc<dyn DynResource>, Option<ObservedState>)>,
    /// Every resource that the stack owns, desired or not.
    pub found: Vec<(&'static dyn DynKind, Live)>,
    /// Resources that have this stack's names but belong to another owner.
    pub unmanaged: Vec<Unmanaged>,
    /// The kind that AWS leaves behind when resources of other kinds are deleted.
    pub left_behind: Option<&'static dyn DynKind>,
}

impl std::fmt::Debug for Observation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observation")
            .field("found", &self.found.len())
            .finish_non_exhaustive()
    }
}

/// Observes the account. Publishes the outputs of resources that exist and are kept.
///
/// # Errors
/// When a listing fails, or two resources have the same logical id.
pub async fn observe(
    nodes: &[Arc<dyn DynResource>],
    cx: &Context,
) -> Result<Observation, (LogicalId, ResourceError)> {
    let listings = dyn_kinds()
        .into_iter()
        .filter(|kind| !kind.kind().is_left_behind())
        .map(|kind| async move {
            match kind.list(cx).await {
                Ok((found, unmanaged)) => Ok((kind, found, unmanaged)),
                Err(error) => Err((LogicalId::new(kind.kind(), "*"), error)),
            }
        });
    let mut observation = Observation {
        left_behind: dyn_kinds()
            .into_iter()
            .find(|kind| kind.kind().is_left_behind()),
        ..Observation::default()
    };
    for (kind, found, unmanaged) in try_join_all(listings).await? {
        observation
            .found
            .extend(found.into_iter().map(|found| (kind, found)));
        observation.unmanaged.extend(unmanaged);
    }
    let needs: BTreeMap<_, _> = nodes.iter().map(|node| (node.id(), node.needs())).collect();
    let order = graph::order(&needs).map_err(|cycle| {
        (
            nodes
                .first()
                .map_or_else(|| LogicalId::new(Kind::ALL[0], "*"), |node| node.id()),
            ResourceError::Bug(format!("the resources need each other: {cycle}")),
        )
    })?;
    for id in order {
        let Some(node) = nodes.iter().find(|node| node.id() == id) else {
            continue;
        };
        // A resource of another owner is reported as such, not as a failed observation.
        let seen = if observation
            .unmanaged
            .iter()
            .any(|unmanaged| unmanaged.id == id)
        {
            None
        } else {
            node.look(cx)
                .await
                .map_err(|error| (id.clone(), error))?
                .map(|look| ObservedState {
                    phase: look.found.identity.phase.clone(),
                    output: look.found.identity.output.clone(),
                    diff: look.diff,
                })
        };
        match &seen {
            Some(seen)
                if !seen.diff.replace
                    && !matches!(seen.phase, Phase::Failed(_) | Phase::Deleting(_)) =>
            {
                cx.set_output(&id, seen.output.clone());
            }
            _ => cx.forget_output(&id),
        }
        observation.nodes.push((Arc::clone(node), seen));
    }
    disown(&mut observation, cx).await?;
    Ok(observation)
}

/// Removes resources from the plan that would be changed or deleted but belong to another owner.
async fn disown(
    observation: &mut Observation,
    cx: &Context,
) -> Result<(), (LogicalId, ResourceError)> {
    let stays = |id: &LogicalId| {
        observation.nodes.iter().any(|(node, seen)| {
            node.id() == *id && seen.as_ref().is_some_and(|seen| seen.diff.is_same())
        })
    };
    let asked = observation
        .found
        .iter()
        .filter(|(_, found)| !stays(&found.identity.id))
        .map(|(kind, found)| async move {
            let unmanaged = kind.unmanaged(cx, found).await;
            unmanaged.map_err(|error| (found.identity.id.clone(), error))
        });
    let unmanaged: Vec<_> = try_join_all(asked).await?.into_iter().flatten().collect();
    for unmanaged in unmanaged {
        let id = &unmanaged.id;
        observation
            .found
            .retain(|(_, found)| found.identity.id != *id);
        let of = observation.nodes.iter_mut();
        for (_, seen) in of.filter(|(node, _)| node.id() == *id) {
            *seen = None;
        }
        cx.forget_output(id);
        observation.unmanaged.push(unmanaged);
    }
    Ok(())
}
