//! Decides which action each resource needs and in which order. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::graph;
use super::observe::{Observation, ObservedState};
use crate::action::Action;
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::resource::{
    Change, DynKind, DynResource, Field, Identity, Live, Output, Phase, function,
    nat_instance_listing, parameter, security_group, vpc_endpoint,
};

/// The field that shows that a resource failed permanently.
const STATE: Field = Field::Property("state");

/// The action for one resource, and the reason.
#[derive(Debug, Clone)]
pub struct Item {
    pub id: LogicalId,
    pub action: Action,
    pub physical_id: Option<String>,
    /// The phase in which the resource was observed.
    pub phase: Option<Phase>,
    pub changes: Vec<Change>,
    /// The outputs of the actual resource, for reports.
    pub output: Output,
}

/// The work of a step.
#[derive(Clone)]
#[expect(
    missing_debug_implementations,
    reason = "a node is known by its id, which the step shows"
)]
pub enum Operation {
    /// Create or update the resource until it matches the desired state.
    Converge(Arc<dyn DynResource>),
    /// Detach the resource from what will be replaced.
    Detach(Arc<dyn DynResource>),
    /// Take out of this resource, or by means of it, what would be lost.
    Empty(&'static dyn DynKind, Arc<Live>),
    /// Delete this resource.
    Delete(&'static dyn DynKind, Arc<Live>),
    /// Delete all resources of a kind that the service leaves behind, and wait until none exist.
    Drain(&'static dyn DynKind),
}

/// One node of the dependency graph.
#[derive(Clone)]
pub struct Step {
    pub id: LogicalId,
    pub action: Action,
    pub work: Operation,
    /// Indices of the steps that must finish first.
    pub needs: BTreeSet<usize>,
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} after {:?}",
            self.action.as_str(),
            self.id,
            self.needs
        )
    }
}

/// All items and steps of a run.
#[derive(Debug, Default)]
pub struct Plan {
    pub items: Vec<Item>,
    pub steps: Vec<Step>,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether a resource of one of these kinds changes.
    pub fn changes(&self, kinds: &[Kind]) -> bool {
        let mut items = self.items.iter();
        items.any(|item| item.action != Action::None && kinds.contains(&item.id.kind))
    }

    /// The number of resources with this action.
    pub fn count(&self, action: Action) -> usize {
        self.items
            .iter()
            .filter(|item| item.action == action)
            .count()
    }

    /// Checks that the steps have no dependency cycle.
    ///
    /// # Errors
    /// Names the steps of a cycle, which is a bug.
    pub fn check(&self) -> Result<(), String> {
        let label = |index: usize| {
            let step = &self.steps[index];
            format!("{index} {} {}", step.action.as_str(), step.id)
        };
        let needs = (0..self.steps.len())
            .map(|index| {
                (
                    label(index),
                    self.steps[index]
                        .needs
                        .iter()
                        .map(|need| label(*need))
                        .collect(),
                )
            })
            .collect();
        graph::order(&needs).map(|_| ())
    }

    /// Keeps only the items and steps for which `is_kept` returns true.
    pub fn retain(&mut self, is_kept: impl Fn(&LogicalId, Action) -> bool) {
        self.items.retain(|item| is_kept(&item.id, item.action));
        let steps = std::mem::take(&mut self.steps);
        let (mut kept, mut moved) = (Vec::new(), BTreeMap::new());
        for (index, step) in steps.into_iter().enumerate() {
            if is_kept(&step.id, step.action) {
                moved.insert(index, kept.len());
                kept.push(step);
            }
        }
        for step in &mut kept {
            let needs = step.needs.iter();
            step.needs = needs.filter_map(|need| moved.get(need).copied()).collect();
        }
        self.steps = kept;
    }

    /// The actions by resource: two plans with equal outlines do the same.
    pub fn outline(&self) -> Vec<(LogicalId, Action)> {
        self.items
            .iter()
            .filter(|item| item.action != Action::None)
            .map(|item| (item.id.clone(), item.action))
            .collect()
    }
}

/// Decides the action for one desired resource.
pub fn decide(seen: Option<&ObservedState>) -> Action {
    let Some(seen) = seen else {
        return Action::Create;
    };
    match &seen.phase {
        Phase::Deleting(_) => Action::Create,
        Phase::Failed(_) => Action::Replace,
        _ if seen.diff.replace => Action::Replace,
        Phase::Pending(_) | Phase::Unknown(_) if seen.diff.is_same() => Action::Wait,
        _ if seen.diff.is_same() => Action::None,
        _ => Action::Update,
    }
}

/// Creates the plan. Resources that the stack owns but the configuration does not name are deleted
/// after all others are in the desired state; `down` is the plan of an empty stack.
pub fn plan(observation: Observation) -> Plan {
    let Observation {
        nodes,
        found,
        left_behind,
        ..
    } = observation;
    let actions: Vec<_> = nodes
        .iter()
        .map(|(_, seen)| decide(seen.as_ref()))
        .collect();
    let ids_of = |is_meant: fn(Action) -> bool| -> BTreeSet<LogicalId> {
        let meant = nodes.iter().zip(&actions);
        meant
            .filter(|(_, action)| is_meant(**action))
            .map(|((node, _), _)| node.id())
            .collect()
    };
    let (desired, replaced) = (ids_of(|_| true), ids_of(|action| action == Action::Replace));

    let mut plan = Plan::default();
    for ((node, seen), action) in nodes.iter().zip(&actions) {
        plan.items.push(item(node.id(), *action, seen.as_ref()));
    }
    let mut steps = desired_steps(&nodes, &actions);
    let converging = steps.len();
    detach_steps(&mut steps, &replaced);
    let found: Vec<_> = found
        .into_iter()
        .map(|(kind, found)| (kind, Arc::new(found)))
        .collect();
    // What is deleted before the changes: what is replaced, and then also what is not desired. A network that the functions
    // leave for another one stays until they use that one, unless a replaced network makes them leave both.
    let stays_in_use = steps.len() == converging;
    // A former way out stays until the new one is used, unless the subnets around it change.
    let are_subnets_kept = {
        let mut found = found.iter().map(|(_, found)| &found.identity.id);
        let is_place = |id: &LogicalId| matches!(id.kind, Kind::Vpc | Kind::Subnet);
        !found.any(|id| is_place(id) && (replaced.contains(id) || !desired.contains(id)))
    };
    let is_early = |id: &LogicalId| {
        let stays = is_key_record(id)
            || (stays_in_use && is_left(id, &desired))
            || (are_subnets_kept && is_way_out(id));
        replaced.contains(id) || (!desired.contains(id) && !replaced.is_empty() && !stays)
    };
    // `down` deletes the reporter last of what delivers the counted usage.
    let reporter = found.iter().find(|(_, found)| {
        let Identity { id, phase, .. } = &found.identity;
        let is_reporter = id.kind == Kind::FunctionAlias && id.name == function::NAMES[1];
        nodes.is_empty() && is_reporter && *phase == Phase::Ready
    });
    let reporter = reporter.cloned();
    // What goes last is empty by then, because the reporter has moved to another cache.
    let early = found
        .iter()
        .filter(|(_, found)| is_early(&found.identity.id));
    empty_steps(&mut steps, early, converging);
    let first_deletion = steps.len();
    let mut late = BTreeSet::new();
    for (kind, found) in found {
        let id = &found.identity.id;
        let (is_orphan, is_early) = (!desired.contains(id), is_early(id));
        if is_orphan {
            plan.items.push(deleted_item(&found));
        }
        if is_orphan || is_early {
            if !is_early {
                late.insert(steps.len());
            }
            let deletion = Operation::Delete(kind, found);
            delete_step(&mut steps, deletion, converging..first_deletion, is_early);
        }
    }
    if let Some(kind) = left_behind {
        drain_step(&mut steps, kind, first_deletion, nodes.is_empty());
    }
    order_deletions(&mut steps[first_deletion..], first_deletion, &late);
    if let Some((kind, found)) = reporter {
        deliver_step(&mut steps, kind, found);
    }
    plan.items
        .sort_by(|a, b| (a.id.kind, &a.id.name).cmp(&(b.id.kind, &b.id.name)));
    plan.steps = steps;
    plan
}

/// Whether this is the record of the operator's KMS key, which stays as long as a function or a secret may have the key: an
/// interrupted run would leave the key there for good.
fn is_key_record(id: &LogicalId) -> bool {
    id.kind == Kind::Parameter && id.name == parameter::KMS_KEY
}

/// Whether the resource is a part of the way out of a network, or of the way to the Parameter Store.
fn is_way_out(id: &LogicalId) -> bool {
    match id.kind {
        Kind::NatGateway
        | Kind::NatInstance
        | Kind::ElasticIp
        | Kind::RouteTable
        | Kind::VpcEndpoint => true,
        Kind::SecurityGroup => {
            [nat_instance_listing::GROUP_NAME, vpc_endpoint::GROUP_NAME].contains(&&*id.name)
        }
        _ => false,
    }
}

/// Whether the resource belongs to a network that the configuration no longer asks for: a former one of the operator, or
/// the stack's own if none is desired.
fn is_left(id: &LogicalId, desired: &BTreeSet<LogicalId>) -> bool {
    let has_vpc = desired.iter().any(|desired| desired.kind == Kind::Vpc);
    let is_of_network = id.kind.is_network()
        || matches!(
            id.kind,
            Kind::NatGateway
                | Kind::NatInstance
                | Kind::ElasticIp
                | Kind::VpcEndpoint
                | Kind::RouteAssociation
        );
    id.is_former()
        || is_left_group(id)
        || is_group_of_cache(id)
        || (is_of_network && (!has_vpc || id.is_in_own_vpc()))
}

/// Whether the functions leave this security group, which the plan deletes: they leave the network, or they get groups of the
/// operator.
fn is_left_group(id: &LogicalId) -> bool {
    id.kind == Kind::SecurityGroup && (id.is_former() || id.name == security_group::AUTHORIZER)
}

/// Whether a cache has this security group, which the plan deletes: the functions get a cache of another kind, or none.
fn is_group_of_cache(id: &LogicalId) -> bool {
    let of_caches = [security_group::CACHE, security_group::SERVERLESS_CACHE];
    id.kind == Kind::SecurityGroup && of_caches.contains(&&*id.name)
}

/// Creates one step for each desired resource that needs an action, after the steps of its needs.
fn desired_steps(
    nodes: &[(Arc<dyn DynResource>, Option<ObservedState>)],
    actions: &[Action],
) -> Vec<Step> {
    let changed = nodes.iter().zip(actions);
    let changed: Vec<_> = changed
        .filter(|(_, action)| **action != Action::None)
        .map(|((node, _), action)| (node, *action))
        .collect();
    changed
        .iter()
        .map(|(node, action)| {
            let needs = node.needs();
            let before = changed
                .iter()
                .enumerate()
                .filter(|(_, (other, _))| needs.contains(&other.id()))
                .map(|(index, _)| index);
            Step {
                id: node.id(),
                action: *action,
                needs: before.collect(),
                work: Operation::Converge(Arc::clone(node)),
            }
        })
        .collect()
}

/// A resource that is updated and needs a replaced resource is detached from it first.
fn detach_steps(steps: &mut Vec<Step>, replaced: &BTreeSet<LogicalId>) {
    for index in 0..steps.len() {
        let Operation::Converge(node) = steps[index].work.clone() else {
            continue;
        };
        if steps[index].action == Action::Update
            && node.needs().iter().any(|need| replaced.contains(need))
        {
            let detach = steps.len();
            steps[index].needs.insert(detach);
            steps.push(Step {
                id: node.id(),
                action: Action::Update,
                work: Operation::Detach(node),
                needs: BTreeSet::new(),
            });
        }
    }
}

/// Takes out of a resource that is deleted what would be lost with it, before any deletion. The authorizer, which fills it,
/// is detached before, and the reporter, which empties it, only after. `converging` is the number of the steps that converge
/// a resource; all other steps detach one.
fn empty_steps<'a>(
    steps: &mut Vec<Step>,
    deleted: impl Iterator<Item = &'a (&'static dyn DynKind, Arc<Live>)>,
    converging: usize,
) {
    let [fills, empties] = function::NAMES;
    let holding = deleted.filter(|(_, found)| {
        found.identity.id.kind.holds_usage() && found.identity.phase == Phase::Ready
    });
    for (kind, found) in holding {
        let index = steps.len();
        let of = |steps: &[Step], name| -> BTreeSet<usize> {
            let detaching = converging..index;
            detaching
                .filter(|detach| steps[*detach].id.name == name)
                .collect()
        };
        for detach in of(steps, empties) {
            steps[detach].needs.insert(index);
        }
        steps.push(Step {
            id: found.identity.id.clone(),
            action: Action::Delete,
            needs: of(steps, fills),
            work: Operation::Empty(*kind, Arc::clone(found)),
        });
    }
}

/// Delivers the counted usage before anything is deleted that this needs, and after the API does not use the authorizer any
/// more: nothing is counted then.
fn deliver_step(steps: &mut Vec<Step>, kind: &'static dyn DynKind, found: Arc<Live>) {
    let index = steps.len();
    let mut needs = BTreeSet::new();
    for (other, step) in steps.iter_mut().enumerate() {
        match step.id.kind {
            Kind::ApiAttachment => {
                needs.insert(other);
            }
            kind if kind.delivers_no_usage() => {}
            _ => {
                step.needs.insert(index);
            }
        }
    }
    steps.push(Step {
        id: found.identity.id.clone(),
        action: Action::Delete,
        needs,
        work: Operation::Empty(kind, found),
    });
}

/// Adds a step that deletes one resource. `detaching` are the indices of the detach steps; all
/// steps before them converge a resource.
///
/// Resources that are no longer desired are deleted last, so that they remain available until then.
/// If something is replaced, they are deleted first, because the replacement may depend on the
/// deletion or take the place of the deleted resource.
fn delete_step(
    steps: &mut Vec<Step>,
    work: Operation,
    detaching: Range<usize>,
    is_replacing: bool,
) {
    let Operation::Delete(_, found) = &work else {
        return;
    };
    let id = found.identity.id.clone();
    let (converging, deletion) = (detaching.start, steps.len());
    let mut needs = BTreeSet::new();
    if is_replacing {
        let is_made = |step: &Step| matches!(step.action, Action::Create | Action::Replace);
        for step in steps[..converging]
            .iter_mut()
            .filter(|step| step.id.kind == id.kind && is_made(step))
        {
            step.needs.insert(deletion);
        }
        needs.extend(detaching);
    } else {
        let is_gated = |step: &Step| id.kind.deleted_before().contains(&step.id.kind);
        let after = with_dependents(&steps[..converging], is_gated);
        for (index, step) in steps[..converging].iter_mut().enumerate() {
            if is_gated(step) {
                step.needs.insert(deletion);
            } else if !after.contains(&index) {
                needs.insert(index);
            }
        }
    }
    steps.push(Step {
        id,
        action: Action::Delete,
        work,
        needs,
    });
}

/// Returns the steps for which `is_meant` is true and all steps that need them, directly or
/// indirectly.
fn with_dependents(steps: &[Step], is_meant: impl Fn(&Step) -> bool) -> BTreeSet<usize> {
    let indices = 0..steps.len();
    let mut found: BTreeSet<_> = indices
        .clone()
        .filter(|index| is_meant(&steps[*index]))
        .collect();
    loop {
        let more: Vec<_> = indices
            .clone()
            .filter(|index| !found.contains(index) && !steps[*index].needs.is_disjoint(&found))
            .collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

/// Adds a step that deletes the resources of `kind` that the service leaves behind, if other
/// deletions depend on it.
fn drain_step(
    steps: &mut Vec<Step>,
    kind: &'static dyn DynKind,
    first_deletion: usize,
    is_empty_stack: bool,
) {
    let left = kind.kind();
    let leaves = |step: &Step| {
        matches!(step.work, Operation::Detach(_))
            || (step.id.kind.leaves_behind() == Some(left) && step.action == Action::Delete)
    };
    // The functions leave the network, or the stack's security group, when their aliases move to other versions.
    let is_left = |step: &Step| is_left_group(&step.id);
    let moves = steps[first_deletion..].iter().any(is_left) && !steps.iter().any(leaves);
    let leaves = |step: &Step| leaves(step) || (moves && step.id.kind == Kind::FunctionAlias);
    let blocks = steps[first_deletion..]
        .iter()
        .any(|step| step.id.kind.deleted_after().contains(&left));
    if !blocks || !(is_empty_stack || moves || steps.iter().any(leaves)) {
        return;
    }
    let needs = (0..steps.len())
        .filter(|index| leaves(&steps[*index]))
        .collect();
    let by = Kind::ALL
        .into_iter()
        .find(|kind| kind.leaves_behind() == Some(left));
    steps.push(Step {
        id: LogicalId::new(left, by.map_or("all", Kind::as_str)),
        action: Action::Delete,
        work: Operation::Drain(kind),
        needs,
    });
}

/// Orders deletions by kind. `first` is the index of the first deletion among all steps. `late` are those that come after
/// the changes: no other deletion waits for them.
fn order_deletions(deletions: &mut [Step], first: usize, late: &BTreeSet<usize>) {
    let kinds: Vec<_> = deletions.iter().map(|step| step.id.kind).collect();
    for (index, step) in deletions.iter_mut().enumerate() {
        let before = step.id.kind.deleted_after();
        let is_late = late.contains(&(first + index));
        let needs = kinds.iter().enumerate();
        let needs = needs.filter(|(other, kind)| {
            before.contains(kind) && (is_late || !late.contains(&(first + other)))
        });
        step.needs.extend(needs.map(|(index, _)| first + index));
    }
}

fn deleted_item(found: &Live) -> Item {
    let output = found.identity.output.clone();
    Item {
        id: found.identity.id.clone(),
        action: Action::Delete,
        physical_id: Some(output.physical_id.clone()),
        phase: Some(found.identity.phase.clone()),
        changes: Vec::new(),
        output,
    }
}

fn item(id: LogicalId, action: Action, seen: Option<&ObservedState>) -> Item {
    let mut changes = seen
        .map(|seen| seen.diff.changes.clone())
        .unwrap_or_default();
    let from = match seen.map(|seen| &seen.phase) {
        Some(Phase::Failed(why)) => Some(format!("failed ({why})")),
        Some(Phase::Unknown(state) | Phase::Blocked { state, .. }) => Some(state.clone()),
        _ => None,
    };
    if let Some(from) = from {
        changes.insert(0, Change::new(STATE, &from, &"available"));
    }
    let output = seen.map(|seen| seen.output.clone()).unwrap_or_default();
    Item {
        id,
        action,
        physical_id: (!output.physical_id.is_empty()).then(|| output.physical_id.clone()),
        phase: seen.map(|seen| seen.phase.clone()),
        changes,
        output,
    }
}

#[cfg(test)]
mod tests;
