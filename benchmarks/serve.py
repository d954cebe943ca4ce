#!/usr/bin/env python3
"""Measures servers of events side by side, and holds live_server to its goals: serve.py [--quick] [--row NAME]…"""
import argparse
import contextlib
import dataclasses
import json
import math
import os
import pathlib
import platform
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

SOURCES = pathlib.Path(__file__).parent
BUILD = SOURCES.parent / "build"
DESCRIPTORS = 20_000
TIME_LIMIT = 300  # seconds a run may take: only guards against hanging
FAILURES = (OSError, RuntimeError, subprocess.SubprocessError)  # of a run: others are faults of this script

NGINX = """
load_module /usr/lib/nginx/modules/ngx_nchan_module.so;
daemon off;
master_process off;
worker_processes 1;
pid nginx.pid;
error_log error.log;
events {{ worker_connections {descriptors}; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    keepalive_requests 1000000000;
    nchan_shared_memory_size 256m;

    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location = /events {{
            nchan_subscriber eventsource;
            nchan_channel_id events;
            nchan_subscriber_first_message newest;
        }}
        location = /publish {{
            nchan_publisher;
            nchan_channel_id events;
            nchan_message_buffer_length 10000;
            nchan_message_timeout 10m;
        }}
    }}
}}
"""


# The servers: each a context that starts one and gives its URL and its process


@contextlib.contextmanager
def running(command, **options):
    process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, **options)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def announced(*command):
    """A server whose first line says where it listens."""
    with running(command, stdout=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"{command[0]} did not start")
        yield line.split()[-1].rstrip("/"), process.pid


def live(options, *arguments):
    defaults = ["--threads", 1, "--tick", 0, "--events", 50_000, "--bytes", 64 << 20]
    return announced(options.live, "--port", 0, *defaults, *arguments)


def bare(options):
    return announced(options.tools / "bare_server", "--port", 0)


def node(options):
    return announced("node", SOURCES / "node_server.mjs", 0)


def nginx_path():
    return shutil.which("nginx") or "/usr/sbin/nginx"  # which is on the superuser's PATH only


@contextlib.contextmanager
def nchan(options):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "nginx.conf").write_text(NGINX.format(port=port, descriptors=DESCRIPTORS))
        command = [nginx_path(), "-p", folder, "-c", "nginx.conf", "-e", "error.log"]
        with running(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                wait_for(port, process)
                yield f"http://127.0.0.1:{port}", process.pid
            except FAILURES as error:
                raise RuntimeError(f"{error}; nginx: {last_line(pathlib.Path(folder) / 'error.log')}") from error


def last_line(path):
    lines = path.read_text().splitlines() if path.exists() else []
    return lines[-1] if lines else "nothing in error.log"


def wait_for(port, process):
    for _ in range(500):
        with contextlib.suppress(ConnectionRefusedError):
            return socket.create_connection(("127.0.0.1", port)).close()
        if process.poll() is not None:
            break
        time.sleep(0.01)
    raise RuntimeError("nginx did not start")


SERVERS = {"live": live, "bare": bare, "node": node, "nchan": nchan}


# The rows: what is measured, of whom, and what is to be reached


@dataclasses.dataclass(frozen=True)
class Case:
    """One line of a table: what the swarm is told, and by server what that one's own run adds to it."""

    title: str
    swarm: str
    own: dict = dataclasses.field(default_factory=dict)
    live: tuple = ()  # options of live_server


@dataclasses.dataclass(frozen=True)
class Goal:
    """`figure` takes {case: {server: result}} of one round."""

    title: str
    limit: float
    figure: callable
    at_most: bool = False
    across: callable = statistics.median  # of the rounds' figures
    servers: tuple = ("live",)  # whose results it takes

    def measured(self, rounds):
        return over(rounds, self.figure, self.across)

    def holds(self, rounds):
        value = self.measured(rounds)
        if value is None:
            return False
        return value <= self.limit if self.at_most else value >= self.limit


@dataclasses.dataclass(frozen=True)
class Row:
    title: str
    figure: callable  # of a result
    form: str
    cases: list
    servers: list
    goals: list
    also: dict = dataclasses.field(default_factory=dict)  # {title: (figure, form)} of further lines
    is_drawn: bool = False  # for cases that differ by the same factor, one from the next


def per_cpu_second(result):
    return result["deliveries_per_cpu_s"]


def p99(result):
    return result["latency_ms"]["p99"]


def ratio(case, over, under, limit, figure=per_cpu_second):
    def value(results):
        return figure(results[case][over]) / figure(results[case][under])

    return Goal(f"{case}: {over} to {under}", limit, value, servers=(over, under))


def complete(case):
    return Goal(f"{case}: every event once and in order", 1, lambda results: results[case]["live"]["complete"],
                across=min)


def bend(results, server):
    """How much more a subscriber adds to the cost of an event among 10,000 than among 1,000: on a straight line 1."""
    cost = {number: results[f"{number:,} subscribers"][server]["cpu_us_per_event"] for number in (100, 1000, 10_000)}
    return (cost[10_000] - cost[1000]) / 9000 / ((cost[1000] - cost[100]) / 900)


def per_delivery(result):
    return result["server_cpu_s"] * 1e6 / result["deliveries"]


def growth(result):
    memory = result["rss_bytes"]
    return (memory["peak"] - memory["idle"]) / (1 << 20)


def events_a_send(result):
    """Each prelude, and what taught the swarm its ids, are among the sends: this is a bit less than the truth."""
    return result["deliveries"] / result["stats"]["sends"]


def left_behind(result):
    return result["descriptors"]["after"] - result["descriptors"]["before"]


def kept(result):
    return result["rss_bytes"]["after"] / result["rss_bytes"]["idle"]


def rows(quick):
    """{name: row}; with `quick` each runs for about a second."""

    def some(number, least=1):
        return max(number // 10, least) if quick else number

    others = ["node", "nchan"]
    everybody = ["live", "bare", *others]
    held = "2,000 subscribers" if quick else "9,000 subscribers"
    hold = f"--mode hold --warm-up 5 --count 20 --subscribers {held.split()[0].replace(',', '')}"

    lockstep = [
        Case("1,000 subscribers", f"--subscribers 1000 --warm-up 100 --count {some(500)}"),
        Case("5,000 subscribers", f"--subscribers 5000 --warm-up 20 --count {some(100)}"),
    ]
    # Each event in a POST of its own, as nchan and Node want it; 100 at a time is what suits these best.
    full = [
        Case(f"{number:,} subscribers", f"--mode full --window 100 --subscribers {number} --warm-up {count // 5}", {
            "live": f"--count {some(count * 40)}", **dict.fromkeys(["bare", *others], f"--count {some(count)}")})
        for number, count in {1000: 500, 5000: 100}.items()
    ]
    rate = f"--mode rate --rate 100 --subscribers 1000 --warm-up 100 --count {some(1000, 200)}"
    # Small bounds, so that who reads nothing is soon behind: 64 KiB are some 280 events.
    bounds = ("--bytes", 64 << 10, "--send-buffer", 16 << 10, "--when-behind", "disconnect")
    silent = f"--mode rate --rate 100 --subscribers 1000 --warm-up 100 --count {some(1000, 600)}"
    catchup = Case("2,000 subscribers, 1,000 events each", "--mode catchup --subscribers 2000 --count 1000")
    fanout = [
        Case(f"{number:,} subscribers", f"--subscribers {number} --warm-up {count // 10} --count {some(count)}")
        for number, count in {10: 20_000, 100: 4000, 1000: 400, 10_000: 40}.items()
    ]
    # The log is full after the warm-up, and does not grow any more: 256 KiB are some 1,100 events.
    soak = Case("500 subscribers, 50 a second leave",
                f"--mode rate --rate 200 --subscribers 500 --warm-up 1500 --churn 50 --for {5 if quick else 60}",
                live=("--bytes", 256 << 10))

    return {
        "hold": Row(
            "Memory of the server per subscriber that waits, bytes, the kernel's apart",
            lambda result: result["rss_per_subscriber"], "{:,.0f}", [Case(held, hold)], everybody,
            [complete(held),
             Goal("bytes of live", 1024, lambda results: results[held]["live"]["rss_per_subscriber"], True)]),
        "lockstep": Row(
            "Deliveries per CPU-second of the server, each event reaching all before the next is published",
            per_cpu_second, "{:,.0f}", lockstep, everybody,
            [ratio(case.title, "live", other, limit)
             for case in lockstep for other, limit in {"bare": 0.85, "node": 1.7, "nchan": 1.7}.items()]),
        "full": Row(
            "The same, published as fast as the subscribers take them",
            per_cpu_second, "{:,.0f}", full, everybody,
            [ratio(case.title, "live", other, 10) for case in full for other in others]),
        "rate": Row(
            "p99 from publish to receipt at 100 events a second, ms",
            p99, "{:.2f}", [Case("1,000 subscribers", rate)], everybody,
            [Goal("ms of live", 5, lambda results: p99(results["1,000 subscribers"]["live"]), True),
             ratio("1,000 subscribers", "node", "live", 1, p99)]),
        "silent": Row(
            "The same where some subscribers read nothing: p99 of the others, ms",
            p99, "{:.2f}",
            [Case("nobody", silent, live=bounds),
             Case("1 of 1,000", silent + " --idle-readers 1", live=bounds),
             Case("100 of 1,000", silent + " --idle-readers 100", live=bounds)],
            ["live"],
            # No effect. A p99 is one run's worst hundredth: what differs by less than a quarter may be chance.
            [Goal("p99 with 1 to that with nobody", 1.25,
                  lambda results: p99(results["1 of 1,000"]["live"]) / p99(results["nobody"]["live"]), True),
             complete("1 of 1,000"),
             # By policy: every one of them.
             Goal("dropped, of 1", 1, lambda results: results["1 of 1,000"]["live"]["stats"]["dropped_slow"]),
             Goal("dropped, of 100", 100,
                  lambda results: results["100 of 1,000"]["live"]["stats"]["dropped_slow"]),
             # The log's bound is 64 KiB; the rest is left to malloc. Kept for each of the 100, it would be 6 MiB.
             Goal("MiB that the server grew by at most, with 100", 1,
                  lambda results: growth(results["100 of 1,000"]["live"]), True)]),
        "catchup": Row(
            "Seconds of the server's CPU for coming back with a Last-Event-ID, connecting included",
            lambda result: result["server_cpu_s"], "{:.2f}", [catchup],
            ["live", *others],
            [complete(catchup.title),
             Goal("events a send", 20,
                  lambda results: events_a_send(results[catchup.title]["live"]))]),
        "fanout": Row(
            "The server's CPU time for an event, µs",
            lambda result: result["cpu_us_per_event"], "{:,.1f}", fanout, ["live", "bare"],
            # What 10,000 sockets need in the kernel does not fit the caches that hold what 100 need: so bare's line is
            # not quite straight, and no server's can be.
            [Goal("bend of live's line, to that of bare's", 1.25,
                  lambda results: bend(results, "live") / bend(results, "bare"), True, servers=("live", "bare"))],
            {"µs a delivery": (per_delivery, "{:.2f}")}, is_drawn=True),
        "soak": Row(
            "Subscribers that leave and come back: p99 of those that are there, ms",
            p99, "{:.2f}", [soak], ["live"],
            [complete(soak.title),
             # Whether the publisher's connection was accepted when they were first counted is chance.
             Goal("descriptors that are left behind", 1,
                  lambda results: left_behind(results[soak.title]["live"]), True),
             # Nobody is there any more, and yet malloc need not give back what it has; but 200 bytes lost with
             # each of the 3,000 who left would be more than this of the 5 MB that the server has.
             Goal("memory when all have left, to that before any left", 1.1,
                  lambda results: kept(results[soak.title]["live"]), True)]),
    }


# Measuring


def stats_of(url):
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{url}/stats", timeout=10) as answer:
        return json.load(answer)


def run(options, case, server):
    """One run, of a server of its own. The swarm's result; or why there is none."""
    own = [str(argument) for argument in case.live] if server == "live" else []
    try:
        with SERVERS[server](options, *own) as (url, pid):
            command = [options.tools / "swarm", "--events", f"{url}/events", "--publish", f"{url}/publish",
                       "--pid", str(pid), *case.swarm.split(), *case.own.get(server, "").split()]
            swarm = subprocess.run(command, capture_output=True, text=True, timeout=TIME_LIMIT)
            if not swarm.stdout:
                raise RuntimeError(f"swarm ended with {swarm.returncode}: {swarm.stderr.strip()}")
            result = json.loads(swarm.stdout)
            if server == "live":
                result["stats"] = stats_of(url)
            return result
    except FAILURES as error:
        return {"failure": " ".join(str(error).split())}  # a line, as it stands in a table


def measure(options, row):
    """[{case: {server: result}}], by rounds: the servers take turns, also at being first."""
    rounds = []
    for number in range(options.rounds):
        results = {}
        for case in row.cases:
            first = number % len(row.servers)
            for server in row.servers[first:] + row.servers[:first]:
                print(f"  {number + 1}/{options.rounds} {case.title}: {server}", file=sys.stderr)
                results.setdefault(case.title, {})[server] = run(options, case, server)
        rounds.append(results)
    return rounds


# The report


def table(lines):
    head, *rest = lines
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---", *["--:"] * (len(head) - 1)], *rest])


def over(rounds, figure, across=statistics.median):
    """None where a round has not got the figure: a run failed."""
    try:
        return across([figure(results) for results in rounds])
    except (KeyError, ZeroDivisionError, statistics.StatisticsError):
        return None


def cell(row, rounds, case, server):
    value = over(rounds, lambda results: row.figure(results[case.title][server]))
    results = [each[case.title][server] for each in rounds]
    if value is None:
        return next((result["failure"] for result in results if "failure" in result), "–")
    faulty = sum(not result["complete"] for result in results)
    return row.form.format(value) + (f" (not complete in {faulty} of {len(results)} runs)" if faulty else "")


def cores_busy(result):
    return result["server_cpu_s"] / result["wall_s"]


def figure_lines(row, rounds):
    yield from ([case.title, *(cell(row, rounds, case, server) for server in row.servers)] for case in row.cases)
    for title, (figure, form) in {**row.also, "cores busy": (cores_busy, "{:.2f}")}.items():
        for case in row.cases:
            values = [over(rounds, lambda results: figure(results[case.title][server])) for server in row.servers]
            yield [f"{case.title}: {title}", *("–" if value is None else form.format(value) for value in values)]


def goal_line(goal, rounds, quick):
    value = goal.measured(rounds)
    limit = f"{'≤' if goal.at_most else '≥'} {goal.limit:g}"
    shown = "not measured" if value is None else f"{value:.3g}" if value < 1000 else f"{value:,.0f}"
    return [goal.title, limit, shown, *([] if quick else ["yes" if goal.holds(rounds) else "**no**"])]


def bars(row, rounds):
    """Their lengths are logarithms: where they end on a straight line, the figure grows as the cases do."""
    for server in row.servers:
        for case in row.cases:
            value = over(rounds, lambda results: row.figure(results[case.title][server]))
            bar = "–" if value is None else "█" * round(12 * math.log10(max(value, 1)))
            yield f"{server:>6}, {case.title:>18} {bar}"


def section(name, row, rounds, quick):
    goals = [goal_line(goal, rounds, quick) for goal in row.goals]
    return "\n\n".join([
        f"## {row.title} (`{name}`)",
        table([["", *row.servers], *figure_lines(row, rounds)]),
        *(["\n".join(["```", *bars(row, rounds), "```"])] if row.is_drawn else []),
        *([table([["goal", "limit", "measured", *([] if quick else ["held"])], *goals])] if goals else []),
    ])


def is_good(row, rounds, quick):
    """Short runs are not held to the goals: the kernel counts CPU time by 10 ms, which is much of theirs."""
    results = [result for cases in rounds for servers in cases.values() for result in servers.values()]
    return all(result.get("complete") for result in results) and (
        quick or all(goal.holds(rounds) for goal in row.goals))


def said(*command):
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except FAILURES:
        return "?"
    return (answer.stdout or answer.stderr).strip()


def compiler_of(path):
    """As the program itself names it. Clang's name GCC too, of which some code is linked to them."""
    program = path.read_bytes() if path.exists() else b""
    for pattern, name in {rb"clang version ([\d.]+)": "clang++", rb"GCC: \([^)]*\) ([\d.]+)": "g++"}.items():
        if found := re.search(pattern, program):
            return f"{name} {found[1].decode()}"
    return "an unknown compiler"


def machine(options):
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.*\S)", cpuinfo.read_text() if cpuinfo.exists() else "")
    return ", ".join([
        model[1] if model else platform.machine(),
        f"{os.cpu_count()} cores",
        f"{platform.system()} {platform.release()}",
        compiler_of(options.live),
        f"Node {said('node', '--version').lstrip('v')}",
        f"nginx {said(nginx_path(), '-v').rpartition('/')[2]}",
        f"nchan {said('dpkg-query', '-W', '-f', '${Version}', 'libnginx-mod-nchan')}",
    ])


def parse():
    options = argparse.ArgumentParser(description=__doc__)
    names = list(rows(False))
    options.add_argument("--quick", action="store_true", help="short runs, one of each: to see that all works")
    options.add_argument("--row", action="append", choices=names, help="only this (all but soak)")
    options.add_argument("--server", action="append", choices=SERVERS, help="only this server")
    options.add_argument("--rounds", type=int, help="of which the medians are taken (5)")
    options.add_argument("--tools", type=pathlib.Path, default=BUILD / "benchmark/benchmarks",
                         help="the folder of swarm and bare_server")
    options.add_argument("--live", type=pathlib.Path, default=BUILD / "release/examples/live_server")
    options.add_argument("--output", type=pathlib.Path, default=BUILD / "benchmark")
    options = options.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.row = options.row or [name for name in names if name != "soak"]
    return options


def allow_descriptors():
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if most < DESCRIPTORS:
        print(f"only {most} descriptors are allowed; the largest runs need more", file=sys.stderr)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, DESCRIPTORS), most))


def chosen(row, servers):
    """The row without the servers that are left out, and without the goals that need these."""
    return dataclasses.replace(row, servers=[each for each in row.servers if each in servers],
                               goals=[goal for goal in row.goals if servers.issuperset(goal.servers)])


def stop(*_):
    raise SystemExit(128 + signal.SIGTERM)  # through every `finally`: no server is to be left running


def main():
    options = parse()
    signal.signal(signal.SIGTERM, stop)
    allow_descriptors()
    options.output.mkdir(parents=True, exist_ok=True)
    every_row = rows(options.quick)
    good = True
    report = f"{machine(options)}; medians of {options.rounds}; each run has a server of its own.\n"
    raw = {}
    for name in options.row:
        row = chosen(every_row[name], set(options.server or SERVERS))
        if not row.servers:
            continue
        print(f"{name}: {row.title}", file=sys.stderr)
        raw[name] = measure(options, row)
        good = is_good(row, raw[name], options.quick) and good
        report += "\n" + section(name, row, raw[name], options.quick) + "\n"
        (options.output / "serve.md").write_text(report)
        (options.output / "serve.json").write_text(json.dumps(raw, indent=1) + "\n")
    print(report)
    print(f"written to {options.output}: serve.md, serve.json", file=sys.stderr)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
