#!/usr/bin/env python3
"""Says which lines and branches of include/ the programs that were run have reached. Fails where that is too few, or
what remains is not explained in `exceptions` beside this: coverage.py BUILD PROFILES"""
import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys

EXCEPTIONS = pathlib.Path(__file__).resolve().parent / "exceptions"
INCLUDE = EXCEPTIONS.parent.parent.parent / "include"
FEWEST_BRANCHES = 98  # per cent; of lines, all
WITHOUT_CODE = {"detail/handler.hpp", "detail/macros.hpp", "sink.hpp", "sse.hpp", "version.hpp"}
STATEMENT = re.compile(r"\s*(} )?(return|if|else|for|while|switch|case|do|throw)\b")
CODE = 0  # the kind of region that is no macro, nor a gap between two, as llvm-cov exports it


def programs(build):
    for path in sorted(build.rglob("*")):
        if path.is_file() and os.access(path, os.X_OK) and "CMakeFiles" not in path.parts:
            with open(path, "rb") as file:
                if file.read(4) == b"\x7fELF":
                    yield path


def export(program, profile):
    """How often each region of the headers was entered, and each branch taken and not, in all instantiations; and of
    each region that was, which others begin in it and end with it in every instantiation that entered it."""
    command = ["llvm-cov", "export", "-skip-expansions", f"-instr-profile={profile}", program, INCLUDE]
    done = subprocess.run(command, capture_output=True, text=True)
    regions = collections.Counter()
    branches = collections.Counter()
    rests = {}
    if "no coverage data found" in done.stderr:  # nothing of the library is in it
        return regions, branches, rests
    if done.returncode != 0:
        raise SystemExit(f"{program}: {done.stderr}")
    for function in json.loads(done.stdout)["data"][0]["functions"]:
        files = [os.path.relpath(name, INCLUDE / "sse") for name in function["filenames"]]
        around = []
        own_rests = {}
        for *place, count, file, _, kind in sorted(function["regions"], key=outermost_first):
            if kind != CODE:
                continue
            regions[files[file], *place] += count
            if file == 0:
                if whole := enclosing_to_the_end(around, tuple(place)):
                    own_rests.get(whole, set()).add(tuple(place))
                if count > 0:
                    own_rests[tuple(place)] = set()
        join_rests(rests, {(files[0], *place): found for place, found in own_rests.items()})
        for *place, taken, passed, file, _, _ in function["branches"]:
            branches[files[file], *place, "true"] += taken
            branches[files[file], *place, "false"] += passed
    return regions, branches, rests


def join_rests(all_rests, rests):
    for place, found in rests.items():
        all_rests[place] = all_rests.get(place, found) & found


def outermost_first(region):
    return *region[:2], -region[2], -region[3]


def enclosing_to_the_end(around, place):
    """The innermost place around this one, if that ends where this does. To be asked of each, outermost first."""
    while around and place[2:] > around[-1][2:]:
        around.pop()
    whole = around[-1] if around and around[-1][2:] == place[2:] else None
    around.append(place)
    return whole


def code_of(text):
    """The lines of a header, with blanks in place of comments and of what is for the preprocessor."""
    literal = r""""(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])+'"""
    return re.sub(rf"//[^\n]*|^#(?:[^\n]*\\\n)*[^\n]*|({literal})",
                  lambda found: found[0] if found[1] else re.sub(r"[^\n]", " ", found[0]), text, flags=re.M).split("\n")


class header:
    def __init__(self, name, regions, branches, rests, uncounted):
        self.name = name
        self.source = (INCLUDE / "sse" / name).read_text().split("\n")
        self.code = code_of("\n".join(self.source))
        # The innermost region counts: as if each were painted over those around it.
        self.counts = [[None] * (len(line) + 1) for line in self.source]
        regions = collections.Counter(regions)
        for place in [place for place, count in regions.items() if count == 0]:
            regions[self.whole_of_discarded(place)] += 0
        ordered = sorted(regions, key=outermost_first)
        around = []
        for place in ordered:
            whole = enclosing_to_the_end(around, place)
            # What follows a return that not all have is no region of its own in those that do not have it: these may
            # have reached it. (What `if constexpr` leaves out ends where an outer region does only behind an else.)
            if whole not in rests or place in rests[whole] or not self.is_behind_statement(place):
                self.paint(place, regions[place])
        self.uncounted = []
        for place in ordered:
            key = (name, self.text(place).lstrip("{\n ").split("\n")[0], "counted")
            if regions[place] == 0 and key in uncounted:
                self.uncounted.append((place[0], key))
                self.paint(place, None)

        self.lines = {}  # by number: whether it has been reached
        for number, (line, row) in enumerate(zip(self.code, self.counts), 1):
            known = [count for char, count in zip(line, row) if char != " " and count is not None]
            if known:
                self.lines[number] = any(known)
        self.branches = {}  # by place and side: how often it was taken
        for *place, _ in sorted(branches):
            number, column = place[0] - 1, place[1] - 1
            sides = {(*place, side): branches[*place, side] for side in ["true", "false"]}
            if self.counts[number][column] is None or self.code[number][column:].strip() == "":
                continue  # not counted, or in a macro
            before = self.code[number][:column]
            if before.endswith("switch (") or before.endswith("= defaul"):
                continue  # made by the compiler: that no case matches, that a member differs
            # Of what is constant in every instantiation neither side is counted, though it is passed.
            if any(sides.values()) or self.counts[number][column] == 0:
                self.branches.update(sides)

    def paint(self, place, count):
        begin_line, begin, end_line, end = place
        for number in range(begin_line, end_line + 1):
            row = self.counts[number - 1]
            first = begin - 1 if number == begin_line else 0
            last = end - 1 if number == end_line else len(row)
            row[first:last] = [count] * (last - first)

    def whole_of_discarded(self, place):
        """Of what `if constexpr` has left out, Clang 14 shows only the first token."""
        line, column = place[:2]
        is_block = self.text(place) == "{"
        if not is_block and self.text(place) != "return":
            return place
        code = "\n".join([self.code[line - 1][column - 1:], *self.code[line:]])
        depth = 0
        for found in re.finditer("[{};]", code):
            depth += {"{": 1, "}": -1, ";": 0}[found[0]]
            if depth == 0 and (found[0] == "}") == is_block:
                rows = code[:found.end() if is_block else found.start()].split("\n")
                end = len(rows[-1]) + (column if len(rows) == 1 else 1)
                return line, column, line + len(rows) - 1, end
        return place

    def is_behind_statement(self, place):
        before = self.code[:place[0] - 1] + [self.code[place[0] - 1][:place[1] - 1]]
        return "".join(before[-20:]).rstrip().endswith((";", "}"))

    def text(self, place):
        begin_line, begin, end_line, end = place
        rows = self.source[begin_line - 1:end_line]
        rows[-1] = rows[-1][:end - 1]
        rows[0] = rows[0][begin - 1:]
        return "\n".join(rows)

    def missed(self):
        """What remains, with its line: as in the exceptions."""
        known = {key for _, key in self.uncounted}
        for number, line in enumerate(self.code, 1):
            key = (self.name, self.source[number - 1].strip(), "counted")
            if number not in self.lines and STATEMENT.match(line) and key not in known:
                yield number, key  # in a template, say, that nobody uses
        for number, reached in self.lines.items():
            if not reached:
                yield number, (self.name, self.source[number - 1].strip(), "reached")
        for (*place, side), count in self.branches.items():
            if count == 0:
                yield place[0], (self.name, " ".join(self.text(place).split()), side)

    def figures(self):
        return [sum(self.lines.values()), len(self.lines),
                sum(count > 0 for count in self.branches.values()), len(self.branches)]


def read_exceptions():
    """What is explained, each with how: never, or seldom."""
    found = collections.Counter()
    explained = True
    for number, line in enumerate(EXCEPTIONS.read_text().splitlines(), 1):
        entry = re.fullmatch(r"(\S+): `(.*)` (never|seldom) (true|false|reached|counted)", line)
        if entry:
            name, source, how, what = entry.groups()
            found[name, source, what, how] += 1
            explained = False
        elif line.startswith("    "):
            explained = True
        elif line and not line.startswith("#"):
            raise SystemExit(f"{EXCEPTIONS}:{number}: neither an exception nor a reason: {line}")
    if not explained:
        raise SystemExit(f"{EXCEPTIONS}: the last exception has no reason")
    return found


def measure(build, profiles):
    profile = profiles / "all.profdata"
    inputs = profiles / "inputs"
    inputs.write_text("".join(f"{path}\n" for path in profiles.glob("*.profraw")))
    subprocess.run(["llvm-profdata", "merge", "--sparse", "-o", profile, "-f", inputs], check=True)
    regions = collections.defaultdict(collections.Counter)
    branches = collections.defaultdict(collections.Counter)
    rests = collections.defaultdict(dict)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for *result, own_rests in pool.map(lambda program: export(program, profile), programs(build)):
            for found, counts in zip([regions, branches], result):
                for (name, *place), count in counts.items():
                    found[name][tuple(place)] += count
            for (name, *place), own in own_rests.items():
                join_rests(rests[name], {tuple(place): own})
    return regions, branches, rests


def print_table(headers):
    def ratio(part, whole):
        return f"{part:8} of {whole:5}  {100 * part / whole if whole else 100:6.2f} %"

    rows = [(each.name, each.figures()) for each in headers]
    total = [sum(column) for column in zip(*(figures for _, figures in rows))]
    print(f"{'header':26}{'lines reached':>26}{'branches taken':>26}")
    for name, figures in [*rows, ("total", total)]:
        print(f"{name:26}{ratio(*figures[:2])}{ratio(*figures[2:])}")
    return total


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=pathlib.Path, help="where the programs are")
    parser.add_argument("profiles", type=pathlib.Path, help="the folder of what they have counted")
    options = parser.parse_args()
    regions, branches, rests = measure(options.build, options.profiles)
    exceptions = read_exceptions()
    left = exceptions.copy()
    headers = [header(name, regions[name], branches[name], rests[name], {tuple(key) for *key, _ in exceptions})
               for name in sorted(regions) if not name.startswith("..")]
    lines, all_lines, sides, all_sides = print_table(headers)
    files = {str(path.relative_to(INCLUDE / "sse")) for path in INCLUDE.rglob("*.hpp")}
    if unknown := files - set(regions) - WITHOUT_CODE:
        raise SystemExit(f"No program has code of {', '.join(sorted(unknown))}.")

    unexplained = []
    print("\nNever, or not counted, and explained in tests/coverage/exceptions:")
    for each in headers:
        for number, key in sorted(each.uncounted + list(each.missed())):
            place = f"    include/sse/{each.name}:{number}: `{key[1]}` {key[2]}"
            explained = [how for how in ["never", "seldom"] if left[*key, how] > 0]
            if explained:
                left[*key, explained[0]] -= 1
                print(place)
            else:
                unexplained.append(place)
    stale = [f"    {name}: `{source}` {what}" for (name, source, what, how), count in left.items()
             if how == "never" and count > 0]
    if unexplained:
        print("\nNever, and not explained:", *unexplained, sep="\n")
    if stale:
        print("\nExplained, but reached by now, or no longer there:", *stale, sep="\n")
    if few := lines < all_lines or sides * 100 < all_sides * FEWEST_BRANCHES:
        print(f"\nNot all lines, or fewer than {FEWEST_BRANCHES} % of the branches.")
    sys.exit(1 if unexplained or stale or few else 0)


if __name__ == "__main__":
    main()
