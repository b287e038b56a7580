"""The report: one HTML file that needs nothing else."""

from __future__ import annotations

import datetime
from html import escape
from pathlib import Path

import penult
from penult.demo.findings import Findings
from penult.demo.finetune import SETTINGS
from penult.demo.neighbours import Neighbourhood
from penult.demo.photos import PhotoSet
from penult.demo.report_classes import confusion, fine_tuned, held_out_accuracy, mistakes, percent
from penult.demo.thumbnails import thumbnail

MAX_NARROW_CLASSES = 3
_SMALL = 112


def write_report(findings: Findings, folder: Path) -> Path:
    """Writes index.html into the folder, which is made if need be, and returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "index.html"
    page.write_text(_page(findings), encoding="utf-8")
    return page


def _page(found: Findings) -> str:
    style = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    outcome = found.outcome
    parts = [_header(found), _tiles(found)]
    if outcome:
        parts.append(held_out_accuracy(found.photo_set, outcome))
        if found.tuned:
            parts.append(fine_tuned(found.tuned, outcome))
    parts += [_neighbours(found), _sheet(found)]
    if outcome:
        parts.append(mistakes(found.photo_set, outcome))
    facts = _backbone(found)
    if outcome and len(outcome.classes) <= MAX_NARROW_CLASSES:
        parts.append(f'<div class="two">{confusion(outcome)}{facts}</div>')
    else:
        parts += [confusion(outcome) if outcome else "", facts]
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


def _backbone(found: Findings) -> str:
    backbone = found.backbone
    rows = [
        ("name", backbone.name),
        ("source", f"{backbone.source}, licence {backbone.licence}"),
        ("parameters", f"{backbone.parameter_count / 1e6:.1f} million, none of them trained for the heads"),
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
    if found.tuned:
        settings = {"epochs": found.tuned.epochs, **SETTINGS}
        given = ", ".join(f"{name}={value!r}" for name, value in settings.items())
        code += f'\nmodel = client.models.finetune("better", dataset="photos", {given}).result()'
    code += (
        '\n\nindex = client.indexes.create("photos")\nindex.add(paths)\nhits = index.search("photo.jpg", k=5)'
    )
    failed = "".join(f"<li>{escape(str(error))}</li>" for error in found.failed)
    unusable = f"<p>Photos of the set that could not be used:</p><ul>{failed}</ul>" if failed else ""
    return (
        "<section><h2>How this was made</h2>"
        f"<pre>{escape(code)}</pre>"
        "<p>All of it on the server: features, dataset, training, predictions and index.</p>"
        "<p>Checked on the way: a photo sent alone gets the feature that it got in the collection (largest "
        f"relative difference {found.alone_difference:.0e}), and a file cut short among good ones fails by "
        f"itself, as <code>{escape(found.broken.reason)}</code>: {escape(found.broken.message)}</p>"
        f"{unusable}</section>\n"
    )


def _footer(found: Findings) -> str:
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    licence = f"<p>{escape(found.photo_set.licence)}</p>" if found.photo_set.licence else ""
    return f"<footer>{licence}<p>Made by penult {penult.__version__} on {today}.</p></footer>\n"
