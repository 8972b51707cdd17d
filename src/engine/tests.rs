//! Tests of the executor with resources that need no service. They take milliseconds, except for
//! the waits themselves.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;

use super::executor::{Outcome, execute};
use super::plan::{Operation, Plan, Step};
use crate::action::Action;
use crate::aws::{Aws, AwsError, Class, Target};
use crate::cancel::CancelToken;
use crate::event::Sink;
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::names::Names;
use crate::resource::{
    Context, Diff, DynKind, DynListing, DynResource, Identity, Live, Observed, Output, Phase,
    ResourceError, Unmanaged,
};
use crate::secret::AccessKey;

/// The simulated responses for one resource.
#[derive(Default)]
struct Course {
    made: bool,
    /// The phases it then shows, one for each read; the last one stays.
    phases: VecDeque<Phase>,
    /// How many reads do not show it although it is created.
    hidden: usize,
    refuses: bool,
    /// The calls that are refused for the moment when it is created, one at each attempt.
    busy: VecDeque<&'static str>,
}

/// An account with resources of one kind.
struct Account {
    courses: Mutex<BTreeMap<String, Course>>,
    /// The calls received.
    calls: Mutex<Vec<String>>,
}

impl Account {
    fn with(courses: impl IntoIterator<Item = (&'static str, Course)>) -> &'static Self {
        let courses = courses
            .into_iter()
            .map(|(name, course)| (name.to_owned(), course));
        Box::leak(Box::new(Self {
            courses: Mutex::new(courses.collect()),
            calls: Mutex::default(),
        }))
    }

    fn call(&self, text: impl Into<String>) {
        self.calls.lock().expect("calls").push(text.into());
    }

    fn calls(&self, starting: &str) -> usize {
        let calls = self.calls.lock().expect("calls");
        calls
            .iter()
            .filter(|call| call.starts_with(starting))
            .count()
    }

    fn course<T>(&self, name: &str, with: impl FnOnce(&mut Course) -> T) -> T {
        let mut courses = self.courses.lock().expect("courses");
        with(courses.get_mut(name).expect("a course"))
    }

    /// The phase that a read shows.
    fn seen(&self, name: &str) -> Option<Phase> {
        self.course(name, |course| {
            if !course.made {
                return None;
            }
            if course.hidden > 0 {
                course.hidden -= 1;
                return None;
            }
            match course.phases.len() {
                0 => Some(Phase::Ready),
                1 => course.phases.front().cloned(),
                _ => course.phases.pop_front(),
            }
        })
    }
}

impl DynKind for Account {
    fn kind(&self) -> Kind {
        Kind::Subnet
    }

    fn list<'a>(&'a self, _: &'a Context) -> BoxFuture<'a, Result<DynListing, ResourceError>> {
        Box::pin(async { Ok((Vec::new(), Vec::new())) })
    }

    fn phase<'a>(
        &'a self,
        cx: &'a Context,
        found: &'a Live,
    ) -> BoxFuture<'a, Result<Option<Phase>, ResourceError>> {
        Box::pin(async move {
            let ask = async {
                self.call("poll");
                Ok::<_, ResourceError>(())
            };
            cx.listings().get_or_fetch("all", ask).await?;
            Ok(self.seen(&found.identity.id.name))
        })
    }

    fn delete<'a>(
        &'a self,
        _: &'a Context,
        found: &'a Live,
    ) -> BoxFuture<'a, Result<(), ResourceError>> {
        Box::pin(async move {
            let name = &found.identity.id.name;
            self.call(format!("delete {name}"));
            self.course(name, |course| course.made = false);
            Ok(())
        })
    }

    fn empty<'a>(
        &'a self,
        _: &'a Context,
        _: &'a Live,
    ) -> BoxFuture<'a, Result<(), ResourceError>> {
        Box::pin(async { Ok(()) })
    }

    fn unmanaged<'a>(
        &'a self,
        _: &'a Context,
        _: &'a Live,
    ) -> BoxFuture<'a, Result<Option<Unmanaged>, ResourceError>> {
        Box::pin(async { Ok(None) })
    }
}

struct Desired(&'static str, &'static Account);

impl DynResource for Desired {
    fn id(&self) -> LogicalId {
        id(self.0)
    }

    fn needs(&self) -> Vec<LogicalId> {
        Vec::new()
    }

    fn kind(&self) -> &'static dyn DynKind {
        self.1
    }

    fn look<'a>(
        &'a self,
        _: &'a Context,
    ) -> BoxFuture<'a, Result<Option<Observed>, ResourceError>> {
        Box::pin(async move {
            self.1.call(format!("look {}", self.0));
            let look = self.1.seen(self.0).map(|phase| Observed {
                found: Live::of(Identity {
                    id: self.id(),
                    phase,
                    output: Output::default(),
                }),
                diff: Diff::default(),
            });
            Ok(look)
        })
    }

    fn prepare<'a>(
        &'a self,
        _: &'a Context,
        _: Option<&'a Observed>,
    ) -> BoxFuture<'a, Result<(), ResourceError>> {
        Box::pin(async { Ok(()) })
    }

    fn create<'a>(&'a self, _: &'a Context) -> BoxFuture<'a, Result<(), ResourceError>> {
        Box::pin(async move {
            self.1.call(format!("create {}", self.0));
            self.1.course(self.0, |course| {
                if let Some(operation) = course.busy.pop_front() {
                    let class = Class::NotYet(Duration::from_millis(100));
                    let error = AwsError::incomplete(operation, "busy");
                    return Err(AwsError { class, ..error }.into());
                }
                course.made = !course.refuses;
                match course.refuses {
                    true => Err(ResourceError::Blocked {
                        what: "no".to_owned(),
                        hint: None,
                    }),
                    false => Ok(()),
                }
            })
        })
    }

    fn update<'a>(
        &'a self,
        _: &'a Context,
        _: &'a Observed,
    ) -> BoxFuture<'a, Result<(), ResourceError>> {
        Box::pin(async { Ok(()) })
    }

    fn detach<'a>(
        &'a self,
        _: &'a Context,
        _: &'a Observed,
    ) -> BoxFuture<'a, Result<bool, ResourceError>> {
        Box::pin(async { Ok(false) })
    }
}

fn id(name: &str) -> LogicalId {
    LogicalId::new(Kind::Subnet, name)
}

/// Creates these resources, each after those whose positions it names.
async fn create(
    account: &'static Account,
    steps: &[(&'static str, &[usize])],
    cancel: &CancelToken,
) -> Outcome {
    let steps = steps.iter().map(|(name, needs)| Step {
        id: id(name),
        action: Action::Create,
        work: Operation::Converge(Arc::new(Desired(name, account))),
        needs: needs.iter().copied().collect::<BTreeSet<_>>(),
    });
    let plan = Plan {
        items: Vec::new(),
        steps: steps.collect(),
    };
    let (sink, _events) = Sink::channel();
    let target = Target {
        region: Some("us-east-1".to_owned()),
        endpoint_url: Some("http://127.0.0.1:1".to_owned()),
        parallelism: 1,
        access_key: Some(AccessKey {
            id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret: "none".to_owned().into(),
        }),
        ..Target::default()
    };
    let aws = Aws::connect(&target, sink.clone()).await.expect("clients");
    let names = Names::new("orders", "us-east-1", "123456789012");
    let cx = Context::new(aws, names, BTreeMap::new(), Vec::new(), sink);
    execute(&plan, &cx, cancel).await
}

fn pending() -> Phase {
    Phase::Pending("pending".to_owned())
}

#[tokio::test]
async fn a_failed_step_skips_what_needs_it_and_nothing_else() {
    let refuses = Course {
        refuses: true,
        ..Course::default()
    };
    let account = Account::with([
        ("a", refuses),
        ("b", Course::default()),
        ("c", Course::default()),
        ("d", Course::default()),
    ]);
    let steps: [(_, &[usize]); 4] = [("a", &[]), ("b", &[0]), ("c", &[1]), ("d", &[])];
    let outcome = create(account, &steps, &CancelToken::new(None)).await;
    assert_eq!(outcome.skipped, [id("b"), id("c")]);
    assert_eq!((outcome.tally.failed, outcome.tally.created), (1, 1));
    assert_eq!(account.calls("create"), 2);
}

#[tokio::test]
async fn after_a_stop_nothing_begins() {
    let account = Account::with([("a", Course::default()), ("b", Course::default())]);
    let cancel = CancelToken::new(None);
    cancel.interrupt();
    let outcome = create(account, &[("a", &[]), ("b", &[0])], &cancel).await;
    assert!(outcome.stopped.is_some() && !outcome.is_done());
    assert_eq!(account.calls(""), 0);
}

#[tokio::test]
async fn resources_of_a_kind_that_are_waited_for_share_their_polls() {
    let waits = || Course {
        phases: [pending(), pending(), pending(), Phase::Ready].into(),
        ..Course::default()
    };
    let account = Account::with(["a", "b", "c"].map(|name| (name, waits())));
    let steps: [(_, &[usize]); 3] = [("a", &[]), ("b", &[]), ("c", &[])];
    let outcome = create(account, &steps, &CancelToken::new(None)).await;
    assert!(outcome.is_done());
    // Each reads three phases. A step that starts to wait during another step's pause shares its poll.
    assert!(
        (3..9).contains(&account.calls("poll")),
        "{}",
        account.calls("poll")
    );
    // One more read when the resource is ready, before it counts as done.
    assert_eq!(account.calls("look"), 6);
}

#[tokio::test]
async fn what_is_made_and_not_shown_yet_is_not_made_twice() {
    let hidden = Course {
        hidden: 2,
        ..Course::default()
    };
    let account = Account::with([("a", hidden)]);
    let outcome = create(account, &[("a", &[])], &CancelToken::new(None)).await;
    assert!(outcome.is_done());
    assert_eq!((account.calls("create"), account.calls("look")), (1, 3));
}

#[tokio::test]
async fn what_failed_is_deleted_and_recreated_once() {
    let failed = || Phase::Failed("broken".to_owned());
    let once = Course {
        phases: [failed(), Phase::Ready].into(),
        ..Course::default()
    };
    let always = Course {
        phases: [failed()].into(),
        ..Course::default()
    };
    let account = Account::with([("a", once), ("b", always)]);
    let outcome = create(account, &[("a", &[]), ("b", &[])], &CancelToken::new(None)).await;
    assert_eq!(account.calls("create a"), 2);
    assert_eq!((outcome.tally.created, outcome.tally.failed), (1, 1));
    let (which, error) = &outcome.failures[0];
    assert_eq!(*which, id("b"));
    assert!(
        *error == ResourceError::Failed("broken".to_owned()),
        "{error}"
    );
}

#[tokio::test]
async fn a_state_that_does_not_end_by_itself_ends_the_wait() {
    let blocked = Phase::Blocked {
        state: "incompatible-network".to_owned(),
        hint: "check the subnets",
    };
    let course = Course {
        phases: [pending(), blocked].into(),
        ..Course::default()
    };
    let account = Account::with([("a", course)]);
    let outcome = create(account, &[("a", &[])], &CancelToken::new(None)).await;
    let (_, error) = &outcome.failures[0];
    assert!(
        error.to_string().contains("incompatible-network"),
        "{error}"
    );
    assert_eq!(error.hint().as_deref(), Some("check the subnets"));
    assert_eq!(account.calls("delete"), 0);
}

#[tokio::test]
async fn an_unknown_state_is_waited_for() {
    let course = Course {
        phases: [Phase::Unknown("new-in-2027".to_owned()), Phase::Ready].into(),
        ..Course::default()
    };
    let account = Account::with([("a", course)]);
    let outcome = create(account, &[("a", &[])], &CancelToken::new(None)).await;
    assert!(outcome.is_done());
}

/// Several calls of one resource that are refused for the moment, one after the other, do not share the time for which a call is
/// tried again.
#[tokio::test]
async fn each_call_has_its_own_time() {
    for (busy, is_done) in [
        (["ec2:One", "ec2:Two", "ec2:Three"], true),
        (["ec2:One", "ec2:One", "ec2:One"], false),
    ] {
        let course = Course {
            busy: busy.into(),
            ..Course::default()
        };
        let account = Account::with([("a", course)]);
        let outcome = create(account, &[("a", &[])], &CancelToken::new(None)).await;
        assert_eq!(outcome.is_done(), is_done, "{busy:?}: {outcome:?}");
    }
}
