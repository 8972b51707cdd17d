//! The policies of a command. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::scope::Scope;
use super::table::{
    CHECK, DOWN_MAYBE, EXPORT, KEY, LOCK, NEIGHBORS, On, PLAN, READ, Right, Rights, STATUS, SWEEP,
    UP, UP_MAYBE, create, delete, update,
};
use crate::action::Action;
use crate::kind::Kind;

/// The maximum size of a managed policy in characters without white space. Source: IAM User Guide, IAM and STS quotas.
pub const MANAGED_POLICY_MAX: usize = 6144;

/// The command that a policy is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Plan,
    Up,
    Down,
    Status,
    Export,
    Sweep,
}

impl Purpose {
    /// The name of the command.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Up => "up",
            Self::Down => "down",
            Self::Status => "status",
            Self::Export => "export",
            Self::Sweep => "sweep",
        }
    }
}

/// Everything that a command can use for a stack.
pub fn rights(purpose: Purpose, scope: &Scope) -> BTreeSet<Right> {
    let mut all: BTreeSet<Right> = READ.iter().copied().collect();
    let of_kinds: &[fn(Kind) -> Rights] = match purpose {
        Purpose::Plan | Purpose::Status | Purpose::Export => &[],
        Purpose::Up => &[create, update, delete],
        Purpose::Down | Purpose::Sweep => &[delete],
    };
    for kind in Kind::ALL.into_iter().filter(|kind| scope.uses(*kind)) {
        for of in of_kinds {
            let Rights { always, maybe } = of(kind);
            all.extend(always.iter().chain(maybe));
        }
    }
    let of_command: &[&[Right]] = match purpose {
        Purpose::Plan => &[CHECK, NEIGHBORS, PLAN],
        Purpose::Status => &[STATUS],
        Purpose::Export => &[EXPORT],
        Purpose::Up => &[CHECK, NEIGHBORS, LOCK, UP, UP_MAYBE],
        Purpose::Down => &[NEIGHBORS, LOCK, DOWN_MAYBE],
        Purpose::Sweep => &[NEIGHBORS, LOCK, DOWN_MAYBE, SWEEP],
    };
    let [all_commands, checks, changes] = KEY;
    let of_key: &[&[Right]] = match purpose {
        _ if !scope.has_key() => &[],
        Purpose::Status | Purpose::Export => &[all_commands],
        Purpose::Plan => &[all_commands, checks],
        Purpose::Up => &[all_commands, checks, changes],
        Purpose::Down | Purpose::Sweep => &[],
    };
    all.extend(of_command.iter().chain(of_key).copied().flatten());
    // A role of the operator is used, and not changed.
    if !scope.uses(Kind::IamRole) {
        all.remove(&("iam:GetRolePolicy", On::Role));
        all.remove(&("iam:ListAttachedRolePolicies", On::Role));
        all.remove(&("iam:ListRolePolicies", On::Role));
    }
    all
}

/// What a plan with these actions uses in any case. What only some configurations or accounts require is not included.
pub fn needed(actions: impl Iterator<Item = (Kind, Action)>) -> BTreeSet<Right> {
    let mut all = BTreeSet::new();
    for (kind, action) in actions {
        let used: &[Rights] = match action {
            Action::Create => &[create(kind)],
            Action::Update => &[update(kind)],
            Action::Replace => &[create(kind), delete(kind)],
            Action::Delete => &[delete(kind)],
            Action::Wait | Action::None => continue,
        };
        let always = used.iter().flat_map(|rights| rights.always);
        all.extend(always.chain(LOCK).chain(UP).copied());
    }
    all
}

/// Whose policies are simulated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// The user with this ARN.
    User(String),
    /// The role with this name, in whose session the caller is.
    Role(String),
}

/// The principal behind the ARN of a caller. `None` for the root user, who may do everything, and for other sessions.
pub fn principal(arn: &str) -> Option<Principal> {
    let resource = arn.splitn(6, ':').nth(5)?;
    match resource.split_once('/')? {
        ("user", _) if arn.contains(":iam:") => Some(Principal::User(arn.to_owned())),
        ("assumed-role", session) => {
            let (role, _) = session.split_once('/')?;
            Some(Principal::Role(role.to_owned()))
        }
        _ => None,
    }
}

/// The rights by service, with example resources: what is allowed on none of them is missing. Rights on resources of which
/// none is known are left out.
pub fn by_service(
    rights: &BTreeSet<Right>,
    scope: &Scope,
) -> BTreeMap<&'static str, (BTreeSet<&'static str>, BTreeSet<String>)> {
    let mut all: BTreeMap<_, (BTreeSet<_>, BTreeSet<_>)> = BTreeMap::new();
    for (action, on) in rights {
        let examples = scope.examples(*on);
        if examples.is_empty() && *on != On::Any {
            continue;
        }
        let service = action.split(':').next().unwrap_or_default();
        let (actions, resources) = all.entry(service).or_default();
        actions.insert(*action);
        resources.insert("*".to_owned());
        resources.extend(examples);
    }
    all
}

/// Names the rights that the policies of the operator lack.
pub fn lacking(arn: &str, actions: &[String]) -> Option<String> {
    (!actions.is_empty()).then(|| {
        format!(
            "the policies of {arn} do not allow what the plan needs: {}. `threescale-gw iam-policy --for up` prints a policy that \
             does",
            actions.join(", ")
        )
    })
}

/// The policy documents for these rights. There are several if one would be larger than a managed policy may be.
pub fn documents(rights: &BTreeSet<Right>, scope: &Scope) -> Vec<Value> {
    let mut by_resource: BTreeMap<On, Vec<&str>> = BTreeMap::new();
    for (action, on) in rights {
        by_resource.entry(*on).or_default().push(action);
    }
    let statements = by_resource.into_iter().map(|(on, actions)| {
        let mut statement = json!({
            "Sid": format!("{on:?}"),
            "Effect": "Allow",
            "Action": actions,
            "Resource": scope.resources(on),
        });
        if let Some(condition) = scope.condition(on) {
            statement["Condition"] = condition;
        }
        statement
    });
    let document = |statements: &[Value]| json!({"Version": "2012-10-17", "Statement": statements});
    let mut documents: Vec<Vec<Value>> = vec![Vec::new()];
    for statement in statements {
        if let Some(last) = documents.last_mut() {
            last.push(statement.clone());
            if last.len() > 1 && size(&document(last)) > MANAGED_POLICY_MAX {
                last.pop();
                documents.push(vec![statement]);
            }
        }
    }
    documents.iter().map(|part| document(part)).collect()
}

/// The size of a document, as IAM counts it.
pub fn size(document: &Value) -> usize {
    let text = document.to_string();
    text.chars().filter(|c| !c.is_whitespace()).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Names;

    fn stack(name: &str) -> Scope {
        Scope::of_stack(Names::new(name, "us-east-1", "123456789012"))
    }

    #[test]
    fn every_policy_fits_into_managed_policies() {
        for name in ["a", "a-stack-with-a-long-name-of-32-ch"] {
            for (purpose, parts) in [
                (Purpose::Plan, 1),
                (Purpose::Status, 1),
                (Purpose::Export, 1),
                (Purpose::Down, 1),
                (Purpose::Sweep, 1),
                (Purpose::Up, 2),
            ] {
                let scope = stack(name);
                let all = rights(purpose, &scope);
                let documents = documents(&all, &scope);
                assert!(
                    documents.len() <= parts,
                    "{purpose:?}: {}",
                    documents.iter().map(size).sum::<usize>()
                );
                assert!(
                    documents
                        .iter()
                        .all(|document| size(document) <= MANAGED_POLICY_MAX)
                );
                let statements = documents
                    .iter()
                    .filter_map(|document| document["Statement"].as_array());
                let actions: usize = statements
                    .flatten()
                    .filter_map(|statement| statement["Action"].as_array())
                    .map(Vec::len)
                    .sum();
                assert_eq!(actions, all.len());
            }
        }
    }

    #[test]
    fn what_changes_nothing_has_no_right_to_change() {
        for purpose in [Purpose::Plan, Purpose::Status, Purpose::Export] {
            for (action, on) in rights(purpose, &stack("orders")) {
                let (_, name) = action.split_once(':').expect("a service");
                let is_read = [
                    "Describe",
                    "Get",
                    "List",
                    "Simulate",
                    "GET",
                    "InvokeFunction",
                ];
                let is_read = is_read.iter().any(|start| name.starts_with(start));
                assert!(is_read, "{action} {on:?}");
            }
        }
    }

    #[test]
    fn the_caller_tells_whose_policies_count() {
        for (arn, expected) in [
            (
                "arn:aws:iam::123456789012:user/team/ann",
                Some(Principal::User(
                    "arn:aws:iam::123456789012:user/team/ann".to_owned(),
                )),
            ),
            (
                "arn:aws:sts::123456789012:assumed-role/deployer/session/x",
                Some(Principal::Role("deployer".to_owned())),
            ),
            ("arn:aws:iam::123456789012:root", None),
            ("arn:aws:sts::123456789012:federated-user/ann", None),
            ("arn:aws:sts::123456789012:assumed-role/deployer", None),
            ("user/ann", None),
            ("", None),
        ] {
            assert_eq!(principal(arn), expected, "{arn}");
        }
    }

    #[test]
    fn a_plan_needs_what_its_actions_use_in_any_case() {
        let actions = |plan: &[(Kind, Action)]| -> Vec<_> {
            let needed = needed(plan.iter().copied()).into_iter();
            needed.map(|(action, _)| action).collect()
        };
        assert_eq!(actions(&[(Kind::Vpc, Action::None)]), [""; 0]);
        let replaced = actions(&[(Kind::Cache, Action::Replace)]);
        for action in [
            "elasticache:CreateReplicationGroup",
            "elasticache:DeleteReplicationGroup",
            "ssm:PutParameter",
            "lambda:InvokeFunction",
        ] {
            assert!(replaced.contains(&action), "{action}: {replaced:?}");
        }
        assert!(!replaced.contains(&"iam:CreateServiceLinkedRole"));
        // The policy of `up` allows everything that a plan needs.
        let scope = stack("orders");
        let policy = rights(Purpose::Up, &scope);
        for action in [
            Action::Create,
            Action::Update,
            Action::Replace,
            Action::Delete,
        ] {
            let needed = needed(Kind::ALL.into_iter().map(|kind| (kind, action)));
            assert!(needed.is_subset(&policy), "{action:?}");
            for (service, (actions, resources)) in by_service(&needed, &scope) {
                assert!(actions.len() < 100 && resources.len() < 40, "{service}");
                let mut examples = resources.iter().filter(|resource| *resource != "*");
                assert!(examples.all(|arn| !arn.contains('*')), "{resources:?}");
            }
        }
    }

    /// Only the role itself shows its path, such as that of IAM Identity Center, and the ARN to simulate has it.
    #[test]
    fn the_role_of_the_operator_can_be_read_and_simulated() {
        let scope = stack("orders");
        for purpose in [Purpose::Plan, Purpose::Up] {
            let documents = documents(&rights(purpose, &scope), &scope);
            let statements = documents.iter().map(|document| &document["Statement"]);
            let mut statements = statements.filter_map(Value::as_array).flatten();
            let of_operator = statements.find(|statement| statement["Sid"] == "Operator");
            let statement = of_operator.expect("a statement");
            assert_eq!(
                statement["Action"],
                json!(["iam:GetRole", "iam:SimulatePrincipalPolicy"])
            );
            assert_eq!(
                statement["Resource"],
                json!([
                    "arn:aws:iam::123456789012:user/*",
                    "arn:aws:iam::123456789012:role/*"
                ])
            );
        }
    }

    #[test]
    fn the_conditions_name_the_stack() {
        let scope = stack("orders");
        let documents = documents(&rights(Purpose::Up, &scope), &scope);
        let text = serde_json::to_string(&documents).expect("JSON");
        for words in [
            r#""aws:RequestTag/threescale-gw:stack":"orders""#,
            r#""aws:ResourceTag/threescale-gw:stack":"orders""#,
            r#""iam:PassedToService":"lambda.amazonaws.com""#,
            "arn:aws:iam::123456789012:role/threescale-gw/threescale-gw-orders-us-east-1",
            "arn:aws:lambda:us-east-1:123456789012:function:threescale-gw-orders-*",
            "arn:aws:ssm:us-east-1:123456789012:parameter/threescale-gw/orders/*",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
}
