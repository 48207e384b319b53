"""What the system tests share: TAP, a node of pods in namespaces of its own, trammeld, trammel and curl."""

import atexit
import json
import os
import pathlib
import subprocess
import sys
import time

BIN = pathlib.Path(
    os.environ.get("TRAMMEL_BIN_DIR", pathlib.Path(__file__).resolve().parents[2] / ".build" / "debug"))
RUN = pathlib.Path("/run/t")
SOCKET = RUN / "trammel.sock"
SETTINGS = f"""socket: {SOCKET}
stateDirectory: {RUN}/state
configDirectory: {RUN}/conf.d
accessLog: {{path: {RUN}/access.log}}
"""
# Answers every GET with its own name and the address that it sees; `pod.py NAME [ADDRESS]`.
SERVER = """
import http.server, sys
class Pod(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = f"{sys.argv[1]} {self.client_address[0]}".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words): pass
address = sys.argv[2] if len(sys.argv) > 2 else "0.0.0.0"
http.server.ThreadingHTTPServer((address, 9080), Pod).serve_forever()
"""

_number, _failures, _children = 0, 0, []


def enter():
    """Runs the calling program again inside mount and network namespaces that end with it."""
    if "inside" not in sys.argv:
        os.execvp("unshare", ["unshare", "--mount", "--net", "--propagation", "private", sys.executable,
                              os.path.abspath(sys.argv[0]), "inside"])
    atexit.register(end_children)


def end_children():
    for child in _children:
        if child.poll() is None:
            child.kill()
            child.wait()


def tap(good, text, details=""):
    global _number, _failures
    _number += 1
    _failures += not good
    print(f"{'ok' if good else 'not ok'} {_number} - {text}")
    for line in [] if good else str(details).splitlines()[-20:]:
        print(f"#   {line}")
    sys.stdout.flush()
    return good


def finish():
    print(f"1..{_number}")
    sys.exit(1 if _failures else 0)


def sh(script):
    done = subprocess.run(["sh", "-euc", script], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{script}\n{done.stdout}{done.stderr}")
    return done.stdout


def start(*command, **more):
    log = open(RUN / "log", "a")
    child = subprocess.Popen([str(word) for word in command], **{"stdout": log, "stderr": log, **more})
    _children.append(child)
    return child


def stop(child):
    child.kill()
    child.wait()


def until(condition, seconds=10):
    """What `condition` answers, as soon as it is true, or what it last answered; and how long that took."""
    began = time.monotonic()
    while True:
        answer = condition()
        took = time.monotonic() - began
        if answer or took > seconds:
            return answer, took
        time.sleep(0.02)


def trammel(*words, input=None, who=(), binary=BIN / "trammel"):
    """Exit status, standard output, standard error."""
    done = subprocess.run([str(word) for word in (*who, binary, *words)], capture_output=True, text=True, input=input,
                          env={**os.environ, "TRAMMEL_SOCKET": str(SOCKET)}, cwd=RUN)
    return done.returncode, done.stdout, done.stderr


def listed(*words):
    """The items of a list, as JSON tells them."""
    status, out, err = trammel(*words, "-o", "json")
    if status != 0:
        raise SystemExit(f"trammel {' '.join(words)}: {err}")
    return json.loads(out)["items"]


def inside(pod, *command):
    """The command line that runs `command` in the network namespace of a pod, given by name or as a process's id."""
    return (["nsenter", f"--net=/run/netns/{pod}" if isinstance(pod, str) else f"--net=/proc/{pod}/ns/net"]
            if pod else []) + [str(word) for word in command]


def curl(pod, *words):
    done = subprocess.run(inside(pod, "curl", "-sS", "-m", "5", *words), capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else f"curl {done.returncode}: {done.stderr}"


def api(path, *words):
    return curl(None, "--unix-socket", SOCKET, f"http://trammel{path}", *words)


def agent():
    """Starts trammeld and waits until it answers."""
    child = start(BIN / "trammeld", "--config", RUN / "trammeld.yaml")
    ready, _ = until(lambda: child.poll() is not None or not api("/readyz").startswith("curl"), 30)
    if not ready or child.poll() is not None:
        raise SystemExit("trammeld did not become ready:\n" + (RUN / "log").read_text())
    return child


def serve(pod, address="0.0.0.0"):
    """An HTTP server in a pod; answers when this returns."""
    child = start(*inside(pod, "python3", RUN / "pod.py", pod, address))
    good, _ = until(lambda: not curl(pod, "http://127.0.0.1:9080/").startswith("curl"), 20)
    if not good:
        raise SystemExit(f"the server in {pod} did not start")
    return child


def world(*pods):
    """A bridge, 10.80.0.1 on the node, and a pod at 10.80.0.2 and so on for each name."""
    sh("""mount -t tmpfs -o mode=755 tmpfs /run; mkdir -p /run/netns /run/t; ip link set lo up
          ip link add bridge0 type bridge; ip addr add 10.80.0.1/16 dev bridge0; ip link set bridge0 up
          for family in ip ip6 arp; do
              knob=/proc/sys/net/bridge/bridge-nf-call-${family}tables; [ ! -e $knob ] || echo 0 >$knob
          done""")
    (RUN / "pod.py").write_text(SERVER)
    (RUN / "trammeld.yaml").write_text(SETTINGS)
    for host, pod in enumerate(pods, start=2):
        sh(f"ip netns add {pod}")
        connect(pod, host)


def connect(pod, host):
    """A link from the node's bridge into a network namespace, given by name or as a process's id."""
    run = " ".join(inside(pod))
    sh(f"""ip link add pod{host} type veth peer name eth0 netns {pod}; ip link set pod{host} master bridge0 up
           {run} ip addr add 10.80.0.{host}/16 dev eth0; {run} ip link set eth0 up; {run} ip link set lo up""")
