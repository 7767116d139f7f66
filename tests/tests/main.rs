//! Every test through the router, each with a service of its own. One binary: three SDKs are
//! linked once, and a test is called by its module alone.
//!
//! - `features`: what one route, or one kind of record, does
//! - `invariants`: what holds for all of them
//! - `scenarios`: what happens over time, among several, or after a failure

mod signed;

#[path = "features/access.rs"]
mod access;
#[path = "features/admin.rs"]
mod admin;
#[path = "features/answers.rs"]
mod answers;
#[path = "features/attachments.rs"]
mod attachments;
#[path = "features/backups.rs"]
mod backups;
#[path = "features/cards.rs"]
mod cards;
#[path = "features/erasure.rs"]
mod erasure;
#[path = "features/expiry.rs"]
mod expiry;
#[path = "features/export.rs"]
mod export;
#[path = "features/fields.rs"]
mod fields;
#[path = "features/idempotency.rs"]
mod idempotency;
#[path = "features/ingest.rs"]
mod ingest;
#[path = "features/overdue.rs"]
mod overdue;
#[path = "features/pages.rs"]
mod pages;
#[path = "features/receipts.rs"]
mod receipts;
#[path = "features/redact.rs"]
mod redact;
#[path = "features/rights.rs"]
mod rights;
#[path = "features/seals.rs"]
mod seals;
#[path = "features/verify.rs"]
mod verify;
#[path = "features/vouched.rs"]
mod vouched;

#[path = "invariants/calls.rs"]
mod calls;
#[path = "invariants/canaries.rs"]
mod canaries;
#[path = "invariants/contract.rs"]
mod contract;
#[path = "invariants/costs.rs"]
mod costs;
#[path = "invariants/declared.rs"]
mod declared;
#[path = "invariants/door.rs"]
mod door;
#[path = "invariants/drift.rs"]
mod drift;
#[path = "invariants/edge.rs"]
mod edge;
#[path = "invariants/faults/mod.rs"]
mod faults;
#[path = "invariants/isolation.rs"]
mod isolation;
#[path = "invariants/kept.rs"]
mod kept;
#[path = "invariants/logs.rs"]
mod logs;
#[path = "invariants/requests.rs"]
mod requests;
#[path = "invariants/roles/mod.rs"]
mod roles;
#[path = "invariants/rows.rs"]
mod rows;

#[path = "scenarios/giant.rs"]
mod giant;
#[path = "scenarios/held.rs"]
mod held;
#[path = "scenarios/late.rs"]
mod late;
#[path = "scenarios/leaving.rs"]
mod leaving;
#[path = "scenarios/rekey.rs"]
mod rekey;
#[path = "scenarios/replay.rs"]
mod replay;
#[path = "scenarios/restore.rs"]
mod restore;
#[path = "scenarios/rotation.rs"]
mod rotation;
#[path = "scenarios/sweep.rs"]
mod sweep;
