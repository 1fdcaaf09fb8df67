"""What a LiteRT interpreter hands to a delegate such as XNNPACK."""

from collections.abc import Mapping, Sequence
from typing import Any


def delegated_operators(details: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """(operators that a delegate runs, all of the file's), from an interpreter's list of operators.

    A delegate is an operator more, beside those that it stands for: what lies between its inputs and its outputs.
    """
    own = [d for d in details if d["op_name"] != "DELEGATE"]
    maker = {int(tensor): number for number, d in enumerate(own) for tensor in d["outputs"]}
    taken: set[int] = set()
    for delegate in details:
        if delegate["op_name"] == "DELEGATE":
            given = {int(tensor) for tensor in delegate["inputs"]}
            open_tensors = [int(tensor) for tensor in delegate["outputs"]]
            while open_tensors:
                number = maker.get(open_tensors.pop())
                if number is not None and number not in taken:
                    taken.add(number)
                    open_tensors += [int(tensor) for tensor in own[number]["inputs"] if int(tensor) not in given]
    return len(taken), len(own)
