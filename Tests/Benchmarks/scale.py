"""A large mesh: what it costs to learn, to hold, to change and to serve, beside an Envoy with the same clusters.

10,000 services, each with ten endpoints in an EndpointSlice, and VirtualServices for half of them. The same requests
are measured before and after: what a request costs must not grow with what the mesh knows. Envoy gets its clusters,
virtual hosts and routes in its bootstrap; a change of one endpoint needs a control plane there and is not measured.
"""

import dataclasses
import json
import subprocess
import time

import measures
import peers
import report
from world import PEER_FILES, RUN, BenchError, memory

SERVICES, ENDPOINTS, ROUTED, CHANGES = 10_000, 10, 5_000, 30


def address(service, endpoint):
    return f"10.{100 + endpoint}.{service // 250}.{service % 250 + 1}"


def slice_(service, endpoints=ENDPOINTS):
    name = f"service-{service}"
    return {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": f"{name}-1", "namespace": "large", "labels": {"kubernetes.io/service-name": name}},
        "endpoints": [{"addresses": [address(service, number)]} for number in range(endpoints)],
        "ports": [{"name": "http", "port": 8080}],
    }


def resources():
    for service in range(SERVICES):
        name = f"service-{service}"
        yield {
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "large"},
            "spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
        }
        yield slice_(service)
        if service < ROUTED:
            yield {
                "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
                "metadata": {"name": name, "namespace": "large"},
                "spec": {"hosts": [name], "http": [
                    {"match": [{"headers": {"end-user": {"exact": "jason"}}}], "timeout": "2s",
                     "route": [{"destination": {"host": name}}]},
                    {"route": [{"destination": {"host": name}}]}]},
            }


@dataclasses.dataclass
class Result:
    learnt: float
    resident: float
    changed: list
    before: list
    after: list


class LargeEnvoy(peers.Envoy):
    """An Envoy that knows the large mesh besides what it is measured with."""

    name = "envoy-large"

    def envoy(self, pod, http, tcp):
        log = PEER_FILES / f"{pod.name}.log"
        config = json.loads(peers.envoy_config(log, http, tcp, ("127.0.0.1", 15000)))
        static = config["static_resources"]
        hosts = static["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]["route_config"]["virtual_hosts"]
        for service in range(SERVICES):
            name = f"service-{service}"
            static["clusters"].append({
                "name": name, "type": "STATIC", "load_assignment": {"cluster_name": name, "endpoints": [{
                    "lb_endpoints": [{"endpoint": {"address": {"socket_address": {
                        "address": address(service, number), "port_value": 8080}}}} for number in range(ENDPOINTS)]}]}})
            routes = [{"match": {"prefix": "/"}, "route": {"cluster": name}}]
            if service < ROUTED:
                jason = {"name": "end-user", "string_match": {"exact": "jason"}}
                routes.insert(0, {
                    "match": {"prefix": "/", "headers": [jason]}, "route": {"cluster": name, "timeout": "2s"}})
            hosts.append({"name": name, "domains": [f"{name}.large.svc.cluster.local"], "routes": routes})
        path = PEER_FILES / f"{pod.name}.json"
        path.write_text(json.dumps(config))
        log.touch()
        log.chmod(0o666)
        begun = time.monotonic()
        process = self.world.proxy(
            pod, [self.world.envoy_binary, "-c", path, "--concurrency", "1", "--disable-hot-restart", "-l", "error"],
            PEER_FILES / f"{pod.name}.out", 15003, patience=180)
        self.learnt = time.monotonic() - begun
        self.pids.append(process.pid)
        self.logs.append(log)


def curl(*words, body=None):
    done = subprocess.run(
        ["curl", "-sS", "-m", "300", "--unix-socket", str(RUN / "trammel.sock"), *words], capture_output=True, input=body)
    if done.returncode != 0:
        raise BenchError(f"curl {' '.join(words)}: {done.stderr.decode()}")
    return done.stdout


def apply(documents):
    """Seconds until the whole is live."""
    body = json.dumps({"apiVersion": "v1", "kind": "List", "items": documents}).encode()
    begun = time.monotonic()
    answer = json.loads(curl(
        "-H", "content-type: application/json", "--data-binary", "@-", "http://trammel/v1/apply", body=body))
    if "results" not in answer:
        raise BenchError(f"the agent refused a large mesh: {json.dumps(answer)[:500]}")
    return time.monotonic() - begun


def trammel(case, settings):
    measure = measures.HTTP1(settings)
    before = [measure.sample(case) for _ in range(settings.chosen.rounds)]
    learnt = apply(list(resources()))
    changed = []
    for number in range(CHANGES):
        service = number * (SERVICES // CHANGES)
        changed.append(apply([slice_(service, ENDPOINTS - 1)]) * 1000)
    resident = memory(case.pids, "VmRSS")
    return Result(learnt, resident, changed, before, [measure.sample(case) for _ in range(settings.chosen.rounds)])


def envoy(scene, settings, small):
    measure = measures.HTTP1(settings)
    before = [measure.sample(small) for _ in range(settings.chosen.rounds)]
    large = LargeEnvoy(scene)
    large.check()
    after = [measure.sample(large) for _ in range(settings.chosen.rounds)]
    return Result(large.learnt, memory(large.pids, "VmRSS"), [], before, after)


def run(scene, cases, settings, progress):
    """Lines of the table; empty where neither case is measured."""
    results = {}
    if "envoy" in cases:
        progress("scale envoy")
        results["envoy"] = envoy(scene, settings, cases["envoy"])
    if "trammel" in cases:
        progress("scale trammel")
        results["trammel"] = trammel(cases["trammel"], settings)
    progress("")
    return results


def table(results):
    head = ["case", "learnt in s", "MB resident", "one change, ms", "slowest", "CPU µs before", "after", "after ÷ before"]
    rows = [head]
    for name, result in results.items():
        changed = sorted(result.changed)
        before, after = report.median(result.before, "cost"), report.median(result.after, "cost")
        rows.append([
            name, f"{result.learnt:.1f}", f"{result.resident / 1e6:,.0f}",
            f"{changed[len(changed) // 2]:.0f}" if changed else "–", f"{changed[-1]:.0f}" if changed else "–",
            f"{before:.1f}", f"{after:.1f}", f"{after / before:.2f}"])
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    title = (f"scale: {SERVICES:,} services with {SERVICES * ENDPOINTS:,} endpoints and {ROUTED:,} VirtualServices; "
             f"a request's cost before and after (median of {len(next(iter(results.values())).after)})")
    return [title] + [
        "  " + "  ".join([row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])])
        for row in rows]


def budgets(results):
    """(line, is missed) for each budget of the design's "Budgets"."""
    result = results.get("trammel")
    if not result:
        return []
    change = sorted(result.changed)[len(result.changed) // 2]
    growth = report.median(result.after, "cost") / report.median(result.before, "cost")
    figures = [
        ("a large mesh, MB resident", result.resident / 1e6, 300, "{:.0f}"),
        ("one endpoint's change in it, ms", change, 50, "{:.0f}"),
        ("a request's cost in it ÷ in a small one", growth, 1.1, "{:.2f}"),
    ]
    return [
        (f"  {'pass' if value <= limit else 'miss'}  {text}: {form.format(value)} (≤ {form.format(limit)})", value > limit)
        for text, value, limit, form in figures]
