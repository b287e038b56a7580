"""The parts of the report that are about classes: what classifiers are worth, and where they err."""

from __future__ import annotations

import base64
from html import escape

from penult.demo.classify import Outcome, Trained
from penult.demo.finetune import FineTuned
from penult.demo.photos import PhotoSet
from penult.demo.thumbnails import thumbnail

MISTAKES = 8
MAX_CONFUSION_CLASSES = 12


def percent(share: float, digits: int = 0) -> str:
    """A share as people read it."""
    return f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


def held_out_accuracy(photos: PhotoSet, outcome: Outcome) -> str:
    """The heads on the held-out photos."""
    measured = outcome.evaluation
    low, high = measured.accuracy_low, measured.accuracy_high
    heads = "".join(_head_row(trained) for trained in outcome.heads)
    notes = "".join(f'<p class="soft">{escape(note)}</p>' for note in photos.notes)
    return (
        "<section><h2>Held-out accuracy</h2>"
        f"{_scale(outcome)}"
        f"<p>With 95 % confidence the accuracy lies between {percent(low, 1)} and {percent(high, 1)} "
        f"(Wilson interval, {len(outcome.test)} photos drawn at random before anything was fitted). "
        f"Always saying the most frequent class would reach {percent(outcome.baseline, 1)}. "
        f"Balanced over the classes it is {percent(measured.balanced_accuracy, 1)}.</p>{notes}"
        "<table><tr><th>head</th><th>accuracy</th><th>macro F1</th><th>calibration error</th>"
        f"<th>chosen</th><th>seconds</th></tr>{heads}</table></section>\n"
    )


def _head_row(trained: Trained) -> str:
    evidence, measured = trained.model.evidence, trained.evaluation
    chosen = ", ".join(f"{k} = {v:.3g}" for k, v in evidence.hyperparameters.items()) if evidence else ""
    cells = (
        escape(trained.kind), percent(measured.accuracy, 1), f"{measured.macro_f1:.3f}",
        f"{measured.calibration_error:.3f}", escape(chosen), f"{trained.seconds:.1f}",
    )  # fmt: skip
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _scale(outcome: Outcome) -> str:
    """The accuracy on a line from 0 to 100 %, with its interval and the baseline."""
    measured = outcome.evaluation
    low, high = measured.accuracy_low, measured.accuracy_high

    def mark(kind: str, share: float, said: str) -> str:
        # The text grows towards the middle, so that it stays on the page.
        side = "right" if share > 0.5 else "left"
        place = 1 - share if share > 0.5 else share
        return (
            f'<i class="{kind}" style="left:{100 * share:.2f}%"></i>'
            f'<span class="{kind}" style="{side}:{100 * place:.2f}%">{said} {percent(share, 1)}</span>'
        )

    band = f'<i class="band" style="left:{100 * low:.2f}%;width:{100 * (high - low):.2f}%"></i>'
    marks = mark("base", outcome.baseline, "most frequent class") + mark(
        "value", measured.accuracy, "classifier"
    )
    return f'<div class="scale"><i class="line"></i>{band}{marks}</div>'


def fine_tuned(tuned: FineTuned, outcome: Outcome) -> str:
    """What training the backbone itself gained over the heads, with its curves."""
    measured, head = tuned.evaluation, outcome.evaluation
    low, high = percent(measured.accuracy_low, 1), percent(measured.accuracy_high, 1)
    passes = "one pass" if tuned.epochs == 1 else f"{tuned.epochs} passes"
    found = "".join(
        f"<li><b>{escape(finding.symptom.replace('_', ' '))}</b>: {escape(finding.evidence)}. "
        f"What to change: {escape(finding.advice)}.</li>"
        for finding in tuned.findings
    )
    said = f"<p>What the curves say:</p><ul>{found}</ul>" if found else ""
    picture = base64.b64encode(tuned.curves).decode()
    return (
        "<section><h2>Fine-tuned end to end</h2>"
        f"<p>The last stages of the backbone trained with the head for {passes} over the training photos: "
        f"<b>{percent(measured.accuracy, 1)}</b> of the same held-out photos, with 95 % confidence {low} to "
        f"{high}, after {tuned.seconds:.0f} s; the head on the backbone as it was has "
        f"{percent(head.accuracy, 1)}. Kept was what knew most of the training photos that were set aside "
        f"to judge: {escape(tuned.kept)}. The result gives features too, as the backbone "
        f"<code>{escape(tuned.model.backbone)}</code>.</p>"
        f'<img class="curves" alt="curves of the training" src="data:image/png;base64,{picture}">'
        f"{said}</section>\n"
    )


def mistakes(photos: PhotoSet, outcome: Outcome) -> str:
    """The held-out photos whose wrong answers were the surest."""
    wrong = outcome.mistakes(MISTAKES)
    if not wrong:
        return (
            "<section><h2>Most confident mistakes</h2><p>None: every held-out photo is right.</p></section>\n"
        )
    cards = []
    for i in wrong:
        position = int(outcome.test[i])
        cards.append(
            f"<figure>{thumbnail(photos.paths[position], photos.name(position))}<figcaption>taken for "
            f"<b>{escape(outcome.predicted[i])}</b> at {percent(outcome.probability[i])}<br>"
            f"labelled <b>{escape(outcome.truth[i])}</b></figcaption></figure>"
        )
    total = sum(a != b for a, b in zip(outcome.truth, outcome.predicted, strict=True))
    return (
        f'<section><h2>Most confident mistakes</h2><p class="soft">{len(wrong)} of {total}, the surest '
        "first: hard photos, and the place to look for wrong labels.</p>"
        f'<div class="gallery">{"".join(cards)}</div></section>\n'
    )


def confusion(outcome: Outcome) -> str:
    """Which classes are taken for which; of many classes the most frequent confusions."""
    table = outcome.confusion
    if len(outcome.classes) > MAX_CONFUSION_CLASSES:
        pairs = sorted(
            (pair for pair in table if pair[0] != pair[1] and table[pair]), key=lambda pair: -table[pair]
        )
        rows = "".join(
            f"<tr><td>{escape(truth)}</td><td>{escape(said)}</td><td>{table[truth, said]}</td></tr>"
            for truth, said in pairs[:MAX_CONFUSION_CLASSES]
        )
        head = "<tr><th>labelled</th><th>taken for</th><th>photos</th></tr>"
        return f"<section><h2>Most frequent confusions</h2><table>{head}{rows}</table></section>"
    rows = ""
    for truth in outcome.classes:
        total = sum(table[truth, said] for said in outcome.classes)
        cells = "".join(_cell(table[truth, said], total, right=said == truth) for said in outcome.classes)
        right = percent(table[truth, truth] / total)
        rows += f'<tr><th>{escape(truth)}</th>{cells}<td class="share">{right}</td></tr>'
    head = "".join(f"<th>{escape(said)}</th>" for said in outcome.classes)
    return (
        '<section><h2>Confusion</h2><p class="soft">Rows: the label. Columns: the answer. '
        'Last: how many of the row are right.</p><div class="scroll"><table class="confusion">'
        f"<thead><tr><th></th>{head}<th>right</th></tr></thead><tbody>{rows}</tbody></table></div></section>"
    )


def _cell(count: int, total: int, *, right: bool) -> str:
    kind = "none" if not count else "" if right else "wrong"
    return f'<td class="{kind}" style="--part:{0.6 * count / total:.2f}">{count or "·"}</td>'
