//! A list comes back as it went in, whatever its items hold.
use proptest::prelude::*;

#[test]
fn a_usual_list_reads_as_people_write_it() {
    let labels = ["k8s:app=web", "k8s:tier=fe"];
    assert_eq!(super::join(labels).as_deref(), Some("k8s:app=web,k8s:tier=fe"));
}

#[test]
fn no_items_is_absent_and_an_empty_item_is_not() {
    assert_eq!(super::join([]), None);
    let one_empty = super::join([""]).expect("one item");
    assert_eq!(super::split(&one_empty).collect::<Vec<_>>(), [""]);
}

proptest! {
    #[test]
    fn any_list_comes_back(items in proptest::collection::vec("[a-z,\\\\e]{0,6}|\\PC{0,8}", 0..6)) {
        let joined = super::join(items.iter().map(String::as_str)).unwrap_or_default();
        let back: Vec<String> = super::split(&joined).map(std::borrow::Cow::into_owned).collect();
        prop_assert_eq!(back, items);
    }
}
