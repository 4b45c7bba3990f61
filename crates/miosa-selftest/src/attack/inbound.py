"""B12: from outside to an application inside."""
import subprocess
from lib import *

SERVER = r'''
import http.server, sys
class Show(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = (self.path + "\n" + str(self.headers)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.send_header("Set-Cookie", "wide=1; Domain=localhost; Path=/")
        self.end_headers()
        self.wfile.write(text)
    def do_POST(self):
        left, total = int(self.headers.get("Content-Length", 0)), 0
        while left and (piece := self.rfile.read(min(left, 65536))):
            left, total = left - len(piece), total + len(piece)
        self.send_response(200)
        self.send_header("Content-Length", str(len(str(total))))
        self.end_headers()
        self.wfile.write(str(total).encode())
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Show).serve_forever()
'''


def serve(port):
    """An application that shows what reaches it."""
    subprocess.Popen([sys.executable, "-c", SERVER, str(port)], start_new_session=True,
                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            tcp("127.0.0.1", port, 1).close()
            return True
        except OSError:
            time.sleep(0.02)
    return False


if __name__ == "__main__":
    run(globals())
