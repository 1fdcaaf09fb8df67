"""Run as ``python3 -c`` on a device, with the digest of edgekit's parcel: takes the parcel if it is new, and starts it.

Says ``send`` when it needs the parcel, whose length in a line and bytes follow; ``ready`` when what is in it runs. It
needs nothing but Python.
"""

import contextlib
import hashlib
import io
import os
import shutil
import sys
import tempfile
import time
import zipfile

if sys.version_info < (3, 9):  # noqa: UP036 - devices have older Pythons than edgekit's
    sys.exit("edgekit: python " + sys.version.split()[0] + " is too old")
digest = sys.argv[1]
cache = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache"), "edgekit")
place = os.path.join(cache, "agent-" + digest)


def say(word: str) -> None:
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


def whole() -> bool:
    """Whether all is as it was sent; a power cut may have emptied files."""
    try:
        with open(os.path.join(place, "parcel"), "rb") as stream:
            data = stream.read()
        if hashlib.sha256(data).hexdigest() != digest:
            return False
        sent = zipfile.ZipFile(io.BytesIO(data))
        for name in sent.namelist():
            with open(os.path.join(place, name), "rb") as stream:
                if stream.read() != sent.read(name):
                    return False
    except OSError:
        return False
    return True


if not whole():
    say("send")
    size = int(sys.stdin.buffer.readline(20))
    data = sys.stdin.buffer.read(size)
    if hashlib.sha256(data).hexdigest() != digest:
        sys.exit("edgekit: the runner arrived damaged")
    try:
        os.makedirs(cache, exist_ok=True)
        made = tempfile.mkdtemp(prefix="agent-", dir=cache)
        try:
            zipfile.ZipFile(io.BytesIO(data)).extractall(made)
            with open(os.path.join(made, "parcel"), "wb") as stream:
                stream.write(data)
            if not whole():
                shutil.rmtree(place, ignore_errors=True)
            os.rename(made, place)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    except OSError as error:
        if not whole():  # another connection was first
            sys.exit("edgekit: cannot write to " + cache + ": " + str(error.strerror))
    for name in os.listdir(cache):  # those of other edgekits, which nobody has started for a month
        other = os.path.join(cache, name)
        if name.startswith("agent-") and time.time() - os.path.getmtime(other) > 30 * 24 * 60 * 60:
            shutil.rmtree(other, ignore_errors=True)
else:
    with contextlib.suppress(OSError):  # a disk that may be read only
        os.utime(place)
sys.path.insert(0, place)

from edgekit.bundle.runner.old_python import modernize  # noqa: E402

modernize()

from edgekit.devices.agent.serve import main  # noqa: E402

say("ready")
main()
