"""What every timing benchmark is made with: turns, ratios with intervals, memory, and a word about the machine."""

from benchmarks._measuring.comparison import Comparison, compare
from benchmarks._measuring.memory import Grown, peak_of_tensors, private, watched
from benchmarks._measuring.noise import Noise
from benchmarks._measuring.process import in_fresh_process
from benchmarks._measuring.ratios import Ratio, median_of, ratio
from benchmarks._measuring.run import Run
from benchmarks._measuring.stopwatch import seconds_of_steps
from benchmarks._measuring.timing import Seconds, calls_for, rounds, timed

__all__ = [
    "Comparison",
    "Grown",
    "Noise",
    "Ratio",
    "Run",
    "Seconds",
    "calls_for",
    "compare",
    "in_fresh_process",
    "median_of",
    "peak_of_tensors",
    "private",
    "ratio",
    "rounds",
    "seconds_of_steps",
    "timed",
    "watched",
]
