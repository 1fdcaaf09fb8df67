"""Arguments of an entry as people write them: NAME=VALUE, or by an option of their own."""

from collections.abc import Mapping, Sequence

from edgekit.errors import InputError
from edgekit.models.spec import ModelSpec, Value


def given_arguments(
    spec: ModelSpec, settings: Sequence[str], options: Mapping[str, Value | None] | None = None
) -> dict[str, Value]:
    """The checked arguments of ``spec`` that ``settings``, NAME=VALUE each, and ``options`` that are not None give.

    `InputError` for a name or value that the entry does not take, and for a name that is given twice.

    >>> from edgekit.models.registry import find_spec
    >>> given_arguments(find_spec("mlp"), ["units=64", "dropout=0"], {"size": None})
    {'units': 64, 'dropout': 0.0}
    """
    found: dict[str, Value] = {k: v for k, v in (options or {}).items() if v is not None}
    by_option = set(found)
    for setting in settings:
        name, sign, value = setting.partition("=")
        if not sign or not name:
            example = spec.arguments[0]
            raise InputError(f"--set takes NAME=VALUE, such as {example.name}={example.default}; got {setting!r}.")
        if name in by_option:
            raise InputError(f"--{name} {found[name]} and --set {setting} give {name} twice; leave one out.")
        if name in found:
            raise InputError(f"--set {name}={found[name]} and --set {setting} give {name} twice; leave one out.")
        found[name] = value
    resolved = spec.resolved(found)
    return {name: resolved[name] for name in found}
