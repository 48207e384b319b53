"""Clients and servers made of published libraries, run by the virtual environment's Python: peers.py WHAT [ARGUMENT…]"""

import hashlib
import os
import sys


def mail_server(port):
    import signal
    from aiosmtpd.controller import Controller
    from aiosmtpd.handlers import Debugging

    Controller(Debugging(sys.stdout), hostname="", port=int(port)).start()
    signal.pause()


def websocket_server(port):
    import socket
    from websockets.sync.server import serve

    def echo(connection):
        for message in connection:
            connection.send(message)

    listener = socket.create_server(("::", int(port)), family=socket.AF_INET6, dualstack_ipv6=True)
    with serve(echo, sock=listener, max_size=None, compression=None) as server:
        server.serve_forever()


def websocket_client(url):
    """Every length at which the framing changes, text and binary, in one connection."""
    from websockets.sync.client import connect

    with connect(url, proxy=None, max_size=None, compression=None, open_timeout=5) as connection:
        for length in (0, 1, 125, 126, 127, 65535, 65536, 1 << 20):
            message = os.urandom(length)
            connection.send(message)
            assert connection.recv(timeout=5) == message, length
        connection.send("a text — ‘so’")
        assert connection.recv(timeout=5) == "a text — ‘so’"
        waiter = connection.ping()
        assert waiter.wait(5)
    print("byte-exact", connection.protocol.close_code)


def grpc_server(port):
    import grpc
    from concurrent import futures

    def unary(request, context):
        context.set_trailing_metadata((("x-digest", hashlib.sha256(request).hexdigest()),))
        return request

    def streams(requests, context):
        for request in requests:
            yield request

    def fails(request, context):
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not today")

    handler = grpc.method_handlers_generic_handler("t.Echo", {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "Streams": grpc.stream_stream_rpc_method_handler(streams),
        "Fails": grpc.unary_unary_rpc_method_handler(fails),
    })
    server = grpc.server(futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((handler,))
    server.add_insecure_port(f"[::]:{port}")
    server.start()
    server.wait_for_termination()


def grpc_client(target):
    import grpc

    with grpc.insecure_channel(target, options=[("grpc.enable_http_proxy", 0)]) as channel:
        message = os.urandom(1 << 20)
        answer, call = channel.unary_unary("/t.Echo/Unary").with_call(message, timeout=10, wait_for_ready=True)
        assert answer == message
        assert dict(call.trailing_metadata())["x-digest"] == hashlib.sha256(message).hexdigest()
        many = [os.urandom(1000) for _ in range(200)]
        assert list(channel.stream_stream("/t.Echo/Streams")(iter(many), timeout=10)) == many
        try:
            channel.unary_unary("/t.Echo/Fails")(b"", timeout=10)
            raise AssertionError("it did not fail")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.FAILED_PRECONDITION and error.details() == "not today"
    print("carried")


if __name__ == "__main__":
    {"mail-server": mail_server, "websocket-server": websocket_server, "websocket-client": websocket_client, 
     "grpc-server": grpc_server, "grpc-client": grpc_client}[sys.argv[1]](*sys.argv[2:])
