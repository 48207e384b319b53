"""What one workload's bad behaviour costs another: requests at a steady rate beside 10,000 connections that crawl, and
beside a storm of connects.

Each enemy is measured twice, in turns with nobody there: once as a workload of the agent that carries the others, and
once as a pod that nobody attached, which calls another such. The second shows what the machine itself makes of it, for
load, servers and kernel share its cores; what the agent adds is the difference.
"""

import contextlib
import json
import statistics
import subprocess

import crowd
import measures
import peers
import trammel
from world import RUN, BenchError, memory

HOME = RUN / "fairness"
CRAWLERS, TURN = 10_000, 20
"""How many connections crawl, and the seconds in which each has one turn."""
RATE, CONNECTIONS = 1000, 16
ENEMIES = {
    "heads": (f"{CRAWLERS:,} heads that never end", ["heads", peers.HTTP_PORT, CRAWLERS, TURN]),
    "sips": (f"{CRAWLERS:,} slow readers", ["sips", peers.SOURCE_PORT, CRAWLERS, TURN]),
    "storm": ("64 at a time connect and reset", ["storm", peers.HTTP_PORT, 64, 0]),
}


class Fairness(trammel.Trammel):
    """Client and servers as ever, and two pods more: an enemy that is attached and one that is not."""

    name = "fairness"

    def start(self):
        HOME.mkdir()
        self.agent = trammel.Agent(self.world, HOME)
        self.pids, self.logs = [self.agent.process.pid], [self.agent.log]
        self.enemies = {"through": self.world.pod("fairness-in"), "past": self.world.pod("fairness-out")}
        self.bystander = self.world.pod("fairness-server")
        self.world.backend(self.bystander, "v1")
        # Ten thousand streams whose buffers grow would take the memory of the machine, whoever carries them.
        for pod in [self.client, *self.servers.values(), self.bystander, *self.enemies.values()]:
            pod.run("sh", "-euc", "for way in rmem wmem; do echo 4096 8192 16384 >/proc/sys/net/ipv4/tcp_$way; done")
        self.attach()
        self.agent.attach(self.enemies["through"], app="enemy")

    @contextlib.contextmanager
    def enemy(self, way, words):
        """Is at work while the body runs; yields what it has counted, when it is over."""
        mode, *rest = map(str, words)
        target = self.address if way == "through" else self.bystander.address
        process = subprocess.Popen(
            self.enemies[way].command(self.world.cache / "load", mode, target, *rest, core=self.world.cores.load),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        told = {}
        try:
            if process.stdout.readline() != "ready\n":
                raise BenchError(f"the enemy {mode} is not ready: {process.stderr.read()}")
            yield told
        finally:
            said, _ = process.communicate("", timeout=30)
            with contextlib.suppress(ValueError):
                told.update(json.loads(said))


def steady(case, seconds):
    """p99 in microseconds of requests at a steady rate; one that fails makes the measurement void."""
    return measures.load(case, "pace", peers.HTTP_PORT, CONNECTIONS, RATE, seconds=seconds)["p99"]


def run(scene, settings, progress):
    """(p99 alone, p99 beside the enemy, resident bytes, connects a second) by enemy and way, for each round."""
    case = Fairness(scene)
    taken = {}
    try:
        case.check()
        steady(case, 1)
        for name, (_, words) in ENEMIES.items():
            for round_ in range(settings.chosen.rounds):
                for way in case.enemies:
                    progress(f"fairness {name} {round_ + 1}/{settings.chosen.rounds} {way}")
                    # What the last enemy left is cleared away.
                    crowd.settle(case)
                    alone = steady(case, settings.seconds)
                    with case.enemy(way, words) as told:
                        if name != "storm":
                            crowd.settle(case)
                        beside = steady(case, settings.seconds)
                        resident = memory(case.pids, "VmRSS")
                    rate = told["count"] / told["seconds"] if told else None
                    taken.setdefault((name, way), []).append((alone, beside, resident, rate))
        progress("")
    finally:
        case.agent.call("detach", "--all", "--now")
        case.agent.process.terminate()
        case.agent.process.wait(timeout=30)
    return taken


def table(taken):
    rows = [["the other workload", "goes", "p99 alone ms", "beside it ms", "×", "agent MiB", "connects/s"]]
    for (name, way), samples in taken.items():
        alone, beside, resident = (statistics.median(sample[place] for sample in samples) for place in range(3))
        rates = [sample[3] for sample in samples if sample[3]]
        rows.append([
            ENEMIES[name][0], f"{way} the agent", f"{alone / 1e3:.2f}", f"{beside / 1e3:.2f}",
            f"{statistics.median(sample[1] / sample[0] for sample in samples):.2f}", f"{resident / 1048576:.0f}",
            f"{statistics.median(rates):,.0f}" if rates else "–"])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    rounds = len(next(iter(taken.values())))
    title = f"fairness: {RATE:,} requests a second of one workload beside another that misbehaves (median of {rounds})"
    return [title] + ["  " + "  ".join(
        [cell.ljust(width) for cell, width in zip(row[:2], widths)] +
        [cell.rjust(width) for cell, width in zip(row[2:], widths[2:])]) for row in rows]


def budgets(taken):
    """(line, is missed): what the agent adds to what the machine itself makes of it."""
    found = []
    for name in ENEMIES:
        pairs = zip(taken[name, "through"], taken[name, "past"])
        value = statistics.median((ours[1] / ours[0]) / (theirs[1] / theirs[0]) for ours, theirs in pairs)
        missed = value > 1.1
        found.append((
            f"  {'miss' if missed else 'pass'}  p99 beside {ENEMIES[name][0]}, through the agent ÷ past it: {value:.2f} "
            "(≤ 1.10)", missed))
    return found
