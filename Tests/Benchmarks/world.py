"""The world a benchmark runs in: pods as network namespaces on one bridge, inside namespaces of the run's own.

`scripts/bench` starts itself again under unshare(1) with a mount, network and PID namespace of its own and a tmpfs on
/run, so nothing of this is seen outside and all of it is gone when the run ends, however it ends.
"""

import os
import pathlib
import resource
import subprocess
import time

RUN = pathlib.Path("/run/bench")
# Peers write their logs as another user; Trammel keeps its own where nobody else can write.
PEER_FILES = RUN / "peers"
SERVICE = "10.96.0.10"
"""The address clients call; no host has it, so what is not captured goes nowhere."""
PROXY_USER = 1337
"""Whom a peer runs as, as a sidecar does: the rules in its client's namespace let this user's own dials pass."""


class BenchError(Exception):
    """A measurement that cannot be made, with what to do about it."""


class Cores:
    """One core for the proxies under test, another for everything that is not measured."""

    def __init__(self):
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            raise BenchError("two cores are needed: one for the proxy, one for the load and the backends")
        self.proxy, self.load = cores[0], cores[1]

    def busy_seconds(self):
        """Time that the two cores have worked or been taken away by the hypervisor, since boot."""
        wanted, total = {f"cpu{self.proxy}", f"cpu{self.load}"}, 0
        for line in open("/proc/stat"):
            fields = line.split()
            if fields[0] in wanted:
                user, nice, system, _, _, irq, softirq, steal = map(int, fields[1:9])
                total += user + nice + system + irq + softirq + steal
        return total / os.sysconf("SC_CLK_TCK")


class Pod:
    """A network namespace with one interface on the bridge and a default route."""

    def __init__(self, name, address):
        self.name, self.address = name, address

    def command(self, *argv, core=None, user=None):
        """`argv` as it has to be spelt to run inside this pod."""
        line = ["nsenter", f"--net=/run/netns/{self.name}"]
        if core is not None:
            line += ["taskset", "-c", str(core)]
        if user is not None:
            line += ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
        return line + [str(word) for word in argv]

    def run(self, *argv, core=None, timeout=60, stdin=None):
        """Runs `argv` to its end and returns what it printed."""
        return run(self.command(*argv, core=core), self.name, timeout, stdin)


def run(command, place, timeout=60, stdin=None):
    """Runs `command`, which is run in `place`, to its end and returns what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, input=stdin)
    if done.returncode != 0:
        raise BenchError(f"in {place}: {' '.join(map(str, command))}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def cgroups():
    """Where the v2 hierarchy is, for the cgroups of a run."""
    for line in open("/proc/self/mountinfo"):
        fields = line.split()
        if fields[fields.index("-") + 1] == "cgroup2":
            return pathlib.Path(fields[4])
    raise BenchError("no cgroup v2 hierarchy is mounted")


class World:
    """Makes pods and processes; the kernel takes them all back with the namespaces they live in."""

    def __init__(self, cache):
        self.cores, self.cache, self.count = Cores(), cache, 0
        PEER_FILES.mkdir(parents=True)
        PEER_FILES.chmod(0o777)
        pathlib.Path("/run/netns").mkdir()
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        self.sh(f"""
            ip link set lo up
            ip link add bridge0 type bridge
            ip addr add 10.80.0.1/16 dev bridge0
            ip link set bridge0 up
            for family in ip ip6 arp; do
                knob=/proc/sys/net/bridge/bridge-nf-call-${{family}}tables
                [ ! -e $knob ] || echo 0 >$knob
            done""")

    @staticmethod
    def sh(script):
        done = subprocess.run(["sh", "-euc", script], capture_output=True, text=True)
        if done.returncode != 0:
            raise BenchError(f"setting up: {done.stderr.strip()}")

    def pod(self, name):
        self.count += 1
        pod = Pod(name, f"10.80.{self.count // 250}.{self.count % 250 + 2}")
        self.sh(f"""
            ip netns add {name}
            ip link add host{self.count} type veth peer name eth0 netns {name}
            ip link set host{self.count} master bridge0 up
            ip -n {name} addr add {pod.address}/16 dev eth0
            ip -n {name} link set eth0 up
            ip -n {name} link set lo up
            ip -n {name} route add default via 10.80.0.1
            nsenter --net=/run/netns/{name} sh -c '
                echo 1024 65535 >/proc/sys/net/ipv4/ip_local_port_range
                echo 1 >/proc/sys/net/ipv4/tcp_tw_reuse
                echo 16384 >/proc/sys/net/core/somaxconn'""")
        return pod

    def backend(self, pod, name, before=()):
        """Starts the application in `pod`, as the words `before` it have it; its answers bear `name`."""
        process = subprocess.Popen(pod.command(*before, self.cache / "backend", name, core=self.cores.load))
        self.wait_for_port(pod, 7001, process)

    def proxy(self, pod, argv, log, port, user=PROXY_USER, patience=20):
        """Starts a proxy in `pod` on its core, its output appended to `log`, and waits until `port` listens, `patience`
        seconds at most."""
        output = open(log, "ab")
        os.chmod(log, 0o666)
        process = subprocess.Popen(
            pod.command(*argv, core=self.cores.proxy, user=user), stdout=output, stderr=output,
            stdin=subprocess.DEVNULL)
        self.wait_for_port(pod, port, process, log, patience)
        return process

    @staticmethod
    def wait_for_port(pod, port, process, log=None, patience=20):
        deadline = time.monotonic() + patience
        while f":{port} " not in pod.run("ss", "-Hltn", f"sport = {port}") + " ":
            if process.poll() is not None or time.monotonic() > deadline:
                tail = open(log).read()[-2000:] if log else ""
                raise BenchError(f"nothing came to listen on port {port} in {pod.name}: {process.args}\n{tail}")
            time.sleep(0.05)


def cpu_seconds(pids):
    """User and system CPU time that the processes have used so far, all threads."""
    user = system = 0
    for pid in pids:
        fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
        user, system = user + int(fields[11]), system + int(fields[12])
    tick = os.sysconf("SC_CLK_TCK")
    return user / tick, system / tick


def own_seconds():
    """CPU time of everything in this run's PID namespace, what has ended included."""
    total = 0
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            total += sum(map(int, stat.read_text().rpartition(")")[2].split()[11:15]))
        except OSError:
            pass  # it ended just now; its parent has its time
    return total / os.sysconf("SC_CLK_TCK")


def proportional(pids):
    """Bytes of the processes' PSS: what they share with others counts in part."""
    total = 0
    for pid in pids:
        for line in open(f"/proc/{pid}/smaps_rollup"):
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def memory(pids, kind):
    """Bytes that the processes have of one of the kinds in /proc/PID/status: VmRSS, RssAnon (what is their own)."""
    total = 0
    for pid in pids:
        for line in open(f"/proc/{pid}/status"):
            if line.startswith(f"{kind}:"):
                total += int(line.split()[1]) * 1024
    return total
