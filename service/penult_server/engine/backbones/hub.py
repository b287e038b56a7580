"""Weights from a hub or its local cache. Answers quickly where the hub cannot be reached."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import torch
from huggingface_hub import constants, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

from penult_server.core.errors import DataLoss, Unavailable
from penult_server.engine.backbones.checkpoint import file_sha256

# Seconds for a connection or a pause in a download, not for a download as a whole.
_TIMEOUT = 10
_PROBE_TIMEOUT = 5
_FILES = ("model.safetensors", "pytorch_model.bin")


def fetch_repository(repository: str, backbone: str, allow_download: bool) -> Path:
    """The weights file of a repository of the hub that timm uses, cached where timm caches it.

    Args:
        repository: `owner/name` or `owner/name@revision`.
        backbone: for messages.
        allow_download: False looks into the cache only.

    Raises:
        Unavailable: WEIGHTS_UNREACHABLE, neither cached nor obtainable.
    """
    repo_id, _, revision = repository.partition("@")
    if (cached := _cached(repo_id, revision or None)) is not None:
        return cached
    if not allow_download or constants.HF_HUB_OFFLINE:
        raise _unreachable(backbone, "they are not in the local cache, and downloads are switched off")
    # The client's own retries take half a minute before they give up.
    _check_reachable(constants.ENDPOINT, backbone)
    try:
        return _download(repo_id, revision or None)
    except Exception as error:  # the client changed its HTTP library, and so its errors, between versions
        raise _unreachable(backbone, f"the hub does not give them: {_first_line(error)}") from error


def fetch_url(url: str, backbone: str, allow_download: bool) -> Path:
    """A weights file by its address, cached where torch.hub caches it and under the same name.

    Raises:
        Unavailable: WEIGHTS_UNREACHABLE, neither cached nor obtainable.
        DataLoss: WEIGHTS_DAMAGED, what arrived does not have the checksum in its name.
    """
    name = Path(urllib.parse.urlparse(url).path).name
    cached = Path(torch.hub.get_dir()) / "checkpoints" / name
    if cached.is_file():
        return cached
    if not allow_download or constants.HF_HUB_OFFLINE:
        raise _unreachable(backbone, "they are not in the local cache, and downloads are switched off")
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        with (
            urllib.request.urlopen(url, timeout=_TIMEOUT) as response,
            tempfile.NamedTemporaryFile(dir=cached.parent, prefix=".download-", delete=False) as file,
        ):
            partial = Path(file.name)
            try:
                shutil.copyfileobj(response, file, 1 << 20)
                file.flush()
                _check_hash_in_name(partial, name)
                os.replace(partial, cached)
            finally:
                partial.unlink(missing_ok=True)
    except OSError as error:  # urllib's errors and time-outs are OSErrors
        raise _unreachable(backbone, _first_line(error)) from error
    return cached


def _cached(repo_id: str, revision: str | None) -> Path | None:
    for filename in _FILES:
        with contextlib.suppress(LocalEntryNotFoundError):
            return Path(hf_hub_download(repo_id, filename, revision=revision, local_files_only=True))
    return None


def _download(repo_id: str, revision: str | None) -> Path:
    preferred, other = _FILES
    try:
        return Path(hf_hub_download(repo_id, preferred, revision=revision, etag_timeout=_TIMEOUT))
    except LocalEntryNotFoundError:
        raise  # the hub went away; it says nothing about which files there are
    except EntryNotFoundError:
        return Path(hf_hub_download(repo_id, other, revision=revision, etag_timeout=_TIMEOUT))


def _check_hash_in_name(path: Path, name: str) -> None:
    # torch.hub's convention: name-<first hex digits of the sha256>.pth
    match = torch.hub.HASH_REGEX.search(name)
    if match is not None and not file_sha256(path).startswith(match.group(1)):
        raise DataLoss(
            "WEIGHTS_DAMAGED",
            f"the download of {name} does not have the checksum in its name",
            hint="try again",
        )


def _check_reachable(endpoint: str, backbone: str) -> None:
    request = urllib.request.Request(endpoint, method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=_PROBE_TIMEOUT).close()
    except urllib.error.HTTPError:
        return  # any answer is an answer
    except OSError as error:
        raise _unreachable(backbone, f"the hub cannot be reached ({_first_line(error)})") from error


def _unreachable(backbone: str, why: str) -> Unavailable:
    return Unavailable(
        "WEIGHTS_UNREACHABLE",
        f"no weights for {backbone!r}: {why}",
        hint="mount a filled hub cache, put the file into the checkpoint directory, import it with "
        "import_checkpoint, or use a bundled backbone such as tf_efficientnet_lite0",
        backbone=backbone,
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
