//! Connections that are opened in the background, so that one that takes longer than a caller can wait is not thrown
//! away, and the rule which connections are kept. To a server that is near, a connection is opened in the thread of the
//! request: another thread costs more than the connection.
//!
//! `ureq` opens connections within a request. Its traits for that are part of its `unversioned` API, so `Cargo.toml` pins
//! the minor version.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ChainedConnector, ConnectionDetails, Connector, NextTimeout, TcpConnector, Transport,
    time,
};

use crate::tls::Tls;

/// How long opening a connection can take, with all events that it lasts for.
const ATTEMPT: Duration = Duration::from_secs(10);
/// An unfinished connection that is older is not waited for: in a process that was frozen, the server has given it up.
const STALE: Duration = Duration::from_secs(5);
/// If an address has not answered by then, the next one is tried at the same time.
const STAGGER: Duration = Duration::from_millis(200);
/// How long an address that failed is tried after the others.
const FAILED: Duration = Duration::from_secs(60);
/// How long addresses are used before the name is resolved again. `ureq` resolves the host before every request, even if a
/// connection is open, in a new thread each time, which took longer than the rest of a request.
const RESOLVED: Duration = Duration::from_secs(20);
/// With TLS, a connection that took this long to open is kept. 3scale's own server has no TLS, so another server is in
/// front that can keep many connections.
const KEEP_TLS: Duration = Duration::from_millis(50);
/// Without TLS, the same. The thread of 3scale's own server waits for 0.2 s on a connection that is kept, and answers
/// no one else meanwhile.
const KEEP_PLAIN: Duration = Duration::from_millis(200);

/// The time from which on a connection is kept: opening another one costs a caller more than the kept one costs other
/// callers. A server to which one takes less time is near.
fn far(tls: bool) -> Duration {
    if tls { KEEP_TLS } else { KEEP_PLAIN }
}

/// Opens connections in the background and keeps unfinished ones for the next request.
#[derive(Clone)]
pub(crate) struct Background(Arc<Shared>);

struct Shared {
    inner: ChainedConnector<(), TcpConnector, Tls>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// By host and port.
    targets: HashMap<String, Target>,
    attempts: u64,
}

#[derive(Default)]
struct Target {
    /// The addresses, and when they were resolved.
    resolved: Option<(Instant, Vec<SocketAddr>)>,
    /// The addresses that failed, and when.
    failed: Vec<(SocketAddr, Instant)>,
    attempt: Option<Attempt>,
    /// Whether the last connection was opened so quickly that it is not kept.
    near: bool,
}

/// A connection that is being opened, or that is open and not used yet.
struct Attempt {
    number: u64,
    since: Instant,
    /// When it ended, and how.
    result: Option<(Instant, Result<Line, ureq::Error>)>,
}

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Background")
    }
}

impl Target {
    /// The addresses in the order in which they are tried: those that failed a short time ago are last.
    fn in_order(&mut self, addresses: &[SocketAddr]) -> Vec<SocketAddr> {
        self.failed.retain(|(_, since)| since.elapsed() < FAILED);
        let failed = |address: &SocketAddr| self.failed.iter().any(|(bad, _)| bad == address);
        let (last, mut first): (Vec<_>, Vec<_>) = addresses.iter().copied().partition(failed);
        first.extend(last);
        first
    }

    /// An address failed: the name is resolved again before the next attempt.
    fn forget(&mut self, address: SocketAddr) {
        self.resolved = None;
        self.failed.retain(|(bad, _)| *bad != address);
        self.failed.push((address, Instant::now()));
    }
}

impl Background {
    pub(crate) fn new(tls: Tls) -> Self {
        Self(Arc::new(Shared {
            inner: TcpConnector::default().chain(tls),
            state: Mutex::default(),
            changed: Condvar::new(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A poisoned lock is safe here: each value is replaced as a whole.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to open a connection to the server of a URL, and does not wait for it.
    pub(crate) fn begin(&self, url: &str, config: &Config) {
        let Ok(uri) = url.parse::<Uri>() else { return };
        let Some(target) = target(&uri) else { return };
        let mut state = self.lock();
        if state.target(&target).attempt.is_none() {
            self.start(&mut state, target, uri, None, config);
        }
    }

    /// Starts an attempt. Without addresses, its thread resolves the name.
    fn start(
        &self,
        state: &mut State,
        target: String,
        uri: Uri,
        addresses: Option<Vec<SocketAddr>>,
        config: &Config,
    ) -> u64 {
        state.attempts += 1;
        let number = state.attempts;
        state.target(&target).attempt = Some(Attempt {
            number,
            since: Instant::now(),
            result: None,
        });
        let (this, config) = (self.clone(), config.clone());
        let name = target.clone();
        let thread = std::thread::Builder::new()
            .name("connect".to_owned())
            .spawn(move || {
                let result = this.open(&target, &uri, addresses, &config);
                this.finish(&target, number, result);
            });
        if let Err(error) = thread {
            state.finish(&name, number, Err(error.into()));
        }
        number
    }

    fn finish(&self, target: &str, number: u64, result: Result<Line, ureq::Error>) {
        self.lock().finish(target, number, result);
        self.0.changed.notify_all();
    }

    fn open(
        &self,
        target: &str,
        uri: &Uri,
        addresses: Option<Vec<SocketAddr>>,
        config: &Config,
    ) -> Result<Line, ureq::Error> {
        let addresses = match addresses {
            Some(addresses) => addresses,
            None => {
                let resolved = self.resolve(uri, config, limit(ureq::Timeout::Resolve))?;
                resolved.to_vec()
            }
        };
        let addresses = self.lock().target(target).in_order(&addresses);
        let started = Instant::now();
        let transport = self.race(target, uri, &addresses, config)?;
        Ok(self.line(target, transport, started))
    }

    fn line(&self, target: &str, inner: Box<dyn Transport>, started: Instant) -> Line {
        let keep = started.elapsed() >= far(inner.is_tls());
        self.lock().target(target).near = !keep;
        Line { inner, keep }
    }

    /// Opens a connection in this thread, if the last one showed that the server is near. `None` if it is not, or if it
    /// takes longer this time: then the connection is opened in the background.
    fn at_once(
        &self,
        target: &str,
        details: &ConnectionDetails<'_>,
        deadline: Instant,
    ) -> Option<Line> {
        let addresses = {
            let mut state = self.lock();
            let target = state.target(target);
            if !std::mem::take(&mut target.near) {
                return None;
            }
            target.in_order(&details.addrs)
        };
        let address = *addresses.first()?;
        let started = Instant::now();
        let left = deadline.saturating_duration_since(started);
        let time = far(details.needs_tls()).min(left / 2);
        match self.one(details.uri, address, details.config, time) {
            Ok(transport) => Some(self.line(target, transport, started)),
            Err(_) => {
                self.lock().target(target).forget(address);
                None
            }
        }
    }

    /// Tries the addresses. One that does not answer does not use up the time of the others.
    fn race(
        &self,
        target: &str,
        uri: &Uri,
        addresses: &[SocketAddr],
        config: &Config,
    ) -> Result<Box<dyn Transport>, ureq::Error> {
        let (sender, receiver) = mpsc::channel();
        let mut waiting = addresses.iter().copied();
        let mut running: Vec<SocketAddr> = Vec::new();
        let mut last = ureq::Error::HostNotFound;
        loop {
            let next = waiting.next();
            if let Some(address) = next {
                running.push(address);
                let (this, uri, config) = (self.clone(), uri.clone(), config.clone());
                let sender = sender.clone();
                let attempt = move || {
                    // The receiver is gone if another address was faster.
                    let _ = sender.send((address, this.one(&uri, address, &config, ATTEMPT)));
                };
                if addresses.len() == 1 {
                    attempt();
                } else {
                    std::thread::Builder::new().spawn(attempt)?;
                }
            }
            if running.is_empty() {
                return Err(last);
            }
            let time = if waiting.len() > 0 { STAGGER } else { ATTEMPT };
            match receiver.recv_timeout(time) {
                Ok((address, Ok(transport))) => {
                    let mut state = self.lock();
                    let target = state.target(target);
                    target.failed.retain(|(bad, _)| *bad != address);
                    for slow in running.into_iter().filter(|slow| *slow != address) {
                        target.forget(slow);
                    }
                    return Ok(transport);
                }
                Ok((address, Err(error))) => {
                    self.lock().target(target).forget(address);
                    running.retain(|other| *other != address);
                    last = error;
                }
                Err(_) if waiting.len() > 0 => {}
                Err(_) => return Err(ureq::Error::Timeout(ureq::Timeout::Connect)),
            }
        }
    }

    fn one(
        &self,
        uri: &Uri,
        address: SocketAddr,
        config: &Config,
        time: Duration,
    ) -> Result<Box<dyn Transport>, ureq::Error> {
        let connect = |details: &ConnectionDetails<'_>| self.0.inner.connect(details, None);
        let transport = with_details(uri, &[address], config, time, connect)?;
        let transport = transport.ok_or(ureq::Error::ConnectionFailed)?;
        Ok(transport.boxed())
    }
}

/// Describes a connection to one of these addresses to ureq, and opens it with `connect`.
fn with_details<T>(
    uri: &Uri,
    addresses: &[SocketAddr],
    config: &Config,
    time: Duration,
    connect: impl FnOnce(&ConnectionDetails<'_>) -> T,
) -> T {
    let resolver = DefaultResolver::default();
    let mut addrs = resolver.empty();
    for address in addresses {
        addrs.push(*address);
    }
    connect(&ConnectionDetails {
        uri,
        addrs,
        config,
        request_level: false,
        resolver: &resolver,
        now: time::Instant::now(),
        timeout: NextTimeout {
            after: time_of(time),
            ..limit(ureq::Timeout::Connect)
        },
        current_time: Arc::new(time::Instant::now),
        run_connector: Arc::new(|_| Err(ureq::Error::ConnectionFailed)),
        register_shutdown: Arc::new(|_| Ok(())),
    })
}

impl State {
    fn target(&mut self, target: &str) -> &mut Target {
        if !self.targets.contains_key(target) {
            self.targets.insert(target.to_owned(), Target::default());
        }
        self.targets.entry(target.to_owned()).or_default()
    }

    fn finish(&mut self, target: &str, number: u64, result: Result<Line, ureq::Error>) {
        if let Some(attempt) = &mut self.target(target).attempt
            && attempt.number == number
        {
            attempt.result = Some((Instant::now(), result));
        }
    }
}

impl Connector for Background {
    type Out = Line;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<Line>, ureq::Error> {
        let deadline = Instant::now() + *details.timeout.after.min(time_of(ATTEMPT));
        let target = target(details.uri).ok_or(ureq::Error::ConnectionFailed)?;
        let mut own = None;
        let mut state = self.lock();
        loop {
            let attempt = &mut state.target(&target).attempt;
            match attempt.take() {
                Some(Attempt {
                    number,
                    result: Some((ended, result)),
                    ..
                }) => match result {
                    Ok(mut line) => {
                        let fresh = ended.elapsed() < details.config.max_idle_age();
                        if own == Some(number) || (fresh && line.is_alive()) {
                            return Ok(Some(line));
                        }
                    }
                    // An error of an earlier request says nothing about now.
                    Err(error) if own == Some(number) => return Err(error),
                    Err(_) => {}
                },
                Some(unfinished) if unfinished.since.elapsed() < STALE => {
                    own = own.or(Some(unfinished.number));
                    *attempt = Some(unfinished);
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err(ureq::Error::Timeout(ureq::Timeout::Connect));
                    }
                    let changed = &self.0.changed;
                    state = changed
                        .wait_timeout(state, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0;
                }
                _ => {
                    drop(state);
                    if own.is_none()
                        && let Some(line) = self.at_once(&target, details, deadline)
                    {
                        return Ok(Some(line));
                    }
                    state = self.lock();
                    let addresses = details.addrs.to_vec();
                    let uri = details.uri.clone();
                    let number = self.start(
                        &mut state,
                        target.clone(),
                        uri,
                        Some(addresses),
                        details.config,
                    );
                    own = Some(number);
                }
            }
        }
    }
}

impl Resolver for Background {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let target = target(uri);
        if let Some(target) = &target
            && let Some((since, addresses)) = &self.lock().target(target).resolved
            && since.elapsed() < RESOLVED
        {
            let mut result = self.empty();
            for address in addresses {
                result.push(*address);
            }
            return Ok(result);
        }
        // Not under the lock: another request can wait for less time than this one.
        let result = DefaultResolver::default()
            .resolve(uri, config, timeout)
            .map_err(|error| match error {
                ureq::Error::Timeout(_) => ureq::Error::Timeout(ureq::Timeout::Resolve),
                // The system's resolver returns this for an unknown name.
                ureq::Error::Io(_) => ureq::Error::HostNotFound,
                other => other,
            })?;
        if let Some(target) = &target {
            self.lock().target(target).resolved = Some((Instant::now(), result.to_vec()));
        }
        Ok(result)
    }
}

fn target(uri: &Uri) -> Option<String> {
    let (scheme, authority) = uri.scheme().zip(uri.authority())?;
    let place = DefaultResolver::host_and_port(scheme, authority)?;
    Some(format!("{scheme}://{place}"))
}

fn time_of(duration: Duration) -> time::Duration {
    time::Duration::Exact(duration)
}

fn limit(reason: ureq::Timeout) -> NextTimeout {
    NextTimeout {
        after: time_of(ATTEMPT),
        reason,
        ..NextTimeout::default()
    }
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Line {
    inner: Box<dyn Transport>,
    keep: bool,
}

impl Line {
    /// Whether a connection that was not used yet is open. A server with TLS sends session tickets after the handshake,
    /// which `ureq` takes for the rest of another answer, so they are read first.
    fn is_alive(&mut self) -> bool {
        if !self.inner.is_tls() {
            return self.inner.is_open();
        }
        let moment = NextTimeout {
            after: time_of(Duration::from_millis(1)),
            ..limit(ureq::Timeout::Connect)
        };
        match self.inner.await_input(moment) {
            Err(ureq::Error::Timeout(_)) => true,
            Err(ureq::Error::Io(error)) => matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
            ),
            // The connection has ended, or the server answers without a question.
            Ok(_) | Err(_) => false,
        }
    }
}

#[cfg(test)]
impl Line {
    /// A connection that is kept.
    pub(crate) fn kept(inner: Box<dyn Transport>) -> Self {
        Self { inner, keep: true }
    }
}

impl Transport for Line {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.inner
            .transmit_output(amount, timeout)
            .map_err(|error| match error {
                ureq::Error::Io(error) => ureq::Error::Other(Box::new(NotSent(error))),
                other => other,
            })
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.inner.await_input(timeout)
    }

    /// `ureq` closes a connection after its request unless it is open.
    fn is_open(&mut self) -> bool {
        self.keep && self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

/// The request could not be sent as a whole, so the server cannot have carried it out.
#[derive(Debug)]
pub(crate) struct NotSent(pub(crate) io::Error);

impl fmt::Display for NotSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for NotSent {}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri() -> Uri {
        "http://3scale.test/".parse().expect("a URI")
    }

    /// Opens a connection as a request does that has this much time.
    fn connect(
        background: &Background,
        addresses: &[SocketAddr],
        time: Duration,
    ) -> Result<Option<Line>, ureq::Error> {
        let config = ureq::Agent::config_builder().build();
        with_details(&uri(), addresses, &config, time, |details| {
            background.connect(details, None)
        })
    }

    fn good() -> (SocketAddr, std::net::TcpListener) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        (listener.local_addr().expect("address"), listener)
    }

    const LONG: Duration = Duration::from_secs(20);

    fn background() -> Background {
        Background::new(Tls::new(crate::http::store(None)))
    }

    #[test]
    fn a_near_server_needs_no_other_thread() {
        let (address, _listener) = good();
        let background = background();
        let name = target(&uri()).expect("a target");
        for _ in 0..3 {
            let line = connect(&background, &[address], LONG).expect("a connection");
            assert!(line.is_some());
            // A busy machine may have made it look far.
            background.lock().target(&name).near = true;
        }
        assert_eq!(background.lock().attempts, 1, "only the first one");
    }

    #[test]
    fn an_unfinished_connection_to_a_server_that_was_near_is_not_thrown_away() {
        let (hangs, _held) = crate::redis::full_backlog();
        let background = background();
        let name = target(&uri()).expect("a target");
        background.lock().target(&name).near = true;
        for _ in 0..2 {
            let result = connect(&background, &[hangs], far(false) + STAGGER);
            assert!(matches!(
                result,
                Err(ureq::Error::Timeout(ureq::Timeout::Connect))
            ));
            let mut state = background.lock();
            assert_eq!(state.attempts, 1);
            assert!(state.target(&name).attempt.is_some());
        }
    }

    #[test]
    fn another_address_is_tried_if_a_server_that_was_near_hangs() {
        let (address, _listener) = good();
        let (hangs, _held) = crate::redis::full_backlog();
        let background = background();
        let name = target(&uri()).expect("a target");
        background.lock().target(&name).near = true;
        let line = connect(&background, &[hangs, address], LONG).expect("a connection");
        assert!(line.is_some());
        let mut state = background.lock();
        let order = state.target(&name).in_order(&[hangs, address]);
        assert_eq!(order, [address, hangs]);
    }

    #[test]
    fn addresses_that_failed_are_last() {
        let address = |n: u8| SocketAddr::from(([192, 0, 2, n], 443));
        let mut target = Target {
            resolved: Some((Instant::now(), vec![address(1), address(2)])),
            ..Target::default()
        };
        let all = [address(1), address(2), address(3)];
        assert_eq!(target.in_order(&all), all);
        target.forget(address(1));
        assert!(target.resolved.is_none());
        assert_eq!(target.in_order(&all), [address(2), address(3), address(1)]);
    }

    #[test]
    fn an_address_that_hangs_does_not_use_up_the_time() {
        let (good, _listener) = good();
        let (hangs, _held) = crate::redis::full_backlog();
        let background = background();
        let config = ureq::Agent::config_builder().build();
        let name = target(&uri()).expect("a target");
        let transport = background.race(&name, &uri(), &[hangs, good], &config);
        assert!(transport.is_ok());
        let mut state = background.lock();
        assert_eq!(state.target(&name).in_order(&[hangs, good]), [good, hangs]);
    }
}
