"""Vectors of eight numbers for numba: what a loop is made of where every instruction is to be a known one.

A compiler vectorises a loop as its length suggests, and leaves a remainder that rounds by itself. Here each operation
is one of eight lanes by its type, so short loops are as fast as long ones, and a number comes from the same
instructions wherever it stands.
"""

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

__all__ = [
    "LANES",
    "Vector",
    "accumulate",
    "broadcasts",
    "by_library",
    "fma",
    "load",
    "maximum",
    "parts",
    "rounded",
    "splat",
    "splats",
    "store",
    "store_all",
    "times_power_of_two",
    "total",
    "where_above",
    "where_equal",
    "where_positive",
]

LANES = 8

_SQRT_HALF_BITS = 0x3F3504F3
"""1 / sqrt(2) as a float32, taken for a whole number."""

_Code = tuple[Any, Callable[..., Any]]
"""What numba wants of an operation: its signature and what writes its instructions."""


class Vector(types.Type):
    """Eight numbers of one type."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        super().__init__(name=f"vector{LANES}({dtype})")


@register_model(Vector)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Vector) -> None:
        super().__init__(manager, kind, ir.VectorType(manager.lookup(kind.dtype).get_value_type(), LANES))


def _several(vector: Vector) -> Any:
    return types.UniTuple(vector, LANES)


def _address(context: Any, builder: Any, kind: Any, array: Any, at: Any) -> Any:
    return builder.gep(context.make_array(kind)(context, builder, array).data, [at])


def _as_vector(builder: Any, address: Any) -> Any:
    return builder.bitcast(address, ir.VectorType(address.type.pointee, LANES).as_pointer())


def _splat(builder: Any, number: Any) -> Any:
    kind, index = ir.VectorType(number.type, LANES), ir.IntType(32)
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), number, index(0))
    return builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), ir.VectorType(index, LANES)([0] * LANES))


def _function(builder: Any, name: str, kind: Any, arguments: int = 1) -> Any:
    """LLVM's own function of that name."""
    width = 64 if isinstance(kind.element, ir.DoubleType) else 32
    signature = ir.FunctionType(kind, [kind] * arguments)
    return cgutils.get_or_insert_function(builder.module, signature, f"llvm.{name}.v{LANES}f{width}")


def _fma(builder: Any, one: Any, other: Any, plus: Any) -> Any:
    return builder.call(_function(builder, "fmuladd", one.type, 3), (one, other, plus))


def _select(builder: Any, relation: str, one: Any, other: Any, then: Any, otherwise: Any) -> Any:
    return builder.select(builder.fcmp_ordered(relation, one, other), then, otherwise)


def _number(kind: Any, value: float) -> Any:
    return ir.Constant(kind, [value] * LANES)


def _whole(value: int) -> Any:
    return ir.Constant(ir.VectorType(ir.IntType(32), LANES), [value] * LANES)


def _bits(builder: Any, vector: Any) -> Any:
    return builder.bitcast(vector, ir.VectorType(ir.IntType(32), LANES))


def _rows(builder: Any, at: Any, stride: Any, last: Any) -> list[Any]:
    """Places at + j stride of eight rows, those beyond the last being the last once more."""
    rows = []
    for row in range(LANES):
        number = at.type(row)
        kept = builder.select(builder.icmp_signed("<", number, last), number, last)
        rows.append(builder.add(at, builder.mul(kept, stride)))
    return rows


def _arithmetic(symbol: Callable[[Any, Any], Any], instruction: str) -> None:
    """Give vectors an operator."""

    def operation(typing: Any, one: Any, other: Any) -> _Code:
        return one(one, other), lambda context, builder, signature, args: getattr(builder, instruction)(*args)

    made: Any = intrinsic(operation)

    @overload(symbol, strict=False)
    def chosen(one: Any, other: Any) -> Any:
        return (lambda one, other: made(one, other)) if isinstance(one, Vector) and one == other else None


_arithmetic(operator.add, "fadd")
_arithmetic(operator.sub, "fsub")
_arithmetic(operator.mul, "fmul")
_arithmetic(operator.truediv, "fdiv")


@intrinsic
def load(typing: Any, array: Any, at: Any) -> _Code:
    """Eight neighbours in an array."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = _address(context, builder, signature.args[0], *args)
        return builder.load(_as_vector(builder, address), align=array.dtype.bitwidth // 8)

    return Vector(array.dtype)(array, types.intp), code


@intrinsic
def store(typing: Any, array: Any, at: Any, vector: Any) -> _Code:
    """Write eight neighbours of an array."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = _address(context, builder, signature.args[0], *args[:2])
        builder.store(args[2], _as_vector(builder, address), align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.none(array, types.intp, vector), code


@intrinsic
def splat(typing: Any, number: Any) -> _Code:
    """One number in every lane."""
    return Vector(number)(number), lambda context, builder, signature, args: _splat(builder, *args)


@intrinsic
def fma(typing: Any, one: Any, other: Any, plus: Any) -> _Code:
    """one * other + plus, rounded once where the processor has an instruction for it."""
    return one(one, other, plus), lambda context, builder, signature, args: _fma(builder, *args)


@intrinsic
def total(typing: Any, vector: Any) -> _Code:
    """Sum of the eight numbers, in pairs of halves."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        parts = [builder.extract_element(args[0], ir.IntType(32)(lane)) for lane in range(LANES)]
        while len(parts) > 1:
            half = len(parts) // 2
            parts = [builder.fadd(one, other) for one, other in zip(parts[:half], parts[half:], strict=True)]
        return parts[0]

    return vector.dtype(vector), code


@intrinsic
def maximum(typing: Any, vector: Any, floor: Any) -> _Code:
    """The larger of each number and its floor; NaN stays."""

    return vector(vector, floor), lambda context, builder, signature, args: _select(builder, "<", *args, *args[::-1])


@intrinsic
def where_positive(typing: Any, condition: Any, vector: Any) -> _Code:
    """Each number where the condition is above 0, else 0."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        zero = args[1].type(None)
        return builder.select(builder.fcmp_ordered(">", args[0], zero), args[1], zero)

    return vector(condition, vector), code


@intrinsic
def where_above(typing: Any, one: Any, other: Any, then: Any, otherwise: Any) -> _Code:
    """`then` where `one` is above `other`, else `otherwise`."""
    return then(one, other, then, then), lambda context, builder, signature, args: _select(builder, ">", *args)


@intrinsic
def where_equal(typing: Any, one: Any, other: Any, then: Any, otherwise: Any) -> _Code:
    """`then` where `one` equals `other`, else `otherwise`."""
    return then(one, other, then, then), lambda context, builder, signature, args: _select(builder, "==", *args)


@intrinsic(prefer_literal=True)
def by_library(typing: Any, vector: Any, name: Any) -> _Code:
    """The C library's function of that name, of each number by itself."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.call(_function(builder, name.literal_value, args[0].type), args[:1])

    return vector(vector, name), code


@intrinsic
def rounded(typing: Any, vector: Any) -> _Code:
    """The nearest whole numbers."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.call(_function(builder, "rint", args[0].type), args)

    return vector(vector), code


@intrinsic
def times_power_of_two(typing: Any, vector: Any, power: Any) -> _Code:
    """float32 numbers times 2 to the whole `power`, from -252 to 254: in two factors, since one has not that range."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = args[0].type
        # Added to 1.5 * 2^23, a whole number stands in the last bits. NaN comes to nothing worse than another NaN.
        offset = _number(kind, 1.5 * 2**23)
        whole = builder.sub(_bits(builder, builder.fadd(args[1], offset)), _bits(builder, offset))
        half = builder.ashr(whole, _whole(1))
        scaled = args[0]
        for part in (half, builder.sub(whole, half)):
            factor = builder.bitcast(builder.shl(builder.add(part, _whole(127)), _whole(23)), kind)
            scaled = builder.fmul(scaled, factor)
        return scaled

    return vector(vector, vector), code


@intrinsic
def parts(typing: Any, vector: Any) -> _Code:
    """Positive float32 numbers as mantissas, from 1 / sqrt(2) to sqrt(2), and the exponents of 2 beside them."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind, given = args[0].type, args[0]
        # Below the normal numbers digits stand elsewhere; times 2^24 they are normal.
        tiny = builder.fcmp_ordered("<", given, _number(kind, 2.0**-126))
        bits = _bits(builder, builder.select(tiny, builder.fmul(given, _number(kind, 2.0**24)), given))
        exponent = builder.ashr(builder.sub(bits, _whole(_SQRT_HALF_BITS)), _whole(23))
        mantissa = builder.bitcast(builder.sub(bits, builder.shl(exponent, _whole(23))), kind)
        added = builder.select(tiny, _number(kind, 24.0), _number(kind, 0.0))
        return cgutils.pack_array(builder, [mantissa, builder.fsub(builder.sitofp(exponent, kind), added)])

    return types.UniTuple(vector, 2)(vector), code


@intrinsic
def splats(typing: Any, number: Any) -> _Code:
    """Eight vectors of one number."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return cgutils.pack_array(builder, [_splat(builder, args[0])] * LANES)

    return _several(Vector(number))(number), code


@intrinsic
def broadcasts(typing: Any, array: Any, at: Any, stride: Any, last: Any) -> _Code:
    """Eight vectors, of the numbers that stand `stride` apart, up to the `last` of them and that one repeated."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        places = _rows(builder, *args[1:])
        found = [builder.load(_address(context, builder, signature.args[0], args[0], place)) for place in places]
        return cgutils.pack_array(builder, [_splat(builder, number) for number in found])

    return _several(Vector(array.dtype))(array, types.intp, types.intp, types.intp), code


@intrinsic
def accumulate(typing: Any, sums: Any, array: Any, at: Any, stride: Any, last: Any, vector: Any) -> _Code:
    """Eight sums, each plus the vector times a number of the array, which are chosen as in `broadcasts`."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        made = []
        for row, place in enumerate(_rows(builder, *args[2:5])):
            number = builder.load(_address(context, builder, signature.args[1], args[1], place))
            made.append(_fma(builder, _splat(builder, number), args[5], builder.extract_value(args[0], row)))
        return cgutils.pack_array(builder, made)

    return sums(sums, array, types.intp, types.intp, types.intp, vector), code


@intrinsic
def store_all(typing: Any, array: Any, at: Any, stride: Any, last: Any, vectors: Any) -> _Code:
    """Write eight vectors `stride` apart; those beyond the `last` are written in its place, in order."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        for row, place in enumerate(_rows(builder, *args[1:4])):
            address = _address(context, builder, signature.args[0], args[0], place)
            vector = builder.extract_value(args[4], row)
            builder.store(vector, _as_vector(builder, address), align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.none(array, types.intp, types.intp, types.intp, vectors), code
