"""The watches of an armed drive; a board has them, and the modules they are in, in its memory only then."""

from eesm.sight import Sight
from eesm.watch_angle import AngleWatch
from eesm.watch_balance import BalanceWatch
from eesm.watch_currents import CurrentWatch
from eesm.watch_encoder import EncoderWatch, JumpWatch
from eesm.watch_field import FieldWatch
from eesm.watch_motion import MotionWatch
from eesm.watch_torque import TorqueWatch


def lend(drive):
    """Give a drive what it looks with while it is ready or running."""
    sight = Sight(drive.kernel)
    drive.current_watch = CurrentWatch(drive)
    drive.second_level = TorqueWatch(drive)
    drive.watches = (
        FieldWatch(drive),
        EncoderWatch(drive),
        JumpWatch(drive),
        drive.current_watch,
        BalanceWatch(drive),
        AngleWatch(drive),
        MotionWatch(drive),
        drive.second_level,
    )
    driver = drive.driver
    if hasattr(driver, "readings") and "i_c" in driver.readings():
        from eesm.watch_sum import SumWatch  # few boards measure the third current

        drive.watches += (SumWatch(drive),)
    drive.sight = sight  # last: it says that there is all
