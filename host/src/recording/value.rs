//! The imports that give a policy something, and what they give.

use serde::{Deserialize, Serialize};

/// An argument or a result of an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Value {
    /// The function returns nothing, or `ok` without a value.
    Nothing,
    /// `none`.
    Absent,
    /// `bool`.
    Flag(bool),
    /// An unsigned number.
    Number(u64),
    /// `s64`; of `compare-exchange`, the value found instead of the expected one.
    Signed(i64),
    /// `string`; of `open`, why not.
    Text(String),
    /// `list<u8>`.
    Bytes(Vec<u8>),
    /// `list<string>`.
    Texts(Vec<String>),
    /// `list<list<u8>>`.
    Lines(Vec<Vec<u8>>),
    /// A column of unsigned numbers.
    Numbers(Vec<u64>),
    /// `list<s64>`.
    SignedNumbers(Vec<i64>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Signed(number)
    }
}

macro_rules! functions {
    ($($variant:ident $name:literal,)*) => {
        /// An import whose result a policy can see. New ones are appended: a recording numbers them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[expect(missing_docs, reason = "named as in wit/policy.wit, which documents them")]
        pub enum Function {
            $($variant,)*
        }

        impl Function {
            /// `request.header`
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

functions! {
    Method "request.method",
    Path "request.path",
    Scheme "request.scheme",
    Authority "request.authority",
    OriginalPath "request.original-path",
    OriginalScheme "request.original-scheme",
    OriginalAuthority "request.original-authority",
    RequestHeader "request.header",
    RequestHeaders "request.headers",
    RequestHeaderNames "request.header-names",
    Cookie "request.cookie",
    Cookies "request.cookies",
    Query "request.query",
    PathParameter "request.path-parameter",
    Attribute "request.attribute",
    Tried "request.tried",
    Status "response.status",
    ResponseHeader "response.header",
    ResponseHeaders "response.headers",
    ResponseHeaderNames "response.header-names",
    MemberId "response.member-id",
    MemberRoute "response.member-route",
    Moved "response.moved",
    PoolName "pool.name",
    Usable "pool.usable",
    Weights "pool.weights",
    InFlight "pool.in-flight",
    Elected "pool.elected",
    BytesIn "pool.bytes-in",
    BytesOut "pool.bytes-out",
    Latency "pool.latency-us",
    ConsecutiveFailures "pool.consecutive-failures",
    CellsOpen "shared.cells.open",
    CellsLoad "shared.cells.load",
    CellsFetchAdd "shared.cells.fetch-add",
    CellsCompareExchange "shared.cells.compare-exchange",
    CellsLoadAll "shared.cells.load-all",
    StoreGet "store.get",
    StorePut "store.put",
    StoreDelete "store.delete",
}

impl Function {
    /// `request`
    pub(super) fn interface(self) -> &'static str {
        self.name().split('.').next().unwrap_or_default()
    }

    /// Whether its result depends on what was done before, so that it is matched in order with
    /// the others of the same array of cells or the same key.
    pub(super) fn has_state(self) -> bool {
        use Function::{
            CellsCompareExchange, CellsFetchAdd, CellsLoad, CellsLoadAll, CellsOpen, StoreDelete,
            StoreGet, StorePut,
        };
        matches!(
            self,
            CellsOpen
                | CellsLoad
                | CellsFetchAdd
                | CellsCompareExchange
                | CellsLoadAll
                | StoreGet
                | StorePut
                | StoreDelete
        )
    }

    /// Whether it changes what later ones give.
    pub(super) fn changes_state(self) -> bool {
        matches!(
            self,
            Self::CellsFetchAdd | Self::CellsCompareExchange | Self::StorePut | Self::StoreDelete
        )
    }
}
