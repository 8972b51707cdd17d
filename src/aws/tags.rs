//! The tags that every resource gets when it is created, and the ownership check that reads them.

use std::collections::BTreeMap;

use crate::id::LogicalId;
use crate::printable::line;

/// What the keys of all tags of this program begin with. The tag `Name` and the user's tags are not among them.
pub const PREFIX: &str = "threescale-gw:";
/// The tag key that names the stack of a resource.
pub const STACK: &str = "threescale-gw:stack";
/// The tag key that names the logical id of a resource.
pub const RESOURCE: &str = "threescale-gw:resource";
/// The tag key of a resource that the stack has not created, but adopted. Its value is the name that the resource had. The range
/// of such a subnet stays as it is.
pub const IMPORTED: &str = "threescale-gw:imported";

/// The tag key of the parameter with the expiry of the stack: an instant in the format of RFC 3339.
pub const EXPIRES: &str = "threescale-gw:expires";

/// The tag key of a route table that records what a subnet was associated with before: the id of a route table, or `main`.
pub fn former_route_table(subnet: &str) -> String {
    format!("threescale-gw:former-route-table:{subnet}")
}

/// The tags of one resource: the stack, the logical id, and the user's tags.
pub fn of(
    stack: &str,
    id: &LogicalId,
    user: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut tags = user.clone();
    tags.insert(STACK.to_owned(), stack.to_owned());
    tags.insert(RESOURCE.to_owned(), id.to_string());
    tags.insert("Name".to_owned(), name(stack, id));
    tags
}

/// The value of the tag `Name`.
pub fn name(stack: &str, id: &LogicalId) -> String {
    format!("threescale-gw-{stack}-{}", id.to_string().replace('/', "-"))
}

/// Returns the logical id in `tags` if they mark the resource as part of this stack.
pub fn owner(stack: &str, tags: &BTreeMap<String, String>) -> Option<LogicalId> {
    (tags.get(STACK)? == stack)
        .then(|| tags.get(RESOURCE)?.parse().ok())
        .flatten()
}

/// Why a resource with these tags is not one of the stack. It names the owner where the tags do.
pub fn why_unmanaged(tags: &BTreeMap<String, String>) -> String {
    // The keys that AWS and the usual tools write.
    const OWNERS: [(&str, &str); 4] = [
        (STACK, "stack"),
        ("aws:cloudformation:stack-name", "CloudFormation stack"),
        ("aws:servicecatalog:productArn", "Service Catalog product"),
        (
            "elasticbeanstalk:environment-name",
            "Elastic Beanstalk environment",
        ),
    ];
    let owner = OWNERS
        .iter()
        .find_map(|(key, what)| Some(format!("belongs to {what} {}", line(tags.get(*key)?))));
    if let Some(owner) = owner {
        return owner;
    }
    let named = ["owner", "team", "managed-by", "created-by"]
        .into_iter()
        .find_map(|wanted| {
            tags.iter()
                .find(|(key, _)| key.to_lowercase().replace(['_', ' '], "-") == wanted)
        });
    let named = named.map(|(key, value)| format!("; its tag `{}` is {}", line(key), line(value)));
    format!(
        "is not managed by this stack (no stack tag){}",
        named.unwrap_or_default()
    )
}

/// Collects tags of any SDK's `Tag` type.
pub fn collect<'a>(
    pairs: impl Iterator<Item = (Option<&'a str>, Option<&'a str>)>,
) -> BTreeMap<String, String> {
    pairs
        .filter_map(|(key, value)| Some((key?.to_owned(), value.unwrap_or_default().to_owned())))
        .collect()
}

/// The tags to write so that `actual` contains `desired`. Tags that others added stay. A user tag
/// that was removed from the configuration stays too, because it cannot be distinguished from
/// those.
pub fn missing(
    desired: &BTreeMap<String, String>,
    actual: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    desired
        .iter()
        .filter(|(key, value)| actual.get(*key) != Some(*value))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_win_over_the_users_and_are_read_back() {
        let id: LogicalId = "nat-gateway/a".parse().expect("a logical id");
        let user = BTreeMap::from([
            ("team".to_owned(), "pay".to_owned()),
            (STACK.to_owned(), "evil".to_owned()),
        ]);
        let tags = of("orders", &id, &user);
        assert_eq!(tags[STACK], "orders");
        assert_eq!(tags["Name"], "threescale-gw-orders-nat-gateway-a");
        assert_eq!(tags["team"], "pay");
        assert_eq!(owner("orders", &tags), Some(id));
        assert_eq!(owner("order", &tags), None);
        assert_eq!(owner("orders", &BTreeMap::new()), None);
    }

    #[test]
    fn the_owner_is_named_where_the_tags_name_one() {
        let why = |pairs: &[(&str, &str)]| {
            why_unmanaged(&collect(
                pairs.iter().map(|(key, value)| (Some(*key), Some(*value))),
            ))
        };
        let none = "is not managed by this stack (no stack tag)";
        assert_eq!(why(&[("Name", "x")]), none);
        assert_eq!(why(&[(STACK, "billing")]), "belongs to stack billing");
        assert_eq!(
            why(&[("aws:cloudformation:stack-name", "base"), ("team", "net")]),
            "belongs to CloudFormation stack base"
        );
        assert_eq!(
            why(&[("Managed_By", "terraform")]),
            format!("{none}; its tag `Managed_By` is terraform")
        );
    }

    #[test]
    fn only_what_differs_is_written() {
        let desired = BTreeMap::from([
            ("a".to_owned(), "1".to_owned()),
            ("b".to_owned(), "2".to_owned()),
        ]);
        let actual = BTreeMap::from([
            ("a".to_owned(), "1".to_owned()),
            ("b".to_owned(), "x".to_owned()),
            ("c".to_owned(), "3".to_owned()),
        ]);
        assert_eq!(
            missing(&desired, &actual),
            BTreeMap::from([("b".to_owned(), "2".to_owned())])
        );
    }
}
