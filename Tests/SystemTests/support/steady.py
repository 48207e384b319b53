"""Servers, and clients that never rest, for tests that do something to the agent under load. Run by the virtual environment's
Python, inside the network namespace in question:

  steady.py serve                 HTTP/1.1 on 8080, over TCP an echo on 9000, one that speaks first on 9001, plenty on 9002,
                                  an answer after the client's end on 9003; WebSocket on 8081, gRPC on 50051; over UDP a
                                  resolver that takes its time on 53, an echo on 9004
  steady.py load HOST [KIND[@HOST]:COUNT…]
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
PATTERN = b"".join(number.to_bytes(4, "big") for number in range(1 << 14))


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


class Flow(socketserver.BaseRequestHandler):
    """Sends as many bytes as it is asked for, of a pattern in which each place can be told."""

    def handle(self):
        left = int.from_bytes(exactly(self.request, 8), "big")
        while left > 0:
            self.request.sendall(PATTERN[:left])
            left -= len(PATTERN)


class After(socketserver.BaseRequestHandler):
    """Waits for the end of what the client says, and a moment, and then says how much it was."""

    def handle(self):
        count = 0
        while data := self.request.recv(1 << 16):
            count += len(data)
        time.sleep(0.3)
        self.request.sendall(count.to_bytes(8, "big"))


class Resolver(socketserver.BaseRequestHandler):
    """Says after a moment that every name is 10.9.9.9."""

    def handle(self):
        query, own = self.request
        time.sleep(0.3)
        end = query.index(b"\0", 12) + 5
        own.sendto(query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + query[12:end] + b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4\x0a\x09\x09\x09",
                   self.client_address)


class Mirror(socketserver.BaseRequestHandler):
    def handle(self):
        data, own = self.request
        own.sendto(data, self.client_address)


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


class Datagrams(socketserver.ThreadingMixIn, socketserver.UDPServer):
    daemon_threads = True


def serve():
    import grpc
    from concurrent import futures
    from websockets.sync.server import serve as websockets

    for server in (Web(("::", 8080), Pages), Stream(("::", 9000), Echo), Stream(("::", 9001), Greeter),
                   Stream(("::", 9002), Flow), Stream(("::", 9003), After), Datagrams(("", 53), Resolver),
                   Datagrams(("", 9004), Mirror)):
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


def trickle(host):
    """A client that reads slowly what a server has in plenty, so that there is always more on its way."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    connection.settimeout(TIMEOUT)
    connection.connect((host, 9002))
    length = 64 << 20
    connection.sendall(length.to_bytes(8, "big"))
    place = 0
    while place < length:
        got = connection.recv(min(16384, length - place))
        start = place % len(PATTERN)
        assert got and got == (PATTERN + PATTERN)[start:start + len(got)], f"not what was sent, at {place}"
        place += len(got)
        yield


def halfclosed(host):
    """A client that has said everything and waits for the answer."""
    while True:
        with dial(host, 9003) as connection:
            connection.sendall(b"x" * 1000)
            connection.shutdown(socket.SHUT_WR)
            assert int.from_bytes(exactly(connection, 8), "big") == 1000
            assert connection.recv(1) == b""
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


def question(host):
    """A DNS query for each call, of a name that the resolver has to be asked for; it is not asked twice."""
    number = 0
    while True:
        number += 1
        name = f"{number}-{threading.get_ident()}".encode()
        query = number.to_bytes(2, "big") + b"\1\0\0\1\0\0\0\0\0\0" + bytes([len(name)]) + name + b"\4test\0\0\1\0\1"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.settimeout(4)
            own.connect((host, 53))
            own.send(query)
            answer = own.recv(512)
        assert answer[:2] == query[:2] and answer[-4:] == b"\x0a\x09\x09\x09", answer
        yield


def datagram(host):
    """Datagrams there and back by one socket, one at a time; none is sent twice."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.settimeout(4)
        own.connect((host, 9004))
        number = 0
        while True:
            number += 1
            own.send(number.to_bytes(8, "big"))
            assert own.recv(512) == number.to_bytes(8, "big")
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


KINDS = {"connect": connect, "greet": greet, "stream": stream, "trickle": trickle, "halfclosed": halfclosed,
         "keepalive": keepalive, "slow": slow, "websocket": websocket, "grpc": grpc_call, "grpc-stream": grpc_stream,
         "question": question, "datagram": datagram}


def load(host, wanted):
    tally, over = Tally(), threading.Event()
    first = []

    def client(kind, host, answered):
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

    for word, count in wanted:
        kind, _, other = word.partition("@")
        for _ in range(count):
            first.append(threading.Event())
            threading.Thread(target=client, args=(kind, other or host, first[-1]), daemon=True).start()
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
        load(sys.argv[2], [(word, int(count)) for word, count in (word.rsplit(":", 1) for word in sys.argv[3:])])
    else:
        sys.exit(__doc__)
