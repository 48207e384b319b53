"""What one workload's bad behaviour costs another: requests at a steady rate beside 10,000 connections that crawl, and
beside a storm of connects.

Each enemy is measured twice, in turns with nobody there: once as a workload of the agent that carries the others, and
once as a pod that nobody attached. The second shows what the machine itself makes of it. The enemy calls a server of its
own, and both run only when nobody else wants their core, so that what is shared with the others is the agent and the
kernel.

A request in a hundred that is late is soon made by what else a small machine does, so each second has its p99, and the
calm ones are compared: of all seconds, that which a quarter of them is better than.
"""

import contextlib
import json
import resource
import statistics
import subprocess

import crowd
import measures
import peers
import trammel
from world import RUN, BenchError, memory

HOME = RUN / "fairness"
CRAWLERS = min(10_000, (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 500) // 2)
"""How many connections crawl: the agent has two descriptors for each that it carries."""
TURN = 20
"""The seconds in which each of them has one turn; fewer in a short run."""
RATE, CONNECTIONS = 1000, 16
UNHURRIED = ["chrt", "--idle", "0"]
ENEMIES = {
    "trickle": (f"{CRAWLERS:,} slow streams", ["trickle", peers.ECHO_PORT, CRAWLERS]),
    "heads": (f"{CRAWLERS:,} heads that never end", ["heads", peers.HTTP_PORT, CRAWLERS]),
    "sips": (f"{CRAWLERS:,} that hardly read", ["sips", peers.SOURCE_PORT, CRAWLERS]),
    "storm": ("64 at a time connect and reset", ["storm", peers.HTTP_PORT, 64]),
}
LIMITS = {"trickle": 1.1, "heads": 1.1, "sips": 1.1}
"""What an enemy may make of another's p99. Of those that hardly read the kernel makes more by itself, asking each over
and over whether there is room again, so there it is compared with that."""
SERVED = 0.99
"""The share of the requests that a storm has to leave their time."""


class Fairness(trammel.Trammel):
    """Client and servers as ever, and two pods more: an enemy that is attached and one that is not."""

    name = "fairness"

    def start(self):
        HOME.mkdir()
        self.agent = trammel.Agent(self.world, HOME)
        self.pids, self.logs = [self.agent.process.pid], [self.agent.log]
        self.enemies = {"through": self.world.pod("fairness-in"), "past": self.world.pod("fairness-out")}
        self.bystander = self.world.pod("fairness-server")
        self.world.backend(self.bystander, "v1", UNHURRIED)
        # Ten thousand streams whose buffers grow would take the memory of the machine, whoever carries them.
        for pod in [self.client, *self.servers.values(), self.bystander, *self.enemies.values()]:
            pod.run("sh", "-euc", "for way in rmem wmem; do echo 4096 8192 16384 >/proc/sys/net/ipv4/tcp_$way; done")
        self.attach()
        self.agent.attach(self.enemies["through"], app="enemy")
        self.agent.call("apply", "-f", "-", stdin=f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: bystander, namespace: default}}
spec:
  hosts: [bystander.example]
  addresses: ["{self.bystander.address}"]
  resolution: NONE
  ports:
  - {{name: http, number: {peers.HTTP_PORT}, protocol: HTTP}}
  - {{name: tcp, number: {peers.SOURCE_PORT}, protocol: TCP}}
""")

    @contextlib.contextmanager
    def enemy(self, way, words, turn):
        """Is at work while the body runs, after a first turn of `turn` seconds; yields what it has counted, when it is
        over."""
        mode, *rest = map(str, words)
        process = subprocess.Popen(
            self.enemies[way].command(
                *UNHURRIED, self.world.cache / "load", mode, self.bystander.address, *rest, turn, core=self.world.cores.load),
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
    """What load.c tells of requests at a steady rate; one that fails makes the measurement void."""
    return measures.load(case, "pace", peers.HTTP_PORT, CONNECTIONS, RATE, seconds=seconds)


def run(scene, settings, progress):
    """(what is told alone, and beside the enemy, resident bytes, connects a second) by enemy and way, for each round."""
    case = Fairness(scene)
    taken, turn = {}, min(TURN, 5 * settings.seconds)
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
                    with case.enemy(way, words, turn) as told:
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


def calm(samples):
    """The p99 of a calm second, in microseconds."""
    seconds = [second for sample in samples for second in sample["p99 of each"]]
    return statistics.quantiles(seconds, n=4)[0] if len(seconds) > 1 else seconds[0]


def columns(samples):
    """p99 of a calm second alone and beside, in microseconds, and the second by the first."""
    alone, beside = (calm([sample[place] for sample in samples]) for place in range(2))
    return alone, beside, beside / alone


def table(taken):
    rows = [["the other workload", "goes", "p99 alone ms", "beside ms", "×", "of all alone", "beside", "agent MiB",
             "connects/s"]]
    for (name, way), samples in taken.items():
        alone, beside, ratio = columns(samples)
        all_alone, all_beside = (statistics.median(sample[place]["p99"] for sample in samples) for place in range(2))
        rates = [sample[3] for sample in samples if sample[3]]
        rows.append([
            ENEMIES[name][0], f"{way} the agent", *(f"{value / 1e3:.2f}" for value in (alone, beside)), f"{ratio:.2f}",
            *(f"{value / 1e3:.2f}" for value in (all_alone, all_beside)),
            f"{statistics.median(sample[2] for sample in samples) / 1048576:.0f}",
            f"{statistics.median(rates):,.0f}" if rates else "–"])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    rounds = len(next(iter(taken.values())))
    title = (f"fairness: {RATE:,} requests a second of one workload beside another that misbehaves: p99 of a calm second "
             f"of {rounds} rounds, and of all seconds")
    return [title] + ["  " + "  ".join(
        [cell.ljust(width) for cell, width in zip(row[:2], widths)] +
        [cell.rjust(width) for cell, width in zip(row[2:], widths[2:])]) for row in rows]


def budgets(taken):
    """(line, is missed)"""
    found = []
    for name, limit in LIMITS.items():
        (*_, value), (*_, past) = columns(taken[name, "through"]), columns(taken[name, "past"])
        what = "by that alone"
        if name == "sips":
            value, what = value / past, "through the agent ÷ past it"
        found.append((
            f"  {'miss' if value > limit else 'pass'}  p99 of a calm second beside {ENEMIES[name][0]}, {what}: "
            f"{value:.2f} (≤ {limit:.2f})", value > limit))
    served = statistics.median(
        sample[1]["count"] / sample[1]["seconds"] / RATE for sample in taken["storm", "through"])
    found.append((
        f"  {'miss' if served < SERVED else 'pass'}  requests answered beside {ENEMIES['storm'][0]}, of those due: "
        f"{served:.3f} (≥ {SERVED:.3f})", served < SERVED))
    return found
