//! Cluster names as the fleet calls its clusters: one that nobody named calls itself `default`, like all the others.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, DictionaryArray, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Int32Type};
use arrow::record_batch::RecordBatch;
use hindcast_model::Batch;

/// The columns that hold the name of a cluster. The first is the event's own: an event without one can be given one.
const COLUMNS: [&str; 3] = ["cluster", "src_cluster", "dst_cluster"];

/// New names by old ones; the empty one stands for none.
pub(crate) type Names = BTreeMap<String, String>;

/// The batch with other names of clusters; `None` if it has none of those that change.
pub(crate) fn rename(batch: &Batch, names: &Names) -> Option<Batch> {
    let records = &batch.records;
    let mut columns = records.columns().to_vec();
    let mut has_changed = false;
    for (number, name) in COLUMNS.iter().enumerate() {
        let Ok(position) = records.schema_ref().index_of(name) else { continue };
        let given = names.get("").filter(|_| number == 0);
        let Some(column) = columns.get_mut(position) else { continue };
        if let Some(renamed) = renamed(column, names, given.map(String::as_str)) {
            *column = renamed;
            has_changed = true;
        }
    }
    let records = has_changed.then(|| RecordBatch::try_new(Arc::clone(records.schema_ref()), columns))?;
    Some(Batch { table: batch.table, records: records.ok()? })
}

fn renamed(column: &ArrayRef, names: &Names, given: Option<&str>) -> Option<ArrayRef> {
    let DataType::Dictionary(key, _) = column.data_type() else { return None };
    debug_assert_eq!(**key, DataType::Int32, "texts that repeat have keys of 32 bits");
    let dictionary = column.as_dictionary_opt::<Int32Type>()?;
    let known = dictionary.values().as_string_opt::<i32>()?;
    let is_asked = known.iter().flatten().any(|name| !name.is_empty() && names.contains_key(name));
    let fills = given.filter(|_| column.null_count() > 0);
    if !is_asked && fills.is_none() {
        return None;
    }
    let mut values = StringBuilder::new();
    for name in known {
        values.append_option(name.map(|name| names.get(name).map_or(name, String::as_str)));
    }
    let mut keys = dictionary.keys().clone();
    if let Some(given) = fills {
        let key = i32::try_from(known.len()).ok()?;
        values.append_value(given);
        keys = keys.iter().map(|old| old.or(Some(key))).collect();
    }
    let values: StringArray = values.finish();
    Some(Arc::new(DictionaryArray::<Int32Type>::try_new(keys, Arc::new(values)).ok()?))
}

#[cfg(test)]
mod tests {
    use hindcast_model::TableId;

    use super::*;

    fn batch(clusters: &[Option<&str>]) -> Batch {
        let column: DictionaryArray<Int32Type> = clusters.iter().copied().collect();
        let records = RecordBatch::try_from_iter_with_nullable([
            ("cluster", Arc::new(column.clone()) as ArrayRef, true),
            ("dst_cluster", Arc::new(column) as ArrayRef, true),
        ]);
        Batch { table: TableId::Flows, records: records.unwrap() }
    }

    fn texts(batch: &Batch, column: &str) -> Vec<Option<String>> {
        let column = batch.records.column_by_name(column).unwrap();
        let column = arrow::compute::cast(column, &DataType::Utf8).unwrap();
        column.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
    }

    fn names(pairs: &[(&str, &str)]) -> Names {
        pairs.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect()
    }

    #[test]
    fn names_change_and_only_an_event_itself_is_given_one() {
        let before = batch(&[Some("default"), None, Some("eu"), Some("us")]);
        let after = rename(&before, &names(&[("default", "eu"), ("", "lab"), ("asia", "x")])).unwrap();
        let text = |name: &str| Some(name.to_owned());
        assert_eq!(texts(&after, "cluster"), [text("eu"), text("lab"), text("eu"), text("us")]);
        assert_eq!(texts(&after, "dst_cluster"), [text("eu"), None, text("eu"), text("us")]);
    }

    #[test]
    fn a_batch_without_such_a_name_stays_as_it_is() {
        assert!(rename(&batch(&[Some("eu"), None]), &names(&[("default", "x")])).is_none());
        assert!(rename(&batch(&[Some("eu")]), &names(&[("", "x")])).is_none());
    }
}
