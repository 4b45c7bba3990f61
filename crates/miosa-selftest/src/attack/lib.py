"""What all attack programs use: connections made by hand, and steps noted down.

A program is started with one JSON argument {"function", "argument", "names"}; it calls that function and
prints {"steps": [...], "value": ...} as its last line. A step says what was tried, what must happen, and
what happened; whatever came over the wire goes along, so that it can be searched for real values outside.
"""
import base64, json, os, socket, ssl, struct, subprocess, sys, time

CALL = json.loads(sys.argv[1])
N = CALL["names"]
ARGUMENT = CALL.get("argument")
TOKEN = os.environ.get("REFERO_MCP_TOKEN", "")
GITHUB = os.environ.get("GITHUB_TOKEN", "")
ANTHROPIC = os.environ.get("ANTHROPIC_API_KEY", "")
OPENAI = os.environ.get("OPENAI_API_KEY", "")
TIMEOUT = 10.0
LOCAL_TIMEOUT = 4.0
STEPS = []


def note(name, required, ok, seen, got=b"", code=None, uses=0, no_audit=False):
    STEPS.append({"name": name, "required": required, "ok": bool(ok), "seen": str(seen)[:400], "code": code,
                  "uses": uses, "no_audit": no_audit, "got": base64.b64encode(got[:1 << 20]).decode()})
    return ok


class Answer:
    """What came back: raw bytes, and what they say if they are an HTTP answer."""

    def __init__(self, raw=b"", error=None, body=None, status=None):
        self.raw, self.error, self.headers = raw, error, []
        self.status, self.body = status, body or b""
        if body is None:
            self.parse()

    def parse(self):
        text = self.raw
        while True:
            head, found, rest = text.partition(b"\r\n\r\n")
            if not found or not head.startswith(b"HTTP/1."):
                return
            lines = head.split(b"\r\n")
            self.status = int(lines[0].split(b" ")[1])
            self.headers = [tuple(part.strip() for part in line.split(b":", 1)) for line in lines[1:] if b":" in line]
            if self.status >= 200 or self.status == 101:
                break
            text = rest
        self.rest = rest
        self.body = unchunked(rest) if b"chunked" in self.header("transfer-encoding").lower() else rest
        length = self.header("content-length")
        if length.isdigit():
            self.body = rest[:int(length)]

    def header(self, name):
        return b", ".join(value for key, value in self.headers if key.lower() == name.lower().encode())

    @property
    def code(self):
        try:
            return json.loads(self.body)["error"]["code"]
        except (ValueError, KeyError, TypeError):
            return None

    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def __str__(self):
        what = self.code or self.body[:120].decode("latin1")
        return f"{self.status} {what}" if self.status else f"no answer ({self.error or 'closed'}) {self.raw[:60]!r}"


def unchunked(text):
    out = b""
    while True:
        line, found, text = text.partition(b"\r\n")
        try:
            size = int(line.split(b";")[0], 16)
        except ValueError:
            return out
        if not size:
            return out
        out, text = out + text[:size], text[size + 2:]


def explained(answer):
    """Whether a refusal says what was refused, by which rule and what to do, and repeats no placeholder."""
    error = (answer.json() or {}).get("error", {})
    is_said = all(isinstance(error.get(part), str) and error[part] for part in ("message", "hint", "rule"))
    return is_said and b"miosa-tok-" not in answer.raw + answer.body


def refused(name, answer, *codes, no_audit=False):
    """The answer must be a refusal with one of these codes that explains itself; nothing with a credential may reach
    anybody."""
    ok = answer.status is not None and 400 <= answer.status < 600 and answer.code in codes and explained(answer)
    return note(name, "refused: " + " or ".join(codes), ok, answer, answer.raw, answer.code, 0, no_audit)


def cut(name, answer):
    """The connection must end without anything: where no answer is possible."""
    ok = answer.status is None and answer.error != "timeout"
    return note(name, "cut off", ok, answer, answer.raw)


def stopped(name, answer, *codes):
    """Refused with a code, or cut off where the peer's parser gave up first."""
    ok = answer.code in codes if answer.status else answer.error != "timeout"
    return note(name, "refused (" + " or ".join(codes) + ") or cut off", ok, answer, answer.raw, answer.code)


def harmless(name, answer):
    """To an allowed host of anybody: refused, or passed on with nothing but the placeholder in it (what arrives
    there is searched for real values outside)."""
    ok = (answer.code or "").startswith("EGRESS_") or answer.status == 200
    return note(name, "refused, or nothing but the placeholder leaves", ok, answer, answer.raw, answer.code)


def passed(name, answer, uses=1, status=200, body=None):
    """The provider must have answered, after `uses` requests with a credential."""
    ok = answer.status == status and answer.code is None and (body is None or body in answer.body)
    return note(name, f"passed, {status}" + (f" with {body!r}" if body else ""), ok, answer, answer.raw, answer.code, uses)


def turned_away(name, answer, *codes):
    """Refused with a code, or ended by HTTP/2's own means, where a parser knows no request it could answer."""
    ended = answer.status is None and str(answer.error).startswith(("RST_STREAM", "GOAWAY"))
    return note(name, "refused: " + " or ".join(codes), answer.code in codes or ended, answer, answer.raw, answer.code)


def resolve(host, port=443):
    return socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_STREAM)[0][4][0]


def tcp(host, port=443, timeout=TIMEOUT):
    """A connection to a name or an address."""
    return socket.create_connection((host, port), timeout=timeout)


def tls(host, sni=None, port=443, alpn=("http/1.1",), address=None, verify=False, context=None):
    """TLS to `address` (the looked-up one of `host` unless given) with server name `sni` (`host` unless given;
    an empty one is none)."""
    if context is None:
        context = ssl.create_default_context()
        if not verify:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if alpn:
            context.set_alpn_protocols(list(alpn))
    name = host if sni is None else sni
    sock = tcp(address or host, port)
    return context.wrap_socket(sock, server_hostname=name or None)


def receive(sock, until=None, timeout=TIMEOUT):
    """Everything until the peer ends, a whole answer is here, or time is over."""
    raw, error, end = b"", None, time.monotonic() + timeout
    while True:
        sock.settimeout(max(0.01, end - time.monotonic()))
        try:
            piece = sock.recv(65536)
        except (socket.timeout, TimeoutError):
            error = "timeout"
            break
        except (OSError, ssl.SSLError) as problem:
            error = type(problem).__name__
            break
        if not piece:
            break
        raw += piece
        if until and until(raw):
            break
    return Answer(raw, error)


def is_whole(raw):
    """Whether `raw` is a whole answer with a declared length."""
    answer = Answer(raw)
    if answer.status is None:
        return False
    length = answer.header("content-length")
    if length.isdigit():
        return len(answer.rest) >= int(length)
    if b"chunked" in answer.header("transfer-encoding").lower():
        return answer.rest.endswith(b"0\r\n\r\n") or b"\r\n0\r\n" in answer.rest
    return answer.status in (204, 304)


def request(method="GET", path="/mcp", host=None, headers=(), body=b"", token=TOKEN, scheme="Bearer ", place="Authorization"):
    """A request as bytes: `headers` are (name, value) pairs; with a body its length is declared."""
    lines = [f"{method} {path} HTTP/1.1"]
    if host is not False:
        lines.append(f"Host: {host or N['bound']}")
    if token:
        lines.append(f"{place}: {scheme}{token}")
    lines += [f"{name}: {value}" for name, value in headers]
    if body and not any(name.lower() in ("content-length", "transfer-encoding") for name, _ in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body


def send(sock, data, pieces=None):
    """Sends; `pieces` is a size for each write, with a pause so that they stay apart."""
    if pieces is None:
        sock.sendall(data)
        return
    for start in range(0, len(data), pieces):
        sock.sendall(data[start:start + pieces])
        time.sleep(0.002)


def raw(host, data, sni=None, port=443, address=None, pieces=None, timeout=TIMEOUT, whole=True):
    """Sends bytes over TLS and gives the answer; whatever fails is part of it."""
    try:
        with tls(host, sni, port, address=address) as sock:
            try:
                send(sock, data, pieces)
            except OSError:
                pass
            return receive(sock, is_whole if whole else None, timeout)
    except (OSError, ssl.SSLError, ValueError) as problem:
        return Answer(error=type(problem).__name__ + ": " + str(problem)[:80])


def plain(host, data, port=80, timeout=TIMEOUT):
    """As `raw`, without TLS."""
    try:
        with tcp(host, port) as sock:
            sock.sendall(data)
            return receive(sock, is_whole, timeout)
    except OSError as problem:
        return Answer(error=type(problem).__name__ + ": " + str(problem)[:80])


def ask(method="GET", path="/mcp", host=None, do=None, **more):
    """An honest request to `host` (the bound one unless given), and its answer."""
    host = host or N["bound"]
    headers = list(more.pop("headers", ()))
    if do:
        headers.append(("x-do", do))
    wire = {key: more.pop(key) for key in ("sni", "port", "address", "pieces", "timeout", "whole") if key in more}
    return raw(host, request(method, path, more.pop("hosthdr", host), headers, **more), **wire)


def dns(name, kind=1, over_tcp=False, server=None, timeout=LOCAL_TIMEOUT):
    """Asks the sandbox's name server, or another one; `name` may hold any bytes. Gives (code, answers) with
    (type, data) for each, or None without an answer."""
    name = name if isinstance(name, bytes) else name.encode()
    labels = b"".join(bytes([len(label)]) + label for label in name.rstrip(b".").split(b"."))
    question = struct.pack(">HHHHHH", 0x4d69, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", kind, 1)
    server = server or name_server()
    try:
        if over_tcp:
            with tcp(server, 53, timeout) as sock:
                sock.sendall(struct.pack(">H", len(question)) + question)
                reply = receive(sock, lambda raw: len(raw) > 2 and len(raw) >= 2 + int.from_bytes(raw[:2], "big"), timeout).raw[2:]
        else:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.settimeout(timeout)
                sock.connect((server, 53))
                sock.send(question)
                reply = sock.recv(65536)
    except OSError:
        return None
    return read_dns(reply) if len(reply) >= 12 else None


def read_dns(reply):
    code, counts, at, found = reply[3] & 15, struct.unpack(">HHHH", reply[4:12]), 12, []

    def skip(at):
        while reply[at]:
            if reply[at] >= 192:
                return at + 2
            at += reply[at] + 1
        return at + 1

    for _ in range(counts[0]):
        at = skip(at) + 4
    for _ in range(sum(counts[1:])):
        at = skip(at)
        kind, _, _, length = struct.unpack(">HHIH", reply[at:at + 10])
        found.append((kind, reply[at + 10:at + 10 + length]))
        at += 10 + length
    return code, found


def name_server():
    lines = [line.split() for line in open("/etc/resolv.conf")]
    return next(words[1] for words in lines if words and words[0] == "nameserver")


def client_hello(server_name, more=b"", first=b"", versions=(0x0303,)):
    """A ClientHello for TLS 1.2 by hand, so that its answer shows the certificate: extensions `first`, `more`,
    the server name (bytes; last), as one handshake message without its record."""
    def ext(kind, data):
        return struct.pack(">HH", kind, len(data)) + data
    name = struct.pack(">HBH", len(server_name) + 3, 0, len(server_name)) + server_name
    extensions = first + ext(10, struct.pack(">HHHH", 6, 29, 23, 24)) + ext(11, b"\x01\x00") + ext(23, b"")
    extensions += ext(13, struct.pack(">HHHHHH", 10, 0x0403, 0x0503, 0x0804, 0x0401, 0x0807)) + more + ext(0, name)
    ciphers = struct.pack(">HHHHH", 8, 0xc02b, 0xc02f, 0xc02c, 0xcca9)
    body = b"\x03\x03" + os.urandom(32) + b"\x00" + ciphers + b"\x01\x00" + struct.pack(">H", len(extensions)) + extensions
    return b"\x01" + struct.pack(">I", len(body))[1:] + body


def records(message, size=16000):
    """A handshake message as TLS records of at most `size` bytes."""
    pieces = [message[start:start + size] for start in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + struct.pack(">H", len(piece)) + piece for piece in pieces)


def wire(host, data, port=443, pieces=None, timeout=TIMEOUT, until=None):
    """Sends bytes as they are over TCP; what came back until the peer ended or `until` holds."""
    try:
        with tcp(host, port) as sock:
            try:
                send(sock, data, pieces)
            except OSError:
                pass
            return receive(sock, until or is_whole, timeout)
    except OSError as problem:
        return Answer(error=type(problem).__name__ + ": " + str(problem)[:80])


def curl(*arguments, token=TOKEN):
    """What curl receives for a request with the placeholder: its last answer, with the bytes of all, and what it
    complains of."""
    base = ["curl", "-sS", "-k", "-i", "--http1.1", "--max-time", "8", "--path-as-is", "-H", f"Authorization: Bearer {token}"]
    done = subprocess.run(base + list(arguments), capture_output=True, timeout=20)
    answer = Answer(done.stdout[max(0, done.stdout.rfind(b"HTTP/1.")):])
    answer.raw = done.stdout
    return answer, done.stderr.decode("latin1").strip()


def lost(text, needle):
    """Whether `needle` (bytes) is in no part of `text`."""
    return needle not in text


def websocket_headers(*more):
    return [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), *more]


class Socket:
    """A WebSocket by hand."""

    def __init__(self, host=None, token=GITHUB, more=()):
        self.sock = tls(host or N["wide"])
        self.sock.sendall(request("GET", "/socket", host or N["wide"], websocket_headers(*more), token=token))
        self.answer = receive(self.sock, lambda text: b"\r\n\r\n" in text)
        self.buffer = self.answer.raw.partition(b"\r\n\r\n")[2]

    def send(self, payload, opcode=1, final=True, compressed=False):
        first = (128 if final else 0) | (64 if compressed else 0) | opcode
        length = bytes([128 | len(payload)]) if len(payload) < 126 else b"\xfe" + struct.pack(">H", len(payload))
        mask = b"\x12\x34\x56\x78"
        self.sock.sendall(bytes([first]) + length + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload)))

    def receive(self, timeout=6):
        """(opcode, payload), or None at the end of the connection."""
        self.sock.settimeout(timeout)
        try:
            while True:
                if len(self.buffer) >= 2:
                    length, start = self.buffer[1] & 127, 2
                    if length == 126:
                        length, start = int.from_bytes(self.buffer[2:4], "big"), 4
                    if len(self.buffer) >= start + length:
                        frame, self.buffer = self.buffer[:start + length], self.buffer[start + length:]
                        return frame[0] & 15, frame[start:]
                piece = self.sock.recv(65536)
                if not piece:
                    return None
                self.buffer += piece
        except (OSError, ssl.SSLError) as problem:
            return None if not isinstance(problem, (socket.timeout, TimeoutError)) else ("timeout", b"")


class H2:
    """HTTP/2 by hand: frames and literal header fields, so that anything can be said."""

    PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)

    def __init__(self, host=None, sni=None, address=None):
        host = host or N["bound"]
        self.sock = tls(host, sni, alpn=("h2",), address=address)
        self.is_h2 = self.sock.selected_alpn_protocol() == "h2"
        self.buffer, self.raw, self.next = b"", b"", 1
        self.sock.sendall(self.PREFACE + self.frame(self.SETTINGS, 0, 0, b""))

    @staticmethod
    def frame(kind, flags, stream, payload):
        return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload

    @staticmethod
    def split(text):
        """Kind, flags, stream and payload of each frame in bytes that were received."""
        while len(text) >= 9:
            end = 9 + int.from_bytes(text[:3], "big")
            yield text[3], text[4], int.from_bytes(text[5:9], "big"), text[9:end]
            text = text[end:]

    @staticmethod
    def integer(value, prefix_max):
        if value < prefix_max:
            return bytes([value])
        out, value = bytes([prefix_max]), value - prefix_max
        while value >= 128:
            out, value = out + bytes([value % 128 + 128]), value // 128
        return out + bytes([value])

    @classmethod
    def block(cls, fields):
        """Literal fields without indexing."""
        out = b""
        for name, value in fields:
            name = name if isinstance(name, bytes) else name.encode()
            value = value if isinstance(value, bytes) else value.encode()
            out += b"\x00" + cls.integer(len(name), 127) + name + cls.integer(len(value), 127) + value
        return out

    @staticmethod
    def fields(method="GET", path="/mcp", authority=None, token=TOKEN, more=()):
        fields = [(":method", method), (":scheme", "https")]
        if authority is not False:
            fields.append((":authority", authority or N["bound"]))
        fields.append((":path", path))
        if token:
            fields.append(("authorization", "Bearer " + token))
        return fields + list(more)

    def send(self, kind, flags, stream, payload=b""):
        self.sock.sendall(self.frame(kind, flags, stream, payload))

    def open(self, fields, end=True):
        """Sends a head; gives the stream's number."""
        stream, self.next = self.next, self.next + 2
        self.send(self.HEADERS, 4 | (1 if end else 0), stream, self.block(fields))
        return stream

    def frames(self, timeout=TIMEOUT):
        end = time.monotonic() + timeout
        while True:
            while len(self.buffer) >= 9:
                length = int.from_bytes(self.buffer[:3], "big")
                if len(self.buffer) < 9 + length:
                    break
                frame, self.buffer = self.buffer[:9 + length], self.buffer[9 + length:]
                yield frame[3], frame[4], int.from_bytes(frame[5:9], "big"), frame[9:]
            self.sock.settimeout(max(0.01, end - time.monotonic()))
            piece = self.sock.recv(65536)
            if not piece:
                raise EOFError
            self.buffer += piece
            self.raw += piece

    def answer(self, stream, timeout=TIMEOUT):
        """The body of a stream's answer, or how the stream or the connection ended."""
        body, head = b"", False
        try:
            for kind, flags, number, payload in self.frames(timeout):
                if kind == self.SETTINGS and not flags & 1:
                    self.send(self.SETTINGS, 1, 0)
                elif kind == self.PING and not flags & 1:
                    self.send(self.PING, 1, 0, payload)
                elif kind == self.GOAWAY:
                    return Answer(self.raw, f"GOAWAY {int.from_bytes(payload[4:8], 'big')}", body=body)
                elif kind == self.RST and number == stream:
                    return Answer(self.raw, f"RST_STREAM {int.from_bytes(payload[:4], 'big')}", body=body)
                elif number == stream and kind == self.HEADERS:
                    head = True
                    if flags & 1:
                        break
                elif number == stream and kind == self.DATA:
                    body += payload
                    if flags & 1:
                        break
        except (socket.timeout, TimeoutError):
            return Answer(self.raw, "timeout", body=body)
        except (OSError, EOFError) as problem:
            return Answer(self.raw, type(problem).__name__, body=body)
        answer = Answer(self.raw, None, body=body, status=200)
        if answer.code:
            answer.status = 403
        return answer

    def close(self):
        self.sock.close()


def h2(fields, **more):
    """One request on a connection of its own."""
    try:
        wire = H2(**more)
        try:
            return wire.answer(wire.open(fields))
        finally:
            wire.close()
    except OSError as problem:
        return Answer(error=type(problem).__name__, body=b"")


def run(program):
    """Calls the function asked for and prints what came of it."""
    value = program[CALL["function"]](*([] if ARGUMENT is None else [ARGUMENT]))
    print(json.dumps({"steps": STEPS, "value": value}))
