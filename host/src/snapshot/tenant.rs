//! To whom a vhost, a balancer or a policy belongs.

use std::{borrow::Borrow, fmt, sync::Arc};

/// The name of a tenant: of the operator, or of a folder beneath `tenants/`. Cheap to clone.
///
/// Names of balancers and policies are unique within a tenant. Where all of them lie side by
/// side they are qualified: `acme:shop`, a name that nothing of the operator's can have.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantName(Arc<str>);

/// What the operator's own things belong to.
const OPERATOR: &str = "default";

impl TenantName {
    /// A tenant's name, which `config` has checked.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// To whom everything belongs that stands in the main file.
    pub fn operator() -> Self {
        Self::new(OPERATOR)
    }

    /// Whether it is the operator's own.
    pub fn is_operator(&self) -> bool {
        &*self.0 == OPERATOR
    }

    /// For labels.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Likewise, shared.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// The name that something of this tenant has among the things of all.
    pub fn qualify(&self, name: &str) -> String {
        match self.is_operator() {
            true => name.to_owned(),
            false => format!("{self}:{name}"),
        }
    }

    /// The name that it has within the tenant.
    pub fn local<'n>(&self, qualified: &'n str) -> &'n str {
        let rest = qualified.strip_prefix(&*self.0);
        match rest.and_then(|rest| rest.strip_prefix(':')) {
            Some(local) if !self.is_operator() => local,
            _ => qualified,
        }
    }
}

impl Default for TenantName {
    fn default() -> Self {
        Self::operator()
    }
}

impl Borrow<str> for TenantName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl serde::Serialize for TenantName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl fmt::Display for TenantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TenantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_qualified_and_told_without_it() {
        let (own, acme) = (TenantName::operator(), TenantName::new("acme"));
        assert_eq!(own.qualify("shop"), "shop");
        assert_eq!(acme.qualify("shop"), "acme:shop");
        assert_eq!(acme.local("acme:shop"), "shop");
        assert_eq!(acme.local("acme:www/a:b"), "www/a:b");
        assert_eq!(own.local("www/a:b"), "www/a:b");
        assert_eq!(acme.local("other:shop"), "other:shop");
    }
}
