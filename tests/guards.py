"""Rules of the source that no tool checks: `test_guards` applies them to the library.

Each function reads source alone, and returns what breaks its rule, one line each.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

PACKAGE = "trio_wsendpoint"

#: Calls that make a cancel scope with a deadline.
DEADLINES = frozenset({"move_on_after", "move_on_at", "fail_after", "fail_at"})
#: What may be assigned on a cancel scope of one's own: Trio has no other way.
OF_A_SCOPE = frozenset({"deadline", "shield"})

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Source:
    """One module: `path` is what a finding names it by."""

    path: str
    text: str
    tree: ast.Module

    @classmethod
    def parse(cls, path: str, text: str) -> Source:
        return cls(path, text, ast.parse(text))


def sources(root: Path, *folders: str) -> list[Source]:
    """Return the modules of these folders of the library; of all of it, if none is named."""
    found: list[Source] = []
    for folder in folders or (".",):
        found += [
            Source.parse(str(path.relative_to(root)), path.read_text())
            for path in sorted((root / PACKAGE / folder).rglob("*.py"))
        ]
    return found


def last_name(node: ast.expr | None) -> str:
    """Return the last part of a dotted name, "" if `node` is none."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _is_own(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def is_own_write(node: ast.AST) -> TypeGuard[ast.Attribute]:
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.ctx, (ast.Store, ast.Del))
        and _is_own(node.value)
    )


def _within(node: ast.AST, kinds: tuple[type[ast.AST], ...]) -> Iterator[ast.AST]:
    """Yield what is below `node`, except what is below a node of `kinds` in it."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, kinds):
            yield from _within(child, kinds)


def _functions(tree: ast.AST) -> Iterator[Function]:
    for node in ast.walk(tree):
        if isinstance(node, Function):
            yield node


# ---- a Ctrl-C does not keep a block from being left --------------------------------------------


def unguarded_blocks(source: Source) -> list[str]:
    """Find functions that enter an `async with`, and that a Ctrl-C may interrupt as they leave it.

    Python raises it at the line of the `async with`, before `__aexit__` is called, so that a
    nursery, or a connection, stays open for ever.
    """
    found: list[str] = []
    for function in _functions(source.tree):
        below = _within(function, (ast.FunctionDef, ast.AsyncFunctionDef))
        has_block = any(isinstance(node, ast.AsyncWith) for node in below)
        names = {last_name(decorator) for decorator in function.decorator_list}
        if has_block and "enable_ki_protection" not in names:
            found.append(f"{source.path}: {function.name} is not protected from a Ctrl-C")
    return found


# ---- a part writes only its own attributes -----------------------------------------------------


def foreign_writes(source: Source) -> list[str]:
    """Find attributes that are set or deleted on an object that is not `self`.

    An object that the same function has made, by calling a class, may be completed there.
    """
    found: list[str] = []
    scopes = _own_scopes(source.tree)
    for scope in [source.tree, *_functions(source.tree)]:
        made = _made_in(scope) if isinstance(scope, Function) else set[str]()
        for node in _within(scope, (ast.FunctionDef, ast.AsyncFunctionDef)):
            target = _written(node)
            if target is None:
                continue
            owner, name = target
            if _is_own(owner) or (isinstance(owner, ast.Name) and owner.id in made):
                continue
            if name in OF_A_SCOPE and isinstance(owner, ast.Attribute):
                is_scope = _is_own(owner.value) and owner.attr in scopes
                if is_scope or _is_of_own_nursery(owner):
                    continue
            line = getattr(node, "lineno", 0)
            found.append(f"{source.path}:{line}: {ast.unparse(owner)}.{name} is set from outside")
    return found


def _is_of_own_nursery(owner: ast.Attribute) -> bool:
    """Tell whether `owner` is the cancel scope of a nursery that `self` holds."""
    nursery = owner.value
    is_held = isinstance(nursery, ast.Attribute) and _is_own(nursery.value)
    return owner.attr == "cancel_scope" and is_held


def _written(node: ast.AST) -> tuple[ast.expr, str] | None:
    """Return owner and name of the attribute that `node` sets or deletes, if it does."""
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, (ast.Store, ast.Del)):
        return node.value, node.attr
    if isinstance(node, ast.Call) and node.args:
        called = last_name(node.func)
        if called in {"setattr", "delattr", "__setattr__", "__delattr__"}:
            is_method = called.startswith("__") and not (
                isinstance(node.func, ast.Attribute) and last_name(node.func.value) == "object"
            )
            owner = node.func.value if isinstance(node.func, ast.Attribute) and is_method else None
            name = node.args[0 if is_method else 1] if len(node.args) > 1 or is_method else None
            told = str(name.value) if isinstance(name, ast.Constant) else "?"
            if owner is not None and isinstance(owner, ast.Call):
                return None  # super().__setattr__
            return owner or node.args[0], told
    return None


def _made_in(function: Function) -> set[str]:
    """Return the names that stand for nothing but objects that `function` makes."""
    values: dict[str, list[bool]] = {}
    for argument in ast.walk(function.args):
        if isinstance(argument, ast.arg):
            values.setdefault(argument.arg, []).append(False)

    def note(target: ast.expr | None, value: ast.expr | None) -> None:
        if isinstance(target, ast.Name) and value is not None:
            values.setdefault(target.id, []).append(_is_made(value))
        elif target is not None:
            for name in ast.walk(target):
                if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store):
                    values.setdefault(name.id, []).append(False)

    for node in _within(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                note(target, node.value)
        elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)) and node.value is not None:
            note(node.target, node.value)
        elif isinstance(node, ast.withitem):
            note(node.optional_vars, node.context_expr)
        elif isinstance(node, (ast.For, ast.AsyncFor)):
            note(node.target, None)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            values.setdefault(node.name, []).append(False)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            values.setdefault(node.name, []).append(True)
    return {name for name, made in values.items() if all(made)}


def _is_made(value: ast.expr) -> bool:
    """Tell whether an expression calls a class, which is known by its capital letter."""
    if isinstance(value, ast.IfExp):
        return _is_made(value.body) and _is_made(value.orelse)
    called = last_name(value.func) if isinstance(value, ast.Call) else ""
    return called.lstrip("_")[:1].isupper() or called in {"cls", "__new__"}


def _own_scopes(tree: ast.AST) -> set[str]:
    """Return the attributes of `self` that are said to be, or are made as, cancel scopes."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            told = [node.value, getattr(node, "annotation", None)]
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(part is not None and "CancelScope" in ast.unparse(part) for part in told):
                found.update(last_name(target) for target in targets)
    return found


# ---- private names stay at home ----------------------------------------------------------------


def private_uses(source: Source) -> list[str]:
    """Find uses of a private name (`_x`) of another module, or of an object that is not one's own.

    Own are `self`, `cls`, `super()`, and in the body of a class that has such a name the class
    and its other objects.
    """
    found: list[str] = []
    classes = _enclosing_classes(source.tree)
    for node in ast.walk(source.tree):
        used = ""
        if isinstance(node, ast.Attribute) and _is_private(node.attr):
            owner = node.value
            is_super = isinstance(owner, ast.Call) and last_name(owner.func) == "super"
            is_own = isinstance(owner, ast.Name) and owner.id in {"self", "cls"}
            if is_super or is_own or node.attr in _names_of(classes.get(node)):
                continue
            used = f"{ast.unparse(owner)}.{node.attr}"
            if used == "os._exit":  # is documented, whatever its name looks like
                continue
        elif isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names if _is_private(alias.name)]
            parts = [part for part in (node.module or "").split(".") if _is_private(part)]
            # A private module at the top of the package is for all of the package.
            module = node.module or ""
            is_ours = module.startswith(PACKAGE) and (
                "__init__" in source.path or module.startswith(f"{PACKAGE}._")
            )
            used = "" if is_ours and not names else ", ".join(parts + names)
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            used = ", ".join(name for name in names if any(map(_is_private, name.split("."))))
        elif isinstance(node, ast.Call) and last_name(node.func) in {"getattr", "hasattr"}:
            name = node.args[1] if len(node.args) > 1 else None
            told = name.value if isinstance(name, ast.Constant) else None
            if isinstance(told, str) and _is_private(told) and not _is_own(node.args[0]):
                used = f"{ast.unparse(node.args[0])}.{told}"
        if used:
            found.append(f"{source.path}:{getattr(node, 'lineno', 0)}: {used} is private")
    return found


def _is_private(name: str) -> bool:
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


def _enclosing_classes(tree: ast.AST) -> dict[ast.AST, ast.ClassDef]:
    """Return the innermost class in whose body each node stands, where it stands in one."""
    found: dict[ast.AST, ast.ClassDef] = {}

    def visit(node: ast.AST, within: ast.ClassDef | None) -> None:
        for child in ast.iter_child_nodes(node):
            if within is not None:
                found[child] = within
            visit(child, child if isinstance(child, ast.ClassDef) else within)

    visit(tree, None)
    return found


def _names_of(node: ast.ClassDef | None) -> set[str]:
    """Return the methods and attributes that a class has: those that it makes or declares."""
    found: set[str] = set()
    for statement in [] if node is None else node.body:
        if isinstance(statement, Function):
            found.add(statement.name)
            found |= {inner.attr for inner in ast.walk(statement) if is_own_write(inner)}
        elif isinstance(statement, (ast.Assign, ast.AnnAssign)):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            found |= {last_name(target) for target in targets}
            if any(last_name(target) == "__slots__" for target in targets):
                words = ast.walk(statement)
                found |= {str(word.value) for word in words if isinstance(word, ast.Constant)}
    return found


# ---- size, and cancel scopes -------------------------------------------------------------------


def long_modules(all_sources: Iterable[Source], most: int) -> list[str]:
    """Find modules of more than `most` lines."""
    sizes = [(source.path, len(source.text.splitlines())) for source in all_sources]
    return [f"{path}: {size} lines" for path, size in sizes if size > most]


def policy_scopes(source: Source) -> list[str]:
    """Find cancel scopes with a deadline."""
    found: list[str] = []
    for node in ast.walk(source.tree):
        told = ""
        if isinstance(node, ast.Call):
            called = last_name(node.func)
            has_deadline = any("deadline" in (word.arg or "") for word in node.keywords)
            if called in DEADLINES or (called == "CancelScope" and has_deadline):
                told = f"{called}()"
        elif isinstance(node, ast.ImportFrom) and node.module == "trio":
            told = ", ".join(name.name for name in node.names if name.name in DEADLINES)
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and node.attr == "deadline"
            and last_name(node.value) in _own_scopes(source.tree)
        ):
            told = f"{ast.unparse(node)} is set"
        if told:
            found.append(f"{source.path}:{getattr(node, 'lineno', 0)}: {told}")
    return found
