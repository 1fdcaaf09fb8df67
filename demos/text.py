"""A text that a model of one time step goes on with, token by token."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.artifact import Artifact
from edgekit.errors import DataError, InputError
from edgekit.sequences import Level, Vocabulary
from edgekit.stream import Stream, open_step_file
from edgekit.tasks.sampling import sample
from edgekit.tasks.texts import token_ids, tokenize

_TASK = "text-generation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a text goes on: after ``prompt``, by ``length`` tokens, drawn with ``seed``; see `edgekit.tasks.sampling`."""

    prompt: str = ""
    length: int = 200
    temperature: float = 0.8
    top_k: int | None = None
    seed: int = 0


@dataclass(slots=True, kw_only=True)
class Written:
    """What has been written after the prompt, and the milliseconds that each token took."""

    artifact: Artifact
    given: Path
    manner: Manner
    text: str = ""
    token_ms: list[float] = field(default_factory=list)
    interrupted: bool = False

    @property
    def tokens_per_s(self) -> float:
        """Tokens a second, without the prompt's."""
        return 1e3 * len(self.token_ms) / sum(self.token_ms) if self.token_ms else 0.0

    @property
    def p50_ms(self) -> float:
        """Median time of a token."""
        return float(np.median(self.token_ms)) if self.token_ms else 0.0

    def summary(self) -> str:
        """How fast it was, in a line."""
        return f"{len(self.token_ms)} tokens, {self.tokens_per_s:,.0f} tokens/s, p50 {self.p50_ms:.3f} ms a token"

    def result(self) -> dict[str, Any]:
        """All of it as JSON types."""
        manner = self.manner
        return {
            "artifact": str(self.given),
            "sha256": self.artifact.sha256,
            "format": self.artifact.format.value,
            "recipe": self.artifact.recipe,
            "prompt": manner.prompt,
            "text": self.text,
            "temperature": manner.temperature,
            "top_k": manner.top_k,
            "seed": manner.seed,
            "n": len(self.token_ms),
            "metrics": {"tokens_per_s": self.tokens_per_s, "p50_ms": self.p50_ms},
            "interrupted": self.interrupted,
        }


class Writer:
    """A text generator of one time step in the file at ``path``."""

    def __init__(self, path: Path, *, threads: int = 1, engine: str | None = None) -> None:
        self._artifact, self._given = open_step_file(path), path
        self._vocabulary = _vocabulary(self._artifact)
        self._stream = Stream(path, threads=threads, engine=engine)

    def write(self, manner: Manner, put: Callable[[str], None], *, tell: Callable[[str], None]) -> Written:
        """Go on with the prompt; ``put`` gets it and then each piece at once. Ctrl-C ends it, which the result says.

        ``tell`` hears once of what the model does not know. `DataError` for a prompt that it cannot take.
        """
        ids = self._prompt(manner.prompt, tell)
        written = Written(artifact=self._artifact, given=self._given, manner=manner)
        try:
            put(harmless(manner.prompt))
            for piece in self._pieces(ids, manner, written.token_ms):
                written.text += piece
                put(piece)
        except KeyboardInterrupt:
            written.interrupted = True
        return written

    def _pieces(self, prompt: list[int], manner: Manner, token_ms: list[float]) -> Iterator[str]:
        generator, known = np.random.default_rng(manner.seed), self._vocabulary
        never = [number for number in (known.unknown, known.padding) if number is not None]
        self._stream.reset()
        answers = [self._stream.push(number) for number in prompt]
        logits = answers[-1]
        between = " " if known.level is Level.WORD and manner.prompt else ""
        for _ in range(manner.length):
            started = time.perf_counter()
            token = sample(logits, generator, temperature=manner.temperature, top_k=manner.top_k, never=never)
            logits = self._stream.push(token)
            token_ms.append(1e3 * (time.perf_counter() - started))
            yield between + harmless(known.tokens[token])
            between = " " if known.level is Level.WORD else ""

    def _prompt(self, prompt: str, tell: Callable[[str], None]) -> list[int]:
        known = self._vocabulary
        ids = [int(number) for number in token_ids(prompt, known)]
        if known.unknown in ids:
            tokens = tokenize(prompt, known.level, lower=known.lower)
            strange = dict.fromkeys(token for token, number in zip(tokens, ids, strict=True) if number == known.unknown)
            tell(
                f"The model does not know {', '.join(map(repr, strange))}; it reads its token for the unknown instead."
            )
        if ids:
            return ids
        start = next((known.tokens.index(token) for token in ("\n", " ") if token in known.tokens), None)
        if start is None:
            raise DataError("The prompt has no token that the model could begin after; give --prompt a word or more.")
        return [start]


def harmless(text: str) -> str:
    """``text`` without commands for a terminal, which a card from elsewhere may hold; its line breaks stay."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)


def _vocabulary(artifact: Artifact) -> Vocabulary:
    card = artifact.card
    if card.sequences is None or card.sequences.text is None:
        raise InputError(
            f"{artifact.path} has no vocabulary in its card, so that its answers spell nothing; take a text generator "
            "that was trained by edgekit, or attach a card with a vocabulary."
        )
    vocabulary = card.sequences.text.vocabulary
    states = {state.output for state in card.sequences.states}
    sizes = [spec.shape[-1] for spec in card.outputs if spec.name not in states]
    if card.task not in (None, _TASK) or sizes != [len(vocabulary.tokens)]:
        raise InputError(
            f"{artifact.path} does {card.task or 'something'} and writes no text; take a model of the task {_TASK}."
        )
    return vocabulary
