//! How the API answered before a change, and what that says about an answer afterwards. Pure.
//!
//! A wrong answer that was the same before does not come from the change, so it is no reason to undo the change.

use std::collections::{BTreeMap, BTreeSet};

use super::answer::Answer;
use super::report::{Check, Fault, Row};

/// What is known about the API before a change.
#[derive(Debug, Clone, Default)]
pub struct Before {
    /// The answers, by method and check.
    answers: BTreeMap<(String, Check), Answer>,
    /// The methods that required no authorization. They are not called where that is not safe.
    open: BTreeSet<String>,
    /// What an earlier verification of the same change found to be as before: the marks of its rows.
    known: BTreeSet<String>,
}

impl Before {
    /// What is known without requests: the labels of the methods that were open, and the marks of an earlier verification.
    pub fn known(open: BTreeSet<String>, known: impl IntoIterator<Item = String>) -> Self {
        Self {
            answers: BTreeMap::new(),
            open,
            known: known.into_iter().collect(),
        }
    }

    /// The answers to requests, and the labels of the methods that require no authorization.
    pub(super) fn of(
        answers: impl IntoIterator<Item = ((String, Check), Answer)>,
        open: BTreeSet<String>,
    ) -> Self {
        Self {
            answers: answers.into_iter().collect(),
            open,
            known: BTreeSet::new(),
        }
    }

    /// Completes the result of a request to an authorizer that observes: a response of the backend is the expected one.
    pub(super) fn compare_observed(&self, mut row: Row, answer: Option<&Answer>) -> Row {
        if row.check == Check::Open {
            return self.compare(row, answer);
        }
        let before = self.answers.get(&(row.label.clone(), row.check));
        let is_same = answer.is_some_and(|now| before.is_some_and(|before| before.is_like(now)));
        row.as_before = is_same || self.known.contains(&row.mark());
        row
    }

    /// Completes the result of a request with what is known from before. `answer`: the response, if there is one.
    pub(super) fn compare(&self, mut row: Row, answer: Option<&Answer>) -> Row {
        let Some(answer) = answer else {
            return row;
        };
        let before = self.answers.get(&(row.label.clone(), row.check));
        let is_same = before.is_some_and(|before| before.is_like(answer));
        let reaches_backend = self.open.contains(&row.label) && answer.is_of_backend();
        row.as_before = is_same || self.known.contains(&row.mark());
        let is_refusal_expected = matches!(row.check, Check::NoKey | Check::BadKey);
        match &row.verdict {
            // This is how the API answers, with or without this stack.
            Err((fault, _)) if is_same && row.check == Check::Open && fault.requires_rollback() => {
                row.verdict = Ok(Some(AS_BEFORE.to_owned()));
            }
            Err((Fault::Open, _)) if reaches_backend => row.as_before = true,
            // The backend answered, and what answers now may be API Gateway.
            Ok(_)
                if row.check == Check::Open
                    && answer.may_be_refusal()
                    && before.is_some_and(Answer::is_of_backend) =>
            {
                row.verdict = Err((Fault::Blocked, answer.status.to_string()));
            }
            // A refusal of the backend does not show that the authorizer is asked.
            Ok(_) if reaches_backend && is_refusal_expected => {
                let seen = format!("{} of the backend", answer.status);
                let wrong = Row {
                    verdict: Err((Fault::Open, seen)),
                    ..row.clone()
                };
                if is_same || self.known.contains(&wrong.mark()) {
                    row = Row {
                        as_before: true,
                        ..wrong
                    };
                }
            }
            _ => {}
        }
        row
    }
}

/// The remark of a result that the change did not cause.
const AS_BEFORE: &str = "as before the change";

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::answer::Refusals;
    use super::super::judge::judge;
    use super::*;
    use crate::api_gateway::Protocol;

    const REASONS: Refusals = Refusals {
        have_reasons: true,
        are_unauthorized: false,
        are_observed: false,
        need_key: true,
    };

    fn answer(status: u16, kind: &str, body: Value) -> Answer {
        Answer {
            status,
            error_type: Some(kind.to_owned()).filter(|kind| !kind.is_empty()),
            body,
            ..Answer::default()
        }
    }

    /// The result of a request that was answered like this before and after: the fault, and whether it was the same before.
    fn compared(
        check: Check,
        before: Option<&Answer>,
        was_open: bool,
        after: &Answer,
    ) -> (Option<Fault>, bool) {
        let label = "GET /orders".to_owned();
        let known = Before {
            answers: before
                .map(|before| ((label.clone(), check), before.clone()))
                .into_iter()
                .collect(),
            open: was_open.then(|| label.clone()).into_iter().collect(),
            known: BTreeSet::new(),
        };
        let row = Row {
            label,
            check,
            verb: "GET".to_owned(),
            status: Some(after.status),
            request_id: None,
            verdict: judge(check, after, REASONS),
            as_before: false,
        };
        let row = known.compare(row, Some(after));
        (row.verdict.err().map(|(fault, _)| fault), row.as_before)
    }

    #[test]
    fn an_answer_that_was_the_same_before_is_not_caused_by_the_change() {
        let ok = answer(200, "", Value::Null);
        let own = answer(401, "", json!({"message": "Unauthorized"}));
        let refused = answer(
            401,
            "UnauthorizedException",
            json!({"message": "Unauthorized"}),
        );
        let broken = answer(500, "AuthorizerFailureException", json!({"message": null}));
        let reason = |reason: &str| {
            answer(
                403,
                "AccessDeniedException",
                json!({"error": reason, "detail": ""}),
            )
        };
        let (open, bad, none) = (Check::Open, Check::BadKey, Check::NoKey);
        for (check, before, was_open, after, expected) in [
            // A method that should be open: the same answer is no fault.
            (open, Some(&refused), false, &refused, (None, true)),
            (
                open,
                Some(&ok),
                true,
                &refused,
                (Some(Fault::Blocked), false),
            ),
            (open, None, true, &refused, (Some(Fault::Blocked), false)),
            (open, None, true, &own, (None, false)),
            // A method that should be protected, and that reaches the backend as before.
            (none, Some(&ok), true, &ok, (Some(Fault::Open), true)),
            (none, None, true, &ok, (Some(Fault::Open), true)),
            (none, Some(&own), true, &own, (Some(Fault::Open), true)),
            (none, Some(&refused), false, &refused, (None, true)),
            // The operator's key is accepted, as every request was before.
            (Check::GoodKey, Some(&ok), true, &ok, (None, true)),
            // A method that was protected before, and is not any more.
            (none, Some(&refused), false, &ok, (Some(Fault::Open), false)),
            (none, None, false, &ok, (Some(Fault::Open), false)),
            // The authorizer fails, or refuses every caller: as before, or since the change.
            (
                bad,
                Some(&broken),
                false,
                &broken,
                (Some(Fault::AuthorizerFailed), true),
            ),
            (
                bad,
                Some(&ok),
                true,
                &broken,
                (Some(Fault::AuthorizerFailed), false),
            ),
            (
                bad,
                None,
                true,
                &broken,
                (Some(Fault::AuthorizerFailed), false),
            ),
            (
                bad,
                Some(&reason("not_ready")),
                false,
                &reason("not_ready"),
                (Some(Fault::NobodyGetsIn), true),
            ),
            (
                bad,
                Some(&reason("user_key_invalid")),
                false,
                &reason("not_ready"),
                (Some(Fault::NobodyGetsIn), false),
            ),
        ] {
            let found = compared(check, before, was_open, after);
            assert_eq!(found, expected, "{check:?} {before:?} {was_open} {after:?}");
        }
    }

    #[test]
    fn what_an_earlier_verification_found_to_be_as_before_is_known() {
        let after = answer(500, "AuthorizerFailureException", json!({"message": null}));
        let row = Row {
            label: "GET /orders".to_owned(),
            check: Check::BadKey,
            verb: "GET".to_owned(),
            status: Some(500),
            request_id: None,
            verdict: judge(Check::BadKey, &after, REASONS),
            as_before: false,
        };
        let known = Before::known(BTreeSet::new(), [row.mark()]);
        assert!(known.compare(row.clone(), Some(&after)).as_before);
        let other = Row {
            check: Check::NoKey,
            ..row
        };
        assert!(!known.compare(other, Some(&after)).as_before);
    }

    /// An HTTP API has no error type, and a backend can answer with the body of API Gateway.
    #[test]
    fn an_open_route_that_answered_before_must_answer_after() {
        let http = |status: u16, body: Value| Answer {
            protocol: Protocol::Http,
            status,
            body,
            ..Answer::default()
        };
        let ok = http(200, Value::Null);
        let refused = http(401, json!({"message": "Unauthorized"}));
        let own = http(401, json!({"code": 7}));
        for (before, after, expected) in [
            (Some(&ok), &ok, (None, true)),
            (Some(&ok), &own, (None, false)),
            (Some(&ok), &refused, (Some(Fault::Blocked), false)),
            (Some(&refused), &refused, (None, true)),
            (None, &refused, (Some(Fault::Blocked), false)),
        ] {
            assert_eq!(
                compared(Check::Open, before, true, after),
                expected,
                "{before:?} {after:?}"
            );
        }
        // The same if the stage says that the answer is the backend's.
        let row = Row {
            label: "GET /orders".to_owned(),
            check: Check::Open,
            verb: "GET".to_owned(),
            status: Some(401),
            request_id: None,
            verdict: Ok(Some("401 of the backend".to_owned())),
            as_before: false,
        };
        let key = (row.label.clone(), Check::Open);
        let before = |answer: &Answer| Before::of([(key.clone(), answer.clone())], BTreeSet::new());
        assert!(
            before(&ok)
                .compare(row.clone(), Some(&refused))
                .verdict
                .is_err()
        );
        assert!(
            before(&refused)
                .compare(row, Some(&refused))
                .verdict
                .is_ok()
        );
        // A route that should be protected, and reaches its backend as before.
        let found = compared(Check::NoKey, Some(&own), true, &own);
        assert_eq!(found, (Some(Fault::Open), true));
        let found = compared(Check::NoKey, Some(&ok), true, &refused);
        assert_eq!(found, (None, false));
    }
}
