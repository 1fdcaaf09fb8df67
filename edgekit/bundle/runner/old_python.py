"""What Python 3.9 and 3.10 lack of what edgekit's files use, added before they are imported.

The files themselves stay those of edgekit, byte for byte. This one needs nothing of edgekit. On Python 3.9 the
annotations of the files stay text, since ``int | None`` means nothing there, and unions in the text of dataclasses are
written in the words of `typing`, where `edgekit.codec` looks for them.
"""

import __future__

import ast
import builtins
import dataclasses
import enum
import importlib.abc
import importlib.machinery
import sys
import types
import typing
from typing import Any

_PLAIN_DATACLASS = dataclasses.dataclass


def modernize() -> None:
    """Let this Python import edgekit's files; nothing happens on 3.11 and newer."""
    if not hasattr(enum, "StrEnum"):
        setattr(enum, "StrEnum", StrEnum)  # noqa: B010 - the type checker knows a Python that has it
    if not hasattr(types, "UnionType"):
        setattr(types, "UnionType", typing.Union)  # noqa: B010
        setattr(dataclasses, "dataclass", dataclass)  # noqa: B010
        sys.meta_path.insert(0, Finder())


class StrEnum(str, enum.Enum):  # noqa: UP042 - it is the one of newer Pythons
    """Members are texts, and are shown as these."""

    def __str__(self) -> str:
        return str(self.value)


def dataclass(kind: Any = None, **options: Any) -> Any:
    """`dataclasses.dataclass` that knows ``slots`` (left out) and ``kw_only``: fields without a default come first."""
    options.pop("slots", None)
    keywords_only = options.pop("kw_only", False)

    def make(kind: Any) -> Any:
        fields = {name: spelled_out(text) for name, text in vars(kind).get("__annotations__", {}).items()}
        order = sorted(fields, key=lambda name: name in vars(kind)) if keywords_only else fields
        kind.__annotations__ = {name: fields[name] for name in order}
        return _PLAIN_DATACLASS(**options)(kind)

    return make if kind is None else make(kind)


def spelled_out(annotation: Any) -> Any:
    """The text of an annotation with its unions as this Python understands them.

    >>> spelled_out("tuple[int | None, ...]")
    "tuple[__import__('typing').Union[int, None], ...]"
    """
    if not isinstance(annotation, str) or "|" not in annotation:
        return annotation
    return ast.unparse(_Unions().visit(ast.parse(annotation, mode="eval")))


class _Unions(ast.NodeTransformer):
    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        union = ast.parse("__import__('typing').Union", mode="eval").body
        both = ast.Tuple(elts=[node.left, node.right], ctx=ast.Load())
        return ast.Subscript(value=union, slice=both, ctx=ast.Load())


def checked_zip(*sequences: Any, strict: bool = False) -> Any:
    """`zip` that knows ``strict``."""
    if not strict:
        return builtins.zip(*sequences)  # noqa: B905
    lists = [list(each) for each in sequences]
    if len({len(each) for each in lists}) > 1:
        raise ValueError(f"zip() got {sorted({len(each) for each in lists})} values; expected as many of each.")
    return builtins.zip(*lists)  # noqa: B905


class Finder(importlib.abc.MetaPathFinder):
    """Finds edgekit's files where they are, and has them compiled for this Python."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """As `importlib.abc.MetaPathFinder.find_spec`."""
        if name.partition(".")[0] != "edgekit":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = Loader(name, spec.loader.path)
        return spec


class Loader(importlib.machinery.SourceFileLoader):
    """Leaves annotations unread, and gives each file a `zip` that knows ``strict``."""

    def source_to_code(self, data: Any, path: Any, *, _optimize: int = -1) -> types.CodeType:  # type: ignore[override]
        """As `importlib.abc.InspectLoader.source_to_code`."""
        flags = __future__.annotations.compiler_flag
        code: types.CodeType = compile(data, path, "exec", flags, dont_inherit=True, optimize=_optimize)
        return code

    def exec_module(self, module: types.ModuleType) -> None:
        """As `importlib.abc.Loader.exec_module`."""
        vars(module)["zip"] = checked_zip
        super().exec_module(module)
