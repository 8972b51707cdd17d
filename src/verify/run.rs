//! Repeats requests until every response is as expected, or the time for a deployment to propagate is over.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use tokio::time::Instant;

use super::answer::{Answer, Refusals};
use super::before::Before;
use super::http::Client;
use super::judge::judge;
use super::probes::Probe;
use super::report::{Check, Fault, Report, Row, all_unmapped, conclude};
use super::route_judge;
use crate::api_gateway::Protocol;

/// The maximum number of concurrent requests.
const AT_ONCE: usize = 8;
/// The first and the longest wait before a failed request is repeated.
const AGAIN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(2));

/// Why nothing is verified if the API's resource policy refuses every request.
const NOT_ADMITTED: &str = "the API's resource policy refuses requests from the address of this machine: run `threescale-gw verify` from an address that it admits";

/// Sends the requests. A failed request is repeated for up to `settle`, and must then succeed twice in a row, because a
/// deployment might not reach all of API Gateway's servers at once. `before`: what is known about the API before the
/// change. `on_retry` receives the reason and the delay.
pub async fn prove(
    (url, protocol): (&str, Protocol),
    probes: Vec<Probe>,
    refusals: Refusals,
    settle: Duration,
    before: &Before,
    on_retry: impl Fn(String, Duration),
) -> Report {
    let client = Client::new(url, protocol);
    // Nothing is refused by an authorizer that observes, so a request with another method would change something.
    let is_sent = |probe: &Probe| !refusals.are_observed || probe.is_safe();
    let probes: Arc<[Probe]> = probes.into_iter().filter(is_sent).collect();
    let mut rows: Vec<Option<Row>> = vec![None; probes.len()];
    let mut open: BTreeSet<usize> = (0..probes.len()).collect();
    let mut doubtful = BTreeSet::new();
    let mut refused = vec![false; probes.len()];
    let until = Instant::now() + settle;
    let mut wait = AGAIN.0;
    loop {
        for (index, answer) in ask_all(&client, &probes, open.clone()).await {
            let row = judged(&probes[index], &answer, refusals);
            if let Some(place) = refused.get_mut(index) {
                *place = answer.as_ref().is_ok_and(Answer::is_forbidden);
            }
            let row = match refusals.are_observed {
                true => before.compare_observed(row, answer.as_ref().ok()),
                false => before.compare(row, answer.as_ref().ok()),
            };
            match row.verdict {
                // Another request from here has the same answer.
                Err((Fault::NotAdmitted, _)) => {
                    open.remove(&index);
                }
                // Succeeded at the first attempt, or for the second time in a row.
                Ok(_) if !doubtful.contains(&index) => {
                    open.remove(&index);
                }
                Ok(_) => {
                    doubtful.remove(&index);
                }
                Err(_) => {
                    doubtful.insert(index);
                }
            }
            if let Some(place) = rows.get_mut(index) {
                *place = Some(row);
            }
        }
        // A function with the previous mapping rules might have responded.
        if open.is_empty() && all_unmapped(rows.iter().flatten()) {
            open.extend((0..probes.len()).filter(|index| probes[*index].check != Check::Open));
            doubtful.clone_from(&open);
        }
        let now = Instant::now();
        if open.is_empty() || now >= until {
            break;
        }
        let pause = wait.min(until - now);
        let text = format!(
            "{} of {} requests do not have the expected result yet",
            open.len(),
            probes.len()
        );
        on_retry(text, pause);
        tokio::time::sleep(pause).await;
        wait = (wait * 2).min(AGAIN.1);
    }
    let mut rows: Vec<_> = rows.into_iter().flatten().collect();
    conclude(&mut rows);
    if protocol != Protocol::Rest {
        route_judge::tell_integrations(&mut rows);
    }
    let skipped = rows
        .iter()
        .all(Row::is_not_admitted)
        .then(|| NOT_ADMITTED.to_owned())
        .filter(|_| !rows.is_empty());
    if skipped.is_some() {
        rows.clear();
    }
    Report {
        url: url.to_owned(),
        rows,
        all_forbidden: !refused.is_empty() && refused.iter().all(|refused| *refused),
        skipped,
        ..Report::default()
    }
}

/// Sends each request once before a change, except those that are not safe, and none if the API cannot be reached. `open`:
/// the labels of the methods that require no authorization.
pub async fn ask_before(
    (url, protocol): (&str, Protocol),
    probes: &[Probe],
    open: BTreeSet<String>,
) -> Before {
    let safe: Arc<[Probe]> = probes
        .iter()
        .filter(|probe| probe.is_safe())
        .cloned()
        .collect();
    let client = Client::new(url, protocol);
    let mut answers = ask_all(&client, &safe, 0..safe.len().min(1)).await;
    if answers.iter().all(|(_, answer)| answer.is_ok()) {
        answers.extend(ask_all(&client, &safe, 1..safe.len()).await);
    }
    let answers = answers.into_iter().filter_map(|(index, answer)| {
        let probe = &safe[index];
        Some(((probe.label.clone(), probe.check), answer.ok()?))
    });
    Before::of(answers, open)
}

/// Sends the requests with these indices.
async fn ask_all(
    client: &Client,
    probes: &Arc<[Probe]>,
    indices: impl IntoIterator<Item = usize>,
) -> Vec<(usize, Result<Answer, String>)> {
    let indices: Vec<_> = indices.into_iter().collect();
    let ask = |index: usize| {
        let (client, probes) = (client.clone(), Arc::clone(probes));
        async move {
            let asked = tokio::task::spawn_blocking(move || client.ask(&probes[index])).await;
            (index, asked.unwrap_or_else(|error| Err(error.to_string())))
        }
    };
    stream::iter(indices)
        .map(ask)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await
}

fn judged(probe: &Probe, answer: &Result<Answer, String>, refusals: Refusals) -> Row {
    let mut row = Row {
        label: probe.label.clone(),
        check: probe.check,
        verb: probe.verb.clone(),
        status: answer.as_ref().ok().map(|answer| answer.status),
        request_id: answer
            .as_ref()
            .ok()
            .and_then(|answer| answer.request_id.clone()),
        verdict: match answer {
            Ok(answer) => judge(probe.check, answer, refusals),
            Err(cause) => Err((Fault::Unreachable, cause.clone())),
        },
        as_before: false,
    };
    if answer
        .as_ref()
        .is_ok_and(|answer| answer.protocol != Protocol::Rest)
    {
        route_judge::correct(&mut row, probe, refusals);
    }
    row
}
