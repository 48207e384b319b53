"""The control socket on a TCP port, for tools that know no other, and readers of its streams."""

import json
import socket
import threading


def forward(path):
    """Serves the Unix socket `path` on a loopback port, which is returned. Bytes go through as they are, but an answer that
    would never end is ended, as its protocol has it, once it has come to a pause."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)

    def serve(client):
        try:
            agent = socket.socket(socket.AF_UNIX)
            agent.connect(str(path))
        except OSError:
            client.close()
            return
        threading.Thread(target=copy, args=(client, agent), daemon=True).start()
        answer(agent, client)

    def copy(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def answer(agent, client):
        try:
            while data := agent.recv(65536):
                if data.startswith(b"HTTP/1.1 ") and b"application/x-ndjson" in data.partition(b"\r\n\r\n")[0]:
                    agent.settimeout(0.05)
                    client.sendall(cut(agent, data))
                    break
                client.sendall(data)
        except OSError:
            pass
        # Not a plain close: the other thread still waits in its recv.
        for end in (client, agent):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()

    def accept():
        while True:
            client, _ = listener.accept()
            threading.Thread(target=serve, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def cut(agent, data):
    """What comes until a pause, whole chunks of it, with the chunk that ends a body."""
    try:
        while more := agent.recv(65536):
            data += more
    except TimeoutError:
        pass
    head, _, body = data.partition(b"\r\n\r\n")
    whole = 0
    while (end := body.find(b"\r\n", whole)) >= 0:
        size = int(body[whole:end], 16)
        if len(body) < end + 4 + size or size == 0:
            break
        whole = end + 4 + size
    return head + b"\r\n\r\n" + body[:whole] + b"0\r\n\r\n"


class Stream:
    """A streamed answer, line by line."""

    def __init__(self, path, target, timeout=20):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(str(path))
        self.socket.sendall(f"GET {target} HTTP/1.1\r\nhost: trammel\r\nconnection: close\r\n\r\n".encode())
        self.file = self.socket.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        fields = {}
        while line := self.file.readline().strip():
            name, _, value = line.decode().partition(":")
            fields[name.lower()] = value.strip()
        self.type = fields.get("content-type", "")
        self.length = int(fields.get("content-length", 0))
        self.pending = b""

    def event(self):
        """The next that is no empty line; None at a clean end."""
        while True:
            line, found, rest = self.pending.partition(b"\n")
            if found:
                self.pending = rest
                if line:
                    return json.loads(line)
                continue
            size = int(self.file.readline(), 16)
            if size == 0:
                return None
            self.pending += self.file.read(size)
            self.file.readline()

    def problem(self):
        return json.loads(self.file.read(self.length))

    def close(self):
        self.file.close()
        self.socket.close()
