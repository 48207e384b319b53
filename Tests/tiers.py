"""Runs every tier of the tests, as root, and ends with one line: N passed, N failed, N skipped.

Everything that touches the network does so in namespaces of its own: the machine's rules, routes and namespaces are
the same afterwards. The full output of each tier is kept in .build/test-logs.

  sudo scripts/test                 all tiers
  sudo scripts/test check units     some of them, in the order given
"""

import argparse
import concurrent.futures
import functools
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
LOGS = ROOT / ".build" / "test-logs"
STARTED = time.monotonic()

# A network of its own for the tests of a tier: only loopback, no rules, a /run/netns nobody else sees.
# Of processes, too, since a cleanup goes by what /proc shows; the shell stays the first of them, which takes in orphans.
PRIVATE = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private", "sh", "-euc",
           'mount -t tmpfs -o mode=755 tmpfs /run; mkdir /run/netns; ip link set lo up; "$@"; exit', "private"]


WARNINGS = "TRAMMEL_WARNINGS_AS_ERRORS"
# What of a build is worth a line on the screen.
BUILDING = r"^\[\d+/\d+\] (Emitting module [Tt]rammel|Linking)|^/.*(error|warning):|^error:"


class Tally:
    def __init__(self):
        self.lock = threading.Lock()
        self.passed = self.failed = self.skipped = 0
        self.failures = []

    def count(self, tier, passed=0, failed=(), skipped=()):
        with self.lock:
            self.passed, self.failed = self.passed + passed, self.failed + len(failed)
            self.skipped += len(skipped)
            self.failures += [f"{tier}: {name}" for name in failed]
        words = f"{passed} passed, {len(failed)} failed" + (f", {len(skipped)} skipped" if skipped else "")
        say(f"{tier}: {words}")
        for name in skipped:
            print(f"    skipped: {name}", flush=True)


def say(text):
    print(f"[{(time.monotonic() - STARTED) / 60:5.1f} min] {text}", flush=True)


RUNNING = set()


def end(process):
    """With whatever it has left running in its session."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def run(name, command, timeout, show=None, environment=None):
    """Runs `command` with its output in a log, the lines that `show` matches on the screen too; its exit status, or
    None when it had to be ended after `timeout` seconds."""
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{name}.log"
    deadline = time.monotonic() + timeout
    with open(log, "w") as output:
        process = subprocess.Popen(
            [str(word) for word in command], cwd=ROOT, stdout=output, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, start_new_session=True, env={**os.environ, **(environment or {})})
    RUNNING.add(process)
    shown = set()
    with open(log, errors="replace") as lines:
        try:
            ended = False
            while True:
                line = lines.readline()
                if line:
                    if show and line not in shown and re.search(show, line):
                        shown.add(line)  # a compiler says the same thing for every file
                        print(f"    {name}: {line.rstrip()}", flush=True)
                elif ended:
                    break
                elif process.poll() is not None:
                    ended = True  # once more, for what was written last
                elif time.monotonic() > deadline:
                    say(f"{name}: no end after {timeout} s")
                    return None
                else:
                    time.sleep(0.1)
        finally:
            RUNNING.discard(process)
            end(process)
    return process.returncode


def tail(name, count=40):
    lines = (LOGS / f"{name}.log").read_text(errors="replace").splitlines()
    print(*("    " + line for line in lines[-count:]), sep="\n", flush=True)


# MARK: tiers

def tap(tally, tier, command, timeout, environment=None):
    """A tier that prints `ok …`, `not ok …`, `ok … # SKIP why` for each thing it holds, as the Test Anything Protocol has
    it."""
    status = run(tier, command, timeout, show=r"^(not ok|#|[^\s#]+:|\.\.\.)", environment=environment)
    passed, failed, skipped = 0, [], []
    for line in (LOGS / f"{tier}.log").read_text(errors="replace").splitlines():
        found = re.match(r"(not )?ok\b[ \d]*(?:- )?(.*)", line)
        if not found:
            continue
        if found[1]:
            failed.append(found[2])
        elif "# SKIP" in found[2].upper():
            skipped.append(found[2])
        else:
            passed += 1
    if status != 0 and not failed:
        tail(tier)
        failed.append("did not come to its end" if status is None else f"ended with status {status}")
    tally.count(tier, passed, failed, skipped)


def check(tally):
    tap(tally, "check", ["scripts/check"], 300)


def build(tally):
    """With warnings as errors; where that fails, without, so that the other tiers still have something to run."""
    say("building everything, warnings as errors")
    if run("build", ["scripts/build", "debug"], 2400, show=BUILDING, environment={WARNINGS: "1"}) == 0:
        os.environ[WARNINGS] = "1"
        tally.count("build", passed=1)
        return True
    tally.count("build", failed=["it builds without a warning"])
    say("building once more, warnings allowed")
    if run("build-with-warnings", ["scripts/build", "debug"], 2400, show=BUILDING) == 0:
        return True
    tail("build-with-warnings")
    tally.count("build", failed=["it builds"])
    return False


def swift_testing(tally, target, parallel=True, timeout=600, only="", but=None, name=None):
    """One test target, or of its suites those that `only` matches and `but` does not, in a process of its own, so that a crash is that target's alone. What happened is read from
    Swift Testing's event stream: a test that started or was due and never ended counts as failed.

    Not by `swift test`, which would wait for a build that is under way."""
    name = name or target
    stream = LOGS / f"{name}.jsonl"
    stream.unlink(missing_ok=True)
    status = run(
        name,
        [*PRIVATE, ROOT / ".build/debug/trammelPackageTests.xctest", "--testing-library", "swift-testing",
         *([] if parallel else ["--no-parallel"]), "--filter", rf"^{target}\.{only}",
         *(["--skip", rf"^{target}\.{but}"] if but else []), "--event-stream-output-path", stream, "--event-stream-version", "0"],
        timeout, show=r"^✘ .*(recorded an issue|failed after)|^↳ (?!T(esting Library|arget Platform))|Fatal error|Crash",
        environment={"NO_COLOR": "1"})
    outcome, skippedSuites = {}, []
    for line in stream.read_text(errors="replace").splitlines() if stream.exists() else []:
        try:
            record = json.loads(line)
        except ValueError:
            continue  # the line that a crash cut short
        payload = record["payload"]
        if record["kind"] == "test":
            if payload["kind"] == "function":
                outcome.setdefault(payload["id"], "not run")
            continue
        test = payload.get("testID")
        if payload["kind"] == "testSkipped":
            why = payload["messages"][0]["text"] if payload.get("messages") else test
            if test in outcome:
                outcome[test] = ("skipped", why)
            else:
                skippedSuites.append((test + "/", why))
        elif test in outcome and payload["kind"] == "testStarted":
            outcome[test] = "not ended"
        elif test in outcome and payload["kind"] == "testEnded":
            symbol = payload["messages"][0]["symbol"] if payload.get("messages") else "fail"
            outcome[test] = "passed" if symbol.startswith("pass") else "failed"
    passed, failed, skipped, unfinished = 0, [], [], False
    for test, what in outcome.items():
        title = test.rsplit("/", 1)[0]
        whole = next((why for suite, why in skippedSuites if test.startswith(suite)), None)
        if what == "passed":
            passed += 1
        elif what == "not run" and whole:
            skipped.append(f"{title}: {whole}")
        elif isinstance(what, tuple):
            skipped.append(f"{title}: {what[1]}")
        else:
            failed.append(title if what == "failed" else f"{title} ({what})")
            unfinished = unfinished or what != "failed"
    if status != 0 and not failed:
        failed.append("did not come to its end" if status is None else f"ended with status {status}")
    if unfinished or (failed and not outcome):
        tail(name)
    tally.count(name, passed, failed, skipped)


def test_targets():
    return sorted(folder.name for folder in (ROOT / "Tests").glob("*Tests") if any(folder.rglob("*.swift")))


def units(tally):
    for target in test_targets():
        if target not in ("KernelTests", "SystemTests"):
            # Those of the command line start programs and watch terminals, a hundred of which at once have to wait.
            swift_testing(tally, target, parallel=target != "TrammelControlTests")


# About one half of what waits for the kernel; the rest is the other.
HALF = "(Host|Iptables|Datagram|TurnedDatagrams|Conntrack)"


def kernel(tally):
    """In two halves side by side, each in a network of its own, for most of the time is spent waiting."""
    # A build beside them would have them wait for the processor instead.
    Release.wait()
    halves = [dict(only=HALF, name="KernelTests-1"), dict(but=HALF, name="KernelTests-2")]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda half: swift_testing(tally, "KernelTests", parallel=False, timeout=900, **half), halves))


def fuzz(tally):
    say("fuzzing the parsers for a bounded time")
    status = run("fuzz", ["Tests/Fuzz/run", "10"], 900, show=": (ok|FAILED)")
    if status != 0:
        tail("fuzz")
    log = (LOGS / "fuzz.log").read_text(errors="replace")
    passed = len(re.findall(r"^\w+: ok", log, re.M))
    failed = [f"{name} found a crash" for name in re.findall(r"^(\w+): FAILED", log, re.M)]
    if status != 0 and not failed:
        failed = ["did not come to its end" if status is None else f"ended with status {status}"]
    tally.count("fuzz", passed, failed)


class Release:
    """trammeld and trammel as users build them."""

    _worker = concurrent.futures.ThreadPoolExecutor(1)
    _building = None

    @classmethod
    def begin(cls):
        """Beside whatever else is done."""
        if cls._building is None:
            say("building trammeld and trammel as users do")
            cls._building = cls._worker.submit(run, "release", ["scripts/build", "release"], 2400, show=BUILDING)

    @classmethod
    def wait(cls):
        if cls._building is not None and not cls._building.done():
            cls._building.result()
            say("trammeld and trammel are built")

    @classmethod
    def folder(cls):
        """Where they are; None where they cannot be built."""
        cls.begin()
        cls.wait()
        return (LOGS / "release.log").read_text().splitlines()[-1] if cls._building.result() == 0 else None


def system(tally):
    """Programs in Tests/SystemTests that print TAP: the binaries as users run them, on this very machine."""
    binaries = Release.folder()
    if not binaries:
        tail("release")
        tally.count("system", failed=["a release build"])
        return
    programs = [program for program in sorted((ROOT / "Tests" / "SystemTests").glob("*"))
                if program.is_file() and os.access(program, os.X_OK)]

    def one(program, within=()):
        say(f"system: {program.name}")
        tap(tally, program.name, [*within, program], 600, environment={"TRAMMEL_BIN_DIR": binaries})
    # Those that make a node for themselves, processes and all, are in nobody's way; the others are in one another's, and
    # see nobody else.
    pairs = [program for program in programs if program.name not in ALONE and "main(__file__" in program.read_text()]
    others = [program for program in programs if program.name not in ALONE and program not in pairs]

    def together():
        for program in others:
            one(program, ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"])
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda work: work(), [together] + [functools.partial(one, program) for program in pairs]))
    for program in programs:
        if program.name in ALONE:
            one(program)


# They say how long a thing may take, how much memory, have a systemd of their own, or see that nothing of the machine is
# another than before.
ALONE = {"allocations", "badday", "demo", "enemies", "hosted", "package", "soak", "units"}


def bench(tally):
    """That scripts/bench still measures every case; not how fast it is, which a shared machine cannot say."""
    say("one short round of scripts/bench")
    command = ["scripts/bench", "--rounds", "1", "--seconds", "1", "--crowd", "100"]
    if run("bench", command, 900, show=r"^[\w-]+: |^  (case|direct|haproxy|envoy|trammel|pass|miss)") == 0:
        tally.count("bench", passed=1)
    else:
        tail("bench")
        tally.count("bench", failed=["scripts/bench"])


TIERS = {"check": check, "build": build, "units": units, "fuzz": fuzz, "kernel": kernel, "system": system,
         "bench": bench}


def main():
    parser = argparse.ArgumentParser(
        prog="scripts/test", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tiers", nargs="*", metavar="TIER", help=f"of {', '.join(TIERS)}")
    chosen = parser.parse_args()
    for name in chosen.tiers:
        if name not in TIERS:
            parser.error(f"there is no tier '{name}'; there are {', '.join(TIERS)}")
    if os.geteuid() != 0:
        sys.exit("test: network namespaces need root; run: sudo scripts/test")
    # A shell has what it starts in the background ignore Ctrl-C, and so would the programs that are tested.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Root reads checkouts that the tree's owner made.
    os.environ.update(GIT_CONFIG_COUNT="1", GIT_CONFIG_KEY_0="safe.directory", GIT_CONFIG_VALUE_0="*")
    toolchain = subprocess.run([ROOT / "scripts" / "build", "toolchain"], stdout=subprocess.PIPE, text=True)
    if toolchain.returncode != 0:
        sys.exit(1)
    # The system's own programs before a version manager's shims, which take 0.1 s to find Python, thousands of times.
    os.environ["PATH"] = f"{toolchain.stdout.strip()}:/usr/bin:{os.environ['PATH']}"
    tally = Tally()
    try:
        for name in chosen.tiers or TIERS:
            if TIERS[name](tally) is False:
                say("nothing else can run without a build")
                break
            # What follows leaves a core idle, mostly.
            if name == "build" and "system" in (chosen.tiers or TIERS):
                Release.begin()
    except KeyboardInterrupt:
        for process in list(RUNNING):
            end(process)
        tally.failed += 1
        tally.failures.append("interrupted")
    owner = (ROOT / "Package.swift").stat()
    if owner.st_uid != 0 and (ROOT / ".build").exists():
        subprocess.run(["chown", "-R", f"{owner.st_uid}:{owner.st_gid}", ROOT / ".build"])
    if tally.failures:
        print("\nfailed:", *(f"  {name}" for name in tally.failures), sep="\n")
    print(f"\n{tally.passed} passed, {tally.failed} failed, {tally.skipped} skipped", flush=True)
    return 1 if tally.failed else 0


sys.exit(main())
