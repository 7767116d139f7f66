//! What operations cost: the calls that each makes and the capacity units that these
//! consume are no more, and no fewer, than the table says.

use lethe_tests::operations::{OPERATIONS, measure};

#[tokio::test]
async fn no_operation_makes_a_call_more_than_its_promise_needs() {
    let measured = measure().await;
    let mut wrong = Vec::new();
    for ((name, cost), row) in measured.iter().zip(OPERATIONS) {
        let expected = (row.calls.to_owned(), row.reads, row.writes);
        let found = (cost.summary(), cost.reads, cost.writes);
        if !row.is(cost) {
            wrong.push(format!(
                "{name}\n  the table says {expected:?}\n  it was         {found:?}"
            ));
        }
    }
    assert_eq!(measured.len(), OPERATIONS.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
