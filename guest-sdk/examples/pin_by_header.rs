//! Header-based pinning: requests with the same value of a header go to the same
//! member, for caches that should see one customer's requests together.

use switchyard_policy::{
    Affinity, Context, Descriptor, Hold, Hook, Problem, Trigger,
    config::{Config, Fields},
    request,
};

/// `{"header": "x-customer", "strict": false}`
pub struct Settings {
    header: String,
    strict: bool,
}

impl Config for Settings {
    fn read(fields: &mut Fields<'_>) -> Self {
        let header = fields.require("header").and_then(|node| {
            let name = node.text()?;
            if name.is_empty() || name.bytes().any(|b| b.is_ascii_uppercase()) {
                node.problem("a header's name in lower case is due");
            }
            Some(name.to_owned())
        });
        Settings {
            header: header.unwrap_or_default(),
            strict: fields.bool("strict").unwrap_or(false),
        }
    }
}

/// The header to look at.
pub struct PinByHeader(Settings);

impl Affinity for PinByHeader {
    type Config = Settings;

    /// Requests without the header never reach the guest, and no response does.
    fn describe(settings: &Settings) -> Descriptor {
        let header = Trigger::RequestHeader(settings.header.clone());
        Descriptor::replicated()
            .when(Hook::Locate, header)
            .never(Hook::Bind)
    }

    fn init(settings: Settings, _: &Context) -> Result<Self, Vec<Problem>> {
        Ok(PinByHeader(settings))
    }

    fn locate(&mut self) -> Option<Hold> {
        let value = request::header(&self.0.header)?;
        Some(Hold::key(fnv1a(&value)).strictly(self.0.strict))
    }
}

/// FNV-1a: small, and good enough to spread keys that nobody chose with care.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

switchyard_policy::affinity!(PinByHeader);

#[cfg(test)]
mod tests {
    use super::*;
    use switchyard_policy::testing::{self, Host};

    fn locate(policy: &mut PinByHeader, customer: &str) -> Option<Hold> {
        let host = Host::new();
        host.header("X-Customer", customer);
        host.run(|| policy.locate())
    }

    #[test]
    fn one_customer_has_one_key_and_another_another() {
        let mut policy: PinByHeader = testing::start(r#"{"header": "x-customer"}"#).unwrap();
        let alice = locate(&mut policy, "alice");
        assert!(alice.is_some());
        assert_eq!(alice, locate(&mut policy, "alice"));
        assert_ne!(alice, locate(&mut policy, "bob"));
        assert_eq!(Host::new().run(|| policy.locate()), None);
    }

    #[test]
    fn a_configuration_without_a_header_is_refused() {
        for config in ["{}", r#"{"header": ""}"#, r#"{"header": "X-Customer"}"#] {
            let problems = testing::start::<PinByHeader>(config).err().unwrap();
            assert_eq!(problems[0].at, "/header", "{config}");
        }
    }
}
