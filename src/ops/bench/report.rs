//! Figures as they are measured, printed at once.

use serde::Serialize;

use crate::ops::output;

/// Prints figures and remembers whether all reached their targets.
#[derive(Debug)]
pub struct Report {
    json: bool,
    missed: usize,
}

#[derive(Serialize)]
struct Figure<'a> {
    name: &'a str,
    value: f64,
    unit: &'a str,
    target: Option<f64>,
    reached: Option<bool>,
}

impl Report {
    /// For people, or one JSON object a line.
    pub fn new(json: bool) -> Self {
        Self { json, missed: 0 }
    }

    /// A figure that should be at least `target`.
    pub fn at_least(&mut self, name: &str, value: f64, unit: &str, target: f64) {
        self.print(name, value, unit, Some(target), Some(value >= target));
    }

    /// A figure that should be at most `target`.
    pub fn at_most(&mut self, name: &str, value: f64, unit: &str, target: f64) {
        self.print(name, value, unit, Some(target), Some(value <= target));
    }

    /// A figure without a target: where the time goes.
    pub fn note(&mut self, name: &str, value: f64, unit: &str) {
        self.print(name, value, unit, None, None);
    }

    /// Figures that missed their target so far.
    pub fn missed(&self) -> usize {
        self.missed
    }

    fn print(
        &mut self,
        name: &str,
        value: f64,
        unit: &str,
        target: Option<f64>,
        reached: Option<bool>,
    ) {
        self.missed += usize::from(reached == Some(false));
        if self.json {
            let figure = Figure { name, value, unit, target, reached };
            if let Err(error) = output::say_json(&figure) {
                output::say(format!("{name}: {error}"));
            }
            return;
        }
        let verdict = match (target, reached) {
            (Some(target), Some(true)) => format!("  (target {target}: reached)"),
            (Some(target), _) => format!("  (target {target}: MISSED)"),
            (None, _) => String::new(),
        };
        output::say(format!("{name:<58} {value:>12.2} {unit}{verdict}"));
    }
}
