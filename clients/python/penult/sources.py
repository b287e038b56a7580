"""From whatever a caller gives to one lazy sequence of single images."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from penult.errors import InvalidArgument

if TYPE_CHECKING:
    from PIL import Image

    ImageLike = str | os.PathLike[str] | bytes | bytearray | memoryview | np.ndarray[Any, Any] | Image.Image
    """One image: a path, the bytes of a file, a PIL image, or pixels (H, W[, 1 | 3 | 4])."""

    ImagesLike = ImageLike | Iterable[ImageLike]
    """One image, any iterable of them, a folder, or a glob pattern such as "photos/**/*.jpg"."""

IMAGE_SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff",
    ".jp2", ".j2k", ".avif", ".ico", ".tga", ".ppm", ".pgm", ".pbm", ".pnm",
})  # fmt: skip
"""Files with these suffixes are taken from a folder; a file given by name may have any."""


def is_pil(value: object) -> TypeGuard[Image.Image]:
    """True for a PIL image; does not import Pillow, for where it was never imported nothing is one."""
    pil = sys.modules.get("PIL.Image")
    return pil is not None and isinstance(value, pil.Image)


def single_images(images: ImagesLike) -> Iterator[ImageLike]:
    """Yields one image after the other, reading an iterable only as far as it is asked to.

    Folders and glob patterns become sorted paths, also inside an iterable.

    Raises:
        InvalidArgument: something that is no image, or a pattern or folder without images.
    """
    if isinstance(images, np.ndarray):
        yield from _array(images)
    elif _is_single(images):
        yield from _expand(images)
    elif isinstance(images, Iterable):
        for image in images:
            if not _is_single(image):
                raise _no_image(image)
            yield from _expand(image)
    else:
        raise _no_image(images)


def image_files(path: str | os.PathLike[str]) -> list[str]:
    """Sorted paths of the images that a folder (with its subfolders) or a glob pattern stands for.

    A path that is neither stands for itself. This is the order in which `extract` returns the rows.

    Raises:
        InvalidArgument: nothing matches.
    """
    text = os.path.expanduser(os.fspath(path))
    if os.path.isdir(text):
        found = sorted(str(file) for file in Path(text).rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES)
        problem, hint = f"no image in folder {text!r}", "a pattern such as folder/* takes files of any suffix"
    elif ("*" in text or "?" in text) and not os.path.exists(text):
        found = sorted(file for file in glob.iglob(text, recursive=True) if not os.path.isdir(file))
        problem, hint = f"no file matches {text!r}", "check the pattern; ** reaches into subfolders"
    else:
        return [text]
    if not found:
        raise InvalidArgument(problem, reason="NO_IMAGES", hint=hint)
    return found


def count_hint(images: object) -> int | None:
    """Number of images where it is known without reading any, else None."""
    if isinstance(images, np.ndarray):
        return len(images) if images.ndim == 4 or images.dtype.kind in "OSU" else 1
    if isinstance(images, str | os.PathLike):
        return None
    if _is_single(images):
        return 1
    return len(images) if hasattr(images, "__len__") else None


def is_single_image(value: object) -> bool:
    """Whether this is one image, and no folder, pattern or collection."""
    if isinstance(value, str | os.PathLike):
        text = os.path.expanduser(os.fspath(value))
        return not os.path.isdir(text) and (os.path.exists(text) or not ("*" in text or "?" in text))
    if isinstance(value, np.ndarray):
        return value.ndim in (2, 3) and value.dtype.kind not in "OSU"
    return _is_single(value)


def _is_single(value: object) -> TypeGuard[ImageLike]:
    return isinstance(value, str | os.PathLike | bytes | bytearray | memoryview | np.ndarray) or is_pil(value)


def _expand(image: ImageLike) -> Iterator[ImageLike]:
    if isinstance(image, str | os.PathLike):
        yield from image_files(image)
    else:
        yield image


def _array(array: np.ndarray[Any, Any]) -> Iterator[ImageLike]:
    if array.dtype.kind in "OSU":  # an array of paths or of images, as data frames give them
        yield from single_images(array.ravel().tolist())
    elif array.ndim == 4:
        yield from array
    else:
        yield array


def _no_image(value: object) -> InvalidArgument:
    kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    hint = "give paths, bytes, PIL images or numpy arrays (H, W, 3), or an iterable of these"
    if type(value).__module__ == "torch":
        hint = "give tensor.permute(1, 2, 0).numpy() for a tensor (3, H, W)"
    return InvalidArgument(f"{kind} is no image", reason="NOT_AN_IMAGE", hint=hint)
