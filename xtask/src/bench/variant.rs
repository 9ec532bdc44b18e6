//! What is varied: the work, the number of members and workers, and what our own gateway is configured to do.

use anyhow::{Result, bail};

/// One scenario. All fronts of it do the same work.
#[derive(Debug, PartialEq, Eq)]
pub struct Variant {
    /// For the command line and file names.
    pub key: &'static str,
    /// For people.
    pub says: &'static str,
    /// Bytes of an answer's body.
    pub answer: usize,
    /// How many share the work.
    pub members: usize,
    /// What is asked.
    pub asks: Asks,
    /// Connections that are open all the while and ask nothing.
    pub idle: usize,
    /// Threads or processes of a front.
    pub workers: usize,
    /// Whether each request is logged.
    pub access_log: bool,
    /// What our gateway is configured to do.
    pub setup: Setup,
    /// Our gateway once more, differently: what the first is compared with.
    pub beside: Option<Beside>,
    /// Whether other programs take part.
    pub peers: bool,
}

/// Another configuration of our gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beside {
    /// Behind the gateway's name.
    pub says: &'static str,
    /// What it does.
    pub setup: Setup,
    /// With so many threads.
    pub workers: usize,
}

/// The kind of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// A few headers; every other request with a session.
    Mixed,
    /// Likewise, each on a connection of its own.
    Fresh,
    /// Every request with a session.
    Sticky,
    /// Ten headers as browsers send them.
    Browser,
    /// POST with 10,000 bytes.
    Post,
    /// Mixed, in turn over three routes.
    Routes,
}

/// What our gateway is configured to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setup {
    /// `byrequests`, `jsessionid` and `reverse`.
    Base,
    /// One member and no policy.
    Nothing,
    /// `byrequests` alone.
    Balancer,
    /// Three routes with a balancer each, so that all five are in use.
    Five,
    /// The base, with a shadow of the balancer's policy that sees one decision in ten.
    Shadow,
    /// The base, with the balancer's policy from a file.
    File,
    /// Likewise, with one decision in a hundred recorded.
    Record,
}

const BASE: Variant = Variant {
    key: "200b",
    says: "answers of 200 bytes",
    answer: 200,
    members: 2,
    asks: Asks::Mixed,
    idle: 0,
    workers: 1,
    access_log: false,
    setup: Setup::Base,
    beside: None,
    peers: true,
};

/// Our gateway alone, in two configurations.
const OWN: Variant = Variant {
    peers: false,
    ..BASE
};

const NOTHING: Option<Beside> = Some(Beside {
    says: "one member and no policy",
    setup: Setup::Nothing,
    workers: 1,
});

/// All of them; the first is what is measured unless another is named.
pub const VARIANTS: [Variant; 19] = [
    BASE,
    Variant {
        key: "10k",
        says: "answers of 10 KB",
        answer: 10_000,
        ..BASE
    },
    Variant {
        key: "1m",
        says: "answers of 1 MB",
        answer: 1_000_000,
        ..BASE
    },
    Variant {
        key: "new-connection",
        says: "a new connection for each request",
        asks: Asks::Fresh,
        ..BASE
    },
    Variant {
        key: "sticky",
        says: "every request with a session",
        asks: Asks::Sticky,
        ..BASE
    },
    Variant {
        key: "browser",
        says: "ten headers of a browser",
        asks: Asks::Browser,
        ..BASE
    },
    Variant {
        key: "access-log",
        says: "access log on",
        access_log: true,
        ..BASE
    },
    Variant {
        key: "post",
        says: "POST with bodies of 10 KB",
        asks: Asks::Post,
        ..BASE
    },
    Variant {
        key: "idle-1000",
        says: "1,000 idle connections beside those that ask",
        idle: 1_000,
        ..BASE
    },
    Variant {
        key: "idle-5000",
        says: "5,000 idle connections beside those that ask",
        idle: 5_000,
        ..BASE
    },
    Variant {
        key: "members-10",
        says: "10 members",
        members: 10,
        ..BASE
    },
    Variant {
        key: "members-100",
        says: "100 members",
        members: 100,
        ..BASE
    },
    Variant {
        key: "members-1000",
        says: "1,000 members",
        members: 1_000,
        ..BASE
    },
    Variant {
        key: "workers-2",
        says: "two workers",
        workers: 2,
        beside: Some(Beside {
            says: "one worker",
            setup: Setup::Base,
            workers: 1,
        }),
        ..BASE
    },
    Variant {
        key: "none",
        says: "byrequests, jsessionid and reverse beside no policy at all",
        beside: NOTHING,
        ..OWN
    },
    Variant {
        key: "policy-1",
        says: "byrequests alone beside no policy at all",
        setup: Setup::Balancer,
        beside: NOTHING,
        ..OWN
    },
    Variant {
        key: "policies-5",
        says: "all five policies on three routes beside no policy at all",
        asks: Asks::Routes,
        setup: Setup::Five,
        beside: NOTHING,
        ..OWN
    },
    Variant {
        key: "shadow-10",
        says: "a shadow that sees 10 % of the balancer's decisions beside none",
        setup: Setup::Shadow,
        beside: Some(Beside {
            says: "no shadow",
            setup: Setup::Base,
            workers: 1,
        }),
        ..OWN
    },
    Variant {
        key: "record-1",
        says: "a recording of 1 % of the balancer's decisions beside none",
        setup: Setup::Record,
        beside: Some(Beside {
            says: "no recording",
            setup: Setup::File,
            workers: 1,
        }),
        ..OWN
    },
];

/// Other names of the first one.
const SAME: [&str; 2] = ["members-2", "workers-1"];

/// Those named, in their order and each once; `all` stands for every one.
pub fn chosen(names: &[String]) -> Result<Vec<&'static Variant>> {
    let mut chosen = Vec::new();
    for name in names {
        let found: Vec<_> = VARIANTS
            .iter()
            .filter(|variant| {
                name == "all"
                    || *name == variant.key
                    || variant.key == BASE.key && SAME.contains(&name.as_str())
            })
            .collect();
        if found.is_empty() {
            let all: Vec<_> = VARIANTS.iter().map(|variant| variant.key).collect();
            bail!(
                "there is no variant `{name}`; there are: all, {}, and for {} also {}",
                all.join(", "),
                BASE.key,
                SAME.join(", ")
            );
        }
        for variant in found {
            if !chosen.contains(&variant) {
                chosen.push(variant);
            }
        }
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(names: &[&str]) -> Vec<&'static str> {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let chosen = chosen(&names).unwrap();
        chosen.iter().map(|variant| variant.key).collect()
    }

    #[test]
    fn each_is_chosen_once_and_in_the_order_of_the_names() {
        assert_eq!(keys(&["1m", "200b", "1m"]), ["1m", "200b"]);
        assert_eq!(keys(&["members-2", "workers-1"]), ["200b"]);
        assert_eq!(keys(&["all"]).len(), VARIANTS.len());
    }

    #[test]
    fn an_unknown_name_is_an_error_that_lists_the_known_ones() {
        let error = chosen(&["2oob".to_owned()]).unwrap_err().to_string();
        assert!(
            error.contains("2oob") && error.contains("idle-5000"),
            "{error}"
        );
    }

    #[test]
    fn whoever_measures_our_gateway_alone_has_something_to_compare_it_with() {
        for variant in &VARIANTS {
            assert!(variant.peers || variant.beside.is_some(), "{}", variant.key);
        }
    }
}
