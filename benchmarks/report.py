#!/usr/bin/env python3
"""Writes report.md and chart.svg beside sse_benchmark.json and peers.jsonl: report.py build/benchmark"""
import json
import pathlib
import platform
import re
import sys

import chart
import results

STREAMS = results.STREAMS
CHUNK_SIZES = ["64", "1460", "16384", "whole"]
CASES = ["tick", "230", "230x3", "64KiB", "64KiB/lines"]

PARSERS = {
    "memcpy of the whole": "parse/memcpy/{}/whole",
    "memchr, a call a line": "parse/memchr/{}/16384",
    "line ends, only counted": "parse/line_ends/{}/16384",
    "**sse, push**": "parse/push/{}/16384",
    "sse, pull": "parse/pull/{}/16384",
    "sse, push, owned events": "parse/push_owned/{}/16384",
    "sse, `fixed_parser`": "parse/fixed/{}/16384",
    "eventsource-parser": "parse/eventsource-parser/{}/16384",
    "`std::string::find`": "parse/find/{}/16384",
    "`std::getline`, the whole": "parse/getline/{}/whole",
}
CHART = {
    "sse": "parse/push/{}/16384",
    "eventsource-parser": "parse/eventsource-parser/{}/16384",
    "std::string::find": "parse/find/{}/16384",
    "std::getline, the whole": "parse/getline/{}/whole",
}
BY_CHUNK_SIZE = {
    "line ends, only counted": "parse/line_ends/{}/{}",
    "memchr, a call a line": "parse/memchr/{}/{}",
    "**sse, push**": "parse/push/{}/{}",
    "sse, pull": "parse/pull/{}/{}",
}
ENCODERS = {
    "memcpy of what was encoded": "encode/memcpy/{}",
    "**sse, to a string**": "encode/string/{}",
    "sse, to a span": "encode/span/{}",
    "sse, to a callable": "encode/callable/{}",
    "{fmt}": "encode/fmt/{}",
    "`std::ostringstream`": "encode/ostringstream/{}",
    "eventsource-encoder": "encode/eventsource-encoder/{}",
}


def row(title, name, columns, show):
    """`name` is that of a measurement, with a place for the column."""
    return [title, *(show(name.format(column)) for column in columns)]


def table(columns, rows):
    lines = [["", *columns], ["---", *["--:"] * len(columns)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def ratio(medians, over, under):
    return medians[over]["bytes_per_second"] / medians[under]["bytes_per_second"]


def machine(program, peers):
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.*\S)", cpuinfo.read_text() if cpuinfo.exists() else "")
    packages = json.loads((pathlib.Path(__file__).parent / "package.json").read_text())["dependencies"]
    node = next(iter(peers.values()))["node"]
    return ", ".join([
        model[1] if model else platform.machine(),
        program["context"]["compiler"] + " -O3",
        f"Node {node.lstrip('v')}",
        *(f"{name} {version}" for name, version in packages.items()),
    ])


def report(medians, measured_on):
    def megabytes(name):
        return f"{medians[name]['bytes_per_second'] / 1e6:,.0f}" if name in medians else "–"

    def nanoseconds(name):
        return f"{medians[name]['time_per_event'] * 1e9:.1f}"

    def to_memchr(name):
        return f"**{ratio(medians, name, name.replace('push', 'memchr')):.2f}**"

    def to_memcpy(name):
        return f"**{ratio(medians, name, name.replace('string', 'memcpy')):.2f}**"

    parsing = [row(title, name, STREAMS, megabytes) for title, name in PARSERS.items()]
    parsing.append(row("**push to memchr**", "parse/push/{}/16384", STREAMS, to_memchr))
    parsing.append(row("the same from the cache", "parse/push/{}.cached/16384", STREAMS, to_memchr))

    def by_chunk_size(stream):
        rows = ((title, name.format(stream, "{}")) for title, name in BY_CHUNK_SIZE.items())
        return table(CHUNK_SIZES, [row(title, name, CHUNK_SIZES, nanoseconds) for title, name in rows])

    encoding = [row(title, name, CASES, megabytes) for title, name in ENCODERS.items()]
    encoding.append(row("**to a string, to memcpy**", "encode/string/{}", CASES, to_memcpy))
    return f"""\
{measured_on}; medians of nine runs.

Parsing in chunks of 16 KiB, MB/s. No figure where a parser gets the stream wrong:

{table(STREAMS, parsing)}

Parsing `llm`, ns an event, by the size of the chunks:

{by_chunk_size("llm")}

The same of 256 KiB that stay in the cache:

{by_chunk_size("llm.cached")}

Encoding, MB/s, by the data of the messages:

{table(CASES, encoding)}

Publishing 200 bytes, ns, by the number of subscribers who wait:

{table(results.SUBSCRIBERS, [row("**sse, `publish`**", "publish/{}", results.SUBSCRIBERS, nanoseconds)])}
"""


def bars(medians):
    """For the chart: {stream: {parser: its speed, that of memchr being 1}}"""
    return {
        stream: {
            title: ratio(medians, name.format(stream), f"parse/memchr/{stream}/16384")
            for title, name in CHART.items()
            if name.format(stream) in medians
        }
        for stream in STREAMS
    }


def main():
    folder = pathlib.Path(sys.argv[1])
    program = json.loads((folder / "sse_benchmark.json").read_text())
    medians = results.medians(program)
    peers = results.of_peers((folder / "peers.jsonl").read_text())
    for name, entry in peers.items():
        ours = name.replace("eventsource-parser", "push")
        if ours in medians and medians[ours]["events"] != entry["events"]:
            sys.exit(f"{name}: {entry['events']} events instead of {medians[ours]['events']}")
    medians.update(peers)
    measured_on = machine(program, peers)
    (folder / "report.md").write_text(report(medians, measured_on))
    svg = chart.draw(
        bars(medians),
        title="Parsing Server-Sent Events",
        subtitle="Speed in chunks of 16 KiB. No bar where a parser gets the stream wrong.",
        unit="1 = a memchr call a line",
    )
    (folder / "chart.svg").write_text(svg)


if __name__ == "__main__":
    main()
