//! Slices of a long column.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type};

use super::{SMALL, shrink_dictionary};

#[test]
fn a_slice_keeps_its_rows_and_only_their_values() {
    let texts: StringArray = (0..1000).map(|row| (row % 7 != 0).then(|| format!("value {}", row % 300))).collect();
    let kind = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let whole = cast(&texts, &kind).unwrap();
    for (offset, length) in [(0, 1000), (10, 50), (500, 200), (7, 1), (0, 0)] {
        let slice: ArrayRef = whole.slice(offset, length);
        let shrunk = shrink_dictionary(&slice);
        let plain = |array: &ArrayRef| cast(array, &DataType::Utf8).unwrap();
        assert_eq!(&plain(&shrunk), &plain(&slice), "{offset} {length}");
        let n_values = shrunk.as_dictionary::<Int32Type>().values().len();
        assert!(n_values <= length.max(SMALL), "{n_values} values for {length} rows");
    }
    let plain: ArrayRef = Arc::new(texts);
    assert!(Arc::ptr_eq(&shrink_dictionary(&plain), &plain));
}
