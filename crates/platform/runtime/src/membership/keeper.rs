//! Keeps this instance's notice on the board, and what the board shows in view.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event_log::{BoardError, NOTICE_STANDS, Notices, Seq};
use kernel::planted::{self, Bug};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Membership;
use super::members::{Leader, Member, Place, Summons, Vacancy, Verdict, View};
use super::notice::{Notice, Role, Standing};
use crate::health::Health;
use crate::partition::Core;
use crate::service::Service;
use crate::snapshotting::SnapshotStatus;
use crate::{LogId, ServiceId};

/// How often a notice is renewed.
const RENEWED_EVERY: Duration = Duration::from_secs(1);
/// How soon a notice that could not be put is tried again.
const AGAIN_AFTER: Duration = Duration::from_millis(250);
/// For how long after it set out a notice is known to stand: less than it does, for clocks differ.
const KNOWN_TO_STAND: Duration = Duration::from_millis(2500);
/// So many renewals are known by when they set out: more than are on their way at any time.
const SENT_MAX: usize = 16;
/// A leader's word stands for itself only once all who decided before they saw it are done or have given up, and would
/// be seen here: what they saw may be 2.5 s old, they wait for 1.5 s, claim within 2 s, and what is seen here may be
/// 2.5 s old.
const VOUCHES_AFTER: Duration = Duration::from_secs(9);
/// After so many failures in a row to put the notice up that is said.
const SAID_AFTER_FAILURES: u32 = 3;
/// A leader that hasn't reached its log for so long says so, and others may try.
const STALLED_AFTER: Duration = Duration::from_secs(5);

/// One service's notice and view.
#[derive(Debug)]
pub(crate) struct Keeper {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    service: ServiceId,
    membership: Membership,
    view: watch::Sender<Arc<View>>,
    own: Mutex<Own>,
    /// Changes when the notice is to be put before its time.
    wanted: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Own {
    renewal: u64,
    /// When the last notice that was put set out.
    renewed_at: Option<Instant>,
    /// Renewals, and when they set out.
    sent: VecDeque<(u64, Instant)>,
    /// When the last notice that came back set out: what the board shows is no older.
    seen_at: Option<Instant>,
    seats: BTreeMap<u16, Chair>,
}

impl Own {
    /// The next renewal, which sets out now.
    fn send(&mut self, now: Instant) -> u64 {
        self.renewal += 1;
        if self.sent.len() == SENT_MAX {
            self.sent.pop_front();
        }
        self.sent.push_back((self.renewal, now));
        self.renewal
    }

    /// A renewal came back.
    fn came_back(&mut self, renewal: u64) {
        while let Some((_, at)) = self.sent.front().filter(|(number, _)| *number <= renewal) {
            self.seen_at = Some(*at);
            self.sent.pop_front();
        }
    }
}

/// What a notice says of one partition, as it changes.
#[derive(Debug)]
pub(crate) struct Watched {
    /// Who its log is.
    log_id: LogId,
    health: watch::Receiver<Health>,
    applied: watch::Receiver<Seq>,
    saved: watch::Receiver<SnapshotStatus>,
    /// A record of another log that this instance knows, or one that its log has lost.
    evidence: watch::Receiver<Option<(LogId, Seq)>>,
}

impl Watched {
    /// Of this partition.
    pub(crate) fn of<S: Service>(core: &Core<S>) -> Self {
        Self {
            log_id: core.identity.log_id,
            health: core.health.subscribe(),
            applied: core.applied.subscribe(),
            saved: core.saved.subscribe(),
            evidence: core.evidence.subscribe(),
        }
    }
}

/// Where this instance stands with one partition.
#[derive(Debug)]
struct Chair {
    role: Role,
    epoch: u64,
    watched: Watched,
    unavailable_since: Option<Instant>,
    /// When the first and the last notice set out that said that it leads, of those without a break.
    said: Option<(Instant, Instant)>,
}

impl Chair {
    /// What to say of it now. A leader that can't reach its log takes its word back before anybody hears that it is
    /// stalled.
    fn standing(&mut self, now: Instant) -> Standing {
        let Watched { log_id, health, applied, saved, evidence } = &self.watched;
        if *health.borrow() == Health::LogUnavailable {
            self.unavailable_since.get_or_insert(now);
        } else {
            self.unavailable_since = None;
        }
        let long = self.unavailable_since.is_some_and(|since| now >= since + STALLED_AFTER);
        let role = if self.role == Role::Leads && long { Role::Stalled } else { self.role };
        if role != Role::Leads {
            self.said = None;
        }
        let SnapshotStatus { seq, older, .. } = *saved.borrow();
        let (log_id, head) = evidence.borrow().unwrap_or((*log_id, *applied.borrow()));
        Standing { role, epoch: self.epoch, log_id, head, snapshots: [older, seq] }
    }
}

/// See [`KNOWN_TO_STAND`].
fn known_to_stand() -> Duration {
    if planted::is(Bug::NoticeTrustedTooLong) { NOTICE_STANDS * 3 } else { KNOWN_TO_STAND }
}

/// A poisoned lock holds a list whose every change is one assignment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Keeper {
    /// Begins to renew and to watch.
    pub(crate) fn start(service: ServiceId, membership: Membership) -> Self {
        let shared = Arc::new(Shared {
            service,
            membership,
            view: watch::Sender::default(),
            own: Mutex::default(),
            wanted: watch::Sender::new(0),
        });
        let tasks = vec![
            tokio::spawn(renew(Arc::clone(&shared))),
            tokio::spawn(look_out(Arc::clone(&shared))),
        ];
        Self { shared, tasks }
    }

    /// This instance's place at one partition.
    pub(crate) fn seat(&self, partition: u16, watched: Watched) -> Seat {
        let chair =
            Chair { role: Role::Cold, epoch: 0, watched, unavailable_since: None, said: None };
        lock(&self.shared.own).seats.insert(partition, chair);
        Seat { shared: Arc::clone(&self.shared), partition }
    }

    /// Says that this instance is about to stop: it gives away what it leads, and takes nothing over.
    pub(crate) fn drain(&self) {
        self.shared.view.send_if_modified(|view| {
            let news = !view.draining;
            if news {
                Arc::make_mut(view).draining = true;
            }
            news
        });
        self.shared.put_soon();
    }

    /// Whether another instance could take the partition over at once.
    pub(crate) fn has_heir(&self, partition: u16) -> bool {
        let place = self.shared.place(partition);
        self.shared.view.borrow().has_heir(place)
    }

    /// Changes when the board does.
    pub(crate) fn changes(&self) -> watch::Receiver<Arc<View>> {
        self.shared.view.subscribe()
    }

    /// Takes the notice down.
    pub(crate) async fn leave(self) {
        self.abandon();
        let Membership { instance, board, .. } = &self.shared.membership;
        let key = Notice::key(self.shared.service, instance);
        let gone = tokio::time::timeout(RENEWED_EVERY, board.remove(&key)).await;
        if !matches!(gone, Ok(Ok(()))) {
            tracing::debug!("the notice could not be taken down; it goes by itself");
        }
    }

    /// Ends without a word.
    pub(crate) fn abandon(&self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Shared {
    fn put_soon(&self) {
        self.wanted.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn place(&self, partition: u16) -> Place<'_> {
        Place { service: self.service, partition, me: &self.membership.instance }
    }

    fn notice(&self, now: Instant) -> Notice {
        let mut own = lock(&self.own);
        let renewal = own.send(now);
        let standings = own.seats.iter_mut().map(|(number, chair)| (*number, chair.standing(now)));
        let standings = standings.collect();
        Notice {
            address: self.membership.address.clone(),
            draining: self.view.borrow().draining,
            renewal,
            standings,
        }
    }

    /// A notice that set out at `at` stands.
    fn stood(&self, notice: &Notice, at: Instant) {
        let mut own = lock(&self.own);
        own.renewed_at = Some(at);
        for (number, chair) in &mut own.seats {
            let said = notice.standings.get(number);
            let still = |said: &&Standing| said.role == Role::Leads && said.epoch == chair.epoch;
            if chair.role == Role::Leads && said.as_ref().is_some_and(still) {
                // Others may have seen nobody once the last one no longer stood.
                let unbroken = chair.said.filter(|(_, last)| at < *last + known_to_stand());
                let first = unbroken.map_or(at, |(first, _)| first);
                chair.said = Some((first, at));
            }
        }
    }

    /// Whether the board has been reached lately, both ways: a notice was put, and one of ours was seen there. What is
    /// seen of a board that shows nothing new, though notices can be put, is no reason for anything.
    fn reachable(&self, now: Instant) -> bool {
        let own = lock(&self.own);
        let lately = |at: Option<Instant>| at.is_some_and(|at| now < at + known_to_stand());
        lately(own.renewed_at) && (lately(own.seen_at) || planted::is(Bug::StaleViewTrusted))
    }

    fn see(&self, notices: &Notices, told: &mut BTreeMap<String, u64>) {
        let now = Instant::now();
        let before = Arc::clone(&self.view.borrow());
        let mut joined_at = before.joined_at;
        let (mut others, mut is_there) = (BTreeMap::new(), false);
        for (key, notice) in notices.iter() {
            let Some(instance) = Notice::instance(self.service, key) else { continue };
            let notice = match Notice::decode(notice) {
                Ok(notice) => notice,
                Err(error) => {
                    tracing::warn!(key, %error, "a notice can't be read");
                    continue;
                }
            };
            if instance == self.membership.instance {
                joined_at = joined_at.or(Some(now));
                is_there = true;
                lock(&self.own).came_back(notice.renewal);
                continue;
            }
            // Who had this very address and gives no sign of life is this instance's own past.
            let first = *told.entry(instance.to_owned()).or_insert(notice.renewal);
            if notice.address == self.membership.address && notice.renewal == first {
                continue;
            }
            let since = before.others.get(instance).map_or(now, |known| known.since);
            let Notice { address, draining, standings, .. } = notice;
            others.insert(instance.to_owned(), Member { address, draining, standings, since });
        }
        if !is_there {
            // A board that has lost its memory: others may have seen nobody as well.
            lock(&self.own).seats.values_mut().for_each(|chair| chair.said = None);
        }
        told.retain(|instance, _| notices.contains_key(&Notice::key(self.service, instance)));
        self.view.send_modify(|view| {
            let draining = view.draining;
            *view = Arc::new(View { joined_at, draining, others });
        });
    }
}

/// Puts the notice up again every second, and at once when what it says has changed.
async fn renew(shared: Arc<Shared>) {
    let key = Notice::key(shared.service, &shared.membership.instance);
    let mut wanted = shared.wanted.subscribe();
    // Once may be the first that is seen of a connection that is lost.
    let mut failed = 0_u32;
    loop {
        wanted.mark_unchanged();
        let at = Instant::now();
        let notice = shared.notice(at);
        let put = shared.membership.board.put(&key, notice.encode()).await;
        match &put {
            // The whole log is away, which is said once, by whoever keeps the connection.
            Err(error @ BoardError::NotConnected) => {
                tracing::debug!(service = %shared.service, %error, "nothing changes hands meanwhile");
            }
            Err(error @ BoardError::Failed(_)) => {
                failed = failed.saturating_add(1);
                if failed == SAID_AFTER_FAILURES {
                    tracing::warn!(service = %shared.service, %error, "nothing changes hands meanwhile");
                }
            }
            Ok(()) => failed = 0,
        }
        let reached = put.is_ok();
        let pause = if reached { RENEWED_EVERY } else { AGAIN_AFTER };
        if reached {
            shared.stood(&notice, at);
        }
        tokio::select! {
            biased;
            changed = wanted.changed() => if changed.is_err() { return },
            () = tokio::time::sleep_until((at + pause).max(Instant::now())) => {}
        }
    }
}

async fn look_out(shared: Arc<Shared>) {
    let mut notices = shared.membership.board.watch();
    let mut told = BTreeMap::new();
    loop {
        let seen = Arc::clone(&notices.borrow_and_update());
        shared.see(&seen, &mut told);
        if notices.changed().await.is_err() {
            return;
        }
    }
}

/// This instance's place at one partition. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    shared: Arc<Shared>,
    partition: u16,
}

impl Seat {
    /// Says from now on that this is where the instance stands.
    pub(crate) fn stand(&self, role: Role, epoch: u64) {
        {
            let mut own = lock(&self.shared.own);
            let Some(chair) = own.seats.get_mut(&self.partition) else { return };
            if (chair.role, chair.epoch) == (role, epoch) {
                return;
            }
            (chair.role, chair.epoch, chair.said) = (role, epoch, None);
        }
        self.shared.put_soon();
    }

    /// Whether this instance, which leads, may show its state without asking the log: nobody else can have claimed it,
    /// for all have been told for long enough that it leads, and whoever did claim it would have been seen.
    pub(crate) fn vouches(&self) -> bool {
        let now = Instant::now();
        let own = lock(&self.shared.own);
        let said = own.seats.get(&self.partition).and_then(|chair| chair.said);
        let sees = own.seen_at.is_some_and(|at| now < at + known_to_stand());
        said.is_some_and(|(first, last)| {
            let stands = sees && now < last + known_to_stand();
            now >= first + VOUCHES_AFTER && (stands || planted::is(Bug::LapsedNoticeVouches))
        })
    }

    /// Who else leads it, but in no epoch before this one.
    pub(crate) fn leader(&self, epoch: u64) -> Option<Leader> {
        self.shared.view.borrow().leader(self.partition, epoch)
    }

    /// Whether the board, reached lately, shows nobody who leads in this epoch or a later one.
    pub(crate) fn is_vacant(&self, epoch: u64) -> bool {
        self.shared.reachable(Instant::now()) && self.leader(epoch).is_none()
    }

    /// The other instances that have read more of this log than up to `last`, or have read another in its place: where,
    /// and what.
    pub(crate) fn knows_more(&self, log_id: LogId, last: Seq) -> Vec<(String, LogId, Seq)> {
        self.shared.view.borrow().knows_more(self.partition, log_id, last)
    }

    /// Whether another instance could take it over at once.
    pub(crate) fn has_heir(&self) -> bool {
        self.shared.view.borrow().has_heir(self.shared.place(self.partition))
    }

    /// Whether this instance, a standby, should claim the log: see [`Vacancy`].
    pub(crate) fn verdict(&self, vacancy: &mut Vacancy, epoch: u64, warm: bool) -> Verdict {
        let now = Instant::now();
        let view = Arc::clone(&self.shared.view.borrow());
        let place = self.shared.place(self.partition);
        match vacancy.verdict(&view, place, (epoch, warm), now) {
            // What is seen while the board can't be reached is no reason for anything.
            Verdict::Claim if !self.shared.reachable(now) => Verdict::NotBefore(now + AGAIN_AFTER),
            verdict @ (Verdict::Stay | Verdict::NotBefore(_) | Verdict::Claim) => verdict,
        }
    }

    /// Keeps a vacancy true to what the board shows, for an instance that couldn't lead yet.
    pub(crate) fn notice(&self, vacancy: &mut Vacancy) {
        let view = Arc::clone(&self.shared.view.borrow());
        vacancy.notice(&view, self.shared.place(self.partition), Instant::now());
    }

    /// Changes when the board does.
    pub(crate) fn changes(&self) -> watch::Receiver<Arc<View>> {
        self.shared.view.subscribe()
    }

    /// For a leader to be told when to look up.
    pub(crate) fn watcher(&self) -> Watcher {
        Watcher { seat: self.clone(), changes: self.changes(), next: None, fresh: true, rival: 0 }
    }
}

/// Tells a leader when to look up from its work.
#[derive(Debug)]
pub(crate) struct Watcher {
    seat: Seat,
    changes: watch::Receiver<Arc<View>>,
    next: Option<Instant>,
    fresh: bool,
    /// The latest epoch of another that was looked into.
    rival: u64,
}

impl Watcher {
    /// Returns when the leader of `epoch` is to hand over (true), or to make sure that it still leads (false).
    pub(crate) async fn summons(&mut self, epoch: u64) -> bool {
        loop {
            let now = Instant::now();
            if self.fresh || self.next.is_some_and(|next| now >= next) {
                let view = Arc::clone(&self.changes.borrow_and_update());
                (self.fresh, self.next) = (false, None);
                let place = self.seat.shared.place(self.seat.partition);
                match view.summons(place, epoch.max(self.rival), now) {
                    Summons::Rival(rival) => {
                        (self.rival, self.fresh) = (rival, true);
                        return false;
                    }
                    Summons::HandOver if self.seat.shared.reachable(now) => {
                        self.fresh = true;
                        return true;
                    }
                    Summons::HandOver => self.next = Some(now + NOTICE_STANDS),
                    Summons::NotBefore(next) => self.next = Some(next),
                    Summons::Nothing => {}
                }
            }
            let time = async {
                match self.next {
                    Some(next) => tokio::time::sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                changed = self.changes.changed() => match changed {
                    Ok(()) => self.fresh = true,
                    Err(_) => std::future::pending().await,
                },
                () = time => {}
            }
        }
    }
}
