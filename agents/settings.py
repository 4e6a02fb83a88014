"""What differs between deployments: settings from the environment, prefix `THALWEG_`.

Every setting can also come from a file: `THALWEG_REDIS_URL_FILE=/run/secrets/redis` reads
`THALWEG_REDIS_URL` from there.
"""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.errors import InvalidSetting

PREFIX = "THALWEG_"
OFFLINE = "offline"
"""The offline store's directory in the data directory."""


class Settings(BaseSettings):
    """All settings of a process; one line each in `docs/settings.md`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True)

    pipeline: str = Field(default="examples.shop.pipeline", pattern=r"^[A-Za-z_][\w.]*$")
    """Module that holds the pipeline's declarations."""
    kafka_bootstrap: str = Field(default="127.0.0.1:19092", min_length=1)
    """Kafka brokers, `host:port`, comma-separated."""
    redis_url: str = Field(default="redis://127.0.0.1:16379/0", pattern=r"^(rediss?|unix)://")
    """The online feature store."""
    delivery: Literal["exactly_once", "at_least_once"] = "exactly_once"
    """What Kafka readers of our outputs can rely on."""
    rebalancing: Literal["range", "cooperative-sticky", "consumer"] = "range"
    """How workers of a role share out the partitions: Kafka's assignors, or its newer protocol."""
    standby: int = Field(default=0, ge=0, le=3)
    """How many workers of a role may go at once without anybody reading a whole changelog; unset,
    `learn` is ready for 1."""
    stall_timeout_s: float = Field(default=120.0, ge=10.0)
    """A worker that gets nothing through for so long ends; must be longer than any batch takes."""
    dead_letter_limit: float = Field(default=0.5, ge=0.0, le=1.0)
    """A worker ends rather than set aside a larger share of some 1,000 records; 1: no limit."""
    state_spill: Path | None = None
    """Directory for the states of users who have not come for long; unset: all are in memory."""
    topic_prefix: str = Field(default="", pattern=r"^[A-Za-z0-9_.-]*$")
    """Separates environments that share a broker; also prefixes groups and transactional ids."""
    partitions: int = Field(default=4, ge=1, le=10_000)
    """Partition count of the topics keyed by user; only used when topics are created."""
    replication: int = Field(default=1, ge=1, le=10)
    """Replication factor of created topics."""
    data_dir: Path = Path(".thalweg")
    """Where `up` keeps its broker, its Redis server, its keys and its logs."""
    signing_key_file: Path | None = None
    """Ed25519 private key (PEM) the learner signs snapshots with; `up` makes one."""
    trusted_keys_dir: Path | None = None
    """Public keys (PEM) whose snapshots may be loaded; `up` fills it."""
    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(default=9600, ge=0, le=65_535)
    """Prometheus endpoint of this process; 0 turns it off."""
    web_host: str = "127.0.0.1"
    web_port: int = Field(default=8600, ge=1, le=65_535)
    """The ops page and API."""
    web_token: str = Field(default="", pattern=r"^([!-~]{16,})?$", repr=False)
    """Who knows it may promote, roll back and settle dead letters on the page; empty: nobody."""
    feature_ttl_days: int = Field(default=90, ge=1, le=36_500)
    """How long Redis keeps the features of a user who does nothing."""
    feast_project: str = Field(default="", pattern=r"^([A-Za-z0-9][A-Za-z0-9_-]*)?$")
    """Project of Feast for which `store` writes features a second time; empty: none."""
    offline_store: str = Field(default="", validate_default=True)
    """Where `archive` writes Parquet: a path, or an address such as `s3://bucket/thalweg`; empty:
    `offline` in the data directory."""
    archive_interval_s: float = Field(default=60.0, gt=0.0, le=60.0)
    """How long rows are gathered before `archive` writes them."""
    traces: Literal["off", "otlp"] = "off"
    """Whether spans of sampled records are exported; where to, `OTEL_EXPORTER_OTLP_*` say."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("state_spill", "signing_key_file", "trusted_keys_dir", mode="before")
    @classmethod
    def _an_empty_path_is_none(cls, value: object) -> object:
        # It would be the directory in which the process happens to run: whose keys are there?
        return None if value == "" else value

    @field_validator("offline_store")
    @classmethod
    def _is_beside_the_rest(cls, value: str, info: ValidationInfo) -> str:
        return value or str(info.data.get("data_dir", Path()) / OFFLINE)

    @field_validator("kafka_bootstrap")
    @classmethod
    def _brokers_have_ports(cls, value: str) -> str:
        for broker in value.split(","):
            host, _, port = broker.strip().rpartition(":")
            if not host or not port.isdigit():
                raise ValueError(f"`{broker}` is not host:port")
        return value


def load() -> Settings:
    """Read the settings of this process.

    Raises
    ------
    InvalidSetting
        Names each wrong setting and what it should be, in one line.
    """
    from_files: dict[str, str] = {}
    for name in Settings.model_fields:
        variable = f"{PREFIX}{name.upper()}_FILE"
        # `signing_key_file` is itself a path: its variable is not a reference to a file.
        if variable.removeprefix(PREFIX).lower() in Settings.model_fields:
            continue
        if path := os.environ.get(variable):
            try:
                from_files[name] = Path(path).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise InvalidSetting(f"{variable}: cannot read {path}: {error.strerror}") from error
    try:
        return Settings(**from_files)  # type: ignore[arg-type]  # validated by pydantic
    except ValidationError as error:
        problems = "; ".join(
            f"{PREFIX}{'.'.join(str(part) for part in problem['loc']).upper()}: {problem['msg']}"
            for problem in error.errors()
        )
        raise InvalidSetting(problems) from error
