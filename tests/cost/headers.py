"""Holds down what including the library costs the compiler: headers.py COMPILER INCLUDE_FOLDER

Counts the instructions of the compiler's front end, relative to those for <string>. A header that is not
named here costs less than one that is and includes it: the parser those of layers 0 and 1, the umbrella all.
"""

import shlex
import subprocess
import sys

import instructions

LIMITS = {"sse/parser.hpp": 1.4, "sse/encoder.hpp": 1.4, "sse/event_source.hpp": 4, "sse/sse.hpp": 4.3}
MARGIN = 1.1  # compilers and their standard libraries differ
COLUMNS = "{:26} {:>15} {:>6} {:>6} {:6}"

instructions.skip_without_valgrind()
compiler, folder = sys.argv[1:]


def front_end():
    """The command by which the compiler's driver would compile what comes from standard input."""
    options = ["-std=c++20", "-fsyntax-only", "-I", folder, "-x", "c++", "-"]
    run = subprocess.run([compiler, "-###", *options], check=True, capture_output=True, text=True)
    for line in run.stderr.splitlines():
        if "cc1plus" in line or '"-cc1"' in line:
            return shlex.split(line)
    sys.exit(f"{compiler} does not tell its front end's command:\n{run.stderr}")


def cost(header):
    return instructions.count(command, text=f"#include <{header}>\n")


command = front_end()
base = cost("string")
print(COLUMNS.format("header", "instructions", "ratio", "limit", ""))
print(COLUMNS.format("string", f"{base:,}", "1.00", "", ""))
failed = 0
for header, gate in LIMITS.items():
    number = cost(header)
    ratio, limit = number / base, gate * MARGIN
    failed += ratio > limit
    outcome = "ok" if ratio <= limit else "FAILED"
    print(COLUMNS.format(header, f"{number:,}", f"{ratio:.2f}", f"{limit:.2f}", outcome), flush=True)
print(f"{len(LIMITS)} headers, {failed} of them too expensive")
sys.exit(1 if failed else 0)
