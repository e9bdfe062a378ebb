"""Searches to compare strategies on: trained networks, spaces of widths, and what is wanted."""

from tasks.searches import HELD_OUT, LARGE, NUMBERS, OPEN, TASKS, Search, Task

__all__ = ["HELD_OUT", "LARGE", "NUMBERS", "OPEN", "TASKS", "Search", "Task"]
