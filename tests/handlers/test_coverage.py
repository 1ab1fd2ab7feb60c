"""No RPC of the core API is left out here."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from google.protobuf.descriptor import MethodDescriptor
from support.descriptors import core_methods, label


def called() -> set[str]:
    """The methods that tests of this folder call, by the texts in their source."""
    return {
        node.value
        for path in Path(__file__).parent.glob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


CALLED = called()


@pytest.mark.parametrize("method", core_methods(), ids=label)
def test_the_servicers_method_is_called(method: MethodDescriptor) -> None:
    assert label(method) in CALLED
