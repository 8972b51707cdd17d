//! The KMS keys of the stack's secrets. Only `DescribeParameters` returns them, so a stack that never had a key of the operator
//! is not asked for them.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ssm::types::ParameterStringFilter;

use super::{Context, ResourceError};
use crate::aws::paginate::pages;
use crate::names::Names;

/// The key of the Parameter Store in each account, which needs no permission.
pub const DEFAULT: &str = "alias/aws/ssm";

/// The largest page of `DescribeParameters`.
const PAGE: i32 = 50;

/// The keys of the secrets, by their names below the stack's path. `None` is the default key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys(BTreeMap<String, Option<String>>);

impl Keys {
    /// The key of a secret, if it is known: `None` inside for the default key.
    pub fn of(&self, path: &str) -> Option<Option<&str>> {
        self.0.get(path).map(Option::as_deref)
    }

    /// Whether a secret is known to have this key.
    pub fn has(&self, path: &str, key: Option<&str>) -> bool {
        self.of(path).is_some_and(|found| is_same(found, key))
    }

    /// The secrets that have another key, with it.
    pub fn others(&self, key: Option<&str>) -> impl Iterator<Item = (&str, Option<&str>)> {
        let all = self.0.iter();
        let all = all.map(|(path, found)| (path.as_str(), found.as_deref()));
        all.filter(move |(_, found)| !is_same(*found, key))
    }

    /// The ARNs of the keys other than the default one. A key can be given as an id; one that is given as an alias is left
    /// out, because no policy can name it.
    pub fn arns(&self, names: &Names) -> BTreeSet<String> {
        let arn = |key: &String| match key.split_once(':') {
            Some(_) => Some(key.clone()).filter(|arn| arn.contains(":key/")),
            None if key.starts_with("alias/") => None,
            None => Some(format!(
                "arn:{}:kms:{}:{}:key/{key}",
                names.partition(),
                names.region,
                names.account
            )),
        };
        self.0.values().flatten().filter_map(arn).collect()
    }
}

/// Whether two names are of one key. The service returns a key as it was given: by its ARN or its id.
fn is_same(one: Option<&str>, other: Option<&str>) -> bool {
    let id = |key: &str| key.rsplit('/').next().unwrap_or_default().to_owned();
    match (one, other) {
        (Some(one), Some(other)) => one == other || id(one) == id(other),
        (None, None) => true,
        _ => false,
    }
}

/// Reads the keys of the secrets.
///
/// # Errors
/// When the listing fails.
pub async fn read(cx: &Context) -> Result<Keys, ResourceError> {
    let prefix = cx.names().parameters();
    let below = ParameterStringFilter::builder()
        .key("Path")
        .option("Recursive")
        .values(&prefix)
        .build()?;
    let request = cx
        .aws()
        .ssm
        .describe_parameters()
        .parameter_filters(below)
        .max_results(PAGE);
    let parameters = pages(|token| async {
        let request = request.clone().set_next_token(token);
        let page = cx
            .aws()
            .call_idempotent("ssm:DescribeParameters", || request.clone().send())
            .await?;
        Ok((page.parameters, page.next_token))
    })
    .await?;
    let secret = |parameter: aws_sdk_ssm::types::ParameterMetadata| {
        let path = parameter
            .name?
            .strip_prefix(&format!("{prefix}/"))?
            .to_owned();
        let key = parameter.key_id?;
        // The default key can be given by its name or by the ARN of its alias.
        Some((path, Some(key).filter(|key| !key.ends_with(DEFAULT))))
    };
    Ok(Keys(parameters.into_iter().filter_map(secret).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "11111111-2222-3333-4444-555555555555";

    fn arn(id: &str) -> String {
        format!("arn:aws:kms:us-east-1:123456789012:key/{id}")
    }

    #[test]
    fn a_key_is_recognized_by_its_arn_and_by_its_id() {
        let other = arn("99999999-2222-3333-4444-555555555555");
        let keys = [
            ("a", Some(arn(ID))),
            ("b", Some(ID.to_owned())),
            ("c", None),
            ("d", Some("alias/own".to_owned())),
            ("e", Some(other.clone())),
        ];
        let keys = keys.into_iter().map(|(path, key)| (path.to_owned(), key));
        let keys = Keys(keys.collect());
        let (wanted, arn) = (arn(ID), arn(ID));
        let paths = |key| keys.others(key).map(|(path, _)| path).collect::<Vec<_>>();
        assert_eq!(paths(Some(&wanted)), ["c", "d", "e"]);
        assert_eq!(paths(None), ["a", "b", "d", "e"]);
        assert!(keys.has("b", Some(&wanted)) && keys.has("c", None));
        // What is not listed yet has no key that is known.
        assert!(!keys.has("x", None) && !keys.has("x", Some(&wanted)));
        let names = Names::new("orders", "us-east-1", "123456789012");
        assert_eq!(keys.arns(&names), BTreeSet::from([arn, other]));
    }
}
