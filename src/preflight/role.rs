//! What is wrong with the role of the functions, and with its permissions boundary. Pure.

use crate::names::Names;
use crate::resource::function::NAMES;

/// The partition and the owner in the ARN of an IAM resource.
fn partition_and_owner(arn: &str) -> (Option<&str>, Option<&str>) {
    let mut parts = arn.split(':').skip(1);
    (parts.next(), parts.nth(2))
}

/// Checks that a role is in the account of the stack.
pub fn account(arn: &str, names: &Names) -> Option<String> {
    let (partition, owner) = partition_and_owner(arn);
    let fits = partition == Some(names.partition()) && owner == Some(&names.account);
    (!fits).then(|| {
        format!(
            "authorizer.role_arn: {arn} is not a role of account {} in the partition {}: Lambda accepts no role of another account",
            names.account,
            names.partition()
        )
    })
}

/// What the functions and Lambda do with the role: the actions, and the resource. Source: `templates/role-policy.json`;
/// Lambda Developer Guide, "Giving Lambda functions access to resources in an Amazon VPC".
pub fn needed(
    names: &Names,
    is_in_vpc: bool,
    kms_key: Option<&str>,
) -> Vec<(&'static [&'static str], String)> {
    let parameters = format!(
        "arn:{}:ssm:{}:{}:parameter{}/secrets/hash-key",
        names.partition(),
        names.region,
        names.account,
        names.parameters()
    );
    let mut needed: Vec<(&'static [&'static str], String)> =
        vec![(&["ssm:GetParameters"], parameters)];
    for function in NAMES {
        let streams = format!("{}:*", names.log_group_arn(function));
        needed.push((&["logs:CreateLogStream", "logs:PutLogEvents"], streams));
    }
    if is_in_vpc {
        let interfaces = &[
            "ec2:CreateNetworkInterface",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DeleteNetworkInterface",
        ];
        needed.push((interfaces, "*".to_owned()));
    }
    if let Some(key) = kms_key {
        needed.push((&["kms:Decrypt"], key.to_owned()));
    }
    needed
}

/// Names the actions that the policies of a role do not allow on resources.
pub fn permissions(arn: &str, denied: &[(Vec<String>, &str)]) -> Option<String> {
    let lacking: Vec<_> = denied
        .iter()
        .filter(|(actions, _)| !actions.is_empty())
        .map(|(actions, resource)| format!("{} on {resource}", actions.join(", ")))
        .collect();
    (!lacking.is_empty()).then(|| {
        format!(
            "authorizer.role_arn: the policies of {arn} do not allow {}: docs/permissions.md has the policy that the role needs",
            lacking.join(",\n    ")
        )
    })
}

/// Checks that a policy can be a permissions boundary in the account of the stack.
pub fn boundary(arn: &str, names: &Names) -> Option<String> {
    let (partition, owner) = partition_and_owner(arn);
    let fits = partition == Some(names.partition())
        && (owner == Some("aws") || owner == Some(&names.account));
    (!fits).then(|| {
        format!(
            "authorizer.permissions_boundary: {arn} is not a policy of account {} or of AWS in the partition {}",
            names.account,
            names.partition()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_permissions_that_a_role_lacks_are_named_with_their_resources() {
        let names = Names::new("orders", "us-east-1", "123456789012");
        let all = needed(&names, true, Some("k"));
        assert_eq!(all.len(), 1 + needed(&names, true, None).len());
        assert_eq!(all.len(), 2 + needed(&names, false, None).len());
        let denied: Vec<_> = all
            .iter()
            .map(|(actions, resource)| {
                let denied = actions
                    .iter()
                    .filter(|action| action.starts_with("logs:Put"));
                (denied.map(ToString::to_string).collect(), resource.as_str())
            })
            .collect();
        let text = permissions("r", &denied).expect("a refusal");
        for part in [
            "the policies of r do not allow logs:PutLogEvents on arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/",
            "-authorizer:*,\n    logs:PutLogEvents on ",
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(permissions("r", &[(Vec::new(), "*")]), None);
    }

    #[test]
    fn a_role_must_be_in_the_account() {
        let names = Names::new("orders", "us-east-1", "123456789012");
        let of = |arn| account(arn, &names).is_none();
        assert!(of("arn:aws:iam::123456789012:role/path/own"));
        assert!(!of("arn:aws:iam::999999999999:role/own"));
        assert!(!of("arn:aws-cn:iam::123456789012:role/own"));
    }

    #[test]
    fn a_boundary_is_of_this_account_or_of_aws() {
        let names = Names::new("orders", "us-east-1", "123456789012");
        for (arn, fits) in [
            ("arn:aws:iam::123456789012:policy/a", true),
            ("arn:aws:iam::aws:policy/a", true),
            ("arn:aws:iam::123456789013:policy/a", false),
            ("arn:aws-cn:iam::123456789012:policy/a", false),
        ] {
            assert_eq!(boundary(arn, &names).is_none(), fits, "{arn}");
        }
    }
}
