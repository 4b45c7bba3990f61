"""AWS signatures (version 4), made with what a sandbox has: a placeholder as key id and as secret key."""
import hashlib, hmac, time
from urllib.parse import quote

from lib import *

AWS = os.environ.get("AWS_ACCESS_KEY_ID", "")
AWS_SECRET = os.environ.get("AWS_SECRET_ACCESS_KEY", "")
EMPTY = hashlib.sha256(b"").hexdigest()
UNSUPPORTED, SCOPE = "EGRESS_SIGNATURE_NOT_SUPPORTED", "EGRESS_SIGNATURE_SCOPE"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def hmac_of(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signature(method, path, query, headers, names, payload, scope, now, secret):
    canonical = "\n".join([method, path, query, *(f"{name}:{headers[name]}" for name in names), "", ";".join(names), payload])
    text = "\n".join(["AWS4-HMAC-SHA256", now, scope, sha256(canonical.encode())])
    key = ("AWS4" + secret).encode()
    for word in scope.split("/"):
        key = hmac_of(key, word)
    return hmac_of(key, text).hex()


def clock():
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())


def signed(method="GET", path="/bucket/key", body=b"", payload=None, service="s3", region="us-east-1", key=None, more=()):
    """Headers of a request that is signed in its header."""
    now, key = clock(), key or AWS
    payload = payload or sha256(body)
    headers = {"host": N["s3"], "x-amz-content-sha256": payload, "x-amz-date": now, **dict(more)}
    scope, names = f"{now[:8]}/{region}/{service}/aws4_request", sorted(headers)
    found = signature(method, path, "", headers, names, payload, scope, now, AWS_SECRET)
    del headers["host"]
    value = f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={';'.join(names)}, Signature={found}"
    return [("Authorization", value), *headers.items()]


def presigned(path="/bucket/key", service="s3", region="us-east-1", expires=300):
    """The target of an address that is signed in its query."""
    now = clock()
    scope = f"{now[:8]}/{region}/{service}/aws4_request"
    pairs = {"X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": f"{AWS}/{scope}", "X-Amz-Date": now,
             "X-Amz-Expires": str(expires), "X-Amz-SignedHeaders": "host"}
    query = "&".join(f"{name}={quote(value, safe='-_.~')}" for name, value in sorted(pairs.items()))
    found = signature("GET", path, query, {"host": N["s3"]}, ["host"], "UNSIGNED-PAYLOAD", scope, now, AWS_SECRET)
    return f"{path}?{query}&X-Amz-Signature={found}"


def to_s3(method="GET", path="/bucket/key", headers=(), body=b""):
    return raw(N["s3"], request(method, path, N["s3"], headers, body, token=""))


def aws_154():
    note("the variables hold the placeholder alone", "the same in both", AWS == AWS_SECRET and "miosa-tok-" in AWS, AWS[:14])
    body = b"some bytes of an object"
    passed("signed in the header", to_s3(headers=signed()))
    passed("with its payload's hash", to_s3("PUT", headers=signed("PUT", body=body), body=body))
    passed("with an unsigned payload", to_s3("PUT", headers=signed("PUT", payload="UNSIGNED-PAYLOAD"), body=body))
    chunk = b"17\r\n" + body + b"\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"
    trailer = signed("PUT", payload="STREAMING-UNSIGNED-PAYLOAD-TRAILER",
                     more=[("x-amz-decoded-content-length", str(len(body))), ("x-amz-trailer", "x-amz-checksum-crc32")])
    passed("with an unsigned payload and a checksum behind it", to_s3("PUT", headers=trailer, body=chunk))
    passed("with a range", to_s3(headers=signed(more=[("range", "bytes=0-9")])))
    passed("with the placeholder as session token", to_s3(headers=signed(more=[("x-amz-security-token", AWS)])))
    passed("signed in the query", to_s3(path=presigned()))
    wrong = to_s3("PUT", headers=signed("PUT", body=b"another body"), body=body)
    note("another body than was signed", "403 of the provider: the hash stays the client's", wrong.status == 403, wrong, wrong.raw,
         wrong.code, uses=1)
    chunks = signed("PUT", payload="STREAMING-AWS4-HMAC-SHA256-PAYLOAD", more=[("x-amz-decoded-content-length", "1")])
    refused("with signed chunks", to_s3("PUT", headers=chunks, body=chunk), UNSUPPORTED)
    value = dict(signed())["Authorization"]
    for what, text in (("version 4A", value.replace("HMAC-SHA256", "ECDSA-P256-SHA256")), ("version 2", f"AWS {AWS}:c2ln")):
        answer = to_s3(headers=[("Authorization", text), ("x-amz-date", clock())])
        refused(what, answer, UNSUPPORTED)
        name = {"version 4A": b"Version 4A", "version 2": b"Version 2"}[what]
        note(f"{what} is named", "its name in the answer", name in answer.body, answer)
    refused("version 2 in the query", to_s3(path=f"/bucket/key?AWSAccessKeyId={AWS}&Expires=9999999999&Signature=x"), UNSUPPORTED)
    refused("a session token of its own", to_s3(headers=signed(more=[("x-amz-security-token", "FwoGZXIvYXdzEBY")])), "EGRESS_CREDENTIAL_REQUIRED")
    refused("the key id beside its place", to_s3(headers=signed(more=[("x-amz-meta-a", AWS)])), "EGRESS_PLACEHOLDER_MISPLACED")
    refused("header and query at once", to_s3(path=presigned(), headers=signed()), "EGRESS_PLACEHOLDER_MISPLACED", "EGRESS_CREDENTIAL_REQUIRED")


def aws_155():
    for service, region in (("sts", "us-east-1"), ("iam", "us-east-1"), ("s3", "eu-isoe-west-1"), ("S3", "us-east-1"), ("s3", "*"), ("", "")):
        refused(f"signed for {service or 'nothing'} in {region or 'nowhere'}", to_s3(headers=signed(service=service, region=region)), SCOPE)
        refused("the same in the query", to_s3(path=presigned(service=service, region=region)), SCOPE)
    refused("at the host of STS", raw("sts.us-east-1.amazonaws.com", request("POST", "/", "sts.us-east-1.amazonaws.com",
            signed("POST", "/", service="sts"), token="")), "EGRESS_HOST_NOT_ALLOWED", "EGRESS_PLACEHOLDER_NOT_BOUND")
    passed("signed for what is bound", to_s3(headers=signed()))


def aws_156():
    target = presigned(expires=604800)
    passed("through the broker of the sandbox that made it", to_s3(path=target))
    return target


def aws_156_elsewhere(target):
    refused("through the broker of another sandbox", to_s3(path=target), "EGRESS_PLACEHOLDER_UNKNOWN")


def aws_157():
    def segment(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    claims = {"iss": "agent", "sub": "root", "aud": "https://sts.example", "exp": 32503680000}
    text = segment({"alg": "HS256", "typ": "JWT"}) + "." + segment(claims)
    token = text + "." + base64.urlsafe_b64encode(hmac_of(AWS_SECRET.encode(), text)).rstrip(b"=").decode()
    body = f"grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion={token}".encode()
    answer = raw(N["allowed"], request("POST", "/token", N["allowed"], [("x-do", "bytes")], body, token=""))
    note("an assertion of any claims, signed with the placeholder", "goes as it is: it is worth nothing",
         answer.status == 200 and answer.body == body, answer, answer.raw, answer.code)
    refused("the same as a bearer token of the bound host", ask(token=token), "EGRESS_CREDENTIAL_REQUIRED")
    form = [("content-type", "multipart/form-data; boundary=x")]
    policy = f'--x\r\ncontent-disposition: form-data; name="x-amz-credential"\r\n\r\n{AWS}/20260101/us-east-1/s3/aws4_request\r\n--x--\r\n'
    refused("a policy of the caller's own in a form", to_s3("POST", "/bucket", form, policy.encode()), UNSUPPORTED)
    for service in ("rds-db", "execute-api", "sts"):
        refused(f"a token for {service}, made as a presigned address", to_s3(path=presigned(service=service)), SCOPE)
