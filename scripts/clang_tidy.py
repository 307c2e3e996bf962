#!/usr/bin/env python3
"""Runs clang-tidy 14 over duet's own sources; every finding is an error.

    scripts/clang_tidy.py                  all of them
    scripts/clang_tidy.py core/config.cpp  these
    scripts/clang_tidy.py --part 2/4       every fourth of them, from the second on

What was clean is not looked at again until it changes: a source counts as unchanged if its bytes, those of duet's headers
that it includes, .clang-tidy, the compile command and clang-tidy's version are. The memory is a folder of empty files,
DUET_TIDY_CACHE or ~/.cache/duet/clang_tidy.
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "tidy"  # configured only: as the fuzzers are compiled, with clang, but each source by itself
FOLDERS = ["core", "spaces", "hw_models", "estimators", "search", "experiments", "cli"]
SKIPPED = {"torch_trainer.cpp"}  # clang 14 cannot parse libtorch's headers under C++20
CACHE = pathlib.Path(os.environ.get("DUET_TIDY_CACHE", pathlib.Path.home() / ".cache" / "duet" / "clang_tidy"))


def output(command, **options):
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, **options).stdout


def key(command, directory, common):
    """Of everything that the findings depend on."""
    arguments, skip = [], False
    for word in shlex.split(command):
        if skip or word in ("-c", "-o"):
            skip = word == "-o"
            continue
        arguments.append(word)
    # A launcher (ccache and what sets its variables) stands before the compiler.
    compiler = next(i for i, word in enumerate(arguments) if "clang++" in pathlib.Path(word).name)
    rule = output([*arguments[compiler:], "-MM"], cwd=directory)
    hasher = hashlib.sha256(common.encode())
    hasher.update(" ".join(arguments[compiler:]).encode())
    for name in rule.replace("\\\n", " ").split()[1:]:
        hasher.update((pathlib.Path(directory) / name).read_bytes())
        hasher.update(b"\0")
    return hasher.hexdigest()


def check(entry, common):
    """What clang-tidy has to say about one source; nothing if it is clean; and whether it was asked."""
    mark = CACHE / key(entry["command"], entry["directory"], common)
    if mark.exists():
        return "", False
    source = str(pathlib.Path(entry["directory"], entry["file"]).resolve())
    done = subprocess.run(["clang-tidy-14", "-p", str(BUILD), "--quiet", "--warnings-as-errors=*", source],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode == 0:
        mark.touch()
        return "", True
    return (done.stdout + done.stderr).replace(str(ROOT) + "/", ""), True


def main():
    subprocess.run(["cmake", "--preset", "fuzz", "-B", str(BUILD), "-DDUET_UNITY=OFF"], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    CACHE.mkdir(parents=True, exist_ok=True)
    part, parts, names = 1, 1, sys.argv[1:]
    if names[:1] == ["--part"]:
        part, parts = (int(number) for number in names[1].split("/"))
        names = names[2:]
    wanted = {str(pathlib.Path(name).resolve()) for name in names}
    entries = []
    for entry in json.loads((BUILD / "compile_commands.json").read_text()):
        source = pathlib.Path(entry["directory"], entry["file"]).resolve()
        relative = source.relative_to(ROOT) if source.is_relative_to(ROOT) else source
        if relative.parts[0] in FOLDERS and source.name not in SKIPPED and (not wanted or str(source) in wanted):
            entries.append(entry)
    if len(wanted) > len(entries) or not entries:
        print("some of these are no sources that clang-tidy can look at", file=sys.stderr)
        return 2

    entries = sorted(entries, key=lambda entry: entry["file"])[part - 1 :: parts]

    common = output(["clang-tidy-14", "--version"]) + (ROOT / ".clang-tidy").read_text()
    failed = asked = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for findings, was_asked in pool.map(lambda entry: check(entry, common), entries):
            asked += was_asked
            if findings:
                failed += 1
                print(findings, flush=True)
    print(f"clang-tidy: {len(entries)} sources, {asked} of them new or changed, {failed} with findings")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
