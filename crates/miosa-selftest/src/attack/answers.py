"""B6: what comes back."""
from lib import *

MARK = b"miosa-tok-"


def echoed(name, answer, uses=1, status=200):
    """The answer must come with the placeholder where the value was; that no value came is seen outside."""
    ok = answer.status == status and answer.code is None and MARK in answer.raw
    return note(name, "the placeholder instead", ok, answer, answer.raw, answer.code, uses)


def row_096():
    echoed("the request's head in a body", ask(do="echo"))
    echoed("the same over HTTP/2", h2(H2.fields(more=[("x-do", "echo")])))
    echoed("an error that names the key", ask(do="echo-error"), status=401)
    echoed("a provider of HTTP/2", ask(path="/user", host=N["wide"], token=GITHUB, do="echo"))
    echoed("a model's key", ask("POST", "/v1/messages", N["model"], place="x-api-key", scheme="", token=ANTHROPIC, do="echo", body=b"{}"))
    text = base64.b64encode(f"x:{GITHUB}".encode()).decode()
    answer = ask(path="/owner/repo.git/info/refs", host=N["git"], scheme="Basic ", token=text, do="echo")
    passed("a rendered Basic", answer)


def row_097():
    answer = ask(do="echo-header")
    passed("the value in six headers", answer, body=b"see the headers")
    for name in ("x-debug", "set-cookie", "location", "www-authenticate", "link"):
        note(f"the header {name}", "the placeholder in it", MARK in answer.header(name), answer.header(name)[:80])
    answer = h2(H2.fields(more=[("x-do", "echo-header")]))
    passed("the same over HTTP/2", answer, body=b"see the headers")


def row_098():
    answer = ask(do="echo-forms")
    passed("the value in some twenty forms", answer)
    lines = answer.body.decode("latin1").split("\n")
    note("the first form", "the placeholder", lines[0] == TOKEN, lines[0])
    note("the hexadecimal form", "the placeholder in hexadecimal", TOKEN.encode().hex() in lines, [line[:20] for line in lines])


def row_099():
    echoed("one byte a chunk", ask(do="echo-split", timeout=20))
    echoed("one byte a DATA frame", ask(path="/user", host=N["wide"], token=GITHUB, do="echo-frames"))
    echoed("one byte a DATA frame, HTTP/2 here too",
           h2(H2.fields("GET", "/user", N["wide"], GITHUB, [("x-do", "echo-frames")]), host=N["wide"]))
    begun = time.monotonic()
    with tls(N["bound"]) as sock:
        sock.sendall(request(headers=[("x-do", "events")]))
        answer = receive(sock, lambda text: b": beat" in text, 6)
    took = time.monotonic() - begun
    note("over two writes of an event stream", "the placeholder, and events flow", MARK in answer.raw and b": beat" in answer.raw and took < 4,
         f"after {took:.2f} s", answer.raw, answer.code, 1)


def row_100():
    answer = ask(do="echo", headers=[("Accept-Encoding", "gzip, br, zstd, deflate")])
    echoed("an echo with compression asked for", answer)
    note("what the provider was asked", "no compression", b"accept-encoding: identity" in answer.body.lower(), answer.body[-200:])
    answer = ask("POST", do="echo-gzip", body=b"x")
    note("a compressed answer", "refused", answer.code == "EGRESS_RESPONSE_NOT_INSPECTABLE", answer, answer.raw, answer.code, 1)


def row_101():
    passed("two answers 103 with the value", ask(do="echo-1xx"), body=b"after the hints")
    answer = raw(N["bound"], request(headers=[("x-do", "echo-trailer"), ("TE", "trailers")]), whole=False, timeout=5)
    passed("a trailer with the value", answer, body=b"body")
    for name, host, path, token in (("HTTP/1", N["bound"], "/mcp", TOKEN), ("HTTP/2", N["wide"], "/user", GITHUB)):
        answer = h2(H2.fields("GET", path, host, token, [("x-do", "echo-trailer"), ("te", "trailers")]), host=host)
        passed(f"a trailer of a provider of {name}, over HTTP/2", answer, body=b"body")
    wire = H2(N["wide"])
    wire.send(wire.SETTINGS, 0, 0, struct.pack(">HI", 2, 1))
    answer = wire.answer(wire.open(H2.fields("GET", "/user", N["wide"], GITHUB)))
    pushed = [kind for kind, *_ in H2.split(answer.raw) if kind == wire.PUSH]
    passed("a client that takes pushes", answer)
    note("pushes", "none", not pushed, pushed)


def row_102():
    whole = ask(do="range")
    echoed("all of an echo", whole)
    for start in (0, 40, 60, 61):
        answer = ask(do="range", headers=[("Range", f"bytes={start}-{start}"), ("If-Range", "x")])
        ok = answer.status == 200 and len(answer.body) > 10
        note(f"byte {start} of an echo", "the whole, searched", ok, answer, answer.raw, answer.code, 1)


def row_103():
    wire = Socket()
    note("a WebSocket", "101", wire.answer.status == 101, wire.answer, wire.answer.raw, None, 1)
    wire.send(b"hello")
    note("a message", "back", wire.receive() == (1, b"hello"), "")
    wire.send(b"credential")
    back = wire.receive()
    note("a frame with the value", "the connection is cut before it", back is None, back, back[1] if back else b"")


def row_104():
    for verb in ("grpc-credential", "echo-frames"):
        answer = h2(H2.fields("POST", "/echo.Echo/Call", N["wide"], GITHUB, [("content-type", "application/grpc"), ("te", "trailers"), ("x-do", verb)]),
                    host=N["wide"])
        echoed(f"a message with the value ({verb})", answer)


def row_106():
    passed("storing at the bound endpoint", ask("POST", body=json.dumps({"webhook": {"headers": ["authorization"]}}).encode()))
    for path in ("/webhooks/1", "/mcp/webhooks", "/mcp/../webhooks/1", "/debug/requests"):
        answer = ask(path=path)
        refused(f"reading at {path}", answer, "EGRESS_PATH_NOT_BOUND", "EGRESS_PATH_NOT_CANONICAL")
    passed("leaving the value with the provider", ask("POST", do="keep", body=b"{}"))
    echoed("reading it where no credential is asked for", ask(path="/.well-known/webhooks", token="", do="kept"), uses=0)
    echoed("and by OPTIONS", ask("OPTIONS", path="/webhooks/1", token="", do="kept"), uses=0)
    for path in ("/webhooks/1", "/debug/requests"):
        refused(f"{path} without a credential", ask(path=path, token="", do="kept"), "EGRESS_HOST_NOT_ALLOWED")
    for method in ("PUT", "PATCH"):
        refused(f"{method} at the bound endpoint", ask(method, body=b"{}"), "EGRESS_METHOD_NOT_BOUND")


def row_107():
    for kind in ("application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "text/plain"):
        text = json.dumps({"text": TOKEN, "other": [TOKEN, f"Bearer {TOKEN}"]}).encode()
        answer = ask("POST", do="bytes", headers=[("Content-Type", kind)], body=text)
        passed(f"a body of {kind.split(';')[0]}", answer, body=text)
    answer = ask("POST", do="bytes", token=None, body=json.dumps({"client_secret": TOKEN}).encode())
    refused("the placeholder in the body alone", answer, "EGRESS_CREDENTIAL_REQUIRED")


def row_108():
    text = base64.b64encode(f"x:{GITHUB}".encode()).decode()
    for path in ("/login/oauth/access_token", "/oauth/token", "/token"):
        refused(f"{path} of a bound host", ask("POST", path, N["git"], scheme="Basic ", token=text, body=b"grant_type=client_credentials"),
                "EGRESS_PATH_NOT_BOUND", "EGRESS_METHOD_NOT_BOUND")
    refused("/oauth/token of the other", ask("POST", "/oauth/token", body=b"grant_type=client_credentials"), "EGRESS_PATH_NOT_BOUND")
    refused("/v1/oauth/token of a model's", ask("POST", "/v1/oauth/token", N["model"], place="x-api-key", scheme="", token=ANTHROPIC, body=b"{}"),
            "EGRESS_PATH_NOT_BOUND")


def row_109():
    for name, do in (("a provider that breaks off", "break"), ("a provider that speaks no HTTP", "garbage")):
        answer = ask("POST", do=do, body=b"x", headers=[("x-mine", "look for me")])
        ok = answer.code == "EGRESS_UPSTREAM_PROTOCOL" and b"look for me" not in answer.raw
        note(name, "502, with nothing of the request", ok, answer, answer.raw, answer.code, 1)
    answer = ask("POST", "/v1/chat/completions", N["faulty"], token=OPENAI, body=b"{}", headers=[("x-mine", "look for me")])
    refused("a provider with a bad certificate", answer, "EGRESS_UPSTREAM_CERTIFICATE")
    note("its text", "nothing of the request", b"look for me" not in answer.raw, answer.raw[-200:])


def row_110():
    answer = ask(do="echo-json")
    seen = answer.json()
    echoed("an echo in JSON", answer)
    note("the JSON", "valid, with the placeholder", seen is not None and TOKEN in json.dumps(seen), answer.body[:100])
    length = answer.header("content-length")
    note("its length", "right, or in chunks", not length or int(length) == len(answer.body), length or "in chunks")
    for name in ("content-md5", "digest", "content-digest", "repr-digest"):
        note(f"the header {name}", "dropped", not answer.header(name), answer.header(name))


if __name__ == "__main__":
    run(globals())
