"""A short share of `make fuzz`, and a search by structure: the link's promises under everything else."""

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eesm import wire
from eesm.drive import OFF
from host_tools.fuzz import campaign
from host_tools.fuzz.bench import Board, Session, Violation
from host_tools.fuzz.messages import Forger
from host_tools.fuzz.micropython import fuzz_micropython
from host_tools.fuzz.parts import write_schema


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    return write_schema(tmp_path_factory.mktemp("schema") / "schema.json")


def test_random_bytes_move_nothing_and_disturb_nothing(schema):
    found = campaign.fuzz_bytes(100_000, 1, schema)
    assert found["malformed"] > 1000
    assert found["bad_crc"] > 100
    assert found["too_long"] > 10


@pytest.mark.parametrize("seed", [1, 2])  # a driver that waits for the main loop, and one that does not
def test_forged_requests_without_a_session_move_nothing(schema, seed):
    found = campaign.fuzz_asleep(2000, seed, schema)
    assert found["refused"] > 1000
    assert found["bad_version"] > 5


@pytest.mark.parametrize("seed", [1, 2])
def test_others_do_not_disturb_a_session_that_drives(schema, seed):
    found = campaign.fuzz_running(3000, seed, schema)
    assert found["repeated"] > 200
    assert found["bad_crc"] > 50


def test_nonsense_from_the_session_that_drives_stays_within_its_limits(schema):
    found = campaign.fuzz_inside(2500, 3, schema)
    assert found["running"] > 20  # the messages found a drive that runs
    assert found["ok"] > 500


@pytest.mark.micropython
@pytest.mark.slow
def test_bytes_and_messages_on_micropython_leave_drive_and_heap_as_they_were(tmp_path):
    found = fuzz_micropython(20_000, 2000, 1, tmp_path / "board")
    assert found["frames"] > 1500
    assert found["malformed"] > 200


def test_a_drive_that_moves_without_a_session_would_be_seen(schema, monkeypatch):
    monkeypatch.setattr("eesm.link.GUARDED", ())
    with pytest.raises(Violation, match="the drive is offsets"):
        campaign.fuzz_asleep(3000, 1, schema)


def test_a_session_that_steals_a_drive_would_be_seen(schema, monkeypatch):
    monkeypatch.setattr("eesm.link.Link._driven", lambda self: False)
    # Half of the seeds meet a set point that the drive does not refuse for another reason.
    with pytest.raises(Violation):
        for seed in range(1, 13):
            campaign.fuzz_running(3000, seed, schema)


def test_a_replay_that_is_obeyed_would_be_seen(schema, monkeypatch):
    # The owner's own frames of the past are good in every other respect.
    monkeypatch.setattr("eesm.link.AHEAD", 0x20000)
    board = Board(schema)
    owner = campaign._begin(board)
    frame = owner.pack(wire.SPEED, (100, wire.NOW))
    board.feed(frame + owner.pack(wire.SPEED, (campaign.SPEED, wire.NOW)))
    board.feed(frame)
    board.turn(5)
    with pytest.raises(Violation, match="setpoint became 100"):
        campaign._keeps_its_setpoint(board)


def test_a_request_without_an_answer_would_be_seen(schema, monkeypatch):
    monkeypatch.setattr("eesm.link.Link._refuse", lambda self, kind, sequence, code, text: None)
    with pytest.raises(Violation, match="answers"):
        campaign.fuzz_asleep(200, 1, schema)


# --- by structure -------------------------------------------------------------------------------

kinds = st.sampled_from([kind for kind in sorted(wire.REQUESTS) if kind != wire.BENCH_QUIT])
# A request by its kind and the seed of its fields; how it is spoilt; what of the session it holds.
requests = st.tuples(
    kinds,
    st.integers(0, 2**32 - 1),
    st.sampled_from(["whole", "mutated", "damaged"]),
    st.sampled_from(["own", "none", "other"]),
    st.integers(-3, 3),
    st.integers(0, 30),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(requests, max_size=25))
def test_any_conversation_keeps_the_links_promises(schema, conversation):
    board = Board(schema)
    own, other = Session(board, 10), Session(board, 500)
    own.hello()
    other.hello()
    for kind, seed, spoilt, who, ahead, ticks in conversation:
        forger = Forger(Random(seed), [board.index(name) for name in ("u_dc", "i_q", "period")])
        forger.period = board.kernel.read("period")
        session = {"own": own, "other": other, "none": Session(board)}[who]
        payload = forger.payload(kind, session.token, own.token)
        if spoilt == "mutated":
            payload = forger.mutate(payload)
        sequence = (session.following + ahead) & 0xFFFF
        session.following = (max(session.following, sequence) + 1) & 0xFFFF
        frame = wire.pack(kind, sequence, 0, payload)
        board.feed(forger.damage(frame) if spoilt == "damaged" else frame)
        board.turn(ticks)
        board.check_bounds()
    board.check_counters()
    # Whatever was said, a new host is welcome and its stop is obeyed.
    last = Session(board, 9)
    last.hello()
    last.ok(wire.STOP)
    for _ in range(200):
        board.turn(50)
        if board.drive.state in (OFF, 10):
            break
    assert board.drive.state in (OFF, 10)
