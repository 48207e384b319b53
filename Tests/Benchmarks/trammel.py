"""The cases with Trammel in between: one agent for the node, one data loop, everything attached that it should see."""

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
    """`trammeld` as a user runs it, and its command line. It stays in the host's namespace, on the proxies' core."""

    def __init__(self, world):
        self.trammel = [world.trammel / "trammel", "--socket", RUN / "trammel.sock"]
        self.log = RUN / "trammel.log"
        config, output = RUN / "trammeld.yaml", RUN / "trammeld.out"
        config.write_text(f"""
socket: {RUN}/trammel.sock
stateDirectory: {RUN}/state
configDirectory: {RUN}/conf.d
dataLoops: 1
accessLog: {{path: {self.log}, format: json}}
""")
        (RUN / "conf.d").mkdir()
        self.process = subprocess.Popen(
            ["taskset", "-c", str(world.cores.proxy), world.trammel / "trammeld", "--config", config],
            stdout=open(output, "ab"), stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        ready = ["curl", "-sf", "-m", "1", "--unix-socket", RUN / "trammel.sock", "http://trammel/readyz"]
        while subprocess.run(ready, capture_output=True).returncode != 0:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise BenchError(f"trammeld did not become ready:\n{output.read_text()[-3000:]}")
            time.sleep(0.05)

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
        world.agent = getattr(world, "agent", None) or Agent(world)
        self.pids, self.logs = [world.agent.process.pid], [world.agent.log]
        self.attach()

    def attach(self):
        agent = self.world.agent
        agent.attach(self.client, app="client")
        for version, pod in self.servers.items():
            agent.attach(pod, app="reviews", version=version)
        agent.call("apply", "-f", "-", stdin=RESOURCES)


class TrammelOffNode(Trammel):
    """Only the client is attached; the server is a pod the agent knows nothing of, as on another node."""

    name = "trammel-off"

    def attach(self):
        self.world.agent.attach(self.client, app="client")
        self.address = self.servers["v1"].address

    def check(self):
        answer = self.client.run("curl", "-sSi", "-m", "5", f"http://{self.address}/echo")
        if "x-backend: v1" not in answer or "\nx-request-id: " not in answer.lower():
            raise BenchError(f"{self.name}: the request did not come through the agent:\n{answer}")
