//! Repeats requests until every response is as expected, or the time for a deployment to propagate is over.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use tokio::time::Instant;

use super::http::Client;
use super::judge::judge;
use super::probes::Probe;
use super::report::{Check, Fault, Report, Row, all_unmapped, conclude};

/// The maximum number of concurrent requests.
const AT_ONCE: usize = 8;
/// The first and the longest wait before a failed request is repeated.
const AGAIN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(2));

/// Sends the requests. A failed request is repeated for up to `settle`, and must then succeed twice in a row, because a
/// deployment might not reach all of API Gateway's servers at once. `on_retry` receives the reason and the delay.
pub async fn prove(
    url: &str,
    probes: Vec<Probe>,
    custom_responses_active: bool,
    settle: Duration,
    on_retry: impl Fn(String, Duration),
) -> Report {
    let client = Client::new(url);
    let probes: Arc<[Probe]> = probes.into();
    let mut rows: Vec<Option<Row>> = vec![None; probes.len()];
    let mut open: BTreeSet<usize> = (0..probes.len()).collect();
    let mut doubtful = BTreeSet::new();
    let until = Instant::now() + settle;
    let mut wait = AGAIN.0;
    loop {
        let asked = stream::iter(open.clone())
            .map(|index| {
                ask(
                    client.clone(),
                    Arc::clone(&probes),
                    index,
                    custom_responses_active,
                )
            })
            .buffer_unordered(AT_ONCE)
            .collect::<Vec<_>>()
            .await;
        for (index, row) in asked {
            match row.verdict {
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
    Report {
        url: url.to_owned(),
        rows,
        ..Report::default()
    }
}

async fn ask(
    client: Client,
    probes: Arc<[Probe]>,
    index: usize,
    custom_responses_active: bool,
) -> (usize, Row) {
    let asked = Arc::clone(&probes);
    let answer = tokio::task::spawn_blocking(move || client.ask(&asked[index]))
        .await
        .unwrap_or_else(|error| Err(error.to_string()));
    let probe = &probes[index];
    let row = Row {
        label: probe.label.clone(),
        check: probe.check,
        verb: probe.verb.clone(),
        status: answer.as_ref().ok().map(|answer| answer.status),
        verdict: match &answer {
            Ok(answer) => judge(probe.check, answer, custom_responses_active),
            Err(cause) => Err((Fault::Unreachable, cause.clone())),
        },
    };
    (index, row)
}
