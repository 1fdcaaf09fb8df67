"""The engines that a page runs: found in a folder of the user, which `provision` fills from npm's packages.

Only exact versions with known digests are taken, and of their files only those that run models on a CPU.
"""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgekit.errors import DeviceError, InputError, MissingExtraError
from edgekit.files import Staging, scratch_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One of npm's packages: its digest as npm writes it, and which of its files are kept under which names."""

    name: str
    version: str
    integrity: str
    files: Mapping[str, str]

    @property
    def tarball(self) -> str:
        """The name of the file that ``npm pack`` makes."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebEngine:
    """What runs a kind of file in a browser."""

    name: str
    version: str


_WASM = {
    f"litert/{name}": f"package/wasm/{name}"
    for build in ("", "_compat", "_threaded")  # today's browsers, older ones, several threads
    for name in (f"litert_wasm{build}_internal.js", f"litert_wasm{build}_internal.wasm")
}
PACKAGES = (
    Package(
        name="@litertjs/core",
        version="2.5.3",
        integrity="sha512-PlGmbMOq9WitX7FO0jhbdJw9GthatsyuCQXjTt/wJZo0FLaw48q4tz8IwqgqCIkviYGr9OFDL1kCnN4nzWoyJQ==",
        files={"litert/index.js": "package/dist/index.js", "litert/package.json": "package/package.json", **_WASM},
    ),
    Package(
        name="@litertjs/wasm-utils",
        version="2.5.3",
        integrity="sha512-4fJiw6tBQnIs+0jH/OQ16nYOiSl8/+zZnn5h2ul8aTKHi05sVqZW580Tmk78pC2kT39A9OYBVdFawteZ/sI1kQ==",
        files={
            "wasm-utils/index.js": "package/dist/index.js",
            "wasm-utils/package.json": "package/package.json",
        },
    ),
    Package(
        name="onnxruntime-web",
        version="1.30.0",
        integrity="sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ==",
        files={
            f"ort/{path.rpartition('/')[2]}": f"package/{path}"
            for path in (
                "dist/ort.wasm.min.js",
                "dist/ort-wasm-simd-threaded.mjs",
                "dist/ort-wasm-simd-threaded.wasm",
                "package.json",
            )
        },
    ),
)
"""The licence of each stands in its ``package.json``, which is kept; the packages have no text of it."""

_ENGINES = {
    "tflite": WebEngine(name="litert.js", version=PACKAGES[0].version),
    "onnx": WebEngine(name="onnxruntime-web", version=PACKAGES[2].version),
}
_MOST_BYTES = 64 << 20
_NPM_S = 600.0
_COMMAND = "edgekit device provision web://"
_SUMS = "SHA256SUMS"
"""Digests of the kept files, as sha256sum writes them: a power cut may leave some empty."""

# Import maps do not reach into workers, so the one name that LiteRT.js imports becomes an address while it is served.
_BARE, _ADDRESS = b'from "@litertjs/wasm-utils"', b'from "/engines/wasm-utils/index.js"'


def engine_of(kind: str) -> WebEngine:
    """What runs files of the format ``kind`` in a browser."""
    return _ENGINES[kind]


def engines_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where the engines of these versions are or would be: below ``XDG_DATA_HOME``, or ``~/.local/share``."""
    home = environment.get("XDG_DATA_HOME")
    base = Path(home) if home else Path.home() / ".local" / "share"
    pins = hashlib.sha256("\n".join(sorted(p.integrity for p in PACKAGES)).encode()).hexdigest()
    return base / "edgekit" / f"web-{pins[:12]}"


def engine_files(folder: Path) -> dict[str, bytes]:
    """The engines' files as they are served, by name; `MissingExtraError` where one is damaged or not in ``folder``."""
    names = [name for package in PACKAGES for name in package.files if not name.endswith(".json")]
    try:
        sums = (folder / _SUMS).read_bytes().splitlines()
        found = {name: (folder / name).read_bytes() for name in names}
    except OSError:
        raise MissingExtraError(f"The engines that a browser runs are not in {folder}. Run: {_COMMAND}") from None
    for name, data in found.items():
        if _sum(name, data) not in sums:
            raise MissingExtraError(f"{folder / name} is damaged: its digest is another. Run: {_COMMAND}")
    found["litert/index.js"] = found["litert/index.js"].replace(_BARE, _ADDRESS)
    return found


def provision(source: Path | None = None, *, folder: Path | None = None) -> Path:
    """Fill ``folder`` with the engines, from tarballs in the folder ``source`` or else by npm; the folder.

    `InputError` for a tarball that is missing or not the one expected, `MissingExtraError` where npm is not installed.
    """
    target = folder or engines_folder()
    with scratch_folder() as scratch:
        packed = _packed_by_npm(Path(scratch)) if source is None else source
        with Staging(target.parent, option="XDG_DATA_HOME") as stage:
            keep(stage.path / target.name, {k: v for p in PACKAGES for k, v in kept_files(p, packed).items()})
            stage.publish(target.name)
    return target


def keep(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write ``files``, by name, to ``folder``, with their digests."""
    for name, data in {**files, _SUMS: b"\n".join(_sum(name, data) for name, data in files.items()) + b"\n"}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _sum(name: str, data: bytes) -> bytes:
    return f"{hashlib.sha256(data).hexdigest()}  {name}".encode()


def kept_files(package: Package, packed: Path) -> dict[str, bytes]:
    """The files to keep of ``package``, whose tarball is in the folder ``packed``."""
    path = packed / package.tarball
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}; make it there with: npm pack {package.name}@{package.version}"
        ) from None
    digest = "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()
    if digest != package.integrity:
        raise InputError(
            f"{path} is not {package.name} {package.version}: its digest is {digest}, expected {package.integrity}; "
            "fetch it again."
        )
    with tarfile.open(path, "r:gz") as archive:
        return {name: _member(archive, inside) for name, inside in package.files.items()}


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    stream = archive.extractfile(name)
    assert stream is not None  # noqa: S101 - the digest says what is in it
    with stream:
        return stream.read(_MOST_BYTES)


def _packed_by_npm(folder: Path) -> Path:
    """``folder`` with the tarballs in it."""
    npm = shutil.which("npm")
    if npm is None:
        raise MissingExtraError(
            "npm is not installed; install it, such as: apt install npm, or give a folder of tarballs, --wheelhouse."
        )
    names = [f"{package.name}@{package.version}" for package in PACKAGES]
    command = [npm, "pack", "--ignore-scripts", "--json", "--pack-destination", str(folder), *names]
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=_NPM_S, check=False)
    except subprocess.TimeoutExpired:
        raise DeviceError(f"npm did not fetch {', '.join(names)} within {_NPM_S:g} s; try again.") from None
    if done.returncode:
        raise DeviceError(
            f"npm did not fetch {', '.join(names)}: {_reason(done.stdout)}; or give a folder of tarballs, --wheelhouse."
        )
    return folder


def _reason(told: str) -> str:
    """What npm says of its failure."""
    try:
        return str(json.loads(told)["error"]["summary"]).rstrip(".")
    except (ValueError, LookupError, TypeError):
        return "it does not say why"
