"""What is put between client and server: nothing, HAProxy, Envoy, a pair of Envoys.

Each case has pods of its own (a client, version 1 and version 2 of the service), so that all cases stand ready at once
and can be measured in turns. A peer sits in its client's network namespace behind REDIRECT, as a sidecar does, with
one thread, and does what Trammel does for a request: a route that sends `end-user: jason` to version 2, a request id
where there is none, the same line of access log in a file.
"""

import json

import logs
from world import PEER_FILES, PROXY_USER, SERVICE, BenchError

HTTP_PORT, ECHO_PORT, SOURCE_PORT = 80, 7000, 7001


class Case:
    """One way from client to server. `pids` is what its CPU and memory are counted over."""

    name = ""

    def __init__(self, world):
        self.world, self.pids, self.logs, self.held = world, [], [], []
        self.client = world.pod(f"{self.name}-client")
        self.servers = {version: world.pod(f"{self.name}-{version}") for version in ("v1", "v2")}
        for version, pod in self.servers.items():
            world.backend(pod, version)
        self.address = SERVICE
        self.start()

    def start(self):
        raise NotImplementedError

    def redirect(self, ports):
        """Turns the client's connections to the peer's ports, all but the peer's own."""
        rules = "\n".join(f"tcp dport {port} redirect to :{target}" for port, target in ports.items())
        self.client.run("nft", "-f", "-", stdin=f"""
            table inet peer {{ chain out {{ type nat hook output priority -100;
                meta skuid {PROXY_USER} accept
                {rules}
            }}
            }}""")

    def check(self):
        """Holds the case to its duties before it is measured."""
        url = f"http://{self.address}/echo"
        plain = self.client.run("curl", "-sSi", "-m", "5", url)
        jason = self.client.run("curl", "-sSi", "-m", "5", "-H", "end-user: jason", url)
        if "x-backend: v1" not in plain:
            raise BenchError(f"{self.name}: a request did not reach version 1:\n{plain}")
        if not self.pids:
            return
        if "x-backend: v2" not in jason:
            raise BenchError(f"{self.name}: jason's request did not reach version 2:\n{jason}")
        if "\nx-request-id: " not in plain.lower():
            raise BenchError(f"{self.name}: the request reached the server without a request id:\n{plain}")


class Direct(Case):
    name = "direct"

    def start(self):
        self.address = self.servers["v1"].address


class HAProxy(Case):
    name = "haproxy"

    def start(self):
        log = PEER_FILES / "haproxy.log"
        config = PEER_FILES / "haproxy.cfg"
        v1, v2 = self.servers["v1"].address, self.servers["v2"].address
        # A log on stdout is written with one write(2) per line by the thread itself: the cheapest HAProxy has.
        config.write_text(f"""
            global
                nbthread 1
                maxconn 9000
                log stdout len 4096 format raw local0
            defaults
                log global
                timeout connect 5s
                timeout client 1h
                timeout server 1h
            frontend http
                mode http
                bind 127.0.0.1:15001
                http-request set-header x-request-id %[uuid()] if !{{ req.hdr(x-request-id) -m found }}
                http-request capture req.hdr(user-agent) len 256
                http-request capture req.hdr(x-request-id) len 64
                http-request capture req.hdr(host) len 256
                log-format '{logs.HAPROXY_HTTP}'
                use_backend v2 if {{ req.hdr(end-user) -m str jason }}
                default_backend v1
            backend v1
                mode http
                http-reuse always
                server v1 {v1}:{HTTP_PORT}
            backend v2
                mode http
                http-reuse always
                server v2 {v2}:{HTTP_PORT}
            listen echo
                mode tcp
                log-format '{logs.HAPROXY_TCP}'
                bind 127.0.0.1:15002
                server v1 {v1}:{ECHO_PORT}
            listen source
                mode tcp
                log-format '{logs.HAPROXY_TCP}'
                bind 127.0.0.1:15003
                server v1 {v1}:{SOURCE_PORT}
            """ + "\n")
        self.logs = [log]
        process = self.world.proxy(self.client, ["haproxy", "-db", "-f", config], log, 15003)
        self.pids = [process.pid]
        self.redirect({HTTP_PORT: 15001, ECHO_PORT: 15002, SOURCE_PORT: 15003})


def envoy_config(log, http, tcp, admin):
    """An Envoy with one HTTP listener, `(address, port, v1, v2)`, and TCP listeners `[(address, port, upstream)]`."""

    def endpoint(address):
        host, port = address
        return {"socket_address": {"address": host, "port_value": port}}

    def cluster(name, upstream):
        generous = {"max_connections": 50000, "max_pending_requests": 50000, "max_requests": 50000}
        return {
            "name": name, "type": "STATIC", "connect_timeout": "5s",
            "circuit_breakers": {"thresholds": [generous]},
            "load_assignment": {"cluster_name": name, "endpoints": [
                {"lb_endpoints": [{"endpoint": {"address": endpoint(upstream)}}]}]},
        }

    def typed(kind, **fields):
        return {"@type": f"type.googleapis.com/envoy.extensions.{kind}", **fields}

    access_log = [{"name": "file", "typed_config": typed("access_loggers.file.v3.FileAccessLog", path=str(log), log_format={
        "json_format": logs.ENVOY})}]

    def listener(address, name, network_filter):
        return {"name": name, "address": endpoint(address), "filter_chains": [{"filters": [network_filter]}]}

    bind, v1, v2 = http
    listeners = [listener(bind, "http", {"name": "http", "typed_config": typed(
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="http", access_log=access_log,
        route_config={"virtual_hosts": [{"name": "reviews", "domains": ["*"], "routes": [
            {"match": {"prefix": "/", "headers": [{"name": "end-user", "string_match": {"exact": "jason"}}]},
             "route": {"cluster": "v2"}},
            {"match": {"prefix": "/"}, "route": {"cluster": "v1"}}]}]},
        http_filters=[{"name": "router", "typed_config": typed("filters.http.router.v3.Router")}])})]
    clusters = [cluster("v1", v1), cluster("v2", v2)]
    for bind, upstream in tcp:
        name = f"tcp-{bind[1]}"
        clusters.append(cluster(name, upstream))
        listeners.append(listener(bind, name, {"name": "tcp", "typed_config": typed(
            "filters.network.tcp_proxy.v3.TcpProxy", stat_prefix=name, cluster=name, access_log=access_log)}))
    return json.dumps({
        "admin": {"address": endpoint(admin)},
        "static_resources": {"listeners": listeners, "clusters": clusters}})


class Envoy(Case):
    name = "envoy"

    def start(self):
        v1, v2 = self.servers["v1"].address, self.servers["v2"].address
        self.outbound((v1, HTTP_PORT), (v2, HTTP_PORT), (v1, ECHO_PORT), (v1, SOURCE_PORT))

    def outbound(self, v1, v2, echo, source):
        self.envoy(
            self.client, (("127.0.0.1", 15001), v1, v2),
            [(("127.0.0.1", 15002), echo), (("127.0.0.1", 15003), source)])
        self.redirect({HTTP_PORT: 15001, ECHO_PORT: 15002, SOURCE_PORT: 15003})

    def envoy(self, pod, http, tcp):
        config, log = PEER_FILES / f"{pod.name}.json", PEER_FILES / f"{pod.name}.log"
        config.write_text(envoy_config(log, http, tcp, ("127.0.0.1", 15000)))
        log.touch()
        log.chmod(0o666)
        binary = self.world.envoy_binary
        process = self.world.proxy(
            pod, [binary, "-c", config, "--concurrency", "1", "--disable-hot-restart", "-l", "error"],
            PEER_FILES / f"{pod.name}.out", 15003)
        self.pids.append(process.pid)
        self.logs.append(log)


class EnvoyPair(Envoy):
    """A sidecar at each end, as meshes run them; without TLS. Both share the proxies' core."""

    name = "envoy-pair"

    def start(self):
        for pod in self.servers.values():
            self.envoy(
                pod, (("0.0.0.0", 15001), ("127.0.0.1", HTTP_PORT), ("127.0.0.1", HTTP_PORT)),
                [(("0.0.0.0", 15002), ("127.0.0.1", ECHO_PORT)), (("0.0.0.0", 15003), ("127.0.0.1", SOURCE_PORT))])
            pod.run("nft", "-f", "-", stdin=f"""
                table inet peer {{ chain in {{ type nat hook prerouting priority -100;
                    iifname != "eth0" accept
                    tcp dport {HTTP_PORT} redirect to :15001
                    tcp dport {ECHO_PORT} redirect to :15002
                    tcp dport {SOURCE_PORT} redirect to :15003
                }}
            }}""")
        super().start()
        # The second version's log stays nearly empty: only the check calls it.
        self.logs = [log for log in self.logs if "-v2" not in log.name]


PEERS = {case.name: case for case in (Direct, HAProxy, Envoy, EnvoyPair)}
