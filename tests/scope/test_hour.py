"""The hour of streaming (`make bench-hour`), a minute of it; and that it would notice."""

import pytest

from host_tools.scope import hour
from host_tools.scope.hub import Page

MINUTE = 1 / 60  # hours


@pytest.mark.micropython
def test_a_minute_loses_no_row_and_holds_no_more_at_its_end(micropython):
    found = hour.measure("a", MINUTE, hour.F_PWM)
    assert hour.lost_of(found) == 0
    rows = found["log"]["rows"]
    assert rows >= 60 * hour.RATE
    assert found["rows"] >= 60 * hour.RATE
    assert found["counters"]["bad_crc"] == found["counters"]["stream_dropped"] == 0
    first, last = found["parts"][0], found["parts"][-1]
    passed = (last["device_s"] - first["device_s"]) * hour.RATE
    assert passed > 50_000
    # Anything kept of each batch of 60 rows would show, on either side.
    assert abs(last["drive_free"] - first["drive_free"]) < 2000
    assert last["host_blocks"] - first["host_blocks"] < 1000
    assert last["drive_bytes"] - first["drive_bytes"] < 200_000
    assert last["host_bytes"] - first["host_bytes"] < 3_000_000


@pytest.mark.micropython
def test_a_row_lost_on_the_way_to_a_page_is_noticed(micropython, monkeypatch):
    give = Page.give
    given = []

    def lose(page, message, rows):
        given.append(rows)
        if len(given) != 20:
            give(page, message, rows)

    monkeypatch.setattr(Page, "give", lose)
    found = hour.measure("a", 2 / 3600, hour.F_PWM, speeds=(300.0,))
    assert found["page"]["gaps"] == given[19]
    assert hour.lost_of(found) == given[19]


def test_a_row_missing_in_a_log_is_noticed(tmp_path):
    from host_tools.log import raw

    class Columns:
        names, units, steps, divider = ("i_q",), ("A",), (1.0,), 2

    class Row:
        raw = (5,)

        def __init__(self, period):
            self.period = period

    with raw.Writer(tmp_path / "x.eesmlog", {}) as writer:
        writer.begin(Columns)  # type: ignore[arg-type]
        wrapped = raw.MASK + 1
        writer.rows([Row(wrapped - 4), Row(wrapped - 2), Row(0), Row(2), Row(8), Row(10)])
    found = hour.check_log(tmp_path / "x.eesmlog")
    assert (found["rows"], found["gaps"]) == (6, 2)
