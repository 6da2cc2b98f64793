//! Random messages and random damage: no panic, and what decodes comes back as it was.

use hindcast_model::tables::{flows, runtime_events};
use hindcast_model::{SourceKind, Timestamp};
use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

use crate::json::{Message, from_wire, to_wire};
use crate::{EventBuilders, Origin, Recorded, Rejection, dynamic, hubble, tetragon_codec, wire};

const ORIGIN: Origin<'static> =
    Origin { kind: SourceKind::Hubble, source: "test", recorded_at: Timestamp::from_nanos(1) };

fn random_text(random: &mut SmallRng) -> String {
    const CHOICES: [&str; 10] =
        ["", "a", "shop/web", ",", "\\", "é\n", "k8s:app=web", "10.0.0.1", "a/b/c", "\u{1F980}\0"];
    CHOICES[random.random_range(0..CHOICES.len())].repeat(random.random_range(1..3))
}

fn random_number(random: &mut SmallRng) -> u64 {
    match random.random_range(0..4) {
        0 => random.random_range(0..10),
        1 => random.random_range(0..70_000),
        2 => u64::MAX - random.random_range(0..3_u64),
        _ => random.random(),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "any number will do")]
fn random_value(kind: &Kind, random: &mut SmallRng, depth: usize) -> Value {
    let number = random_number(random);
    match kind {
        Kind::Double => Value::F64(number as f64 / 7.0),
        Kind::Float => Value::F32(number as f32 / 7.0),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(number as i32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(number as i64),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(number as u32),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(number),
        Kind::Bool => Value::Bool(number.is_multiple_of(2)),
        Kind::String => Value::String(random_text(random)),
        Kind::Bytes => Value::Bytes(number.to_le_bytes()[..random.random_range(0..8)].to_vec().into()),
        Kind::Enum(kind) => {
            let n_values = kind.values().count();
            let known = kind.values().nth(random.random_range(0..n_values)).unwrap().number();
            Value::EnumNumber(if random.random_bool(0.9) { known } else { number as i32 })
        }
        Kind::Message(message) => Value::Message(random_message(message.clone(), random, depth)),
    }
}

fn random_message(descriptor: MessageDescriptor, random: &mut SmallRng, depth: usize) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    if descriptor.full_name() == "google.protobuf.Timestamp" {
        message
            .set_field_by_name("seconds", Value::I64(random.random_range(-62_135_596_800 / 8..253_402_300_799 / 32)));
        message.set_field_by_name("nanos", Value::I32(random.random_range(0..1_000_000_000)));
        return message;
    }
    if depth == 0 || descriptor.full_name() == "google.protobuf.Any" {
        return message;
    }
    let n_fields = descriptor.fields().count();
    for field in descriptor.fields() {
        if random.random_bool(if n_fields > 12 { 0.4 } else { 0.6 }) {
            set(&mut message, &field, random, depth - 1);
        }
    }
    message
}

fn set(message: &mut DynamicMessage, field: &FieldDescriptor, random: &mut SmallRng, depth: usize) {
    let n_items = random.random_range(0..4);
    let value = if field.is_map() {
        let Kind::Message(entry) = field.kind() else { return };
        let kind = entry.map_entry_value_field().kind();
        Value::Map(
            (0..n_items).map(|item| (MapKey::String(format!("k{item}")), random_value(&kind, random, depth))).collect(),
        )
    } else if field.is_list() {
        Value::List((0..n_items).map(|_item| random_value(&field.kind(), random, depth)).collect())
    } else {
        random_value(&field.kind(), random, depth)
    };
    message.set_field(field, value);
}

/// Unknown fields sprinkled behind the message and into its first message fields.
fn with_unknown(wire: &[u8], random: &mut SmallRng, depth: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut fields = wire::Reader::new(wire);
    while let Some(field) = fields.next().unwrap() {
        match field.value {
            // Only what certainly is a message: one that reads as fields throughout.
            wire::Value::Bytes(inner) if depth > 0 && [4, 5, 6, 8, 9, 15, 26, 28].contains(&field.number) => {
                wire::put_bytes(&mut out, field.number, &with_unknown(inner, random, depth - 1));
            }
            _ => out.extend_from_slice(field.raw),
        }
    }
    if random.random_bool(0.4) {
        wire::put_number(&mut out, 4000, random.random());
        wire::put_bytes(&mut out, 4001, b"new");
    }
    out
}

fn decode(message: Message, wire: &[u8]) -> Option<DynamicMessage> {
    dynamic::decode(message, wire).ok()
}

fn flow_there_and_back(wire: &[u8]) -> Result<Vec<u8>, Rejection> {
    let mut builders = EventBuilders::default();
    hubble::decode_flow(wire, &ORIGIN, &mut builders)?;
    let batches = builders.finish().unwrap();
    let view = flows::View::new(&batches[0].records).unwrap();
    let mut out = Vec::new();
    assert_eq!(hubble::encode_recorded(&view, 0, &mut out), Message::Flow);
    Ok(out)
}

#[test]
fn random_flows_come_back() {
    let descriptor = dynamic::descriptor(Message::Flow).unwrap();
    for seed in 0..1000 {
        let random = &mut SmallRng::seed_from_u64(seed);
        let mut message = random_message(descriptor.clone(), random, 5);
        let time = Kind::Message(dynamic::pool().get_message_by_name("google.protobuf.Timestamp").unwrap());
        message.set_field_by_name("time", random_value(&time, random, 1));
        let wire = with_unknown(&message.encode_to_vec(), random, 1);
        let before = decode(Message::Flow, &wire).unwrap();
        let after = flow_there_and_back(&wire).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert!(decode(Message::Flow, &after).unwrap() == before, "seed {seed}");
    }
}

#[test]
fn merged_flows_come_back_as_their_merge() {
    let descriptor = dynamic::descriptor(Message::Flow).unwrap();
    for seed in 0..1000 {
        let random = &mut SmallRng::seed_from_u64(seed);
        let mut wire = random_message(descriptor.clone(), random, 4).encode_to_vec();
        wire.extend_from_slice(&random_message(descriptor.clone(), random, 4).encode_to_vec());
        wire.extend_from_slice(&[10, 2, 8, 1]);
        let before = decode(Message::Flow, &wire).unwrap();
        match flow_there_and_back(&wire) {
            Ok(after) => assert!(decode(Message::Flow, &after).unwrap() == before, "seed {seed}"),
            Err(error) => assert_eq!(error.reason, crate::RejectReason::TimeOutOfRange, "seed {seed}: {error}"),
        }
    }
}

#[test]
fn damaged_flows_never_panic() {
    let descriptor = dynamic::descriptor(Message::Flow).unwrap();
    let (mut n_read, mut n_refused) = (0, 0);
    for seed in 0..2500 {
        let random = &mut SmallRng::seed_from_u64(seed);
        let mut wire = random_message(descriptor.clone(), random, 4).encode_to_vec();
        for _ in 0..random.random_range(1..4) {
            if wire.is_empty() {
                break;
            }
            let position = random.random_range(0..wire.len());
            if random.random_bool(0.3) {
                wire.truncate(position);
            } else {
                wire[position] = random.random();
            }
        }
        match (flow_there_and_back(&wire), decode(Message::Flow, &wire)) {
            (Ok(after), Some(before)) => {
                n_read += 1;
                assert!(decode(Message::Flow, &after) == Some(before), "seed {seed}");
            }
            (Ok(_), None) => n_read += 1,
            (Err(_), _) => n_refused += 1,
        }
        let mut json = Vec::new();
        let written = from_wire(Message::Flow, &wire, &mut json);
        assert!(written.is_ok() || json.is_empty());
    }
    println!("{n_read} read, {n_refused} refused");
    assert!(n_read > 100 && n_refused > 100);
}

#[test]
fn random_runtime_events_come_back() {
    let descriptor = dynamic::descriptor(Message::GetEventsResponse).unwrap();
    let mut n_rows = 0;
    for seed in 0..600 {
        let random = &mut SmallRng::seed_from_u64(seed);
        let wire = random_message(descriptor.clone(), random, 6).encode_to_vec();
        let before = decode(Message::GetEventsResponse, &wire).unwrap();
        let mut builders = EventBuilders::default();
        if tetragon_codec::decode_response(&wire, &ORIGIN, &mut builders) != Ok(Recorded::Runtime) {
            continue;
        }
        n_rows += 1;
        let batches = builders.finish().unwrap();
        let view = runtime_events::View::new(&batches[0].records).unwrap();
        let mut after = Vec::new();
        tetragon_codec::encode_response(&view, 0, &mut after);
        assert!(decode(Message::GetEventsResponse, &after).unwrap() == before, "seed {seed}");
    }
    println!("{n_rows} rows");
    assert!(n_rows > 100);
}

#[test]
fn random_messages_survive_json() {
    for message in [Message::Flow, Message::GetEventsResponse, Message::FlowFilter, Message::TetragonFilter] {
        for seed in 0..250 {
            let random = &mut SmallRng::seed_from_u64(seed);
            let before = random_message(dynamic::descriptor(message).unwrap(), random, 5).encode_to_vec();
            let mut json = Vec::new();
            from_wire(message, &before, &mut json).unwrap();
            serde_json::from_slice::<serde_json::Value>(&json).unwrap();
            let text = String::from_utf8(json.clone()).unwrap();
            let mut wire = Vec::new();
            to_wire(message, &mut json, &mut wire).unwrap_or_else(|error| panic!("seed {seed}: {error}: {text}"));
            assert!(
                decode(message, &wire).unwrap() == decode(message, &before).unwrap(),
                "{message:?} seed {seed}: {text}"
            );
        }
    }
}

#[test]
fn damaged_json_never_panics() {
    let descriptor = dynamic::descriptor(Message::GetFlowsResponse).unwrap();
    for seed in 0..600 {
        let random = &mut SmallRng::seed_from_u64(seed);
        let mut json = Vec::new();
        from_wire(Message::GetFlowsResponse, &random_message(descriptor.clone(), random, 5).encode_to_vec(), &mut json)
            .unwrap();
        let position = random.random_range(0..json.len());
        if random.random_bool(0.2) {
            json.truncate(position);
        } else {
            json[position] = random.random();
        }
        let mut builders = EventBuilders::default();
        let decoded = crate::line::decode_line(&mut json, &ORIGIN, &mut builders);
        assert_eq!(builders.n_rows(), usize::from(decoded.is_ok()));
        builders.finish().unwrap();
    }
}
