"""The cases with Trammel in between: one agent for the node, one data loop, everything attached that it should see."""

import contextlib
import os
import pathlib
import subprocess
import time

from peers import ECHO_PORT, HTTP_PORT, SOURCE_PORT, Case
from world import RUN, SERVICE, BenchError

RESOURCES = f"""
apiVersion: v1
kind: Service
metadata: {{name: reviews, namespace: default}}
spec:
  clusterIP: {SERVICE}
  selector: {{app: reviews}}
  ports:
  - {{name: http, port: {HTTP_PORT}, targetPort: {HTTP_PORT}}}
  - {{name: tcp-echo, port: {ECHO_PORT}, targetPort: {ECHO_PORT}}}
  - {{name: tcp-source, port: {SOURCE_PORT}, targetPort: {SOURCE_PORT}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: reviews, namespace: default}}
spec:
  host: reviews
  subsets:
  - name: v1
    labels: {{version: v1}}
  - name: v2
    labels: {{version: v2}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: reviews, namespace: default}}
spec:
  hosts: [reviews]
  http:
  - match:
    - headers: {{end-user: {{exact: jason}}}}
    route:
    - destination: {{host: reviews, subset: v2}}
  - route:
    - destination: {{host: reviews, subset: v1}}
"""


class Agent:
    """`trammeld` as a user runs it, and its command line. It stays in the host's namespace, on the proxies' core unless
    told otherwise."""

    def __init__(self, world, home=RUN):
        """`home` is where it keeps what it keeps: one folder for each agent."""
        self.world, self.home = world, home
        self.trammel = [world.trammel / "trammel", "--socket", home / "trammel.sock"]
        self.log = home / "trammel.log"
        metrics = "" if home == RUN else "ports: {metrics: 15021}\n"
        (home / "trammeld.yaml").write_text(f"""
socket: {home}/trammel.sock
stateDirectory: {home}/state
configDirectory: {home}/conf.d
dataLoops: 1
accessLog: {{path: {self.log}, format: json}}
{metrics}""")
        (home / "conf.d").mkdir()
        self.launch()

    def spread(self, cores):
        """Has all its threads run on these cores from now on."""
        for thread in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir():
            with contextlib.suppress(ProcessLookupError):  # a thread that has ended meanwhile
                os.sched_setaffinity(int(thread.name), cores)

    def launch(self, cores=None):
        """Starts it and waits until it is ready."""
        output = self.home / "trammeld.out"
        self.process = subprocess.Popen(
            ["taskset", "-c", cores or str(self.world.cores.proxy), self.world.trammel / "trammeld", "--config",
             self.home / "trammeld.yaml"],
            stdout=open(output, "ab"), stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        ready = ["curl", "-sf", "-m", "1", "--unix-socket", self.home / "trammel.sock", "http://trammel/readyz"]
        while subprocess.run(ready, capture_output=True).returncode != 0:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise BenchError(f"trammeld did not become ready:\n{output.read_text()[-3000:]}")
            time.sleep(0.02)

    def call(self, *words, stdin=None):
        done = subprocess.run(
            [str(word) for word in (*self.trammel, *words)], capture_output=True, text=True, timeout=30, input=stdin)
        if done.returncode != 0:
            raise BenchError(f"trammel {' '.join(map(str, words))}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def attach(self, pod, **labels):
        words = [word for key, value in labels.items() for word in ("--label", f"{key}={value}")]
        self.call("attach", "--netns", pod.name, "--name", pod.name, *words)


class Trammel(Case):
    """Client and both versions on this node, all attached: one pass through one proxy."""

    name = "trammel"

    def start(self):
        world = self.world
        self.agent = world.agent = getattr(world, "agent", None) or Agent(world)
        self.pids, self.logs = [self.agent.process.pid], [self.agent.log]
        self.attach()

    def attach(self):
        agent = self.agent
        agent.attach(self.client, app="client")
        for version, pod in self.servers.items():
            agent.attach(pod, app="reviews", version=version)
        agent.call("apply", "-f", "-", stdin=RESOURCES)


class TrammelOffNode(Trammel):
    """Only the client is attached; the server is a pod the agent knows nothing of, as on another node."""

    name = "trammel-off"

    def attach(self):
        self.agent.attach(self.client, app="client")
        self.address = self.servers["v1"].address

    def check(self):
        answer = self.client.run("curl", "-sSi", "-m", "5", f"http://{self.address}/echo")
        if "x-backend: v1" not in answer or "\nx-request-id: " not in answer.lower():
            raise BenchError(f"{self.name}: the request did not come through the agent:\n{answer}")
