//! The host's functions, answered by the current thread's [`Host`](super::Host).
//! Signatures are those that wit-bindgen makes of the contract.

/// The request being decided.
pub mod request {
    use crate::testing::{host::with, message};

    /// `GET`
    pub fn method() -> String {
        with(|s| s.method.clone())
    }

    /// Path and query after the request plans.
    pub fn path() -> String {
        with(|s| s.path.clone())
    }

    /// `http` or `https`.
    pub fn scheme() -> String {
        with(|s| s.scheme.clone())
    }

    /// Host and port after the request plans.
    pub fn authority() -> String {
        with(|s| s.authority.clone())
    }

    /// Path and query as the client sent them.
    pub fn original_path() -> String {
        with(|s| s.original().2.to_owned())
    }

    /// As the client used it.
    pub fn original_scheme() -> String {
        with(|s| s.original().0.to_owned())
    }

    /// As the client sent it.
    pub fn original_authority() -> String {
        with(|s| s.original().1.to_owned())
    }

    /// `scheme://authority` as the client asked; empty where it named no authority.
    pub fn original_base() -> String {
        let (scheme, authority) = (original_scheme(), original_authority());
        match authority.is_empty() {
            true => authority,
            false => [&scheme, "://", &authority].concat(),
        }
    }

    /// First value of a header; names are lower case.
    pub fn header(name: &str) -> Option<Vec<u8>> {
        headers(name).into_iter().next()
    }

    /// Every value of a header, in order.
    pub fn headers(name: &str) -> Vec<Vec<u8>> {
        with(|s| super::values(&s.headers, name))
    }

    /// The values of several headers, each with its name's place among `names`, which commas separate.
    pub fn lines(names: &str) -> Vec<(u32, Vec<u8>)> {
        super::lines(names, headers)
    }

    /// Every distinct name, lower case, in order.
    pub fn header_names() -> Vec<String> {
        with(|s| super::names(&s.headers))
    }

    /// First cookie of that name; names are case-sensitive.
    pub fn cookie(name: &str) -> Option<Vec<u8>> {
        cookies(name).into_iter().next()
    }

    /// Every cookie of that name, in order.
    pub fn cookies(name: &str) -> Vec<Vec<u8>> {
        with(|s| s.cookies(name))
    }

    /// First query parameter of that name, percent-decoded.
    pub fn query(name: &str) -> Option<String> {
        with(|s| message::query(&s.path, name))
    }

    /// First `;name=value` segment parameter.
    pub fn path_parameter(name: &str) -> Option<String> {
        with(|s| message::path_parameter(&s.path, name))
    }

    /// Open-ended facts: `client.address`, `tls.sni`, `route.name`, `tenant`, …
    pub fn attribute(name: &str) -> Option<String> {
        with(|s| s.attributes.get(name).cloned())
    }

    /// Members already tried for this request, in order.
    pub fn tried() -> Vec<u32> {
        with(|s| s.tried.clone())
    }

    /// Bit n is clear where the exchange lacks the nth trigger of this hook; all other bits are set.
    pub fn triggered() -> u64 {
        with(|s| s.triggered)
    }
}

/// The response and the member that gave it; only in `bind` and `on_response`.
pub mod response {
    use crate::testing::host::with;

    /// 200
    pub fn status() -> u16 {
        with(|s| s.response().status)
    }

    /// First value of a header; names are lower case.
    pub fn header(name: &str) -> Option<Vec<u8>> {
        headers(name).into_iter().next()
    }

    /// Every value of a header, in order.
    pub fn headers(name: &str) -> Vec<Vec<u8>> {
        with(|s| super::values(&s.response().headers, name))
    }

    /// The values of several headers, each with its name's place among `names`, which commas separate.
    pub fn lines(names: &str) -> Vec<(u32, Vec<u8>)> {
        super::lines(names, headers)
    }

    /// Every distinct name, lower case, in order.
    pub fn header_names() -> Vec<String> {
        with(|s| super::names(&s.response().headers))
    }

    /// Id of the member that answered.
    pub fn member_id() -> String {
        with(|s| s.response().member_id.clone())
    }

    /// Its route, empty when unset.
    pub fn member_route() -> String {
        with(|s| s.response().member_route.clone())
    }

    /// The request carried an affinity that could not be honoured.
    pub fn moved() -> bool {
        with(|s| s.response().moved)
    }
}

fn values(lines: &[(String, Vec<u8>)], name: &str) -> Vec<Vec<u8>> {
    let of_name = lines.iter().filter(|(line, _)| line == name);
    of_name.map(|(_, value)| value.clone()).collect()
}

fn lines(names: &str, values: fn(&str) -> Vec<Vec<u8>>) -> Vec<(u32, Vec<u8>)> {
    let named = (0..).zip(names.split(','));
    let of_each = named.map(|(place, name)| (place, values(name)));
    of_each
        .flat_map(|(place, values)| values.into_iter().map(move |value| (place, value)))
        .collect()
}

fn names(lines: &[(String, Vec<u8>)]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (name, _) in lines {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// Live facts of the bound pool: one column each, in the order of the last
/// `members_changed`.
pub mod pool {
    use crate::testing::host::with;

    /// The balancer's name.
    pub fn name() -> String {
        with(|s| s.pool.name.clone())
    }

    /// 1 = the host would send new traffic here now.
    pub fn usable() -> Vec<u8> {
        with(|s| s.pool.usable.clone())
    }

    /// Effective weights in hundredths.
    pub fn weights() -> Vec<u32> {
        with(|s| s.pool.weights.clone())
    }

    /// Requests under way.
    pub fn in_flight() -> Vec<u32> {
        with(|s| s.pool.in_flight.clone())
    }

    /// How often each was chosen.
    pub fn elected() -> Vec<u64> {
        with(|s| s.pool.elected.clone())
    }

    /// Bytes from the members.
    pub fn bytes_in() -> Vec<u64> {
        with(|s| s.pool.bytes_in.clone())
    }

    /// Bytes to the members.
    pub fn bytes_out() -> Vec<u64> {
        with(|s| s.pool.bytes_out.clone())
    }

    /// Exponentially weighted first-byte latency; 0 = no sample yet.
    pub fn latency_us() -> Vec<u32> {
        with(|s| s.pool.latency_us.clone())
    }

    /// Failures in a row.
    pub fn consecutive_failures() -> Vec<u32> {
        with(|s| s.pool.consecutive_failures.clone())
    }
}

/// Memory shared by all replicas of one binding.
pub mod shared {
    use std::{cell::RefCell, rc::Rc};

    use crate::testing::host::with;

    /// 64-bit cells under a name. A bad index panics, as it traps.
    #[derive(Debug)]
    pub struct Cells(Rc<RefCell<Vec<i64>>>);

    impl Cells {
        /// Opens or creates `length` zeroed cells; `Err` on another length under that name.
        pub fn open(name: &str, length: u32) -> Result<Cells, String> {
            let length = length as usize;
            let cells = with(|s| {
                let cells = s.cells.entry(name.to_owned()).or_default();
                if cells.borrow().is_empty() {
                    cells.borrow_mut().resize(length, 0);
                }
                cells.clone()
            });
            let found = cells.borrow().len();
            if found != length {
                return Err(format!("`{name}` has {found} cells"));
            }
            Ok(Cells(cells))
        }

        /// The value of a cell.
        pub fn load(&self, index: u32) -> i64 {
            self.0.borrow()[index as usize]
        }

        /// Returns the value before the addition.
        pub fn fetch_add(&self, index: u32, delta: i64) -> i64 {
            let cell = &mut self.0.borrow_mut()[index as usize];
            std::mem::replace(cell, cell.wrapping_add(delta))
        }

        /// `Err` holds the value found.
        pub fn compare_exchange(
            &self,
            index: u32,
            expected: i64,
            replacement: i64,
        ) -> Result<(), i64> {
            let cell = &mut self.0.borrow_mut()[index as usize];
            if *cell != expected {
                return Err(*cell);
            }
            *cell = replacement;
            Ok(())
        }

        /// All cells.
        pub fn load_all(&self) -> Vec<i64> {
            self.0.borrow().clone()
        }
    }
}

/// The tenant's store. The test host forgets nothing: `ttl_ms` has no effect.
pub mod store {
    use crate::testing::host::with;

    /// The value under `key`.
    pub fn get(key: &str) -> Option<Vec<u8>> {
        with(|s| s.store.get(key).cloned())
    }

    /// Sets it.
    pub fn put(key: &str, value: &[u8], ttl_ms: u32) {
        let _ = ttl_ms;
        with(|s| s.store.insert(key.to_owned(), value.to_vec()));
    }

    /// Removes it.
    pub fn delete(key: &str) {
        with(|s| s.store.remove(key));
    }
}

/// Time, constant during one call.
pub mod clock {
    use crate::testing::host::with;

    /// Monotonic microseconds.
    pub fn now_us() -> u64 {
        with(|s| s.now_us)
    }

    /// Milliseconds since 1970.
    pub fn wall_ms() -> u64 {
        with(|s| s.wall_ms)
    }
}

/// Random numbers from the host's seed.
pub mod entropy {
    use crate::testing::host::with;

    /// The next number.
    pub fn next() -> u64 {
        // SplitMix64 (Steele, Lea, Flood 2014): one word of state, every value once.
        with(|s| {
            s.entropy = s.entropy.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (s.entropy ^ (s.entropy >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        })
    }
}

/// Log lines, kept for [`Host::logs`](super::Host::logs).
pub mod log {
    use crate::{log::LogLevel, testing::host::with};

    /// One line.
    pub fn log(level: LogLevel, message: &str) {
        with(|s| s.logs.push((level, message.to_owned())));
    }
}

/// Series of the policy's own, read back with [`Host::metric`](super::Host::metric).
pub mod metrics {
    use crate::testing::host::with;

    /// Only rises.
    #[derive(Debug)]
    pub struct Counter(String);

    impl Counter {
        /// Labels are not told apart here.
        pub fn new(name: &str, labels: &[(String, String)]) -> Self {
            let _ = labels;
            Counter(name.to_owned())
        }

        /// Raises it.
        pub fn add(&self, value: u64) {
            with(|s| *s.metrics.entry(self.0.clone()).or_default() += value as f64);
        }
    }

    /// Goes up and down.
    #[derive(Debug)]
    pub struct Gauge(String);

    impl Gauge {
        /// Labels are not told apart here.
        pub fn new(name: &str, labels: &[(String, String)]) -> Self {
            let _ = labels;
            Gauge(name.to_owned())
        }

        /// Sets it.
        pub fn set(&self, value: f64) {
            with(|s| s.metrics.insert(self.0.clone(), value));
        }
    }

    /// A distribution, of which the test host keeps the sum.
    #[derive(Debug)]
    pub struct Histogram(String);

    impl Histogram {
        /// Labels are not told apart here.
        pub fn new(name: &str, labels: &[(String, String)]) -> Self {
            let _ = labels;
            Histogram(name.to_owned())
        }

        /// Adds a sample.
        pub fn observe(&self, value: f64) {
            with(|s| *s.metrics.entry(self.0.clone()).or_default() += value);
        }
    }
}
