//! Substitutes `${NAME}` and `${NAME:-default}` in values.

use std::fmt;

/// Looks up environment variables; `None` means that the variable is not set.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A value with its variables substituted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Substituted {
    pub(super) text: String,
    /// Whether part of it came from a variable or a default. Such a value is never shown.
    pub(super) changed: bool,
}

/// Why a value cannot be substituted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The reference is wrong in every environment. A fragment that names variables but no values.
    Wrong(String),
    /// The variable with this name is not set, and there is no default.
    Unset(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrong(text) => f.write_str(text),
            Self::Unset(name) => write!(f, "environment variable {name} is not set"),
        }
    }
}

/// Substitutes the variables of one value.
///
/// `$$` is a literal `$`, and so is a `$` before any character other than `{`, because mapping patterns can end in `$`.
/// As in a shell, the default also replaces a variable that is set but empty.
///
/// # Errors
/// All reasons why it is not possible.
pub(super) fn substitute(
    text: &str,
    environment: Environment<'_>,
) -> Result<Substituted, Vec<Failure>> {
    let mut filled = String::with_capacity(text.len());
    let mut changed = false;
    let mut errors = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        filled.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            filled.push('$');
            rest = after;
        } else if let Some(after) = after.strip_prefix('{') {
            let Some((reference, after)) = after.split_once('}') else {
                let text = "`${` has no closing `}`; write `$$` for a literal `$`";
                errors.push(Failure::Wrong(text.to_owned()));
                rest = "";
                break;
            };
            match resolve(reference, environment) {
                Ok(value) => filled.push_str(&value),
                Err(error) => errors.push(error),
            }
            changed = true;
            rest = after;
        } else {
            filled.push('$');
            rest = after;
        }
    }
    filled.push_str(rest);
    if errors.is_empty() {
        Ok(Substituted {
            text: filled,
            changed,
        })
    } else {
        Err(errors)
    }
}

/// The names of the variables that a value refers to.
pub(super) fn variables(text: &str) -> Vec<&str> {
    let references = text.split("${").skip(1);
    let names = references.filter_map(|rest| {
        let (reference, _) = rest.split_once('}')?;
        Some(
            reference
                .split_once(":-")
                .map_or(reference, |(name, _)| name),
        )
    });
    names.filter(|name| is_name(name)).collect()
}

fn resolve(reference: &str, environment: Environment<'_>) -> Result<String, Failure> {
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    if !is_name(name) {
        let form = "`${...}` must be `${NAME}` or `${NAME:-default}`, with a name of letters, digits and `_`";
        let text = format!("{form}; write `$$` for a literal `$`");
        return Err(Failure::Wrong(text));
    }
    match (environment(name), default) {
        (_, Some(default)) if default.contains("${") => Err(Failure::Wrong(format!(
            "the default of `${{{name}}}` must not refer to another variable"
        ))),
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(Failure::Unset(name.to_owned())),
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &str) -> Option<String> {
        match name {
            "A" => Some("alpha".to_owned()),
            "EMPTY" => Some(String::new()),
            "YAML" => Some("x: [\n${A}".to_owned()),
            _ => None,
        }
    }

    fn filled(text: &str) -> String {
        let joined = |failures: Vec<Failure>| {
            let texts: Vec<_> = failures.iter().map(ToString::to_string).collect();
            texts.join(" | ")
        };
        substitute(text, &environment).map_or_else(joined, |value| value.text)
    }

    #[test]
    fn fills_in_variables_and_defaults() {
        assert_eq!(filled("plain"), "plain");
        assert_eq!(filled("${A}"), "alpha");
        assert_eq!(filled("<${A}-${A}>"), "<alpha-alpha>");
        assert_eq!(filled("${NONE:-x y}"), "x y");
        assert_eq!(filled("${NONE:-}"), "");
        assert_eq!(filled("${EMPTY}"), "");
        assert_eq!(filled("${EMPTY:-x}"), "x");
        assert_eq!(filled("${A:-x}"), "alpha");
        assert_eq!(filled("${NONE:-a:-b}"), "a:-b");
    }

    #[test]
    fn leaves_other_dollars_alone() {
        assert_eq!(filled("/foo$"), "/foo$");
        assert_eq!(filled("/foo$?a={x}"), "/foo$?a={x}");
        assert_eq!(filled("$A"), "$A");
        assert_eq!(filled("$$"), "$");
        assert_eq!(filled("$${A}"), "${A}");
        assert_eq!(filled("$$${A}"), "$alpha");
    }

    #[test]
    fn the_variables_of_a_value_are_named() {
        assert_eq!(variables("a${A}b${EMPTY:-x}"), ["A", "EMPTY"]);
        assert_eq!(variables("plain $ ${ ${1}"), [""; 0]);
    }

    #[test]
    fn a_value_is_not_substituted_again() {
        assert_eq!(filled("${YAML}"), "x: [\n${A}");
    }

    #[test]
    fn says_every_reason_and_no_value() {
        assert_eq!(
            filled("${X} ${A} ${Y}"),
            "environment variable X is not set | environment variable Y is not set"
        );
        assert_eq!(
            filled("a${X"),
            "`${` has no closing `}`; write `$$` for a literal `$`"
        );
        for bad in ["${}", "${1}", "${A-x}", "${A B}", "${:-x}", "${ä}"] {
            assert!(
                filled(bad).starts_with("`${...}` must be `${NAME}`"),
                "{bad}"
            );
        }
        assert_eq!(
            filled("${X:-${A}}"),
            "the default of `${X}` must not refer to another variable"
        );
    }

    #[test]
    fn knows_whether_a_variable_was_used() {
        for (text, changed) in [
            ("$$", false),
            ("a", false),
            ("${A}", true),
            ("${X:-a}", true),
        ] {
            assert_eq!(
                substitute(text, &environment).map(|value| value.changed),
                Ok(changed),
                "{text}"
            );
        }
    }
}
