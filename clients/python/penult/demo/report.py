"""The report: one HTML file that needs nothing else."""

from __future__ import annotations

import datetime
from html import escape
from pathlib import Path

import penult
from penult.demo.classify import Outcome, Trained
from penult.demo.findings import Findings
from penult.demo.neighbours import Neighbourhood
from penult.demo.photos import PhotoSet
from penult.demo.thumbnails import thumbnail

MISTAKES = 8
MAX_CONFUSION_CLASSES = 12
MAX_NARROW_CLASSES = 3
_SMALL = 112


def write_report(findings: Findings, folder: Path) -> Path:
    """Writes index.html into the folder, which is made if need be, and returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "index.html"
    page.write_text(_page(findings), encoding="utf-8")
    return page


def percent(share: float, digits: int = 0) -> str:
    """A share as people read it."""
    return f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


def _page(found: Findings) -> str:
    style = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    outcome = found.outcome
    parts = [_header(found), _tiles(found)]
    if outcome:
        parts.append(_accuracy(found, outcome))
    parts += [_neighbours(found), _sheet(found)]
    if outcome:
        parts.append(_mistakes(found.photo_set, outcome))
    facts = _backbone(found)
    if outcome and len(outcome.classes) <= MAX_NARROW_CLASSES:
        parts.append(f'<div class="two">{_confusion(outcome)}{facts}</div>')
    else:
        parts += [_confusion(outcome) if outcome else "", facts]
    parts += [_how(found), _footer(found)]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Penult: {escape(found.photo_set.title)}</title>\n<style>\n{style}</style>\n</head>\n"
        f"<body>\n<main>\n{''.join(parts)}</main>\n</body>\n</html>\n"
    )


def _header(found: Findings) -> str:
    photos, outcome = found.photo_set, found.outcome
    if outcome:
        accuracy = percent(outcome.evaluation.accuracy, 1)
        title = f"{accuracy} of {len(outcome.test)} unseen photos put in the right class"
        classes = escape(", ".join(outcome.classes[:6])) + (" and more" if len(outcome.classes) > 6 else "")
        lead = (
            "A linear head on features of a pretrained backbone, trained on the server in "
            f"{outcome.heads[0].seconds:.1f} s on {len(outcome.train)} {escape(photos.title)}: {classes}."
        )
    else:
        title = f"{len(photos.paths)} {escape(photos.title)}, and what looks like what"
        lead = "The folder has no classes, so nothing was classified; here are nearest neighbours."
    return f'<header><p class="brand">Penult demo</p><h1>{title}</h1><p class="lead">{lead}</p></header>\n'


def _tiles(found: Findings) -> str:
    tiles = [
        (f"{found.images_per_second:.0f} images/s", "from files to features, reading and sending included"),
        (f"{len(found.photo_set.paths):,} photos", f"of {found.photo_set.available:,} in the set"),
        (f"{found.backbone.dim:,}", "numbers in a feature, the activation before the classifier"),
        (found.backbone.device or "cpu", f"device; execution provider {escape(found.backbone.provider)}"),
    ]
    inner = "".join(f'<div class="tile"><b>{big}</b><span>{small}</span></div>' for big, small in tiles)
    return f'<div class="tiles">{inner}</div>\n'


def _accuracy(found: Findings, outcome: Outcome) -> str:
    measured = outcome.evaluation
    low, high = measured.accuracy_low, measured.accuracy_high
    heads = "".join(_head_row(trained) for trained in outcome.heads)
    notes = "".join(f'<p class="soft">{escape(note)}</p>' for note in found.photo_set.notes)
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


def _neighbours(found: Findings) -> str:
    said = "First a photo drawn at random, then its nearest neighbours by the cosine of their features. "
    if found.same_label:
        share, chance = found.same_label
        said += (
            "The former are held out, the latter are not. Over all held-out photos "
            f"{percent(share)} of the neighbours have the same label; chance would give {percent(chance)}."
        )
    rows = "".join(_hood(hood, found.photo_set) for hood in found.queries)
    return f'<section><h2>Nearest neighbours</h2><p class="soft">{said}</p>{rows}</section>\n'


def _sheet(found: Findings) -> str:
    photos = found.photo_set
    cards = []
    for position in found.sheet:
        picture = thumbnail(photos.paths[position], photos.name(position), _SMALL)
        caption = f"<figcaption>{escape(photos.labels[position])}</figcaption>" if photos.labels else ""
        cards.append(f"<figure>{picture}{caption}</figure>")
    said = (
        f"{len(found.sheet)} of the {found.index_count} photos in the index, drawn at random; each is "
        "followed by the one most like it of those that are left."
    )
    return (
        f'<section><h2>Contact sheet</h2><p class="soft">{said}</p>'
        f'<div class="sheet">{"".join(cards)}</div></section>\n'
    )


def _hood(hood: Neighbourhood, photos: PhotoSet) -> str:
    def label(position: int) -> str:
        return escape(photos.labels[position]) if photos.labels else ""

    cards = []
    for position, cosine in zip(hood.neighbours, hood.cosines, strict=True):
        kind = ""
        if photos.labels:
            same = photos.labels[position] == photos.labels[hood.query]
            kind = f' class="{"same" if same else "other"}"'
        caption = f"<b>{label(position)}</b> {cosine:.3f}" if photos.labels else f"{cosine:.3f}"
        picture = thumbnail(photos.paths[position], photos.name(position))
        cards.append(f"<figure{kind}>{picture}<figcaption>{caption}</figcaption></figure>")
    name = photos.name(hood.query)
    title = f"<b>{label(hood.query)}</b>" if photos.labels else ""
    query = (
        f"<figure>{thumbnail(photos.paths[hood.query], name)}"
        f'<figcaption>{title}<span class="name">{escape(Path(name).name)}</span></figcaption></figure>'
    )
    return f'<div class="hood">{query}<div class="row">{"".join(cards)}</div></div>'


def _mistakes(photos: PhotoSet, outcome: Outcome) -> str:
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


def _confusion(outcome: Outcome) -> str:
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


def _backbone(found: Findings) -> str:
    backbone = found.backbone
    rows = [
        ("name", backbone.name),
        ("source", f"{backbone.source}, licence {backbone.licence}"),
        ("parameters", f"{backbone.parameter_count / 1e6:.1f} million, none of them trained here"),
    ]
    if backbone.preprocess:
        height, width = backbone.preprocess.input_size
        rows.append(("input", f"{width} x {height} pixels, {backbone.preprocess.interpolation} resize"))
    ran = f"{backbone.provider} on {backbone.device}"
    if backbone.provider_cosine:
        ran += f"; worst cosine to eager float32 PyTorch {backbone.provider_cosine:.6f}"
    rows += [("ran on", ran), ("fingerprint", found.fingerprint)]
    inner = "".join(f"<tr><th>{name}</th><td>{escape(value)}</td></tr>" for name, value in rows)
    return f"<section><h2>Backbone</h2><table>{inner}</table></section>\n"


def _how(found: Findings) -> str:
    code = (
        "import penult\n"
        'client = penult.Client("127.0.0.1:50051")\n'
        "features = client.extract(paths)  # float32 (N, dim)"
    )
    if found.outcome:
        code += (
            '\n\nclient.datasets.create("photos")\n'
            'client.datasets.add_folder("photos", folder)\n'
            'client.datasets.split("photos", train=0.7, validation=0, test=0.3)\n'
            'model = client.models.train_head("mine", dataset="photos").result()\n'
            'print(model.metrics["accuracy"], client.models.predict("mine", "photo.jpg")[0].label)'
        )
    code += (
        '\n\nindex = client.indexes.create("photos")\nindex.add(paths)\nhits = index.search("photo.jpg", k=5)'
    )
    failed = "".join(f"<li>{escape(str(error))}</li>" for error in found.failed)
    unusable = f"<p>Photos of the set that could not be used:</p><ul>{failed}</ul>" if failed else ""
    return (
        "<section><h2>How this was made</h2>"
        f"<pre>{escape(code)}</pre>"
        "<p>All of it on the server: features, dataset, heads, predictions and index.</p>"
        "<p>Checked on the way: a photo sent alone gets the feature that it got in the collection (largest "
        f"relative difference {found.alone_difference:.0e}), and a file cut short among good ones fails by "
        f"itself, as <code>{escape(found.broken.reason)}</code>: {escape(found.broken.message)}</p>"
        f"{unusable}</section>\n"
    )


def _footer(found: Findings) -> str:
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    licence = f"<p>{escape(found.photo_set.licence)}</p>" if found.photo_set.licence else ""
    return f"<footer>{licence}<p>Made by penult {penult.__version__} on {today}.</p></footer>\n"
