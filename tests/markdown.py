"""Read the parts of a Markdown page that tests hold against the code."""

import re


def sections(page: str, level: int) -> dict[str, str]:
    """Split a page at its headings of one level; a heading above ends a section too.

    >>> sections("## A\\n### `b`\\none\\n### c\\ntwo\\n## D\\nthree\\n", 3)
    {'b': '\\none\\n', 'c': '\\ntwo\\n'}
    """
    parts = re.split(rf"^({'#' * level} .+)$", page, flags=re.MULTILINE)
    above = re.compile(rf"^#{{1,{level - 1}}} ", re.MULTILINE)
    return {
        heading.strip("# `"): above.split(body)[0]
        for heading, body in zip(parts[1::2], parts[2::2], strict=True)
    }


def rows(page: str) -> dict[str, str]:
    """Read the tables whose first column names code: the name, and the last column.

    >>> rows("| what | value |\\n| --- | --- |\\n| `a.b`: something | 7 |\\n")
    {'a.b': '7'}
    """
    found = re.findall(r"^\| `([^`]+)`.*\| ?(.*?) \|$", page, re.MULTILINE)
    return {name: last.strip("`") for name, last in found}


def code(page: str, language: str) -> list[str]:
    """Read the fenced code of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def anchors(page: str) -> set[str]:
    """Name the places of a page that links can lead to.

    >>> anchors("## A drift alert\\n")
    {'a-drift-alert'}
    """
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
