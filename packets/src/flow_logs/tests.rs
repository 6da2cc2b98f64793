//! Records of every format as their makers document them, and damage.

use hindcast_model::tables::flows::View;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::testing::mutated;

const AWS: &str = "\
2 123456789010 eni-1 172.31.16.139 172.31.16.21 20641 22 6 20 4249 1418530010 1418530070 ACCEPT OK
2 123456789010 eni-1 172.31.9.69 172.31.9.12 49761 3389 6 20 4249 1418530010 1418530070 REJECT OK
2 123456789010 eni-1 - - - - - - - 1431280876 1431280934 - NODATA
2 123456789010 eni-1 - - - - - - - 1431280876 1431280934 - SKIPDATA
2 123456789010 eni-1 172.31.9.69\n";

const AWS_CUSTOM: &str = "\
version vpc-id instance-id pkt-srcaddr pkt-dstaddr srcaddr dstaddr srcport dstport protocol tcp-flags type action flow-direction start end
5 vpc-7 i-12 10.0.0.62 203.0.113.5 10.0.1.5 203.0.113.5 5001 443 6 3 IPv4 ACCEPT egress 1566933133 1566933193\n";

const GCP: &str = r#"{"insertId":"8ngbx","jsonPayload":{"connection":{"src_ip":"10.128.0.2","src_port":49538,"dest_ip":"10.128.0.3","dest_port":80,"protocol":6},"src_instance":{"vm_name":"web-1","zone":"z"},"bytes_sent":"1776","packets_sent":"4","start_time":"2026-01-02T03:04:05.25Z","end_time":"2026-01-02T03:04:06Z","rtt_msec":"2","reporter":"SRC","src_gke_details":{"cluster":{"cluster_name":"c"},"pod":{"pod_name":"web-7","pod_namespace":"shop"}}},"timestamp":"2026-01-02T03:04:10Z"}
"#;

const AZURE_NSG: &str = r#"{"records":[{"time":"2018-11-13T12:00:35Z","macAddress":"000D3AF87856","category":"NetworkSecurityGroupFlowEvent","resourceId":"/NSG","properties":{"Version":2,"flows":[{"rule":"DefaultRule_DenyAllInBound","flows":[{"mac":"000D3AF87856","flowTuples":["1542110402,94.102.49.190,10.5.16.4,28746,443,U,I,D,B,,,,","1542110437,10.5.16.4,1.2.3.4,59831,443,T,O,A,E,3,205,2,134"]}]}]}}]}"#;

const AZURE_VNET: &str = r#"{
 "records": [{"time": "2022-09-14T09:00:52Z", "macAddress": "112233445566", "targetResourceID": "/nic",
  "flowRecords": {"flows": [{"aclID": "0", "flowGroups": [{"rule": "Internet",
   "flowTuples": ["1663146003599,10.0.0.6,52.239.184.180,23956,443,6,O,B,NX,0,0,0,0", "1663146003606,10.0.0.6,52.239.184.180,23956,443,6,O,E,X,3,767,2,1580", "bad"]}]}]}}]
}"#;

const NETOBSERV: &str = r#"{"SrcAddr":"10.128.0.7","DstAddr":"172.20.0.1","SrcPort":48974,"DstPort":6443,"Proto":6,"Bytes":132,"Packets":2,"TimeFlowStartMs":1708011866459,"TimeFlowEndMs":1708011867121,"Flags":16,"SrcK8S_Name":"op-5d5","SrcK8S_Namespace":"ops","SrcK8S_Type":"Pod","SrcK8S_OwnerName":"op","SrcK8S_OwnerType":"Deployment","DstK8S_Name":"kubernetes","DstK8S_Namespace":"default","DstK8S_Type":"Service","FlowDirection":"1","PktDropPackets":2,"PktDropLatestDropCause":"SKB_DROP_REASON_NO_SOCKET","AgentIP":"10.0.1.7","Dscp":8}
{"SrcMac":"0A:58","TimeFlowEndMs":1,"Etype":2054}
not json
"#;

#[test]
fn a_log_is_known_by_what_it_begins_with() {
    use FlowLogFormat::{Aws, Azure, Gcp, NetObserv};
    let known = [(AWS, Aws), (AWS_CUSTOM, Aws), (GCP, Gcp), (AZURE_NSG, Azure), (NETOBSERV, NetObserv)];
    for (text, format) in known {
        assert_eq!(FlowLogFormat::detect(text.as_bytes()), Some(format), "{text}");
    }
    // The one that names its category nowhere in the sample has it in every file of the service.
    let named = AZURE_VNET.replace("\"flowRecords\"", "\"category\": \"FlowLogFlowEvent\", \"flowRecords\"");
    assert_eq!(FlowLogFormat::detect(named.as_bytes()), Some(Azure));
    let inside =
        r#"{"status":"success","data":{"result":[{"values":[["1","{\"SrcAddr\":\"a\",\"DstAddr\":\"b\"}"]]}]}}"#;
    assert_eq!(FlowLogFormat::detect(inside.as_bytes()), Some(NetObserv));
    let events = [
        r#"{"flow":{"l7":{"http":{"url":"/?NetworkSecurityGroupFlowEvent"}}}}"#,
        r#"{"process_exec":{"process":{"arguments":"\"SrcAddr\" \"DstAddr\""}}}"#,
        "2 3 eni-1",
        "one two srcaddr",
        "",
        "{}",
    ];
    for text in events {
        assert_eq!(FlowLogFormat::detect(text.as_bytes()), None, "{text}");
    }
}

fn read(text: &[u8], format: FlowLogFormat) -> (Vec<Batch>, FlowLogCounts) {
    let mut import = FlowLogImport::new(text, format, Origin::default());
    let mut batches = Vec::new();
    while let Ok(Some(batch)) = import.next_batch() {
        batches.push(batch);
    }
    assert!(import.counts().add_up(), "{:?}", import.counts());
    (batches, import.counts().clone())
}

/// The one batch of a log.
fn rows(text: &str, format: FlowLogFormat) -> (Batch, FlowLogCounts) {
    let (mut batches, counts) = read(text.as_bytes(), format);
    assert_eq!(batches.len(), 1);
    (batches.remove(0), counts)
}

#[test]
fn aws_default_format_with_every_status() {
    let (batch, counts) = rows(AWS, FlowLogFormat::Aws);
    let view = View::new(&batch.records).unwrap();
    assert_eq!((counts.records, counts.rows, counts.no_data, counts.skipped), (5, 2, 1, 1));
    assert_eq!(counts.of(Refused::Malformed), 1);
    assert_eq!(
        (view.src_ip.get(0), view.dst_port.get(0), view.verdict.get(0)),
        (Some("172.31.16.139"), Some(22), Some("FORWARDED"))
    );
    assert_eq!((view.time.get(1), view.verdict.get(1)), (Some(1_418_530_010_000_000_000), Some("DROPPED")));
    assert_eq!((view.direction.get(0), view.drop_reason.get(1)), (None, None));
    assert!(view.rest.get(0).unwrap().ends_with(br#"{"version":"2","account-id":"123456789010"}"#));
}

#[test]
fn aws_custom_format_by_its_first_line() {
    let (batch, counts) = rows(AWS_CUSTOM, FlowLogFormat::Aws);
    let view = View::new(&batch.records).unwrap();
    assert_eq!((counts.records, counts.rows), (1, 1));
    assert_eq!((view.src_ip.get(0), view.direction.get(0)), (Some("10.0.0.62"), Some("EGRESS")));
    assert_eq!((view.node.get(0), view.tcp_flags.get(0), view.bytes_sent.get(0)), (Some("i-12"), Some(3), None));
}

#[test]
fn gcp_entries() {
    let (batch, _) = rows(&GCP.repeat(2), FlowLogFormat::Gcp);
    let view = View::new(&batch.records).unwrap();
    assert_eq!(view.n_rows(), 2);
    assert_eq!(view.time.get(0), Some(1_767_323_045_250_000_000));
    assert_eq!(
        (view.src_pod.get(0), view.src_namespace.get(0), view.src_cluster.get(0)),
        (Some("web-7"), Some("shop"), Some("c"))
    );
    assert_eq!(
        (view.direction.get(0), view.node.get(0), view.rtt_ns.get(0)),
        (Some("EGRESS"), Some("web-1"), Some(2_000_000))
    );
    assert_eq!((view.bytes_sent.get(0), view.verdict.get(0)), (Some(1776), None));
    let rest = String::from_utf8_lossy(view.rest.get(0).unwrap());
    assert!(rest.ends_with(r#"{"jsonPayload":{"src_instance":{"vm_name":"web-1","zone":"z"}}}"#), "{rest}");
}

#[test]
fn azure_tuples_of_both_kinds() {
    let (batch, counts) = rows(AZURE_NSG, FlowLogFormat::Azure);
    let view = View::new(&batch.records).unwrap();
    assert_eq!(counts.rows, 2);
    assert_eq!((view.verdict.get(0), view.direction.get(0)), (Some("DROPPED"), Some("INGRESS")));
    assert_eq!(view.ingress_denied_by.get(0), Some("DefaultRule_DenyAllInBound"));
    assert_eq!((view.packets_sent.get(0), view.dst_mac.get(0)), (None, Some("00:0d:3a:f8:78:56")));
    assert_eq!((view.bytes_sent.get(1), view.bytes_received.get(1)), (Some(205), Some(134)));

    let (batch, counts) = rows(AZURE_VNET, FlowLogFormat::Azure);
    let view = View::new(&batch.records).unwrap();
    assert_eq!((counts.rows, counts.of(Refused::NoTime)), (2, 1));
    assert_eq!((view.time.get(0), view.encrypted.get(0)), (Some(1_663_146_003_599_000_000), Some(false)));
    assert_eq!((view.bytes_received.get(1), view.encrypted.get(1)), (Some(1580), Some(true)));
    assert_eq!((view.verdict.get(0), view.egress_allowed_by.get(0)), (Some("FORWARDED"), Some("Internet")));
}

#[test]
fn netobserv_lines_and_answers() {
    let (batch, counts) = rows(NETOBSERV, FlowLogFormat::NetObserv);
    let view = View::new(&batch.records).unwrap();
    assert_eq!((counts.rows, counts.of(Refused::NoAddresses), counts.of(Refused::Malformed)), (1, 1, 1));
    assert_eq!((view.src_pod.get(0), view.src_workload.get(0)), (Some("op-5d5"), Some("op")));
    assert_eq!(
        (view.dst_service.get(0), view.dst_pod.get(0), view.dst_namespace.get(0)),
        (Some("kubernetes"), None, None)
    );
    assert_eq!((view.verdict.get(0), view.drop_reason.get(0)), (Some("DROPPED"), Some("SKB_DROP_REASON_NO_SOCKET")));
    assert_eq!(view.direction.get(0), Some("EGRESS"));
    let line = NETOBSERV.lines().next().unwrap();
    let value = serde_json::json!(["1708011866459000000", line]);
    let answer = serde_json::json!({"status": "success", "data": {"result": [{"stream": {"K8S_ClusterName": "c"}, "values": [value]}]}});
    let (batch, counts) = rows(&serde_json::to_string_pretty(&answer).unwrap(), FlowLogFormat::NetObserv);
    assert_eq!((counts.rows, View::new(&batch.records).unwrap().cluster.get(0)), (1, Some("c")));
}

#[test]
fn a_line_without_end_is_passed_over() {
    let long = "x".repeat(3 * MOST_LINE);
    let (_, counts) = read(format!("{long}\n{AWS}").as_bytes(), FlowLogFormat::Aws);
    assert_eq!((counts.of(Refused::TooLong), counts.rows), (1, 2));
    let (_, counts) = read(format!("{GCP}{long}\n{GCP}").as_bytes(), FlowLogFormat::Gcp);
    assert_eq!((counts.of(Refused::TooLong), counts.rows), (1, 2));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..400)) {
        for format in [FlowLogFormat::Aws, FlowLogFormat::Gcp, FlowLogFormat::Azure, FlowLogFormat::NetObserv] {
            let _all = read(&bytes, format);
        }
    }

    #[test]
    fn no_change_makes_it_panic(
        aws in mutated(AWS_CUSTOM.as_bytes()), gcp in mutated(GCP.as_bytes()), nsg in mutated(AZURE_NSG.as_bytes()),
        vnet in mutated(AZURE_VNET.as_bytes()), netobserv in mutated(NETOBSERV.as_bytes()),
    ) {
        let _all = (read(&aws, FlowLogFormat::Aws), read(&gcp, FlowLogFormat::Gcp));
        let _all = (read(&nsg, FlowLogFormat::Azure), read(&vnet, FlowLogFormat::Azure));
        let _all = read(&netobserv, FlowLogFormat::NetObserv);
    }
}
