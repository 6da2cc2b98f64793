//! The rooms of the house and the doors between them, as data. `ARCHITECTURE.md` tells the same in words.

use std::collections::BTreeMap;
use std::process::Command;

use hindcast_tests::repository::root;
use serde_json::Value;

/// A room and the rooms it may know.
const ROOMS: &[(&str, &[&str])] = &[
    ("model", &[]),
    // Pure functions over bytes: docs/adr/0014-packets.md.
    ("packets", &["model"]),
    ("proto", &["model"]),
    ("migrations", &[]),
    // The parsers of what the kernel copies: docs/adr/0015-sensors.md.
    ("bpf-sensors", &["model", "packets"]),
    // The cluster's API and nothing else: docs/adr/0016-kubernetes-directory.md.
    ("kubernetes", &["model"]),
    ("storage", &["model", "migrations"]),
    ("ingest", &["model", "packets", "proto", "storage"]),
    // The edge to proto is a decision: docs/adr/0001-the-house-and-its-edges.md.
    ("query", &["model", "proto", "storage"]),
    ("web-api", &["model", "proto", "query"]),
    ("cli", &["model", "proto", "migrations", "bpf-sensors", "kubernetes", "storage", "ingest", "query", "web-api"]),
    ("tests", &["model", "proto", "migrations", "storage", "ingest", "query", "web-api", "cli"]),
];

/// A heavy package and the rooms it may be used in. `tests` may use what it likes.
const HEAVY: &[(&str, &[&str])] = &[
    ("aya", &["bpf-sensors"]),
    ("prost-build", &["proto"]),
    ("tonic-prost", &["proto"]),
    ("tonic-prost-build", &["proto"]),
    ("protox", &["proto"]),
    ("etherparse", &["packets"]),
    ("fluke-hpack", &["packets"]),
    ("hickory-proto", &["packets"]),
    ("httparse", &["packets"]),
    ("netflow_parser", &["packets"]),
    ("pcap-parser", &["packets"]),
    ("tls-parser", &["packets"]),
    ("rusqlite", &["migrations", "storage"]),
    ("clickhouse", &["storage"]),
    // `inspect --verify` reads segments below the store.
    ("object_store", &["storage", "query", "cli"]),
    // Reading and writing segments, and answers as Parquet files.
    ("parquet", &["storage", "query", "web-api", "cli"]),
    ("datafusion", &["query"]),
    ("cel", &["query"]),
    ("petgraph", &["query"]),
    ("k8s-openapi", &["kubernetes"]),
    ("kube", &["kubernetes"]),
    ("axum", &["web-api"]),
    ("axum-server", &["web-api"]),
    ("tower-http", &["web-api"]),
    ("hyper-util", &["web-api", "cli"]),
    // The client's half of HTTP: it reads trailers, which tell what was cut.
    ("hyper", &["cli"]),
    ("tokio-rustls", &["cli"]),
    ("tonic-health", &["web-api"]),
    ("tonic-reflection", &["web-api"]),
    ("utoipa", &["web-api"]),
    // The server's half, and the client's.
    ("arrow-flight", &["web-api", "cli"]),
    ("anyhow", &["cli"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("indicatif", &["cli"]),
    ("mimalloc", &["cli"]),
    ("rustyline", &["cli"]),
    ("toml", &["cli"]),
    ("tracing-subscriber", &["cli"]),
    ("ureq", &[]),
];

/// What a room must do without: no async, no wire, no network where there is nothing to wait for.
const BARRED: &[(&str, &[&str])] = &[
    ("model", &["tokio", "futures", "serde", "serde_json", "prost", "tonic"]),
    ("packets", &["tokio", "futures", "socket2", "prost", "tonic"]),
    ("proto", &["tokio", "serde"]),
    ("migrations", &["tokio", "arrow"]),
    ("bpf-sensors", &["tokio", "futures", "prost", "tonic"]),
    ("kubernetes", &["prost", "tonic"]),
    ("storage", &["prost", "tonic", "serde_json"]),
    ("query", &["tonic", "http", "serde_json"]),
];

/// Room by room: its normal and build dependencies by package name.
fn dependencies() -> BTreeMap<String, Vec<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let name = package["name"].as_str().unwrap();
            let room =
                name.strip_prefix("hindcast-").unwrap_or_else(|| panic!("crate {name} is not hindcast-<folder>"));
            let manifest = package["manifest_path"].as_str().unwrap();
            assert!(manifest.ends_with(&format!("/{room}/Cargo.toml")), "{name} does not lie in {room}/: {manifest}");
            let used = package["dependencies"].as_array().unwrap().iter();
            let used = used.filter(|dependency| dependency["kind"].as_str() != Some("dev"));
            (room.to_owned(), used.map(|dependency| dependency["name"].as_str().unwrap().to_owned()).collect())
        })
        .collect()
}

#[test]
fn arrows_point_down() {
    for (room, used) in dependencies() {
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            panic!("{room}/ is not in the table of rooms");
        };
        for other in used.iter().filter_map(|name| name.strip_prefix("hindcast-")) {
            assert!(allowed.contains(&other), "{room} must not know {other}: a new edge needs a decision in docs/adr");
        }
    }
}

#[test]
fn heavy_packages_stay_in_their_rooms() {
    for (room, used) in dependencies() {
        for (package, rooms) in HEAVY {
            let is_used = room != "tests" && used.iter().any(|name| name == package);
            assert!(!is_used || rooms.contains(&room.as_str()), "{package} belongs to {rooms:?}, but {room} uses it");
        }
    }
}

#[test]
fn rooms_do_without_what_they_must_do_without() {
    let dependencies = dependencies();
    for (room, barred) in BARRED {
        let used = dependencies.get(*room).map(Vec::as_slice).unwrap_or_default();
        for package in *barred {
            assert!(!used.iter().any(|name| name == package), "{room} must do without {package}");
        }
    }
}

#[test]
fn there_is_no_drawer_for_everything() {
    for room in dependencies().keys() {
        assert!(
            !["common", "core", "util", "utils", "types", "shared"].contains(&room.as_str()),
            "{room}/ says nothing"
        );
    }
}
