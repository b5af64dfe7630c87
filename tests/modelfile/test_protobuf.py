"""The wire format against Google's own writer, and against bytes that are none of its."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import AttributeProto, TensorProto, helper

from edgerecon.modelfile.protobuf import Corrupt, fields, numbers, parts


def test_fields_are_those_that_protobuf_wrote() -> None:
    written = helper.make_attribute("dilations", [1, 2**40, 300])
    found = dict(fields(memoryview(written.SerializeToString())))
    assert bytes(found[1]) == b"dilations" and found[20] == AttributeProto.INTS
    listed = [
        each
        for field, value in fields(memoryview(written.SerializeToString()))
        if field == 8
        for each in numbers(value)
    ]
    assert listed == [1, 2**40, 300]


def test_packed_numbers_and_floats_that_are_stepped_over() -> None:
    tensor = TensorProto(name="t", dims=[3, 300], data_type=TensorProto.DOUBLE, raw_data=b"\x80" * 200)
    content = memoryview(helper.make_attribute("f", 1.5).SerializeToString() + tensor.SerializeToString())
    assert [bytes(value) for _, value in parts(content)].count(b"\x80" * 200) == 1
    assert numbers(memoryview(b"\x03\xac\x02")) == [3, 300] and numbers(7) == [7]


def test_other_bytes_are_corrupt_or_fields_and_nothing_else(rng: np.random.Generator) -> None:
    whole = TensorProto(name="a tensor", dims=[2], raw_data=b"12345678").SerializeToString()
    cut = [whole[:at] for at in range(len(whole))]
    noise = [rng.integers(0, 256, rng.integers(1, 40)).astype(np.uint8).tobytes() for _ in range(500)]
    refused = 0
    for content in cut + noise:
        try:
            assert all(
                isinstance(value, int | float) or len(value) <= len(content) for _, value in fields(memoryview(content))
            )
        except Corrupt:
            refused += 1
    assert refused > 300
    for content in (b"\x08", b"\x08" + b"\xff" * 11, b"\x0a\x05abc", b"\x0b", b"\x09abc"):
        with pytest.raises(Corrupt):
            list(fields(memoryview(content)))
