"""The page on settings says what the settings are."""

import re
from pathlib import Path

from agents.settings import PREFIX, Settings

PAGE = Path(__file__).resolve().parents[1] / "docs" / "settings.md"
ROW = re.compile(r"^\| `THALWEG_(\w+)` \| (.+?) \| (.+) \|$", re.MULTILINE)
OUTSIDE_OF_SETTINGS = {"cache_dir"}


def rows() -> dict[str, tuple[str, str]]:
    page = PAGE.read_text(encoding="utf-8")
    return {name.lower(): (default, meaning) for name, default, meaning in ROW.findall(page)}


def test_every_setting_has_a_row_and_every_row_a_setting():
    assert set(rows()) - OUTSIDE_OF_SETTINGS == set(Settings.model_fields)


def test_the_defaults_on_the_page_are_the_defaults():
    words = {"(none)": "None", "(empty)": ""}
    told = {name: words.get(default, default.strip("`")) for name, (default, _) in rows().items()}

    actual = {name: str(field.default) for name, field in Settings.model_fields.items()}

    assert {name: told[name] for name in actual} == actual


def test_every_meaning_is_a_sentence():
    for name, (_, meaning) in rows().items():
        assert meaning.endswith("."), PREFIX + name.upper()
