//! Makes text from outside safe to print: it must not control the terminal, or look like more output than it is.

use std::borrow::Cow;

/// Characters that reorder the text around them. Source: Unicode Standard Annex #9.
const fn reorders(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a character controls a terminal, or reorders text.
pub fn is_unsafe(c: char) -> bool {
    c.is_control() || reorders(c)
}

/// One line: escapes line breaks and all other control characters.
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, |rest| {
        let c = rest.chars().next()?;
        (!is_unsafe(c)).then(|| c.len_utf8())
    })
}

/// Several lines of this program's own output: keeps line breaks, tabs, and the codes of colors and styles.
pub fn block(text: &str) -> Cow<'_, str> {
    escaped(text, |rest| {
        let c = rest.chars().next()?;
        match c {
            '\n' | '\t' => Some(1),
            '\u{1b}' => style_code(rest),
            _ => (!is_unsafe(c)).then(|| c.len_utf8()),
        }
    })
}

/// The length of a code such as `ESC[1;31m` at the start of the text. Others, which move the cursor or set the window's
/// title, are none.
fn style_code(text: &str) -> Option<usize> {
    let rest = text.strip_prefix("\u{1b}[")?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    rest[end..].starts_with('m').then_some(2 + end + 1)
}

/// Escapes each character at which `kept` finds nothing to keep. It returns a length in bytes.
fn escaped(text: &str, kept: impl Fn(&str) -> Option<usize>) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match kept(rest) {
            Some(length) => {
                safe.push_str(&rest[..length]);
                length
            }
            None => {
                safe.extend(c.escape_default());
                c.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_no_control_characters() {
        for (text, safe) in [
            ("GET /orders", "GET /orders"),
            ("Grüße", "Grüße"),
            ("a\nerror: b", r"a\nerror: b"),
            ("\u{1b}[2Jx", r"\u{1b}[2Jx"),
            ("\u{9b}31m\u{7f}", r"\u{9b}31m\u{7f}"),
            ("a\u{202e}b", r"a\u{202e}b"),
        ] {
            assert_eq!(line(text), safe);
        }
    }

    #[test]
    fn a_block_keeps_lines_and_styles_only() {
        for (text, safe) in [
            ("a\n\tb", "a\n\tb"),
            ("\u{1b}[1;31mred\u{1b}[0m", "\u{1b}[1;31mred\u{1b}[0m"),
            ("\u{1b}[2J", r"\u{1b}[2J"),
            ("\u{1b}]0;title\u{7}", r"\u{1b}]0;title\u{7}"),
            ("\u{1b}[", r"\u{1b}["),
            ("a\rb", r"a\rb"),
        ] {
            assert_eq!(block(text), safe);
        }
    }
}
