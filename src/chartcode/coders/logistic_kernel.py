"""The inner loop of the linear coder's solver: one sweep over the notes moves the weights of many codes at once.

Compiled by numba at first use and kept in its cache; imported by `logistic.py` only when something is fitted.

- A row of the weight table holds one feature's weights of all B labels of a block. The B running sums of a note stay in
  vector registers (`gather`), which numba's own loops over arrays do not reach, so those two loops are written as LLVM.
- B is the length of a tuple argument: a part of its type, thus a constant to the compiler, one kernel a width.
- Plain IEEE float32 in a fixed order, no fused multiply-add, an exp of our own: the same bytes on every processor, and
  a label's weights do not depend on which labels share its block.

Shapes: N notes, F features (the last row of a table, F, is the intercept), B labels of a block, Z nonzeros.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, no_type_check

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from chartcode.kernels import kernel

NEWTON_STEPS = 40  # far more than a start from either side takes (a step halves the way or adds 1 to the logit)
_AHEAD = 12  # nonzeros between asking memory for a row and using it
_LINE = 64  # bytes of a cache line

f32 = np.float32
_FLOAT, _INT32, _INT64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
Compiler = Callable[[Any, Any, Any, Any], Any]


def _walk(lanes: types.UniTuple, step: Callable[[Any, Any, Any, Any], None]) -> Compiler:
    """Code of a loop over the nonzeros of one note; `step(builder, row pointer, value vector, register)` is its body.

    The B floats of the last argument are loaded into the register before the loop and stored after it.
    """
    width = int(lanes.count)
    vector = ir.VectorType(_FLOAT, width)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def pointer(place: int) -> Any:
            return context.make_array(signature.args[place])(context, builder, arguments[place]).data

        _, table, indices, values = arguments[0], pointer(1), pointer(2), pointer(3)
        start, stop, lane = arguments[4], arguments[5], builder.bitcast(pointer(6), vector.as_pointer())

        def row(place: Any) -> Any:
            feature = builder.sext(builder.load(builder.gep(indices, [place])), _INT64)
            return builder.gep(table, [builder.mul(feature, _INT64(width))])

        def prefetch(place: Any) -> None:
            byte = ir.IntType(8).as_pointer()
            kind = ir.FunctionType(ir.VoidType(), [byte, _INT32, _INT32, _INT32])
            call = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
                builder.module, kind, "llvm.prefetch.p0"
            )
            first = builder.bitcast(row(place), byte)
            for offset in range(0, width * 4, _LINE):  # for writing, to every cache, data
                builder.call(call, [builder.gep(first, [_INT64(offset)]), _INT32(1), _INT32(3), _INT32(1)])

        def splat(value: Any) -> Any:
            none = ir.Constant(vector, ir.Undefined)
            one = builder.insert_element(none, value, _INT32(0))
            return builder.shuffle_vector(one, none, ir.Constant(ir.VectorType(_INT32, width), [0] * width))

        register = cgutils.alloca_once_value(  # type: ignore[no-untyped-call]
            builder, builder.load(lane, align=4)
        )
        last = builder.sub(stop, _INT64(1))
        with cgutils.for_range_slice(builder, start, stop, _INT64(1), _INT64) as (place, _):
            ahead = builder.add(place, _INT64(_AHEAD))
            prefetch(builder.select(builder.icmp_signed("<", ahead, stop), ahead, last))
            value = splat(builder.load(builder.gep(values, [place])))
            step(builder, builder.bitcast(row(place), vector.as_pointer()), value, register)
        builder.store(builder.load(register), lane, align=4)
        return context.get_dummy_value()

    return generate


@intrinsic
@no_type_check
def gather(_typing, lanes, table, indices, values, _start, _stop, sums):
    """sums (B,) += values[p] * table[indices[p]] (B,) for the nonzeros p of a note, in that order."""

    def step(builder: Any, row: Any, value: Any, register: Any) -> None:
        product = builder.fmul(value, builder.load(row, align=4))
        builder.store(builder.fadd(builder.load(register), product), register)

    return types.void(lanes, table, indices, values, types.int64, types.int64, sums), _walk(lanes, step)


@intrinsic
@no_type_check
def scatter(_typing, lanes, table, indices, values, _start, _stop, moves):
    """table[indices[p]] (B,) += values[p] * moves (B,) for the nonzeros p of a note."""

    def step(builder: Any, row: Any, value: Any, register: Any) -> None:
        product = builder.fmul(value, builder.load(register))
        builder.store(builder.fadd(builder.load(row, align=4), product), row, align=4)

    return types.void(lanes, table, indices, values, types.int64, types.int64, moves), _walk(lanes, step)


@njit(inline="always")
@no_type_check
def exp(x):
    """e**x to 2e-7 relative, x within -87..87 (beyond: the value at the end). Cephes' expf, without tables or branches:
    the compiler turns it into vector code, which a call of the C library's exp prevents.
    """
    x = min(max(x, f32(-87)), f32(87))
    whole = np.floor(x * f32(1.44269504) + f32(0.5))
    rest = (x - whole * f32(0.693359375)) + whole * f32(2.12194440e-4)  # ln 2 in two parts
    sum_ = f32(1.9875691500e-4)
    sum_ = sum_ * rest + f32(1.3981999507e-3)
    sum_ = sum_ * rest + f32(8.3334519073e-3)
    sum_ = sum_ * rest + f32(4.1665795894e-2)
    sum_ = sum_ * rest + f32(1.6666665459e-1)
    sum_ = sum_ * rest + f32(5.0000001201e-1)
    sum_ = sum_ * rest * rest + rest + f32(1)
    return sum_ * np.int32((np.int32(whole) + 127) << 23).view(np.float32)  # times 2**whole


@no_type_check
def _sweep(lanes, order, indptr, indices, values, norms, truth, costs, live, logits, table, gap, loss, square):
    """Visit the notes in `order` (N,) once and solve each label's dual problem in that note's variable exactly.

    In    indptr int64 (N+1,), indices int32 (Z,), values float32 (Z,); norms float32 (N,): |x|² + 1, the 1 for the
          intercept; truth int8 (N, B); costs float32 (2, B): C of a negative and of a positive; live bool (B,)
    Moves logits float32 (N, B) and table float32 (F+1, B), of live labels only
    Adds  to float64 (B,): gap, a bound of the duality gap as each note was met; loss, likewise; square: |w|²
    """
    width = len(lanes)
    sums, moves, logit = np.empty(width, f32), np.empty(width, f32), np.empty(width, f32)
    margin, cost, alpha = np.empty(width, f32), np.empty(width, f32), np.empty(width, f32)
    low, high = np.empty(width, f32), np.empty(width, f32)
    intercept = table[table.shape[0] - 1]
    for note in order:
        start, stop, norm = indptr[note], indptr[note + 1], norms[note]
        for b in range(width):
            sums[b] = intercept[b]
        gather(lanes, table, indices, values, start, stop, sums)
        for b in range(width):
            positive = truth[note, b] > 0
            m = sums[b] if positive else -sums[b]
            t = logits[note, b]
            c = costs[1, b] if positive else costs[0, b]
            a = c / (f32(1) + exp(t))
            e = exp(-abs(m))
            gap[b] += np.float64((m - t) * (a - c * ((e if m > 0 else f32(1)) / (f32(1) + e))))
            log1p = f32(-0.13606275) + e * f32(0.03215845)  # of e, to 1e-3: this loss only scales the gap
            log1p = e * (f32(0.99949556) + e * (f32(-0.49190896) + e * (f32(0.28947478) + e * log1p)))
            loss[b] += np.float64(c * (max(-m, f32(0)) + log1p))
            # The root of f(t) = t - m - norm (c sigmoid(-t) - a) lies in this interval, on one side of the inflection
            # point 0. There Newton's steps from a point clamped to it close in from one side and cannot diverge.
            least = m - norm * a
            most = least + norm * c
            right = least + f32(0.5) * norm * c > 0
            if not live[b]:
                low[b] = t
                high[b] = t
            else:
                low[b] = max(least, f32(0)) if right else least
                high[b] = most if right else min(most, f32(0))
            margin[b] = m
            cost[b] = c
            alpha[b] = a
            logit[b] = min(max(t, low[b]), high[b])
        for _ in range(NEWTON_STEPS):
            moving = 0
            for b in range(width):
                t = logit[b]
                s = f32(1) / (f32(1) + exp(t))
                f = (t - margin[b]) - norm * (cost[b] * s - alpha[b])
                nearer = min(max(t - f / (f32(1) + norm * cost[b] * s * (f32(1) - s)), low[b]), high[b])
                moves_on = abs(nearer - t) > f32(1e-6) * (f32(1) + abs(nearer))
                moving += moves_on
                logit[b] = nearer if moves_on else t
            if moving == 0:
                break
        for b in range(width):
            move = cost[b] / (f32(1) + exp(logit[b])) - alpha[b]
            move = move if truth[note, b] > 0 else -move
            moves[b] = move
            logits[note, b] = logit[b]
            square[b] += np.float64(move * (f32(2) * sums[b] + norm * move))
            intercept[b] += move
        scatter(lanes, table, indices, values, start, stop, moves)


@no_type_check
def _judge(lanes, indptr, indices, values, truth, costs, logits, table, gap, loss):
    """The same bound of the duality gap, and the loss, of weights at rest, in float64; arrays as in `sweep`."""
    width = len(lanes)
    sums = np.empty(width, f32)
    intercept = table[table.shape[0] - 1]
    for note in range(indptr.size - 1):
        for b in range(width):
            sums[b] = intercept[b]
        gather(lanes, table, indices, values, indptr[note], indptr[note + 1], sums)
        for b in range(width):
            positive = truth[note, b] > 0
            m = np.float64(sums[b] if positive else -sums[b])
            t = np.float64(logits[note, b])
            c = np.float64(costs[1, b] if positive else costs[0, b])
            e = np.exp(-abs(m))
            gap[b] += c * (m - t) * (1 / (1 + np.exp(t)) - (e if m > 0 else 1.0) / (1 + e))
            loss[b] += c * (max(-m, 0.0) + np.log1p(e))


@no_type_check
def _resume(lanes, indptr, indices, values, truth, logits, table):
    """The dual variables that go with the weights in `table`, into `logits`; arrays as in `sweep`."""
    width = len(lanes)
    sums = np.empty(width, f32)
    for note in range(indptr.size - 1):
        for b in range(width):
            sums[b] = table[table.shape[0] - 1, b]
        gather(lanes, table, indices, values, indptr[note], indptr[note + 1], sums)
        for b in range(width):
            logits[note, b] = sums[b] if truth[note, b] > 0 else -sums[b]


@no_type_check
def _measure(indptr, values, norms):
    """|x|² + 1 of each note, the 1 for the intercept, into `norms` float32 (N,)."""
    for note in range(norms.size):
        square = 1.0
        for place in range(indptr[note], indptr[note + 1]):
            square += np.float64(values[place]) ** 2
        norms[note] = square


@no_type_check
def _rebuild(lanes, indptr, indices, values, truth, costs, live, logits, table, square):
    """The weights of live labels summed anew from their dual variables, into `table`, and their |w|² into `square`.

    Late moves are too small for float32 to add them to a large weight; in a new sum they count. Its own rounding is
    what the sweeps that follow correct.
    """
    width = len(lanes)
    moves, intercept = np.empty(width, f32), np.zeros(width)
    for row in range(table.shape[0]):
        for b in range(width):
            if live[b]:
                table[row, b] = 0
    for note in range(indptr.size - 1):
        for b in range(width):
            positive = truth[note, b] > 0
            a = (costs[1, b] if positive else costs[0, b]) / (f32(1) + exp(logits[note, b]))
            moves[b] = (a if positive else -a) if live[b] else f32(0)
            intercept[b] += moves[b]
        scatter(lanes, table, indices, values, indptr[note], indptr[note + 1], moves)
    for b in range(width):
        if live[b]:
            table[table.shape[0] - 1, b] = intercept[b]
            square[b] = 0
    for row in range(table.shape[0]):
        for b in range(width):
            if live[b]:
                square[b] += np.float64(table[row, b]) ** 2


_compiled = kernel(error_model="numpy")
sweep = _compiled(_sweep)
judge = _compiled(_judge)
resume = _compiled(_resume)
rebuild = _compiled(_rebuild)
measure = _compiled(_measure)
