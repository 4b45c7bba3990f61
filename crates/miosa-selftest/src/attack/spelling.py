"""B5: how a placeholder is written, and where."""
import os, subprocess, tempfile
from lib import *

UNKNOWN = "EGRESS_PLACEHOLDER_UNKNOWN"
GIT_PATH = "/owner/repo.git/info/refs?service=git-upload-pack"


def basic(user, password):
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def placeholders():
    return [TOKEN, GITHUB, ANTHROPIC, OPENAI]


def row_085():
    for name, text in (("as password", basic("x-access-token", GITHUB)), ("as user", basic(GITHUB, "x-oauth-basic")),
                       ("as user, no password", basic(GITHUB, ""))):
        answer = ask(path=GIT_PATH, host=N["git"], scheme="Basic ", token=text, do="echo")
        passed(f"Basic, {name}", answer, body=b"authorization: Basic ")
        back = answer.body.decode("latin1").split("authorization: Basic ")[-1].split("\r\n")[0]
        note(f"the echo of it, {name}", "the placeholder is in it", GITHUB.split("-")[-1][:16] in decoded(back), decoded(back))
    refused("Basic where it is not declared", ask(scheme="Basic ", token=basic("x", TOKEN)), "EGRESS_PLACEHOLDER_MISPLACED")
    refused("Basic with two placeholders", ask(path=GIT_PATH, host=N["git"], scheme="Basic ", token=basic(GITHUB, GITHUB)),
            "EGRESS_PLACEHOLDER_MISPLACED")
    refused("Basic with more beside it", ask(path=GIT_PATH, host=N["git"], scheme="Basic ", token=basic("x", GITHUB + "x")),
            "EGRESS_PLACEHOLDER_MISPLACED", UNKNOWN)


def decoded(text):
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4)).decode("latin1")
    except ValueError:
        return text


def row_086():
    text = basic("x", TOKEN)
    refused("to another bound host", ask(path="/user", host=N["wide"], scheme="Basic ", token=text), "EGRESS_PLACEHOLDER_NOT_BOUND")
    refused("to a model's host", ask("POST", "/v1/messages", N["model"], scheme="Basic ", token=text, body=b"{}"), "EGRESS_PLACEHOLDER_NOT_BOUND")
    refused("to the bound host, another path", ask(path="/other", scheme="Basic ", token=text), "EGRESS_PATH_NOT_BOUND")
    answer = plain(N["allowed"], request(host=N["allowed"], scheme="Basic ", token=text))
    refused("to an allowed host without TLS", answer, "EGRESS_CLEARTEXT_CREDENTIAL", "EGRESS_PLACEHOLDER_NOT_BOUND")
    passed("through the tunnel to an allowed host", ask(host=N["allowed"], path="/", scheme="Basic ", token=text), 0)


def disguises(token):
    every = "".join(f"%{byte:02X}" for byte in token.encode())
    yield "as it is", token
    yield "percent-encoded whole", every
    yield "percent-encoded twice", every.replace("%", "%25")
    yield "percent-encoded in part", token.replace("-", "%2d").replace("m", "%6D", 1)
    yield "in upper case", token.upper()
    yield "in mixed case", "".join(letter.upper() if at % 2 else letter for at, letter in enumerate(token))
    for before in ("", "a", "ab"):
        yield f"in base64 after {len(before)} bytes", base64.b64encode((before + token).encode()).decode()
    yield "in JSON", json.dumps({"key": token})
    yield "in a URL in JSON", json.dumps({"url": f"https://x:{token}@{N['attacker']}/"})
    yield "between other text", f"before{token}after"


def row_087():
    for name, text in disguises(TOKEN):
        answer = ask(path="/user", host=N["wide"], token=None, headers=[("x-note", text), ("Authorization", "Bearer " + GITHUB)])
        refused(f"{name}, in a header", answer, "EGRESS_PLACEHOLDER_NOT_BOUND", "EGRESS_PLACEHOLDER_MISPLACED", UNKNOWN)
    for name, text in disguises(TOKEN):
        if " " in text or '"' in text:
            continue
        answer = ask(path=f"/user?note={text.replace('+', '%2B')}", host=N["wide"], token=GITHUB)
        refused(f"{name}, in the query", answer, "EGRESS_PLACEHOLDER_NOT_BOUND", "EGRESS_PLACEHOLDER_MISPLACED", UNKNOWN)
    answer = ask(path=f"/user/{TOKEN}", host=N["wide"], token=GITHUB)
    refused("in the path", answer, "EGRESS_PLACEHOLDER_NOT_BOUND", "EGRESS_PLACEHOLDER_MISPLACED", UNKNOWN)


def row_088():
    prompt = json.dumps({"messages": [{"role": "user", "content": "\n".join(f"{key}={value}" for key, value in os.environ.items())}]}).encode()
    for count in range(3):
        answer = ask("POST", "/v1/messages", N["model"], place="x-api-key", scheme="", token=ANTHROPIC, body=prompt)
        passed(f"a prompt with all variables, turn {count + 1}", answer, body=b'"body_len":%d' % len(prompt))
    answer = ask("POST", do="bytes", body=prompt)
    passed("where the body can be seen", answer, body=TOKEN.encode())
    note("that body", "not changed", answer.body == prompt, f"{len(answer.body)} of {len(prompt)} bytes")


def row_089():
    core = TOKEN.split("-")[-1]
    other = "".join("0" if digit != "0" else "1" for digit in core)
    flipped = core[:-1] + ("0" if core[-1] != "0" else "1")
    first = ("0" if core[0] != "0" else "1") + core[1:]
    mark = TOKEN[:-len(core)]
    bodies = set()
    for name, token in (("random digits", mark + other), ("the last digit wrong", mark + flipped), ("the first digit wrong", mark + first),
                        ("one digit short", TOKEN[:-1]), ("half of it", mark + core[:len(core) // 2]), ("no digits", mark),
                        ("letters that are no digits", mark + "z" * len(core))):
        answer = ask(token=token)
        refused(name, answer, UNKNOWN)
        bodies.add(answer.body)
    refused("one digit more", ask(token=TOKEN + "0"), "EGRESS_PLACEHOLDER_MISPLACED", UNKNOWN)
    texts = {(answer_text(body)) for body in bodies}
    note("what the refusals say", "all the same", len(texts) == 1, texts)
    passed("the right one", ask())


def answer_text(body):
    error = json.loads(body)["error"]
    return error["code"] + " " + error["message"]


def guesses():
    core = TOKEN.split("-")[-1]
    mark, codes = TOKEN[:-len(core)], []
    with tls(N["bound"]) as sock:
        while len(codes) < 2000 and "EGRESS_TOO_MANY_REQUESTS" not in codes:
            sock.sendall(request(token=mark + os.urandom(len(core) // 2).hex()))
            codes.append(receive(sock, is_whole).code)
    wrong = set(codes) - {UNKNOWN, "EGRESS_TOO_MANY_REQUESTS"}
    note(f"{len(codes)} guesses on one connection", "all refused", not wrong, wrong, b"", UNKNOWN)
    note("guessing on", "refused altogether after some hundred", codes[-1] == "EGRESS_TOO_MANY_REQUESTS", f"{len(codes)}: {codes[-1]}", b"",
         "EGRESS_TOO_MANY_REQUESTS")


def own_after_guesses():
    passed("our own, while another sandbox guesses", ask())


def use_of_another(others):
    token, github, anthropic, _ = others
    refused("another sandbox's placeholder", ask(token=token), UNKNOWN)
    refused("the same over HTTP/2", h2(H2.fields(token=token)), UNKNOWN)
    refused("another's in Basic", ask(path=GIT_PATH, host=N["git"], scheme="Basic ", token=basic("x", github)), UNKNOWN)
    refused("another's key of a model", ask("POST", "/v1/messages", N["model"], place="x-api-key", scheme="", token=anthropic, body=b"{}"), UNKNOWN)
    passed("our own", ask())


def row_092():
    headers = [("x-api-key", ANTHROPIC)]
    refused("two placeholders of two bindings", ask(path="/user", host=N["wide"], token=GITHUB, headers=headers),
            "EGRESS_PLACEHOLDER_MISPLACED", "EGRESS_PLACEHOLDER_NOT_BOUND")
    refused("the same one twice", ask(path="/user", host=N["wide"], token=GITHUB, headers=[("Authorization", "token " + GITHUB)]),
            "EGRESS_PLACEHOLDER_MISPLACED")
    for name, token in (("with digits behind it", GITHUB + "ab"), ("with text behind it", GITHUB + " x"), ("twice in a row", GITHUB * 2),
                        ("with text before it", "x" + GITHUB)):
        answer = ask(path="/user", host=N["wide"], token=token)
        refused(name, answer, "EGRESS_PLACEHOLDER_MISPLACED", UNKNOWN)
    refused("both carriers of one binding", ask("POST", "/v1/messages", N["model"], token=ANTHROPIC, headers=headers, body=b"{}"),
            "EGRESS_PLACEHOLDER_MISPLACED")
    passed("one in its place", ask(path="/user", host=N["wide"], token=GITHUB))


def row_094():
    for name, token, prefix in (("GitHub", GITHUB, "ghp_"), ("Anthropic", ANTHROPIC, "sk-ant-api03-")):
        ok = token.startswith(prefix) and "miosa-tok-" in token
        note(f"the placeholder for {name}", f"begins with {prefix} and has the marker", ok, token[:len(prefix) + 10])
    texts = "ghp_" + "a" * 36, "sk-ant-api03-" + "b" * 80, "xoxb-1-2-c", "eyJhbGciOiJIUzI1NiJ9.e30.x", "miosa", "miosa-tok", "see miosa_tok_"
    for text in texts:
        answer = ask(path="/user", host=N["wide"], token=GITHUB, headers=[("x-note", text)])
        passed(f"the text {text[:20]}", answer)
    core = GITHUB.split("-")[-1]
    refused("the random part under another prefix", ask(path="/user", host=N["wide"], token="sk-ant-api03-miosa-tok-" + core),
            "EGRESS_PLACEHOLDER_MISPLACED", UNKNOWN)


def git(*arguments, where=None):
    """Runs git against the local provider's repository; nothing asks for a password."""
    more = ["-c", "http.extraHeader=x-do: git", "-c", "credential.helper=", "-c", "user.name=a", "-c", "user.email=a@b"]
    return subprocess.run(["git", *more, *arguments], cwd=where, capture_output=True, timeout=60, env={**os.environ, "GIT_TERMINAL_PROMPT": "0"})


def git_did(name, required, done, uses, ok=True):
    """Each call is asked for its credential first, so the count is of the requests after that."""
    text = done.stdout + done.stderr
    return note(name, required, done.returncode == 0 and ok, text[-300:].decode("latin1"), text, None, uses)


def row_095():
    url = f"https://x-access-token:{GITHUB}@{N['git']}/owner/repo.git"
    with tempfile.TemporaryDirectory() as folder:
        first, second = folder + "/first", folder + "/second"
        git_did("git clone of an empty repository, the placeholder in the URL", "done, by Basic", git("clone", url, first), 1 + 1)
        with open(first + "/file", "wb") as file:
            file.write(bytes(range(256)) * 40)
        git("checkout", "-b", "main", where=first)
        git("add", "file", where=first)
        git("commit", "-m", "one", where=first)
        git_did("git push", "done", git("push", "origin", "main", where=first), 1 + 1)
        done = git("clone", url, second)
        same = done.returncode == 0 and open(second + "/file", "rb").read() == bytes(range(256)) * 40
        git_did("git clone of what was pushed", "the same file", done, 1 + 2, same)
        git_did("git fetch", "done", git("fetch", where=second), 1 + 1)
    wrong = url.replace(GITHUB[-4:], "0000" if GITHUB[-4:] != "0000" else "1111")
    done = git("ls-remote", wrong)
    note("git ls-remote with a wrong one", "refused", done.returncode != 0, done.stderr[-200:].decode("latin1"), done.stdout + done.stderr)


if __name__ == "__main__":
    run(globals())
