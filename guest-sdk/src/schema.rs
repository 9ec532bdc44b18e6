//! What a configuration may hold, for people and tools that do not run the policy.
//!
//! The macros put it as a JSON schema into the component's custom section
//! [`SECTION`], which `switchyard policy inspect` shows. It is rendered while the
//! policy is compiled: nothing of this is in the code that runs.

/// The custom section that holds the schema.
pub const SECTION: &str = "switchyard:config-schema";

/// What a configuration may hold.
#[derive(Debug, Clone, Copy)]
pub enum Schema {
    /// Not said: the component has no schema.
    Unsaid,
    /// An object with these keys and no others.
    Keys(&'static [Key]),
}

/// One key of an object.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// As the operator writes it.
    pub name: &'static str,
    /// Lines of text for the operator.
    pub help: &'static [&'static str],
    /// What may stand there.
    pub kind: Kind,
    /// What stands for it where it is left out.
    pub absent: Absent,
}

/// What a value may be.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A string.
    Text,
    /// A whole number within bounds.
    Integer {
        /// At least this.
        least: u64,
        /// At most this.
        most: u64,
    },
    /// Any number.
    Number,
    /// A list of strings.
    Texts,
    /// An object with these keys and no others.
    Object(&'static [Key]),
    /// A list of such objects.
    Objects(&'static [Key]),
    /// A table from names of the operator's choosing to strings.
    Named,
}

/// What stands for a key that is left out.
#[derive(Debug, Clone, Copy)]
pub enum Absent {
    /// It must not be.
    Required,
    /// Nothing, or what the help says.
    Unsaid,
    /// A bool.
    Bool(bool),
    /// A string.
    Text(&'static str),
    /// A whole number.
    Integer(u64),
    /// A number in decimal digits.
    Number(&'static str),
}

/// Bytes of the JSON text; 0 where nothing is said.
pub const fn length(schema: &Schema) -> usize {
    let mut out = Out::<0> { bytes: [], at: 0 };
    out.schema(schema);
    out.at
}

/// The JSON text; `N` is its [`length`].
pub const fn render<const N: usize>(schema: &Schema) -> [u8; N] {
    let mut out = Out {
        bytes: [b' '; N],
        at: 0,
    };
    out.schema(schema);
    out.bytes
}

/// Writes what fits, and counts all.
struct Out<const N: usize> {
    bytes: [u8; N],
    at: usize,
}

// Loops by index: iterators and traits cannot run while compiling.
impl<const N: usize> Out<N> {
    const fn byte(&mut self, byte: u8) {
        if self.at < N {
            self.bytes[self.at] = byte;
        }
        self.at += 1;
    }

    const fn raw(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            self.byte(bytes[at]);
            at += 1;
        }
    }

    const fn escaped(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            match bytes[at] {
                byte @ (b'"' | b'\\') => {
                    self.byte(b'\\');
                    self.byte(byte);
                }
                // Line ends and other controls mean nothing in help texts.
                0..=31 => self.byte(b' '),
                byte => self.byte(byte),
            }
            at += 1;
        }
    }

    const fn text(&mut self, text: &str) {
        self.byte(b'"');
        self.escaped(text);
        self.byte(b'"');
    }

    const fn number(&mut self, number: u64) {
        if number >= 10 {
            self.number(number / 10);
        }
        self.byte(b'0' + (number % 10) as u8);
    }

    const fn schema(&mut self, schema: &Schema) {
        if let Schema::Keys(keys) = schema {
            self.byte(b'{');
            self.object(keys);
            self.byte(b'}');
        }
    }

    /// The inside of an object's schema.
    const fn object(&mut self, keys: &[Key]) {
        self.raw(r#""type":"object","additionalProperties":false,"properties":{"#);
        let mut at = 0;
        while at < keys.len() {
            if at > 0 {
                self.byte(b',');
            }
            self.key(&keys[at]);
            at += 1;
        }
        self.byte(b'}');
        let (mut at, mut first) = (0, true);
        while at < keys.len() {
            if matches!(keys[at].absent, Absent::Required) {
                self.raw(if first { r#","required":["# } else { "," });
                self.text(keys[at].name);
                first = false;
            }
            at += 1;
        }
        if !first {
            self.byte(b']');
        }
    }

    const fn key(&mut self, key: &Key) {
        self.text(key.name);
        self.raw(":{");
        self.kind(&key.kind);
        if !key.help.is_empty() {
            self.raw(r#","description":""#);
            let mut at = 0;
            while at < key.help.len() {
                if at > 0 {
                    self.byte(b' ');
                }
                // The blank after `///`.
                self.escaped(key.help[at].trim_ascii());
                at += 1;
            }
            self.byte(b'"');
        }
        self.absent(&key.absent);
        self.byte(b'}');
    }

    const fn absent(&mut self, absent: &Absent) {
        if matches!(absent, Absent::Required | Absent::Unsaid) {
            return;
        }
        self.raw(r#","default":"#);
        match absent {
            Absent::Required | Absent::Unsaid => {}
            Absent::Bool(true) => self.raw("true"),
            Absent::Bool(false) => self.raw("false"),
            Absent::Text(text) => self.text(text),
            Absent::Integer(number) => self.number(*number),
            Absent::Number(digits) => self.raw(digits),
        }
    }

    const fn kind(&mut self, kind: &Kind) {
        match kind {
            Kind::Bool => self.raw(r#""type":"boolean""#),
            Kind::Text => self.raw(r#""type":"string""#),
            Kind::Number => self.raw(r#""type":"number""#),
            Kind::Integer { least, most } => {
                self.raw(r#""type":"integer","minimum":"#);
                self.number(*least);
                if *most < u64::MAX {
                    self.raw(r#","maximum":"#);
                    self.number(*most);
                }
            }
            Kind::Texts => self.raw(r#""type":"array","items":{"type":"string"}"#),
            Kind::Object(keys) => self.object(keys),
            Kind::Objects(keys) => {
                self.raw(r#""type":"array","items":{"#);
                self.object(keys);
                self.byte(b'}');
            }
            Kind::Named => {
                self.raw(r#""type":"object","additionalProperties":{"type":"string"}"#);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: Schema = Schema::Keys(&[
        Key {
            name: "percent",
            help: &[" How many,", " \"about\"."],
            kind: Kind::Integer {
                least: 0,
                most: 100,
            },
            absent: Absent::Integer(5),
        },
        Key {
            name: "name",
            help: &[],
            kind: Kind::Text,
            absent: Absent::Required,
        },
        Key {
            name: "rules",
            help: &[],
            kind: Kind::Objects(&[Key {
                name: "on",
                help: &[],
                kind: Kind::Bool,
                absent: Absent::Bool(false),
            }]),
            absent: Absent::Unsaid,
        },
    ]);

    #[test]
    fn a_schema_is_rendered_while_compiling() {
        static TEXT: [u8; length(&SAMPLE)] = render(&SAMPLE);
        let text = std::str::from_utf8(&TEXT).unwrap();
        let schema: serde_json::Value = serde_json::from_str(text).unwrap();
        let due = serde_json::json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "percent": {
                    "type": "integer", "minimum": 0, "maximum": 100,
                    "description": "How many, \"about\".", "default": 5,
                },
                "name": { "type": "string" },
                "rules": { "type": "array", "items": {
                    "type": "object", "additionalProperties": false,
                    "properties": { "on": { "type": "boolean", "default": false } },
                } },
            },
            "required": ["name"],
        });
        assert_eq!(schema, due);
    }

    #[test]
    fn what_is_not_said_takes_no_byte() {
        assert_eq!(length(&Schema::Unsaid), 0);
        let none: [u8; 0] = render(&Schema::Unsaid);
        assert!(none.is_empty());
    }
}
