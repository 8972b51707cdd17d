//! What a stream can show: colors, and the width of its lines.

use std::ffi::OsStr;

use console::{Style as Paint, Term};

use super::layout::{self, PIPE};
use crate::cli::{ColorWhen, Global};

/// The text styles of one stream.
#[derive(Debug, Clone)]
pub struct Style {
    /// Whether the stream is a terminal that can move its cursor.
    pub is_terminal: bool,
    colors: bool,
    /// The width of the terminal; `None` if lines are not wrapped.
    columns: Option<usize>,
}

/// What the user and the environment say about colors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColorChoice {
    /// Colors, whether the stream is a terminal or not; `None` if the terminal decides.
    pub forced: Option<bool>,
    /// Whether the terminal can show no more than text.
    pub is_dumb: bool,
}

impl ColorChoice {
    /// A flag takes precedence over the environment. `NO_COLOR` takes precedence over the variables that request colors, as in
    /// every tool that reads both. Sources: <https://no-color.org>, <https://force-color.org>, <https://bixense.com/clicolors>.
    pub fn of<'a>(
        when: ColorWhen,
        no_color: bool,
        variable: impl Fn(&str) -> Option<&'a OsStr>,
    ) -> Self {
        let is_set = |name| variable(name).is_some_and(|value| !value.is_empty());
        let requests = |name| is_set(name) && variable(name) != Some(OsStr::new("0"));
        let forced = match when {
            ColorWhen::Always => Some(true),
            ColorWhen::Never => Some(false),
            ColorWhen::Auto if no_color || is_set("NO_COLOR") => Some(false),
            ColorWhen::Auto if requests("FORCE_COLOR") || requests("CLICOLOR_FORCE") => Some(true),
            ColorWhen::Auto => None,
        };
        Self {
            forced,
            is_dumb: variable("TERM") == Some(OsStr::new("dumb")),
        }
    }

    /// The choice of this process.
    pub fn from_environment(when: ColorWhen, no_color: bool) -> Self {
        let names = ["NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "TERM"];
        let values = names.map(|name| (name, std::env::var_os(name)));
        Self::of(when, no_color, |name| {
            let mut values = values.iter();
            values.find(|(of, _)| *of == name)?.1.as_deref()
        })
    }

    /// Whether a stream has colors.
    pub fn has_colors(self, is_terminal: bool) -> bool {
        self.forced.unwrap_or(is_terminal && !self.is_dumb)
    }
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

    /// For what is not a terminal.
    pub fn plain() -> Self {
        Self {
            is_terminal: false,
            colors: false,
            columns: None,
        }
    }

    /// For a terminal of this width, without colors.
    #[cfg(test)]
    pub fn wide(columns: usize) -> Self {
        Self {
            columns: Some(columns),
            ..Self::plain()
        }
    }

    fn of(term: &Term, global: &Global) -> Self {
        let choice = ColorChoice::from_environment(global.color, global.no_color);
        let is_terminal = term.is_term();
        Self {
            is_terminal: is_terminal && !choice.is_dumb,
            colors: choice.has_colors(is_terminal),
            columns: columns(term),
        }
    }

    /// The width of a line: that of the terminal, or the usual one.
    pub fn columns(&self) -> usize {
        self.columns.unwrap_or(PIPE)
    }

    /// The present width of the terminal, which the user may have changed.
    pub fn present_columns(&self) -> usize {
        columns(&Term::stderr()).unwrap_or_else(|| self.columns())
    }

    /// The width of a row of a table, which is one line in a pipe.
    pub fn row_columns(&self) -> usize {
        self.columns.unwrap_or(usize::MAX)
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

/// The width of a terminal; `None` if the stream is none. A terminal that does not tell its size is taken as one of the usual
/// width.
fn columns(term: &Term) -> Option<usize> {
    let tells = |(_, columns): (u16, u16)| (columns > 0).then_some(usize::from(columns));
    let is_terminal = term.is_term();
    is_terminal.then(|| term.size_checked().and_then(tells).unwrap_or(PIPE))
}

/// The text, wrapped if the stream is a terminal. In a pipe, lines stay as they are for `grep` and the logs of a CI job.
pub(super) fn fitted(term: &Term, text: &str) -> String {
    match columns(term) {
        Some(columns) => layout::wrap(text, columns),
        None => text.to_owned(),
    }
}

/// The same for a text with indented lines, which are commands and stay as they are.
pub(super) fn guided(term: &Term, text: &str) -> String {
    match columns(term) {
        Some(columns) => layout::wrap_prose(text, columns),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_take_precedence_over_the_environment_and_no_color_over_other_variables() {
        use ColorWhen::{Always, Auto, Never};
        for (when, no_color, variables, terminal, pipe) in [
            (Auto, false, &[][..], true, false),
            (Auto, false, &[("TERM", "dumb")], false, false),
            (Auto, false, &[("NO_COLOR", "1")], false, false),
            (Auto, false, &[("NO_COLOR", "")], true, false),
            (Auto, false, &[("FORCE_COLOR", "1")], true, true),
            (Auto, false, &[("FORCE_COLOR", "0")], true, false),
            (Auto, false, &[("CLICOLOR_FORCE", "1")], true, true),
            (
                Auto,
                false,
                &[("CLICOLOR_FORCE", "1"), ("TERM", "dumb")],
                true,
                true,
            ),
            (
                Auto,
                false,
                &[("FORCE_COLOR", "1"), ("TERM", "dumb")],
                true,
                true,
            ),
            (
                Auto,
                false,
                &[("FORCE_COLOR", "1"), ("NO_COLOR", "1")],
                false,
                false,
            ),
            (Auto, true, &[("FORCE_COLOR", "1")], false, false),
            (
                Always,
                false,
                &[("NO_COLOR", "1"), ("TERM", "dumb")],
                true,
                true,
            ),
            (Never, false, &[("FORCE_COLOR", "1")], false, false),
        ] {
            let choice = ColorChoice::of(when, no_color, |name| {
                let mut variables = variables.iter();
                variables
                    .find(|(of, _)| *of == name)
                    .map(|(_, value)| OsStr::new(value))
            });
            let has = [true, false].map(|is_terminal| choice.has_colors(is_terminal));
            assert_eq!(has, [terminal, pipe], "{when:?} {no_color} {variables:?}");
        }
    }
}
