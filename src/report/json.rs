//! One JSON object per line.

use serde_json::{Value, json};

use super::{Reporter, document, seconds};
use crate::action::Action;
use crate::event::Event;
use crate::id::LogicalId;

/// Writes each event as one JSON object on standard output.
#[derive(Debug)]
pub struct Json;

fn resource(event: &str, id: &LogicalId, action: Action) -> Value {
    json!({"event": event, "resource": id, "kind": id.kind.as_str(), "action": action})
}

fn with(mut object: Value, key: &str, value: impl Into<Value>) -> Value {
    object[key] = value.into();
    object
}

/// The object for an event; `None` for a request.
pub fn object(event: &Event) -> Option<Value> {
    Some(match event {
        Event::Scope(scope) => with(json!(scope), "event", "scope"),
        Event::Plan(document) => with(document.clone(), "event", "plan"),
        Event::Started { id, action } => resource("started", id, *action),
        Event::Identified {
            id,
            action,
            physical_id,
        } => with(
            resource("identified", id, *action),
            "physical_id",
            physical_id.as_str(),
        ),
        Event::Waiting { id, action, what } => {
            with(resource("waiting", id, *action), "for", what.as_str())
        }
        Event::Retrying { id, cause, wait } => {
            json!({"event": "retrying", "resource": id, "cause": cause, "wait_seconds": wait.as_secs_f64()})
        }
        Event::Finished {
            id,
            action,
            physical_id,
            took,
        } => {
            let object = with(resource("finished", id, *action), "seconds", seconds(*took));
            match physical_id {
                Some(physical_id) => with(object, "physical_id", physical_id.as_str()),
                None => object,
            }
        }
        Event::Failed {
            code,
            id,
            action,
            error,
            hint,
        } => with(
            with(
                with(resource("failed", id, *action), "error", error.as_str()),
                "hint",
                hint.as_deref(),
            ),
            "code",
            code.as_str(),
        ),
        Event::Skipped {
            id,
            action,
            because,
        } => with(
            resource("skipped", id, *action),
            "because",
            because.to_string(),
        ),
        Event::Left {
            id,
            action,
            because,
        } => with(
            resource("left", id, *action),
            "because",
            because.as_ref().map(ToString::to_string),
        ),
        Event::OfStack { stack, event } => with(
            with(object(event)?, "stack", stack.stack.as_str()),
            "region",
            stack.region.as_str(),
        ),
        Event::Notice { id, code, text } => {
            json!({"event": "notice", "resource": id, "code": code, "text": text})
        }
        Event::Step { text } => json!({"event": "step", "text": text}),
        Event::Progress { text, .. } => json!({"event": "progress", "text": text}),
        Event::Verified(report) => with(report.document(), "event", "verified"),
        Event::Interrupted => json!({"event": "interrupted"}),
        Event::Planned { .. }
        | Event::StepStarted { .. }
        | Event::StepEnded { .. }
        | Event::Settled(_)
        | Event::Request { .. } => return None,
    })
}

impl Reporter for Json {
    fn event(&mut self, event: &Event) {
        if let Some(object) = object(event) {
            document(object);
        }
    }
}
