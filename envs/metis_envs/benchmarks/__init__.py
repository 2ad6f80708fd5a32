"""The benchmarks of arXiv 2604.08545, as tasksets: `"benchmark:vstar"`, `"benchmark:hrbench_4k,path=rows.tsv"`."""

from metis_envs.benchmarks.benchmark import Benchmark, Item, Row
from metis_envs.benchmarks.catalogue import BENCHMARKS, benchmark_taskset

__all__ = ["BENCHMARKS", "Benchmark", "Item", "Row", "benchmark_taskset"]
