"""Problems that duet's strategies and others are compared on, each written once.

A problem has a space in the form of an experiment file (docs/spaces/parameters.md), from which `suggest` draws one for
Optuna, and a function from a design, a mapping from the paths of the active parameters to values, to objectives that
are to be minimised. Tables are those of DUET_TEST_DATA (tests/README.md).
"""

import csv
import functools
import math
import os
from pathlib import Path

import numpy

DATA = Path(os.environ.get("DUET_TEST_DATA", Path(__file__).resolve().parents[2].parent / "shared/data"))


@functools.lru_cache(maxsize=None)
def table(name):
    with open(DATA / name, newline="") as stream:
        return list(csv.DictReader(stream))


def number(text):
    return float(text) if text else math.nan


def front_of(points):
    """The points that no other one dominates, all to be minimised."""
    points = numpy.unique(numpy.asarray(points, dtype=float), axis=0)
    kept = []
    for point in points:  # ascending in the first objective: only those before can dominate
        if not any((other <= point).all() for other in kept):
            kept.append(point)
    return numpy.array(kept)


def hypervolume(points, reference=1.0):
    """Of two or three objectives, up to (reference, …)."""
    points = [p for p in points if (p < reference).all()]
    if not points:
        return 0.0
    front = front_of(points)
    if front.shape[1] == 2:
        volume, height = 0.0, reference
        for x, y in front:
            volume += (reference - x) * max(0.0, height - y)
            height = min(height, y)
        return volume
    volume, ends = 0.0, numpy.append(front[1:, 0], reference)
    for i, width in enumerate(ends - front[:, 0]):  # slices between neighbours in the first objective
        if width > 0:
            volume += width * hypervolume(front[: i + 1, 1:], reference)
    return volume


class Problem:
    """`space` as under `parameters:`; `evaluate(design)` gives the objectives, or objectives and by how much each
    constraint is missed, or None for a failure. `derived(design)`, if any, gives the quantities named `free`."""

    def __init__(self, name, space, objectives, evaluate, points=None, free=(), derived=None, hard=(), constraints=0):
        self.name, self.space, self.objectives, self.evaluate = name, space, objectives, evaluate
        self.free, self.derived, self.hard, self.constraints = list(free), derived, list(hard), constraints
        self.low = self.high = self.optimum = None
        if points is not None:  # of every design
            points = numpy.asarray(points, dtype=float)
            self.low, self.high = points.min(axis=0), points.max(axis=0)
            self.optimum = self.low[0] if len(objectives) == 1 else hypervolume(self.scaled(front_of(points)))

    def scaled(self, points):
        return (numpy.asarray(points, dtype=float) - self.low) / (self.high - self.low)

    def score(self, points):
        """One objective: regret; several: share of the front's hypervolume. Where the truth is not known: the best value,
        and the hypervolume with `low` and `high` as the problem gives them."""
        if len(self.objectives) == 1:
            best = min((p[0] for p in points), default=math.inf)
            return best if self.optimum is None else best - self.optimum
        return hypervolume(self.scaled(points)) / (self.optimum or 1.0) if len(points) else 0.0


# --- Spaces


def suggest(trial, space, prefix=""):
    """The same space for Optuna, by its define-by-run interface."""
    design = {}
    for name, node in space.items():
        path = prefix + name
        if "choice" in node:
            options = node["choice"]
            design[path] = trial.suggest_categorical(path, list(options))
            if isinstance(options, dict) and options[design[path]]:
                design.update(suggest(trial, options[design[path]], f"{path}.{design[path]}."))
        elif "ordinal" in node:
            values = node["ordinal"]
            design[path] = values[trial.suggest_int(path, 0, len(values) - 1)]
        elif "integer" in node:
            design[path] = trial.suggest_int(path, *node["integer"], log=node.get("log", False))
        elif "real" in node:
            design[path] = trial.suggest_float(path, *node["real"], log=node.get("log", False))
        elif "repeat" in node:
            ((count, bounds),) = node["repeat"].items()
            path = prefix + count
            design[path] = trial.suggest_int(path, *bounds["integer"])
            for copy in range(1, design[path] + 1):
                design.update(suggest(trial, node["of"], f"{prefix}{name}{copy}."))
    return design


# --- Tables in which every design has been evaluated

OPERATORS = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]


def tabular(name, space, keys, columns, signs, free, statistics):
    paths = list(space)
    points = numpy.array(columns).T * numpy.array(signs)
    rows = {key: i for i, key in enumerate(keys)}
    statistics = numpy.array(statistics).T
    find = lambda design: rows[tuple(design[path] for path in paths)]
    return Problem(name, space, [f"f{k}" for k in range(len(signs))], lambda design: points[find(design)], points, free,
                   lambda design: statistics[find(design)])


def nas_bench_201(name, accuracy, *devices):
    rows = table("nb201_accuracy.csv")
    keys = [tuple(part.split("~")[0] for part in row["arch"].replace("+", "").split("|") if part) for row in rows]
    columns = [[number(row[accuracy]) for row in rows]]
    for device in devices:
        source = rows if device in rows[0] else table("nb201_latency_help.csv")
        columns.append([number(row[device]) for row in source])
    free = [[number(row[c]) for row in rows] for c in ("flops_M_c10", "params_M_c10")]
    space = {f"edge{i}": {"choice": OPERATORS} for i in range(1, 7)}
    return tabular(name, space, keys, columns, [-1] + [1] * len(devices), ["macs", "parameters"], free)


def nas_bench_macro(name, *more):
    rows = table("nas_bench_macro.csv")
    options = ["identity", "mb3_k3", "mb6_k5"]
    keys = [tuple(options[int(digit)] for digit in row["arch"]) for row in rows]
    columns = [[number(row[c]) for row in rows] for c in ("mean_acc", *more)]
    free = [[number(row[c]) for row in rows] for c in ("flops", "params")]
    space = {f"layer{i}": {"choice": options} for i in range(1, 9)}
    return tabular(name, space, keys, columns, [-1] + [1] * len(more), ["macs", "parameters"], free)


# --- Spaces of which a sample has been evaluated: gradient boosted trees learn it and answer for every design


def trees(rows, columns, features, signs):
    """For each column a function of a row of features; fitted to all rows. \\returns the functions' values too."""
    from sklearn.ensemble import GradientBoostingRegressor

    inputs = numpy.array([features(row) for row in rows], dtype=float)
    models = []
    for column, sign in zip(columns, signs):
        model = GradientBoostingRegressor(n_estimators=200, max_depth=5, learning_rate=0.1, random_state=0)
        models.append(model.fit(inputs, sign * numpy.array([number(row[column]) for row in rows])))
    return models, numpy.array([model.predict(inputs) for model in models]).T


def accel_nasbench(name, *columns):
    rows = table("accel_nasbench.csv")
    space = {}
    for b in range(7):
        for part, values in (("e", [1, 4, 6]), ("k", [3, 5]), ("l", [1, 2, 3]), ("se", [0, 1])):
            space[f"block{b}_{part}"] = {"ordinal": values}
    signs = [-1 if c == "val_top1" or c.startswith("throughput") else 1 for c in columns]
    models, points = trees(rows, columns, lambda row: [number(row[path]) for path in space], signs)
    problem = Problem(name, space, list(columns),
                      lambda d: [m.predict([[d[path] for path in space]])[0] for m in models])
    problem.low, problem.high = points.min(axis=0), points.max(axis=0)
    return problem


def once_for_all(name, *columns):
    """OFA MobileNetV3: five stages of two to four layers, of which those beyond the depth do not exist."""
    rows = table("dynast_ofa_mbv3_traces.csv")
    layer = {"kernel": {"ordinal": [3, 5, 7]}, "expansion": {"ordinal": [3, 4, 6]}}
    space = {}
    for s in range(1, 6):
        space[f"s{s}l"] = {"repeat": {f"depth{s}": {"integer": [2, 4]}}, "of": layer}

    def features(row):
        kernels, expansions, depths = ([int(v) for v in row[c].split("-")] for c in ("ks", "e", "d"))
        exists = [i % 4 < depths[i // 4] for i in range(20)]
        return [v if e else 0 for values in (kernels, expansions) for v, e in zip(values, exists)] + depths

    def of_design(d):
        layers = [(s, i) for s in range(1, 6) for i in range(1, 5)]
        return [d.get(f"s{s}l{i}.{part}", 0) for part in ("kernel", "expansion") for s, i in layers] + [
            d[f"depth{s}"] for s in range(1, 6)]

    signs = [-1 if c == "top1" else 1 for c in columns]
    rows = [row for row in rows if row["top1"]]
    models, points = trees(rows, columns, features, signs)
    problem = Problem(name, space, list(columns), lambda d: [m.predict([of_design(d)])[0] for m in models])
    problem.low, problem.high = points.min(axis=0), points.max(axis=0)
    return problem


# --- Functions


def conditional(name):
    """Three kinds of optimizer with parameters of their own, log scales, and repeated layers: a training recipe."""
    space = {
        "optimizer": {"choice": {
            "sgd": {"rate": {"real": [1e-4, 1], "log": True}, "momentum": {"real": [0, 0.99]}},
            "adam": {"rate": {"real": [1e-5, 0.1], "log": True}, "beta": {"real": [0.8, 0.9999]},
                     "epsilon": {"real": [1e-10, 1e-2], "log": True}},
            "lion": {"rate": {"real": [1e-6, 0.01], "log": True}}}},
        "decay": {"real": [1e-6, 1e-1], "log": True},
        "layer": {"repeat": {"layers": {"integer": [1, 4]}},
                  "of": {"units": {"integer": [8, 512], "log": True}, "act": {"choice": ["relu", "gelu", "tanh"]}}},
    }

    def evaluate(d):
        log = lambda path, best: (math.log10(d[path]) - math.log10(best)) ** 2
        kind = d["optimizer"]
        if kind == "sgd":
            cost = 0.05 + 0.3 * log("optimizer.sgd.rate", 0.05) + (d["optimizer.sgd.momentum"] - 0.9) ** 2
        elif kind == "adam":
            cost = 0.3 * log("optimizer.adam.rate", 1e-3) + 4 * (d["optimizer.adam.beta"] - 0.95) ** 2
            cost += 0.01 * log("optimizer.adam.epsilon", 1e-7)
        else:
            cost = 0.1 + 0.5 * log("optimizer.lion.rate", 1e-4)
        cost += 0.05 * log("decay", 1e-3) + 0.1 * abs(d["layers"] - 3)
        best = {1: 256, 2: 128, 3: 64, 4: 64}
        worst = {"relu": 0.02, "gelu": 0, "tanh": 0.1}
        for i in range(1, d["layers"] + 1):
            cost += 0.1 * log(f"layer{i}.units", best[i]) + worst[d[f"layer{i}.act"]]
        return [cost]

    return Problem(name, space, ["loss"], evaluate)


def mixed(name, size=30, infeasible=None):
    """`size` parameters of all kinds in turn; a third of them matters, in pairs. With `infeasible` a constraint that this
    share of random designs misses."""
    space = {}
    for i in range(size):
        space[f"x{i}"] = [{"real": [-5, 5]}, {"real": [1e-3, 1e3], "log": True}, {"integer": [0, 20]},
                          {"choice": ["a", "b", "c", "d"]}, {"ordinal": [1, 2, 4, 8, 16]}][i % 5]
    random = numpy.random.default_rng(7)
    targets, order = random.uniform(0.2, 0.8, size), random.permutation(size)
    scores = random.permuted(numpy.tile([0.0, 0.3, 0.6, 1.0], (size, 1)), axis=1)

    def position(i, v):
        return [lambda: (v + 5) / 10, lambda: (math.log10(v) + 3) / 6, lambda: v / 20,
                lambda: scores[i]["abcd".index(v)] if isinstance(v, str) else 0, lambda: math.log2(v) / 4][i % 5]()

    def evaluate(d):
        z = [position(i, d[f"x{i}"]) for i in range(size)]
        miss = [z[i] if i % 5 == 3 else abs(z[i] - targets[i]) for i in range(size)]
        matters = order[: size // 3]
        cost = sum(miss[i] ** 2 for i in matters) + 2 * sum(
            miss[i] * miss[j] for i, j in zip(matters[::2], matters[1::2]))
        cost += 0.01 * sum(m * m for m in miss)
        if infeasible is None:
            return [cost]
        return [cost], [sum(z[i] for i in order[-size // 2:]) / (size // 2) - bound]

    bound = 0
    if infeasible is not None:
        draws = numpy.random.default_rng(11)
        values = []
        for _ in range(4000):
            design = {}
            for path, node in space.items():
                kind, spec = next(iter(node.items()))
                if kind == "real":
                    low, high = spec
                    design[path] = 10 ** draws.uniform(-3, 3) if "log" in node else draws.uniform(low, high)
                else:
                    design[path] = draws.integers(0, 21) if kind == "integer" else spec[draws.integers(len(spec))]
            values.append(evaluate(design)[1][0])
        bound = float(numpy.quantile(values, 1 - infeasible))
    return Problem(name, space, ["cost"], evaluate, constraints=int(infeasible is not None))


def problem(name):
    """`macro`, `macro/flops`, `nb201/COLUMN[/COLUMN…]`, `accel/COLUMN…`, `ofa/COLUMN…`, `conditional`, `mixed/30`,
    `mixed/30/0.97` (so many infeasible)."""
    kind, *rest = name.split("/")
    if kind == "macro":
        return nas_bench_macro(name, *rest)
    if kind == "nb201":
        return nas_bench_201(name, *rest)
    if kind == "accel":
        return accel_nasbench(name, *rest)
    if kind == "ofa":
        return once_for_all(name, *rest)
    if kind == "conditional":
        return conditional(name)
    if kind == "mixed":
        return mixed(name, int(rest[0]), float(rest[1]) if len(rest) > 1 else None)
    raise SystemExit(f"unknown problem '{name}'")
