//! Resources: descriptors used up, memory, floods.

use std::{thread, time::Duration};

use switchyard_tests::{
    Client, Gateway, Member, Request, Setup, eventually, scripts, wait::DEADLINE,
};

use crate::conf::everything_to;

#[test]
fn exhausted_descriptors_neither_end_nor_jam_the_gateway() {
    let a = Member::start("a", scripts::name());
    let mut gateway = Setup::new(everything_to(&[&a], "")).descriptors(96).start();
    assert_eq!(gateway.get("/").status, 200);
    // More connections than there are descriptors; the rest waits in the backlog.
    let addr = gateway.addr();
    let crowd: Vec<_> = (0..150)
        .filter_map(|_| std::net::TcpStream::connect_timeout(&addr, Duration::from_secs(1)).ok())
        .collect();
    assert!(crowd.len() > 60);
    assert!(gateway.is_running());
    drop(crowd);
    eventually("it serves again", DEADLINE, || {
        let mut client = Client::patient(addr, Duration::from_secs(1));
        client.try_send(Request::get("/").bytes()).ok()?;
        client.try_response().ok().filter(|r| r.status == 200)
    });
    for _ in 0..20 {
        assert_eq!(gateway.get("/").status, 200);
    }
}

#[test]
fn an_idle_client_connection_costs_little_memory() {
    let a = Member::start("a", scripts::name());
    let gateway = Gateway::start(everything_to(&[&a], ""));
    let mut warm: Vec<Client> = (0..50).map(|_| gateway.connect()).collect();
    for client in &mut warm {
        assert_eq!(client.get("/").status, 200);
    }
    let before = gateway.resident();
    let mut clients: Vec<Client> = (0..400).map(|_| gateway.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/").status, 200);
    }
    let each = gateway.resident().saturating_sub(before) / 400;
    assert!(each < 20 * 1024, "{each} bytes for each idle connection");
}

#[test]
fn resident_memory_at_start_is_small() {
    let a = Member::start("a", scripts::name());
    let gateway = Gateway::start(everything_to(&[&a], "stickysession = \"S\""));
    assert_eq!(gateway.get("/").status, 200);
    // The promise of 40 MB is for the release build; this one carries debug information and less inlining.
    assert!(
        gateway.resident() < 80_000_000,
        "{} bytes",
        gateway.resident()
    );
}

#[test]
fn a_flood_of_bad_requests_leaves_the_gateway_as_it_was() {
    let a = Member::start("a", scripts::name());
    let gateway = Gateway::start(everything_to(&[&a], ""));
    let addr = gateway.addr();
    thread::scope(|scope| {
        for seed in 0..4_u32 {
            scope.spawn(move || {
                let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
                for _ in 0..100 {
                    let mut client = Client::connect(addr);
                    let mut bytes = Request::get("/x").field("X", "y").bytes();
                    for _ in 0..3 {
                        // xorshift: the same requests in every run.
                        state ^= state << 13;
                        state ^= state >> 17;
                        state ^= state << 5;
                        let at = state as usize % bytes.len();
                        bytes[at] = (state >> 8) as u8;
                    }
                    let _ = client.try_send(&bytes);
                    client.wire().finish_sending();
                    let _ = client.try_response();
                }
            });
        }
    });
    assert_eq!(gateway.get("/").status, 200);
    assert!(
        !gateway.logged(&["panicked"]),
        "nothing that a client sends may panic"
    );
    gateway.terminate();
}
