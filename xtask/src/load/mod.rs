//! Load for measurements: a member that costs little and a client that costs little.
//!
//! One thread and one poll loop each, so that what they take from the processor is the
//! same for every gateway measured.

mod connection;
mod generator;
mod head;
mod latency;
mod origin;
mod pause;
mod process;
mod served;

pub use generator::{Plan, Tally, run};
pub use head::field;
pub use origin::Origin;
pub use pause::be_punctual;
pub use process::{Usage, cores, descriptors, family, pin, raise_file_limit, resident, threads};
