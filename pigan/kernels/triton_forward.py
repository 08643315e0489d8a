"""The Triton kernel of the FiLM-SIREN field, for rendering and for training.

Layers are those of `pigan.kernels.folded`. The first one and the heads are in float32; the matrices between have
16-bit operands, float32 sums and float32 arguments of the sines. Matrix i reads layer i and gives the arguments of
layer i + 1; the last one gives those of the colour layer, which also sees the direction.

A program keeps a block of points on chip through all layers. The hidden units come in two halves, `low` and `high`,
so that a step of the loop is half a layer: while it multiplies and takes sines, the weights of the next one are on
their way. `kept` is the low half of the coming layer while the high half of this one is still needed.
"""

from typing import no_type_check

import triton
import triton.language as tl

from pigan.kernels.triton_turns import encode, pack, product_of_halves, reduced, sine, unpack


@triton.jit
@no_type_check
def column(values, row, inside, WIDTH: tl.constexpr):
    """One number of each point, 0 where there is no point."""
    return tl.load(values + row * WIDTH, mask=inside, other=0.0)


@triton.jit
@no_type_check
def linear(vectors, row, inside, matrix, columns, WIDTH: tl.constexpr):
    """x w_0 + y w_1 + z w_2 in float32."""
    x = column(vectors, row, inside, 3)
    y = column(vectors + 1, row, inside, 3)
    z = column(vectors + 2, row, inside, 3)
    return (
        x[:, None] * tl.load(matrix + columns)[None, :]
        + y[:, None] * tl.load(matrix + WIDTH + columns)[None, :]
        + z[:, None] * tl.load(matrix + 2 * WIDTH + columns)[None, :]
    )


@triton.jit
@no_type_check
def head(low, high, weight, columns, OPERAND: tl.constexpr):
    """The features' product with one head's weight, in float32."""
    HALF: tl.constexpr = columns.shape[0]
    of_low = unpack(low, OPERAND).to(tl.float32) * tl.load(weight + columns)[None, :]
    of_high = unpack(high, OPERAND).to(tl.float32) * tl.load(weight + HALF + columns)[None, :]
    return tl.sum(of_low, 1) + tl.sum(of_high, 1)


@triton.jit
@no_type_check
def first_layer(
    points, row, inside, first, biases, turns, columns, WIDTH: tl.constexpr, OPERAND: tl.constexpr, KEEP: tl.constexpr
):
    """Half of the first layer's units, packed; the pointers are to where that half begins."""
    angle = reduced(linear(points, row, inside, first, columns, WIDTH) + tl.load(biases + columns)[None, :])
    if KEEP:
        tl.store(turns + row[:, None] * WIDTH + columns[None, :], encode(angle, turns.dtype.element_ty))
    return pack(sine(angle), OPERAND)


@triton.jit(do_not_specialize=["count"])
@no_type_check
def field_kernel(
    points,
    directions,
    first,
    view,
    hidden,
    biases,
    density_weight,
    colour_weight,
    turns,
    colour,
    density,
    count,
    padded,
    MATRICES: tl.constexpr,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
    STAGES: tl.constexpr,
    WHOLE: tl.constexpr,
    KEEP: tl.constexpr,
):
    """Colour before the sigmoid and density, heads' biases left out; `KEEP` writes all arguments to `turns`.

    Grid: blocks of points, images. `turns`: [layer, image, padded, WIDTH].
    """
    HALF: tl.constexpr = WIDTH // 2
    OPERAND: tl.constexpr = hidden.dtype.element_ty
    KEPT: tl.constexpr = turns.dtype.element_ty
    image = tl.program_id(1).to(tl.int64)
    begin = tl.program_id(0) * BLOCK
    row, columns = tl.arange(0, BLOCK), tl.arange(0, HALF)
    inside = begin + row < count
    tile = row[:, None] * WIDTH + columns[None, :]
    points += (image * count + begin) * 3
    directions += (image * count + begin) * 3
    colour += (image * count + begin) * 3
    density += image * count + begin
    first += image * 3 * WIDTH
    view += image * 3 * WIDTH
    hidden += image * MATRICES * WIDTH * WIDTH
    biases += image * (MATRICES + 1) * WIDTH
    turns += (image * padded + begin) * WIDTH
    layer_size = tl.num_programs(1).to(tl.int64) * padded * WIDTH

    low = first_layer(points, row, inside, first, biases, turns, columns, WIDTH, OPERAND, KEEP)
    high = first_layer(points, row, inside, first + HALF, biases + HALF, turns + HALF, columns, WIDTH, OPERAND, KEEP)
    # any tensor but `low`: Triton would take two names of one tensor for one variable of the loop
    kept = high
    for step in tl.range(0, 2 * MATRICES, num_stages=STAGES):
        matrix, half = step // 2, step % 2
        start = half * HALF
        if step == 2 * MATRICES - 2:
            tl.store(density + row, head(low, high, density_weight, columns, OPERAND), mask=inside)
        weight = hidden + matrix * WIDTH * WIDTH + start
        angle = product_of_halves(low, high, weight, columns, OPERAND, WHOLE, WIDTH, 1)
        angle += tl.load(biases + (matrix + 1) * WIDTH + start + columns)[None, :]
        if matrix == MATRICES - 1:
            angle += linear(directions, row, inside, view + start, columns, WIDTH)
        if tl.float32 == OPERAND:
            angle = reduced(angle)
        if KEEP:
            tl.store(turns + (matrix + 1) * layer_size + start + tile, encode(angle, KEPT))
        activation = pack(sine(angle), OPERAND)
        if half == 0:
            kept = activation
        else:
            low = kept
            high = activation
    for channel in tl.static_range(3):
        answer = head(low, high, colour_weight + channel * WIDTH, columns, OPERAND)
        tl.store(colour + row * 3 + channel, answer, mask=inside)
