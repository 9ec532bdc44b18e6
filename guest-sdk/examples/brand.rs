//! A brand for every page: answers say who served them, and old names on pages become new ones.

use switchyard_policy::{
    BodyPlan, Context, Descriptor, Edit, Hook, Problem, RequestPlan, ResponsePlan, Rewriter,
    Substitution, Trigger, response,
};

switchyard_policy::config! {
    /// `{"old": "Acme", "new": "Apex"}`
    pub struct Settings {
        /// The name that pages hold.
        old: String,
        /// The name that clients see in its place.
        new: String,
    }
}

/// What replaces what.
pub struct Brand(Settings);

impl Rewriter for Brand {
    type Config = Settings;

    /// Only pages are worth a call; images pass untouched.
    fn describe(_: &Settings) -> Descriptor {
        Descriptor::replicated().when(Hook::OnResponse, Trigger::ContentType("text/html".into()))
    }

    fn init(settings: Settings, _: &Context) -> Result<Self, Vec<Problem>> {
        if settings.old.is_empty() {
            return Err(vec![Problem::new("/old", "a name is due")]);
        }
        Ok(Brand(settings))
    }

    fn on_request(&mut self) -> RequestPlan {
        RequestPlan {
            headers: vec![Edit::set("x-brand", self.0.new.as_str())],
            ..RequestPlan::default()
        }
    }

    fn on_response(&mut self) -> ResponsePlan {
        let Settings { old, new } = &self.0;
        ResponsePlan {
            headers: vec![Edit::set("x-served-by", response::member_route())],
            // The gateway replaces it while the page streams through.
            body: BodyPlan::Substitute(vec![Substitution::new(old.as_str(), new.as_str())]),
            ..ResponsePlan::default()
        }
    }
}

switchyard_policy::rewriter!(Brand);

#[cfg(test)]
mod tests {
    use super::*;
    use switchyard_policy::testing::{self, Host};

    const CONFIG: &str = r#"{"old": "Acme", "new": "Apex"}"#;

    #[test]
    fn pages_get_the_new_name_and_say_who_served_them() {
        let host = Host::new();
        host.response(200, "http://10.0.0.11:8080", "one");
        let mut policy: Brand = host.start(CONFIG).unwrap();
        let plan = host.run(|| policy.on_response());
        assert_eq!(plan.headers, [Edit::set("x-served-by", "one")]);
        let due = BodyPlan::Substitute(vec![Substitution::new("Acme", "Apex")]);
        assert_eq!(plan.body, due);
    }

    #[test]
    fn a_name_that_is_nothing_is_refused() {
        let problems = testing::start::<Brand>(r#"{"old": "", "new": "x"}"#)
            .err()
            .unwrap();
        assert_eq!(problems[0].at, "/old");
    }
}
