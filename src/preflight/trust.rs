//! Whether the trust policy of a role lets Lambda assume it for the functions. Pure.
//!
//! Source: IAM User Guide, "IAM JSON policy elements: Condition operators", "Principal" and "Policy evaluation logic".

use std::collections::BTreeSet;

use serde_json::Value;

use super::findings::Verdict;
use crate::names::Names;
use crate::resource::function::NAMES;

const LAMBDA: &str = "lambda.amazonaws.com";
const ASSUME_ROLE: &str = "sts:assumerole";

/// Checks that a role exists and that Lambda can assume it. `trust` is its trust policy as IAM returns it, URL-encoded.
pub fn judge(arn: &str, trust: Option<&str>, names: &Names) -> Verdict {
    let mut verdict = Verdict::default();
    let Some(trust) = trust else {
        let fault = format!("authorizer.role_arn: there is no role {arn}");
        verdict.faults.push(fault);
        return verdict;
    };
    let decoded = percent_encoding::percent_decode_str(trust).decode_utf8_lossy();
    let document: Value = serde_json::from_str(&decoded).unwrap_or_default();
    let statements = list(&document["Statement"]);
    let of_lambda = |effect: &str| {
        let statements = statements.iter().copied();
        let statements = statements.filter(|one| one["Effect"] == effect && concerns_lambda(one));
        statements.collect::<Vec<_>>()
    };
    let (allowing, denying) = (of_lambda("Allow"), of_lambda("Deny"));
    let mut unchecked = BTreeSet::new();
    for function in NAMES {
        let function = names.function_arn(function);
        let request = Request {
            account: &names.account,
            function: &function,
        };
        let holds = |statements: &[&Value], wanted: Truth| {
            let mut statements = statements.iter();
            statements.any(|one| request.meets(one) == wanted)
        };
        let fault = if holds(&denying, Truth::True) {
            format!("a statement of the trust policy of {arn} denies {LAMBDA} to assume the role")
        } else if allowing.is_empty() {
            format!(
                "the trust policy of {arn} does not let {LAMBDA} assume the role: add a statement with the action sts:AssumeRole"
            )
        } else if !holds(&allowing, Truth::True) && !holds(&allowing, Truth::Unknown) {
            format!(
                "the conditions of the trust policy of {arn} ({}) do not let {LAMBDA} assume the role for {function}",
                listed(allowing.iter().flat_map(|one| keys(one)))
            )
        } else {
            let is_clear = holds(&allowing, Truth::True);
            let doubtful = denying
                .iter()
                .chain(allowing.iter().filter(|_| !is_clear))
                .filter(|one| request.meets(one) == Truth::Unknown);
            unchecked.extend(doubtful.flat_map(|one| request.unchecked(one)));
            continue;
        };
        // Both functions have the same role: one line says it.
        verdict.faults.push(format!("authorizer.role_arn: {fault}"));
        return verdict;
    }
    if !unchecked.is_empty() {
        verdict.notices.push(format!(
            "authorizer.role_arn: the trust policy of {arn} depends on {}, which is not checked",
            listed(unchecked)
        ));
    }
    verdict
}

fn listed(keys: impl IntoIterator<Item = String>) -> String {
    let keys: BTreeSet<_> = keys.into_iter().collect();
    keys.into_iter().collect::<Vec<_>>().join(", ")
}

/// The elements of a list, or the only one.
fn list(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(all) => all.iter().collect(),
        Value::Null => Vec::new(),
        one => vec![one],
    }
}

fn texts(value: &Value) -> Vec<&str> {
    list(value).into_iter().filter_map(Value::as_str).collect()
}

/// Whether a statement is about Lambda and `sts:AssumeRole`.
fn concerns_lambda(statement: &Value) -> bool {
    let is_named = |principal: &Value| {
        principal == "*"
            || texts(&principal["AWS"]).contains(&"*")
            || texts(&principal["Service"])
                .iter()
                .any(|service| *service == LAMBDA || *service == "*")
    };
    let principal = match &statement["NotPrincipal"] {
        Value::Null => is_named(&statement["Principal"]),
        others => !is_named(others),
    };
    let is_action = |actions: &Value| {
        let mut actions = texts(actions).into_iter();
        actions.any(|action| is_like(&action.to_ascii_lowercase(), ASSUME_ROLE))
    };
    let action = match &statement["NotAction"] {
        Value::Null => is_action(&statement["Action"]),
        others => !is_action(others),
    };
    principal && action
}

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Truth {
    True,
    False,
    Unknown,
}

/// The conditions of a statement: operator, key and values.
fn conditions(statement: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let operators = statement["Condition"].as_object().into_iter().flatten();
    operators.flat_map(|(operator, keys)| {
        let keys = keys.as_object().into_iter().flatten();
        keys.map(move |(key, values)| (operator.as_str(), key.as_str(), values))
    })
}

fn keys(statement: &Value) -> impl Iterator<Item = String> {
    conditions(statement).map(|(_, key, _)| key.to_owned())
}

/// What is known of the call with which Lambda assumes the role.
struct Request<'a> {
    account: &'a str,
    /// The ARN of the function.
    function: &'a str,
}

impl Request<'_> {
    /// Whether all conditions of a statement hold.
    fn meets(&self, statement: &Value) -> Truth {
        let mut met = Truth::True;
        for (operator, key, values) in conditions(statement) {
            match self.holds(operator, key, values) {
                Truth::False => return Truth::False,
                Truth::Unknown => met = Truth::Unknown,
                Truth::True => {}
            }
        }
        met
    }

    /// The keys of a statement's conditions that are not evaluated.
    fn unchecked(&self, statement: &Value) -> Vec<String> {
        let unknown = conditions(statement)
            .filter(|(operator, key, values)| self.holds(operator, key, values) == Truth::Unknown);
        unknown.map(|(_, key, _)| key.to_owned()).collect()
    }

    fn holds(&self, operator: &str, key: &str, values: &Value) -> Truth {
        let actual = match key.to_ascii_lowercase().as_str() {
            "aws:sourceaccount" => self.account,
            "aws:sourcearn" => self.function,
            _ => return Truth::Unknown,
        };
        let values = texts(values);
        if values.iter().any(|value| value.contains("${")) {
            return Truth::Unknown;
        }
        let compare: fn(&str, &str) -> bool = match operator.trim_end_matches("IfExists") {
            "StringEquals" | "StringNotEquals" => |value, actual| value == actual,
            "StringEqualsIgnoreCase" | "StringNotEqualsIgnoreCase" => {
                |value, actual| value.eq_ignore_ascii_case(actual)
            }
            "StringLike" | "StringNotLike" => is_like,
            "ArnEquals" | "ArnLike" | "ArnNotEquals" | "ArnNotLike" => is_arn_like,
            _ => return Truth::Unknown,
        };
        let is_equal = values.iter().any(|value| compare(value, actual));
        match is_equal != operator.contains("Not") {
            true => Truth::True,
            false => Truth::False,
        }
    }
}

/// Whether each part of an ARN fits the pattern; a wildcard does not reach beyond its part.
fn is_arn_like(pattern: &str, arn: &str) -> bool {
    let (mut patterns, mut parts) = (pattern.splitn(6, ':'), arn.splitn(6, ':'));
    loop {
        match (patterns.next(), parts.next()) {
            (None, None) => return true,
            (Some(pattern), Some(part)) if is_like(pattern, part) => {}
            _ => return false,
        }
    }
}

/// Whether the text fits the pattern, in which `*` is any text and `?` any character.
fn is_like(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<_>, Vec<_>) = (pattern.chars().collect(), text.chars().collect());
    // The last `*`, and the end of the text that it stands for.
    let (mut at, mut read, mut star) = (0, 0, None);
    while read < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(one) if *one == '?' || *one == text[read] => {
                at += 1;
                read += 1;
            }
            _ => {
                let Some((of, end)) = star else {
                    return false;
                };
                star = Some((of, end + 1));
                at = of + 1;
                read = end + 1;
            }
        }
    }
    pattern[at..].iter().all(|one| *one == '*')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const OWN: &str = "arn:aws:lambda:us-east-1:123456789012:function:threescale-gw-orders-";

    fn judged(statements: Value) -> Verdict {
        let names = Names::new("orders", "us-east-1", "123456789012");
        let document = json!({"Statement": statements}).to_string();
        judge("r", Some(&document), &names)
    }

    fn statement(effect: &str, principal: Value, action: Value, condition: Value) -> Value {
        json!({"Effect": effect, "Principal": principal, "Action": action, "Condition": condition})
    }

    fn lambda() -> Value {
        json!({"Service": LAMBDA})
    }

    fn allow(condition: Value) -> Value {
        statement("Allow", lambda(), json!("sts:AssumeRole"), condition)
    }

    fn deny(condition: Value) -> Value {
        statement("Deny", json!("*"), json!("sts:*"), condition)
    }

    #[test]
    fn a_role_must_exist_and_admit_lambda() {
        let names = Names::new("orders", "us-east-1", "123456789012");
        let missing = judge("r", None, &names).faults;
        assert_eq!(missing, ["authorizer.role_arn: there is no role r"]);
        let encoded = json!({"Statement": allow(json!({}))}).to_string();
        let encoded = encoded.replace('{', "%7B");
        assert_eq!(judge("r", Some(&encoded), &names), Verdict::default());
        assert_eq!(judge("r", Some("no JSON"), &names).faults.len(), 1);
        let allow = |principal, action| statement("Allow", principal, action, Value::Null);
        let assume = || json!("sts:AssumeRole");
        for (one, admits) in [
            (allow(lambda(), assume()), true),
            (
                allow(
                    json!({"Service": ["ec2.amazonaws.com", LAMBDA]}),
                    json!(["sts:AssumeRole"]),
                ),
                true,
            ),
            (allow(lambda(), json!("sts:assumerole")), true),
            (
                allow(lambda(), json!(["sts:Assume*", "sts:TagSession"])),
                true,
            ),
            (allow(lambda(), json!("sts:?ssumeRole")), true),
            (allow(lambda(), json!("*")), true),
            (allow(lambda(), json!("sts:Tag*")), false),
            (allow(lambda(), json!("sts:AssumeRoleWith*")), false),
            (
                allow(json!({"Service": "ec2.amazonaws.com"}), assume()),
                false,
            ),
            (allow(lambda(), json!("sts:TagSession")), false),
            (json!({"Effect": "Allow", "Principal": "*"}), false),
        ] {
            let verdict = judged(json!([one]));
            assert_eq!(verdict.faults.is_empty(), admits, "{one}");
            assert!(verdict.notices.is_empty());
            // One statement needs no list.
            assert_eq!(judged(one), verdict);
        }
    }

    #[test]
    fn a_denial_of_lambda_is_a_fault() {
        let none = || Value::Null;
        let others = json!({"Effect": "Deny", "NotPrincipal": {"Service": "ec2.amazonaws.com"}, "Action": "*"});
        let but_lambda = json!({"Effect": "Deny", "NotPrincipal": lambda(), "Action": "*"});
        let rest = json!({"Effect": "Deny", "Principal": "*", "NotAction": "sts:AssumeRole"});
        let rest_of_all = json!({"Effect": "Deny", "Principal": "*", "NotAction": "sts:Tag*"});
        for (one, denies) in [
            (deny(none()), true),
            (
                statement("Deny", json!({"AWS": "*"}), json!("sts:AssumeRole"), none()),
                true,
            ),
            (statement("Deny", lambda(), json!("*"), none()), true),
            (
                statement("Deny", lambda(), json!("sts:TagSession"), none()),
                false,
            ),
            (
                statement(
                    "Deny",
                    json!({"AWS": "arn:aws:iam::1:root"}),
                    json!("*"),
                    none(),
                ),
                false,
            ),
            (others, true),
            (but_lambda, false),
            (rest, false),
            (rest_of_all, true),
            (
                deny(json!({"StringNotEquals": {"aws:SourceAccount": "999999999999"}})),
                true,
            ),
            (
                deny(json!({"StringNotEquals": {"aws:SourceAccount": "123456789012"}})),
                false,
            ),
        ] {
            let verdict = judged(json!([allow(none()), one]));
            assert!(verdict.notices.is_empty(), "{one}: {verdict:?}");
            assert_eq!(
                verdict.faults.len(),
                usize::from(denies),
                "{one}: {verdict:?}"
            );
            assert!(verdict.faults.iter().all(|fault| fault.contains("denies")));
        }
    }

    #[test]
    fn conditions_on_the_source_are_evaluated() {
        let account =
            |operator: &str, value: Value| json!({operator: {"aws:SourceAccount": value}});
        let arn = |operator: &str, value: &str| json!({operator: {"AWS:sourceArn": value}});
        let all = format!("{OWN}*");
        for (condition, admits) in [
            (account("StringEquals", json!("123456789012")), true),
            (account("StringEquals", json!(["1", "123456789012"])), true),
            (account("StringEqualsIfExists", json!("123456789012")), true),
            (account("StringEquals", json!("999999999999")), false),
            (account("StringLike", json!("1234*")), true),
            (
                account("StringNotEquals", json!(["1", "123456789012"])),
                false,
            ),
            (arn("ArnLike", &all), true),
            (arn("ArnEquals", &all), true),
            (arn("StringLike", "arn:*:threescale-gw-orders-*"), true),
            (arn("ArnLike", "arn:*:threescale-gw-orders-*"), false),
            (
                arn("ArnLike", "arn:aws:lambda:*:123456789012:function:*"),
                true,
            ),
            (arn("ArnNotLike", &all), false),
            // The other function has the same role.
            (arn("ArnEquals", &format!("{OWN}authorizer")), false),
            (arn("StringEquals", &all), false),
            (
                json!({"StringEquals": {"aws:SourceAccount": "1"}, "Bool": {"aws:SecureTransport": "true"}}),
                false,
            ),
        ] {
            let verdict = judged(json!([allow(condition.clone())]));
            assert_eq!(
                verdict.faults.is_empty(),
                admits,
                "{condition}: {verdict:?}"
            );
            assert!(verdict.notices.is_empty(), "{condition}: {verdict:?}");
        }
        let verdict = judged(json!([allow(arn(
            "ArnEquals",
            &format!("{OWN}authorizer")
        ))]));
        assert_eq!(
            verdict.faults,
            [format!(
                "authorizer.role_arn: the conditions of the trust policy of r (AWS:sourceArn) do not let {LAMBDA} assume the role for {OWN}reporter"
            )]
        );
    }

    #[test]
    fn other_conditions_are_named_as_not_checked() {
        let other = || json!({"StringEquals": {"aws:PrincipalOrgID": "o-1"}, "Bool": {"aws:SourceArn": "true"}});
        let variable = json!({"StringEquals": {"aws:SourceAccount": "${aws:PrincipalAccount}"}});
        let told = |keys: &str| {
            format!(
                "authorizer.role_arn: the trust policy of r depends on {keys}, which is not checked"
            )
        };
        for (statements, keys) in [
            (json!([allow(other())]), "aws:PrincipalOrgID, aws:SourceArn"),
            (
                json!([allow(json!({})), deny(other())]),
                "aws:PrincipalOrgID, aws:SourceArn",
            ),
            (json!([allow(variable)]), "aws:SourceAccount"),
        ] {
            let verdict = judged(statements);
            assert!(verdict.faults.is_empty(), "{verdict:?}");
            assert_eq!(verdict.notices, [told(keys)]);
        }
        // Another statement allows it in any case.
        let verdict = judged(json!([allow(other()), allow(json!({}))]));
        assert_eq!(verdict, Verdict::default());
    }

    #[test]
    fn patterns_have_wildcards() {
        for (pattern, text, fits) in [
            ("", "", true),
            ("*", "", true),
            ("a*", "abc", true),
            ("*c", "abcbc", true),
            ("a*b*c", "aXbYbc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a", "ab", false),
            ("ab", "a", false),
            ("*b", "abc", false),
        ] {
            assert_eq!(is_like(pattern, text), fits, "{pattern} {text}");
        }
    }
}
