//! The table that the bench prints: each figure beside its reference of the same run.

use std::fmt;
use std::time::Duration;

/// A row: what was measured, against what, and whether that is good enough.
pub struct Line {
    pub what: String,
    pub ours: String,
    pub reference: String,
    /// Ours as a multiple of the reference, or a slope.
    pub ratio: String,
    pub goal: String,
    pub met: bool,
}

impl Line {
    pub fn new(what: impl Into<String>) -> Line {
        Line {
            what: what.into(),
            ours: String::new(),
            reference: String::new(),
            ratio: String::new(),
            goal: String::new(),
            met: true,
        }
    }

    #[must_use]
    pub fn ours(mut self, ours: impl Into<String>) -> Line {
        self.ours = ours.into();
        self
    }

    #[must_use]
    pub fn reference(mut self, reference: impl Into<String>) -> Line {
        self.reference = reference.into();
        self
    }

    /// A ratio that must not be above the goal.
    #[must_use]
    pub fn at_most(mut self, ratio: f64, goal: f64, unit: &str) -> Line {
        self.ratio = format!("{ratio:.2}{unit}");
        self.goal = format!("≤ {goal}{unit}");
        self.met = ratio <= goal;
        self
    }

    /// A ratio that must not be below the goal.
    #[must_use]
    pub fn at_least(mut self, ratio: f64, goal: f64, unit: &str) -> Line {
        self.ratio = format!("{ratio:.2}{unit}");
        self.goal = format!("≥ {goal}{unit}");
        self.met = ratio >= goal;
        self
    }

    /// What must hold besides.
    #[must_use]
    pub fn and(mut self, holds: bool, goal: &str) -> Line {
        let apart = if self.goal.is_empty() { "" } else { ", " };
        self.goal = format!("{}{apart}{goal}", self.goal);
        self.met &= holds;
        self
    }
}

/// All rows, as Markdown.
pub struct Table<'a>(pub &'a [Line]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| what | measured | reference, same run | ratio | goal | met |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|")?;
        for line in self.0 {
            let Line {
                what,
                ours,
                reference,
                ratio,
                goal,
                met,
            } = line;
            let met = if *met { "yes" } else { "**no**" };
            writeln!(
                f,
                "| {what} | {ours} | {reference} | {ratio} | {goal} | {met} |"
            )?;
        }
        Ok(())
    }
}

/// A time as people read it.
pub fn show(time: Duration) -> String {
    match time.as_secs_f64() {
        s if s >= 10.0 => format!("{s:.0} s"),
        s if s >= 1.0 => format!("{s:.2} s"),
        s if s >= 0.01 => format!("{:.0} ms", s * 1e3),
        s if s >= 0.001 => format!("{:.1} ms", s * 1e3),
        s => format!("{:.0} µs", s * 1e6),
    }
}

pub fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

pub fn ratio(ours: Duration, reference: Duration) -> f64 {
    ours.as_secs_f64() / reference.as_secs_f64()
}

/// The exponent by which `y` grows with `x`: the slope of a straight line through the
/// logarithms, by least squares. 0 is flat, 1 in proportion.
pub fn slope(points: &[(f64, f64)]) -> f64 {
    let logs: Vec<_> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    let mean = |of: fn(&(f64, f64)) -> f64| logs.iter().map(of).sum::<f64>() / logs.len() as f64;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let along: f64 = logs.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    along / logs.iter().map(|p| (p.0 - x).powi(2)).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slope_is_the_exponent_of_growth() {
        let grows = |by: f64| [10.0, 100.0, 1000.0_f64].map(|x| (x, 3.0 * x.powf(by)));
        for by in [0.0, 0.5, 1.0, 2.0] {
            assert!((slope(&grows(by)) - by).abs() < 1e-9);
        }
    }
}
