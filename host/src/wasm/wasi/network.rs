//! `wasi:sockets`: refused at the entrance, as a language reports any network that is not there.

use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Lift, LinkerInstance, Lower, Resource, WasmStr},
};

use crate::wasm::state::State;

type Cx<'a> = StoreContextMut<'a, State>;

/// `network.network`: leads nowhere.
pub(super) struct Network;

/// `tcp.tcp-socket`: nobody gets one.
pub(super) struct TcpSocket;

/// `udp.udp-socket`: likewise.
pub(super) struct UdpSocket;

/// `ip-name-lookup.resolve-address-stream`: likewise.
pub(super) struct Addresses;

/// `network.error-code`
#[derive(Clone, Copy, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "the interface has them; one is enough here")]
enum ErrorCode {
    #[component(name = "unknown")]
    Unknown,
    #[component(name = "access-denied")]
    AccessDenied,
    #[component(name = "not-supported")]
    NotSupported,
    #[component(name = "invalid-argument")]
    InvalidArgument,
    #[component(name = "out-of-memory")]
    OutOfMemory,
    #[component(name = "timeout")]
    Timeout,
    #[component(name = "concurrency-conflict")]
    ConcurrencyConflict,
    #[component(name = "not-in-progress")]
    NotInProgress,
    #[component(name = "would-block")]
    WouldBlock,
    #[component(name = "invalid-state")]
    InvalidState,
    #[component(name = "new-socket-limit")]
    NewSocketLimit,
    #[component(name = "address-not-bindable")]
    AddressNotBindable,
    #[component(name = "address-in-use")]
    AddressInUse,
    #[component(name = "remote-unreachable")]
    RemoteUnreachable,
    #[component(name = "connection-refused")]
    ConnectionRefused,
    #[component(name = "connection-reset")]
    ConnectionReset,
    #[component(name = "connection-aborted")]
    ConnectionAborted,
    #[component(name = "datagram-too-large")]
    DatagramTooLarge,
    #[component(name = "name-unresolvable")]
    NameUnresolvable,
    #[component(name = "temporary-resolver-failure")]
    TemporaryResolverFailure,
    #[component(name = "permanent-resolver-failure")]
    PermanentResolverFailure,
}

/// `network.ip-address-family`
#[derive(Clone, Copy, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "made from the guest's number by wasmtime")]
enum Family {
    #[component(name = "ipv4")]
    V4,
    #[component(name = "ipv6")]
    V6,
}

/// `instance-network`
pub(super) fn instance(network: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    network.func_wrap("instance-network", |cx: Cx<'_>, (): ()| {
        cx.data().meter.call()?;
        Ok((Resource::<Network>::new_own(0),))
    })
}

/// `tcp-create-socket`
pub(super) fn tcp(create: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    no_socket::<TcpSocket>(create, "create-tcp-socket")
}

/// `udp-create-socket`
pub(super) fn udp(create: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    no_socket::<UdpSocket>(create, "create-udp-socket")
}

fn no_socket<R: 'static>(
    create: &mut LinkerInstance<'_, State>,
    name: &str,
) -> wasmtime::Result<()> {
    create.func_wrap(name, |cx: Cx<'_>, (_,): (Family,)| {
        cx.data().meter.call()?;
        Ok((Err::<Resource<R>, _>(ErrorCode::AccessDenied),))
    })
}

/// `ip-name-lookup`
pub(super) fn names(lookup: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    lookup.func_wrap(
        "resolve-addresses",
        |cx: Cx<'_>, (_, _): (Resource<Network>, WasmStr)| {
            cx.data().meter.call()?;
            Ok((Err::<Resource<Addresses>, _>(ErrorCode::AccessDenied),))
        },
    )
}
