#!/usr/bin/env python3
"""Checks the OpenAPI document as its readers use it.

Lints it with Redocly and Spectral, without a warning; generates TypeScript types and compiles
them; generates a Python client, finds a person with it and erases them in a local run.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from local_run import build, start, stop

NPM = {
    "@redocly/cli": "2.77.0",
    "@stoplight/spectral-cli": "6.16.3",
    "openapi-typescript": "7.13.0",
    "typescript": "5.9.3",
}
GENERATOR = "0.29.1"


def run(*command, cwd=None):
    """Runs a command; what it prints. Exits with all of it when the command fails."""
    done = subprocess.run([str(it) for it in command], cwd=cwd, text=True, capture_output=True)
    if done.returncode:
        sys.exit(f"{Path(command[0]).name} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def tools():
    """Folders of the npm and the Python tools, installed unless they are there."""
    cache = Path(os.environ.get("LETHE_TOOLS") or Path.home() / ".cache/lethe-tools")
    node = cache / ("openapi-" + "-".join(NPM.values()))
    if not (node / "node_modules/.bin/tsc").exists():
        node.mkdir(parents=True, exist_ok=True)
        wanted = [f"{name}@{version}" for name, version in NPM.items()]
        run("npm", "install", "--silent", "--no-save", "--ignore-scripts", "--prefix", node, *wanted)
    python = cache / f"openapi-python-client-{GENERATOR}"
    if not (python / "bin/openapi-python-client").exists():
        venv.create(python, with_pip=True, clear=True)
        run(python / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
            f"openapi-python-client=={GENERATOR}")
    return node / "node_modules/.bin", python / "bin"


def lint(node, document, folder):
    """Both linters, with no finding of any severity."""
    found = run(node / "redocly", "lint", document, "--extends", "recommended", "--format", "json")
    if any(json.loads(found)["totals"].values()):
        sys.exit(found)
    rules = folder / "spectral.yaml"
    rules.write_text('extends: ["spectral:oas"]\n')
    run(node / "spectral", "lint", document, "--ruleset", rules, "--fail-severity", "hint")
    print("redocly and spectral: no finding")


def types(node, document, folder):
    """TypeScript types that compile."""
    made = folder / "api.ts"
    run(node / "openapi-typescript", document, "-o", made)
    run(node / "tsc", "--noEmit", "--strict", made)
    print(f"openapi-typescript: {len(made.read_text().splitlines())} lines, and they compile")


def client(python, document, folder, demo):
    """A generated client finds a person and erases them."""
    run(python / "openapi-python-client", "generate", "--path", document, "--meta", "none",
        "--output-path", folder / "lethe", cwd=folder)
    print(run(python / "python", HERE / "erase.py", demo["url"], demo["keys"]["owner"], cwd=folder).strip())


def main():
    argparse.ArgumentParser(description=__doc__.split("\n\n")[0]).parse_args()
    begun = time.monotonic()
    (node, python), program = tools(), build("dev")
    with tempfile.TemporaryDirectory(prefix="lethe-clients-") as name:
        folder = Path(name)
        server, demo = start(program, folder)
        try:
            document = folder / "openapi.json"
            with urllib.request.urlopen(f"{demo['url']}/v1/openapi.json") as answer:
                document.write_bytes(answer.read())
            lint(node, document, folder)
            types(node, document, folder)
            client(python, document, folder, demo)
        finally:
            stop(server)
    print(f"{time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
