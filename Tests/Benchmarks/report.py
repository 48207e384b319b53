"""Samples to text: a table for each measure, then the budgets."""

import dataclasses
import statistics


def median(samples, field):
    values = [getattr(sample, field) for sample in samples]
    return statistics.median(values) if None not in values else None


def ratio(samples, peer, field):
    """Median over the rounds of this round's sample against the peer's sample of the same round."""
    pairs = [(getattr(ours, field), getattr(theirs, field)) for ours, theirs in zip(samples, peer)]
    pairs = [(ours, theirs) for ours, theirs in pairs if ours is not None and theirs]
    return statistics.median(ours / theirs for ours, theirs in pairs) if pairs else None


def fixed(digits, scale=1.0):
    return lambda value: f"{value * scale:,.{digits}f}"


COLUMNS = {
    "cost": ("CPU µs", "cost", fixed(1)),
    "user": ("user", "user_cost", fixed(1)),
    "system": ("system", "system_cost", fixed(1)),
    "rate": ("per second", "rate", fixed(0)),
    "p99": ("p99 ms", "p99", fixed(2, 1e-3)),
    "yield": ("GB/CPU s", "yield_", fixed(2)),
    "throughput": ("GB/s", "bytes", fixed(2, 1e-9)),
    "memory": ("KiB each", "bytes", fixed(1, 1 / 1024)),
    "base": ("RSS before, MiB", "resident", fixed(1, 1 / 1048576)),
    "share before": ("PSS", "share_before", fixed(1, 1 / 1048576)),
    "held": ("RSS with them", "held", fixed(1, 1 / 1048576)),
    "share": ("PSS", "share", fixed(1, 1 / 1048576)),
}
WITHOUT_PROXY = {"cost", "user", "system", "yield"}


def table(measure, results):
    """The lines of one measure's table; `results` maps a case's name to its samples in round order."""
    peers = [name for name in ("haproxy", "envoy") if name in results]
    head = ["case"] + [COLUMNS[column][0] for column in measure.columns] + [f"× {peer}" for peer in peers]
    rows = [head]
    for name, samples in results.items():
        row = [name]
        for column in measure.columns:
            _, field, show = COLUMNS[column]
            value = None if name == "direct" and column in WITHOUT_PROXY else median(samples, field)
            if column == "throughput":
                value /= median(samples, "seconds")
            row.append("–" if value is None else show(value))
        for peer in peers:
            value = None if name == "direct" else ratio(samples, results[peer], measure.key)
            row.append("–" if value is None else f"{value:.2f}")
        rows.append(row)
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = ["  ".join([row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])])
             for row in rows]
    rounds = max(len(samples) for samples in results.values())
    disturbed = statistics.median(sample.disturbed for samples in results.values() for sample in samples)
    note = [f"  (other work took {disturbed:.0%} of the two cores meanwhile)"] if disturbed > 0.03 else []
    title = f"{measure.name}: {measure.title} (median of {rounds})"
    return [title] + ["  " + line.rstrip() for line in lines] + note


@dataclasses.dataclass
class Budget:
    """A line of the design's "Budgets": a ratio, or a figure of its own, and the side it has to stay on."""

    text: str
    measure: str
    case: str
    limit: float
    peer: str = None
    field: str = "cost"
    at_least: bool = False

    def value(self, results):
        ours = results.get(self.measure, {}).get(self.case)
        if not ours:
            return None
        if self.field == "added p99":
            theirs, base = results[self.measure].get(self.peer), results[self.measure].get("direct")
            if not theirs or not base:
                return None
            added = [median(samples, "p99") - median(base, "p99") for samples in (ours, theirs)]
            return added[0] / added[1] if added[1] > 0 else None
        if self.peer is None:
            return median(ours, self.field)
        theirs = results[self.measure].get(self.peer)
        return ratio(ours, theirs, self.field) if theirs else None


BUDGETS = [
    Budget("HTTP/1.1, one node: CPU × HAProxy", "http1", "trammel", 0.85, "haproxy"),
    Budget("HTTP/1.1, one node: CPU × Envoy", "http1", "trammel", 0.5, "envoy"),
    Budget("HTTP/1.1, one node: CPU × a pair of Envoys", "http1", "trammel", 0.2, "envoy-pair"),
    Budget("HTTP/1.1, leaving the node: CPU × HAProxy", "http1", "trammel-off", 1.05, "haproxy"),
    Budget("HTTP/1.1, leaving the node: CPU × Envoy", "http1", "trammel-off", 0.6, "envoy"),
    Budget("HTTP/1.1, p99 added at half of saturation × Envoy", "pace", "trammel", 1.0, "envoy", "added p99"),
    Budget("TCP round trip: CPU × HAProxy", "ping", "trammel", 1.0, "haproxy"),
    Budget("TCP bulk: GB per CPU second × Envoy", "bulk", "trammel", 1.0, "envoy", "yield_", at_least=True),
    Budget("idle captured HTTP connection, bytes", "idle-http", "trammel", 8192, None, "bytes"),
    Budget("idle captured TCP connection, bytes", "idle-tcp", "trammel", 8192, None, "bytes"),
    Budget("the agent, idle, bytes", "idle-http", "trammel", 40_000_000, None, "resident"),
]


def budgets(results):
    """(lines, misses) for the budgets that this run has figures for."""
    lines, misses = [], 0
    for budget in BUDGETS:
        value = budget.value(results)
        if value is None:
            continue
        good = value >= budget.limit if budget.at_least else value <= budget.limit
        misses += not good
        shown = f"{value:.2f}" if budget.limit < 100 else f"{value:,.0f}"
        limit = f"{budget.limit:.2f}" if budget.limit < 100 else f"{budget.limit:,.0f}"
        sign = "≥" if budget.at_least else "≤"
        lines.append(f"  {'pass' if good else 'miss'}  {budget.text}: {shown} ({sign} {limit})")
    return lines, misses
