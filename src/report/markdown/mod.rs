//! Results as GitHub Flavored Markdown, which the job summary of GitHub Actions and the comments of GitHub and GitLab show. Pure.

mod plan;
mod run;
mod status;
mod verify;

pub use self::plan::plan;
pub use self::run::{Changes, Ended, run};
pub use self::status::status;
pub use self::verify::verify;

use super::heading::scope as scope_text;
use crate::event::Scope;
use crate::printable::line;

/// What Markdown or HTML would interpret. `@` would notify a user, and `[` could load an image.
const SPECIAL: [(char, &str); 9] = [
    ('&', "&amp;"),
    ('<', "&lt;"),
    ('>', "&gt;"),
    ('@', "&#64;"),
    ('#', "&#35;"),
    ('|', "\\|"),
    ('*', "\\*"),
    ('[', "\\["),
    ('\\', "\\\\"),
];

/// A text on one line. What is between two backquotes stays code.
fn text(text: &str) -> String {
    let text = text.replace('\n', "\u{0}");
    let parts: Vec<_> = text.split('`').collect();
    // A single backquote begins no code.
    let last = (parts.len() % 2 == 0).then(|| parts.len() - 1);
    let mut written = String::new();
    for (index, part) in parts.iter().enumerate() {
        let is_code = index % 2 == 1 && Some(index) != last;
        if index > 0 {
            written.push_str(if Some(index) == last { "\\`" } else { "`" });
        }
        for c in part.chars() {
            match SPECIAL.iter().find(|(special, _)| *special == c) {
                // A table ends a cell at a bar in code, too.
                Some((_, escaped)) if !is_code || c == '|' => written.push_str(escaped),
                _ if c == '\u{0}' => written.push_str(if is_code { " " } else { "<br>" }),
                _ => written.push_str(&line(c.encode_utf8(&mut [0; 4]))),
            }
        }
    }
    written
}

/// A name or an id as code; nothing if it is empty.
fn code(name: &str) -> String {
    match name {
        "" => String::new(),
        // Code with a backquote needs another fence, which not every reader of tables understands.
        name if name.contains('`') => text(&name.replace('`', "'")),
        name => text(&format!("`{name}`")),
    }
}

/// A table; nothing if it has no rows.
fn table(heads: &[&str], rows: &[Vec<String>]) -> Option<String> {
    if rows.is_empty() {
        return None;
    }
    let rule = "| --- ".repeat(heads.len());
    let mut lines = vec![format!("| {} |", heads.join(" | ")), format!("{rule}|")];
    lines.extend(
        rows.iter()
            .map(|cells| format!("| {} |", cells.join(" | "))),
    );
    Some(lines.join("\n"))
}

/// A list; nothing if it has no items.
fn list(items: impl IntoIterator<Item = String>) -> Option<String> {
    let items: Vec<_> = items.into_iter().map(|item| format!("- {item}")).collect();
    (!items.is_empty()).then(|| items.join("\n"))
}

/// A part that a click opens.
fn folded(title: &str, part: Option<String>) -> Option<String> {
    part.map(|part| format!("<details><summary>{title}</summary>\n\n{part}\n\n</details>"))
}

/// The parts, each a block.
fn page(parts: impl IntoIterator<Item = Option<String>>) -> String {
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    parts.join("\n\n")
}

/// What a command works on, and as whom.
fn place(scope: &Scope) -> String {
    let lines: Vec<_> = scope_text(scope).lines().map(text).collect();
    lines.join("<br>")
}

/// Outputs by name.
fn outputs(outputs: &[(&'static str, String)]) -> Option<String> {
    let rows: Vec<_> = outputs
        .iter()
        .map(|(name, value)| vec![code(name), code(value)])
        .collect();
    table(&["Output", "Value"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_is_no_markup() {
        for (outside, written) in [
            ("GET /orders/*", "GET /orders/\\*"),
            ("name it in `api.protect`", "name it in `api.protect`"),
            ("`a|b` c|d", "`a\\|b` c\\|d"),
            ("`<b>@` <b>@", "`<b>@` &lt;b&gt;&#64;"),
            ("![x](https://example.com)", "!\\[x](https://example.com)"),
            ("a ` b", "a \\` b"),
            ("`a` ` b", "`a` \\` b"),
            ("two\nlines", "two<br>lines"),
            ("\u{1b}[2J", "\\u{1b}\\[2J"),
            ("C:\\x", "C:\\\\x"),
        ] {
            assert_eq!(text(outside), written);
        }
        for (name, written) in [
            ("", ""),
            ("vpc/main", "`vpc/main`"),
            ("a`b*", "a'b\\*"),
            ("a\nb|", "`a b\\|`"),
        ] {
            assert_eq!(code(name), written);
        }
    }

    #[test]
    fn a_table_without_rows_is_nothing() {
        assert_eq!(table(&["a"], &[]), None);
        let rows = [vec!["1".to_owned(), "2".to_owned()]];
        let table = table(&["a", "b"], &rows);
        assert_eq!(
            table.as_deref(),
            Some("| a | b |\n| --- | --- |\n| 1 | 2 |")
        );
    }
}
