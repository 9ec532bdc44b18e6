//! The writer against real files and native policies.

mod fixture;
mod linking;
mod loading;
mod native;
mod patience;
mod recalling;
mod reloading;
mod undone;
mod watching;
