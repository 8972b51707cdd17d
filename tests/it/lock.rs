//! The lock against a Parameter Store of the test's own, which delays and loses single requests and replies: of all the
//! runs that want a stack, never two are at work.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use threescale_gw::api_gateway::ApiTarget;
use threescale_gw::aws::{Aws, Target};
use threescale_gw::cancel::CancelToken;
use threescale_gw::error::ExitStatus;
use threescale_gw::event::Sink;
use threescale_gw::lock::{self, ApiLocks, Lock, Pace};
use threescale_gw::names::Names;
use threescale_gw::resource::{ApiExclusion as _, Context, ResourceError};
use threescale_gw::secret::{AccessKey, Secret};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Longer than the lease of a lock.
const LONG: f64 = 240.0;
/// How long a run waits for another stack.
const LONG_WAIT: Duration = Duration::from_secs(240);

/// Numbers that look random, the same ones for each seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    /// Mostly a moment, at times longer than the other runs take for several calls.
    fn wait(&mut self) -> Duration {
        let limit = if self.below(5) == 0 { 700 } else { 15 };
        Duration::from_millis(self.below(limit))
    }
}

struct Parameter {
    value: String,
    version: i64,
    written: f64,
}

/// What becomes of a request.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Answered,
    /// Not carried out, and never answered.
    RequestLost,
    /// Carried out, and never answered.
    ReplyLost,
    /// Carried out and answered without a `Date`.
    Undated,
    /// Not carried out, and answered with a server error.
    Broken,
}

type Hook = Box<dyn FnMut(&str, &Value, &mut Stack) -> Fate + Send>;

/// The parameters of one stack, by their names below its path, and its part of the service.
#[derive(Default)]
struct Stack {
    parameters: BTreeMap<String, Parameter>,
    /// How far its clock is ahead of the machine's, in seconds.
    ahead: f64,
    under_way: usize,
    /// Sees each call before it is carried out.
    hook: Option<Hook>,
    /// Where requests are delayed and lost.
    trouble: Option<Numbers>,
}

impl Stack {
    fn now(&self) -> f64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        since.expect("a time after 1970").as_secs_f64() + self.ahead
    }

    fn put(&mut self, name: &str, value: &str) -> i64 {
        let version = self.parameters.get(name).map_or(1, |old| old.version + 1);
        let parameter = Parameter {
            value: value.to_owned(),
            version,
            written: self.now(),
        };
        self.parameters.insert(name.to_owned(), parameter);
        version
    }

    fn carry_out(&mut self, operation: &str, call: &Value, path: &str) -> (u16, Value) {
        let refusal = |code: &str| (400, json!({"__type": code, "message": code}));
        let name = call["Name"].as_str().unwrap_or_default();
        let name = name.strip_prefix(path).unwrap_or(name).to_owned();
        match operation {
            "PutParameter" => {
                if call["Overwrite"] != true && self.parameters.contains_key(&name) {
                    return refusal("ParameterAlreadyExists");
                }
                let value = call["Value"].as_str().unwrap_or_default();
                (
                    200,
                    json!({"Version": self.put(&name, value), "Tier": "Standard"}),
                )
            }
            "DeleteParameter" => match self.parameters.remove(&name) {
                Some(_) => (200, json!({})),
                None => refusal("ParameterNotFound"),
            },
            "GetParametersByPath" => {
                let shown = self.parameters.iter().map(|(name, parameter)| {
                    json!({
                        "Name": format!("{path}{name}"), "Type": "String", "Value": parameter.value,
                        "Version": parameter.version, "LastModifiedDate": parameter.written,
                    })
                });
                (200, json!({"Parameters": shown.collect::<Vec<_>>()}))
            }
            _ => refusal("UnknownOperationException"),
        }
    }
}

/// A Parameter Store with a part for each stack.
#[derive(Clone, Default)]
struct Store(Arc<Mutex<HashMap<String, Stack>>>);

impl Store {
    async fn serve() -> (Self, Aws) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let store = Self::default();
        let serving = store.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let store = serving.clone();
                tokio::spawn(async move { store.converse(stream).await });
            }
        });
        let target = Target {
            region: Some("us-east-1".to_owned()),
            endpoint_url: Some(format!("http://127.0.0.1:{port}")),
            parallelism: 1000,
            access_key: Some(AccessKey {
                id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
                secret: Secret::from("not-a-secret-of-anybody".to_owned()),
            }),
            ..Target::default()
        };
        let aws = Aws::connect(&target, Sink::channel().0).await;
        (store, aws.expect("clients"))
    }

    fn stacks(&self) -> MutexGuard<'_, HashMap<String, Stack>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the part of a stack.
    fn with<T>(&self, stack: &str, act: impl FnOnce(&mut Stack) -> T) -> T {
        act(self.stacks().entry(stack.to_owned()).or_default())
    }

    /// Lets `hook` see each call for a stack before it is carried out.
    fn hook(
        &self,
        stack: &str,
        hook: impl FnMut(&str, &Value, &mut Stack) -> Fate + Send + 'static,
    ) {
        self.with(stack, |part| part.hook = Some(Box::new(hook)));
    }

    /// The names of a stack's parameters.
    fn names(&self, stack: &str) -> Vec<String> {
        self.with(stack, |part| part.parameters.keys().cloned().collect())
    }

    /// The value of a stack's lock.
    fn lock_of(&self, stack: &str) -> Option<String> {
        self.with(stack, |part| {
            let lock = part.parameters.get("lock");
            lock.map(|lock| lock.value.clone())
        })
    }

    async fn converse(&self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        while let Some((operation, call)) = read(&mut stream).await {
            let Some(answer) = self.answer(&operation, &call).await else {
                return;
            };
            if stream.get_mut().write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    /// The answer to a call; `None` where the connection is to be closed without one.
    async fn answer(&self, operation: &str, call: &Value) -> Option<String> {
        let name = call["Name"].as_str().or(call["Path"].as_str())?;
        let stack = name.split('/').nth(2)?.to_owned();
        let (before, lost, after) = self.with(&stack, |part| {
            part.under_way += 1;
            match &mut part.trouble {
                None => (Duration::ZERO, Fate::Answered, Duration::ZERO),
                Some(numbers) => {
                    let lost = match numbers.below(10) {
                        0 => Fate::RequestLost,
                        1 | 2 => Fate::ReplyLost,
                        _ => Fate::Answered,
                    };
                    (numbers.wait(), lost, numbers.wait())
                }
            }
        });
        tokio::time::sleep(before).await;
        let answer = self.with(&stack, |part| {
            let mut hook = part.hook.take();
            let fate = hook.as_mut().map_or(lost, |hook| hook(operation, call, part));
            part.hook = hook;
            let path = format!("/threescale-gw/{stack}/");
            let (status, body) = match fate {
                Fate::RequestLost => return None,
                Fate::Broken => (500, json!({"__type": "InternalServerError"})),
                _ => part.carry_out(operation, call, &path),
            };
            let date = jiff::Timestamp::from_second(part.now() as i64).expect("a time");
            let date = match fate {
                Fate::Undated => String::new(),
                _ => date.strftime("Date: %a, %d %b %Y %H:%M:%S GMT\r\n").to_string(),
            };
            let body = body.to_string();
            (fate != Fate::ReplyLost).then(|| {
                format!(
                    "HTTP/1.1 {status} X\r\n{date}Content-Type: application/x-amz-json-1.1\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                )
            })
        });
        tokio::time::sleep(after).await;
        self.with(&stack, |part| part.under_way -= 1);
        answer
    }
}

/// The next request of a connection.
async fn read(stream: &mut BufReader<TcpStream>) -> Option<(String, Value)> {
    let (mut operation, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            match line.trim_end().is_empty() {
                true => break,
                false => continue,
            }
        };
        match name.to_ascii_lowercase().as_str() {
            "x-amz-target" => operation = value.rsplit('.').next()?.to_owned(),
            "content-length" => length = value.parse().ok()?,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some((operation, serde_json::from_slice(&body).ok()?))
}

/// A run of its own on `stack`.
fn run_on(aws: &Aws, stack: &str) -> Context {
    let names = Names::new(stack, "us-east-1", "123456789012");
    Context::new(
        aws.clone(),
        names,
        BTreeMap::new(),
        Vec::new(),
        Sink::channel().0,
    )
}

/// Waits until something is so; the deadline is only for a test that hangs.
async fn eventually(is_so: impl Fn() -> bool) {
    let asked = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let asked = tokio::time::timeout(Duration::from_secs(60), asked).await;
    asked.expect("it does not come");
}

fn forever() -> CancelToken {
    CancelToken::new(None)
}

/// The runs at work on one stack. One that must stop starts nothing more, so it does not count.
#[derive(Clone, Default)]
struct AtWork(Arc<Mutex<Vec<(u64, CancelToken)>>>);

impl AtWork {
    fn runs(&self) -> MutexGuard<'_, Vec<(u64, CancelToken)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[track_caller]
    fn enter(&self, who: impl fmt::Debug, run: u64, cancel: &CancelToken) -> Leave {
        let mut runs = self.runs();
        if cancel.stop().is_none() {
            let others = runs.iter().filter(|(_, other)| other.stop().is_none());
            assert_eq!(others.count(), 0, "{who:?}: two runs are at work");
        }
        runs.push((run, cancel.clone()));
        Leave(self.clone(), run)
    }
}

/// Leaves when dropped, as a killed run does.
struct Leave(AtWork, u64);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.runs().retain(|(run, _)| *run != self.1);
    }
}

/// Tries to take the lock until it has worked once, and then releases it.
async fn work_once(store: Store, cx: Context, at_work: AtWork, run: u64, mut numbers: Numbers) {
    let stack = &cx.names().stack;
    tokio::time::sleep(numbers.wait()).await;
    loop {
        let cancel = forever();
        let Ok(lock) = Lock::take(&cx, &cancel).await else {
            tokio::time::sleep(Duration::from_millis(numbers.below(300))).await;
            continue;
        };
        let taken = store.lock_of(stack);
        let leave = at_work.enter((stack, run), run, &cancel);
        tokio::time::sleep(Duration::from_millis(numbers.below(600))).await;
        drop(leave);
        assert_eq!(
            store.lock_of(stack),
            taken,
            "{stack}: no other run writes it"
        );
        let _ = lock.release().await;
        return;
    }
}

/// The parameters before the runs begin.
#[derive(Debug, Clone, Copy)]
enum Before {
    Nothing,
    /// The lock of a run that ended elsewhere long ago.
    Expired,
    /// The parameters that a run leaves if it is killed while it takes over an expired lock.
    Killed,
}

async fn compete(store: Store, aws: Aws, seed: u64, before: Before) {
    let stack = format!("stack-{seed}");
    let mut numbers = Numbers(seed << 32);
    let at_work = AtWork::default();
    store.with(&stack, |part| {
        part.trouble = Some(Numbers(seed << 40));
        if !matches!(before, Before::Nothing) {
            let mut lock = held("elsewhere");
            lock["expires"] = json!("2026-01-02T03:07:05Z");
            part.put("lock", &lock.to_string());
            part.ahead += LONG;
        }
    });
    if matches!(before, Before::Killed) {
        let killed = work_once(
            store.clone(),
            run_on(&aws, &stack),
            at_work.clone(),
            0,
            Numbers(seed << 8),
        );
        let killed = tokio::spawn(killed);
        tokio::time::sleep(Duration::from_millis(numbers.below(900))).await;
        killed.abort();
        let _ = killed.await;
        // What it sent is carried out before its lock has expired.
        eventually(|| store.with(&stack, |part| part.under_way) == 0).await;
        store.with(&stack, |part| part.ahead += LONG);
    }
    let runs = (1..=3).map(|run| {
        let numbers = Numbers(seed << 8 | run);
        let work = work_once(
            store.clone(),
            run_on(&aws, &stack),
            at_work.clone(),
            run,
            numbers,
        );
        tokio::spawn(work)
    });
    let runs = futures::future::try_join_all(runs.collect::<Vec<_>>());
    tokio::select! {
        ended = runs => { ended.expect("one run at a time"); }
        () = expire_what_is_left(&store, &stack, &at_work) => {}
    }
    assert_eq!(
        store.names(&stack),
        [""; 0],
        "{stack}: the last run leaves nothing"
    );
}

/// A run whose last calls all fail leaves its lock, which then dies by age only. When nothing has happened for long, that
/// time passes.
async fn expire_what_is_left(store: &Store, stack: &str, at_work: &AtWork) {
    let mut quiet = 0;
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        quiet = if at_work.runs().is_empty() {
            quiet + 1
        } else {
            0
        };
        if quiet >= 60 {
            quiet = 0;
            store.with(stack, |part| part.ahead += LONG);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_runs_at_once_never_two_are_at_work() {
    let (store, aws) = Store::serve().await;
    let kinds = [Before::Nothing, Before::Expired, Before::Killed];
    let all = (1..=34).flat_map(|seed| kinds.map(|kind| (seed * 3 + kind as u64, kind)));
    let stacks = all.map(|(seed, kind)| {
        let stack = compete(store.clone(), aws.clone(), seed, kind);
        tokio::spawn(stack)
    });
    // The deadline is only for a test that hangs.
    let all = futures::future::try_join_all(stacks);
    let all = tokio::time::timeout(Duration::from_secs(600), all).await;
    all.expect("every run works").expect("one run at a time");
}

/// A lock as released versions write it; that of a run on another machine.
fn held(token: &str) -> Value {
    json!({
        "token": token, "owner": "ann", "host": "build-7", "pid": 4711, "boot": "0",
        "since": "2026-01-02T03:04:05Z", "expires": "2999-01-01T00:00:00Z",
    })
}

/// A lock of a process that does not exist, of this boot and `namespace`.
fn of_nobody(namespace: Option<&str>) -> Value {
    let read = |path: &str| std::fs::read_to_string(path).expect("this machine");
    let file = |path: &str| read(path).trim().to_owned();
    let mut lock = held("nobody");
    lock["host"] = json!(file("/proc/sys/kernel/hostname"));
    lock["boot"] = json!(file("/proc/sys/kernel/random/boot_id"));
    // No process has an id beyond this.
    let most: u32 = file("/proc/sys/kernel/pid_max").parse().expect("a number");
    lock["pid"] = json!(most + 1);
    if let Some(namespace) = namespace {
        lock["pid_namespace"] = json!(namespace);
        lock["started"] = json!(1);
    }
    lock
}

/// Whether a run takes the lock; it is released then.
async fn takes(aws: &Aws, stack: &str) -> bool {
    match Lock::take(&run_on(aws, stack), &forever()).await {
        Ok(lock) => {
            lock.release().await.expect("released");
            true
        }
        Err(error) => {
            assert_eq!(error.status(), ExitStatus::Refused, "{error:?}");
            false
        }
    }
}

#[tokio::test]
async fn a_process_id_counts_only_in_its_own_namespace() {
    let (store, aws) = Store::serve().await;
    let own = std::fs::read_link("/proc/self/ns/pid").expect("a namespace");
    let own = own.to_str().expect("text");
    for (stack, namespace, dead) in [
        ("here", Some(own), true),
        ("container", Some("pid:[1]"), false),
        ("released-version", None, false),
    ] {
        let lock = of_nobody(namespace).to_string();
        store.with(stack, |part| part.put("lock", &lock));
        assert_eq!(takes(&aws, stack).await, dead, "{stack}");
        let left = (!dead).then_some(lock);
        assert_eq!(store.lock_of(stack), left, "{stack}");
    }
}

#[tokio::test]
async fn the_age_of_a_lock_is_by_the_clock_of_the_service() {
    let (store, aws) = Store::serve().await;
    for (stack, expires, age, dead) in [
        ("local-clock-ahead", "2026-01-02T03:07:05Z", 0.0, false),
        ("local-clock-behind", "2999-01-01T00:00:00Z", LONG, true),
        // The service's clock differs from this machine's by minutes, and the lock is new.
        ("service-ahead", "2026-01-02T03:07:05Z", 100.0, false),
    ] {
        let mut lock = held("elsewhere");
        lock["expires"] = json!(expires);
        store.with(stack, |part| {
            part.put("lock", &lock.to_string());
            part.ahead += age;
        });
        assert_eq!(takes(&aws, stack).await, dead, "{stack}");
    }
    store.with("undated", |part| {
        part.put("lock", &held("elsewhere").to_string());
        part.ahead += LONG;
    });
    store.hook("undated", |_, _, _| Fate::Undated);
    assert!(!takes(&aws, "undated").await);
}

#[tokio::test]
async fn a_delete_whose_answer_is_lost_leaves_the_lock_of_the_next_run() {
    let (store, aws) = Store::serve().await;
    let lock = Lock::take(&run_on(&aws, "s"), &forever()).await;
    let mut first = true;
    store.hook("s", move |operation, _, part| {
        if operation != "DeleteParameter" || !std::mem::take(&mut first) {
            return Fate::Answered;
        }
        part.parameters.clear();
        part.put("lock", &held("next").to_string());
        Fate::RequestLost
    });
    lock.expect("the lock").release().await.expect("released");
    let now = store.lock_of("s").expect("a lock");
    assert!(now.contains("\"next\""), "{now}");
}

/// Waits until the run must stop; the deadline is only for a test that hangs.
async fn stopped(cancel: &CancelToken) {
    let stopped = tokio::time::timeout(Duration::from_secs(60), cancel.stopped());
    stopped.await.expect("the run is stopped");
}

#[tokio::test]
async fn a_run_stops_if_another_program_writes_the_lock_amid_its_renewal() {
    let (store, aws) = Store::serve().await;
    let (cx, cancel) = (run_on(&aws, "s"), forever());
    store.hook("s", |_, call, part| {
        if call["Overwrite"] == true {
            part.put("lock", &held("theirs").to_string());
        }
        Fate::Answered
    });
    let pace = Pace {
        renew: Duration::from_millis(1),
        ..Pace::default()
    };
    let lock = Lock::take_at(&cx, &cancel, pace).await.expect("the lock");
    stopped(&cancel).await;
    store.hook("s", |_, _, _| Fate::Answered);
    lock.release().await.expect("nothing to release");
    assert_eq!(store.names("s"), ["lock"]);
}

#[tokio::test]
async fn a_run_that_cannot_renew_its_lock_stops_before_another_may_take_it() {
    let (store, aws) = Store::serve().await;
    let (cx, cancel) = (run_on(&aws, "s"), forever());
    store.hook("s", |_, call, _| match call["Overwrite"] == true {
        true => Fate::Broken,
        false => Fate::Answered,
    });
    let lease = Duration::from_secs(3600);
    let pace = Pace {
        lease,
        renew: Duration::from_millis(1),
        call: lease - Duration::from_millis(100),
    };
    let lock = Lock::take_at(&cx, &cancel, pace).await.expect("the lock");
    stopped(&cancel).await;
    let other = Lock::take_at(&run_on(&aws, "s"), &forever(), pace).await;
    assert_eq!(other.expect_err("refused").status(), ExitStatus::Refused);
    // It could be deleted too late now.
    lock.release().await.expect("it expires");
    assert_eq!(store.names("s"), ["lock"]);
}

#[tokio::test]
async fn a_renewal_whose_answer_is_lost_counts_if_it_was_carried_out() {
    let (store, aws) = Store::serve().await;
    let (cx, cancel) = (run_on(&aws, "s"), forever());
    let mut renewals = 0;
    store.hook("s", move |_, call, _| {
        if call["Overwrite"] != true {
            return Fate::Answered;
        }
        renewals += 1;
        match renewals {
            1 => Fate::ReplyLost,
            2 => Fate::RequestLost,
            _ => Fate::Answered,
        }
    });
    let pace = Pace {
        renew: Duration::from_millis(1),
        ..Pace::default()
    };
    let lock = Lock::take_at(&cx, &cancel, pace).await.expect("the lock");
    let version = || store.with("s", |part| part.parameters["lock"].version);
    eventually(|| version() >= 4).await;
    assert_eq!(cancel.stop(), None);
    lock.release().await.expect("released");
    assert_eq!(store.names("s"), [""; 0]);
}

#[tokio::test]
async fn a_takeover_that_meets_an_earlier_version_of_the_program_is_none() {
    let (store, aws) = Store::serve().await;
    store.with("s", |part| {
        part.put("lock", &held("dead").to_string());
        part.ahead += LONG;
    });
    // An earlier version takes no claim: it writes between the last look of this run and its write.
    let mut first = true;
    store.hook("s", move |_, call, part| {
        if call["Overwrite"] == true && std::mem::take(&mut first) {
            part.put("lock", &held("earlier-version").to_string());
        }
        Fate::Answered
    });
    assert!(!takes(&aws, "s").await);
    assert_eq!(store.names("s"), ["lock"]);
    // Other runs do not conclude from the end of this run that no run is at work.
    let left: Value = serde_json::from_str(&store.lock_of("s").expect("a lock")).expect("JSON");
    assert_eq!(
        (&left["boot"], &left["pid_namespace"]),
        (&json!(""), &Value::Null)
    );
    assert!(!takes(&aws, "s").await);
}

#[tokio::test]
async fn a_claim_that_a_killed_run_left_is_succeeded_when_it_has_expired() {
    let (store, aws) = Store::serve().await;
    store.with("s", |part| {
        part.put("lock", &held("dead").to_string());
        part.ahead += LONG;
    });
    // Two runs, one after the other, that get as far as their claims.
    for claims in 1..=2 {
        store.hook("s", |_, call, _| match call["Overwrite"] == true {
            true => Fate::RequestLost,
            false => Fate::Answered,
        });
        let cx = run_on(&aws, "s");
        let killed = tokio::spawn(async move { Lock::take(&cx, &forever()).await });
        eventually(|| store.names("s").len() > claims).await;
        killed.abort();
        let _ = killed.await;
        store.hook("s", |_, _, _| Fate::Answered);
        assert!(!takes(&aws, "s").await, "the claim is alive");
        store.with("s", |part| part.ahead += LONG);
    }
    assert!(takes(&aws, "s").await);
    assert_eq!(store.names("s"), [""; 0]);
}

#[tokio::test]
async fn unlock_removes_the_lock_that_was_shown_and_no_other() {
    let (store, aws) = Store::serve().await;
    // Before which call of `unlock` the next run takes the lock.
    for (stack, at, refused) in [
        ("nobody", "", false),
        ("at-once", "GetParametersByPath", true),
        ("behind-the-look", "PutParameter", true),
        ("instead-of-the-delete", "DeleteParameter", false),
    ] {
        let cx = run_on(&aws, stack);
        for shown in [held("shown").to_string(), "by hand".to_owned()] {
            store.with(stack, |part| {
                part.parameters.clear();
                part.put("lock", &shown);
                part.hook = None;
            });
            let shown = lock::holder(&cx).await.expect("a look").expect("a lock");
            let mut first = true;
            store.hook(stack, move |operation, _, part| {
                if operation != at || !std::mem::take(&mut first) {
                    return Fate::Answered;
                }
                part.put("lock", &held("next").to_string());
                match operation {
                    "DeleteParameter" => Fate::RequestLost,
                    _ => Fate::Answered,
                }
            });
            let broken = lock::break_lock(&cx, &shown).await;
            assert_eq!(broken.is_err(), refused, "{stack}");
            let left: &[&str] = if at.is_empty() { &[] } else { &["lock"] };
            assert_eq!(store.names(stack), left, "{stack}");
        }
    }
}

#[tokio::test]
async fn an_api_is_left_when_the_last_work_on_it_has_ended() {
    let (store, aws) = Store::serve().await;
    let locks = |stack| {
        let cx = run_on(&aws, stack);
        ApiLocks::new(&cx, &forever(), Duration::ZERO)
    };
    let at = |stage: &str| ApiTarget::of_segment("abc", stage);
    let (one, other) = (locks("orders"), locks("partners"));
    assert_eq!(one.enter(&at("prod")).await, Ok(true));
    assert_eq!(one.enter(&at("prod")).await, Ok(false));
    assert_eq!(one.enter(&at("dev")).await, Ok(false));
    one.leave(&at("dev")).await.expect("left");
    let refused = other.enter(&at("prod")).await.expect_err("it is locked");
    let ResourceError::ApiLocked { what, hint } = refused.clone() else {
        panic!("{refused}");
    };
    assert!(
        what.starts_with("API abc is locked by stack orders: "),
        "{what}"
    );
    let hint = hint.expect("a next step");
    assert!(
        hint.contains("`threescale-gw unlock --stack orders`"),
        "{hint}"
    );
    let error = threescale_gw::error::Error::from(refused);
    assert_eq!(error.status(), ExitStatus::Refused);
    other.leave(&at("prod")).await.expect("nothing to leave");
    assert_eq!(store.names("_apis"), ["abc/lock"]);
    one.leave(&at("prod")).await.expect("left");
    assert_eq!(other.enter(&at("prod")).await, Ok(true));
    // A stack is not locked by the lock of its API.
    assert!(takes(&aws, "orders").await);
    other.release().await;
    assert_eq!(store.names("_apis"), [""; 0]);
}

#[tokio::test]
async fn a_wait_for_another_stack_ends_with_the_run() {
    let (_, aws) = Store::serve().await;
    let target = ApiTarget::of_segment("abc", "prod");
    let one = ApiLocks::new(&run_on(&aws, "orders"), &forever(), LONG_WAIT);
    assert_eq!(one.enter(&target).await, Ok(true));
    let cancel = forever();
    let other = ApiLocks::new(&run_on(&aws, "partners"), &cancel, LONG_WAIT);
    let stop = async {
        tokio::task::yield_now().await;
        cancel.interrupt();
    };
    let (entered, ()) = tokio::join!(other.enter(&target), stop);
    let error = entered.expect_err("stopped");
    assert_eq!(
        error.aws().map(|error| error.class),
        Some(threescale_gw::aws::Class::Stopped)
    );
    one.release().await;
}
