"""What sse_benchmark and peers.mjs measured, over their repetitions."""
import json
import statistics

STREAMS = ["llm", "anthropic", "ticks", "big", "multiline", "crlf", "cr", "comments"]
SUBSCRIBERS = ["0", "100", "10000"]


def _repetitions(program):
    """{name: [{figure: value}]} out of the JSON of sse_benchmark, read"""
    repetitions = {}
    for entry in program["benchmarks"]:
        if "error_message" in entry:
            raise SystemExit(f"{entry['name']} {entry['error_message']}")
        if entry["run_type"] == "iteration":
            figures = {figure: value for figure, value in entry.items() if isinstance(value, float)}
            repetitions.setdefault(entry["name"], []).append(figures)
    return repetitions


def medians(program):
    """{name: {"bytes_per_second": …, "time_per_event": …, …}}"""
    return {
        name: {figure: statistics.median(entry[figure] for entry in entries) for figure in entries[0]}
        for name, entries in _repetitions(program).items()
    }


def fastest(program):
    """The same of the fastest repetition of each: what else runs on the machine can only slow them down."""
    return {
        name: max(entries, key=lambda entry: entry["bytes_per_second"])
        for name, entries in _repetitions(program).items()
    }


def of_peers(lines):
    """The same out of the lines of peers.mjs."""
    return {entry["name"]: entry for entry in map(json.loads, lines.splitlines())}
