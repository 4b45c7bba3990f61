"""B11: MCP. The sandbox may call `search` and `issue_*` (with the argument `/id` being "x"), and read `docs://*`."""
from lib import *

LIMIT = 4 * 1024 * 1024


def message(method, params=None, number=1):
    return {"jsonrpc": "2.0", "id": number, "method": method, **({} if params is None else {"params": params})}


def call(name, arguments=None, number=1):
    return message("tools/call", {"name": name, "arguments": arguments or {}}, number)


def tell(body, do="mcp", kind="application/json", method="POST", headers=()):
    """Sends a message, or bytes, to the MCP server."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    more = ([("Content-Type", kind)] if kind else []) + [("Accept", "application/json, text/event-stream")] + list(headers)
    return ask(method, do=do, headers=more, body=text)


def code_of(answer):
    """Code of a refusal, as JSON or as an error of JSON-RPC."""
    said = answer.json()
    errors = [one.get("error") for one in (said if isinstance(said, list) else [said]) if isinstance(one, dict)]
    codes = {error["data"]["code"] if isinstance(error.get("data"), dict) else error.get("code") for error in errors if error}
    return codes.pop() if len(codes) == 1 else None


def denied(name, answer, code="EGRESS_MCP_NOT_ALLOWED", statuses=(200, 403)):
    """Refused before the server is asked."""
    found = code_of(answer)
    found = found if isinstance(found, str) else None
    return note(name, "refused: " + code, answer.status in statuses and found == code, answer, answer.raw, found)


def unread(name, answer, code="EGRESS_MCP_NOT_READABLE"):
    return denied(name, answer, code, (400, 403, 404, 413))


def done(name, answer, part=b'"result"'):
    ok = answer.status == 200 and code_of(answer) is None and part in answer.body
    return note(name, f"passed with {part!r}", ok, answer, answer.raw, uses=1)


def row_076():
    filler = lambda size: json.dumps(call("search", {"q": "x" * size})).encode()
    done("a message within the limit", tell(filler(LIMIT // 2)))
    unread("a message over the limit", tell(filler(LIMIT)), "EGRESS_BODY_TOO_LARGE")
    late = json.dumps(call("hidden_one")).encode()
    padded = b" " * LIMIT + late
    unread("a refused call behind more than is inspected", tell(padded), "EGRESS_BODY_TOO_LARGE")
    chunked = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (b" " * 65536,) * 65) + b"%x\r\n%s\r\n0\r\n\r\n" % (len(late), late)
    head = [("Content-Type", "application/json"), ("X-Do", "mcp"), ("Transfer-Encoding", "chunked")]
    unread("the same without a length", raw(N["bound"], request("POST", headers=head, body=chunked)), "EGRESS_BODY_TOO_LARGE")


def row_165():
    done("an allowed tool", tell(call("search")))
    answer = tell(call("hidden_one", number=41))
    denied("another tool", answer)
    said = answer.json() or {}
    note("what the agent is told", "the request's id, the rule and what is allowed",
         said.get("id") == 41 and "search" in str(said.get("error", {}).get("message")), answer)
    for name in ("SEARCH", "search ", "xsearch", "search\x00", "se*rch", "*", ["search"], None, {"name": "search"}):
        denied(f"a tool named {name!r}", tell(message("tools/call", {"name": name, "arguments": {}})))
    denied("a call without a name", tell(message("tools/call")))


def row_166():
    done("a batch of allowed calls", tell([call("search", number=1), call("search", number=2)]))
    answer = tell([call("search", number=1), call("hidden_one", number=2)])
    denied("a batch with another", answer)
    note("its answer", "an error for each", sorted(one.get("id") for one in answer.json() or []) == [1, 2], answer)
    denied("the other hidden behind a notification", tell([{"jsonrpc": "2.0", "method": "notifications/x"}, call("hidden_one")]))
    unread("an empty batch", tell([]))
    unread("a batch in a batch", tell([[call("hidden_one")]]))


def row_167():
    args = '"arguments":{}'
    start = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{'
    for name, text in (
        ("a name twice", start + '"name":"search","name":"hidden_one",' + args + "}}"),
        ("a name twice, once escaped", start + '"name":"search","\\u006eame":"hidden_one",' + args + "}}"),
        ("a name in two letter cases", start + '"name":"search","NAME":"hidden_one",' + args + "}}"),
        ("params twice", start + '"name":"search",' + args + '},"params":{"name":"hidden_one"}}'),
        ("params in two letter cases", start + '"name":"search",' + args + '},"Params":{"name":"hidden_one"}}'),
        ("a method twice", '{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call","params":{"name":"hidden_one"}}'),
        ("an answer that is a call to others", '{"jsonrpc":"2.0","id":1,"result":{},"Method":"tools/call","Params":{"name":"hidden_one"}}'),
        ("a byte order mark", "\ufeff" + json.dumps(call("search"))),
        ("two documents", json.dumps(call("search")) + json.dumps(call("hidden_one"))),
        ("two lines", json.dumps(call("search")) + "\n" + json.dumps(call("hidden_one"))),
        ("something behind it", json.dumps(call("search")) + "\0"),
        ("a comment", "/* */" + json.dumps(call("search"))),
        ("deep nesting", start + '"name":"search","arguments":' + "[" * 5000 + "]" * 5000 + "}}"),
        ("half a surrogate", start + '"name":"search","arguments":{"a":"\\ud800"}}}'),
        ("nothing", ""),
    ):
        unread(name, tell(text.encode()))
    unread("bytes that are no UTF-8", tell(json.dumps(call("search")).encode() + b"\xff"))


def row_168():
    body = json.dumps(call("hidden_one")).encode()
    for kind in ("text/plain", "application/json; charset=utf-16", "application/json;charset=iso-8859-1", "application/x-www-form-urlencoded",
                 "application/jsonp", "application/json, text/plain", None):
        unread(f"content type {kind}", tell(body, kind=kind))
    unread("UTF-16", tell(json.dumps(call("hidden_one")).encode("utf-16")))
    unread("two content types", tell(body, headers=[("Content-Type", "text/plain")]))
    import gzip
    unread("a compressed body", tell(gzip.compress(body), headers=[("Content-Encoding", "gzip")]))
    done("a content type that says UTF-8", tell(call("search"), kind="application/json; charset=UTF-8"))
    put = tell(body, method="PUT")
    note("another method", "refused", (put.code or "").startswith("EGRESS_"), put, put.raw, put.code)


def row_169():
    done("the argument it must be", tell(call("issue_get", {"id": "x"})))
    for value in (["x"], 1, "X", "x ", None, {"x": "x"}, True, 1.0, "x\x00"):
        denied(f"the argument {value!r}", tell(call("issue_get", {"id": value})))
    denied("no argument", tell(call("issue_get")))
    denied("no arguments at all", tell(message("tools/call", {"name": "issue_get"})))
    denied("the argument elsewhere", tell(call("issue_get", {"a": {"id": "x"}, "/id": "x"})))
    denied("arguments in another letter case", tell(message("tools/call", {"name": "issue_get", "Arguments": {"id": "x"}})))


def row_170():
    for do in ("mcp", "mcp sse"):
        for cursor, shown in ((None, b"search"), ("2", b"issue_get")):
            answer = tell(message("tools/list", {"cursor": cursor} if cursor else {}), do=do)
            done(f"{do}, page {cursor or 1}", answer, shown)
            note("the same", "no tool that may not be called", b"hidden" not in answer.body, answer)
    answer = tell(message("resources/list"))
    done("resources", answer, b"docs://a")
    note("the same", "no others", b"hidden" not in answer.body, answer)
    answer = tell(message("prompts/list"))
    done("prompts", answer)
    note("the same", "none", b"hidden" not in answer.body, answer)
    answer = tell([message("tools/list"), call("search", number=2)])
    done("a list in a batch", answer, b"search")
    note("the same", "no tool that may not be called", b"hidden" not in answer.body, answer)
    answer = tell(message("tools/list"), do="mcp torn")
    note("a list that reads in two ways", "an error in its place", code_of(answer) == "EGRESS_RESPONSE_NOT_INSPECTABLE" and b"hidden" not in answer.body,
         answer, answer.raw, uses=1)
    answer = ask(do="mcp", headers=[("Accept", "text/event-stream")])
    note("a list on the stream", "no tool that may not be called", answer.status == 200 and b"search" in answer.body and b"hidden" not in answer.body,
         answer, answer.raw, uses=1)


def row_171():
    done("a resource that is listed", tell(message("resources/read", {"uri": "docs://a"})))
    for method, params in (("resources/read", {"uri": "file:///etc/passwd"}), ("resources/subscribe", {"uri": "hidden://b"}), ("prompts/get", {"name": "p"}),
                           ("completion/complete", {}), ("sampling/createMessage", {}), ("elicitation/create", {}), ("logging/setLevel", {"level": "debug"}),
                           ("tools/Call", {"name": "search"}), ("unknown/method", {}), ("", {})):
        denied(method or "an empty method", tell(message(method, params)))
    denied("content for an elicitation", tell({"jsonrpc": "2.0", "id": 1, "result": {"action": "accept", "content": {"a": 1}}}))
    for method in ("initialize", "ping", "tools/list", "resources/list", "prompts/list"):
        done(method, tell(message(method)))
    answer = tell({"jsonrpc": "2.0", "method": "notifications/initialized"})
    note("a notification", "passed, 202", answer.status == 202, answer, answer.raw, uses=1)


def begin():
    answer = tell(message("initialize"))
    done("a session begins", answer)
    return answer.header("mcp-session-id").decode()


def row_172(given):
    """With a session's id of another sandbox."""
    own = [("Mcp-Session-Id", given)]
    unread("another sandbox's session", tell(call("search"), headers=own), "EGRESS_MCP_SESSION_UNKNOWN")
    for method in ("GET", "DELETE"):
        unread(f"the same, {method}", ask(method, do="mcp", headers=own), "EGRESS_MCP_SESSION_UNKNOWN")
    unread("an invented session", tell(call("search"), headers=[("Mcp-Session-Id", "1234")]), "EGRESS_MCP_SESSION_UNKNOWN")
    session = [("Mcp-Session-Id", begin())]
    done("the own session", tell(call("search"), headers=session))
    unread("two sessions at once", tell(call("search"), headers=session + [("Mcp-Session-Id", "1234")]), "EGRESS_MCP_SESSION_UNKNOWN")
    answer = ask("DELETE", do="mcp", headers=session)
    note("its end", "passed", answer.status == 200, answer, answer.raw, uses=1)
    unread("the own session after its end", tell(call("search"), headers=session), "EGRESS_MCP_SESSION_UNKNOWN")


def row_173():
    answer = ask(do="unauthorized")
    note("a provider that answers 401 with a place to log in", "401 that explains, without the place",
         answer.status == 401 and answer.code == "EGRESS_UPSTREAM_CREDENTIAL_REJECTED" and not answer.header("www-authenticate"), answer, answer.raw,
         answer.code, uses=1)
    for path in ("oauth-protected-resource", "oauth-protected-resource/mcp", "oauth-authorization-server", "openid-configuration"):
        refused(f"discovery at {path}", ask(path="/.well-known/" + path, token=""), "EGRESS_MCP_LOGIN_NOT_NEEDED")
    refused("discovery with the placeholder", ask(path="/.well-known/oauth-protected-resource"), "EGRESS_PATH_NOT_BOUND")
    passed("another well-known document", ask(path="/.well-known/security.txt", token=""), uses=0)


if __name__ == "__main__":
    run(globals())
