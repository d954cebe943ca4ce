"""Checks that each C++ block of a page stands in a source of a folder: readme.py README.md examples

What is in the folder is compiled, so the block compiles too. Indentation of the block as a whole is free: a
statement at the margin of the page stands inside a function in the example. A fence of a kind not known here is
a mistake, not a block to pass over.
"""

import pathlib
import re
import sys
import textwrap


def stands_in(block, source):
    size = len(block)
    return any(
        textwrap.dedent("\n".join(source[start : start + size])).splitlines() == block
        for start in range(len(source) - size + 1)
    )


page = pathlib.Path(sys.argv[1])
sources = [path.read_text().splitlines() for path in pathlib.Path(sys.argv[2]).rglob("*.?pp")]
text = page.read_text()
fences = re.findall(r"^ *```(.*)$", text, re.MULTILINE)
if unknown := set(fences[::2]) - {"cpp", "sh", "cmake"} or set(fences[1::2]) - {""}:
    sys.exit(f"{page}: fences of an unknown kind: {unknown}")
blocks = list(re.finditer(r"^ *```cpp\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE))
if not blocks:
    sys.exit(f"{page}: no C++ block found")

missing = 0
for match in blocks:
    block = textwrap.dedent(match[1]).splitlines()
    if not any(stands_in(block, source) for source in sources):
        line = text.count("\n", 0, match.start()) + 1
        print(f"{page}:{line}: no example has this block:\n{match[1]}")
        missing += 1
print(f"{len(blocks)} C++ blocks, {missing} of them in no example")
sys.exit(1 if missing else 0)
