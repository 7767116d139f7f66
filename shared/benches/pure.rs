//! The rules that every message, and every day of the log, passes: each beside the least
//! that its work can cost. `cargo bench -p lethe-shared` prints both.

use std::hint::black_box;

use aws_lc_rs::digest::{SHA256, digest};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lethe_shared::detect::mask_cards;
use lethe_shared::proof::merkle::{Hash, Tree};

/// The longest body of a message, in bytes.
const MESSAGE: usize = 64 * 1024;
/// Entries of a busy day.
const ENTRIES: usize = 10_000;

fn cards(criterion: &mut Criterion) {
    let sentence = "My order 20260301-17 of 12.50 came late; call 0151 2345678. ";
    let text: String = sentence.chars().cycle().take(MESSAGE).collect();
    let mut group = criterion.benchmark_group("cards in a message of 64 KiB");
    group.throughput(Throughput::Bytes(MESSAGE as u64));
    group.bench_function("mask_cards", |b| b.iter(|| mask_cards(black_box(&text))));
    group.bench_function("counting its digits", |b| {
        b.iter(|| {
            black_box(&text)
                .chars()
                .filter(char::is_ascii_digit)
                .count()
        });
    });
    group.finish();
}

fn tree(criterion: &mut Criterion) {
    let entries: Vec<_> = (0..ENTRIES)
        .map(|n| format!("entry {n}: {}", "x".repeat(200)))
        .collect();
    let mut group = criterion.benchmark_group("a day of 10,000 entries");
    group.throughput(Throughput::Elements(ENTRIES as u64));
    group.bench_function("root of the tree", |b| {
        b.iter(|| {
            let mut tree = Tree::default();
            for entry in &entries {
                tree.push(Hash::leaf(&[black_box(entry).as_bytes()]));
            }
            tree.root()
        });
    });
    // A tree of n leaves has n digests of leaves and n - 1 of nodes.
    group.bench_function("as many bare digests", |b| {
        b.iter(|| {
            for entry in &entries {
                black_box(digest(&SHA256, black_box(entry).as_bytes()));
                black_box(digest(&SHA256, black_box(&[0; 65])));
            }
        });
    });
    group.finish();
}

criterion_group!(pure, cards, tree);
criterion_main!(pure);
