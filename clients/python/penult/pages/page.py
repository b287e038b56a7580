"""One HTML file that needs nothing else: the frame that all pages share."""

from __future__ import annotations

import datetime
from html import escape
from pathlib import Path

import penult

_STYLE = Path(__file__).parents[1] / "demo" / "report.css"


def write_page(path: Path, title: str, lead: str, body: str, style: str = "") -> None:
    """Writes it; `body` is HTML, `title` and `lead` are text, `style` is CSS beside that of all pages."""
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    path.write_text(
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_STYLE.read_text(encoding='utf-8')}{style}</style>\n"
        f'</head>\n<body>\n<main>\n<header><p class="brand">Penult</p><h1>{escape(title)}</h1>'
        f'<p class="lead">{escape(lead)}</p></header>\n'
        f"{body}\n<footer><p>Made by penult {penult.__version__} on {today}.</p></footer>\n"
        "</main>\n</body>\n</html>\n",
        encoding="utf-8",
    )
