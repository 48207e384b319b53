"""A node of pods for the system tests: the agent as a user runs it, real clients and servers in network namespaces.

`main` runs the program again inside mount, network and process namespaces of its own. Whatever happens to it, Ctrl-C and
SIGKILL included, everything that it started and made goes with those namespaces; the machine's are never touched.
"""

import contextlib
import ctypes
import json
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import traceback

BIN = pathlib.Path(os.environ.get("TRAMMEL_BIN_DIR", pathlib.Path(__file__).resolve().parents[3] / ".build" / "debug"))
VENV = pathlib.Path(os.environ.get("TRAMMEL_CACHE", "/var/cache/trammel")) / "venv" / "bin" / "python"
FAMILIES = {"v4": socket.AF_INET, "v6": socket.AF_INET6}
# Each pod's place on the bridge; the node itself is 1.
PODS = {"client": 2, "server": 3, "outside": 4}
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None, use_errno=True)


def address(pod, family):
    host = PODS.get(pod, 1)
    return f"10.80.0.{host}" if family == "v4" else f"fd00:80::{host}"


def netns(pod):
    """The network namespace of a pod, given by name or as the id of a process in it."""
    return f"/proc/{pod}/ns/net" if isinstance(pod, int) else f"/run/netns/{pod}"


def url(host, port, path="/", scheme="http"):
    return f"{scheme}://[{host}]:{port}{path}" if ":" in host else f"{scheme}://{host}:{port}{path}"


# MARK: results

class Missed(Exception):
    """What a row expected is not so."""


class OutOfTime(BaseException):
    """The whole program is; no row may take it for its own."""


def expect(good, *details):
    if not good:
        raise Missed("\n".join(str(detail) for detail in details))


class Results:
    """Each row is one line of TAP; a row that raises has failed, and the others go on."""

    def __init__(self):
        self.number = self.failures = 0

    def row(self, text, body, *arguments):
        began = time.monotonic()
        details = None
        try:
            body(*arguments)
        except Missed as missed:
            details = str(missed)
        except Exception:
            details = traceback.format_exc()
        took = time.monotonic() - began
        self.tell(details is None, text, f"{details}\nafter {took:.2f} s")

    def tell(self, good, text, details=""):
        self.number += 1
        self.failures += not good
        print(f"{'ok' if good else 'not ok'} {self.number} - {text}")
        for line in [] if good else str(details).splitlines()[-20:]:
            print(f"#   {line[:300]}")
        sys.stdout.flush()


# MARK: processes and sockets inside pods

def sh(script):
    done = subprocess.run(["sh", "-euc", script], capture_output=True, text=True)
    expect(done.returncode == 0, script, done.stdout[-400:], done.stderr[-800:])
    return done.stdout


def until(condition, seconds=10, what="it"):
    """Waits for an event that only polling shows."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        expect(time.monotonic() < deadline, f"{what} did not happen within {seconds} s")
        time.sleep(0.02)
    return found


@contextlib.contextmanager
def within(pod):
    """The calling thread is inside the pod: sockets made now belong there for good. None is the node itself."""
    if pod is None:
        yield
        return
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(netns(pod), os.O_RDONLY)
    try:
        if libc.setns(there, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {pod}")
        yield
    finally:
        libc.setns(home, CLONE_NEWNET)
        os.close(there)
        os.close(home)


def dial(pod, host, port, timeout=5, source=None):
    """A connection from inside the pod."""
    with within(pod):
        made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    made.settimeout(timeout)
    try:
        if source:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(source)
        made.connect((host, port))
    except BaseException:
        made.close()
        raise
    return made


def reset(connection):
    """Closes with RST instead of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def receive(connection, enough=None):
    """All bytes up to `enough` (a number, or what they end with), or to the end."""
    got = bytearray()
    while True:
        if isinstance(enough, int) and len(got) >= enough:
            break
        if isinstance(enough, bytes) and enough in got:
            break
        more = connection.recv(1 << 16)
        if not more:
            break
        got += more
    return bytes(got)


def plain(host):
    """An address as text, IPv4 within IPv6 as IPv4."""
    return host.removeprefix("::ffff:")


class Server:
    """Listens inside a pod for both families; each connection has a thread that runs `serve(connection, peer)`."""

    def __init__(self, pod, port, serve, backlog=128):
        self.serve, self.accepted = serve, 0
        with within(pod):
            self.listener = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self.listener.bind(("::", port))
        self.listener.listen(backlog)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                connection, peer = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            connection.settimeout(20)
            threading.Thread(target=self.one, args=(connection, peer), daemon=True).start()

    def one(self, connection, peer):
        try:
            with connection:
                self.serve(connection, (plain(peer[0]), peer[1]))
        except OSError:
            pass  # the client went away

    def close(self):
        # Only shutdown wakes the thread in accept().
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


# MARK: the node

class Node:
    """The machine that the agent runs on: a bridge, pods on it, `trammeld` beside them."""

    def __init__(self, name, settings=""):
        self.run = pathlib.Path("/run") / name
        self.socket = self.run / "trammel.sock"
        self.log = self.run / "trammeld.log"
        self.access_log = self.run / "access.log"
        self.children = []
        self.daemon = None
        sh(f"""mount -t tmpfs -o mode=755 tmpfs /run; mkdir -p /run/netns {self.run}; ip link set lo up
               ip link add bridge0 type bridge; ip link set bridge0 addrgenmode none
               ip addr add {address(None, 'v4')}/16 dev bridge0; ip addr add {address(None, 'v6')}/64 dev bridge0 nodad
               ip link set bridge0 up
               for family in ip ip6 arp; do
                   knob=/proc/sys/net/bridge/bridge-nf-call-${{family}}tables; [ ! -e $knob ] || echo 0 >$knob
               done""")
        for pod in PODS:
            self.add_pod(pod)
        (self.run / "trammeld.yaml").write_text(
            f"socket: {self.socket}\nstateDirectory: {self.run}/state\nconfigDirectory: {self.run}/conf.d\n"
            f"accessLog: {{path: {self.access_log}}}\n{settings}")

    def add_pod(self, pod):
        host = PODS[pod]
        sh(f"""ip netns add {pod}; ip link add pod{host} type veth peer name eth0 netns {pod}
               ip link set pod{host} addrgenmode none; ip link set pod{host} master bridge0 up
               ip -n {pod} link set lo up; ip -n {pod} link set eth0 addrgenmode none
               ip -n {pod} addr add {address(pod, 'v4')}/16 dev eth0
               ip -n {pod} addr add {address(pod, 'v6')}/64 dev eth0 nodad
               ip -n {pod} addr add fe80::{host}/64 dev eth0 nodad; ip -n {pod} link set eth0 up""")

    # MARK: commands

    def start(self, *command, pod=None, log=None):
        """A process that runs on; it ends with the node."""
        words = ([] if pod is None else ["nsenter", f"--net={netns(pod)}"]) + [str(word) for word in command]
        with open(log or self.run / "servers.log", "a") as output:
            child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        self.children.append(child)
        return child

    def output(self, *command, pod=None, input=None, timeout=15, status=0):
        """What a command prints, which must end with `status`; bytes when it is given bytes."""
        words = ([] if pod is None else ["nsenter", f"--net={netns(pod)}"]) + [str(word) for word in command]
        try:
            done = subprocess.run(
                words, capture_output=True, text=not isinstance(input, bytes), input=input, timeout=timeout)
        except subprocess.TimeoutExpired as late:
            raise Missed(f"{words[:12]} did not end within {timeout} s\n{late.stdout}\n{late.stderr}") from None
        expect(status is None or done.returncode == status,
               f"{words[:12]}: exit {done.returncode}", done.stdout[-800:], done.stderr[-800:])
        return done.stdout

    def curl(self, pod, *words, **options):
        return self.output("curl", "-sS", "-m", "10", *words, pod=pod, **options)

    def trammel(self, *words, status=0, input=None, timeout=30):
        """All that `trammel` printed, the errors too."""
        done = subprocess.run([BIN / "trammel", "--socket", self.socket, *words], capture_output=True, text=True,
                              input=input, timeout=timeout)
        expect(status is None or done.returncode == status, f"trammel {words}: exit {done.returncode}", done.stdout[-800:],
               done.stderr[-800:])
        return done.stdout + done.stderr

    def ask(self, method, path, body=None, timeout=30):
        """Status and JSON (or text) of a call to the API's socket."""
        words = ["curl", "-sS", "-m", str(timeout), "-X", method, "-w", "\n%{http_code}", "--unix-socket", self.socket]
        if body is not None:
            words += ["--data-binary", "@-", "-H", "content-type: application/yaml", "-H", "expect:"]
        done = subprocess.run([*words, f"http://trammel{path}"], capture_output=True, text=True, input=body)
        expect(done.returncode == 0, f"{method} {path}: curl {done.returncode}", done.stderr)
        text, _, status = done.stdout.rpartition("\n")
        try:
            return int(status), json.loads(text)
        except ValueError:
            return int(status), text

    # MARK: the agent

    def spawn(self, *before):
        self.daemon = self.start(*before, BIN / "trammeld", "--config", self.run / "trammeld.yaml", log=self.log)

    def start_agent(self, *before):
        """Starts trammeld, by the command `before` it if there is one, and waits until it is ready."""
        self.spawn(*before)
        def ready():
            expect(self.daemon.poll() is None, "trammeld ended", self.log.read_text()[-2000:])
            return subprocess.run(["curl", "-sf", "-m", "2", "--unix-socket", self.socket, "http://trammel/readyz"],
                                  capture_output=True).returncode == 0
        until(ready, 30, "readiness")

    def attach(self, pod, mode="auto", **labels):
        words = [word for key, value in {"app": pod, **labels}.items() for word in ("--label", f"{key}={value}")]
        return self.trammel("attach", "--netns", pod, "--name", pod, "--capture-mode", mode, *words)

    def detach(self, pod):
        return self.trammel("detach", pod)

    def apply(self, text):
        return self.trammel("apply", "-f", "-", input=text)

    def resident(self):
        """Of the agent, in MiB; and the most it ever was."""
        status = pathlib.Path(f"/proc/{self.daemon.pid}/status").read_text()
        return [int(re.search(rf"{key}:\s+(\d+) kB", status)[1]) / 1024 for key in ("VmRSS", "VmHWM")]

    def forget_peak(self):
        pathlib.Path(f"/proc/{self.daemon.pid}/clear_refs").write_text("5")

    def descriptors(self):
        """How many the agent has, but for the sysctls of what is attached, which it opens when it first looks at them."""
        folder, count = f"/proc/{self.daemon.pid}/fd", 0
        for name in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):
                count += not os.readlink(f"{folder}/{name}").startswith("/proc/sys/")
        return count

    def records(self, **wanted):
        """Lines of the access log in which each key holds the value."""
        lines = (json.loads(line) for line in self.access_log.read_text().splitlines())
        return [line for line in lines if all(line.get(key) == value for key, value in wanted.items())]

    def state(self, pod):
        """Everything that capture could change of a pod."""
        return sh(f"nsenter --net={netns(pod)} sh -c 'nft list ruleset; ip rule; ip -6 rule; "
                  "ip route show table all; ip -6 route show table all; sysctl net.ipv4.tcp_fwmark_accept'")

    def crash(self):
        """What the agent's log says of a crash, the frames of this project's own modules first."""
        log = self.log.read_text(errors="replace")
        found = re.search(r"Fatal error|Crash|Assertion failed|Precondition failed|Illegal instruction", log)
        return found and "\n".join(re.findall(r"^.*Fatal error.*$|^\d+ .* in .*Trammel.*$", log, re.M)[:20]) + log[-300:]

    def alive(self, results, pid, when):
        """That the agent is the process it was and has not crashed."""
        results.tell(self.daemon.pid == pid and self.daemon.poll() is None and not self.crash(),
                     f"{when}: the agent is still the same process, and nothing crashed", self.crash() or "another process")

    def revive(self, results, text):
        """Tells of an agent that has died and starts another, so that one crash does not fail every row after it."""
        if self.daemon.poll() is not None:
            results.tell(False, f"{text}: the agent outlives this", self.crash() or self.log.read_text()[-1000:])
            self.log.rename(self.log.with_suffix(f".{results.number}"))
            self.start_agent()

    def close(self):
        """Ends what runs and takes back what outlives namespaces: the agent's cgroup."""
        for child in self.children:
            if child.poll() is None:
                child.kill()
        for child in self.children:
            child.wait()
        if self.daemon:
            subprocess.run([BIN / "trammeld", "cleanup", "--config", self.run / "trammeld.yaml"], capture_output=True)


def outside(program):
    """The program once more, inside; signals are handed on to it, and it dies with this process."""
    child = subprocess.Popen(
        ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private",
         "/usr/bin/python3", program, "inside", str(os.getpid()), *sys.argv[1:]],
        start_new_session=True, preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL))
    # To the group, since unshare itself looks away.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: os.killpg(child.pid, number))
    return child.wait()


def main(program, body, seconds):
    """Runs `body(results, name, words)` in namespaces of its own, for `seconds` at most."""
    if "inside" not in sys.argv:
        sys.exit(outside(program))
    def end(number, frame):
        raise KeyboardInterrupt if number == signal.SIGINT else OutOfTime(f"signal {number}, after {seconds} s at most")
    for number in (signal.SIGTERM, signal.SIGALRM, signal.SIGINT):
        signal.signal(number, end)
    signal.alarm(seconds)
    place = sys.argv.index("inside")
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]  # clients would go there instead of where they are sent
    results = Results()
    try:
        body(results, f"trammel-test-{sys.argv[place + 1]}", sys.argv[place + 2:])
    except KeyboardInterrupt:
        results.tell(False, "it was let come to its end", "interrupted")
    except BaseException:
        results.tell(False, "it came to its end", traceback.format_exc())
    print(f"1..{results.number}", flush=True)
    os._exit(1 if results.failures else 0)  # threads that wait for peers are not waited for
