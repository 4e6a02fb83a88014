"""Write the repository from which Feast learns what there is: for `feast apply`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

from agents.feast import layout
from agents.offline.backfill import table_of
from agents.offline.file_system import FileSystem
from agents.pipeline import Pipeline
from agents.settings import Settings
from schemas.errors import InvalidSetting
from streams.fold import compile_features

_STORE: Final = """\
# Written by `thalweg features feast`.
project: {project}
provider: local
registry: data/registry.db
online_store:
  type: redis
  connection_string: {redis}
offline_store:
  type: file
entity_key_serialization_version: 3
"""

_REPO: Final = '''\
"""Features of `{use_case}`, which Thalweg serves. Written by `thalweg features feast`."""

from datetime import timedelta

from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Float64

user = Entity(name="user", join_keys=[{entity}], value_type=ValueType.STRING)

history = FileSource(
    name={source},
    path={path},
    timestamp_field="event_at",
)

view = FeatureView(
    name={view},
    entities=[user],
    ttl=timedelta(days={ttl_days}),
    schema=[
{fields}
    ],
    source=history,
)
'''


def write(settings: Settings, declared: Pipeline, directory: Path) -> list[str]:
    """Write `feature_store.yaml` and `feature_repo.py`; tell the features, in order.

    Raises
    ------
    InvalidSetting
        No project is set, or Feast cannot reach such a Redis.
    InvalidDeclaration
        Two features would be one in Feast.
    """
    if not settings.feast_project:
        raise InvalidSetting("THALWEG_FEAST_PROJECT: empty, so `store` writes nothing for Feast")
    names = compile_features(declared.features, declared.event).names
    view = layout.view_name(declared.use_case)
    layout.check_fields(view, names)
    store = _STORE.format(
        project=settings.feast_project, redis=json.dumps(connection_string(settings.redis_url))
    )
    repo = _REPO.format(
        use_case=declared.use_case,
        entity=json.dumps(layout.ENTITY),
        source=json.dumps(f"{view}_history"),
        path=json.dumps(_address(settings.offline_store, table_of(declared))),
        view=json.dumps(view),
        ttl_days=settings.feature_ttl_days,
        fields=_fields(names),
    )
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "feature_store.yaml").write_text(store, encoding="utf-8")
    (directory / "feature_repo.py").write_text(repo, encoding="utf-8")
    return list(names)


def connection_string(redis_url: str) -> str:
    """Tell Feast where Redis is; a password comes from the environment, `THALWEG_REDIS_PASSWORD`.

    Raises
    ------
    InvalidSetting
        Feast knows hosts and ports only.

    Examples
    --------
    >>> connection_string("redis://127.0.0.1:16379/0")
    '127.0.0.1:16379,db=0'
    >>> connection_string("rediss://feast:secret@redis.example/2")
    'redis.example:6379,db=2,ssl=true,username=feast,password=${THALWEG_REDIS_PASSWORD}'
    """
    url = urlsplit(redis_url)
    if url.scheme == "unix" or not url.hostname or ":" in url.hostname:
        raise InvalidSetting("THALWEG_REDIS_URL: Feast reaches Redis by the name of a host only")
    database = parse_qs(url.query).get("db", [url.path.strip("/") or "0"])[0]
    parts = [f"{url.hostname}:{url.port or 6379}", f"db={database}"]
    if url.scheme == "rediss":
        parts.append("ssl=true")
    if url.username:
        parts.append(f"username={unquote(url.username)}")
    if url.password:
        parts.append("password=${THALWEG_REDIS_PASSWORD}")
    return ",".join(parts)


def _address(offline_store: str, table: str) -> str:
    """Tell where a table is, with its scheme if it has one.

    >>> _address("s3://bucket/thalweg", "features-a-1")
    's3://bucket/thalweg/features-a-1'
    """
    if "://" in offline_store:
        return f"{offline_store.rstrip('/')}/{table}"
    return FileSystem(offline_store).path(table)


def _fields(names: Sequence[str]) -> str:
    return "\n".join(f"        Field(name={json.dumps(name)}, dtype=Float64)," for name in names)
