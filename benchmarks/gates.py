#!/usr/bin/env python3
"""Holds the best that sse_benchmark measured against what it must reach."""
import argparse
import dataclasses
import json
import pathlib
import subprocess
import sys

import results

TO_MEMCHR = {
    "llm": 1.0,
    "anthropic": 1.15,
    "ticks": 1.5,
    "big": 0.32,
    "multiline": 0.75,
    "crlf": 0.75,
    "comments": 1.0,
}


@dataclasses.dataclass(frozen=True)
class Gate:
    """A figure of one benchmark, or the ratio to that of another; with several, the worst of them counts."""

    name: str
    benchmarks: list
    limit: float
    figure: str = "bytes_per_second"
    against: str = None
    at_most: bool = False

    def measured(self, best):
        scale = best[self.against][self.figure] if self.against else 1
        return (max if self.at_most else min)(best[name][self.figure] / scale for name in self.benchmarks)

    def holds(self, measured, margin):
        if self.at_most:
            return measured <= self.limit * (1 + margin)
        return measured >= self.limit * (1 - margin)


def parse(what, stream, chunk_size=16384):
    return f"parse/{what}/{stream}/{chunk_size}"


def ratio(name, benchmark, against, limit):
    return Gate(name, [benchmark], limit, against=against)


def gates():
    for stream, limit in TO_MEMCHR.items():
        yield ratio(f"{stream}: push to memchr", parse("push", stream), parse("memchr", stream), limit)
    yield ratio("cr: push to push of ticks", parse("push", "cr"), parse("push", "ticks"), 0.7)
    # 18 and 45 ns an event, on a machine whose memchr takes 14 ns.
    for chunk_size, limit in {1460: 18 / 14, 64: 45 / 14}.items():
        push, memchr = parse("push", "llm", chunk_size), parse("memchr", "llm")
        name = f"llm in chunks of {chunk_size}: time to that of memchr"
        yield Gate(name, [push], limit, "time_per_event", against=memchr, at_most=True)
    for stream in results.STREAMS:
        yield ratio(f"{stream}: pull to push", parse("pull", stream), parse("push", stream), 0.6)
    for what in ["push", "pull", "fixed"]:
        name = f"{what}: allocations an event, any stream"
        yield Gate(name, [parse(what, stream) for stream in results.STREAMS], 0, "allocations", at_most=True)
    for case, limit in {"230": 1 / 3, "64KiB": 1 / 2}.items():
        name = f"encoder, {case}: string to memcpy"
        yield ratio(name, f"encode/string/{case}", f"encode/memcpy/{case}", limit)
    publish = [f"publish/{subscribers}" for subscribers in results.SUBSCRIBERS]
    yield Gate("publish, 200 bytes: seconds", publish, 200e-9, "time_per_event", at_most=True)
    yield Gate("publish to many: time to that to nobody", publish, 1, "time_per_event", publish[0], at_most=True)
    yield Gate("publish: allocations an event", publish, 0, "allocations", at_most=True)


def run(program, gates):
    names = sorted({name for gate in gates for name in [*gate.benchmarks, gate.against] if name})
    command = [
        program,
        f"--benchmark_filter=^({'|'.join(names)})$",
        "--benchmark_repetitions=9",
        "--benchmark_enable_random_interleaving=true",
        "--benchmark_min_time=0.02",  # a pass over a stream takes some milliseconds
        "--benchmark_format=json",
    ]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def main():
    options = argparse.ArgumentParser(description=__doc__)
    source = options.add_mutually_exclusive_group(required=True)
    source.add_argument("json", nargs="?", type=pathlib.Path, help="what sse_benchmark wrote")
    source.add_argument("--run", metavar="PROGRAM", help="run sse_benchmark, for what the gates need")
    options.add_argument("--margin", type=float, default=0.2, help="how far each may be missed (0.2)")
    options = options.parse_args()

    all_gates = list(gates())
    measured = run(options.run, all_gates) if options.run else options.json.read_text()
    best = results.fastest(json.loads(measured))
    failed = False
    print(f"each may be missed by {options.margin:.0%}")
    for gate in all_gates:
        value = gate.measured(best)
        holds = gate.holds(value, options.margin)
        failed |= not holds
        bound = "at most" if gate.at_most else "at least"
        print(f"{gate.name:45} {value:10.4g}   {bound:8} {gate.limit:7.4g}   {'ok' if holds else 'FAILED'}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
