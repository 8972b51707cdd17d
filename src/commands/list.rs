//! `list`: shows the stacks of the account, in one Region or in all.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::session::{caller, names, target};
use crate::aws::account::CallerIdentity;
use crate::aws::{Aws, AwsError, Class, Target};
use crate::cli::{Format, Global, ListArgs};
use crate::error::{ExitStatus, Result};
use crate::event::Sink;
use crate::report::list::{Listed, Row};
use crate::report::style::Style;
use crate::resource::api_attachment::record;
use crate::resource::billed::billed;
use crate::resource::stacks::{self, Found};
use crate::resource::{Context, ResourceError};
use crate::{prices, report, rest_api};

/// How many Regions are looked at concurrently.
const REGIONS: usize = 8;

/// Runs `list`.
pub(super) async fn run(global: &Global, args: &ListArgs, sink: Sink) -> Result<ExitStatus> {
    let here = target(global, 10);
    let aws = Aws::connect(&here, sink.clone()).await?;
    let caller = caller(&aws).await?;
    let mut listed = Listed {
        account: caller.account.clone(),
        ..Listed::default()
    };
    let mut regions = vec![aws.region.clone()];
    if args.all_regions {
        let (enabled, disabled) = aws.regions().await?;
        regions = enabled;
        listed.disabled = disabled;
    }
    let looked = stream::iter(regions.iter().cloned().map(|region| {
        let (sink, caller) = (sink.clone(), &caller);
        let there = Target {
            region: Some(region.clone()),
            ..here.clone()
        };
        async move {
            let aws = Aws::connect(&there, sink.clone()).await?;
            match look(&aws, caller, &sink).await {
                // An organization can deny a Region as a whole.
                Err(ResourceError::Aws(error))
                    if args.all_regions && error.class == Class::Denied =>
                {
                    Ok((region, Err(error)))
                }
                looked => Ok::<_, crate::error::Error>((region, Ok(looked?))),
            }
        }
    }))
    .buffered(REGIONS)
    .try_collect::<Vec<_>>()
    .await?;
    for (region, looked) in looked {
        match looked {
            Ok((rows, notices)) => {
                listed.rows.extend(rows);
                for notice in notices {
                    if !listed.notices.contains(&notice) {
                        listed.notices.push(notice);
                    }
                }
            }
            Err(error) => listed.denied.push((region, error.to_string())),
        }
    }
    listed.regions = regions;
    match global.output {
        Format::Text => {
            let table = listed.table(&Style::stdout(global), jiff::Timestamp::now());
            report::result(&table);
        }
        Format::Json => report::document(listed.document()),
    }
    Ok(ExitStatus::Done)
}

/// The stacks of a Region, and what is not known.
async fn look(
    aws: &Aws,
    caller: &CallerIdentity,
    sink: &Sink,
) -> Result<(Vec<Row>, Vec<String>), ResourceError> {
    let stacks = stacks::all(aws).await?;
    let unread = |error: &AwsError| {
        format!(
            "a stack without parameters, which an interrupted `down` can leave, may be missing: {error}"
        )
    };
    let mut notices: Vec<_> = stacks.unread.iter().map(unread).collect();
    let mut api_names = BTreeMap::new();
    if stacks.found.values().any(|found| !found.targets.is_empty()) {
        match rest_api::all(aws).await {
            Ok(apis) => api_names.extend(apis.into_iter().map(|api| (api.id, api.name))),
            Err(error) if error.class == Class::Denied => {
                notices.push(format!("the names of the APIs are not known: {error}"));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let mut rows = Vec::new();
    for (name, found) in stacks.found {
        let names = names(&name, aws, caller);
        let cx = Context::new(aws.clone(), names, BTreeMap::new(), None, sink.clone());
        let (row, unknown) = row(&cx, found, &api_names).await?;
        rows.push(row);
        notices.extend(unknown);
    }
    Ok((rows, notices))
}

/// What there is to say about a stack. What may not be read is not known.
async fn row(
    cx: &Context,
    found: Found,
    api_names: &BTreeMap<String, String>,
) -> Result<(Row, Vec<String>), ResourceError> {
    let stack = cx.names().stack.clone();
    let mut notices = Vec::new();
    let mut denied = |what: &str, error: ResourceError| match error {
        ResourceError::Aws(error) if error.class == Class::Denied => {
            notices.push(format!("{what} of stack {stack} is not known: {error}"));
            Ok(())
        }
        error => Err(error),
    };
    let (costs, version) = tokio::join!(billed(cx), record::verified_by(cx, &found.targets));
    let costs = match costs {
        Ok(billed) => Some(prices::of_account(&billed)),
        Err(error) => denied("the cost", error).map(|()| None)?,
    };
    let version = match version {
        Ok(version) => version,
        Err(error) => denied("the version", error).map(|()| None)?,
    };
    let apis = found.targets.into_iter().map(|target| {
        let name = api_names.get(&target.id).cloned();
        (target, name)
    });
    Ok((
        Row {
            stack: stack.clone(),
            region: cx.names().region.clone(),
            apis: apis.collect(),
            created: found.created,
            created_by: found.created_by,
            version,
            costs,
            is_locked: found.is_locked,
        },
        notices,
    ))
}
