//! `sandbox`: the whole system on this machine, without an AWS or a 3scale account.
//!
//! An AWS emulator in which functions run, a real Redis, an API to protect, and then `up` by the ordinary code path with
//! an ordinary configuration file.

use std::path::{Path, PathBuf};

use super::session::{cache_dir, progress, target};
use super::{Ending, up};
use crate::aws::{Aws, example_api};
use crate::cli::{ChangeArgs, Global, SandboxArgs, UpArgs};
use crate::error::{Error, ExitStatus, Result};
use crate::event::{Event, Sink};
use crate::report;
use crate::sandbox::{ACCESS_KEY, REGION, Sandbox};

const API: &str = "orders-api";
const STAGE: &str = "prod";

/// Runs `sandbox` until it is interrupted.
pub(super) async fn run(global: &Global, args: &SandboxArgs, sink: Sink) -> Result<Ending> {
    let folder = cache_dir().join("sandbox");
    let mut sandbox = Sandbox::start(&folder, progress(&sink))
        .await
        .map_err(Error::failed)?;
    let worked = work(global, args, &folder, &mut sandbox, sink).await;
    sandbox.stop().await.map_err(Error::failed)?;
    worked
}

async fn work(
    global: &Global,
    args: &SandboxArgs,
    folder: &Path,
    sandbox: &mut Sandbox,
    sink: Sink,
) -> Result<Ending> {
    let global = Global {
        file: folder.join("threescale-gw.yaml"),
        region: Some(REGION.to_owned()),
        profile: None,
        endpoint_url: Some(sandbox.endpoint_url()),
        access_key: Some(ACCESS_KEY),
        ..global.clone()
    };
    let aws = Aws::connect(&target(&global, 10), sink.clone()).await?;
    let api_id = example_api::create(&aws, API, STAGE).await?;
    sink.emit(Event::Step {
        text: format!("made the API {API} ({api_id}) with a stage {STAGE}, open to everybody"),
    });
    write_config(&global.file)?;

    let change = ChangeArgs {
        yes: true,
        timeout: None,
        parallelism: 10,
    };
    let ending = up::run(&global, &UpArgs::new(change), sink.clone()).await?;
    if ending.status != ExitStatus::Done || args.once {
        return Ok(ending);
    }
    if let Some(text) = &ending.text {
        report::result(text);
    }
    report::result(&words(&global, &api_id));
    let why = tokio::select! {
        why = sandbox.ended() => Some(why),
        _ = tokio::signal::ctrl_c() => None,
    };
    match why {
        Some(why) => Err(Error::failed(why)),
        None => Ok(ExitStatus::Done.into()),
    }
}

/// The configuration, left behind to be edited.
fn write_config(path: &PathBuf) -> Result<()> {
    let text = include_str!("../../templates/sandbox.yaml");
    std::fs::write(path, text).map_err(|error| {
        Error::failed(anyhow::Error::new(error).context(format!("writing {}", path.display())))
    })
}

/// What to do with a sandbox that runs.
fn words(global: &Global, api_id: &str) -> String {
    let endpoint = global.endpoint_url.as_deref().unwrap_or_default();
    let url = format!("{endpoint}/_aws/execute-api/{api_id}/{STAGE}");
    let file = global.file.display();
    format!(
        "\nIts API asks for a key now, and its health check is open:\n  \
         curl -i {url}/orders\n  curl -i {url}/health\n\n\
         Look at it from another terminal:\n  \
         export AWS_ENDPOINT_URL={endpoint} AWS_REGION={REGION} AWS_ACCESS_KEY_ID={ACCESS_KEY} AWS_SECRET_ACCESS_KEY={ACCESS_KEY}\n  \
         threescale-gw status -f {file}\n\n\
         The configuration stands in {file}. Ctrl-C ends everything."
    )
}
