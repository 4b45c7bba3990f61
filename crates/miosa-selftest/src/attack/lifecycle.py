"""B7: identity, lifecycle, tenants, copies."""
from lib import *

HELD = "/tmp/selftest-held"


def wait_for(path, seconds=60):
    end = time.monotonic() + seconds
    while not os.path.exists(path):
        if time.monotonic() > end:
            raise TimeoutError(path)
        time.sleep(0.01)


def touch(path):
    open(path, "w").close()


def held_before_attach(mark):
    """A connection to the host is open before the connector is there; its placeholder comes over it after."""
    try:
        sock = tls(N["bound"], verify=False)
        sock.sendall(request(token="", path="/before"))
        first = receive(sock, is_whole)
        note("a request before the connector is there", "passed, nothing is bound yet", first.status == 200, first, first.raw)
        touch(mark + ".ready")
        wait_for(mark + ".token")
        token = open(mark + ".token").read().strip()
        try:
            sock.sendall(request(token=token))
            second = receive(sock, is_whole)
        except OSError as problem:
            second = Answer(error=type(problem).__name__)
        stopped("the placeholder over that connection, after the attach", second, "EGRESS_PLACEHOLDER_UNKNOWN",
                "EGRESS_PLACEHOLDER_NOT_BOUND", "EGRESS_HOST_NOT_ALLOWED")
    finally:
        touch(mark + ".ready")


def use(token):
    passed("the placeholder at its endpoint", ask(token=token))


def use_new():
    passed("the placeholder at its endpoint", ask())


def held_while(mark):
    """One request before and one after something changes outside, on the same connections."""
    one = tls(N["bound"])
    one.sendall(request())
    passed("HTTP/1: a request on a connection", receive(one, is_whole))
    two = H2()
    passed("HTTP/2: a request on a connection", two.answer(two.open(two.fields())))
    touch(mark + ".ready")
    wait_for(mark + ".go")
    codes = ("EGRESS_PLACEHOLDER_UNKNOWN", "EGRESS_HOST_NOT_ALLOWED", "EGRESS_CREDENTIAL_REQUIRED", "EGRESS_SECRET_UNAVAILABLE")
    try:
        one.sendall(request())
        stopped("HTTP/1: the next request on it", receive(one, is_whole), *codes)
    except OSError as problem:
        stopped("HTTP/1: the next request on it", Answer(error=type(problem).__name__), *codes)
    try:
        stopped("HTTP/2: the next request on it", two.answer(two.open(two.fields())), *codes)
    except OSError as problem:
        stopped("HTTP/2: the next request on it", Answer(error=type(problem).__name__), *codes)


def until_told(mark):
    """Requests without a pause; says how many were answered by the provider."""
    good = bad = 0
    others = {}
    sock = None
    touch(mark + ".ready")
    end = time.monotonic() + 60
    while not os.path.exists(mark + ".go") and time.monotonic() < end:
        try:
            if sock is None:
                sock = tls(N["wide"])
            sock.sendall(request("GET", "/user", N["wide"], token=GITHUB))
            answer = receive(sock, is_whole)
        except OSError:
            sock = None
            continue
        if answer.status == 200:
            good += 1
        else:
            bad += 1
            others[str(answer.code)] = others.get(str(answer.code), 0) + 1
            sock = None
    note("requests all along", "answered by the provider or refused with a code", good > 0 and "None" not in others,
         f"{good} passed, {others}", uses=good)
    return {"good": good, "bad": bad}


def old_placeholder(token):
    refused("the placeholder of a sandbox that is gone", ask(token=token), "EGRESS_PLACEHOLDER_UNKNOWN")


COPY = "/root/copy-of-the-token"


def leave_a_copy():
    with open(COPY, "w") as file:
        file.write(os.environ["REFERO_MCP_TOKEN"])
    note("a copy of the placeholder in a file", "written", True, COPY)


def copy_is_dead(parents):
    """The parent's placeholder came along in a file."""
    token = open(COPY).read().strip()
    note("the file of the parent", "there, as it was", token == parents, "compared")
    refused("the parent's placeholder in the child", ask(token=token), "EGRESS_PLACEHOLDER_UNKNOWN")


def old_placeholder_of_child(token):
    refused("the child's placeholder in the parent", ask(token=token), "EGRESS_PLACEHOLDER_UNKNOWN")


SEED = "/var/lib/systemd/random-seed"
HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"


def identity(leave):
    """Who this sandbox is; `leave` makes what a system with an SSH server would have."""
    if leave:
        for path in (SEED, HOST_KEY):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as file:
                file.write(path + " of the parent")

    def text(path):
        try:
            return open(path, errors="replace").read()
        except OSError:
            return None
    note("who it is", "read", True, "read")
    return {"machine id": text("/etc/machine-id"), "authority": text("/.miosa/ca.pem"), "SSH host key": text(HOST_KEY),
            "random seed": text(SEED), "host name": text("/etc/hostname")}


def row_116():
    for name, kind, proto in (("packet socket", socket.AF_PACKET, 3), ("raw IP socket", socket.AF_INET, socket.IPPROTO_RAW)):
        try:
            socket.socket(kind, socket.SOCK_RAW, proto).close()
            note(name, "not permitted", False, "opened")
        except OSError as problem:
            note(name, "not permitted", True, problem)
    sock = socket.socket()
    try:
        sock.setsockopt(socket.SOL_IP, 19, 1)
        note("transparent socket", "not permitted", False, "allowed")
    except OSError as problem:
        note("transparent socket", "not permitted", True, problem)
    # Any source address is this namespace's own: the listener, not the address, says who asks.
    sock = socket.socket()
    sock.bind(("198.18.0.77", 0))
    sock.settimeout(TIMEOUT)
    sock.connect((resolve(N["bound"]), 443))
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(sock, server_hostname=N["bound"]) as wire:
        wire.sendall(request())
        passed("another source address: still this sandbox", receive(wire, is_whole))


def no_keys():
    found = []
    for root in ("/.miosa", "/etc", "/run", "/root", "/workspace", "/tmp", "/opt"):
        for folder, _, files in os.walk(root):
            for name in files:
                path = os.path.join(folder, name)
                try:
                    if os.path.islink(path) or os.path.getsize(path) > 1 << 24:
                        continue
                    text = open(path, "rb").read()
                except OSError:
                    continue
                if b"PRIVATE KEY-----\n" in text and b"-----BEGIN" in text and "ssl-cert" not in path and "selftest" not in path:
                    found.append(path)
    note("private keys in the sandbox", "none", not found, found)


def verified():
    try:
        with tls(N["bound"], verify=True) as sock:
            sock.sendall(request())
            passed("a verified connection", receive(sock, is_whole))
            end = ssl.cert_time_to_seconds(sock.getpeercert()["notAfter"])
    except (OSError, ssl.SSLError) as problem:
        note("a verified connection", "trusted", False, problem)
        return
    note("the certificate's end", "later than an hour from now", end > time.time() + 3600, time.ctime(end))


def row_123(address=None):
    for where in [("127.0.0.1", 7420), ("169.254.169.254", 80), ("198.18.0.2", 80)] + ([tuple(address)] if address else []):
        answer = plain(where[0], request("GET", "/api/v1/connect/connectors", f"{where[0]}:{where[1]}", token=""), where[1])
        note(f"the platform's API at {where[0]}:{where[1]}", "not there, or refused",
             answer.status is None or (answer.code or "").startswith("EGRESS_"), answer, answer.raw, answer.code)
    keys = [name for name in os.environ if name.startswith("MIOSA") and ("KEY" in name or "TOKEN" in name)]
    note("a platform key in the environment", "none", not keys, keys)


def row_124():
    for path, text in (("/root/.claude/.credentials.json", ANTHROPIC), ("/root/.codex/auth.json", OPENAI),
                       ("/root/.git-credentials", f"https://x:{GITHUB}@github.com"), ("/root/.netrc", TOKEN)):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
        note(path, "holds a placeholder", "miosa-tok-" in text, "written; searched at the end", text.encode())


if __name__ == "__main__":
    run(globals())
