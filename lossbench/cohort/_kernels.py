"""Steps of small networks as machine code: one run after the other, by the same instructions for each.

A run's numbers cannot depend on its company, since nothing here ever works on two runs at once. All memory is flat:
activations are `[features, rows]` with rows filled up to whole vectors, weights `[outputs, columns]` with columns
filled up by zeros. What a kernel is told of a layer is `(inputs, columns, outputs, where its weights begin within the
weights of a run, where its biases do, where its outputs do within the activations of a run)`.
"""

import math

import numpy as np
from numba import njit

from lossbench.cohort._elementary import exp, log
from lossbench.cohort._vectors import (
    LANES,
    accumulate,
    broadcasts,
    fma,
    load,
    maximum,
    splat,
    splats,
    store,
    store_all,
    total,
    where_above,
    where_equal,
    where_positive,
)

__all__ = ["evaluate", "step"]

_helper = njit(error_model="numpy")


@_helper
def _layer(weights, at, layers, depth, source, source_at, rows, out, out_at, hidden):
    """Outputs of a layer on all rows, those of a hidden one with 0 for what is below."""
    inputs, columns, outputs = layers[depth, 0], layers[depth, 1], layers[depth, 2]
    weights_at, biases_at = at + layers[depth, 3], at + layers[depth, 4]
    zero = splat(weights.dtype.type(0))
    for row in range(0, rows, LANES):
        for output in range(0, outputs, LANES):
            last = min(LANES, outputs - output) - 1
            sums = broadcasts(weights, biases_at + output, 1, last)
            place = weights_at + output * columns
            for column in range(inputs):
                sums = accumulate(
                    sums, weights, place + column, columns, last, load(source, source_at + column * rows + row)
                )
            store_all(out, out_at + output * rows + row, rows, last, sums)
            if hidden:
                for each in range(output, output + last + 1):
                    place = out_at + each * rows + row
                    store(out, place, maximum(load(out, place), zero))


@_helper
def _outcome(logits, residual, at, ce, p, not_p, true_at, labels, labels_at, tops, rows, count, classes):
    """Softmax of a run's logits as `lossbench.losses.true_class_and_residual` defines it, and the classes foretold.

    The last vector may reach into the numbers of the next run, which comes later.
    """
    zero, one = splat(logits.dtype.type(0)), splat(logits.dtype.type(1))
    for row in range(0, count, LANES):
        label = load(labels, labels_at + row)
        top, highest, own = zero, load(logits, at + row), load(logits, at + row)
        for each in range(1, classes):
            number, logit = splat(logits.dtype.type(each)), load(logits, at + each * rows + row)
            top = where_above(logit, highest, number, top)
            highest = where_above(logit, highest, logit, highest)
            own = where_equal(label, number, logit, own)
        beyond = others = zero
        for each in range(classes):
            number, place = splat(logits.dtype.type(each)), at + each * rows + row
            odds = exp(load(logits, place) - highest)
            store(residual, place, odds)
            beyond = beyond + where_equal(top, number, zero, odds)
            others = others + where_equal(label, number, zero, odds)
        whole = one + beyond
        missing = others / whole
        for each in range(classes):
            number, place = splat(logits.dtype.type(each)), at + each * rows + row
            store(residual, place, where_equal(label, number, zero - missing, load(residual, place) / whole))
        # log(1 + beyond) with what was lost in the sum made good, so that it is exact where beyond is small.
        log_whole = log(whole) + (beyond - (whole - one)) / whole
        store(ce, true_at + row, log_whole - (own - highest))
        store(p, true_at + row, exp(own - highest) / whole)
        store(not_p, true_at + row, missing)
        store(tops, row, top)


@_helper
def _pass_back(weights, at, layers, depth, upstream, upstream_at, rows, hidden, hidden_at, out_at):
    """Gradient in the activations that a layer was given, from the one in its outputs."""
    columns, outputs, weights_at = layers[depth, 1], layers[depth, 2], at + layers[depth, 3]
    for row in range(0, rows, LANES):
        for column in range(0, columns, LANES):
            sums = splats(weights.dtype.type(0))
            for output in range(outputs):
                place = weights_at + output * columns + column
                sums = accumulate(sums, weights, place, 1, LANES - 1, load(upstream, upstream_at + output * rows + row))
            store_all(upstream, out_at + column * rows + row, rows, LANES - 1, sums)
            for each in range(column, column + LANES):
                place = each * rows + row
                kept = where_positive(load(hidden, hidden_at + place), load(upstream, out_at + place))
                store(upstream, out_at + place, kept)


@_helper
def _move(weights, velocity, place, gradient, down, keep, shrink, nesterov):
    """Move eight weights as `torch.optim.SGD` does."""
    weight = load(weights, place)
    gradient = fma(shrink, weight, gradient)
    move = fma(keep, load(velocity, place), gradient)
    store(velocity, place, move)
    if nesterov:
        move = fma(keep, move, gradient)
    store(weights, place, fma(down, move, weight))


@_helper
def _descend(
    weights, velocity, at, layers, depth, upstream, upstream_at, rows, source, places, count, lr, momentum, decay,
    nesterov, block,
):  # fmt: skip
    """Move a layer's weights by the gradient from its `count` inputs; sum of the gradient's squares."""
    columns, outputs, weights_at = layers[depth, 1], layers[depth, 2], at + layers[depth, 3]
    zero = weights.dtype.type(0)
    down, keep, shrink, squares = splat(-lr), splat(momentum), splat(decay), splat(zero)
    for output in range(0, outputs, LANES):
        last = min(LANES, outputs - output) - 1
        for column in range(0, columns, LANES):
            sums = splats(zero)
            for row in range(count):
                sums = accumulate(
                    sums, upstream, upstream_at + output * rows + row, rows, last, load(source, places[row] + column)
                )
            store_all(block, 0, LANES, LANES - 1, sums)
            place = weights_at + output * columns + column
            for each in range(last + 1):
                gradient = load(block, each * LANES)
                squares = fma(gradient, gradient, squares)
                _move(weights, velocity, place, gradient, down, keep, shrink, nesterov)
                place += columns
    return np.float64(total(squares))


@_helper
def _descend_biases(
    weights, velocity, at, layers, depth, upstream, upstream_at, rows, lr, momentum, decay, nesterov, block
):
    """Move a layer's biases; sum of their gradient's squares."""
    outputs, zero, squares = layers[depth, 2], weights.dtype.type(0), 0.0
    down, keep, shrink = splat(-lr), splat(momentum), splat(decay)
    for output in range(0, outputs, LANES):
        store(block, 0, splat(zero))
        for each in range(min(LANES, outputs - output)):
            sums = splat(zero)
            for row in range(0, rows, LANES):
                sums = sums + load(upstream, upstream_at + (output + each) * rows + row)
            block[each] = total(sums)
            squares += np.float64(block[each]) * np.float64(block[each])
        place = at + layers[depth, 4] + output
        _move(weights, velocity, place, load(block, 0), down, keep, shrink, nesterov)
    return squares


@_helper
def _backward(
    weights, velocity, at, layers, memory, hidden_at, inputs, visits, visit, upstream, turned, places, block,
    rows, count, lr, momentum, decay, nesterov,
):  # fmt: skip
    """Move all weights of a run by the gradient in its logits; norms of all gradients and of the last layer's."""
    squares, norm_last, upstream_at, other_at = 0.0, 0.0, 0, len(upstream) // 2
    for depth in range(len(layers) - 1, -1, -1):
        columns = layers[depth, 1]
        if depth > 0:
            below = hidden_at + layers[depth - 1, 5]
            _pass_back(weights, at, layers, depth, upstream, upstream_at, rows, memory, below, other_at)
            for row in range(count):
                places[row] = row * columns
                for column in range(columns):
                    turned[row * columns + column] = memory[below + column * rows + row]
            found = _descend(
                weights, velocity, at, layers, depth, upstream, upstream_at, rows, turned, places, count,
                lr, momentum, decay, nesterov, block,
            )  # fmt: skip
        else:
            for row in range(count):
                places[row] = visits[visit + row] * columns
            found = _descend(
                weights, velocity, at, layers, depth, upstream, upstream_at, rows, inputs, places, count,
                lr, momentum, decay, nesterov, block,
            )  # fmt: skip
        if depth == len(layers) - 1:
            norm_last = math.sqrt(found)
        squares += found + _descend_biases(
            weights, velocity, at, layers, depth, upstream, upstream_at, rows, lr, momentum, decay, nesterov, block
        )
        upstream_at, other_at = other_at, upstream_at
    return math.sqrt(squares), norm_last


@_helper
def _forward(weights, at, layers, memory, source_at, hidden_at, rows, logits, logits_at):
    """Logits of a run; its activations stay in the memory, where its inputs are already."""
    for depth in range(len(layers) - 1):
        out_at = hidden_at + layers[depth, 5]
        _layer(weights, at, layers, depth, memory, source_at, rows, memory, out_at, True)
        source_at = out_at
    _layer(weights, at, layers, len(layers) - 1, memory, source_at, rows, logits, logits_at, False)


def step(
    layers, weights, velocity, numbers, nesterov, inputs, target, visits, seats, memory, logits, residual,
    ce, p, not_p, labels, losses, factors, upstream, turned, places, block, sums, moved, seen, first, count,
):  # fmt: skip
    """For R runs, move the weights by what was seen before, and see what comes next.

    In between, a run's weights stay in the fastest memory. Empty columns of weights and inputs stay zero.

    Args:
        layers: what there is to know of each layer [L, 6].
        weights, velocity: of every run [R, weights].
        numbers: learning rate, momentum and weight decay of each run [R, 3].
        inputs, target: all training rows [D + 1, columns] and their classes [D + 1], the last to fill up.
        visits: row numbers of every batch by seed [K, S, rows], of which the first `count` are no filling.
        seats: which of the S seeds is each run's [R].
        memory: for the inputs of a batch and their classes [S, columns + 1, rows], and activations [R, activations].
        logits, residual: [R, C, rows].
        ce, p, not_p, labels: what losses are made of [R, count], and a vector more.
        losses, factors: what was made of it, and what each row's residual is to be multiplied with, as long.
        upstream, turned, places, block: memory of one run's backward pass.
        sums: recorded sums [R, 5]: objective, NLL, hits, norm of all gradients, norm of the last layer's weights'.
        moved, seen: numbers of the batch that was seen and of the one to see, negative for none.
        first: whether the batch to see is seen for the first time, and its NLL and hits are added.
    """
    seeds, rows, runs = visits.shape[1], visits.shape[2], len(seats)
    columns, classes, activations = layers[0, 1], layers[-1, 2], layers[-1, 5]
    flat_weights, flat_velocity, flat_visits = weights.reshape(-1), velocity.reshape(-1), visits.reshape(-1)
    share = weights.dtype.type(1) / weights.dtype.type(count)
    if seen >= 0:
        for seed in range(seeds):
            for row in range(rows):
                place = visits[seen, seed, row] * columns
                batch = seed * (columns + 1) * rows + row
                for column in range(columns):
                    memory[batch + column * rows] = inputs[place + column]
                memory[batch + columns * rows] = target[visits[seen, seed, row]]
    for run in range(runs):
        at, logits_at, true_at = run * weights.shape[1], run * classes * rows, run * count
        hidden_at = seeds * (columns + 1) * rows + run * activations
        if moved >= 0:
            objective = 0.0
            for row in range(count):
                objective += losses[true_at + row]
            for row in range(0, count, LANES):
                factor = load(factors, true_at + row) * splat(share)
                for each in range(classes):
                    place = each * rows + row
                    store(upstream, place, load(residual, logits_at + place) * factor)
            for each in range(classes):
                for row in range(count, rows):
                    upstream[each * rows + row] = 0
            norm_all, norm_last = _backward(
                flat_weights, flat_velocity, at, layers, memory, hidden_at, inputs, flat_visits,
                (moved * seeds + seats[run]) * rows, upstream, turned, places, block, rows, count,
                numbers[run, 0], numbers[run, 1], numbers[run, 2], nesterov,
            )  # fmt: skip
            sums[run, 0] += objective
            sums[run, 3] += norm_all
            sums[run, 4] += norm_last
        if seen >= 0:
            inputs_at = seats[run] * (columns + 1) * rows
            _forward(flat_weights, at, layers, memory, inputs_at, hidden_at, rows, logits, logits_at)
            labels_at = inputs_at + columns * rows
            _outcome(
                logits, residual, logits_at, ce, p, not_p, true_at, memory, labels_at, upstream, rows, count, classes,
            )  # fmt: skip
            nll, hits = 0.0, 0.0
            for row in range(count):
                labels[true_at + row] = target[visits[seen, seats[run], row]]
                nll += ce[true_at + row]
                hits += upstream[row] == memory[labels_at + row]
            if first:
                sums[run, 1] += nll
                sums[run, 2] += hits


def evaluate(layers, weights, pieces, memory, piece, out):
    """Logits [R, D, C] of held-out rows in pieces [N, columns, rows]; `memory` and `piece` are memory for one piece."""
    runs, held_out, classes = out.shape
    columns, rows = pieces.shape[1], pieces.shape[2]
    flat_weights, flat_out = weights.reshape(-1), out.reshape(-1)
    for number in range(len(pieces)):
        for column in range(columns):
            for row in range(rows):
                memory[column * rows + row] = pieces[number, column, row]
        for run in range(runs):
            _forward(flat_weights, run * weights.shape[1], layers, memory, 0, columns * rows, rows, piece, 0)
            for row in range(min(rows, held_out - number * rows)):
                place = (run * held_out + number * rows + row) * classes
                for each in range(classes):
                    flat_out[place + each] = piece[each * rows + row]
