"""The page of `penult evaluate --report`."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

import penult
from penult.pages.line_chart import Point, line_chart
from penult.pages.model_report import MAX_MATRIX, write_report
from tests.pictures import coloured_png

PICTURE = coloured_png("red", 1)
SHA256 = hashlib.sha256(PICTURE).hexdigest()


def evaluation(labels: tuple[str, ...] = ("ant & bee", "cow <1>")) -> penult.Evaluation:
    return penult.Evaluation(
        split="test", count=10, left_out=0, multi_label=False, labels=labels, accuracy=0.8, accuracy_low=0.49,
        accuracy_high=0.94, top5_accuracy=1.0, balanced_accuracy=0.79, macro_f1=0.78, micro_f1=0.8,
        mean_average_precision=None, log_loss=0.4, calibration_error=0.05, calibration_bins=(),
        classes=tuple(penult.ClassScore(label, 0.8, 0.8, 0.8, 5) for label in labels),
        confusion=((0, 0, 4), (0, 1, 1), (1, 0, 1), (1, 1, 4)), threshold=None, reject_rate=None,
        accepted_accuracy=None,
        mistakes=(
            penult.Mistake(SHA256, (labels[0],), (labels[1],), 0.93),
            penult.Mistake("0" * 64, (labels[1],), (labels[0],), 0.71),
        ),
    )  # fmt: skip


def evidence(measured: penult.Evaluation) -> penult.Evidence:
    curve = tuple(
        penult.CurvePoint({"C": 10.0**power}, 0.7 + power / 100, 0.01, folds, dropped=power == -2)
        for power, folds in ((-6, 0), (-2, 1), (0, 5), (2, 5))
    )
    learning = (penult.LearningPoint(10, 0.6, 0.5, 0.7), penult.LearningPoint(40, 0.8, 0.7, 0.9))
    return penult.Evidence(
        measured, "test", "measured on the test split", 40, 1, {"C": 100.0}, "accuracy", curve, learning,
        {"search": 1.25}, ("classes with a single training image: cow",),
    )  # fmt: skip


def test_the_page_shows_figures_curves_and_the_pictures_of_mistakes(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.png").write_bytes(coloured_png("blue", 3))
    (folder / "b.png").write_bytes(PICTURE)
    measured, page = evaluation(), tmp_path / "report.html"
    write_report(page, "insects@3", measured, evidence(measured), sorted(folder.iterdir()))
    html = page.read_text(encoding="utf-8")
    assert not re.search(r"""(?:src|href)=["'](?!data:)|@import|url\(""", html), "the page needs other files"
    assert "<h1>insects@3</h1>" in html
    assert "80.0 % of 10 images of test are right (95 % interval 49.0 to 94.0 %)" in html
    assert "measured on the test split" in html
    assert "classes with a single training image" in html
    assert "ant &amp; bee" in html
    assert "cow <1>" not in html
    charts = [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", html, re.DOTALL)]
    # Three of the four points of C were tried, one of them given up; then two of the learning curve.
    kinds = [[mark.get("class") for mark in chart.iter("circle")] for chart in charts]
    assert kinds == [["faint", "dot", "dot"], ["dot", "dot"]]
    assert html.count("<img ") == 1, "the other mistake's picture is not in the folder"
    assert "0" * 16 in html


def test_without_evidence_and_mistakes_there_are_no_curves(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    write_report(page, "both@1", dataclasses.replace(evaluation(), mistakes=()), None)
    html = page.read_text(encoding="utf-8")
    assert "<svg" not in html
    assert "None." in html


def test_many_classes_get_a_list_of_confusions(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    write_report(page, "many@1", evaluation(tuple(f"class {n:03}" for n in range(MAX_MATRIX + 1))), None)
    assert "Most frequent confusions" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "points",
    [[Point(1, 0.5, 0.5, 0.5)], [Point(5, 0.0, 0.0, 0.0), Point(5, 0.0, 0.0, 0.0)], [Point(1e-6, 1, 0, 1)]],
)
def test_charts_of_hardly_anything_are_drawn(points: list[Point]) -> None:
    chart = ElementTree.fromstring(line_chart(points, "x", "y", marked=points[0].x))
    places = [float(mark.get(axis, "nan")) for mark in chart.iter("circle") for axis in ("cx", "cy")]
    assert all(0 <= place <= 640 for place in places)
