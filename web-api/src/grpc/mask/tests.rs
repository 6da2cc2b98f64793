//! Masks on real message types.

use hindcast_proto::flow::{Endpoint, Flow};
use prost::Message as _;

use super::Mask;
use crate::grpc::descriptors;

fn flow() -> Flow {
    Flow {
        uuid: "u".to_owned(),
        source: Some(Endpoint { id: 7, pod_name: "web".to_owned(), ..Endpoint::default() }),
        destination: Some(Endpoint { pod_name: "db".to_owned(), ..Endpoint::default() }),
        summary: "TCP".to_owned(),
        ..Flow::default()
    }
}

fn masked(paths: &[&str], apply: fn(&Mask, &[u8], &mut Vec<u8>) -> Option<()>) -> Flow {
    let message = descriptors::message("flow.Flow").expect("a known message");
    let mask = Mask::new(&message, paths.iter().copied());
    let mut out = Vec::new();
    apply(&mask, &flow().encode_to_vec(), &mut out).expect("a message");
    Flow::decode(out.as_slice()).expect("a flow")
}

#[test]
fn keep_leaves_the_named_fields() {
    let kept = masked(&["source.pod_name", "Summary", "nonsense", "source.nonsense", "uuid.x"], Mask::keep);
    let source = Some(Endpoint { pod_name: "web".to_owned(), ..Endpoint::default() });
    assert_eq!(kept, Flow { source, summary: "TCP".to_owned(), ..Flow::default() });
}

#[test]
fn a_whole_field_wins_over_its_parts() {
    assert_eq!(masked(&["source", "source.id"], Mask::keep).source, flow().source);
    assert_eq!(masked(&["source.id", "source"], Mask::keep).source, flow().source);
}

#[test]
fn prune_leaves_the_others() {
    let pruned = masked(&["source.pod_name", "destination"], Mask::prune);
    let source = Some(Endpoint { id: 7, ..Endpoint::default() });
    assert_eq!(pruned, Flow { source, destination: None, ..flow() });
}

#[test]
fn bytes_that_are_no_message_are_refused() {
    let message = descriptors::message("flow.Flow").expect("a known message");
    let mask = Mask::new(&message, ["uuid"]);
    for bad in [&[0x0a_u8, 0xff][..], &[0x0b], &[0xff; 12]] {
        assert_eq!(mask.keep(bad, &mut Vec::new()), None);
    }
}
