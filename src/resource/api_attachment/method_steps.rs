//! Decides the steps that bring an attachment to its desired state. Pure.
//!
//! The step for a method depends on five facts. A method that matches no row is left unchanged.
//!
//! | Configuration protects it | It is recorded | Its authorizer now | Another stack protects it in another stage | Step |
//! | --- | --- | --- | --- | --- |
//! | yes | any | not this stack's | no | protect |
//! | yes | any | the other stack's | yes | protect for the deployment, then return it to that stack |
//! | no | yes | this stack's | no | restore |
//! | any | as the other stack's | this stack's | yes | restore after a crash: a former run protected it for its deployment |
//! | no | any | the other stack's | yes | reset for the deployment to its state before that stack, then return it |
//! | no | any | as before that stack | yes, and a former run was resetting | return it to that stack |
//!
//! The stage is deployed if a method is protected or restored, or if it does not serve the
//! protected methods with the authorizer settings and the gateway responses of the configuration.
//! Only then are methods of other stacks changed.

use std::collections::BTreeSet;

use super::actual::Actual;
use super::marker::protects;
use super::record::digest;
use super::{other_stacks, responses, selection};
use crate::api_gateway::{AuthorizationType, AuthorizerSettings, Method, Protocol, Stage};
use crate::pattern::MethodPattern;
use crate::responses::Responses;

/// The protection that the configuration requires for the API.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub protect: Vec<MethodPattern>,
    pub except: Vec<MethodPattern>,
    /// The labels of the methods to protect, instead of the two patterns: those that the stage serves
    /// protected.
    pub served: Option<BTreeSet<String>>,
    pub responses: Responses,
    pub asks: AuthorizerSettings,
}

impl Wanted {
    /// Whether the method should be protected.
    pub(super) fn is_protected(&self, method: &Method) -> bool {
        match &self.served {
            Some(served) => served.contains(&method.label()),
            None => selection::is_wanted(method, &self.protect, &self.except),
        }
    }
}

/// The changes that bring an attachment to its desired state. Pairs contain a method's original and
/// current state.
#[derive(Debug, Default)]
pub(super) struct AttachmentSteps<'a> {
    pub(super) protect: Vec<&'a Method>,
    /// Methods that another stack protects in other stages: protected until the deployment is made.
    pub(super) protect_for_deployment: Vec<&'a Method>,
    pub(super) restore: Vec<(&'a Method, &'a Method)>,
    /// Methods of other stacks that a killed run left protected.
    pub(super) restore_after_crash: Vec<(&'a Method, &'a Method)>,
    /// Methods that other stacks protect in other stages only: without protection until the deployment
    /// is made.
    pub(super) reset_for_deployment: Vec<(&'a Method, &'a Method)>,
    /// Methods that a killed run left without protection, with the authorizer of their stack.
    pub(super) return_to_other_stack: Vec<(&'a Method, &'a str)>,
    pub(super) responses: responses::Steps,
    /// Whether the stage serves this stack's authorizer with the desired settings.
    pub(super) serves_settings: bool,
    pub(super) deploy: bool,
}

impl AttachmentSteps<'_> {
    /// Whether the draft or the stage is changed.
    pub(super) fn writes(&self) -> bool {
        self.deploy
            || !self.restore_after_crash.is_empty()
            || !self.return_to_other_stack.is_empty()
    }
}

/// Decides the step for each method of the API and for its gateway responses, and whether the stage
/// is deployed.
pub(super) fn method_steps<'a>(actual: &'a Actual, wanted: &Wanted) -> AttachmentSteps<'a> {
    let is_lent = |method: &Method| other_stacks::is_lent(method, &actual.elsewhere);
    let is_wanted = |method: &Method| wanted.is_protected(method);
    let ours_to_protect: Vec<_> = actual
        .methods
        .iter()
        .filter(|method| {
            actual.is_taken(method)
                || is_lent(method)
                || actual.is_closed(method)
                || selection::is_free(method, &wanted.protect)
        })
        .filter(|method| is_wanted(method))
        .collect();
    let (protect_for_deployment, protect): (Vec<_>, Vec<_>) = ours_to_protect
        .iter()
        .copied()
        .filter(|method| !actual.is_taken(method))
        .partition(|method| is_lent(method));
    let (restore_after_crash, held): (Vec<_>, Vec<_>) =
        actual.held().partition(|(before, _)| is_lent(before));
    let restore: Vec<_> = held
        .into_iter()
        .filter(|(_, now)| !is_wanted(now))
        .collect();
    let stage = actual.stage.as_ref();
    let ours = stage.and_then(|stage| protects(&stage.description, &actual.marker));
    // The service reports that an authorizer protects a method, but not which one. For a method of
    // another stack, it must be this stack's.
    let is_other_stacks = |method: &Method| {
        is_lent(method)
            || restore_after_crash
                .iter()
                .any(|(_, now)| now.label() == method.label())
    };
    let is_served = |method: &&Method| ours.is_some() || !is_other_stacks(method);
    let current =
        ours_to_protect.iter().all(is_served) && is_deployed(actual, &ours_to_protect, is_wanted);
    let cors = actual
        .methods
        .iter()
        .any(|method| method.method == "OPTIONS");
    let mut responses = responses::steps(
        &wanted.responses,
        cors,
        &actual.responses,
        &actual.taken_responses(),
        &actual.shared_responses,
    );
    if actual.is_one_of_several {
        // The others restore what they have recorded themselves.
        let own = &actual.record.responses;
        responses.restore.retain(|kind| own.contains_key(kind));
    }
    // What the stage serves decides. For a deployment that another user published later, only the draft
    // shows it.
    let answers = responses.restore.is_empty()
        && match ours {
            Some(holds) => holds.responses.map(str::to_owned) == responses.digest(),
            None => responses.write.is_empty(),
        };
    let serves_settings = match ours {
        Some(holds) => holds.authorizer == Some(&*digest(&wanted.asks)),
        None => actual
            .asking
            .as_ref()
            .is_none_or(|asking| asking.fits(&wanted.asks)),
    };
    let deploy = !protect.is_empty()
        || !restore.is_empty()
        || !(ours_to_protect.is_empty() || (current && answers && serves_settings));
    if !deploy {
        responses.write.clear();
    }
    let held = || {
        actual.held_elsewhere.iter().filter_map(|held| {
            let label = held.before.label();
            let now = actual.methods.iter().find(|now| now.label() == label)?;
            Some((held, now))
        })
    };
    let reset_for_deployment = held()
        .filter(|(held, now)| deploy && now.asks(&held.authorizer_id) && !is_wanted(now))
        .map(|(held, now)| (&held.before, now))
        .collect();
    let resetting = actual
        .record
        .head
        .as_ref()
        .is_some_and(|head| head.resetting);
    let return_to_other_stack = held()
        .filter(|(held, now)| {
            let is_before = now.has_authorization_of(&actual.restored(&held.before));
            resetting && is_before && !now.asks(&held.authorizer_id)
        })
        .map(|(held, now)| (now, held.authorizer_id.as_str()))
        .collect();
    AttachmentSteps {
        protect,
        protect_for_deployment: if deploy {
            protect_for_deployment
        } else {
            Vec::new()
        },
        restore,
        restore_after_crash,
        reset_for_deployment,
        return_to_other_stack,
        responses,
        serves_settings,
        deploy,
    }
}

/// Whether the stage serves the methods of `protected` with a Lambda authorizer, and those that are
/// not `is_wanted` in their original state.
fn is_deployed(
    actual: &Actual,
    protected: &[&Method],
    is_wanted: impl Fn(&Method) -> bool,
) -> bool {
    // The deployment from before the first change does not contain this stack's authorizer, regardless of what
    // its summary reports.
    if actual.is_before_us() {
        return false;
    }
    let stage = actual.stage.as_ref();
    let Some(served) = stage.and_then(|stage| stage.served.as_ref()) else {
        let is_ours = |stage: &Stage| protects(&stage.description, &actual.marker).is_some();
        // What a WebSocket API serves is known of this stack's deployment, and of the draft that is deployed automatically.
        return actual.target.protocol != Protocol::WebSocket
            || stage.is_some_and(|stage| is_ours(stage) || stage.deploys_automatically);
    };
    let is_drafted = |before: &Method| {
        let mut methods = actual.methods.iter();
        methods.any(|now| now.key() == before.key())
    };
    let mut restored = actual
        .all_before()
        .filter(|before| !is_wanted(before))
        .map(|before| actual.restored(before))
        .filter(|before| before.authorization != AuthorizationType::Custom && is_drafted(before));
    let serves = |method: &Method, authorization: &AuthorizationType| {
        served.get(&method.key()) == Some(authorization)
    };
    let mut protected = protected.iter();
    protected.all(|method| {
        serves(method, &AuthorizationType::Custom)
            && !actual.served_by_others.contains(&method.key())
    }) && restored.all(|before| serves(&before, &before.authorization))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::other_stacks::Held;
    use super::super::record::{AttachmentState, Record};
    use super::*;

    const OURS: &str = "ours";
    const OTHER: &str = "other";

    fn method(authorizer: Option<&str>) -> Method {
        Method {
            authorization: match authorizer {
                Some(_) => AuthorizationType::Custom,
                None => AuthorizationType::None,
            },
            authorizer_id: authorizer.map(str::to_owned),
            ..Method::new("GET", "/orders")
        }
    }

    /// One row of the table: the state of the API, and the resulting steps.
    #[derive(Default)]
    struct Row {
        is_wanted: bool,
        recorded: Option<Method>,
        now: Method,
        /// Another stack protects the method in another stage.
        held_elsewhere: bool,
        state: AttachmentState,
        steps: &'static [&'static str],
    }

    impl Row {
        fn actual(&self, served: AuthorizationType) -> Actual {
            let chunks = self.recorded.iter().cloned();
            Actual {
                record: Record {
                    head: Some(self.state.clone()),
                    chunks: BTreeMap::from([("methods-000".to_owned(), chunks.collect())]),
                    responses: BTreeMap::new(),
                },
                methods: vec![self.now.clone()],
                stage: Some(Stage {
                    deployment_id: "d1".to_owned(),
                    description: String::new(),
                    served: Some([(self.now.key(), served)].into()),
                    canary: None,
                    authorizer_uris: None,
                    deploys_automatically: false,
                    is_managed: false,
                    failed_deployment: None,
                }),
                authorizer_id: Some(OURS.to_owned()),
                elsewhere: [OTHER.to_owned()].into(),
                held_elsewhere: Vec::from_iter(self.held_elsewhere.then(|| Held {
                    before: method(None),
                    authorizer_id: OTHER.to_owned(),
                })),
                ..Actual::example()
            }
        }

        fn wanted(&self) -> Wanted {
            let labels = self.is_wanted.then(|| self.now.label());
            Wanted {
                protect: Vec::new(),
                except: Vec::new(),
                served: Some(labels.into_iter().collect()),
                responses: Responses::OFF,
                asks: AuthorizerSettings::of(Protocol::Rest, "method.request.header.key"),
            }
        }
    }

    fn names(steps: &AttachmentSteps<'_>) -> Vec<&'static str> {
        [
            ("protect", steps.protect.len()),
            (
                "protect for the deployment",
                steps.protect_for_deployment.len(),
            ),
            ("restore", steps.restore.len()),
            ("restore after a crash", steps.restore_after_crash.len()),
            ("reset for the deployment", steps.reset_for_deployment.len()),
            (
                "return to the other stack",
                steps.return_to_other_stack.len(),
            ),
            ("deploy", usize::from(steps.deploy)),
        ]
        .into_iter()
        .filter(|(_, number)| *number > 0)
        .map(|(name, _)| name)
        .collect()
    }

    fn assert_steps(row: &Row, served: AuthorizationType) {
        let actual = row.actual(served);
        assert_eq!(names(&method_steps(&actual, &row.wanted())), row.steps);
    }

    #[test]
    fn an_open_method_that_is_wanted_is_protected() {
        let row = Row {
            is_wanted: true,
            now: method(None),
            steps: &["protect", "deploy"],
            ..Row::default()
        };
        assert_steps(&row, AuthorizationType::None);
    }

    #[test]
    fn an_absent_route_is_created_with_the_authorizer_and_deleted_again() {
        let absent = Method {
            is_absent: true,
            ..Method::new("", "$connect")
        };
        let created = Method {
            is_absent: false,
            is_bare: true,
            authorization: AuthorizationType::Custom,
            authorizer_id: Some(OURS.to_owned()),
            ..absent.clone()
        };
        let row = |is_wanted, recorded, now, steps| Row {
            is_wanted,
            recorded,
            now,
            steps,
            ..Row::default()
        };
        let (none, custom) = (AuthorizationType::None, AuthorizationType::Custom);
        // Also after a kill between the record and the call.
        for recorded in [None, Some(absent.clone())] {
            let row = row(true, recorded, absent.clone(), &["protect", "deploy"]);
            assert_steps(&row, none.clone());
        }
        let recorded = || Some(absent.clone());
        assert_steps(&row(true, recorded(), created.clone(), &["deploy"]), none);
        assert_steps(&row(true, recorded(), created.clone(), &[]), custom.clone());
        assert_steps(
            &row(false, recorded(), created, &["restore", "deploy"]),
            custom,
        );
    }

    #[test]
    fn a_method_that_is_not_wanted_is_left_alone() {
        for now in [method(None), method(Some("theirs"))] {
            let authorization = now.authorization.clone();
            let row = Row {
                now,
                ..Row::default()
            };
            assert_steps(&row, authorization);
        }
    }

    #[test]
    fn a_protected_method_is_deployed_until_the_stage_serves_it() {
        let row = |steps| Row {
            is_wanted: true,
            recorded: Some(method(None)),
            now: method(Some(OURS)),
            steps,
            ..Row::default()
        };
        assert_steps(&row(&["deploy"]), AuthorizationType::None);
        assert_steps(&row(&[]), AuthorizationType::Custom);
    }

    #[test]
    fn the_deployment_before_the_first_change_never_counts() {
        let row = Row {
            is_wanted: true,
            recorded: Some(method(None)),
            now: method(Some(OURS)),
            state: AttachmentState {
                previous_deployment: Some("d1".to_owned()),
                ..AttachmentState::default()
            },
            steps: &["deploy"],
            ..Row::default()
        };
        assert_steps(&row, AuthorizationType::Custom);
    }

    #[test]
    fn a_method_of_ours_that_is_not_wanted_any_more_is_restored() {
        let row = Row {
            recorded: Some(method(None)),
            now: method(Some(OURS)),
            steps: &["restore", "deploy"],
            ..Row::default()
        };
        assert_steps(&row, AuthorizationType::Custom);
    }

    #[test]
    fn a_wanted_method_of_another_stack_is_protected_for_the_deployment_alone() {
        let row = |steps| Row {
            is_wanted: true,
            now: method(Some(OTHER)),
            held_elsewhere: true,
            steps,
            ..Row::default()
        };
        let first = row(&["protect for the deployment", "deploy"]);
        assert_steps(&first, AuthorizationType::None);
        // The summary reports some authorizer, and this stack did not make the deployment.
        assert_steps(&first, AuthorizationType::Custom);
        // A deployment of this stack with the settings: nothing is left to do, and the other stack keeps
        // the method.
        let done = row(&[]);
        let mut actual = done.actual(AuthorizationType::Custom);
        let settings = digest(&done.wanted().asks);
        actual.stage.as_mut().expect("a stage").description =
            format!("threescale-gw-orders protects 1 authorizer {settings}");
        assert_eq!(names(&method_steps(&actual, &done.wanted())), done.steps);
    }

    #[test]
    fn what_a_killed_run_left_protected_goes_back_to_its_stack() {
        let row = Row {
            is_wanted: true,
            recorded: Some(method(Some(OTHER))),
            now: method(Some(OURS)),
            held_elsewhere: true,
            steps: &["restore after a crash", "deploy"],
            ..Row::default()
        };
        assert_steps(&row, AuthorizationType::Custom);
    }

    #[test]
    fn another_stacks_method_is_reset_for_our_deployment_alone() {
        let row = Row {
            now: method(Some(OTHER)),
            held_elsewhere: true,
            ..Row::default()
        };
        assert_steps(&row, AuthorizationType::None);
        let mut actual = row.actual(AuthorizationType::None);
        actual.methods.push(Method::new("GET", "/open"));
        let mut wanted = row.wanted();
        wanted.served = Some(["GET /open".to_owned()].into());
        let steps = ["protect", "reset for the deployment", "deploy"];
        assert_eq!(names(&method_steps(&actual, &wanted)), steps);
    }

    #[test]
    fn what_a_killed_run_reset_goes_back_to_its_stack() {
        let row = |resetting, steps| Row {
            now: method(None),
            held_elsewhere: true,
            state: AttachmentState {
                resetting,
                ..AttachmentState::default()
            },
            steps,
            ..Row::default()
        };
        assert_steps(
            &row(true, &["return to the other stack"]),
            AuthorizationType::None,
        );
        // Without that state, the owner of the API has opened the method.
        assert_steps(&row(false, &[]), AuthorizationType::None);
    }

    #[test]
    fn what_a_killed_down_closed_is_protected_again() {
        let row = Row {
            is_wanted: true,
            recorded: Some(method(None)),
            now: Method {
                authorization: AuthorizationType::AwsIam,
                ..method(None)
            },
            state: AttachmentState {
                closing: true,
                ..AttachmentState::default()
            },
            steps: &["protect", "deploy"],
            ..Row::default()
        };
        assert_steps(&row, AuthorizationType::AwsIam);
    }
}
