"""What docs/faust.md says of Faust on this transport is so."""

from pathlib import Path

from tests.markdown import code

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "faust.md").read_text(encoding="utf-8")


def test_its_example_passes_its_test() -> None:
    names: dict[str, object] = {"__name__": "orders"}
    for block in code(PAGE, "python"):
        exec(compile(block, "docs/faust.md", "exec"), names)
    test = names["test_an_order_is_counted_once"]

    assert callable(test)
    test()
