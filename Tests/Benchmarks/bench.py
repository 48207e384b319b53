"""Measures Trammel beside HAProxy and Envoy: captured between pods, in turns, in the same run.

CPU time of the proxy's process for each request, medians over interleaved rounds, ratios taken round by round. The
proxy under test has one core, load and servers share another. Run as root; everything happens in namespaces that
vanish with the run.
"""

import argparse
import contextlib
import os
import pathlib
import subprocess
import sys

SOURCES = pathlib.Path(__file__).resolve().parent
ROOT = SOURCES.parent.parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(SOURCES))

import crowd  # noqa: E402
import fairness  # noqa: E402
import measures  # noqa: E402
import peers  # noqa: E402
import report  # noqa: E402
import scale  # noqa: E402
import trammel  # noqa: E402
import ways  # noqa: E402
import world  # noqa: E402

CASES = {**peers.PEERS, "trammel": trammel.Trammel, "trammel-off": trammel.TrammelOffNode}
LAST = ["ways", "fairness", "crowd", "scale"]
"""Measured after the others, for what they leave behind."""
CGROUPS = [pathlib.Path("/sys/fs/cgroup/trammel"), pathlib.Path("/sys/fs/cgroup/unified/trammel")]


def arguments():
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="TRAMMEL_BIN_DIR names the folder of trammeld and trammel (default: a release build of this tree); "
        "TRAMMEL_CACHE the folder for peers and helpers (default: /var/cache/trammel).")
    parser.add_argument("--quick", action="store_true", help="two rounds of two seconds each")
    parser.add_argument("--rounds", type=int, help="rounds of every case (default 5)")
    parser.add_argument("--seconds", type=float, help="seconds of load in each round (default 4)")
    parser.add_argument(
        "--only", action="append", metavar="MEASURE", choices=[*measures.MEASURES, *LAST],
        help=f"one of {', '.join([*measures.MEASURES, *LAST])}; may be repeated")
    parser.add_argument("--peers", metavar="A,B", help=f"only these of {', '.join(CASES)}")
    parser.add_argument("--without", metavar="A,B", default="", help="all but these; 'trammel' means both its cases")
    parser.add_argument(
        "--perf", action="store_true", help="record each case's proxy with perf and print where its time goes")
    parser.add_argument(
        "--crowd", type=int, default=500, metavar="N", help="workloads of a kind in the measure of that name (default 500)")
    parser.add_argument("--gate", action="store_true", help="exit 1 if a budget is missed")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument(
        "--held", type=int, default=measures.Idle.connections, metavar="N",
        help="idle connections in each measure of those (default %(default)s)")
    chosen = parser.parse_args()
    measures.Idle.connections = chosen.held
    chosen.rounds = chosen.rounds or (2 if chosen.quick else 5)
    chosen.seconds = chosen.seconds or (2 if chosen.quick else 4)
    chosen.only = chosen.only or [*measures.MEASURES, *LAST]
    chosen.cases = chosen.peers.split(",") if chosen.peers else list(CASES)
    without = set(filter(None, chosen.without.split(",")))
    if "trammel" in without:
        without.add("trammel-off")
    for name in [*chosen.cases, *without]:
        if name not in CASES:
            parser.error(f"there is no case '{name}'; there are {', '.join(CASES)}")
    chosen.cases = [name for name in chosen.cases if name not in without]
    if not chosen.cases:
        parser.error("no case is left to measure")
    chosen.cache = pathlib.Path(os.environ.get("TRAMMEL_CACHE", "/var/cache/trammel"))
    return chosen


def prepare(chosen):
    """Everything that needs the network or the compiler, outside the namespaces."""
    tools = chosen.cache / "bench"
    tools.mkdir(parents=True, exist_ok=True)
    for name in ("backend", "load"):
        source, binary = SOURCES / f"{name}.c", tools / name
        if not binary.exists() or binary.stat().st_mtime < source.stat().st_mtime:
            subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-o", binary, source], check=True)
    if any(name.startswith("trammel") for name in chosen.cases):
        built = subprocess.run([ROOT / "scripts" / "build", "release"], check=True, stdout=subprocess.PIPE, text=True)
        os.environ["TRAMMEL_BIN_DIR"] = built.stdout.splitlines()[-1]


def outside(chosen):
    if os.geteuid() != 0:
        sys.exit("bench: network namespaces need root; run: sudo scripts/bench")
    prepare(chosen)
    there = {group for group in CGROUPS if group.exists()}
    try:
        code = subprocess.run([
            "unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation",
            "private", sys.executable, __file__, "--inside", *sys.argv[1:]]).returncode
    except KeyboardInterrupt:
        code = 130
    # An agent started by hand makes itself a cgroup; the processes in it ended with their PID namespace.
    for group in CGROUPS:
        if group.exists() and group not in there:
            for folder in sorted([group, *group.rglob("*/")], reverse=True):
                with contextlib.suppress(OSError):
                    folder.rmdir()
    return code


class Settings:
    """What the measures need to know of the run."""

    def __init__(self, chosen):
        self.chosen, self.seconds, self.rate = chosen, chosen.seconds, None

    @contextlib.contextmanager
    def profiler(self, case):
        if not self.chosen.perf or not case.pids:
            yield
            return
        data = self.chosen.cache / "bench" / f"perf-{case.name}.data"
        recorder = subprocess.Popen(
            ["perf", "record", "-q", "-g", "-e", "cpu-clock", "-F", "997", "-o", data, "-p",
             ",".join(map(str, case.pids)), "--", "sleep", str(self.seconds)], stderr=subprocess.DEVNULL)
        yield
        recorder.wait()
        for title, options in (("self", ["--no-children"]), ("with callees", ["--children"])):
            text = subprocess.run(
                ["perf", "report", "--stdio", "-g", "none", "--percent-limit", "0.5", "-i", data, *options],
                capture_output=True, text=True).stdout
            lines = [line.rstrip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
            print(f"\nprofile of {case.name}, {title} ({data}):", *lines[:70], sep="\n")


def inside(chosen):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"], check=True)
    # perf and the stat files read /proc of this PID namespace, which --mount-proc has put there.
    scene = world.World(chosen.cache / "bench")
    scene.envoy_binary = next(chosen.cache.glob("venv/lib/python3*/site-packages/envoy/_bin/envoy"), None)
    scene.trammel = pathlib.Path(os.environ.get("TRAMMEL_BIN_DIR", "/nonexistent"))
    settings = Settings(chosen)
    # What else the machine does shall wait, rather than push in between load, proxy and server.
    # Where the kernel groups processes by session, it is the group's niceness that counts.
    os.setsid()
    os.setpriority(os.PRIO_PROCESS, 0, -15)
    with contextlib.suppress(OSError):
        pathlib.Path("/proc/self/autogroup").write_text("-15")

    def progress(text):
        if sys.stderr.isatty():
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
        elif text:
            print(text, file=sys.stderr, flush=True)

    cases = {}
    for name in chosen.cases:
        progress(f"starting {name}")
        cases[name] = CASES[name](scene)
        cases[name].check()
    results = {}
    for name in [name for name in measures.MEASURES if name in chosen.only]:
        measure = measures.MEASURES[name](settings)
        if not isinstance(measure, measures.Idle):
            for case in cases.values():
                measures.Idle.release(case)
        if name == "pace":
            settings.rate = half_of_saturation(cases, results, settings)
        taken = results[name] = {case: [] for case in cases if case not in measure.exclude}
        rounds = measure.rounds or chosen.rounds
        for round_ in range(rounds):
            for case in taken:
                progress(f"{name} {round_ + 1}/{rounds} {case}")
                taken[case].append(measure.sample(cases[case]))
        progress("")
        if taken:
            print("\n" + "\n".join(report.table(measure, taken)), flush=True)
    lines, misses = report.budgets(results)
    last = []
    if "fairness" in chosen.only and "trammel" in cases:
        found = fairness.run(scene, settings, progress)
        print("\n" + "\n".join(fairness.table(found)), flush=True)
        last += fairness.budgets(found)
    if "ways" in chosen.only and "trammel" in cases:
        print("\n" + "\n".join(ways.table(ways.run(scene, settings, progress))), flush=True)
    if "crowd" in chosen.only and "trammel" in cases:
        last += crowd.budgets(crowd.run(scene, settings, progress))
    if "scale" in chosen.only:
        found = scale.run(scene, cases, settings, progress)
        if found:
            print("\n" + "\n".join(scale.table(found)), flush=True)
        last += scale.budgets(found)
    lines += [line for line, _ in last]
    misses += sum(missed for _, missed in last)
    if lines:
        print("\nbudgets", *lines, sep="\n")
    return 1 if misses and chosen.gate else 0


def half_of_saturation(cases, results, settings):
    """Envoy's rate where it is known or can be had, else that of the last case there is."""
    name = "envoy" if "envoy" in cases else list(cases)[-1]
    samples = results.get("http1", {}).get(name) or [measures.HTTP1(settings).sample(cases[name])]
    return round(report.median(samples, "rate") / 2)


def main():
    chosen = arguments()
    try:
        return inside(chosen) if chosen.inside else outside(chosen)
    except world.BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"bench: {' '.join(map(str, error.cmd))} failed with {error.returncode}", file=sys.stderr)
        return 1


sys.exit(main())
