//! Which log this is, by what it begins with.

use super::FlowLogFormat;

/// Bytes that are looked at.
const LOOK_LEN: usize = 16 << 10;
/// The first two words of a record of AWS: a version, and twelve digits of an account.
const ACCOUNT_LEN: usize = 12;

impl FlowLogFormat {
    /// The format of a log that begins with `head`; `None` where it is another text.
    ///
    /// JSON is told by the names that only records of a format have, and never taken for one where it names events of
    /// Hubble or Tetragon.
    #[must_use]
    pub fn detect(head: &[u8]) -> Option<Self> {
        let head = head.get(..LOOK_LEN).unwrap_or(head).trim_ascii_start();
        match head.first()? {
            b'{' | b'[' => json(head),
            _ => is_aws(head).then_some(Self::Aws),
        }
    }
}

fn json(head: &[u8]) -> Option<FlowLogFormat> {
    let names = |name: &str| memchr::memmem::find(head, name.as_bytes()).is_some();
    if names("\"process_") || names("\"flow\":{") || names("\"flow\": {") {
        return None;
    }
    // The answer of a log store, which may hold nothing.
    let is_answer = names("\"resultType\"") && names("\"streams\"");
    let is_netobserv = is_answer
        || (names("\"SrcAddr\"") && names("\"DstAddr\""))
        || (names("\\\"SrcAddr\\\"") && names("\\\"DstAddr\\\""));
    if names("NetworkSecurityGroupFlowEvent") || names("FlowLogFlowEvent") {
        Some(FlowLogFormat::Azure)
    } else if is_netobserv {
        Some(FlowLogFormat::NetObserv)
    } else if names("\"jsonPayload\"") && names("\"connection\"") {
        Some(FlowLogFormat::Gcp)
    } else {
        None
    }
}

/// Whether the first line holds names of fields, or is a record of the default format.
fn is_aws(head: &[u8]) -> bool {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let Ok(line) = std::str::from_utf8(line) else { return false };
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    if words.contains(&"srcaddr") && words.contains(&"dstaddr") {
        return true;
    }
    let [version, account, interface, ..] = words.as_slice() else { return false };
    let is_account = account.len() == ACCOUNT_LEN && account.bytes().all(|byte| byte.is_ascii_digit());
    words.len() == super::aws::DEFAULT.len()
        && version.parse::<u8>().is_ok()
        && (is_account || *account == "unknown")
        && (interface.starts_with("eni-") || *interface == "-")
}
