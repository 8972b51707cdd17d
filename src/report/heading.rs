//! What a change works on, and what it has changed, in words.

use crate::action::Action;
use crate::event::{Scope, Tally};
use crate::principal;
use crate::printable::line;

/// The scope of a change: what it works on, and as whom.
pub fn scope(scope: &Scope) -> String {
    let Scope {
        stack,
        account,
        account_alias,
        region,
        caller,
        profile,
        apis,
    } = scope;
    let apis: Vec<_> = apis
        .iter()
        .map(|api| {
            let name = api.name.as_ref();
            let name = name.map(|name| format!(" ({})", line(name)));
            let name = name.unwrap_or_default();
            format!(
                "{} {}{name}, stage {}",
                api_word(api.protocol),
                api.id,
                api.stage
            )
        })
        .collect();
    let apis = match apis.is_empty() {
        true => "no API attached".to_owned(),
        false => apis.join("; "),
    };
    let alias = account_alias
        .as_deref()
        .map(|alias| format!("{}, ", line(alias)));
    let alias = alias.unwrap_or_default();
    let caller = caller.as_deref().map(principal::described);
    let profile = profile
        .as_deref()
        .map(|profile| format!("profile {profile}"));
    let whom: Vec<_> = [caller, profile].into_iter().flatten().collect();
    let whom = match whom.is_empty() {
        true => String::new(),
        false => format!("\nas {}", line(&whom.join(", "))),
    };
    format!("Stack {stack} in {region} (account {alias}{account}), {apis}{whom}")
}

/// What an API of this protocol is called. A REST API is an API.
pub(super) fn api_word(protocol: &str) -> &'static str {
    match protocol {
        "HTTP" => "HTTP API",
        "WEBSOCKET" => "WebSocket API",
        _ => "API",
    }
}

/// The totals of a change in words.
pub(super) fn counts(tally: Tally) -> String {
    let counts = [
        (tally.created, "created"),
        (tally.updated, "updated"),
        (tally.replaced, "replaced"),
        (tally.deleted, "deleted"),
        (tally.failed, "failed"),
        (tally.unchanged, "unchanged"),
    ];
    let counts: Vec<_> = counts
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, word)| format!("{n} {word}"))
        .collect();
    match counts.is_empty() {
        true => "nothing changed".to_owned(),
        false => counts.join(", "),
    }
}

/// The past tense of an action.
pub(super) fn past(action: Action) -> &'static str {
    match action {
        Action::Create => "created",
        Action::Update => "updated",
        Action::Replace => "replaced",
        Action::Delete => "deleted",
        Action::Wait | Action::None => "ready",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::ScopeApi;

    #[test]
    fn a_scope_names_stack_account_region_every_api_and_whom() {
        let api = |id: &str, name: Option<&str>| ScopeApi {
            id: id.to_owned(),
            protocol: "REST",
            name: name.map(str::to_owned),
            stage: "prod".to_owned(),
        };
        let of = |apis| Scope {
            stack: "orders".to_owned(),
            account: "123456789012".to_owned(),
            account_alias: None,
            region: "us-east-1".to_owned(),
            caller: None,
            profile: None,
            apis,
        };
        let line = |apis| scope(&of(apis));
        let begin = "Stack orders in us-east-1 (account 123456789012), ";
        assert_eq!(
            line(vec![api("a1", Some("shop")), api("b2", None)]),
            format!("{begin}API a1 (shop), stage prod; API b2, stage prod")
        );
        let http = ScopeApi {
            protocol: "HTTP",
            ..api("c3", Some("shop"))
        };
        let chat = ScopeApi {
            protocol: "WEBSOCKET",
            ..api("d4", None)
        };
        assert_eq!(
            line(vec![http, chat]),
            format!("{begin}HTTP API c3 (shop), stage prod; WebSocket API d4, stage prod")
        );
        assert_eq!(line(Vec::new()), format!("{begin}no API attached"));
        let as_whom = Scope {
            account_alias: Some("acme-prod".to_owned()),
            caller: Some("arn:aws:sts::123456789012:assumed-role/Admin/kim".to_owned()),
            profile: Some("prod".to_owned()),
            ..of(Vec::new())
        };
        assert_eq!(
            scope(&as_whom),
            "Stack orders in us-east-1 (account acme-prod, 123456789012), no API attached\n\
             as role Admin, session kim, profile prod"
        );
    }
}
