//! A dependency graph without cycles.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Display};

/// Orders `items` so that each comes after the items it needs. Needs that are not among the items
/// count as met.
///
/// # Errors
/// Names the items of a cycle, which is a bug in the stack's definition.
pub fn order<K: Ord + Clone + Display + Debug>(
    items: &BTreeMap<K, Vec<K>>,
) -> Result<Vec<K>, String> {
    let mut ordered = Vec::with_capacity(items.len());
    let mut done: BTreeSet<&K> = BTreeSet::new();
    while ordered.len() < items.len() {
        let ready: Vec<_> = items
            .iter()
            .filter(|(key, needs)| {
                !done.contains(key)
                    && needs
                        .iter()
                        .all(|need| done.contains(need) || !items.contains_key(need))
            })
            .map(|(key, _)| key)
            .collect();
        if ready.is_empty() {
            let stuck: Vec<_> = items
                .keys()
                .filter(|key| !done.contains(key))
                .map(ToString::to_string)
                .collect();
            return Err(format!("these need each other: {}", stuck.join(", ")));
        }
        for key in ready {
            done.insert(key);
            ordered.push(key.clone());
        }
    }
    Ok(ordered)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(
        edges: &[(&'static str, &[&'static str])],
    ) -> BTreeMap<&'static str, Vec<&'static str>> {
        edges
            .iter()
            .map(|(key, needs)| (*key, needs.to_vec()))
            .collect()
    }

    #[test]
    fn each_stands_behind_what_it_needs() {
        let items = items(&[
            ("nat", &["subnet", "address"]),
            ("subnet", &["vpc"]),
            ("vpc", &[]),
            ("address", &[]),
        ]);
        let order = order(&items).expect("no cycle");
        let at = |key: &str| {
            order
                .iter()
                .position(|k| *k == key)
                .expect("is in the order")
        };
        assert!(at("vpc") < at("subnet") && at("subnet") < at("nat") && at("address") < at("nat"));
    }

    #[test]
    fn a_cycle_is_named() {
        let error =
            order(&items(&[("a", &["b"]), ("b", &["a"]), ("c", &[])])).expect_err("a cycle");
        assert_eq!(error, "these need each other: a, b");
    }

    #[test]
    fn a_need_that_is_no_item_is_met() {
        assert_eq!(order(&items(&[("a", &["given"])])), Ok(vec!["a"]));
    }
}
