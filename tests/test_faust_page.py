"""What docs/faust.md says of Faust on this transport is so."""

import re
from pathlib import Path

from tests.markdown import code

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "faust.md").read_text(encoding="utf-8")
FEATURES = "tests/agents/kafka/test_faust_features.py"


def test_its_example_passes_its_test() -> None:
    names: dict[str, object] = {"__name__": "orders"}
    for block in code(PAGE, "python"):
        exec(compile(block, "docs/faust.md", "exec"), names)
    test = names["test_an_order_is_counted_once"]

    assert callable(test)
    test()


def test_each_feature_names_a_test_that_exists() -> None:
    lines = [line for line in PAGE.splitlines() if re.search(r"`test_\w+`", line)]
    missing = []
    for line in lines:
        (name,) = re.findall(r"`(test_\w+)`", line)
        (file,) = re.findall(r"`(tests/[\w/]+\.py)`", line) or [FEATURES]
        if f"def {name}(" not in (ROOT / file).read_text(encoding="utf-8"):
            missing.append((name, file))

    assert len(lines) > 20
    assert missing == []


def test_each_test_of_a_feature_is_named() -> None:
    tests = re.findall(r"def (test_\w+)\(", (ROOT / FEATURES).read_text(encoding="utf-8"))

    assert [name for name in tests if f"`{name}`" not in PAGE] == []
