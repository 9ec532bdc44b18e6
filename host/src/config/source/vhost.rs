//! Virtual hosts and their routes.

use super::{
    super::{
        read::{Either, Named, Node},
        table::{table, words},
        units::Network,
    },
    OneOrMany,
    candidates::{CanaryTable, ShadowTable},
    gateway::LogTable,
};

table! {
    /// A virtual host: names, and where its paths lead.
    pub struct VhostTable {
        /// Its name, without port and wildcards.
        #[schemars(required)]
        name: String,
        /// Further names; `*.example.com`, and `*` and `?` elsewhere, as in httpd's ServerAlias.
        aliases: Vec<Node<String>>,
        /// Serves requests whose host nobody claims. At most one; else the first vhost does.
        #[schemars(extend("default" = false))]
        default: bool,
        /// Which route wins where several match: the longest path, or the first in the file.
        #[schemars(extend("default" = "longest"))]
        order: OrderWord,
        /// Folder that serves what no route takes; left out, that is 404.
        document_root: Either<String, FilesTable>,
        /// Files to answer errors with, by status ("404"), range ("502-504") or class ("5xx").
        error_page: Named<String>,
        /// Replace members' error bodies with error_page too.
        #[schemars(extend("default" = false))]
        replace_member_errors: bool,
        /// Logs of its own; what is left out is as for the process.
        log: LogTable,
        /// Routes.
        route: Vec<Node<RouteTable>>,
    }
}

words! {
    /// Which of several matching routes serves.
    pub enum OrderWord {
        /// The longest path; regexes after all paths, in the order of the file.
        Longest = "longest",
        /// The first in the file.
        File = "file",
    }
}

table! {
    /// A folder of files.
    pub struct FilesTable {
        /// The folder.
        #[schemars(required)]
        path: String,
        /// File served for a folder.
        #[schemars(extend("default" = "index.html"))]
        index: OneOrMany<String>,
    }
}

table! {
    /// A route: exactly one of path and regex, and exactly one of balancer, proxy, static, redirect, exclude and deny
    /// (or only allow_from and deny_from).
    pub struct RouteTable {
        /// Name for logs; the path where left out.
        name: String,
        /// Matches this path and everything below it: /app takes /app, /app/x and /app;v=1, never /apple.
        path: String,
        /// Matches paths by regular expression, unanchored unless it says so.
        regex: String,
        /// Forward to this balancer.
        balancer: String,
        /// Forward to this URL, without a balancer.
        proxy: String,
        /// Serve files from this folder.
        r#static: String,
        /// Send the client elsewhere: a URL or path, or that with a status.
        redirect: Either<String, RedirectTable>,
        /// Leave it to the vhost's document root (ProxyPass PATH !).
        exclude: bool,
        /// Refuse it with 403.
        deny: bool,
        /// Only these networks may use it.
        allow_from: Vec<Node<Network>>,
        /// These networks may not; wins over allow_from.
        deny_from: Vec<Node<Network>>,
        /// Send the client's Host to the member instead of the member's own.
        #[schemars(extend("default" = false))]
        preserve_host: bool,
        /// Upgrade protocols that may be tunnelled, or false for none.
        #[schemars(extend("default" = ["websocket"]))]
        upgrade: Either<bool, OneOrMany<String>>,
        /// Map members' addresses in answers back: true, or what to map.
        reverse: Either<bool, ReverseTable>,
        /// Further rewriters "policy:NAME", in order, after reverse.
        rewrite: OneOrMany<String>,
        /// A policy that sees what the last rewriter sees, and is never obeyed.
        shadow: Either<String, ShadowTable>,
        /// A policy that rewrites for a share in its place.
        canary: CanaryTable,
        /// File served for a folder, with static.
        #[schemars(extend("default" = "index.html"))]
        index: OneOrMany<String>,
    }
}

table! {
    /// Where a client is sent.
    pub struct RedirectTable {
        /// URL or path; the rest of the path is appended. With regex, $1 and so on stand for its groups.
        #[schemars(required)]
        to: String,
        /// 301, 302, 303, 307 or 308.
        #[schemars(extend("default" = 302))]
        status: u32,
    }
}

table! {
    /// What of members' answers is mapped back. What is left out is as in `reverse = true`.
    pub struct ReverseTable {
        /// Location, Content-Location, URI, Refresh and Link (ProxyPassReverse).
        #[schemars(extend("default" = true))]
        location: bool,
        /// Cookie paths: true for the member's path, or a table from = to (ProxyPassReverseCookiePath).
        #[schemars(extend("default" = true))]
        cookie_path: Either<bool, Named<String>>,
        /// Cookie domains: true for the member's host, or a table from = to (ProxyPassReverseCookieDomain).
        #[schemars(extend("default" = true))]
        cookie_domain: Either<bool, Named<String>>,
        /// Links in HTML (ProxyHTMLEnable).
        #[schemars(extend("default" = false))]
        html: bool,
        /// Inline scripts and event attributes too (ProxyHTMLExtended).
        #[schemars(extend("default" = false))]
        events: bool,
        /// Further URL prefixes, from = to (ProxyHTMLURLMap).
        map: Named<String>,
    }
}
