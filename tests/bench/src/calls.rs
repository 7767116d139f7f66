//! What operations cost, as a test holds it too.

use lethe_tests::operations::{OPERATIONS, measure};

use crate::table::Line;

pub async fn lines() -> Vec<Line> {
    let measured = measure().await;
    let row = |((name, cost), row): (
        &(&str, lethe_tests::meter::Cost),
        &lethe_tests::operations::Operation,
    )| {
        let units = |reads: f64, writes: f64| format!("{reads} read, {writes} write units");
        let same =
            cost.summary() == row.calls && cost.reads == row.reads && cost.writes == row.writes;
        Line::new(*name)
            .ours(format!(
                "{}: {}",
                cost.summary(),
                units(cost.reads, cost.writes)
            ))
            .reference(row.least)
            .and(same, "as the test has it")
    };
    measured.iter().zip(OPERATIONS).map(row).collect()
}
