"""Rows of models, versions and aliases. Each call is within a transaction."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from penult_server.core.caller import CALLER
from penult_server.core.errors import NotFound
from penult_server.core.evidence import Evidence, from_json
from penult_server.core.model_ports import TakenVersion
from penult_server.core.models import (
    Lineage,
    Model,
    ModelKind,
    ModelReference,
    ModelVersion,
    NewVersion,
    main_metrics,
)
from penult_server.core.own_backbones import made_of, own_backbone
from penult_server.core.wall_clock import wall_ms
from penult_server.store.model_tables import model_aliases, model_members, model_versions, models

# Without the evidence and what lies behind it in a row of SQLite, where evidence must be read to get there.
_BRIEF = [column for column in model_versions.c if column.name not in ("evidence_json", "size_bytes")]


def find(connection: sa.Connection, name: str) -> int:
    """The id of a model. Raises NotFound."""
    key = connection.execute(sa.select(models.c.id).where(models.c.name == name)).scalar()
    if key is None:
        raise NotFound(
            "MODEL_NOT_FOUND", f"there is no model {name[:80]!r}", hint="ListModels says which there are"
        )
    return int(key)


def resolve(connection: sa.Connection, reference: ModelReference, *, evidence: bool = False) -> ModelVersion:
    """The version that is meant. Raises NotFound."""
    model_id = find(connection, reference.name)
    query = sa.select(*(model_versions.c if evidence else _BRIEF))
    if reference.alias:
        query = query.join(model_aliases, model_aliases.c.version_id == model_versions.c.id).where(
            model_aliases.c.model_id == model_id, model_aliases.c.alias == reference.alias
        )
    else:
        query = query.where(model_versions.c.model_id == model_id)
        if reference.version is not None:
            query = query.where(model_versions.c.version == reference.version)
    row = connection.execute(query.order_by(model_versions.c.version.desc()).limit(1)).first()
    if row is None:
        what = f"alias {reference.alias!r}" if reference.alias else f"version {reference.version}"
        raise NotFound(
            "MODEL_VERSION_NOT_FOUND",
            f"model {reference.name!r} has no {what}",
            hint="ListModelVersions says which versions there are, and which aliases point to them",
        )
    return _versions(connection, reference.name, [row])[0]


def get(connection: sa.Connection, name: str) -> Model:
    """One model. Raises NotFound."""
    find(connection, name)
    return _models(connection, sa.select(models).where(models.c.name == name))[0]


def page(connection: sa.Connection, after: str, limit: int) -> list[Model]:
    """Models by name, from the one after `after`."""
    return _models(
        connection, sa.select(models).where(models.c.name > after).order_by(models.c.name).limit(limit)
    )


def versions(connection: sa.Connection, name: str, before: int | None, limit: int) -> list[ModelVersion]:
    """Versions, newest first. Raises NotFound."""
    query = sa.select(*_BRIEF).where(model_versions.c.model_id == find(connection, name))
    if before is not None:
        query = query.where(model_versions.c.version < before)
    rows = connection.execute(query.order_by(model_versions.c.version.desc()).limit(limit)).all()
    return _versions(connection, name, rows)


def by_job(connection: sa.Connection, job_id: str) -> ModelVersion | None:
    """What this job has made, with its evidence."""
    query = sa.select(model_versions.c.version, models.c.name).join_from(model_versions, models)
    row = connection.execute(query.where(model_versions.c.job_id == job_id)).first()
    if row is None:
        return None
    return resolve(connection, ModelReference(row.name, version=row.version), evidence=True)


def insert(connection: sa.Connection, name: str, new: NewVersion, job_id: str | None) -> tuple[int, int]:
    """A new version, and with the first one the model; its id and number."""
    now_ms = wall_ms()
    query = sa.select(models.c.id, models.c.last_version).where(models.c.name == name)
    row = connection.execute(query).first()
    if row is None:
        made = connection.execute(
            models.insert().values(name=name, created_ms=now_ms, last_version=1, owner=CALLER.get())
        ).inserted_primary_key
        assert made is not None
        model_id, version = made[0], 1
    else:
        model_id, version = row.id, row.last_version + 1
        connection.execute(models.update().where(models.c.id == model_id).values(last_version=version))
    if new.kind is ModelKind.FINE_TUNED and new.lineage is not None:
        lineage = dataclasses.replace(new.lineage, backbone=own_backbone(name, version))
        new = dataclasses.replace(new, lineage=lineage)
    made = connection.execute(
        model_versions.insert().values(
            model_id=model_id,
            version=version,
            created_ms=now_ms,
            job_id=job_id,
            artifact=new.artifact,
            facts_json=json.dumps(_facts(new)),
            size_bytes=new.size_bytes,
            evidence_json="" if new.evidence is None else json.dumps(dataclasses.asdict(new.evidence)),
        )
    ).inserted_primary_key
    assert made is not None
    return int(made[0]), version


def depend(connection: sa.Connection, key: int, new: NewVersion) -> None:
    """Notes what it is made of: whose own backbone it takes, or its members. Raises NotFound for one gone."""
    for reference in made_of(new):
        member = resolve(connection, reference)
        connection.execute(model_members.insert().values(version_id=key, member_id=member.id))


def fine_tuned(connection: sa.Connection) -> list[ModelVersion]:
    """Every version with a backbone of its own, by name and number."""
    kind = _start_of_facts(ModelKind.FINE_TUNED)
    query = sa.select(models.c.name, *_BRIEF).join_from(model_versions, models)
    query = query.where(model_versions.c.facts_json.startswith(kind, autoescape=True))
    rows: Sequence[Any] = connection.execute(query.order_by(models.c.name, model_versions.c.version)).all()
    return [_version(row.name, row, ()) for row in rows]


def insert_all(connection: sa.Connection, versions: Sequence[TakenVersion]) -> ModelReference:
    """New versions, each after those that it is made of; how the last one is called."""
    made: list[tuple[int, ModelReference]] = []
    for each in versions:
        members, new = [made[place] for place in each.members], each.version
        if new.kind is ModelKind.ENSEMBLE:
            new = dataclasses.replace(new, members=tuple(str(reference) for _, reference in members))
        elif members and new.lineage is not None:
            ((_, taken),) = members
            backbone = own_backbone(taken.name, taken.version or 0)
            new = dataclasses.replace(new, lineage=dataclasses.replace(new.lineage, backbone=backbone))
        key, version = insert(connection, each.name, new, None)
        if members:
            rows = [{"version_id": key, "member_id": member} for member, _ in members]
            connection.execute(model_members.insert(), rows)
        made.append((key, ModelReference(each.name, version=version)))
    return made[-1][1]


def is_new(connection: sa.Connection, name: str) -> bool:
    """Whether no model has this name."""
    return connection.execute(sa.select(models.c.id).where(models.c.name == name)).first() is None


def count(connection: sa.Connection) -> int:
    """How many models there are."""
    return int(connection.execute(sa.select(sa.func.count()).select_from(models)).scalar_one())


def artifacts(connection: sa.Connection) -> set[str]:
    """Names of all that versions need."""
    return set(connection.execute(sa.select(model_versions.c.artifact)).scalars()) - {""}


def _start_of_facts(kind: ModelKind) -> str:
    """What `facts_json` of this kind starts with."""
    return json.dumps({"kind": kind.value})[:-1]


def _facts(new: NewVersion) -> dict[str, Any]:
    """`kind` stays in front: see `_start_of_facts`."""
    return {
        "kind": new.kind.value,
        "labels": new.labels,
        "multi_label": new.multi_label,
        "threshold": new.threshold,
        "lineage": None if new.lineage is None else dataclasses.asdict(new.lineage),
        "members": new.members,
        "metrics": main_metrics(new.evidence),
        "size_bytes": new.size_bytes,
    }


def _models(connection: sa.Connection, query: sa.Select[Any]) -> list[Model]:
    rows = connection.execute(query).all()
    keys = [row.id for row in rows]
    newest = (
        sa.select(model_versions.c.model_id, sa.func.max(model_versions.c.version), sa.func.count())
        .where(model_versions.c.model_id.in_(keys))
        .group_by(model_versions.c.model_id)
    )
    last = {key: (version, count) for key, version, count in connection.execute(newest)}
    pointing = sa.select(model_aliases.c.model_id, model_aliases.c.alias, model_versions.c.version)
    pointing = pointing.join_from(
        model_aliases, model_versions, model_aliases.c.version_id == model_versions.c.id
    ).where(model_aliases.c.model_id.in_(keys))
    aliases: dict[int, dict[str, int]] = {key: {} for key in keys}
    for key, alias, version in connection.execute(pointing.order_by(model_aliases.c.alias)):
        aliases[key][alias] = version
    return [
        Model(
            row.name, row.created_ms, last[row.id][1], aliases[row.id],
            resolve(connection, ModelReference(row.name, version=last[row.id][0])),
        )
        for row in rows
    ]  # fmt: skip


def _versions(connection: sa.Connection, name: str, rows: Sequence[sa.Row[Any]]) -> list[ModelVersion]:
    aliases = _aliases(connection, [row.id for row in rows])
    return [_version(name, row, aliases.get(row.id, ())) for row in rows]


def _aliases(connection: sa.Connection, keys: Iterable[int]) -> Mapping[int, tuple[str, ...]]:
    query = sa.select(model_aliases.c.version_id, model_aliases.c.alias)
    query = query.where(model_aliases.c.version_id.in_(list(keys))).order_by(model_aliases.c.alias)
    found: dict[int, tuple[str, ...]] = {}
    for key, alias in connection.execute(query):
        found[key] = (*found.get(key, ()), alias)
    return found


def _version(name: str, row: sa.Row[Any], aliases: tuple[str, ...]) -> ModelVersion:
    facts = json.loads(row.facts_json)
    evidence = getattr(row, "evidence_json", "")
    return ModelVersion(
        id=row.id,
        model=name,
        version=row.version,
        created_ms=row.created_ms,
        kind=ModelKind(facts["kind"]),
        labels=tuple(facts["labels"]),
        multi_label=facts["multi_label"],
        threshold=facts["threshold"],
        lineage=None if facts["lineage"] is None else Lineage(**facts["lineage"]),
        members=tuple(facts["members"]),
        metrics=facts["metrics"],
        aliases=aliases,
        artifact=row.artifact,
        size_bytes=facts["size_bytes"],
        evidence=from_json(Evidence, json.loads(evidence)) if evidence else None,
    )
