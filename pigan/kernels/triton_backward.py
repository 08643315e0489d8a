"""The Triton kernels of the FiLM-SIREN field's gradients: of the arguments of its sines, and of its weights.

The first has the structure of `pigan.kernels.triton_forward`, from the outputs back to the first layer, and writes
the gradients that the second one multiplies with the features of the layers below.
"""

from typing import no_type_check

import triton
import triton.language as tl

from pigan.kernels.triton_forward import column
from pigan.kernels.triton_turns import cosine, decode, pack, product, product_of_halves, sine, unpack

# rows of the sums over the points of a block that `arguments_kernel` writes
COLOUR_ROWS = tl.constexpr(0)
VIEW_ROWS = tl.constexpr(3)
DENSITY_ROW = tl.constexpr(6)
FIRST_ROWS = tl.constexpr(7)
ROWS = tl.constexpr(11)


@triton.jit
@no_type_check
def colour_gradients(outputs, row, inside, colour_weight, angle, columns, WIDTH: tl.constexpr):
    """Gradients of some of the colour layer's arguments."""
    gradient = tl.zeros(angle.shape, tl.float32)
    for channel in tl.static_range(3):
        output = column(outputs + channel, row, inside, 4)[:, None]
        gradient += output * tl.load(colour_weight + channel * WIDTH + columns)[None, :]
    return gradient * cosine(angle)


@triton.jit
@no_type_check
def head_sums(
    outputs, directions, row, inside, colour_weight, features, colours, arguments, sums, columns, WIDTH: tl.constexpr
):
    """Writes the same gradients, and the sums for the heads and view directions.

    `features` and `colours` are the turns of the last hidden layer and of the colour layer.
    """
    tile = row[:, None] * WIDTH + columns[None, :]
    angle = decode(tl.load(colours + tile))
    gradient, feature = colour_gradients(outputs, row, inside, colour_weight, angle, columns, WIDTH), sine(angle)
    tl.store(arguments + tile, gradient.to(arguments.dtype.element_ty))
    for number in tl.static_range(3):
        output = column(outputs + number, row, inside, 4)[:, None]
        tl.store(sums + (COLOUR_ROWS + number) * WIDTH + columns, tl.sum(output * feature, 0))
        direction = column(directions + number, row, inside, 3)[:, None]
        tl.store(sums + (VIEW_ROWS + number) * WIDTH + columns, tl.sum(direction * gradient, 0))
    feature = sine(decode(tl.load(features + tile)))
    output = column(outputs + 3, row, inside, 4)[:, None]
    tl.store(sums + DENSITY_ROW * WIDTH + columns, tl.sum(output * feature, 0))


@triton.jit
@no_type_check
def coordinate_sums(points, row, inside, gradient, sums, columns, WIDTH: tl.constexpr):
    """Writes sums over the points of x, y, z and 1 times their gradients.

    The coordinates are sums of two numbers of the gradient's type, so that 16-bit products lose nothing of them.
    """
    which = tl.arange(0, 16)[:, None]
    numbers = tl.load(points + row[None, :] * 3 + which, mask=inside[None, :] & (which < 3), other=0.0)
    numbers = tl.where(which == 3, 1.0, numbers)
    coarse = numbers.to(gradient.dtype)
    total = product(coarse, gradient, tl.zeros((16, gradient.shape[1]), tl.float32))
    total = product((numbers - coarse.to(tl.float32)).to(gradient.dtype), gradient, total)
    tl.store(sums + which * WIDTH + columns[None, :], total, mask=which < 4)


@triton.jit(do_not_specialize=["count", "images", "first_image"])
@no_type_check
def arguments_kernel(
    points,
    directions,
    hidden,
    density_weight,
    colour_weight,
    turns,
    outputs,
    arguments,
    sums,
    count,
    padded,
    images,
    first_image,
    MATRICES: tl.constexpr,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
    WHOLE: tl.constexpr,
):
    """Gradients of the arguments of all sines but the first layer's, from those of the outputs (r, g, b, density).

    Also the sums over the block's points that the narrow weights need (heads, view directions, first layer), since
    all they are sums of is on chip here: before the loop and behind it, where it leaves registers and shared memory.
    Launched with stages, of which the weights alone have several: turns are read once, while a product is computed.
    Grid: blocks of points, images of a group that begins with `first_image`. `arguments`: [matrix, image of the group,
    padded, WIDTH]; `sums`: [image of the group, block, ROWS, WIDTH].
    """
    HALF: tl.constexpr = WIDTH // 2
    OPERAND: tl.constexpr = hidden.dtype.element_ty
    member = tl.program_id(1).to(tl.int64)
    image = member + first_image
    begin = tl.program_id(0) * BLOCK
    row, columns = tl.arange(0, BLOCK), tl.arange(0, HALF)
    inside = begin + row < count
    tile = row[:, None] * WIDTH + columns[None, :]
    points += (image * count + begin) * 3
    directions += (image * count + begin) * 3
    outputs += (image * count + begin) * 4
    hidden += image * MATRICES * WIDTH * WIDTH
    turns += (image * padded + begin) * WIDTH
    layer_size = images.to(tl.int64) * padded * WIDTH
    arguments += (member * padded + begin) * WIDTH
    matrix_size = tl.num_programs(1).to(tl.int64) * padded * WIDTH
    sums += (member * tl.num_programs(0) + tl.program_id(0)) * (ROWS * WIDTH)

    of_colours = turns + MATRICES * layer_size
    last = arguments + (MATRICES - 1) * matrix_size
    # half of the columns at a time: all of them would not fit into the registers
    for start in tl.range(0, WIDTH, HALF, num_stages=1):
        part, of_features = start + columns, of_colours - layer_size
        head_sums(outputs, directions, row, inside, colour_weight, of_features, of_colours, last, sums, part, WIDTH)
    angle = decode(tl.load(of_colours + tile))
    low = pack(colour_gradients(outputs, row, inside, colour_weight, angle, columns, WIDTH), OPERAND)
    angle = decode(tl.load(of_colours + HALF + tile))
    high = pack(colour_gradients(outputs, row, inside, colour_weight + HALF, angle, columns, WIDTH), OPERAND)
    kept = high
    for step in tl.range(0, 2 * MATRICES):
        matrix, half = MATRICES - 1 - step // 2, step % 2
        start = half * HALF
        # on its way while the product is computed
        turn = tl.load(turns + matrix * layer_size + start + tile)
        # the other way round than in the field: the transposed matrix
        weight = hidden + matrix * WIDTH * WIDTH + start * WIDTH
        gradient = product_of_halves(low, high, weight, columns, OPERAND, WHOLE, 1, WIDTH)
        if matrix == MATRICES - 1:
            output = column(outputs + 3, row, inside, 4)[:, None]
            gradient += output * tl.load(density_weight + start + columns)[None, :]
        gradient *= cosine(decode(turn))
        if matrix > 0:
            tl.store(arguments + (matrix - 1) * matrix_size + start + tile, gradient.to(OPERAND))
        gradient = pack(gradient, OPERAND)
        if half == 0:
            kept = gradient
        else:
            low = kept
            high = gradient
    sums += FIRST_ROWS * WIDTH
    coordinate_sums(points, row, inside, unpack(low, OPERAND), sums, columns, WIDTH)
    coordinate_sums(points, row, inside, unpack(high, OPERAND), sums, HALF + columns, WIDTH)


@triton.jit(do_not_specialize=["images", "first_image", "part_size"])
@no_type_check
def weights_kernel(
    turns,
    arguments,
    weights,
    biases,
    padded,
    images,
    first_image,
    part_size,
    MATRICES: tl.constexpr,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
    STAGES: tl.constexpr,
):
    """Gradients of matrices, sin(turns)^T arguments, and of the biases behind them, over one part of the points.

    Grid: halves of the inputs, matrices times parts, images of the group. `weights`: [part, image of the group,
    matrix, WIDTH inputs, WIDTH], `biases`: [part, image of the group, matrix, WIDTH].
    """
    HALF: tl.constexpr = WIDTH // 2
    OPERAND: tl.constexpr = arguments.dtype.element_ty
    matrix, part = tl.program_id(1) % MATRICES, tl.program_id(1) // MATRICES
    member = tl.program_id(2).to(tl.int64)
    group = tl.num_programs(2).to(tl.int64)
    columns, every = tl.program_id(0) * HALF + tl.arange(0, HALF), tl.arange(0, WIDTH)
    begin = part * part_size
    turns += ((matrix * images.to(tl.int64) + first_image + member) * padded + begin) * WIDTH
    arguments += ((matrix * group + member) * padded + begin) * WIDTH
    total = tl.zeros((HALF, WIDTH), tl.float32)
    bias = tl.zeros((HALF,), tl.float32)
    for first in tl.range(0, tl.minimum(part_size, padded - begin), BLOCK, num_stages=STAGES):
        row = (first + tl.arange(0, BLOCK))[:, None] * WIDTH
        feature = sine(decode(tl.load(turns + row + columns[None, :]))).to(OPERAND)
        total = product(tl.trans(feature), tl.load(arguments + row + every[None, :]), total)
        # each program sums the biases of its own half
        bias += tl.sum(tl.load(arguments + row + columns[None, :]).to(tl.float32), 0)
    place = ((part * group + member) * MATRICES + matrix) * WIDTH
    tl.store(weights + (place + columns[:, None]) * WIDTH + every[None, :], total)
    tl.store(biases + place + columns, bias)
