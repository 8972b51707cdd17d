//! The gateway responses for refused requests. Pure except for [`look`].
//!
//! A gateway response has one fixed status for its type and no conditions in its template, so an
//! explicit Deny has one status for every reason. It is a 403: a 429 would be wrong for a caller with
//! an invalid key, and would make it retry. With `limits: 429`, the authorizer denies only requests
//! that pass a limit, and answers all others that it refuses with `Unauthorized`. The reason and the
//! retry time are in the body and in headers, which take them from the authorizer's context. A failure of the authorizer has no context: it is
//! a 503, because the caller's request is not the reason. Source: API Gateway's gateway responses
//! (`ACCESS_DENIED`, `UNAUTHORIZED`, `AUTHORIZER_FAILURE`) and their mapping templates.

use std::collections::BTreeMap;

use super::other_stacks;
use super::record::{self, ResponseBackup, digest};
use crate::api_gateway::{self, ApiTarget, Response};
use crate::aws::optional;
use crate::resource::{Context, ResourceError};
use crate::responses::{ACCESS_DENIED, LimitStatus, Responses};

/// The types that the stack can replace, with their status and the type they inherit from by
/// default.
const TYPES: [(&str, &str, &str); 3] = {
    let [unauthorized, access_denied, authorizer_failure] = Responses::TYPES;
    [
        (unauthorized, "401", "DEFAULT_4XX"),
        (access_denied, "403", "DEFAULT_4XX"),
        (authorizer_failure, "503", "DEFAULT_5XX"),
    ]
};

const HEADER: &str = "gatewayresponse.header.";
const ALLOW_ORIGIN: &str = "gatewayresponse.header.Access-Control-Allow-Origin";
const EXPOSE_HEADERS: &str = "gatewayresponse.header.Access-Control-Expose-Headers";

/// After how many seconds a caller can try again when the authorizer failed: it asks a dependency that does not answer
/// again after at most 5 s.
const RETRY_AFTER_S: u8 = 5;

/// The changes to the gateway responses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Steps {
    /// The desired responses, by type.
    pub managed: BTreeMap<&'static str, Response>,
    /// The types whose desired response must be written.
    pub write: Vec<&'static str>,
    /// The recorded types to restore to their original state.
    pub restore: Vec<String>,
    /// The types that other users customized and that are left unchanged.
    pub left: Vec<String>,
    /// The status of a Deny that another stack on this API has written, if this stack has another one.
    pub other_limits: Option<String>,
}

impl Steps {
    /// A digest of this stack's responses in a deployment; `None` if there are none.
    pub fn digest(&self) -> Option<String> {
        (!self.managed.is_empty()).then(|| digest(&self.managed))
    }

    /// The status of a passed limit, if this stack's responses change it from that of other refusals.
    pub fn limits(&self) -> Option<&'static str> {
        let limits = LimitStatus::TooManyRequests.as_str();
        let status = self.managed.get(ACCESS_DENIED)?.status.as_deref();
        (status == Some(limits)).then_some(limits)
    }
}

/// Compares the actual with the desired responses. `cors`: the API has `OPTIONS` methods, so
/// browsers call it. `shared`: the responses that other stacks on this API replaced. Each stack
/// records these too, because any of them may be deleted last.
pub fn steps(
    wanted: &Responses,
    cors: bool,
    now: &BTreeMap<String, Response>,
    record: &BTreeMap<String, ResponseBackup>,
    shared: &BTreeMap<String, ResponseBackup>,
) -> Steps {
    let mut steps = Steps::default();
    for (kind, status, inherited) in TYPES {
        let (is_wanted, is_named) = wanted.wants(kind);
        if kind == ACCESS_DENIED {
            steps.other_limits =
                other_limits(wanted, now.get(kind), record.get(kind), shared.get(kind));
        }
        if !is_wanted {
            continue;
        }
        let status = match kind {
            ACCESS_DENIED => wanted.limits.as_str(),
            _ => status,
        };
        let response = ours(kind, status, wanted.limits, cors, now.get(inherited));
        let present = now.get(kind);
        let taken = [record.get(kind), shared.get(kind)];
        let is_ours = present.is_some_and(|present| {
            *present == response || taken.iter().flatten().any(|taken| taken.is_ours(present))
        });
        if present.is_some() && !is_ours && !is_named {
            steps.left.push(kind.to_owned());
            // Changed since: the stage still serves this stack's response, and another user's edit must not be
            // published without consent.
            if record.contains_key(kind) {
                steps.managed.insert(kind, response);
            }
            continue;
        }
        if present != Some(&response) || !record.contains_key(kind) {
            steps.write.push(kind);
        }
        steps.managed.insert(kind, response);
    }
    steps.restore = record
        .keys()
        .filter(|kind| !steps.managed.contains_key(kind.as_str()) && !steps.left.contains(kind))
        .cloned()
        .collect();
    steps
}

/// The status of a Deny according to another stack's response, if this stack needs another one. What this stack has
/// written itself is no conflict: it can change that.
fn other_limits(
    wanted: &Responses,
    now: Option<&Response>,
    recorded: Option<&ResponseBackup>,
    shared: Option<&ResponseBackup>,
) -> Option<String> {
    let is_of = |taken: Option<&ResponseBackup>| {
        now.is_some_and(|now| taken.is_some_and(|taken| taken.is_ours(now)))
    };
    let status = now?.status.clone()?;
    (is_of(shared) && !is_of(recorded) && status != wanted.limits.as_str()).then_some(status)
}

/// Compares the API's current responses with the desired ones.
///
/// # Errors
/// The errors of the services.
pub async fn look(
    cx: &Context,
    target: &ApiTarget,
    wanted: &Responses,
) -> Result<Steps, ResourceError> {
    let methods = optional(api_gateway::methods(cx, target.api()).await)?.unwrap_or_default();
    let now = api_gateway::responses(cx, target.api()).await?;
    let mut known = BTreeMap::new();
    for (other, record) in record::all(cx).await? {
        if other.id == target.id {
            known.extend(record.responses);
        }
    }
    let cors = methods.iter().any(|method| method.method == "OPTIONS");
    let others = other_stacks::others(cx, target.api()).await?;
    let shared = others
        .iter()
        .flat_map(|other| other.responses.clone())
        .collect();
    Ok(steps(wanted, cors, &now, &known, &shared))
}

/// Whether refusals have the reason of the authorizer: the API has the response of this stack for them.
///
/// # Errors
/// The errors of the services.
pub async fn has_reasons(cx: &Context, target: &ApiTarget) -> Result<bool, ResourceError> {
    let now = api_gateway::responses(cx, target.api()).await?;
    let record = record::all(cx).await?.remove(target).unwrap_or_default();
    let taken = record.responses.get(ACCESS_DENIED);
    Ok(taken.is_some_and(|taken| is_untouched(taken, now.get(ACCESS_DENIED))))
}

/// What a response of this stack contains, for people.
pub fn told(kind: &str, limits: LimitStatus) -> &'static str {
    match (limits, kind) {
        (LimitStatus::TooManyRequests, ACCESS_DENIED) => "3scale's texts (only for a passed limit)",
        (LimitStatus::TooManyRequests, "UNAUTHORIZED") => "3scale's texts (also for a bad key)",
        _ => "3scale's texts",
    }
}

/// Whether a recorded type still has the response that this stack wrote; otherwise another user
/// changed or removed it.
pub fn is_untouched(taken: &ResponseBackup, now: Option<&Response>) -> bool {
    now.is_some_and(|now| taken.is_ours(now))
}

/// This stack's response of a type. It keeps the headers that the type would have inherited.
fn ours(
    kind: &str,
    status: &str,
    limits: LimitStatus,
    cors: bool,
    inherited: Option<&Response>,
) -> Response {
    let mut parameters = inherited
        .map(|inherited| inherited.parameters.clone())
        .unwrap_or_default();
    if cors
        && !parameters
            .keys()
            .any(|name| name.eq_ignore_ascii_case(ALLOW_ORIGIN))
    {
        parameters.insert(ALLOW_ORIGIN.to_owned(), "'*'".to_owned());
    }
    let texts = match kind {
        // It is for bad keys, too.
        "UNAUTHORIZED" if limits == LimitStatus::TooManyRequests => {
            r#""error":"unauthorized","message":"Authentication failed""#
        }
        "UNAUTHORIZED" => {
            r#""error":"credential_missing","message":"Authentication parameters missing""#
        }
        "ACCESS_DENIED" => {
            let headers = [
                ("Retry-After", "retry_after"),
                ("RateLimit-Remaining", "limit_remaining"),
                ("RateLimit-Reset", "limit_reset"),
            ];
            for (header, value) in headers {
                parameters.insert(
                    format!("{HEADER}{header}"),
                    format!("context.authorizer.{value}"),
                );
            }
            if cors {
                let names = headers.map(|(header, _)| header).join(",");
                parameters
                    .entry(EXPOSE_HEADERS.to_owned())
                    .or_insert_with(|| format!("'{names}'"));
            }
            r#""error":"$context.authorizer.reason","message":"$context.authorizer.message""#
        }
        _ => {
            parameters.insert(format!("{HEADER}Retry-After"), format!("'{RETRY_AFTER_S}'"));
            if cors {
                parameters
                    .entry(EXPOSE_HEADERS.to_owned())
                    .or_insert_with(|| "'Retry-After'".to_owned());
            }
            r#""error":"authorizer_failure","message":"The request cannot be authorized at the moment""#
        }
    };
    // API Gateway's own message is kept for refusals that the authorizer did not cause, because the
    // type covers the whole API.
    let template = format!("{{{texts},\"detail\":$context.error.messageString}}");
    Response {
        status: Some(status.to_owned()),
        parameters,
        templates: BTreeMap::from([("application/json".to_owned(), template)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::responses::ResponseTypes;

    type Now = BTreeMap<String, Response>;
    type Record = BTreeMap<String, ResponseBackup>;

    const ALL: Responses = Responses {
        types: ResponseTypes::All,
        limits: LimitStatus::Forbidden,
    };
    const LIMITS_429: Responses = Responses {
        types: ResponseTypes::All,
        limits: LimitStatus::TooManyRequests,
    };

    fn theirs() -> Response {
        Response {
            status: Some("418".to_owned()),
            ..Response::default()
        }
    }

    fn written(steps: &Steps) -> Now {
        let managed = steps.managed.iter();
        managed
            .map(|(kind, response)| ((*kind).to_owned(), response.clone()))
            .collect()
    }

    fn recorded(steps: &Steps) -> Record {
        let managed = steps.managed.iter();
        managed
            .map(|(kind, response)| {
                (
                    (*kind).to_owned(),
                    ResponseBackup::default().with_written(response),
                )
            })
            .collect()
    }

    #[test]
    fn all_three_are_written_once_and_given_back_when_switched_off() {
        let first = steps(&ALL, false, &Now::new(), &Record::new(), &Record::new());
        assert_eq!(
            first.write,
            ["UNAUTHORIZED", "ACCESS_DENIED", "AUTHORIZER_FAILURE"]
        );
        let (now, record) = (written(&first), recorded(&first));
        let second = steps(&ALL, false, &now, &record, &Record::new());
        assert!(second.write.is_empty() && second.restore.is_empty() && second.left.is_empty());
        assert_eq!(second.digest(), first.digest());
        let off = steps(&Responses::OFF, false, &now, &record, &Record::new());
        assert_eq!(off.restore.len(), 3);
        assert_eq!(off.digest(), None);
    }

    #[test]
    fn what_others_made_is_left_unless_it_is_named() {
        let now = Now::from([("ACCESS_DENIED".to_owned(), theirs())]);
        let all = steps(&ALL, false, &now, &Record::new(), &Record::new());
        assert_eq!(all.left, ["ACCESS_DENIED"]);
        assert_eq!(all.write, ["UNAUTHORIZED", "AUTHORIZER_FAILURE"]);
        let named = ResponseTypes::Named(vec!["ACCESS_DENIED".to_owned()]).into();
        let named = steps(&named, false, &now, &Record::new(), &Record::new());
        assert_eq!(named.write, ["ACCESS_DENIED"]);
        assert!(named.left.is_empty());
    }

    #[test]
    fn one_of_ours_from_before_is_brought_up_to_date_and_one_changed_since_is_left() {
        let before = steps(&ALL, false, &Now::new(), &Record::new(), &Record::new());
        let record = recorded(&before);
        let with_cors = steps(&ALL, true, &written(&before), &record, &Record::new());
        assert_eq!(with_cors.write.len(), 3);
        let mut changed = written(&before);
        changed.insert("UNAUTHORIZED".to_owned(), theirs());
        let after = steps(&ALL, false, &changed, &record, &Record::new());
        assert_eq!(after.left, ["UNAUTHORIZED"]);
        assert!(after.restore.is_empty());
        assert!(!is_untouched(
            &record["UNAUTHORIZED"],
            changed.get("UNAUTHORIZED")
        ));
    }

    #[test]
    fn a_passed_limit_can_have_a_status_of_its_own() {
        let first = steps(&ALL, false, &Now::new(), &Record::new(), &Record::new());
        assert_eq!(first.limits(), None);
        let (now, record) = (written(&first), recorded(&first));
        let changed = steps(&LIMITS_429, false, &now, &record, &Record::new());
        assert_eq!(changed.limits(), Some("429"));
        assert_eq!(changed.write, ["UNAUTHORIZED", "ACCESS_DENIED"]);
        let texts = &changed.managed["UNAUTHORIZED"].templates["application/json"];
        assert!(texts.contains(r#""error":"unauthorized""#), "{texts}");
        assert_eq!(changed.other_limits, None);
        let now = written(&changed);
        let back = steps(&ALL, false, &now, &recorded(&changed), &Record::new());
        assert_eq!(back.write, ["UNAUTHORIZED", "ACCESS_DENIED"]);
    }

    #[test]
    fn two_stacks_on_one_api_have_one_status_of_a_passed_limit() {
        let other = steps(
            &LIMITS_429,
            false,
            &Now::new(),
            &Record::new(),
            &Record::new(),
        );
        let (now, shared) = (written(&other), recorded(&other));
        let conflict = |wanted: &Responses, record: &Record| {
            steps(wanted, false, &now, record, &shared).other_limits
        };
        let none = Record::new();
        assert_eq!(conflict(&ALL, &none).as_deref(), Some("429"));
        assert_eq!(conflict(&Responses::OFF, &none).as_deref(), Some("429"));
        assert_eq!(conflict(&LIMITS_429, &none), None);
        // This stack has the other's response, too, so it is the one that changes it.
        assert_eq!(conflict(&ALL, &shared), None);
    }

    #[test]
    fn inherited_headers_are_kept() {
        let inherited = Response {
            parameters: BTreeMap::from([(
                ALLOW_ORIGIN.to_owned(),
                "'https://shop.example'".to_owned(),
            )]),
            ..Response::default()
        };
        let now = Now::from([("DEFAULT_4XX".to_owned(), inherited)]);
        let steps = steps(&ALL, true, &now, &Record::new(), &Record::new());
        assert_eq!(
            steps.managed["UNAUTHORIZED"].parameters[ALLOW_ORIGIN],
            "'https://shop.example'"
        );
        assert_eq!(
            steps.managed["AUTHORIZER_FAILURE"].parameters[ALLOW_ORIGIN],
            "'*'"
        );
    }

    #[test]
    fn what_the_owners_have_now_is_recorded_and_ours_is_not() {
        let ours = Response {
            status: Some("403".to_owned()),
            ..Response::default()
        };
        let known = ResponseBackup {
            before: Some(theirs()),
            ours: Vec::new(),
        }
        .with_written(&ours);
        let before = |now: Option<&Response>, records| ResponseBackup::of(now, records).before;
        assert_eq!(before(None, [None, None]), None);
        assert_eq!(before(Some(&theirs()), [None, None]), Some(theirs()));
        assert_eq!(before(Some(&ours), [Some(&known), None]), Some(theirs()));
        assert_eq!(before(Some(&ours), [None, Some(&known)]), Some(theirs()));
        let newer = Response {
            status: Some("499".to_owned()),
            ..Response::default()
        };
        let again = ResponseBackup::of(Some(&newer), [Some(&known), None]);
        assert_eq!(again.before.as_ref(), Some(&newer));
        assert!(again.is_ours(&ours));
        assert_eq!(before(None, [Some(&known), None]), None);
        // Another stack has written it since: that stack's record has the state before any stack changed
        // it.
        let other = ResponseBackup::default().with_written(&newer);
        assert_eq!(
            before(Some(&newer), [Some(&known), Some(&other)]),
            Some(theirs())
        );
    }

    #[test]
    fn the_last_few_of_ours_are_remembered() {
        let response = |status: &str| Response {
            status: Some(status.to_owned()),
            ..Response::default()
        };
        let taken = ["1", "2", "3", "4"]
            .iter()
            .fold(ResponseBackup::default(), |taken, status| {
                taken.with_written(&response(status))
            });
        assert!(taken.is_ours(&response("4")) && !taken.is_ours(&response("1")));
    }
}
