"""Servers, and clients that never rest, for tests that do something to the agent under load. Run by the virtual environment's
Python, inside the network namespace in question:

  steady.py serve                 HTTP/1.1 on 8080, an echo over TCP on 9000, one that speaks first on 9001, WebSocket on 8081,
                                  gRPC on 50051, of both families
  steady.py load HOST [KIND:COUNT…]
                                  clients of each kind until SIGTERM; then one line of JSON: by kind how many calls went well,
                                  how many did not and why, and the slowest in ms. Says `ready` when every client has been
                                  answered once.
"""

import collections
import http.client
import http.server
import json
import signal
import socket
import socketserver
import sys
import threading
import time

TIMEOUT = 20


# MARK: servers

class Pages(http.server.BaseHTTPRequestHandler):
    """`/slow?SECONDS` takes that long to answer, its body bit by bit; anything else answers with its path."""
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path, _, query = self.path.partition("?")
        body = f"{self.path}\n".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if path == "/slow":
            self.wfile.flush()
            time.sleep(float(query))
        self.wfile.write(body)

    def log_message(self, *words):
        pass


class Echo(socketserver.BaseRequestHandler):
    greeting = b""

    def handle(self):
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.greeting:
            self.request.sendall(self.greeting)
        while data := self.request.recv(1 << 18):
            self.request.sendall(data)


class Greeter(Echo):
    greeting = b"220 ready\n"


class Threads(socketserver.ThreadingMixIn):
    address_family = socket.AF_INET6
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 512

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def handle_error(self, request, client_address):
        pass  # a client that went away


class Web(Threads, http.server.HTTPServer):
    pass


class Stream(Threads, socketserver.TCPServer):
    pass


def serve():
    import grpc
    from concurrent import futures
    from websockets.sync.server import serve as websockets

    for server in (Web(("::", 8080), Pages), Stream(("::", 9000), Echo), Stream(("::", 9001), Greeter)):
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def repeat(connection):
        for message in connection:
            connection.send(message)
    listener = socket.create_server(("::", 8081), family=socket.AF_INET6, dualstack_ipv6=True)
    threading.Thread(target=websockets(repeat, sock=listener, compression=None).serve_forever, daemon=True).start()

    def both_ways(requests, context):
        for request in requests:
            yield request
    calls = grpc.server(futures.ThreadPoolExecutor(64))
    calls.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("steady.Echo", {
        "Call": grpc.unary_unary_rpc_method_handler(lambda request, context: request),
        "Stream": grpc.stream_stream_rpc_method_handler(both_ways)}),))
    calls.add_insecure_port("[::]:50051")
    calls.start()
    print("ready", flush=True)
    signal.pause()


# MARK: clients

class Tally:
    def __init__(self):
        self.lock = threading.Lock()
        self.good, self.bad, self.slowest = collections.Counter(), collections.Counter(), collections.Counter()

    def count(self, kind, began, failure=None):
        with self.lock:
            if failure is None:
                self.good[kind] += 1
            else:
                self.bad[kind, f"{type(failure).__name__}: {failure}"[:200]] += 1
            self.slowest[kind] = max(self.slowest[kind], time.monotonic() - began)

    def summary(self):
        kinds = set(self.good) | {kind for kind, _ in self.bad}
        return {kind: {"good": self.good[kind], "bad": {why: count for (of, why), count in self.bad.items() if of == kind},
                       "slowest": round(self.slowest[kind] * 1000, 1)} for kind in sorted(kinds)}


def exactly(connection, count):
    got = b""
    while len(got) < count:
        piece = connection.recv(count - len(got))
        if not piece:
            raise EOFError(f"the end after {len(got)} bytes of {count}")
        got += piece
    return got


def dial(host, port):
    connection = socket.create_connection((host, port), timeout=TIMEOUT)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


# Each is a generator: it is made once for a client, and each step is a call. One that fails is made anew.

def connect(host):
    """A connection for each call."""
    while True:
        with dial(host, 9000) as connection:
            connection.sendall(b"hello")
            assert exactly(connection, 5) == b"hello"
        yield


def greet(host):
    """The same, of a server that speaks first."""
    while True:
        with dial(host, 9001) as connection:
            assert exactly(connection, 10) == b"220 ready\n"
        yield


def stream(host):
    """One connection, and bytes there and back."""
    with dial(host, 9000) as connection:
        number = 0
        while True:
            number += 1
            data = number.to_bytes(8, "big") * 16
            connection.sendall(data)
            assert exactly(connection, len(data)) == data
            yield


def keepalive(host):
    """HTTP/1.1 over one connection. A server may say that it closes; without a word it may not."""
    connection = http.client.HTTPConnection(host, 8080, timeout=TIMEOUT)
    connection.connect()
    number = 0
    while True:
        number += 1
        connection.request("GET", f"/{number}")
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200 and body == f"/{number}\n".encode(), (answer.status, body[:100])
        if answer.getheader("connection") == "close":
            connection.close()
            connection.connect()
        yield


def slow(host):
    """A request that takes a while, on a connection that is kept."""
    connection = http.client.HTTPConnection(host, 8080, timeout=TIMEOUT)
    connection.connect()
    while True:
        connection.request("GET", "/slow?0.5")
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200 and body == b"/slow?0.5\n", (answer.status, body[:100])
        if answer.getheader("connection") == "close":
            connection.close()
            connection.connect()
        yield


def websocket(host):
    from websockets.sync.client import connect as open_websocket
    name = f"[{host}]" if ":" in host else host
    with open_websocket(f"ws://{name}:8081/", proxy=None, compression=None, open_timeout=TIMEOUT) as connection:
        number = 0
        while True:
            number += 1
            connection.send(f"message {number}")
            assert connection.recv(timeout=TIMEOUT) == f"message {number}"
            yield


def channel(host):
    import grpc
    name = f"[{host}]" if ":" in host else host
    # A channel that dials again by itself would hide what became of the connection.
    return grpc.insecure_channel(f"{name}:50051", options=[("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)])


def grpc_call(host):
    with channel(host) as connection:
        call = connection.unary_unary("/steady.Echo/Call")
        number = 0
        while True:
            number += 1
            data = str(number).encode()
            assert call(data, timeout=TIMEOUT) == data
            yield


def grpc_stream(host):
    import queue
    with channel(host) as connection:
        sent = queue.Queue()
        answers = connection.stream_stream("/steady.Echo/Stream")(iter(sent.get, None))
        number = 0
        while True:
            number += 1
            data = str(number).encode()
            sent.put(data)
            assert next(answers) == data
            yield


KINDS = {"connect": connect, "greet": greet, "stream": stream, "keepalive": keepalive, "slow": slow, "websocket": websocket,
         "grpc": grpc_call, "grpc-stream": grpc_stream}


def load(host, wanted):
    tally, over = Tally(), threading.Event()
    first = []

    def client(kind, answered):
        calls = None
        while not over.is_set():
            began = time.monotonic()
            try:
                if calls is None:
                    calls = KINDS[kind](host)
                next(calls)
                tally.count(kind, began)
                answered.set()
            except Exception as failure:
                calls = None
                if not over.is_set():
                    tally.count(kind, began, failure)
            over.wait(0.01)

    for kind, count in wanted:
        for _ in range(count):
            first.append(threading.Event())
            threading.Thread(target=client, args=(kind, first[-1]), daemon=True).start()
    signal.signal(signal.SIGTERM, lambda number, frame: over.set())
    for answered in first:
        while not answered.wait(0.1) and not over.is_set():
            pass
    print("ready", flush=True)
    over.wait()
    print(json.dumps(tally.summary()), flush=True)
    import os
    os._exit(0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve()
    elif sys.argv[1:2] == ["load"]:
        load(sys.argv[2], [(kind, int(count)) for kind, count in (word.split(":") for word in sys.argv[3:])])
    else:
        sys.exit(__doc__)
