#!/usr/bin/env python3
"""Fuzzes the local run by its own description.

Builds and starts a local run that keeps nothing, on a free port, and lets schemathesis make
requests out of /v1/openapi.json: valid ones, broken ones, and sequences of them. Fails when an
answer is a server error, has a status, header or body that is not described, or does not go
with what was sent; when a route carried nothing out; when something that was begun could not
be ended. What the fuzzer is told besides the description stands in schemathesis.toml and
hooks.py.
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

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from local_run import build, start, stop

VERSION = "4.32.5"
HERE = Path(__file__).resolve().parent


def schemathesis():
    """The fuzzer, installed in a folder of its own unless it is there."""
    cache = os.environ.get("LETHE_TOOLS") or Path.home() / ".cache/lethe-tools"
    folder = Path(cache) / f"schemathesis-{VERSION}"
    program = folder / "bin/schemathesis"
    if not program.exists():
        venv.create(folder, with_pip=True, clear=True)
        pip = [folder / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, f"schemathesis=={VERSION}"], check=True)
    return program


def fuzz(program, demo, data, arguments, more):
    """Runs the fuzzer; whether it found nothing."""
    def bearer(name, key):
        header = {"name": "Authorization", "value": f"Bearer {key}"}
        return {"name": name, "fixedHeaders": [header]}

    auth = data / "auth.json"
    ours, other = demo["keys"]["owner"], demo["other"]["keys"]["owner"]
    auth.write_text(json.dumps({"auth": [bearer("owner", ours), bearer("other", other)]}))
    environment = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": str(HERE / "hooks.py"),
        "LETHE_AUTH": str(auth),
        "LETHE_DEMO": str(data / "demo.json"),
        "LETHE_TALLY": str(data / "tally.json"),
    }
    command = [
        program, "--config-file", HERE / "schemathesis.toml", "run", f"{demo['url']}/v1/openapi.json",
        "--max-examples", str(arguments.examples), "--seed", str(arguments.seed), *more,
    ]
    return subprocess.run(command, cwd=data, env=environment).returncode == 0


def idle(tally):
    """Shows what every operation answered; those that carried nothing out."""
    print(f"\n{'':<56}{'2xx':>7}{'4xx':>7}{'5xx':>7}")
    for operation, answers in sorted(tally.items()):
        print(f"{operation:<56}" + "".join(f"{answers.get(kind, 0):>7}" for kind in ("2xx", "4xx", "5xx")))
    print(f"{len(tally)} operations, {sum(sum(it.values()) for it in tally.values())} requests")
    return [operation for operation, answers in tally.items() if not answers.get("2xx")]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0],
        epilog="Further arguments go to `schemathesis run`, such as --include-operation-id=sendEvents.",
    )
    parser.add_argument("--seed", type=int, default=20260301, help="what is made is made from it (%(default)s)")
    parser.add_argument("--examples", type=int, default=200, help="for each operation (%(default)s)")
    parser.add_argument("--profile", default="dev", help="of the build (%(default)s)")
    arguments, more = parser.parse_known_args()
    begun = time.monotonic()
    program, local = schemathesis(), build(arguments.profile)
    with tempfile.TemporaryDirectory(prefix="lethe-fuzz-") as folder:
        data = Path(folder)
        server, demo = start(local, data)
        try:
            clean = fuzz(program, demo, data, arguments, more)
            with urllib.request.urlopen(f"{demo['url']}/local/dead-letters") as answer:
                dead = json.load(answer)["data"]
        finally:
            stop(server)
        unused = idle(json.loads((data / "tally.json").read_text()))
        if dead or not clean:
            print((data / "log").read_text())
    for operation in unused:
        print(f"{operation} carried nothing out")
    for letter in dead:
        print(f"could not be ended: {json.dumps(letter)}")
    print(f"seed {arguments.seed}, {time.monotonic() - begun:.0f} s")
    sys.exit(not clean or bool(unused or dead))


if __name__ == "__main__":
    main()
