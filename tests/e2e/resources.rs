//! Resources: descriptors used up, memory, floods.

use std::{fs, thread, time::Duration};

use switchyard_tests::{
    Client, Gateway, Member, Request, Setup, eventually, scripts, wait::DEADLINE,
};

use crate::{
    conf::everything_to,
    policies::{balanced, misbehaving, policy_status},
};

/// Time on a processor so far, in the kernel's ticks of 10 ms.
fn ticks(gateway: &Gateway) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/stat", gateway.pid())).unwrap();
    // Behind the name, which may hold anything: fields 14 and 15 of proc(5).
    let rest = text.rsplit_once(')').expect("a name in brackets").1;
    let numbers = rest.split_whitespace().skip(11).take(2);
    numbers.map(|n| n.parse::<u64>().unwrap()).sum()
}

#[test]
fn exhausted_descriptors_neither_end_nor_jam_the_gateway() {
    let a = Member::start("a", scripts::name());
    let mut gateway = Setup::new(everything_to(&[&a], "keepalive = false"))
        .descriptors(96)
        .start();
    let addr = gateway.addr();
    let mut early = gateway.connect();
    assert_eq!(early.get("/").status, 200);
    // More connections than there are descriptors; the rest waits in the backlog.
    let crowd: Vec<_> = (0..150)
        .filter_map(|_| std::net::TcpStream::connect_timeout(&addr, Duration::from_secs(1)).ok())
        .collect();
    assert!(crowd.len() > 60);
    gateway.wait_for_log(&["Accepting a connection failed"]);
    let before = ticks(&gateway);
    // None is left for a connection to the member, who is not to blame.
    assert_eq!(early.get("/").status, 500);
    std::thread::park_timeout(Duration::from_millis(500));
    let spent = ticks(&gateway) - before;
    assert!(spent < 20, "it spins: {spent} ticks in half a second");
    assert!(gateway.is_running());
    drop(crowd);
    eventually("it serves again", DEADLINE, || {
        let mut client = Client::patient(addr, Duration::from_secs(1));
        client.try_send(Request::get("/").bytes()).ok()?;
        client.try_response().ok().filter(|r| r.status == 200)
    });
    let member = gateway.member_status("cl", "a");
    assert_eq!(
        (&member["state"], &member["failures"]),
        (&"ok".into(), &0.into()),
        "{member}"
    );
    for _ in 0..20 {
        assert_eq!(gateway.get("/").status, 200);
    }
}

#[test]
fn there_are_as_many_workers_as_asked_for() {
    let a = Member::start("a", scripts::name());
    for n in [1, 3] {
        let gateway = Setup::new(everything_to(&[&a], ""))
            .arguments(&["--workers", &n.to_string()])
            .start();
        let workers = || {
            fs::read_dir(format!("/proc/{}/task", gateway.pid()))
                .unwrap()
                .filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok())
                .filter(|name| name.starts_with("worker-"))
                .count()
        };
        // A thread gives itself its name, a moment after it has begun.
        eventually("so many threads", DEADLINE, || {
            (workers() == n).then_some(())
        });
        assert_eq!(gateway.get("/").status, 200);
    }
}

#[test]
fn a_policys_memory_is_bounded() {
    // Time is no bound here: only the memory can end it.
    let (_members, setup) = balanced("allocate", "limits = { deadline = \"5s\" }", "");
    let gateway = setup.start();
    let before = gateway.resident();
    assert_eq!(misbehaving(&gateway, 2).len(), 2);
    let status = policy_status(&gateway, "p");
    assert!(
        status["last_error"].to_string().contains("memory"),
        "{status:#}"
    );
    assert!(
        gateway.resident() < before + 100_000_000,
        "the default limit is 32 MiB an instance"
    );
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
    // Promised for the release build; this one takes about 32 MB.
    assert!(
        gateway.resident() < 40_000_000,
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
