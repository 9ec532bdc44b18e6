//! The two macros that declare a source type once: what can be read, what its
//! schema says and which keys are known all follow from one declaration.

/// A table with fixed keys, each optional to the reader; `compile` decides which must be there.
macro_rules! table {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, schemars::JsonSchema)]
        #[schemars(deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: Option<$crate::config::read::Node<$type>>,)*
        }

        impl $crate::config::read::Overlay for $name {
            fn overlay(&mut self, other: &Self) {
                $(if other.$field.is_some() {
                    self.$field.clone_from(&other.$field);
                })*
            }
        }

        impl $crate::config::read::Read for $name {
            const WHAT: &'static str = "a table";

            fn fits(value: &toml::de::DeValue<'_>) -> bool {
                value.is_table()
            }

            fn read(
                value: &$crate::config::read::Value<'_>,
                at: &$crate::config::problems::Place,
                out: &mut $crate::config::problems::Problems,
            ) -> Option<Self> {
                let mut table = Self::default();
                for entry in $crate::config::read::entries(value, at, out)? {
                    $(if entry.key == $crate::config::read::plain(stringify!($field)) {
                        table.$field = $crate::config::read::Read::read(entry.value, &entry.place, out);
                        continue;
                    })*
                    let known = [$($crate::config::read::plain(stringify!($field))),*];
                    out.unknown_key(&entry.key_place, entry.key, &known);
                }
                Some(table)
            }
        }
    };
}

/// A string out of a fixed list.
macro_rules! words {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$word_meta:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, schemars::JsonSchema)]
        pub enum $name {
            $($(#[$word_meta])* #[schemars(rename = $word)] $variant,)*
        }

        impl $crate::config::read::Read for $name {
            const WHAT: &'static str = "a string";

            fn fits(value: &toml::de::DeValue<'_>) -> bool {
                value.is_str()
            }

            fn read(
                value: &$crate::config::read::Value<'_>,
                at: &$crate::config::problems::Place,
                out: &mut $crate::config::problems::Problems,
            ) -> Option<Self> {
                let text = <String as $crate::config::read::Read>::read(value, at, out)?;
                match text.as_str() {
                    $($word => Some(Self::$variant),)*
                    other => {
                        let remedy = $crate::config::problems::suggest(other, &[$($word),*]);
                        out.error(at, format!("{other:?} is not a value of this key"), remedy);
                        None
                    }
                }
            }
        }
    };
}

pub(crate) use {table, words};
