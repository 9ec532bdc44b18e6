//! `switchyard policy inspect FILE`: what a policy is, without a gateway.

use std::{fmt::Write as _, path::Path, process::ExitCode};

use serde_json::{Value, json};

use super::{cache, fail};
use crate::{
    cli::command::print,
    decision::{Concurrency, Descriptor, Hook, Problem, Trigger},
    policy::{Exports, Refusal},
    simulator::{Tested, Trouble},
    wasm::WasmOptions,
};

/// Prints what a file is and what it needs under `config`, for people or as JSON.
pub fn inspect(file: &Path, config: &str, as_json: bool) -> ExitCode {
    match Inspected::of(file, config, cache::options()) {
        Ok(inspected) if as_json => print(&format!("{:#}\n", inspected.json())),
        Ok(inspected) => print(&inspected.text()),
        Err(trouble) => fail(&trouble),
    }
}

/// The decisions that a policy makes.
pub(super) fn kinds(exports: Exports) -> Vec<&'static str> {
    let all = [
        ("balancer", exports.balancer),
        ("affinity", exports.affinity),
        ("rewriter", exports.rewriter),
    ];
    let kinds = all.into_iter().filter(|(_, has)| *has);
    kinds.map(|(name, _)| name).collect()
}

struct Inspected {
    file: String,
    tested: Tested,
    /// Or what is wrong with the configuration.
    described: Result<Descriptor, Vec<Problem>>,
    /// Of the configuration, where the author gave one that is JSON.
    schema: Option<Value>,
}

impl Inspected {
    fn of(file: &Path, config: &str, options: WasmOptions) -> Result<Self, Trouble> {
        let tested = Tested::load(file, options)?;
        let described = match tested.describe(config) {
            Ok(descriptor) => Ok(descriptor),
            Err(Refusal::Config(problems)) => Err(problems),
            Err(refusal) => return Err(Trouble::Input(refusal.to_string())),
        };
        let schema = tested.anatomy().schema.as_deref();
        Ok(Self {
            file: file.display().to_string(),
            schema: schema.and_then(|text| serde_json::from_str(text).ok()),
            described,
            tested,
        })
    }

    fn json(&self) -> Value {
        let anatomy = self.tested.anatomy();
        let described = match &self.described {
            Ok(descriptor) => json!({
                "concurrency": word(descriptor.concurrency),
                "tick_ms": descriptor.tick_ms,
                "triggers": descriptor.triggers.iter().map(|(hook, trigger)| {
                    let (kind, name) = parts(trigger);
                    json!({ "hook": hook_name(*hook), "kind": kind, "name": name })
                }).collect::<Vec<_>>(),
            }),
            Err(problems) => json!({
                "problems": problems.iter().map(|problem| {
                    json!({ "at": problem.at, "message": problem.message })
                }).collect::<Vec<_>>(),
            }),
        };
        json!({
            "file": self.file,
            "size": self.tested.size(),
            "sha256": self.tested.digest().to_string(),
            "kinds": kinds(self.tested.exports()),
            "exports": anatomy.exports,
            "imports": anatomy.imports,
            "description": described,
            "config_schema": self.schema,
        })
    }

    fn text(&self) -> String {
        let anatomy = self.tested.anatomy();
        let mut out = format!("{}\n", self.file);
        let mut line = |key: &str, value: String| {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "  {key:<12}  {value}");
        };
        line("decides", kinds(self.tested.exports()).join(", "));
        line("size", format!("{} bytes", self.tested.size()));
        line("sha256", self.tested.digest().to_string());
        line("exports", short(&anatomy.exports));
        line("imports", short(&anatomy.imports));
        match &self.described {
            Ok(descriptor) => described(descriptor, &mut line),
            Err(problems) => {
                let first = "it refuses this configuration; give one with --config";
                line("description", first.into());
                for problem in problems {
                    line("", place(&problem.at, &problem.message));
                }
            }
        }
        match self.schema.as_ref().map(keys) {
            None => line("config", "the policy does not say what it takes".into()),
            Some(keys) if keys.is_empty() => line("config", "it takes none".into()),
            Some(keys) => {
                let mut heading = "config";
                for key in keys {
                    line(heading, key);
                    heading = "";
                }
            }
        }
        out
    }
}

fn described(descriptor: &Descriptor, line: &mut impl FnMut(&str, String)) {
    let placement = match descriptor.concurrency {
        Concurrency::Exclusive => "exclusive: one instance, asked by all workers in turn",
        Concurrency::Replicated => "replicated: an instance for each worker",
    };
    line("concurrency", placement.into());
    let tick = match descriptor.tick_ms {
        0 => "never".to_owned(),
        ms => format!("every {ms} ms"),
    };
    line("tick", tick);
    if descriptor.triggers.is_empty() {
        line("triggers", "none: every hook is always called".into());
    }
    let mut heading = "triggers";
    for (hook, trigger) in &descriptor.triggers {
        let (kind, name) = parts(trigger);
        line(
            heading,
            format!("{} where {kind} `{name}`", hook_name(*hook)),
        );
        heading = "";
    }
}

fn place(at: &str, message: &str) -> String {
    match at {
        "" => message.to_owned(),
        at => format!("{at}: {message}"),
    }
}

fn word(concurrency: Concurrency) -> &'static str {
    match concurrency {
        Concurrency::Exclusive => "exclusive",
        Concurrency::Replicated => "replicated",
    }
}

fn hook_name(hook: Hook) -> &'static str {
    match hook {
        Hook::Locate => "locate",
        Hook::Bind => "bind",
        Hook::OnRequest => "on-request",
        Hook::OnResponse => "on-response",
    }
}

fn parts(trigger: &Trigger) -> (&'static str, &str) {
    match trigger {
        Trigger::RequestHeader(name) => ("request-header", name),
        Trigger::Cookie(name) => ("cookie", name),
        Trigger::AbsentCookie(name) => ("absent-cookie", name),
        Trigger::PathParameter(name) => ("path-parameter", name),
        Trigger::QueryParameter(name) => ("query-parameter", name),
        Trigger::ResponseHeader(name) => ("response-header", name),
        Trigger::ContentType(name) => ("content-type", name),
    }
}

/// The contract's `switchyard:policy/pool@0.1.0` as `pool`; of others the package alone, for a
/// language's toolchain imports twenty interfaces of WASI. All of them are in the JSON.
fn short(names: &[String]) -> String {
    let mut shown: Vec<&str> = Vec::new();
    for name in names {
        let own = name.strip_prefix("switchyard:policy/");
        let own = own.and_then(|name| name.split('@').next());
        let word = own.unwrap_or_else(|| name.split('/').next().unwrap_or(name));
        if !shown.contains(&word) {
            shown.push(word);
        }
    }
    match shown.as_slice() {
        [] => "nothing".to_owned(),
        shown => shown.join(", "),
    }
}

/// A line for each key of an object's schema: `percent: integer, 0 to 100, default 5. Help`.
fn keys(schema: &Value) -> Vec<String> {
    let required = schema["required"].as_array();
    let is_required = |key: &str| required.is_some_and(|all| all.iter().any(|name| name == key));
    let properties = schema["properties"].as_object().into_iter().flatten();
    let line = |(key, of): (&String, &Value)| {
        let mut line = format!("{key}: {}", of["type"].as_str().unwrap_or("anything"));
        let _ = match (&of["minimum"], &of["maximum"]) {
            (Value::Null, Value::Null) => Ok(()),
            (least, Value::Null) => write!(line, ", {least} or more"),
            (least, most) => write!(line, ", {least} to {most}"),
        };
        if is_required(key) {
            line.push_str(", required");
        }
        if !of["default"].is_null() {
            let _ = write!(line, ", default {}", of["default"]);
        }
        if let Some(help) = of["description"].as_str() {
            let _ = write!(line, ". {help}");
        }
        line
    };
    properties.map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wasm::Compiler;

    fn inspected(wasm: &[u8], config: &str) -> Result<Inspected, Trouble> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("it.wasm");
        std::fs::write(&file, wasm).unwrap();
        Inspected::of(&file, config, Compiler::InProcess.into())
    }

    fn built_in(name: &str, config: &str) -> Inspected {
        inspected(crate::builtin::find(name).unwrap().wasm, config).unwrap()
    }

    #[test]
    fn a_policy_says_what_it_is_and_what_it_needs() {
        let inspected = built_in("byrequests", "{}");
        let text = inspected.text();
        for due in [
            "decides       balancer\n",
            "exports       balancer, handoff, lifecycle, membership\n",
            "concurrency   exclusive",
            "tick          never",
            "config        it takes none",
        ] {
            assert!(text.contains(due), "{due:?} in {text}");
        }
        let json = inspected.json();
        assert_eq!(json["kinds"], json!(["balancer"]));
        assert_eq!(json["description"]["concurrency"], "exclusive");
        assert_eq!(json["sha256"].as_str().map(str::len), Some(64));
    }

    #[test]
    fn a_configuration_that_is_refused_is_told_with_its_places() {
        let inspected = built_in("byrequests", r#"{"percent": 5}"#);
        let text = inspected.text();
        assert!(text.contains("/percent: there is no such key"), "{text}");
        let problems = &inspected.json()["description"]["problems"];
        assert_eq!(problems[0]["at"], "/percent");
    }

    #[test]
    fn triggers_are_told_with_their_hooks() {
        let config = r#"{"cookie": "SID", "parameter": "sid"}"#;
        let inspected = built_in("jsessionid", config);
        let Ok(descriptor) = &inspected.described else {
            panic!("{:?}", inspected.described);
        };
        assert!(!descriptor.triggers.is_empty());
        let text = inspected.text();
        assert!(text.contains("locate where cookie `SID`"), "{text}");
    }

    #[test]
    fn what_is_no_policy_is_refused() {
        for (wasm, due) in [
            (&b"no wasm"[..], "is not WebAssembly"),
            (b"\0asm", "ends in its middle"),
        ] {
            let error = inspected(wasm, "{}").err().unwrap().to_string();
            assert!(error.contains(due), "{error}");
        }
        let missing = Inspected::of(Path::new("none.wasm"), "{}", Compiler::InProcess.into());
        let error = missing.err().unwrap().to_string();
        assert!(error.contains("cannot be read"), "{error}");
    }

    #[test]
    fn interfaces_are_shown_by_their_short_names_each_once() {
        let names = [
            "switchyard:policy/pool@0.1.0",
            "wasi:io/poll@0.2.9",
            "wasi:io/error@0.2.9",
        ];
        assert_eq!(short(&names.map(str::to_owned)), "pool, wasi:io");
        assert_eq!(short(&[]), "nothing");
    }

    #[test]
    fn keys_of_a_schema_are_one_line_each() {
        let schema = json!({
            "properties": {
                "percent": { "type": "integer", "minimum": 0, "maximum": 100, "default": 5, "description": "How many." },
                "name": { "type": "string" },
            },
            "required": ["name"],
        });
        let due = [
            "percent: integer, 0 to 100, default 5. How many.",
            "name: string, required",
        ];
        let mut found = keys(&schema);
        found.sort_by_key(|line| std::cmp::Reverse(line.len()));
        assert_eq!(found, due);
    }
}
