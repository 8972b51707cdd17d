//! Decides, without any effect, what is done with each resource and what must come before what.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::graph;
use super::observe::{Observation, Seen};
use crate::action::Action;
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::resource::{AnyKind, Change, Field, Found, Node, Output, Phase, any_kinds};

/// That a resource failed for good.
const STATE: Field = Field::Property("state");

/// What is done with one resource, and why.
#[derive(Debug, Clone)]
pub struct Item {
    pub id: LogicalId,
    pub action: Action,
    pub physical_id: Option<String>,
    /// The phase it was seen in.
    pub phase: Option<Phase>,
    pub changes: Vec<Change>,
    /// What stands for it, for reports.
    pub output: Output,
}

/// The work of a step.
#[derive(Clone)]
#[allow(
    missing_debug_implementations,
    reason = "a node is known by its id, which the step shows"
)]
pub enum Work {
    /// Bring it to what it should be.
    Converge(Arc<dyn Node>),
    /// Let go of what is about to be replaced.
    Release(Arc<dyn Node>),
    /// Delete this very thing.
    Delete(&'static dyn AnyKind, Arc<Found>),
    /// Delete everything of a kind that the service leaves behind, and wait until none is left.
    Drain(&'static dyn AnyKind),
}

/// One node of the walk.
#[derive(Clone)]
pub struct Step {
    pub id: LogicalId,
    pub action: Action,
    pub work: Work,
    /// Indices of the steps that come before.
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

/// All that is to be done.
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

    /// How many resources have this action.
    pub fn count(&self, action: Action) -> usize {
        self.items
            .iter()
            .filter(|item| item.action == action)
            .count()
    }

    /// Whether every step can come to its turn.
    ///
    /// # Errors
    /// Names the steps that need each other, which is a bug.
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

    /// Leaves only what `is_kept` says of a resource and what is done with it.
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

    /// What is done with what: two plans that agree in this do the same.
    pub fn outline(&self) -> Vec<(LogicalId, Action)> {
        self.items
            .iter()
            .filter(|item| item.action != Action::None)
            .map(|item| (item.id.clone(), item.action))
            .collect()
    }
}

/// Decides the action for one desired resource.
pub fn decide(seen: Option<&Seen>) -> Action {
    let Some(seen) = seen else {
        return Action::Create;
    };
    match &seen.phase {
        Phase::Deleting(_) => Action::Create,
        Phase::Failed(_) => Action::Replace,
        _ if seen.diff.replace => Action::Replace,
        Phase::Pending(_) if seen.diff.is_same() => Action::Wait,
        _ if seen.diff.is_same() => Action::None,
        _ => Action::Update,
    }
}

/// Decides everything. What is the stack's and not desired is deleted, after the rest is as it should be; `down` is the
/// plan of an empty stack.
pub fn plan(observation: Observation) -> Plan {
    let mut plan = Plan::default();
    let mut steps: Vec<Step> = Vec::new();
    let desired: BTreeSet<_> = observation
        .nodes
        .iter()
        .map(|(node, _)| node.id())
        .collect();
    let actions: Vec<_> = observation
        .nodes
        .iter()
        .map(|(_, seen)| decide(seen.as_ref()))
        .collect();
    let replaced: BTreeSet<_> = observation
        .nodes
        .iter()
        .zip(&actions)
        .filter(|(_, action)| **action == Action::Replace)
        .map(|((node, _), _)| node.id())
        .collect();

    for ((node, seen), action) in observation.nodes.iter().zip(&actions) {
        plan.items.push(item(node.id(), *action, seen.as_ref()));
        if *action != Action::None {
            steps.push(Step {
                id: node.id(),
                action: *action,
                work: Work::Converge(Arc::clone(node)),
                needs: BTreeSet::new(),
            });
        }
    }
    let converging = steps.len();
    for index in 0..converging {
        let Work::Converge(node) = &steps[index].work else {
            continue;
        };
        let needs = node.needs();
        let needs = (0..converging)
            .filter(|other| needs.contains(&steps[*other].id))
            .collect();
        steps[index].needs = needs;
    }

    // What stays but hangs on something that is replaced lets go of it first.
    for index in 0..converging {
        let Work::Converge(node) = steps[index].work.clone() else {
            continue;
        };
        if steps[index].action == Action::Update
            && node.needs().iter().any(|need| replaced.contains(need))
        {
            let release = steps.len();
            steps[index].needs.insert(release);
            steps.push(Step {
                id: node.id(),
                action: Action::Update,
                work: Work::Release(node),
                needs: BTreeSet::new(),
            });
        }
    }

    let first_deletion = steps.len();
    for (kind, found) in observation.found {
        let id = found.identity.id.clone();
        let orphan = !desired.contains(&id);
        if !orphan && !replaced.contains(&id) {
            continue;
        }
        // What is no longer desired goes last, so that nothing is missed meanwhile. Not so when something is replaced: then
        // it may hang on that, or stand where the new is to be, so both go before the new is made.
        let early = !replaced.is_empty();
        let mut needs = BTreeSet::new();
        if early {
            let deletion = steps.len();
            let made = |step: &Step| matches!(step.action, Action::Create | Action::Replace);
            for step in steps[..converging]
                .iter_mut()
                .filter(|step| step.id.kind == id.kind && made(step))
            {
                step.needs.insert(deletion);
            }
            needs.extend(converging..first_deletion);
        } else if [Kind::Secret, Kind::Parameter].contains(&id.kind) {
            // The functions read whatever is there: a cache's former address misleads the authorizer, which has to prove
            // itself before the API is touched.
            let deletion = steps.len();
            for (index, step) in steps[..converging].iter_mut().enumerate() {
                match step.id.kind {
                    Kind::ApiAuthorizer | Kind::ApiAttachment => {
                        step.needs.insert(deletion);
                    }
                    Kind::FunctionPermission | Kind::Schedule => {}
                    _ => {
                        needs.insert(index);
                    }
                }
            }
        } else {
            needs.extend(0..converging);
        }
        if orphan {
            let output = found.identity.output.clone();
            plan.items.push(Item {
                id: id.clone(),
                action: Action::Delete,
                physical_id: Some(output.physical_id.clone()),
                phase: Some(found.identity.phase.clone()),
                changes: Vec::new(),
                output,
            });
        }
        steps.push(Step {
            id,
            action: Action::Delete,
            work: Work::Delete(kind, Arc::new(found)),
            needs,
        });
    }

    // Functions leave interfaces behind, and what these hang on cannot go before them.
    let leaves = |step: &Step| {
        matches!(step.work, Work::Release(_))
            || step.id.kind == Kind::Function && step.action == Action::Delete
    };
    let held = [Kind::SecurityGroup, Kind::Subnet, Kind::IamRole];
    let blocks = steps[first_deletion..]
        .iter()
        .any(|step| held.contains(&step.id.kind));
    let drain = blocks && (steps.iter().any(leaves) || observation.nodes.is_empty());
    let interfaces = any_kinds()
        .into_iter()
        .find(|kind| kind.kind() == Kind::NetworkInterface);
    if let Some(kind) = interfaces.filter(|_| drain) {
        let needs = (0..steps.len())
            .filter(|index| leaves(&steps[*index]))
            .collect();
        steps.push(Step {
            id: LogicalId::new(Kind::NetworkInterface, "lambda"),
            action: Action::Delete,
            work: Work::Drain(kind),
            needs,
        });
    }
    for index in first_deletion..steps.len() {
        let before = steps[index].id.kind.goes_after();
        let needs: Vec<_> = (first_deletion..steps.len())
            .filter(|other| before.contains(&steps[*other].id.kind))
            .collect();
        steps[index].needs.extend(needs);
    }
    plan.items
        .sort_by(|a, b| (a.id.kind, &a.id.name).cmp(&(b.id.kind, &b.id.name)));
    plan.steps = steps;
    plan
}

fn item(id: LogicalId, action: Action, seen: Option<&Seen>) -> Item {
    let mut changes = seen
        .map(|seen| seen.diff.changes.clone())
        .unwrap_or_default();
    if let Some(Phase::Failed(why)) = seen.map(|seen| &seen.phase) {
        changes.insert(
            0,
            Change {
                field: STATE,
                from: format!("failed ({why})"),
                to: "available".to_owned(),
            },
        );
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
mod tests {
    use futures::future::BoxFuture;

    use super::*;
    use crate::resource::ResourceError;
    use crate::resource::{Cx, Diff, Identity, Look};

    fn seen(phase: Phase, changed: bool, replace: bool) -> Seen {
        let mut diff = Diff {
            replace,
            ..Diff::default()
        };
        if changed {
            diff.field(Field::Property("a"), 1, 2);
        }
        Seen {
            phase,
            output: Output::default(),
            diff,
        }
    }

    /// A desired resource of any kind.
    struct Desired(LogicalId, Vec<LogicalId>);

    impl Node for Desired {
        fn id(&self) -> LogicalId {
            self.0.clone()
        }
        fn needs(&self) -> Vec<LogicalId> {
            self.1.clone()
        }
        fn kind(&self) -> &'static dyn AnyKind {
            kind(self.0.kind)
        }
        fn look<'a>(&'a self, _: &'a Cx) -> BoxFuture<'a, Result<Option<Look>, ResourceError>> {
            Box::pin(async { Ok(None) })
        }
        fn prepare<'a>(
            &'a self,
            _: &'a Cx,
            _: Option<&'a Look>,
        ) -> BoxFuture<'a, Result<(), ResourceError>> {
            Box::pin(async { Ok(()) })
        }

        fn create<'a>(&'a self, _: &'a Cx) -> BoxFuture<'a, Result<(), ResourceError>> {
            Box::pin(async { Ok(()) })
        }
        fn update<'a>(
            &'a self,
            _: &'a Cx,
            _: &'a Look,
        ) -> BoxFuture<'a, Result<(), ResourceError>> {
            Box::pin(async { Ok(()) })
        }
        fn release<'a>(
            &'a self,
            _: &'a Cx,
            _: &'a Look,
        ) -> BoxFuture<'a, Result<bool, ResourceError>> {
            Box::pin(async { Ok(false) })
        }
    }

    fn kind(kind: Kind) -> &'static dyn AnyKind {
        any_kinds()
            .into_iter()
            .find(|any| any.kind() == kind)
            .expect("every kind is there")
    }

    /// A small stack: `old` is what the account has, `new` what is desired of it and what of that is replaced.
    fn planned(old: &[&str], new: &[(&str, &[&str], bool)]) -> Plan {
        let id = |text: &str| text.parse::<LogicalId>().expect("a logical id");
        let mut observation = Observation::default();
        for text in old {
            let identity = Identity {
                id: id(text),
                phase: Phase::Ready,
                output: Output::default(),
            };
            observation
                .found
                .push((kind(id(text).kind), Found::of(identity)));
        }
        for (text, needs, replace) in new {
            let node = Desired(id(text), needs.iter().map(|need| id(need)).collect());
            let there = old
                .contains(text)
                .then(|| seen(Phase::Ready, true, *replace));
            observation.nodes.push((Arc::new(node), there));
        }
        plan(observation)
    }

    fn position(plan: &Plan, text: &str, deletes: bool) -> usize {
        let is_it = |step: &Step| {
            step.id.to_string() == text && matches!(step.work, Work::Delete(..)) == deletes
        };
        plan.steps
            .iter()
            .position(is_it)
            .unwrap_or_else(|| panic!("{text} in {plan:?}"))
    }

    #[test]
    fn what_is_not_desired_goes_after_all_that_is() {
        let plan = planned(
            &["nat-gateway/a", "nat-gateway/b", "route-table/private"],
            &[
                ("nat-gateway/a", &[], false),
                ("route-table/private", &["nat-gateway/a"], false),
            ],
        );
        plan.check().expect("no cycle");
        let orphan = &plan.steps[position(&plan, "nat-gateway/b", true)];
        assert!(
            orphan
                .needs
                .contains(&position(&plan, "route-table/private", false))
        );
    }

    #[test]
    fn what_would_mislead_the_authorizer_goes_before_it_proves_itself() {
        let plan = planned(
            &["secret/cache-url", "lambda/authorizer"],
            &[
                ("parameter/cache-endpoint", &[], false),
                ("lambda/authorizer", &[], false),
                ("api-authorizer/main", &["lambda/authorizer"], false),
                ("lambda-permission/api", &["api-authorizer/main"], false),
            ],
        );
        plan.check().expect("no cycle");
        let secret = position(&plan, "secret/cache-url", true);
        let endpoint = position(&plan, "parameter/cache-endpoint", false);
        assert!(plan.steps[secret].needs.contains(&endpoint));
        let authorizer = position(&plan, "api-authorizer/main", false);
        assert!(plan.steps[authorizer].needs.contains(&secret));
    }

    #[test]
    fn what_is_not_desired_goes_first_where_something_is_replaced() {
        // Found by hand: a new address range together with fewer NAT gateways, fewer zones, another API.
        let plan = planned(
            &[
                "vpc/main",
                "subnet/private-a",
                "subnet/private-c",
                "nat-gateway/b",
                "cache/main",
                "api-attachment/old",
            ],
            &[
                ("vpc/main", &[], true),
                ("subnet/private-a", &["vpc/main"], true),
                ("subnet/private-b", &["vpc/main"], false),
                ("cache/main", &["subnet/private-a"], true),
            ],
        );
        plan.check().expect("no cycle");
        let before = |later: (&str, bool), earlier: &str| {
            let needs = &plan.steps[position(&plan, later.0, later.1)].needs;
            assert!(
                needs.contains(&position(&plan, earlier, true)),
                "{later:?} after {earlier}: {plan:?}"
            );
        };
        before(("vpc/main", true), "subnet/private-c");
        before(("subnet/private-c", true), "nat-gateway/b");
        before(("cache/main", true), "api-attachment/old");
        before(("subnet/private-b", false), "subnet/private-c");
        before(("vpc/main", false), "vpc/main");
    }

    #[test]
    fn the_table_of_decisions() {
        let pending = || Phase::Pending("creating".to_owned());
        assert_eq!(decide(None), Action::Create);
        assert_eq!(
            decide(Some(&seen(Phase::Ready, false, false))),
            Action::None
        );
        assert_eq!(
            decide(Some(&seen(Phase::Ready, true, false))),
            Action::Update
        );
        assert_eq!(
            decide(Some(&seen(Phase::Ready, true, true))),
            Action::Replace
        );
        assert_eq!(decide(Some(&seen(pending(), false, false))), Action::Wait);
        assert_eq!(decide(Some(&seen(pending(), true, false))), Action::Update);
        assert_eq!(
            decide(Some(&seen(Phase::Failed("x".to_owned()), false, false))),
            Action::Replace
        );
        assert_eq!(
            decide(Some(&seen(Phase::Deleting("x".to_owned()), false, false))),
            Action::Create
        );
    }
}
