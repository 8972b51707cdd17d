//! `list`: shows the stacks of the account, in one Region or in all.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use jiff::Timestamp;

use super::session::{caller, names, target};
use crate::aws::account::CallerIdentity;
use crate::aws::{Aws, AwsError, Class};
use crate::cli::{Format, Global, ListArgs};
use crate::error::{ExitStatus, Result};
use crate::event::Sink;
use crate::report::list::{Listed, Row};
use crate::report::style::Style;
use crate::resource::api_attachment::record;
use crate::resource::billed::billed;
use crate::resource::stacks::{self, Found};
use crate::resource::{Context, ResourceError};
use crate::{api_gateway, prices, report};

/// How many Regions are looked at concurrently.
const REGIONS: usize = 8;

/// Runs `list`.
pub(super) async fn run(global: &Global, args: &ListArgs, sink: Sink) -> Result<ExitStatus> {
    let now = Timestamp::now();
    let has_expired = |found: &Found| is_expired(found, now, Duration::ZERO);
    let is_listed = |found: &Found| !args.expired || has_expired(found);
    let mut looked = look(global, 10, args.all_regions, false, &sink, is_listed).await?;
    looked.listed.only_expired = args.expired;
    let listed = &looked.listed;
    match global.output {
        Format::Text | Format::Markdown => {
            report::text(&listed.table(&Style::stdout(global), now));
        }
        Format::Json => report::document(listed.document()),
    }
    Ok(ExitStatus::Done)
}

/// Whether the stack has expired, at least `since` ago.
pub(super) fn is_expired(found: &Found, now: Timestamp, since: Duration) -> bool {
    found
        .expiry
        .is_some_and(|expiry| expiry.has_passed(now, since))
}

/// What a look at the account has found.
pub(super) struct Looked {
    pub(super) listed: Listed,
    pub(super) caller: CallerIdentity,
    /// The connections to the Regions.
    pub(super) connections: BTreeMap<String, Aws>,
    /// Stacks that have nothing but a lock, with their Regions.
    pub(super) only_locked: Vec<(String, String)>,
}

/// Looks at one Region, or at all. Of the stacks for which `is_listed` returns true, the details are read. With `needs_expiry`, it is
/// an error if it may not be read when stacks expire.
pub(super) async fn look(
    global: &Global,
    parallelism: u16,
    all_regions: bool,
    needs_expiry: bool,
    sink: &Sink,
    is_listed: impl Fn(&Found) -> bool,
) -> Result<Looked> {
    let here = target(global, parallelism);
    let aws = Aws::connect(&here, sink.clone()).await?;
    let caller = caller(&aws).await?;
    let mut looked = Looked {
        listed: Listed {
            account: caller.account.clone(),
            ..Listed::default()
        },
        caller,
        connections: BTreeMap::new(),
        only_locked: Vec::new(),
    };
    let mut regions = vec![aws.region.clone()];
    if all_regions {
        let (enabled, disabled) = aws.regions().await?;
        regions = enabled;
        looked.listed.disabled = disabled;
    }
    let (is_listed, caller) = (&is_listed, &looked.caller);
    let of_regions = stream::iter(regions.iter().map(|region| {
        let aws = &aws;
        async move {
            let aws = aws.in_region(region).await;
            let of_region = of_region(&aws, caller, needs_expiry, sink, is_listed).await;
            (aws, of_region)
        }
    }))
    .buffered(REGIONS)
    .collect::<Vec<_>>()
    .await;
    // The credentials are accepted, so an error is one of its Region: an organization can deny a Region as a whole, and
    // Regions that an account must enable do not accept session tokens of the global endpoint of STS.
    let is_skipped = all_regions && !of_regions.iter().all(|(_, found)| found.is_err());
    for (aws, of_region) in of_regions {
        let region = aws.region.clone();
        match of_region {
            Ok(OfRegion {
                rows,
                only_locked,
                notices,
            }) => {
                looked.listed.rows.extend(rows);
                let locked = only_locked.into_iter();
                looked
                    .only_locked
                    .extend(locked.map(|stack| (region.clone(), stack)));
                for notice in notices {
                    if !looked.listed.notices.contains(&notice) {
                        looked.listed.notices.push(notice);
                    }
                }
                looked.connections.insert(region, aws);
            }
            Err(ResourceError::Aws(error)) if all_regions && error.class == Class::Denied => {
                looked.listed.denied.push((region, error.to_string()));
            }
            Err(error) if is_skipped => looked.listed.failed.push((region, error.to_string())),
            Err(error) => return Err(error.into()),
        }
    }
    looked.listed.regions = regions;
    Ok(looked)
}

/// The stacks of a Region, and what is not known.
struct OfRegion {
    rows: Vec<Row>,
    only_locked: Vec<String>,
    notices: Vec<String>,
}

async fn of_region(
    aws: &Aws,
    caller: &CallerIdentity,
    needs_expiry: bool,
    sink: &Sink,
    is_listed: impl Fn(&Found) -> bool,
) -> Result<OfRegion, ResourceError> {
    let mut stacks = stacks::all(aws).await?;
    let unread = |error: &AwsError| {
        format!(
            "a stack without parameters, which an interrupted `down` can leave, may be missing: {error}"
        )
    };
    let mut notices: Vec<_> = stacks.unread.iter().map(unread).collect();
    match stacks::read_expiries(aws, &mut stacks.found).await {
        Err(error) if error.class == Class::Denied && !needs_expiry => {
            notices.push(format!("when stacks expire is not known: {error}"));
        }
        read => read?,
    }
    let only_locked = stacks.found.iter();
    let only_locked = only_locked.filter(|(_, found)| found.is_locked && !found.has_parameters);
    let only_locked = only_locked.map(|(stack, _)| stack.clone()).collect();
    stacks.found.retain(|_, found| is_listed(found));
    let mut api_names = BTreeMap::new();
    if stacks.found.values().any(|found| !found.targets.is_empty()) {
        match api_gateway::all(aws).await {
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
        let cx = Context::new(
            aws.clone(),
            names,
            BTreeMap::new(),
            Vec::new(),
            sink.clone(),
        );
        let (row, unknown) = row(&cx, found, &api_names).await?;
        rows.push(row);
        notices.extend(unknown);
    }
    Ok(OfRegion {
        rows,
        only_locked,
        notices,
    })
}

/// What there is to say about a stack. What cannot be read is not known.
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
            expiry: found.expiry,
        },
        notices,
    ))
}
