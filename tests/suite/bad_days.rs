//! Bad days of ClickHouse: the recorder goes on, says what is wrong, and once that is put right every row arrives, once.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hindcast_model::TableId;
use hindcast_tests::clickhouse::ClickHouse;
use hindcast_tests::flight::{Pusher, encode};
use hindcast_tests::tool::{Ended, hindcast, run, run_hindcast};
use hindcast_tests::{Options, Server, http, pause};
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::clickhouse::migrate;
use crate::crash::rows;
use crate::judges::{asked, busy_store};

/// The type of the column that is tampered with.
const KIND: &str = "SELECT type FROM system.columns \
                    WHERE database = 'hindcast' AND table = 'flows' AND name = 'source_kind' FORMAT TSVRaw";
const PASSWORD: &str = "correct horse";
/// How long something may take to show, in looks.
const PATIENCE: u32 = 900;
const LOOK: Duration = Duration::from_millis(100);

/// A recorder that sends as a user of its own, and the server whose users the test decides on.
struct Day {
    folder: TempDir,
    clickhouse: ClickHouse,
    server: Server,
    n_rows: u64,
}

fn users(folder: &Path, settings: &str) -> Vec<String> {
    let user = |name: &str, password: &str, profile: &str| {
        format!(
            "<{name}><password>{password}</password><networks><ip>::/0</ip></networks><profile>{profile}</profile>\
             <quota>default</quota><access_management>1</access_management></{name}>"
        )
    };
    let path = folder.join("users.xml");
    let text = format!(
        "<clickhouse><profiles><default/><recorder>{settings}</recorder></profiles><users>{}{}</users>\
         <quotas><default/></quotas></clickhouse>",
        user("default", "", "default"),
        user("recorder", PASSWORD, "recorder"),
    );
    std::fs::write(&path, text).unwrap();
    let config = folder.join("extra.xml");
    std::fs::write(&config, format!("<clickhouse><users_config>{}</users_config></clickhouse>", path.display()))
        .unwrap();
    vec!["--config".to_owned(), config.display().to_string()]
}

impl Day {
    fn begin(test: &str) -> Option<Self> {
        let folder = tempdir().unwrap();
        let mut clickhouse = ClickHouse::start(test, &folder.path().join("clickhouse")).unwrap()?;
        clickhouse.restart_with(users(folder.path(), "")).unwrap();
        migrate(&clickhouse, "apply").success().unwrap();
        let password = folder.path().join("password");
        std::fs::write(&password, PASSWORD).unwrap();
        let server = Server::start(&folder.path().join("data"), &Self::options(&clickhouse, &password)).unwrap();
        Some(Self { folder, clickhouse, server, n_rows: 0 })
    }

    fn options(clickhouse: &ClickHouse, password: &Path) -> Options {
        let mut options = busy_store();
        let set = |name: &str, value: String| (format!("HINDCAST_STORAGE_CLICKHOUSE_{name}"), value);
        options.environment.extend([
            set("URL", clickhouse.url()),
            set("USER", "recorder".to_owned()),
            set("PASSWORD_FILE", password.display().to_string()),
            set("BLOCK_ROWS", "1000".to_owned()),
            set("TIMEOUT", "2s".to_owned()),
        ]);
        options
    }

    fn password(&self) -> PathBuf {
        self.folder.path().join("password")
    }

    /// Pushes rows that are acknowledged and can be asked for at once, whatever ClickHouse does.
    async fn record(&mut self, n_rows: u64) {
        let mut pusher = Pusher::connect(&self.server.grpc_url()).await.unwrap();
        let numbers = self.n_rows..self.n_rows + n_rows;
        pusher.push(encode(TableId::Flows, vec![rows(&numbers)]).await.unwrap()).await.unwrap();
        self.n_rows += n_rows;
        assert_eq!(asked(&self.server, "SELECT count(*) FROM flows"), self.n_rows);
    }

    fn status(&self, more: &[&str]) -> Ended {
        run_hindcast([&["status", "--server", &self.server.url("")], more].concat()).unwrap()
    }

    fn document(&self) -> Value {
        serde_json::from_str(&self.status(&["--json"]).stdout).unwrap()
    }

    fn metric(&self, name: &str) -> f64 {
        let text = http::get(&self.server.url("/metrics"), "*/*").unwrap().text();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name}:\n{text}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Waits until `hindcast status` gives one of these words as the reason, and says so everywhere.
    fn wait_until_it_shows(&self, words: &[&str]) {
        let mut reason = String::new();
        for _ in 0..PATIENCE {
            reason = self.document()["last_clickhouse_error"].as_str().unwrap_or_default().to_owned();
            if words.iter().any(|word| reason.contains(word)) {
                break;
            }
            pause(LOOK);
        }
        assert!(words.iter().any(|word| reason.contains(word)), "{words:?}: {reason:?}\n{}", self.server.said());
        let text = self.status(&[]);
        assert_eq!(text.code, Some(1), "{text:?}");
        assert!(text.stdout.contains("rows wait for ClickHouse: "), "{}", text.stdout);
        assert!(text.stdout.contains("wait for ClickHouse, which does not take them"), "{}", text.stdout);
        assert!(self.metric("hindcast_storage_clickhouse_errors_total") > 0.5);
        assert!(self.metric("hindcast_storage_clickhouse_backlog_bytes") > 0.5);
        assert!(!reason.contains(PASSWORD), "{reason}");
    }

    fn there(&self) -> (String, String) {
        let ask = |query: &str| self.clickhouse.ask(query).unwrap_or_default();
        (ask("SELECT count() FROM hindcast.flows"), ask("SELECT uniqExact(time) FROM hindcast.flows"))
    }

    /// Waits until every row is there, once, and nothing is said to be wrong any more.
    fn wait_until_all_is_well(&self) {
        let expected = (self.n_rows.to_string(), self.n_rows.to_string());
        for _ in 0..PATIENCE {
            if self.there() == expected && self.status(&[]).code == Some(0) {
                break;
            }
            pause(LOOK);
        }
        assert_eq!(self.there(), expected, "{}", self.server.said());
        let text = self.status(&[]);
        assert_eq!(text.code, Some(0), "{text:?}");
        assert!(text.stdout.contains(" wait for ClickHouse\n"), "{}", text.stdout);
        assert_eq!(asked(&self.server, "SELECT count(*) FROM flows"), self.n_rows);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_named_and_a_right_one_taken_without_a_restart() {
    let Some(mut day) = Day::begin("bad_days::a_wrong_password_is_named_and_a_right_one_taken_without_a_restart")
    else {
        return;
    };
    day.record(500).await;
    day.wait_until_all_is_well();
    std::fs::write(day.password(), "wrong").unwrap();
    day.record(500).await;
    day.wait_until_it_shows(&["Authentication failed"]);
    std::fs::write(day.password(), PASSWORD).unwrap();
    day.wait_until_all_is_well();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_may_only_read_keeps_rows_waiting() {
    let Some(mut day) = Day::begin("bad_days::a_user_who_may_only_read_keeps_rows_waiting") else { return };
    day.record(500).await;
    day.wait_until_all_is_well();
    day.clickhouse.restart_with(users(day.folder.path(), "<readonly>1</readonly>")).unwrap();
    day.record(500).await;
    day.wait_until_it_shows(&["readonly"]);
    day.clickhouse.restart_with(users(day.folder.path(), "")).unwrap();
    day.wait_until_all_is_well();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_memory_keeps_rows_waiting() {
    let Some(mut day) = Day::begin("bad_days::a_user_without_memory_keeps_rows_waiting") else { return };
    day.record(500).await;
    day.wait_until_all_is_well();
    let tiny = "<max_memory_usage>1000</max_memory_usage><max_untracked_memory>1</max_untracked_memory>";
    day.clickhouse.restart_with(users(day.folder.path(), tiny)).unwrap();
    day.record(500).await;
    day.wait_until_it_shows(&["MEMORY_LIMIT_EXCEEDED", "memory limit exceeded"]);
    day.clickhouse.restart_with(users(day.folder.path(), "")).unwrap();
    day.wait_until_all_is_well();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_was_dropped_by_hand_keeps_rows_waiting() {
    let Some(mut day) = Day::begin("bad_days::a_column_that_was_dropped_by_hand_keeps_rows_waiting") else {
        return;
    };
    let kind = day.clickhouse.ask(KIND).unwrap();
    day.clickhouse.ask("ALTER TABLE hindcast.flows DROP COLUMN source_kind").unwrap();
    day.record(500).await;
    day.wait_until_it_shows(&["source_kind"]);
    day.clickhouse.ask(&format!("ALTER TABLE hindcast.flows ADD COLUMN source_kind {kind}")).unwrap();
    day.wait_until_all_is_well();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_answers_too_late_keeps_rows_waiting() {
    let Some(mut day) = Day::begin("bad_days::a_server_that_answers_too_late_keeps_rows_waiting") else { return };
    day.record(500).await;
    day.wait_until_all_is_well();
    let pid = day.clickhouse.pid().unwrap().to_string();
    let signal = |name: &str| assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    signal("-STOP");
    day.record(500).await;
    day.wait_until_it_shows(&["timed out", "timeout"]);
    signal("-CONT");
    day.wait_until_all_is_well();
}

/// The folders of a table's parts.
fn parts(clickhouse: &ClickHouse, table: &str) -> Vec<PathBuf> {
    let query = format!("SELECT path FROM system.parts WHERE active AND database = 'hindcast' AND table = '{table}'");
    clickhouse.ask(&query).unwrap().lines().map(PathBuf::from).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_a_server_lost_after_it_took_them_are_sent_again() {
    let Some(mut day) = Day::begin("bad_days::rows_that_a_server_lost_after_it_took_them_are_sent_again") else {
        return;
    };
    let counts = |day: &Day| {
        let ask = |table: &str| day.clickhouse.ask(&format!("SELECT sum(rows) FROM hindcast.{table}")).unwrap();
        [ask("edges_1m"), ask("edges_1h")]
    };
    for table in ["flows", "edges_1h"] {
        day.record(2500).await;
        day.wait_until_all_is_well();
        let lost = parts(&day.clickhouse, table);
        assert!(!lost.is_empty(), "{table} has no part");
        // A power cut before the last parts were on the disk.
        day.clickhouse.kill().unwrap();
        for part in lost {
            std::fs::remove_dir_all(part).unwrap();
        }
        day.clickhouse.restart().unwrap();
        let expected = [day.n_rows.to_string(), day.n_rows.to_string()];
        for _ in 0..PATIENCE {
            if day.there().0 == day.n_rows.to_string() && counts(&day) == expected {
                break;
            }
            pause(LOOK);
        }
        day.wait_until_all_is_well();
        assert_eq!(counts(&day), expected, "{table}\n{}", day.server.said());
    }
    assert!(day.metric("hindcast_storage_clickhouse_lost_rows_total") > 2499.5);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_nowhere_else_are_not_deleted_to_send_an_hour_again() {
    let Some(mut day) = Day::begin("bad_days::rows_that_are_nowhere_else_are_not_deleted_to_send_an_hour_again") else {
        return;
    };
    day.record(500).await;
    day.wait_until_all_is_well();
    // Of a segment that the lake has no more; and a roll-up is lost.
    let earlier = "INSERT INTO hindcast.flows (time, recorded_at, node, source_kind, segment_store, segment) \
                   SELECT any(time), now(), 'earlier', 'x', any(segment_store), 0 FROM hindcast.flows";
    day.clickhouse.ask(earlier).unwrap();
    let lost = parts(&day.clickhouse, "edges_1h");
    day.clickhouse.kill().unwrap();
    lost.iter().for_each(|part| std::fs::remove_dir_all(part).unwrap());
    day.clickhouse.restart().unwrap();
    for _ in 0..PATIENCE {
        if !day.document()["clickhouse_lacking"].as_array().unwrap().is_empty() {
            break;
        }
        pause(LOOK);
    }
    let text = day.status(&[]);
    assert!(text.stdout.contains("ClickHouse lost rows: "), "{text:?}");
    assert_eq!(day.there().0, "501", "{}", day.server.said());
}

/// Segments that were begun, as the log names them.
fn segments(said: &str) -> Vec<u64> {
    let named = said
        .split("segment=")
        .skip(1)
        .filter_map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok());
    named.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_of_which_there_is_too_much_is_set_aside_and_the_others_are_sent() {
    let Some(mut day) =
        Day::begin("bad_days::a_segment_of_which_there_is_too_much_is_set_aside_and_the_others_are_sent")
    else {
        return;
    };
    let ask = |day: &Day, statement: &str| day.clickhouse.ask(statement).unwrap();
    let kind = ask(&day, KIND);
    ask(&day, "ALTER TABLE hindcast.flows DROP COLUMN source_kind");
    day.record(500).await;
    day.wait_until_it_shows(&["source_kind"]);
    let segment = *segments(&day.server.said()).last().unwrap();
    // Somebody else, under this store's name.
    let strangers = format!(
        "INSERT INTO hindcast.flows (time, recorded_at, node, segment_store, segment) \
         SELECT toDateTime64('2026-05-28 20:26:42', 9, 'UTC'), now(), 'stranger', (SELECT any(segment_store) FROM hindcast.stores), {segment} \
         FROM numbers(2000)"
    );
    ask(&day, &strangers);
    ask(&day, &format!("ALTER TABLE hindcast.flows ADD COLUMN source_kind {kind}"));
    for _ in 0..PATIENCE {
        if !day.document()["clickhouse_set_aside"].as_array().unwrap().is_empty() {
            break;
        }
        pause(LOOK);
    }
    day.record(500).await;
    // The later segment passes the one that is set aside.
    for _ in 0..PATIENCE {
        if ask(&day, "SELECT count() FROM hindcast.flows WHERE node = 'node-1'") == "500" {
            break;
        }
        pause(LOOK);
    }
    assert_eq!(ask(&day, "SELECT count() FROM hindcast.flows WHERE node = 'node-1'"), "500", "{}", day.server.said());
    let text = day.status(&[]);
    assert_eq!(text.code, Some(1), "{text:?}");
    assert!(text.stdout.contains("a segment is kept from ClickHouse: "), "{}", text.stdout);
    assert!((day.metric("hindcast_storage_clickhouse_set_aside_segments") - 1.0).abs() < 0.5);
    ask(&day, "ALTER TABLE hindcast.flows DELETE WHERE node = 'stranger' SETTINGS mutations_sync = 2");
    day.wait_until_all_is_well();
    assert!(day.metric("hindcast_storage_clickhouse_set_aside_segments") < 0.5);
}

#[test]
fn a_recorder_goes_on_where_its_log_takes_no_more() {
    let folder = tempdir().unwrap();
    let ports = [0, 0]
        .map(|port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).unwrap().local_addr().unwrap().to_string());
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut child = hindcast()
        .unwrap()
        .args(["up", "--no-sensors", "--data-dir"])
        .arg(folder.path().join("data"))
        .args(["--http", &ports[0], "--grpc", &ports[1]])
        .stderr(full)
        .spawn()
        .unwrap();
    let url = format!("http://{}/api/v1/status", ports[0]);
    let mut is_there = false;
    for _ in 0..PATIENCE {
        // It has said by then that it is ready, or died of it.
        is_there = http::get(&url, "application/json").is_ok_and(|answer| answer.status == 200);
        if is_there || child.try_wait().unwrap().is_some() {
            break;
        }
        pause(LOOK);
    }
    assert!(is_there, "{:?}", child.try_wait());
    let stopped = run(Command::new("kill").args(["-TERM", &child.id().to_string()])).unwrap();
    assert_eq!(stopped.code, Some(0));
    assert!(child.wait().unwrap().success());
}
