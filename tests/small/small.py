#!/usr/bin/env python3
"""Holds down what the library takes of a small device: small.py [FOLDER to build in]

Builds firmware.cpp for Cortex-M with and without the library, sees that no allocator and no exceptions are
linked, and runs it in an emulator, where it checks what it parses and encodes. Flash is what a program has more
than the one without the library: with it comes what is needed of libgcc and newlib. RAM is what a parser takes
besides its N bytes. Stack is that of the calls, measured, with the user's function that makes them.
"""

import pathlib
import re
import subprocess
import sys

SOURCES = pathlib.Path(__file__).resolve().parent
TIME_LIMIT = 60  # seconds: only guards against hanging
BOARDS = {"cortex-m0": "microbit", "cortex-m4": "mps2-an386"}
SOFTWARE = ["-std=c++20", "-fno-exceptions", "-fno-rtti", "-DNDEBUG", "-ffunction-sections", "-fdata-sections",
            "-Werror", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Wold-style-cast"]
VARIANTS = [["-Os"], ["-Os", "-flto"], ["-O2"]]

# What users may rely on with -Os stands in benchmarks/README.md: for each of these a row with the maximum of flash, RAM
# and stack in bytes. It is about a tenth above what was measured, on the processor that takes more.
PAGE = SOURCES.parent.parent / "benchmarks/README.md"
PROGRAMS = {  # name in that page: macros of use.cpp
    "`fixed_parser<N>`, `feed`": ["USE_FEED"],
    "`fixed_parser<N>`, `next`": ["USE_NEXT"],
    "encoder to a span": ["USE_SPAN"],
    "encoder to a callable": ["USE_CALLABLE"],
    "`feed`, and encoder to a span": ["USE_FEED", "USE_SPAN"],
}
FORBIDDEN = re.compile(r"alloc|free|sbrk|^_Zn[aw]|^_Zd[al]|__cxa_|unwind|personality|__throw|abort|assert|printf"
                       r"|ios_base|ostream|locale|guard", re.IGNORECASE)
COLUMNS = "{:10} {:9} {:29} {:>6} {:>6} {:>5} {:>6} {:>6} {:>6}  {}"


def limits_of(name):
    """The last three cells of the row: N is the bytes that a parser is given."""
    cells = r"([\d,]+) \| (?:N \+ )?([\d,]+) \| ([\d,]+)"
    row = re.search(rf"^\| {re.escape(name)} \| {cells} \|$", PAGE.read_text(), re.MULTILINE)
    return [int(cell.replace(",", "")) for cell in row.groups()] if row else sys.exit(f"{PAGE} has no row: {name}")


def run(*command):
    """What a command prints, or the end."""
    try:
        result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True, timeout=TIME_LIMIT)
    except subprocess.TimeoutExpired:
        sys.exit(f"{command} has not ended after {TIME_LIMIT} s")
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\nfailed with {result.returncode}:\n{result.stdout}")
    return result.stdout


def build(cpu, options, macros):
    """A program; the library is compiled with the options, all else with the same in each program."""
    compiler = ["arm-none-eabi-g++", f"-mcpu={cpu}", "-mthumb"]
    program = folder / "-".join([cpu, *options, *macros])
    definitions = [f"-D{macro}" for macro in macros]
    objects = []
    for name, extra in ("firmware", ["-Os"]), ("board", ["-Os"]), ("use", [*options, *definitions]):
        objects.append(f"{program}.{name}.o")
        include = ["-I", SOURCES.parent.parent / "include"]
        run(*compiler, *SOFTWARE, *extra, *include, "-c", SOURCES / f"{name}.cpp", "-o", objects[-1])
    run(*compiler, *options, "--specs=nano.specs", "-nostartfiles", "-Wl,--gc-sections", "-T", SOURCES / "board.ld",
        *objects, "-o", program)
    return program


def sizes(program):
    """Bytes of flash, and of variables."""
    text, data, bss = map(int, run("arm-none-eabi-size", program).splitlines()[1].split()[:3])
    return text + data, data + bss


def forbidden(program):
    names = [line.split()[-1] for line in run("arm-none-eabi-nm", program).splitlines()]
    return [name for name in names if FORBIDDEN.search(name)]


def emulate(cpu, program):
    """What the program says: bytes of the parser, and of stack at most."""
    said = run("qemu-system-arm", "-M", BOARDS[cpu], "-nographic", "-monitor", "none", "-serial", "none",
               "-semihosting-config", "enable=on,target=native", "-kernel", program)
    numbers = {"parser": 0, "stack": 0}
    for line in said.splitlines():
        what, number = line.split()
        numbers[what] = max(numbers[what], int(number, 16))
    return numbers["parser"], numbers["stack"]


def outcome(limits, numbers, has_variables, symbols):
    if symbols:
        return "FAILED: it has " + " ".join(symbols)
    if has_variables:
        return "FAILED: it has variables"
    if limits and any(number > limit for number, limit in zip(numbers, limits)):
        return "FAILED"
    return "ok"


folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build/small")
folder.mkdir(parents=True, exist_ok=True)
failed = 0
print(COLUMNS.format("processor", "options", "program", "flash", "limit", "RAM", "limit", "stack", "limit", ""))
for cpu in BOARDS:
    without = build(cpu, ["-Os"], [])
    emulate(cpu, without)
    flash_without, variables_without = sizes(without)
    for options in VARIANTS:
        for name, macros in PROGRAMS.items():
            program = build(cpu, options, macros)
            flash, variables = sizes(program)
            ram, stack = emulate(cpu, program)
            numbers = flash - flash_without, ram, stack
            shown = limits_of(name) if options == ["-Os"] else []
            verdict = outcome(shown, numbers, variables != variables_without, forbidden(program))
            failed += verdict != "ok"
            cells = [cell for pair in zip(numbers, shown or ["", "", ""]) for cell in pair]
            print(COLUMNS.format(cpu, " ".join(options), name, *cells, verdict), flush=True)
print(f"{failed} failed")
sys.exit(1 if failed else 0)
