#!/usr/bin/env python3
"""Proves the real template and the real binaries together, on this machine alone.

Makes a virtual environment, installs ministack (an emulator of AWS) and cargo-lambda into it,
builds the release `bootstrap` of every function, deploys infra/template.yaml with IAM enforced,
runs the tests that features.txt names against it over HTTPS, then the checks of checks.py:
schedule, stream, dead letters, and the restore drill with a real backup. Needs Rust, Python 3.11
and a C compiler, and no Docker. What ministack cannot do is in README.md, beside this file.
"""

import argparse
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True
REPOSITORY = HERE.parents[1]
# ministack's exact version: README.md lists what this one cannot do.
PACKAGES = ["ministack[full]==1.5.33", "cargo-lambda>=1.8,<2", "boto3>=1.40,<2"]
ARCHITECTURES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}
STARTED = time.monotonic()


def tell(text):
    print(f"[{time.monotonic() - STARTED:6.1f} s] {text}", flush=True)


def arguments():
    home = pathlib.Path(os.environ.get("HOME", "/tmp")) / ".cache"
    tools = pathlib.Path(os.environ.get("LETHE_TOOLS", home / "lethe-tools"))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Exit status: 0 all of it holds, 1 something does not, 2 it could not be tried.",
    )
    parser.add_argument("--tools", type=pathlib.Path, default=tools / "deployed", metavar="DIR",
                        help="the virtual environment; made when it is not there (default: %(default)s)")
    parser.add_argument("--bootstraps", type=pathlib.Path, metavar="DIR",
                        help="deploy DIR/<function>/bootstrap, and build none")
    parser.add_argument("--profile", default="release", help="the profile to build with (default: %(default)s)")
    parser.add_argument("--only", choices=["features", "checks"], help="leave out the other half")
    parser.add_argument("--tests", nargs="+", metavar="NAME", help="these feature tests, and not all of features.txt")
    parser.add_argument("--stay", action="store_true", help="leave it standing at the end, until Ctrl-C")
    return parser.parse_args()


def use_tools(tools):
    """Goes on in the virtual environment, which is made and filled where it has to be."""
    python = tools / "bin/python"
    if not python.exists():
        tell(f"making {tools}")
        subprocess.run([sys.executable, "-m", "venv", tools], check=True)
    installed = tools / "installed.txt"
    if not installed.exists() or installed.read_text() != "\n".join(PACKAGES):
        tell(f"installing {', '.join(PACKAGES)}")
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *PACKAGES], check=True)
        installed.write_text("\n".join(PACKAGES))
    if pathlib.Path(sys.prefix).resolve() != tools.resolve():
        os.execv(python, [python, __file__, *sys.argv[1:]])


def build(names, profile, tools):
    """The functions, as they are deployed but for this machine's processor. Where they are."""
    tell(f"building {len(names)} functions with the profile {profile}")
    packages = [word for name in names for word in ("-p", name)]
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    out = target / "deployed"
    # cargo-lambda links with zig, which pip has installed beside it.
    path = f"{tools / 'bin'}{os.pathsep}{os.environ['PATH']}"
    command = ["cargo", "lambda", "build", "--profile", profile, "--lambda-dir", str(out), *packages]
    subprocess.run(command, cwd=REPOSITORY, env={**os.environ, "PATH": path}, check=True)
    return out


def listed():
    lines = (HERE / "features.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def features(deployment, operator, names, folder):
    """Tests by their names, by the same binary as `cargo test`, against the deployment."""
    tell(f"{len(names)} feature tests")
    site = folder / "site.json"
    outputs = deployment.outputs
    site.write_text(json.dumps({
        "url": deployment.cloud.endpoint,
        "host": deployment.host,
        "records": outputs["RecordsTableName"],
        "keyring": outputs["KeyringTableName"],
        "bucket": outputs["BucketName"],
    }))
    environment = {"RUST_BACKTRACE": "0", **os.environ, **deployment.cloud.variables(operator), "LETHE_SITE": str(site)}
    command = ["cargo", "test", "-p", "lethe-tests", "--test", "features", "--", "--exact", *names]
    with subprocess.Popen(command, cwd=REPOSITORY, env=environment, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as run:
        said = []
        for line in run.stdout:
            print(f"           {line}", end="", flush=True)
            said.append(line)
    passed = re.search(r"test result: \w+\. (\d+) passed; (\d+) failed", "".join(said))
    if run.returncode != 0 or not passed:
        raise AssertionError("feature tests fail against the deployment")
    if int(passed[1]) != len(names):
        raise AssertionError(f"{len(names)} tests are named, and {passed[1]} have run: "
                             "is one of them called something else now?")


def prove(options, folder):
    # What pip has installed is there from here on.
    sys.path.insert(0, str(HERE))
    import checks
    import deployment as site
    from cloud import Ministack

    names = site.functions()
    architecture = ARCHITECTURES[platform.machine().lower()]
    binaries = options.bootstraps or build(names, options.profile, options.tools)
    with Ministack(folder) as cloud:
        tell(f"ministack answers at {cloud.endpoint}")
        deployment = site.deploy(cloud, binaries, architecture, tell)
        operator = site.operator(deployment)
        try:
            if options.only != "checks":
                features(deployment, operator, options.tests or listed(), folder)
            if options.only != "features":
                checks.run(checks.Proof(deployment, operator, tell))
        except Exception:
            cloud.keep_the_logs()
            raise
        if options.stay:
            tell(f"it stands at {cloud.endpoint}, Host {deployment.host}; Ctrl-C ends it")
            time.sleep(10**9)


def main():
    options = arguments()
    if platform.machine().lower() not in ARCHITECTURES or platform.system() != "Linux":
        print("run.py: the functions run on Linux, on x86_64 or arm64", file=sys.stderr)
        return 2
    use_tools(options.tools)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="lethe-deployed-"))
    try:
        prove(options, folder)
    except KeyboardInterrupt:
        tell("stopped")
        shutil.rmtree(folder, ignore_errors=True)
        return 2
    except Exception as failure:
        for log in (folder / "ministack.log", folder / "functions.log"):
            if log.exists():
                lines = log.read_text(errors="replace").splitlines()
                print("\n".join(["", f"The end of {log}:", *lines[-40:], ""]), file=sys.stderr)
        print(f"run.py: {failure or type(failure).__name__}", file=sys.stderr)
        if not isinstance(failure, (AssertionError, RuntimeError, subprocess.CalledProcessError)):
            raise
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    tell("all of it holds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
