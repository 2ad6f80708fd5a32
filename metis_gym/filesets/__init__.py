"""Tasksets from files: the parquet files of verl-style trainers, JSONL, a folder of images, a data set of the hub.

Nothing is known about whether these tasks need a tool, unless the file says so: their necessity is `unknown`.
"""

from metis_gym.filesets.taskset import FileTaskset

__all__ = ["FileTaskset"]
