//! Parses the XML of 3scale's answers, only the parts that decisions need.

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};

use crate::periods::{self, Period};

/// A `usage_report`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// The system name of the metric.
    pub metric: String,
    /// The period of the limit.
    pub period: Period,
    /// The start of the reported window, Unix seconds; 0 for eternity.
    pub start_s: i64,
    /// The limit.
    pub max: u64,
    /// 3scale's counter for the window.
    pub current: u64,
}

/// A `<status>` document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// `<authorized>`.
    pub authorized: bool,
    /// The name of the plan.
    pub plan: String,
    /// The application ID, if the call requested the application keys.
    pub app_id: Option<String>,
    /// All limits of the plan.
    pub limits: Vec<Limit>,
    /// The metrics with limits, each with its direct children.
    pub hierarchy: Vec<(String, Vec<String>)>,
}

/// The document of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// The document of a 200 or a 409.
    Status(Status),
    /// The document of any other status.
    Error {
        /// 3scale's error code.
        code: String,
        /// The error text; can contain what the caller sent.
        text: String,
    },
}

/// The depth limit, deeper than any document of 3scale. It bounds the work on a malicious document.
const MAX_DEPTH: usize = 16;

/// Parses a document. Returns `None` if it is not exactly what 3scale sends, including one that is truncated,
/// malformed, or incomplete.
#[must_use]
pub fn parse(text: &str) -> Option<Document> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = true;
    let mut builder = Builder::default();
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => builder.start(&start)?,
            Event::Empty(start) => {
                builder.start(&start)?;
                builder.end()?;
            }
            Event::End(_) => builder.end()?,
            Event::Text(text) => builder.text.push_str(&text.xml10_content()),
            Event::CData(data) => builder.text.push_str(&data.xml10_content()),
            Event::GeneralRef(reference) => {
                if let Some(character) = reference.resolve_char_ref().ok()? {
                    builder.text.push(character);
                } else {
                    let name = reference.xml10_content();
                    builder.text.push_str(resolve_predefined_entity(&name)?);
                }
            }
            Event::DocType(_) => return None,
            Event::Eof => break,
            _ => {}
        }
    }
    builder.finish()
}

#[derive(Default)]
struct Builder {
    path: Vec<String>,
    text: String,
    root: Option<String>,
    status: Status,
    authorized: Option<bool>,
    plan: Option<String>,
    error: Option<(String, String)>,
    limit: Option<(String, Period)>,
    start: Option<i64>,
    max: Option<u64>,
    current: Option<u64>,
}

impl Builder {
    fn start(&mut self, start: &BytesStart<'_>) -> Option<()> {
        if self.path.len() >= MAX_DEPTH {
            return None;
        }
        let name = start.name().as_ref().to_owned();
        if self.path.is_empty() && self.root.replace(name.clone()).is_some() {
            return None;
        }
        self.path.push(name);
        self.text.clear();
        match self.place().as_str() {
            "error" => self.error = Some((attribute(start, "code")?, String::new())),
            "status/usage_reports/usage_report" => {
                let period = Period::parse(&attribute(start, "period")?)?;
                self.limit = Some((attribute(start, "metric")?, period));
                self.start = None;
                self.max = None;
                self.current = None;
            }
            "status/app_keys" => {
                self.status.app_id = Some(attribute(start, "app")?).filter(|id| !id.is_empty());
            }
            "status/hierarchy/metric" => {
                let children = attribute(start, "children")?;
                self.status.hierarchy.push((
                    attribute(start, "name")?,
                    children.split_whitespace().map(str::to_owned).collect(),
                ));
            }
            _ => {}
        }
        Some(())
    }

    fn end(&mut self) -> Option<()> {
        let text = std::mem::take(&mut self.text);
        match self.place().as_str() {
            "error" => self.error.as_mut()?.1 = text,
            "status/authorized" => {
                let value = match text.as_str() {
                    "true" => true,
                    "false" => false,
                    _ => return None,
                };
                // A second one means that the document contains text of another origin.
                if self.authorized.replace(value).is_some() {
                    return None;
                }
            }
            "status/plan" => self.plan = Some(text),
            "status/usage_reports/usage_report/period_start" => {
                self.start = Some(periods::parse(&text)?);
            }
            "status/usage_reports/usage_report/max_value" => self.max = Some(text.parse().ok()?),
            "status/usage_reports/usage_report/current_value" => {
                // A counter can become negative when it is set. It is then read as 0, which is the safe side.
                self.current = Some(text.parse::<i64>().ok()?.max(0).unsigned_abs());
            }
            "status/usage_reports/usage_report" => {
                let (metric, period) = self.limit.take()?;
                let start = match period {
                    Period::Eternity => 0,
                    _ => self.start?,
                };
                self.status.limits.push(Limit {
                    metric,
                    period,
                    start_s: start,
                    max: self.max?,
                    current: self.current?,
                });
            }
            _ => {}
        }
        self.path.pop();
        Some(())
    }

    fn place(&self) -> String {
        self.path.join("/")
    }

    fn finish(mut self) -> Option<Document> {
        if !self.path.is_empty() {
            return None;
        }
        match self.root.as_deref()? {
            "status" => {
                self.status.authorized = self.authorized?;
                self.status.plan = self.plan?;
                Some(Document::Status(self.status))
            }
            "error" => self
                .error
                .map(|(code, text)| Document::Error { code, text }),
            _ => None,
        }
    }
}

fn attribute(start: &BytesStart<'_>, name: &str) -> Option<String> {
    let attribute = start.try_get_attribute(name).ok()??;
    Some(
        attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .ok()?
            .into_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8"?>"#;

    #[test]
    fn reads_samples_a1_a11_and_f5() {
        let free = format!(
            "{HEAD}<status><authorized>true</authorized><plan>Multi &amp; m&#233;re</plan><app_keys app=\"app_twokeys\" svc=\"1002\"><key id=\"k1\"/><key id=\"k2\"/></app_keys></status>"
        );
        assert_eq!(
            parse(&free),
            Some(Document::Status(Status {
                authorized: true,
                plan: "Multi & mére".to_owned(),
                app_id: Some("app_twokeys".to_owned()),
                ..Status::default()
            }))
        );
    }

    #[test]
    fn reads_limits_and_hierarchy() {
        let text = format!(
            "{HEAD}<status><authorized>true</authorized><plan>P</plan><usage_reports><usage_report metric=\"hits\" period=\"eternity\"><max_value>20</max_value><current_value>0</current_value></usage_report><usage_report metric=\"hits\" period=\"minute\" exceeded=\"true\"><period_start>2026-11-22 07:12:00 +0000</period_start><period_end>2026-11-22 07:13:00 +0000</period_end><max_value>10</max_value><current_value>12</current_value></usage_report></usage_reports><hierarchy><metric name=\"hits\" children=\"products orders\"/><metric name=\"bytes\" children=\"\"/></hierarchy></status>"
        );
        let Some(Document::Status(status)) = parse(&text) else {
            panic!("no status");
        };
        assert_eq!(status.limits.len(), 2);
        assert_eq!(status.limits[0].start_s, 0);
        assert_eq!(status.limits[1].current, 12);
        assert_eq!(
            status.hierarchy,
            [
                (
                    "hits".to_owned(),
                    vec!["products".to_owned(), "orders".to_owned()]
                ),
                ("bytes".to_owned(), vec![]),
            ]
        );
    }

    #[test]
    fn reads_errors() {
        assert_eq!(
            parse(&format!(
                "{HEAD}<error code=\"user_key_invalid\">user key \"&lt;a&gt;&amp;\"'\" is invalid</error>"
            )),
            Some(Document::Error {
                code: "user_key_invalid".to_owned(),
                text: "user key \"<a>&\"'\" is invalid".to_owned(),
            })
        );
    }

    #[test]
    fn guesses_nothing() {
        for text in [
            "",
            "<html></html>",
            "<status>",
            "<status></status>",
            "<status><authorized>true</authorized></status>",
            "<status><authorized>yes</authorized><plan/></status>",
            "<status><authorized>true</authorized><authorized>true</authorized><plan/></status>",
            "<status><authorized>true</authorized><plan>P</plan></status><status/>",
            "<status><authorized>false</authorized><reason>\"<b>&\"</reason><plan>P</plan></status>",
            "<status><authorized>true</authorized><plan>P</plan><usage_reports><usage_report metric=\"m\" period=\"aeon\"/></usage_reports></status>",
            "<status><authorized>true</authorized><plan>P</plan><usage_reports><usage_report metric=\"m\" period=\"minute\"><max_value>1</max_value><current_value>0</current_value></usage_report></usage_reports></status>",
            "<!DOCTYPE x><status><authorized>true</authorized><plan>P</plan></status>",
            "<error>x</error>",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse(&"<a>".repeat(100_000)), None);
    }
}
