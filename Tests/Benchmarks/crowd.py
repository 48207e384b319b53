"""A crowded node: network namespaces, then cgroups of the host, 500 of each, attached to one agent.

How long each attach takes, what an idle workload costs in memory, how long the agent takes to start when it knows all
of them, and whether a request, a connection and a packet that is nobody's cost more beside 500 workloads than beside
one. The agent is one of its own, so that what it holds is what is counted; it attaches and starts on all cores, as on
any node.
"""

import contextlib
import dataclasses
import http.client
import json
import os
import pathlib
import socket
import statistics
import time

import measures
import peers
import trammel
from world import RUN, BenchError, cgroups, cpu_seconds, memory

HOME = RUN / "crowd"


class Control(http.client.HTTPConnection):
    """The agent's API on one connection that stays, so that an attach is timed and not the start of a program."""

    def __init__(self, path):
        super().__init__("trammel", timeout=60)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)

    def ask(self, method, target, body=None):
        self.request(method, target, json.dumps(body) if body else None, {"content-type": "application/json"})
        answer = self.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise BenchError(f"{method} {target}: {answer.status} {text.decode(errors='replace')[:500]}")
        return json.loads(text) if text else None


class CrowdedCase(trammel.Trammel):
    """Client and servers as ever, behind an agent that will have many workloads besides."""

    name = "crowd"

    def start(self):
        HOME.mkdir()
        self.agent = trammel.Agent(self.world, HOME)
        self.pids, self.logs = [self.agent.process.pid], [self.agent.log]
        self.attach()

    def restart(self):
        """Ends the agent as a crash does and starts it again; seconds until every workload is attached."""
        self.agent.process.kill()
        self.agent.process.wait()
        begun = time.monotonic()
        self.agent.launch(",".join(map(str, os.sched_getaffinity(0))))
        ready = time.monotonic() - begun
        self.pids = [self.agent.process.pid]
        self.confine()
        return ready

    def confine(self):
        """To the proxies' core, as for every figure that compares."""
        self.agent.spread({self.world.cores.proxy})


@dataclasses.dataclass
class Result:
    """Times in seconds, memory in bytes for each workload, costs in µs."""

    attached: list
    memory: float
    threads: int
    start: float
    before: dict
    after: dict


def costs(case, settings):
    """Medians: what a request and a connection cost the agent, and what a round trip costs that is not captured."""
    found = {}
    for measure in (measures.HTTP1(settings), measures.Connect(settings)):
        found[measure.name] = statistics.median(
            measure.sample(case).cost for _ in range(settings.chosen.rounds))
    found["passing"] = statistics.median(passing(case) for _ in range(settings.chosen.rounds))
    return found


def passing(case, count=20_000):
    """Microseconds of a TCP round trip from the host itself to a pod that nobody attached."""
    server = case.bystander
    with socket.create_connection((server.address, peers.ECHO_PORT)) as stream:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        begun = time.perf_counter()
        for _ in range(count):
            stream.sendall(b"x" * 100)
            left = 100
            while left:
                left -= len(stream.recv(left))
        return (time.perf_counter() - begun) / count * 1e6


def settle(case, patience=30):
    """Waits until the agent has nothing to do but what it does all the time: under a third of its core."""
    deadline = time.monotonic() + patience
    before = sum(cpu_seconds(case.pids))
    while time.monotonic() < deadline:
        time.sleep(0.5)
        now = sum(cpu_seconds(case.pids))
        if now - before < 0.15:
            return
        before = now
    raise BenchError(f"the agent is busy {patience} s after the last attach")


def crowd(case, settings, targets):
    """Attaches all of `targets` (name and what the request says of it); measures beside the first and beside all."""
    control = Control(HOME / "trammel.sock")
    attached = []

    def attach(name, target):
        begun = time.perf_counter()
        control.ask("POST", "/v1/workloads", {"name": name, **target})
        attached.append(time.perf_counter() - begun)

    # The crowd before may not have been let go of altogether.
    settle(case)
    attach(*targets[0])
    before, resident = costs(case, settings), memory(case.pids, "RssAnon")
    case.agent.spread(os.sched_getaffinity(0))
    for target in targets[1:]:
        attach(*target)
    each = (memory(case.pids, "RssAnon") - resident) / (len(attached) - 1)
    case.confine()
    settle(case)
    after = costs(case, settings)
    threads = len(list(pathlib.Path(f"/proc/{case.pids[0]}/task").iterdir()))
    start = case.restart()
    control = Control(HOME / "trammel.sock")
    known = control.ask("GET", "/v1/workloads")["items"]
    waiting = [item["name"] for item in known if item["state"] != "attached"]
    if waiting or len(known) < len(attached):
        raise BenchError(f"after a restart {len(known)} workloads are known, and not attached are {waiting[:5]}")
    case.check()
    for name, _ in targets:
        control.ask("DELETE", f"/v1/workloads/default/{name}")
    return Result(attached, each, threads, start, before, after)


@contextlib.contextmanager
def namespaces(world, count):
    """Empty network namespaces; they end with the run."""
    world.sh("\n".join(f"ip netns add crowd{n}; ip -n crowd{n} link set lo up" for n in range(count)))
    yield [(f"crowd{n}", {"netns": f"crowd{n}"}) for n in range(count)]


@contextlib.contextmanager
def groups(count):
    """Empty cgroups; they end with the block."""
    top = cgroups() / f"trammel-bench-{os.getpid()}"
    top.mkdir()
    try:
        for number in range(count):
            (top / f"g{number}").mkdir()
        yield [(f"group{n}", {"cgroup": f"/{top.name}/g{n}"}) for n in range(count)]
    finally:
        for folder in [*top.iterdir(), top]:
            if folder.is_dir():
                folder.rmdir()


def run(scene, settings, progress):
    """Results by kind of workload."""
    case = CrowdedCase(scene)
    case.bystander = scene.pod("crowd-bystander")
    scene.backend(case.bystander, "bystander")
    case.check()
    results, count = {}, settings.chosen.crowd
    for kind, made in (("namespaces", namespaces(scene, count)), ("cgroups", groups(count))):
        progress(f"crowd: {count} {kind}")
        with made as targets:
            results[kind] = crowd(case, settings, targets)
        progress("")
        print("\n" + "\n".join(table({kind: results[kind]})), flush=True)
    return results


HEAD = ["kind", "attach ms", "slowest", "KiB each", "threads", "start s",
        "request µs, one", "all", "connection µs, one", "all", "passing µs, one", "all"]


def table(results):
    rows = [HEAD]
    for kind, result in results.items():
        row = [kind, f"{statistics.median(result.attached) * 1e3:.1f}", f"{max(result.attached) * 1e3:.1f}",
               f"{result.memory / 1024:.1f}", str(result.threads), f"{result.start:.2f}"]
        for name in ("http1", "connect", "passing"):
            row += [f"{result.before[name]:.1f}", f"{result.after[name]:.1f}"]
        rows.append(row)
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
    count = len(next(iter(results.values())).attached)
    return [f"crowd: {count} workloads of a kind; what the agent's work costs beside one of them and beside all"] + [
        "  " + "  ".join([row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])])
        for row in rows]


def budgets(results):
    """(line, is missed) for each budget."""
    found = []
    for kind, result in results.items():
        kind = f"{len(result.attached)} {kind}"
        figures = [
            (f"attach beside {kind}, slowest, ms", max(result.attached) * 1e3, 20),
            (f"an idle workload of {kind}, KiB", result.memory / 1024, 100),
            (f"the agent's start with {kind}, s", result.start, 3),
            (f"a request beside {kind} ÷ beside one", result.after["http1"] / result.before["http1"], 1.1),
            (f"a connection beside {kind} ÷ beside one",
             result.after["connect"] / result.before["connect"], 1.1),
            (f"a passing round trip beside {kind} ÷ beside one",
             result.after["passing"] / result.before["passing"], 1.1),
        ]
        for text, value, limit in figures:
            missed = value > limit
            found.append((f"  {'miss' if missed else 'pass'}  {text}: {value:.2f} (≤ {limit})", missed))
    return found
