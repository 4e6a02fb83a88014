"""The page's own files."""

import re

from agents.serving.web import STATIC


def test_every_script_is_asked_for_at_once_and_not_when_another_names_it() -> None:
    asked = re.findall(
        r'<link rel="modulepreload" href="/static/(\w+\.js)">', (STATIC / "index.html").read_text()
    )

    assert asked == sorted(each.name for each in STATIC.glob("*.js") if each.name != "app.js")


def test_every_file_that_a_script_names_is_there() -> None:
    named = {
        name
        for script in STATIC.glob("*.js")
        for name in re.findall(r'from "\./(\w+\.js)"', script.read_text())
    }

    assert named <= {each.name for each in STATIC.glob("*.js")}
