//! Why a request-target, a host or a configured pattern is refused.

use thiserror::Error;

/// What is wrong with a request's target or host. Each is answered with 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TargetError {
    /// Neither origin-form nor what the caller knows how to turn into it.
    #[error("the request-target does not start with '/'")]
    NotOriginForm,
    /// A fragment is the client's own business (RFC 9112 section 3.2).
    #[error("the request-target holds a fragment")]
    Fragment,
    /// Control, space or backslash, raw.
    #[error("byte 0x{byte:02x} must not appear in a request-target")]
    IllegalByte {
        /// The first of them.
        byte: u8,
    },
    /// `%zz`, `%u0061` or cut short.
    #[error("a percent sign is not followed by two hexadecimal digits")]
    BrokenEscape,
    /// A control or backslash written as `%XX`.
    #[error("byte 0x{byte:02x} must not appear in a path, percent-encoded or not")]
    EncodedByte {
        /// After decoding.
        byte: u8,
    },
    /// Overlong forms and stray bytes.
    #[error("the decoded path is not UTF-8")]
    NotUtf8,
    /// More `..` than segments before it.
    #[error("the path climbs above its root")]
    AboveRoot,
    /// `%2e%2e`, `..;x`, `..%2f` and their kin: some servers see a dot segment, some do not.
    #[error("a dot segment is hidden behind parameters or percent-encoding")]
    HiddenDots,
    /// `/;/admin`, `/%2f`: some servers see a segment, some do not.
    #[error("a path segment is empty but for parameters or encoded characters")]
    HiddenEmptySegment,
    /// `/a%2Fb/../c` is `/c` or `/a/c`.
    #[error("a dot segment follows one with an encoded slash")]
    DotsAfterEncodedSlash,
    /// `%252e%252e`, `%252F`: harmless unless a server decodes twice.
    #[error("the path changes its meaning when it is decoded twice")]
    DoubleEncoding,
    /// `Host:` without a value, or a port alone.
    #[error("the host is empty")]
    HostEmpty,
    /// More than 255 bytes, the bound of DNS.
    #[error("the host is longer than 255 bytes")]
    HostTooLong,
    /// Userinfo, lists, percent-encoding and the like.
    #[error("byte 0x{byte:02x} must not appear in a host")]
    HostIllegalByte {
        /// The first of them.
        byte: u8,
    },
    /// `a..b` or `.a`
    #[error("the host has an empty label")]
    HostEmptyLabel,
    /// Brackets that do not hold an IPv6 address, or anything but a port behind them.
    #[error("the host is not a valid IPv6 literal")]
    HostBadLiteral,
    /// Empty, zero, above 65535, with a leading zero or not a number.
    #[error("the port is not a number from 1 to 65535")]
    BadPort,
}

/// Why no table could be made of a snapshot.
#[derive(Debug, Error)]
pub enum TableError {
    /// There must be one to be the default.
    #[error("no virtual host is configured; add a [[vhost]]")]
    NoVhost,
    /// A pattern that does not compile within its bounds.
    #[error(
        "vhost \"{vhost}\", route \"{route}\": the regular expression \"{pattern}\" cannot be used: {cause}"
    )]
    Regex {
        /// Its vhost's name.
        vhost: String,
        /// Its route's name.
        route: String,
        /// As configured.
        pattern: String,
        /// Syntax or size.
        #[source]
        cause: Box<regex::Error>,
    },
    /// Each pattern is fine but together they are too large.
    #[error(
        "vhost \"{vhost}\": its regular expressions are too large together; simplify them or split the vhost: {cause}"
    )]
    RegexSet {
        /// The vhost's name.
        vhost: String,
        /// Size.
        #[source]
        cause: Box<regex::Error>,
    },
}
