"""The ways of capture beside each other: a network namespace and a cgroup of the host, each by tproxy and by redirect.

All four clients call the same servers through one agent of their own, in turns, so that the difference between two
lines is the difference between two ways.
"""

import statistics
import time

import measures
import trammel
from world import RUN, SERVICE, cgroups, run as run_in

MODES = ("tproxy", "redirect")
HOME = RUN / "ways"


class Group:
    """A cgroup of the host as a client: what it runs is in the run's own network namespace, beside the agent."""

    def __init__(self, name):
        # The run's process ids are those of a namespace of its own, and cgroups are the machine's.
        self.name = f"trammel-{name}-{time.time_ns()}"
        self.folder = cgroups() / self.name
        self.folder.mkdir()

    def command(self, *argv, core=None):
        line = ["sh", "-euc", f'echo $$ >{self.folder}/cgroup.procs; exec "$@"', "sh"]
        if core is not None:
            line += ["taskset", "-c", str(core)]
        return line + [str(word) for word in argv]

    def run(self, *argv, core=None, timeout=60):
        return run_in(self.command(*argv, core=core), self.name, timeout)


class Ways(trammel.Trammel):
    """Servers behind an agent, and a client for each way."""

    name = "ways"

    def start(self):
        HOME.mkdir()
        self.agent = trammel.Agent(self.world, HOME)
        self.pids, self.logs = [self.agent.process.pid], [self.agent.log]
        self.clients = {}
        self.attach()

    def attach(self):
        super().attach()
        for mode in MODES:
            pod = self.world.pod(f"ways-{mode}")
            self.agent.call("attach", "--netns", pod.name, "--name", pod.name, "--capture-mode", mode)
            self.clients[f"namespace, {mode}"] = pod
        # The host has no route to the services' addresses of its own, and no need for any but this.
        self.world.sh(f"ip route add {SERVICE} dev bridge0; echo 1024 65535 >/proc/sys/net/ipv4/ip_local_port_range")
        for mode in MODES:
            group = Group(f"ways-{mode}")
            self.agent.call("attach", "--cgroup", f"/{group.name}", "--name", group.name, "--capture-mode", mode)
            self.clients[f"cgroup, {mode}"] = group

    def end(self):
        """Nothing of it is left in the run's own network namespace, and no cgroup on the machine."""
        self.agent.call("detach", "--all", "--now")
        self.agent.process.terminate()
        self.agent.process.wait(timeout=30)
        for client in self.clients.values():
            if isinstance(client, Group):
                client.folder.rmdir()


def run(scene, settings, progress):
    """Samples by measure and way."""
    case = Ways(scene)
    taken = {}
    try:
        for measure in (measures.HTTP1(settings), measures.Connect(settings), measures.Ping(settings)):
            samples = taken[measure] = {way: [] for way in case.clients}
            for round_ in range(settings.chosen.rounds):
                for way, case.client in case.clients.items():
                    progress(f"ways {measure.name} {round_ + 1}/{settings.chosen.rounds} {way}")
                    if round_ == 0:
                        case.check()
                    samples[way].append(measure.sample(case))
        progress("")
    finally:
        case.end()
    return taken


def table(taken):
    names = {"http1": "request", "connect": "connection", "ping": "round trip"}
    rows = [["way"] + [f"{names[measure.name]} {what}" for measure in taken for what in ("µs", "per second")]]
    for way in next(iter(taken.values())):
        row = [way]
        for samples in taken.values():
            row += [f"{statistics.median(sample.cost for sample in samples[way]):.1f}",
                    f"{statistics.median(sample.rate for sample in samples[way]):,.0f}"]
        rows.append(row)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["ways: how the client is captured; CPU time of the agent, which carries both ends on one node"] + [
        "  " + "  ".join([row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])])
        for row in rows]
