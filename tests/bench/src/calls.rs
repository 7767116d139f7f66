//! What operations cost, as a test holds it too.

use lethe_tests::operations::{OPERATIONS, measure};

use crate::table::Line;

pub async fn lines() -> Vec<Line> {
    let measured = measure().await;
    let rows = measured.iter().zip(OPERATIONS).map(|((name, cost), row)| {
        let (calls, reads, writes) = (cost.summary(), cost.reads, cost.writes);
        Line::new(*name)
            .ours(format!("{calls}: {reads} read, {writes} write units"))
            .reference(row.least)
            .and(row.is(cost), "as the test has it")
    });
    rows.collect()
}
