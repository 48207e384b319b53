"""Clients of every kind that call without a pause and write down how each call went, to be held against what was done to the
agent meanwhile."""

import collections
import contextlib
import random
import select
import socket
import threading
import time

from pods import FAMILIES, dial, receive, within

# How long a call may take before it has failed.
PATIENCE = 5


class Failure:
    """A call that went wrong: what kind, when it and its connection began, when it ended and how."""

    def __init__(self, kind, born, began, why):
        self.kind, self.born, self.began, self.ended, self.why = kind, born, began, time.monotonic(), why

    def __str__(self):
        return f"{self.kind}: {self.why}, {self.ended - self.born:.2f} s after its connection began"


class Load:
    """Threads that call; `pause` has them finish what they are at and wait."""

    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.counts = collections.Counter()
        self.codes = collections.Counter()
        self.opened = collections.Counter()
        self.failures = []
        self.lock = threading.Lock()
        self.going, self.over = threading.Event(), threading.Event()
        self.busy = 0
        self.threads = []

    # MARK: from outside

    def start(self, call, kind, *arguments, rest=0.02):
        """A thread that calls `call(self, talk, chance, …)` again and again; `talk` holds what lasts from call to call."""
        chance = random.Random(self.chance.random())
        thread = threading.Thread(target=self.run, args=(call, kind, arguments, rest, chance), daemon=True)
        self.threads.append(thread)
        thread.start()

    def go(self):
        self.going.set()

    def pause(self):
        """Returns when no call is under way."""
        self.going.clear()
        deadline = time.monotonic() + 2 * PATIENCE
        while time.monotonic() < deadline:
            with self.lock:
                if not self.busy:
                    return
            time.sleep(0.01)
        raise TimeoutError(f"{self.busy} calls are still under way")

    def end(self):
        self.over.set()
        self.going.set()
        for thread in self.threads:
            thread.join(2 * PATIENCE)

    # MARK: a thread

    def run(self, call, kind, arguments, rest, chance):
        talk = Talk()
        while not self.over.is_set():
            if not self.going.is_set():
                self.going.wait()
                continue
            with self.lock:
                if not self.going.is_set():
                    continue
                self.busy += 1
            began, failure, code, talk.opened = time.monotonic(), None, None, 0
            try:
                code = call(talk, chance, *arguments)
            except OSError as error:
                failure = Failure(kind, talk.born or began, began, f"{error!r}{talk.port()}")
            except Wrong as wrong:
                failure, code = Failure(kind, talk.born or began, began, str(wrong)), wrong.code
            if failure:
                talk.close()
            with self.lock:
                self.busy -= 1
                self.counts[kind] += 1
                self.opened[kind] += talk.opened
                if code:
                    self.codes[kind, code] += 1
                if failure:
                    self.failures.append(failure)
            time.sleep(chance.uniform(0, 2 * rest))
        talk.close()


class Wrong(Exception):
    """An answer that is not what it should be."""

    def __init__(self, text, code=None):
        super().__init__(text)
        self.code = code


class Talk:
    """A connection and when it was begun."""

    def __init__(self):
        self.socket = self.born = None
        self.calls = self.opened = 0

    def open(self, *place):
        if self.socket is None:
            self.born, self.calls = time.monotonic(), 0
            self.socket = dial(*place, timeout=PATIENCE)
            self.opened += 1
        self.calls += 1
        return self.socket

    def port(self):
        """For whoever looks for it in a trace."""
        return f" from port {self.socket.getsockname()[1]}" if self.socket else ""

    def close(self):
        if self.socket:
            self.socket.close()
        self.socket = self.born = None


# MARK: calls

def kept(talk, chance, pod, host, port, name="web"):
    """One request of many on a connection; now and then the connection is a new one."""
    connection = talk.open(pod, host, port)
    if talk.calls > 1 and select.select([connection], [], [], 0)[0]:
        # It was ended while nothing was under way, which HTTP allows: whoever keeps connections asks on another one then.
        talk.close()
        connection = talk.open(pod, host, port)
    code, is_last = request(connection, chance, name, b"keep-alive")
    if is_last or chance.random() < 0.02:
        talk.close()
    return code


def once(talk, chance, pod, host, port, name="web"):
    """A request on a connection of its own."""
    try:
        return request(talk.open(pod, host, port), chance, name, b"close")[0]
    finally:
        born = talk.born
        talk.close()
        talk.born = born


def request(connection, chance, name, end):
    """The answer's status, and whether it says that it is the last on its connection."""
    number = b"%d" % chance.randrange(1 << 40)
    connection.sendall(b"GET /number?%s HTTP/1.1\r\nHost: %s\r\nConnection: %s\r\n\r\n" % (number, name.encode(), end))
    head, _, body = receive(connection, b"\r\n\r\n").partition(b"\r\n\r\n")
    first = head.split(b"\r\n", 1)[0].split(b" ")
    if len(first) < 2 or not first[1].isdigit():
        raise Wrong(f"ended with {head[:60]!r}")
    code = int(first[1])
    length = next((int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    while len(body) < length:
        more = connection.recv(65536)
        if not more:
            raise Wrong("a body that ended early", code)
        body += more
    if code != 200:
        raise Wrong(f"{code} {body[:80]!r}", code)
    if body != number:
        raise Wrong(f"{body[:40]!r} instead of {number!r}", code)
    return code, b"\r\nconnection: close" in head.lower()


def echoed(talk, chance, pod, host, port):
    """Bytes to and fro on a connection that lasts for some seconds."""
    connection = talk.open(pod, host, port)
    if talk.calls == 1:
        connection.sendall(b"echo\n")
    data = chance.randbytes(chance.choice([1, 100, 20000]))
    connection.sendall(data)
    got = receive(connection, len(data))
    if got != data:
        raise Wrong(f"{len(got)} bytes instead of {len(data)}")
    if chance.random() < 0.02:
        talk.close()


def datagram(talk, chance, pod, host, port):
    """A datagram to and fro, on a socket of some."""
    if talk.socket is None:
        talk.born = time.monotonic()
        with within(pod):
            talk.socket = socket.socket(FAMILIES["v6" if ":" in host else "v4"], socket.SOCK_DGRAM)
        talk.socket.settimeout(1)
        talk.socket.connect((host, port))
    data = chance.randbytes(100)
    talk.socket.send(data)
    if talk.socket.recv(2000) != data:
        raise Wrong("another datagram")
    if chance.random() < 0.05:
        talk.close()


def question(name):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return b"\1\0\0\1\0\0\0\0\0\0" + labels + b"\0\0\1\0\1"


def asked(talk, chance, pod, resolver, name, address):
    """A question of DNS, on a socket of its own, as libraries ask it."""
    talk.born = time.monotonic()
    with within(pod):
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with made:
        made.settimeout(1)
        made.connect((resolver, 53))
        number = chance.randbytes(2)
        made.send(number + question(name))
        answer = made.recv(2000)
        if answer[:2] != number or socket.inet_aton(address) not in answer:
            raise Wrong(f"{name} is {answer!r}")


class Resolver:
    """Answers questions for `name` with an address, and all others with nothing found; can be made to keep silent."""

    def __init__(self, pod, name, address):
        self.silent, self.count = False, 0
        self.question, self.address = question(name)[10:], socket.inet_aton(address)
        with within(pod):
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("0.0.0.0", 53))
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            asked, peer = self.socket.recvfrom(2000)
            self.count += 1
            if self.silent:
                continue
            end = asked.index(b"\0", 12) + 5
            if asked[12:end] == self.question:
                answer = b"\x84\0\0\1\0\1\0\0\0\0" + asked[12:end] + b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4" + self.address
            else:
                answer = b"\x84\0\0\1\0\0\0\0\0\0" + asked[12:end]
            with contextlib.suppress(OSError):
                self.socket.sendto(asked[:2] + answer, peer)
