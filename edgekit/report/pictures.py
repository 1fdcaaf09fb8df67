"""The part of a report on generators: what their files make of the same noise, side by side, and how it was judged."""

from collections.abc import Callable, Sequence
from html import escape

from edgekit.report.generation import Generation
from edgekit.report.read import Row
from edgekit.report.words import NOTHING, percent

_COLUMNS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("frechet", "Fréchet distance", lambda v: f"{v:.3f}"),
    ("frechet_change", "change, %", lambda v: f"{100 * v:+.2f}"),
    ("precision", "precision, %", percent),
    ("recall", "recall, %", percent),
    ("conditional_accuracy", "asked class, %", percent),
    ("conditional_accuracy_low", "95 % from", percent),
    ("conditional_accuracy_high", "to", percent),
    ("purity", "purity, %", percent),
    ("purity_matched", "matched, %", percent),
    ("psnr_db", "PSNR, dB", lambda v: f"{v:.1f}"),
    ("ssim", "SSIM", lambda v: f"{v:.4f}"),
)


def picture_sections(rows: Sequence[Row]) -> str:
    """A table and a contact sheet for each data set, judge and count; nothing where no file is a generator's."""
    groups: dict[tuple[str, str | None, int], list[tuple[Row, Generation]]] = {}
    for row in rows:
        if row.generation is not None:
            groups.setdefault(row.generation.setting, []).append((row, row.generation))
    return "".join(_section(group) for group in groups.values())


def _section(group: Sequence[tuple[Row, Generation]]) -> str:
    first = group[0][1]
    judge = "" if first.judge is None else f", judged by the classifier {first.judge[:12]}"
    sure = "" if first.judge_top1 is None else f", which is right on {percent(first.judge_top1)} % of real ones"
    shown = [column for column in _COLUMNS if any(column[0] in told.figures for _, told in group)]
    head = "".join(f"<th>{escape(title)}</th>" for title in ("file", "recipe", *(title for _, title, _ in shown)))
    body = "".join(
        f'<tr><th scope="row">{escape(row.name)}</th><td>{escape(row.recipe)}</td>'
        + "".join(
            f"<td>{escape(words(told.figures[name]) if name in told.figures else NOTHING)}</td>"
            for name, _, words in shown
        )
        + "</tr>\n"
        for row, told in group
    )
    sheets = "".join(
        f"<figure><figcaption>{escape(row.name)}</figcaption>"
        f'<img class="sheet" src="data:image/png;base64,{escape(told.sheet)}" '
        f'alt="{escape(f"Pictures made by {row.name}")}"></figure>'
        for row, told in group
        if told.sheet is not None
    )
    note = (
        "Fréchet distance: 0 where pictures are spread as real ones are in the judge's features. Precision: the share "
        "of pictures that lie among real ones; recall: of real ones among pictures. Change, PSNR and SSIM: beside the "
        "first file, on the same noise. All depend on the judge and on the count."
    )
    return (
        f"<section><h2>Pictures</h2><p>{escape(f'{first.count:,} beside {first.data}{judge}{sure}.')}</p>"
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table></div>'
        f"<p>{escape(note)}</p>" + (f'<div class="plots">{sheets}</div>' if sheets else "") + "</section>"
    )
