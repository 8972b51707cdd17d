//! The results of the requests to the API.

use super::{code, folded, list, page, table, text};
use crate::report::verify::{result_of, total};
use crate::verify::{Report, Row};

/// Every request with its result: first the ones that are wrong, or need attention.
pub fn verify(reports: &[Report]) -> String {
    let is_skipped = reports.iter().any(|report| report.skipped.is_some());
    let heading = match reports.iter().all(Report::is_well) {
        false => "### The API does not answer as expected",
        true if is_skipped => "### The API was not verified",
        true => "### The API is protected",
    };
    page([Some(heading.to_owned()), Some(results(reports))])
}

/// The results without a heading; those of several stages with the names of the stages.
pub(super) fn results(reports: &[Report]) -> String {
    if let [report] = reports {
        return of_stage(report);
    }
    let of_stage = |report: &Report| {
        let heading = format!("#### Stage {}", code(&report.stage));
        [Some(heading), Some(of_stage(report))]
    };
    page(reports.iter().flat_map(of_stage))
}

fn of_stage(report: &Report) -> String {
    let row = |row: &&Row| {
        let (word, told) = result_of(row);
        vec![
            word.to_owned(),
            code(&row.label),
            row.check.as_str().to_owned(),
            row.status
                .map_or_else(String::new, |status| status.to_string()),
            text(&told),
        ]
    };
    let heads = ["Result", "Method", "Check", "Status", "Detail"];
    let is_striking = |row: &&Row| row.verdict.is_err() || row.is_warning();
    let (striking, expected): (Vec<_>, Vec<_>) = report.rows.iter().partition(is_striking);
    let rows = |of: &[&Row]| of.iter().map(row).collect::<Vec<_>>();
    page([
        Some(format!("**{}**", text(&total(report)))),
        table(&heads, &rows(&striking)),
        list(report.notes.iter().map(|note| text(note))),
        folded(
            &format!("{} as expected", expected.len()),
            table(&heads, &rows(&expected)),
        ),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::{Check, Fault};

    #[test]
    fn faults_come_first_and_what_is_expected_is_folded() {
        let row = |label: &str, verdict| Row {
            label: label.to_owned(),
            check: Check::NoKey,
            verb: "GET".to_owned(),
            status: Some(200),
            request_id: None,
            verdict,
            as_before: false,
        };
        let report = Report {
            url: "https://example.com/".to_owned(),
            rows: vec![
                row("GET /a", Ok(None)),
                row("GET /b|c", Err((Fault::Open, "200".to_owned()))),
            ],
            ..Report::default()
        };
        let written = verify(&[report]);
        let (open, folded) = written.split_once("<details>").expect("two parts");
        assert!(open.starts_with("### The API does not answer as expected"));
        assert!(
            open.contains("| wrong | `GET /b\\|c` | no key | 200 | "),
            "{open}"
        );
        assert!(!open.contains("`GET /a`"), "{open}");
        assert!(
            folded.contains("| ok | `GET /a` | no key | 200 |"),
            "{folded}"
        );
    }
}
