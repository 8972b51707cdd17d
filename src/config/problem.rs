//! Problems of a configuration, with their positions.

use std::error::Error;
use std::fmt;

use serde::Serialize;

/// A position in the file. Both numbers count from 1, and columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Position {
    /// The start of a file: the position of problems that concern the whole file.
    pub(super) const START: Self = Self { line: 1, column: 1 };
}

/// A problem without its file name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Flaw {
    pub(super) at: Position,
    pub(super) message: String,
}

impl Flaw {
    pub(super) fn new(at: Position, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
        }
    }
}

/// A value that is not known, without its file name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Open {
    pub(super) at: Position,
    /// The path of the key.
    pub(super) key: String,
    /// The environment variable that is not set.
    pub(super) variable: String,
}

/// One problem of a configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file's name, as given to [`load`](super::load).
    pub file: String,
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// A lower-case fragment that starts with the key's path, as in ``network.zoness: unknown key; did you mean
    /// `zones`?``. Never contains a secret or the value of an environment variable.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            column,
            message,
        } = self;
        write!(f, "{file}:{line}:{column}: {message}")
    }
}

/// A value that was not checked, because its environment variable is not set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unset {
    /// The file's name, as given to [`check`](super::check).
    pub file: String,
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// The path of the key.
    pub key: String,
    /// The name of the variable.
    pub variable: String,
}

impl Unset {
    pub(super) fn all(file: &str, mut open: Vec<Open>) -> Vec<Self> {
        open.sort();
        let unset = |open: Open| Self {
            file: file.to_owned(),
            line: open.at.line,
            column: open.at.column,
            key: open.key,
            variable: open.variable,
        };
        open.into_iter().map(unset).collect()
    }
}

impl fmt::Display for Unset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            column,
            key,
            variable,
        } = self;
        write!(
            f,
            "{file}:{line}:{column}: {key}: environment variable {variable} is not set, so the value is not checked"
        )
    }
}

/// All problems of a configuration file, in file order.
///
/// Displays as one `file:line:column: message` per line, without a trailing line break.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    pub(super) fn new(file: &str, mut flaws: Vec<Flaw>) -> Self {
        flaws.sort();
        flaws.dedup();
        let problem = |flaw: Flaw| Problem {
            file: file.to_owned(),
            line: flaw.at.line,
            column: flaw.at.column,
            message: flaw.message,
        };
        Self(flaws.into_iter().map(problem).collect())
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl Error for Problems {}

/// Why a text is not a valid value.
///
/// Describes what is allowed without the text itself, because that may be a secret or come from the environment. A
/// caller that knows that it is neither adds the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// The requirement, as a fragment: "must be ...".
    pub(super) must: String,
    /// The probable intended value. May repeat part of the text.
    pub(super) hint: Option<String>,
}

impl Invalid {
    pub(super) fn new(must: impl Into<String>) -> Self {
        Self {
            must: must.into(),
            hint: None,
        }
    }

    pub(super) fn did_you_mean(self, meant: Option<impl fmt::Display>) -> Self {
        Self {
            hint: meant.map(|meant| format!("did you mean `{meant}`?")),
            ..self
        }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.must)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl Error for Invalid {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_print_one_a_line_in_the_order_of_the_file() {
        let flaw = |line, column, message: &str| Flaw::new(Position { line, column }, message);
        let flaws = vec![
            flaw(10, 1, "c"),
            flaw(2, 7, "b"),
            flaw(2, 3, "a"),
            flaw(2, 3, "a"),
        ];
        assert_eq!(
            Problems::new("f.yaml", flaws).to_string(),
            "f.yaml:2:3: a\nf.yaml:2:7: b\nf.yaml:10:1: c"
        );
    }
}
