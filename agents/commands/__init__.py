"""One module per command of `thalweg`. `agents.cli` imports it when the command is called.

Parsing and printing live here, the work elsewhere. What a command alone needs is imported inside
it, so that its `--help` is quick.
"""
