#!/usr/bin/env python3
"""Runs the fuzz targets, two at a time on two cores, and says what came of it."""
import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

SOURCES = pathlib.Path(__file__).parent
GRACE = 120  # seconds to begin and to end in: only guards against hanging


def targets_in(programs):
    """The programs but those that replay: `parser`, and `parser.sse2` for one way to find line ends."""
    names = [path.name.removeprefix("fuzz_") for path in programs.glob("fuzz_*") if path.is_file()]
    return sorted(name for name in names if not name.startswith("replay_"))


def corpus_of(target):
    return SOURCES / "corpus" / target.partition(".")[0]


def seeds_of(options, target):
    folders = [corpus_of(target)]
    if folders[0].name == "parser":
        folders.append(options.programs / "seeds")
    return folders


def run_for(options, command, log, **more):
    """The status; not 0 where it has not ended by itself."""
    try:
        return subprocess.run(command, stdout=log, stderr=log, timeout=options.seconds + GRACE, **more).returncode
    except subprocess.TimeoutExpired:
        return -1


def libfuzzer(options, target):
    """[executions, branches covered, inputs], and the findings"""
    corpus = options.output / "corpus" / target
    findings = options.output / "findings" / target
    for folder in [corpus, findings]:
        folder.mkdir(parents=True, exist_ok=True)
    before = set(findings.iterdir())
    command = [
        options.programs / f"fuzz_{target}", f"-max_total_time={options.seconds}", "-print_final_stats=1",
        "-timeout=10", "-rss_limit_mb=2048", "-max_len=4096", f"-dict={SOURCES / 'dictionary'}",
        f"-artifact_prefix={findings}/", corpus, *seeds_of(options, target),
    ]
    with open(options.output / f"{target}.log", "w+", errors="replace") as log:
        status = run_for(options, command, log)
        log.seek(0)
        text = log.read()
    executions = re.findall(r"number_of_executed_units: (\d+)", text)
    covered = re.findall(r"cov: (\d+) ft: \d+ corp: (\d+)", text)
    found = sorted(set(findings.iterdir()) - before)
    if status != 0 and not found:
        found = [options.output / f"{target}.log"]
    figures = [executions[-1] if executions else "?", *(covered[-1] if covered else "??")]
    return figures, found


def afl(options, target):
    """The same, in a run of afl-fuzz."""
    inputs = options.output / "afl-inputs" / target
    output = options.output / "afl" / target
    shutil.rmtree(inputs, ignore_errors=True)
    inputs.mkdir(parents=True)
    output.mkdir(parents=True, exist_ok=True)
    for folder in seeds_of(options, target):
        for number, path in enumerate(sorted(folder.iterdir())):
            shutil.copy(path, inputs / f"{folder.name}-{number}")
    environment = {**os.environ, "AFL_NO_UI": "1", "AFL_SKIP_CPUFREQ": "1", "AFL_AUTORESUME": "1",
                   "AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES": "1", "AFL_NO_AFFINITY": "1"}
    command = ["afl-fuzz", "-i", inputs, "-o", output, "-V", str(options.seconds), "-m", "none", "-t", "2000",
               "-x", SOURCES / "dictionary", "--", options.programs / f"fuzz_{target}"]
    with open(options.output / f"{target}.log", "w") as log:
        status = run_for(options, command, log, env=environment)
    stats = output / "default/fuzzer_stats"
    figures = dict(re.findall(r"(\w+)\s+: (.*)", stats.read_text())) if stats.exists() else {}
    found = [path for kind in ["crashes", "hangs"] for path in sorted((output / "default" / kind).glob("id:*"))]
    if status != 0 and not found:
        found = [options.output / f"{target}.log"]
    return [figures.get(name, "?") for name in ["execs_done", "edges_found", "corpus_count"]], found


def keep(options, target):
    """What reaches a branch that no input of the project does becomes one, the smallest such each time."""
    with open(options.output / f"{target}.log", "a") as log:
        subprocess.run([options.programs / f"fuzz_{target}", "-merge=1", "-use_counters=0", corpus_of(target),
                        options.output / "corpus" / target], check=True, stderr=log)


def main():
    parser = argparse.ArgumentParser(prog="tests/fuzz/run", description=__doc__)
    parser.add_argument("target", nargs="*", help="such as http1, or parser.sse2 (all)")
    parser.add_argument("--for", dest="seconds", type=int, default=60, metavar="SECONDS", help="each (60)")
    parser.add_argument("--afl", action="store_true", help="with AFL++ in place of libFuzzer")
    parser.add_argument("--keep", action="store_true", help="then add to tests/fuzz/corpus what reached more")
    parser.add_argument("--programs", type=pathlib.Path, default=pathlib.Path("build/fuzz/tests/fuzz"),
                        help="the folder of the targets")
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("build/fuzzing"))
    options = parser.parse_args()
    targets = targets_in(options.programs)
    if unknown := set(options.target) - set(targets):
        parser.error(f"there is no target {', '.join(sorted(unknown))}, but {', '.join(targets)}")
    if options.keep and options.afl:
        parser.error("--keep is for libFuzzer")
    options.output.mkdir(parents=True, exist_ok=True)
    seeds = options.programs / "seeds"
    subprocess.run([options.programs.parent / "conformance_test"], env={**os.environ, "SSE_SEEDS": str(seeds)}, check=True,
                   stdout=subprocess.DEVNULL)

    findings = []
    print(f"{'target':16}{'executions':>14}{'branches':>10}{'inputs':>8}  findings", flush=True)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        work = afl if options.afl else libfuzzer
        for target, (figures, found) in pool.map(lambda each: (each, work(options, each)), options.target or targets):
            executions, branches, inputs = figures
            print(f"{target:16}{executions:>14}{branches:>10}{inputs:>8}  {len(found)}", flush=True)
            findings += found
            if options.keep and not found:
                keep(options, target)
    for path in findings:
        print(f"found: {path}")
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    main()
