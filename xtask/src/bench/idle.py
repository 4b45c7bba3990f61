"""Opens connections and leaves them idle: host, port, Authorization, how many to begin with, how many more.

Each sends one request and reads its answer. Says a line when each lot is open, and goes on when one comes in.
"""

import resource
import socket
import ssl
import sys

host, port, authorization, first, more = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
context = ssl._create_unverified_context()
context.set_alpn_protocols(["http/1.1"])
name = "api.openai.com"
request = f"GET /v1/models HTTP/1.1\r\nHost: {name}\r\nAuthorization: {authorization}\r\n\r\n".encode()
kept = []


def lot(count):
    for _ in range(count):
        sock = context.wrap_socket(socket.create_connection((host, int(port)), timeout=30), server_hostname=name)
        sock.sendall(request)
        answer = b""
        while not answer.endswith(b'{"data":[]}') and not answer.endswith(b"0\r\n\r\n"):
            piece = sock.recv(65536)
            if not piece:
                sys.exit(f"closed after {len(kept)} connections: {answer[:300]}")
            answer += piece
        if not answer.startswith(b"HTTP/1.1 200"):
            sys.exit(f"refused after {len(kept)} connections: {answer[:300]}")
        kept.append(sock)
    print("open", flush=True)
    sys.stdin.readline()


lot(int(first))
lot(int(more))
