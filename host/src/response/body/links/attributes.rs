//! Which attributes hold links, and in which grammar.

/// How an attribute's value is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grammar {
    /// One URL; white space around it is ignored.
    Url,
    /// URLs between white space.
    Words,
    /// URLs between commas.
    CommaList,
    /// Image candidates.
    Srcset,
    /// Style declarations or a CSS value with `url()`.
    Css,
    /// A script.
    Script,
    /// A whole document.
    Document,
    /// `meta`'s content: depends on its `http-equiv`.
    Meta,
}

/// The grammar of an attribute, `None` where it holds no links. Names are lower case.
///
/// Most names count on every element: none of them means anything else elsewhere, and custom elements
/// borrow them.
pub(super) fn grammar(element: &str, attribute: &str) -> Option<Grammar> {
    Some(match attribute {
        "href" | "src" | "action" | "formaction" | "poster" | "cite" | "background"
        | "longdesc" | "usemap" | "manifest" | "icon" | "codebase" | "classid" | "lowsrc"
        | "dynsrc" | "xlink:href" | "xml:base" => Grammar::Url,
        "data" if element == "object" => Grammar::Url,
        "archive" if element == "object" => Grammar::Words,
        "archive" => Grammar::CommaList,
        "ping" | "profile" | "attributionsrc" => Grammar::Words,
        "srcset" | "imagesrcset" => Grammar::Srcset,
        "style" => Grammar::Css,
        // SVG presentation attributes that take url().
        "fill" | "stroke" | "filter" | "mask" | "clip-path" | "marker" | "marker-start"
        | "marker-mid" | "marker-end" | "cursor" => Grammar::Css,
        "srcdoc" if element == "iframe" => Grammar::Document,
        "content" if element == "meta" => Grammar::Meta,
        name if name.len() > 2 && name.starts_with("on") => Grammar::Script,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_attributes_are_known() {
        use Grammar::*;
        let table: &[(&str, &str, Option<Grammar>)] = &[
            ("a", "href", Some(Url)),
            ("a", "ping", Some(Words)),
            ("object", "data", Some(Url)),
            ("custom-el", "data", None),
            ("applet", "archive", Some(CommaList)),
            ("object", "archive", Some(Words)),
            ("img", "srcset", Some(Srcset)),
            ("link", "imagesrcset", Some(Srcset)),
            ("p", "style", Some(Css)),
            ("path", "fill", Some(Css)),
            ("iframe", "srcdoc", Some(Document)),
            ("meta", "content", Some(Meta)),
            ("custom-el", "content", None),
            ("body", "onload", Some(Script)),
            ("p", "on", None),
            ("p", "title", None),
            ("div", "data-href", None),
            ("input", "value", None),
        ];
        for (element, attribute, expected) in table {
            assert_eq!(
                grammar(element, attribute),
                *expected,
                "{element} {attribute}"
            );
        }
    }
}
