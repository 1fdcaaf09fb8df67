"""The engines of a browser: only the very packages are taken, from npm or a folder, and only what is needed is kept."""

import base64
import hashlib
import io
import json
import shutil
import tarfile
from pathlib import Path

import pytest
from command import edgekit
from phone import script

from edgekit.devices import web_engines
from edgekit.devices.provision import provision as provision_device
from edgekit.devices.web_engines import PACKAGES, Package, engine_files, engines_folder, provision
from edgekit.errors import DeviceError, InputError, MissingExtraError

KEPT = b'import {x} from "@litertjs/wasm-utils";'


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the tarball of a package of two files, of which one is kept, in the place of the real ones."""
    folder = tmp_path / "tarballs"
    folder.mkdir()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    path = folder / "scope-small-1.2.3.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, data in (("package/dist/index.js", KEPT), ("../escaped.js", b"not kept")):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    package = Package(
        name="@scope/small", version="1.2.3", integrity=integrity, files={"litert/index.js": "package/dist/index.js"}
    )
    monkeypatch.setattr(web_engines, "PACKAGES", (package,))
    return folder


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_what_is_needed_is_kept(small: Path, tmp_path: Path) -> None:
    for _ in range(2):  # a second time replaces the first
        folder = provision(small)
        assert folder == engines_folder()
        assert names(folder) == ["SHA256SUMS", "litert/index.js"]
        assert names(tmp_path / "data") == [f"edgekit/{folder.name}/{name}" for name in names(folder)]
        assert (folder / "litert/index.js").read_bytes() == KEPT
        assert engine_files(folder) == {"litert/index.js": b'import {x} from "/engines/wasm-utils/index.js";'}
        digest = hashlib.sha256(KEPT).hexdigest()
        assert (folder / "SHA256SUMS").read_text() == f"{digest}  litert/index.js\n"  # which sha256sum -c reads


@pytest.mark.parametrize("damaged", ["litert/index.js", "SHA256SUMS"])
def test_what_is_kept_and_damaged_is_not_served(small: Path, damaged: str) -> None:
    folder = provision(small)
    (folder / damaged).write_bytes(b"")
    with pytest.raises(MissingExtraError) as caught:
        engine_files(folder)
    assert str(caught.value) == (
        f"{folder}/litert/index.js is damaged: its digest is another. Run: edgekit device provision web://"
    )
    provision(small)
    assert engine_files(folder)


def test_a_folder_without_digests_is_filled_anew(small: Path) -> None:
    folder = provision(small)
    (folder / "SHA256SUMS").unlink()
    with pytest.raises(MissingExtraError) as caught:
        engine_files(folder)
    assert str(caught.value) == (
        f"The engines that a browser runs are not in {folder}. Run: edgekit device provision web://"
    )


def test_another_version_has_another_folder(small: Path) -> None:
    real = web_engines.PACKAGES
    web_engines.PACKAGES = PACKAGES
    other = engines_folder()
    web_engines.PACKAGES = real
    assert engines_folder() != other


def test_a_package_that_was_changed_is_refused(small: Path, tmp_path: Path) -> None:
    path = small / "scope-small-1.2.3.tgz"
    path.write_bytes(path.read_bytes() + b"\0")
    digest = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    with pytest.raises(InputError) as caught:
        provision(small)
    assert str(caught.value) == (
        f"{path} is not @scope/small 1.2.3: its digest is sha512-{digest}, "
        f"expected {web_engines.PACKAGES[0].integrity}; fetch it again."
    )
    assert names(tmp_path / "data") == []


def test_a_package_that_is_missing_is_one_sentence(small: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        provision(tmp_path / "none")
    assert str(caught.value) == (
        f"{tmp_path / 'none' / 'scope-small-1.2.3.tgz'} cannot be read: No such file or directory; "
        "make it there with: npm pack @scope/small@1.2.3"
    )


def test_a_machine_without_npm_is_one_sentence(small: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingExtraError) as caught:
        provision()
    assert str(caught.value) == (
        "npm is not installed; install it, such as: apt install npm, or give a folder of tarballs, --wheelhouse."
    )


def test_npm_runs_nothing_of_the_packages(small: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script(tmp_path / "bin/npm", f'printf "%s\\n" "$@" > {tmp_path}/asked; cp {small}/* .')
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    assert engine_files(provision())
    verb, *options, _, name = (tmp_path / "asked").read_text().splitlines()
    assert (verb, options, name) == (
        *("pack", ["--ignore-scripts", "--json", "--pack-destination"], "@scope/small@1.2.3"),
    )


def test_npm_that_reaches_nothing_is_one_sentence(small: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    require_npm()
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))
    with pytest.raises(DeviceError) as caught:
        provision()
    assert str(caught.value) == (
        "npm did not fetch @scope/small@1.2.3: FetchError: request to http://127.0.0.1:9/@scope%2fsmall failed, "
        "reason: connect ECONNREFUSED 127.0.0.1:9; or give a folder of tarballs, --wheelhouse."
    )


@pytest.mark.parametrize("told", ["", "[]", '{"error": 3}', '{"error": {}}', "npm crashed"])
def test_npm_that_does_not_say_why(told: str) -> None:
    assert web_engines._reason(told) == "it does not say why"


def test_npm_that_hangs_is_one_sentence(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_npm()
    monkeypatch.setattr(web_engines, "_NPM_S", 0.01)
    with pytest.raises(DeviceError) as caught:
        provision()
    assert str(caught.value) == "npm did not fetch @scope/small@1.2.3 within 0.01 s; try again."


def test_engines_are_the_same_for_every_browser(small: Path) -> None:
    with pytest.raises(InputError) as caught:
        provision_device("web://", ["litert"])
    assert str(caught.value) == ("web:// gets all engines, which are kept here; leave out --engine and --offline.")


def test_the_verb_tells_what_it_keeps(small: Path) -> None:
    told: list[str] = []
    made = provision_device("web://", wheelhouse=small, tell=told.append)
    assert (made.python, made.requirements) == (None, ("@scope/small@1.2.3",))
    assert told == [f"Taking the engines from {small}", f"{engines_folder()} has what a browser needs, 0 MB."]


@pytest.mark.slow
def test_npm_has_the_packages(tmp_path: Path) -> None:
    require_npm()
    done = edgekit("device", "provision", "web://", "--json", "-", env={"XDG_DATA_HOME": str(tmp_path)})
    if "npm did not fetch" in done.stderr:
        pytest.skip(done.stderr.splitlines()[-1])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["results"] == [{"requirements": [f"{p.name}@{p.version}" for p in PACKAGES]}]
    (folder,) = (tmp_path / "edgekit").iterdir()
    kept = {"SHA256SUMS", *(name for package in PACKAGES for name in package.files)}
    assert set(names(folder)) == kept
    assert b'from "/engines/wasm-utils/index.js"' in engine_files(folder)["litert/index.js"]
    licences = {p: json.loads((folder / p / "package.json").read_text())["license"] for p in ("litert", "ort")}
    assert licences == {"litert": "Apache-2.0", "ort": "MIT"}
    assert 30e6 < sum(len(data) for data in engine_files(folder).values()) < 60e6


def require_npm() -> None:
    if shutil.which("npm") is None:
        pytest.skip("there is no npm; Debian's package npm has it")
