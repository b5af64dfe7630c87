"""cocotb: drives AXI4-Stream of the stream, and checks the protocol and every byte. test_fpga_axi.py runs it."""

import os
import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly, RisingEdge, with_timeout

FOLDER = os.environ["STREAM_FRAMES"]
HEIGHT, WIDTH = int(os.environ["STREAM_HEIGHT"]), int(os.environ["STREAM_WIDTH"])


def read(name):
    with open(f"{FOLDER}/{name}", "rb") as file:
        return file.read()


async def start(dut):
    cocotb.start_soon(Clock(dut.aclk, 10, "ns").start())
    dut.s_axis_tvalid.value = dut.m_axis_tready.value = 0
    dut.width.value, dut.height.value = WIDTH, HEIGHT
    dut.aresetn.value = 0
    for _ in range(8):
        await RisingEdge(dut.aclk)
    assert dut.m_axis_tvalid.value == 0, "nothing is given in reset"
    assert dut.s_axis_tready.value == 0, "nothing is taken in reset"
    await FallingEdge(dut.aclk)
    dut.aresetn.value = 1


async def send(dut, pixels, busy, last_at=HEIGHT * WIDTH):
    """A word stays until it is taken; none is offered in some of the cycles."""
    for number, pixel in enumerate(pixels, 1):
        while random.random() < busy:
            dut.s_axis_tvalid.value = 0
            await FallingEdge(dut.aclk)
        dut.s_axis_tvalid.value = 1
        dut.s_axis_tdata.value = pixel
        dut.s_axis_tlast.value = number % last_at == 0
        taken = False
        while not taken:
            await ReadOnly()
            taken = dut.s_axis_tready.value == 1
            await RisingEdge(dut.aclk)
            await FallingEdge(dut.aclk)
    dut.s_axis_tvalid.value = 0


async def receive(dut, count, busy):
    """A valid word keeps its value until it is taken."""
    pixels, lasts, held = bytearray(), [], None
    while len(pixels) < count:
        ready = random.random() >= busy
        dut.m_axis_tready.value = ready
        await ReadOnly()
        word = (int(dut.m_axis_tdata.value), int(dut.m_axis_tlast.value)) if dut.m_axis_tvalid.value == 1 else None
        assert held is None or word == held, "a word changed before it was taken"
        await RisingEdge(dut.aclk)
        taken = word is not None and ready
        held = None if taken else word
        if taken:
            pixels.append(word[0])
            lasts.append(word[1])
        await FallingEdge(dut.aclk)
    return bytes(pixels), lasts


async def exchange(dut, busy_in, busy_out, frames, expected):
    random.seed(1)
    await start(dut)
    cocotb.start_soon(send(dut, frames, busy_in))
    pixels, lasts = await with_timeout(receive(dut, len(expected), busy_out), 20, "ms")
    assert pixels == expected, f"{sum(a != b for a, b in zip(pixels, expected, strict=True))} bytes differ"
    assert [n for n, last in enumerate(lasts, 1) if last] == list(
        range(HEIGHT * WIDTH, len(expected) + 1, HEIGHT * WIDTH)
    )
    assert dut.misaligned.value == 0


@cocotb.test()
async def frames_without_a_pause(dut):
    await exchange(dut, 0.0, 0.0, read("frames.bin"), read("expected.bin"))


@cocotb.test()
async def frames_with_stalls_on_both_sides(dut):
    await exchange(dut, 0.3, 0.4, read("frames.bin"), read("expected.bin"))


@cocotb.test()
async def a_reset_in_the_middle_of_a_frame_leaves_nothing_behind(dut):
    await start(dut)
    await send(dut, read("frames.bin")[: HEIGHT * WIDTH // 2], 0.0)
    await exchange(dut, 0.0, 0.2, read("frames.bin"), read("expected.bin"))


@cocotb.test()
async def a_last_in_the_wrong_place_is_told(dut):
    await start(dut)
    dut.m_axis_tready.value = 1
    await send(dut, read("frames.bin")[: HEIGHT * WIDTH], 0.0, last_at=HEIGHT * WIDTH - 1)
    await RisingEdge(dut.aclk)
    assert dut.misaligned.value == 1
