//! `switchyard policy bench FILE`: what a policy's calls cost, in the gateway's own engine.

use std::{fmt::Write as _, path::Path, process::ExitCode, time::Instant};

use super::{
    cache, fail,
    inspect::kinds,
    spread::Spread,
    workload::{Workload, of},
};
use crate::{
    cli::command::print,
    decision::{Call, Context, Descriptor, Hook, ResponseView, Trigger},
    members::Clock,
    policy::{CannedRequest, Environment, Fault, Instance, Loader, Module, Refusal},
    simulator::{Trouble, limits, read_policy},
    wasm::{WasmLoader, WasmOptions},
};

/// Prints what calls of every hook cost, over a pool of so many members.
pub fn bench(file: &Path, config: &str, members: u16) -> ExitCode {
    match measured(file, config, members.into(), cache::options()) {
        Ok(text) => print(&text),
        Err(trouble) => fail(&trouble),
    }
}

fn measured(
    file: &Path,
    config: &str,
    members: usize,
    options: WasmOptions,
) -> Result<String, Trouble> {
    let wasm = read_policy(file)?;
    let loader = WasmLoader::new(options);
    let loader = loader.map_err(|error| Trouble::Internal(error.to_string()))?;
    let refused = |refusal: Refusal| Trouble::Input(refusal.to_string());
    let name = file.display().to_string();
    let started = Instant::now();
    let module = loader.load(&name, &wasm, &limits()).map_err(refused)?;
    let compiled = match loader.compiled() {
        0 => "compiled before".to_owned(),
        _ => format!("compiled in {} ms", started.elapsed().as_millis()),
    };
    let mut bench = Bench::of(module, config, Workload::of(members)).map_err(refused)?;
    let kinds = kinds(bench.module.exports()).join(", ");
    let mut out = format!(
        "{name}: {kinds}, {} bytes, {compiled}; {members} members\n",
        wasm.len(),
    );
    if cfg!(debug_assertions) {
        out.push_str("This is a debug build of the gateway: calls of the host take longer than they should.\n");
    }
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "\n{:15}  {:>10}  {:>10}  {:>10}",
        "call", "median", "best", "95 %"
    );
    let mut row = |what: &str, spread: Spread| {
        let _ = writeln!(out, "{what:15}{spread}");
    };
    row("instantiate", bench.instantiations().map_err(refused)?);
    bench
        .hooks(&mut row)
        .map_err(|(hook, fault)| Trouble::Input(format!("{name}: {hook}: {fault}")))?;
    let _ = writeln!(
        out,
        "\nmemory           {:.1} MiB; an instance may have 32 MiB unless `limits.memory` says more",
        bench.instance.memory() as f64 / f64::from(1 << 20),
    );
    Ok(out)
}

struct Bench<'a> {
    module: std::sync::Arc<dyn Module>,
    config: &'a str,
    descriptor: Descriptor,
    workload: Workload,
    instance: Box<dyn Instance>,
    environment: Environment,
}

impl<'a> Bench<'a> {
    fn of(
        module: std::sync::Arc<dyn Module>,
        config: &'a str,
        workload: Workload,
    ) -> Result<Self, Refusal> {
        let environment = Environment {
            tenant: "default".into(),
            policy: "bench".into(),
            limits: limits(),
            seed: 1,
            clock: Clock::start(),
            tape: crate::recording::Source::None,
        };
        let descriptor = module.describe(config, &environment)?;
        let instance = module.instantiate(config, &context(), &environment)?;
        Ok(Self {
            module,
            config,
            descriptor,
            workload,
            instance,
            environment,
        })
    }

    /// With `init`, and its end.
    fn instantiations(&self) -> Result<Spread, Refusal> {
        Spread::measure(|| {
            let made = self
                .module
                .instantiate(self.config, &context(), &self.environment);
            made.map(drop)
        })
    }

    /// Every hook that the policy has, in the order of an exchange.
    fn hooks(&mut self, row: &mut impl FnMut(&str, Spread)) -> Result<(), (&'static str, Fault)> {
        let exports = self.module.exports();
        let instance = self.instance.as_mut();
        let (workload, triggers) = (&self.workload, &self.descriptor.triggers[..]);
        let clock = self.environment.clock;
        // As the gateway does, which tells a policy which of its triggers are there.
        let told = |hook, request: &CannedRequest, response: Option<&dyn ResponseView>| {
            let own: Vec<_> = of(triggers, hook).cloned().collect();
            Trigger::look(&own, request, response).unwrap_or(u64::MAX)
        };
        let mut measure = |hook, once: &mut dyn FnMut() -> Result<(), Fault>| {
            let spread = Spread::measure(once).map_err(|fault| (hook, fault))?;
            row(hook, spread);
            Ok(())
        };
        if exports.membership {
            let mut revision = 0;
            measure("members-changed", &mut || {
                revision += 1;
                instance.members_changed(revision, &workload.members)
            })?;
        }
        if exports.rewriter {
            let request = Workload::request(triggers, Hook::OnRequest);
            let call = Call {
                request: Some(&request),
                triggered: told(Hook::OnRequest, &request, None),
                ..blank(clock)
            };
            measure("on-request", &mut || instance.on_request(&call).map(drop))?;
        }
        if exports.affinity {
            let request = Workload::request(triggers, Hook::Locate);
            let call = Call {
                request: Some(&request),
                triggered: told(Hook::Locate, &request, None),
                ..blank(clock)
            };
            measure("locate", &mut || instance.locate(&call).map(drop))?;
        }
        if exports.balancer && !workload.members.is_empty() {
            let request = Workload::request(triggers, Hook::Locate);
            let call = Call {
                request: Some(&request),
                pool: Some(workload),
                ..blank(clock)
            };
            measure("pick", &mut || instance.pick(&call, 0, 1).map(drop))?;
        }
        for (has, hook, name) in [
            (exports.rewriter, Hook::OnResponse, "on-response"),
            (exports.affinity, Hook::Bind, "bind"),
        ] {
            let request = Workload::request(triggers, hook);
            let response = workload.response(triggers, hook);
            let call = Call {
                request: Some(&request),
                response: Some(&response),
                triggered: told(hook, &request, Some(&response)),
                ..blank(clock)
            };
            if has {
                measure(name, &mut || match hook {
                    Hook::Bind => instance.bind(&call).map(drop),
                    _ => instance.on_response(&call).map(drop),
                })?;
            }
        }
        if exports.ticker && self.descriptor.tick_ms > 0 {
            measure("tick", &mut || instance.tick())?;
        }
        if exports.handoff {
            measure("save", &mut || instance.save().map(drop))?;
        }
        Ok(())
    }
}

fn context() -> Context {
    Context {
        binding: "default/bench".into(),
        replica: 0,
        replicas: 1,
    }
}

fn blank<'a>(clock: Clock) -> Call<'a> {
    Call {
        request: None,
        response: None,
        pool: None,
        triggered: u64::MAX,
        now_us: clock.now(),
        wall_ms: clock.calendar_ms(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wasm::Compiler;

    fn measured_built_in(name: &str, config: &str) -> Result<String, Trouble> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("it.wasm");
        std::fs::write(&file, crate::builtin::find(name).unwrap().wasm).unwrap();
        measured(&file, config, 3, Compiler::InProcess.into())
    }

    #[test]
    fn every_hook_of_a_policy_has_its_line() {
        let text = measured_built_in("byrequests", "{}").unwrap();
        for due in ["instantiate", "members-changed", "pick", "save", "memory"] {
            assert!(
                text.lines().any(|line| line.starts_with(due)),
                "{due} in {text}"
            );
        }
        assert!(!text.contains("locate"), "{text}");
        let text = measured_built_in("jsessionid", r#"{"cookie": "SID", "parameter": "sid"}"#);
        let text = text.unwrap();
        assert!(
            text.contains("\nlocate") && text.contains("\nbind"),
            "{text}"
        );
    }

    #[test]
    fn a_configuration_that_is_refused_is_the_authors_mistake() {
        let error = measured_built_in("byrequests", r#"{"x": 1}"#).unwrap_err();
        assert!(
            matches!(&error, Trouble::Input(why) if why.contains("/x")),
            "{error}"
        );
    }
}
