//! A member that says what the test tells it to.

use std::sync::{Arc, Mutex};

use switchyard_tests::{After, Member, scripts};

/// Status line and fields.
type Answer = (String, Vec<(String, String)>);

/// A member that answers with the fields the test has set.
pub struct Mouth {
    /// The member.
    pub member: Member,
    says: Arc<Mutex<Answer>>,
}

impl Mouth {
    /// Starts it; it says `302` until told otherwise.
    pub fn start(name: &str) -> Self {
        let says = Arc::new(Mutex::new((
            "302 Found".to_owned(),
            Vec::<(String, String)>::new(),
        )));
        let heard = Arc::clone(&says);
        let member = Member::start(name, move |exchange| {
            if exchange.read_body().is_err() {
                return After::Close;
            }
            let (status, fields) = heard.lock().unwrap().clone();
            let fields: Vec<_> = fields
                .iter()
                .map(|(n, v)| (n.as_str(), v.as_str()))
                .collect();
            exchange.send(scripts::reply(&status, &fields, ""));
            After::Keep
        });
        Self { member, says }
    }

    /// From now on.
    pub fn say(&self, status: u16, fields: &[(&str, &str)]) {
        let fields = fields
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        *self.says.lock().unwrap() = (format!("{status} Said"), fields);
    }
}
