"""B1: who is a request really for?"""
from lib import *


def row_001():
    answer = raw(N["bound"], request(), address=N["attacker_address"])
    refused("TLS to the attacker's address, server name and Host of the bound host", answer,
            "EGRESS_SERVER_NAME_MISMATCH", "EGRESS_ADDRESS_LITERAL", "EGRESS_HOST_NOT_ALLOWED")
    with open("/etc/hosts", "a") as hosts:
        hosts.write(f"\n{N['attacker_address']} {N['bound']}\n")
    try:
        answer = ask()
    finally:
        lines = [line for line in open("/etc/hosts") if N["attacker_address"] not in line]
        open("/etc/hosts", "w").writelines(lines)
    refused("the same through /etc/hosts", answer,
            "EGRESS_SERVER_NAME_MISMATCH", "EGRESS_ADDRESS_LITERAL", "EGRESS_HOST_NOT_ALLOWED")
    passed("the bound host itself", ask())


def row_002():
    answer = plain(N["attacker_address"], request())
    refused("plain HTTP to the attacker's address, Host of the bound host", answer,
            "EGRESS_AUTHORITY_MISMATCH", "EGRESS_ADDRESS_LITERAL", "EGRESS_HOST_NOT_ALLOWED", "EGRESS_CLEARTEXT_CREDENTIAL")
    refused("plain HTTP to the bound host", plain(N["bound"], request()), "EGRESS_CLEARTEXT_CREDENTIAL")
    refused("plain HTTP to an allowed host of the attacker", plain(N["attacker"], request(host=N["attacker"])),
            "EGRESS_CLEARTEXT_CREDENTIAL", "EGRESS_PLACEHOLDER_NOT_BOUND")


def row_003():
    refused("server name of an allowed host, Host of the bound one", ask(host=N["wide"], hosthdr=N["bound"], path="/mcp"),
            "EGRESS_AUTHORITY_MISMATCH")


def row_004():
    refused("address and Host of the bound host, server name of the attacker's", ask(sni=N["attacker"]),
            "EGRESS_SERVER_NAME_MISMATCH")
    answer = ask(host=N["attacker"], hosthdr=N["bound"])
    # The attacker's host is tunnelled or intercepted: either way nothing but a placeholder may leave.
    note("the attacker's host with the bound Host header", "refused, or nothing but the placeholder leaves",
         answer.code in ("EGRESS_AUTHORITY_MISMATCH", "EGRESS_PLACEHOLDER_NOT_BOUND") or answer.status == 200,
         answer, answer.raw, answer.code)


OTHER = ("EGRESS_AUTHORITY_MISMATCH",)
NO_PROXY = ("EGRESS_AUTHORITY_MISMATCH", "EGRESS_METHOD_NOT_BOUND", "EGRESS_MALFORMED_REQUEST")


def connect_head(target, headers=()):
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"] + [f"{name}: {value}" for name, value in headers]
    return "\r\n".join(lines).encode("latin1") + b"\r\n\r\n"


def row_005():
    for target in (f"{N['allowed']}:443", f"{N['bound']}:443", f"{N['allowed']}:80", f"{N['attacker']}:443"):
        # Were a tunnel opened, the hello for the bound host would follow in it.
        hello = records(client_hello(N["bound"].encode()))
        refused(f"CONNECT {target} at the allowed host's port 80, then a hello for the bound host",
                plain(N["allowed"], connect_head(target) + hello), *NO_PROXY)
    refused("CONNECT of an allowed host inside TLS", raw(N["bound"], connect_head(f"{N['allowed']}:443")), *NO_PROXY)


def row_006():
    bound, other = N["bound"], N["allowed"]
    for target, host in ((f"https://{other}/mcp", bound), (f"https://{other}/mcp", other), (f"https://{bound}/mcp", other),
                         (f"http://{bound}/mcp", bound), (f"https://{bound}:8443/mcp", bound)):
        refused(f"{target} with Host {host}", ask(path=target, hosthdr=host), *OTHER)
    passed("absolute form of the bound host itself", ask(path=f"https://{bound}/mcp"))


def row_007():
    for first, second in ((N["bound"], N["allowed"]), (N["allowed"], N["bound"]), (N["bound"], N["bound"])):
        refused(f"Host: {first}, Host: {second}", ask(hosthdr=first, headers=[("Host", second)]), "EGRESS_MALFORMED_REQUEST")
    refused("no Host at all", raw(N["bound"], request(host=False)), "EGRESS_MALFORMED_REQUEST")


def row_008():
    other = N["allowed"]
    refused(":authority of another host", h2(H2.fields(authority=other)), *OTHER)
    refused("only Host, of another host", h2(H2.fields(authority=False, more=[("host", other)])), *OTHER)
    refused(":authority right, Host of another", h2(H2.fields(more=[("host", other)])), *OTHER)
    refused(":authority of another, Host right", h2(H2.fields(authority=other, more=[("host", N["bound"])])), *OTHER)
    turned_away("neither", h2(H2.fields(authority=False)), "EGRESS_MALFORMED_REQUEST")
    passed("only Host, the right one", h2(H2.fields(authority=False, more=[("host", N["bound"])])))
    passed("both, and equal", h2(H2.fields(more=[("host", N["bound"])])))


def row_009():
    wire = H2()
    note("HTTP/2 is spoken", "ALPN h2", wire.is_h2, wire.is_h2)
    passed("a stream for the connection's host", wire.answer(wire.open(H2.fields())))
    for host, token in ((N["wide"], GITHUB), (N["model"], ANTHROPIC), (N["allowed"], TOKEN)):
        answer = wire.answer(wire.open(H2.fields(authority=host, token=token, path="/user")))
        refused(f"a stream for {host} on it", answer, *OTHER)
    passed("another stream for its own host", wire.answer(wire.open(H2.fields())))
    wire.close()
    with tls(N["bound"], context=ssl.create_default_context()) as sock:
        names = [name for kind, name in sock.getpeercert()["subjectAltName"]]
    note("names in the certificate", "the host alone", names == [N["bound"]], names)


def row_010():
    refused("the bound host's address without a server name", ask(sni=""), "EGRESS_SERVER_NAME_MISMATCH")
    address = resolve(N["bound"])
    refused("that address as the URL's host", ask(host=address, sni=""), "EGRESS_SERVER_NAME_MISMATCH")
    literal = N["attacker_address"]
    refused("another address, Host of the bound host", ask(address=literal, sni=""), "EGRESS_ADDRESS_LITERAL")
    refused("another address as the URL's host", ask(host=literal, sni=""), "EGRESS_ADDRESS_LITERAL")
    refused("the same without TLS", plain(literal, request(host=literal)), "EGRESS_ADDRESS_LITERAL", "EGRESS_CLEARTEXT_CREDENTIAL")


def row_011():
    for host in N["lookalikes"]:
        answer = ask(host=host)
        note(f"{host}, which has an allow rule", "refused, or nothing but the placeholder arrives",
             answer.status == 200 or answer.code in ("EGRESS_PLACEHOLDER_NOT_BOUND",), answer, answer.raw, answer.code)
        answer = ask(host=N["bound"], hosthdr=host)
        refused(f"Host {host} on a connection for the bound host", answer, *OTHER)
    for host in (f"x{N['bound']}", f"{N['bound']}.example", f"{N['bound']}-x.example"):
        refused(f"{host}, without a rule", ask(host=host), "EGRESS_HOST_NOT_ALLOWED", "EGRESS_PLACEHOLDER_NOT_BOUND")
    zone = N["zone"]
    refused("one label below a wildcard zone is within the rule", ask(host=f"10-0-0-1.{zone}", token=""), "EGRESS_ADDRESS_NOT_ALLOWED")
    for host in (zone, f"a.b.{zone}", f"x{zone}", f"*.{zone}.example"):
        if "*" not in host:
            refused(f"{host} is not", ask(host=host, token=""), "EGRESS_HOST_NOT_ALLOWED")


def row_012():
    bound = N["bound"]
    for host in (bound.upper(), bound + ".", bound + ":443", bound.upper() + ".:443"):
        passed(f"Host {host}", ask(hosthdr=host))
    passed("server name in capitals", ask(sni=bound.upper()))
    for port in (":8443", ":80", ":1"):
        refused(f"Host with port {port}", ask(hosthdr=bound + port), *OTHER)
    for port in (":0443", ":+443", ":443x", ":00", ": 443", ":99999", ":443:443"):
        turned_away(f"Host with port {port}", ask(hosthdr=bound + port), "EGRESS_MALFORMED_REQUEST", *OTHER)
    refused("dialled at another port", ask(port=8443, hosthdr=bound + ":8443"), "EGRESS_PLACEHOLDER_NOT_BOUND", "EGRESS_HOST_NOT_ALLOWED")
    for host in (bound + "..", "." + bound):
        turned_away(f"Host {host}", ask(hosthdr=host), "EGRESS_MALFORMED_REQUEST", *OTHER)


def row_013():
    bound = N["bound"]
    wide = "".join(chr(ord(letter) + 0xfee0) if letter.isalpha() else letter for letter in bound)
    for what, host in (("full-width letters", wide), ("full-width dots", bound.replace(".", "\u3002")),
                       ("a zero-width joiner", "api\u200d.refero.design"), ("a Cyrillic letter", bound.replace("e", "\u0435")),
                       ("a soft hyphen", "api\u00ad.refero.design"), ("the Kelvin sign's fold", bound + "\u212a"),
                       ("percent-encoding", bound.replace(".", "%2e"))):
        answer = ask(hosthdr=host)
        turned_away(f"Host with {what}", answer, "EGRESS_MALFORMED_REQUEST", *OTHER)
        found = dns(host)
        note(f"lookup of a name with {what}", "no such name", found == (3, []), found)
    twin = bound.replace("e", "\u0435").encode("idna").decode()
    refused(f"Host {twin}, the punycode of a twin", ask(hosthdr=twin), *OTHER)
    refused(f"the twin {twin} itself", ask(host=twin), "EGRESS_HOST_NOT_ALLOWED", "EGRESS_PLACEHOLDER_NOT_BOUND")


def row_014():
    bound = N["bound"]
    for what, byte in (("NUL", "\0"), ("control byte", "\x01"), ("tab", "\t"), ("DEL", "\x7f"), ("space", " ")):
        evil = f"{N['attacker']}{byte}.{bound}"
        codes = ("EGRESS_MALFORMED_REQUEST", *OTHER)
        turned_away(f"{what} in Host", ask(hosthdr=evil), *codes)
        turned_away(f"{what} in Host, after the bound host", ask(hosthdr=f"{bound}{byte}.evil.example"), *codes)
        # A client's line that is no request line is no HTTP.
        turned_away(f"{what} in CONNECT", plain(N["allowed"], connect_head(evil + ":443")), *NO_PROXY, "EGRESS_PROTOCOL_NOT_ALLOWED")
        answer = wire(bound, records(client_hello(evil.encode())))
        refused(f"{what} in the server name", answer, "EGRESS_PROTOCOL_NOT_ALLOWED")
        found = dns(evil)
        note(f"{what} in a name looked up", "no such name", found == (3, []), found)
    host = f"{N['attacker']}\0.{bound}".encode()
    socks = b"\x05\x01\x00\x05\x01\x00\x03" + bytes([len(host)]) + host + struct.pack(">H", 443)
    refused("NUL in SOCKS5", wire(N["allowed"], socks, port=1080), "EGRESS_PROTOCOL_NOT_ALLOWED")


def row_015():
    bound, evil = N["bound"], N["attacker"]
    for url in (f"https://{bound}@{evil}/", f"https://{bound}%2f@{evil}/", f"https://{bound}:443@{evil}/mcp"):
        answer, error = curl(url)
        note(f"curl {url}", "goes to the attacker, with nothing but the placeholder, or nowhere",
             answer.status == 200 and answer.body == b"ok" or answer.status is None or answer.code, f"{answer} {error}", answer.raw, answer.code)
    for url in (f"https://{bound}\\@{evil}/", f"https://{bound}#@{evil}/", f"https://{bound}?@{evil}/"):
        answer, error = curl(url)
        ok = answer.code in ("EGRESS_PATH_NOT_BOUND", "EGRESS_PATH_NOT_CANONICAL") or answer.status is None or answer.body == b"ok"
        note(f"curl {url}", "refused, or goes elsewhere with nothing but the placeholder", ok, f"{answer} {error}", answer.raw, answer.code)
    for target in (f"https://{bound}@{evil}/mcp", f"https://{evil}@{bound}/mcp", f"https://user:pass@{bound}/mcp"):
        turned_away(f"target {target}", ask(path=target), "EGRESS_MALFORMED_REQUEST", *OTHER)
    for host in (f"user@{bound}", f"{bound}@{evil}", f"{evil}@{bound}", f"{bound}\\@{evil}", f"{bound}/@{evil}"):
        turned_away(f"Host {host}", ask(hosthdr=host), "EGRESS_MALFORMED_REQUEST", *OTHER)


def leaf(hello, host, pieces=None):
    """The first flight a hello is answered with; with TLS 1.2 it shows the certificate."""
    return wire(host, hello, pieces=pieces, until=lambda raw: raw.endswith(b"\x0e\x00\x00\x00"), timeout=LOCAL_TIMEOUT).raw


def certificate_is_for(name, hello, shown, pieces=None):
    """Sent to another host's address, only the server name can have brought a certificate for `shown`."""
    got = leaf(hello, N["wide"], pieces)
    ok = shown.encode() in got and N["wide"].encode() not in got
    note(name, f"certificate for {shown}", ok, got[:80])


def ext(kind, data):
    return struct.pack(">HH", kind, len(data)) + data


def row_016():
    key_share = ext(51, struct.pack(">HHH", 1220, 0x11ec, 1216) + os.urandom(1216))
    padding = ext(21, bytes(6000))
    hello = client_hello(N["bound"].encode(), first=key_share, more=padding)
    note("its size", "more than 1024 bytes before the server name", len(hello) > 7000, len(hello))
    certificate_is_for("server name after a post-quantum key share and padding", records(hello), N["bound"])
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"] + [f"x{number:03}" + "y" * 200 for number in range(20)])
    with tls(N["bound"], context=context) as sock:
        sock.sendall(request())
        passed("a request after a hello with four kilobytes of ALPN", receive(sock, is_whole))


def row_017():
    hello = client_hello(N["bound"].encode())
    certificate_is_for("one byte at a time", records(hello), N["bound"], pieces=1)
    certificate_is_for("records of one byte", records(hello, 1), N["bound"])
    certificate_is_for("two records, three bytes at a time", records(hello, len(hello) // 2), N["bound"], pieces=3)
    certificate_is_for("cut inside the server name", records(hello, len(hello) - 5), N["bound"])
    passed("a real handshake, its hello in records of nine bytes", sliced_request(9))


def sliced_request(size):
    """A whole request whose ClientHello was cut into records of `size` bytes and written byte by byte."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    coming, going = ssl.MemoryBIO(), ssl.MemoryBIO()
    side = context.wrap_bio(coming, going, server_hostname=N["bound"])
    with tcp(N["bound"]) as sock:
        is_first, step = True, side.do_handshake
        out = b""
        while True:
            try:
                value = step()
                if step == side.do_handshake:
                    step = lambda: side.write(request(headers=[("Connection", "close")]))
                    continue
                if not isinstance(value, bytes):
                    step = lambda: side.read(65536)
                elif not value:
                    return Answer(out)
                else:
                    out += value
                    if is_whole(out):
                        return Answer(out)
                wants = False
            except ssl.SSLWantReadError:
                wants = True
            except (ssl.SSLError, OSError) as problem:
                return Answer(out, type(problem).__name__)
            data = going.read()
            if data:
                send(sock, records(data[5:], size) if is_first else data, 1 if is_first else None)
                is_first = False
            if wants:
                sock.settimeout(TIMEOUT)
                data = sock.recv(65536)
                if not data:
                    return Answer(out, "closed")
                coming.write(data)


def row_018():
    from threading import Thread
    hello = records(client_hello(N["bound"].encode()))
    cases = {"half a ClientHello": hello[:-20], "a record's head": hello[:5], "silence": b"",
             "half a request line": b"GET /mcp HT"}
    found = {}

    def attempt(name, data):
        started = time.monotonic()
        answer = wire(N["bound"], data, timeout=20)
        found[name] = (time.monotonic() - started, answer)
    threads = [Thread(target=attempt, args=item) for item in cases.items()]
    for thread in threads:
        thread.start()
    for what, data in (("zeros", bytes(100)), ("SSH", b"SSH-2.0-OpenSSH_9\r\n"), ("an SMTP greeting", b"220 mail ESMTP\r\n"),
                       ("an SSL 2 hello", b"\x80\x2e\x01\x00\x02" + bytes(43)), ("a record of another kind", b"\x17\x03\x03\x00\x05hello"),
                       ("a hello with no end in sight", b"\x16\x03\x01\x40\x00\x01\xff\xff\xff" + bytes(16380) + b"\x16\x03\x01\x40\x00" * 8)):
        refused(f"{what} on port 443", wire(N["bound"], data), "EGRESS_PROTOCOL_NOT_ALLOWED")
    for thread in threads:
        thread.join()
    for name, (seconds, answer) in found.items():
        if name == "silence":
            ok = answer.error != "timeout" and answer.status is None or answer.code == "EGRESS_PROTOCOL_NOT_ALLOWED"
            note(f"{name}, for {seconds:.0f} s", "ended within 15 s", ok and seconds < 15, answer, answer.raw, answer.code)
        else:
            refused(f"{name}, then silence", answer, "EGRESS_PROTOCOL_NOT_ALLOWED")
            note(f"{name}, for {seconds:.0f} s", "ended within 15 s", seconds < 15, seconds)


def row_019():
    outer = ext(0xfe0d, b"\x00\x00\x01\x00\x01\x07\x00\x20" + os.urandom(32) + struct.pack(">H", 208) + os.urandom(208))
    certificate_is_for("ECH with the bound host's name outside", records(client_hello(N["bound"].encode(), more=outer)), N["bound"])
    certificate_is_for("ECH with an allowed name outside", records(client_hello(N["allowed"].encode(), more=outer)), N["allowed"])
    for kind, what in ((65, "HTTPS"), (64, "SVCB")):
        for host in (N["bound"], N["allowed"], f"_443._https.{N['allowed']}"):
            found = dns(host, kind)
            note(f"{what} record of {host}", "none", found is not None and found[1] == [], found)


def row_020():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def visit(host, token, path, session=None):
        sock = context.wrap_socket(tcp(host), server_hostname=host, session=session)
        with sock:
            sock.sendall(request(host=host, token=token, path=path))
            answer = receive(sock, is_whole)
            return answer, sock.session, sock.session_reused
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context.minimum_version = context.maximum_version = version
        answer, session, _ = visit(N["bound"], TOKEN, "/mcp")
        passed(f"{version.name}: a first visit", answer)
        answer, _, reused = visit(N["wide"], GITHUB, "/user", session)
        passed(f"{version.name}: another host with that session", answer)
        note(f"{version.name}: session resumed for another name", "no", not reused, reused)
        answer, _, reused = visit(N["bound"], TOKEN, "/mcp", session)
        passed(f"{version.name}: the same host with it (resumed: {reused})", answer)
    text = request(headers=[("Connection", "close")])
    done = subprocess.run(["openssl", "s_client", "-connect", f"{resolve(N['bound'])}:443", "-servername", N["bound"], "-tls1_3",
                           "-ign_eof"], input=text, capture_output=True, timeout=20)
    said = done.stdout
    note("tickets that allow early data", "none", b"CONNECTED" in said and b"Max Early Data: 0" in said or b"New Session Ticket" not in said,
         [line for line in said.split(b"\n") if b"Early" in line][:3], said, uses=1)


def row_021():
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
        try:
            with tls(N["bound"], context=context) as sock:
                spoken = sock.version()
        except (OSError, ssl.SSLError) as problem:
            spoken = None
            seen = str(problem)[:100]
        note(version.name, "no handshake", spoken is None, spoken or seen, code="EGRESS_PROTOCOL_NOT_ALLOWED")
    try:
        done = subprocess.run(["openssl", "s_client", "-connect", f"{resolve(N['bound'])}:443", "-servername", N["bound"], "-tls1_2"],
                              input=b"R\n", capture_output=True, timeout=4)
        said = done.stdout + done.stderr
    except subprocess.TimeoutExpired as expired:
        said = (expired.stdout or b"") + (expired.stderr or b"")
    again = said.partition(b"RENEGOTIATING")[2]
    note("renegotiation", "no second handshake", b"RENEGOTIATING" in said and b"verify return" not in again, again[-120:], said)
    answers = faulty()
    for answer in answers:
        refused("a provider that is not to be believed, or wants a certificate of its caller", answer,
                "EGRESS_UPSTREAM_CERTIFICATE", "EGRESS_UPSTREAM_PROTOCOL")
    wanting = [answer for answer in answers if answer.code == "EGRESS_UPSTREAM_PROTOCOL"]
    note("the one that wants a certificate", "one in four, EGRESS_UPSTREAM_PROTOCOL", len(wanting) == 1, len(wanting))


def faulty():
    """A request to each of the four kinds of server under the faulty name, which take turns. POST is never
    sent twice."""
    return [ask("POST", "/v1/responses", host=N["faulty"], token=OPENAI, body=b"{}") for _ in range(4)]


def row_022():
    answers = faulty()
    for answer in answers:
        refused("a provider with a bad certificate, the caller not verifying", answer,
                "EGRESS_UPSTREAM_CERTIFICATE", "EGRESS_UPSTREAM_PROTOCOL")
    bad = [answer for answer in answers if answer.code == "EGRESS_UPSTREAM_CERTIFICATE"]
    note("self-signed, another name, expired", "three of four, EGRESS_UPSTREAM_CERTIFICATE", len(bad) == 3, len(bad))


def row_023():
    bound = N["bound"]
    for proxy in (f"http://{N['allowed']}:80", f"http://{N['attacker']}:80", f"http://{N['attacker_address']}:80"):
        answer, error = curl("-x", proxy, f"https://{bound}/mcp")
        ok = answer.status is None or answer.status >= 400
        note(f"curl through {proxy}", "no tunnel", ok and "CONNECT" in error, f"{answer} {error}", answer.raw)
    refused("absolute form through it", plain(N["allowed"], request(path=f"http://{bound}/mcp")), *OTHER)
    refused("absolute form of an https URL through it", plain(N["allowed"], request(path=f"https://{bound}/mcp")), *OTHER)
    answer, error = curl("-x", f"https://{bound}:443", "--proxy-insecure", f"https://{N['allowed']}/")
    note("curl through the bound host as a TLS proxy", "no tunnel", answer.status is None or answer.status >= 400, f"{answer} {error}", answer.raw)


def row_024():
    misplaced = ("EGRESS_PLACEHOLDER_MISPLACED",)
    refused("only in Proxy-Authorization", ask(place="Proxy-Authorization"), *misplaced)
    refused("there as well", ask(headers=[("Proxy-Authorization", f"Bearer {TOKEN}")]), *misplaced, "EGRESS_CREDENTIAL_REQUIRED")
    basic = base64.b64encode(f"user:{TOKEN}".encode()).decode()
    refused("there, as Basic", ask(headers=[("Proxy-Authorization", f"Basic {basic}")]), *misplaced, "EGRESS_CREDENTIAL_REQUIRED")
    for name in ("Proxy-Authorization", "Authorization", "X-Token"):
        head = connect_head(f"{N['bound']}:443", [(name, f"Bearer {TOKEN}")])
        refused(f"{name} of a CONNECT, in cleartext", plain(N["allowed"], head), *NO_PROXY)
        refused(f"{name} of a CONNECT, inside TLS", raw(N["bound"], head), *NO_PROXY)


def row_025():
    preface = H2.PREFACE + H2.frame(4, 0, 0, b"")
    for host in (N["bound"], N["allowed"]):
        upgrade = request(host=host, headers=[("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAAQAAP__")])
        refused(f"h2c upgrade at {host}", plain(host, upgrade), "EGRESS_UPGRADE_NOT_ALLOWED", "EGRESS_CLEARTEXT_CREDENTIAL")
        refused(f"prior knowledge at {host}", wire(host, preface, port=80), "EGRESS_PROTOCOL_NOT_ALLOWED")
    refused("h2c upgrade inside TLS", ask(headers=[("Connection", "Upgrade"), ("Upgrade", "h2c")]), "EGRESS_UPGRADE_NOT_ALLOWED")


def row_026():
    bound = N["bound"]
    for target in (f"{bound}:443", f"{N['allowed']}:443", "127.0.0.1:443"):
        refused(f"CONNECT {target} inside TLS", raw(bound, connect_head(target)), *NO_PROXY)
    answer = h2([(":method", "CONNECT"), (":authority", f"{bound}:443"), ("authorization", f"Bearer {TOKEN}")])
    turned_away("CONNECT as an HTTP/2 stream", answer, *NO_PROXY)
    answer = raw(bound, records(client_hello(bound.encode())))
    turned_away("TLS inside TLS", answer, "EGRESS_MALFORMED_REQUEST", "EGRESS_PROTOCOL_NOT_ALLOWED")


if __name__ == "__main__":
    run(globals())
