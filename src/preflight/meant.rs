//! What was probably meant where a name of the configuration is not found. Pure.

use crate::api_gateway::Api;
use crate::config::ApiSelector;
use crate::nearest::nearest;
use crate::printable::line;

/// How many names a message lists.
const LISTED: usize = 8;

/// The end of a message about an API that is not found: the one that was probably meant, or those that there are.
pub fn other_api(selector: &ApiSelector, all: &[Api]) -> String {
    let (wanted, is_name) = match selector {
        ApiSelector::Id(id) => (id, false),
        ApiSelector::Name(name) => (name, true),
    };
    let of = |api: &Api| match is_name {
        true => api.name.clone(),
        false => api.id.clone(),
    };
    let known: Vec<_> = all.iter().map(of).collect();
    // An id in place of a name, and a name in place of an id.
    let swapped = all.iter().find(|api| match is_name {
        true => api.id == *wanted,
        false => api.name == *wanted,
    });
    if let Some(api) = swapped {
        return match is_name {
            true => format!("; it is the id of API {}: give `api.id`", line(&api.name)),
            false => format!("; it is the name of API {}: give `api.name`", api.id),
        };
    }
    let listed = all.iter().map(|api| format!("{} ({})", api.name, api.id));
    instead(wanted, &known, listed.collect(), "the APIs are")
}

/// The end of a message about a stage that is not found.
pub fn other_stage(wanted: &str, stages: &[String]) -> String {
    instead(wanted, stages, stages.to_vec(), "its stages are")
}

fn instead(wanted: &str, known: &[String], mut listed: Vec<String>, there_are: &str) -> String {
    if let Some(meant) = nearest(wanted, known.iter().map(String::as_str)) {
        return format!("; did you mean `{}`?", line(meant));
    }
    if listed.is_empty() {
        return String::new();
    }
    listed.sort();
    let more = listed.len().saturating_sub(LISTED);
    listed.truncate(LISTED);
    let more = if more > 0 {
        format!(", and {more} more")
    } else {
        String::new()
    };
    format!("; {there_are} {}{more}", line(&listed.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_told_or_else_what_there_is() {
        let api = |name: &str, id: &str| Api {
            name: name.to_owned(),
            id: id.to_owned(),
            ..Api::default()
        };
        let all = [
            api("orders-api", "a1b2c3d4e5"),
            api("billing", "f6g7h8i9j0"),
        ];
        let name = |name: &str| other_api(&ApiSelector::Name(name.to_owned()), &all);
        let id = |id: &str| other_api(&ApiSelector::Id(id.to_owned()), &all);
        assert_eq!(name("order-api"), "; did you mean `orders-api`?");
        assert_eq!(id("a1b2c3d4e6"), "; did you mean `a1b2c3d4e5`?");
        assert_eq!(
            name("shop"),
            "; the APIs are billing (f6g7h8i9j0), orders-api (a1b2c3d4e5)"
        );
        assert_eq!(
            name("a1b2c3d4e5"),
            "; it is the id of API orders-api: give `api.id`"
        );
        assert_eq!(
            id("billing"),
            "; it is the name of API f6g7h8i9j0: give `api.name`"
        );
        assert_eq!(other_api(&ApiSelector::Name("shop".to_owned()), &[]), "");
    }

    #[test]
    fn a_long_list_is_counted() {
        let stages: Vec<_> = (0..11).map(|n| format!("stage-of-team-{n:02}")).collect();
        let text = other_stage("x", &stages);
        assert!(
            text.starts_with("; its stages are stage-of-team-00, "),
            "{text}"
        );
        assert!(text.ends_with(", stage-of-team-07, and 3 more"), "{text}");
        let two = ["prod", "test"].map(str::to_owned);
        assert_eq!(other_stage("prd", &two), "; did you mean `prod`?");
    }
}
