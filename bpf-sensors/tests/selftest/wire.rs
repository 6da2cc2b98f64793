//! What Tetragon's clients get of the rows, and that nothing of it says another thing than the columns.

use hindcast_model::tables::runtime_events::View;
use hindcast_model::{Batch, SourceKind, Timestamp};
use hindcast_proto::json::{self, Message};
use hindcast_proto::tetragon_codec::{decode_response, encode_response};
use hindcast_proto::{EventBuilders, Origin};

/// Columns that the message of an event tells as well.
macro_rules! columns {
    ($view:expr, $row:expr) => {
        (
            ($view.kind.get($row), $view.exec_id.get($row), $view.parent_exec_id.get($row), $view.pid.get($row)),
            ($view.uid.get($row), $view.auid.get($row), $view.tid.get($row), $view.start_time.get($row)),
            ($view.binary.get($row), $view.arguments.get($row), $view.cwd.get($row), $view.flags.get($row)),
            ($view.parent_binary.get($row), $view.parent_arguments.get($row), $view.container_id.get($row)),
            ($view.function.get($row), $view.file.get($row), $view.src_ip.get($row), $view.src_port.get($row)),
            ($view.signal.get($row), $view.exit_status.get($row), $view.time.get($row), $view.node.get($row)),
            ($view.cap_permitted.get($row), $view.cap_effective.get($row), $view.cap_inheritable.get($row)),
        )
    };
}

/// Reads every event of a public kind back from its message.
pub(crate) fn check(batch: &Batch, examples: &mut Vec<String>) {
    let rows = View::new(&batch.records).unwrap();
    let origin = Origin { source: "wire", kind: SourceKind::Tetragon, recorded_at: Timestamp::from_nanos(1) };
    for row in 0..rows.n_rows() {
        let kind = rows.kind.get(row).unwrap();
        if kind == "process_clone" {
            continue;
        }
        let (mut message, mut text) = (Vec::new(), Vec::new());
        encode_response(&rows, row, &mut message);
        json::from_wire(Message::GetEventsResponse, &message, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let mut builders = EventBuilders::default();
        decode_response(&message, &origin, &mut builders).unwrap_or_else(|rejection| panic!("{rejection:?}: {text}"));
        let read = builders.finish().unwrap();
        let read = View::new(&read[0].records).unwrap();
        assert_eq!(columns!(rows, row), columns!(read, 0), "{text}");
        // A listener shows no peer, its socket an empty one.
        if rows.dst_port.get(row).is_some() {
            assert_eq!(
                (rows.dst_ip.get(row), rows.dst_port.get(row)),
                (read.dst_ip.get(0), read.dst_port.get(0)),
                "{text}"
            );
        }
        let name = rows.function.get(row).unwrap_or(kind);
        if !examples.iter().any(|example| example.starts_with(name)) {
            examples.push(format!("{name} {text}"));
        }
    }
}
