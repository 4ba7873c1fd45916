//! What a type wants of a JSON text, seen by watching serde read it: the fields of every struct in it, however deep, and
//! the variants of every enum. An optional field that the text lacks can't be seen in any other way.

use std::{cell::RefCell, collections::BTreeMap};

use serde::{
    Deserializer,
    de::{
        DeserializeOwned, DeserializeSeed, EnumAccess, Error as _, IntoDeserializer, VariantAccess, Visitor,
        value::{MapDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};
use serde_json::{Error, Value};

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// The fields and elements that the type has and the text does not.
    pub(super) missing: Vec<String>,
    /// The optional fields that the text fills.
    pub(super) optional: Vec<String>,
    /// The variants that the outermost enum could have had.
    pub(super) outermost: Vec<&'static str>,
    /// The variants of the enums within, by the enum's name.
    pub(super) enums: BTreeMap<&'static str, Vec<&'static str>>,
}

impl Shape {
    /// What a `T` sees in `value`, and the `T`.
    pub(super) fn of<T: DeserializeOwned>(value: &Value) -> Result<(Self, T), Error> {
        let shape = RefCell::default();
        let read = T::deserialize(Node { value, path: String::new(), shape: &shape })?;
        Ok((shape.into_inner(), read))
    }
}

/// A value, and where it is.
#[derive(Clone)]
struct Node<'de> {
    value: &'de Value,
    path: String,
    shape: &'de RefCell<Shape>,
}

impl<'de> Node<'de> {
    fn child(&self, name: &str, value: &'de Value) -> Self {
        Self { value, path: format!("{}/{name}", self.path), shape: self.shape }
    }

    fn miss(&self, what: String) {
        self.shape.borrow_mut().missing.push(what);
    }
}

impl<'de> IntoDeserializer<'de, Error> for Node<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Array(items) => {
                if items.is_empty() {
                    self.miss(self.path.clone());
                }
                visitor.visit_seq(SeqDeserializer::new(items.iter().map(|item| self.child("0", item))))
            }
            Value::Object(fields) => {
                let fields = fields.iter().map(|(name, value)| (name.as_str(), self.child(name, value)));
                visitor.visit_map(MapDeserializer::new(fields))
            }
            other => other.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.value.is_null() {
            self.miss(self.path.clone());
            return visitor.visit_none();
        }
        self.shape.borrow_mut().optional.push(self.path.clone());
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        // What is kept raw is nobody's shape.
        if name.starts_with("$serde_json") {
            return self.value.deserialize_newtype_struct(name, visitor);
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        for field in fields {
            if self.value.get(field).is_none() {
                self.miss(format!("{}/{field}", self.path));
            }
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let mut shape = self.shape.borrow_mut();
        if self.path.is_empty() {
            shape.outermost = variants.to_vec();
        } else {
            shape.enums.insert(name, variants.to_vec());
        }
        drop(shape);
        visitor.visit_enum(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

impl<'de> EnumAccess<'de> for Node<'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let (variant, content) = match self.value {
            Value::String(variant) => (variant, self.clone()),
            Value::Object(fields) => {
                let (variant, content) = fields.iter().next().ok_or_else(|| Error::custom("no variant"))?;
                (variant, self.child(variant, content))
            }
            _ => return Err(Error::custom("neither a variant's name nor an object")),
        };
        let name: serde::de::value::StrDeserializer<'_, Error> = variant.as_str().into_deserializer();
        Ok((seed.deserialize(name)?, content))
    }
}

impl<'de> VariantAccess<'de> for Node<'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_struct("", fields, visitor)
    }
}
