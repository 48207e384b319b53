"""Peers that behave badly: request and answer shapes that are refused, servers that fail in every way, crowds."""

import select
import socket
import time

from pods import Server, receive, reset, within

POST = "POST /seen HTTP/1.1\r\nHost: rogue\r\n"
CHUNKED = POST + "Transfer-Encoding: chunked\r\n\r\n"
# What a peer could read in two ways (RFC 9112), or no way at all; each with what would be smuggled behind it.
REQUESTS = {
    "length and chunks": POST + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": POST + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "two lengths": POST + "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
    "the same length twice": POST + "Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd",
    "a list of lengths": POST + "Content-Length: 4, 4\r\n\r\nabcd",
    "a signed length": POST + "Content-Length: +4\r\n\r\nabcd",
    "a negative length": POST + "Content-Length: -4\r\n\r\nabcd",
    "a length in hex": POST + "Content-Length: 0x4\r\n\r\nabcd",
    "an endless length": POST + "Content-Length: 99999999999999999999999\r\n\r\nabcd",
    "an empty length": POST + "Content-Length:\r\n\r\nabcd",
    "chunked twice": POST + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked in two fields": POST + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "chunked not last": POST + "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "chunked behind a vertical tab": POST + "Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n",
    "chunked in quotes": POST + "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
    "chunked in HTTP/1.0": POST.replace("1.1", "1.0") + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a chunk size that is no number": CHUNKED + "xyz\r\nabc\r\n0\r\n\r\n",
    "a chunk size with a sign": CHUNKED + "+3\r\nabc\r\n0\r\n\r\n",
    "a chunk size with 0x": CHUNKED + "0x3\r\nabc\r\n0\r\n\r\n",
    "a chunk size beyond 64 bits": CHUNKED + "10000000000000003\r\nabc\r\n0\r\n\r\n",
    "a chunk that is longer than it says": CHUNKED + "3\r\nabcdef\r\n0\r\n\r\n",
    "a chunk that ends with a bare LF": CHUNKED + "3\r\nabc\n0\r\n\r\n",
    "a chunk size line that ends with a bare LF": CHUNKED + "3\nabc\r\n0\r\n\r\n",
    "a trailer with a bare LF": CHUNKED + "0\r\nA: b\nC: d\r\n\r\n",
    "bare LFs": "GET /seen HTTP/1.1\nHost: rogue\n\n",
    "a bare LF in a field": "GET /seen HTTP/1.1\r\nHost: rogue\r\nA: b\nC: d\r\n\r\n",
    "a bare CR in a field": "GET /seen HTTP/1.1\r\nHost: rogue\r\nA: b\rC: d\r\n\r\n",
    "obs-fold": "GET /seen HTTP/1.1\r\nHost: rogue\r\nA: b\r\n c\r\n\r\n",
    "a folded length": POST + "Content-Length:\r\n 4\r\n\r\nabcd",
    "a first field that is folded": "GET /seen HTTP/1.1\r\n Host: rogue\r\nHost: rogue\r\n\r\n",
    "a NUL in a value": "GET /seen HTTP/1.1\r\nHost: rogue\r\nA: b\0c\r\n\r\n",
    "a NUL in a name": "GET /seen HTTP/1.1\r\nHost: rogue\r\nA\0: b\r\n\r\n",
    "a NUL in the target": "GET /seen\0 HTTP/1.1\r\nHost: rogue\r\n\r\n",
    "a space before the colon": "POST /seen HTTP/1.1\r\nHost: rogue\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a tab before the colon": POST + "Content-Length\t: 4\r\n\r\nabcd",
    "a field without a name": "GET /seen HTTP/1.1\r\nHost: rogue\r\n: b\r\n\r\n",
    "a line without a colon": "GET /seen HTTP/1.1\r\nHost: rogue\r\nabc\r\n\r\n",
    "a space in the target": "GET /seen here HTTP/1.1\r\nHost: rogue\r\n\r\n",
    "two spaces": "GET  /seen HTTP/1.1\r\nHost: rogue\r\n\r\n",
    "no Host": "GET /seen HTTP/1.1\r\n\r\n",
    "two Hosts": "GET /seen HTTP/1.1\r\nHost: rogue\r\nHost: other\r\n\r\n",
    "a Host with a path": "GET /seen HTTP/1.1\r\nHost: rogue/x\r\n\r\n",
    "a version of its own": "GET /seen HTTP/1.10\r\nHost: rogue\r\n\r\n",
    "a head without end": "GET /seen HTTP/1.1\r\nHost: rogue\r\nA: " + "a" * 70000 + "\r\n\r\n",
    "500 fields": "GET /seen HTTP/1.1\r\nHost: rogue\r\n" + "A: b\r\n" * 500 + "\r\n",
}
# The body is judged as it passes, so these have an upstream by the time they are refused.
IN_THE_BODY = {name for name in REQUESTS if name.startswith(("a chunk ", "a chunk size", "a trailer"))}
SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: rogue\r\n\r\n"

OK = "HTTP/1.1 200 OK\r\n"
ANSWERS = {
    "no HTTP": "SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "length and chunks": OK + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": OK + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
    "a negative length": OK + "Content-Length: -1\r\n\r\n",
    "an unknown coding": OK + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "bare LFs": "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "obs-fold": OK + "A: b\r\n c\r\nContent-Length: 0\r\n\r\n",
    "a NUL": OK + "A: b\0\r\nContent-Length: 0\r\n\r\n",
    "a space before the colon": OK + "Content-Length : 0\r\n\r\n",
    "a status of two digits": "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "a status of five digits": "HTTP/1.1 20000 OK\r\nContent-Length: 0\r\n\r\n",
    "another version": "HTTP/3.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "a head without end": OK + "A: " + "a" * 70000 + "\r\n\r\n",
    "500 fields": OK + "A: b\r\n" * 500 + "Content-Length: 0\r\n\r\n",
    "nothing but noise": "".join(chr(1 + (number * 37) % 255) for number in range(3000)),
    "half a head": OK + "A: b",
    "nothing": "",
}


class Rogue:
    """An HTTP server that does what the path says; it notes each request that reaches it."""

    def __init__(self, pod, port):
        self.paths = []
        self.hanging = 0
        self.server = Server(pod, port, self.serve)

    def serve(self, connection, peer):
        while True:
            buffer = bytearray()
            while b"\r\n\r\n" not in buffer:
                more = connection.recv(1 << 16)
                if not more:
                    return
                buffer += more
            path = buffer.split(b" ", 2)[1].decode("latin1").partition("?")[0]
            self.paths.append(path)
            what = path.rpartition("/")[2].replace("%20", " ")
            if path.startswith("/answer/"):
                connection.sendall(ANSWERS[what].encode("latin1"))
                if what in ("half a head", "nothing"):
                    return
            elif path == "/reset":
                return reset(connection)
            elif path == "/reset-later":
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it")
                connection.recv(1) if b"/never" in buffer else time.sleep(0.05)
                return reset(connection)
            elif path == "/short":
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it")
                return
            elif path == "/hang":
                self.hanging += 1
                connection.recv(1)
                self.hanging -= 1
                return
            elif path == "/surplus":
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\noneHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"
                                   b"poison")
            elif path == "/interim":
                while True:
                    connection.sendall(b"HTTP/1.1 102 Processing\r\n\r\n" * 100)
            elif path == "/endless":
                connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                while True:
                    connection.sendall(b"1000\r\n" + bytes(0x1000) + b"\r\n")
            else:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")


class Resetting(Server):
    """Resets each connection as soon as it is there."""

    def __init__(self, pod, port):
        super().__init__(pod, port, lambda connection, peer: reset(connection))


class Mumbling(Server):
    """Speaks first, and not HTTP."""

    def __init__(self, pod, port):
        super().__init__(pod, port, lambda connection, peer: (connection.sendall(b"\x00\xffmumble\n"), receive(connection)))


class Deaf:
    """Lets connection attempts go unanswered: its queue of one is full."""

    def __init__(self, pod, port, host):
        with within(pod):
            self.listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.bind((host, port))
        self.listener.listen(0)
        # From inside the pod, where capture does not stand between.
        self.filling = []
        for _ in range(3):
            with within(pod):
                filler = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            filler.setblocking(False)
            filler.connect_ex((host, port))
            self.filling.append(filler)


class Crowd:
    """Many connections from one pod, by one thread."""

    def __init__(self, pod, host, port):
        self.pod, self.host, self.port = pod, host, port
        self.connections = {}
        self.failed = 0

    def connect(self, count, seconds, batch=500):
        """Opens `count` more, a batch at a time, so that no queue overflows."""
        deadline = time.monotonic() + seconds
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        while count > 0:
            waiting = {}
            poll = select.epoll()
            with within(self.pod):
                for _ in range(min(batch, count)):
                    made = socket.socket(family, socket.SOCK_STREAM)
                    made.setblocking(False)
                    made.connect_ex((self.host, self.port))
                    waiting[made.fileno()] = made
                    poll.register(made, select.EPOLLOUT)
            count -= len(waiting)
            while waiting and time.monotonic() < deadline:
                for number, _ in poll.poll(0.2):
                    made = waiting.pop(number)
                    poll.unregister(made)
                    if made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                        self.failed += 1
                        made.close()
                    else:
                        self.connections[number] = made
            self.failed += len(waiting)
            for made in waiting.values():
                made.close()
            poll.close()

    def ask(self, request, wanted, seconds):
        """Sends `request` on each; how many answers hold `wanted`, how many connections ended without, and the first of
        the other answers."""
        deadline = time.monotonic() + seconds
        answers = {number: b"" for number in self.connections}
        good = ended = 0
        poll = select.epoll()
        for number, connection in list(self.connections.items()):
            poll.register(number, select.EPOLLIN)
            try:
                connection.send(request)
            except OSError:
                ended += 1
                answers.pop(number)
                self.drop(number)
        while answers and time.monotonic() < deadline:
            for number, _ in poll.poll(0.2):
                if number not in answers:
                    continue
                try:
                    more = self.connections[number].recv(1 << 14)
                except OSError:
                    more = b""
                answers[number] += more
                if wanted in answers[number]:
                    good += 1
                    answers.pop(number)
                elif not more:
                    ended += 1
                    answers.pop(number)
                    poll.unregister(number)
                    self.drop(number)
        poll.close()
        return good, ended, next(filter(None, answers.values()), b"")

    def drop(self, number):
        self.connections.pop(number).close()

    def close(self):
        for number in list(self.connections):
            self.drop(number)
