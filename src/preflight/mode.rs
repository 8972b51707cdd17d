//! What the callers of the protected methods meet in each mode of the authorizer. Pure.

use super::findings::{ChangedMethod, MethodChanges};
use crate::api_gateway::{ApiTarget, Protocol};
use crate::config::Mode;
use crate::decision::guarded;
use crate::responses::LimitStatus;

/// The notice of a plan. `observed`: whether the live authorizer observes, if the stage uses it. `limits`: the status of a
/// passed limit.
pub(super) fn notice(
    mode: Mode,
    observed: Option<bool>,
    limits: LimitStatus,
    protocol: Protocol,
) -> Option<String> {
    let what = match (mode, observed) {
        (Mode::Observe, _) => "all requests are allowed; refusals are only logged",
        (Mode::Enforce, Some(false)) => return None,
        (Mode::Enforce, _) if limits == LimitStatus::TooManyRequests => {
            "requests without a key get 401 from now on, requests that the authorizer refuses get 401, and a passed limit is a 429"
        }
        (Mode::Enforce, _) => {
            "requests without a key get 401 from now on, and requests that the authorizer refuses get 403"
        }
    };
    Some(format!(
        "callers of the {} {}s: {what} (authorizer.mode: {})",
        guarded(mode == Mode::Observe),
        protocol.unit(),
        mode.as_str()
    ))
}

/// Adds what the mode changes for the methods that the authorizer is for: in the mode observe, it protects none. `observed` as for
/// [`notice`].
pub(super) fn change(
    methods: &mut MethodChanges,
    mode: Mode,
    observed: Option<bool>,
    guarded: &[ChangedMethod],
) {
    match (mode, observed) {
        (Mode::Observe, Some(false)) => {
            methods.closed.clear();
            methods.opened.extend_from_slice(guarded);
        }
        (Mode::Observe, _) => methods.closed.clear(),
        (Mode::Enforce, Some(true)) => methods.closed = guarded.to_vec(),
        (Mode::Enforce, _) => {}
    }
}

/// Why the mode observe cannot begin in this run: the stages that the stack leaves, which the authorizer protects, would refuse
/// requests without a key and allow all others.
pub(super) fn blocker(mode: Mode, observed: Option<bool>, left: &[ApiTarget]) -> Option<String> {
    let begins = mode == Mode::Observe && observed == Some(false);
    let target = left.first().filter(|_| begins)?;
    Some(format!(
        "`authorizer.mode: observe` cannot begin while the stack moves from stage {} of API {}: change `api` and the mode one after the other",
        target.stage, target.id
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_observe_opens_what_was_protected() {
        let target = ApiTarget::of_segment("a1", "prod");
        let guarded = [ChangedMethod::new(&target, "GET /orders".to_owned())];
        let counts = |mode, observed| {
            let mut methods = MethodChanges {
                closed: guarded.to_vec(),
                opened: Vec::new(),
            };
            change(&mut methods, mode, observed, &guarded);
            (methods.closed.len(), methods.opened.len())
        };
        for (mode, observed, counted) in [
            (Mode::Observe, None, (0, 0)),
            (Mode::Observe, Some(true), (0, 0)),
            (Mode::Observe, Some(false), (0, 1)),
            (Mode::Enforce, None, (1, 0)),
            (Mode::Enforce, Some(false), (1, 0)),
            (Mode::Enforce, Some(true), (1, 0)),
        ] {
            assert_eq!(counts(mode, observed), counted, "{mode:?} {observed:?}");
        }
        let mut methods = MethodChanges::default();
        change(&mut methods, Mode::Enforce, Some(true), &guarded);
        assert_eq!(methods.closed, guarded);
    }

    #[test]
    fn a_plan_says_what_callers_will_meet() {
        let said = |mode, observed, limits| {
            notice(mode, observed, limits, Protocol::Rest).unwrap_or_default()
        };
        let plain = LimitStatus::Forbidden;
        for observed in [None, Some(true), Some(false)] {
            assert!(
                said(Mode::Observe, observed, plain)
                    .contains("observed methods: all requests are allowed")
            );
        }
        for begins in [None, Some(true)] {
            let text = said(Mode::Enforce, begins, plain);
            assert!(text.contains("requests without a key get 401 from now on"));
            assert!(said(Mode::Enforce, begins, LimitStatus::TooManyRequests).contains("429"));
        }
        let of = |observed, protocol| notice(Mode::Enforce, observed, plain, protocol);
        assert_eq!(of(Some(false), Protocol::Rest), None);
        for protocol in [Protocol::Http, Protocol::WebSocket] {
            let text = of(None, protocol).expect("a notice");
            assert!(
                text.starts_with("callers of the protected routes: "),
                "{text}"
            );
        }
    }

    #[test]
    fn a_stack_that_leaves_a_stage_does_not_begin_to_observe() {
        let left = [ApiTarget::of_segment("a1", "prod")];
        let said = blocker(Mode::Observe, Some(false), &left).expect("a blocker");
        assert!(said.contains("stage prod of API a1"), "{said}");
        for (mode, observed, left) in [
            (Mode::Observe, Some(false), &[][..]),
            (Mode::Observe, Some(true), &left),
            (Mode::Observe, None, &left),
            (Mode::Enforce, Some(true), &left),
        ] {
            assert_eq!(blocker(mode, observed, left), None);
        }
    }
}
