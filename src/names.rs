//! The names that a stack uses in an account, derived from the stack's name, the region and the
//! account.

use sha2::{Digest as _, Sha256};

use crate::hex;

/// The maximum length of a replication group id. Source: ElastiCache `CreateReplicationGroup`.
const CACHE_ID_MAX: usize = 40;

/// The alias of each function that the API and the schedule invoke.
pub const LIVE: &str = "live";

/// The names of one stack in one account and region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    pub stack: String,
    pub region: String,
    pub account: String,
    /// The partition of the account.
    partition: String,
}

impl Names {
    /// The names of `stack` in this region and account of the partition `aws`.
    pub fn new(stack: &str, region: &str, account: &str) -> Self {
        Self {
            stack: stack.to_owned(),
            region: region.to_owned(),
            account: account.to_owned(),
            partition: "aws".to_owned(),
        }
    }

    /// The same names in another partition.
    #[must_use]
    pub fn in_partition(self, partition: &str) -> Self {
        Self {
            partition: partition.to_owned(),
            ..self
        }
    }

    /// The names of another stack in the same region and account.
    #[must_use]
    pub fn of_stack(&self, stack: &str) -> Self {
        Self {
            stack: stack.to_owned(),
            ..self.clone()
        }
    }

    /// `threescale-gw-<stack>-<suffix>`.
    pub fn exact(&self, suffix: &str) -> String {
        format!("threescale-gw-{}-{suffix}", self.stack)
    }

    /// The function name of the authorizer or the reporter; at most 64 characters.
    pub fn function(&self, name: &str) -> String {
        self.exact(name)
    }

    /// The ARN of that function.
    pub fn function_arn(&self, name: &str) -> String {
        format!(
            "arn:{}:lambda:{}:{}:function:{}",
            self.partition(),
            self.region,
            self.account,
            self.function(name)
        )
    }

    /// The ARN of that function's alias, which callers invoke.
    pub fn live_arn(&self, name: &str) -> String {
        format!("{}:{LIVE}", self.function_arn(name))
    }

    /// The role name. IAM roles are global, so it includes the region: the same stack may exist in two
    /// regions.
    pub fn role(&self) -> String {
        self.exact(&self.region)
    }

    /// The ARN of the role.
    pub fn role_arn(&self) -> String {
        format!(
            "arn:{}:iam::{}:role/threescale-gw/{}",
            self.partition(),
            self.account,
            self.role()
        )
    }

    /// The log group of that function.
    pub fn log_group(&self, name: &str) -> String {
        format!("/aws/lambda/{}", self.function(name))
    }

    /// The ARN of that log group, without the trailing `:*`.
    pub fn log_group_arn(&self, name: &str) -> String {
        format!(
            "arn:{}:logs:{}:{}:log-group:{}",
            self.partition(),
            self.region,
            self.account,
            self.log_group(name)
        )
    }

    /// The name of the EventBridge rule.
    pub fn rule(&self) -> String {
        self.exact("reporter")
    }

    /// The ARN of the EventBridge rule.
    pub fn rule_arn(&self) -> String {
        format!(
            "arn:{}:events:{}:{}:rule/{}",
            self.partition(),
            self.region,
            self.account,
            self.rule()
        )
    }

    /// The replication group id. It has at most 40 characters and no two consecutive hyphens, so a
    /// stack name that does not fit ends in a hash.
    pub fn cache(&self) -> String {
        let plain = self.exact("cache");
        if plain.len() <= CACHE_ID_MAX && !plain.contains("--") {
            return plain;
        }
        let hash = hex::encode(&Sha256::digest(self.stack.as_bytes())[..4]);
        let head: String = self.stack.replace("--", "-").chars().take(10).collect();
        format!("threescale-gw-{}-{hash}-cache", head.trim_end_matches('-'))
    }

    /// The name of the cache subnet group.
    pub fn cache_subnet_group(&self) -> String {
        self.exact("cache")
    }

    /// The ARN of an ElastiCache resource of this stack.
    pub fn cache_arn(&self, kind: &str, name: &str) -> String {
        format!(
            "arn:{}:elasticache:{}:{}:{kind}:{name}",
            self.partition(),
            self.region,
            self.account
        )
    }

    /// The name of the authorizer within an API.
    pub fn api_authorizer(&self) -> String {
        self.exact("authorizer")
    }

    /// The path prefix of all parameters.
    pub fn parameters(&self) -> String {
        format!("/threescale-gw/{}", self.stack)
    }

    /// The full name of one parameter.
    pub fn parameter(&self, name: &str) -> String {
        format!("/threescale-gw/{}/{name}", self.stack)
    }

    /// The partition in ARNs.
    pub fn partition(&self) -> &str {
        &self.partition
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_the_services_limits_for_every_allowed_stack() {
        for stack in [
            "a".to_owned(),
            "orders".to_owned(),
            "a--b-".to_owned(),
            "x".repeat(32),
            format!("{}-", "y".repeat(31)),
        ] {
            let names = Names::new(&stack, "ap-southeast-1", "123456789012");
            let cache = names.cache();
            assert!(
                cache.len() <= CACHE_ID_MAX && !cache.contains("--") && !cache.ends_with('-'),
                "{cache}"
            );
            assert!(names.role().len() <= 64, "{}", names.role());
            assert!(names.function("authorizer").len() <= 64);
            assert!(names.rule().len() <= 64);
        }
    }

    #[test]
    fn long_stacks_that_begin_alike_get_caches_of_their_own() {
        let cache = |stack: &str| Names::new(stack, "us-east-1", "1").cache();
        assert_ne!(
            cache(&format!("{}a", "x".repeat(31))),
            cache(&format!("{}b", "x".repeat(31)))
        );
        assert_eq!(cache("orders"), "threescale-gw-orders-cache");
    }
}
