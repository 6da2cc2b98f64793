//! Which options a section has, asked of the type that reads them.
//!
//! A `Deserialize` type tells a deserializer the names of its fields. The one here gives no values; it only listens.
//! So the known options, suggestions for unknown ones and the names of environment variables come from the types
//! themselves and cannot fall behind.

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, IntoDeserializer as _, MapAccess, SeqAccess, Visitor,
    value::Error,
};
use serde::forward_to_deserialize_any;

/// Stands in a path for any element of a list.
pub(crate) const ELEMENT: &str = "[]";

/// The options right below `path` in `T`; `None` where `path` ends in a value.
pub(crate) fn fields<T: DeserializeOwned>(path: &[&str]) -> Option<&'static [&'static str]> {
    let mut found = None;
    // It never succeeds: it gives no values.
    let _gave_no_value = T::deserialize(Listener { path, found: &mut found }).err();
    found
}

/// Every option of `T` that holds a value, with the path to it.
pub(crate) fn leaves<T: DeserializeOwned>() -> Vec<Vec<&'static str>> {
    let mut leaves = Vec::new();
    collect::<T>(&mut Vec::new(), &mut leaves);
    leaves
}

fn collect<T: DeserializeOwned>(path: &mut Vec<&'static str>, leaves: &mut Vec<Vec<&'static str>>) {
    if let Some(names) = fields::<T>(path) {
        for name in names {
            path.push(name);
            collect::<T>(path, leaves);
            path.pop();
        }
        return;
    }
    path.push(ELEMENT);
    let is_list_of_tables = fields::<T>(path).is_some();
    if is_list_of_tables {
        collect::<T>(path, leaves);
    }
    path.pop();
    if !is_list_of_tables {
        leaves.push(path.clone());
    }
}

struct Listener<'a> {
    path: &'a [&'a str],
    found: &'a mut Option<&'static [&'static str]>,
}

impl<'de> Deserializer<'de> for Listener<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Error> {
        Err(Error::custom("a value"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.path.split_first() {
            None => {
                *self.found = Some(fields);
                Err(Error::custom("a table"))
            }
            Some((name, path)) => visitor.visit_map(One { name: Some(name), path, found: self.found }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.path.split_first() {
            Some((&ELEMENT, path)) => visitor.visit_seq(One { name: Some(ELEMENT), path, found: self.found }),
            _ => Err(Error::custom("a list")),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple
        tuple_struct map enum identifier ignored_any
    }
}

/// A table with one option, or a list with one element.
struct One<'a> {
    name: Option<&'a str>,
    path: &'a [&'a str],
    found: &'a mut Option<&'static [&'static str]>,
}

impl<'de> MapAccess<'de> for One<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        self.name.take().map(|name| seed.deserialize(name.into_deserializer())).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(Listener { path: self.path, found: self.found })
    }
}

impl<'de> SeqAccess<'de> for One<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        match self.name.take() {
            Some(_) => seed.deserialize(Listener { path: self.path, found: self.found }).map(Some),
            None => Ok(None),
        }
    }
}
