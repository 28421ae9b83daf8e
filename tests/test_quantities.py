"""A drive's signals and parameters by attribute, against the virtual drive."""

import pytest

from host_tools import Drive
from host_tools.connection import OutOfRange, Refused
from host_tools.quantities import Quantity
from host_tools.virtual_drive import VirtualDrive

pytestmark = pytest.mark.micropython


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("virtual")
    with VirtualDrive("a", fast=True, registry=folder) as virtual, Drive.connect(virtual.port) as drive:
        yield drive


def test_a_signal_is_an_attribute_with_unit_and_meaning(drive):
    drive.sleep(0.05)  # the voltage's filter
    assert drive.u_dc == pytest.approx(48, abs=1)
    assert repr(drive.u_dc).endswith(" V")
    assert drive.signals["u_dc"].meaning in (drive.u_dc.__doc__ or "")
    assert drive.u_dc * 2 == pytest.approx(96, abs=2)


def test_names_are_offered_for_completion(drive):
    assert {"i_q", "u_dc", "speed", "arm", "parameters"} <= set(dir(drive))
    assert "bandwidth_speed" in dir(drive.parameters)


def test_no_signal_hides_behind_another_attribute(drive):
    hidden = {name for name in drive.signals if hasattr(Drive, name)}
    # torque's getter reads that very signal, faults() says more than its word.
    assert hidden == {"faults", "torque"}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda drive: setattr(drive, "sped", 500), "'sped'. Do you mean speed"),
        (lambda drive: setattr(drive, "i_q", 5), "i_q is a signal"),
        (lambda drive: setattr(drive, "i_max", 5), r"drive\.parameters\.i_max"),
        (lambda drive: drive.i_qq, "no signal 'i_qq'"),
        (lambda drive: setattr(drive.parameters, "bandwith_speed", 5), "Do you mean bandwidth_speed"),
        (lambda drive: drive.parameters.nothing, "no parameter 'nothing'"),
    ],
)
def test_a_wrong_name_is_an_error_and_changes_nothing(drive, change, text):
    with pytest.raises(AttributeError, match=text):
        change(drive)
    assert drive.state == "off"


def test_parameters_are_read_and_changed_by_attribute_and_by_key(drive):
    before = drive.parameters.bandwidth_speed
    drive.parameters.bandwidth_speed = before / 2
    assert drive.parameters["bandwidth_speed"] == before / 2
    drive.parameters["bandwidth_speed"] = before
    assert isinstance(drive.parameters.bandwidth_speed, Quantity)
    assert repr(drive.parameters.bandwidth_speed).endswith(" Hz")
    assert len(drive.parameters) == len(dict(drive.parameters))
    with pytest.raises(KeyError, match="no parameter"):
        drive.parameters["nothing"] = 1
    with pytest.raises((Refused, OutOfRange), match="i_max"):
        drive.parameters.i_max = -1


def test_speed_and_torque_are_commanded_by_assignment(drive):
    with pytest.raises(Refused, match="arm it"):
        drive.speed = 100
    drive.arm()
    drive.speed = 300
    drive.sleep(1.0)
    assert drive.speed == pytest.approx(300, abs=3)
    assert repr(drive.speed).endswith(" rpm")
    drive.torque = 0
    drive.sleep(0.2)
    assert drive.torque == pytest.approx(0, abs=0.02)
    drive.stop()
    assert drive.state == "off"
