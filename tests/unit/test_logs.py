"""Every line of the log can be parsed, whoever wrote it. In a process of its own, as logging is global."""

from __future__ import annotations

import json
import subprocess
import sys

CODE = """
import logging, warnings, structlog
from penult_server.logs import configure_logs
configure_logs("info", "json")
structlog.contextvars.bind_contextvars(request_id="r-1")
structlog.get_logger().info("call", code="OK")
structlog.get_logger().debug("not shown")
warnings.warn("from a library")
logging.getLogger("timm").warning("also %s", "from one")
logging.getLogger("timm").info("not shown")
try:
    1 / 0
except ZeroDivisionError:
    structlog.get_logger().error("internal_error", exc_info=True)
"""


def test_every_line_is_one_json_object() -> None:
    run = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True, timeout=60)
    lines = [json.loads(line) for line in run.stderr.splitlines()]
    assert [line["level"] for line in lines] == ["info", "warning", "warning", "error"]
    assert lines[0]["request_id"] == "r-1"
    assert "from a library" in lines[1]["event"]
    assert (lines[2]["event"], lines[2]["logger"]) == ("also from one", "timm")
    assert "ZeroDivisionError" in json.dumps(lines[3])
