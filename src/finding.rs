//! One of several reasons of an error, with a code of its own.

use serde::Serialize;

use crate::code::Code;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub code: Code,
    /// In words for people.
    pub message: String,
    /// The logical id of the resource, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Where it is, if it is about a file.
    #[serde(flatten)]
    pub place: Option<FilePlace>,
}

/// A position in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FilePlace {
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1.
    pub column: usize,
}

impl Finding {
    /// A finding about the account.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            resource: None,
            place: None,
        }
    }

    /// A finding with this code for each message.
    pub fn all(
        code: Code,
        messages: impl IntoIterator<Item = String>,
    ) -> impl Iterator<Item = Self> {
        messages
            .into_iter()
            .map(move |message| Self::new(code, message))
    }
}
