//! Progress on standard error: a bar on a terminal, lines elsewhere.

use std::fmt::Display;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::output;

const DRAW_EVERY: Duration = Duration::from_millis(100);

/// What is drawn while nobody knows how much there is to do.
const WAITING: &str = "{spinner} {msg} ({elapsed})";

/// Of a count.
const COUNTING: &str = "{spinner} [{bar:24}] {pos}/{len} {msg} ({elapsed})";

/// Progress of one thing that is waited for. It vanishes when dropped.
#[derive(Debug)]
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// Turns until something is known.
    pub(crate) fn waiting(message: impl Into<String>) -> Self {
        let bar = ProgressBar::new_spinner();
        bar.set_style(style(WAITING));
        bar.set_message(message.into());
        // A thread draws it; where nobody sees it there is no need of one.
        if !bar.is_hidden() {
            bar.enable_steady_tick(DRAW_EVERY);
        }
        Self(bar)
    }

    /// From now on there are so many steps.
    pub(crate) fn count(&self, steps: usize) {
        self.0.set_style(style(COUNTING));
        self.0.set_length(steps as u64);
        self.0.set_position(0);
    }

    /// The work is at this step of so many.
    pub(crate) fn at(&self, step: usize, of: usize) {
        self.count(of);
        self.0.set_position(step as u64);
    }

    /// One more is done.
    pub(crate) fn step(&self) {
        self.0.inc(1);
    }

    /// What is going on.
    pub(crate) fn say(&self, message: impl Into<String>) {
        self.0.set_message(message.into());
    }

    /// Whether nobody sees it: standard error is no terminal.
    pub(crate) fn is_hidden(&self) -> bool {
        self.0.is_hidden()
    }

    /// A line that stays.
    pub(crate) fn line(&self, text: impl Display) {
        self.0.suspend(|| output::progress(text));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template);
    style.unwrap_or_else(|_malformed| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_can_be_drawn() {
        for template in [WAITING, COUNTING] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
