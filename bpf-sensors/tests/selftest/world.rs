//! Two network namespaces with a wire between them, and the programs that run there.

use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use hindcast_model::{Clock, Timestamp};

/// Where the server listens.
pub(crate) const PORT: u16 = 8099;
/// Where it speaks HTTP.
pub(crate) const HTTP_PORT: u16 = 8080;

#[derive(Debug)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        Timestamp::from_nanos(now.tv_sec * 1_000_000_000 + now.tv_nsec)
    }
}

/// A process that has ended.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) pid: u32,
    /// `None` if a signal ended it.
    pub(crate) status: Option<i32>,
}

impl Child {
    pub(crate) fn run(command: &mut Command) -> Self {
        Self::try_run(command).unwrap_or_else(|| panic!("cannot run {command:?}"))
    }

    /// `None` if there is no such program.
    pub(crate) fn try_run(command: &mut Command) -> Option<Self> {
        let mut child = command.stdout(Stdio::null()).stdin(Stdio::null()).spawn().ok()?;
        let pid = child.id();
        Some(Self { pid, status: child.wait().unwrap().code() })
    }
}

/// A program that runs until it is stopped.
#[derive(Debug)]
pub(crate) struct Running(std::process::Child);

impl Running {
    pub(crate) fn stop(mut self) -> Child {
        self.0.kill().unwrap();
        Child { pid: self.0.id(), status: self.0.wait().unwrap().code() }
    }
}

/// The two namespaces; they go when this does.
#[derive(Debug)]
pub(crate) struct World {
    client: String,
    server: String,
    /// Whether the service's address is translated to the server's.
    pub(crate) is_translated: bool,
}

impl World {
    pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

    /// # Errors
    /// A command failed: its text and what it said.
    pub(crate) fn new() -> Result<Self, String> {
        let id = std::process::id();
        let (client, server) = (format!("hc-c-{id}"), format!("hc-s-{id}"));
        ip(&["netns", "add", &client])?;
        let mut world = Self { client: client.clone(), server: server.clone(), is_translated: false };
        ip(&["netns", "add", &server])?;
        ip(&["-n", &client, "link", "add", "veth0", "type", "veth", "peer", "name", "veth0", "netns", &server])?;
        for (name, address) in [(&client, "10.77.0.2/24"), (&server, "10.77.0.1/24")] {
            ip(&["-n", name, "address", "add", address, "dev", "veth0"])?;
            ip(&["-n", name, "link", "set", "veth0", "up"])?;
            ip(&["-n", name, "link", "set", "lo", "up"])?;
        }
        ip(&["-n", &client, "route", "add", "default", "via", "10.77.0.1"])?;
        let rules = [
            "add table ip nat",
            "add chain ip nat output { type nat hook output priority -100 ; }",
            "add rule ip nat output ip daddr 10.96.0.10 tcp dport 80 dnat to 10.77.0.1:8099",
        ];
        let translated: Result<(), String> =
            rules.iter().try_for_each(|rule| run(Command::new("ip").args(["netns", "exec", &client, "nft"]).arg(rule)));
        match translated {
            Ok(()) => world.is_translated = true,
            Err(reason) => println!("not compared: translation: {reason}"),
        }
        Ok(world)
    }

    fn command(namespace: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace]).arg(std::env::current_exe().unwrap());
        work(&mut command, arguments);
        command
    }

    /// Runs a client to its end.
    pub(crate) fn client(&self, arguments: &[&str]) -> Child {
        Child::run(&mut Self::command(&self.client, arguments))
    }

    /// Starts the server and waits until it listens.
    pub(crate) fn server(&self) -> Running {
        use std::io::BufRead as _;
        let mut child = Self::command(&self.server, &["serve"]).stdout(Stdio::piped()).spawn().unwrap();
        let lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        let is_ready = lines.map_while(Result::ok).any(|line| line.contains("listening"));
        assert!(is_ready, "the server does not listen");
        Running(child)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for name in [&self.client, &self.server] {
            if let Err(reason) = ip(&["netns", "delete", name]) {
                println!("left behind: {reason}");
            }
        }
    }
}

/// Makes a worker of this same program, which the command names already.
pub(crate) fn work(command: &mut Command, arguments: &[&str]) {
    command.args(["worker::works", "--exact", "--nocapture"]).env("HINDCAST_WORKER", arguments.join(" "));
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    run(Command::new("ip").args(arguments))
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
