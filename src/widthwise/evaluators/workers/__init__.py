"""One evaluator on many processes and machines; the search that asks it stays one process, the only writer.

parts: a batch cut up, and what becomes of each part when workers die. messages: what goes between processes.
worker: the other side. processes, cluster: workers as local processes, and as actors of Ray. evaluator: a
batch in, its results out. problem: how a worker makes the same problem as the driver.
"""

from __future__ import annotations

from widthwise.evaluators.workers.evaluator import ParallelEvaluator
from widthwise.evaluators.workers.processes import ProcessWorkers
from widthwise.evaluators.workers.worker import Build
from widthwise.evaluators.workers.workers import Workers

__all__ = ["Build", "ParallelEvaluator", "ProcessWorkers", "Workers"]
