#!/usr/bin/env python3
"""Compares two builds of a Google Benchmark program as ratios.

    scripts/compare_benchmarks.py ../before/build/bench/bench/bench_engine build/bench/bench/bench_engine

Both programs run alternately within one session, so that whatever else the machine does hits both; a round gives one
ratio after/before per benchmark, and what is printed is the median of the rounds' ratios with a confidence interval that
makes no assumption about their distribution. A ratio below 1 is faster.

Exit code: 0; 1 if --fail-above is given and a benchmark is slower than that beyond doubt (the whole interval lies
above it); 2 if the comparison cannot be made.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys


class CannotCompare(Exception):
    pass


def run(program, arguments, clock):
    """Time per iteration in seconds, by benchmark; the mean if it is repeated."""
    command = [program, "--benchmark_format=json", *arguments]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    except OSError as error:
        raise CannotCompare(f"{program} cannot be run: {error.strerror}") from error
    if done.returncode != 0:
        raise CannotCompare(f"{program} exited with code {done.returncode}")
    try:
        results = json.loads(done.stdout)["benchmarks"]
    except (ValueError, KeyError, TypeError) as error:
        raise CannotCompare(f"{program} did not write Google Benchmark's JSON") from error
    seconds = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
    times = {}
    for result in results:
        if result.get("run_type") == "aggregate":
            continue
        if result.get("error_occurred"):
            raise CannotCompare(f"{program}: {result['name']}: {result.get('error_message', 'failed')}")
        name = result.get("run_name", result["name"])
        times.setdefault(name, []).append(result[f"{clock}_time"] * seconds[result["time_unit"]])
    return {name: statistics.fmean(values) for name, values in times.items()}


def median_interval(values, confidence):
    """Order statistics that enclose the median of the distribution with at least this probability, if so many values can,
    else the extremes; and the probability that they do (Conover, Practical Nonparametric Statistics, 1999, section 3.2).
    """
    ordered = sorted(values)
    n = len(ordered)

    def coverage(k):  # of the interval from the k-th smallest to the k-th largest, k from 1
        return 1 - 2 * sum(math.comb(n, i) for i in range(k)) / 2**n

    k = 1
    while k + 1 <= (n + 1) // 2 and coverage(k + 1) >= confidence:
        k += 1
    return ordered[k - 1], ordered[n - k], max(0.0, coverage(k))


def in_words(seconds):
    for unit, factor in (("s", 1), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= factor:
            return f"{seconds / factor:.4g} {unit}"
    return f"{seconds / 1e-9:.4g} ns"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", help="the program of the build to compare with")
    parser.add_argument("after", help="the program of the other build")
    parser.add_argument("--rounds", type=int, default=9, help="how often both run (default: 9)")
    parser.add_argument("--filter", default="", help="regular expression: only these benchmarks")
    parser.add_argument("--min-time", type=float, help="seconds per benchmark and run")
    parser.add_argument("--clock", choices=("real", "cpu"), default="cpu", help="which time counts (default: cpu)")
    parser.add_argument("--confidence", type=float, default=0.95, help="of the interval (default: 0.95)")
    parser.add_argument("--fail-above", type=float, metavar="RATIO", help="exit with 1 if one is slower than this")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")

    arguments = []
    if options.filter:
        arguments.append(f"--benchmark_filter={options.filter}")
    if options.min_time is not None:
        arguments.append(f"--benchmark_min_time={options.min_time}")

    ratios, before_times, after_times = {}, {}, {}
    only_one = set()
    try:
        for number in range(options.rounds):
            # Who runs first changes, so that neither always profits from what the other left in the caches.
            order = [("before", options.before), ("after", options.after)]
            if number % 2 == 1:
                order.reverse()
            times = {which: run(program, arguments, options.clock) for which, program in order}
            only_one |= times["before"].keys() ^ times["after"].keys()
            for name, before in times["before"].items():
                after = times["after"].get(name)
                if after is None:
                    continue
                if before <= 0:
                    raise CannotCompare(f"{name} takes no time; give it more with --min-time")
                ratios.setdefault(name, []).append(after / before)
                before_times.setdefault(name, []).append(before)
                after_times.setdefault(name, []).append(after)
    except CannotCompare as problem:
        print(problem, file=sys.stderr)
        return 2
    if not ratios:
        print("the programs have no benchmark in common", file=sys.stderr)
        return 2

    slower = []
    width = max(len(name) for name in ratios)
    print(f"{'benchmark':{width}}  {'before':>10}  {'after':>10}  {'ratio':>7}  interval")
    for name, values in ratios.items():
        low, high, coverage = median_interval(values, options.confidence)
        print(f"{name:{width}}  {in_words(statistics.median(before_times[name])):>10}"
              f"  {in_words(statistics.median(after_times[name])):>10}"
              f"  {statistics.median(values):7.3f}  [{low:.3f}, {high:.3f}] {100 * coverage:.0f}%")
        if options.fail_above is not None and low > options.fail_above:
            slower.append(name)
    for name in sorted(only_one):
        print(f"{name}: in one of the builds only")
    print(f"medians of {options.rounds} rounds, {options.clock} time; a ratio below 1: the second build is faster")
    if slower:
        print(f"slower than {options.fail_above}: {', '.join(slower)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
