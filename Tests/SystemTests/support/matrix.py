"""The matrix of the traffic tests: each row is run in both modes of capture and both families."""

from pods import FAMILIES, Node, address, dial, receive, until
from servers import Bytes, Web, real

MODES = ("tproxy", "redirect")
VIP = {"v4": "240.240.0.10", "v6": "2001:2::10"}
OWN_VIP = {"v4": "240.240.0.11", "v6": "2001:2::11"}
SERVICES = f"""
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec:
  selector: {{app: server}}
  clusterIPs: ["{VIP['v4']}", "{VIP['v6']}"]
  ports:
  - {{name: http, port: 8080}}
  - {{name: tcp-web, port: 8081, targetPort: 8080}}
  - {{name: unsaid-web, port: 8082, targetPort: 8080}}
  - {{name: tcp-bytes, port: 9000}}
  - {{name: unsaid-bytes, port: 9001, targetPort: 9000}}
  - {{name: maria, port: 3306}}
  - {{name: postgres, port: 5432}}
  - {{name: mail, port: 25}}
  - {{name: store, port: 6379}}
  - {{name: redis, port: 6380, targetPort: 6379}}
  - {{name: https, port: 8443}}
  - {{name: unsaid-tls, port: 8444, targetPort: 8443}}
  - {{name: http-socket, port: 8765}}
  - {{name: unsaid-socket, port: 8766, targetPort: 8765}}
  - {{name: grpc, port: 50051}}
  - {{name: tcp-grpc, port: 50052, targetPort: 50051}}
---
apiVersion: v1
kind: Service
metadata: {{name: own}}
spec:
  selector: {{app: client}}
  clusterIPs: ["{OWN_VIP['v4']}", "{OWN_VIP['v6']}"]
  ports:
  - {{name: http, port: 8080}}
  - {{name: tcp, port: 8081, targetPort: 8080}}
"""
ROWS = []


def row(text, families=("v4", "v6"), modes=MODES):
    """Registers a row, run for each of the modes and families."""
    def register(body):
        ROWS.append((text, families, modes, body))
        return body
    return register


class At:
    """One cell of the matrix: what a row has to know."""

    def __init__(self, node, mode, family, web, data):
        self.node, self.mode, self.family, self.web, self.data = node, mode, family, web, data
        self.vip, self.own_vip = VIP[family], OWN_VIP[family]
        self.client, self.server, self.outside = (address(pod, family) for pod in ("client", "server", "outside"))

    def dial(self, port, host=None, **options):
        return dial("client", host or self.vip, port, **options)

    def curl(self, *words, **options):
        return self.node.curl("client", *words, **options)

    def exchange(self, port, request, host=None):
        """Everything that comes back until the other side closes."""
        with self.dial(port, host) as connection:
            connection.sendall(request)
            return receive(connection)


def run(results, name, chosen):
    """Every registered row, or those whose functions are `chosen`, and that nothing is left afterwards."""
    node = Node(name)
    try:
        before = {pod: node.state(pod) for pod in ("client", "server")}
        web, data = Web("server", 8080), Bytes("server", 9000)
        for pod in ("client", "outside"):
            Web(pod, 8080)
        Bytes("outside", 9000)
        real(node, "server")
        node.start_agent()
        pid = node.daemon.pid
        node.attach("server")
        node.apply(SERVICES)
        for mode in MODES:
            node.attach("client", mode)
            for family in FAMILIES:
                at = At(node, mode, family, web, data)
                for text, families, modes, check in ROWS:
                    if family in families and mode in modes and (not chosen or check.__name__ in chosen):
                        results.row(f"{mode}, IP{family}: {text}", check, at)
            node.detach("client")
        node.detach("server")
        node.alive(results, pid, "after all of it")
        for pod, was in before.items():
            results.tell(node.state(pod) == was, f"nothing is left in {pod}", node.state(pod))
        results.row("no connection is left open", closed, node)
    finally:
        node.close()


def closed(node):
    until(lambda: not node.ask("GET", "/v1/connections")[1]["items"], 3, "the end of every connection")
