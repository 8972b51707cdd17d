//! Fits text to the width of a terminal. Pure.
//!
//! Lines break at words. What a user copies stays in one piece: an id, an ARN or a URL has no space in it, and a command between
//! backquotes is one word.

use textwrap::core::{Word, display_width};
use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm};

/// The width of what is written to no terminal, where the width matters at all.
pub const PIPE: usize = 80;

/// The indentation of the second line of a row.
const HANG: usize = 4;

/// Words at the start of a line that label the rest. The next lines are aligned with what comes after them.
const LABELS: [&str; 9] = [
    "error:", "hint:", "tip:", "note", "fault", "warn", "skipped", "-", "#",
];

/// Breaks each line that is wider than `columns`. The lines that continue it have a hanging indent.
pub fn wrap(text: &str, columns: usize) -> String {
    let mut lines = Vec::new();
    for line in text.split('\n') {
        if display_width(line) <= columns {
            lines.push(line.to_owned());
            continue;
        }
        let rest = line.trim_start_matches(' ');
        let indent = line.len() - rest.len();
        // More than half of a narrow terminal is for the text.
        let hang = (indent + hang_of(rest)).min(columns / 2);
        lines.extend(broken(rest, (indent, hang), columns));
    }
    lines.join("\n")
}

/// Breaks a text that begins behind a label of this width. The next lines are aligned with it.
pub fn behind(text: &str, label: usize, columns: usize) -> String {
    let lines = broken(text, (label, label), columns);
    lines.join("\n").trim_start().to_owned()
}

/// The lines of a text, with the indentation of the first one and of the others.
fn broken(text: &str, (first, next): (usize, usize), columns: usize) -> Vec<String> {
    let (first, next) = (" ".repeat(first), " ".repeat(next));
    let options = Options::new(columns)
        .initial_indent(&first)
        .subsequent_indent(&next)
        .break_words(false)
        .word_separator(WordSeparator::Custom(words))
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit);
    let lines = textwrap::wrap(text, options).into_iter();
    lines.map(std::borrow::Cow::into_owned).collect()
}

/// Breaks the lines that are wider than `columns`, except for indented ones: those are commands, which a user copies.
pub fn wrap_prose(text: &str, columns: usize) -> String {
    let lines = text.split('\n').map(|line| match line.starts_with(' ') {
        true => line.to_owned(),
        false => wrap(line, columns),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Cuts a line to `columns`, with an ellipsis where something is left out.
pub fn cut(line: &str, columns: usize) -> String {
    console::truncate_str(line, columns, "…").into_owned()
}

/// A row: what it is about, its id in AWS, and a short text at the end. If they do not fit on one line, the id has a line of
/// its own. `columns` is `usize::MAX` where every row is one line.
pub fn row(head: &str, id: &str, end: &str, columns: usize) -> String {
    // As wide as most rows need, even on a wide terminal.
    let end_at = columns.min(100).saturating_sub(12);
    let both = format!("{head} {id}");
    let width = display_width(both.trim_end());
    if width < end_at {
        let fill = " ".repeat(end_at - width);
        return format!("{}{fill}{end}", both.trim_end());
    }
    if width + 1 + display_width(end) <= columns {
        return format!("{both} {end}");
    }
    let head = head.trim_end();
    format!("{head}  {end}\n{}{id}", " ".repeat(HANG))
}

/// The width of the label at the start of a line and of the space behind it; otherwise the indentation of a row.
fn hang_of(line: &str) -> usize {
    let plain = console::strip_ansi_codes(line);
    let first = plain.split(' ').next().unwrap_or_default();
    match LABELS.contains(&first) {
        true => first.len() + 1,
        false => HANG,
    }
}

/// Splits at spaces, except between backquotes.
fn words(line: &str) -> Box<dyn Iterator<Item = Word<'_>> + '_> {
    let mut words = Vec::new();
    let mut start = 0;
    let mut is_quoted = false;
    let mut is_space = false;
    for (at, c) in line.char_indices() {
        if is_space && c != ' ' {
            words.push(Word::from(&line[start..at]));
            (start, is_space) = (at, false);
        }
        match c {
            // A backquote without a partner quotes nothing.
            '`' => is_quoted = !is_quoted && line[at + 1..].contains('`'),
            ' ' => is_space = !is_quoted,
            _ => {}
        }
    }
    words.push(Word::from(&line[start..]));
    Box::new(words.into_iter())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str =
        "arn:aws:lambda:us-east-1:123456789012:function:threescale-gw-orders-authorizer";

    #[test]
    fn lines_break_at_words_with_a_hanging_indent() {
        let text = "  - the subnet subnet-0a is in a zone without a NAT gateway of the stack";
        assert_eq!(
            wrap(text, 40),
            "  - the subnet subnet-0a is in a zone\n    without a NAT gateway of the stack"
        );
        let text = "note the role is not changed by this run, because it belongs to others";
        assert_eq!(
            wrap(text, 40),
            "note the role is not changed by this\n     run, because it belongs to others"
        );
        let text = "\u{1b}[31merror:\u{1b}[0m the stage of the API does not exist";
        assert_eq!(
            wrap(text, 30),
            "\u{1b}[31merror:\u{1b}[0m the stage of the API\n       does not exist"
        );
        assert_eq!(wrap("a row  with columns", 80), "a row  with columns");
        assert_eq!(wrap("one two\n\nthree", 7), "one two\n\nthree");
    }

    #[test]
    fn what_is_copied_stays_in_one_piece() {
        let text =
            format!("hint: run `threescale-gw down --stack orders` again, or delete {ARN} first");
        for columns in [1, 20, 40, 60, 80, 120] {
            let wrapped = wrap(&text, columns);
            assert!(wrapped.contains(ARN), "{wrapped}");
            assert!(
                wrapped.contains("`threescale-gw down --stack orders`"),
                "{wrapped}"
            );
            let joined = wrapped.split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(joined, text);
        }
        assert_eq!(wrap("a ` b c", 3), "a `\n    b\n    c".replace("    ", " "));
    }

    #[test]
    fn commands_below_prose_are_never_broken() {
        let text =
            "wrote a-file.yaml: the stack orders\nNext:\n  threescale-gw plan -f a-file.yaml";
        assert_eq!(
            wrap_prose(text, 20),
            "wrote a-file.yaml:\n    the stack orders\nNext:\n  threescale-gw plan -f a-file.yaml"
        );
    }

    #[test]
    fn wide_characters_count_as_two_columns() {
        assert_eq!(wrap("日本 日本", 5), "日本\n  日本");
        assert_eq!(cut("日本日本", 5), "日本…");
        assert_eq!(cut("abc", 3), "abc");
    }

    #[test]
    fn a_row_fits_or_gives_its_id_a_line() {
        let head = "created  lambda/authorizer           ";
        for (columns, lines) in [(60, 2), (80, 2), (124, 1), (200, 1), (usize::MAX, 1)] {
            let row = row(head, ARN, "1.2 s", columns);
            assert_eq!(row.lines().count(), lines, "{row}");
            let fits = |line: &str| display_width(line) <= columns || line.trim() == ARN;
            assert!(row.lines().all(fits), "{row}");
        }
        assert_eq!(row("created", "vpc-1", "1.2 s", 40).len(), 28 + 5);
        assert_eq!(
            row("ready", "", "1.2 s", 40),
            format!("ready{}1.2 s", " ".repeat(23))
        );
    }
}
