//! Policies of every kind of bad behaviour, written as WebAssembly text, against
//! the real engine.

mod faults;
mod guests;
mod hosting;
mod loading;
