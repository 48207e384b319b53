"""What is measured, each the same way for every case."""

import dataclasses
import json
import re
import subprocess

from peers import ECHO_PORT, HTTP_PORT, SOURCE_PORT
from logs import Rotation
from world import BenchError, cpu_seconds, memory, own_seconds, proportional


@dataclasses.dataclass
class Sample:
    """One case, one round. Times in seconds, latencies in microseconds."""

    count: int
    seconds: float
    user: float = 0
    system: float = 0
    p99: float = None
    bytes: int = 0
    resident: int = 0
    """Bytes of memory that the proxy had resident before the load, its binary's pages included."""
    held: int = 0
    """The same under the load."""
    share: int = 0
    """Of those, the proxy's share: pages that several processes have are divided among them (PSS)."""
    share_before: int = 0
    disturbed: float = 0
    """Share of both cores' time that went to work which is not this run's."""

    @property
    def rate(self):
        return self.count / self.seconds

    @property
    def cost(self):
        """CPU microseconds of the proxy for each exchange."""
        return (self.user + self.system) / self.count * 1e6

    @property
    def user_cost(self):
        return self.user / self.count * 1e6

    @property
    def system_cost(self):
        return self.system / self.count * 1e6

    @property
    def yield_(self):
        """Gigabytes for each CPU second of the proxy."""
        return self.bytes / 1e9 / (self.user + self.system) if self.user + self.system else None


class Measure:
    """`name` is what `--only` takes. `exclude` names cases in which the measurement makes no sense."""

    name = title = ""
    columns = ("cost", "user", "system", "rate", "p99")
    key = "cost"
    exclude = ()
    logged = False
    rounds = None

    def __init__(self, settings):
        self.settings = settings

    def load(self, case, seconds):
        """Puts the load on and returns (count, seconds, p99, bytes)."""
        raise NotImplementedError

    def sample(self, case):
        self.load(case, min(1, self.settings.seconds))
        with Rotation(case.logs) as rotation, self.settings.profiler(case):
            busy = case.world.cores.busy_seconds() - own_seconds()
            before = cpu_seconds(case.pids)
            count, seconds, p99, size = self.load(case, self.settings.seconds)
            after = cpu_seconds(case.pids)
            busy = case.world.cores.busy_seconds() - own_seconds() - busy
        rotation.check(case, count if self.logged else 0)
        return Sample(count, seconds, after[0] - before[0], after[1] - before[1], p99, size, max(0, busy / (2 * seconds)))


def parse_wrk(text):
    """(requests, seconds, p99 in µs) from wrk's report; errors of any kind make the measurement void."""
    done = re.search(r"(\d+) requests in ([\d.]+)(ms|s|m),", text)
    p99 = re.search(r"\b99%\s+([\d.]+)(us|ms|s)", text)
    if not done or not p99 or int(done[1]) == 0:
        raise BenchError(f"wrk's report is not understood:\n{text}")
    for complaint in ("Socket errors", "Non-2xx"):
        if complaint in text:
            raise BenchError(f"requests failed:\n{text}")
    scale = {"ms": 1e-3, "s": 1, "m": 60}
    return int(done[1]), float(done[2]) * scale[done[3]], float(p99[1]) * {"us": 1, "ms": 1e3, "s": 1e6}[p99[2]]


def wrk(case, seconds, *options):
    # wrk takes whole seconds.
    text = case.client.run(
        "wrk", "-t1", "-c64", f"-d{max(1, round(seconds))}", "--latency", *options, f"http://{case.address}/",
        core=case.world.cores.load, timeout=seconds + 30)
    return parse_wrk(text)


def load(case, mode, port, connections, *arguments, seconds):
    text = case.client.run(
        case.world.cache / "load", mode, case.address, port, connections, seconds, *arguments,
        core=case.world.cores.load, timeout=seconds + 30)
    return json.loads(text)


class HTTP1(Measure):
    name = "http1"
    title = "HTTP/1.1 keep-alive, small response, 64 connections, saturated"
    logged = True

    def load(self, case, seconds):
        return *wrk(case, seconds), 0


class Pace(Measure):
    """Open loop at one rate for all: half of what saturates Envoy."""

    name = "pace"
    logged = True

    @property
    def title(self):
        return f"HTTP/1.1 keep-alive at {self.settings.rate:.0f} requests/s (half of Envoy's saturation), 64 connections"

    def load(self, case, seconds):
        done = load(case, "pace", HTTP_PORT, 64, self.settings.rate, seconds=seconds)
        return done["count"], done["seconds"], done["p99"], 0


class Connect(Measure):
    name = "connect"
    title = "HTTP/1.1, a new connection for each request, 64 at a time"
    logged = True

    def load(self, case, seconds):
        return *wrk(case, seconds, "-H", "Connection: close"), 0


class Ping(Measure):
    name = "ping"
    title = "TCP, 100 bytes there and back, 64 connections"
    exclude = ("trammel-off",)

    def load(self, case, seconds):
        done = load(case, "ping", ECHO_PORT, 64, seconds=seconds)
        return done["count"], done["seconds"], done["p99"], 0


class Bulk(Measure):
    name = "bulk"
    title = "TCP, bulk from server to client, 2 connections"
    columns = ("yield", "throughput")
    key = "yield_"
    exclude = ("trammel-off",)

    def load(self, case, seconds):
        done = load(case, "bulk", SOURCE_PORT, 2, seconds=seconds)
        return 1, done["seconds"], None, done["bytes"]


class Idle(Measure):
    """Anonymous memory for each captured connection that has done one exchange and then nothing.

    Runs before everything else and once: memory that an allocator keeps from an earlier load would hide the growth.
    `release` ends what is held open.
    """

    columns = ("memory", "base", "share before", "held", "share")
    key = "bytes"
    exclude = ("direct", "trammel-off")
    rounds = 1
    connections = 2000
    port = kind = None

    def sample(self, case):
        first = self.hold(case, 100)
        resident, share = memory(case.pids, "VmRSS"), proportional(case.pids)
        before = memory(case.pids, "RssAnon")
        many = self.hold(case, self.connections)
        grown = memory(case.pids, "RssAnon") - before
        # They stay, so that the memory of these connections is not there for the next kind's to use again.
        case.held += [first, many]
        return Sample(
            self.connections, 1, bytes=grown / self.connections, resident=resident, held=memory(case.pids, "VmRSS"),
            share=proportional(case.pids), share_before=share)

    @staticmethod
    def release(case):
        while case.held:
            holder = case.held.pop()
            holder.stdin.close()
            holder.wait(timeout=30)

    def hold(self, case, connections):
        holder = subprocess.Popen(
            case.client.command(
                case.world.cache / "load", "idle", case.address, self.port, connections, self.kind,
                core=case.world.cores.load),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if holder.stdout.readline() != "ready\n":
            raise BenchError(f"{case.name}: {connections} connections could not be held open at once")
        return holder


class IdleHTTP(Idle):
    name = "idle-http"
    title = "Memory for each idle captured HTTP/1.1 connection"
    port, kind = HTTP_PORT, "http"


class IdleTCP(Idle):
    name = "idle-tcp"
    title = "Memory for each idle captured TCP connection"
    port, kind = ECHO_PORT, "tcp"


MEASURES = {measure.name: measure for measure in (IdleHTTP, IdleTCP, HTTP1, Pace, Connect, Ping, Bulk)}
