//! The results of the requests to the API, as text.

use super::style::Style;
use crate::printable::line;
use crate::verify::{Fault, Report, Row};

/// The maximum number of rows that the report of a change shows in full. Beyond that, only faults and warnings.
const BRIEF: usize = 40;

/// The results of each stage.
pub fn tables(reports: &[Report], style: &Style) -> String {
    if let [report] = reports {
        return table(report, style);
    }
    let of_stage = |report: &Report| {
        let heading = style.bold(&format!("Stage {}", line(&report.stage)));
        format!("{heading}\n{}", table(report, style))
    };
    reports
        .iter()
        .map(of_stage)
        .collect::<Vec<_>>()
        .join("\n\n")
}

/// One line per request, and a total.
fn table(report: &Report, style: &Style) -> String {
    lines(report, style, |_| true)
}

/// The same, without the successful requests if there are many.
pub fn brief(report: &Report, style: &Style) -> String {
    let all = report.rows.len() <= BRIEF;
    lines(report, style, |row| {
        all || row.verdict.is_err() || row.is_warning()
    })
}

fn lines(report: &Report, style: &Style, shows: impl Fn(&Row) -> bool) -> String {
    let width =
        |text: &dyn Fn(&Row) -> usize| report.rows.iter().map(text).max().unwrap_or_default();
    let label = width(&|row| row.label.len());
    let check = width(&|row| row.check.as_str().len()).max(8);
    let mut lines: Vec<_> = report
        .rows
        .iter()
        .filter(|row| shows(row))
        .map(|row| {
            let status = row
                .status
                .map_or_else(|| "-".to_owned(), |status| status.to_string());
            let (word, text) = result_of(row);
            let word = format!("{word:<6}");
            let word = match &row.verdict {
                Ok(_) if row.is_warning() => style.warn(&word),
                Ok(_) => style.good(&word),
                Err(_) => style.bad(&word),
            };
            let line = format!(
                "{word} {:<label$}  {:<check$}  {status:<3}  {text}",
                row.label,
                row.check.as_str()
            );
            line.trim_end().to_owned()
        })
        .collect();
    let notes = report.notes.iter();
    lines.extend(notes.map(|note| format!("{} {note}", style.warn("note"))));
    let total = total(report);
    lines.push(match total.split_once(": ") {
        Some((word, rest)) => {
            let word = format!("{word}:");
            let word = match (&report.skipped, report.is_well()) {
                (Some(_), _) => style.warn(&word),
                (None, true) => style.good(&word),
                (None, false) => style.bad(&word),
            };
            format!("{word} {rest}")
        }
        None => total,
    });
    lines.join("\n")
}

/// The result of one request in a word, and its details, on one line: a backend can answer with any text.
pub(super) fn result_of(row: &Row) -> (&'static str, String) {
    let (word, text) = match &row.verdict {
        Ok(Some(remark)) if row.is_unmapped() => (
            "warn",
            format!("{remark}: no mapping rule matches, so every caller is refused"),
        ),
        Ok(Some(remark)) if row.is_warning() => ("warn", remark.clone()),
        Ok(remark) => ("ok", remark.clone().unwrap_or_default()),
        Err((fault, seen)) => {
            let before = if row.as_before {
                ", as before the change"
            } else {
                ""
            };
            ("wrong", format!("{}: {seen}{before}", words(*fault)))
        }
    };
    (word, line(&text).into_owned())
}

/// The total in one line.
pub(super) fn total(report: &Report) -> String {
    if let Some(reason) = &report.skipped {
        return format!("not verified: {reason}");
    }
    let of = |is_request: bool| {
        let rows = report.rows.iter();
        let rows = rows.filter(move |row| row.check.is_request() == is_request);
        let wrong = rows.clone().filter(|row| row.verdict.is_err()).count();
        (wrong, rows.count())
    };
    let ((wrong, asked), (wrong_checks, _)) = (of(true), of(false));
    let checks = match wrong_checks {
        1 => "1 check of the stage and the authorizer fails".to_owned(),
        count => format!("{count} checks of the stage and the authorizer fail"),
    };
    match (wrong, wrong_checks) {
        (0, 0) => format!(
            "verified: {asked} requests to {} have the expected result",
            report.url
        ),
        (0, _) => format!(
            "FAIL: {checks}, although {asked} requests to {} have the expected result",
            report.url
        ),
        _ => {
            let checks = match wrong_checks {
                0 => String::new(),
                _ => format!(", and {checks}"),
            };
            format!(
                "FAIL: {wrong} of {asked} requests to {} do not have the expected result{checks}",
                report.url
            )
        }
    }
}

/// The description of a fault.
pub fn words(fault: Fault) -> &'static str {
    match fault {
        Fault::Open => "reachable without a valid credential",
        Fault::AuthorizerFailed => "API Gateway got no decision from the authorizer",
        Fault::WrongAuthorizer => "another authorizer decides",
        Fault::Unproven => "the log does not show that this stack's authorizer refuses it",
        Fault::Misplaced => "the credential is not found where the configuration says",
        Fault::KeyRefused => "the test key is refused",
        Fault::Refuses => "the test key is refused, and not for what it is",
        Fault::NobodyGetsIn => "the authorizer refuses every caller",
        Fault::NotAsked => "3scale is not asked about unknown keys just now",
        Fault::Blocked => "a credential is required, but the method should be open",
        Fault::Enforced => "refused, although the mode is observe",
        Fault::WrongMode => "the mode is not the configured one",
        Fault::NotAdmitted => "the API's resource policy refuses requests from this address",
        Fault::NotServed => "the stage does not serve it",
        Fault::Throttled => "API Gateway is throttling",
        Fault::Unreachable => "no answer",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::Check;

    #[test]
    fn what_a_backend_answers_is_on_one_line() {
        let row = Row {
            label: "GET /orders".to_owned(),
            check: Check::BadKey,
            verb: "GET".to_owned(),
            status: Some(403),
            request_id: None,
            verdict: Err((Fault::Open, "403, a\nerror: \u{1b}[31mb".to_owned())),
            as_before: false,
        };
        let (word, text) = result_of(&row);
        assert_eq!(word, "wrong");
        assert!(text.ends_with(r"403, a\nerror: \u{1b}[31mb"), "{text}");
    }
}
