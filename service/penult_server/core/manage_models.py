"""Use cases on models: get, list, alias, delete, and make ensembles."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

from penult_server.core.classifier import leaves
from penult_server.core.errors import FailedPrecondition, InvalidArgument
from penult_server.core.model_ports import ModelStore
from penult_server.core.models import (
    MAX_MEMBERS,
    Model,
    ModelKind,
    ModelReference,
    ModelVersion,
    NewVersion,
    check_alias,
)
from penult_server.core.names import check_name
from penult_server.core.paging import Page, page_of, start_of_page

MAX_LEAVES = 64
_VERSION = re.compile(r"[0-9]{1,18}")
_NAMED = 5


class ManageModels:
    """Describes, names and removes models. Methods raise NotFound for a name that none has."""

    def __init__(self, store: ModelStore) -> None:
        """`store` keeps them."""
        self._store = store

    async def get(self, reference: ModelReference) -> tuple[Model, ModelVersion]:
        """A version with its evidence, and its model."""
        version = await asyncio.to_thread(lambda: self._store.resolve(reference, evidence=True))
        return await asyncio.to_thread(self._store.get, reference.name), version

    async def list(self, page_size: int, page_token: str) -> Page[Model]:
        """One page by name."""
        size, after = start_of_page(page_size, page_token)
        rows = await asyncio.to_thread(self._store.list, after, size + 1)
        return page_of(rows, size, key=lambda model: model.name)

    async def versions(self, name: str, page_size: int, page_token: str) -> Page[ModelVersion]:
        """One page, newest first, without evidence."""
        size, before = start_of_page(page_size, page_token)
        if before and not _VERSION.fullmatch(before):
            raise InvalidArgument(
                "BAD_PAGE_TOKEN",
                "page_token is not one of ListModelVersions",
                field="page_token",
                hint="start again without a token",
            )
        rows = await asyncio.to_thread(self._store.versions, name, int(before) if before else None, size + 1)
        return page_of(rows, size, key=lambda version: str(version.version))

    async def set_alias(self, name: str, alias: str, version: int, request_id: str) -> Model:
        """Points an alias to a version (0: the latest). Raises InvalidArgument for a bad alias."""
        check_alias(alias)
        return await asyncio.to_thread(self._store.set_alias, name, alias, version or None, request_id)

    async def delete_alias(self, name: str, alias: str, request_id: str) -> Model:
        """Removes an alias."""
        return await asyncio.to_thread(self._store.delete_alias, name, alias, request_id)

    async def delete(self, name: str, request_id: str) -> int:
        """Removes a model; says how many versions it had. Raises FailedPrecondition while it is in use."""
        return await asyncio.to_thread(self._store.delete, name, request_id)

    async def delete_version(self, name: str, version: int, request_id: str) -> None:
        """Removes a version. Raises FailedPrecondition while it is in use."""
        await asyncio.to_thread(self._store.delete_version, name, version, request_id)

    async def ensemble(self, name: str, members: Sequence[ModelReference], request_id: str) -> ModelVersion:
        """A version that averages the probabilities of others, as they are now.

        Raises:
            InvalidArgument: too few or too many members, or one of them twice.
            FailedPrecondition: CLASSES_DIFFER.
        """
        check_name(name, "name")
        if not 2 <= len(members) <= MAX_MEMBERS:
            raise InvalidArgument(
                "BAD_COUNT", f"{len(members)} models given; 2 to {MAX_MEMBERS} are taken", field="models"
            )
        return await asyncio.to_thread(self._ensemble, name, members, request_id)

    def _ensemble(self, name: str, members: Sequence[ModelReference], request_id: str) -> ModelVersion:
        versions = [self._store.resolve(member) for member in members]
        if len({version.id for version in versions}) < len(versions):
            raise InvalidArgument("MEMBER_REPEATED", "one version is given twice", field="models")
        first = versions[0]
        for other in versions[1:]:
            _check_same_classes(first, other)
        count = sum(1 for version in versions for _ in leaves(version, self._store))
        if count > MAX_LEAVES:
            raise InvalidArgument(
                "TOO_MANY_MEMBERS",
                f"with the ensembles inside it would have {count} heads; at most {MAX_LEAVES} are taken",
                field="models",
            )
        new = NewVersion(
            kind=ModelKind.ENSEMBLE,
            labels=first.labels,
            multi_label=first.multi_label,
            members=tuple(version.reference for version in versions),
        )
        return self._store.ensemble(name, new, [version.id for version in versions], request_id)


def _check_same_classes(first: ModelVersion, other: ModelVersion) -> None:
    if first.multi_label != other.multi_label:
        raise FailedPrecondition(
            "CLASSES_DIFFER",
            f"one of {first.reference} and {other.reference} is multi-label, the other is not",
            hint="average models of one kind",
        )
    if first.labels != other.labels:
        only = sorted(set(first.labels) ^ set(other.labels))
        more = f" and {len(only) - _NAMED} more" if len(only) > _NAMED else ""
        raise FailedPrecondition(
            "CLASSES_DIFFER",
            f"{first.reference} and {other.reference} do not know the same classes: only one knows "
            f"{', '.join(only[:_NAMED])}{more}",
            hint="train them on datasets with the same labels",
        )
