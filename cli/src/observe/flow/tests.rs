//! Golden lines of the compact form, as the `hubble` CLI prints the same flows.

use hindcast_model::tables::flows::Builder;

use super::*;

const LOOK: Look = Look { palette: Palette::PLAIN, has_names: true, has_node: false };

fn line(look: Look, fill: impl FnOnce(&mut Builder)) -> String {
    let mut flows = Builder::default();
    flows.time.set(0, 1_623_862_333_136_834_446); // 2021-06-16T16:52:13.136834446Z
    flows.recorded_at.set(0, 0);
    flows.source_kind.set(0, "hubble");
    flows.flow_count.set(0, 1);
    fill(&mut flows);
    flows.commit();
    let records = flows.finish().unwrap();
    let mut line = String::new();
    compact(&View::new(&records).unwrap(), 0, look, &mut line);
    line
}

fn tcp(flows: &mut Builder) {
    flows.src_ip.set(0, "10.0.2.16");
    flows.dst_ip.set(0, "10.0.2.1");
    flows.src_port.set(0, 15020);
    flows.dst_port.set(0, 42044);
    flows.src_namespace.set(0, "bookinfo");
    flows.src_pod.set(0, "reviews-v1-545db77b95-s6jb8");
    flows.src_identity.set(0, 25_339);
    flows.dst_identity.set(0, 1);
    flows.verdict.set(0, "FORWARDED");
    flows.event_type.set(0, TRACE);
    flows.event_sub_type.set(0, 3);
    flows.summary.set(0, "TCP Flags: ACK, FIN");
}

#[test]
fn a_flow_of_unknown_direction_has_a_double_arrow() {
    assert_eq!(
        line(LOOK, tcp),
        "Jun 16 16:52:13.136: bookinfo/reviews-v1-545db77b95-s6jb8:15020 (ID:25339) <> 10.0.2.1:42044 (host) \
         to-stack FORWARDED (TCP Flags: ACK, FIN)"
    );
}

#[test]
fn a_reply_is_turned_around() {
    let reply = line(LOOK, |flows| {
        tcp(flows);
        flows.is_reply.set(0, true);
    });
    assert_eq!(
        reply,
        "Jun 16 16:52:13.136: 10.0.2.1:42044 (host) <- bookinfo/reviews-v1-545db77b95-s6jb8:15020 (ID:25339) \
         to-stack FORWARDED (TCP Flags: ACK, FIN)"
    );
}

#[test]
fn addresses_stand_for_themselves_when_asked() {
    let numeric = line(Look { has_names: false, ..LOOK }, tcp);
    assert!(numeric.contains(": 10.0.2.16:15020 (ID:25339) <> "), "{numeric}");
}

#[test]
fn a_drop_names_its_reason() {
    let dropped = line(LOOK, |flows| {
        tcp(flows);
        flows.is_reply.set(0, false);
        flows.verdict.set(0, "DROPPED");
        flows.event_type.set(0, DROP);
        flows.event_sub_type.set(0, 133);
    });
    assert!(dropped.contains(") -> 10.0.2.1:42044 (host) Policy denied DROPPED ("), "{dropped}");
}

#[test]
fn a_policy_verdict_says_what_was_decided() {
    let decided = line(LOOK, |flows| {
        tcp(flows);
        flows.verdict.set(0, "DROPPED");
        flows.event_type.set(0, POLICY_VERDICT);
        flows.direction.set(0, "EGRESS");
        flows.policy_match_type.set(0, 4);
    });
    assert!(decided.contains("policy-verdict:all EGRESS DENIED ("), "{decided}");
}

#[test]
fn layer_seven_has_types_of_its_own() {
    let dns = line(LOOK, |flows| {
        flows.verdict.set(0, "FORWARDED");
        flows.l7_type.set(0, "RESPONSE");
        flows.l7_protocol.set(0, "DNS");
        flows.dns_observation_source.set(0, "proxy");
        flows.dns_query.set(0, "api.internal.");
        flows.dns_qtypes.set(0, "A");
        flows.dns_ips.set(0, "10.1.2.3");
    });
    assert!(dns.contains(" dns-response proxy FORWARDED (DNS Answer \"10.1.2.3\" (api.internal. A))"), "{dns}");
}

#[test]
fn an_address_of_version_six_is_bracketed_before_its_port() {
    let six = line(LOOK, |flows| {
        flows.src_ip.set(0, "fd00::1");
        flows.src_port.set(0, 80);
        flows.dst_ip.set(0, "fd00::2");
    });
    assert!(six.contains(": [fd00::1]:80 (unknown) <> fd00::2 (unknown) UNKNOWN VERDICT_UNKNOWN ()"), "{six}");
}

#[test]
fn a_recorded_escape_code_is_not_sent_to_the_terminal() {
    let hostile = line(LOOK, |flows| {
        tcp(flows);
        flows.summary.set(0, "GET /\u{1b}]0;owned\u{7}");
    });
    assert!(!hostile.contains('\u{1b}'), "{hostile:?}");
}
