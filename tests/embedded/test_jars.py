"""Only the locked jars are used; whatever else is in the cache or on the wire is refused."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from agents.embedded import jars
from agents.embedded.errors import DownloadFailed
from agents.embedded.jars import Jar

pytestmark = pytest.mark.integration


@pytest.fixture
def smallest() -> Jar:
    """A locked jar of a few kilobytes."""
    return next(jar for jar in jars.read_lock() if jar.artifact == "slf4j-simple")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("THALWEG_CACHE_DIR", str(tmp_path))
    return tmp_path / "jars"


def test_a_missing_jar_is_downloaded_and_progress_told(smallest: Jar, cache: Path) -> None:
    progress: list[tuple[int, int]] = []
    (path,) = jars.ensure(lambda done, total: progress.append((done, total)), locked=[smallest])

    assert path == cache / smallest.file_name
    assert path.read_bytes().startswith(b"PK")
    assert progress == [(0, 1), (1, 1)]


def test_a_damaged_jar_is_replaced(smallest: Jar, cache: Path) -> None:
    (path,) = jars.ensure(locked=[smallest])
    intact = path.read_bytes()
    path.write_bytes(intact[:100])

    jars.ensure(locked=[smallest])

    assert intact == path.read_bytes()


def test_a_jar_that_is_not_the_locked_one_ends_in_one_line(smallest: Jar, cache: Path) -> None:
    other = dataclasses.replace(smallest, sha256="0" * 64)

    with pytest.raises(DownloadFailed, match="is not the locked one") as failure:
        jars.ensure(locked=[other])

    assert "\n" not in str(failure.value)
    assert not (cache / other.file_name).exists()
    assert not list(cache.glob(".stage-*"))


def test_a_jar_that_nobody_has_ends_in_one_line(smallest: Jar, cache: Path) -> None:
    unheard_of = dataclasses.replace(smallest, version="0.0.0.thalweg")

    with pytest.raises(DownloadFailed, match="no Maven repository has it") as failure:
        jars.ensure(locked=[unheard_of])

    assert "\n" not in str(failure.value)
    assert len(str(failure.value)) < 200


def test_a_registry_that_cannot_be_reached_ends_in_one_line(
    smallest: Jar, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = cache.with_name("jgo.conf")
    nobody.write_text("[repositories]\ncentral = http://127.0.0.1:9/\n", encoding="ascii")
    monkeypatch.setenv("JGO_CONFIG_FILE", str(nobody))

    with pytest.raises(DownloadFailed, match="cannot download slf4j-simple") as failure:
        jars.ensure(locked=[smallest])

    assert "\n" not in str(failure.value)
    assert len(str(failure.value)) < 200


def test_a_cache_that_cannot_be_written_is_named(
    smallest: Jar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("THALWEG_CACHE_DIR", str(tmp_path / "file"))

    with pytest.raises(DownloadFailed, match="THALWEG_CACHE_DIR names another place"):
        jars.ensure(locked=[smallest])


def test_what_is_intact_needs_no_registry(
    smallest: Jar, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jars.ensure(locked=[smallest])
    monkeypatch.setattr(shutil, "rmtree", pytest.fail)  # the last act of every download

    assert jars.ensure(locked=[smallest]) == [cache / smallest.file_name]
