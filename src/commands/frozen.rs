//! Stages whose automatic deployment is still off when a command ends.

use crate::api_gateway::{ApiTarget, Protocol};
use crate::notice::NoticeCode;
use crate::resource::Context;
use crate::resource::api_attachment::automatic;

/// Says which of `stages` a run of this stack has frozen and none has thawed.
pub(super) async fn tell<'a>(cx: &Context, stages: impl IntoIterator<Item = &'a ApiTarget>) {
    for (code, text) in notices(cx, stages).await {
        cx.sink().finding(code, text);
    }
}

/// The same as notices. What cannot be read is no error: the command has ended.
pub(super) async fn notices<'a>(
    cx: &Context,
    stages: impl IntoIterator<Item = &'a ApiTarget>,
) -> Vec<(NoticeCode, String)> {
    let mut notices = Vec::new();
    for target in stages {
        // A stage of a REST API has no automatic deployment.
        if target.protocol != Protocol::Rest
            && let Ok(true) = automatic::is_left_frozen(cx, target).await
        {
            let text = automatic::left_frozen(target);
            notices.push((NoticeCode::AutomaticDeploymentOff, text));
        }
    }
    notices
}
