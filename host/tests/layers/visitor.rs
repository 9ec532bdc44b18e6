//! Walks one file's syntax tree.

use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use syn::{
    Attribute, Item, UseTree,
    spanned::Spanned,
    visit::{self, Visit},
};

use crate::source::{Reference, Target, for_tests};

/// The paths of one file, and the files that its `mod` lines lead to.
pub fn visit(text: &str, at: Child) -> Result<(Vec<Reference>, Vec<Child>), String> {
    let parsed =
        syn::parse_file(text).map_err(|cause| format!("{}: {cause}", at.file.display()))?;
    let inline = at.module.len();
    let in_test = at.in_test || for_tests(&parsed.attrs);
    let at = Child { in_test, ..at };
    let mut visitor = Visitor {
        at,
        inline,
        references: Vec::new(),
        children: Vec::new(),
    };
    visitor.visit_file(&parsed);
    Ok((visitor.references, visitor.children))
}

/// A file, and the module it is.
#[derive(Debug)]
pub struct Child {
    pub file: PathBuf,
    pub module: Vec<String>,
    pub in_test: bool,
}

struct Visitor {
    /// `module` grows within inline modules.
    at: Child,
    /// Length of `module` at the file's top.
    inline: usize,
    references: Vec<Reference>,
    children: Vec<Child>,
}

impl Visitor {
    /// Notes the path `segments`, unless it is a local name.
    fn note(&mut self, segments: &[String], leading_colon: bool, span: Span) {
        let Some(first) = segments.first() else {
            return;
        };
        let to = match first.as_str() {
            _ if leading_colon => Target::Foreign(first.clone()),
            // `self` alone is a method's receiver.
            "self" | "super" | "crate" => {
                if first == "self" && segments.len() == 1 {
                    return;
                }
                let mut absolute = if first == "crate" {
                    Vec::new()
                } else {
                    self.at.module.clone()
                };
                for segment in segments {
                    match segment.as_str() {
                        "self" | "crate" => {}
                        "super" => {
                            absolute.pop();
                        }
                        name => absolute.push(name.to_owned()),
                    }
                }
                let head = absolute.into_iter().next().unwrap_or_default();
                Target::Ours(if head == "*" { String::new() } else { head })
            }
            _ => Target::Foreign(first.clone()),
        };
        let from = self.at.module.first().cloned().unwrap_or_default();
        let line = span.start().line;
        self.references.push(Reference {
            file: self.at.file.clone(),
            line,
            from,
            to,
            in_test: self.at.in_test,
        });
    }

    fn use_tree(&mut self, tree: &UseTree, prefix: &[String], leading_colon: bool) {
        let with = |name: String| prefix.iter().cloned().chain([name]).collect::<Vec<_>>();
        match tree {
            UseTree::Path(path) => {
                self.use_tree(&path.tree, &with(path.ident.to_string()), leading_colon)
            }
            UseTree::Name(name) => {
                self.note(&with(name.ident.to_string()), leading_colon, name.span())
            }
            UseTree::Rename(name) => {
                self.note(&with(name.ident.to_string()), leading_colon, name.span())
            }
            UseTree::Glob(glob) => self.note(&with("*".to_owned()), leading_colon, glob.span()),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.use_tree(tree, prefix, leading_colon);
                }
            }
        }
    }

    /// Paths in what a macro is given, which is not parsed: words joined by `::`.
    fn tokens(&mut self, stream: TokenStream, prefix: &[String]) {
        let tokens: Vec<_> = stream.into_iter().collect();
        let mut next = 0;
        while let Some(token) = tokens.get(next) {
            next += 1;
            match token {
                TokenTree::Group(group) => self.tokens(group.stream(), prefix),
                TokenTree::Ident(word) => {
                    let span = word.span();
                    let mut path: Vec<_> =
                        prefix.iter().cloned().chain([word.to_string()]).collect();
                    while let [TokenTree::Punct(a), TokenTree::Punct(b), after, ..] =
                        &tokens[next..]
                    {
                        if (a.as_char(), b.as_char()) != (':', ':') {
                            break;
                        }
                        match after {
                            TokenTree::Ident(word) => path.push(word.to_string()),
                            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                                self.tokens(group.stream(), &path);
                                path.clear();
                            }
                            _ => break,
                        }
                        next += 3;
                    }
                    // A lone word is a variable, unless it stands in the braces of a `use`.
                    if path.len() > 1 {
                        self.note(&path, false, span);
                    }
                }
                _ => {}
            }
        }
    }

    /// The file of `mod name;`.
    fn child(&self, item: &syn::ItemMod) -> PathBuf {
        let own_name = self
            .at
            .file
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let folder = self.at.file.parent().unwrap_or(Path::new(""));
        let named = item
            .attrs
            .iter()
            .find_map(|attribute| match &attribute.meta {
                syn::Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
                    syn::Expr::Lit(syn::ExprLit {
                        lit: syn::Lit::Str(text),
                        ..
                    }) => Some(text.value()),
                    _ => None,
                },
                _ => None,
            });
        if let Some(named) = named {
            return folder.join(named);
        }
        let mut folder = match own_name.as_str() {
            "lib" | "main" | "mod" => folder.to_owned(),
            name => folder.join(name),
        };
        folder.extend(&self.at.module[self.inline..]);
        let flat = folder.join(format!("{}.rs", item.ident));
        if flat.is_file() {
            flat
        } else {
            folder.join(item.ident.to_string()).join("mod.rs")
        }
    }
}

impl<'ast> Visit<'ast> for Visitor {
    fn visit_item(&mut self, item: &'ast Item) {
        let outside = self.at.in_test;
        self.at.in_test |= match item {
            Item::Mod(item) => for_tests(&item.attrs),
            Item::Fn(item) => for_tests(&item.attrs),
            Item::Use(item) => for_tests(&item.attrs),
            Item::Impl(item) => for_tests(&item.attrs),
            Item::Struct(item) => for_tests(&item.attrs),
            _ => false,
        };
        visit::visit_item(self, item);
        self.at.in_test = outside;
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.at.module.push(item.ident.to_string());
        if item.content.is_some() {
            visit::visit_item_mod(self, item);
        } else {
            let mut outer = self.at.module.clone();
            outer.pop();
            let module = std::mem::replace(&mut self.at.module, outer);
            let file = self.child(item);
            self.children.push(Child {
                file,
                module: module.clone(),
                in_test: self.at.in_test,
            });
            self.at.module = module;
        }
        self.at.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.use_tree(&item.tree, &[], item.leading_colon.is_some());
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<_> = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        self.note(&segments, path.leading_colon.is_some(), path.span());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.tokens(call.tokens.clone(), &[]);
    }

    /// `pub(in crate::a)` names who may look in, which is no import.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    /// What derives and attributes are given is about the item, not an import.
    fn visit_attribute(&mut self, _: &'ast Attribute) {}
}
