//! Every AWS call of a feature fails, each in its turn and in every way; then clients ask
//! again, time passes, cleanup comes by. What is known in the end, and what lies in the
//! stores, must be what it is when nothing fails.
//!
//! Which calls there are is recorded, so a call that is new is covered by itself. A case
//! is `scenario:position:fault`, and a service of its own. `cargo test` runs a sample;
//! with the feature `long`, every fault at each position is run. `LETHE_CASE=erasure:7:lost` runs
//! that one alone, `LETHE_CASE=erasure` all of a scenario.

pub mod outcome;
mod scenarios;

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt;
use lethe_tests::{Reply, Service, by_hand, minutes};
use local::Options;
use local::wire::{Call, Fate};
use serde_json::Value;
use tokio::sync::OnceCell;

use outcome::outcome;
use scenarios::{SCENARIOS, Scenario};

/// Cases at the same time.
const AT_ONCE: usize = 4;
/// Of how many positions `cargo test` tries one, with one fault.
const SAMPLED: usize = 20;
/// Of how many kinds of calls `cargo test` swallows the answer of one.
const SWALLOWED: usize = if cfg!(feature = "long") { 1 } else { 4 };
/// More than an SDK's tries, so that the next call is throttled too.
const THROTTLED: usize = 8;

/// What a schedule sends.
const SWEEP: &str = include_str!("../../../../events/cleanup.schedule.json");

/// What befalls a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Refused before it had any effect, and so is each try of the SDK.
    Refused,
    /// Done, but the answer is lost: the SDK tries again.
    Lost,
    /// Done, and no try's answer ever arrives.
    Unheard,
    /// Done, and nothing more is heard of it: the SDK waits for as long as it is told to.
    Swallowed,
    /// Throttled, and what comes next as well, some times in a row.
    Throttled,
    /// The process dies before the call has any effect.
    KilledBefore,
    /// The process dies when the call has been done.
    KilledAfter,
}

impl Fault {
    const ALL: [(&str, Fault); 7] = [
        ("refused", Fault::Refused),
        ("lost", Fault::Lost),
        ("unheard", Fault::Unheard),
        ("swallowed", Fault::Swallowed),
        ("throttled", Fault::Throttled),
        ("killed-before", Fault::KilledBefore),
        ("killed-after", Fault::KilledAfter),
    ];

    fn name(self) -> &'static str {
        let named = Fault::ALL.iter().find(|(_, fault)| *fault == self);
        named.map_or("", |(name, _)| name)
    }
}

/// The wire of one service: what passed it since it was watched, and what is to fail.
#[derive(Clone, Default)]
struct Line(Arc<Mutex<Watched>>);

#[derive(Default)]
struct Watched {
    watching: bool,
    paused: bool,
    /// The numbers of the calls that were seen, and the calls.
    numbers: Vec<usize>,
    calls: Vec<Call>,
    fails: Option<(usize, Fault)>,
    failed: usize,
    /// Whether an SDK made a call again by itself.
    again: bool,
}

impl Line {
    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(&self, fails: Option<(usize, Fault)>) {
        *self.watched() = Watched {
            watching: true,
            fails,
            ..Watched::default()
        };
    }

    /// From here on no call fails, and none is noted.
    fn look_away(&self) {
        self.watched().watching = false;
    }

    /// Whether calls pass without being noted for a while.
    fn pause(&self, paused: bool) {
        self.watched().paused = paused;
    }

    /// The calls that were seen, how many tries of them failed, and whether an SDK made one
    /// again.
    fn seen(&self) -> (Vec<Call>, usize, bool) {
        let watched = self.watched();
        (watched.calls.clone(), watched.failed, watched.again)
    }

    fn decide(&self, call: &Call) -> Fate {
        let mut watched = self.watched();
        if !watched.watching || watched.paused {
            return Fate::Pass;
        }
        let known = watched.numbers.iter().position(|it| *it == call.number);
        let place = known.unwrap_or(watched.calls.len());
        if known.is_none() {
            watched.numbers.push(call.number);
            watched.calls.push(call.clone());
        }
        watched.again |= call.attempt > 1;
        let Some((position, fault)) = watched.fails else {
            return Fate::Pass;
        };
        let fate = match fault {
            Fault::Throttled if place >= position && watched.failed < THROTTLED => Fate::Throttle,
            _ if place != position => Fate::Pass,
            Fault::Refused => Fate::Refuse,
            Fault::Lost if call.attempt == 1 => Fate::LoseAnswer,
            Fault::Unheard => Fate::LoseAnswer,
            Fault::Swallowed if call.attempt == 1 => Fate::Swallow,
            Fault::KilledBefore => Fate::KillBefore,
            Fault::KilledAfter => Fate::KillAfter,
            Fault::Lost | Fault::Swallowed | Fault::Throttled => Fate::Pass,
        };
        watched.failed += usize::from(fate != Fate::Pass);
        fate
    }
}

/// One run of a scenario: its service, and what was learned on the way.
struct Play {
    service: Service,
    line: Line,
    asked: AtomicUsize,
    /// Whatever the scenario noted for later.
    known: Value,
}

impl Play {
    /// Events are handed on one after another, when the play lets them: so the calls of two
    /// runs come in the same order.
    async fn new(fails: Option<(usize, Fault)>) -> Play {
        let line = Line::default();
        let wire = line.clone();
        let options = Options {
            events: false,
            wire: Some(Arc::new(move |call: &Call| wire.decide(call))),
            // An answer that never comes is awaited for as long as on AWS.
            patience: match fails {
                Some((_, Fault::Swallowed)) => 1,
                _ => Options::default().patience,
            },
            ..by_hand()
        };
        Play {
            service: Service::with(options).await,
            line,
            asked: AtomicUsize::new(0),
            known: Value::Null,
        }
    }

    /// Asks as a good client does: when it hears nothing of use it waits, longer than a key
    /// is reserved, and asks again under the same key.
    async fn ask(&self, method: &str, path: &str, key: &str, body: Option<&Value>) -> Reply {
        let once = format!("request-{}", self.asked.fetch_add(1, Ordering::SeqCst));
        let headers = [("idempotency-key", once.as_str())];
        let mut tries = 0;
        loop {
            let sent = self.service.call_with(method, path, key, body, &headers);
            let reply = sent.await;
            let running = reply.status == 409 && reply.json()["code"] == "running";
            tries += 1;
            if (reply.status < 500 && !running) || tries == 6 {
                return reply;
            }
            self.service.advance(minutes(1)).await;
        }
    }

    /// What its schedule would do, which comes again: the next sweep does what one failed at.
    async fn clean_up(&self) -> Value {
        for _ in 0..4 {
            match self.service.cloud.run_schedule("cleanup").await {
                Ok(swept) if swept["failures"] == 0 => return swept,
                _ => self.service.advance(minutes(15)).await,
            }
        }
        panic!("cleanup does not get through");
    }

    /// The same, with nothing that fails in the sweep itself: only in what it hands over.
    async fn hand_over(&self) {
        let event = serde_json::from_str(SWEEP).expect("JSON");
        self.line.pause(true);
        let swept = self.service.cloud.invoke("cleanup", event).await;
        self.line.pause(false);
        assert_eq!(swept.expect("it sweeps")["failures"], 0);
        self.service.cloud.settle().await;
    }

    /// Past every lease, wait and link, until a sweep finds nothing that was left undone.
    async fn recover(&self) {
        for _ in 0..8 {
            self.service.advance(minutes(21)).await;
            let swept = self.clean_up().await;
            if swept["jobs_resumed"] == 0 && swept["expired"] == 0 {
                return;
            }
        }
        panic!("there is always something left to do");
    }
}

/// What a scenario came to.
struct Played {
    /// The calls that it made while they could fail, and how many tries of them did.
    calls: Vec<Call>,
    failed: usize,
    again: bool,
    outcome: Value,
}

async fn play(scenario: &Scenario, fails: Option<(usize, Fault)>) -> Played {
    let mut play = Play::new(fails).await;
    (scenario.prepare)(&mut play).await;
    // Nothing is remembered for longer than a minute.
    play.service.advance(minutes(2)).await;
    play.line.watch(fails);
    (scenario.act)(&mut play).await;
    play.line.look_away();
    let (calls, failed, again) = play.line.seen();
    play.recover().await;
    let outcome = outcome(&play).await;
    Played {
        calls,
        failed,
        again,
        outcome,
    }
}

/// A position at which a fault befalls a scenario.
#[derive(Clone)]
struct Case {
    scenario: &'static Scenario,
    position: usize,
    fault: Fault,
    call: String,
    expected: Arc<Value>,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.id(), self.call)
    }
}

impl Case {
    fn id(&self) -> String {
        let (name, fault) = (self.scenario.name, self.fault.name());
        format!("{name}:{}:{fault}", self.position)
    }

    /// How it was played; or what went wrong.
    async fn run(self) -> Result<Played, String> {
        let (scenario, fails) = (self.scenario, Some((self.position, self.fault)));
        let played = tokio::spawn(async move { play(scenario, fails).await }).await;
        let played = played.map_err(|error| format!("{self}\n  {}", said(error)))?;
        match outcome::differences(&self.expected, &played.outcome) {
            none if none.is_empty() => Ok(played),
            some => Err(format!("{self}\n  {}", some.join("\n  "))),
        }
    }
}

fn said(error: tokio::task::JoinError) -> String {
    let panic = error.into_panic();
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
        .unwrap_or_default()
}

/// Every case of a scenario, by what it does when nothing fails.
async fn cases(scenario: &'static Scenario) -> Vec<Case> {
    let Played { calls, outcome, .. } = play(scenario, None).await;
    let expected = Arc::new(outcome);
    let at = |(position, call): (usize, Call)| {
        let (expected, call) = (
            expected.clone(),
            format!("{} {:?}", call.operation, call.engine),
        );
        Fault::ALL.map(|(_, fault)| Case {
            scenario,
            position,
            fault,
            call: call.clone(),
            expected: expected.clone(),
        })
    };
    calls.into_iter().enumerate().flat_map(at).collect()
}

/// Which of the cases to run: the one that is asked for, or all, or a fault a position.
fn chosen(all: &[Case]) -> Vec<Case> {
    if let Ok(wanted) = std::env::var("LETHE_CASE") {
        let is_wanted = |case: &&Case| (case.id() + ":").starts_with(&format!("{wanted}:"));
        return all.iter().filter(is_wanted).cloned().collect();
    }
    if cfg!(feature = "long") {
        return all.to_vec();
    }
    let faults = Fault::ALL.len();
    let sampled = |(at, _): &(usize, &Case)| (at / faults).is_multiple_of(SAMPLED);
    let turn = |(at, case): &(usize, &Case)| {
        at % faults == (at / faults + case.scenario.name.len()) % faults
    };
    all.iter()
        .enumerate()
        .filter(sampled)
        .filter(turn)
        .map(|(_, case)| case.clone())
        .collect()
}

/// Every case of every scenario, recorded once for all tests.
async fn all_cases() -> &'static [Case] {
    static CASES: OnceCell<Vec<Case>> = OnceCell::const_new();
    let recorded = async || {
        let recorded = futures::stream::iter(SCENARIOS).map(cases);
        let recorded = recorded.buffered(AT_ONCE).collect::<Vec<_>>();
        recorded.await.concat()
    };
    CASES.get_or_init(recorded).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_call_fails_the_outcome_is_the_same() {
    let all = all_cases().await;
    let chosen = chosen(all);
    // Past the test's own output, which is shown with failures only.
    let (some, of) = (chosen.len(), all.len());
    let _shown = writeln!(std::io::stderr(), "faults: {some} of {of} cases");
    let runs = futures::stream::iter(chosen).map(Case::run);
    let ran: Vec<_> = runs.buffer_unordered(AT_ONCE).collect().await;
    assert!(!ran.is_empty(), "there is no such case");
    let failed: Vec<_> = ran.iter().filter_map(|ran| ran.as_ref().err()).collect();
    let count = failed.len();
    let failed: Vec<_> = failed.into_iter().cloned().collect();
    assert!(failed.is_empty(), "{count} failed:\n{}", failed.join("\n"));
    // Random names fall into one shard or another, so one run may make a call less.
    let unmet = ran.iter().flatten().filter(|it| it.failed == 0).count();
    assert!(unmet <= 1 + of / 100, "{unmet} calls were not made again");
}

/// An answer that never comes costs one try, and what was asked for happens once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_answer_never_comes_the_call_is_made_again_and_done_once() {
    let mut kinds: BTreeMap<String, Case> = BTreeMap::new();
    for case in all_cases().await {
        if case.fault == Fault::Swallowed {
            kinds.entry(case.call.clone()).or_insert(case.clone());
        }
    }
    assert!(kinds.len() >= 19, "{:?}", kinds.keys());
    let kinds = kinds.into_values().step_by(SWALLOWED);
    let runs = futures::stream::iter(kinds).map(async |case| {
        let call = case.call.clone();
        match case.run().await {
            Ok(played) if played.again => None,
            Ok(_) => Some(format!("{call} was not made again")),
            Err(failed) => Some(failed),
        }
    });
    let ran: Vec<_> = runs.buffer_unordered(2 * AT_ONCE).collect().await;
    let failed: Vec<_> = ran.into_iter().flatten().collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
