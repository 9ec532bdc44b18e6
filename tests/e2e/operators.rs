//! The operators' page, followed from an empty directory: every command, what it prints, and every
//! change of the configuration where the page makes it.

use std::{fs, path::Path};

use switchyard_tests::{
    Gateway, Member, Setup,
    command::shell,
    eventually, guests,
    page::{Page, Shown, commands, is_shown},
    scripts,
    wait::DEADLINE,
};

const PAGE: Page<'_> = Page::new(include_str!("../../docs/operators.md"));

/// The page's members, by their routes.
const HOSTS: [(&str, &str); 3] = [
    ("10.0.0.11:8080", "worker1"),
    ("10.0.0.12:8080", "worker2"),
    ("10.0.0.13:8080", "worker3"),
];

/// Who follows the page: a folder, the gateway once it runs, and what is another thing here.
struct Walk {
    setup: Option<Setup>,
    gateway: Option<Gateway>,
    here: Vec<(String, String)>,
}

impl Walk {
    fn folder(&self) -> &Path {
        match (&self.gateway, &self.setup) {
            (Some(gateway), _) => gateway.dir(),
            (None, Some(setup)) => setup.dir(),
            (None, None) => unreachable!("a gateway takes its setup's place"),
        }
    }

    /// Text of the page, with this machine's addresses and paths.
    fn here(&self, text: &str) -> String {
        let replace = |text: String, (page, here): &(String, String)| text.replace(page, here);
        self.here.iter().fold(text.to_owned(), replace)
    }

    /// Does what a command does. It prints what is shown: at once, or in time where it looks for what a
    /// reload changes.
    fn follow(&mut self, Shown { command, lines }: &Shown<'_>) {
        if command.starts_with("switchyard run ") {
            return self.start();
        }
        let (command, due) = (self.here(command), self.here(&lines.join("\n")));
        let due: Vec<_> = due.lines().collect();
        // A cache that others have filled would say so in what is printed.
        let caches = self.folder().join("caches");
        let own = format!("export XDG_CACHE_HOME={caches:?}; {command}");
        let printed = || shell(self.folder(), &own);
        let fits = |printed: &str| is_shown(&due, &printed.lines().collect::<Vec<_>>());
        let looks = ["switchyard status", "switchyard policy history"];
        if looks.iter().any(|looks| command.starts_with(looks)) {
            let what = format!("$ {command}\n{}\nlately: {}", due.join("\n"), printed());
            eventually(&what, DEADLINE, || fits(&printed()).then_some(()));
        } else {
            let printed = printed();
            let due = due.join("\n");
            assert!(
                fits(&printed),
                "$ {command}\n{printed}\n--- not what is shown:\n{due}"
            );
        }
    }

    fn generation(&self) -> String {
        let line = "switchyard status -c switchyard.toml | grep -o 'generation [0-9]*'";
        shell(self.folder(), line)
    }

    fn start(&mut self) {
        let gateway = self.setup.take().expect("it is started once").start();
        let (file, address) = (gateway.file().display().to_string(), gateway.addr());
        let mut more = |page: &str, here: String| self.here.push((page.to_owned(), here));
        more("config     switchyard.toml", format!("config     {file}"));
        more("127.0.0.1:8080", address.to_string());
        self.gateway = Some(gateway);
    }

    /// Makes the change that is shown: a key in place of others.
    fn configure(&mut self, shown: &str) {
        let text = match &self.gateway {
            None => {
                let text = self.here(shown).replace("127.0.0.1:8080", "127.0.0.1:0");
                let setup = self.setup.take().expect("it does not run yet");
                self.setup = Some(setup.file("switchyard.toml", &text).whole(&text));
                return;
            }
            Some(gateway) => fs::read_to_string(gateway.file()).unwrap(),
        };
        let key = |line: &str| line.split(" = ").next().unwrap_or_default().to_owned();
        let gone: &[&str] = match &*key(shown) {
            "canary" => &["shadow"],
            "lbmethod" => &["lbmethod", "canary"],
            // The table is shown with the keys that it has, and one more.
            "[policy.next]\nsource" => &["source"],
            other => panic!("where does {other:?} go?"),
        };
        let shown = shown.trim_start_matches("[policy.next]\n");
        let at = text
            .lines()
            .position(|line| key(line) == gone[0])
            .expect("its place");
        let mut lines: Vec<_> = text.lines().collect();
        lines[at] = shown;
        lines.retain(|line| *line == shown || !gone.contains(&&*key(line)));
        let gateway = self.gateway.as_ref().expect("it runs");
        let before = self.generation();
        gateway.replace_file("switchyard.toml", lines.join("\n") + "\n");
        eventually(shown, DEADLINE, || {
            (self.generation() != before).then_some(())
        });
    }
}

#[test]
fn the_operators_page_can_be_followed() {
    let member = |(_, name): (&str, &'static str)| {
        Member::start(name, scripts::answer("200 OK", &[], format!("{name}\n")))
    };
    let members = HOSTS.map(member);
    let sent = guests::sdk_example("canary");
    // The same one, built on another day: a file with a digest of its own.
    let new = [&*sent, &*guests::padding(20)].concat();
    let setup = Setup::new("")
        .file("next.wasm", &sent)
        .file("new.wasm", new)
        .file(
            "scenario.toml",
            include_str!("../../guest-sdk/examples/canary.toml"),
        );
    let mut here: Vec<_> = HOSTS
        .iter()
        .zip(&members)
        .map(|((page, _), member)| (format!("http://{page}"), member.url()))
        .collect();
    // Nobody can say which of them it was.
    here.push((
        "http://10.0.0.…:8080".to_owned(),
        "http://127.0.0.1:…".to_owned(),
    ));
    let mut walk = Walk {
        setup: Some(setup),
        gateway: None,
        here,
    };

    for fence in PAGE.fences() {
        match fence.language {
            "console" => commands(fence.text)
                .iter()
                .for_each(|shown| walk.follow(shown)),
            "toml" => walk.configure(fence.text),
            "promql" => alarms_are_about_what_there_is(walk.folder(), fence.text),
            other => panic!("nobody follows {other:?}"),
        }
    }
    let answers = fs::read_to_string(walk.folder().join("answers")).unwrap();
    assert_eq!(answers.lines().count(), 60, "{answers}");
    walk.gateway.expect("it was started").terminate();
}

/// What the alarms name is among the metrics.
fn alarms_are_about_what_there_is(folder: &Path, alarms: &str) {
    let metrics = shell(
        folder,
        "curl -s --unix-socket admin.sock http://localhost/metrics",
    );
    let word = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    let named: Vec<_> = alarms
        .split(word)
        .filter(|w| w.starts_with("switchyard_"))
        .collect();
    assert_eq!(named.len(), 4, "{named:?}");
    for name in named {
        assert!(
            metrics.contains(&format!("\n{name}{{")),
            "{name} in {metrics}"
        );
    }
}
