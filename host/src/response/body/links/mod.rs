//! Links in HTML and CSS, mapped by URL prefix.
//!
//! lol_html finds the tags; everything else is done on the document's own bytes:
//! scanners report ranges to replace, so a byte that is not part of a matched
//! prefix leaves as it came, whatever the charset. Scanners work on a value as
//! the browser reads it (character references and CSS escapes undone) and map
//! what they find back to the bytes in the document.

mod attributes;
mod css;
mod entities;
mod finder;
mod html;
mod prefixes;
mod refresh;
mod script;
mod srcset;
mod table;

pub(super) use css::CssBody;
pub(super) use html::HtmlBody;
pub(super) use prefixes::Links;
