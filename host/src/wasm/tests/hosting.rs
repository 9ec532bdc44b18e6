//! What the host gives a guest.
