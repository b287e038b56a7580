"""Small pictures inside a page."""

from __future__ import annotations

import base64
import io
from html import escape
from pathlib import Path

from PIL import Image, ImageOps

SIDE = 224


def thumbnail(path: Path | io.BytesIO, description: str, side: int = SIDE) -> str:
    """An <img> with the picture inside it, or a blank where this machine cannot draw the file."""
    try:
        with Image.open(path) as picture:
            small = ImageOps.fit(ImageOps.exif_transpose(picture).convert("RGB"), (side, side))
    except (OSError, ValueError, Image.DecompressionBombError):
        return f'<div class="blank" title="{escape(description)}"></div>'
    file = io.BytesIO()
    small.save(file, "JPEG", quality=80, optimize=True)
    data = base64.b64encode(file.getvalue()).decode()
    return f'<img alt="{escape(description)}" loading="lazy" src="data:image/jpeg;base64,{data}">'
