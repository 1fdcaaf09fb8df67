"""The zoo: one frozen entry per architecture. Importing this module loads no framework."""

from edgekit.errors import InputError, suggest
from edgekit.models.spec import ModelSpec
from edgekit.models.zoo import (
    autoencoders,
    bayesian,
    boltzmann,
    capsules,
    classics,
    generators,
    mnist,
    mobilenets,
    recurrent,
    single_shot,
    two_stage,
    verifiers,
)

ZOO: tuple[ModelSpec, ...] = (
    *mnist.SPECS,
    *classics.SPECS,
    *mobilenets.SPECS,
    *single_shot.SPECS,
    *two_stage.SPECS,
    *recurrent.SPECS,
    *generators.SPECS,
    *autoencoders.SPECS,
    *boltzmann.SPECS,
    *bayesian.SPECS,
    *verifiers.SPECS,
    *capsules.SPECS,
)


def _by_name(zoo: tuple[ModelSpec, ...]) -> dict[str, ModelSpec]:
    table: dict[str, ModelSpec] = {}
    for spec in zoo:
        if spec.name in table:
            raise ValueError(f"The zoo has two models called {spec.name!r}; give one of them another name.")
        table[spec.name] = spec
    return table


_TABLE = _by_name(ZOO)


def find_spec(name: str) -> ModelSpec:
    """The entry called ``name``; `InputError` offers the closest when there is none."""
    if name not in _TABLE:
        raise InputError(f"There is no model {name!r} in the zoo; {suggest(name, _TABLE)}")
    return _TABLE[name]
