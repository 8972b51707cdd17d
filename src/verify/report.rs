//! The results of the requests to the API.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::reason;
use crate::hex;

/// What a request checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// A protected method refuses a request without a key.
    NoKey,
    /// A protected method refuses a key that no application has, through this stack's authorizer.
    BadKey,
    /// A protected method accepts the operator's test key.
    GoodKey,
    /// An open method requires no credential.
    Open,
    /// A protected route that accepts every method does not refuse the preflight requests of browsers.
    Preflight,
    /// The stage serves a protected method with our authorizer: read from the stage, not called.
    Guard,
    /// The self-test of the authorizer, run if no refusal shows that it can decide.
    SelfTest,
}

impl Check {
    /// Whether it is a request to the API.
    pub fn is_request(self) -> bool {
        !matches!(self, Self::Guard | Self::SelfTest)
    }

    /// The name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoKey => "no key",
            Self::BadKey => "bad key",
            Self::GoodKey => "good key",
            Self::Open => "open",
            Self::Preflight => "preflight",
            Self::Guard => "guard",
            Self::SelfTest => "self-test",
        }
    }
}

/// What a check found to be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A protected method accepts a request without a key, or with a key that no application has.
    Open,
    /// API Gateway got no decision from the authorizer: it failed, timed out, or cannot be invoked by API Gateway.
    AuthorizerFailed,
    /// Another authorizer decides.
    WrongAuthorizer,
    /// The log of the authorizer does not show that it refused the request.
    Unproven,
    /// The authorizer that the stage uses reads the credential from another location, so every caller is refused.
    Misplaced,
    /// The test key is refused because of the key itself: its limits are exceeded, or its application is suspended.
    KeyRefused,
    /// The test key is refused for another or an unknown reason, so other valid keys might be refused too.
    Refuses,
    /// The authorizer refuses every caller: it cannot decide.
    NobodyGetsIn,
    /// The authorizer currently does not call 3scale for unknown keys, so the refusal proves nothing.
    NotAsked,
    /// A method that should be open requires a credential.
    Blocked,
    /// A request is refused although the authorizer observes.
    Enforced,
    /// The live version has another mode than the configuration.
    WrongMode,
    /// The API's resource policy refuses requests from this address.
    NotAdmitted,
    /// The stage does not serve this method.
    NotServed,
    /// API Gateway throttles the request.
    Throttled,
    /// There is no response.
    Unreachable,
}

impl Fault {
    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::AuthorizerFailed => "authorizer_failed",
            Self::WrongAuthorizer => "wrong_authorizer",
            Self::Unproven => "unproven",
            Self::Misplaced => "misplaced",
            Self::KeyRefused => "key_refused",
            Self::Refuses => "refuses",
            Self::NobodyGetsIn => "nobody_gets_in",
            Self::NotAsked => "not_asked",
            Self::Blocked => "blocked",
            Self::Enforced => "enforced",
            Self::WrongMode => "wrong_mode",
            Self::NotAdmitted => "not_admitted",
            Self::NotServed => "not_served",
            Self::Throttled => "throttled",
            Self::Unreachable => "unreachable",
        }
    }

    /// Whether the fault affects callers, so that the stage must be rolled back. A check without a result proves
    /// nothing about callers, and neither does a key that is refused because of the key itself.
    pub fn requires_rollback(self) -> bool {
        !matches!(
            self,
            Self::Throttled
                | Self::Unreachable
                | Self::Unproven
                | Self::KeyRefused
                | Self::NotAsked
                | Self::NotAdmitted
        )
    }
}

/// The result of a check: success with an optional remark, or a fault and what was observed.
pub type Verdict = Result<Option<String>, (Fault, String)>;

/// The result of one request.
#[derive(Debug, Clone)]
pub struct Row {
    pub label: String,
    pub check: Check,
    pub verb: String,
    /// The status of the last response.
    pub status: Option<u16>,
    /// The ID of the last request, if the authorizer logs it.
    pub request_id: Option<String>,
    pub verdict: Verdict,
    /// Whether the API answered like this before the change, so that the change did not cause the fault.
    pub as_before: bool,
}

impl Row {
    /// Whether the API's resource policy refuses the request.
    pub(super) fn is_not_admitted(&self) -> bool {
        matches!(&self.verdict, Err((Fault::NotAdmitted, _)))
    }

    /// A short text that identifies the fault of a request.
    pub fn mark(&self) -> String {
        let fault = self.verdict.as_ref().err().map(|(fault, _)| fault.as_str());
        let fault = fault.unwrap_or_default();
        let text = format!("{} {fault} {}", self.check.as_str(), self.label);
        hex::encode(&Sha256::digest(text)[..4])
    }

    /// Whether the request had a key, so that its response can contain the authorizer's reason.
    fn is_keyed(&self) -> bool {
        matches!(self.check, Check::BadKey | Check::GoodKey)
    }

    /// Whether no mapping rule matches the request. Every caller of this method is then refused, which might be
    /// intended.
    pub fn is_unmapped(&self) -> bool {
        let told = self.verdict.as_ref().ok().and_then(Option::as_deref);
        self.is_keyed() && told == Some(reason::UNMAPPED)
    }

    /// Whether no request with a key of these results matches a mapping rule.
    pub fn is_nothing_mapped(&self) -> bool {
        matches!(&self.verdict, Err((Fault::NobodyGetsIn, seen)) if seen.ends_with(reason::UNMAPPED))
    }

    /// Whether it needs attention, although it is no fault.
    pub fn is_warning(&self) -> bool {
        let is_told = matches!(&self.verdict, Ok(Some(_)));
        self.is_unmapped() || (self.check == Check::Preflight && is_told)
    }

    /// Whether the response shows that the authorizer can decide, or is a fault of which the cause is known. A failure of
    /// the authorizer has no cause in the response.
    fn tells_of_decisions(&self) -> bool {
        self.is_keyed()
            && match &self.verdict {
                Ok(Some(told)) => reason::says(told) == Some(reason::Says::Key),
                Ok(None) => self.check == Check::GoodKey,
                Err((fault, _)) => !matches!(fault, Fault::AuthorizerFailed | Fault::Unproven),
            }
    }
}

/// Whether there are requests with a key and none of them matches a mapping rule: then every caller is refused.
pub(super) fn all_unmapped<'a>(rows: impl Iterator<Item = &'a Row>) -> bool {
    let mut keyed = rows.filter(|row| row.is_keyed()).peekable();
    keyed.peek().is_some() && keyed.all(Row::is_unmapped)
}

/// Turns unmatched mapping rules into faults if no request with a key has another result.
pub(super) fn conclude(rows: &mut [Row]) {
    // A policy that refuses the request without a key refuses the others before the authorizer, too.
    let refused: BTreeSet<_> = rows
        .iter()
        .filter(|row| row.check == Check::NoKey && row.is_not_admitted())
        .map(|row| row.label.clone())
        .collect();
    for row in rows.iter_mut().filter(|row| refused.contains(&row.label)) {
        let tells = row.tells_of_decisions() && row.verdict.is_ok();
        if let Some(status @ (403 | 429)) = row.status
            && !tells
        {
            row.verdict = Err((Fault::NotAdmitted, status.to_string()));
        }
    }
    if !all_unmapped(rows.iter()) {
        return;
    }
    for row in rows.iter_mut().filter(|row| row.is_keyed()) {
        let status = row.status.map(|status| status.to_string());
        let seen = format!("{}, {}", status.unwrap_or_default(), reason::UNMAPPED);
        row.verdict = Err((Fault::NobodyGetsIn, seen));
    }
}

/// The results of all requests.
#[derive(Debug, Clone, Default)]
pub struct Report {
    pub stage: String,
    pub url: String,
    pub rows: Vec<Row>,
    /// Whether API Gateway itself refused every request: it may not have a stage at this URL.
    pub all_forbidden: bool,
    /// Why the requests could not be sent.
    pub skipped: Option<String>,
    /// What the responses do not prove.
    pub notes: Vec<String>,
}

impl Report {
    /// Turns every request into a fault, because API Gateway refused all of them itself.
    pub fn nothing_is_served(&mut self) {
        let requests = self.rows.iter_mut().filter(|row| row.check.is_request());
        for row in requests {
            row.verdict = Err((Fault::NotServed, "403 ForbiddenException".to_owned()));
        }
    }

    /// Tells why no request reaches some routes. If there is none to the other routes either, nothing is verified.
    pub fn tell_unreached(&mut self, why: &str) {
        if self.rows.is_empty() {
            self.skipped.get_or_insert_with(|| why.to_owned());
        } else {
            self.notes.push(format!("not requested, because {why}"));
        }
    }

    /// Whether every response was as expected.
    pub fn is_well(&self) -> bool {
        self.rows.iter().all(|row| row.verdict.is_ok())
    }

    /// Whether the responses show that the authorizer can decide. If they do not, it might refuse all callers with the
    /// same responses.
    pub fn tells_of_decisions(&self) -> bool {
        self.rows.iter().any(Row::tells_of_decisions)
    }

    /// The rows with a fault that affects callers and that the change may have caused.
    pub fn requires_rollback(&self) -> impl Iterator<Item = &Row> {
        self.harmful().filter(|row| !row.as_before)
    }

    /// The rows with a fault that affects callers, as before the change.
    pub fn as_before(&self) -> impl Iterator<Item = &Row> {
        self.harmful().filter(|row| row.as_before)
    }

    fn harmful(&self) -> impl Iterator<Item = &Row> {
        self.rows
            .iter()
            .filter(|row| matches!(&row.verdict, Err((fault, _)) if fault.requires_rollback()))
    }

    /// As one JSON object.
    pub fn document(&self) -> Value {
        document(std::slice::from_ref(self))
    }

    /// Each request as JSON.
    fn requests(&self) -> impl Iterator<Item = Value> {
        self.rows.iter().map(|row| {
            let (fault, text) = match &row.verdict {
                Ok(remark) => (None, remark.clone()),
                Err((fault, seen)) => (Some(fault.as_str()), Some(seen.clone())),
            };
            json!({
                "stage": self.stage, "method": row.label, "check": row.check.as_str(), "request": row.verb, "status": row.status,
                "ok": row.verdict.is_ok(), "fault": fault, "detail": text, "unmapped": row.is_unmapped(),
                "as_before": row.as_before,
            })
        })
    }
}

/// The results of several stages as one JSON object. The URL is that of the first one.
pub fn document(reports: &[Report]) -> Value {
    let first = reports.first();
    let stage = |report: &Report| {
        json!({
            "stage": report.stage, "url": report.url, "ok": report.is_well(), "skipped": report.skipped,
        })
    };
    let skipped = reports.iter().find_map(|report| report.skipped.as_ref());
    let notes = reports.iter().flat_map(|report| &report.notes);
    json!({
        "url": first.map(|report| &report.url), "ok": reports.iter().all(Report::is_well), "skipped": skipped,
        "notes": notes.collect::<Vec<_>>(),
        "stages": reports.iter().map(stage).collect::<Vec<_>>(),
        "requests": reports.iter().flat_map(Report::requests).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(check: Check, verdict: Verdict) -> Row {
        Row {
            label: "GET /orders".to_owned(),
            check,
            verb: "GET".to_owned(),
            status: Some(403),
            request_id: None,
            verdict,
            as_before: false,
        }
    }

    #[test]
    fn nobody_gets_in_where_no_request_meets_a_mapping_rule() {
        let told = |reason: &str| Ok(Some(reason.to_owned()));
        let open = || row(Check::Open, Ok(None));
        let faults = |mut rows: Vec<Row>| {
            conclude(&mut rows);
            let fault = |row: &Row| row.verdict.as_ref().err().map(|(fault, _)| *fault);
            rows.iter().filter_map(fault).collect::<Vec<_>>()
        };
        let unmapped = || row(Check::BadKey, told("no_mapping_rule"));
        assert_eq!(faults(vec![open(), row(Check::NoKey, Ok(None))]), []);
        assert_eq!(
            faults(vec![
                unmapped(),
                row(Check::BadKey, told("user_key_invalid")),
                open()
            ]),
            []
        );
        assert_eq!(
            faults(vec![
                unmapped(),
                row(Check::GoodKey, told("no_mapping_rule")),
                open()
            ]),
            [Fault::NobodyGetsIn; 2]
        );
    }

    #[test]
    fn a_report_without_any_request_says_that_nothing_is_verified() {
        let told = |mut report: Report| {
            report.tell_unreached("it leads elsewhere");
            (report.skipped, report.notes)
        };
        let why = Some("it leads elsewhere".to_owned());
        assert_eq!(told(Report::default()), (why, Vec::new()));
        let asked = Report {
            rows: vec![row(Check::NoKey, Ok(None))],
            ..Report::default()
        };
        let note = "not requested, because it leads elsewhere".to_owned();
        assert_eq!(told(asked), (None, vec![note]));
        let refused = Report {
            skipped: Some("it is refused".to_owned()),
            ..Report::default()
        };
        let why = Some("it is refused".to_owned());
        assert_eq!(told(refused), (why, Vec::new()));
    }

    #[test]
    fn only_some_answers_show_that_the_authorizer_decides() {
        let shows = |check, verdict| {
            let report = Report {
                rows: vec![row(Check::NoKey, Ok(None)), row(check, verdict)],
                ..Report::default()
            };
            report.tells_of_decisions()
        };
        let told = |reason: &str| Ok(Some(reason.to_owned()));
        assert!(shows(Check::BadKey, told("user_key_invalid")));
        assert!(shows(Check::GoodKey, Ok(None)));
        assert!(shows(
            Check::BadKey,
            Err((Fault::NobodyGetsIn, String::new()))
        ));
        assert!(!shows(
            Check::BadKey,
            Err((Fault::AuthorizerFailed, String::new()))
        ));
        for silent in [
            "the reason is not told",
            "ForbiddenException",
            "no_mapping_rule",
        ] {
            assert!(!shows(Check::BadKey, told(silent)), "{silent}");
        }
        assert!(!shows(Check::Open, Ok(None)));
    }
}
