"""The report of `penult evaluate`: figures, confusions, curves, and the worst mistakes as pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path

from penult.demo.thumbnails import thumbnail
from penult.evaluation_types import Evaluation, Evidence, Mistake
from penult.pages.line_chart import CHART_STYLE, Point, line_chart
from penult.pages.page import write_page

MAX_MISTAKES = 24
MAX_MATRIX = 40
MAX_CONFUSIONS = 30
_STYLE = CHART_STYLE + (
    ".matrix td { min-width: 2em; text-align: center; background: rgb(42 125 225 / var(--part)); }\n"
    ".matrix th.column { writing-mode: vertical-rl; }\n"
)


def write_report(
    path: Path, model: str, measured: Evaluation, evidence: Evidence | None, images: Iterable[Path] = ()
) -> None:
    """Writes the page.

    Args:
        path: of the HTML file.
        model: NAME@VERSION.
        measured: what the figures are of.
        evidence: of the training, for the curves; None for an ensemble.
        images: files in which to look for the pictures of mistakes, by their sha256.
    """
    share = f"{100 * measured.accuracy:.1f} %"
    interval = f"{100 * measured.accuracy_low:.1f} to {100 * measured.accuracy_high:.1f} %"
    lead = f"{share} of {measured.count} images of {measured.split} are right (95 % interval {interval})."
    parts = [_figures(measured, evidence), _confusions(measured)]
    if evidence is not None:
        parts += [_regularisation(evidence), _learning_curve(evidence)]
    parts += [_classes(measured), _mistakes(measured, images)]
    write_page(path, model, lead, "\n".join(filter(None, parts)), _STYLE)


def _figures(measured: Evaluation, evidence: Evidence | None) -> str:
    values: dict[str, float | None] = {
        "top-5 accuracy": measured.top5_accuracy,
        "balanced accuracy": measured.balanced_accuracy,
        "macro F1": measured.macro_f1,
        "mean average precision": measured.mean_average_precision,
        "log loss": measured.log_loss,
        "expected calibration error": measured.calibration_error,
        "threshold": measured.threshold,
        "rejected": measured.reject_rate,
        "accuracy of the others": measured.accepted_accuracy,
    }
    rows = [(name, f"{value:.4f}") for name, value in values.items() if value is not None]
    notes: list[str] = []
    if evidence is not None:
        rows += [(f"chosen {name}", f"{value:.4g}") for name, value in evidence.hyperparameters.items()]
        rows += [(f"seconds, {phase}", f"{seconds:.1f}") for phase, seconds in evidence.seconds.items()]
        notes = [evidence.note, *evidence.warnings]
    table = "".join(f"<tr><th>{escape(name)}</th><td>{value}</td></tr>" for name, value in rows)
    said = "".join(f'<p class="soft">{escape(note)}</p>' for note in notes if note)
    return f"<section><h2>Figures</h2><table>{table}</table>{said}</section>"


def _confusions(measured: Evaluation) -> str:
    if measured.multi_label:
        return ""
    labels = measured.labels
    if len(labels) > MAX_MATRIX:
        wrong = sorted((cell for cell in measured.confusion if cell[0] != cell[1]), key=lambda cell: -cell[2])
        rows = "".join(
            f"<tr><td>{escape(labels[true])}</td><td>{escape(labels[said])}</td><td>{count}</td></tr>"
            for true, said, count in wrong[:MAX_CONFUSIONS]
        )
        head = "<tr><th>labelled</th><th>taken for</th><th>images</th></tr>"
        return f"<section><h2>Most frequent confusions</h2><table>{head}{rows}</table></section>"
    head = "".join(f'<th class="column">{escape(label)}</th>' for label in labels)
    rows = ""
    for label, counts in zip(labels, measured.confusion_matrix().tolist(), strict=True):
        total = max(sum(counts), 1)
        cells = "".join(f'<td style="--part:{count / total:.2f}">{count or "·"}</td>' for count in counts)
        rows += f"<tr><th>{escape(label)}</th>{cells}</tr>"
    return (
        '<section><h2>Confusion</h2><p class="soft">Rows: the label. Columns: the answer.</p>'
        f'<div class="scroll"><table class="matrix"><tr><th></th>{head}</tr>{rows}</table></div></section>'
    )


def _regularisation(evidence: Evidence) -> str:
    """One curve over the hyperparameter that was searched most finely; dropped points are faint."""
    tried = [point for point in evidence.curve if point.folds]
    names = {name for point in tried for name in point.parameters}
    if not names:
        return ""
    axis = max(sorted(names), key=lambda name: len({point.parameters.get(name) for point in tried}))
    chosen = evidence.hyperparameters.get(axis)
    others = {k: v for k, v in evidence.hyperparameters.items() if k != axis}
    points = [
        Point(
            point.parameters[axis], point.score, point.score - point.deviation, point.score + point.deviation,
            faint=point.dropped or any(point.parameters.get(name) != value for name, value in others.items()),
        )
        for point in tried
        if point.parameters.get(axis, 0) > 0
    ]  # fmt: skip
    if not points:
        return ""
    drawn = line_chart(points, axis, evidence.curve_score, marked=chosen if chosen and chosen > 0 else None)
    return (
        f"<section><h2>How {escape(axis)} was chosen</h2>{drawn}"
        '<p class="soft">Mean over the folds of cross-validation with its standard deviation. Grey points '
        "were given up early, or belong to other values of the other hyperparameters.</p></section>"
    )


def _learning_curve(evidence: Evidence) -> str:
    points = [
        Point(each.images, each.accuracy, each.accuracy_low, each.accuracy_high)
        for each in evidence.learning_curve
        if each.images > 0
    ]
    if not points:
        return ""
    return (
        f"<section><h2>Accuracy against images</h2>{line_chart(points, 'training images', 'accuracy')}"
        '<p class="soft">With 95 % intervals. Where it still rises, more images will help.</p></section>'
    )


def _classes(measured: Evaluation) -> str:
    rows = "".join(
        f"<tr><td>{escape(each.label)}</td><td>{each.precision:.3f}</td><td>{each.recall:.3f}</td>"
        f"<td>{each.f1:.3f}</td><td>{each.support}</td></tr>"
        for each in sorted(measured.classes, key=lambda each: each.f1)
    )
    head = "<tr><th>label</th><th>precision</th><th>recall</th><th>F1</th><th>images</th></tr>"
    return f"<section><h2>Classes, the hardest first</h2><table>{head}{rows}</table></section>"


def _mistakes(measured: Evaluation, images: Iterable[Path]) -> str:
    shown = measured.mistakes[:MAX_MISTAKES]
    if not shown:
        return "<section><h2>Worst mistakes</h2><p>None.</p></section>"
    files = _find(images, {mistake.id for mistake in shown})
    cards = "".join(_mistake(mistake, files.get(mistake.id)) for mistake in shown)
    return f'<section><h2>Worst mistakes</h2><div class="gallery">{cards}</div></section>'


def _mistake(mistake: Mistake, file: Path | None) -> str:
    picture = thumbnail(file, file.name) if file else f"<code>{escape(mistake.id[:16])}</code>"
    return (
        f"<figure>{picture}<figcaption>taken for <b>{escape(', '.join(mistake.predicted)) or 'none'}</b> at "
        f"{100 * mistake.probability:.0f} %<br>labelled <b>{escape(', '.join(mistake.true)) or 'none'}</b>"
        "</figcaption></figure>"
    )


def _find(images: Iterable[Path], wanted: set[str]) -> Mapping[str, Path]:
    found: dict[str, Path] = {}
    for file in images:
        if len(found) == len(wanted):
            break
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        if digest in wanted:
            found.setdefault(digest, file)
    return found
