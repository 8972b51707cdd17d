//! Colors, if the stream is a terminal and they are not disabled.

use console::{Style as Paint, Term};

use crate::cli::Global;

/// The text styles of one stream.
#[derive(Debug, Clone)]
pub struct Style {
    /// Whether the stream is a terminal.
    pub is_terminal: bool,
    colors: bool,
}

impl Style {
    /// For standard error.
    pub fn stderr(global: &Global) -> Self {
        Self::of(&Term::stderr(), global)
    }

    /// For standard output.
    pub fn stdout(global: &Global) -> Self {
        Self::of(&Term::stdout(), global)
    }

    /// For a stream that is not a terminal.
    #[cfg(test)]
    pub fn plain() -> Self {
        Self {
            is_terminal: false,
            colors: false,
        }
    }

    fn of(term: &Term, global: &Global) -> Self {
        let is_terminal = term.is_term();
        // https://no-color.org: any value except the empty one.
        let forbidden =
            global.no_color || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            is_terminal,
            colors: is_terminal && !forbidden,
        }
    }

    fn paint(&self, paint: Paint, text: &str) -> String {
        if self.colors {
            paint.force_styling(true).apply_to(text).to_string()
        } else {
            text.to_owned()
        }
    }

    /// Done, added.
    pub fn good(&self, text: &str) -> String {
        self.paint(Paint::new().green(), text)
    }

    /// Failed, removed.
    pub fn bad(&self, text: &str) -> String {
        self.paint(Paint::new().red().bold(), text)
    }

    /// Changed, or requires attention.
    pub fn warn(&self, text: &str) -> String {
        self.paint(Paint::new().yellow(), text)
    }

    /// Less important.
    pub fn dim(&self, text: &str) -> String {
        self.paint(Paint::new().dim(), text)
    }

    /// Headings.
    pub fn bold(&self, text: &str) -> String {
        self.paint(Paint::new().bold(), text)
    }
}
