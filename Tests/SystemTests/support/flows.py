"""Rows of the traffic tests about bytes: how many, how fast for whom, and how connections end."""

import hashlib
import socket
import subprocess
import threading
import time

from matrix import row
from pods import expect, receive, reset, until, url
from servers import PATTERN

@row("a download of 1 GB arrives whole and the agent stays small", families=("v4",), modes=("tproxy",))
def download(at):
    bulk(at, 1 << 30, 8080)


@row("300 MB through the relay arrive whole and the agent stays small", families=("v6",), modes=("redirect",))
def relayed(at):
    bulk(at, 300 << 20, 8081)


def bulk(at, length, port):
    before = at.node.resident()[0]
    at.node.forget_peak()
    client = subprocess.Popen(
        ["nsenter", "--net=/run/netns/client", "curl", "-sS", "-m", "60", url(at.vip, port, f"/flow?{length}")],
        stdout=subprocess.PIPE)
    got, good = 0, True
    while piece := client.stdout.read(len(PATTERN)):
        good = good and piece == PATTERN[:len(piece)]
        got += len(piece)
    client.wait()
    peak = at.node.resident()[1]
    expect(good and got == length, f"{got} bytes of {length}, {'the same' if good else 'not the same'}")
    expect(peak - before < 48, f"resident {before:.0f} MiB before, {peak:.0f} MiB at most")


@row("an upload of 300 MB arrives whole and the agent stays small", families=("v4", "v6"), modes=("tproxy",))
def upload(at):
    before = at.node.resident()[0]
    at.node.forget_peak()
    count = 300
    client = subprocess.Popen(
        ["nsenter", "--net=/run/netns/client", "curl", "-sS", "-m", "60", "-T", "-", "-H", "Expect:",
         *([] if at.family == "v4" else ["-H", f"Content-Length: {count << 20}", "-H", "Transfer-Encoding:"]),
         url(at.vip, 8080, "/sink")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=False)
    digest = hashlib.sha256()
    for _ in range(count):
        client.stdin.write(PATTERN)
        digest.update(PATTERN)
    client.stdin.close()
    told = client.stdout.read().decode()
    client.wait()
    expect(told == f"{count << 20} {digest.hexdigest()}", told)
    peak = at.node.resident()[1]
    expect(peak - before < 48, f"resident {before:.0f} MiB before, {peak:.0f} MiB at most")


def stalled(read):
    """The value at which a counter has stood still for a third of a second."""
    last, since = read(), time.monotonic()
    def still():
        nonlocal last, since
        if (now := read()) != last:
            last, since = now, time.monotonic()
        return time.monotonic() - since > 0.35
    until(still, 10, "back-pressure")
    return last


@row("a slow reader holds the sender back, and gets everything in the end")
def slow_reader(at):
    length = 96 << 20
    before = at.node.resident()[0]
    at.node.forget_peak()
    with at.dial(8080, timeout=20) as connection:
        at.web.sent = 0
        connection.sendall(b"GET /flow?%d HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n" % length)
        until(lambda: at.web.sent > 0, 5, "the first bytes")
        stood = stalled(lambda: at.web.sent)
        grown = at.node.resident()[1] - before
        expect(stood < 40 << 20, f"the server got rid of {stood >> 20} MiB while nobody read")
        expect(grown < 16, f"the agent grew by {grown:.0f} MiB")
        answer = receive(connection)
        expect(len(answer.partition(b"\r\n\r\n")[2]) == length, f"{len(answer)} bytes")


@row("a server that does not read holds the client back")
def slow_server(at):
    before = at.node.resident()[0]
    at.node.forget_peak()
    at.web.release.clear()
    sent = 0
    def push():
        nonlocal sent
        connection.sendall(b"PUT /stuck HTTP/1.1\r\nHost: web\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (96 << 20))
        while sent < 96 << 20:
            sent += connection.send(PATTERN)
    with at.dial(8080, timeout=20) as connection:
        pusher = threading.Thread(target=push, daemon=True)
        pusher.start()
        until(lambda: sent > 0, 5, "the first bytes")
        stood = stalled(lambda: sent)
        grown = at.node.resident()[1] - before
        at.web.release.set()
        expect(stood < 40 << 20, f"the client got rid of {stood >> 20} MiB while nobody read")
        expect(grown < 16, f"the agent grew by {grown:.0f} MiB")
        answer = receive(connection, b"HTTP/1.1 200 ")
        expect(b" 200 " in answer, answer)


# MARK: ends of connections

@row("half-close: the client's end reaches the server, whose answer still comes")
def half_close(at):
    for port in (9000, 9001):
        with at.dial(port) as connection:
            connection.sendall(b"count\n" + PATTERN)
            connection.shutdown(socket.SHUT_WR)
            answer = receive(connection).decode()
        expect(answer == f"{len(PATTERN)} {hashlib.sha256(PATTERN).hexdigest()}", f"{port}: {answer}")
    host = f"[{at.vip}]" if at.family == "v6" else at.vip
    told = at.node.output("socat", "-t", "5", "-", f"TCP{at.family[1]}:{host}:9001", pod="client", input="count\nabc")
    expect(told.startswith("3 "), told)
    told = at.node.output("nc", "-N", "-w", "5", at.vip, "9001", pod="client", input="count\nabc")
    expect(told.startswith("3 "), told)


@row("half-close: the server's end reaches the client, who may go on talking")
def server_half_close(at):
    for port in (9000, 9001):
        with at.dial(port) as connection:
            connection.sendall(b"talk\n")
            expect(receive(connection) == b"that is all", port)
            connection.sendall(f"{at.mode} {at.family} {port}".encode())
        until(lambda: f"heard {at.mode} {at.family} {port}" in at.data.ended, 5, f"{port}: the rest")


@row("a client that closes without a word is a close for the server too, on a port of which nothing is said")
def silent_close(at):
    for port in (9000, 9001):
        before = at.data.server.accepted
        connection = at.dial(port)
        until(lambda: at.data.server.accepted > before, 5, "the connection")
        connection.shutdown(socket.SHUT_WR)
        expect(connection.recv(1) == b"", port)
        connection.close()


@row("a reset by the server is a reset for the client")
def server_reset(at):
    for port in (9000, 9001):
        with at.dial(port) as connection:
            connection.sendall(b"reset\n")
            try:
                expect(False, f"{port}: {connection.recv(1)!r} instead of a reset")
            except ConnectionResetError:
                pass


@row("a reset by the client is a reset for the server, and a close is a close")
def client_reset(at):
    for port in (9000, 9001):
        for end, wanted in ((reset, "reset"), (socket.socket.close, "eof")):
            at.data.ended.clear()
            connection = at.dial(port)
            connection.sendall(b"wait\n")
            receive(connection, len(b"waiting"))
            end(connection)
            until(lambda: at.data.ended, 5, f"{port}: an end")
            expect(at.data.ended == [wanted], f"{port}: {at.data.ended}, expected {wanted}")


@row("a port where nobody listens: HTTP is told 503, bytes are reset")
def nobody(at):
    try:
        at.dial(1, host=at.server).recv(1)
        expect(False, "somebody answered")
    except ConnectionResetError:
        pass
    except ConnectionRefusedError:
        pass
