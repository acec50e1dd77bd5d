"""A report as one HTML file that needs nothing else: no script, no network, no font; for a laptop, a phone, and A4.

    page = Page("Back-test", "rules 1-921e, March 2026")
    page.figures([("events", "66,192"), ("newly blocked", "12")])
    page.table("by rule", ("rule", "events"), [("TEXT_BANK_POINTS", 800)])
    page.plot("by day", lines(days, {"block": blocked, "warn": warned}))
    page.write(Path("report.html"))

All text is escaped. The same content gives the same bytes. Numbers of subscribers are for the caller to mask. What a
browser makes of it is tested in ``tests/browser``.
"""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from html import escape
from io import StringIO
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from detectors.model.errors import LanjieError
from stream.whole_file import write_whole

if TYPE_CHECKING:  # matplotlib is in the extra "reports"
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TEMPLATE: Final = "page.html.j2"
#: Told apart by the colour-blind too (Okabe and Ito 2008): those of theirs with a contrast of 3 on the white and on the
#: dark page (WCAG 2.2, 1.4.11); their orange, yellow and sky blue are lost on white.
PALETTE: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#7F7F7F")
_DASHES: Final = ("-", "--", ":", "-.")  # a copier has no colours
_HATCHES: Final = ("", "//", "..", "xx")
_WIDTH: Final = 7.2  # inches: the text of A4
#: Text stays text: the reader's fonts have Chinese.
_SVG: Final[Any] = {"svg.fonttype": "none", "svg.hashsalt": "lanjie"}
#: A cell that is set as a number: ``1,234``, ``97.2 %``, ``97.2% (96.6-97.8)``, ``3 / -``, or ``-`` for none.
_NUMBER: Final = re.compile(r"-|[-+]?[0-9][0-9,.]*( ?%)?( ?\(.*\))?|[0-9,-]+ / [0-9,-]+")
#: A column with a cell wider than this, in half-width characters, is broken into lines.
_LINE: Final = 32
#: What is read aloud as Chinese in a page that is English.
_HAN: Final = re.compile(r"[\u3400-\u9fff][\u3000-\u303f\u3400-\u9fff\uff01-\uff5e]*")
_GROUP: Final = re.compile(r'<g id="[^"]*">')


class ReportError(LanjieError):
    """A report cannot be made or written."""


class Page:
    """Parts of a page, in the order in which they are added."""

    def __init__(self, title: str, subtitle: str = "") -> None:
        self.title, self.subtitle = title, subtitle
        self._parts: list[dict[str, Any]] = []

    def figures(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Headline numbers: ``(what it counts, the number as it is shown)``; what is in brackets is set small."""
        rows = [(name, *value.partition(" (")) for name, value in pairs]
        self._parts.append(
            {"is": "figures", "rows": [(name, number, mark.strip() + rest) for name, number, mark, rest in rows]}
        )

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], note: str = "") -> None:
        """A table. Numbers get thousands separators, None is ``-``; columns of numbers are aligned right.

        The first column names the row. Lines of a cell are kept.
        """
        cells = [[shown(cell) for cell in row] for row in rows]
        styles = [_style([row[n] for row in cells]) for n in range(len(columns))]
        self._parts.append(
            {"is": "table", "title": title, "columns": list(columns), "rows": cells, "styles": styles, "note": note}
        )

    def plot(self, title: str, figure: Figure, note: str = "") -> None:
        """A drawing, as SVG in the page."""
        self._parts.append({"is": "plot", "title": title, "svg": svg(figure), "note": note})

    def text(self, paragraph: str) -> None:
        """A paragraph."""
        self._parts.append({"is": "text", "paragraph": paragraph})

    def render(self) -> str:
        """The page as HTML.

        Raises:
            ReportError: jinja2 is not installed.
        """
        try:
            from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise missing(error) from None
        environment = Environment(
            loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined,
            trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
        )  # fmt: skip
        environment.filters["spoken"] = _spoken
        return environment.get_template(TEMPLATE).render(title=self.title, subtitle=self.subtitle, parts=self._parts)

    def write(self, path: Path) -> None:
        """The page as a file, whole or not at all.

        Raises:
            ReportError: jinja2 is not installed, or the file cannot be written.
        """
        try:
            write_whole(path, [self.render().encode()], sync=False)
        except OSError as error:
            raise ReportError(f"{path}: {error.strerror}; expected a file that can be written") from None


def missing(error: ImportError) -> ReportError:
    """What to say where a package of the extra is not there."""
    return ReportError(f"{error.name} is missing; reports need it: pip install 'lanjie[reports]'")


def shown(cell: object) -> str:
    """A cell as text."""
    if cell is None:
        return "-"
    if isinstance(cell, float):
        return f"{cell:,.3f}".rstrip("0").rstrip(".")
    return f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else str(cell)


def _spoken(text: str) -> str:
    """As HTML, with what is Chinese marked as such."""
    return _HAN.sub(r'<span lang="zh-CN">\g<0></span>', escape(text))


def _style(cells: Sequence[str]) -> str:
    """The class of a column: ``right`` of numbers, ``long`` of what does not fit on a line."""
    if cells and all(map(_NUMBER.fullmatch, cells)):
        return "right"
    return "long" if any(_width(line) > _LINE for cell in cells for line in cell.splitlines()) else "short"


def _width(text: str) -> int:
    return sum(1 + (unicodedata.east_asian_width(character) in "WF") for character in text)


def svg(figure: Figure) -> str:
    """A figure as an SVG element, the same bytes for the same figure."""
    from matplotlib import rc_context  # noqa: PLC0415 - an extra; who has a Figure has it

    out = StringIO()
    with rc_context(_SVG), warnings.catch_warnings():
        # Said of Chinese, where this machine has no font for it; the reader's machine has, and draws it.
        warnings.filterwarnings("ignore", message=".*missing from font", category=UserWarning)
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    found = out.getvalue()
    return _GROUP.sub("<g>", found[found.index("<svg") :])  # groups are named alike in all figures of a page


def bars(labels: Sequence[str], series: Mapping[str, Sequence[float]], *, unit: str = "") -> Figure:
    """Horizontal bars, the first label on top; several series are stacked. Each has as many values as labels.

    Bars of one series have their value beside them.

    Raises:
        ReportError: matplotlib is not installed.
    """
    figure, axes = _axes(height=0.9 + 0.28 * len(labels))
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - an extra

    start = [0.0] * len(labels)
    rows = range(len(labels))
    for colour, hatch, (name, values) in zip(cycle(PALETTE), cycle(_HATCHES), series.items(), strict=False):
        drawn = axes.barh(
            rows,
            values,
            left=start,
            height=0.7,
            color=colour,
            label=_plain(name),
            hatch=hatch,
            edgecolor="white",
            linewidth=0,
        )
        if len(series) == 1:
            axes.bar_label(drawn, [f"{value:,.1f}".removesuffix(".0") for value in values], padding=4)
        start = [at + value for at, value in zip(start, values, strict=True)]
    axes.set_yticks(rows, [_plain(label) for label in labels])
    axes.set_ylim(max(len(labels), 1) - 0.5, -0.5)
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
    axes.set_xlabel(_plain(unit))
    axes.xaxis.set_major_formatter(_thousands)
    axes.grid(axis="x", alpha=0.3)
    _legend(figure, len(series))
    return figure


def lines(
    x: Sequence[float] | Sequence[datetime],
    series: Mapping[str, Sequence[float]],
    *,
    x_label: str = "",
    y_label: str = "",
) -> Figure:
    """Lines over numbers or moments, from 0 up; each series has as many values as ``x``, NaN where there is none.

    Raises:
        ReportError: matplotlib is not installed.
    """
    figure, axes = _axes(height=3.2)
    for n, (name, values) in enumerate(series.items()):
        colour, dash = PALETTE[n % len(PALETTE)], _DASHES[n % len(_DASHES)]
        axes.plot(x, values, dash, color=colour, label=_plain(name), linewidth=1.6)  # type: ignore[arg-type]
    if len(x) == 1:
        for line in axes.lines:
            line.set_marker("o")  # a line of one point is not seen
    if x and isinstance(x[0], datetime):
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter  # noqa: PLC0415 - an extra

        locator = AutoDateLocator(tz=x[0].tzinfo)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        formatter = ConciseDateFormatter(locator, tz=x[0].tzinfo)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_formatter(formatter)
    axes.set_ylim(bottom=0)
    axes.set_xlabel(_plain(x_label))
    axes.set_ylabel(_plain(y_label))
    axes.yaxis.set_major_formatter(_thousands)
    axes.grid(alpha=0.3)
    _legend(figure, len(series))
    return figure


def _axes(*, height: float) -> tuple[Figure, Axes]:
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise missing(error) from None
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _legend(figure: Figure, count: int) -> None:
    """Above, where it hides nothing."""
    if count > 1:
        figure.legend(loc="outside upper left", ncols=min(count, 4), frameon=False)


def _thousands(value: float, _: float) -> str:
    return f"{value:,.10g}"


def _plain(text: str) -> str:
    """matplotlib takes what is between two dollars for a formula."""
    return text.replace("$", r"\$")
