"""VM-global registers sent once: what a load that writes its whole list back leaves behind, and one that skips."""

from __future__ import annotations

import numpy as np
import pytest

from fastsmc.errors import InputError
from fastsmc.facts.registers import register
from fastsmc.facts.releases import Host
from fastsmc.migrate._checks import U64Array
from fastsmc.migrate.formats import RegisterState
from fastsmc.migrate.payload import Codec, decode, encode
from fastsmc.reference.vm import Vm
from tests.support.format_states import plain
from tests.support.load_once import load_once, writes

RESET = 0xDEAD


def case(n_vcpu: int) -> tuple[RegisterState, U64Array, U64Array]:
    """A state, what its stream decodes to, and the reset values of the destination."""
    state = plain(n_vcpu, 12)
    assert state.is_global is not None
    stream = encode(state.ids, state.values, Codec.QEMU_GLOBAL_ONCE, is_global=state.is_global)
    sent = decode(stream, state.ids, Codec.QEMU_GLOBAL_ONCE, n_vcpu=n_vcpu, is_global=state.is_global)
    return state, sent, np.full(12, RESET, np.uint64)


@pytest.mark.parametrize("n_vcpu", [2, 3, 9])
def test_writing_the_whole_list_back_loses_what_vcpu_0_restored(n_vcpu: int) -> None:
    state, sent, reset = case(n_vcpu)
    seen = load_once(sent, reset, state.is_global, skips=False).seen()
    assert (seen[:, state.is_global] == RESET).all(), "the last writer is a vCPU whose list holds reset values"
    np.testing.assert_array_equal(seen[:, ~state.is_global], state.values[:, ~state.is_global])


@pytest.mark.parametrize("n_vcpu", [1, 2, 9])
def test_a_load_that_skips_restores_everything(n_vcpu: int) -> None:
    state, sent, reset = case(n_vcpu)
    vm = load_once(sent, reset, state.is_global, skips=True)
    np.testing.assert_array_equal(vm.seen(), state.values)
    n_global = int(state.is_global.sum())
    assert vm.n_write == n_global + (12 - n_global) * n_vcpu


def test_one_vcpu_is_right_either_way() -> None:
    state, sent, reset = case(1)
    np.testing.assert_array_equal(load_once(sent, reset, state.is_global, skips=False).seen(), state.values)


def test_shapes_that_do_not_fit_are_refused() -> None:
    state, sent, reset = case(2)
    with pytest.raises(InputError, match="one column per register"):
        load_once(sent, reset[1:], state.is_global, skips=True)


@pytest.mark.parametrize(("skips", "bitmap"), [(False, 0x1), (True, 0x0)])
def test_the_same_happens_to_the_reference_s_firmware_bitmaps(skips: bool, bitmap: int) -> None:
    """STD_BMAP is 0 at the source; the destination's reset value allows TRNG. The reference has one per VM."""
    reg = register("STD_BMAP")
    vm = Vm(Host.of("6.12"), n_vcpu=3)
    sent, reset = np.zeros((3, 1), np.uint64), np.array([1], np.uint64)
    for vcpu, _, value in writes(sent, reset, np.array([True]), skips=skips):
        assert vm.set_one_reg(vcpu, reg, value) == 0
    assert [vm.get_one_reg(vcpu, reg) for vcpu in range(3)] == [(0, bitmap)] * 3
