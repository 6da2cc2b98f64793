//! What the sensors cost: CPU of a workload with and without them, in alternating pairs, and what they take themselves.
//! `overhead [pairs] [seconds of a run]`, as root; `make bench-sensors`.
//!
//! CPU per operation is compared, not time: on a machine that others use too, time says more about them. Both ends of
//! the connections are on this machine, so a machine that has one end pays about half of what is on top.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use hindcast_bpf_sensors::{Config, Counters, Origin, Sides, start};
use hindcast_model::{Batch, Clock, TableId, Timestamp, tables};

type Outcome<T> = Result<T, Box<dyn Error>>;

#[derive(Debug)]
struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        Timestamp::from_nanos(now.tv_sec * 1_000_000_000 + now.tv_nsec)
    }
}

/// What is done over and over.
#[derive(Clone, Copy, Debug)]
enum Load {
    KeepAlive,
    Connections,
    Bulk,
    Exec,
    Open,
}

impl Load {
    const ALL: [Self; 5] = [Self::KeepAlive, Self::Connections, Self::Bulk, Self::Exec, Self::Open];

    const fn name(self) -> &'static str {
        match self {
            Self::KeepAlive => "HTTP request, kept-alive connection",
            Self::Connections => "HTTP request, connection each",
            Self::Bulk => "64 KiB of bulk data",
            Self::Exec => "process that runs true",
            Self::Open => "file opened to be read",
        }
    }
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, sides] = arguments.as_slice()
        && word == "sense"
    {
        return sense(sides == "server");
    }
    let number = |index: usize, default: u64| arguments.get(index).map_or(Ok(default), |text| text.parse::<u64>());
    let (pairs, seconds) = (number(0, 9)?, number(1, 2)?);
    let mut out = std::io::stdout().lock();
    writeln!(out, "{pairs} pairs of {seconds} s each; CPU with sensors / CPU without, median [quartiles]")?;
    for sides in ["both", "server"] {
        for load in Load::ALL {
            let mut ratios = Vec::new();
            let mut plain = Vec::new();
            let mut agent = String::new();
            for pair in 0..pairs {
                let mut measured = [0.0; 2];
                // Which goes first alternates, so that a drift of the machine strikes both.
                for turn in [pair % 2, (pair + 1) % 2] {
                    let sensors = if turn == 1 { Some(Agent::start(sides)?) } else { None };
                    let cost = run(load, Duration::from_secs(seconds))?;
                    if let Some(sensors) = sensors {
                        agent = sensors.stop()?;
                    }
                    if let Some(slot) = measured.get_mut(usize::try_from(turn)?) {
                        *slot = cost;
                    }
                }
                ratios.push(measured[1] / measured[0]);
                plain.push(measured[0]);
            }
            let [low, median, high] = quartiles(&mut ratios);
            let [_, base, _] = quartiles(&mut plain);
            writeln!(
                out,
                "{sides:<7} {:<36} {median:.3} [{low:.3}–{high:.3}]  {:.2} µs without; {agent}",
                load.name(),
                base / 1e3
            )?;
        }
    }
    Ok(())
}

fn quartiles(values: &mut [f64]) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    let at = |part: usize| {
        values.get((values.len() * part / 4).min(values.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
    };
    [at(1), at(2), at(3)]
}

/// The sensors in a process of their own, which tells what it took.
struct Agent(std::process::Child);

impl Agent {
    fn start(sides: &str) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.args(["sense", sides]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut ready = [0; 6];
        child.stdout.as_mut().ok_or("no output")?.read_exact(&mut ready)?;
        Ok(Self(child))
    }

    fn stop(mut self) -> Outcome<String> {
        drop(self.0.stdin.take());
        let lines = BufReader::new(self.0.stdout.take().ok_or("no output")?).lines();
        let said = lines.map_while(Result::ok).last().unwrap_or_default();
        self.0.wait()?;
        Ok(said)
    }
}

fn sense(is_server_only: bool) -> Outcome<()> {
    let (sender, receiver) = sync_channel(64);
    let mut config = Config::default();
    if is_server_only {
        config.payload.http_sides = Sides::Server;
    }
    let origin = Origin { node: "bench".to_owned(), ..Origin::default() };
    let sensors = start(&config, origin, Arc::new(SystemClock), Box::new(sender))?;
    let taker = std::thread::spawn(move || losses(receiver.iter()));
    let counters = sensors.counters();
    let (before, began) = (process_cpu()?, Instant::now());
    let mut out = std::io::stdout();
    out.write_all(b"ready\n")?;
    out.flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    let (cpu, took) = (process_cpu()? - before, began.elapsed());
    let (memory, most) = (status_field("VmRSS:")?, status_field("VmHWM:")?);
    sensors.stop();
    let lost = taker.join().map_err(|_panic| "the taker of rows broke")?;
    writeln!(
        out,
        "sensors: {:.1} % of a CPU, {} MiB (at most {}), {} events, {} lost in the kernel, {} rows, {} shed{lost}",
        100.0 * cpu / took.as_nanos() as f64,
        memory / 1024,
        most / 1024,
        Counters::read(&counters.received),
        Counters::read(&counters.lost_in_kernel),
        Counters::read(&counters.rows),
        Counters::read(&counters.shed),
    )?;
    Ok(())
}

/// What was lost, by reason and kind, for a person.
fn losses(batches: impl Iterator<Item = Batch>) -> String {
    let mut lost: BTreeMap<String, u64> = BTreeMap::new();
    for batch in batches.filter(|batch| batch.table == TableId::Losses) {
        let Ok(view) = tables::losses::View::new(&batch.records) else { continue };
        for row in 0..view.n_rows() {
            let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
            let what = format!("{} {}", text(view.reason.get(row)), text(view.detail.get(row)));
            *lost.entry(what).or_default() += view.count.get(row).unwrap_or(1);
        }
    }
    lost.into_iter().map(|(what, count)| format!("; {what}: {count}")).collect()
}

fn status_field(name: &str) -> Outcome<u64> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).ok_or("no such field")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
}

/// CPU time of all threads of this process that live, nanoseconds.
fn process_cpu() -> Outcome<f64> {
    let mut total = 0.0;
    for task in std::fs::read_dir("/proc/self/task")? {
        if let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) {
            total += text.split(' ').next().ok_or("empty")?.parse::<f64>()?;
        }
    }
    Ok(total)
}

/// CPU time of children that were waited for, nanoseconds; the kernel counts it in hundredths of a second.
fn children_cpu() -> Outcome<f64> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    let after = text.rsplit_once(')').ok_or("no name")?.1;
    let ticks: Vec<f64> = after.split_whitespace().skip(13).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum::<f64>() * 1e7)
}

/// CPU of one operation, nanoseconds.
fn run(load: Load, length: Duration) -> Outcome<f64> {
    let n_done = Arc::new(AtomicU64::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let mut threads = Vec::new();
    if let Load::KeepAlive | Load::Connections | Load::Bulk = load {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        std::thread::spawn(move || serve(&listener, load));
        let (n_done, stop) = (Arc::clone(&n_done), Arc::clone(&stop));
        threads.push(std::thread::spawn(move || ask(address, load, &n_done, &stop).is_ok()));
    } else {
        let (n_done, stop) = (Arc::clone(&n_done), Arc::clone(&stop));
        threads.push(std::thread::spawn(move || repeat(load, &n_done, &stop).is_ok()));
    }
    // The first requests find everything cold.
    std::thread::park_timeout(Duration::from_millis(200));
    let (cpu, count) = (process_cpu()? + children_cpu()?, n_done.load(Ordering::SeqCst));
    let end = Instant::now() + length;
    while Instant::now() < end {
        std::thread::park_timeout(end.saturating_duration_since(Instant::now()));
    }
    let (cpu, count) = (process_cpu()? + children_cpu()? - cpu, n_done.load(Ordering::SeqCst) - count);
    stop.store(true, Ordering::SeqCst);
    for thread in threads {
        if !thread.join().unwrap_or(false) {
            return Err("the workload failed".into());
        }
    }
    Ok(cpu / count as f64)
}

const REQUEST: &[u8] = b"GET /item/17 HTTP/1.1\r\nHost: bench\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const PIECE: usize = 65_536;

fn serve(listener: &TcpListener, load: Load) {
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { return };
        let mut buffer = vec![0; PIECE];
        while let Ok(1..) = stream.read(&mut buffer) {
            if !matches!(load, Load::Bulk) && stream.write_all(RESPONSE).is_err() {
                break;
            }
        }
    }
}

fn ask(address: SocketAddr, load: Load, n_done: &AtomicU64, stop: &AtomicBool) -> std::io::Result<()> {
    let mut buffer = [0; 256];
    // The server sees to one connection at a time.
    let mut kept = if matches!(load, Load::Connections) { None } else { Some(TcpStream::connect(address)?) };
    let piece = vec![b'x'; PIECE];
    while !stop.load(Ordering::Relaxed) {
        match &mut kept {
            Some(stream) if matches!(load, Load::Bulk) => stream.write_all(&piece)?,
            Some(stream) => {
                stream.write_all(REQUEST)?;
                let _length = stream.read(&mut buffer)?;
            }
            None => {
                let mut stream = TcpStream::connect(address)?;
                stream.write_all(REQUEST)?;
                let _length = stream.read(&mut buffer)?;
            }
        }
        n_done.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

fn repeat(load: Load, n_done: &AtomicU64, stop: &AtomicBool) -> std::io::Result<()> {
    while !stop.load(Ordering::Relaxed) {
        match load {
            Load::Exec => {
                Command::new("/bin/true").status()?;
            }
            _ => drop(std::fs::File::open("/etc/hostname")?),
        }
        n_done.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
