"""B13: fail closed."""
from lib import *


def use():
    passed("the placeholder at its endpoint", ask())


def unavailable(codes):
    refused("the placeholder at its endpoint", ask(), *codes)


def no_answer():
    answer = ask(timeout=LOCAL_TIMEOUT)
    note("the placeholder while the key is gone", "no answer of the provider", answer.status != 200, answer, answer.raw, answer.code, no_audit=True)


def during(mark):
    """Requests all the while: each is answered by the provider, refused, or fails; none goes another way."""
    good, refusals, failures = 0, {}, 0
    open(mark + ".ready", "w").close()
    end = time.monotonic() + 60
    while not os.path.exists(mark + ".go") and time.monotonic() < end:
        answer = ask(timeout=30)
        if answer.status == 200:
            good += 1
        elif answer.code:
            refusals[answer.code] = refusals.get(answer.code, 0) + 1
        else:
            failures += 1
        other = plain(N["attacker_address"], b"GET /direct HTTP/1.1\r\nHost: x\r\n\r\n", 80, timeout=30)
        if other.status and not (other.code or "").startswith("EGRESS_"):
            note("a direct way", "none", False, other, other.raw)
    note("requests all the while", "answered by the provider before and after, else refused or failed", good > 0, f"{good} passed, {refusals}, {failures} failed", uses=good)


def no_way():
    for name, action in (("the bound host", lambda: ask(timeout=LOCAL_TIMEOUT)), ("an allowed host", lambda: ask(host=N["allowed"], token="", timeout=LOCAL_TIMEOUT)),
                         ("an address", lambda: plain(N["attacker_address"], b"GET / HTTP/1.1\r\n\r\n", timeout=LOCAL_TIMEOUT))):
        answer = action()
        note(f"{name} without the packet filter", "no way out", answer.status is None and answer.error is not None, answer, answer.raw)


def shed():
    """More connections than the broker has descriptors for."""
    answers = []
    held = []
    address = resolve(N["bound"])
    for _ in range(200):
        try:
            held.append(socket.create_connection((address, 443), timeout=LOCAL_TIMEOUT))
        except OSError:
            break
    answer = ask(timeout=5)
    for sock in held:
        sock.close()
    note("a request while the broker has no descriptors", "fails, is refused, or is served as always",
         answer.status in (None, 200) or answer.code is not None, answer, answer.raw, uses=1 if answer.status == 200 else 0)


if __name__ == "__main__":
    run(globals())
