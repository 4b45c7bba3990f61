"""Providers on one address, each under its own name: a request without the credential, where that provider wants it, is
answered 401 or 403, and one with it as its SDK expects. S3's signatures are verified by botocore.

Started with certificate and key; values come as JSON in VALUES. Prints its port, then a line for each request.
"""
import http.server, io, json, os, ssl, sys, threading
from urllib.parse import unquote, urlsplit
from xml.sax.saxutils import escape

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

VALUES = json.loads(os.environ["VALUES"])
AWS = json.loads(VALUES["aws"])
OBJECTS, SAID = {}, threading.Lock()

# Host, what the credential's header holds, and what is answered at which path.
PROVIDERS = {
    "api.anthropic.com": ("anthropic", "authorization", "Bearer {}", {"/v1/messages": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn", "stop_sequence": None,
        "content": [{"type": "text", "text": "hello"}], "usage": {"input_tokens": 1, "output_tokens": 1}}}),
    "api.openai.com": ("openai", "authorization", "Bearer {}", {
        "/v1/models": {"object": "list", "data": [{"id": "gpt", "object": "model", "created": 1, "owned_by": "o"}]}}),
    "generativelanguage.googleapis.com": ("google", "x-goog-api-key", "{}", {"/v1/models/gemini:generateContent": {
        "candidates": [{"content": {"role": "model", "parts": [{"text": "hello"}]}, "finishReason": "STOP"}]}}),
    "api.github.com": ("github", "authorization", "token {}", {"/user": {"login": "octo", "id": 1, "url": "https://api.github.com/user"}}),
    "gitlab.com": ("gitlab", "private-token", "{}", {"/api/v4/user": {"id": 1, "username": "fox"}}),
    "slack.com": ("slack", "authorization", "Bearer {}", {"/api/auth.test": {"ok": True, "user": "bot"}}),
    "api.notion.com": ("notion", "authorization", "Bearer {}", {"/v1/search": {
        "object": "list", "results": [], "has_more": False, "next_cursor": None}}),
    "api.stripe.com": ("stripe", "authorization", "Bearer {}", {"/v1/balance": {"object": "balance", "livemode": False, "available": []}}),
    "huggingface.co": ("huggingface", "authorization", "Bearer {}", {"/api/whoami-v2": {"type": "user", "name": "hug", "auth": {}}}),
    "api.cloudflare.com": ("cloudflare", "authorization", "Bearer {}", {"/client/v4/user/tokens/verify": {
        "success": True, "errors": [], "messages": [], "result": {"id": "1", "status": "active"}}}),
}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do(self):
        body, host = self.read(), self.headers["host"]
        if host.startswith("s3."):
            status, kind, text, more = s3(self, host, body)
        else:
            status, kind, text, more = *api(self, host), {}
        with SAID:
            print(status, host, self.command, self.path.split("?")[0], flush=True)
        self.send_response(status)
        self.send_header("content-type", kind)
        for name, value in more.items():
            self.send_header(name, value)
        if "content-length" not in more:
            self.send_header("content-length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do

    def read(self):
        if self.headers["transfer-encoding"] != "chunked":
            return self.rfile.read(int(self.headers["content-length"] or 0))
        return pieces(self.rfile, trailer=False)

    def log_message(self, *_):
        pass


def pieces(stream, trailer):
    """A body in chunks, and what stands behind it up to the empty line."""
    body = b""
    while size := int(stream.readline().split(b";")[0], 16):
        body += stream.read(size)
        stream.readline()
    while stream.readline().strip():
        pass
    return body


def api(request, host):
    connector, header, shape, answers = PROVIDERS[host]
    values = request.headers.get_all(header) or []
    if values != [shape.format(VALUES[connector])]:
        return 401, "application/json", b'{"error": {"message": "no valid credential"}}'
    answer = answers.get(urlsplit(request.path).path.replace("/v1beta/", "/v1/"))
    if answer is None:
        return 404, "application/json", b'{"error": {"message": "nothing is here"}}'
    return 200, "application/json", json.dumps(answer).encode()


def is_signed(request, host):
    target, query = urlsplit(request.path), {}
    for pair in target.query.split("&"):
        name, _, value = pair.partition("=")
        query[name] = unquote(value)
    keys = Credentials(AWS["AccessKeyId"], AWS["SecretAccessKey"], AWS.get("SessionToken"))
    if "X-Amz-Signature" in query:
        kept = [pair for pair in target.query.split("&") if not pair.startswith("X-Amz-Signature=")]
        path, auth, time = target.path + "?" + "&".join(kept), S3SigV4QueryAuth, query["X-Amz-Date"]
        credential, signed, found = query["X-Amz-Credential"], query["X-Amz-SignedHeaders"], query["X-Amz-Signature"]
        token = query.get("X-Amz-Security-Token")
    else:
        kind, _, rest = request.headers.get("authorization", "").partition(" ")
        fields = dict(part.split("=", 1) for part in rest.split(", ") if "=" in part)
        if kind != "AWS4-HMAC-SHA256":
            return False
        path, auth, time = request.path, S3SigV4Auth, request.headers["x-amz-date"]
        credential, signed, found = fields["Credential"], fields["SignedHeaders"], fields["Signature"]
        token = request.headers.get("x-amz-security-token")
    key, date, region, service, _ = credential.split("/")
    names = [name for name in signed.split(";") if name != "host"]
    asked = AWSRequest(request.command, f"https://{host}{path}", {name: request.headers[name] for name in names})
    asked.context["timestamp"] = time
    signer = auth(keys, service, region)
    text = signer.string_to_sign(asked, signer.canonical_request(asked))
    is_whole = all(name in signed.split(";") for name in map(str.lower, request.headers) if name.startswith("x-amz-"))
    return key == keys.access_key and token == keys.token and is_whole and signer.signature(text, asked) == found


def s3(request, host, body):
    kind = "application/xml"
    if not is_signed(request, host):
        return 403, kind, b"<Error><Code>SignatureDoesNotMatch</Code></Error>", {}
    target = urlsplit(request.path)
    name = unquote(target.path)
    if request.command == "PUT":
        if request.headers["x-amz-content-sha256"].startswith("STREAMING-"):
            body = pieces(io.BytesIO(body), trailer=True)
        OBJECTS[name] = body
        return 200, kind, b"", {"etag": '"1"'}
    if "list-type=2" in target.query:
        keys = "".join(f"<Contents><Key>{escape(name.split('/', 2)[2])}</Key><Size>1</Size></Contents>" for name in sorted(OBJECTS))
        return 200, kind, f"<ListBucketResult><Name>b</Name>{keys}</ListBucketResult>".encode(), {}
    if name not in OBJECTS:
        return 404, kind, b"<Error><Code>NoSuchKey</Code></Error>", {}
    whole, more = OBJECTS[name], {"etag": '"1"'}
    if request.command == "HEAD":
        return 200, "text/plain", b"", {**more, "content-length": str(len(whole))}
    if wanted := request.headers["range"]:
        first, last = wanted.removeprefix("bytes=").split("-")
        part = whole[int(first):int(last) + 1 if last else None]
        more["content-range"] = f"bytes {first}-{int(first) + len(part) - 1}/{len(whole)}"
        return 206, "text/plain", part, more
    return 200, "text/plain", whole, more


server = http.server.ThreadingHTTPServer(("127.0.0.77", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
# Handshakes are made by each connection's own thread.
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print(server.server_address[1], flush=True)
server.serve_forever()
