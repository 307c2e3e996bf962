"""scripts/compare_benchmarks.py on programs that only claim to have measured something."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "compare_benchmarks.py"

# Writes Google Benchmark's JSON; the times of run number i are those of line i modulo their number.
FAKE = """#!{python} -SE
import json, pathlib, sys
counter = pathlib.Path(__file__ + ".count")
number = int(counter.read_text()) if counter.exists() else 0
counter.write_text(str(number + 1))
pathlib.Path(__file__ + ".arguments").write_text(" ".join(sys.argv[1:]))
times = {times}
rows = []
for name, values in times.items():
    value = values[number % len(values)]
    rows.append(dict(name=name, run_name=name, run_type="iteration", real_time=2 * value, cpu_time=value, time_unit="us"))
    rows.append(dict(name=name + "_mean", run_name=name, run_type="aggregate", real_time=1, cpu_time=1, time_unit="us"))
print(json.dumps(dict(context={{}}, benchmarks=rows)))
"""


class CompareBenchmarks(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def program(self, name, text):
        path = pathlib.Path(self.folder.name) / name
        path.write_text(text)
        path.chmod(0o755)
        return str(path)

    def fake(self, name, times):
        return self.program(name, FAKE.format(python=sys.executable, times=times))

    def compare(self, *arguments):
        return subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=False)

    def test_median_ratio_and_interval(self):
        before = self.fake("before", {"ask": [10.0], "tell": [5.0]})
        after = self.fake("after", {"ask": [5.0, 20.0, 5.0, 5.0, 5.0, 5.0, 4.0, 5.0, 5.0], "tell": [5.0]})
        done = self.compare(before, after)
        self.assertEqual(done.returncode, 0, done.stderr)
        ask, tell = done.stdout.splitlines()[1:3]
        # Of nine values the second smallest and the second largest enclose the median with 1 - 2 * 10 / 512 = 96%.
        self.assertEqual(ask.split(), ["ask", "10", "us", "5", "us", "0.500", "[0.500,", "0.500]", "96%"])
        self.assertEqual(tell.split(), ["tell", "5", "us", "5", "us", "1.000", "[1.000,", "1.000]", "96%"])

    def test_few_rounds_say_how_little_they_prove(self):
        done = self.compare(self.fake("before", {"ask": [1.0]}), self.fake("after", {"ask": [1.0, 3.0, 2.0]}), "--rounds", "3")
        self.assertEqual(done.stdout.splitlines()[1].split()[-4:], ["2.000", "[1.000,", "3.000]", "75%"])

    def test_threshold(self):
        before, after = self.fake("before", {"ask": [10.0], "tell": [1.0]}), self.fake("after", {"ask": [11.0], "tell": [1.0]})
        self.assertEqual(self.compare(before, after, "--fail-above", "1.2").returncode, 0)
        done = self.compare(before, after, "--fail-above", "1.05")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr, "slower than 1.05: ask\n")
        noisy = self.fake("noisy", {"ask": [9.0, 11.0, 12.0], "tell": [1.0]})  # slower, but not beyond doubt
        self.assertEqual(self.compare(before, noisy, "--fail-above", "1.05").returncode, 0)

    def test_both_run_in_every_round_and_get_the_arguments(self):
        before, after = self.fake("before", {"ask": [1.0]}), self.fake("after", {"ask": [1.0]})
        self.compare(before, after, "--rounds", "4", "--filter", "a.k", "--min-time", "0.5")
        for path in (before, after):
            self.assertEqual(pathlib.Path(path + ".count").read_text(), "4")
            self.assertEqual(pathlib.Path(path + ".arguments").read_text(),
                             "--benchmark_format=json --benchmark_filter=a.k --benchmark_min_time=0.5")

    def test_clock(self):
        before, after = self.fake("before", {"ask": [1.0]}), self.fake("after", {"ask": [1.0]})
        done = self.compare(before, after, "--clock", "real", "--rounds", "1")
        self.assertEqual(done.stdout.splitlines()[1].split()[:3], ["ask", "2", "us"])

    def test_what_only_one_build_has(self):
        done = self.compare(self.fake("before", {"ask": [1.0], "old": [1.0]}), self.fake("after", {"ask": [1.0], "new": [1.0]}))
        self.assertEqual(done.returncode, 0)
        self.assertIn("new: in one of the builds only\nold: in one of the builds only\n", done.stdout)

    def test_what_cannot_be_compared(self):
        good = self.fake("good", {"ask": [1.0]})
        for text, message in (("#!/bin/sh\nexit 3\n", "exited with code 3"), ("#!/bin/sh\necho hello\n", "did not write"),
                              ("#!/bin/sh\necho '{\"benchmarks\": []}'\n", "no benchmark in common")):
            done = self.compare(good, self.program("bad", text))
            self.assertEqual(done.returncode, 2)
            self.assertIn(message, done.stderr)
        self.assertIn("cannot be run", self.compare(good, self.folder.name + "/absent").stderr)


if __name__ == "__main__":
    unittest.main()
