//! Writes the configuration language of Terraform as `terraform fmt` would. Pure.
//!
//! The crates for this language write neither comments nor aligned equals signs.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::Value;

use crate::printable::{is_unsafe, line};

/// The width up to which a list is on one line.
const WIDTH: usize = 80;

/// A block, for example `resource "aws_vpc" "main" { … }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    pub kind: String,
    pub labels: Vec<String>,
    /// The lines of the comment above it.
    pub comment: Vec<String>,
    pub items: Vec<Item>,
}

/// A line or a block in a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    Attribute(String, Expression),
    Block(Block),
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expression {
    Text(String),
    /// A reference, for example `aws_vpc.main.id`.
    Reference(String),
    Bool(bool),
    Integer(i64),
    List(Vec<Expression>),
    Object(Vec<(String, Expression)>),
    /// The text of a JSON document.
    Json(Value),
    /// A text of several lines.
    Lines(String),
}

impl Block {
    /// A block without a comment and without content.
    pub(super) fn new<const N: usize>(kind: &str, labels: [&str; N]) -> Self {
        Self {
            kind: kind.to_owned(),
            labels: labels.map(str::to_owned).to_vec(),
            comment: Vec::new(),
            items: Vec::new(),
        }
    }

    /// The block with an attribute more.
    pub(super) fn with(mut self, key: &str, value: impl Into<Expression>) -> Self {
        self.items
            .push(Item::Attribute(key.to_owned(), value.into()));
        self
    }

    /// The block with a block more.
    pub(super) fn with_block(mut self, block: Self) -> Self {
        self.items.push(Item::Block(block));
        self
    }

    /// The block with a comment above it.
    pub(super) fn about(mut self, text: &str) -> Self {
        self.comment.extend(wrapped(text));
        self
    }
}

impl Expression {
    /// A text, in several lines if that can be read again as it is.
    pub(super) fn lines(text: &str) -> Self {
        let is_safe = |c: char| matches!(c, '\n' | '\t') || !is_unsafe(c);
        // The least indentation is removed from all lines.
        let is_kept = text.ends_with('\n')
            && !text.starts_with(char::is_whitespace)
            && text.chars().all(is_safe)
            && text.lines().all(|line| line.trim() != "EOT");
        match is_kept {
            true => Self::Lines(text.to_owned()),
            false => Self::Text(text.to_owned()),
        }
    }
}

impl From<&str> for Expression {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<bool> for Expression {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i32> for Expression {
    fn from(value: i32) -> Self {
        Self::Integer(value.into())
    }
}

impl From<Vec<Expression>> for Expression {
    fn from(list: Vec<Expression>) -> Self {
        Self::List(list)
    }
}

/// The lines of a comment.
pub(super) fn wrapped(text: &str) -> Vec<String> {
    let text = line(text);
    // The names of resources stay whole.
    let options = textwrap::Options::new(100).word_splitter(textwrap::WordSplitter::NoHyphenation);
    let lines = textwrap::wrap(&text, options.subsequent_indent(hanging(&text)));
    lines.into_iter().map(Cow::into_owned).collect()
}

/// The indentation of the further lines of a comment.
fn hanging(text: &str) -> &'static str {
    if text.starts_with("- ") { "  " } else { "" }
}

/// A file with these blocks.
pub(super) fn file(blocks: &[Block]) -> String {
    let mut text = String::new();
    for (index, block) in blocks.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        write_block(&mut text, block, 0);
    }
    text
}

/// The lines as comments.
pub(super) fn comment(lines: &[String]) -> String {
    let mut text = String::new();
    write_comment(&mut text, lines, 0);
    text
}

fn write_comment(text: &mut String, lines: &[String], depth: usize) {
    for line in lines {
        indent(text, depth);
        text.push_str(format!("# {line}").trim_end());
        text.push('\n');
    }
}

fn indent(text: &mut String, depth: usize) {
    text.extend(std::iter::repeat_n("  ", depth));
}

fn write_block(text: &mut String, block: &Block, depth: usize) {
    write_comment(text, &block.comment, depth);
    indent(text, depth);
    text.push_str(&block.kind);
    for label in &block.labels {
        let _ = write!(text, " {}", quoted(label));
    }
    text.push_str(" {");
    if block.items.is_empty() {
        text.push_str("}\n");
        return;
    }
    text.push('\n');
    let mut items = block.items.as_slice();
    let mut is_first = true;
    while let Some(item) = items.first() {
        match item {
            Item::Attribute(..) => {
                let attributes = items.iter().map_while(|item| match item {
                    Item::Attribute(key, value) => Some((key.clone(), value)),
                    _ => None,
                });
                let attributes: Vec<_> = attributes.collect();
                items = &items[attributes.len()..];
                write_entries(text, &attributes, depth + 1);
            }
            Item::Block(inner) => {
                if !is_first {
                    text.push('\n');
                }
                write_block(text, inner, depth + 1);
                items = &items[1..];
                if matches!(items.first(), Some(Item::Attribute(..))) {
                    text.push('\n');
                }
            }
        }
        is_first = false;
    }
    indent(text, depth);
    text.push_str("}\n");
}

/// Writes `key = value` lines. The equals signs of neighboring lines are aligned, but those of brackets that close in another
/// line are not.
fn write_entries(text: &mut String, entries: &[(String, &Expression)], depth: usize) {
    // An aligned list begins as far to the right as one with the longest key.
    let keys = entries.iter().map(|(key, _)| key.chars().count());
    let longest = keys.max().unwrap_or_default();
    let is_open = |(_, value): &(String, &Expression)| is_open(value, depth, longest);
    let mut rest = entries;
    while !rest.is_empty() {
        let run = rest.iter().take_while(|entry| !is_open(entry)).count();
        let lines = |(_, value): &(String, &Expression)| matches!(value, Expression::Lines(_));
        // The lines of a text end the run, and its first one is a part of it.
        let end = rest
            .iter()
            .position(lines)
            .map_or(run, |at| run.min(at + 1));
        let (aligned, other) = rest.split_at(end.max(1));
        let width = aligned.iter().map(|(key, _)| key.chars().count()).max();
        for (key, value) in aligned {
            indent(text, depth);
            let width = width.unwrap_or_default();
            let _ = write!(text, "{key:width$} = ");
            write_expression(text, value, depth, longest);
            text.push('\n');
        }
        rest = other;
    }
}

fn one_line(list: &[Expression]) -> Option<String> {
    let simple = list.iter().map(|value| match value {
        Expression::Text(text) => Some(quoted(text)),
        Expression::Reference(reference) => Some(reference.clone()),
        Expression::Integer(number) => Some(number.to_string()),
        _ => None,
    });
    let simple: Option<Vec<_>> = simple.collect();
    Some(format!("[{}]", simple?.join(", ")))
}

fn fits(list: &[Expression], depth: usize, key: usize) -> Option<String> {
    let is_short = |text: &String| depth * 2 + key + 3 + text.chars().count() <= WIDTH;
    one_line(list).filter(is_short)
}

/// Whether the line of a value leaves a bracket open. `key`: the width of the longest key.
fn is_open(value: &Expression, depth: usize, key: usize) -> bool {
    match value {
        Expression::List(list) => fits(list, depth, key).is_none(),
        Expression::Object(entries) => !entries.is_empty(),
        Expression::Json(_) => true,
        _ => false,
    }
}

fn write_expression(text: &mut String, value: &Expression, depth: usize, key: usize) {
    match value {
        Expression::Text(value) => text.push_str(&quoted(value)),
        Expression::Reference(reference) => text.push_str(reference),
        Expression::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Expression::Integer(value) => text.push_str(&value.to_string()),
        Expression::List(list) => write_list(text, list, depth, key),
        Expression::Object(entries) => write_object(text, entries, depth),
        Expression::Json(value) => {
            text.push_str("jsonencode(");
            write_expression(text, &of_json(value), depth, WIDTH);
            text.push(')');
        }
        Expression::Lines(lines) => {
            text.push_str("<<-EOT\n");
            for line in lines.lines() {
                if !line.is_empty() {
                    indent(text, depth + 1);
                    text.push_str(&escaped_template(line));
                }
                text.push('\n');
            }
            indent(text, depth);
            text.push_str("EOT");
        }
    }
}

fn write_list(text: &mut String, list: &[Expression], depth: usize, key: usize) {
    if let Some(line) = fits(list, depth, key) {
        text.push_str(&line);
        return;
    }
    text.push_str("[\n");
    for value in list {
        indent(text, depth + 1);
        write_expression(text, value, depth + 1, 0);
        text.push_str(",\n");
    }
    indent(text, depth);
    text.push(']');
}

fn write_object(text: &mut String, entries: &[(String, Expression)], depth: usize) {
    if entries.is_empty() {
        text.push_str("{}");
        return;
    }
    text.push_str("{\n");
    let entries = entries.iter().map(|(key, value)| (name(key), value));
    write_entries(text, &entries.collect::<Vec<_>>(), depth + 1);
    indent(text, depth);
    text.push('}');
}

fn of_json(value: &Value) -> Expression {
    match value {
        Value::Null => Expression::Reference("null".to_owned()),
        Value::Bool(value) => Expression::Bool(*value),
        Value::Number(number) => Expression::Reference(number.to_string()),
        Value::String(text) => Expression::Text(text.clone()),
        Value::Array(list) => Expression::List(list.iter().map(of_json).collect()),
        Value::Object(members) => {
            let members = members.iter();
            Expression::Object(
                members
                    .map(|(key, value)| (key.clone(), of_json(value)))
                    .collect(),
            )
        }
    }
}

/// The key of an object: a word, or a quoted text.
fn name(key: &str) -> String {
    let is_word = key.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && key
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    // `for` would begin an expression.
    match is_word && key != "for" {
        true => key.to_owned(),
        false => quoted(key),
    }
}

/// `${` and `%{` would begin a template.
fn escaped_template(text: &str) -> String {
    text.replace("${", "$${").replace("%{", "%%{")
}

/// A text in quotes. Source: HCL native syntax specification, "Quoted Templates".
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in escaped_template(text).chars() {
        match c {
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if is_unsafe(c) => {
                let _ = match u32::from(c) {
                    code @ ..=0xffff => write!(quoted, "\\u{code:04x}"),
                    code => write!(quoted, "\\U{code:08x}"),
                };
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn equals_signs_of_neighboring_lines_are_aligned() {
        let inner = Block::new("vpc_config", []).with(
            "subnet_ids",
            vec![Expression::Reference("aws_subnet.a.id".to_owned())],
        );
        let tags = vec![
            ("Name".to_owned(), "x".into()),
            ("cost center".to_owned(), "y".into()),
        ];
        let block = Block::new("resource", ["aws_x", "main"])
            .about("What it is.")
            .with("name", "main")
            .with("description", "A text")
            .with(
                "policy",
                Expression::Json(json!({"Version": "2012-10-17", "Id": null})),
            )
            .with("on", true)
            .with("count_of", 3)
            .with("tags", Expression::Object(tags))
            .with_block(inner);
        let text = r#"# What it is.
resource "aws_x" "main" {
  name        = "main"
  description = "A text"
  policy = jsonencode({
    Id      = null
    Version = "2012-10-17"
  })
  on       = true
  count_of = 3
  tags = {
    Name          = "x"
    "cost center" = "y"
  }

  vpc_config {
    subnet_ids = [aws_subnet.a.id]
  }
}
"#;
        assert_eq!(file(&[block]), text);
    }

    #[test]
    fn a_list_that_fits_only_without_the_alignment_is_not_aligned() {
        let ids = |count| vec![Expression::from("subnet-0e1548cb522fade75a"); count];
        let block = Block::new("vpc_config", [])
            .with("subnet_ids", ids(2))
            .with("security_group_ids", ids(1));
        let text = r#"vpc_config {
  subnet_ids = [
    "subnet-0e1548cb522fade75a",
    "subnet-0e1548cb522fade75a",
  ]
  security_group_ids = ["subnet-0e1548cb522fade75a"]
}
"#;
        assert_eq!(file(&[block]), text);
    }

    #[test]
    fn a_text_from_outside_stays_a_text() {
        let text = "${aws:x} %{if} \"\\\n\t\r\u{1b}[31m\u{202e}\u{1}";
        assert_eq!(
            quoted(text),
            r#""$${aws:x} %%{if} \"\\\n\t\r\u001b[31m\u202e\u0001""#
        );
        let block = Block::new("locals", []).with("text", text);
        let read = hcl_edit::parser::parse_body(&file(&[block])).expect("HCL");
        let locals = read.get_blocks("locals").next().expect("a block");
        let value = &locals.body.get_attribute("text").expect("a text").value;
        assert_eq!(value.as_str(), Some(text));
    }

    #[test]
    fn lines_are_kept_as_they_are_or_quoted() {
        let script = "#!/bin/bash\necho ${x}\n\n  exit\n";
        let block = Block::new("x", []).with("user_data", Expression::lines(script));
        let text =
            "x {\n  user_data = <<-EOT\n    #!/bin/bash\n    echo $${x}\n\n      exit\n  EOT\n}\n";
        assert_eq!(file(&[block]), text);
        for other in ["", "no end", " indented\n", "a\nEOT\n", "\u{1b}[2J\n"] {
            assert_eq!(Expression::lines(other), other.into(), "{other}");
        }
    }

    #[test]
    fn a_list_that_is_too_long_has_a_line_for_each_value() {
        let ids = (0..4)
            .map(|number| Expression::from(format!("subnet-0123456789abcdef{number}").as_str()));
        let block = Block::new("x", [])
            .with("ids", ids.collect::<Vec<_>>())
            .with("of", Expression::List(Vec::new()));
        let text = file(&[block]);
        assert!(
            text.starts_with("x {\n  ids = [\n    \"subnet-0123456789abcdef0\",\n"),
            "{text}"
        );
        assert!(
            text.ends_with("    \"subnet-0123456789abcdef3\",\n  ]\n  of = []\n}\n"),
            "{text}"
        );
    }
}
