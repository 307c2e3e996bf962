#!/usr/bin/env python3
"""duet's strategies beside Optuna's on the same problems, by one function and one score.

  bench/peers/compare.py [--trials 100] [--seeds 0:20] [--at 25,50,100] [--window 1] PROBLEM… -- STRATEGY…

  PROBLEM   see problem() in problems.py: macro/flops, nb201/c100_test_200/pixel3_ms, accel/val_top1, …
  STRATEGY  duet's by name, with options behind a colon (gp_ei:{initial: 20}); optuna_tpe, optuna_nsga2, optuna_random

Prints a row for each problem and strategy: medians over the seeds at so many trials, and the means in brackets: regret
for one objective, share of the true front's hypervolume for several (objectives scaled to their range in the table,
reference point 1); behind it milliseconds per trial that the strategy took. Needs Debian's python3-optuna and
python3-sklearn, and the program bench_ask (option --ask; default build/dev or build/bench).
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from problems import problem, suggest

ROOT = Path(__file__).resolve().parents[2]


def outcome(task, design):
    """Objectives (None: a failure) and what the constraints are missed by."""
    answer = task.evaluate(design)
    if answer is None:
        return None, []
    return answer if task.constraints else (answer, [])


def run_duet(task, strategy, trials, seed, window, ask):
    name, _, options = strategy.partition(":")
    found = []
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        json.dump({"space": task.space, "objectives": task.objectives, "derived": task.free, "hard": task.hard,
                   "constrained": task.constraints > 0}, file)  # JSON is YAML
        file.flush()
        child = subprocess.Popen([ask, name, file.name, str(trials), str(seed), options or "{}", str(window)], text=True,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=1)
        for line in child.stdout:
            question, *assignments = line.rstrip("\n").split("\t")
            if question == "end":
                if len(assignments) > 1:
                    print(f"{task.name} {strategy}: {assignments[1:]}", file=sys.stderr)
                seconds = float(assignments[0])
                break
            design = {}
            for assignment in assignments:
                path, value = assignment.split("=")
                try:
                    design[path] = int(value)
                except ValueError:
                    try:
                        design[path] = float(value)
                    except ValueError:
                        design[path] = value
            if question == "derive":
                child.stdin.write(" ".join(repr(float(v)) for v in task.derived(design)) + "\n")
                continue
            values, excess = outcome(task, design)
            found.append((values, excess))
            line = "failed" if values is None else " ".join(repr(float(v)) for v in values)
            child.stdin.write(line + (" | " + " ".join(repr(float(e)) for e in excess) if excess else "") + "\n")
        if child.wait() != 0:
            raise SystemExit(f"{strategy} on {task.name}: bench_ask ended with {child.returncode}")
    return found, seconds


def run_optuna(task, strategy, trials, seed):
    import warnings

    import optuna

    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    constraints = (lambda trial: trial.user_attrs["excess"]) if task.constraints else None
    sampler = {
        "optuna_tpe": lambda: optuna.samplers.TPESampler(multivariate=True, group=True, seed=seed,
                                                         constraints_func=constraints),
        "optuna_nsga2": lambda: optuna.samplers.NSGAIISampler(seed=seed, constraints_func=constraints),
        "optuna_random": lambda: optuna.samplers.RandomSampler(seed=seed),
    }[strategy]()
    study = optuna.create_study(directions=["minimize"] * len(task.objectives), sampler=sampler)
    found, seconds = [], 0.0
    for _ in range(trials):
        begin = time.perf_counter()
        trial = study.ask()
        design = suggest(trial, task.space)
        seconds += time.perf_counter() - begin
        values, excess = outcome(task, design)
        found.append((values, excess))
        begin = time.perf_counter()
        if values is None:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            trial.set_user_attr("excess", [float(e) for e in excess])
            study.tell(trial, [float(v) for v in values])
        seconds += time.perf_counter() - begin
    return found, seconds / trials


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--trials", type=int, default=100)
    arguments.add_argument("--seeds", default="0:20", help="first:count")
    arguments.add_argument("--at", default="25,50,100")
    arguments.add_argument("--window", type=int, default=1)
    arguments.add_argument("--ask", default=None)
    arguments.add_argument("problems", nargs="+")
    line = sys.argv[1:]
    if "--" not in line:
        arguments.error("strategies stand behind '--'")
    given = arguments.parse_args(line[: line.index("--")])
    strategies = line[line.index("--") + 1:]
    ask = given.ask or next((str(path) for path in (ROOT / "build/dev/bench/bench_ask", ROOT / "build/bench/bench/bench_ask")
                             if path.exists()), None)
    first, count = (int(part) for part in given.seeds.split(":"))
    marks = [mark for mark in (int(part) for part in given.at.split(",")) if mark <= given.trials]
    print("| problem | strategy | " + " | ".join(f"after {mark}" for mark in marks) + " | ms per trial |")
    print("|---|---|" + "---|" * (len(marks) + 1))
    for name in given.problems:
        task = problem(name)
        for strategy in strategies:
            scores = {mark: [] for mark in marks}
            times = []
            for seed in range(first, first + count):
                if strategy.startswith("optuna_"):
                    found, seconds = run_optuna(task, strategy, given.trials, seed)
                else:
                    found, seconds = run_duet(task, strategy, given.trials, seed, given.window, ask)
                times.append(1000 * seconds)
                for mark in marks:
                    feasible = [values for values, excess in found[:mark]
                                if values is not None and all(e <= 0 for e in excess)]
                    scores[mark].append(task.score(feasible))
            cells = []
            for mark in marks:
                finite = [s for s in scores[mark] if math.isfinite(s)]
                mean = f"{statistics.mean(finite):.4f}" if len(finite) == count else f"{count - len(finite)} without"
                cells.append(f"{statistics.median(scores[mark]):.4f} ({mean})")
            print(f"| {name} | {strategy} | " + " | ".join(cells) + f" | {statistics.median(times):.2g} |", flush=True)


if __name__ == "__main__":
    main()
