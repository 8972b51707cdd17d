//! A value of a property: as people read it, and in JSON.

use std::fmt;

use serde_json::{Value, json};

use crate::api_gateway::AuthorizationType;
use crate::engine_version::EngineVersion;

/// The placeholder for an id that is unknown until the resource exists.
pub const NEW: &str = "(new)";
/// What is not there, or will not be, or is not known before the change.
const NOTHING: [&str; 3] = ["(none)", "(deleted)", NEW];

/// A value that is shown.
pub trait Shown {
    /// In words for people.
    fn text(&self) -> String;

    /// In JSON; null for what is not there.
    fn value(&self) -> Value {
        match self.text() {
            text if NOTHING.contains(&text.as_str()) => Value::Null,
            text => text.into(),
        }
    }
}

impl<T: Shown + ?Sized> Shown for &T {
    fn text(&self) -> String {
        (**self).text()
    }

    fn value(&self) -> Value {
        (**self).value()
    }
}

macro_rules! as_text {
    ($($of:ty),+) => {
        $(impl Shown for $of {
            fn text(&self) -> String {
                self.to_string()
            }
        })+
    };
}

macro_rules! as_itself {
    ($($of:ty),+) => {
        $(impl Shown for $of {
            fn text(&self) -> String {
                self.to_string()
            }

            fn value(&self) -> Value {
                json!(self)
            }
        })+
    };
}

as_text!(str, String, EngineVersion, AuthorizationType);
as_itself!(bool, i32, i64, u16, u32, u64, usize);

/// A number with a unit: `128 MB`.
#[derive(Debug, Clone, Copy)]
pub struct Amount<T>(pub T, pub &'static str);

impl<T: fmt::Display + Into<i64> + Copy> Shown for Amount<T> {
    fn text(&self) -> String {
        format!("{} {}", self.0, self.1)
    }

    fn value(&self) -> Value {
        self.0.into().into()
    }
}

/// A setting that is on or off.
#[derive(Debug, Clone, Copy)]
pub struct Switch(pub bool);

impl Shown for Switch {
    fn text(&self) -> String {
        if self.0 { "on" } else { "off" }.to_owned()
    }

    fn value(&self) -> Value {
        self.0.into()
    }
}

/// Several values.
#[derive(Debug, Clone)]
pub struct List<T> {
    items: Vec<T>,
    separator: &'static str,
    /// The text of an empty list.
    empty: &'static str,
}

impl<T> List<T> {
    /// A list in this order, with this text between two items.
    pub fn new(items: impl IntoIterator<Item = T>, separator: &'static str) -> Self {
        Self {
            items: items.into_iter().collect(),
            separator,
            empty: "",
        }
    }

    /// The same list, with the text `(none)` if it is empty.
    pub fn or_none(self) -> Self {
        let empty = "(none)";
        Self { empty, ..self }
    }
}

impl List<String> {
    /// Names or ids whose order has no meaning.
    pub fn sorted(items: impl IntoIterator<Item = String>) -> Self {
        let mut list = Self::new(items, ",");
        list.items.sort();
        list
    }
}

impl<T: Shown> Shown for List<T> {
    fn text(&self) -> String {
        let texts: Vec<_> = self.items.iter().map(Shown::text).collect();
        match texts.is_empty() {
            true => self.empty.to_owned(),
            false => texts.join(self.separator),
        }
    }

    fn value(&self) -> Value {
        self.items.iter().map(Shown::value).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_an_array_with_null_for_what_is_not_known_yet() {
        let ids = List::sorted(["b", NEW, "a"].map(str::to_owned));
        assert_eq!(ids.text(), "(new),a,b");
        assert_eq!(ids.value(), json!([null, "a", "b"]));
        let numbers = List::new([2, 1], ", ");
        assert_eq!(
            (numbers.text(), numbers.value()),
            ("2, 1".to_owned(), json!([2, 1]))
        );
        let none = List::sorted([]);
        assert_eq!((none.text(), none.value()), (String::new(), json!([])));
        assert_eq!(none.or_none().text(), "(none)");
    }

    #[test]
    fn numbers_and_switches_keep_their_types_and_what_is_not_there_is_null() {
        let shown = |one: &dyn Shown| (one.text(), one.value());
        assert_eq!(shown(&Amount(128, "MB")), ("128 MB".to_owned(), json!(128)));
        assert_eq!(shown(&Switch(true)), ("on".to_owned(), json!(true)));
        assert_eq!(shown(&3_u32), ("3".to_owned(), json!(3)));
        assert_eq!(shown(&"7"), ("7".to_owned(), json!("7")));
        for nothing in NOTHING {
            assert_eq!(shown(&nothing), (nothing.to_owned(), Value::Null));
        }
    }
}
