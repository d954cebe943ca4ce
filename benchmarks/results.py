"""What sse_benchmark and peers.mjs measured: the medians over their repetitions."""
import json
import statistics

STREAMS = ["llm", "anthropic", "ticks", "big", "multiline", "crlf", "cr", "comments"]


def medians(program):
    """{name: {"bytes_per_second": …, "time_per_event": …, …}} out of the JSON of sse_benchmark, read"""
    repetitions = {}
    for entry in program["benchmarks"]:
        if "error_message" in entry:
            raise SystemExit(f"{entry['name']} {entry['error_message']}")
        if entry["run_type"] == "iteration":
            repetitions.setdefault(entry["name"], []).append(entry)
    return {
        name: {
            figure: statistics.median(entry[figure] for entry in entries)
            for figure, value in entries[0].items()
            if isinstance(value, float)
        }
        for name, entries in repetitions.items()
    }


def of_peers(lines):
    """The same out of the lines of peers.mjs."""
    return {entry["name"]: entry for entry in map(json.loads, lines.splitlines())}
