//! The archived part of one log: segments that join.

use std::path::PathBuf;

use event_log::{LogName, Record, Seq};
use runtime::{ChainReader, Doubt, LogId, open_record};
use wire::events::v1::Commit;

use crate::ArchiveError;
use crate::segment::{self, Draft, Segment};

/// The archived part of one log, from its first record to where it was last gone on with.
#[derive(Debug)]
pub struct ArchivedLog {
    folder: PathBuf,
    name: LogName,
    segments: Vec<Segment>,
    /// Taken in and not yet written.
    draft: Option<Draft>,
}

impl ArchivedLog {
    pub(crate) fn open(folder: PathBuf, name: LogName) -> Result<Self, ArchiveError> {
        let mut log = Self { folder, name, segments: Vec::new(), draft: None };
        log.look_again()?;
        Ok(log)
    }

    /// Reads anew which segments there are.
    pub(crate) fn look_again(&mut self) -> Result<(), ArchiveError> {
        let failed = |error| ArchiveError::io(&self.folder, error);
        let mut firsts = Vec::new();
        if self.folder.is_dir() {
            for entry in std::fs::read_dir(&self.folder).map_err(failed)? {
                let file = entry.map_err(failed)?.file_name();
                firsts.extend(file.to_str().and_then(segment::first_of));
            }
        }
        firsts.sort_unstable();
        let mut segments: Vec<Segment> = Vec::new();
        for first in firsts {
            let path = self.path(first);
            let next = segment::read_header(&path, &self.name)?;
            let broken = |reason: String| {
                Err(ArchiveError::Broken { place: path.display().to_string(), reason })
            };
            match segments.last() {
                _ if next.first != first => return broken("its name says otherwise".to_owned()),
                Some(last) if last.after != next.before => {
                    return broken(format!("the one before ends at record {}", last.last));
                }
                None if first != 1 => return broken("it is the first one".to_owned()),
                Some(_) | None => segments.push(next),
            }
        }
        self.segments = segments;
        Ok(())
    }

    /// Whose log it is.
    pub fn name(&self) -> &LogName {
        &self.name
    }

    /// Where the chain stands after the last record, those not yet written included; `None`: there is none.
    pub fn end(&self) -> Option<&ChainReader> {
        let drafted = self.draft.as_ref().map(Draft::end).filter(|end| end.seq > 0);
        drafted.or_else(|| self.segments.last().map(|segment| &segment.after))
    }

    /// The last record; 0: there is none.
    pub fn last(&self) -> Seq {
        self.end().map_or(0, |end| end.seq)
    }

    /// How many segments are written.
    pub fn segments(&self) -> usize {
        self.segments.len()
    }

    /// Takes the next record in; the first must be record 1. Full segments are written on the way, the rest by
    /// [`Self::flush`]. A record that does not follow is refused, and what was taken in before it stays.
    pub fn push(&mut self, record: &Record) -> Result<Commit, ArchiveError> {
        let mut draft = match self.draft.take() {
            Some(draft) => draft,
            None => Draft::new(match self.end() {
                Some(end) => end.clone(),
                None => ChainReader::at_start(born_as(record)?),
            }),
        };
        let pushed = draft.push(record);
        let full = draft.is_full();
        self.draft = Some(draft);
        if full {
            self.flush()?;
        }
        pushed
    }

    /// Writes what was taken in as a segment.
    pub fn flush(&mut self) -> Result<(), ArchiveError> {
        let Some(draft) = self.draft.take().filter(|draft| !draft.is_empty()) else {
            return Ok(());
        };
        private_files::create_dir_all(&self.folder)
            .map_err(|error| ArchiveError::io(&self.folder, error))?;
        let segment = draft.write(&self.folder, &self.name)?;
        self.segments.push(segment);
        Ok(())
    }

    /// The records of the segment that has record `seq`, all of them, each checked; none if no segment has it.
    pub fn read(&self, seq: Seq) -> Result<Vec<Record>, ArchiveError> {
        match self.segment_of(seq) {
            Some(first) => segment::read(&self.path(first), &self.name),
            None => Ok(Vec::new()),
        }
    }

    /// The first record of the segment that has record `seq`.
    pub(crate) fn segment_of(&self, seq: Seq) -> Option<Seq> {
        let index = self.segments.partition_point(|segment| segment.last < seq);
        let segment = self.segments.get(index)?;
        (segment.first <= seq).then_some(segment.first)
    }

    /// Reads every segment and checks everything in it. Returns the number of records.
    pub fn verify(&self) -> Result<Seq, ArchiveError> {
        let firsts = self.segments.iter().map(|segment| segment.first);
        for first in firsts {
            segment::read(&self.path(first), &self.name)?;
        }
        Ok(self.segments.last().map_or(0, |segment| segment.last))
    }

    /// Takes back everything after record `last`: for a backup in the making, of which nothing was promised yet.
    pub fn cut_back(&mut self, last: Seq) -> Result<(), ArchiveError> {
        self.draft = None;
        let mut kept = Vec::new();
        while let Some(segment) = self.segments.pop_if(|segment| segment.last > last) {
            let path = self.path(segment.first);
            if segment.first <= last {
                kept = segment::read(&path, &self.name)?;
            }
            std::fs::remove_file(&path).map_err(|error| ArchiveError::io(&path, error))?;
        }
        for record in kept.iter().take_while(|record| record.seq <= last) {
            self.push(record)?;
        }
        self.flush()
    }

    fn path(&self, first: Seq) -> PathBuf {
        self.folder.join(segment::file_name(first))
    }
}

/// The identity with which a log's first record begins.
fn born_as(record: &Record) -> Result<LogId, ArchiveError> {
    let other = |doubt| ArchiveError::OtherHistory { end: 0, doubt };
    let commit = open_record(record).map_err(other)?;
    LogId::try_from(commit.log_id).map_err(|_| other(Doubt::Identity { seq: record.seq }))
}
