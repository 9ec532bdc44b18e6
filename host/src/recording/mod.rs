//! Recordings: what a policy was asked, what it read and what it answered, written down at the
//! contract's boundary so that the same calls can be put to another version of it.
//!
//! # What is recorded
//!
//! A *window* is the life of one instance from its start: `instantiate`, `init`, `restore` of
//! the state saved by the instance it replaced (where the policy has `handoff`),
//! `members-changed`, then every call without a gap. A call holds what was
//! asked, the clock and the state of `entropy` as it began, which triggers its exchange had, every
//! import that gave the policy something (in order, with arguments and result), and the
//! answer. Nothing else enters a guest, so the same module answers the same again.
//! A header's value is there only if the policy read it; bodies never are.
//!
//! # The file
//!
//! ```text
//! switchyard recording 1\n        the version is raised whenever a frame's fields change
//! length  u32, little endian      of the frame that follows
//! frame   postcard                Opening, Start, Call or End
//! length, frame, …
//! ```
//!
//! One `Opening` says whose file it is. `Start` begins a window: its number, the module's digest,
//! configuration, context (binding, replica), limits and triggers. `Call` and `End` name their
//! window; those of several instances lie between each other. A file that ends in the middle
//! of a frame is read to its last whole one. A frame of a window that has no `Start` in the file
//! (it began before the file was rotated) is skipped.
//!
//! # Who writes
//!
//! The instance fills a [`Tape`] and hands each finished call to its policy's [`Recorder`], whose
//! thread writes. What does not fit between the two ends the window there and is counted.

mod call;
mod frame;
mod inference;
mod recorder;
mod recorders;
mod redact;
mod script;
mod tape;
#[cfg(test)]
mod tests;
mod value;
mod window;

pub use call::{Answer, Asked, Call, FaultKind, Read};
pub use frame::{End, Frame, Frames, Opening, ReadError, Start, VERSION};
pub use recorder::{Recorder, RecorderStatus};
pub use recorders::Recorders;
pub use script::{Missing, Script};
pub use tape::{Began, Recalled, Source, Tape};
pub use value::{Function, Value};
pub use window::{Instance, Recording, Recordings};
