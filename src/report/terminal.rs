//! One live line per resource: what it waits for, for how long, and how long that usually takes.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::layout::wrap;
use super::plain::line;
use super::style::Style;
use super::{Reporter, elapsed};
use crate::action::Action;
use crate::event::Event;
use crate::id::LogicalId;
use crate::printable;

/// Draws live lines on standard error.
#[derive(Debug)]
pub struct Terminal {
    style: Style,
    lines: MultiProgress,
    bars: BTreeMap<LogicalId, ProgressBar>,
    /// Progress that belongs to no resource.
    beside: Option<ProgressBar>,
}

impl Terminal {
    /// Draws at most ten times a second.
    pub fn new(style: Style) -> Self {
        let lines = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        Self {
            style,
            lines,
            bars: BTreeMap::new(),
            beside: None,
        }
    }

    fn bar(&mut self, id: &LogicalId, action: Action) -> &ProgressBar {
        self.bars.entry(id.clone()).or_insert_with(|| {
            let bar = self.lines.add(ProgressBar::new_spinner());
            let usual = match (action, id.kind.usual()) {
                (Action::Delete, (_, Some(usual)))
                | (Action::Create | Action::Replace, (Some(usual), _)) => {
                    format!(" of usually {}", elapsed(usual))
                }
                _ => String::new(),
            };
            let template = format!("{{spinner}} {{prefix:28}} {{msg}} {{elapsed}}{usual}");
            if let Ok(style) = ProgressStyle::with_template(&template) {
                bar.set_style(style);
            }
            bar.set_prefix(id.to_string());
            bar.set_message(action.as_str());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        })
    }
}

impl Reporter for Terminal {
    fn event(&mut self, event: &Event) {
        if matches!(event, Event::Finished { .. } | Event::Step { .. })
            && let Some(bar) = self.beside.take()
        {
            bar.finish_and_clear();
        }
        match event {
            Event::Started { id, action } => {
                self.bar(id, *action);
            }
            Event::Identified {
                id,
                action,
                physical_id,
            } => {
                self.bar(id, *action).set_message(
                    printable::line(&format!("{} {physical_id}", action.as_str())).into_owned(),
                );
            }
            Event::Progress { text } => {
                let lines = &self.lines;
                let bar = self.beside.get_or_insert_with(|| {
                    let bar = lines.add(ProgressBar::new_spinner());
                    bar.enable_steady_tick(Duration::from_millis(120));
                    bar
                });
                bar.set_message(printable::line(text).into_owned());
            }
            Event::Waiting { id, action, what } => self
                .bar(id, *action)
                .set_message(printable::line(what).into_owned()),
            Event::Retrying {
                id: Some(id),
                cause,
                ..
            } => {
                if let Some(bar) = self.bars.get(id) {
                    bar.set_message(
                        printable::line(&format!("trying again: {cause}")).into_owned(),
                    );
                }
            }
            Event::Finished { id, .. } | Event::Failed { id, .. } => {
                if let Some(bar) = self.bars.remove(id) {
                    bar.finish_and_clear();
                }
            }
            _ => {}
        }
        if matches!(event, Event::Retrying { id: Some(_), .. }) {
            return;
        }
        if let Some(line) = line(&self.style, event) {
            let line = wrap(&line, self.style.columns());
            let _ = self.lines.println(printable::block(&line));
        }
    }

    fn finish(&mut self) {
        for bar in self.bars.values().chain(&self.beside) {
            bar.finish_and_clear();
        }
        let _ = self.lines.clear();
    }
}
