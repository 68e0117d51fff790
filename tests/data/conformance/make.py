#!/usr/bin/env python3
"""Writes the suites `errors` and `special` beside this file; `examples/conformance` runs them and describes the format.

Nothing but the standard library: expected values come from the plainest loops over Python's floats, in f64, straight
from the definitions of the operations. Run it without arguments; it always writes the same bytes.

errors   calls that have to be refused, or may be; none may panic.
special  NaN and infinities, signed zeros and subnormals, batches and images without elements, one-dimensional and
         unbatched calls, padding that crops, positions that no tap reaches.
"""

from __future__ import annotations

import itertools
import json
import math
import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

FORMATS = {"f32": ("f", 4), "f64": ("d", 8), "u8": ("B", 1)}
INF, NAN = math.inf, math.nan


class Tensor:
    """A shape, and values with the last index fastest, rounded to the element type."""

    def __init__(self, shape: Iterable[int], values: Iterable[float] | None = None, dtype: str = "f32") -> None:
        self.shape, self.dtype = tuple(shape), dtype
        size = math.prod(self.shape)
        # Small odd multiples of 1/8, so none is zero, and sums of products are exact.
        values = (((7 * i) % 19 - 9.5) / 4 for i in range(size)) if values is None else values
        self.bytes = struct.pack(f"<{size}{FORMATS[dtype][0]}", *values)
        self.values = struct.unpack(f"<{size}{FORMATS[dtype][0]}", self.bytes)

    def place(self, index: tuple[int, ...]) -> int:
        place = 0
        for i, size in zip(index, self.shape, strict=True):
            place = place * size + i
        return place

    def at(self, *index: int) -> float:
        return self.values[self.place(index)]

    def with_value(self, value: float, *index: int) -> Tensor:
        place = self.place(index)
        return Tensor(self.shape, (value if i == place else v for i, v in enumerate(self.values)), self.dtype)

    def reshaped(self, *shape: int) -> Tensor:
        return Tensor(shape, self.values, self.dtype)


class Suite:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.blob = bytearray()
        self.places: dict[bytes, int] = {}

    def place(self, data: bytes) -> int:
        """Where these bytes are; equal tensors share a place."""
        if data not in self.places:
            self.blob += bytes(-len(self.blob) % 8)
            self.places[data] = len(self.blob)
            self.blob += data
        return self.places[data]

    def add(self, case: dict[str, Any], tensors: Iterable[tuple[str, str, Tensor, dict[str, float]]]) -> None:
        records = [
            {"name": name, "role": role, "dtype": t.dtype, "shape": t.shape, "offset": self.place(t.bytes)}
            | {"nbytes": len(t.bytes)}
            | more
            for name, role, t, more in tensors
        ]
        self.lines.append(json.dumps(case | {"tensors": records}, separators=(",", ":"), allow_nan=False))

    def write(self, name: str) -> None:
        folder = Path(__file__).parent / name
        folder.mkdir(exist_ok=True)
        (folder / "cases.jsonl").write_text("".join(line + "\n" for line in self.lines))
        (folder / "tensors.bin").write_bytes(self.blob)


def rank_of(op: str) -> int:
    return 1 if op.endswith("1d") else 2


# --- the operations by definition --------------------------------------------------------------------------------

Term = tuple[float, float, bool]  # value, weight, whether it is a zero that was only made up around the image
Terms = Callable[[int, int, int, int], Iterable[Term]]


def convolution_size(size: int, kernel: int, stride: int, begin: int, end: int, dilation: int) -> int:
    return (size + begin + end - dilation * (kernel - 1) - 1) // stride + 1


def convolution(x: Tensor, w: Tensor, a: dict[str, Any]) -> tuple[tuple[int, ...], Terms]:
    (n, ic, ih, iw), (oc, channels, kh, kw) = x.shape, w.shape
    (sh, sw), (dh, dw), (top, left, bottom, right) = a["stride"], a["dilation"], a["pads"]
    oh = convolution_size(ih, kh, sh, top, bottom, dh)
    ow = convolution_size(iw, kw, sw, left, right, dw)

    def terms(b: int, o: int, r: int, s: int) -> Iterable[Term]:
        first = o // (oc // a["groups"]) * channels
        for c, i, j in itertools.product(range(channels), range(kh), range(kw)):
            y, z = r * sh - top + i * dh, s * sw - left + j * dw
            inside = 0 <= y < ih and 0 <= z < iw
            yield x.at(b, first + c, y, z) if inside else 0.0, w.at(o, c, i, j), not inside

    return (n, oc, oh, ow), terms


def transposed(x: Tensor, w: Tensor, a: dict[str, Any]) -> tuple[tuple[int, ...], Terms]:
    (n, ic, ih, iw), (_, per_group, kh, kw) = x.shape, w.shape
    (sh, sw), (dh, dw), (top, left, bottom, right) = a["stride"], a["dilation"], a["pads"]
    oh = (ih - 1) * sh - top - bottom + dh * (kh - 1) + 1 + a["output_padding"][0]
    ow = (iw - 1) * sw - left - right + dw * (kw - 1) + 1 + a["output_padding"][1]
    channels = ic // a["groups"]

    def terms(b: int, o: int, r: int, s: int) -> Iterable[Term]:
        first = o // per_group * channels
        for c, i, j, y, z in itertools.product(range(channels), range(kh), range(kw), range(ih), range(iw)):
            # Only real pairs: no inserted zero is multiplied.
            if y * sh + i * dh - top == r and z * sw + j * dw - left == s:
                yield x.at(b, first + c, y, z), w.at(first + c, o % per_group, i, j), False

    return (n, per_group * a["groups"], oh, ow), terms


def deformable(
    x: Tensor, w: Tensor, a: dict[str, Any], offset: Tensor, mask: Tensor | None
) -> tuple[tuple[int, ...], Terms]:
    (n, ic, ih, iw), (oc, channels, kh, kw) = x.shape, w.shape
    (sh, sw), (dh, dw), (top, left, _, _) = a["stride"], a["dilation"], a["pads"]

    def sample(b: int, c: int, y: float, z: float) -> tuple[float, bool]:
        if not (-1 < y < ih and -1 < z < iw):
            return 0.0, True
        y0, z0 = math.floor(y), math.floor(z)
        total = 0.0
        for i, j in itertools.product((0, 1), (0, 1)):
            part = (y - y0 if i else 1 - (y - y0)) * (z - z0 if j else 1 - (z - z0))
            inside = 0 <= y0 + i < ih and 0 <= z0 + j < iw
            # A corner with a part of zero is multiplied all the same.
            total += part * (x.at(b, c, y0 + i, z0 + j) if inside else 0.0)
        return total, False

    def terms(b: int, o: int, r: int, s: int) -> Iterable[Term]:
        first = o // (oc // a["groups"]) * channels
        for c, i, j in itertools.product(range(channels), range(kh), range(kw)):
            tap = ((first + c) // (ic // a["offset_groups"]) * kh + i) * kw + j
            y = r * sh - top + i * dh + offset.at(b, 2 * tap, r, s)
            z = s * sw - left + j * dw + offset.at(b, 2 * tap + 1, r, s)
            value, outside = sample(b, first + c, y, z)
            factor = mask.at(b, tap, r, s) if mask else 1.0
            yield value * factor, w.at(o, c, i, j), outside or factor == 0

    return (n, oc, *offset.shape[2:]), terms


def add_up(shape: tuple[int, ...], terms: Terms, bias: Tensor | None, made_up: bool) -> tuple[list[float], float]:
    """All elements, and the largest sum of magnitudes behind a finite one; with or without made-up zeros."""
    values, bound = [], 0.0
    for b, o, r, s in itertools.product(*map(range, shape)):
        start = bias.values[o] if bias else 0.0
        products = [v * w for v, w, zero in terms(b, o, r, s) if made_up or not zero]
        values.append(sum(products, start))
        if math.isfinite(values[-1]):
            bound = max(bound, sum(map(abs, products), abs(start)))
    return values, bound


def class_of(value: float) -> int:
    return 3 if math.isnan(value) else 0 if math.isfinite(value) else 1 if value > 0 else 2


# --- cases with results ------------------------------------------------------------------------------------------


def resolved(attrs: dict[str, Any], rank: int) -> dict[str, Any]:
    """Defaults filled in, and every list for two axes."""
    padding = attrs.get("padding", [0] * rank)
    sides = padding if len(padding) == 2 * rank else [*padding, *padding]
    pair = {1: lambda row, list: [row, *list], 2: lambda row, list: list}[rank]
    return {
        "stride": pair(1, attrs.get("stride", [1] * rank)),
        "dilation": pair(1, attrs.get("dilation", [1] * rank)),
        "pads": [0, sides[0], 0, sides[1]] if rank == 1 else sides,
        "output_padding": pair(0, attrs.get("output_padding", [0] * rank)),
        "groups": attrs.get("groups", 1),
        "offset_groups": attrs.get("offset_groups", 1),
    }


def add_result(
    suite: Suite, name: str, op: str, tensors: dict[str, Tensor], tags: list[str], attrs: dict[str, Any]
) -> None:
    """A case with the result that the loops above give."""
    rank, unbatched = rank_of(op), "unbatched" in tags

    def image(name: str) -> Tensor | None:
        t = tensors.get(name)
        if t is None:
            return None
        shape = (1, *t.shape) if unbatched and name != "weight" else t.shape
        return t.reshaped(*(shape if rank == 2 else (*shape[:2], 1, shape[2])))

    full = resolved(attrs, rank)
    x, w, offset, mask = map(image, ("input", "weight", "offset", "mask"))
    assert x and w
    if op.startswith("deform"):
        assert offset
        shape, terms = deformable(x, w, full, offset, mask)
    else:
        shape, terms = (transposed if "transpose" in op else convolution)(x, w, full)
    values, bound = add_up(shape, terms, tensors.get("bias"), made_up=True)
    skipped, _ = add_up(shape, terms, tensors.get("bias"), made_up=False)
    classes, others = ([class_of(v) for v in list] for list in (values, skipped))

    shape = shape if rank == 2 else (*shape[:2], shape[3])
    shape = shape[1:] if unbatched else shape
    dtype = tensors["input"].dtype
    finite = Tensor(shape, (v if math.isfinite(v) else 0 for v in values), dtype)
    results = [("output", "out", finite, {"abs_bound": bound})]
    if any(classes) or any(others) or "subnormal" in tags:
        tags = [*tags, "nonfinite"] if any(classes) else tags
        either = [c if c == other else 4 for c, other in zip(classes, others, strict=True)]
        results.append(("output_class", "out", Tensor(shape, either, "u8"), {}))
        if either != classes:
            results.append(("output_class_multiplied", "out", Tensor(shape, classes, "u8"), {}))
    attrs = attrs | {"pads": full["pads"] if rank == 2 else full["pads"][1::2]}
    case = {"id": name, "op": op, "rank": rank, "dtype": dtype, "expect": "ok", "tags": tags, "attrs": attrs}
    suite.add(case, [(name, "in", t, {}) for name, t in tensors.items()] + results)


def special() -> Suite:
    suite = Suite()

    def cases(op: str, base: dict[str, Tensor]) -> Callable[..., None]:
        """Adds cases that differ from plain tensors in what is given."""

        def add(name: str, *tags: str, tensors: dict[str, Tensor] | None = None, **attrs: Any) -> None:
            add_result(suite, f"{op}_{name}", op, base | (tensors or {}), list(tags), attrs)

        return add

    add_special_convolutions(cases)
    add_special_transposed(cases)
    add_special_deformable(cases)
    return suite


def add_special_convolutions(cases: Callable[..., Callable[..., None]]) -> None:
    x, w, bias = Tensor((2, 4, 5, 6)), Tensor((4, 4, 3, 3)), Tensor((4,))
    add, pad = cases("conv2d", {"input": x, "weight": w, "bias": bias}), {"padding": [1, 1]}
    for label, value in (("nan", NAN), ("inf", INF), ("minus_inf", -INF)):
        add(f"input_{label}", tensors={"input": x.with_value(value, 1, 2, 2, 3)}, **pad)
        add(f"weight_{label}", tensors={"weight": w.with_value(value, 1, 2, 0, 0)}, **pad)
        add(f"bias_{label}", tensors={"bias": bias.with_value(value, 3)}, **pad)
    both = x.with_value(INF, 0, 0, 1, 1).with_value(-INF, 0, 1, 1, 2)
    add("both_infinities", tensors={"input": both}, **pad)
    add("zero_weight_on_inf", tensors={"input": both, "weight": w.with_value(0, 0, 0, 1, 1)}, **pad)
    uneven = {"padding": [0, 2, 1, 0], "stride": [2, 1], "dilation": [1, 2]}
    add("weight_inf_uneven", tensors={"weight": w.with_value(INF, 0, 0, 2, 0)}, **uneven)
    depthwise = {"weight": Tensor((8, 1, 3, 3)).with_value(INF, 5, 0, 2, 2), "bias": Tensor((8,))}
    add("weight_inf_depthwise", tensors=depthwise, groups=4, **pad)
    f64 = {"input": Tensor((1, 4, 4, 4), dtype="f64").with_value(NAN, 0, 0, 0, 0), "bias": Tensor((2,), dtype="f64")}
    add("f64", tensors=f64 | {"weight": Tensor((2, 4, 3, 3), dtype="f64").with_value(-INF, 0, 1, 2, 2)}, **pad)
    add("empty_batch", tensors={"input": Tensor((0, 4, 5, 6))}, **pad)
    add("unbatched", "unbatched", tensors={"input": Tensor((4, 5, 6))}, stride=[2, 1], **pad)

    tiny = Tensor((1, 1, 3, 4), ((i - 5) * 2.0**-149 for i in range(12)))
    cases("conv2d", {"input": tiny, "weight": Tensor((1, 1, 2, 2), [1, 0.5, -1, 0.25])})("subnormal", "subnormal")
    zeros = Tensor((1, 1, 2, 3), [0.0, -0.0] * 3)
    cases("conv2d", {"input": zeros, "weight": Tensor((1, 1, 1, 2), [-1, 1])})("signed_zeros", "subnormal")

    w = Tensor((6, 2, 3))
    add = cases("conv1d", {"input": Tensor((2, 4, 9)), "weight": w, "bias": Tensor((6,))})
    add("all", stride=[2], padding=[2], dilation=[2], groups=2)
    add("uneven", padding=[0, 3], groups=2)
    add("unbatched", "unbatched", tensors={"input": Tensor((4, 9))}, groups=2)
    add("weight_inf", tensors={"weight": w.with_value(INF, 3, 1, 0)}, padding=[1], groups=2)


def add_special_transposed(cases: Callable[..., Callable[..., None]]) -> None:
    x, w = Tensor((2, 4, 3, 4)), Tensor((4, 2, 3, 3))
    add = cases("conv_transpose2d", {"input": x, "weight": w, "bias": Tensor((2,))})
    twice = {"stride": [2, 2], "padding": [1, 1], "output_padding": [1, 0]}
    for label, value in (("nan", NAN), ("inf", INF)):
        add(f"input_{label}", tensors={"input": x.with_value(value, 0, 1, 1, 2)}, **twice)
        add(f"weight_{label}", tensors={"weight": w.with_value(value, 2, 0, 1, 0)}, **twice)
    add("holes", tensors={"weight": Tensor((4, 2, 2, 1)).with_value(INF, 0, 0, 1, 0)}, stride=[3, 2])
    add("holes_bias", tensors={"bias": Tensor((2,), [NAN, -INF])}, stride=[4, 4])
    add("crop", padding=[3, 0, 1, 1])
    grouped = {"weight": Tensor((4, 3, 2, 3)), "bias": Tensor((6,))}
    add("grouped", tensors=grouped, stride=[2, 1], dilation=[1, 2], groups=2, output_padding=[1, 1])
    add("empty_batch", tensors={"input": Tensor((0, 4, 3, 4))}, **twice)
    add("unbatched", "unbatched", tensors={"input": Tensor((4, 3, 4))}, **twice)

    add = cases("conv_transpose1d", {"input": Tensor((1, 2, 5)), "weight": Tensor((2, 3, 4)), "bias": Tensor((3,))})
    add("all", stride=[3], padding=[1], output_padding=[2])
    add("holes_inf", tensors={"weight": Tensor((2, 3, 2)).with_value(INF, 0, 1, 1)}, stride=[3])
    add("unbatched", "unbatched", tensors={"input": Tensor((2, 5))}, stride=[2], padding=[0, 1])


def add_special_deformable(cases: Callable[..., Callable[..., None]]) -> None:
    x, w, bias, taps = Tensor((1, 4, 5, 5)), Tensor((2, 4, 3, 3)), Tensor((2,)), 9

    def offsets(*values: float) -> Tensor:
        size = 2 * taps * 25
        return Tensor((1, 2 * taps, 5, 5), itertools.islice(itertools.cycle(values), size))

    half = offsets(*(i / 2 for i in range(-3, 4)))
    mask = Tensor((1, taps, 5, 5), ((i % 5) / 4 for i in range(taps * 25)))
    inf, weight_inf = {"input": x.with_value(INF, 0, 1, 2, 2)}, {"weight": w.with_value(INF, 1, 2, 0, 1)}
    add = cases("deform_conv2d", {"input": x, "weight": w, "bias": bias, "offset": half})
    pad = {"padding": [1, 1], "offset_groups": 1}
    # The infinite pixel is the corner with a part of zero of its neighbours above and to the left.
    add("inf_corner", tensors=inf | {"offset": offsets(0)}, **pad)
    add("inf_half", tensors=inf, **pad)
    add("nan", tensors={"input": x.with_value(NAN, 0, 3, 4, 4), "mask": mask}, **pad)
    add("inf_zero_mask", tensors=inf | {"mask": mask}, **pad)
    add("outside_weight_inf", tensors=weight_inf | {"offset": offsets(0)}, **pad)
    add("zero_mask_weight_inf", tensors=weight_inf | {"mask": mask}, **pad)
    add("bias_nan", tensors={"bias": bias.with_value(NAN, 0)}, **pad)
    add("far", tensors={"offset": offsets(0, 3, -100, 0.5, INF, 0.25, -INF)}, **pad)
    groups = {"weight": Tensor((2, 2, 1, 2)), "offset": Tensor((1, 8, 3, 4), ((i % 11 - 5) / 8 for i in range(96)))}
    add("groups", tensors=groups, offset_groups=2, groups=2, stride=[2, 1])
    empty = {"input": Tensor((0, 4, 5, 5)), "offset": Tensor((0, 2 * taps, 5, 5))}
    add("empty_batch", tensors=empty, **pad)
    lone = {"input": Tensor((4, 5, 5)), "offset": half.reshaped(2 * taps, 5, 5), "mask": mask.reshaped(taps, 5, 5)}
    add("unbatched", "unbatched", tensors=lone, **pad)


# --- cases with errors -------------------------------------------------------------------------------------------


def errors() -> Suite:
    suite = Suite()
    ids: set[str] = set()

    def cases(op: str, base: dict[str, Tensor], attrs: dict[str, Any], rank: int | None = None) -> Callable[..., None]:
        """Adds cases that differ from a right call in what is given."""
        rank = rank or rank_of(op)

        def add(
            kind: str,
            reject: str = "must",
            drop: str = "",
            tensors: dict[str, Tensor] | None = None,
            **changed: Any,
        ) -> None:
            name = f"{op}{rank}d_{kind}" if op[0].isupper() else f"{op}_{kind}"
            assert name not in ids, name
            ids.add(name)
            given = {n: t for n, t in (base | (tensors or {})).items() if n != drop}
            case = {"id": name, "op": op, "rank": rank, "dtype": "f32", "expect": "error", "error_kind": kind}
            case |= {"reject": reject, "tags": ["error"], "attrs": attrs | changed}
            suite.add(case, [(n, "in", t, {}) for n, t in given.items()])

        return add

    add_convolution_errors(cases)
    add_line_errors(cases)
    add_transposed_errors(cases)
    add_deformable_errors(cases)
    add_onnx_errors(cases)
    return suite


def double(*shape: int) -> Tensor:
    return Tensor(shape, dtype="f64")


def add_convolution_errors(cases: Callable[..., Callable[..., None]]) -> None:
    base = {"input": Tensor((1, 4, 5, 6)), "weight": Tensor((4, 2, 3, 3))}
    add = cases("conv2d", base, {"stride": [1, 1], "padding": [0, 0], "dilation": [1, 1], "groups": 2})
    for setting in ("stride", "dilation"):
        add(f"zero_{setting}_rows", **{setting: [0, 1]})
        add(f"zero_{setting}_columns", **{setting: [1, 0]})
        add(f"negative_{setting}", "static", **{setting: [1, -1]})
        add(f"fractional_{setting}", "static", **{setting: [1.5, 1]})
        add(f"three_entries_{setting}", "static", **{setting: [1, 1, 1]})
    add("negative_padding", "static", padding=[-1, 0])
    add("three_entries_padding", "static", padding=[1, 1, 1])
    add("unknown_padding", "static", padding="full")
    add("unknown_padding_mode", "static", padding_mode="mirror")
    add("huge_padding", padding=[2**62, 2**62])
    add("huge_output", padding=[2**40, 2**40])
    add("huge_dilation", dilation=[2**63, 1])
    add("huge_stride_same", "may", stride=[2**63, 2**63], padding="same")
    add("same_strided", "may", stride=[2, 2], padding="same")
    add("reflect_wider_than_image", "may", padding=[7, 9], padding_mode="reflect")
    add("zero_groups", groups=0)
    add("negative_groups", "static", groups=-2)
    add("groups_do_not_divide_input", groups=3)
    add("groups_do_not_divide_output", tensors={"weight": Tensor((3, 2, 3, 3))})
    add("more_groups_than_channels", groups=8)
    add("channels", tensors={"input": Tensor((1, 6, 5, 6))})
    add("channels_per_group", tensors={"weight": Tensor((4, 4, 3, 3))})
    add("no_input_channels", groups=1, tensors={"input": Tensor((1, 0, 5, 6)), "weight": Tensor((4, 0, 3, 3))})
    add("no_output_channels", groups=1, tensors={"weight": Tensor((0, 4, 3, 3))})
    add("no_kernel_rows", tensors={"weight": Tensor((4, 2, 0, 3))})
    add("no_kernel_columns", tensors={"weight": Tensor((4, 2, 3, 0))})
    add("no_rows", padding=[3, 3], tensors={"input": Tensor((1, 4, 0, 6))})
    add("no_columns", padding=[3, 3], padding_mode="replicate", tensors={"input": Tensor((1, 4, 5, 0))})
    add("no_batch_wrong_channels", tensors={"input": Tensor((0, 6, 5, 6))})
    add("kernel_too_high", tensors={"weight": Tensor((4, 2, 6, 3))})
    add("kernel_too_wide", padding=[0, 1], tensors={"weight": Tensor((4, 2, 3, 9))})
    add("dilated_kernel_too_wide", dilation=[1, 3])
    add("short_bias", tensors={"bias": Tensor((3,))})
    add("long_bias", tensors={"bias": Tensor((5,))})
    add("empty_bias", tensors={"bias": Tensor((0,))})
    add("bias_rank", "static", tensors={"bias": Tensor((1, 4))})
    add("input_rank", "static", tensors={"input": Tensor((4, 5))})
    add("weight_rank", "static", tensors={"weight": Tensor((4, 2, 3))})
    add("input_dtype", "static", tensors={"input": double(1, 4, 5, 6)})
    add("weight_dtype", "static", tensors={"weight": double(4, 2, 3, 3)})
    add("bias_dtype", "static", tensors={"bias": double(4)})
    add("no_weight", "static", drop="weight")


def add_line_errors(cases: Callable[..., Callable[..., None]]) -> None:
    base = {"input": Tensor((1, 4, 8)), "weight": Tensor((4, 4, 3))}
    add = cases("conv1d", base, {"stride": [1], "padding": [0], "dilation": [1], "groups": 1})
    add("zero_stride", stride=[0])
    add("zero_dilation", dilation=[0])
    add("negative_padding", "static", padding=[-1])
    add("two_entries_stride", "static", stride=[1, 1])
    add("kernel_too_wide", dilation=[4])
    add("channels", tensors={"input": Tensor((1, 3, 8))})
    add("short_bias", tensors={"bias": Tensor((1,))})
    add("input_rank", "static", tensors={"input": Tensor((1, 4, 8, 1))})

    base = {"input": Tensor((1, 4, 8)), "weight": Tensor((4, 2, 3))}
    add = cases("conv_transpose1d", base, {"stride": [2], "padding": [0], "dilation": [1], "groups": 2})
    add("zero_stride", stride=[0])
    add("output_padding_too_large", output_padding=[2])
    add("negative_output_padding", "static", output_padding=[-1])
    add("everything_cropped", padding=[9])
    add("channels", tensors={"input": Tensor((1, 6, 8))})


def add_transposed_errors(cases: Callable[..., Callable[..., None]]) -> None:
    base = {"input": Tensor((1, 4, 3, 4)), "weight": Tensor((4, 2, 3, 3))}
    add = cases("conv_transpose2d", base, {"stride": [2, 2], "padding": [1, 1], "dilation": [1, 1], "groups": 2})
    add("zero_stride", stride=[2, 0])
    add("zero_dilation", dilation=[0, 1])
    add("negative_stride", "static", stride=[-2, 2])
    add("negative_padding", "static", padding=[1, -1])
    add("zero_groups", groups=0)
    add("groups_do_not_divide_input", groups=3)
    add("output_padding_rows", output_padding=[2, 0])
    add("output_padding_columns", dilation=[1, 3], output_padding=[0, 3])
    add("negative_output_padding", "static", output_padding=[0, -1])
    add("everything_cropped", padding=[4, 0])
    add("more_than_everything_cropped", padding=[0, 40])
    add("huge_padding", padding=[2**62, 0])
    add("huge_stride", stride=[2**62, 2])
    add("channels", tensors={"input": Tensor((1, 2, 3, 4))})
    add("no_input_channels", groups=1, tensors={"input": Tensor((1, 0, 3, 4)), "weight": Tensor((0, 4, 3, 3))})
    add("no_output_channels", tensors={"weight": Tensor((4, 0, 3, 3))})
    add("no_rows", tensors={"input": Tensor((1, 4, 0, 4))})
    add("no_kernel_rows", tensors={"weight": Tensor((4, 2, 0, 3))})
    add("short_bias", tensors={"bias": Tensor((2,))})
    add("weight_rank", "static", tensors={"weight": Tensor((4, 2, 3, 3, 1))})
    add("weight_dtype", "static", tensors={"weight": double(4, 2, 3, 3)})
    add("same_strided", "may", padding="same")
    add("padding_mode", "may", padding_mode="circular")


def add_deformable_errors(cases: Callable[..., Callable[..., None]]) -> None:
    base = {"input": Tensor((1, 4, 4, 5)), "weight": Tensor((2, 4, 2, 2))}
    base |= {"offset": Tensor((1, 8, 3, 4)), "mask": Tensor((1, 4, 3, 4))}
    attrs = {"stride": [1, 1], "padding": [0, 0], "dilation": [1, 1], "groups": 1}
    add = cases("deform_conv2d", base, attrs | {"offset_groups": 1, "modulated": True})
    add("zero_stride", stride=[0, 1])
    add("zero_dilation", dilation=[1, 0])
    add("negative_dilation", "static", dilation=[1, -1])
    add("negative_padding", "static", padding=[-1, -1])
    add("zero_groups", groups=0)
    add("groups_do_not_divide_input", groups=3)
    add("channels", tensors={"input": Tensor((1, 3, 4, 5))})
    add("kernel_too_high", dilation=[4, 1])
    add("short_bias", tensors={"bias": Tensor((1,))})
    add("padding_mode", "may", padding_mode="reflect")
    add("offset_channels", tensors={"offset": Tensor((1, 9, 3, 4))})
    add("no_offset_channels", tensors={"offset": Tensor((1, 0, 3, 4)), "mask": Tensor((1, 0, 3, 4))})
    add("offset_groups", offset_groups=3, tensors={"offset": Tensor((1, 24, 3, 4)), "mask": Tensor((1, 12, 3, 4))})
    add("other_offset_groups", "static", offset_groups=2)
    add("offset_batch", tensors={"offset": Tensor((2, 8, 3, 4))})
    add("offset_rows", tensors={"offset": Tensor((1, 8, 4, 4))})
    add("offset_columns", tensors={"offset": Tensor((1, 8, 3, 5))})
    add("offset_rank", "static", tensors={"offset": Tensor((8, 3, 4))})
    add("offset_dtype", "static", tensors={"offset": double(1, 8, 3, 4)})
    add("no_offset", "static", drop="offset")
    add("mask_channels", tensors={"mask": Tensor((1, 8, 3, 4))})
    add("mask_batch", tensors={"mask": Tensor((0, 4, 3, 4))})
    add("mask_rows", tensors={"mask": Tensor((1, 4, 2, 4))})
    add("mask_columns", tensors={"mask": Tensor((1, 4, 3, 3))})
    add("mask_dtype", "static", tensors={"mask": double(1, 4, 3, 4)})


def add_onnx_errors(cases: Callable[..., Callable[..., None]]) -> None:
    base = {"X": Tensor((1, 2, 5, 5)), "W": Tensor((2, 2, 3, 3)), "B": Tensor((2,))}
    add = cases("Conv", base, {})
    add("zero_stride", strides=[0, 1])
    add("negative_pads", "static", pads=[0, 0, -1, 0])
    add("two_pads", "static", pads=[1, 1])
    add("unknown_auto_pad", "static", auto_pad="SAME")
    add("kernel_shape", kernel_shape=[2, 2])
    add("group", group=2)
    add("kernel_too_large", auto_pad="VALID", dilations=[3, 3])
    line = {"X": Tensor((1, 2, 5)), "W": Tensor((2, 2, 3))}
    cases("Conv", line, {}, rank=1)("zero_dilation", dilations=[0])
    add = cases("ConvTranspose", base, {"strides": [2, 2]})
    add("zero_output_shape", output_shape=[0, 9])
    add("output_shape_too_large", output_shape=[13, 11])
    add("output_padding", output_padding=[0, 2])
    base |= {"offset": Tensor((1, 18, 3, 3))}
    add = cases("DeformConv", base, {})
    add("other_offset_group", "static", offset_group=2)
    add("offset_rows", pads=[1, 0, 0, 0])


if __name__ == "__main__":
    errors().write("errors")
    special().write("special")
