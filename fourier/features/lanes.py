"""Sixteen numbers at once: vector instructions for numba's compiled loops.

A loop over sixteen neighbours in memory is one step for a processor, but numba's compiler does not
see it where the steps read and write several places of one array, because it cannot know that
these are apart. So the innermost steps are written down as vector instructions: `vector_code`
makes of a function over `Numbers` and `Lanes` one that compiled loops call. A processor with
narrower registers takes several instructions for each. Not here: what is computed.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, cast

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

LANES = 16
INT32 = ir.IntType(32)
ROUNDED_ONCE = ("contract",)  # a product and a sum may be one instruction

Value = Any
"""What a number, or several, will be when the code runs; a place in an array is one too."""


class Lanes:
    """Sixteen numbers, while code is written that computes with them."""

    def __init__(self, builder: ir.IRBuilder, value: Value) -> None:
        self.value = value
        self._builder = builder

    def __add__(self, other: "Lanes") -> "Lanes":
        return self._with(self._builder.fadd, other)

    def __sub__(self, other: "Lanes") -> "Lanes":
        return self._with(self._builder.fsub, other)

    def __mul__(self, other: "Lanes") -> "Lanes":
        return self._with(self._builder.fmul, other)

    def _with(self, operation: Callable[..., Value], other: "Lanes") -> "Lanes":
        return Lanes(self._builder, operation(self.value, other.value, flags=ROUNDED_ONCE))


class Numbers:
    """An array of one axis, while code is written that reads and writes it."""

    def __init__(self, context: Any, builder: ir.IRBuilder, kind: Any, array: Value) -> None:
        self._builder = builder
        self._kind = context.get_data_type(kind.dtype)
        self._bytes = kind.dtype.bitwidth // 8
        self._start = context.make_array(kind)(context, builder, array).data

    def load(self, at: Value, ahead: int = 0) -> Lanes:
        """Sixteen neighbours from a place on, or from a few numbers ahead of it."""
        return Lanes(self._builder, self.load_as(self._kind, at, ahead))

    def load_as(self, kind: ir.Type, at: Value, ahead: int = 0) -> Value:
        """Sixteen of this kind, whatever the array's is, from a place on."""
        return self._builder.load(self._sixteen(kind, at, ahead), align=self._bytes)

    def store(self, lanes: Lanes, at: Value, ahead: int = 0) -> None:
        """Write sixteen neighbours from a place on."""
        place = self._sixteen(self._kind, at, ahead)
        self._builder.store(lanes.value, place, align=self._bytes)

    def store_integers(self, integers: Value, factor: Lanes, at: Value, ahead: int = 0) -> None:
        """Write sixteen integers times as many numbers."""
        numbers = self._builder.sitofp(integers, ir.VectorType(self._kind, LANES))
        self.store(Lanes(self._builder, numbers) * factor, at, ahead)

    def spread(self, at: Value, ahead: int = 0) -> Lanes:
        """One number, sixteen times."""
        builder, one = self._builder, self._builder.load(self._place(at, ahead))
        undefined = ir.Constant(ir.VectorType(self._kind, LANES), ir.Undefined)
        first = builder.insert_element(undefined, one, INT32(0))
        return Lanes(builder, builder.shuffle_vector(first, first, _integers([0] * LANES)))

    def _sixteen(self, kind: ir.Type, at: Value, ahead: int) -> Value:
        return self._builder.bitcast(
            self._place(at, ahead), ir.VectorType(kind, LANES).as_pointer()
        )

    def _place(self, at: Value, ahead: int) -> Value:
        place = self._builder.gep(self._start, [at])
        return self._builder.gep(place, [INT32(ahead)]) if ahead else place


def vector_code(write: Callable[..., None]) -> Any:
    """Make a function that compiled loops may call.

    Args:
        write: writes the code. It is called with the builder and what the function is called with:
            `Numbers` for each array (of one axis, without gaps), a `Value` for each integer.
    """

    def definition(context: Any, *kinds: types.Type) -> tuple[Any, Callable[..., Value]]:
        del context
        taken = [kind if isinstance(kind, types.Array) else types.intp for kind in kinds]
        return types.void(*taken), generate

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Value) -> Value:
        pairs = zip(signature.args, values, strict=True)
        write(
            builder,
            *(
                Numbers(context, builder, kind, value) if isinstance(kind, types.Array) else value
                for kind, value in pairs
            ),
        )
        return context.get_dummy_value()

    definition.__name__ = write.__name__
    definition.__signature__ = inspect.signature(write)  # type: ignore[attr-defined]
    return intrinsic(definition)


def transpose(builder: ir.IRBuilder, rows: Sequence[Value]) -> list[Value]:
    """Sixteen rows of sixteen numbers to their columns.

    Blocks of 1, 2, 4 and 8 change places over the diagonal (Eklundh 1972,
    https://doi.org/10.1109/T-C.1972.223584).
    """
    turned = list(rows)
    for size in (1, 2, 4, 8):
        stays = [lane & size == 0 for lane in range(LANES)]
        upper = [i if here else LANES + i - size for i, here in enumerate(stays)]
        lower = [i + size if here else LANES + i for i, here in enumerate(stays)]
        for i in (row for row, here in enumerate(stays) if here):
            pair = turned[i], turned[i + size]
            turned[i] = builder.shuffle_vector(*pair, _integers(upper))
            turned[i + size] = builder.shuffle_vector(*pair, _integers(lower))
    return turned


def halves(builder: ir.IRBuilder, pairs: Value) -> tuple[Value, Value]:
    """The first and the second of the two 16-bit numbers that each of sixteen integers holds."""
    sixteen = _integers([16] * LANES)
    return builder.ashr(builder.shl(pairs, sixteen), sixteen), builder.ashr(pairs, sixteen)


def _integers(numbers: list[int]) -> ir.Constant:
    return cast(ir.Constant, ir.Constant(ir.VectorType(INT32, LANES), numbers))
