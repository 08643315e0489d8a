"""Numbers of the Triton kernels: angles kept as 16-bit turns, and pairs of 16-bit operands.

The argument of a sine is an angle, so where it is within a few turns is all that has to be kept of it. In 16 bits
four turns are within 2e-4 rad, as the sine that the next layer reads is rounded by up to 2e-4 (fp16) or 2e-3 (bf16).
Kernels in float32, with which the tests look at the mathematics, keep the angle itself.

The arguments of hidden layers have to be within 256 turns, 1608 rad; beyond that 16-bit operands have lost the phase
anyway. With the authors' initial weights they are within 10 rad, in the included models, which are small, within 250.
Those of the first layer are `reduced` first.
"""
# ruff: noqa: RET505, SIM300  (Triton compiles both branches unless the second is an else, and constants have capitals)

from typing import no_type_check

import triton
import triton.language as tl
from triton.language.extra import libdevice

# the interpreter, in which the tests run without a GPU, knows no instructions of a GPU
INTERPRETED = tl.constexpr(triton.knobs.runtime.interpret)

TURN = tl.constexpr(6.283185307179586)
# adding and taking away 1.5 * 2^23 rounds to an integer
INTEGERS = tl.constexpr(12582912.0)
# the last bit of a number from 512 to 1024 is 2^-14: the low half of 768 + t is t but for whole fours
TURNS = tl.constexpr(768.0)
TURNS_BITS = tl.constexpr(0x44400000)


@triton.jit
@no_type_check
def reduced(angle):
    """The same angle within half a turn of 0."""
    turns = angle * (1 / TURN)
    return (turns - ((turns + INTEGERS) - INTEGERS)) * TURN


@triton.jit
@no_type_check
def encode(angle, KEPT: tl.constexpr):
    """What is kept of an angle, as `KEPT`: int16 for where it is within four turns, float32 for the angle."""
    if KEPT == tl.int16:
        return (angle * (1 / TURN) + TURNS).to(tl.int32, bitcast=True).to(tl.int16)
    else:
        return angle


@triton.jit
@no_type_check
def decode(kept):
    """The angle, in radians from 0 to four turns."""
    if kept.dtype == tl.int16:
        bits = kept.to(tl.uint16, bitcast=True).to(tl.uint32) | TURNS_BITS
        return (bits.to(tl.float32, bitcast=True) - TURNS) * TURN
    else:
        return kept


@triton.jit
@no_type_check
def sine(angle):
    """Within 1e-6 for angles of one turn, 4e-5 for 50: the one instruction; tl.sin takes twenty and a slow path."""
    if INTERPRETED:
        return tl.sin(angle)
    else:
        return libdevice.fast_sinf(angle)


@triton.jit
@no_type_check
def cosine(angle):
    """As `sine`."""
    if INTERPRETED:
        return tl.cos(angle)
    else:
        return libdevice.fast_cosf(angle)


@triton.jit
@no_type_check
def pack(x, OPERAND: tl.constexpr):
    """Float32 rounded to `OPERAND`, two neighbours of 16 bits in one int32.

    A loop carries such pairs, since it would carry each 16-bit number in a register of its own.
    """
    if OPERAND == tl.float32:
        return x
    else:
        even, odd = tl.split(x.reshape(x.shape[0], x.shape[1] // 2, 2))
        if INTERPRETED:
            even = even.to(OPERAND).to(tl.int16, bitcast=True).to(tl.int32)
            odd = odd.to(OPERAND).to(tl.int16, bitcast=True).to(tl.int32)
            return (even & 0xFFFF) | (odd << 16)
        else:
            convert: tl.constexpr = "cvt.rn.bf16x2" if OPERAND == tl.bfloat16 else "cvt.rn.f16x2"
            return tl.inline_asm_elementwise(
                convert + ".f32 $0, $2, $1;", "=r,r,r", [even, odd], dtype=tl.int32, is_pure=True, pack=1
            )


@triton.jit
@no_type_check
def unpack(pairs, OPERAND: tl.constexpr):
    """What `pack` was given, as `OPERAND`."""
    if OPERAND == tl.float32:
        return pairs
    else:
        halves = tl.join(pairs.to(tl.int16), (pairs >> 16).to(tl.int16))
        return halves.reshape(pairs.shape[0], pairs.shape[1] * 2).to(OPERAND, bitcast=True)


@triton.jit
@no_type_check
def product(a, b, total):
    """total + a b in float32; float32 operands are not shortened."""
    if INTERPRETED:
        # numpy has no bfloat16
        return tl.dot(a.to(tl.float32), b.to(tl.float32), total)
    else:
        return tl.dot(a, b, total, input_precision="ieee")


@triton.jit
@no_type_check
def product_of_halves(
    low, high, matrix, columns, OPERAND: tl.constexpr, WHOLE: tl.constexpr, ROW: tl.constexpr, COLUMN: tl.constexpr
):
    """Two packed halves side by side, times the rows of a matrix `ROW` numbers apart and half of its columns.

    `WHOLE`: in one product, for which registers stay where they are, since the second of two waits for the first; but
    for 16-bit operands only, and where twice the shared memory is.
    """
    HALF: tl.constexpr = columns.shape[0]
    total = tl.zeros((low.shape[0], HALF), tl.float32)
    if WHOLE:
        both = tl.join(unpack(low, OPERAND), unpack(high, OPERAND)).permute(0, 2, 1).reshape(low.shape[0], 2 * HALF)
        rows = tl.arange(0, 2 * HALF)[:, None] * ROW
        return product(both, tl.load(matrix + rows + columns[None, :] * COLUMN), total)
    else:
        tile = matrix + columns[:, None] * ROW + columns[None, :] * COLUMN
        total = product(unpack(low, OPERAND), tl.load(tile), total)
        return product(unpack(high, OPERAND), tl.load(tile + HALF * ROW), total)
