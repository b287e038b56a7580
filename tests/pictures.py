"""Pictures in any number, each different from all others, for tests that need many."""

from __future__ import annotations

import io

from PIL import Image


def tiny_png(number: int) -> bytes:
    """A 4 x 4 PNG file of one colour; numbers below 2**24 give different ones."""
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (number >> 16 & 255, number >> 8 & 255, number & 255)).save(file, "PNG")
    return file.getvalue()


def coloured_png(label: str, number: int) -> bytes:
    """A PNG whose colour says its label: red, green or blue; numbers below 4096 give different ones."""
    place = ("red", "green", "blue").index(label)
    colour = [number % 16, number // 16 % 16, number // 256 % 16]
    colour[place] += 200
    file = io.BytesIO()
    Image.new("RGB", (16, 16), (colour[0], colour[1], colour[2])).save(file, "PNG")
    return file.getvalue()
