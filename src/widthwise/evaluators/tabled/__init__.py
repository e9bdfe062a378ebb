"""Whole spaces with every candidate's metrics, as files: candidates are looked up, not evaluated."""

from widthwise.evaluators.tabled.problem import TableProblem
from widthwise.evaluators.tabled.reading import load_table
from widthwise.evaluators.tabled.table import SearchTable
from widthwise.evaluators.tabled.writing import write_table

__all__ = ["SearchTable", "TableProblem", "load_table", "write_table"]
