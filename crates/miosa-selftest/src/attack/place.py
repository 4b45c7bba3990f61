"""B3: method, path, and where in a request a placeholder stands."""
from lib import *

PATH = ("EGRESS_PATH_NOT_BOUND",)
TWO_WAYS = ("EGRESS_PATH_NOT_CANONICAL",)
METHOD = ("EGRESS_METHOD_NOT_BOUND",)
MISPLACED = ("EGRESS_PLACEHOLDER_MISPLACED",)
REQUIRED = ("EGRESS_CREDENTIAL_REQUIRED",)


def row_041():
    for path in ("/admin", "/", "/v1/mcp", "/mcp2"):
        refused(path, ask(path=path), *PATH)
    refused("/admin over HTTP/2", h2(H2.fields(path="/admin")), *PATH)
    passed("/mcp", ask())


def row_042():
    for path in ("/mcpx", "/mcp/x", "/mcp/", "/MCP", "/mc", "/%6dcp", "/mcp%20", "/mcp,x", "/mcp.json", "/xmcp", "/a/mcp"):
        refused(path, ask(path=path), *PATH)
    refused("/mcp/../admin", ask(path="/mcp/../admin"), *TWO_WAYS)
    passed("/mcp?x=/../admin: a query is no path", ask(path="/mcp?x=/../admin"))


AMBIGUOUS = ("/mcp/..;/admin", "/mcp/%2e%2e/admin", "/mcp/%2E./admin", "/mcp/%252e%252e/", "/mcp%2f..%2fadmin", "/mcp%2Fadmin",
             "/mcp/..%5cadmin", "/mcp%5c..%5cadmin", "//admin", "//mcp", "/mcp//", "/./mcp", "/mcp/.", "/mcp/..", "/../mcp", "/mcp;param",
             "/mcp;/../admin", "/mcp/%2e", "/mcp%3bx", "/mcp%3fx", "/mcp%23x", "/mcp%25", "/%2fmcp", "/admin/../mcp", "/mcp%", "/mcp%2", "/mcp%zz")


def row_043():
    for path in AMBIGUOUS:
        refused(path, ask(path=path), *TWO_WAYS)
    for path in ("/mcp\\..\\admin", "/mcp\\", "\\mcp"):
        turned_away(path, ask(path=path), *TWO_WAYS, "EGRESS_MALFORMED_REQUEST")
    for path in ("/repos/a/b/../../../user", "/repos/%2e%2e/user", "/repos//user", "/repos/a%2fb", "/user;x"):
        refused(f"{path} at a host that is bound to all its paths", ask(path=path, host=N["wide"], token=GITHUB), *TWO_WAYS)
    refused("/mcp/%2e%2e/admin over HTTP/2", h2(H2.fields(path="/mcp/%2e%2e/admin")), *TWO_WAYS)
    refused("/mcp/%2e%2e/admin without a credential", ask(path="/mcp/%2e%2e/admin", token=""), *TWO_WAYS)
    passed("an encoded letter where every path is bound", ask(path="/repos/a%20b", host=N["wide"], token=GITHUB))


def row_044():
    for path in ("/mcp%00", "/mcp%00.json", "/%c0%ae%c0%ae/mcp", "/mcp%c0%af", "/mcp/%e0%80%af", "/mcp%ff", "/mcp%0a", "/mcp%0d%0aX:1", "/mcp%7f"):
        refused(path, ask(path=path), *TWO_WAYS)
    for what, path in (("a raw byte of no UTF-8", "/mcp\udcff"), ("raw overlong UTF-8", "/\udcc0\udcae\udcc0\udcae/mcp"),
                       ("a raw letter", "/m\u00e9"), ("a raw NUL", "/mcp\0"), ("a raw control byte", "/mcp\x01"), ("a raw DEL", "/mcp\x7f")):
        turned_away(what, ask(path=path), *TWO_WAYS, "EGRESS_MALFORMED_REQUEST")


def row_045():
    bound = N["bound"]
    for path in ("/mcp#x", "/admin#/mcp", "/mcp#/../admin", "/mcp?a#b", f"https://{bound}/mcp#x", f"https://{bound}/admin#/mcp"):
        refused(path, ask(path=path), "EGRESS_MALFORMED_REQUEST")
    # HTTP/2's parser takes a fragment off: it must decide nothing.
    refused("/admin#/mcp over HTTP/2", h2(H2.fields(path="/admin#/mcp")), *PATH, "EGRESS_MALFORMED_REQUEST")
    answer = h2(H2.fields(path="/mcp#/../admin", more=[("x-do", "echo")]))
    line = answer.body.split(b"\r\n")[0]
    is_off = line == b"GET /mcp HTTP/1.1"
    note("/mcp#/../admin over HTTP/2", "refused, or sent on without the fragment", is_off or answer.code == "EGRESS_MALFORMED_REQUEST",
         line, answer.raw, answer.code, uses=1 if is_off else 0)


def row_046():
    for method in ("PUT", "PATCH", "OPTIONS", "HEAD"):
        answer = ask(method)
        if method == "HEAD":
            note(method, "403", answer.status == 403, answer, answer.raw, "EGRESS_METHOD_NOT_BOUND")
        else:
            refused(method, answer, *METHOD)
    for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-URL", "X-Rewrite-URL"):
        refused(f"{name}", ask("POST", headers=[(name, "PUT" if "Method" in name else "/admin")], body=b"{}"), *METHOD)
    for path in ("/mcp?_method=PUT", "/mcp?a=1&_method=PUT", "/mcp?%5fmethod=PUT"):
        refused(path, ask("POST", path=path, body=b"{}"), *METHOD)
    passed("DELETE, which is bound", ask("DELETE"))


def row_047():
    for method in ("TRACE", "TRACK", "trace", "Track"):
        refused(method, ask(method), *METHOD)
        refused(f"{method} where every path is bound", ask(method, path="/user", host=N["wide"], token=GITHUB), *METHOD)
        refused(f"{method} without a credential", ask(method, token=""), *METHOD)
    refused("TRACE over HTTP/2", h2(H2.fields("TRACE")), *METHOD)


def row_048():
    refused("OPTIONS *", ask("OPTIONS", path="*"), *TWO_WAYS, *METHOD, "EGRESS_MALFORMED_REQUEST")
    turned_away("OPTIONS * over HTTP/2", h2(H2.fields("OPTIONS", path="*")), *TWO_WAYS, *METHOD, "EGRESS_MALFORMED_REQUEST")
    turned_away("CONNECT over HTTP/2", h2([(":method", "CONNECT"), (":authority", N["bound"])]), *METHOD, "EGRESS_AUTHORITY_MISMATCH")
    for method in ("get", "Get", "post", "FOO", "PROPFIND", "PURGE", "GET_", "BREW"):
        refused(method, ask(method), *METHOD)
        refused(f"{method} where every path is bound", ask(method, path="/user", host=N["wide"], token=GITHUB), *METHOD)
    for method in ("G\u00cbT", "GE(T", "GET\t", ""):
        turned_away(f"method {method!r}", ask(method), *METHOD, "EGRESS_MALFORMED_REQUEST")


OTHER_HEADERS = ("Cookie", "User-Agent", "Referer", "X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "Link", "X-Api-Key", "Accept",
                 "Content-Type", "Origin", "If-None-Match", "X-Token", "Mcp-Session-Id")


def row_049():
    for name in OTHER_HEADERS:
        refused(f"in {name} alone", ask(token="", headers=[(name, TOKEN)]), *MISPLACED)
        refused(f"in {name} beside the right place", ask(headers=[(name, f"a={TOKEN}; b")]), *MISPLACED, *REQUIRED)
    refused("in a header of HTTP/2", h2(H2.fields(token="", more=[("x-token", TOKEN)])), *MISPLACED)
    refused("in a header's base64", ask(token="", headers=[("X-Token", base64.b64encode(b"k:" + TOKEN.encode()).decode())]),
            *MISPLACED, "EGRESS_PLACEHOLDER_UNKNOWN")
    refused("as Basic, where only Bearer is bound",
            ask(token="", headers=[("Authorization", "Basic " + base64.b64encode(b"u:" + TOKEN.encode()).decode())]), *MISPLACED)


def row_050():
    for value in (f"Bearer {TOKEN}, evil", f"Bearer {TOKEN} {TOKEN}", f"Bearer {TOKEN}x", f"Bearer  {TOKEN}", TOKEN, f"Token {TOKEN}",
                  f"Bearer x{TOKEN}", f"Bearer \"{TOKEN}\"", f"Bearer {TOKEN};", f"Bearer\t{TOKEN}", f"Bearer {TOKEN},Bearer {TOKEN}",
                  f"Bearer {TOKEN.replace('-', '%2D')}"):
        refused(value.replace(TOKEN, "X"), ask(token="", headers=[("Authorization", value)]), *MISPLACED, "EGRESS_PLACEHOLDER_UNKNOWN")
    for what, text in (("a folded line", f"Bearer\r\n {TOKEN}"), ("text on a folded line", f"Bearer {TOKEN}\r\n evil"), ("a bare LF", f"Bearer {TOKEN}\nX: y")):
        refused(what, ask(token="", headers=[("Authorization", text)]), *MISPLACED, "EGRESS_MALFORMED_REQUEST")
    refused("a placeholder with another digit", ask(token=TOKEN[:-1] + ("0" if TOKEN[-1] != "0" else "1")), "EGRESS_PLACEHOLDER_UNKNOWN")
    refused("two placeholders of one request", ask(headers=[("X-Other", GITHUB)]), *MISPLACED)
    passed("the scheme in another letter case", ask(scheme="bearer "))


def row_051():
    codes = MISPLACED + REQUIRED + ("EGRESS_MALFORMED_REQUEST",)
    for name in ("Authorization", "authorization", "AUTHORIZATION"):
        for value in ("Bearer other", f"Bearer {TOKEN}", "", "Basic dTpw"):
            refused(f"then {name}: {value.replace(TOKEN, 'X')}", ask(headers=[(name, value)]), *codes)
            refused(f"{name}: {value.replace(TOKEN, 'X')} first", ask(token="", headers=[(name, value), ("Authorization", f"Bearer {TOKEN}")]), *codes)
    refused("twice over HTTP/2", h2(H2.fields(more=[("authorization", "Bearer other")])), *codes)
    for name in ("Authorization ", "Authorization\t", " Authorization"):
        turned_away(f"{name!r} with a space", ask(headers=[(name, "Bearer other")]), *codes)


def row_052():
    own = "rfr_an-attackers-own-token"
    refused("a token of the caller's own", ask(token=own), *REQUIRED)
    refused("no token", ask(token=""), *REQUIRED)
    refused("Basic of the caller's own", ask(token="", headers=[("Authorization", "Basic dTpw")]), *REQUIRED)
    refused("a cookie", ask(path="/other", token="", headers=[("Cookie", "session=attacker")]), *REQUIRED, *PATH, "EGRESS_HOST_NOT_ALLOWED")
    refused("a token of the caller's own at another path", ask(path="/upload", token=own), *REQUIRED)
    refused("over HTTP/2", h2(H2.fields(token=own)), *REQUIRED)
    for query in ("access_token", "private%5Ftoken", "API_KEY"):
        refused(f"in the query ({query})", ask(path=f"/other?{query}={own}", token=""), *REQUIRED)
        refused(f"in the query beside the placeholder ({query})", ask(path=f"/mcp?{query}={own}"), *REQUIRED)
    for name in ("X-Api-Key", "Private-Token"):
        refused(f"in {name}", ask(path="/other", token="", headers=[(name, own)]), *REQUIRED)
    refused("beside the placeholder in another carrier",
            ask("POST", "/v1/messages", host=N["model"], token=ANTHROPIC, scheme="", place="x-api-key", headers=[("Authorization", f"Bearer {own}")], body=b"{}"), *REQUIRED)
    refused("an empty one", ask(token="", headers=[("Authorization", "")]), *REQUIRED)


def row_053():
    refused("in the query", ask(path=f"/mcp?token={TOKEN}", token=""), *MISPLACED)
    refused("in the query beside the right place", ask(path=f"/mcp?token={TOKEN}"), *MISPLACED)
    refused("in the query, percent-encoded", ask(path="/mcp?t=" + "".join(f"%{ord(c):02x}" for c in TOKEN), token=""), *MISPLACED)
    refused("in the query, as a parameter's name", ask(path=f"/mcp?{TOKEN}=1", token=""), *MISPLACED)
    refused("in the path", ask(path=f"/{TOKEN}", token=""), *MISPLACED, *PATH)
    refused("in the path where every path is bound", ask(path=f"/{GITHUB}/x", host=N["wide"], token=""), *MISPLACED)
    for what, body in (("a form", f"a=1&token={TOKEN}".encode()),
                       ("a file name", f'--b\r\nContent-Disposition: form-data; name="f"; filename="{TOKEN}"\r\n\r\nx\r\n--b--\r\n'.encode()),
                       ("JSON", json.dumps({"key": TOKEN}).encode())):
        refused(f"in {what} alone", ask("POST", token="", body=body), *REQUIRED)
        answer = ask("POST", body=body, do="bytes")
        passed(f"in {what} beside the right place", answer)
        note(f"{what} as it arrived", "unchanged, the placeholder in it", answer.body == body, answer.body[:80])


def first_binding_still_works():
    passed("the first binding goes on", ask(path="/user", host=N["wide"], token=GITHUB))


def row_056():
    url = f"https://{N['bound']}/mcp"
    for where, codes in (("/admin", PATH), ("/mcp/../admin", PATH + TWO_WAYS), ("/mcp/%2e%2e/admin", TWO_WAYS), (f"https://{N['bound']}/admin", PATH)):
        answer, error = curl("-L", "-H", f"x-do: redirect {where}", "-d", "{}", url)
        ok = answer.status in (400, 403) and answer.code in codes
        note(f"307 to {where}, curl replays it", "refused: " + " or ".join(codes), ok, f"{answer} {error}", answer.raw, answer.code, uses=1)


def row_057():
    url = f"https://{N['bound']}/mcp"
    answer, error = curl("-L", "--location-trusted", "-H", f"x-do: redirect https://{N['attacker']}/", url)
    note("to the attacker's allowed host", "nothing but the placeholder arrives", answer.body == b"ok", f"{answer} {error}", answer.raw, uses=1)
    for host, codes in ((N["wide"], ("EGRESS_PLACEHOLDER_NOT_BOUND",)), ("other.example", ("EGRESS_HOST_NOT_ALLOWED", "EGRESS_PLACEHOLDER_NOT_BOUND"))):
        answer, error = curl("-L", "--location-trusted", "-H", f"x-do: redirect https://{host}/user", url)
        note(f"to {host}", "refused: " + " or ".join(codes), answer.code in codes, f"{answer} {error}", answer.raw, answer.code, uses=1)
    answer, error = curl("-L", "--location-trusted", "-H", f"x-do: redirect http://{N['attacker']}/", url)
    codes = ("EGRESS_CLEARTEXT_CREDENTIAL", "EGRESS_PLACEHOLDER_NOT_BOUND")
    note("to the attacker in cleartext", "refused: " + " or ".join(codes), answer.code in codes, f"{answer} {error}", answer.raw, answer.code, uses=1)


def row_058():
    signed = f"https://{N['allowed']}/bucket/key?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=0123abcd"
    answer, error = curl("-L", "--max-redirs", "1", "-H", f"x-do: redirect {signed}", f"https://{N['bound']}/mcp")
    # The followed request has the same x-do, so the other host answers it with a redirect too: two in all.
    both = answer.raw.count(b"HTTP/1.1 307") == 2
    note("curl follows", "the other host answers", both, f"{answer} {error}", answer.raw, uses=1)
    path = signed.partition(N["allowed"])[2]
    answer = ask(path=path, host=N["allowed"], token="", do="echo")
    passed("the signed URL itself", answer, uses=0, body=b"X-Amz-Signature=0123abcd")
    note("what arrived there", "no Authorization, the URL unchanged",
         b"authorization" not in answer.body.lower() and path.encode() in answer.body, answer.body[:120])


def in_the_query():
    key = os.environ["SELFTEST_QUERY_KEY"]

    def search(path, do=None):
        return ask(path=path, host=N["query"], token="", do=do)
    passed("in its parameter", search(f"/search?a=1&key={key}&b=%2F2"), uses=0)
    passed("the same, sent back", search(f"/search?a=1&key={key}&b=%2F2", "echo"), uses=0)
    refused("beside other text", search(f"/search?key={key}x"), *MISPLACED, "EGRESS_PLACEHOLDER_UNKNOWN")
    refused("in another parameter", search(f"/search?other={key}"), *MISPLACED)
    refused("twice", search(f"/search?key={key}&key={key}"), *MISPLACED)
    refused("after another of the name", search(f"/search?k%65y=own&key={key}"), *MISPLACED, *REQUIRED)
    refused("between semicolons", search(f"/search?a;key={key}"), *MISPLACED)
    refused("in the path", search(f"/search/{key}"), *MISPLACED, *PATH)
    refused("at a path of two readings", search(f"/search/../admin?key={key}"), *TWO_WAYS)
    refused("in a header", ask(path="/search", host=N["query"], token=key), *MISPLACED)


if __name__ == "__main__":
    run(globals())
