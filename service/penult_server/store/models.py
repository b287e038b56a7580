"""Models: rows in the database, files in artifact directories.

Files are durable before the row that names them, and outlive it: what is served is always whole.
"""

from __future__ import annotations

import dataclasses
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence

import sqlalchemy as sa

from penult_server.core.caller import CALLER
from penult_server.core.errors import FailedPrecondition, NotFound
from penult_server.core.model_ports import TakenVersion
from penult_server.core.models import Model, ModelReference, ModelVersion, NewVersion
from penult_server.core.own_backbones import own_backbone
from penult_server.core.quotas import NO_QUOTAS, Quotas
from penult_server.store import index_rows, model_rows
from penult_server.store.acknowledged import recall, remember
from penult_server.store.artifacts import ArtifactStore
from penult_server.store.database import Database
from penult_server.store.model_tables import model_aliases, model_members, model_versions, models
from penult_server.store.stored_bytes import check_stored


class DatabaseModels:
    """Implements core.model_ports.ModelStore, which says what the methods do."""

    def __init__(self, database: Database, artifacts: ArtifactStore, quotas: Quotas = NO_QUOTAS) -> None:
        """Clears away files that no version needs."""
        self._database = database
        self._artifacts = artifacts
        self._quotas = quotas
        self._files = threading.Lock()
        with database.read() as connection:
            artifacts.sweep(model_rows.artifacts(connection))

    def check_room(self, name: str) -> None:
        """See core.model_ports.ModelStore."""
        with self._database.read() as connection:
            self._check_room(connection, name)
            check_stored(connection, self._quotas, CALLER.get(), 1)

    def publish(self, name: str, job_id: str, make: Callable[[], NewVersion]) -> ModelVersion:
        """See core.model_ports.ModelStore."""
        with self._files:
            with self._database.read() as connection:
                if earlier := model_rows.by_job(connection, job_id):
                    return earlier
            new = make()
            try:
                with self._database.write() as connection:
                    placed = [model_rows.insert(connection, name, each, None) for each in new.beside]
                    members = tuple(f"{name}@{placed[n][1]}" for n in new.averaged) or new.members
                    new = dataclasses.replace(new, members=members)
                    key, version = model_rows.insert(connection, name, new, job_id)
                    model_rows.depend(connection, key, new)
                    reference = ModelReference(name, version=version)
                    return model_rows.resolve(connection, reference, evidence=True)
            except BaseException:
                for each in (*new.beside, new):
                    self._artifacts.remove(each.artifact)
                raise

    def ensemble(
        self, name: str, new: NewVersion, member_ids: Sequence[int], request_id: str
    ) -> ModelVersion:
        """See core.model_ports.ModelStore."""
        write = f"EnsembleModels {name}"
        with self._database.write() as connection:
            version = recall(connection, request_id, write)
            if version is None:
                query = sa.select(sa.func.count()).where(model_versions.c.id.in_(list(member_ids)))
                if connection.execute(query).scalar() != len(set(member_ids)):
                    raise NotFound("MODEL_VERSION_NOT_FOUND", "one of the members was deleted meanwhile")
                self._check_room(connection, name)
                key, version = model_rows.insert(connection, name, new, None)
                connection.execute(
                    model_members.insert(),
                    [{"version_id": key, "member_id": member} for member in dict.fromkeys(member_ids)],
                )
                remember(connection, request_id, write, version)
            return model_rows.resolve(connection, ModelReference(name, version=version))

    def take_in(
        self, name: str, make: Callable[[str], Sequence[TakenVersion]], request_id: str
    ) -> ModelVersion:
        """See core.model_ports.ModelStore."""
        with self._files:
            if (earlier := self.taken_in(name, request_id)) is not None:
                return earlier
            artifact = f"import-{uuid.uuid4().hex}"
            try:
                versions = make(artifact)
                with self._database.write() as connection:
                    size = sum(each.version.size_bytes for each in versions)
                    check_stored(connection, self._quotas, CALLER.get(), size)
                    self._check_room(connection, *{each.name for each in versions})
                    reference = model_rows.insert_all(connection, versions)
                    remember(connection, request_id, f"ImportModel {name}", reference.version)
                    return model_rows.resolve(connection, reference, evidence=True)
            except BaseException:
                self._artifacts.remove_all(artifact)
                raise

    def taken_in(self, name: str, request_id: str) -> ModelVersion | None:
        """See core.model_ports.ModelStore."""
        with self._database.read() as connection:
            version = recall(connection, request_id, f"ImportModel {name}")
            if version is None:
                return None
            return model_rows.resolve(connection, ModelReference(name, version=version), evidence=True)

    def resolve(self, reference: ModelReference, *, evidence: bool = False) -> ModelVersion:
        """See core.model_ports.ModelStore."""
        with self._database.read() as connection:
            return model_rows.resolve(connection, reference, evidence=evidence)

    def get(self, name: str) -> Model:
        """See core.model_ports.ModelStore."""
        with self._database.read() as connection:
            return model_rows.get(connection, name)

    def list(self, after: str, limit: int) -> Sequence[Model]:
        """See core.model_ports.ModelStore."""
        with self._database.read() as connection:
            return model_rows.page(connection, after, limit)

    def versions(self, name: str, before: int | None, limit: int) -> Sequence[ModelVersion]:
        """See core.model_ports.ModelStore."""
        with self._database.read() as connection:
            return model_rows.versions(connection, name, before, limit)

    def fine_tuned(self) -> Sequence[ModelVersion]:
        """See core.model_ports.ModelStore."""
        with self._database.read() as connection:
            return model_rows.fine_tuned(connection)

    def set_alias(self, name: str, alias: str, version: int | None, request_id: str) -> Model:
        """See core.model_ports.ModelStore."""
        write = f"SetModelAlias {name}@{alias} {version or ''}"
        with self._database.write() as connection:
            if recall(connection, request_id, write) is None:
                model_id = model_rows.find(connection, name)
                target = model_rows.resolve(connection, ModelReference(name, version=version))
                _drop_alias(connection, model_id, alias)
                connection.execute(
                    model_aliases.insert().values(model_id=model_id, alias=alias, version_id=target.id)
                )
                remember(connection, request_id, write, True)
            return model_rows.get(connection, name)

    def delete_alias(self, name: str, alias: str, request_id: str) -> Model:
        """See core.model_ports.ModelStore."""
        write = f"DeleteModelAlias {name}@{alias}"
        with self._database.write() as connection:
            if recall(connection, request_id, write) is None:
                if not _drop_alias(connection, model_rows.find(connection, name), alias):
                    raise NotFound(
                        "ALIAS_NOT_FOUND",
                        f"model {name!r} has no alias {alias[:80]!r}",
                        hint="GetModel says which it has",
                    )
                remember(connection, request_id, write, True)
            return model_rows.get(connection, name)

    def delete(self, name: str, request_id: str) -> int:
        """See core.model_ports.ModelStore."""
        write = f"DeleteModel {name}"
        with self._files:
            with self._database.write() as connection:
                before = recall(connection, request_id, write)
                if before is not None:
                    return int(before)
                model_id = model_rows.find(connection, name)
                query = sa.select(model_versions.c.id, model_versions.c.version, model_versions.c.artifact)
                rows = connection.execute(query.where(model_versions.c.model_id == model_id)).all()
                _remove(connection, name, {row.id: own_backbone(name, row.version) for row in rows})
                connection.execute(models.delete().where(models.c.id == model_id))
                remember(connection, request_id, write, len(rows))
            for row in rows:
                self._artifacts.remove(row.artifact)
        return len(rows)

    def delete_version(self, name: str, version: int, request_id: str) -> None:
        """See core.model_ports.ModelStore."""
        write = f"DeleteModelVersion {name}@{version}"
        with self._files:
            with self._database.write() as connection:
                if recall(connection, request_id, write) is not None:
                    return
                found = model_rows.resolve(connection, ModelReference(name, version=version))
                _remove(connection, found.reference, {found.id: own_backbone(name, version)})
                model_id = model_rows.find(connection, name)
                left = sa.select(model_versions.c.id).where(model_versions.c.model_id == model_id)
                if connection.execute(left.limit(1)).first() is None:
                    connection.execute(models.delete().where(models.c.id == model_id))
                remember(connection, request_id, write, True)
            self._artifacts.remove(found.artifact)

    def _check_room(self, connection: sa.Connection, *names: str) -> None:
        new = sum(model_rows.is_new(connection, name) for name in names)
        if new:
            self._quotas.one_more("models", model_rows.count(connection) + new - 1)


def _remove(connection: sa.Connection, what: str, versions: Mapping[int, str]) -> None:
    """Removes versions, given with the names of their own backbones.

    Raises FailedPrecondition where an alias, a version outside or an index needs one.
    """
    keys = set(versions)
    pointing = sa.select(model_aliases.c.alias).where(model_aliases.c.version_id.in_(keys))
    if aliases := sorted(connection.execute(pointing).scalars()):
        raise FailedPrecondition(
            "MODEL_ALIASED",
            f"{what} is what alias {', '.join(aliases)} points to",
            hint="remove or move the alias first",
            aliases=",".join(aliases),
        )
    using = (
        sa.select(models.c.name, model_versions.c.version)
        .join_from(model_members, model_versions, model_members.c.version_id == model_versions.c.id)
        .join(models, models.c.id == model_versions.c.model_id)
        .where(model_members.c.member_id.in_(keys), model_members.c.version_id.not_in(keys))
    )
    if others := sorted(f"{name}@{version}" for name, version in connection.execute(using)):
        raise FailedPrecondition(
            "MODEL_IN_USE",
            f"{what} is what {', '.join(others)} is made of",
            hint="delete that first",
            models=",".join(others),
        )
    backbones = set(versions.values())
    if fed := [index for index, backbone in index_rows.backbones(connection) if backbone in backbones]:
        raise FailedPrecondition(
            "MODEL_IN_USE",
            f"{what} gives the features of index {', '.join(fed)}",
            hint="delete the index first, or embed it with another backbone",
            indexes=",".join(fed),
        )
    connection.execute(model_members.delete().where(model_members.c.version_id.in_(keys)))
    connection.execute(model_versions.delete().where(model_versions.c.id.in_(keys)))


def _drop_alias(connection: sa.Connection, model_id: int, alias: str) -> bool:
    """Whether it was there."""
    condition = model_aliases.c.model_id == model_id, model_aliases.c.alias == alias
    return bool(connection.execute(model_aliases.delete().where(*condition)).rowcount)
