//! The required formats of names, ids and addresses.
//!
//! Each function takes the text of one value and returns it in its stored form, or an error that describes the required
//! form. No error repeats the text, because it may be a secret.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::time::Duration;

use ipnet::Ipv4Net;
use url::{Host, Url};

use super::problem::Invalid;
use super::{CredentialLocation, StackName};
use crate::engine_version::{EngineVersion, FIRST_VALKEY};
use crate::nearest::nearest;
use crate::secret::Secret;

/// Maximum number of characters of a 3scale system name or mapping pattern (3scale's Admin Portal).
pub(super) const MAX_THREESCALE_NAME: usize = 255;

/// Maximum size of an SSM standard parameter in bytes. Each secret is stored in one parameter.
pub(super) const MAX_SECRET: usize = 4096;

/// Maximum length of 3scale's address. It is a part of the settings of the functions.
const MAX_BACKEND: usize = 300;

/// Retention periods in days that CloudWatch Logs supports (its PutRetentionPolicy).
pub(super) const LOG_RETENTION_DAYS: [u32; 22] = [
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
];

/// Node families without TLS or a current engine (ElastiCache's guide).
pub(super) const OLD_NODE_FAMILIES: [&str; 4] = ["t1", "m1", "m2", "c1"];

/// Maximum `max_age`: a key that is revoked in 3scale works for this long.
const LONGEST_MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Maximum `report_every`: 3scale drops usage older than 24 hours, so there must be time for another report after a
/// failed one.
const LONGEST_REPORT_EVERY: Duration = Duration::from_secs(6 * 60 * 60);

/// How long a request may wait for 3scale. The authorizer ends after 5 s, and Redis needs a part of them.
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(4);

pub(super) fn stack_name(text: &str) -> Result<StackName, Invalid> {
    let rest = text.strip_prefix(|c: char| c.is_ascii_lowercase());
    let fits =
        |rest: &str| rest.len() <= 31 && rest.chars().all(|c| is_lower_or_digit(c) || c == '-');
    if rest.is_some_and(fits) {
        Ok(StackName(text.to_owned()))
    } else {
        Err(Invalid::new(
            "must be a lower-case letter, followed by at most 31 of `a-z`, `0-9` and `-`",
        ))
    }
}

pub(super) fn account(text: &str) -> Result<String, Invalid> {
    if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(text.to_owned())
    } else {
        Err(Invalid::new("must be an AWS account id: twelve digits"))
    }
}

/// New regions and partitions appear, so only the form is checked.
pub(super) fn region(text: &str) -> Result<String, Invalid> {
    let is_allowed = |c: char| is_lower_or_digit(c) || c == '-';
    if (4..=32).contains(&text.len()) && text.contains('-') && text.chars().all(is_allowed) {
        Ok(text.to_owned())
    } else {
        Err(Invalid::new("must be an AWS region, such as `eu-west-1`"))
    }
}

/// API Gateway's ids have ten characters, but this is not guaranteed. Emulators use shorter ids.
pub(super) fn api_id(text: &str) -> Result<String, Invalid> {
    if (8..=12).contains(&text.len()) && text.chars().all(is_lower_or_digit) {
        Ok(text.to_owned())
    } else {
        Err(Invalid::new(
            "must be the id of an API: ten of `a-z` and `0-9`",
        ))
    }
}

pub(super) fn api_name(text: &str) -> Result<String, Invalid> {
    if text.trim().is_empty() || text.contains(char::is_control) {
        Err(Invalid::new("must be the name of an API"))
    } else {
        Ok(text.to_owned())
    }
}

/// The stage of an HTTP API that has no segment in the path.
const DEFAULT_STAGE: &str = "$default";

/// A stage, or the one of HTTP APIs whose name is not a part of the path.
pub(super) fn stage(text: &str) -> Result<String, Invalid> {
    if text == DEFAULT_STAGE {
        return Ok(text.to_owned());
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    if (1..=128).contains(&text.len()) && text.chars().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err(Invalid::new(
            "must be the name of a stage: at most 128 letters, digits, `-` and `_`, or `$default`",
        )
        .did_you_mean(nearest(text, [DEFAULT_STAGE])))
    }
}

pub(super) fn service_id(text: &str) -> Result<String, Invalid> {
    if (1..=MAX_THREESCALE_NAME).contains(&text.len()) && text.chars().all(|c| c.is_ascii_digit()) {
        Ok(text.to_owned())
    } else {
        Err(Invalid::new(
            "must be the product's id, which is a number (not its system name)",
        ))
    }
}

pub(super) fn token(text: &str) -> Result<Secret, Invalid> {
    if text.is_empty() {
        Err(Invalid::new("must not be empty"))
    } else if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        Err(Invalid::new(
            "must not contain white space, line breaks or control characters",
        ))
    } else if text.len() > MAX_SECRET {
        Err(Invalid::new(format!(
            "must not be longer than {MAX_SECRET} bytes"
        )))
    } else {
        Ok(Secret::from(text.to_owned()))
    }
}

/// How the way to 3scale is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// TLS.
    Encrypted,
    /// Plain HTTP that does not leave the machine.
    Loopback,
    /// Plain HTTP to an address that only a private network can have.
    Private,
    /// Plain HTTP to another address.
    Public,
}

/// 3scale's address without a trailing slash, and how the way to it is protected.
pub(super) fn backend(text: &str) -> Result<(String, Way), Invalid> {
    let must = || {
        Invalid::new(
            "must be an address such as `https://su1.3scale.net`: https, host, port and path only",
        )
    };
    let url = parse_url(text).ok_or_else(must)?;
    let is_encrypted = match url.scheme() {
        "https" => true,
        "http" => false,
        _ => return Err(must()),
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.~/".contains(c);
    let path = url.path();
    let bare = url.username().is_empty()
        && url.password().is_none()
        && path.chars().all(allowed)
        && !path.contains("//")
        && url.query().is_none()
        && url.fragment().is_none();
    if !bare {
        return Err(must());
    }
    if url.as_str().len() > MAX_BACKEND {
        return Err(Invalid::new(format!(
            "must not be longer than {MAX_BACKEND} characters"
        )));
    }
    let way = match url.host() {
        _ if is_encrypted => Way::Encrypted,
        Some(host) => unencrypted(&host),
        None => return Err(must()),
    };
    Ok((url.as_str().trim_end_matches('/').to_owned(), way))
}

/// How plain HTTP to a host is protected. Of a name, only its form tells: `internal` is reserved for private networks, and
/// the names of internal load balancers resolve to private addresses.
fn unencrypted(host: &Host<&str>) -> Way {
    let (is_loopback, is_private) = match host {
        Host::Domain(name) => {
            let is_below = |suffix: &str| name.ends_with(suffix);
            let is_balancer = name.starts_with("internal-")
                && name.contains(".elb.")
                && (is_below(".amazonaws.com") || is_below(".amazonaws.com.cn"));
            (
                *name == "localhost" || is_below(".localhost"),
                is_below(".internal") || is_balancer,
            )
        }
        Host::Ipv4(address) => (
            address.is_loopback(),
            private_ranges().iter().any(|range| range.contains(address)),
        ),
        // The second one is for unique local addresses, fc00::/7.
        Host::Ipv6(address) => (address.is_loopback(), address.is_unique_local()),
    };
    match (is_loopback, is_private) {
        (true, _) => Way::Loopback,
        (_, true) => Way::Private,
        _ => Way::Public,
    }
}

/// The IPv4 ranges that only private networks use.
fn private_ranges() -> [Ipv4Net; 4] {
    [
        ([10, 0, 0, 0], 8),
        ([172, 16, 0, 0], 12),
        ([192, 168, 0, 0], 16),
        ([100, 64, 0, 0], 10),
    ]
    .map(|(address, prefix)| Ipv4Net::new_assert(Ipv4Addr::from(address), prefix))
}

/// The address of a user's own cache, including credentials, and whether it uses TLS.
pub(super) fn cache_url(text: &str) -> Result<(Secret, bool), Invalid> {
    let must = || {
        Invalid::new(
            "must be an address such as `rediss://:password@host:6379`, with a database number at most after it",
        )
    };
    let url = parse_url(text).ok_or_else(must)?;
    let tls = match url.scheme() {
        "rediss" => true,
        "redis" => false,
        _ => return Err(must()),
    };
    let database = url.path().trim_start_matches('/');
    let bare = url.query().is_none() && url.fragment().is_none();
    let has_host = url.host_str().is_some_and(|host| !host.is_empty());
    if !bare || !has_host || !(database.is_empty() || database.parse::<u16>().is_ok()) {
        return Err(must());
    }
    if text.len() > MAX_SECRET {
        return Err(Invalid::new(format!(
            "must not be longer than {MAX_SECRET} bytes"
        )));
    }
    Ok((Secret::from(text.to_owned()), tls))
}

/// Parses a URL as written. The parser alone would remove white space from it.
fn parse_url(text: &str) -> Option<Url> {
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return None;
    }
    Url::parse(text).ok()
}

/// The name of a header or query parameter, with the characters that API Gateway accepts in an authorizer's identity
/// source (its parameter mapping reference).
pub(super) fn parameter_name(text: &str, location: CredentialLocation) -> Result<String, Invalid> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._$-".contains(c);
    if (1..=128).contains(&text.len()) && text.chars().all(allowed) {
        Ok(text.to_owned())
    } else {
        let what = match location {
            CredentialLocation::Header => "header",
            CredentialLocation::Query => "query parameter",
        };
        Err(Invalid::new(format!(
            "must be the name of a {what}: at most 128 letters, digits and `. _ $ -`"
        )))
    }
}

/// The system name of a metric or method. Those of a product's backends end in `.` and a number.
pub(super) fn metric(text: &str) -> Result<String, Invalid> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-/.".contains(c);
    let begins = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if text.len() <= MAX_THREESCALE_NAME && text.starts_with(begins) && text.chars().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err(Invalid::new(
            "must be the system name of a metric or method: letters, digits and `_ - / .`",
        ))
    }
}

/// A VPC's CIDR block: private, within the sizes that AWS allows, and with no host bits set.
pub(super) fn vpc_cidr(text: &str) -> Result<Ipv4Net, Invalid> {
    let cidr: Ipv4Net = text
        .parse()
        .map_err(|_| Invalid::new("must be an IPv4 address range such as `10.42.0.0/16`"))?;
    if cidr != cidr.trunc() {
        let must = "must be a range's first address, without host bits";
        return Err(Invalid::new(must).did_you_mean(Some(cidr.trunc())));
    }
    if !(16..=28).contains(&cidr.prefix_len()) {
        return Err(Invalid::new(
            "must be between /16 and /28, the sizes AWS allows for a VPC",
        ));
    }
    // Public addresses inside the VPC would hide the Internet hosts that have them.
    let private = private_ranges();
    if !private.iter().any(|range| range.contains(&cidr)) {
        let ranges = private.map(|range| format!("`{range}`")).join(", ");
        return Err(Invalid::new(format!(
            "must be private addresses, a part of {ranges}"
        )));
    }
    Ok(cidr)
}

/// A VPC's id, or `default` for the Region's default VPC.
pub(super) fn vpc_id(text: &str) -> Result<String, Invalid> {
    if text == "default" || is_ec2_id(text, "vpc-") {
        Ok(text.to_owned())
    } else {
        Err(Invalid::new(
            "must be a VPC's id such as `vpc-0123456789abcdef0`, or `default`",
        ))
    }
}

pub(super) fn subnet_id(text: &str) -> Result<String, Invalid> {
    if is_ec2_id(text, "subnet-") {
        Ok(text.to_owned())
    } else {
        Err(Invalid::new(
            "must be a subnet's id such as `subnet-0123456789abcdef0`",
        ))
    }
}

/// The CIDR block of a subnet: within the sizes that AWS allows, and with no host bits set. Which range it must be a part of is
/// known to the VPC only.
pub(super) fn subnet_cidr(text: &str) -> Result<Ipv4Net, Invalid> {
    let cidr: Ipv4Net = text
        .parse()
        .map_err(|_| Invalid::new("must be an IPv4 address range such as `10.0.96.0/24`"))?;
    if cidr != cidr.trunc() {
        let must = "must be a range's first address, without host bits";
        return Err(Invalid::new(must).did_you_mean(Some(cidr.trunc())));
    }
    if !(16..=28).contains(&cidr.prefix_len()) {
        return Err(Invalid::new(
            "must be between /16 and /28, the sizes AWS allows for a subnet",
        ));
    }
    Ok(cidr)
}

pub(super) fn nat_gateway_id(text: &str) -> Result<String, Invalid> {
    if is_ec2_id(text, "nat-") {
        Ok(text.to_owned())
    } else {
        Err(Invalid::new(
            "must be the id of a NAT gateway such as `nat-0123456789abcdef0`",
        ))
    }
}

pub(super) fn security_group_id(text: &str) -> Result<String, Invalid> {
    if is_ec2_id(text, "sg-") {
        Ok(text.to_owned())
    } else {
        Err(Invalid::new(
            "must be a security group's id such as `sg-0123456789abcdef0`",
        ))
    }
}

pub(super) fn allocation_id(text: &str) -> Result<String, Invalid> {
    if is_ec2_id(text, "eipalloc-") {
        Ok(text.to_owned())
    } else {
        Err(Invalid::new(
            "must be the allocation id of an Elastic IP address such as `eipalloc-0123456789abcdef0`",
        ))
    }
}

/// The ARN of a managed policy, of the account or of AWS.
pub(super) fn policy_arn(text: &str) -> Result<String, Invalid> {
    match iam_arn(text, "policy/") {
        Some(owner) if owner == "aws" || account(owner).is_ok() => Ok(text.to_owned()),
        _ => Err(Invalid::new(
            "must be the ARN of an IAM policy such as `arn:aws:iam::123456789012:policy/boundary`",
        )),
    }
}

/// The ARN of a KMS key. A policy cannot name an alias, and an alias can be moved to another key.
pub(super) fn kms_key(text: &str) -> Result<String, Invalid> {
    let must = "must be the ARN of a KMS key such as `arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab`";
    let parts: Vec<_> = text.split(':').collect();
    let ["arn", partition, "kms", region_of, owner, resource] = parts[..] else {
        return Err(Invalid::new(must));
    };
    let is_place =
        partition.starts_with("aws") && region(region_of).is_ok() && account(owner).is_ok();
    if is_place && resource.starts_with("alias/") {
        return Err(Invalid {
            must: must.to_owned(),
            hint: Some(
                "an alias is no key: `aws kms describe-key` shows the key behind it".to_owned(),
            ),
        });
    }
    let is_key = resource.strip_prefix("key/").is_some_and(|id| {
        let id = id.strip_prefix("mrk-").unwrap_or(id);
        (32..=36).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
    });
    match is_place && is_key {
        true => Ok(text.to_owned()),
        false => Err(Invalid::new(must)),
    }
}

/// The ARN of an SNS topic. Source: Amazon SNS API Reference, `CreateTopic`, on names; a FIFO topic cannot be the action of an
/// alarm. Source: CloudWatch User Guide, "Notifying users on alarm changes".
pub(super) fn topic(text: &str) -> Result<String, Invalid> {
    let must =
        "must be the ARN of an SNS topic such as `arn:aws:sns:us-east-1:123456789012:alarms`";
    let parts: Vec<_> = text.split(':').collect();
    let ["arn", partition, "sns", region_of, owner, name] = parts[..] else {
        return Err(Invalid::new(must));
    };
    let is_place =
        partition.starts_with("aws") && region(region_of).is_ok() && account(owner).is_ok();
    let is_name = (1..=256).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if is_place && name.ends_with(".fifo") {
        return Err(Invalid {
            must: must.to_owned(),
            hint: Some("an alarm cannot notify a FIFO topic".to_owned()),
        });
    }
    match is_place && is_name {
        true => Ok(text.to_owned()),
        false => Err(Invalid::new(must)),
    }
}

/// The ARN of a role.
pub(super) fn role_arn(text: &str) -> Result<String, Invalid> {
    match iam_arn(text, "role/") {
        Some(owner) if account(owner).is_ok() => Ok(text.to_owned()),
        _ => Err(Invalid::new(
            "must be the ARN of an IAM role such as `arn:aws:iam::123456789012:role/authorizer`",
        )),
    }
}

/// The owner in the ARN of an IAM resource whose name follows this prefix.
fn iam_arn<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let parts: Vec<_> = text.splitn(6, ':').collect();
    let ["arn", partition, "iam", "", owner, resource] = parts[..] else {
        return None;
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || "+=,.@_-/".contains(c);
    let name = resource.strip_prefix(prefix)?;
    let is_arn = partition.starts_with("aws")
        && !name.is_empty()
        && !name.ends_with('/')
        && name.chars().all(is_name);
    is_arn.then_some(owner)
}

/// EC2 ids have 17 hexadecimal digits; ids created before 2016 have 8.
fn is_ec2_id(text: &str, prefix: &str) -> bool {
    let hexadecimal = |c: char| matches!(c, '0'..='9' | 'a'..='f');
    text.strip_prefix(prefix)
        .is_some_and(|id| [8, 17].contains(&id.len()) && id.chars().all(hexadecimal))
}

pub(super) fn node_type(text: &str) -> Result<String, Invalid> {
    let must = || Invalid::new("must be an ElastiCache node type such as `cache.t4g.micro`");
    let (family, size) = text
        .strip_prefix("cache.")
        .and_then(|rest| rest.split_once('.'))
        .ok_or_else(must)?;
    let is_family = family.starts_with(|c: char| c.is_ascii_lowercase())
        && family.contains(|c: char| c.is_ascii_digit())
        && family.chars().all(is_lower_or_digit);
    let size = size.trim_start_matches(|c: char| c.is_ascii_digit());
    if !is_family || size.is_empty() || !size.chars().all(|c| c.is_ascii_lowercase()) {
        return Err(must());
    }
    if OLD_NODE_FAMILIES.contains(&family) {
        let families = OLD_NODE_FAMILIES.join(", ");
        return Err(Invalid::new(format!(
            "must be of a family newer than {families}, which have no TLS"
        )));
    }
    Ok(text.to_owned())
}

pub(super) fn engine_version(text: &str) -> Result<EngineVersion, Invalid> {
    EngineVersion::parse(text)
        .filter(|version| version.to_string() == text)
        .ok_or_else(|| Invalid::new("must be a major and a minor version such as `7.1`"))
}

/// A major version of Valkey, the form in which ElastiCache Serverless takes it.
pub(super) fn major_version(text: &str) -> Result<EngineVersion, Invalid> {
    text.parse()
        .ok()
        .filter(|major: &u32| major.to_string() == text && *major >= FIRST_VALKEY.major)
        .map(|major| EngineVersion::new(major, 0))
        .ok_or_else(|| {
            Invalid::new("must be a major version of Valkey, `7` or newer, for `kind: serverless`")
        })
}

pub(super) fn tag_key(text: &str) -> Result<String, Invalid> {
    let reserved = ["aws:", "threescale-gw:"];
    if !(1..=128).contains(&text.chars().count()) || !text.chars().all(is_tag_character) {
        return Err(Invalid::new(
            "tag keys must have 1 to 128 letters, digits, spaces and `+ - = . _ : / @`",
        ));
    }
    let lower = text.to_lowercase();
    if reserved.iter().any(|prefix| lower.starts_with(prefix)) {
        return Err(Invalid::new(
            "tag keys must not begin with `aws:` or `threescale-gw:`, which are reserved",
        ));
    }
    // IAM refuses tag keys that differ only in case.
    if lower == "name" {
        return Err(Invalid::new(
            "tag key `Name`, in any spelling, is set by threescale-gw itself",
        ));
    }
    Ok(text.to_owned())
}

pub(super) fn tag_value(text: &str) -> Result<String, Invalid> {
    if text.chars().count() <= 256 && text.chars().all(is_tag_character) {
        Ok(text.to_owned())
    } else {
        Err(Invalid::new(
            "must have at most 256 letters, digits, spaces and `+ - = . _ : / @`",
        ))
    }
}

/// The characters that all tagged services accept in keys and values. EC2 alone accepts more.
fn is_tag_character(c: char) -> bool {
    c.is_alphanumeric() || (c.is_whitespace() && !c.is_control()) || "+-=._:/@".contains(c)
}

/// How long a response may be cached, in whole seconds. The check for zero is with `caching`.
pub(super) fn max_age(text: &str) -> Result<Duration, Invalid> {
    let fits = |age: &Duration| *age <= LONGEST_MAX_AGE && age.subsec_nanos() == 0;
    let must = || Invalid::new("must be whole seconds, such as `60s` or `5m`, and at most `1d`");
    humantime::parse_duration(text)
        .ok()
        .filter(fits)
        .ok_or_else(must)
}

/// How long a request waits for 3scale, in whole milliseconds.
pub(super) fn timeout(text: &str) -> Result<Duration, Invalid> {
    let fits =
        |time: &Duration| TIMEOUTS.contains(time) && time.subsec_nanos().is_multiple_of(1_000_000);
    let must = || Invalid::new("must be whole milliseconds or seconds, from `100ms` to `4s`");
    humantime::parse_duration(text)
        .ok()
        .filter(fits)
        .ok_or_else(must)
}

/// The reporting interval in whole minutes, the smallest unit of EventBridge.
pub(super) fn report_every(text: &str) -> Result<Duration, Invalid> {
    let fits = |every: &Duration| {
        (Duration::from_secs(60)..=LONGEST_REPORT_EVERY).contains(every)
            && every.as_secs().is_multiple_of(60)
            && every.subsec_nanos() == 0
    };
    let must = || Invalid::new("must be whole minutes, from `1m` to `6h`");
    humantime::parse_duration(text)
        .ok()
        .filter(fits)
        .ok_or_else(must)
}

/// The log retention period. `None` is a value that is not a whole number.
pub(super) fn log_retention_days(days: Option<i128>) -> Result<u32, Invalid> {
    LOG_RETENTION_DAYS
        .into_iter()
        .find(|allowed| Some(i128::from(*allowed)) == days)
        .ok_or_else(|| {
            let allowed = LOG_RETENTION_DAYS.map(|days| days.to_string()).join(", ");
            Invalid::new(format!(
                "must be one of the terms CloudWatch Logs has: {allowed}"
            ))
        })
}

fn is_lower_or_digit(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

#[cfg(test)]
mod tests;
