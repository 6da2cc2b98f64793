//! Where an event came from, as the column `source_kind` names it.

/// The wire or sensor that brought an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SourceKind {
    /// Hubble: an exporter file, an agent or a relay.
    Hubble,
    /// Tetragon: an export file or an agent.
    Tetragon,
    /// Arrow batches pushed over Flight.
    Flight,
    /// Our own eBPF sensors.
    Sensor,
    /// Packets of a capture file.
    Pcap,
    /// Records of NetFlow or IPFIX, which switches and hosts export.
    Netflow,
    /// Samples of sFlow.
    Sflow,
    /// Lines of a cloud's flow log.
    FlowLog,
    /// Flow records of NetObserv.
    Netobserv,
    /// A recording made by the generator; never real traffic.
    Generated,
}

impl SourceKind {
    /// Every kind, in the order of declaration.
    pub const ALL: [Self; 10] = [
        Self::Hubble,
        Self::Tetragon,
        Self::Flight,
        Self::Sensor,
        Self::Pcap,
        Self::Netflow,
        Self::Sflow,
        Self::FlowLog,
        Self::Netobserv,
        Self::Generated,
    ];

    /// The text in the `source_kind` column.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hubble => "hubble",
            Self::Tetragon => "tetragon",
            Self::Flight => "flight",
            Self::Sensor => "sensor",
            Self::Pcap => "pcap",
            Self::Netflow => "netflow",
            Self::Sflow => "sflow",
            Self::FlowLog => "flow_log",
            Self::Netobserv => "netobserv",
            Self::Generated => "generated",
        }
    }

    /// The kind that a text names.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}
