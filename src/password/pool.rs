//! Threads that do nothing but hash passwords.
//!
//! They are few, of low priority, and their own: a flood of logins takes neither the threads of traffic nor more memory
//! than one hash a thread. A job that no thread has taken yet waits in a bounded queue; what does not fit is shed.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::argon::{Memory, OutOfMemory};
use super::hasher::{Hasher, RealEngine};
use super::{Busy, Passwords, Verdict};
use crate::config::{self, Argon2Cost};
use crate::domain::{Entropy, SecretString};

/// How much a thread steps back behind those that serve traffic (nice(2)).
const NICENESS: i32 = 10;
/// How long a thread without work keeps the memory of its last hash.
const IDLE: Duration = Duration::from_mins(1);

/// A bounded number of low-priority threads behind a bounded queue. Dropping it ends them after the hash they are at.
pub struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    hasher: Hasher,
    state: Mutex<State>,
    wake: Condvar,
}

struct State {
    waiting: VecDeque<Job>,
    /// Jobs that a thread is at, whether or not somebody still waits for them.
    running: usize,
    /// How many may wait beyond those that a thread is at.
    queue: usize,
    cost: Argon2Cost,
    stopping: bool,
}

/// One password to hash or check, and who waits for it.
enum Job {
    Verify { password: SecretString, stored: Option<SecretString>, reply: oneshot::Sender<Result<Verdict, OutOfMemory>> },
    Hash { password: SecretString, reply: oneshot::Sender<Result<SecretString, OutOfMemory>> },
}

impl Pool {
    /// Starts `login.concurrency` threads, in front of which `login.queue` jobs may wait.
    pub fn start(login: &config::Login, cost: Argon2Cost, entropy: Arc<dyn Entropy>) -> io::Result<Self> {
        Self::with(Hasher::new(Box::new(RealEngine), entropy), login.concurrency, login.queue, cost)
    }

    fn with(hasher: Hasher, threads: usize, queue: usize, cost: Argon2Cost) -> io::Result<Self> {
        let state = State { waiting: VecDeque::new(), running: 0, queue, cost, stopping: false };
        let shared = Arc::new(Shared { hasher, state: Mutex::new(state), wake: Condvar::new() });
        let mut pool = Self { shared, threads: Vec::new() };
        for number in 0..threads.max(1) {
            let shared = pool.shared.clone();
            let thread = thread::Builder::new().name(format!("password-{number}"));
            pool.threads.push(thread.spawn(move || work(&shared))?);
        }
        Ok(pool)
    }

    /// Takes over what a reload changed: the queue's bound, and the cost of hashes made from now on. The number of threads
    /// stays until a restart.
    pub fn reconfigure(&self, queue: usize, cost: Argon2Cost) {
        let mut state = self.shared.state();
        state.queue = queue;
        state.cost = cost;
        self.shared.hasher.forget();
    }

    async fn run<T>(&self, job: Job, answer: oneshot::Receiver<Result<T, OutOfMemory>>) -> Result<T, Busy> {
        {
            let mut state = self.shared.state();
            if state.stopping {
                return Err(Busy::Stopped);
            }
            if state.waiting.len() + state.running >= state.queue.saturating_add(self.threads.len()) {
                return Err(Busy::QueueFull);
            }
            state.waiting.push_back(job);
        }
        self.shared.wake.notify_one();
        match answer.await {
            Ok(Ok(result)) => Ok(result),
            // No memory now is as much a reason to come again later as no place in the queue.
            Ok(Err(OutOfMemory)) => Err(Busy::QueueFull),
            Err(_) => Err(Busy::Stopped),
        }
    }
}

#[async_trait]
impl Passwords for Pool {
    async fn verify(&self, password: SecretString, stored: Option<SecretString>) -> Result<Verdict, Busy> {
        let (reply, answer) = oneshot::channel();
        self.run(Job::Verify { password, stored, reply }, answer).await
    }

    async fn hash(&self, password: SecretString) -> Result<SecretString, Busy> {
        let (reply, answer) = oneshot::channel();
        self.run(Job::Hash { password, reply }, answer).await
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        {
            let mut state = self.shared.state();
            state.stopping = true;
            // Who waits for these hears that the pool has stopped.
            state.waiting.clear();
        }
        self.shared.wake.notify_all();
        for thread in self.threads.drain(..) {
            // A thread catches the panics of its jobs; there is nothing to pass on.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock can leave it half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job that somebody still waits for, with the cost in force; `None` when the pool stops.
    fn next(&self, memory: &mut Memory) -> Option<(Job, Argon2Cost)> {
        let mut state = self.state();
        loop {
            if state.stopping {
                return None;
            }
            if let Some(job) = state.waiting.pop_front() {
                if job.is_abandoned() {
                    continue;
                }
                state.running += 1;
                return Some((job, state.cost));
            }
            let (guard, waited) = self.wake.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            state = guard;
            if waited.timed_out() {
                *memory = Memory::new();
            }
        }
    }
}

fn work(shared: &Shared) {
    // On Linux a thread has a priority of its own; elsewhere this would slow the whole process down. Where it is not
    // allowed, hashing competes with traffic, and its bounded number still holds.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(NICENESS);
    let mut memory = Memory::new();
    while let Some((job, cost)) = shared.next(&mut memory) {
        let answer = catch_unwind(AssertUnwindSafe(|| job.run(&shared.hasher, cost, &mut memory)));
        // What one hash of unusual cost needed is not kept for the usual ones.
        let usual = usize::try_from(cost.memory_kib).unwrap_or(usize::MAX);
        if memory.len() > usual {
            memory.truncate(usual);
            memory.shrink_to_fit();
        }
        // The place is free before the caller hears of it, so that he may come again at once.
        shared.state().running -= 1;
        if let Ok(answer) = answer {
            answer();
        }
    }
}

impl Job {
    /// Whether nobody waits for it any more.
    fn is_abandoned(&self) -> bool {
        match self {
            Self::Verify { reply, .. } => reply.is_closed(),
            Self::Hash { reply, .. } => reply.is_closed(),
        }
    }

    /// Does the work, and gives what tells the caller, who may have gone.
    fn run(self, hasher: &Hasher, cost: Argon2Cost, memory: &mut Memory) -> Box<dyn FnOnce()> {
        match self {
            Self::Verify { password, stored, reply } => {
                let verdict = hasher.verify(cost, &password, stored.as_ref(), memory);
                Box::new(move || drop(reply.send(verdict)))
            }
            Self::Hash { password, reply } => {
                let hash = hasher.hash(cost, &password, memory);
                Box::new(move || drop(reply.send(hash)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::super::hasher::Engine;
    use super::*;
    use crate::domain::SystemEntropy;

    const COST: Argon2Cost = Argon2Cost { memory_kib: 8, iterations: 1, parallelism: 1 };

    /// Says when a hash begins, and ends it when told to: by `false` as out of memory, by a hang-up with a panic.
    struct Held {
        begun: mpsc::Sender<Option<i32>>,
        end: Mutex<mpsc::Receiver<bool>>,
    }

    impl Engine for Held {
        fn derive(&self, _: Argon2Cost, _: &[u8], _: &[u8], _: &mut [u8], _: &mut Memory) -> bool {
            self.begun.send(rustix::process::getpriority_process(None).ok()).expect("the test listens");
            self.end.lock().unwrap_or_else(PoisonError::into_inner).recv().expect("told to end")
        }
    }

    struct Bench {
        pool: Arc<Pool>,
        begun: mpsc::Receiver<Option<i32>>,
        end: mpsc::Sender<bool>,
    }

    fn bench(queue: usize) -> Bench {
        let (begun, begun_here) = mpsc::channel();
        let (end_here, end) = mpsc::channel();
        let hasher = Hasher::new(Box::new(Held { begun, end: Mutex::new(end) }), Arc::new(SystemEntropy));
        let pool = Arc::new(Pool::with(hasher, 1, queue, COST).expect("started"));
        Bench { pool, begun: begun_here, end: end_here }
    }

    impl Bench {
        fn hash(&self) -> tokio::task::JoinHandle<Result<SecretString, Busy>> {
            let pool = self.pool.clone();
            tokio::spawn(async move { pool.hash("x".into()).await })
        }

        fn waiting(&self) -> usize {
            self.pool.shared.state().waiting.len()
        }
    }

    async fn until(condition: impl Fn() -> bool) {
        while !condition() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_does_not_fit_into_the_queue_is_shed_at_once() {
        let bench = bench(1);
        let first = bench.hash();
        bench.begun.recv().expect("begun");
        let second = bench.hash();
        until(|| bench.waiting() == 1).await;
        assert_eq!(bench.pool.hash("x".into()).await.err(), Some(Busy::QueueFull));
        assert!(matches!(bench.pool.verify("x".into(), None).await, Err(Busy::QueueFull)));
        bench.end.send(true).expect("running");
        bench.end.send(true).expect("running");
        assert!(first.await.expect("joined").is_ok() && second.await.expect("joined").is_ok());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_caller_who_goes_away_keeps_the_place_until_the_hash_ends() {
        let bench = bench(0);
        let gone = bench.hash();
        bench.begun.recv().expect("begun");
        gone.abort();
        assert!(gone.await.expect_err("aborted").is_cancelled());
        assert_eq!(bench.pool.hash("x".into()).await.err(), Some(Busy::QueueFull));
        bench.end.send(true).expect("running");
        until(|| bench.pool.shared.state().running == 0).await;
        let next = bench.hash();
        bench.begun.recv().expect("begun");
        bench.end.send(true).expect("running");
        assert!(next.await.expect("joined").is_ok());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_goes_away_while_waiting_is_not_hashed_for() {
        let bench = bench(1);
        let first = bench.hash();
        bench.begun.recv().expect("begun");
        let gone = bench.hash();
        until(|| bench.waiting() == 1).await;
        gone.abort();
        assert!(gone.await.expect_err("aborted").is_cancelled());
        bench.end.send(true).expect("running");
        assert!(first.await.expect("joined").is_ok());
        let next = bench.hash();
        bench.begun.recv().expect("begun");
        bench.end.send(true).expect("running");
        assert!(next.await.expect("joined").is_ok());
        assert!(bench.begun.try_recv().is_err());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn hashing_steps_back_behind_other_threads_and_only_hashing_does() {
        let before = rustix::process::getpriority_process(None).ok();
        let bench = bench(0);
        let one = bench.hash();
        let inside = bench.begun.recv().expect("begun");
        bench.end.send(true).expect("running");
        assert!(one.await.expect("joined").is_ok());
        assert_eq!(inside, before.map(|priority| (priority + NICENESS).min(19)));
        assert_eq!(rustix::process::getpriority_process(None).ok(), before);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn no_memory_is_busy_and_never_a_wrong_password() {
        let bench = bench(0);
        bench.end.send(false).expect("running");
        assert!(matches!(bench.pool.verify("x".into(), None).await, Err(Busy::QueueFull)));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn dropping_the_pool_ends_its_threads_and_tells_who_waits() {
        let Bench { pool, begun, end } = bench(1);
        let (reply, running) = oneshot::channel();
        pool.shared.state().waiting.push_back(Job::Hash { password: "x".into(), reply });
        pool.shared.wake.notify_one();
        begun.recv().expect("begun");
        let (reply, waiting) = oneshot::channel();
        pool.shared.state().waiting.push_back(Job::Hash { password: "x".into(), reply });
        let shared = pool.shared.clone();
        let dropping = thread::spawn(move || drop(pool));
        assert!(waiting.await.is_err());
        end.send(true).expect("running");
        assert!(running.await.expect("the hash that was under way is answered").is_ok());
        dropping.join().expect("threads have ended");
        assert_eq!(Arc::strong_count(&shared), 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_cost_can_be_changed_while_running() {
        let login = config::Login {
            rate_limit: config::Rate { count: 1, period: Duration::from_secs(1) },
            account_rate_limit: config::Rate { count: 1, period: Duration::from_secs(1) },
            concurrency: 2,
            queue: 4,
        };
        let pool = Pool::start(&login, COST, Arc::new(SystemEntropy)).expect("started");
        let old = pool.hash("right".into()).await.expect("hashed");
        pool.reconfigure(4, Argon2Cost { iterations: 2, ..COST });
        let verdict = pool.verify("right".into(), Some(old)).await.expect("checked");
        assert!(matches!(verdict, Verdict::Right { rehashed: Some(_) }), "{verdict:?}");
        assert!(matches!(pool.verify("right".into(), None).await, Ok(Verdict::Wrong)));
    }
}
