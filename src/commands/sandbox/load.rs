//! `sandbox --load` and `--chaos`: runs a load and prints its results.

use crate::cli::{Format, Global, SandboxArgs};
use crate::commands::session::cache_dir;
use crate::error::{Error, ExitStatus, Result};
use crate::report;
use crate::report::load::{LoadDisplay, document, text};
use crate::sandbox::load_run::{self, LoadEvent, LoadOptions};
use crate::sandbox::running::Running;

/// The rate of a run with `--chaos` and without `--load`, in requests per second.
const RATE: u32 = 500;

/// Runs the load and prints its results. The status is a failure if a request got no answer, or if 3scale counted
/// something else than what was allowed.
pub(super) async fn run(
    global: &Global,
    args: &SandboxArgs,
    running: &mut Running,
    path: &str,
) -> Result<ExitStatus> {
    let options = LoadOptions {
        rate: args.load.unwrap_or(RATE),
        duration: args.duration,
        chaos: args.chaos,
        path: path.to_owned(),
        builds: args.build,
        cache: cache_dir().map_err(Error::failed)?,
    };
    let mut display = LoadDisplay::new(global, options.rate);
    display.begin(&running.facts, options.duration);
    let mut show = |event: LoadEvent<'_>| display.show(&event);
    let outcome = load_run::run(running, &options, &mut show).await;
    let outcome = outcome.map_err(Error::failed)?;
    match global.output {
        Format::Json => report::document(document(&outcome, &options)),
        Format::Text | Format::Markdown => report::text(&text(&outcome, options.chaos)),
    }
    Ok(match outcome.agrees() && outcome.unanswered == 0 {
        true => ExitStatus::Done,
        false => ExitStatus::Failed,
    })
}
