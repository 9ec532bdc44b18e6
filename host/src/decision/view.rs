//! What one call may see. Borrowed for its length, lazy, read-only.

use std::borrow::Cow;

/// The views of one call. A view that is absent traps when the guest asks for it.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// The request being decided; `None` in `completed`, `tick` and lifecycle calls.
    pub request: Option<&'a dyn RequestView>,
    /// The response, in `bind` and `on-response`.
    pub response: Option<&'a dyn ResponseView>,
    /// The bound pool, in balancers' calls.
    pub pool: Option<&'a dyn PoolView>,
    /// Bit n is clear where the exchange lacks the hook's nth trigger; all other bits are set.
    pub triggered: u64,
    /// Monotonic microseconds, frozen for the call.
    pub now_us: u64,
    /// Milliseconds since 1970, frozen for the call.
    pub wall_ms: u64,
}

/// The header of a message. Names are asked for in lower case.
pub trait FieldsView {
    /// First value of a header.
    fn header(&self, name: &str) -> Option<&[u8]>;
    /// Calls `each` with every value of a header, in order.
    fn headers(&self, name: &str, each: &mut dyn FnMut(&[u8]));
    /// Calls `each` with every distinct name, lower case, in order.
    fn header_names(&self, each: &mut dyn FnMut(&str));
    /// A bit ([`name_bit`](super::name_bit)) for each name there may be: what lacks its bit is not there.
    fn seen(&self) -> u64 {
        u64::MAX
    }
}

/// The request.
pub trait RequestView: FieldsView {
    /// `GET`
    fn method(&self) -> &str;
    /// Path and query after the request plans.
    fn path(&self) -> &str;
    /// `http` or `https`
    fn scheme(&self) -> &str;
    /// Host after the request plans.
    fn authority(&self) -> &str;
    /// Path and query as the client sent them.
    fn original_path(&self) -> &str;
    /// As the client used it (or a trusted proxy said).
    fn original_scheme(&self) -> &str;
    /// As the client sent it, port included.
    fn original_authority(&self) -> &str;
    /// First cookie of that name (names are case-sensitive).
    fn cookie(&self, name: &str) -> Option<&[u8]>;
    /// Calls `each` with every cookie of that name, in order.
    fn cookies(&self, name: &str, each: &mut dyn FnMut(&[u8]));
    /// First query parameter of that name, percent-decoded.
    fn query(&self, name: &str) -> Option<Cow<'_, str>>;
    /// First `;name=value` segment parameter of the path.
    fn path_parameter(&self, name: &str) -> Option<&str>;
    /// `client.address`, `route.name`, `vhost.name`, `tenant`, …
    fn attribute(&self, name: &str) -> Option<Cow<'_, str>>;
    /// Indices of members already tried, in order.
    fn tried(&self) -> &[u32];
}

/// The response and the member that gave it.
pub trait ResponseView: FieldsView {
    /// 200
    fn status(&self) -> u16;
    /// `snapshot::MemberId`.
    fn member_id(&self) -> &str;
    /// Empty when unset.
    fn member_route(&self) -> &str;
    /// The request carried an affinity that could not be honoured.
    fn moved(&self) -> bool;
}

/// Live facts of the bound pool: columns aligned with the last `members-changed`.
/// Each appends one value a member to `out`.
pub trait PoolView {
    /// The balancer's name.
    fn name(&self) -> &str;
    /// 1 = may be chosen now.
    fn usable(&self) -> &[u8];
    /// Hundredths, slow start applied.
    fn weights(&self) -> &[u32];
    /// Requests under way.
    fn in_flight(&self, out: &mut Vec<u32>);
    /// Requests so far.
    fn elected(&self, out: &mut Vec<u64>);
    /// Bytes from the member.
    fn bytes_in(&self, out: &mut Vec<u64>);
    /// Bytes to the member.
    fn bytes_out(&self, out: &mut Vec<u64>);
    /// Moving average of the first byte's latency; 0 = no sample.
    fn latency_us(&self, out: &mut Vec<u32>);
    /// Failures in a row.
    fn consecutive_failures(&self, out: &mut Vec<u32>);
}
