"""Small mistakes, one at a time: mutmut's operators over every function of a module, and calls that are forgotten.

An argument by position becomes None, one by keyword is left away; a text gets other ends. Left out are what `raise`
says, annotations, decorators, defaults, class bodies, assertions and the `dtype` of arrays.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import libcst as cst
import libcst.matchers as m
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.mutators import mutation_operators, operator_arg_removal, operator_string

_LEFT_OUT = (cst.Raise, cst.Assert, cst.Annotation, cst.Decorator, cst.Param)
_UNTOUCHED_CALLS = ("len", "isinstance")


@dataclass(frozen=True)
class Mutant:
    """One changed place.

    Attributes:
        path: The module, relative to the root.
        function: The function's qualified name.
        line: The line of the place.
        change: What stood there, and what the mutant has.
        write: Writes the mutated module.
    """

    path: str
    function: str
    line: int
    change: str
    write: Callable[[], str]

    @property
    def name(self) -> str:
        """How lists and reasons call the mutant."""
        return f"{self.path}::{self.function}: {self.change}"


def mutants_of(root: Path, path: str) -> list[Mutant]:
    """All mutants of a module; those that a place has twice are numbered."""
    wrapper = MetadataWrapper(cst.parse_module((root / path).read_text()))
    lines = wrapper.resolve(PositionProvider)
    found: list[Mutant] = []
    seen: dict[tuple[str, str], int] = {}
    for function, top, node, changed in _changes(wrapper.module):
        change = f"{_text(wrapper.module, node)} → {_text(wrapper.module, changed)}"
        number = seen[function, change] = seen.get((function, change), 0) + 1
        if number > 1:
            change += f" ({number})"
        line = lines[node].start.line if node in lines else lines[top].start.line
        found.append(Mutant(path, function, line, change, partial(_written, wrapper.module, top, node, changed)))
    return found


def _written(module: cst.Module, function: cst.FunctionDef, node: cst.CSTNode, changed: cst.CSTNode) -> str:
    replaced = module.deep_replace(function, function.deep_replace(node, changed))
    assert isinstance(replaced, cst.Module)
    return replaced.code


def _changes(module: cst.Module) -> Iterator[tuple[str, cst.FunctionDef, cst.CSTNode, cst.CSTNode]]:
    for name, function in _functions(module.body, ""):
        for node in _nodes(function.body):
            for changed in _mistakes(node):
                yield name, function, node, changed


def _mistakes(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    if isinstance(node, cst.Expr) and isinstance(node.value, cst.Call):
        yield node.with_changes(value=_nothing(node))
    for kind, operator in mutation_operators:
        if not isinstance(node, kind):
            continue
        if operator is operator_arg_removal:
            yield from _without_arguments(node)
        elif operator is operator_string:
            yield from list(operator(node))[:1]
        else:
            yield from operator(node)


def _nothing(node: cst.CSTNode) -> cst.BaseExpression:
    """None in place of an expression; where that calls `super`, the function keeps its closure."""
    is_super = m.findall(node, m.Call(func=m.Name("super")))
    return cst.parse_expression("None if True else __class__") if is_super else cst.Name("None")


def _without_arguments(call: cst.Call) -> Iterator[cst.Call]:
    for place, argument in enumerate(call.args):
        before, after = call.args[:place], call.args[place + 1 :]
        if argument.keyword is None and not argument.star and not m.matches(argument.value, m.Name("None")):
            yield call.with_changes(args=[*before, argument.with_changes(value=_nothing(argument)), *after])
        elif argument.keyword is not None and argument.keyword.value != "dtype":
            yield call.with_changes(args=[*before, *after])


def _functions(body: "cst.BaseSuite | tuple", prefix: str) -> Iterator[tuple[str, cst.FunctionDef]]:
    for node in body:
        if isinstance(node, cst.FunctionDef):
            yield prefix + node.name.value, node
        elif isinstance(node, cst.ClassDef):
            yield from _functions(node.body.body, f"{prefix}{node.name.value}.")


def _nodes(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    if isinstance(node, _LEFT_OUT):
        return
    if isinstance(node, cst.Expr) and isinstance(node.value, cst.SimpleString | cst.ConcatenatedString):
        return
    if isinstance(node, cst.Call) and isinstance(node.func, cst.Name) and node.func.value in _UNTOUCHED_CALLS:
        return
    yield node
    for child in node.children:
        yield from _nodes(child)


def _text(module: cst.Module, node: cst.CSTNode) -> str:
    return " ".join(module.code_for_node(node).split())
