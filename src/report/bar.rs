//! A bar of `indicatif`, as text for the live block.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

/// The columns of a bar, with its brackets.
pub const WIDTH: u16 = 22;

/// The terminal on which `indicatif` draws: a text.
#[derive(Debug, Clone, Default)]
struct Line(Arc<Mutex<String>>);

impl Line {
    fn text(&self) -> MutexGuard<'_, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TermLike for Line {
    fn width(&self) -> u16 {
        WIDTH
    }

    fn move_cursor_up(&self, _rows: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _rows: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _columns: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _columns: usize) -> io::Result<()> {
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.text().push_str(text);
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.text().clear();
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

/// The bar for so much of all that there is.
pub fn bar((done, all): (u32, u32)) -> String {
    let line = Line::default();
    let target = ProgressDrawTarget::term_like(Box::new(line.clone()));
    let bar = ProgressBar::with_draw_target(Some(u64::from(all.max(1))), target);
    if let Ok(style) = ProgressStyle::with_template("[{bar:20}]") {
        bar.set_style(style.progress_chars("#--"));
    }
    bar.set_position(u64::from(done.min(all)));
    line.text().clear();
    // Draws it for the last time, whenever it was drawn before.
    bar.abandon();
    line.text().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_have_one_width() {
        for (share, full) in [
            ((0, 0), 0),
            ((0, 7), 0),
            ((1, 3), 6),
            ((7, 7), 20),
            ((9, 7), 20),
        ] {
            let bar = bar(share);
            let expected = format!("[{}{}]", "#".repeat(full), "-".repeat(20 - full));
            assert_eq!(bar, expected, "{share:?}");
        }
    }
}
