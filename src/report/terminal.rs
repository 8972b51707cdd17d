//! A live block on a terminal, and lines above it for what is done.

use std::time::{Duration, Instant};

use super::Reporter;
use super::layout::wrap;
use super::live::Live;
use super::plain::line;
use super::retries::Retries;
use super::screen;
use super::style::Style;
use crate::event::Event;

/// Draws on standard error.
#[derive(Debug)]
pub struct Terminal {
    style: Style,
    live: Live,
    retries: Retries,
}

impl Terminal {
    /// Draws nothing yet.
    pub fn new(style: Style) -> Self {
        Self {
            style,
            live: Live::default(),
            retries: Retries::default(),
        }
    }
}

impl Reporter for Terminal {
    fn event(&mut self, event: &Event) {
        let now = Instant::now();
        self.live.event(event, now);
        // It is in the block.
        if matches!(event, Event::Retrying { id: Some(_), .. }) {
            return;
        }
        if self.retries.is_repeated(event, now) {
            return;
        }
        if let Some(text) = line(&self.style, event) {
            let columns = self.style.present_columns();
            let text = wrap(&text, columns);
            screen::draw(Some(&text), &self.live.lines(now, columns));
        }
    }

    fn every(&self) -> Duration {
        Duration::from_millis(200)
    }

    fn tick(&mut self) {
        let columns = self.style.present_columns();
        screen::draw(None, &self.live.lines(Instant::now(), columns));
    }

    fn finish(&mut self) {
        screen::clear();
    }
}
