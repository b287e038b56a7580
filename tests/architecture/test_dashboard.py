"""The dashboard asks only for metrics that the code makes."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OF_THE_PROCESS = {"process_resident_memory_bytes", "process_cpu_seconds_total"}


def made() -> set[str]:
    """Names in the code, with the suffixes that Prometheus gives to a histogram."""
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "service").rglob("*.py"))
    names = set(re.findall(r"\"(penult_[a-z_]+)\"", source))
    assert len(names) > 10
    return (
        names
        | {f"{name}_{suffix}" for name in names for suffix in ("bucket", "sum", "count")}
        | OF_THE_PROCESS
    )


def test_every_query_of_the_dashboard_is_about_a_metric_that_exists() -> None:
    dashboard = json.loads((ROOT / "deploy" / "grafana" / "penult.json").read_text(encoding="utf-8"))
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(queries) > 10
    asked = {name for query in queries for name in re.findall(r"\b(?:penult|process)_[a-z_]+", query)}
    assert asked <= made()


def test_names_and_units_follow_the_conventions_of_prometheus() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "service").rglob("*.py"))
    for kind, name in re.findall(r"\.(counter|total|histogram|gauge)\(\s*\"([a-z_]+)\"", source):
        assert name.startswith("penult_")
        assert name.endswith("_total") == (kind in ("counter", "total")), name
        assert not re.search(r"_(ms|milliseconds|mb|megabytes|percent)\b", name), name


def test_operations_page_lists_every_metric_and_no_other() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    table = set(re.findall(r"`(penult_[a-z_]+)(?:\{[a-z,]+\})?`", page))
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "service").rglob("*.py"))
    instruments = re.findall(r"\.(?:counter|total|histogram|gauge)\(\s*\"(penult_[a-z_]+)\"", source)
    assert set(instruments) == table
