#!/usr/bin/env python3
"""Holds the pages to the repository: pages.py BUILD_FOLDER

- A relative link leads to a file, and its anchor to a heading. So does a path in `code`, if it begins at the top.
- A C++ block stands in a source below examples/, which is compiled; on a page that explains a folder of code, in a
  source of that folder instead. Its indentation as a whole is free.
- A command, in a ```sh block or in `code`, is a line of .ci/run, or is run here with the programs of the build, or is
  a script that exists and whose --help names the options. A command of a kind not known here is a mistake.
- A line has at most 120 columns, unless it is of a table or has a link.
"""
import functools
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import textwrap

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(sys.argv[1]).resolve()
PAGES = sorted(page for glob in ["*.md", "*/*.md", "include/sse/*.md"] for page in ROOT.glob(glob))  # .github, too
CI = {line.strip() for line in (ROOT / ".ci/run").read_text().splitlines()}
PRESETS = json.loads((ROOT / "CMakePresets.json").read_text())
CMAKE = "".join(path.read_text() for path in ROOT.glob("tests/**/CMakeLists.txt"))
NOT_RUN = {"git diff -U0 | clang-format-diff-14 -p1 -i"}  # it would change the sources
FREE = re.compile(r"[A-Z]+|\d+s?|https?://.*")  # words of a command that stand for any other


@functools.cache
def run(*words, **environment):
    """The status of a command and all that it prints."""
    result = subprocess.run(words, cwd=ROOT, env={**os.environ, **environment}, text=True, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=100)
    return result.returncode, result.stdout


def fault_of_script(program, arguments):
    words = {word for word in arguments if not FREE.fullmatch(word) and not (ROOT / word).exists()}
    unknown = words and words - set(re.findall(r"[\w+-]+", run(program, "--help")[1]))
    return unknown and f"not in --help: {', '.join(unknown)}"


def fault_of_program(program, arguments):
    path = BUILD.joinpath(*pathlib.PurePath(program).parts[2:])  # whichever build the page has it from
    if not path.is_file():
        return f"there is no {path}"
    if "examples" in path.parts:
        return fault_of_script(path, arguments)
    status, said = (0, "") if any(map(FREE.fullmatch, arguments)) else run(path, *arguments)
    return said if status or re.search(r"test cases: *0\b", said) else ""


def fault_of_cmake(program, arguments):
    if "--preset" not in arguments:  # it is for users, who have no presets
        words = [f"{SCRATCH}/build" if word == "build" else word for word in arguments]
        status, said = run(program, *words, DESTDIR=f"{SCRATCH}/installed")
        return said if status else ""
    kind, preset = "test" if program == "ctest" else "configure", arguments[arguments.index("--preset") + 1]
    values = iter(arguments)
    for option in values:
        if option in ["--build", "--workflow"]:
            kind = option[2:]
        elif option == "--target":
            if not re.search(rf"\b{next(values)}\b", run("cmake", "--build", BUILD, "--target", "help")[1]):
                return "there is no such target"
        elif option == "-R" and preset in ["dev", "more"]:
            name = next(values)
            listed = run("ctest", "--test-dir", BUILD, "-N", "-R", name)[1]
            if "Tests: 0" in listed and (preset == "dev" or f"NAME {name}" not in CMAKE):
                return "there is no such test"
        elif option != "--preset" or next(values) != preset:
            return f"{option} is not known here"
    return "" if preset in [each["name"] for each in PRESETS[f"{kind}Presets"]] else f"no such preset to {kind}"


def fault(command):
    """What is wrong with a command, or nothing."""
    if command in CI | NOT_RUN:
        return ""
    program, *arguments = [word for word in shlex.split(command) if not re.match(r"[A-Z_]+=", word)]
    if program in ["cmake", "ctest"]:
        return fault_of_cmake(program, arguments)
    if program.startswith("build/"):
        return fault_of_program(program, arguments)
    is_python = program == "python3" and arguments != []
    path = ROOT / (arguments.pop(0) if is_python else program)
    known = path.is_file() and (is_python or os.access(path, os.X_OK))
    return fault_of_script(path, arguments) if known else "not a command of a known kind"


def stands_in(block, source):
    return any(textwrap.dedent("\n".join(source[i : i + len(block)])).splitlines() == block
               for i, line in enumerate(source) if line.strip() == block[0])


def faults_of_block(page, kind, block):
    if kind == "cpp":
        folders = {ROOT / "examples", page.parent} - {ROOT}
        sources = [path.read_text().splitlines() for folder in folders for path in folder.rglob("*.?pp")]
        if not any(stands_in(block.splitlines(), source) for source in sources):
            yield "no example has this block"
    elif kind == "sh":
        for line in block.replace("\\\n", " ").splitlines():
            for command in filter(None, re.sub(r"(^|\s)#.*", "", line).split(" && ")):
                yield (found := fault(command)) and f"{command}: {found}"
    elif kind not in ["cmake", "text"]:
        yield f"a fence of an unknown kind: {kind}"
    yield from ("more than 120 columns" for line in block.splitlines() if len(line) > 120)


def faults_of_line(page, line):
    yield len(line) > 120 and not re.match(r" *\||.*\]\(", line) and "more than 120 columns"
    for target in re.findall(r'\]\(([^)]*)\)|(?:href|src|srcset)="([^"]*)"', line):
        file, _, anchor = "".join(target).partition("#")
        path = (page.parent / file if file else page).resolve()
        if re.match("https?://", file):
            pass  # nothing is asked of the network
        elif not path.exists() or ROOT not in [path, *path.parents]:
            yield f"a dead link: {file}"
        elif anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text().lower(), re.MULTILINE)
            if anchor not in [re.sub(r"[^\w -]", "", heading).replace(" ", "-") for heading in headings]:
                yield f"there is no heading {anchor}"
    for code in re.findall(r"`([^`]+)`", line):
        if " " in code and re.match(r"(\.ci|tests|examples|benchmarks|build)/|(cmake|ctest|python3) ", code):
            yield (found := fault(re.sub(r"[][…]", "", code))) and f"{code}: {found}"
        elif " " not in code and re.match(r"(\.ci|\.github|include|tests|examples|benchmarks)/", code):
            yield "" if any(ROOT.glob(re.sub(r"\b[A-Z]{4,}\b(?!\.md)|\bNAME", "*", code))) else f"there is no {code}"


def faults_of_page(page):
    parts = re.split(r"^ *```(\S*)\n(.*?)^ *```$", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    number = 1
    for text, kind, block in zip(parts[::3], [*parts[1::3], "text"], [*parts[2::3], ""]):
        for i, line in enumerate(text.splitlines()):
            yield from ((number + i, found) for found in faults_of_line(page, line))
        number += text.count("\n")
        yield number, "```" in text and "a fence without an end"
        yield from ((number, found) for found in faults_of_block(page, kind, textwrap.dedent(block)))
        number += block.count("\n") + 1


with tempfile.TemporaryDirectory() as SCRATCH:
    faults = [f"{page.relative_to(ROOT)}:{n}: {found}" for page in PAGES for n, found in faults_of_page(page) if found]
print("\n".join([*faults, f"{len(PAGES)} pages, {len(faults)} faults"]))
sys.exit(1 if faults else 0)
