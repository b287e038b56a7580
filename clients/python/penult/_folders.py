"""A folder of images as labelled examples: a folder for each class, perhaps below one for each split."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from penult.dataset_types import SplitName
from penult.errors import InvalidArgument
from penult.sources import image_files

_SPLIT_FOLDERS: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}


@dataclasses.dataclass(frozen=True, slots=True)
class LabelledFiles:
    """Files with what their folders say of them; `ids` are paths below the folder, with slashes."""

    paths: list[str]
    labels: list[str]
    splits: list[SplitName | None]
    ids: list[str]


def labelled_files(folder: str | os.PathLike[str], split: SplitName | None) -> LabelledFiles:
    """The images of folder/CLASS/…, or of folder/SPLIT/CLASS/… where every first folder names a split.

    `split` is for all images, and then no folder is taken for one.

    Raises:
        InvalidArgument: there is no such folder, no image in it, or an image that is in no class.
    """
    root = Path(os.path.expanduser(os.fspath(folder)))
    if not root.is_dir():
        raise InvalidArgument(f"{str(folder)!r} is no folder", reason="FOLDER_INVALID")
    paths = image_files(root)
    parts = [Path(path).relative_to(root).parts for path in paths]
    by_split = split is None and all(part[0].lower() in _SPLIT_FOLDERS for part in parts)
    depth = 1 if by_split else 0
    for part in parts:
        if len(part) < depth + 2:
            raise InvalidArgument(
                f"{'/'.join(part)!r} is in no class folder",
                reason="FOLDER_INVALID",
                hint="a folder for each class, FOLDER/CLASS/IMAGE, or FOLDER/train/CLASS/IMAGE",
            )
    return LabelledFiles(
        paths,
        [part[depth] for part in parts],
        [_SPLIT_FOLDERS[part[0].lower()] if by_split else split for part in parts],
        ["/".join(part) for part in parts],
    )
