//! Reads values that several sections have: words, lists of ids, names of files.

use std::path::PathBuf;

use super::problem::Invalid;
use super::read::{Field, Reader, Schema, Section, Show};
use super::{Choice, NamedFile};
use crate::nearest::nearest;

/// The path of a file, which is read later.
pub(super) fn file(reader: &mut Reader<'_>, field: &Field<'_>, what: &str) -> Option<NamedFile> {
    let at = field.at();
    reader.text(field, Show::Yes, |text| {
        if text.is_empty() || text.contains('\0') {
            return Err(Invalid::new(format!("must be the path of {what}")));
        }
        Ok(NamedFile {
            path: PathBuf::from(text),
            line: at.line,
            column: at.column,
        })
    })
}

/// A section in which all keys have defaults: `Some(None)` if the file omits it.
pub(super) fn optional_section<'n>(
    reader: &mut Reader<'_>,
    parent: &Section<'n>,
    schema: &Schema,
    key: &str,
) -> Option<Option<Section<'n>>> {
    match parent.field(key) {
        Some(field) => reader.section(field, schema).map(Some),
        None => Some(None),
    }
}

/// Whether the value of a section is a word in place of its keys. `None` after a flaw.
pub(super) fn is_word(
    reader: &mut Reader<'_>,
    root: &Section<'_>,
    key: &str,
    word: &str,
) -> Option<bool> {
    match root.field(key).filter(|field| field.is_scalar()) {
        Some(field) => reader
            .text(field, Show::Yes, |text| {
                let must = || format!("must be a mapping of keys to values, or `{word}`");
                (text == word)
                    .then_some(())
                    .ok_or_else(|| Invalid::new(must()))
            })
            .map(|()| true),
        None => Some(false),
    }
}

pub(super) fn field<'s, 'n>(section: Option<&'s Section<'n>>, key: &str) -> Option<&'s Field<'n>> {
    section.and_then(|section| section.field(key))
}

/// Reads one of a few words. The first word is the default.
pub(super) fn choice<T: Choice>(
    reader: &mut Reader<'_>,
    section: Option<&Section<'_>>,
    key: &str,
) -> Option<T> {
    let Some(field) = field(section, key) else {
        return T::ALL.first().copied();
    };
    reader.text(field, Show::Yes, word)
}

/// Parses one of a few words.
pub(super) fn word<T: Choice>(text: &str) -> Result<T, Invalid> {
    let words = || T::ALL.iter().map(|choice| choice.word());
    let found = T::ALL.iter().copied().find(|choice| choice.word() == text);
    found.ok_or_else(|| {
        let must = format!("must be {}", alternatives(words()));
        Invalid::new(must).did_you_mean(nearest(text, words()))
    })
}

fn alternatives<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// The ids of a list, each of which may be in it once.
pub(super) fn ids(
    reader: &mut Reader<'_>,
    items: &[Field<'_>],
    what: &str,
    parse: fn(&str) -> Result<String, Invalid>,
) -> Vec<String> {
    let mut ids = Vec::with_capacity(items.len());
    for item in items {
        let Some(id) = reader.text(item, Show::Yes, parse) else {
            continue;
        };
        if ids.contains(&id) {
            reader.report(item, &format!("names {what} twice"));
        }
        ids.push(id);
    }
    ids
}
