"""What `thalweg features feast` writes, without Feast; Feast takes it in `test_feast_reads.py`."""

import ast

import pytest
import yaml

from agents.commands.features import feast
from agents.feast import feature_repo
from agents.offline.backfill import table_of
from agents.settings import Settings
from examples.shop.pipeline import PIPELINE
from schemas.errors import InvalidSetting
from streams.fold import compile_features

NAMES = compile_features(PIPELINE.features, PIPELINE.event).names


def test_the_store_points_to_redis_and_names_the_project(tmp_path):
    here = Settings(feast_project="shop", redis_url="redis://redis:6380/3")
    feature_repo.write(here, PIPELINE, tmp_path)

    written = yaml.safe_load((tmp_path / "feature_store.yaml").read_text("utf-8"))
    assert written["project"] == "shop"
    assert written["online_store"] == {"type": "redis", "connection_string": "redis:6380,db=3"}
    assert written["entity_key_serialization_version"] == 3


def test_the_repository_has_the_features_in_order_and_the_offline_table(tmp_path):
    here = Settings(feast_project="shop", offline_store="s3://bucket/thalweg")
    told = feature_repo.write(here, PIPELINE, tmp_path / "repo")

    tree = ast.parse((tmp_path / "repo" / "feature_repo.py").read_text("utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    named = [ast.unparse(call) for call in calls if ast.unparse(call.func) == "Field"]
    (source,) = [call for call in calls if ast.unparse(call.func) == "FileSource"]
    assert named == [f"Field(name={name!r}, dtype=Float64)" for name in NAMES]
    assert told == list(NAMES)
    assert f"path='s3://bucket/thalweg/{table_of(PIPELINE)}'" in ast.unparse(source)


def test_a_password_is_not_written_down(tmp_path):
    here = Settings(feast_project="shop", redis_url="redis://:secret@redis:6379/0")
    feature_repo.write(here, PIPELINE, tmp_path)

    written = (tmp_path / "feature_store.yaml").read_text("utf-8")
    assert "secret" not in written
    assert "password=${THALWEG_REDIS_PASSWORD}" in written


@pytest.mark.parametrize("url", ["unix:///run/redis.sock", "redis://[::1]:6379/0"])
def test_a_redis_that_feast_cannot_reach_is_refused(url):
    with pytest.raises(InvalidSetting, match="THALWEG_REDIS_URL"):
        feature_repo.connection_string(url)


def test_the_command_says_which_setting_is_missing_and_writes_when_it_is_there(
    tmp_path, monkeypatch
):
    with pytest.raises(InvalidSetting, match="THALWEG_FEAST_PROJECT"):
        feast(out=tmp_path / "repo")
    assert not (tmp_path / "repo").exists()

    monkeypatch.setenv("THALWEG_FEAST_PROJECT", "shop")
    assert feast(out=tmp_path / "repo") == 0
    assert sorted(path.name for path in (tmp_path / "repo").iterdir()) == [
        "feature_repo.py",
        "feature_store.yaml",
    ]
