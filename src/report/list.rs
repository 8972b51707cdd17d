//! The stacks of an account.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::style::Style;
use crate::api_gateway::ApiTarget;
use crate::expiry::{self, Expiry};
use crate::prices;
use crate::principal;
use crate::printable::line;

/// A stack.
#[derive(Debug, Clone, Default)]
pub struct Row {
    pub stack: String,
    pub region: String,
    /// The APIs and stages that it is attached to, with their names if they are known.
    pub apis: Vec<(ApiTarget, Option<String>)>,
    pub created: Option<Timestamp>,
    /// An ARN.
    pub created_by: Option<String>,
    /// The version of the program that has verified the API last.
    pub version: Option<String>,
    /// What each billed part costs per month, where the price is known; `None` if the parts are not known.
    pub costs: Option<Vec<Option<f64>>>,
    pub is_locked: bool,
    pub expiry: Option<Expiry>,
}

/// The stacks of an account.
#[derive(Debug, Clone, Default)]
pub struct Listed {
    pub account: String,
    /// Whether only stacks that have expired are listed.
    pub only_expired: bool,
    /// The Regions that were looked at, or should have been.
    pub regions: Vec<String>,
    /// The Regions that are not enabled.
    pub disabled: Vec<String>,
    /// The Regions that the caller is not allowed to read, and why.
    pub denied: Vec<(String, String)>,
    /// The Regions whose listing failed otherwise, and why.
    pub failed: Vec<(String, String)>,
    pub rows: Vec<Row>,
    /// What is not known.
    pub notices: Vec<String>,
}

/// An age in its largest unit: `40s`, `12m`, `5h`, `3d`.
fn age(created: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(created).as_secs().max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A list behind its heading, in lines of this width.
fn wrapped(head: &str, items: &[String], width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut text = head.to_owned();
    for (index, item) in items.iter().enumerate() {
        let comma = if index + 1 < items.len() { "," } else { "" };
        if text.chars().count() + item.chars().count() + 2 > width {
            lines.push(std::mem::replace(&mut text, " ".to_owned()));
        }
        text.push_str(&format!(" {item}{comma}"));
    }
    lines.push(text);
    lines
}

/// A text of at most this width; one that is cut ends in `…`.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}

impl Row {
    fn api(&self) -> String {
        let all: Vec<_> = self
            .apis
            .iter()
            .map(|(target, name)| {
                let name = name.as_deref().filter(|name| !name.is_empty());
                format!(
                    "{}/{}",
                    line(name.unwrap_or(&target.id)),
                    line(&target.stage)
                )
            })
            .collect();
        match all.is_empty() {
            true => "-".to_owned(),
            false => all.join(", "),
        }
    }

    /// Stack, API, age, who, version, expiry, cost.
    fn cells(&self, now: Timestamp) -> [String; 7] {
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let cost = self.costs.as_deref().map(prices::sum);
        [
            line(&self.stack).into_owned(),
            self.api(),
            or_none(self.created.map(|created| age(created, now))),
            or_none(
                self.created_by
                    .as_deref()
                    .map(|arn| line(principal::name(arn)).into_owned()),
            ),
            or_none(
                self.version
                    .as_deref()
                    .map(|version| line(version).into_owned()),
            ),
            or_none(self.expiry.map(|expiry| expires(expiry, now))),
            or_none(cost.map(|(known, all)| match all {
                true => format!("${known:.2}"),
                false => format!("${known:.2}+"),
            })),
        ]
    }
}

const HEAD: [&str; 7] = [
    "STACK",
    "API",
    "AGE",
    "BY",
    "VERSION",
    "EXPIRES",
    "PER MONTH",
];
const API: usize = 1;
const BY: usize = 3;
const EXPIRES: usize = 5;
const COST: usize = 6;

/// When a stack expires, in one or two words.
fn expires(expiry: Expiry, now: Timestamp) -> String {
    match expiry {
        Expiry::At(at) if at <= now => "expired".to_owned(),
        Expiry::At(at) => {
            let span = expiry::span(now, at);
            format!("in {}", span.split(' ').next().unwrap_or(&span))
        }
        Expiry::Unreadable => "?".to_owned(),
    }
}

/// The width of each column. The API and who created the stack are cut if a line would be too long.
/// A column that no row needs has none.
fn widths(rows: &[[String; 7]], columns: usize) -> [usize; 7] {
    let mut widths = HEAD.map(str::len);
    if rows.iter().all(|row| row[EXPIRES] == "-") {
        widths[EXPIRES] = 0;
    }
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row).filter(|(width, _)| **width > 0) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for column in [BY, API] {
        let shown = widths.iter().filter(|width| **width > 0).count();
        let all = widths.iter().sum::<usize>() + 2 * (shown - 1);
        let excess = all.saturating_sub(columns);
        widths[column] = widths[column].saturating_sub(excess).max(4);
    }
    widths
}

fn table_line(cells: &[String; 7], widths: &[usize; 7]) -> String {
    let cells: Vec<_> = cells
        .iter()
        .zip(widths)
        .enumerate()
        .filter(|(_, (_, width))| **width > 0)
        .map(|(column, (cell, width))| match column {
            API | BY => format!("{:<width$}", cut(cell, *width)),
            // Numbers end at the same place.
            COST => format!("{cell:>width$}"),
            _ => format!("{cell:<width$}"),
        })
        .collect();
    cells.join("  ").trim_end().to_owned()
}

impl Listed {
    /// The stacks as text, by Region.
    pub fn table(&self, style: &Style, now: Timestamp) -> String {
        let mut lines = Vec::new();
        let cells: Vec<_> = self.rows.iter().map(|row| row.cells(now)).collect();
        let columns = style.columns();
        let widths = widths(&cells, columns);
        for region in &self.regions {
            let of_region: Vec<_> = (self.rows.iter().zip(&cells))
                .filter(|(row, _)| row.region == *region)
                .collect();
            if of_region.is_empty() {
                continue;
            }
            if !lines.is_empty() {
                lines.push(String::new());
            }
            lines.push(style.bold(&format!("Stacks in {region} (account {})", self.account)));
            lines.push(style.dim(&table_line(&HEAD.map(str::to_owned), &widths)));
            for (_, cells) in of_region {
                lines.push(table_line(cells, &widths));
            }
        }
        if self.rows.is_empty() {
            let place = match self.regions.as_slice() {
                [region] => format!("in {region}"),
                regions => format!("in {} Regions", regions.len()),
            };
            let expired = if self.only_expired { "expired " } else { "" };
            lines.push(format!(
                "No {expired}stacks {place} (account {}).",
                self.account
            ));
        }
        let costs = self.rows.iter().filter_map(|row| row.costs.as_deref());
        if costs.clone().count() > 0 {
            let is_complete = costs.clone().all(|costs| prices::sum(costs).1);
            let more = match is_complete {
                true => "",
                false => "; +: a price is unknown",
            };
            lines.push(style.dim(&format!(
                "PER MONTH: when idle, prices of {} in {}{more}",
                prices::REGION,
                prices::AS_OF
            )));
        }
        if !self.disabled.is_empty() {
            lines.extend(wrapped("skipped, not enabled:", &self.disabled, columns));
        }
        for (region, why) in self.denied.iter().chain(&self.failed) {
            lines.push(format!(
                "{} {region} was skipped: {}",
                style.warn("note"),
                line(why)
            ));
        }
        for row in self.rows.iter().filter(|row| row.is_locked) {
            let stack = line(&row.stack);
            lines.push(format!(
                "{} {stack} ({}) is locked: a run works on it, or was killed",
                style.warn("note"),
                row.region
            ));
        }
        for notice in &self.notices {
            lines.push(format!("{} {notice}", style.warn("note")));
        }
        lines.join("\n")
    }

    /// The stacks as one JSON document.
    pub fn document(&self) -> Value {
        let stacks: Vec<_> = self.rows.iter().map(stack).collect();
        let skipped = self
            .disabled
            .iter()
            .map(|region| json!({"region": region, "why": "not_enabled", "error": null}));
        let with = |why: &'static str| move |(region, error): &(String, String)| json!({"region": region, "why": why, "error": error});
        let denied = self.denied.iter().map(with("denied"));
        let failed = self.failed.iter().map(with("failed"));
        let is_skipped = |region: &String| {
            let mut skipped = self.denied.iter().chain(&self.failed);
            skipped.any(|(skipped, _)| skipped == region)
        };
        json!({
            "account": self.account,
            "regions": self.regions.iter().filter(|region| !is_skipped(region)).collect::<Vec<_>>(),
            "skipped": skipped.chain(denied).chain(failed).collect::<Vec<_>>(),
            "stacks": stacks,
            "prices": {"currency": "USD", "region": prices::REGION, "as_of": prices::AS_OF},
            "notices": self.notices,
        })
    }
}

fn stack(row: &Row) -> Value {
    let apis: Vec<_> = row
        .apis
        .iter()
        .map(|(target, name)| json!({"id": target.id, "name": name, "protocol": target.protocol.as_str(), "stage": target.stage}))
        .collect();
    let cost = row.costs.as_deref().map(prices::sum);
    json!({
        "stack": row.stack,
        "region": row.region,
        "apis": apis,
        "created": row.created.map(|created| created.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        "created_by": row.created_by,
        "version": row.version,
        "expires": row.expiry.and_then(Expiry::at).map(expiry::text),
        "expired": row.expiry.is_some_and(|expiry| expiry.has_passed(Timestamp::now(), Duration::ZERO)),
        "cost_per_month": cost.map(|(known, _)| (known * 100.0).round() / 100.0),
        "cost_is_complete": cost.map(|(_, all)| all),
        "locked": row.is_locked,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(rows: Vec<Row>) -> Listed {
        Listed {
            account: "123456789012".to_owned(),
            regions: vec!["eu-west-1".to_owned(), "us-east-1".to_owned()],
            rows,
            ..Listed::default()
        }
    }

    fn row(stack: &str, name: &str) -> Row {
        let target = ApiTarget::of_segment("a1b2c3d4e5", "prod");
        Row {
            stack: stack.to_owned(),
            region: "us-east-1".to_owned(),
            apis: vec![(target, Some(name.to_owned()))],
            created: Timestamp::from_second(0).ok(),
            created_by: Some(
                "arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Admin_0123/kim@example.com"
                    .to_owned(),
            ),
            version: Some("0.1.0".to_owned()),
            costs: Some(vec![Some(32.85), Some(3.65)]),
            is_locked: false,
            expiry: None,
        }
    }

    #[test]
    fn every_line_fits_eighty_columns_and_the_name_of_a_stack_is_whole() {
        let now = Timestamp::from_second(3 * 86_400).expect("a time");
        let long = "a-stack-with-a-name-of-32-letter";
        let mut other = row("b", "api");
        other.costs = Some(vec![Some(1.0), None]);
        let text = listed(vec![
            row(long, "an API with a name that is much too long for a table"),
            other,
            Row {
                stack: "half".to_owned(),
                region: "eu-west-1".to_owned(),
                ..Row::default()
            },
        ])
        .table(&Style::plain(), now);
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        assert!(!text.contains("EXPIRES"), "{text}");
        for part in [
            long,
            "$36.50\n",
            "$1.00+",
            "3d",
            "Stacks in eu-west-1",
            "half",
            "a price is unknown",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn the_expiry_has_a_column_if_a_stack_has_one() {
        let now = Timestamp::from_second(86_400).expect("a time");
        let of = |name: &str, second| {
            let mut row = row(name, "an API with a name that is too long for a table");
            row.expiry = Timestamp::from_second(second).ok().map(Expiry::At);
            row
        };
        let long = "a-stack-with-a-name-of-32-letter";
        let mut broken = row("broken", "api");
        broken.expiry = Some(Expiry::Unreadable);
        let rows = vec![
            of(long, 100_800),
            of("old", 86_400),
            row("stays", "api"),
            broken,
        ];
        let text = listed(rows).table(&Style::plain(), now);
        let words: Vec<Vec<_>> = text
            .lines()
            .map(|line| line.split("  ").collect())
            .collect();
        let has = |start: &str, cell: &str| {
            let mut rows = words.iter().filter(|row| row[0] == start);
            rows.any(|row| row.iter().any(|found| found.trim() == cell))
        };
        assert!(
            has("STACK", "EXPIRES") || text.contains("EXPIRES"),
            "{text}"
        );
        assert!(has(long, "in 4h") && has("old", "expired"), "{text}");
        assert!(has("stays", "-") && has("broken", "?"), "{text}");
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        let mut none = listed(Vec::new());
        none.only_expired = true;
        let text = none.table(&Style::plain(), now);
        assert_eq!(
            text,
            "No expired stacks in 2 Regions (account 123456789012)."
        );
    }

    #[test]
    fn no_stack_and_skipped_regions_are_said() {
        let mut none = listed(Vec::new());
        none.disabled = vec!["af-south-1".to_owned(); 12];
        none.denied = vec![("eu-west-1".to_owned(), "denied".to_owned())];
        let text = none.table(&Style::plain(), Timestamp::UNIX_EPOCH);
        for part in [
            "No stacks in 2 Regions (account 123456789012).",
            "skipped, not enabled: af-south-1, af-south-1, af-south-1, af-south-1,\n  af-south-1,",
            "note eu-west-1 was skipped: denied",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let document = none.document();
        assert_eq!(document["regions"], json!(["us-east-1"]));
        assert_eq!(document["skipped"].as_array().map(Vec::len), Some(13));
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }

    #[test]
    fn an_age_has_its_largest_unit() {
        let now = Timestamp::from_second(1_000_000).expect("a time");
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (7_200, "2h"),
            (200_000, "2d"),
            (-5, "0s"),
        ] {
            let created = Timestamp::from_second(1_000_000 - seconds).expect("a time");
            assert_eq!(age(created, now), text);
        }
    }
}
