//! The sandbox's only wire is the broker; here the test is the broker.

use std::io::{IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use miosa_api::broker::ListenerHandoff;
use miosa_runtime::{Network, Runtime, SandboxSpec};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType, sockopt,
};

use crate::world::World;

/// Ends a wait for what does not come.
fn give_up(socket: impl AsFd) {
    let timeout = Some(Duration::from_secs(10));
    sockopt::set_socket_timeout(socket, sockopt::Timeout::Recv, timeout).expect("timeout");
}

/// A broker's listening socket.
struct Broker {
    path: PathBuf,
    socket: OwnedFd,
}

/// What a shim handed over.
struct Handed {
    handoff: ListenerHandoff,
    tcp: TcpListener,
    udp: UdpSocket,
    tcp_dns: TcpListener,
    connection: OwnedFd,
}

impl Broker {
    fn listen(path: &Path) -> Self {
        let socket = rustix::net::socket_with(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .expect("socket");
        rustix::net::bind(&socket, &SocketAddrUnix::new(path).expect("path")).expect("bind");
        rustix::net::listen(&socket, 16).expect("listen");
        give_up(&socket);
        Self {
            path: path.to_owned(),
            socket,
        }
    }

    /// Takes one handoff (blocks until it comes).
    fn take(&self) -> Handed {
        let connection = rustix::net::accept(&self.socket).expect("accept");
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut data = [0; 4096];
        let received = rustix::net::recvmsg(
            &connection,
            &mut [IoSliceMut::new(&mut data)],
            &mut control,
            RecvFlags::empty(),
        )
        .expect("handoff");
        let mut fds = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(some) = message {
                fds.extend(some);
            }
        }
        rustix::net::send(&connection, &[1], SendFlags::empty()).expect("answer");
        let handoff = serde_json::from_slice(&data[..received.bytes]).expect("handoff");
        let [tcp, udp, tcp_dns] = <[OwnedFd; 3]>::try_from(fds).expect("three listeners");
        let (tcp, udp, tcp_dns) = (
            TcpListener::from(tcp),
            UdpSocket::from(udp),
            TcpListener::from(tcp_dns),
        );
        tcp.set_nonblocking(false).expect("blocking");
        udp.set_nonblocking(false).expect("blocking");
        tcp_dns.set_nonblocking(false).expect("blocking");
        give_up(&tcp);
        give_up(&udp);
        give_up(&tcp_dns);
        Handed {
            handoff,
            tcp,
            udp,
            tcp_dns,
            connection,
        }
    }

    fn close(self) -> PathBuf {
        std::fs::remove_file(&self.path).expect("path");
        self.path
    }
}

fn with_broker(world: &World) -> (Broker, SandboxSpec) {
    let broker = Broker::listen(&world.path("broker.sock"));
    let spec = SandboxSpec {
        network: Network::Broker(broker.path.clone()),
        ..world.spec()
    };
    (broker, spec)
}

/// Accepts one connection, answers it, and says where it was meant to go.
fn answer(listener: &TcpListener) -> (SocketAddr, String) {
    let (mut stream, _) = listener.accept().expect("connection");
    let meant = sockopt::ip_original_dst(&stream).expect("original destination");
    let mut line = [0; 64];
    let length = stream.read(&mut line).expect("request");
    stream.write_all(b"from the broker\n").expect("answer");
    (
        meant.into(),
        String::from_utf8_lossy(&line[..length]).into_owned(),
    )
}

/// Perl without modules: sends `hello` and prints what comes back or the error.
fn perl(kind: u8, address: &str, port: u16, file: &str) -> String {
    let bytes = address.replace('.', ",");
    format!(
        "perl -e '$SIG{{ALRM}} = sub {{ print \"no answer\"; exit }}; alarm 5; socket(S, 2, {kind}, 0) or die; \
         $r = connect(S, pack(\"S n C4 x8\", 2, {port}, {bytes})) && send(S, \"hello\", 0) && \
         defined(recv(S, $b, 99, 0)); print $r ? $b : $!' > /out/{file}\n"
    )
}

#[tokio::test]
async fn all_tcp_and_dns_arrive_at_the_broker_and_the_rest_fails_at_once() {
    let script = perl(1, "203.0.113.9", 4321, "tcp")
        + &perl(1, "169.254.169.254", 80, "metadata")
        + &perl(2, "8.8.8.8", 53, "dns")
        + &perl(1, "8.8.4.4", 53, "tcp_dns")
        + &perl(2, "203.0.113.9", 443, "quic")
        + &perl(2, "203.0.113.9", 9999, "udp")
        + "ping -c 1 -W 1 203.0.113.9 > /out/ping 2>&1; echo $? > /out/ping_code
           perl -e 'socket(S, 10, 1, 0); connect(S, pack(\"S n x4 n8 x4\", 10, 443, 0x2001, 0xdb8, 0,0,0,0,0,1)); print $!' > /out/v6";
    let world = World::new(&script);
    let (broker, spec) = with_broker(&world);
    let taken = tokio::task::spawn_blocking(move || {
        let handed = broker.take();
        let tcp = answer(&handed.tcp);
        let metadata = answer(&handed.tcp);
        let mut query = [0; 64];
        let (length, from) = handed.udp.recv_from(&mut query).expect("query");
        handed.udp.send_to(b"a name", from).expect("answer");
        let dns = String::from_utf8_lossy(&query[..length]).into_owned();
        let tcp_dns = answer(&handed.tcp_dns);
        (
            handed.handoff,
            tcp,
            metadata,
            dns,
            tcp_dns,
            handed.connection,
        )
    });
    assert_eq!(
        world.run(&spec).await,
        "exit status 0",
        "{}",
        world.logs(&spec.id)
    );
    let (handoff, tcp, metadata, dns, tcp_dns, _connection) = taken.await.expect("broker");
    assert_eq!(
        handoff,
        ListenerHandoff {
            sandbox_id: spec.id.to_string(),
            generation: 1
        }
    );
    let address = |text: &str| text.parse::<SocketAddr>().expect("address");
    assert_eq!(tcp, (address("203.0.113.9:4321"), "hello".to_owned()));
    assert_eq!(metadata.0, address("169.254.169.254:80"));
    assert_eq!(tcp_dns.0, address("8.8.4.4:53"));
    assert_eq!(
        (dns.as_str(), world.out("dns").as_str()),
        ("hello", "a name")
    );
    assert_eq!(world.out("tcp"), "from the broker\n");
    assert_eq!(world.out("quic"), "Connection refused");
    assert_eq!(world.out("udp"), "Connection refused");
    assert_ne!(world.out("ping_code"), "0\n", "{}", world.out("ping"));
    assert_eq!(world.out("v6"), "Network is unreachable");
    world.runtime.destroy(&spec.id).await.expect("destroy");
}

#[tokio::test]
async fn a_server_inside_is_reached_by_loopback_alone() {
    let script = "(echo inside | nc -l -p 80) & \
                  until nc -w 1 127.0.0.1 80 < /dev/null > /out/local && [ -s /out/local ]; do :; done\n"
        .to_owned()
        + "(echo inside | nc -l -p 8080) &\n"
        + &perl(1, "8.8.8.8", 8080, "elsewhere");
    let world = World::new(&script);
    let (broker, spec) = with_broker(&world);
    let taken = tokio::task::spawn_blocking(move || {
        let handed = broker.take();
        (answer(&handed.tcp), handed.connection)
    });
    assert_eq!(world.run(&spec).await, "exit status 0");
    assert_eq!(world.out("local"), "inside\n");
    assert_eq!(world.out("elsewhere"), "from the broker\n");
    assert_eq!(
        taken.await.expect("broker").0.0,
        "8.8.8.8:8080".parse().expect("address")
    );
    world.runtime.destroy(&spec.id).await.expect("destroy");
}

#[tokio::test]
async fn without_a_network_nothing_can_be_reached() {
    let world = World::new(&(perl(1, "203.0.113.9", 443, "tcp") + &perl(2, "8.8.8.8", 53, "dns")));
    let spec = world.spec();
    assert_eq!(world.run(&spec).await, "exit status 0");
    assert_eq!(world.out("tcp"), "Network is unreachable");
    assert_eq!(world.out("dns"), "Network is unreachable");
    world.runtime.destroy(&spec.id).await.expect("destroy");
}

#[tokio::test]
async fn listeners_are_handed_over_again_when_the_broker_restarts() {
    // Connects while no broker is there: waits in the backlog.
    let world = World::new(&perl(1, "203.0.113.9", 443, "tcp"));
    let (broker, spec) = with_broker(&world);
    let taken = tokio::task::spawn_blocking(move || {
        drop(broker.take());
        let broker = Broker::listen(&broker.close());
        let handed = broker.take();
        (
            handed.handoff.clone(),
            answer(&handed.tcp),
            handed.connection,
        )
    });
    assert_eq!(
        world.run(&spec).await,
        "exit status 0",
        "{}",
        world.logs(&spec.id)
    );
    let (handoff, (meant, _), _connection) = taken.await.expect("broker");
    assert_eq!(handoff.sandbox_id, spec.id.to_string());
    assert_eq!(meant, "203.0.113.9:443".parse().expect("address"));
    assert_eq!(world.out("tcp"), "from the broker\n");
    world.runtime.destroy(&spec.id).await.expect("destroy");
}
