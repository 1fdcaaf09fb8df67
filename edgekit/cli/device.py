"""``edgekit device``."""

from pathlib import Path

import click

from edgekit.cli.common import EXISTING, emit, force_option, json_option, progress_bar, say
from edgekit.cli.tables import print_table
from edgekit.results import envelope


@click.group("device")
def command() -> None:
    """Name, check and prepare the devices that models run on."""


@command.command("list")
@json_option
def list_(json_file: str | None) -> None:
    """List the devices that have a name, and the kinds of device that there are."""
    from edgekit.devices import SCHEMES
    from edgekit.devices.known import known_devices

    known = known_devices()
    rows = [[name, device.uri, device.python or ""] for name, device in known.items()]
    results = [{"name": name, "uri": device.uri, "python": device.python} for name, device in known.items()]

    def table() -> None:
        if rows:
            print_table("Known devices", ["name", "address", "python"], rows)

    emit(envelope("device list", results), json_file, table)
    if not rows:
        say("No device has a name yet; give one: edgekit device add NAME ssh://user@host")
    say(f"Kinds of device: {', '.join(SCHEMES)}.")


@command.command()
@click.argument("name")
@click.argument("uri")
@click.option("--python", metavar="PATH", help="The interpreter on the device. [default: the provisioned one, python3]")
@force_option
def add(name: str, uri: str, python: str | None, force: bool) -> None:
    """Call the device at URI by NAME from now on; nothing is connected."""
    from edgekit.devices import add as add_device

    add_device(name, uri, python=python, force=force)
    say(f"{name} is {uri}; look at it: edgekit device doctor {name}")


@command.command()
@click.argument("name")
def remove(name: str) -> None:
    """Forget the device called NAME; on it nothing changes."""
    from edgekit.devices.known import remove_device

    remove_device(name)
    say(f"{name} is forgotten.")


@command.command()
@click.argument("uri")
@json_option
@click.pass_context
def doctor(ctx: click.Context, uri: str, json_file: str | None) -> None:
    """Check the device at URI, or of that name: what works there, what is missing, and the line that mends it.

    Nothing is installed or changed there, but for edgekit's own cache. The exit code is 1 where no model could run.
    """
    ctx.exit(_examined(uri, json_file))


@command.command()
@click.argument("uri")
@click.option("--engine", "engines", multiple=True, metavar="NAME", help="Install this engine; may be repeated.")
@click.option("--offline", is_flag=True, help="Fetch the wheels here, for a device without internet.")
@click.option(
    "--wheelhouse", type=EXISTING, metavar="DIR", help="Take the wheels, or npm's tarballs, from this folder."
)
@json_option
@click.pass_context
def provision(
    ctx: click.Context,
    uri: str,
    engines: tuple[str, ...],
    offline: bool,
    wheelhouse: Path | None,
    json_file: str | None,
) -> None:
    """Install numpy and engines on the device at URI, into an environment that edgekit uses from then on.

    Without --engine, all that the device takes of LiteRT and ONNX Runtime. Then looks at it as doctor does. For web://
    the engines of a browser are fetched to this machine, which sends them along with the page.
    """
    from edgekit.devices.provision import provision as provision_device

    with progress_bar() as progress:
        made = provision_device(uri, engines, offline=offline, wheelhouse=wheelhouse, tell=say, progress=progress)
    if made.python is None:  # no browser is there yet
        emit(envelope("device provision", [{"requirements": list(made.requirements)}]), json_file, lambda: None)
    else:
        ctx.exit(_examined(uri, json_file))


def _examined(uri: str, json_file: str | None) -> int:
    from edgekit.codec import to_jsonable
    from edgekit.doctor import lines
    from edgekit.doctor.device import examine_device

    found = examine_device(uri)
    data = envelope("device doctor", [to_jsonable(f) for f in found.findings], host=dict(found.host))
    emit({**data, "healthy": found.healthy}, json_file, lambda: click.echo("\n".join(lines(found))))
    return 0 if found.healthy else 1
