"""The fold's profiles against the oracle's final truth, over logs that try to confuse it."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from tests.engine import ID_KEY, Row, Streams, run
from tests.life import ended, large_logs, logs
from tests.logs import Record, lines_of, ms
from tests.oracle import LEAD, Customer, truth


def told(profile: Row) -> Customer:
    """What a profile says, in the oracle's terms."""
    times = [profile["last_visit_at"], profile["next_booking_at"]]
    last, booking = (None if at is None else ms(at) for at in times)
    digits = {key: profile[key] for key in ("segment", "r", "f", "m")}
    features = {key: profile[key] for key in ("recency_days", "frequency", "monetary_minor")}
    return Customer(**digits, **features, last_visit_at=last, next_booking_at=booking)


def assert_true(streams: Streams, lines: list[bytes], lanes: int) -> None:
    """Every known customer of the truth has its profile, and nobody else has one."""
    expected = truth(lines, lanes, ID_KEY, streams.boundaries())
    profiles = {who: told(profile) for who, profile in streams.profiles().items()}
    assert profiles == expected.customers
    tombs = {who: row.get("merged_into") for who, row in streams.tombstones().items()}
    assert tombs == expected.gone


@given(logs(), st.integers(1, 3))
def test_every_profile_equals_the_final_truth_of_the_raw_log(
    lines: list[bytes], lanes: int
) -> None:
    assert_true(run(lines, lanes), lines, lanes)


@given(large_logs(), st.integers(0, 40))
def test_profiles_are_as_of_the_clock_wherever_the_log_ends(log: list[Record], end: int) -> None:
    lines = lines_of(ended(log[: max(5, len(log) * end // 40)]))
    assert_true(run(lines), lines, 1)


@given(large_logs())
def test_the_segments_stream_leads_every_customer_to_the_segment_of_its_profile(
    log: list[Record],
) -> None:
    streams = run(lines_of(log), 2)
    now: dict[str, str] = {}
    begun_anew = {row["customer_id"] for row in streams.rows("profiles") if row.get("forgotten")}
    for change in streams.rows("segments"):
        before = now.get(change["customer_id"], "000")
        anew = change["customer_id"] in begun_anew and change["from"] == "000"
        assert change["from"] == before or anew
        assert change["from"] != change["to"]
        now[change["customer_id"]] = change["to"]
    for who, profile in streams.profiles().items():
        if who not in begun_anew or profile["segment"] != "000":
            assert now.get(who, "000") == profile["segment"]


@given(large_logs(orderly=True), st.integers(0, 2**32))
def test_versions_not_arrival_order_the_truth(log: list[Record], seed: int) -> None:
    """All at one instant, so that nothing but the order differs."""
    told_at = {"appended_at": log[-1]["received_at"]}
    first = [record | told_at for record in log if record["kind"] == "settings"]
    rest = [record | told_at for record in log if record["kind"] == "webhook"]
    mixed = Random(seed).sample(rest, len(rest))
    assert visitors(run(lines_of([*first, *rest]))) == visitors(run(lines_of([*first, *mixed])))


@given(large_logs(orderly=True, plain=True), st.integers(0, 10))
def test_settings_that_come_late_lead_to_the_same_profiles(log: list[Record], late: int) -> None:
    """Zone, branches, currency and thresholds are put right for what was told before them."""
    first = [record for record in log if record["kind"] == "settings"]
    rest = [record for record in log if record["kind"] != "settings"]
    place = len(rest) * late // 11
    lines = lines_of([*rest[:place], *first, *rest[place:]])
    assert visitors(run(lines)) == visitors(run(lines_of(log)))


@given(logs())
def test_the_number_of_lanes_changes_nobodys_profile(lines: list[bytes]) -> None:
    """With a heartbeat at the end, so that every lane ends at the same clock."""
    assert visitors(run(lines, 1)) == visitors(run(lines, 4))


def visitors(streams: Streams) -> dict[str, Customer]:
    """Everybody who is more than known by a number."""
    profiles = {who: told(profile) for who, profile in streams.profiles().items()}
    return {who: profile for who, profile in profiles.items() if profile != LEAD}
