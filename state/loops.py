"""The loops over rows: compiled where there was a compiler, else those of ``rows_plain``."""

try:
    from state.rows import find, in_force, place, put_first, rechain, rows_in, walk
except ImportError:
    from state.rows_plain import find, in_force, place, put_first, rechain, rows_in, walk

__all__ = ["find", "in_force", "place", "put_first", "rechain", "rows_in", "walk"]
