//! The methods that a plan protects or opens. Pure.

use std::collections::BTreeMap;

use super::findings::{ChangedMethod, MethodChanges};
use crate::action::Action;
use crate::api_gateway::{ApiTarget, AuthorizationType, Method};
use crate::engine::plan::Item;
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::resource::Field;
use crate::resource::api_attachment::GUARDED;
use crate::resource::api_attachment::record::Record;

/// The methods that `items` protect or open. `targets` are the stages, by their items; `wanted` the methods to protect in each; `records` what the methods of each API
/// and stage were before the stack.
pub fn changed_methods(
    items: &[Item],
    targets: &BTreeMap<LogicalId, ApiTarget>,
    wanted: &BTreeMap<ApiTarget, Vec<Method>>,
    records: &BTreeMap<ApiTarget, Record>,
) -> MethodChanges {
    let mut changed = MethodChanges::default();
    let of = ChangedMethod::new;
    let open = AuthorizationType::None;
    for item in items
        .iter()
        .filter(|item| item.id.kind == Kind::ApiAttachment)
    {
        let target = targets.get(&item.id);
        match (item.action, target) {
            (Action::Create, Some(target)) => {
                let labels = wanted.get(target).into_iter().flatten().map(Method::label);
                changed.closed.extend(labels.map(|label| of(target, label)));
            }
            (Action::Delete, _) => {
                let id = item.physical_id.as_deref().unwrap_or_default();
                let left = records
                    .iter()
                    .filter(|(target, _)| format!("{}/{}", target.id, target.stage) == id);
                for (target, record) in left {
                    let opened = record
                        .methods()
                        .filter(|before| before.authorization == open);
                    let opened = opened.map(|before| of(target, before.label()));
                    changed.opened.extend(opened);
                }
            }
            (_, None) => {}
            (_, Some(target)) => {
                for change in &item.changes {
                    let Field::Method(label) = &change.field else {
                        continue;
                    };
                    if GUARDED.iter().any(|guarded| change.after == *guarded) {
                        changed.closed.push(of(target, label.clone()));
                    } else if change.after == open.as_str() || change.after.is_null() {
                        changed.opened.push(of(target, label.clone()));
                    }
                }
            }
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::examples::method;
    use crate::resource::api_attachment::Guarded;
    use crate::resource::{Change, Output};

    fn item(id: &str, action: Action, changes: Vec<Change>) -> Item {
        Item {
            id: id.parse().expect("a logical id"),
            action,
            physical_id: Some("a1/old".to_owned()),
            phase: None,
            changes,
            output: Output::default(),
        }
    }

    fn target(stage: &str) -> ApiTarget {
        ApiTarget::of_segment("a1", stage)
    }

    fn targets() -> BTreeMap<LogicalId, ApiTarget> {
        let main = LogicalId::new(Kind::ApiAttachment, "main");
        BTreeMap::from([(main, target("prod"))])
    }

    fn labels(methods: &[ChangedMethod]) -> Vec<String> {
        let text = |one: &ChangedMethod| format!("{}/{} {}", one.api, one.stage, one.method);
        methods.iter().map(text).collect()
    }

    #[test]
    fn a_new_attachment_closes_and_a_deleted_one_opens_what_was_open() {
        let record = Record {
            chunks: BTreeMap::from([(
                "methods-000".to_owned(),
                vec![method("/open", "NONE"), method("/iam", "AWS_IAM")],
            )]),
            ..Record::default()
        };
        let records = BTreeMap::from([(target("old"), record)]);
        let items = [
            item("api-attachment/main", Action::Create, Vec::new()),
            item("api-attachment/other", Action::Delete, Vec::new()),
            item("vpc/main", Action::Delete, Vec::new()),
        ];
        let wanted = BTreeMap::from([(target("prod"), vec![method("/orders", "NONE")])]);
        let changed = changed_methods(&items, &targets(), &wanted, &records);
        assert_eq!(labels(&changed.closed), ["a1/prod GET /orders"]);
        assert_eq!(labels(&changed.opened), ["a1/old GET /open"]);
    }

    #[test]
    fn an_update_closes_and_opens_single_methods() {
        let field = |label: &str| Field::Method(label.to_owned());
        let guarded = Guarded {
            observes: false,
            in_this_stage: false,
        };
        let here = Guarded {
            in_this_stage: true,
            ..guarded
        };
        let changes = vec![
            Change::new(field("GET /a"), &"NONE", &guarded),
            Change::new(field("GET /b"), &"another stack's", &here),
            Change::new(field("GET /c"), &guarded, &"NONE"),
            Change::new(field("GET /d"), &guarded, &"AWS_IAM"),
            Change::new(field("$connect"), &guarded, &"(none)"),
            Change::new(Field::Property("deployment"), &"x", &"NONE"),
        ];
        let items = [item("api-attachment/main", Action::Update, changes)];
        let changed = changed_methods(&items, &targets(), &BTreeMap::new(), &BTreeMap::new());
        assert_eq!(
            labels(&changed.closed),
            ["a1/prod GET /a", "a1/prod GET /b"]
        );
        assert_eq!(
            labels(&changed.opened),
            ["a1/prod GET /c", "a1/prod $connect"]
        );
    }
}
