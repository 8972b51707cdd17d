//! The dashboard of CloudWatch. Dashboards are global: their names are unique in an account.

use std::collections::BTreeMap;

use super::alarm::{is_watched, needs, tag, tags_of, to_tags};
use super::{
    Context, Diff, Field, Identity, Listing, Resource, ResourceError, ResourceKind, Unmanaged,
};
use crate::aws::{AwsError, optional, tags};
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::monitoring::same_body;

const BODY: Field = Field::Property("widgets");

/// The name within the stack.
pub const NAME: &str = "main";

/// The actual dashboard.
#[derive(Debug, Clone)]
pub struct Actual {
    id: LogicalId,
    dashboard: String,
    body: String,
    tags: BTreeMap<String, String>,
}

/// Dashboards of CloudWatch.
#[derive(Debug)]
pub struct Dashboards;

impl ResourceKind for Dashboards {
    type Actual = Actual;
    const KIND: Kind = Kind::Dashboard;

    async fn fetch(cx: &Context) -> Result<Listing<Actual>, ResourceError> {
        let mut listing = Listing::default();
        if !is_watched(cx).await? {
            return Ok(listing);
        }
        let dashboard = cx.names().dashboard();
        let request = cx
            .aws()
            .cloudwatch
            .get_dashboard()
            .dashboard_name(&dashboard);
        let answer = optional(
            cx.aws()
                .call_idempotent("cloudwatch:GetDashboard", || request.clone().send())
                .await,
        )?;
        let Some(found) = answer else {
            return Ok(listing);
        };
        let tags = tags_of(cx, &cx.names().dashboard_arn()).await?;
        match tags::owner(&cx.names().stack, &tags) {
            Some(id) => listing.owned.push(Actual {
                id,
                dashboard,
                body: found.dashboard_body.unwrap_or_default(),
                tags,
            }),
            None => {
                listing
                    .unmanaged
                    .push(Unmanaged::named(Kind::Dashboard, NAME, dashboard, &tags))
            }
        }
        Ok(listing)
    }

    fn identify(actual: &Actual) -> Identity {
        Identity::ready(actual.id.clone(), actual.dashboard.clone())
    }

    async fn delete(cx: &Context, actual: &Actual) -> Result<(), ResourceError> {
        let request = cx
            .aws()
            .cloudwatch
            .delete_dashboards()
            .dashboard_names(&actual.dashboard);
        optional(
            cx.aws()
                .call_idempotent("cloudwatch:DeleteDashboards", || request.clone().send())
                .await,
        )?;
        Ok(())
    }
}

/// The desired dashboard.
#[derive(Debug)]
pub struct Dashboard {
    /// JSON.
    pub body: String,
}

impl Dashboard {
    async fn put(
        &self,
        cx: &Context,
        tags: Option<BTreeMap<String, String>>,
    ) -> Result<(), ResourceError> {
        let request = cx
            .aws()
            .cloudwatch
            .put_dashboard()
            .dashboard_name(cx.names().dashboard())
            .dashboard_body(&self.body)
            .set_tags(tags.map(to_tags));
        let answer = cx
            .aws()
            .call_idempotent("cloudwatch:PutDashboard", || request.clone().send())
            .await?;
        // A message is a warning about a widget: CloudWatch shows the dashboard without it.
        let message = answer.dashboard_validation_messages().first();
        match message.and_then(|message| message.message()) {
            Some(message) => Err(AwsError::incomplete("cloudwatch:PutDashboard", message).into()),
            None => Ok(()),
        }
    }
}

impl Resource for Dashboard {
    type Kind = Dashboards;

    fn name(&self) -> &str {
        NAME
    }

    fn needs(&self) -> Vec<LogicalId> {
        needs()
    }

    fn diff(&self, cx: &Context, actual: &Actual) -> Diff {
        let mut diff = Diff::default();
        if !same_body(&actual.body, &self.body) {
            diff.field(BODY, "changed", "those of this version");
        }
        diff.tags(&cx.tags(&actual.id), &actual.tags);
        diff
    }

    async fn create(&self, cx: &Context) -> Result<(), ResourceError> {
        let tags = cx.tags(&LogicalId::new(Kind::Dashboard, NAME));
        self.put(cx, Some(tags)).await
    }

    async fn update(
        &self,
        cx: &Context,
        actual: &Actual,
        diff: &Diff,
    ) -> Result<(), ResourceError> {
        if diff.has(&BODY) {
            // CloudWatch ignores tags for a dashboard that exists.
            self.put(cx, None).await?;
        }
        let missing = tags::missing(&cx.tags(&actual.id), &actual.tags);
        tag(cx, &cx.names().dashboard_arn(), missing).await
    }
}
