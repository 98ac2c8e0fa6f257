"""What a file was made from: digests, and the error that names the notebook to run."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import inspect
import json
import os
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple


class StaleError(ValueError):
    """A file was made from something else than what is here now; the message names the notebook to run."""


class FileState(NamedTuple):
    """What the file system says about a file without reading it; equal as long as nobody has written to it."""

    size: int  # bytes
    modified: int  # nanoseconds since 1970; a program may set it back
    changed: int  # nanoseconds since 1970, of the last change of contents or attributes; nobody can set it

    @classmethod
    def of(cls, path: Path | str) -> FileState:
        """Return the state of a file; an OSError where it cannot be seen."""
        status = os.stat(path)
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    @classmethod
    def seen(cls, path: Path | str) -> FileState | None:
        """Return the state of a file; None where it cannot be seen, as on a drive that is away."""
        with contextlib.suppress(OSError):
            return cls.of(path)
        return None


def digest(*values: Any) -> str:
    """Return 16 hexadecimal digits that change with any of the values, which JSON can hold."""
    text = json.dumps(values, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def content_digest(content: bytes | memoryview) -> str:
    """Return 32 hexadecimal digits that stand for the bytes of a file."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def differences(kept: Mapping, now: Mapping, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield (field, before, after) of every field that differs; a field that only one side has counts, as None."""
    for field in dict.fromkeys([*kept, *now]):
        before, after = kept.get(field), now.get(field)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from differences(before, after, f"{prefix}{field}.")
        elif before != after or (field in kept) != (field in now):
            yield f"{prefix}{field}", before, after


def difference(kept: Mapping, now: Mapping) -> str:
    """Return the first field that differs, in words; "" where all are equal."""
    found = next(differences(kept, now), None)
    return "" if found is None else "{} was {!r} and is now {!r}".format(*found)


def require_same(file: Path | str, kept: Mapping, now: Mapping, made_by: str) -> None:
    """Raise a StaleError for a file or folder that was made from something else than it would be now.

    The message names the notebook that makes it.
    """
    if found := difference(kept, now):
        raise StaleError(f"{file} is out of date: {found}. Run notebooks/{made_by}.ipynb again.")


# Packages whose modules count whole, with all that they use of each other.
_OF_MODELS = ("captioning.models.", "captioning.from_scratch.")


def code_digest(model: type) -> str:
    """Return a digest of the code that a model's class runs; comments, docstrings and layout do not count.

    It covers the class and its bases, and the functions and classes that they use, as far as they stand in a module of
    the package's models or beside the class itself: in the same file, or in cells of the same notebook. The source is
    read from the disk, so an edit counts as soon as it is saved.

    Args:
        model: the class, from the package or defined in a notebook's cell.
    """
    sources: dict[str, str] = {}
    waiting: list[Any] = [model]
    seen: set[int] = set()
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or not (isinstance(thing, type) or inspect.isfunction(thing)):
            continue
        seen.add(id(thing))
        module = thing.__module__ or ""
        if f"{module}.".startswith(_OF_MODELS):
            if module not in sources:
                sources[module] = _bare(inspect.getsource(sys.modules[module]))
                waiting += vars(sys.modules[module]).values()
            waiting += _functions(thing)  # a method may have been replaced from a notebook
        elif module in ("__main__", model.__module__) and (name := f"{module}.{thing.__qualname__}") not in sources:
            functions = list(_functions(thing))
            sources[name] = "\n".join([_settings_of(thing), *map(_source, functions)])
            waiting += getattr(thing, "__bases__", ())
            waiting += [used for function in functions for used in _globals_used(function)]
    return digest(sorted(sources.items()))


def _functions(thing: Any) -> Iterator:
    """Yield the function itself, or those of a class: methods, properties, class methods."""
    if inspect.isfunction(thing):
        yield thing
        return
    for value in vars(thing).values():
        for part in (value, *(getattr(value, name, None) for name in ("__func__", "fget", "fset"))):
            if inspect.isfunction(part):
                yield part


def _settings_of(thing: Any) -> str:
    """Return a class's own constants, such as `averaged = True`, as text."""
    constants = vars(thing) if isinstance(thing, type) else {}
    return repr(sorted((k, v) for k, v in constants.items() if isinstance(v, bool | int | float | str) and k[0] != "_"))


def _source(function: Any) -> str:
    try:
        return _bare(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):  # no source is kept, or it is a part of an expression
        code = function.__code__
        return repr((code.co_code, code.co_names, [c for c in code.co_consts if not inspect.iscode(c)]))


def _bare(source: str) -> str:
    """Return Python source without comments and docstrings, in one layout."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def _globals_used(function: Any) -> Iterator:
    """Yield what the names in a function's code stand for among its globals."""
    codes = [function.__code__]
    while codes:
        code = codes.pop()
        codes += [constant for constant in code.co_consts if inspect.iscode(constant)]
        yield from (function.__globals__[name] for name in code.co_names if name in function.__globals__)
