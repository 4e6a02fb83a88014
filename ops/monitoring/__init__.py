"""What Prometheus and Grafana are handed, as code: `python -m ops.monitoring` writes their files.

`quantities` is the one list of what is held to a goal. `rules` makes recording and alert rules of
it, `dashboard` panels.
"""
