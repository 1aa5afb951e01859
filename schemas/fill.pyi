from collections.abc import Callable
from typing import Any

from schemas.batch import I8, Message

def fill(
    pieces: tuple[bytes, ...],
    kinds: tuple[int, ...],
    columns: tuple[Any, ...],
    count: int,
    encode: Callable[[Any], bytes],
) -> list[bytes]: ...
def messages(
    kind: type[Message], order: I8, positions: list[int], keys: list[bytes], values: list[bytes]
) -> list[Message]: ...
def digest(told: list[Message], hash_of: Callable[[bytes, int], int]) -> int: ...
