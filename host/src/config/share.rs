//! A share of things, as a number.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use toml::de::DeValue;

use super::{
    problems::{Place, Problems},
    read::{Read, Value},
    units::number,
};

/// Above 0, at most 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share(pub f64);

impl Read for Share {
    const WHAT: &'static str = "a number above 0 and at most 1";

    fn fits(value: &DeValue<'_>) -> bool {
        value.is_integer() || value.is_float()
    }

    fn read(value: &Value<'_>, at: &Place, out: &mut Problems) -> Option<Self> {
        let number = number::<Self>(value, at, out)?;
        // Written so that NaN fails too.
        let share = number.filter(|n| *n > 0.0 && *n <= 1.0);
        if share.is_none() {
            let remedy = "use 0.01 for one in a hundred, 1 for all; for none leave the table out";
            out.error(at, "a share lies above 0 and is at most 1", remedy);
        }
        share.map(Self)
    }
}

impl JsonSchema for Share {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Share".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "exclusiveMinimum": 0, "maximum": 1 })
    }
}
