"""What changes in the objects of a class, and which attributes stand for a state.

Rules of the source, as those of `guards`: `test_guards` applies them to the library.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.guards import Function, Source, is_own_write, last_name

#: Methods that make an object; what they assign is no change.
MAKERS = frozenset({"__init__", "__post_init__", "__new__"})


@dataclass(slots=True)
class Attribute:
    """An attribute of a class: where it is made, and all that is ever assigned to it."""

    values: list[ast.expr] = field(default_factory=list[ast.expr])
    annotation: str = ""
    line: int = 0  # of the first that is assigned by a maker, or stands in the class
    changes: bool = False


@dataclass(slots=True)
class Class:
    """A class, its attributes by name, and the names of its bases."""

    name: str
    source: Source
    bases: list[str]
    attributes: dict[str, Attribute]

    @property
    def changing(self) -> list[str]:
        """The attributes that a method assigns after the object was made."""
        return [name for name, attribute in self.attributes.items() if attribute.changes]


def classes_in(all_sources: Iterable[Source]) -> list[Class]:
    """Return every class."""
    return [
        Class(node.name, source, [last_name(base) for base in node.bases], _attributes_of(node))
        for source in all_sources
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ClassDef)
    ]


def _attributes_of(node: ast.ClassDef) -> dict[str, Attribute]:
    found: dict[str, Attribute] = {}
    for statement in node.body:
        if isinstance(statement, (ast.Assign, ast.AnnAssign)):
            _note(found, statement, "", is_made=True, is_change=False)
        elif isinstance(statement, Function):
            is_made = statement.name in MAKERS
            for inner in ast.walk(statement):
                if isinstance(inner, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
                    _note(found, inner, "self", is_made=is_made, is_change=not is_made)
                elif is_own_write(inner):  # of `for`, `with`, `del`, or in a tuple
                    made = found.setdefault(inner.attr, Attribute())
                    made.changes = made.changes or not is_made
    return found


def _note(
    found: dict[str, Attribute],
    node: ast.Assign | ast.AnnAssign | ast.AugAssign,
    owner: str,
    *,
    is_made: bool,
    is_change: bool,
) -> None:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    pairs: list[tuple[ast.expr, ast.expr | None]] = []
    for target in targets:
        if isinstance(target, ast.Tuple):
            values = node.value.elts if isinstance(node.value, ast.Tuple) else []
            pairs += zip(target.elts, [*values, *[None] * len(target.elts)], strict=False)
        else:
            pairs.append((target, node.value))
    for target, value in pairs:
        if isinstance(target, ast.Attribute) and last_name(target.value) == owner:
            name = target.attr
        elif isinstance(target, ast.Name) and not owner:
            name = target.id
        else:
            continue
        attribute = found.setdefault(name, Attribute())
        if value is not None:
            attribute.values.append(value)
        if isinstance(node, ast.AnnAssign):
            attribute.annotation = ast.unparse(node.annotation)
        if is_made and not attribute.line:
            attribute.line = node.lineno
        attribute.changes = attribute.changes or is_change


def full_classes(all_sources: Iterable[Source], most: int) -> list[str]:
    """Find classes with more than `most` attributes that change, those of their bases counted."""
    classes = classes_in(all_sources)
    by_name = {one.name: one for one in classes}

    def all_changing(one: Class) -> set[str]:
        inherited = [all_changing(by_name[base]) for base in one.bases if base in by_name]
        return set(one.changing).union(*inherited)

    sizes = [(one, len(all_changing(one))) for one in classes]
    return [f"{one.source.path}: {one.name} has {size}" for one, size in sizes if size > most]


def states_in(all_sources: list[Source], enums: set[str]) -> dict[str, Class]:
    """Return the attributes that stand for a state, as "Class.name", with their classes.

    Such a one is assigned after its object was made, and is a truth value, a member of one of the
    `enums`, or may be None: what is true of the object depends on it.  One that a subclass assigns
    too is that of the base.
    """
    classes = classes_in(all_sources)
    by_name = {one.name: one for one in classes}
    found: dict[str, Class] = {}
    for one in classes:
        for name in one.changing:
            maker = _maker_of(one, name, by_name)
            if _is_state(maker.attributes[name], enums) or _is_state(one.attributes[name], enums):
                found[f"{maker.name}.{name}"] = maker
    return found


def _maker_of(one: Class, name: str, by_name: dict[str, Class]) -> Class:
    """Return the class that makes the attribute: `one`, or the base that has it first."""
    for base in (by_name[base] for base in one.bases if base in by_name):
        maker = _maker_of(base, name, by_name)
        if name in maker.attributes:
            return maker
    return one


def enums_in(all_sources: Iterable[Source]) -> set[str]:
    """Return the names of the enumerations, and of aliases of their members."""
    found: set[str] = set()
    for source in all_sources:
        for node in ast.walk(source.tree):
            bases = node.bases if isinstance(node, ast.ClassDef) else []
            if any(last_name(base).endswith(("Enum", "Flag")) for base in bases):
                found.add(getattr(node, "name", ""))
    for source in all_sources:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Attribute):
                names = {target.id for target in node.targets if isinstance(target, ast.Name)}
                found |= names if last_name(node.value.value) in found else set()
    return found


def _is_state(attribute: Attribute, enums: set[str]) -> bool:
    words = set(ast.walk(ast.parse(attribute.annotation or "None")))
    names = {word.id for word in words if isinstance(word, ast.Name)}
    if attribute.annotation and ("None" in attribute.annotation or names & (enums | {"bool"})):
        return True
    return any(_is_flag(value, enums) for value in attribute.values)


def _is_flag(value: ast.expr, enums: set[str]) -> bool:
    """Tell whether a value is a truth value, None, or a member of an enumeration."""
    if isinstance(value, ast.Constant):
        return value.value is None or isinstance(value.value, bool)
    if isinstance(value, ast.UnaryOp):
        return isinstance(value.op, ast.Not)
    if isinstance(value, ast.IfExp):
        return _is_flag(value.body, enums) or _is_flag(value.orelse, enums)
    if isinstance(value, ast.BoolOp):
        return all(_is_flag(part, enums) for part in value.values)
    if isinstance(value, ast.Attribute):
        return last_name(value.value) in enums
    if isinstance(value, ast.Name):
        return value.id in enums
    return isinstance(value, ast.Compare) or (
        isinstance(value, ast.Call) and last_name(value.func) in {"bool", *enums}
    )


def is_explained(one: Class, name: str) -> bool:
    """Tell whether a comment stands where the attribute is made, or a docstring names it."""
    line = one.attributes[name].line
    comments = {
        token.start[0]: token.string
        for token in tokenize.generate_tokens(io.StringIO(one.source.text).readline)
        if token.type == tokenize.COMMENT
    }
    lines = one.source.text.splitlines()
    if any(len(told.strip("# :").split()) >= 2 for told in (comments.get(line, ""),)):
        return True
    is_above = line > 1 and lines[line - 2].lstrip().startswith("#")
    docstrings = [
        ast.get_docstring(node) or ""
        for node in ast.walk(one.source.tree)
        if isinstance(node, ast.ClassDef) and node.name == one.name
    ]
    return is_above or any(f"`{name}`" in text for text in docstrings)
