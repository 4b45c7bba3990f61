//! A sandbox as the broker sees it: a namespace, its listeners, its policy.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use miosa_api::broker::SandboxPolicy;
use rustls::RootCertStore;

use crate::namespace::Namespace;

/// A sandbox. Its shims' connections end with it.
pub struct Sandbox {
    pub id: String,
    pub policy: SandboxPolicy,
    pub ca: String,
    pub namespace: Namespace,
    pub shims: Mutex<Vec<OwnedFd>>,
    listeners: [OwnedFd; 3],
}

impl Sandbox {
    /// A sandbox whose listeners nobody has yet.
    pub fn new(id: &str, policy: SandboxPolicy, ca: String) -> Self {
        let namespace = Namespace::new();
        let listeners = namespace.listeners();
        Self {
            id: id.to_owned(),
            policy,
            ca,
            namespace,
            shims: Mutex::default(),
            listeners,
        }
    }

    /// Copies of its listeners.
    pub fn listeners(&self) -> [OwnedFd; 3] {
        self.listeners
            .each_ref()
            .map(|listener| listener.try_clone().unwrap())
    }

    /// Its placeholder.
    pub fn placeholder(&self) -> &str {
        &self.policy.bindings[0].placeholder
    }

    /// Asks the broker's DNS.
    pub fn ask(&self, name: &str, kind: RecordType) -> Message {
        let mut request = Message::query();
        let name = Name::from_ascii(format!("{name}.")).unwrap();
        request.add_query(Query::query(name, kind));
        let bytes = request.to_vec().unwrap();
        let exchange = || {
            let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
            socket
                .set_read_timeout(Some(Duration::from_secs(10)))
                .unwrap();
            // Any server: all are the broker.
            socket.connect("9.9.9.9:53").unwrap();
            socket.send(&bytes).unwrap();
            let mut answer = [0; 512];
            let length = socket.recv(&mut answer).unwrap();
            answer[..length].to_vec()
        };
        let answer = tokio::task::block_in_place(|| self.namespace.run(exchange));
        Message::from_vec(&answer).unwrap()
    }

    /// The address `name` has here.
    pub fn lookup(&self, name: &str) -> Ipv4Addr {
        let answer = self.ask(name, RecordType::A);
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
        let RData::A(address) = answer.answers[0].data else {
            panic!("not an address")
        };
        address.0
    }

    /// Connects to an address from inside.
    pub fn connect(&self, address: SocketAddr) -> tokio::net::TcpStream {
        let stream = tokio::task::block_in_place(|| self.namespace.connect(address)).unwrap();
        stream.set_nonblocking(true).unwrap();
        tokio::net::TcpStream::from_std(stream).unwrap()
    }

    /// What a client in the sandbox trusts: its own authority alone.
    pub fn roots(&self) -> Arc<RootCertStore> {
        crate::client::roots(&self.ca)
    }
}
