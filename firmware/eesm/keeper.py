"""What a drive does with its store: begin with the kept settings, keep the present ones, forget them.

Kept are the values that differ from those of unit.json, so whatever the user never changed follows the unit
file when that is linked anew.  The encoder's offset is kept where the encoder is absolute; elsewhere each
start finds another one.

Kept by firmware with other settings, a value stays if there is a setting of its name and unit of measure, and
if the value is in range; what does not is told, and stays in the files until the next save.
"""

import struct

from eesm import parameters
from eesm.drive import FAULT, HOLDS, Refused
from eesm.faults import bit_of
from eesm.kept import BAD
from eesm.store import SLOTS, Store, hash_schema

EMPTY = 0
KEPT = 1
OLDER = 2
FOREIGN = 3
DAMAGED = 4
CONDITIONS = (
    "nothing is kept",
    "settings are kept",
    "settings are kept, by firmware with others",
    "settings of another unit are kept, and not used",
    "what was kept is damaged, and not used",
)
STATUS = "<BIHH"  # condition, sequence, settings that are kept, settings whose present value is another one


def is_kept(name, settings):
    """Whether a setting's value outlives a restart."""
    return name != "encoder_offset" or bool(settings.get("encoder_absolute", 0))


def words_for(kernel, settings):
    """What the linked kernel gets for these settings; ValueError when its scaling does not fit them."""
    if parameters.bases(settings) != parameters.bases(kernel.unit["settings"]):
        raise ValueError("it would change the kernel's scaling")
    try:
        words = parameters.derive(settings)
    except ArithmeticError as error:
        raise ValueError(repr(error))
    for name in words:
        low, high = kernel.limits_of(name)
        if not low <= words[name] <= high:
            raise ValueError("%s = %d is outside %d .. %d" % (name, words[name], low, high))
    return words


class Keeper:
    """Looks at the settings of a kernel's unit that are kept in a folder, and changes what is kept."""

    def __init__(self, folder, kernel):
        self.store = Store(folder)
        self.kernel = kernel
        self.unit = kernel.identity["unit"]
        self.defaults = kernel.unit["settings"]
        self.condition = EMPTY
        self.kept = {}  # setting: value, of those that are in use after a start
        self.fault = ""  # what is wrong with a store that holds nothing whole
        self.notes = []  # sentences about what else is not used
        self._words = None
        self._look()

    def _look(self):
        found, damaged = self.store.read(), self.store.damaged
        if found is None:
            if damaged:
                self.condition = DAMAGED
                self.fault = (
                    "%s %s not whole, the settings of unit.json are in use; set what differs and keep it "
                    "(eesm params keep), or forget it (eesm params forget)"
                    % (" and ".join(damaged), "are" if len(damaged) > 1 else "is")
                )
            return
        for name in damaged:
            self.notes.append("%s is not whole; the other slot is in use" % name)
        _, schema, unit, entries = found
        if unit != self.unit:
            self.condition = FOREIGN
            self.notes.append("the kept settings are of unit %s, and not used" % unit)
            return
        self.condition = KEPT if schema == hash_schema() else OLDER
        self._choose(self._known(entries))

    def _known(self, entries):
        """The values {setting: SI} among the entries of a slot that mean something here."""
        wanted, settings = {}, self.defaults
        for label, value in entries:
            name, _, unit = label.partition(" ")
            row = parameters.SETTINGS.get(name)
            if row is None or name not in settings or not is_kept(name, settings):
                self._drop(name, value, unit, "there is no such setting to keep")
            elif row[0] != unit:
                self._drop(name, value, unit, "its unit is %s now" % row[0])
            elif not row[1] <= value <= row[2]:
                self._drop(name, value, unit, "it is outside %g .. %g" % (row[1], row[2]))
            else:
                wanted[name] = value
        return wanted

    def _drop(self, name, value, unit, why):
        self.notes.append("%s = %g %s is not used: %s" % (name, value, unit, why))

    def _choose(self, wanted):
        """Of the wanted values all, or else each one that fits beside those before it.

        A value may need another one, so those that do not fit are tried again as long as any does.
        """
        kernel, settings = self.kernel, dict(self.defaults)
        settings.update(wanted)
        try:
            self._words = words_for(kernel, settings)
        except ValueError:
            settings, left, before = dict(self.defaults), wanted, 0
            while len(left) != before:
                before, left, why = len(left), {}, {}
                for name in wanted:
                    if settings[name] == wanted[name]:
                        continue
                    tried = dict(settings)
                    tried[name] = wanted[name]
                    try:
                        self._words = words_for(kernel, tried)
                        settings = tried
                    except ValueError as error:
                        left[name], why[name] = wanted[name], str(error)
            for name in left:
                self._drop(name, left[name], parameters.SETTINGS[name][0], why[name])
                del wanted[name]
        self.kept = wanted

    def load(self):
        """Let the kernel begin with what is kept; before its first period only."""
        words, kernel = self._words, self.kernel
        if words is None:
            return
        kernel.settings.update(self.kept)
        for name in words:
            kernel.block[kernel.offset[name]] = words[name]
        kernel.words = words

    def save(self, drive):
        """Keep the present settings of a drive at rest; returns the status.  Raises Refused."""
        settings, defaults = drive.settings, self.defaults
        values = {}
        for name in parameters.SETTINGS:
            if is_kept(name, defaults) and settings[name] != defaults[name]:
                values[name] = settings[name]
        change(self.store.write, self.unit, values)
        self.condition, self.kept, self.fault, self.notes = KEPT, values, "", []
        forgive(drive)
        return self.status(drive)

    def erase(self, drive):
        """Forget what is kept and go back to unit.json's settings at once; returns the status.

        Raises Refused, MailboxFull.
        """
        words = parameters.derive(self.defaults)
        changed = {name: words[name] for name in words if words[name] != drive.words[name]}
        if changed:
            drive.mailbox.post(changed)
        drive.settings.update(self.defaults)
        drive.words = words
        drive.angle_known = drive.checked = False  # the encoder's offset went with the rest
        change(self.store.erase)
        self.condition, self.kept, self.fault, self.notes = EMPTY, {}, "", []
        forgive(drive)
        return self.status(drive)

    def status(self, drive):
        """STATUS, then what is not used, a line each."""
        settings, defaults, kept = drive.settings, self.defaults, self.kept
        changed = 0
        for name in parameters.SETTINGS:
            if is_kept(name, defaults) and settings[name] != kept.get(name, defaults[name]):
                changed += 1
        head = struct.pack(STATUS, self.condition, self.store.sequence, len(kept), changed)
        return head + "\n".join(self.notes or [self.fault]).encode()


def change(work, *arguments):
    """Do what writes files.  Raises Refused when it fails."""
    try:
        work(*arguments)
    except OSError as error:
        raise Refused(
            HOLDS,
            "%s cannot be changed: %s; what was kept is still kept" % (" and ".join(SLOTS), repr(error)),
        )


def forgive(drive):
    """Clear the fault of a damaged store, once that is mended, if it is the only one."""
    if drive.state == FAULT and drive.fault_word() == bit_of(BAD):
        try:
            drive.clear()
        except Refused:
            pass  # what is in its way is told to whoever clears by hand
