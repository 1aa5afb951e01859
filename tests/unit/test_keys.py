"""Ids and hashes are those of Kafka's clients, and the same in every process."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from schemas.batch import NONE
from schemas.keys import command_id, customer_id, lane_of, mix, murmur2, text_key, text_keys

KAFKA_VECTORS = {
    "21": -973932308,
    "foobar": -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    "abc": 479470107,
}


@pytest.mark.parametrize(("text", "signed"), KAFKA_VECTORS.items())
def test_murmur2_agrees_with_kafkas_own_vectors(text: str, signed: int) -> None:
    assert murmur2(text.encode()) == signed & 0xFFFFFFFF


@pytest.mark.parametrize(("text", "signed"), KAFKA_VECTORS.items())
def test_a_tenants_lane_is_the_partition_that_kafka_chooses_for_its_key(
    text: str, signed: int
) -> None:
    assert lane_of(text, 16) == (signed & 0x7FFFFFFF) % 16


def test_the_lane_of_a_tenant_in_another_script_is_that_of_its_utf8() -> None:
    assert lane_of("салон", 16) == (murmur2("салон".encode()) & 0x7FFFFFFF) % 16


def test_text_keys_never_change() -> None:
    assert text_key("v-1") == 7641432642566986830
    assert text_key("") == 3244421341483603138
    assert text_key("wamid.X") == 6979436114796638622


def test_many_text_keys_are_those_of_each_text() -> None:
    texts = [f"wamid.{n:x}" for n in range(2_000)] + ["", "ключ", "\x00"]
    keys = text_keys(texts)
    assert keys.dtype == np.int64
    assert keys.tolist() == [text_key(text) for text in texts]
    assert NONE not in keys.tolist()


def test_text_keys_are_the_same_whatever_their_length() -> None:
    chance = Random(3)
    texts = [
        "".join(chance.choices("ab09.Ыж", k=length)) for length in range(300) for _ in range(3)
    ]
    assert text_keys(texts).tolist() == [text_key(text) for text in texts]


def test_a_lone_surrogate_has_a_key_too() -> None:
    assert text_keys(["a", "\ud800"]).tolist() == [text_key("a"), text_key("\ud800")]


def test_a_customer_is_another_one_at_another_tenant_or_under_another_secret() -> None:
    ids = {
        customer_id(b"demo", "t1", 77011234567),
        customer_id(b"demo", "t2", 77011234567),
        customer_id(b"other", "t1", 77011234567),
        customer_id(b"demo", "t1", 77011234568),
    }
    assert len(ids) == 4
    assert all(len(each) == 32 and int(each, 16) >= 0 for each in ids)


def test_a_command_is_named_by_tenant_trigger_and_occasion() -> None:
    assert command_id("t1", "bday", "x") == command_id("t1", "bday", "x")
    assert len({command_id(*each) for each in (("t1", "a", "b"), ("t1", "b", "a"))}) == 2


def test_mixed_keys_depend_on_the_order() -> None:
    a, b = np.array([1, 2], np.uint64), np.array([2, 1], np.uint64)
    mixed = mix(a, b)
    assert mixed[0] != mixed[1]
