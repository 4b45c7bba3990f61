"""All four kinds of call with real `grpcio`."""
import os, queue

import grpc

HOST = "api.github.com"
META = (("authorization", "Bearer " + os.environ["GITHUB_TOKEN"]),)
roots = open("/etc/ssl/certs/ca-certificates.crt", "rb").read()
channel = grpc.secure_channel(HOST + ":443", grpc.ssl_channel_credentials(roots))
with_all = {"metadata": META, "timeout": 20}

answer, call = channel.unary_unary("/echo.Echo/Unary").with_call(b"one", **with_all)
assert answer == b"one" and ("x-end", "here") in call.trailing_metadata(), call
assert list(channel.unary_stream("/echo.Echo/Down")(b"n", **with_all)) == [b"n%d" % count for count in range(5)]
large = [bytes(range(256)) * 1000] * 8
assert channel.stream_unary("/echo.Echo/Up")(iter(large), **with_all) == b"".join(large)
# Each message is sent only when the one before has come back, whatever it ends with.
outbox = queue.Queue()
both = channel.stream_stream("/echo.Echo/Both")(iter(outbox.get, None), **with_all)
for byte in range(33, 127):
    outbox.put(b"message" + bytes([byte]))
    assert next(both) == b"message" + bytes([byte])
outbox.put(None)
assert not list(both)
try:
    channel.unary_unary("/echo.Echo/Fail")(b"", **with_all)
    raise SystemExit("no error")
except grpc.RpcError as error:
    assert error.code() == grpc.StatusCode.NOT_FOUND and error.details() == "nothing \u2713 here", error
try:
    channel.unary_unary("/echo.Echo/Unary")(b"one", timeout=20)
    raise SystemExit("a call without the placeholder passed")
except grpc.RpcError:
    pass
print("fine")
