//! Which interfaces of WASI there are, and what is defined for each.

use wasmtime::{
    Engine,
    component::{
        Component, Linker, LinkerInstance, ResourceType,
        types::{ComponentInstance, ComponentItem},
    },
};

use super::{clocks, io, network, process, random};
use crate::wasm::{fault::Stop, state::State};

type Fill = fn(&mut LinkerInstance<'_, State>) -> wasmtime::Result<()>;

/// Every interface that toolchains import, and what a policy really has of it. The
/// others are all traps: nobody gets the handles that their functions need.
const INTERFACES: [(&str, Fill); 29] = [
    ("wasi:cli/environment", process::environment),
    ("wasi:cli/exit", process::exit),
    ("wasi:cli/stdin", process::stdin),
    ("wasi:cli/stdout", process::stdout),
    ("wasi:cli/stderr", process::stderr),
    ("wasi:cli/terminal-input", nothing),
    ("wasi:cli/terminal-output", nothing),
    ("wasi:cli/terminal-stdin", process::terminal_stdin),
    ("wasi:cli/terminal-stdout", process::terminal_stdout),
    ("wasi:cli/terminal-stderr", process::terminal_stderr),
    ("wasi:clocks/monotonic-clock", clocks::monotonic),
    ("wasi:clocks/timezone", clocks::timezone),
    ("wasi:clocks/wall-clock", clocks::wall),
    ("wasi:filesystem/preopens", process::preopens),
    ("wasi:filesystem/types", nothing),
    ("wasi:http/outgoing-handler", nothing),
    ("wasi:http/types", nothing),
    ("wasi:io/error", nothing),
    ("wasi:io/poll", io::poll),
    ("wasi:io/streams", io::streams),
    ("wasi:random/insecure", random::insecure),
    ("wasi:random/insecure-seed", random::insecure_seed),
    ("wasi:random/random", random::random),
    ("wasi:sockets/instance-network", network::instance),
    ("wasi:sockets/ip-name-lookup", network::names),
    ("wasi:sockets/network", nothing),
    ("wasi:sockets/tcp", nothing),
    ("wasi:sockets/tcp-create-socket", network::tcp),
    ("wasi:sockets/udp", nothing),
];

/// Like those above; apart, since the list would wrap otherwise.
const UDP: (&str, Fill) = ("wasi:sockets/udp-create-socket", network::udp);

fn nothing(_: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    Ok(())
}

/// What fills the interface of that name and version; any `0.2` is the same to us.
fn find(import: &str) -> Option<Fill> {
    let (name, version) = import.split_once('@')?;
    version.strip_prefix("0.2.")?;
    let all = INTERFACES.iter().chain([&UDP]);
    let mut found = all.filter(|(known, _)| *known == name);
    found.next().map(|(_, fill)| *fill)
}

/// Whether a policy may import this.
pub(in crate::wasm) fn is_known(import: &str) -> bool {
    find(import).is_some()
}

/// `base`, with what `component` imports of WASI; `None` where that is nothing.
pub(in crate::wasm) fn link(
    base: &Linker<State>,
    engine: &Engine,
    component: &Component,
) -> wasmtime::Result<Option<Linker<State>>> {
    let mut linker: Option<Linker<State>> = None;
    for (name, item) in component.component_type().imports(engine) {
        let (Some(fill), ComponentItem::ComponentInstance(shape)) = (find(name), item.ty) else {
            continue;
        };
        let linker = linker.get_or_insert_with(|| base.clone());
        linker.allow_shadowing(true);
        let mut instance = linker.instance(name)?;
        refuse_all(&mut instance, name, &shape, engine)?;
        fill(&mut instance)?;
    }
    Ok(linker)
}

/// Defines whatever the component expects of `interface` as a trap.
fn refuse_all(
    instance: &mut LinkerInstance<'_, State>,
    interface: &str,
    shape: &ComponentInstance,
    engine: &Engine,
) -> wasmtime::Result<()> {
    for (name, item) in shape.exports(engine) {
        match item.ty {
            ComponentItem::ComponentFunc(_) => {
                let function = format!("{interface}#{name}");
                instance.func_new(name, move |cx, _, _, _| {
                    cx.data().meter.call()?;
                    Err(Stop::NotGranted(function.clone()).into())
                })?;
            }
            ComponentItem::Resource(_) => {
                instance.resource(name, resource(name), |_, _| Ok(()))?;
            }
            // Types have no definition, and nothing else can be an import of WASI.
            _ => {}
        }
    }
    Ok(())
}

/// What stands for a resource. Names are unique over all of WASI.
fn resource(name: &str) -> ResourceType {
    match name {
        "pollable" => ResourceType::host::<io::Pollable>(),
        "error" => ResourceType::host::<io::Failure>(),
        "input-stream" => ResourceType::host::<io::InputStream>(),
        "output-stream" => ResourceType::host::<io::OutputStream>(),
        "descriptor" => ResourceType::host::<process::Descriptor>(),
        "terminal-input" => ResourceType::host::<process::TerminalInput>(),
        "terminal-output" => ResourceType::host::<process::TerminalOutput>(),
        "network" => ResourceType::host::<network::Network>(),
        "tcp-socket" => ResourceType::host::<network::TcpSocket>(),
        "udp-socket" => ResourceType::host::<network::UdpSocket>(),
        "resolve-address-stream" => ResourceType::host::<network::Addresses>(),
        _ => ResourceType::host::<Never>(),
    }
}

/// Of resources that nobody gets.
enum Never {}

#[cfg(test)]
mod tests {
    use super::is_known;

    #[test]
    fn versions_and_names_decide_what_is_known() {
        for known in [
            "wasi:io/streams@0.2.0",
            "wasi:sockets/udp-create-socket@0.2.99",
        ] {
            assert!(is_known(known), "{known}");
        }
        for unknown in [
            "wasi:io/streams@0.3.0",
            "wasi:io/streams",
            "wasi:io/rivers@0.2.0",
            "wasi:http/incoming-handler@0.2.0",
            "wasi:keyvalue/store@0.2.0",
            "acme:io/streams@0.2.0",
        ] {
            assert!(!is_known(unknown), "{unknown}");
        }
    }
}
