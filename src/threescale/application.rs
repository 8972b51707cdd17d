//! What 3scale says about one application: whether it is refused, why, and which limits are used up. Pure.
//!
//! Source of the bodies: recordings of the Service Management API.

use super::judge::{self, Asked, Proof, Reply};
use crate::config::CredentialKind;

/// What 3scale decides about the application of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Allowed,
    /// The code of 3scale, which is also the reason of the authorizer.
    Refused(String),
    /// The configuration is wrong, so that the key does not matter.
    Fault(String),
    /// 3scale gives no decision.
    Unclear(String),
}

/// A limit of the plan of an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    pub metric: String,
    /// `minute`, ..., `eternity`.
    pub period: String,
    pub max: u64,
    pub used: u64,
    /// The end of the period, as 3scale writes it; `None` for `eternity`.
    pub ends: Option<String>,
}

impl Limit {
    /// Whether the next request that counts on the metric passes the limit.
    pub fn is_used_up(&self) -> bool {
        self.used >= self.max
    }
}

/// What is known about the application of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub verdict: Verdict,
    pub plan: Option<String>,
    pub limits: Vec<Limit>,
    /// The metrics of the mapping rules that the product does not have.
    pub missing: Vec<String>,
    /// What is not known.
    pub notices: Vec<String>,
}

/// Judges the response to `authorize` without usage.
pub(super) fn judge(asked: Asked<'_>, reply: &Reply) -> Told {
    let (reason, body) = match reply {
        Reply::Response { reason, body, .. } => (reason.as_deref(), body.as_str()),
        Reply::None(_) => (None, ""),
    };
    let verdict = match (judge::service(asked, reply), reason, judge::code(body)) {
        (Proof::Fault(_) | Proof::Passed, Some(reason), _) => Verdict::Refused(reason.to_owned()),
        (Proof::Fault(_), None, Some(code)) if is_about_key(asked.kind, code) => {
            Verdict::Refused(code.to_owned())
        }
        (Proof::Fault(text), ..) => Verdict::Fault(text),
        (Proof::Unclear(text), ..) => Verdict::Unclear(text),
        (Proof::Passed, None, _) if body.contains("<authorized>false") => {
            Verdict::Refused("denied".to_owned())
        }
        (Proof::Passed, None, _) => Verdict::Allowed,
    };
    Told {
        verdict,
        plan: element(body, "plan").map(unescaped),
        limits: limits(body),
        missing: Vec::new(),
        notices: Vec::new(),
    }
}

/// Whether 3scale refuses the credential with this code, and not what the configuration says.
fn is_about_key(kind: CredentialKind, code: &str) -> bool {
    match kind {
        CredentialKind::UserKey => code == "user_key_invalid",
        CredentialKind::AppId => code == "application_not_found",
    }
}

/// The text of the first element with this name.
fn element<'a>(body: &'a str, name: &str) -> Option<&'a str> {
    let (_, behind) = body.split_once(&format!("<{name}>"))?;
    let (text, _) = behind.split_once(&format!("</{name}>"))?;
    Some(text)
}

fn attribute<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let (_, behind) = head.split_once(&format!("{name}=\""))?;
    Some(behind.split_once('"')?.0)
}

fn unescaped(text: &str) -> String {
    let entities = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&amp;", "&"),
    ];
    entities
        .into_iter()
        .fold(text.to_owned(), |text, (entity, character)| {
            text.replace(entity, character)
        })
}

fn limits(body: &str) -> Vec<Limit> {
    let reports = body.split("<usage_report ").skip(1);
    let limit = |report: &str| {
        let (head, content) = report.split_once('>')?;
        let number = |name| element(content, name)?.parse().ok();
        Some(Limit {
            metric: unescaped(attribute(head, "metric")?),
            period: attribute(head, "period")?.to_owned(),
            max: number("max_value")?,
            used: number("current_value")?,
            ends: element(content, "period_end").map(str::to_owned),
        })
    };
    reports.filter_map(limit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(kind: CredentialKind, status: u16, reason: Option<&str>, body: &str) -> Told {
        let asked = Asked {
            place: "su1.3scale.net:443",
            service_id: "42",
            kind,
            has_key: true,
        };
        let reply = Reply::Response {
            status,
            reason: reason.map(str::to_owned),
            body: format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>{body}"),
        };
        judge(asked, &reply)
    }

    #[test]
    fn the_recorded_answers_are_told() {
        use CredentialKind::{AppId, UserKey};
        let refused = |code: &str| Verdict::Refused(code.to_owned());
        let error = |code: &str| format!("<error code=\"{code}\">text</error>");
        for (kind, status, reason, body, verdict) in [
            (
                UserKey,
                200,
                None,
                "<status><authorized>true</authorized><plan>Free</plan></status>".to_owned(),
                Verdict::Allowed,
            ),
            (
                UserKey,
                403,
                None,
                error("user_key_invalid"),
                refused("user_key_invalid"),
            ),
            (
                AppId,
                404,
                None,
                error("application_not_found"),
                refused("application_not_found"),
            ),
            (
                UserKey,
                409,
                Some("application_not_active"),
                "<status><authorized>false</authorized></status>".to_owned(),
                refused("application_not_active"),
            ),
            (
                UserKey,
                409,
                Some("limits_exceeded"),
                "<status><authorized>false</authorized></status>".to_owned(),
                refused("limits_exceeded"),
            ),
            (
                AppId,
                409,
                Some("application_key_invalid"),
                String::new(),
                refused("application_key_invalid"),
            ),
        ] {
            assert_eq!(told(kind, status, reason, &body).verdict, verdict, "{body}");
        }
        let fault = |kind, body: &str| told(kind, 403, None, &error(body)).verdict;
        assert!(
            matches!(fault(UserKey, "service_token_invalid"), Verdict::Fault(text) if text.contains("service_token"))
        );
        assert!(
            matches!(fault(AppId, "user_key_invalid"), Verdict::Fault(text) if text.contains("kind: app_id"))
        );
        let page = told(UserKey, 502, None, "<html>");
        assert!(matches!(page.verdict, Verdict::Unclear(_)));
        assert_eq!((page.plan, page.limits), (None, Vec::new()));
    }

    #[test]
    fn the_limits_are_read() {
        let body = "<status><authorized>true</authorized><plan>Multi &amp; more</plan><usage_reports>\
            <usage_report metric=\"hits\" period=\"minute\" exceeded=\"true\"><period_start>2026-11-22 07:14:00 +0000</period_start>\
            <period_end>2026-11-22 07:15:00 +0000</period_end><max_value>5</max_value><current_value>12</current_value></usage_report>\
            <usage_report metric=\"orders\" period=\"eternity\"><max_value>9</max_value><current_value>3</current_value></usage_report>\
            </usage_reports></status>";
        let told = told(CredentialKind::UserKey, 200, None, body);
        assert_eq!(told.plan.as_deref(), Some("Multi & more"));
        let [hits, orders] = &told.limits[..] else {
            panic!("{told:?}")
        };
        assert!(hits.is_used_up() && !orders.is_used_up());
        assert_eq!((hits.max, hits.used), (5, 12));
        assert_eq!(hits.ends.as_deref(), Some("2026-11-22 07:15:00 +0000"));
        assert_eq!((orders.period.as_str(), &orders.ends), ("eternity", &None));
    }
}
