"""Make a virtual environment hold exactly what lock files say: `set_up.py DIRECTORY LOCK…`.

Runs on the bare interpreter, before anything is installed. uv installs, being quicker,
and pip when uv cannot. Both follow pip's configuration, where companies name their mirrors.
"""

import ast
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UV_LOCK = ROOT / "requirements-uv.lock"
PACKAGES = [ROOT / name for name in ("agents", "examples", "online_models", "schemas", "streams")]

UV_VARIABLES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "proxy": "ALL_PROXY",
}
"""What pip's settings are called in uv's environment."""


def main() -> None:
    """Install the locks and the checkout itself; end in one line when that cannot be."""
    directory, locks = Path(sys.argv[1]), sys.argv[2:]
    python = directory / "bin" / "python"
    if not python.exists():
        venv.create(directory, with_pip=True, symlinks=True)
    pip = [str(python), "-m", "pip"]
    requirements = ["--require-hashes", *(part for lock in locks for part in ("-r", lock))]
    checkout = ["--no-deps", "--no-build-isolation", "--editable", str(ROOT)]

    patience = ["--quiet", "--disable-pip-version-check", "--retries", "2"]
    try:
        run([*pip, "install", *patience, "--require-hashes", "-r", str(UV_LOCK)])
    except subprocess.CalledProcessError as error:
        sys.exit(f"the package registry does not serve us: {reason(error)}")
    environment = uv_environment(pip)
    uv = [str(directory / "bin" / "uv"), "pip", "install", "--quiet", "--python", str(python)]
    try:
        # Compiled once, as pip does it: where Python may not write what it compiled
        # (PYTHONDONTWRITEBYTECODE), each process would spend seconds on compiling everything anew.
        run([*uv, "--compile-bytecode", *requirements], environment)
        run([*uv, *checkout], environment)
    except subprocess.CalledProcessError as error:
        print(f"uv cannot install ({reason(error)}); trying pip", file=sys.stderr)  # noqa: T201
        try:
            run([*pip, "install", *patience, *requirements])
            run([*pip, "install", *patience, *checkout])
        except subprocess.CalledProcessError as error:
            sys.exit(f"the packages cannot be installed: {reason(error)}")
    # Unchecked: what cannot be compiled is told by whoever imports it.
    subprocess.run([python, "-m", "compileall", "-qq", *PACKAGES], check=False)  # noqa: S603


def run(command: list[str], environment: dict[str, str] | None = None) -> str:
    """Run a command; tell what it wrote to its output."""
    done = subprocess.run(  # noqa: S603  # our own commands
        command, check=True, capture_output=True, text=True, env=environment
    )
    return done.stdout


def reason(error: subprocess.CalledProcessError) -> str:
    """Find the line in which pip or uv says what is wrong."""
    lines: list[str] = [line.strip() for line in error.stderr.splitlines() if line.strip()]
    # After tries in vain pip's last line is that it found no version, as if there were none.
    if any("Retrying (" in line for line in lines):
        return "it cannot be reached; is pip's index configured?"
    telling = [line for line in lines if line.lower().startswith(("error:", "\u00d7"))]
    return (telling or lines or [f"exit code {error.returncode}"])[-1]


def uv_environment(pip: list[str]) -> dict[str, str]:
    """Say in uv's words what pip is configured to do; what is said to uv itself stands."""
    settings: dict[str, str] = {}
    lines = run([*pip, "config", "list"]).splitlines()  # such as `global.index-url='…'`
    for section in ("global.", "install.", ":env:."):  # by increasing precedence
        for line in lines:
            name, _, value = line.removeprefix(section).partition("=")
            if line.startswith(section):
                settings[name] = " ".join(str(ast.literal_eval(value)).split())
    translated = {UV_VARIABLES[name]: settings[name] for name in UV_VARIABLES if name in settings}
    # As pip does it: the best version of all indexes; every file is pinned by its hash.
    return {"UV_INDEX_STRATEGY": "unsafe-best-match"} | translated | dict(os.environ)


if __name__ == "__main__":
    main()
