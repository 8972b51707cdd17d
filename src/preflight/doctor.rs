//! What `doctor` concludes from what it has read. Pure.

use super::rights::Simulated;
use super::rules;
use crate::aws::account::Quota;
use crate::error::Error;
use crate::id::LogicalId;
use crate::package::Supply;

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Ok,
    /// `up` may still work.
    Warn,
    /// `up` does not work.
    Fail,
    /// What the check needs is missing.
    Skipped,
}

impl Outcome {
    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Skipped => "skipped",
        }
    }
}

/// What `doctor` checks, in the order in which it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    Configuration,
    Credentials,
    Region,
    Rights,
    Quotas,
    Threescale,
    Tools,
    Lock,
}

impl Topic {
    /// The name in the text and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Credentials => "credentials",
            Self::Region => "region",
            Self::Rights => "rights",
            Self::Quotas => "quotas",
            Self::Threescale => "3scale",
            Self::Tools => "tools",
            Self::Lock => "lock",
        }
    }
}

/// A check with its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub topic: Topic,
    pub outcome: Outcome,
    pub text: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Check {
    fn new(topic: Topic, outcome: Outcome, text: impl Into<String>) -> Self {
        Self {
            topic,
            outcome,
            text: text.into(),
            hint: None,
        }
    }

    pub fn ok(topic: Topic, text: impl Into<String>) -> Self {
        Self::new(topic, Outcome::Ok, text)
    }

    pub fn warn(topic: Topic, text: impl Into<String>) -> Self {
        Self::new(topic, Outcome::Warn, text)
    }

    pub fn fail(topic: Topic, text: impl Into<String>) -> Self {
        Self::new(topic, Outcome::Fail, text)
    }

    /// Not done. `needs` is what is missing.
    pub fn skipped(topic: Topic, needs: &str) -> Self {
        Self::new(topic, Outcome::Skipped, format!("not checked: {needs}"))
    }

    /// A failed request, with what its error advises.
    pub fn failed(topic: Topic, error: &Error) -> Self {
        let hint = error.hints().join("; ");
        Self {
            hint: (!hint.is_empty()).then_some(hint),
            ..Self::fail(topic, error.to_string())
        }
    }

    /// With what to do.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}

/// Whether no check has failed.
pub fn is_well(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.outcome != Outcome::Fail)
}

/// The problems of the file with this name.
pub fn configuration(file: &str, problems: &[String]) -> Check {
    let text = match problems {
        [only] => only.clone(),
        [first, rest @ ..] => format!(
            "{file} has {} problems; the first one: {first}",
            rest.len() + 1
        ),
        [] => return Check::ok(Topic::Configuration, format!("{file} is valid")),
    };
    let hint = "correct the file or its environment variables; `threescale-gw validate` shows all problems of the file";
    Check::fail(Topic::Configuration, text).hint(hint)
}

/// Whether the policies of `caller` allow what `up` of a new stack needs.
pub fn rights(caller: &str, simulated: Option<&Simulated>) -> Check {
    let topic = Topic::Rights;
    let Some(Simulated {
        arn,
        lacking,
        unread,
    }) = simulated
    else {
        let text = match caller.ends_with(":root") {
            true => "the root user may do everything",
            false => "not checked: IAM cannot simulate the policies of this kind of session",
        };
        return Check::warn(topic, text)
            .hint("use a user or a role with the policy of `threescale-gw iam-policy --for up`");
    };
    if !lacking.is_empty() {
        let text = format!(
            "the policies of {arn} do not allow what a new stack needs: {}",
            lacking.join(", ")
        );
        return Check::fail(topic, text)
            .hint("attach the policy that `threescale-gw iam-policy --for up` prints");
    }
    match unread {
        Some(error) => Check::warn(topic, format!("not checked: {error}")).hint(
            "allow iam:SimulatePrincipalPolicy, or compare with `threescale-gw iam-policy --for up`",
        ),
        None => Check::ok(
            topic,
            format!("the policies of {arn} allow what a new stack needs"),
        ),
    }
}

/// The quotas of the account, as far as they could be read.
#[derive(Debug, Default)]
pub struct Quotas {
    pub quotas: Vec<Quota>,
    /// Why some could not be read.
    pub unread: Option<String>,
    /// The number of concurrent executions of functions.
    pub concurrency: Option<i32>,
    /// Why the Region does not suit the configuration.
    pub zones: Option<String>,
}

/// Whether the quotas have room for the resources that are not there yet.
pub fn quotas(new: &[LogicalId], found: &Quotas) -> Check {
    let topic = Topic::Quotas;
    let mut faults: Vec<_> = found.zones.clone().into_iter().collect();
    faults.extend(rules::quotas(new, &found.quotas));
    if !faults.is_empty() {
        return Check::fail(topic, faults.join("; "))
            .hint("request an increase in Service Quotas, or delete what is not used");
    }
    let mut warnings: Vec<_> = rules::concurrency(found.concurrency).into_iter().collect();
    let unread = found.unread.iter();
    warnings.extend(unread.map(|error| format!("not all quotas could be read: {error}")));
    if !warnings.is_empty() {
        return Check::warn(topic, warnings.join("; "));
    }
    let used = found.quotas.iter();
    let mut used: Vec<_> = used
        .map(|quota| format!("{} of {} {}", quota.used, quota.limit, quota.kind))
        .collect();
    used.sort();
    let room = match new.is_empty() {
        true => "the stack needs no more",
        false => "there is room for a new stack",
    };
    Check::ok(topic, format!("{room}: {} in use", used.join(", ")))
}

/// What 3scale answers from this machine.
pub fn threescale(backend: &str, service: &str, faults: &[String], notices: &[String]) -> Check {
    let topic = Topic::Threescale;
    if !faults.is_empty() {
        return Check::fail(topic, faults.join("; "))
            .hint("correct `threescale` in the configuration");
    }
    match notices {
        [] => Check::ok(
            topic,
            format!("{backend} accepts the token of product {service}"),
        ),
        some => Check::warn(topic, some.join("; ")),
    }
}

/// Whether the code of the functions is there, or can be built. `problem` is what to install.
pub fn tools(supply: &Supply, problem: Option<&str>) -> Check {
    match problem {
        None => {
            let text = match supply {
                Supply::Build | Supply::Artifact(_) => {
                    "the code of the authorizer is there, or can be built".to_owned()
                }
                of_release => format!("the code of the authorizer is {of_release}"),
            };
            Check::ok(Topic::Tools, text)
        }
        Some(problem) => Check::fail(Topic::Tools, problem).hint(match supply {
            Supply::Build | Supply::Artifact(_) => {
                "install the tools, or correct the file of `authorizer.artifact`"
            }
            _ => "use the file of the release, or build the authorizer with `up --build`",
        }),
    }
}

/// Who holds the lock of the stack.
pub fn lock(stack: &str, holder: Option<&str>) -> Check {
    match holder {
        None => Check::ok(Topic::Lock, format!("stack {stack} is not locked")),
        Some(holder) => {
            Check::warn(Topic::Lock, format!("stack {stack} is locked by {holder}")).hint(format!(
                "wait for that run; if it no longer exists, `threescale-gw unlock --stack {stack}` releases the lock"
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::account::QuotaKind;
    use crate::kind::Kind;

    #[test]
    fn a_warning_is_no_failure() {
        let checks = [
            Check::ok(Topic::Region, "a"),
            Check::warn(Topic::Lock, "b"),
            Check::skipped(Topic::Tools, "c"),
        ];
        assert!(is_well(&checks));
        assert!(!is_well(&[Check::fail(Topic::Region, "d")]));
        let error = Error::failed(anyhow::anyhow!("no")).hint("one").hint("two");
        let check = Check::failed(Topic::Lock, &error);
        assert_eq!(
            (check.outcome, check.text.as_str(), check.hint.as_deref()),
            (Outcome::Fail, "no", Some("one; two"))
        );
    }

    #[test]
    fn the_first_problem_of_the_configuration_is_told() {
        let of = |problems: &[&str]| {
            let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
            configuration("a.yaml", &problems)
        };
        assert_eq!(of(&[]).outcome, Outcome::Ok);
        assert_eq!(of(&["a.yaml:1:1: x"]).text, "a.yaml:1:1: x");
        let several = of(&["a.yaml:1:1: x", "a.yaml:2:1: y"]);
        assert_eq!(several.outcome, Outcome::Fail);
        assert_eq!(
            several.text,
            "a.yaml has 2 problems; the first one: a.yaml:1:1: x"
        );
    }

    #[test]
    fn a_missing_right_fails_and_an_unknown_one_warns() {
        let of = |lacking: &[&str], unread: Option<&str>| {
            let simulated = Simulated {
                arn: "arn:user".to_owned(),
                lacking: lacking.iter().map(ToString::to_string).collect(),
                unread: unread.map(str::to_owned),
            };
            rights("arn:user", Some(&simulated))
        };
        assert_eq!(of(&[], None).outcome, Outcome::Ok);
        assert_eq!(of(&[], Some("denied")).outcome, Outcome::Warn);
        let lacking = of(&["ec2:CreateVpc", "iam:PassRole"], Some("denied"));
        assert_eq!(lacking.outcome, Outcome::Fail);
        assert!(lacking.text.ends_with("ec2:CreateVpc, iam:PassRole"));
        for caller in [
            "arn:aws:iam::123456789012:root",
            "arn:aws:sts::1:federated-user/a",
        ] {
            assert_eq!(rights(caller, None).outcome, Outcome::Warn);
        }
    }

    #[test]
    fn a_full_quota_fails_only_if_more_is_needed() {
        let found = |used, concurrency| Quotas {
            quotas: vec![Quota {
                kind: QuotaKind::Vpcs,
                limit: 5,
                used,
            }],
            concurrency: Some(concurrency),
            ..Quotas::default()
        };
        let new = [LogicalId::new(Kind::Vpc, "main")];
        let full = quotas(&new, &found(5, 1000));
        assert_eq!(full.outcome, Outcome::Fail);
        assert!(
            full.text.contains("the quota for VPCs is 5"),
            "{}",
            full.text
        );
        let there = quotas(&[], &found(5, 1000));
        assert_eq!(there.text, "the stack needs no more: 5 of 5 VPCs in use");
        assert_eq!(quotas(&new, &found(4, 1000)).outcome, Outcome::Ok);
        assert_eq!(quotas(&new, &found(4, 10)).outcome, Outcome::Warn);
        let unread = Quotas {
            unread: Some("denied".to_owned()),
            ..found(4, 1000)
        };
        assert_eq!(quotas(&new, &unread).outcome, Outcome::Warn);
        let small = Quotas {
            zones: Some("too few".to_owned()),
            ..found(4, 1000)
        };
        assert_eq!(quotas(&new, &small).outcome, Outcome::Fail);
    }

    #[test]
    fn the_rest_is_judged_by_what_was_found() {
        let one = ["x".to_owned()];
        for (check, outcome) in [
            (threescale("h", "1", &[], &[]), Outcome::Ok),
            (threescale("h", "1", &one, &one), Outcome::Fail),
            (threescale("h", "1", &[], &one), Outcome::Warn),
            (tools(&Supply::Build, None), Outcome::Ok),
            (tools(&Supply::Build, Some("install zig")), Outcome::Fail),
            (lock("orders", None), Outcome::Ok),
            (lock("orders", Some("kim@host")), Outcome::Warn),
        ] {
            assert_eq!(check.outcome, outcome, "{check:?}");
        }
    }
}
