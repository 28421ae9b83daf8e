"""`eesm doctor`: each thing that can be wrong is made wrong, and found, with the next command."""

import contextlib
import json
import os
import pty
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from host_tools import devices, doctor
from host_tools.cli.entry import eesm
from host_tools.connection import open_port
from host_tools.devices import Device
from host_tools.link_errors import AnswerTimeout
from host_tools.virtual_drive import VirtualDrive


@pytest.fixture(autouse=True)
def no_ports(tmp_path, monkeypatch):
    """No serial ports, no virtual drives, no udev rules but those of a test."""
    monkeypatch.setattr(devices.list_ports, "comports", list)
    monkeypatch.setenv("EESM_VIRTUAL", str(tmp_path / "virtual"))
    monkeypatch.setattr(doctor, "RULES", tmp_path / "rules")


@pytest.fixture
def board(monkeypatch):
    """A serial port that looks like a Pico's."""
    master, slave = pty.openpty()
    name = os.ttyname(slave)
    port = SimpleNamespace(device=name, vid=0x2E8A, pid=5, serial_number="42")
    monkeypatch.setattr(devices.list_ports, "comports", lambda: [port])
    yield name
    os.close(slave)
    os.close(master)


def found(findings, subject):
    return next(each for each in findings if each.subject == subject)


def test_a_missing_extra_is_named_with_its_installation(monkeypatch):
    monkeypatch.setitem(doctor.EXTRAS, "plot", ("plots", "no_such_package_here"))
    finding = found(doctor.check_extras(), "extra plot")
    assert (finding.level, finding.remedy) == (doctor.NOTE, "pip install 'eesm[plot]'")


def test_a_micropython_that_is_none_is_bad(monkeypatch):
    monkeypatch.setenv("MICROPYTHON", "/bin/true")
    finding = doctor.check_interpreter()
    assert finding.level == doctor.BAD
    assert "not a working MicroPython" in finding.text
    assert "make micropython" in finding.remedy


def test_a_firmware_that_is_none_is_bad(monkeypatch, tmp_path):
    (tmp_path / "x.uf2").write_bytes(b"no firmware")
    monkeypatch.setenv("UF2", str(tmp_path / "x.uf2"))
    finding = found(doctor.check_pico(), "virtual Pico")
    assert finding.level == doctor.BAD
    assert "is not a UF2 file" in finding.text


def test_no_board_is_only_a_note():
    assert [each.level for each in doctor.check_ports()] == [doctor.NOTE]


def test_a_port_that_may_not_be_opened_is_answered_with_the_udev_rule(board, monkeypatch):
    monkeypatch.setattr(doctor.os, "access", lambda *_: False)
    finding = found(doctor.check_ports(), board)
    assert finding.level == doctor.BAD
    assert finding.remedy.startswith("eesm doctor --udev | sudo tee")


def test_a_port_that_a_program_has_open_without_a_lock_is_told_with_the_program(board):
    with open(board, "rb", buffering=0):
        finding = found(doctor.check_ports(), board)
    assert f"process {os.getpid()}" in finding.text


def test_modem_manager_is_told_of_unless_a_rule_keeps_it_away(board, monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "processes", lambda: iter([(1, "init"), (77, "ModemManager")]))
    assert found(doctor.check_ports(), "ModemManager").remedy == doctor.permit()
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / doctor.RULE_FILE).write_text(doctor.udev_rules())
    assert "ModemManager" not in {each.subject for each in doctor.check_ports()}


def test_the_rules_name_each_board():
    for vendor, _, _ in devices.USB:
        assert f'ATTRS{{idVendor}}=="{vendor:04x}"' in doctor.udev_rules()


def test_something_that_does_not_answer_is_bad(board, monkeypatch):
    def stay_silent(*_, **__):
        raise AnswerTimeout("nothing answers", "reset it")

    monkeypatch.setattr("host_tools.connection.Connection.hello", stay_silent)
    finding = doctor.check_drive(Device(board, "serial", "a board"))
    assert finding.level == doctor.BAD
    assert "nothing" in finding.text


@pytest.mark.micropython
def test_a_drive_is_asked_who_it_is_and_compared_with_the_files_here(tmp_path, monkeypatch):
    folder = tmp_path / "virtual"
    with VirtualDrive("a", registry=folder) as virtual:
        (finding,) = doctor.check_drives(folder)
        assert finding.text.startswith("unit a on board virtual")
        monkeypatch.setattr(doctor, "built_kernel", lambda unit, board: "0123456789abcdef")
        (finding,) = doctor.check_drives(folder)
        assert finding.level == doctor.NOTE
        assert "the folder here holds 0123456789ab" in finding.text
        assert finding.remedy == "eesm virtual --unit a"
        with contextlib.closing(open_port(virtual.port)):
            (finding,) = doctor.check_drives(folder)
        assert "is in use by" in finding.text


def test_the_command_tells_all_and_its_exit_code_says_whether_something_is_bad(monkeypatch):
    monkeypatch.setenv("MICROPYTHON", "/bin/true")
    done = CliRunner().invoke(eesm, ["doctor", "--json"], standalone_mode=False)
    rows = json.loads(done.output)
    assert {"Python", "MicroPython", "boards"} <= {row["subject"] for row in rows}
    assert done.return_value == 1
    assert all(row["remedy"] for row in rows if row["level"] != "ok")
    assert "idVendor" in CliRunner().invoke(eesm, ["doctor", "--udev"], standalone_mode=False).output
