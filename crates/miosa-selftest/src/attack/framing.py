"""B4: where a message ends, and which protocol it is in."""
from lib import *
from protocols import *

MALFORMED = "EGRESS_MALFORMED_REQUEST"
NOTHING = (400, 405, 413, 414, 431, 501, 505)


def closed(name, data, host=None):
    """The parser must refuse: 4xx and the end of the connection, or the end alone. Its own refusals come
    before there is a request, so they have no code and no audit."""
    answer = raw(host or N["bound"], data, whole=False, timeout=4)
    answers = answer.raw.count(b"HTTP/1.1 ")
    is_refusal = answer.status in NOTHING and answer.code in (None, MALFORMED)
    ok = answer.error != "timeout" and (answer.status is None or is_refusal) and answers <= 1
    return note(name, "refused and closed", ok, answer, answer.raw, answer.code)


def broken_body(name, body):
    """A body in chunks that is none: the head has gone to the provider by then, and that request is broken off."""
    with tls(N["bound"]) as sock:
        sock.sendall(head("Transfer-Encoding: chunked"))
        time.sleep(0.5)
        sock.sendall(body)
        answer = receive(sock, None, 4)
    ok = answer.error != "timeout" and (answer.status is None or answer.code == MALFORMED) and answer.raw.count(b"HTTP/1.1 ") <= 1
    return note(name, "refused and closed", ok, answer, answer.raw, answer.code, 1)


def row_061():
    smuggled = head("Content-Length: 0", line="DELETE /mcp HTTP/1.1")
    body = b"0\r\n\r\n" + smuggled
    closed("length before encoding", head(f"Content-Length: {len(body)}", "Transfer-Encoding: chunked") + body)
    closed("encoding before length", head("Transfer-Encoding: chunked", "Content-Length: 4") + b"5\r\nhello\r\n0\r\n\r\n")
    for text in ("xchunked", "chunked, identity", "identity", "chunked, chunked", "gzip, chunked", "\x0bchunked", "chunked\x00",
                 "\"chunked\"", "chunked;q=1"):
        closed(f"encoding {text!r}", head(f"Transfer-Encoding: {text}") + b"5\r\nhello\r\n0\r\n\r\n")
    closed("two encodings", head("Transfer-Encoding: chunked", "Transfer-Encoding: identity") + b"0\r\n\r\n")
    closed("a space before the colon of the encoding", head("Transfer-Encoding : chunked") + b"0\r\n\r\n")
    closed("a folded encoding", head("Transfer-Encoding:\r\n chunked") + b"0\r\n\r\n")
    closed("two lengths, unlike", head("Content-Length: 5", "Content-Length: 6") + b"hello!")
    closed("two lengths, alike", head("Content-Length: 5", "Content-Length: 5") + b"hello")
    for text in ("+5", "0x5", "5, 5", "-1", "5 5", "5.", "", "99999999999999999999999", "5\x0b", "\xb5"):
        closed(f"length {text!r}", head(b"Content-Length: " + text.encode("latin1")) + b"hello")
    for size in ("5 5", "0x5", "+5", "-1", "g", "", "fffffffffffffffff", "5\n"):
        broken_body(f"chunk size {size!r}", size.encode() + b"\r\nhello\r\n0\r\n\r\n")
    broken_body("a chunk longer than it says", b"3\r\nhello\r\n0\r\n\r\n")
    broken_body("a chunk ended by a bare LF", b"5\r\nhello\n0\r\n\r\n")
    closed("an encoding in HTTP/1.0", head("Transfer-Encoding: chunked", line="POST /mcp HTTP/1.0") + b"5\r\nhello\r\n0\r\n\r\n")
    passed("a plain length", raw(N["bound"], head("Content-Length: 5") + b"hello"), body=b'"body_len":5')
    passed("plain chunks", raw(N["bound"], head("Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n\r\n"), body=b'"body_len":5')


def row_062():
    whole = head("x-a: b", line="GET /mcp HTTP/1.1")
    closed("bare LF at every line", whole.replace(b"\r\n", b"\n"))
    closed("bare LF after one header", whole.replace(b"x-a: b\r\n", b"x-a: b\n"))
    closed("bare CR in a value", whole.replace(b"x-a: b", b"x-a: b\rAuthorization: c"))
    closed("bare CR at the end of a line", whole.replace(b"x-a: b\r\n", b"x-a: b\rx-b: c\r\n"))
    closed("a space before the colon", whole.replace(b"x-a:", b"x-a :"))
    closed("a tab before the colon", whole.replace(b"x-a:", b"x-a\t:"))
    closed("a folded line", whole.replace(b"x-a: b", b"x-a: b\r\n c: d"))
    closed("a folded credential", head("x-a: b", "Authorization:\r\n Bearer " + TOKEN, line="GET /mcp HTTP/1.1", token=False))
    closed("NUL in a value", whole.replace(b"x-a: b", b"x-a: b\x00c"))
    closed("NUL in a name", whole.replace(b"x-a:", b"x\x00a:"))
    closed("an empty name", whole.replace(b"x-a:", b":"))
    closed("no colon", whole.replace(b"x-a: b", b"x-a"))
    closed("a name with a slash", whole.replace(b"x-a:", b"x/a:"))
    closed("a first line that begins with a space", b" " + whole)
    closed("two spaces in the first line", whole.replace(b"GET /mcp", b"GET  /mcp"))
    closed("a tab in the first line", whole.replace(b"GET /mcp", b"GET\t/mcp"))
    closed("a NUL in the target", whole.replace(b"/mcp ", b"/mcp\x00 "))
    closed("a version that is none", whole.replace(b"HTTP/1.1", b"HTTP/1.x"))
    closed("HTTP/0.9", b"GET /mcp\r\n\r\n")
    passed("without any of it", raw(N["bound"], whole))


def row_063():
    lines = f"x\r\nAuthorization: Bearer {TOKEN}\r\nHost: {N['attacker']}\r\n\r\n".encode()
    answer = ask("POST", do="bytes", body=lines)
    passed("lines like headers in a body", answer, body=lines)
    pieces = [lines[:7], lines[7:30], lines[30:]]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    data = head("Transfer-Encoding: chunked", "x-do: bytes") + chunks
    for size in (None, 16):
        passed(f"the same in chunks, writes of {size or 'all'}", raw(N["bound"], data, pieces=size), body=lines)
    small = head("Transfer-Encoding: chunked", "x-do: bytes") + b"".join(b"1\r\n%c\r\n" % byte for byte in lines) + b"0\r\n\r\n"
    passed("the same, one byte a chunk", raw(N["bound"], small), body=lines)


def pipelined(data, count, timeout=6):
    """All answers of one connection."""
    with tls(N["bound"]) as sock:
        sock.sendall(data)
        return receive(sock, lambda text: text.count(b"HTTP/1.1 ") >= count and is_whole(text[text.rindex(b"HTTP/1.1 "):]), timeout)


def row_064():
    first = head("Content-Length: 5") + b"hello"
    good = head(line="GET /mcp HTTP/1.1")
    other_path = head(line="GET /other HTTP/1.1")
    answer = pipelined(first + other_path, 2)
    ok = answer.status == 200 and b"EGRESS_PATH_NOT_BOUND" in answer.raw
    note("a bound request, then another path, in one write", "the second is refused by itself", ok, answer.raw[-300:], answer.raw,
         "EGRESS_PATH_NOT_BOUND", 1)
    unknown = good.replace(TOKEN[-4:].encode(), b"0000" if TOKEN[-4:] != "0000" else b"1111")
    answer = pipelined(first + unknown + good, 3)
    ok = answer.raw.count(b"HTTP/1.1 200") == 2 and b"EGRESS_PLACEHOLDER_UNKNOWN" in answer.raw
    note("an unknown placeholder between two good requests", "refused alone", ok, answer.raw[-300:], answer.raw,
         "EGRESS_PLACEHOLDER_UNKNOWN", 2)
    other_host = head(line="GET /mcp HTTP/1.1", host=N["attacker"])
    answer = pipelined(first + other_host, 2)
    ok = b"EGRESS_AUTHORITY_MISMATCH" in answer.raw
    note("another host behind a body", "refused", ok, answer.raw[-300:], answer.raw, "EGRESS_AUTHORITY_MISMATCH", 1)
    refused_first = head("Content-Length: %d" % len(good), line="POST /other HTTP/1.1") + good
    answer = pipelined(refused_first, 1)
    ok = answer.raw.count(b"HTTP/1.1 ") == 1 and answer.code == "EGRESS_PATH_NOT_BOUND"
    note("a request as the body of a refused one", "stays a body", ok, answer, answer.raw, answer.code)


def row_065():
    for size in (1, 7):
        passed(f"{size} bytes a write and TLS record", ask(pieces=size))
    wrong = TOKEN[:-1] + ("0" if TOKEN[-1] != "0" else "1")
    refused("an unknown one, 3 bytes a write", ask(pieces=3, token=wrong), "EGRESS_PLACEHOLDER_UNKNOWN")
    for size in (50, 77, 90):
        answer = continued(H2.fields(), size)
        passed(f"CONTINUATION frames of {size} bytes", answer)
    answer = continued(H2.fields(), 1)
    note("CONTINUATION frames of a byte", "the connection is ended", answer.error in ("GOAWAY 11", "GOAWAY 1"), answer, answer.raw)
    answer = continued(H2.fields(token=None, more=[("x-other", TOKEN)]), 80)
    note("the same in a header that is not its place", "refused", answer.code == "EGRESS_PLACEHOLDER_MISPLACED", answer, answer.raw, answer.code)


def continued(fields, size, wire=None):
    try:
        wire = wire or H2()
        block, stream = H2.block(fields), wire.next
        pieces = [block[at:at + size] for at in range(0, len(block), size)]
        frames = [wire.frame(wire.HEADERS, 1, stream, pieces[0])]
        frames += [wire.frame(wire.CONTINUATION, 4 if piece is pieces[-1] else 0, stream, piece) for piece in pieces[1:]]
        wire.sock.sendall(b"".join(frames))
        return wire.answer(stream)
    except OSError as problem:
        return Answer(error=type(problem).__name__, body=b"")


def row_066():
    answer = raw(N["bound"], head("Transfer-Encoding: chunked") + b"5;name=" + TOKEN.encode() + b"\r\nhello\r\n0;last\r\n\r\n")
    seen = answer.json() or {}
    note("chunk extensions with a placeholder", "dropped, or refused", answer.status == 400 or seen.get("beside") == [], answer, answer.raw,
         answer.code, 1 if answer.status == 200 else 0)
    for name in ("x-sum", "Authorization"):
        value = "Bearer " + TOKEN
        answer = raw(N["bound"], head("Transfer-Encoding: chunked", f"Trailer: {name}") + f"5\r\nhello\r\n0\r\n{name}: {value}\r\n\r\n".encode())
        seen = answer.json() or {}
        note(f"a trailer {name}", "dropped", answer.status == 200 and seen.get("beside") == [] and seen.get("body_len") == 5, answer, answer.raw,
             answer.code, 1)
    answer = raw(N["bound"], head("Transfer-Encoding: chunked", token=False) + f"5\r\nhello\r\n0\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
    refused("the credential in a trailer alone", answer, "EGRESS_CREDENTIAL_REQUIRED")
    wire = H2()
    stream = wire.open(H2.fields("POST"), end=False)
    wire.send(wire.DATA, 0, stream, b"hello")
    wire.send(wire.HEADERS, 5, stream, wire.block([("authorization", "Bearer " + TOKEN)]))
    answer = wire.answer(stream)
    seen = answer.json() or {}
    note("HTTP/2 trailers with a credential", "dropped", seen.get("beside") == [] and seen.get("body_len") == 5, answer, answer.raw, answer.code, 1)


def row_067():
    with tls(N["bound"]) as sock:
        sock.sendall(head("Content-Length: 5", "Expect: 100-continue"))
        first = receive(sock, lambda text: b"\r\n\r\n" in text, 5)
        note("Expect: 100-continue", "100 before the body", first.raw.startswith(b"HTTP/1.1 100"), first.raw[:60], first.raw)
        sock.sendall(b"hello")
        passed("the answer after it", receive(sock, is_whole), body=b'"body_len":5')
    answer = ask("POST", "/other", headers=[("Expect", "100-continue"), ("Content-Length", "5")], timeout=8)
    refused("Expect with what is refused anyway", answer, "EGRESS_PATH_NOT_BOUND")
    passed("two answers 103 with the value before the answer", ask(do="echo-1xx"), body=b"after the hints")


def broken_head(name, fields):
    """A head no client may send: an error of the stream or connection, or a refusal by the parser or with
    a code; no answer of the provider's."""
    answer = h2(fields)
    ok = answer.error != "timeout" and (answer.code or b"provider" not in answer.body)
    return note(name, "an error of the stream, or a refusal", ok, answer, answer.raw, answer.code)


def row_072():
    fields = H2.fields()
    broken_head("a pseudo-header behind a header", fields + [(":path", "/mcp")])
    broken_head("the path behind a header", [field for field in fields if field[0] != ":path"] + [(":path", "/mcp")])
    for name in (":method", ":path", ":authority", ":scheme"):
        double = [field for field in fields if field[0] == name]
        broken_head(f"{name} twice", double + fields)
    broken_head("a pseudo-header nobody knows", [(":other", "x")] + fields)
    broken_head("an answer's pseudo-header", [(":status", "200")] + fields)
    broken_head("no path", [field for field in fields if field[0] != ":path"])
    broken_head("no method", fields[1:])
    broken_head("an upper-case name", fields + [("X-Upper", "x")])
    for name, value in (("connection", "x-hop"), ("transfer-encoding", "chunked"), ("keep-alive", "1"), ("proxy-connection", "x"),
                        ("upgrade", "websocket"), ("te", "gzip")):
        broken_head(f"{name}: {value}", fields + [(name, value)])
    wire = H2()
    wire.send(wire.DATA, 1, 1, b"data")
    answer = wire.answer(1, 4)
    note("DATA before HEADERS", "an error", answer.error not in (None, "timeout"), answer, answer.raw)
    wire = H2()
    stream = wire.open(H2.fields("POST", "/other", more=[("content-length", "3")]), end=False)
    wire.send(wire.DATA, 1, stream, b"hello")
    answer = wire.answer(stream, 4)
    note("more DATA than content-length", "an error", answer.error not in (None, "timeout") or answer.code, answer, answer.raw, answer.code)
    wire = H2()
    wire.send(wire.HEADERS, 5, 2, wire.block(fields))
    answer = wire.answer(2, 4)
    note("a stream with an even number", "an error", answer.error not in (None, "timeout"), answer, answer.raw)
    passed("without any of it", h2(fields))


def row_073():
    fields = H2.fields()
    for name, value in (("CR LF in a value", b"a\r\nAuthorization: x"), ("LF in a value", b"a\nb"), ("CR in a value", b"a\rb"), ("NUL in a value", b"a\0b")):
        broken_head(name, fields + [("x-a", value)])
    for name, field in (("CR LF in a name", b"x-a\r\nb"), ("a space in a name", b"x a"), ("a colon in a name", b"x:a"), ("an empty name", b"")):
        broken_head(name, fields + [(field, "x")])
    for name, path in (("a space in the path", "/mcp HTTP/1.1\r\nx: y"), ("CR LF in the path", "/mcp\r\nx: y"), ("a blank in the path", "/mcp x"),
                       ("a path without a slash", "mcp"), ("a whole URL as path", "https://attacker.example/mcp")):
        broken_head(name, H2.fields(path=path))
    for name, method in (("a space in the method", "GET /mcp HTTP/1.1\r\n"), ("CR LF in the method", "GET\r\n"), ("an empty method", "")):
        broken_head(name, H2.fields(method=method))
    broken_head("CR LF in :authority", H2.fields(authority=N["bound"] + "\r\nx: y"))
    broken_head("user information in :authority", H2.fields(authority="x@" + N["bound"]))
    broken_head("a scheme that is none", [(":scheme", "https://x/\r\n") if name == ":scheme" else (name, value) for name, value in fields])
    broken_head("two content-lengths", H2.fields("POST", more=[("content-length", "0"), ("content-length", "5")]))
    broken_head("a content-length that is no number", H2.fields("POST", more=[("content-length", "+0")]))


def row_076():
    import mcp
    mcp.row_076()


if __name__ == "__main__":
    run(globals())
