"""What public functions give back but studies, at a prompt and in notebooks: a screen of text, HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from textwrap import wrap

from widthwise.core.plain import plain
from widthwise.core.screen import html_table, one_screen
from widthwise.export.certify import Certificate
from widthwise.export.latency.latency import Latency
from widthwise.export.write import Export
from widthwise.metrics.catalogue import known_metric
from widthwise.report import comparing, explanation
from widthwise.report.exported import export_lines, files_listed
from widthwise.report.latency import HEADERS, how_line, latency_row
from widthwise.report.measured import certificate_lines, figures
from widthwise.report.sheets import Sheet
from widthwise.report.tables import WIDTH, table_lines
from widthwise.search.comparing.result import Comparison
from widthwise.study.explanation import Explanation
from widthwise.study.measured import Measured


@dataclass(frozen=True)
class Told:
    """A result in words: its title, sentences, tables with what they are of, more sentences."""

    title: str
    lines: tuple[str, ...] = ()
    sheets: tuple[Sheet, ...] = ()
    more: tuple[str, ...] = ()


@singledispatch
def told(found: object) -> Told:
    """The words of a result, by its kind."""
    raise TypeError(f"{type(found).__name__}: is told in no words")


@told.register
def _(found: Export) -> Told:
    title = f"Export of trial {found.trial.number} as {found.form} in {found.folder}"
    return Told(title, (files_listed(found.exported.files), *export_lines(found)))


@told.register
def _(found: Explanation) -> Told:
    names = {name for one in found.around for name in one.metrics}
    metrics = {name: known_metric(name) for name in names}
    sheets = (explanation.damage_sheet(found, metrics), explanation.bargain_sheet(found, metrics))
    mixed = explanation.mixing_lines(found.mixing[-1], metrics) if found.mixing else []
    return Told(
        explanation.heading_line(found, metrics),
        tuple(explanation.pair_lines(found, metrics)),
        tuple(sheet for sheet in sheets if sheet is not None),
        (*mixed, explanation.advice_line(found), *found.not_told),
    )


@told.register
def _(found: Comparison) -> Told:
    title, *lines = comparing.heading_lines(found)
    sheets = (comparing.share_sheet(found), comparing.best_sheet(found))
    return Told(title, tuple(lines), sheets, tuple(comparing.caution_lines(found)))


@told.register
def _(found: Certificate) -> Told:
    title, *lines = certificate_lines(found)
    return Told(title, tuple(line.strip() for line in lines))


@told.register
def _(found: Measured) -> Told:
    return Told(f"{found.label} ({found.version}): {figures(found)}", found.notes)


@told.register
def _(found: Latency) -> Told:
    row = Sheet("Medians, and quartiles of the ratio", HEADERS, (tuple(latency_row(found)),), left=0)
    return Told(how_line(found), (), (row,))


def as_text(found: object) -> str:
    """One screen."""
    words = told(found)
    tables = [line for sheet in words.sheets for line in ("", plain(sheet.title), *table_lines(sheet))]
    after = ("",) if tables and words.more else ()
    said = [_broken([words.title, *words.lines]), tables, [*after, *_broken(words.more)]]
    return one_screen([line for part in said for line in part])


def _broken(lines: Sequence[str]) -> list[str]:
    """Sentences broken at the width of a table."""
    return [part for line in lines for part in wrap(plain(line), WIDTH)]


def as_html(found: object) -> str:
    """For a notebook."""
    words = told(found)
    tables = [html_table(sheet.title, sheet.headers, sheet.rows) for sheet in words.sheets]
    heading = f"<p><b>{html.escape(plain(words.title))}</b></p>"
    return f"<div>{heading}{_paragraphs(words.lines)}{''.join(tables)}{_paragraphs(words.more)}</div>"


def _paragraphs(lines: Sequence[str]) -> str:
    return "".join(f"<p>{html.escape(plain(line))}</p>" for line in lines)
