//! A file system that fails where a test says so, and forgets at a crash what was not synced.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

use super::fs::{LogFile, LogFs, RealFs};

/// What happens at the chosen call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The machine stops: this call and all later ones fail.
    Crash,
    /// The disk is full: half of a write arrives.
    NoSpace,
    /// A sync fails, and what it should have made durable is forgotten by the kernel.
    SyncFails,
}

#[derive(Debug)]
struct Plan {
    n_calls: u64,
    /// Calls at which the fault does something.
    strikable: Vec<u64>,
    fault_at: u64,
    /// How many calls in a row fail.
    n_faults: u64,
    fault: Fault,
    is_down: bool,
    /// Written and synced length of files written through this file system.
    files: BTreeMap<PathBuf, (u64, u64)>,
    /// Files after whose failed sync no further sync helps.
    poisoned: Vec<PathBuf>,
    /// Created, and the directory not synced since.
    unlinked: Vec<PathBuf>,
    rng: SmallRng,
}

/// The machine's file system with one planned fault.
#[derive(Clone, Debug)]
pub(crate) struct FaultyFs(Arc<Mutex<Plan>>);

impl FaultyFs {
    pub(crate) fn new(seed: u64, fault: Fault, fault_at: u64, n_faults: u64) -> Self {
        Self(Arc::new(Mutex::new(Plan {
            n_calls: 0,
            strikable: Vec::new(),
            fault_at,
            n_faults,
            fault,
            is_down: false,
            files: BTreeMap::new(),
            poisoned: Vec::new(),
            unlinked: Vec::new(),
            rng: SmallRng::seed_from_u64(seed ^ fault_at),
        })))
    }

    /// The calls at which the fault would have done something.
    pub(crate) fn strikable(&self) -> Vec<u64> {
        self.0.lock().strikable.clone()
    }

    pub(crate) fn is_down(&self) -> bool {
        self.0.lock().is_down
    }

    /// Loses what a power failure may lose.
    pub(crate) fn lose_power(&self) {
        let mut plan = self.0.lock();
        plan.is_down = true;
        let files = std::mem::take(&mut plan.files);
        for (path, (written, synced)) in files {
            let kept = plan.rng.random_range(synced..=written);
            if path.try_exists().unwrap() && kept < written {
                RealFs.truncate(&path, kept).unwrap();
            }
        }
        for path in std::mem::take(&mut plan.unlinked) {
            if plan.rng.random_bool(0.5) {
                drop(std::fs::remove_file(path));
            }
        }
    }

    /// Counts a call; the fault that strikes it.
    fn call(&self, is_sync: bool, is_write: bool) -> io::Result<Option<Fault>> {
        let mut plan = self.0.lock();
        if plan.is_down {
            return Err(io::Error::other("the machine is down"));
        }
        plan.n_calls += 1;
        let can_strike = match plan.fault {
            Fault::Crash => true,
            Fault::NoSpace => is_write,
            Fault::SyncFails => is_sync,
        };
        if can_strike {
            let call = plan.n_calls;
            plan.strikable.push(call);
        }
        let strikes = (plan.fault_at..plan.fault_at + plan.n_faults).contains(&plan.n_calls);
        if !strikes {
            return Ok(None);
        }
        match plan.fault {
            Fault::Crash => {
                plan.is_down = true;
                if is_write { Ok(Some(Fault::Crash)) } else { Err(io::Error::other("the machine stops")) }
            }
            Fault::NoSpace if is_write => Ok(Some(Fault::NoSpace)),
            Fault::SyncFails if is_sync => Ok(Some(Fault::SyncFails)),
            Fault::NoSpace | Fault::SyncFails => Ok(None),
        }
    }
}

struct FaultyFile {
    fs: FaultyFs,
    path: PathBuf,
    real: Box<dyn LogFile>,
}

impl LogFile for FaultyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let fault = self.fs.call(false, true)?;
        let n_written = if fault.is_some() { bytes.len() / 2 } else { bytes.len() };
        self.real.append(&bytes[..n_written])?;
        if let Some((written, _)) = self.fs.0.lock().files.get_mut(&self.path) {
            *written += u64::try_from(n_written).unwrap();
        }
        if fault.is_some() { Err(io::Error::from(io::ErrorKind::StorageFull)) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        let fault = self.fs.call(true, false)?;
        let mut plan = self.fs.0.lock();
        if fault.is_some() {
            plan.poisoned.push(self.path.clone());
            return Err(io::Error::other("the disk does not answer"));
        }
        // After a failed sync the kernel reports success and has written nothing of what it forgot.
        if !plan.poisoned.contains(&self.path)
            && let Some((written, synced)) = plan.files.get_mut(&self.path)
        {
            *synced = *written;
        }
        Ok(())
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.fs.call(false, false)?;
        self.real.set_len(len)?;
        if let Some((written, synced)) = self.fs.0.lock().files.get_mut(&self.path) {
            (*written, *synced) = (len, len.min(*synced));
        }
        Ok(())
    }
}

impl LogFs for FaultyFs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        self.call(false, false)?;
        let real = RealFs.create(path)?;
        let mut plan = self.0.lock();
        plan.files.insert(path.to_path_buf(), (0, 0));
        plan.poisoned.retain(|poisoned| poisoned != path);
        plan.unlinked.push(path.to_path_buf());
        Ok(Box::new(FaultyFile { fs: self.clone(), path: path.to_path_buf(), real }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        self.call(false, false)?;
        RealFs.open(path)
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        self.call(true, false)?;
        RealFs.truncate(path, len)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
        self.call(false, false)?;
        RealFs.list(dir)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call(false, false)?;
        RealFs.remove(path)?;
        self.0.lock().files.remove(path);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(false, false)?;
        RealFs.rename(from, to)?;
        let mut plan = self.0.lock();
        if let Some(lengths) = plan.files.remove(from) {
            plan.files.insert(to.to_path_buf(), lengths);
        }
        plan.unlinked.retain(|path| path != from);
        plan.unlinked.push(to.to_path_buf());
        Ok(())
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.call(false, false)?;
        RealFs.create_dir_all(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        if self.call(true, false)?.is_some() {
            return Err(io::Error::other("the disk does not answer"));
        }
        RealFs.sync_dir(dir)?;
        self.0.lock().unlinked.retain(|path| path.parent() != Some(dir));
        Ok(())
    }
}
