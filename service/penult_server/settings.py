"""Every setting of the server, once: flags, environment, file and docs/settings.md all come from here."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from penult_server.core.quotas import UNBOUNDED, Quotas


class Settings(BaseSettings):
    """Precedence: flags, then `PENULT_*` environment variables, then the file, then the defaults."""

    model_config = SettingsConfigDict(
        env_prefix="PENULT_",
        extra="forbid",
        frozen=True,
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
        cli_avoid_json=True,
    )

    config: Path | None = Field(None, description="TOML file with any of these settings, by their names.")
    data_dir: Path = Field(
        Path("penult-data"), description="Everything that lasts: imported backbones, datasets, jobs, models."
    )
    database_url: SecretStr | None = Field(
        None,
        description="PostgreSQL for all rows (`postgresql://user@host/name`); else they are in data_dir.",
    )
    listen: str = Field(
        "127.0.0.1:50051", description="HOST:PORT of the gRPC server; port 0 picks a free one."
    )
    tls_cert: Path | None = Field(
        None, description="PEM file with the server's certificate chain; read again when it changes."
    )
    tls_key: Path | None = Field(None, description="PEM file with the private key of tls_cert.")
    tls_client_ca: Path | None = Field(
        None, description="PEM file with authorities; clients must show a certificate of one of them."
    )
    allow_insecure: bool = Field(
        False, description="Listen beyond this machine without TLS, or without API keys or tls_client_ca."
    )

    default_backbone: str = Field(
        "tf_efficientnet_lite0", description="Backbone of requests that name none; loaded at start."
    )
    preload: list[str] = Field([], description="More backbones to load at start.")
    checkpoint_dir: Path | None = Field(
        None, description="Directory of .safetensors and .pth files to offer as backbones."
    )
    allow_download: bool = Field(
        True, description="Fetch weights that are not here from timm's or torchvision's hub."
    )
    backbone_memory_mb: int = Field(
        0, ge=0, description="MiB that all loaded backbones may hold; 0 takes half of the device's memory."
    )

    device: str = Field(
        "auto", description="auto, cpu, cuda or cuda:N. auto takes the first GPU, else the CPU."
    )
    provider: Literal["auto", "torch", "openvino"] = Field(
        "auto", description="Execution provider. auto takes the fastest that passes the check against torch."
    )
    precision: Literal["auto", "float32", "float16", "bfloat16"] = Field(
        "auto",
        description="Precision of the forward pass. auto never moves features by more than cosine 0.9999.",
    )
    compute_threads: int = Field(0, ge=0, description="CPU threads of a forward pass; 0 takes every core.")
    decode_threads: int = Field(0, ge=0, description="Threads that decode images; 0 takes one for each core.")
    jpeg_decoder: Literal["pillow", "nvjpeg"] = Field(
        "pillow",
        description="nvjpeg decodes JPEGs on the GPU; it moves features, which the fingerprint shows.",
    )
    tune_malloc: bool = Field(True, description="Keep freed activations in the process (glibc's mallopt).")

    max_batch: int = Field(
        0,
        ge=0,
        le=1024,
        description="Most images in one forward pass; 0 takes 2 for each core, 4 to 32, and 64 on a GPU.",
    )
    max_wait_ms: float = Field(
        4.0, ge=0, le=1000, description="Longest that an image waits for company when more are on their way."
    )

    max_message_mb: int = Field(64, ge=1, le=1024, description="Largest gRPC message in MiB, either way.")
    max_images: int = Field(256, ge=1, description="Most images in one message.")
    max_queued_images: int = Field(
        1024, ge=1, description="Most images (times views) decoding, queued or computing; past it OVERLOADED."
    )
    max_calls: int = Field(1024, ge=1, description="Most calls in flight; past it OVERLOADED.")
    max_calls_per_key: int = Field(512, ge=1, description="Most calls in flight of one API key.")
    max_inflight_mb: int = Field(
        512,
        ge=1,
        description="Most MiB of messages that calls hold; past it calls get OVERLOADED, streams wait.",
    )
    max_inflight_mb_per_key: int = Field(256, ge=1, description="The same for the calls of one API key.")
    max_stream_messages: int = Field(
        1_000_000, ge=1, description="Most messages of one stream; past it STREAM_TOO_LONG."
    )
    stall_seconds: float = Field(
        120.0, gt=0, description="A client that leaves a response unread for this long is cut off."
    )
    keepalive_seconds: float = Field(
        30.0, ge=1, description="Silence after which a client has to show, in half of that, that it is there."
    )
    max_image_mb: int = Field(32, ge=1, description="Largest encoded image in MiB.")
    max_image_megapixels: int = Field(64, ge=1, description="Most pixels of an image, in millions.")
    max_image_frames: int = Field(10_000, ge=1, description="Most frames of an animated image.")
    max_upload_mb: int = Field(
        256,
        ge=1,
        description="Most MiB of examples that are checked or written at once; past it uploads wait.",
    )
    feature_cache_mb: int = Field(
        2048,
        ge=0,
        description="Disk for features of dataset images, in MiB, so that they are computed once; 0: none.",
    )
    head_memory_mb: int = Field(
        1024, ge=0, description="Memory for heads of models that were used lately, in MiB."
    )
    max_queued_queries: int = Field(
        16_384, ge=1, description="Most queries of indexes that are searched or wait; past it OVERLOADED."
    )
    max_examples: int = Field(
        5_000_000, ge=1, description="Most examples in one dataset; past it DATASET_QUOTA."
    )
    max_dataset_mb: int = Field(
        1_000_000, ge=1, description="Most MiB of examples in one dataset; past it DATASET_QUOTA."
    )
    max_datasets: int = Field(10_000, ge=1, description="Most datasets; past it TOO_MANY_DATASETS.")
    max_indexes: int = Field(1000, ge=1, description="Most indexes; past it TOO_MANY_INDEXES.")
    max_index_items: int = Field(
        20_000_000, ge=1, description="Most items of one index; past it INDEX_QUOTA."
    )
    max_models: int = Field(10_000, ge=1, description="Most models; past it TOO_MANY_MODELS.")
    max_stored_mb: int = Field(
        0, ge=0, description="Most MiB of examples, items and models; past it STORAGE_QUOTA; 0: no bound."
    )
    max_stored_mb_per_key: int = Field(
        0, ge=0, description="The same of what one API key has made; 0: no bound."
    )
    min_free_disk_mb: int = Field(
        64, ge=1, description="MiB of the data directory's disk that uploads leave free; past it DISK_FULL."
    )
    max_workers: int = Field(
        1, ge=1, le=64, description="Jobs that run at once, each in a process of its own."
    )
    rendezvous: str | None = Field(
        None,
        description="`HOST:PORT` of this machine at which others join a fine-tuning of several `nodes`, in a "
        "trusted network: there is no key and no encryption.",
    )
    max_queued_jobs: int = Field(1000, ge=1, description="Most jobs that wait; past it TOO_MANY_JOBS.")
    max_queued_jobs_per_key: int = Field(500, ge=1, description="Most jobs of one API key that wait.")
    keep_jobs: int = Field(1000, ge=0, description="Most ended jobs that are kept; the oldest go first.")
    keep_exports: int = Field(20, ge=1, description="Files of exported models that are kept, the latest.")
    keep_jobs_days: float = Field(30.0, gt=0, description="Days that an ended job is kept.")
    max_job_events: int = Field(
        10_000, ge=100, description="Most events that are kept of one job; the oldest go first."
    )
    max_checkpoint_mb: int = Field(8192, ge=1, description="Largest checkpoint to import, in MiB.")

    max_model_mb: int = Field(8192, ge=1, description="Largest archive of a model to import, in MiB.")

    health_interval_seconds: float = Field(
        15.0, gt=0, description="Time between two forward passes that prove the device still works."
    )
    drain_seconds: float = Field(
        30.0, ge=0, description="How long calls in flight may take to finish after SIGTERM."
    )
    metrics_listen: str | None = Field(
        None, description="HOST:PORT of metrics for Prometheus, over plain HTTP; off unless given."
    )
    tracing_endpoint: str | None = Field(
        None, description="OTLP address (http://HOST:PORT) to send traces to; needs the extra tracing."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level logged.")
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="auto is console on a terminal and one JSON object a line elsewhere."
    )

    @field_validator("listen", "metrics_listen")
    @classmethod
    def _host_and_port(cls, value: str | None) -> str | None:
        if value is None:
            return None
        host, _, port = value.rpartition(":")
        if not host or not port.isdigit() or int(port) > 65535:
            raise ValueError("must be HOST:PORT, such as 127.0.0.1:50051")
        return value

    @field_validator("database_url", mode="before")
    @classmethod
    def _none_if_empty(cls, value: Any) -> Any:
        return value or None  # a variable of a compose file is empty where it is not set

    @model_validator(mode="after")
    def _whole_tls(self) -> Settings:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key belong together")
        if self.tls_client_ca is not None and self.tls_cert is None:
            raise ValueError("tls_client_ca needs tls_cert and tls_key")
        return self

    @property
    def database(self) -> str | None:
        """The URL of the database as it is, with its password; None for the file in the data directory."""
        return None if self.database_url is None else self.database_url.get_secret_value()

    def quotas(self) -> Quotas:
        """How much may be kept."""
        return Quotas(
            datasets=self.max_datasets,
            indexes=self.max_indexes,
            index_items=self.max_index_items,
            models=self.max_models,
            bytes=self.max_stored_mb << 20 or UNBOUNDED,
            bytes_per_key=self.max_stored_mb_per_key << 20 or UNBOUNDED,
        )

    @classmethod
    def load(cls, arguments: list[str]) -> Settings:
        """Settings from all their sources.

        Raises:
            FileNotFoundError: there is no file at `--config`.
            pydantic.ValidationError: a value is wrong.
            SystemExit: a flag is unknown, or help was asked for and printed.
        """
        config = _config_path(arguments)
        if config is not None and not config.is_file():
            raise FileNotFoundError(config)

        class WithFile(cls):  # type: ignore[misc,valid-type]
            @classmethod
            def settings_customise_sources(
                cls, settings_cls: type[BaseSettings], **sources: PydanticBaseSettingsSource
            ) -> tuple[PydanticBaseSettingsSource, ...]:
                flags, env = sources["init_settings"], sources["env_settings"]
                return flags, env, TomlConfigSettingsSource(settings_cls, toml_file=config)

        loaded = WithFile(_cli_parse_args=arguments, _cli_prog_name="penult-server serve")
        return cls.model_construct(**loaded.model_dump())


def _config_path(arguments: list[str]) -> Path | None:
    """The file must be known before the other sources are read."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config", type=Path, default=os.environ.get("PENULT_CONFIG"))
    given = parser.parse_known_args(arguments)[0].config
    return None if given is None else Path(given)


def problems(error: ValidationError | FileNotFoundError) -> list[str]:
    """What is wrong with them, a line each, without the passwords of URLs."""
    if isinstance(error, FileNotFoundError):
        return [f"no settings file at {error}"]
    lines = []
    for problem in error.errors():
        name = ".".join(map(str, problem["loc"])) or "settings"
        got = f" (got {problem.get('input')!r})" if problem["loc"] else ""
        lines.append(re.sub(r"://[^/@]*@", "://…@", f"{name}: {problem['msg']}{got}"))
    return lines


def markdown_table() -> str:
    """The table of docs/settings.md."""
    rows = ["| flag | environment | default | meaning |", "| --- | --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        flag = "--" + name.replace("_", "-")
        rows.append(
            f"| `{flag}` | `PENULT_{name.upper()}` | `{_shown(field.default)}` | {field.description} |"
        )
    return "\n".join(rows) + "\n"


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
