//! Proves with the lines of the authorizer's log that it refused a request, and for which reason. Pure.
//!
//! HTTP and WebSocket APIs refuse with a fixed answer, which another authorizer or a backend can give as well. The key that no
//! application has is random, and the authorizer logs its end.

use serde_json::Value;

use super::judge::{bad_key, good_key};
use super::probes::Key;
use super::report::{Check, Fault, Report, Row, conclude};

/// How many requests with the operator's key are looked for, so that the pattern fits into the 1024 characters that CloudWatch
/// Logs accepts.
const GOOD_KEYS: usize = 5;

/// A refusal in the log of the authorizer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The ID that API Gateway gave the request.
    request_id: Option<String>,
    /// The end of the credential, after asterisks.
    credential: Option<String>,
    reason: String,
}

impl Refusal {
    /// The refusal that a line of the log is about, if it is about one.
    pub fn of_line(line: &str) -> Option<Self> {
        let line: Value = serde_json::from_str(line.trim()).ok()?;
        let text = |name: &str| line[name].as_str().map(str::to_owned);
        (line["event"] == "decision" && line["allowed"] == false).then_some(())?;
        Some(Self {
            request_id: text("gateway_request"),
            credential: text("credential"),
            reason: text("reason")?,
        })
    }
}

/// What is looked for in the log.
#[derive(Debug, Clone)]
pub struct Proof {
    /// The key that no application has, as the authorizer logs it.
    masked: String,
    /// The refused requests with the operator's key.
    good: Vec<String>,
    /// The number of refusals to prove.
    wanted: usize,
}

impl Proof {
    /// What shows who refused the requests of `report`. `None` if none of them needs a proof.
    pub fn of(report: &Report, unknown_key: &Key) -> Option<Self> {
        let rows = report.rows.iter();
        let good: Vec<_> = rows
            .clone()
            .filter(|row| row.check == Check::GoodKey && is_refused(row))
            .filter_map(|row| row.request_id.clone())
            .take(GOOD_KEYS)
            .collect();
        let wanted = rows.filter(|row| needs_proof(row)).count() + good.len();
        let end = unknown_key.id.expose();
        let end = &end[end.len().saturating_sub(4)..];
        (wanted > 0).then(|| Self {
            masked: format!("***{end}"),
            good,
            wanted,
        })
    }

    /// The filter pattern of CloudWatch Logs for lines with one of these terms.
    /// Source: CloudWatch Logs User Guide, "Filter pattern syntax".
    pub fn pattern(&self) -> String {
        let quoted = |text: &String| format!("\"{text}\"");
        if self.good.is_empty() {
            return quoted(&self.masked);
        }
        let terms = [&self.masked].into_iter().chain(&self.good);
        let terms: Vec<_> = terms.map(|term| format!("?{}", quoted(term))).collect();
        terms.join(" ")
    }

    /// The refusals that are about the requests.
    fn about<'a>(&self, refusals: &'a [Refusal]) -> Vec<&'a Refusal> {
        let is_bad = |refusal: &Refusal| refusal.credential.as_ref() == Some(&self.masked);
        let is_good = |refusal: &Refusal| {
            let id = refusal.request_id.as_ref();
            id.is_some_and(|id| self.good.contains(id))
        };
        refusals
            .iter()
            .filter(|refusal| is_bad(refusal) || is_good(refusal))
            .collect()
    }

    /// How many of the refusals the log shows, and whether these are all.
    pub fn found(&self, report: &Report, refusals: &[Refusal]) -> (usize, bool) {
        let about = self.about(refusals);
        let rows = report.rows.iter();
        let rows = rows.filter(|row| needs_proof(row) || is_refused_good_key(row));
        let shown = rows.filter(|row| self.own(row, &about).is_some()).count();
        (about.len(), shown >= self.wanted)
    }

    /// The refusal of a request. The authorizer logs the ID of most requests; without it, a line is of the only request.
    fn own<'a>(&self, row: &Row, about: &[&'a Refusal]) -> Option<&'a Refusal> {
        let of_id = about
            .iter()
            .rev()
            .find(|refusal| row.request_id.is_some() && refusal.request_id == row.request_id);
        let only = about
            .last()
            .filter(|_| self.wanted == 1 && row.check == Check::BadKey);
        of_id.or(only).copied()
    }

    /// Completes the results with the reasons in the log; `None` if it cannot be read. `has_ours`: whether a route has this
    /// stack's authorizer, by label. That is a weaker proof, for an unreadable log, and for a request without a line of its
    /// own next to others: the authorizer leaves lines out when there are many.
    pub fn complete(
        &self,
        report: &mut Report,
        refusals: Option<&[Refusal]>,
        has_ours: impl Fn(&str) -> bool,
    ) {
        let about = self.about(refusals.unwrap_or_default());
        let is_silent = refusals.is_some() && about.is_empty();
        for row in &mut report.rows {
            let seen = row.status.unwrap_or_default().to_string();
            match self.own(row, &about) {
                Some(refusal) if needs_proof(row) => {
                    row.verdict = bad_key(Some(&refusal.reason), "", &seen);
                }
                Some(refusal) if is_refused_good_key(row) => {
                    row.verdict = good_key(Some(&refusal.reason), seen);
                }
                None if needs_proof(row) && (is_silent || !has_ours(&row.label)) => {
                    row.verdict = Err((Fault::Unproven, seen));
                }
                _ => {}
            }
        }
        conclude(&mut report.rows);
    }
}

/// Whether the answer is that of a refused key, which the authorizer may not have given.
fn needs_proof(row: &Row) -> bool {
    row.check == Check::BadKey && row.status == Some(403) && row.verdict.is_ok()
}

fn is_refused_good_key(row: &Row) -> bool {
    row.check == Check::GoodKey && is_refused(row)
}

fn is_refused(row: &Row) -> bool {
    matches!(&row.verdict, Err((Fault::Refuses, _)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::answer::UNTOLD;
    use super::*;
    use crate::secret::Secret;

    fn row(label: &str, check: Check, id: &str) -> Row {
        Row {
            label: label.to_owned(),
            check,
            verb: "GET".to_owned(),
            status: Some(403),
            request_id: Some(id.to_owned()),
            verdict: match check {
                Check::GoodKey => Err((Fault::Refuses, "403".to_owned())),
                _ => Ok(Some(UNTOLD.to_owned())),
            },
            as_before: false,
        }
    }

    fn report(rows: &[Row]) -> Report {
        Report {
            rows: rows.to_vec(),
            ..Report::default()
        }
    }

    fn unknown_key() -> Key {
        Key {
            id: Secret::from("threescale-gw-verify-0123456789abcdef".to_owned()),
            key: None,
        }
    }

    fn line(id: &str, credential: &str, reason: &str) -> Refusal {
        let line = json!({"event": "decision", "allowed": false, "gateway_request": id, "credential": credential,
            "reason": reason});
        Refusal::of_line(&format!("{line}\n")).expect("a refusal")
    }

    /// The results in words, with these lines in the log. The stage serves `GET /theirs` with another authorizer.
    fn results(rows: &[Row], lines: &[Refusal]) -> Vec<String> {
        completed(rows, Some(lines))
    }

    /// The same, also for a log that cannot be read.
    fn completed(rows: &[Row], lines: Option<&[Refusal]>) -> Vec<String> {
        let mut report = report(rows);
        let proof = Proof::of(&report, &unknown_key()).expect("a proof");
        proof.complete(&mut report, lines, |label| label != "GET /theirs");
        let word = |row: &Row| match &row.verdict {
            Ok(remark) => remark.clone().unwrap_or_default(),
            Err((fault, seen)) => format!("{}: {seen}", fault.as_str()),
        };
        report.rows.iter().map(word).collect()
    }

    #[test]
    fn only_the_log_proves_who_refused() {
        let (a, b) = (
            row("GET /a", Check::BadKey, "1="),
            row("GET /b", Check::BadKey, "2="),
        );
        let both = [a.clone(), b];
        let invalid = |id| line(id, "***cdef", "user_key_invalid");
        assert_eq!(
            results(&both, &[invalid("1="), invalid("2=")]),
            ["user_key_invalid"; 2]
        );
        // Nothing, the key of another caller, or a line about another API's authorizer.
        assert_eq!(results(&both, &[]), ["unproven: 403"; 2]);
        assert_eq!(
            results(&both, &[line("9=", "***cde0", "user_key_invalid")]),
            ["unproven: 403"; 2]
        );
        // A line that was left out.
        assert_eq!(
            results(&both, &[invalid("1=")]),
            ["user_key_invalid", UNTOLD]
        );
        let theirs = row("GET /theirs", Check::BadKey, "3=");
        assert_eq!(
            results(&[a.clone(), theirs], &[invalid("1=")]),
            ["user_key_invalid", "unproven: 403"]
        );
        // The log cannot be read: what the stage serves has to show it.
        let theirs = row("GET /theirs", Check::BadKey, "3=");
        assert_eq!(
            completed(&[a.clone(), theirs], None),
            [UNTOLD, "unproven: 403"]
        );
        // One request alone: the line does not need its ID.
        assert_eq!(results(&[a], &[invalid("7=")]), ["user_key_invalid"]);
    }

    #[test]
    fn the_reason_in_the_log_is_judged_like_that_of_a_rest_api() {
        let bad = || row("GET /a", Check::BadKey, "1=");
        for (reason, expected) in [
            ("application_not_found", "application_not_found"),
            ("path_ambiguous", "path_ambiguous"),
            (
                "service_not_active",
                "nobody_gets_in: 403, service_not_active",
            ),
            ("too_many_unknown", "not_asked: 403, too_many_unknown"),
            ("no_mapping_rule", "nobody_gets_in: 403, no_mapping_rule"),
            (
                "a_word",
                "wrong_authorizer: 403, a_word, which is not a reason of the authorizer",
            ),
        ] {
            assert_eq!(
                results(&[bad()], &[line("1=", "***cdef", reason)]),
                [expected]
            );
        }
        let good = row("GET /a", Check::GoodKey, "2=");
        for (reason, expected) in [
            ("limits_exceeded", "key_refused: 403, limits_exceeded"),
            ("service_not_active", "refuses: 403, service_not_active"),
        ] {
            let lines = [
                line("1=", "***cdef", "user_key_invalid"),
                line("2=", "***", reason),
            ];
            assert_eq!(
                results(&[bad(), good.clone()], &lines),
                ["user_key_invalid", expected]
            );
        }
        assert_eq!(
            results(&[bad(), good], &[line("1=", "***cdef", "user_key_invalid")]),
            ["user_key_invalid", "refuses: 403"]
        );
    }

    #[test]
    fn the_pattern_names_the_end_of_the_key_and_no_key() {
        let bad = row("GET /a", Check::BadKey, "1=");
        let proof = |rows: &[Row]| Proof::of(&report(rows), &unknown_key());
        let pattern = proof(std::slice::from_ref(&bad))
            .expect("a proof")
            .pattern();
        assert_eq!(pattern, "\"***cdef\"");
        let good = row("GET /a", Check::GoodKey, "2=");
        let pattern = proof(&vec![good; 9]).expect("a proof").pattern();
        assert!(pattern.starts_with("?\"***cdef\" ?\"2=\""), "{pattern}");
        assert!(pattern.len() < 1024);
        let open = row("GET /a", Check::Open, "3=");
        assert!(proof(&[open]).is_none());
        let failed = Row {
            verdict: Err((Fault::AuthorizerFailed, "500".to_owned())),
            status: Some(500),
            ..bad
        };
        assert!(proof(&[failed]).is_none());
    }

    #[test]
    fn other_lines_are_no_refusals() {
        for text in [
            "REPORT RequestId: 7 Duration: 2 ms",
            r#"{"event":"decision","allowed":true,"reason":"authorized","credential":"***cdef"}"#,
            r#"{"event":"backend","reason":"user_key_invalid"}"#,
            "",
        ] {
            assert_eq!(Refusal::of_line(text), None, "{text}");
        }
    }
}
