use std::collections::BTreeSet;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use tokio::sync::Semaphore;

use super::*;

/// Answers what it is told, when it is let.
struct Fake {
    answer: Mutex<io::Result<Vec<&'static str>>>,
    asked: AtomicUsize,
    gate: Semaphore,
}

impl Fake {
    fn new(answer: &[&'static str]) -> Arc<Self> {
        let answer = Mutex::new(Ok(answer.to_vec()));
        Arc::new(Self { answer, asked: AtomicUsize::new(0), gate: Semaphore::new(Semaphore::MAX_PERMITS) })
    }

    fn tell(&self, answer: io::Result<Vec<&'static str>>) {
        *self.answer.lock().unwrap() = answer;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait::async_trait]
impl Resolve for Fake {
    async fn resolve(&self, _: &str) -> io::Result<Vec<SocketAddr>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let _let = self.gate.acquire().await.map_err(io::Error::other)?;
        match &*self.answer.lock().unwrap() {
            Ok(addresses) => Ok(addresses.iter().map(|address| address.parse().unwrap()).collect()),
            Err(error) => Err(io::Error::from(error.kind())),
        }
    }
}

fn pool(servers: &[&str], resolver: &Arc<Fake>) -> Arc<Pool> {
    Arc::new(Pool::of(Arc::new(Backend::plain("b", servers)), Arc::clone(resolver) as Arc<dyn Resolve>))
}

const CALL: Call<'_> = Call { idempotent: true, lot: Lot::NONE, now: Duration::ZERO, tried: &[], only: None };

fn addresses(pool: &Pool) -> Vec<String> {
    pool.targets().iter().map(|target| target.address.to_string()).collect()
}

/// Lets a name grow old, and what then begins come to its end.
async fn later(pool: &Arc<Pool>) {
    tokio::time::advance(Duration::from_secs(6)).await;
    pool.refresh();
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn all_addresses_of_a_name_are_servers_and_changes_are_followed() {
    let resolver = Fake::new(&["[::1]:80", "10.0.0.1:80", "10.0.0.1:80"]);
    let pool = pool(&["orders:80", "10.0.0.9:80"], &resolver);
    pool.ready().await;
    later(&pool).await;
    assert_eq!(addresses(&pool), ["10.0.0.1:80", "[::1]:80", "10.0.0.9:80"]);
    let chosen: BTreeSet<_> = (0..3).map(|_| pool.choose(&CALL).unwrap().address.to_string()).collect();
    assert_eq!(chosen.len(), 3);
    resolver.tell(Ok(vec!["10.0.0.2:80"]));
    later(&pool).await;
    assert_eq!(addresses(&pool), ["10.0.0.2:80", "10.0.0.9:80"]);
    for gone in [Ok(vec![]), Err(io::ErrorKind::NotFound.into())] {
        resolver.tell(gone);
        later(&pool).await;
        assert_eq!(addresses(&pool), ["10.0.0.2:80", "10.0.0.9:80"], "what is not found keeps its last addresses");
    }
    resolver.tell(Ok(vec!["10.0.0.3:80"]));
    later(&pool).await;
    assert_eq!(addresses(&pool), ["10.0.0.3:80", "10.0.0.9:80"]);
}

#[tokio::test(start_paused = true)]
async fn requests_at_once_share_one_look_up_and_wait_no_longer_than_a_connection() {
    let resolver = Fake::new(&["10.0.0.1:80"]);
    let held = resolver.gate.acquire_many(u32::try_from(Semaphore::MAX_PERMITS.min(1 << 20)).unwrap()).await.unwrap();
    let closed = resolver.gate.forget_permits(Semaphore::MAX_PERMITS);
    let pool = pool(&["orders:80"], &resolver);
    let began = tokio::time::Instant::now();
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let pool = Arc::clone(&pool);
            tokio::spawn(async move { pool.ready().await })
        })
        .collect();
    for one in waiting {
        one.await.unwrap();
    }
    assert_eq!((resolver.asked(), began.elapsed()), (1, Duration::from_secs(2)));
    assert!(pool.choose(&CALL).is_none());
    drop(held);
    resolver.gate.add_permits(closed.min(1000));
    pool.ready().await;
    assert_eq!((resolver.asked(), addresses(&pool)), (1, vec!["10.0.0.1:80".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn an_address_keeps_its_state_through_look_ups_and_reloads() {
    let resolver = Fake::new(&["10.0.0.1:80", "10.0.0.2:80"]);
    let old = pool(&["orders:80", "10.0.0.9:80"], &resolver);
    old.ready().await;
    later(&old).await;
    for target in old.targets().iter().filter(|target| target.address.to_string() != "10.0.0.2:80") {
        target.state.refused(Duration::ZERO);
    }
    resolver.tell(Ok(vec!["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]));
    later(&old).await;
    let refused = |pool: &Pool| -> Vec<String> {
        let bad = |target: &&Arc<Target>| target.state.standing(Duration::ZERO, false) == Standing::Bad;
        pool.targets().iter().filter(bad).map(|target| target.address.to_string()).collect()
    };
    assert_eq!(refused(&old), ["10.0.0.1:80", "10.0.0.9:80"]);
    let mut new =
        Pool::of(Arc::new(Backend::plain("b", &["10.0.0.9:80", "10.0.0.8:80", "orders:80"])), Arc::clone(&resolver) as _);
    new.inherit(&old);
    assert_eq!(addresses(&new), ["10.0.0.9:80", "10.0.0.8:80", "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"], "without a look-up");
    assert_eq!(refused(&new), ["10.0.0.9:80", "10.0.0.1:80"]);
    let tls = Backend { scheme: crate::config::Scheme::Https(Arc::default()), ..Backend::plain("b", &["10.0.0.9:443"]) };
    let mut other = Pool::of(Arc::new(tls), Arc::clone(&resolver) as _);
    other.inherit(&old);
    assert!(refused(&other).is_empty(), "spoken to in another way, it is another server");
}

#[tokio::test]
async fn servers_that_refused_are_left_to_others_unless_all_have() {
    let resolver = Fake::new(&[]);
    let pool = pool(&["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"], &resolver);
    let targets = pool.targets();
    targets[0].state.refused(Duration::ZERO);
    let chosen = |call: &Call<'_>| (0..6).map(|_| pool.choose(call).unwrap().address.to_string()).collect::<BTreeSet<_>>();
    assert_eq!(chosen(&CALL), BTreeSet::from(["10.0.0.2:80".into(), "10.0.0.3:80".into()]));
    let after = Call { now: Duration::from_secs(2), ..CALL };
    let post = Call { idempotent: false, ..after };
    assert_eq!(chosen(&post).len(), 2, "a call that can't be tried elsewhere is not the one to try it");
    let mut sent = Vec::new();
    for _ in 0..6 {
        sent.push(pool.choose(&after).unwrap().address.to_string());
    }
    assert_eq!(sent.iter().filter(|address| *address == "10.0.0.1:80").count(), 1, "one goes to see: {sent:?}");
    for target in targets.iter() {
        target.state.refused(Duration::from_secs(3));
    }
    let all_bad = Call { now: Duration::from_secs(3), ..CALL };
    assert_eq!(chosen(&all_bad).len(), 3, "with nothing better they are tried");
    let tried = Call { tried: &targets, ..all_bad };
    assert!(pool.choose(&tried).is_none());
}
