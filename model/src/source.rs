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
    /// A recording made by the generator; never real traffic.
    Generated,
}

impl SourceKind {
    /// Every kind, in the order of declaration.
    pub const ALL: [Self; 5] = [Self::Hubble, Self::Tetragon, Self::Flight, Self::Sensor, Self::Generated];

    /// The text in the `source_kind` column.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hubble => "hubble",
            Self::Tetragon => "tetragon",
            Self::Flight => "flight",
            Self::Sensor => "sensor",
            Self::Generated => "generated",
        }
    }

    /// The kind that a text names.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}
