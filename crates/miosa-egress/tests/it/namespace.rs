//! A network namespace as a sandbox has it: every address is local, all TCP and DNS lead to listeners.

use std::io::BufRead as _;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

const SETUP: &str = "
ip link set lo up && ip route add local default dev lo && nft -f - <<RULES
table ip sandbox {
  chain out {
  type nat hook output priority -100
  ip daddr 127.0.0.0/8 accept
  udp dport 53 redirect to :5300
  tcp dport 53 redirect to :5300
  meta l4proto tcp redirect to :9999
  }
}
RULES
echo ready && read end || true";

/// A namespace that ends with this value and the sockets in it.
pub struct Namespace(OwnedFd);

impl Namespace {
    /// Makes one.
    pub fn new() -> Self {
        let mut maker = Command::new("unshare")
            .args(["--net", "sh", "-ec", SETUP])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = std::io::BufReader::new(maker.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "the namespace could not be made");
        let file = fs_err::File::open(format!("/proc/{}/ns/net", maker.id())).unwrap();
        drop(maker.stdin.take());
        maker.wait().unwrap();
        Self(OwnedFd::from(file.into_file()))
    }

    /// Runs `work` in it.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                let kind = Some(LinkNameSpaceType::Network);
                move_into_link_name_space(self.0.as_fd(), kind).unwrap();
                work()
            });
            inside.join().unwrap()
        })
    }

    /// The listeners a shim makes.
    pub fn listeners(&self) -> [OwnedFd; 3] {
        self.run(|| {
            [
                TcpListener::bind("127.0.0.1:9999").unwrap().into(),
                UdpSocket::bind("127.0.0.1:5300").unwrap().into(),
                TcpListener::bind("127.0.0.1:5300").unwrap().into(),
            ]
        })
    }

    /// Connects from inside.
    pub fn connect(&self, address: SocketAddr) -> std::io::Result<TcpStream> {
        self.run(|| TcpStream::connect(address))
    }

    /// A command that runs inside, with `resolv_conf` as the system's resolver configuration.
    pub fn command(&self, resolv_conf: &Path, program: &str) -> Command {
        let namespace = format!(
            "--net=/proc/{}/fd/{}",
            std::process::id(),
            self.0.as_raw_fd()
        );
        let script = "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"";
        let mut command = Command::new("nsenter");
        command
            .arg(namespace)
            .args(["unshare", "--mount", "sh", "-ec", script])
            .arg(resolv_conf)
            .arg(program);
        command
    }
}
