"""B9: the broker itself."""
import resource, threading
from lib import *


def row_137():
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for name in ("cmdline", "environ", "maps"):
            try:
                text = open(f"/proc/{pid}/{name}", "rb").read()
            except OSError:
                continue
            if b"opening.key" in text or b"broker.sock" in text or (name == "cmdline" and b"\0egress\0" in text):
                found.append(f"{pid}/{name}")
    note("the broker in /proc", "nothing of it is there", not found, found)
    try:
        own = open("/proc/1/environ", "rb").read()
    except OSError as problem:
        own = str(problem).encode()
    note("pid 1's environment", "holds no key, or cannot be read", lost(own, b"KEY="), own[:80])


def ask_with_query():
    passed("a request with a value in its query", ask("POST", "/mcp?note=selftest-query-value"))
    refused("a request with the placeholder in its path", ask(path=f"/mcp/{TOKEN}"), "EGRESS_PLACEHOLDER_MISPLACED",
            "EGRESS_PATH_NOT_BOUND")
    refused("a request with the placeholder in its query", ask(path=f"/mcp?key={TOKEN}"), "EGRESS_PLACEHOLDER_MISPLACED")


def own_authority():
    """The sandbox's own certificates, for comparison with another's."""
    with tls(N["bound"]) as sock:
        return base64.b64encode(sock.getpeercert(True)).decode(), open(os.environ["SSL_CERT_FILE"]).read()[-2500:]


def many_names(count):
    """Handshakes with as many names."""
    done = 0
    for number in range(count):
        try:
            with tls(N["attacker"], sni=f"n{number}.unlisted.example", address=N["attacker"]):
                done += 1
        except (OSError, ssl.SSLError):
            pass
    note(f"{count} handshakes with as many names", "most have a certificate", done > count * 0.9, f"{done} certificates")
    passed("the bound host, afterwards", ask())


def hold_many(mark):
    """As many connections as can be had, idle in the middle of their heads, until told."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    held, refusals, code = [], 0, None
    address = resolve(N["bound"])
    for _ in range(1300):
        try:
            sock = socket.create_connection((address, 443), timeout=LOCAL_TIMEOUT)
        except OSError:
            refusals += 1
            continue
        sock.setblocking(False)
        held.append(sock)
    open(mark + ".ready", "w").close()
    end = time.monotonic() + 90
    while not os.path.exists(mark + ".go") and time.monotonic() < end:
        time.sleep(0.02)
    for sock in held:
        sock.close()
    note("1300 connections at once", "more than are allowed at a time", len(held) > 1024, f"{len(held)} opened, {refusals} refused")


def a_few():
    for number in range(10):
        passed(f"request {number + 1} of the other sandbox", ask())


def over_the_limit():
    """Beyond its connections a sandbox gets an answer."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    address, held = resolve(N["bound"]), []
    for _ in range(1024):
        held.append(socket.create_connection((address, 443), timeout=LOCAL_TIMEOUT))
    answer = ask(timeout=30)
    for sock in held:
        sock.close()
    refused("one connection more", answer, "EGRESS_TOO_MANY_REQUESTS")


def row_144():
    refused("an answer compressed although nothing compressed was asked for", ask(do="echo-gzip"), "EGRESS_RESPONSE_NOT_INSPECTABLE")
    STEPS[-1]["uses"] = 1


def use():
    passed("the placeholder at its endpoint", ask())


def unavailable(codes):
    refused("the placeholder at its endpoint", ask(), *codes)


def unaudited(codes):
    """The first use finds the audit broken after it was sent, and its answer is kept back; the next is not sent."""
    refused("the placeholder at its endpoint", ask(), *codes)
    STEPS[-1]["uses"] = 1
    refused("the placeholder once more", ask(), *codes)
    for step in STEPS:
        step["no_audit"] = True


def unavailable_wide(codes):
    refused("the placeholder at its endpoint", ask(path="/user", host=N["wide"], token=GITHUB), *codes)


def until_detached(mark):
    """Requests without a pause; each must be answered by the provider or refused."""
    good, others = 0, {}
    open(mark + ".ready", "w").close()
    end = time.monotonic() + 60
    while not os.path.exists(mark + ".go") and time.monotonic() < end:
        answer = ask(path="/user", host=N["wide"], token=GITHUB)
        if answer.status == 200:
            good += 1
        else:
            others[str(answer.code)] = others.get(str(answer.code), 0) + 1
    note("requests all along", "answered by the provider, then refused with a code", good > 0 and "None" not in others,
         f"{good} passed, {others}", uses=good)
    return good


def row_151():
    stopped("control characters in path and agent",
            raw(N["bound"], b"GET /mcp\x1b[31mred HTTP/1.1\r\nHost: " + N["bound"].encode() + b"\r\nUser-Agent: \x1b[2J\x07x\r\n\r\n"),
            "EGRESS_MALFORMED_REQUEST", "EGRESS_PATH_NOT_CANONICAL", "EGRESS_CREDENTIAL_REQUIRED")
    refused("an encoded line break in the path", ask(path="/mcp%0d%0aforged:%20line", token=""), "EGRESS_PATH_NOT_CANONICAL")


def row_152():
    harmless("the attacker, with the broker's own variables set inside", ask(host=N["attacker"]))
    refused("a host without a rule", ask(host="unlisted.example"), "EGRESS_HOST_NOT_ALLOWED", "EGRESS_PLACEHOLDER_NOT_BOUND")


def row_153():
    for name, answer in (("the broker's address", plain("198.18.0.2", request(host="198.18.0.2", token=""))),
                         ("its listener", plain("198.18.0.2", request(host="broker.internal", token=""), 1)),
                         ("TLS to its address", raw("198.18.0.2", request(host="198.18.0.2", token=""), sni="broker.internal")),
                         ("a name for it", ask(host="broker.internal", token="")), ("localhost", ask(host="localhost.example", token="")),
                         ("its control route", plain(N["allowed"], request("GET", "http://127.0.0.1/v1/status", token="")))):
        note(name, "refused, or nothing there", answer.status is None or (answer.code or "").startswith("EGRESS_"), answer, answer.raw, answer.code)


if __name__ == "__main__":
    run(globals())
