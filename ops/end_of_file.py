"""A pre-commit hook: text files end in exactly one newline, lines end in no blanks."""

import sys
from pathlib import Path


def tidy(text: str) -> str:
    r"""Put the ends of lines and of the file into order.

    >>> tidy("a  \nb\n\n")
    'a\nb\n'
    """
    lines = [line.rstrip() for line in text.splitlines()]
    return "\n".join(lines).rstrip("\n") + "\n" if text else text


def main(paths: list[str]) -> int:
    """Rewrite the files that need it; tell how many did."""
    changed = 0
    for path in map(Path, paths):
        text = path.read_text(encoding="utf-8")
        if (tidied := tidy(text)) != text:
            path.write_text(tidied, encoding="utf-8")
            changed += 1
    return changed


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 1))
