"""`thalweg doctor`."""

from agents.commands.flag import Flag


def doctor(*, json: Flag = False) -> int:
    """Check this machine, its settings, and what they point to.

    The exit code is 0 unless a check failed; a warning is what `thalweg up` puts right by itself.

    For example:

        thalweg doctor
        thalweg doctor --json | jq -r '.[] | select(.level == "fail") | .advice'

    Parameters
    ----------
    json
        Write the answer as JSON.
    """
    import msgspec  # noqa: PLC0415  # --help stays quick

    from agents.admin.doctor import examine  # noqa: PLC0415
    from agents.commands.output import console, write_json  # noqa: PLC0415

    colours = {"ok": "green", "warn": "yellow", "fail": "red"}
    findings = []
    for finding in examine():
        findings.append(finding)
        if not json:
            advice = f": {finding.advice}" if finding.advice else ""
            level = f"[{colours[finding.level]}]{finding.level:<6}[/]"
            console().print(f"{level}{finding.subject:<16}{finding.found}{advice}")
    if json:
        write_json(msgspec.to_builtins(findings))
    return int(any(finding.level == "fail" for finding in findings))
