"""`python -m ops.monitoring`: write the rules of Prometheus and the dashboard of Grafana."""

from pathlib import Path
from typing import Final

import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from ops.monitoring.dashboard import dashboard
from ops.monitoring.rules import rules

OPS: Final = Path(__file__).resolve().parents[1]
RULES: Final = OPS / "prometheus/rules.yml"
DASHBOARD: Final = OPS / "grafana/dashboards/thalweg.json"
_HEAD: Final = (
    "# Written by `python -m ops.monitoring`; a test holds it equal to ops/monitoring/.\n"
)


def files() -> dict[Path, str]:
    """Give the contents of each file."""
    panels = JSONEncoder(sort_keys=True, indent=2).encode(dashboard().build())
    return {
        RULES: _HEAD + yaml.safe_dump(rules(), sort_keys=False, allow_unicode=True, width=100),
        DASHBOARD: panels + "\n",
    }


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(OPS.parent))  # noqa: T201
