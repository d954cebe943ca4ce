"""Counts instructions with valgrind: a measure of what something costs that does not depend on the clock."""

import os
import re
import shutil
import subprocess
import sys

# Else the C library copies small blocks by vectors, large ones by an instruction that counts once a byte, and
# very large ones in a third way: the counts would not be linear. Where these are unknown they are ignored.
TUNABLES = "glibc.cpu.hwcaps=-ERMS,-FSRM:glibc.cpu.x86_non_temporal_threshold=0x10000000000"

LIMIT = 120  # seconds: only guards against hanging, as what grows with the square may seem to


def skip_without_valgrind():
    if not shutil.which("valgrind"):
        print("skipped: valgrind is not installed")
        sys.exit(77)


def count(command, *, function=None, text=None):
    """The instructions of a program that reads `text`, or of one function of it, with all that it calls."""
    tool = ["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    if function:  # what cachegrind, which is twice as fast, cannot tell
        tool = ["--tool=callgrind", f"--toggle-collect={function}", "--callgrind-out-file=/dev/null"]
    environment = os.environ | {"GLIBC_TUNABLES": TUNABLES}
    try:
        run = subprocess.run(
            ["valgrind", *tool, *command],
            input=text, env=environment, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        sys.exit(f"{command} has not ended after {LIMIT} s")
    found = re.search(r"\bI +refs: +([\d,]+)", run.stderr)
    if run.returncode != 0 or not found or found[1] == "0":
        sys.exit(f"{command} failed, or was not counted:\n{run.stdout}{run.stderr}")
    return int(found[1].replace(",", ""))
