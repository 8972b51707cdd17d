//! The live block at the bottom of a terminal, which every other line of output goes above.
//!
//! It is redrawn as a whole, and its bars are those of `indicatif`. `MultiProgress` of `indicatif` draws no synchronized updates, and
//! counts the rows of its last drawing by the width that the terminal had then, so that lines stay behind when the terminal gets
//! narrower. Here, each drawing first removes as many rows as the last one has at the present width, because a terminal wraps its
//! lines again when its width changes.
//!
//! The cursor stays visible, on the row below the block. So nothing has to be restored after a signal, and a shell's prompt
//! never begins in the middle of a line.

use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, MutexGuard};

use console::{Term, measure_text_width};

use super::layout::cut;
use crate::printable::block;

/// Begin and end of a synchronized update: the terminal shows nothing in between. Terminals that do not know this mode ignore
/// it. Source: <https://gist.github.com/christianparpart/d8a62cc1ab659194337d73e399004036>.
const BEGIN: &str = "\u{1b}[?2026h";
const END: &str = "\u{1b}[?2026l";

/// What is drawn.
#[derive(Debug)]
struct Block {
    lines: Vec<String>,
    /// Whether a question waits for its answer below.
    is_paused: bool,
}

static BLOCK: Mutex<Block> = Mutex::new(Block {
    lines: Vec::new(),
    is_paused: false,
});

fn locked() -> MutexGuard<'static, Block> {
    BLOCK
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The rows that lines take on a terminal of this width, which breaks those that are wider.
pub fn rows(lines: &[String], columns: usize) -> usize {
    let rows = |line: &String| measure_text_width(line).div_ceil(columns.max(1)).max(1);
    lines.iter().map(rows).sum()
}

/// The codes that remove lines as a terminal of this width shows them. The cursor is on the row below them.
fn removal(lines: &[String], columns: usize) -> String {
    match rows(lines, columns) {
        0 => String::new(),
        // Row by row: where the block begins at the top, tmux takes the removal of all that is below as the end of a page, and
        // keeps each drawing in its history.
        rows => format!("\r\u{1b}[2K{}", "\u{1b}[1A\u{1b}[2K".repeat(rows)),
    }
}

/// What fits on a terminal: as many lines as it has rows, except for the cursor's, and as much of each as it has columns.
fn fitting(lines: &[String], (rows, columns): (usize, usize)) -> Vec<String> {
    // The last line is the summary.
    let skipped = lines.len().saturating_sub(rows.saturating_sub(1));
    let lines = lines.iter().skip(skipped);
    lines
        .map(|line| cut(line, columns.saturating_sub(1)))
        .collect()
}

/// One drawing: the old lines go, `above` is written, and the new lines follow.
fn frame(old: &[String], above: Option<&str>, new: &[String], columns: usize) -> String {
    let above = above.map(|text| format!("{text}\n")).unwrap_or_default();
    if old.is_empty() && new.is_empty() {
        return above;
    }
    let new: String = new.iter().map(|line| format!("{line}\n")).collect();
    format!("{BEGIN}{}{above}{new}{END}", removal(old, columns))
}

fn size() -> (usize, usize) {
    let size = Term::stderr().size_checked();
    let (rows, columns) = size.filter(|(_, columns)| *columns > 0).unwrap_or((24, 80));
    (rows.into(), columns.into())
}

fn write(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes());
    let _ = stderr.flush();
}

/// Draws these lines in place of the last ones, below `above`.
pub(super) fn draw(above: Option<&str>, lines: &[String]) {
    let mut drawn = locked();
    let size = size();
    let lines = match drawn.is_paused {
        true => Vec::new(),
        false => fitting(lines, size),
    };
    if above.is_none() && lines == drawn.lines {
        return;
    }
    let above = above.map(block);
    write(&frame(&drawn.lines, above.as_deref(), &lines, size.1));
    drawn.lines = lines;
}

/// Removes the block, so that other output can follow. It returns with the next drawing.
pub fn clear() {
    let mut drawn = locked();
    if !drawn.lines.is_empty() {
        write(&frame(&drawn.lines, None, &[], size().1));
        drawn.lines.clear();
    }
}

/// Keeps the block away: while a question waits for its answer, or until the end of the process.
pub fn pause(is_paused: bool) {
    locked().is_paused = is_paused;
    clear();
}

/// Writes text to standard error, above the block.
pub(super) fn above(text: &str) {
    let drawn = locked();
    if drawn.lines.is_empty() || !std::io::stderr().is_terminal() {
        write(&format!("{}\n", block(text)));
        return;
    }
    write(&frame(
        &drawn.lines,
        Some(&block(text)),
        &drawn.lines,
        size().1,
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(of: &[&str]) -> Vec<String> {
        of.iter().map(|line| (*line).to_owned()).collect()
    }

    fn show(terminal: &mut vt100::Parser, text: &str) {
        terminal.process(text.replace('\n', "\r\n").as_bytes());
    }

    #[test]
    fn each_drawing_replaces_the_last_one_and_nothing_above_it() {
        let mut terminal = vt100::Parser::new(10, 20, 0);
        show(&mut terminal, "$ up\n");
        let (first, second) = (lines(&["one", "two", "three"]), lines(&["four"]));
        show(&mut terminal, &frame(&[], None, &first, 20));
        assert_eq!(terminal.screen().contents(), "$ up\none\ntwo\nthree");
        show(
            &mut terminal,
            &frame(&first, Some("created vpc"), &second, 20),
        );
        assert_eq!(terminal.screen().contents(), "$ up\ncreated vpc\nfour");
        // A key that was typed meanwhile goes, too.
        show(&mut terminal, "^C");
        show(&mut terminal, &frame(&second, None, &[], 20));
        assert_eq!(terminal.screen().contents(), "$ up\ncreated vpc");
        assert_eq!(terminal.screen().cursor_position(), (2, 0));
    }

    #[test]
    fn no_line_stays_when_the_terminal_gets_narrower_or_wider() {
        let wide = lines(&[&"a".repeat(30), "short", &"b".repeat(39)]);
        for columns in [10, 20, 60] {
            // As a terminal shows what was drawn when it was 40 columns wide.
            let mut terminal = vt100::Parser::new(20, columns, 0);
            show(&mut terminal, &format!("$ up\n{}\n", wide.join("\n")));
            let columns = usize::from(columns);
            let new = fitting(&lines(&["new"]), (20, columns));
            show(&mut terminal, &frame(&wide, None, &new, columns));
            assert_eq!(terminal.screen().contents(), "$ up\nnew", "{columns}");
        }
    }

    #[test]
    fn lines_are_cut_and_never_wrapped_and_the_last_one_is_kept() {
        let all = lines(&["first", &"x".repeat(50), "12/30 done"]);
        let shown = fitting(&all, (3, 20));
        assert_eq!(
            shown,
            [format!("{}…", "x".repeat(18)), "12/30 done".to_owned()]
        );
        assert_eq!(fitting(&all, (1, 20)), [""; 0]);
    }
}
