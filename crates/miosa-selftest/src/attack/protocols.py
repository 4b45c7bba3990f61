"""B4, its second half: HTTP/2 under load, WebSocket, gRPC, streams, large and binary bodies."""
import gzip, hashlib
from lib import *


def head(*lines, line="POST /mcp HTTP/1.1", host=None, token=True):
    """A head as bytes from raw header lines, ended as HTTP/1 wants it."""
    first = [line.encode(), b"Host: " + (host or N["bound"]).encode()]
    if token:
        first.append(b"Authorization: Bearer " + TOKEN.encode())
    return b"\r\n".join(first + [text if isinstance(text, bytes) else text.encode() for text in lines]) + b"\r\n\r\n"


def row_068():
    for protocol in ("raw", "h2c", "TLS/1.2", "websocket, h2c", "h3"):
        answer = ask(headers=[("Connection", "Upgrade"), ("Upgrade", protocol)])
        refused(f"Upgrade: {protocol}", answer, "EGRESS_UPGRADE_NOT_ALLOWED")
    for name, more in (("nobody asked for", []), ("that asked for WebSocket", websocket_headers())):
        with tls(N["bound"]) as sock:
            sock.sendall(request(headers=[("x-do", "switch"), *more]))
            answer = receive(sock, is_whole, 6)
            ok = answer.status is None or answer.code in ("EGRESS_UPSTREAM_PROTOCOL",)
            note(f"a provider that switches protocols in a request {name}", "refused", ok, answer, answer.raw, answer.code, 1)
    preface = raw(N["bound"], H2.PREFACE + H2.frame(4, 0, 0, b""), whole=False, timeout=4)
    note("HTTP/2 without ALPN", "spoken or ended, nothing else", not preface.raw.startswith(b"HTTP/1.1 2"), preface, preface.raw)


def row_069():
    wire = Socket(more=[("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")])
    ok = wire.answer.status == 101 and not wire.answer.header("sec-websocket-extensions")
    note("a WebSocket with compression asked for", "101, no compression", ok, wire.answer, wire.answer.raw, wire.answer.code, 1)
    wire.send(b"extensions")
    back = wire.receive()
    note("what the provider was asked", "no extension", back == (1, b"false"), back)
    for name, opcode in (("text", 1), ("binary", 2)):
        wire.send(GITHUB.encode(), opcode)
        back = wire.receive()
        note(f"a placeholder in a {name} frame", "comes back as it went", back == (opcode, GITHUB.encode()), back, back[1] if back else b"")
    wire.send(GITHUB[:9].encode(), 1, final=False)
    wire.send(b"ping", 9)
    wire.send(GITHUB[9:].encode(), 0)
    frames = [wire.receive(), wire.receive(), wire.receive()]
    note("a placeholder over two fragments, a ping between", "comes back as it went", (1, GITHUB.encode()) in frames and (10, b"ping") in frames,
         frames)
    wire.sock.close()
    other = Socket(token=None)
    refused("a WebSocket without the placeholder", other.answer, "EGRESS_CREDENTIAL_REQUIRED")
    refused("a WebSocket to a host that is not bound, with a placeholder", Socket(host=N["model"]).answer, "EGRESS_PLACEHOLDER_NOT_BOUND",
            "EGRESS_PATH_NOT_BOUND")


def row_070():
    wire = H2(N["wide"])
    stream = wire.open([(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":authority", N["wide"]), (":path", "/socket"),
                        ("authorization", "Bearer " + GITHUB), ("sec-websocket-version", "13")], end=False)
    begun = time.monotonic()
    answer = wire.answer(stream, 5)
    took = time.monotonic() - begun
    note("extended CONNECT", "refused at once", answer.error != "timeout" and answer.status in (None, 403) and took < 2,
         f"{answer} after {took:.2f} s", answer.raw, answer.code)
    offered = b"\x00\x08\x00\x00\x00\x01" in answer.raw
    note("SETTINGS_ENABLE_CONNECT_PROTOCOL", "not offered", not offered, offered)


def grpc_message(text):
    return b"\x00" + struct.pack(">I", len(text)) + text


def grpc(name, messages, uses=1):
    """One call: messages one after the other, each frame its own write."""
    wire = H2(N["wide"])
    fields = H2.fields("POST", "/echo.Echo/Call", N["wide"], GITHUB,
                       [("content-type", "application/grpc"), ("te", "trailers"), ("grpc-timeout", "5S"), ("x-do", "grpc")])
    stream = wire.open(fields, end=False)
    body = b"".join(grpc_message(text) for text in messages)
    if name == "bidirectional":
        got, late = b"", []
        for count, text in enumerate(messages):
            wire.send(wire.DATA, 0, stream, grpc_message(text))
            want = sum(len(message) + 5 for message in messages[:count + 1])
            try:
                for kind, _, number, payload in wire.frames(0.5 if late else 3):
                    got += payload if kind == wire.DATA and number == stream else b""
                    if len(got) >= want:
                        break
            except (socket.timeout, TimeoutError):
                late.append(text[-1:])
        note("each message of it", "comes back before the next is sent", not late, f"late: {late}")
        wire.send(wire.DATA, 1, stream)
        answer = wire.answer(stream)
        answer.body = got + answer.body
    else:
        for text in messages:
            wire.send(wire.DATA, 0, stream, grpc_message(text))
        wire.send(wire.DATA, 1, stream)
        answer = wire.answer(stream)
    last = list(H2.split(answer.raw))[-1]
    ok = answer.body == body and last[0] == wire.HEADERS and last[1] & 1
    note(f"{name}: {len(messages)} messages", "all back in order, then trailers", ok, f"{answer.error} {len(answer.body)} of {len(body)} bytes",
         answer.raw, answer.code, uses)


def row_071():
    grpc("unary", [b"one"])
    grpc("streaming", [b"a" * 3000, b"b", b"", b"c" * 9000])
    # Whatever a message ends with: its other side waits for all of it.
    grpc("bidirectional", [b"message" + bytes([byte]) for byte in range(33, 127)])
    answer = h2(H2.fields("POST", "/echo.Echo/Call", N["wide"], GITHUB, [("te", "trailers"), ("grpc-timeout", "5S"), ("x-do", "echo")]), host=N["wide"])
    passed("the deadline and the wish for trailers", answer, body=b"grpc-timeout: 5S")


def ended(name, work, seconds=8):
    """Work on one connection must end in an error within a time, while another connection is served."""
    begun, wire, error = time.monotonic(), H2(), None
    try:
        work(wire)
        error = wire.answer(0, seconds).error
    except (OSError, EOFError) as problem:
        error = type(problem).__name__
    took = time.monotonic() - begun
    wire.close()
    note(name, f"ended within {seconds} s", error not in (None, "timeout") and took < seconds, f"{error} after {took:.2f} s")
    begun = time.monotonic()
    passed("another connection meanwhile", ask())
    took = time.monotonic() - begun
    note("its time", "below 5 s", took < 5, f"{took:.2f} s")


def row_074():
    answer = h2(H2.fields(more=[(f"x-{index}", "v") for index in range(5000)]))
    note("5000 fields", "refused", answer.error not in (None, "timeout") or answer.code or not answer.body, answer, answer.raw[:4096], answer.code)
    answer = raw(N["bound"], head(*[f"x-{index}: v" for index in range(5000)], line="GET /mcp HTTP/1.1"))
    note("5000 fields in HTTP/1", "refused", answer.status in (400, 431) or answer.status is None, answer, answer.raw, answer.code)
    answer = raw(N["bound"], head("x-long: " + "v" * 300000, line="GET /mcp HTTP/1.1"))
    note("a head of 300 kB in HTTP/1", "refused", answer.status in (400, 431) or answer.status is None, answer, answer.raw, answer.code)

    def bomb(wire):
        # One long field put into the table, and named by one byte some 16 000 times.
        long = b"\x40\x03x-a" + wire.integer(4000, 127) + b"v" * 4000
        wire.send(wire.HEADERS, 4, 1, wire.block(H2.fields()[:4]) + long + b"\xbe" * 12000)
        answer = wire.answer(1, 6)
        note("an HPACK bomb", "refused", answer.error not in (None, "timeout") or answer.code or not answer.body, answer, answer.raw[:4096], answer.code)

    wire = H2()
    bomb(wire)
    wire.close()

    def continuations(wire):
        wire.send(wire.HEADERS, 0, 1, wire.block(H2.fields()))
        for index in range(20000):
            wire.send(wire.CONTINUATION, 0, 1, wire.block([(f"x-{index}", "v" * 200)]))

    def resets(wire):
        for _ in range(3000):
            stream = wire.open(H2.fields(token=None, path="/other"))
            wire.send(wire.RST, 0, stream, struct.pack(">I", 8))

    def settings(wire):
        for _ in range(40):
            wire.sock.sendall(wire.frame(wire.SETTINGS, 0, 0, b"") * 500)

    ended("a CONTINUATION flood", continuations)
    ended("rapid resets", resets)
    # Each is answered; nobody reads the answers, so the broker stops reading: nothing grows without a bound.
    wire = H2()
    wire.sock.settimeout(2)
    try:
        settings(wire)
        seen = "all taken"
    except (OSError, ssl.SSLError) as problem:
        seen = type(problem).__name__
    passed("another connection after 20 000 SETTINGS", ask())
    wire.close()
    note("20 000 SETTINGS", "answered, or no longer read", True, seen)
    wire = H2()
    wire.send(wire.SETTINGS, 0, 0, struct.pack(">HI", 4, 0))
    streams = [wire.open(H2.fields(more=[("x-do", "source 1000000")])) for _ in range(4)]
    passed("another connection beside four whose window is shut", ask())
    # Their heads came, and nothing of their bodies can.
    note("four answers nobody takes", "wait without harm", True, f"{len(streams)} streams", b"", None, 4)
    passed("and once more", ask())
    wire.close()


def row_075():
    data = (b"x" * 1000 + TOKEN.encode()) * 30
    wire = H2()
    stream = wire.open(H2.fields("POST"), end=False)
    for at in range(0, len(data), 8000):
        wire.send(wire.DATA, 0, stream, data[at:at + 8000])
    wire.send(wire.DATA, 1, stream)
    answer = wire.answer(stream)
    passed("a body of unknown length", answer, body=b'"body_len":%d' % len(data))


def upload(mebibytes):
    """Over HTTP/1 in pieces, the credential in the head."""
    size = mebibytes << 20
    piece = bytes(range(256)) * 1024
    with tls(N["bound"]) as sock:
        sock.sendall(head(f"Content-Length: {size}"))
        for _ in range(size // len(piece)):
            sock.sendall(piece)
        answer = receive(sock, is_whole, 60)
    passed(f"an upload of {mebibytes} MiB", answer, body=b'"body_len":%d' % size)


def row_078():
    body = gzip.compress(json.dumps({"text": TOKEN}).encode())
    answer = ask("POST", do="bytes", headers=[("Content-Encoding", "gzip")], body=body)
    passed("a compressed body", answer, body=body)
    for encoding in ("br", "zstd", "deflate"):
        passed(f"a body that says {encoding}", ask("POST", do="bytes", headers=[("Content-Encoding", encoding)], body=b"\x00\xff" * 9), body=b"\x00\xff" * 9)


def row_079():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(4)
    begun = time.monotonic()
    try:
        sock.connect((resolve(N["bound"]), 443))
        sock.send(b"\xc0\x00\x00\x00\x01" + b"\x08" * 1200)
        seen = sock.recv(100)
    except OSError as problem:
        seen = problem
    took = time.monotonic() - begun
    refused_at_once = isinstance(seen, OSError) and not isinstance(seen, TimeoutError) and took < 3
    note("a QUIC packet to the bound host", "refused at once", refused_at_once, f"{seen} after {took:.2f} s")
    answer = ask(do="alt-svc")
    passed("an answer with Alt-Svc", answer)
    note("the header Alt-Svc", "taken out", not answer.header("alt-svc"), answer.header("alt-svc"))
    for kind in (65, 64):
        reply = dns(N["bound"], kind)
        records = int.from_bytes(reply[6:8], "big") if len(reply) > 8 else None
        note(f"a DNS record of type {kind}", "none", records == 0 and b"h3" not in reply, f"{records} records")


def dns(name, kind):
    question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0" + struct.pack(">HH", kind, 1)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(4)
    server = next(line.split()[1] for line in open("/etc/resolv.conf") if line.startswith("nameserver"))
    sock.sendto(struct.pack(">HHHHHH", 0x1234, 0x100, 1, 0, 0, 0) + question, (server, 53))
    try:
        return sock.recv(4096)
    except OSError:
        return b""


def row_080():
    begun = time.monotonic()
    with tls(N["bound"]) as sock:
        sock.sendall(request(headers=[("x-do", "events")]))
        answer = receive(sock, lambda text: b"data: first\n\n" in text, 5)
        took = time.monotonic() - begun
        note("the first event", "arrives while the stream is open", b"data: first\n\n" in answer.raw and took < 2, f"after {took:.2f} s", answer.raw, answer.code, 1)
        rest = answer.raw + receive(sock, lambda text: b": beat" in text, 5).raw
        note("a heartbeat", "arrives too", b": beat" in rest, rest[-80:], rest)
        note("the end of the stream", "not yet there", b"\r\n0\r\n" not in rest, rest[-20:])
    wire = H2()
    stream = wire.open(H2.fields(more=[("x-do", "events")]))
    begun, body = time.monotonic(), b""
    for kind, _, number, payload in wire.frames():
        body += payload if kind == wire.DATA and number == stream else b""
        if b"data: first\n\n" in body:
            break
    took = time.monotonic() - begun
    note("the first event over HTTP/2", "arrives while the stream is open", took < 2, f"after {took:.2f} s", body, None, 1)
    wire.close()


def leave_stream(how):
    if how == "resets its HTTP/2 stream":
        wire = H2()
        stream = wire.open(H2.fields(more=[("x-do", "drip")]))
        seen = next(payload for kind, _, number, payload in wire.frames() if kind == wire.DATA and number == stream)
        wire.send(wire.RST, 0, stream, struct.pack(">I", 8))
        note(f"a stream whose client {how}", "begins", b"drip" in seen, seen, seen, None, 1)
        passed("another request on the same connection", wire.answer(wire.open(H2.fields())))
        wire.close()
        return
    sock = tls(N["bound"])
    sock.sendall(request(headers=[("x-do", "drip")]))
    answer = receive(sock, lambda text: b"drip" in text)
    note(f"a stream whose client {how}", "begins", b"drip" in answer.raw, answer, answer.raw, None, 1)
    if how == "resets the connection":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def broken_answers():
    answer = raw(N["bound"], request(headers=[("x-do", "half")]), whole=False, timeout=6)
    ok = answer.error != "timeout" and not is_complete(answer)
    note("an answer that breaks off in the middle", "breaks off here too", ok, answer, answer.raw, None, 1)
    answer = ask("POST", do="break", body=b"x")
    note("a provider that breaks off before its answer", "502", answer.code == "EGRESS_UPSTREAM_PROTOCOL", answer, answer.raw, answer.code, 1)
    with tls(N["bound"]) as sock:
        sock.sendall(head("Content-Length: 100") + b"half")
        sock.shutdown(socket.SHUT_WR)
        answer = receive(sock, is_whole, 6)
    note("a client that closes its side in the middle of a body", "ended", answer.error != "timeout" and answer.status != 200, answer, answer.raw, answer.code,
         1)


def is_complete(answer):
    """Whether an answer was ended as a whole one is."""
    if b"chunked" in answer.header("transfer-encoding").lower():
        return answer.raw.endswith(b"0\r\n\r\n")
    length = answer.header("content-length")
    return length.isdigit() and len(answer.rest) >= int(length)


def row_082():
    data = bytes(range(256)) * 200 + b"\xff\xfe\x80\xc0\xaf\xed\xa0\x80" * 100
    want = hashlib.sha256(data).hexdigest()
    answer = ask("POST", do="bytes", body=data)
    got = hashlib.sha256(answer.body).hexdigest()
    note("every byte value there and back", "equal", got == want, got, b"", answer.code, 1)
    wire = H2()
    stream = wire.open(H2.fields("POST", more=[("x-do", "bytes")]), end=False)
    for at in range(0, len(data), 10000):
        wire.send(wire.DATA, 1 if at + 10000 >= len(data) else 0, stream, data[at:at + 10000])
    wire.send(wire.SETTINGS, 0, 0, struct.pack(">HI", 4, 1 << 20))
    answer = wire.answer(stream)
    note("the same over HTTP/2", "equal", answer.body == data, f"{answer.error} {len(answer.body)} bytes", b"", answer.code, 1)
    count = 3 << 20
    answer = raw(N["bound"], request(headers=[("x-do", f"source {count}")]), timeout=20)
    want = hashlib.sha256((bytes(range(256)) * (count // 256))).hexdigest()
    note("3 MiB of all byte values down", "equal", hashlib.sha256(answer.body).hexdigest() == want, f"{len(answer.body)} bytes", b"", answer.code, 1)


def row_083():
    line = "GET /mcp HTTP/1.0"
    answer = raw(N["bound"], head(line=line), whole=False, timeout=5)
    note("HTTP/1.0", "served and closed", answer.status == 200 and answer.error is None, answer, answer.raw, answer.code, 1)
    for name in ("authorization", "Authorization, x-other", "close, AUTHORIZATION"):
        answer = ask(do="echo", headers=[("Connection", name), ("x-other", "y")])
        passed(f"Connection: {name}", answer, body=b"authorization: Bearer ")
    for name in ("host", "content-length", "x-do, host"):
        answer = ask("POST", body=b"hello", headers=[("Connection", name)])
        passed(f"Connection: {name}", answer, body=b'"body_len":5')
    answer = ask("POST", "/v1/messages", N["model"], do="echo", place="x-api-key", scheme="", token=ANTHROPIC, headers=[("Connection", "x-api-key")], body=b"{}")
    passed("Connection: x-api-key", answer, body=b"x-api-key: ")


def row_084():
    answer = ask(do="range", headers=[("Range", "bytes=0-3")])
    passed("a range with a credential", answer)
    note("the range", "not passed on", answer.status == 200 and len(answer.body) > 4, answer)
    answer = ask(host=N["allowed"], path="/file", do="range", headers=[("Range", "bytes=0-3")], token=None)
    passed("a range at a host without a binding", answer, 0, 206, b"GET ")
