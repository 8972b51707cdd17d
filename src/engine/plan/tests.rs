use futures::future::BoxFuture;

use super::*;
use crate::resource::{Context, Diff, Identity, Observed, ResourceError, dyn_kinds};

fn seen(phase: Phase, changed: bool, replace: bool) -> ObservedState {
    let mut diff = Diff {
        replace,
        ..Diff::default()
    };
    if changed {
        diff.field(Field::Property("a"), 1, 2);
    }
    ObservedState {
        phase,
        output: Output::default(),
        diff,
    }
}

/// A desired resource of any kind.
struct Desired(LogicalId, Vec<LogicalId>);

impl DynResource for Desired {
    fn id(&self) -> LogicalId {
        self.0.clone()
    }
    fn needs(&self) -> Vec<LogicalId> {
        self.1.clone()
    }
    fn kind(&self) -> &'static dyn DynKind {
        kind(self.0.kind)
    }
    fn look<'a>(
        &'a self,
        _: &'a Context,
    ) -> BoxFuture<'a, Result<Option<Observed>, ResourceError>> {
        Box::pin(async { Ok(None) })
    }
    fn prepare<'a>(
        &'a self,
        _: &'a Context,
        _: Option<&'a Observed>,
    ) -> BoxFuture<'a, Result<(), ResourceError>> {
        Box::pin(async { Ok(()) })
    }

    fn create<'a>(&'a self, _: &'a Context) -> BoxFuture<'a, Result<(), ResourceError>> {
        Box::pin(async { Ok(()) })
    }
    fn update<'a>(
        &'a self,
        _: &'a Context,
        _: &'a Observed,
    ) -> BoxFuture<'a, Result<(), ResourceError>> {
        Box::pin(async { Ok(()) })
    }
    fn detach<'a>(
        &'a self,
        _: &'a Context,
        _: &'a Observed,
    ) -> BoxFuture<'a, Result<bool, ResourceError>> {
        Box::pin(async { Ok(false) })
    }
}

fn kind(kind: Kind) -> &'static dyn DynKind {
    dyn_kinds()
        .into_iter()
        .find(|any| any.kind() == kind)
        .expect("every kind is there")
}

/// A small stack: `old` is what exists in the account, `new` is what is desired and which of it is
/// replaced.
fn planned(old: &[&str], new: &[(&str, &[&str], bool)]) -> Plan {
    let id = |text: &str| text.parse::<LogicalId>().expect("a logical id");
    let mut observation = Observation {
        left_behind: Some(kind(Kind::NetworkInterface)),
        ..Observation::default()
    };
    for text in old {
        let identity = Identity {
            id: id(text),
            phase: Phase::Ready,
            output: Output::default(),
        };
        observation
            .found
            .push((kind(id(text).kind), Live::of(identity)));
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
        step.id.to_string() == text && matches!(step.work, Operation::Delete(..)) == deletes
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
fn what_aws_leaves_behind_is_drained_where_it_blocks_a_deletion() {
    let drain = |plan: &Plan| {
        let mut steps = plan.steps.iter();
        steps.position(|step| matches!(step.work, Operation::Drain(_)))
    };
    let blocked = planned(&["lambda/authorizer", "subnet/private-a"], &[]);
    let at = drain(&blocked).expect("a drain");
    let function = position(&blocked, "lambda/authorizer", true);
    assert!(blocked.steps[at].needs.contains(&function));
    let subnet = &blocked.steps[position(&blocked, "subnet/private-a", true)];
    assert!(subnet.needs.contains(&at));
    assert_eq!(
        drain(&planned(&["lambda/authorizer", "log-group/x"], &[])),
        None
    );
    let kept: &[(&str, &[&str], bool)] = &[("subnet/private-a", &[], false)];
    let orphan = planned(&["nat-gateway/a", "subnet/private-a"], kept);
    assert_eq!(drain(&orphan), None);
}

#[test]
fn a_replaced_cache_is_emptied_between_authorizer_and_reporter_and_before_all_deletions() {
    let plan = planned(
        &[
            "subnet/private-a",
            "cache/main",
            "lambda/authorizer",
            "lambda/reporter",
            "nat-gateway/b",
        ],
        &[
            ("subnet/private-a", &[], true),
            ("cache/main", &["subnet/private-a"], true),
            ("lambda/authorizer", &["subnet/private-a"], false),
            ("lambda/reporter", &["subnet/private-a"], false),
        ],
    );
    plan.check().expect("no cycle");
    let find = |is_it: &dyn Fn(&Step) -> bool| plan.steps.iter().position(is_it).expect("it");
    let empty = find(&|step| matches!(step.work, Operation::Empty(..)));
    let detach =
        |name| find(&|step| step.id.name == name && matches!(step.work, Operation::Detach(_)));
    assert!(plan.steps[empty].needs.contains(&detach("authorizer")));
    assert!(plan.steps[detach("reporter")].needs.contains(&empty));
    for text in ["cache/main", "nat-gateway/b", "subnet/private-a"] {
        let deletion = &plan.steps[position(&plan, text, true)];
        assert!(deletion.needs.contains(&empty), "{text}");
    }
    // What goes last has been left by the reporter.
    let orphan = planned(&["cache/main"], &[("secret/cache-url", &[], false)]);
    let empties = |step: &Step| matches!(step.work, Operation::Empty(..));
    assert!(!orphan.steps.iter().any(empties));
}

#[test]
fn down_delivers_the_usage_after_the_api_is_restored_and_before_it_deletes_what_that_needs() {
    let plan = planned(
        &[
            "api-attachment/main",
            "api-authorizer/main",
            "schedule/reporter",
            "lambda-permission/schedule",
            "lambda-alias/authorizer",
            "lambda-alias/reporter",
            "lambda/reporter",
            "cache/main",
            "nat-gateway/a",
            "route-table/private",
            "secret/service-token",
        ],
        &[],
    );
    plan.check().expect("no cycle");
    let is_it = |step: &Step| matches!(step.work, Operation::Empty(..));
    let deliver = plan.steps.iter().position(is_it).expect("it");
    assert_eq!(plan.steps[deliver].id.to_string(), "lambda-alias/reporter");
    let restored = position(&plan, "api-attachment/main", true);
    assert_eq!(plan.steps[deliver].needs, BTreeSet::from([restored]));
    for (text, waits) in [
        ("lambda-alias/reporter", true),
        ("cache/main", true),
        ("nat-gateway/a", true),
        ("route-table/private", true),
        ("secret/service-token", true),
        ("api-authorizer/main", false),
        ("schedule/reporter", false),
    ] {
        let deletion = &plan.steps[position(&plan, text, true)];
        assert_eq!(deletion.needs.contains(&deliver), waits, "{text}");
    }
    // An `up` that deletes the functions does not exist; without the reporter, nothing can be delivered.
    let without = planned(&["cache/main", "lambda-alias/authorizer"], &[]);
    assert!(!without.steps.iter().any(is_it));
}

#[test]
fn a_network_that_is_left_goes_after_the_functions_use_another_one() {
    let old = [
        "vpc/main",
        "subnet/private-a",
        "nat-gateway/a",
        "security-group/former-sg-1",
        "cache/former-0",
        "cache/main",
        "lambda/authorizer",
        "lambda-alias/authorizer",
    ];
    // Also if the cache in the new network is replaced before it is used.
    for replaces in [false, true] {
        let plan = planned(
            &old,
            &[
                ("security-group/authorizer", &[], false),
                ("cache/main", &["security-group/authorizer"], replaces),
                ("parameter/cache-endpoint", &["cache/main"], false),
                ("lambda/authorizer", &["security-group/authorizer"], false),
                (
                    "lambda-alias/authorizer",
                    &["lambda/authorizer", "parameter/cache-endpoint"],
                    false,
                ),
            ],
        );
        plan.check().expect("no cycle");
        let moved = position(&plan, "lambda-alias/authorizer", false);
        let is_drain = |step: &Step| matches!(step.work, Operation::Drain(_));
        let drain = plan.steps.iter().position(is_drain).expect("a drain");
        assert!(plan.steps[drain].needs.contains(&moved));
        for text in &old[..5] {
            let deletion = &plan.steps[position(&plan, text, true)].needs;
            assert!(deletion.contains(&moved), "{text}: {plan:?}");
        }
        let group = position(&plan, "security-group/former-sg-1", true);
        assert!(plan.steps[group].needs.contains(&drain));
        if replaces {
            let made = &plan.steps[position(&plan, "cache/main", false)].needs;
            assert!(made.contains(&position(&plan, "cache/main", true)));
            assert!(!made.contains(&position(&plan, "cache/former-0", true)));
        }
    }
}

#[test]
fn a_former_way_out_goes_last_even_if_something_is_replaced() {
    let old = [
        "cache/main",
        "nat-instance/a",
        "elastic-ip/nat-instance",
        "security-group/nat",
        "route-table/private",
        "vpc/main",
    ];
    let new: &[(&str, &[&str], bool)] = &[
        ("vpc/main", &[], false),
        ("cache/main", &[], true),
        ("nat-gateway/a", &[], false),
        ("route-table/private", &["nat-gateway/a"], false),
    ];
    let plan = planned(&old, new);
    plan.check().expect("no cycle");
    let moved = position(&plan, "route-table/private", false);
    let deletion = |text: &str| &plan.steps[position(&plan, text, true)].needs;
    for text in &old[1..4] {
        assert!(deletion(text).contains(&moved), "{text}: {plan:?}");
    }
    for text in &old[2..4] {
        let instance = position(&plan, "nat-instance/a", true);
        assert!(deletion(text).contains(&instance), "{text}: {plan:?}");
    }
    // Where a subnet is replaced, it cannot stay.
    let mut old = old.to_vec();
    old.push("subnet/private-a");
    let mut new = new.to_vec();
    new.push(("subnet/private-a", &[], true));
    let plan = planned(&old, &new);
    let moved = position(&plan, "route-table/private", false);
    let instance = position(&plan, "nat-instance/a", true);
    assert!(!plan.steps[instance].needs.contains(&moved), "{plan:?}");
}

#[test]
fn the_group_of_the_functions_goes_after_they_use_those_of_the_operator() {
    let old = [
        "vpc/main",
        "security-group/authorizer",
        "security-group/cache",
        "cache/main",
        "lambda/authorizer",
        "lambda-alias/authorizer",
    ];
    // Also if the cache is replaced by the same run.
    for replaces in [false, true] {
        let plan = planned(
            &old,
            &[
                ("vpc/main", &[], false),
                ("security-group/cache", &["vpc/main"], false),
                ("cache/main", &["security-group/cache"], replaces),
                ("lambda/authorizer", &[], false),
                (
                    "lambda-alias/authorizer",
                    &["lambda/authorizer", "security-group/cache"],
                    false,
                ),
            ],
        );
        plan.check().expect("no cycle");
        let moved = position(&plan, "lambda-alias/authorizer", false);
        let is_drain = |step: &Step| matches!(step.work, Operation::Drain(_));
        let drain = plan.steps.iter().position(is_drain).expect("a drain");
        assert!(plan.steps[drain].needs.contains(&moved));
        let group = &plan.steps[position(&plan, "security-group/authorizer", true)];
        assert!(group.needs.contains(&moved) && group.needs.contains(&drain));
    }
}

#[test]
fn the_group_of_a_cache_goes_after_the_functions_use_one_of_another_kind() {
    let old = [
        "vpc/main",
        "security-group/cache",
        "cache/former-0",
        "security-group/serverless-cache",
        "serverless-cache/main",
        "lambda-alias/authorizer",
    ];
    // Also if the creation of the new cache has failed before, so that it is replaced.
    for replaces in [false, true] {
        let plan = planned(
            &old,
            &[
                ("vpc/main", &[], false),
                ("security-group/serverless-cache", &["vpc/main"], false),
                (
                    "serverless-cache/main",
                    &["security-group/serverless-cache"],
                    replaces,
                ),
                (
                    "lambda-alias/authorizer",
                    &["security-group/serverless-cache"],
                    false,
                ),
            ],
        );
        plan.check().expect("no cycle");
        let moved = position(&plan, "lambda-alias/authorizer", false);
        let cache = position(&plan, "cache/former-0", true);
        let group = &plan.steps[position(&plan, "security-group/cache", true)];
        assert!(
            group.needs.contains(&moved) && group.needs.contains(&cache),
            "{plan:?}"
        );
    }
}

#[test]
fn only_what_a_gated_step_does_not_wait_for_is_gated() {
    let plan = planned(
        &["parameter/old"],
        &[
            ("api-authorizer/main", &[], false),
            ("lambda-permission/api", &["api-authorizer/main"], false),
            ("schedule/reporter", &[], false),
        ],
    );
    plan.check().expect("no cycle");
    let deletion = &plan.steps[position(&plan, "parameter/old", true)].needs;
    assert!(deletion.contains(&position(&plan, "schedule/reporter", false)));
    assert!(!deletion.contains(&position(&plan, "lambda-permission/api", false)));
}

#[test]
fn what_is_not_desired_goes_first_where_something_is_replaced() {
    // Found in a live test: a new address range together with fewer NAT gateways, fewer zones and
    // another API.
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
fn the_record_of_the_kms_key_goes_last_even_if_something_is_replaced() {
    let plan = planned(
        &["vpc/main", "parameter/kms-key"],
        &[
            ("vpc/main", &[], true),
            ("lambda/authorizer", &["vpc/main"], false),
            ("lambda-alias/reporter", &["lambda/authorizer"], false),
        ],
    );
    plan.check().expect("no cycle");
    let record = &plan.steps[position(&plan, "parameter/kms-key", true)];
    let alias = position(&plan, "lambda-alias/reporter", false);
    assert!(record.needs.contains(&alias), "{plan:?}");
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
