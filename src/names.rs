//! The names that a stack uses in an account, derived from the stack's name, the region and the
//! account.

use sha2::{Digest as _, Sha256};

use crate::hex;

/// The maximum length of a replication group id. Source: ElastiCache `CreateReplicationGroup`.
const CACHE_ID_MAX: usize = 40;
/// How many caches of a stack can exist at a time. One does, and two while the stack moves to another network; more only
/// after several interrupted moves.
pub const CACHES: u32 = 10;

/// The path below which the parameters of every stack are.
pub const PARAMETERS: &str = "/threescale-gw";
/// The path of the IAM roles of every stack.
pub const ROLES: &str = "/threescale-gw/";

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
    /// The API whose lock these names are for, instead of the parameters of the stack.
    locked_api: Option<String>,
}

/// `<name>`, or `<name>-<number>` from 1 on.
pub fn numbered(name: &str, number: u32) -> String {
    match number {
        0 => name.to_owned(),
        number => format!("{name}-{number}"),
    }
}

/// The stack of a parameter, and the name of the parameter below the stack's path.
pub fn stack_of_parameter(name: &str) -> Option<(&str, &str)> {
    let below = name.strip_prefix(PARAMETERS)?.strip_prefix('/')?;
    let (stack, name) = below.split_once('/')?;
    // The locks of APIs are below a path that no stack has.
    let is_stack = stack.starts_with(|first: char| first.is_ascii_lowercase());
    (is_stack && !name.is_empty()).then_some((stack, name))
}

/// The stack of a role in this Region.
pub fn stack_of_role<'a>(role: &'a str, region: &str) -> Option<&'a str> {
    let stack = role.strip_prefix("threescale-gw-")?;
    let stack = stack.strip_suffix(region)?.strip_suffix('-')?;
    (!stack.is_empty()).then_some(stack)
}

impl Names {
    /// The names of `stack` in this region and account of the partition `aws`.
    pub fn new(stack: &str, region: &str, account: &str) -> Self {
        Self {
            stack: stack.to_owned(),
            region: region.to_owned(),
            account: account.to_owned(),
            partition: "aws".to_owned(),
            locked_api: None,
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
            locked_api: None,
            ..self.clone()
        }
    }

    /// The same names, with the parameters of the API's lock, which all stacks share, instead of the stack's own.
    #[must_use]
    pub fn of_api(&self, api: &str) -> Self {
        Self {
            locked_api: Some(api.to_owned()),
            ..self.clone()
        }
    }

    /// What the lock among [`Self::parameters`] is for, in words.
    pub fn locked(&self) -> String {
        match &self.locked_api {
            None => format!("stack {}", self.stack),
            Some(api) => format!("API {api}"),
        }
    }

    /// Whether the lock among [`Self::parameters`] is that of an API.
    pub fn is_of_api(&self) -> bool {
        self.locked_api.is_some()
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

    /// The name of an alarm, by its name within the stack.
    pub fn alarm(&self, name: &str) -> String {
        self.exact(name)
    }

    /// The ARN of that alarm.
    pub fn alarm_arn(&self, name: &str) -> String {
        format!(
            "arn:{}:cloudwatch:{}:{}:alarm:{}",
            self.partition(),
            self.region,
            self.account,
            self.alarm(name)
        )
    }

    /// The name of the dashboard. Dashboards are global, so it includes the Region: the same stack may exist in two Regions.
    pub fn dashboard(&self) -> String {
        self.exact(&self.region)
    }

    /// The ARN of the dashboard.
    pub fn dashboard_arn(&self) -> String {
        format!(
            "arn:{}:cloudwatch::{}:dashboard/{}",
            self.partition(),
            self.account,
            self.dashboard()
        )
    }

    /// The replication group id. It has at most 40 characters and no two consecutive hyphens, so a
    /// stack name that does not fit ends in a hash.
    ///
    /// Names of ElastiCache are unique in an account and a region. A cache that is created beside another one of the
    /// stack, in another network, therefore has a number.
    pub fn cache(&self, number: u32) -> String {
        let end = numbered("cache", number);
        let plain = self.exact(&end);
        if plain.len() <= CACHE_ID_MAX && !plain.contains("--") {
            return plain;
        }
        let hash = hex::encode(&Sha256::digest(self.stack.as_bytes())[..4]);
        let kept = if number == 0 { 10 } else { 8 };
        let head: String = self.stack.replace("--", "-").chars().take(kept).collect();
        format!("threescale-gw-{}-{hash}-{end}", head.trim_end_matches('-'))
    }

    /// The number in a replication group id of this stack.
    pub fn number_of_cache(&self, id: &str) -> Option<u32> {
        (0..CACHES).find(|number| self.cache(*number) == id)
    }

    /// The name of the cache subnet group with this number.
    pub fn cache_subnet_group(&self, number: u32) -> String {
        self.exact(&numbered("cache", number))
    }

    /// The number in the name of a cache subnet group of this stack.
    pub fn number_of_cache_subnet_group(&self, name: &str) -> Option<u32> {
        (0..CACHES).find(|number| self.cache_subnet_group(*number) == name)
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
        match &self.locked_api {
            None => format!("{PARAMETERS}/{}", self.stack),
            // No stack has this name: it would begin with a letter.
            Some(api) => format!("{PARAMETERS}/_apis/{api}"),
        }
    }

    /// The full name of one parameter.
    pub fn parameter(&self, name: &str) -> String {
        format!("{}/{name}", self.parameters())
    }

    /// The partition in ARNs.
    pub fn partition(&self) -> &str {
        &self.partition
    }
}

/// Whether a network interface with this description was created for this function. The interfaces of older functions do not
/// name one. Source: Lambda Developer Guide, foundation-networking; the id is a UUID.
pub fn is_interface_of(function: &str, description: &str) -> bool {
    let rest = description
        .strip_prefix(INTERFACE_PREFIX)
        .and_then(|rest| rest.strip_prefix(function))
        .and_then(|rest| rest.strip_prefix('-'));
    // The names of other functions can begin with this one.
    rest.is_some_and(|id| id.len() == 36 && id.chars().all(|c| c.is_ascii_hexdigit() || c == '-'))
}

/// How the description of a network interface begins that Lambda has created for a named function.
pub const INTERFACE_PREFIX: &str = "AWS Lambda VPC ENI-";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_names_its_function() {
        let id = "01234567-89ab-cdef-0123-456789abcdef";
        let of = |name: &str| is_interface_of("threescale-gw-orders-authorizer", name);
        let described = |name: &str| format!("AWS Lambda VPC ENI-threescale-gw-orders-{name}{id}");
        assert!(of(&described("authorizer-")));
        for other in [
            described("reporter-"),
            described("authorizer-authorizer-"),
            described("authorizer"),
            format!("AWS Lambda VPC ENI: {id}"),
        ] {
            assert!(!of(&other), "{other}");
        }
    }

    #[test]
    fn names_tell_their_stack() {
        let names = Names::new("orders-eu", "us-east-1", "1");
        let parameter = names.parameter("secrets/hash-key");
        assert_eq!(
            stack_of_parameter(&parameter),
            Some(("orders-eu", "secrets/hash-key"))
        );
        let lock = names.of_api("a1").parameter("lock");
        for other in [
            lock.as_str(),
            "/threescale-gw/note",
            "/threescale-gw/a/",
            "/x/a/b",
        ] {
            assert_eq!(stack_of_parameter(other), None, "{other}");
        }
        assert_eq!(stack_of_role(&names.role(), "us-east-1"), Some("orders-eu"));
        assert_eq!(stack_of_role(&names.role(), "eu-west-1"), None);
        assert_eq!(stack_of_role("threescale-gw-us-east-1", "us-east-1"), None);
    }

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
            for number in 0..CACHES {
                let cache = names.cache(number);
                assert!(
                    cache.len() <= CACHE_ID_MAX && !cache.contains("--") && !cache.ends_with('-'),
                    "{cache}"
                );
                assert_eq!(names.number_of_cache(&cache), Some(number));
                let group = names.cache_subnet_group(number);
                assert_eq!(names.number_of_cache_subnet_group(&group), Some(number));
            }
            assert!(names.role().len() <= 64, "{}", names.role());
            assert!(names.function("authorizer").len() <= 64);
            assert!(names.rule().len() <= 64);
        }
    }

    #[test]
    fn the_lock_of_an_api_is_below_no_stack() {
        let names = Names::new("orders", "us-east-1", "123456789012");
        assert_eq!(names.parameter("lock"), "/threescale-gw/orders/lock");
        let api = names.of_api("0jb6kpgv2a");
        assert_eq!(
            api.parameter("lock"),
            "/threescale-gw/_apis/0jb6kpgv2a/lock"
        );
        assert_eq!(
            (names.locked(), api.locked()),
            ("stack orders".to_owned(), "API 0jb6kpgv2a".to_owned())
        );
        assert_eq!(api.of_stack("partners").locked(), "stack partners");
    }

    #[test]
    fn long_stacks_that_begin_alike_get_caches_of_their_own() {
        let cache = |stack: &str| Names::new(stack, "us-east-1", "1").cache(0);
        assert_ne!(
            cache(&format!("{}a", "x".repeat(31))),
            cache(&format!("{}b", "x".repeat(31)))
        );
        assert_eq!(cache("orders"), "threescale-gw-orders-cache");
    }
}
