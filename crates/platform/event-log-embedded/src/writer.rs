//! The one thread that writes: it takes what waits, commits it together, then answers.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread;

use bytes::Bytes;
use event_log::{AppendError, LogError, LogName, OpenError, Seq, Tail};
use tokio::sync::{mpsc, oneshot};

use crate::full::FullDisk;
use crate::store::{Change, Store, is_damage};
use crate::{Core, Head, lock};

/// The most jobs in one commit.
const GROUP_MAX_JOBS: usize = 512;
/// A group takes no further job once it holds this many bytes.
const GROUP_MAX_BYTES: usize = 8 * 1024 * 1024;

/// What can be asked of the writer. Whoever asks may stop waiting; the job is done all the same.
#[derive(Debug)]
pub(crate) enum Job {
    Append {
        head: Arc<Head>,
        fence: Seq,
        record: Bytes,
        reply: oneshot::Sender<Result<Seq, AppendError>>,
    },
    Create {
        name: LogName,
        genesis: Bytes,
        reply: oneshot::Sender<Result<Arc<Head>, OpenError>>,
    },
    Trim {
        head: Arc<Head>,
        upto: Seq,
        reply: oneshot::Sender<Result<(), LogError>>,
    },
    GiveUp {
        name: LogName,
        head: Arc<Head>,
        reply: oneshot::Sender<Result<(), OpenError>>,
    },
    Close {
        reply: oneshot::Sender<()>,
    },
}

impl Job {
    fn bytes(&self) -> usize {
        match self {
            Self::Append { record, .. } => record.len(),
            Self::Create { genesis, .. } => genesis.len(),
            Self::Trim { .. } | Self::GiveUp { .. } | Self::Close { .. } => 0,
        }
    }
}

/// Starts the thread. It ends when it is told to close, or when no one can send a job any more.
pub(crate) fn start(core: Arc<Core>, mut jobs: mpsc::Receiver<Job>) -> std::io::Result<()> {
    let run = move || {
        while let Some(first) = jobs.blocking_recv() {
            let (group, close) = gather(first, &mut jobs);
            Group::plan(&core, group).finish(&core);
            if let Some(reply) = close {
                shut(&core);
                // Whoever asked may have stopped waiting.
                reply.send(()).unwrap_or(());
                return;
            }
        }
        shut(&core);
    };
    thread::Builder::new().name("event-log".to_owned()).spawn(run).map(drop)
}

/// Takes every job that waits, up to the limits of a group. None is awaited.
fn gather(first: Job, jobs: &mut mpsc::Receiver<Job>) -> (Vec<Job>, Option<oneshot::Sender<()>>) {
    let mut group = Vec::new();
    let mut bytes = 0;
    let mut next = Some(first);
    while let Some(job) = next {
        bytes += job.bytes();
        match job {
            Job::Close { reply } => return (group, Some(reply)),
            job @ (Job::Append { .. }
            | Job::Create { .. }
            | Job::Trim { .. }
            | Job::GiveUp { .. }) => group.push(job),
        }
        if group.len() >= GROUP_MAX_JOBS || bytes >= GROUP_MAX_BYTES {
            break;
        }
        next = jobs.try_recv().ok();
    }
    (group, None)
}

fn shut(core: &Core) {
    for head in lock(&core.heads).values() {
        head.state.send_modify(|state| state.closed = true);
    }
    *core.store.write().unwrap_or_else(PoisonError::into_inner) = None;
    *lock(&core.place) = None;
}

/// A group of jobs, each with what it will be told if the commit succeeds.
#[derive(Debug, Default)]
struct Group {
    /// What each log will hold, by its number in the file.
    tails: BTreeMap<u32, (Arc<Head>, Tail)>,
    created: BTreeMap<LogName, Arc<Head>>,
    planned: Vec<Planned>,
}

#[derive(Debug)]
struct Planned {
    job: Job,
    verdict: Verdict,
}

#[derive(Debug)]
enum Verdict {
    /// Becomes record `seq`.
    Write(Seq),
    /// The last record is another one.
    Fenced(Seq),
    Create(Arc<Head>),
    Exists(Arc<Head>),
    Trim,
    Beyond(Seq),
    GiveUp,
    Nothing,
}

impl Group {
    /// Judges each job as if all before it had been done. Nobody is told before the commit: a
    /// refusal that rests on a record which then isn't written would be false.
    fn plan(core: &Core, jobs: Vec<Job>) -> Self {
        let mut group = Self::default();
        for job in jobs {
            let verdict = match &job {
                Job::Append { head, fence, .. } => group.append(head, *fence),
                Job::Create { name, .. } => group.create(core, name),
                Job::Trim { head, upto, .. } => group.trim(head, *upto),
                Job::GiveUp { .. } => Verdict::GiveUp,
                Job::Close { .. } => Verdict::Nothing,
            };
            group.planned.push(Planned { job, verdict });
        }
        group
    }

    fn tail(&mut self, head: &Arc<Head>) -> &mut Tail {
        let fresh = || (Arc::clone(head), head.tail());
        &mut self.tails.entry(head.id).or_insert_with(fresh).1
    }

    fn append(&mut self, head: &Arc<Head>, fence: Seq) -> Verdict {
        let tail = self.tail(head);
        if fence != tail.last {
            return Verdict::Fenced(tail.last);
        }
        tail.last = tail.last.saturating_add(1);
        Verdict::Write(tail.last)
    }

    fn create(&mut self, core: &Core, name: &LogName) -> Verdict {
        let heads = lock(&core.heads);
        if let Some(head) = heads.get(name).or_else(|| self.created.get(name)) {
            return Verdict::Exists(Arc::clone(head));
        }
        drop(heads);
        let head = Head::new(core.next_id.fetch_add(1, Ordering::Relaxed), Tail::EMPTY);
        self.created.insert(name.clone(), Arc::clone(&head));
        self.tail(&head).last = 1;
        Verdict::Create(head)
    }

    fn trim(&mut self, head: &Arc<Head>, upto: Seq) -> Verdict {
        let tail = self.tail(head);
        if upto > tail.last {
            return Verdict::Beyond(tail.last);
        }
        if upto < tail.first {
            return Verdict::Nothing;
        }
        tail.first = upto.saturating_add(1);
        Verdict::Trim
    }

    fn changes(&self) -> Vec<Change<'_>> {
        let mut changes = Vec::new();
        for Planned { job, verdict } in &self.planned {
            match (job, verdict) {
                (Job::Append { head, record, .. }, Verdict::Write(seq)) => {
                    changes.push(Change::Record { id: head.id, seq: *seq, bytes: record });
                }
                (Job::Create { name, genesis, .. }, Verdict::Create(head)) => {
                    changes.push(Change::Name { name, id: head.id });
                    changes.push(Change::Record { id: head.id, seq: 1, bytes: genesis });
                }
                (Job::Trim { head, upto, .. }, Verdict::Trim) => {
                    changes.push(Change::Trim { id: head.id, upto: *upto });
                }
                (Job::GiveUp { name, head, .. }, Verdict::GiveUp) => {
                    changes.push(Change::GiveUp { name, id: head.id });
                }
                (
                    Job::Append { .. }
                    | Job::Create { .. }
                    | Job::Trim { .. }
                    | Job::GiveUp { .. }
                    | Job::Close { .. },
                    _,
                ) => {}
            }
        }
        changes
    }

    fn finish(self, core: &Core) {
        let changes = self.changes();
        let outcome = if changes.is_empty() { Ok(()) } else { commit(core, &changes) };
        match outcome {
            Ok(()) => self.succeed(core),
            Err(failure) if failure.damaged && self.tails.len() > 1 => self.one_by_one(core),
            Err(failure) => {
                // A full disk is said once, not with each append that it refuses.
                if !failure.refused {
                    tracing::error!(
                        error = %failure.reason,
                        full = failure.full,
                        jobs = self.planned.len(),
                        "a commit of the embedded log failed"
                    );
                }
                self.fail(&failure);
            }
        }
    }

    /// A part of the file is damaged that some log of the group has to do with: each log's jobs are done by themselves,
    /// so that it keeps none of the others from being written.
    fn one_by_one(self, core: &Core) {
        let mut by_log: BTreeMap<u32, Vec<Job>> = BTreeMap::new();
        for Planned { job, verdict } in self.planned {
            let id = match (&job, &verdict) {
                (
                    Job::Append { head, .. } | Job::Trim { head, .. } | Job::GiveUp { head, .. },
                    _,
                )
                | (Job::Create { .. }, Verdict::Create(head) | Verdict::Exists(head)) => head.id,
                (Job::Create { .. } | Job::Close { .. }, _) => 0,
            };
            by_log.entry(id).or_default().push(job);
        }
        for jobs in by_log.into_values() {
            Self::plan(core, jobs).finish(core);
        }
    }

    fn succeed(self, core: &Core) {
        lock(&core.heads).extend(self.created);
        for (head, tail) in self.tails.into_values() {
            if tail != head.tail() {
                head.set_tail(tail);
            }
        }
        for Planned { job, verdict } in self.planned {
            if let (Job::GiveUp { name, head, .. }, Verdict::GiveUp) = (&job, &verdict) {
                lock(&core.heads).remove(name);
                head.state.send_modify(|state| state.closed = true);
            }
            accept(job, verdict);
        }
    }

    fn fail(self, failure: &Failure) {
        for Planned { job, .. } in self.planned {
            match job {
                Job::Append { reply, .. } => {
                    reply.send(Err(failure.append())).unwrap_or(());
                }
                Job::Create { reply, .. } => {
                    reply.send(Err(OpenError::Unavailable(failure.cause()))).unwrap_or(());
                }
                Job::Trim { reply, .. } => {
                    reply.send(Err(LogError::Unavailable(failure.cause()))).unwrap_or(());
                }
                Job::GiveUp { reply, .. } => {
                    reply.send(Err(OpenError::Unavailable(failure.cause()))).unwrap_or(());
                }
                Job::Close { .. } => {}
            }
        }
    }
}

/// Answers a job whose group is durable. Whoever asked may have stopped waiting.
fn accept(job: Job, verdict: Verdict) {
    match (job, verdict) {
        (Job::Append { reply, .. }, Verdict::Write(seq)) => reply.send(Ok(seq)).unwrap_or(()),
        (Job::Append { reply, .. }, Verdict::Fenced(last)) => {
            reply.send(Err(AppendError::Fenced { last })).unwrap_or(());
        }
        (Job::Create { reply, .. }, Verdict::Create(head) | Verdict::Exists(head)) => {
            reply.send(Ok(head)).unwrap_or(());
        }
        (Job::Trim { reply, .. }, Verdict::Trim | Verdict::Nothing) => {
            reply.send(Ok(())).unwrap_or(());
        }
        (Job::Trim { reply, .. }, Verdict::Beyond(last)) => {
            reply.send(Err(LogError::Beyond { last })).unwrap_or(());
        }
        (Job::GiveUp { reply, .. }, Verdict::GiveUp) => reply.send(Ok(())).unwrap_or(()),
        (
            Job::Append { .. }
            | Job::Create { .. }
            | Job::Trim { .. }
            | Job::GiveUp { .. }
            | Job::Close { .. },
            _,
        ) => {}
    }
}

/// Why a group wasn't committed, and what is known of it.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "four independent things that are known of it")]
struct Failure {
    reason: String,
    full: bool,
    /// Whether the file was read again after the failure and has none of the group.
    certain: bool,
    /// Whether a part of the file isn't what was written to it.
    damaged: bool,
    /// Nothing was tried: the disk was full a moment ago, and nothing has changed since.
    refused: bool,
}

impl Failure {
    fn new(error: &redb::Error, certain: bool) -> Self {
        let (full, damaged) = (is_full(error), is_damage(error));
        Self { reason: error.to_string(), full, certain, damaged, refused: false }
    }

    fn cause(&self) -> event_log::Cause {
        self.reason.clone().into()
    }

    fn append(&self) -> AppendError {
        if !self.certain {
            return AppendError::Unknown(self.cause());
        }
        if self.full { AppendError::Full } else { AppendError::Unavailable(self.cause()) }
    }
}

/// Commits the changes, or knows that it did not.
fn commit(core: &Core, changes: &[Change<'_>]) -> Result<(), Failure> {
    let mut full = lock(&core.full);
    // What makes room is tried always.
    let grows = changes.iter().all(|it| matches!(it, Change::Record { .. } | Change::Name { .. }));
    if grows && full.as_ref().is_some_and(|full| !full.may_have_room(core)) {
        let reason = "the disk is full".to_owned();
        return Err(Failure { reason, full: true, certain: true, damaged: false, refused: true });
    }
    let outcome = attempt(core, changes);
    let is_full = outcome.as_ref().is_err_and(|failure| failure.full && failure.certain);
    *full = is_full.then(|| FullDisk::now(core));
    outcome
}

fn attempt(core: &Core, changes: &[Change<'_>]) -> Result<(), Failure> {
    let attempt = {
        // Readers hold this too: they go on while the disk works.
        let slot = core.store.read().unwrap_or_else(PoisonError::into_inner);
        slot.as_ref().map(|store| store.commit(changes))
    };
    match attempt {
        Some(Ok(())) => Ok(()),
        Some(Err(error)) => resolve(core, changes, &error),
        None => retry(core, changes),
    }
}

/// Commits to a file that an earlier failure left closed.
fn retry(core: &Core, changes: &[Change<'_>]) -> Result<(), Failure> {
    let untouched = |error: redb::Error| Failure::new(&error, true);
    let store = Store::open(&core.directory, &core.limit).map_err(untouched)?;
    *core.store.write().unwrap_or_else(PoisonError::into_inner) = Some(store);
    let slot = core.store.read().unwrap_or_else(PoisonError::into_inner);
    let attempt = slot.as_ref().map_or(Ok(()), |store| store.commit(changes));
    drop(slot);
    attempt.or_else(|error| resolve(core, changes, &error))
}

/// After a failure redb refuses all further work and doesn't say whether the commit is in the file.
/// So the file is opened anew and asked.
fn resolve(core: &Core, changes: &[Change<'_>], error: &redb::Error) -> Result<(), Failure> {
    let mut slot = core.store.write().unwrap_or_else(PoisonError::into_inner);
    // Closed first: a file is open once.
    *slot = None;
    let mut failure = Failure::new(error, false);
    match Store::open(&core.directory, &core.limit) {
        Ok(store) => match holds(&store, changes) {
            Ok(true) => {
                *slot = Some(store);
                return Ok(());
            }
            Ok(false) => {
                failure.certain = true;
                *slot = Some(store);
            }
            Err(error) => tracing::error!(%error, "the embedded log can't be read"),
        },
        Err(error) => tracing::error!(%error, "the embedded log can't be opened again"),
    }
    Err(failure)
}

/// Says whether the file has the group, by its first change: a commit is all or nothing.
fn holds(store: &Store, changes: &[Change<'_>]) -> Result<bool, redb::Error> {
    let Some(change) = changes.first() else { return Ok(true) };
    match change {
        Change::Record { id, seq, .. } => Ok(store.tail(*id)?.last >= *seq),
        Change::Name { id, .. } => Ok(store.tail(*id)?.last >= 1),
        Change::Trim { id, upto } => Ok(store.tail(*id)?.first > *upto),
        Change::GiveUp { id, .. } => Ok(store.heads()?.0.iter().all(|found| found.id != *id)),
    }
}

fn is_full(error: &redb::Error) -> bool {
    let redb::Error::Io(error) = error else { return false };
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
    )
}
