"""Servers that know nothing of Trammel: real ones as processes in a pod, and scripted ones that show what reached them."""

import hashlib
import pathlib
import socket
import threading

from pods import VENV, Missed, Server, dial, receive, reset, sh, until

PEERS = pathlib.Path(__file__).with_name("peers.py")
# 1 MiB in which every place can be told from every other.
PATTERN = b"".join(hashlib.sha256(bytes([page, part])).digest() for page in range(128) for part in range(256))


def real(node, pod):
    """MariaDB, PostgreSQL, SMTP, Redis, TLS, WebSocket and gRPC in `pod`, each heard on its own port."""
    run = node.run
    sh(f"""mkdir {run}/maria {run}/postgres; chown postgres {run}/postgres
           openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=secure.example \
               -addext subjectAltName=DNS:secure.example -keyout {run}/key.pem -out {run}/cert.pem 2>/dev/null
           cat {run}/key.pem {run}/cert.pem >{run}/both.pem""")
    node.start("mariadbd", "--no-defaults", "--user=root", f"--datadir={run}/maria", f"--socket={run}/maria.sock",
               "--skip-grant-tables", "--skip-networking=0", "--port=3306",
               "--innodb-buffer-pool-size=16M", f"--pid-file={run}/maria.pid", pod=pod, log=run / "maria.log")
    postgres = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    sh(f"""cd /; runuser -u postgres -- {postgres}/initdb -N -A trust -D {run}/postgres >{run}/postgres.log 2>&1
           echo 'host all all all trust' >>{run}/postgres/pg_hba.conf
           install -o postgres -m 600 {run}/key.pem {run}/postgres/server.key
           install -o postgres -m 600 {run}/cert.pem {run}/postgres/server.crt""")
    node.start("runuser", "-u", "postgres", "--", postgres / "postgres", "-D", run / "postgres", "-c", "ssl=on", "-c",
               "listen_addresses=*", "-c", f"unix_socket_directories=", "-c", "fsync=off", pod=pod, log=run / "postgres.log")
    node.start("redis-server", "--port", "6379", "--save", "", "--protected-mode", "no", "--bind", "0.0.0.0", "::",
               pod=pod)
    node.start(VENV, "-u", PEERS, "mail-server", "25", pod=pod, log=run / "mail.log")
    (run / "haproxy.cfg").write_text(f"""
defaults
  mode http
  timeout client 120s
  timeout server 120s
  timeout connect 5s
frontend tls
  bind :::8443 v4v6 ssl crt {run}/both.pem alpn h2,http/1.1
  http-request return status 200 content-type text/plain lf-string "%[ssl_fc_sni]"
""")
    node.start("haproxy", "-db", "-f", run / "haproxy.cfg", pod=pod)
    node.start(VENV, PEERS, "websocket-server", "8765", pod=pod)
    node.start(VENV, PEERS, "grpc-server", "50051", pod=pod)
    for port in (3306, 5432, 6379, 25, 8443, 8765, 50051):
        heard(node, pod, port)


def heard(node, pod, port):
    """Waits until somebody listens."""
    def answers():
        try:
            dial(pod, "127.0.0.1", port).close()
            return True
        except OSError:
            return False
    try:
        until(answers, 20, f"a server on port {port}")
    except Missed as missed:
        logs = "\n".join(path.read_text(errors="replace")[-600:] for path in sorted(node.run.glob("*.log")))
        raise Missed(f"{logs}\n{missed}") from None


class Web:
    """An HTTP/1.1 server that takes everything literally and tells what it saw. Reads heads and bodies as bytes, so that
    nothing which the agent changed or kept is hidden by a library."""

    def __init__(self, pod, port):
        self.seen = []  # one entry a request: the raw head, the raw body
        self.sent = 0  # bytes of /flow that the kernel took
        self.release = threading.Event()
        self.server = Server(pod, port, self.serve)

    def serve(self, connection, peer):
        buffer = bytearray()
        while True:
            head = take(connection, buffer, b"\r\n\r\n")
            if head is None:
                return
            method, target, _ = head.split(b"\r\n", 1)[0].decode("latin1").split(" ", 2)
            path, _, query = target.partition("?")
            fields = dict(
                (name.lower(), value.strip()) for name, _, value in
                (line.partition(":") for line in head.decode("latin1").split("\r\n")[1:]) if name)
            if method == "CONNECT":
                self.seen.append((head, b""))
                connection.sendall(b"HTTP/1.1 200 Made\r\n\r\n")
                return tunnel(connection, buffer)
            if path == "/reject":
                self.seen.append((head, bytes(buffer)))
                connection.sendall(b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
                return
            if path == "/stuck":
                self.release.wait(20)
            if "expect" in fields:
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            body, summary = self.body(connection, buffer, fields, keep=path != "/sink")
            self.seen.append((head, body))
            if path == "/flow":
                self.flow(connection, int(query))
            elif path == "/trailers":
                connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                                   b"5;note=x\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 11\r\n\r\n")
            elif path == "/hints":
                connection.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
                answer(connection, method, b"hinted")
            else:
                told = {"/who": peer[0], "/sink": summary, "/number": query}.get(path)
                answer(connection, method, told.encode() if told is not None else head + body)
            if fields.get("connection") == "close":
                return

    def body(self, connection, buffer, fields, keep):
        """The raw bytes of the body, and its length and digest."""
        raw, digest, length = bytearray(), hashlib.sha256(), 0
        if "chunked" in fields.get("transfer-encoding", ""):
            while True:
                line = take(connection, buffer, b"\r\n")
                size = int(line.split(b";")[0], 16)
                if size == 0:
                    trailer = b""
                    while not trailer.endswith(b"\r\n\r\n") and trailer != b"\r\n":
                        trailer += take(connection, buffer, b"\r\n")
                    raw += line + trailer
                    break
                data = exactly(connection, buffer, size + 2)
                digest.update(data[:-2])
                length += size
                if keep:
                    raw += line + data
        else:
            left = int(fields.get("content-length", 0))
            while left:
                data = exactly(connection, buffer, min(left, 1 << 20))
                left -= len(data)
                digest.update(data)
                length += len(data)
                if keep:
                    raw += data
        return bytes(raw), f"{length} {digest.hexdigest()}"

    def flow(self, connection, length):
        self.sent = 0
        connection.settimeout(60)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length)
        while self.sent < length:
            self.sent += connection.send(PATTERN[self.sent % len(PATTERN):][:length - self.sent])


def answer(connection, method, body):
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n" % len(body)
    connection.sendall(head if method == "HEAD" else head + body)


def take(connection, buffer, end):
    """Up to and with `end`; None when the peer has closed before anything came."""
    while end not in buffer:
        more = connection.recv(1 << 16)
        if not more:
            return None
        buffer += more
    place = buffer.index(end) + len(end)
    got = bytes(buffer[:place])
    del buffer[:place]
    return got


def exactly(connection, buffer, length):
    while len(buffer) < length:
        more = connection.recv(1 << 18)
        if not more:
            raise ConnectionError("the body ended early")
        buffer += more
    got = bytes(buffer[:length])
    del buffer[:length]
    return got


def tunnel(connection, buffer):
    """Echoes, and a farewell once the peer has said that no more comes."""
    connection.sendall(bytes(buffer))
    while more := connection.recv(1 << 16):
        connection.sendall(more)
    connection.sendall(b" farewell")


class Bytes:
    """A TCP server that does what the first line says, so that one port serves every row."""

    def __init__(self, pod, port):
        self.ended = []  # how connections ended: "eof", "reset"
        self.server = Server(pod, port, self.serve)

    def serve(self, connection, peer):
        buffer = bytearray()
        order = take(connection, buffer, b"\n")
        if order is None:
            return
        order = order.strip().decode("latin1")
        if order == "who":
            connection.sendall(f"{peer[0]} {peer[1]}".encode())
        elif order == "count":  # all that comes until the peer's FIN, then the answer
            total, digest = len(buffer), hashlib.sha256(buffer)
            while more := connection.recv(1 << 18):
                total += len(more)
                digest.update(more)
            connection.sendall(f"{total} {digest.hexdigest()}".encode())
        elif order == "talk":  # a FIN from here first, and still all ears
            connection.sendall(b"that is all")
            connection.shutdown(socket.SHUT_WR)
            self.ended.append("heard " + receive(connection).decode("latin1"))
        elif order == "reset":
            reset(connection)
        elif order == "wait":
            connection.sendall(b"waiting")
            try:
                while connection.recv(1 << 16):
                    pass
                self.ended.append("eof")
            except ConnectionResetError:
                self.ended.append("reset")
        elif order.startswith("flow "):
            length, sent = int(order.split()[1]), 0
            connection.settimeout(60)
            while sent < length:
                sent += connection.send(PATTERN[sent % len(PATTERN):][:length - sent])
        elif order == "echo":
            tunnel(connection, buffer)
