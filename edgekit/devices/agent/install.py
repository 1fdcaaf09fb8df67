"""Run as ``python3 -c`` on a device: makes an environment with numpy and engines below the user's home.

Takes a request as JSON in its argument: ``made_of``, ``requirements``, ``wheels``, ``system`` and ``pip``. Says one
JSON object a line: ``need`` names the wheels that it has not got, whose bytes follow on standard input; ``step`` is
what it does; the last one is ``done`` or ``failed``. Ends where standard input does. The environment counts from the
moment that its stamp is there, and one without is made anew. Needs nothing but Python and its module venv.
"""

import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading

LEAST_BYTES = 4 << 20
request = json.loads(sys.argv[1])
home = os.path.expanduser("~")
venv = os.path.join(home, ".local", "share", "edgekit", "venv")
python = os.path.join(venv, "bin", "python")
stamp = os.path.join(venv, "edgekit.made-of")
cache = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache"), "edgekit", "wheels")
base = getattr(sys, "_base_executable", sys.executable)  # where this is the environment itself
running: "list[subprocess.Popen[bytes]]" = []
starting = threading.Lock()


def say(**message: object) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def digest(path: str) -> str:
    with open(path, "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()


def taken(folder: str) -> bool:
    """Whether another process is at work in there; else it is this one's until it ends, whatever ends it."""
    try:
        fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a disk without locks
        return False
    return False


def receive() -> None:
    if not request["wheels"]:
        return
    os.makedirs(cache, exist_ok=True)
    wanted = {wheel["name"]: wheel for wheel in request["wheels"]}
    for name in os.listdir(cache):
        if name not in wanted or digest(os.path.join(cache, name)) != wanted[name]["sha256"]:
            os.unlink(os.path.join(cache, name))
    needed = [name for name in wanted if not os.path.exists(os.path.join(cache, name))]
    say(need=needed)
    for name in needed:
        left, path = wanted[name]["size"], os.path.join(cache, name)
        with open(path + ".part", "wb") as stream:
            while left:
                data = sys.stdin.buffer.read(min(left, 1 << 20))
                if not data:
                    sys.exit("edgekit: the desk is gone")
                left -= len(data)
                stream.write(data)
        os.replace(path + ".part", path)


def watch() -> None:
    sys.stdin.buffer.read()
    with starting:  # held until the end: nothing more is started
        for process in running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        os._exit(1)


def run(what: str, command: "list[str]") -> None:
    with starting:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that what it starts ends with it
        )
        running.append(process)
    told: list[str] = []
    for line in process.stdout or ():
        text = line.decode(errors="replace").strip()
        told = [*told[-99:], text]
        if text.startswith(("Collecting", "Downloading", "Processing", "Installing")):
            say(step=text)
    if not process.wait():
        return
    if shutil.disk_usage(home).free < LEAST_BYTES:
        what = "disk"  # venv does not tell why it failed
    if whole and not any(text.startswith("Installing") for text in told):
        mark()  # what was there is as it was
    else:
        shutil.rmtree(venv, ignore_errors=True)  # half of it is of no use, and takes room
    say(failed=what, told="\n".join(told))
    sys.exit(0)


def mark() -> None:
    with open(stamp + ".part", "w") as stream:
        stream.write(made_of)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(stamp + ".part", stamp)


whole, made_of = False, request["made_of"] or ""
try:
    os.makedirs(os.path.dirname(venv), exist_ok=True)
    if taken(os.path.dirname(venv)):
        say(failed="busy")
        sys.exit(0)
    receive()
    threading.Thread(target=watch, daemon=True).start()
    if os.path.exists(stamp):
        with open(stamp) as stream:
            known = stream.read()
        whole, made_of = made_of in ("", known), made_of or known
        os.unlink(stamp)
    if not whole:
        shutil.rmtree(venv, ignore_errors=True)
        say(step="Making " + venv)
        options = ["--system-site-packages"] * request["system"] + ["--without-pip"] * (request["pip"] is not None)
        run("venv", [base, "-m", "venv", *options, venv])
    pip = ["-m", "pip"] if request["pip"] is None else [os.path.join(cache, request["pip"], "pip")]
    source = ["--no-index", "--find-links", cache] if request["wheels"] else ["--retries", "1"]
    quiet = ["--disable-pip-version-check", "--no-input", "--no-cache-dir", "--progress-bar=off"]
    pip += ["install", "--upgrade", "--only-binary=:all:", *quiet, *source]
    run("pip", [python, *pip, *request["requirements"]])
    mark()
    shutil.rmtree(cache, ignore_errors=True)
except OSError as error:
    say(failed="files", told=f"{error.filename or venv}: {error.strerror}")
else:
    say(done=python)
