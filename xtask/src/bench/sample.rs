//! Repeated timings.

use std::time::Duration;

use crate::bench::Row;

/// Timings of one thing.
pub struct Sample(Vec<Duration>);

impl Sample {
    /// Takes the timings.
    pub fn new(mut timings: Vec<Duration>) -> Self {
        timings.sort();
        Self(timings)
    }

    fn at(&self, part: f64) -> f64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index into a short list"
        )]
        let index = ((self.0.len().saturating_sub(1)) as f64 * part).round() as usize;
        self.0
            .get(index)
            .map_or(0.0, |duration| duration.as_secs_f64() * 1000.0)
    }

    /// The median in milliseconds.
    pub fn median(&self) -> f64 {
        self.at(0.5)
    }

    /// A row of the table, beside miosa's median.
    pub fn row(&self, what: &str, who: &str, own: Option<f64>) -> Row {
        Row {
            what: what.to_owned(),
            who: who.to_owned(),
            value: self.median(),
            unit: "ms",
            high: Some(self.at(0.95)),
            ratio: own.map(|own| own / self.median()),
        }
    }
}

/// The one in the middle; 0 of none.
pub fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(0.0)
}
