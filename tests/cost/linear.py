"""Holds the library to linear time: linear.py PROGRAM

PROGRAM is linear.cpp. For each shape of text it runs at the whole size and at a quarter of it. Four times the
text may take four times the instructions and a tenth more; where they grow with the square, it takes 16 times
as many.
"""

import subprocess
import sys

import instructions

LIMIT = 4 * 1.1
COLUMNS = "{:25} {:>5} {:>13} {:>13} {:>6} {:>6} {:6}"

instructions.skip_without_valgrind()
program = sys.argv[1]
shapes = subprocess.run([program], check=True, capture_output=True, text=True).stdout.splitlines()
if not shapes:
    sys.exit(f"{program} lists no shapes")

print(COLUMNS.format("shape", "KiB", "instructions", "a quarter", "ratio", "limit", ""))
failed = 0
for line in shapes:
    size, shape = line.split(" ", 1)
    sizes = int(size), int(size) // 4
    whole, quarter = (instructions.count([program, str(size), shape], function="measured*") for size in sizes)
    ratio = whole / quarter
    failed += ratio > LIMIT
    outcome = "ok" if ratio <= LIMIT else "FAILED"
    row = shape, sizes[0] >> 10, f"{whole:,}", f"{quarter:,}", f"{ratio:.2f}", f"{LIMIT:.2f}", outcome
    print(COLUMNS.format(*row), flush=True)
print(f"{len(shapes)} shapes, {failed} of them not linear")
sys.exit(1 if failed else 0)
