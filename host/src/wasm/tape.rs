//! Between imports and calls of a guest and the tape that records or replays them.

use std::sync::Arc;

use super::{fault::Stop, host::entropy::Entropy, state::State};
use crate::recording::{Asked, Began, Function, Recalled, Value};

/// What an import gives its guest, as a recording has it.
pub(super) trait Taped: Sized {
    /// For the recording.
    fn value(&self) -> Value;
    /// From the recording; `None` where it holds something else.
    fn recalled(value: Value) -> Option<Self>;
    /// Bytes copied into the guest.
    fn size(&self) -> usize {
        0
    }
}

impl State {
    /// One import: answered by `live`, and written down where the instance is recorded; answered by
    /// the recording in a replay. `live` meters what it copies.
    pub(super) fn import<R: Taped>(
        &self,
        function: Function,
        arguments: impl Fn() -> Vec<Value>,
        live: impl FnOnce() -> wasmtime::Result<R>,
    ) -> wasmtime::Result<R> {
        if self.tape.is_off() {
            return live();
        }
        match self.tape.recall(function, &arguments) {
            Recalled::Live => {
                let result = live()?;
                self.tape.note(function, arguments, || result.value());
                Ok(result)
            }
            Recalled::Known(value) => {
                let result = R::recalled(value).ok_or(Stop::Unrecorded)?;
                self.meter.bytes(result.size())?;
                Ok(result)
            }
            Recalled::Missing => Err(Stop::Unrecorded.into()),
        }
    }

    /// A call begins: the moment as the guest sees it.
    pub(super) fn tape_begins(&mut self, asked: &Asked, triggered: u64) -> Began {
        let recorded = self.tape.begin(asked);
        if let Some(began) = recorded {
            self.entropy = Entropy::at(began.entropy);
        }
        recorded.unwrap_or(Began {
            now_us: self.lifecycle_clock.0,
            wall_ms: self.lifecycle_clock.1,
            entropy: self.entropy.state(),
            triggered,
        })
    }
}

/// A type that is one variant of `Value`.
macro_rules! taped {
    ($($type:ty: $variant:ident, $to:expr, $from:expr, $size:expr;)*) => {
        $(impl Taped for $type {
            fn value(&self) -> Value {
                Value::$variant($to(self))
            }
            fn recalled(value: Value) -> Option<Self> {
                match value {
                    Value::$variant(value) => $from(value),
                    _ => None,
                }
            }
            fn size(&self) -> usize {
                $size(self)
            }
        })*
    };
}

/// Of a list entry: as the host meters them.
const ENTRY: usize = size_of::<Vec<u8>>();

taped! {
    bool: Flag, |flag: &bool| *flag, Some, |_| 0;
    u16: Number, |number: &u16| u64::from(*number), |number| u16::try_from(number).ok(), |_| 0;
    i64: Signed, |number: &i64| *number, Some, |_| 0;
    Arc<String>: Text, |text: &Arc<String>| text.as_str().to_owned(), |text| Some(Arc::new(text)), |text: &Arc<String>| text.len();
    Arc<Vec<u8>>: Bytes, |bytes: &Arc<Vec<u8>>| bytes.as_slice().to_owned(), |bytes| Some(Arc::new(bytes)), |bytes: &Arc<Vec<u8>>| bytes.len();
    Arc<Vec<u32>>: Numbers, |column: &Arc<Vec<u32>>| column.iter().map(|n| u64::from(*n)).collect(),
        |column: Vec<u64>| Some(Arc::new(column.into_iter().map(u32::try_from).collect::<Result<_, _>>().ok()?)),
        |column: &Arc<Vec<u32>>| size_of_val(column.as_slice());
    Arc<Vec<u64>>: Numbers, |column: &Arc<Vec<u64>>| column.as_slice().to_owned(), |column| Some(Arc::new(column)),
        |column: &Arc<Vec<u64>>| size_of_val(column.as_slice());
    Vec<i64>: SignedNumbers, |column: &Vec<i64>| column.clone(), Some, |column: &Vec<i64>| size_of_val(column.as_slice());
    Vec<String>: Texts, |texts: &Vec<String>| texts.clone(), Some, |texts: &Vec<String>| texts.iter().map(|text| text.len() + ENTRY).sum();
    Vec<Vec<u8>>: Lines, |lines: &Vec<Vec<u8>>| lines.clone(), Some, |lines: &Vec<Vec<u8>>| lines.iter().map(|line| line.len() + ENTRY).sum();
}

impl Taped for () {
    fn value(&self) -> Value {
        Value::Nothing
    }

    fn recalled(value: Value) -> Option<Self> {
        matches!(value, Value::Nothing).then_some(())
    }
}

impl<R: Taped> Taped for Option<R> {
    fn value(&self) -> Value {
        self.as_ref().map_or(Value::Absent, Taped::value)
    }

    fn recalled(value: Value) -> Option<Self> {
        match value {
            Value::Absent => Some(None),
            value => R::recalled(value).map(Some),
        }
    }

    fn size(&self) -> usize {
        self.as_ref().map_or(0, Taped::size)
    }
}

/// Of `compare-exchange`.
impl Taped for Result<(), i64> {
    fn value(&self) -> Value {
        match self {
            Ok(()) => Value::Nothing,
            Err(found) => Value::Signed(*found),
        }
    }

    fn recalled(value: Value) -> Option<Self> {
        match value {
            Value::Nothing => Some(Ok(())),
            Value::Signed(found) => Some(Err(found)),
            _ => None,
        }
    }
}

/// Of `open`: why not.
impl Taped for Result<(), String> {
    fn value(&self) -> Value {
        match self {
            Ok(()) => Value::Nothing,
            Err(why) => Value::Text(why.clone()),
        }
    }

    fn recalled(value: Value) -> Option<Self> {
        match value {
            Value::Nothing => Some(Ok(())),
            Value::Text(why) => Some(Err(why)),
            _ => None,
        }
    }
}
