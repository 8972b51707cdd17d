//! Whether a stack exists, and which do: the answer to a misspelt name.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::code::Code;
use crate::error::{Error, Result};
use crate::names::Names;
use crate::nearest::nearest;
use crate::printable::line;
use crate::resource::release::{self, Standing};
use crate::resource::{Context, parameter, stacks};

/// How many stacks a hint lists.
const LISTED: usize = 20;

/// A stack that does not exist.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Absent {
    place: String,
    /// The stack that was probably meant.
    pub(super) meant: Option<String>,
    /// Which stacks there are.
    pub(super) others: String,
}

impl From<Absent> for Error {
    fn from(absent: Absent) -> Self {
        let Absent {
            place,
            meant,
            others,
        } = absent;
        let meant = meant.map(|meant| format!("; did you mean `{meant}`?"));
        let meant = meant.unwrap_or_default();
        Self::refused(format!("there is no stack {place}{meant}"))
            .with_code(Code::StackNotFound)
            .hint(others)
    }
}

/// Refuses a stack that was released, or whose release was interrupted.
pub(super) async fn ensure_managed(cx: &Context) -> Result<()> {
    let stack = &cx.names().stack;
    let error = match release::standing(cx).await? {
        Standing::Managed => return Ok(()),
        Standing::Begun => Error::refused(format!("the release of stack {stack} is not complete"))
            .hint(format!("complete it with `threescale-gw release --stack {stack}`")),
        Standing::Released(at) => Error::refused(released(stack, at)).hint(format!(
            "its resources keep their names, so use another name for a new stack; if they were deleted, delete the parameters below {}",
            cx.names().parameters()
        )),
    };
    Err(error.with_code(Code::StackReleased))
}

/// Says that the stack was released, and when. Pure.
pub(super) fn released(stack: &str, at: Option<Timestamp>) -> String {
    let at = at.map(|at| at.strftime(" at %Y-%m-%d %H:%M UTC").to_string());
    format!(
        "stack {stack} was released{}: this program no longer manages it",
        at.unwrap_or_default()
    )
}

/// Refuses a stack that has nothing in the account and Region.
pub(super) async fn ensure_exists(cx: &Context) -> Result<()> {
    ensure_managed(cx).await?;
    if !parameter::all(cx).await?.is_empty() {
        return Ok(());
    }
    match absent(cx).await {
        Some(absent) => Err(absent.into()),
        None => Ok(()),
    }
}

/// What there is instead of a stack of which a look at the account has shown nothing; `None` if it exists. A denied listing is
/// a hint and not another error.
pub(super) async fn absent(cx: &Context) -> Option<Absent> {
    let names = cx.names();
    match stacks::all(cx.aws()).await {
        Ok(stacks) if stacks.found.contains_key(&names.stack) => None,
        Ok(stacks) => {
            let known = stacks.found.into_keys().collect();
            Some(told(names, &known))
        }
        Err(unlisted) => Some(Absent {
            place: place(names),
            meant: None,
            others: format!("the stacks of the account are not known: {unlisted}"),
        }),
    }
}

fn place(names: &Names) -> String {
    format!(
        "{} in {} (account {})",
        names.stack, names.region, names.account
    )
}

/// Says which stacks there are instead. Pure.
fn told(names: &Names, known: &BTreeSet<String>) -> Absent {
    let meant = nearest(&names.stack, known.iter().map(String::as_str));
    let listed: Vec<_> = known.iter().take(LISTED).map(|name| line(name)).collect();
    let more = known.len().saturating_sub(LISTED);
    let others = match (listed.as_slice(), more) {
        ([], _) => "there are no stacks in this account and Region: check --region and --profile"
            .to_owned(),
        (listed, 0) => format!("the stacks there are {}", listed.join(", ")),
        (listed, more) => format!(
            "the stacks there are {}, and {more} more",
            listed.join(", ")
        ),
    };
    Absent {
        place: place(names),
        meant: meant.map(|meant| line(meant).to_string()),
        others,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_stack_is_answered_with_the_nearest_and_all_there_are() {
        let names = Names::new("ordres", "us-east-1", "123456789012");
        let told = |known: &[&str]| {
            let error = Error::from(told(
                &names,
                &known.iter().map(ToString::to_string).collect(),
            ));
            (error.to_string(), error.hints().join(" "))
        };
        let none = "there is no stack ordres in us-east-1 (account 123456789012)";
        assert_eq!(
            told(&["billing", "orders"]),
            (
                format!("{none}; did you mean `orders`?"),
                "the stacks there are billing, orders".to_owned()
            )
        );
        assert_eq!(
            told(&["billing"]),
            (none.to_owned(), "the stacks there are billing".to_owned())
        );
        let (text, hint) = told(&[]);
        assert_eq!(text, none);
        assert!(hint.contains("--region"), "{hint}");
        let many: Vec<_> = (0..25).map(|n| format!("s{n:02}")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert!(told(&many).1.ends_with("s19, and 5 more"));
    }
}
