"""A data directory has one owner, and nobody else's files are ever deleted."""

import pytest

from agents.embedded.errors import DataDirInUse
from agents.local.data_dir import MARKER, DataDir, prepare
from agents.settings import Settings
from schemas.errors import InvalidSetting


@pytest.fixture
def claimed(tmp_path):
    directory = DataDir(tmp_path / "data")
    directory.claim()
    yield directory
    directory.release()


def test_a_second_owner_is_refused_until_the_first_lets_go(claimed):
    second = DataDir(claimed.path)
    with pytest.raises(DataDirInUse, match="--data-dir"):
        second.claim()

    claimed.release()
    second.claim()
    second.release()


def test_a_directory_that_holds_something_else_is_refused_and_left_alone(tmp_path):
    theirs = tmp_path / "thesis.tex"
    theirs.write_text("years of work")

    with pytest.raises(InvalidSetting, match="choose another"):
        DataDir(tmp_path).claim()

    assert [*tmp_path.iterdir()] == [theirs]


def test_an_offline_store_may_have_been_there_first(tmp_path):
    (tmp_path / "offline").mkdir()
    directory = DataDir(tmp_path)
    directory.claim()
    directory.release()

    assert Settings(data_dir=tmp_path).offline_store == str(tmp_path / "offline")
    assert Settings(data_dir=tmp_path, offline_store="/else").offline_store == "/else"


def test_a_file_is_no_data_directory(tmp_path):
    path = tmp_path / "file"
    path.touch()

    with pytest.raises(InvalidSetting, match="not a data directory"):
        prepare(path)


def test_an_empty_directory_becomes_ours_and_stays_so(tmp_path):
    prepare(tmp_path)
    prepare(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == [MARKER]


def test_emptying_keeps_what_names_the_owner_and_the_orphans(claimed):
    (claimed.path / "kafka" / "log").mkdir(parents=True)
    (claimed.path / "replay.json").touch()
    (claimed.path / "kafka.pid").touch()

    claimed.empty()

    assert {path.name for path in claimed.path.iterdir()} == {MARKER, "up.lock", "kafka.pid"}
    with pytest.raises(DataDirInUse):
        DataDir(claimed.path).claim()


def test_emptying_does_not_follow_links(claimed, tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    (claimed.path / "link").symlink_to(precious)

    claimed.empty()

    assert (precious / "file").exists()
    assert not (claimed.path / "link").exists()


def test_a_place_that_cannot_be_used_is_told_of(tmp_path):
    (tmp_path / "file").write_text("in the way", "utf-8")

    with pytest.raises(InvalidSetting, match="--data-dir: cannot use"):
        DataDir(tmp_path / "file" / "data").claim()
