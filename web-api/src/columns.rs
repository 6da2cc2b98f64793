//! Which columns of the tables hold several texts in one value, and which a row shows when nobody picks columns.

use hindcast_model::{ColumnKind, TableId};

/// Columns whose value is a [`hindcast_model::list`]; JSON rows show them as arrays.
const LISTS: &[&str] = &[
    "src_labels",
    "src_names",
    "dst_labels",
    "dst_names",
    "egress_allowed_by",
    "ingress_allowed_by",
    "egress_denied_by",
    "ingress_denied_by",
    "dns_ips",
    "dns_cnames",
    "dns_qtypes",
    "dns_rrtypes",
    "http_headers",
    "pod_labels",
    "tags",
    "labels",
    "images",
];

/// Whether the column of that name holds a list.
pub(crate) fn is_list(column: &str) -> bool {
    LISTS.contains(&column)
}

/// The columns of a row when nobody picks any: all but raw protobuf bytes.
pub(crate) fn usual(table: TableId) -> impl Iterator<Item = &'static str> {
    table.columns().iter().filter(|column| !is_bytes(column.kind)).map(|column| column.name)
}

/// Whether the column holds raw bytes.
pub(crate) const fn is_bytes(kind: ColumnKind) -> bool {
    matches!(kind, ColumnKind::Bytes | ColumnKind::DictBytes)
}

#[cfg(test)]
mod tests {
    //! The list of lists against the tables' own words.

    use hindcast_model::TableId;

    use super::is_list;

    #[test]
    fn the_documented_lists_are_the_lists() {
        for column in TableId::ALL.iter().flat_map(|table| table.columns()) {
            let says_so = column.doc.contains("a list of") || column.doc.contains(", a list");
            assert_eq!(says_so, is_list(column.name), "{}: {}", column.name, column.doc);
        }
    }
}
