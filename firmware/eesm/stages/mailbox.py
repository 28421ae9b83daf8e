"""Letters from the main loop: up to 16 words that the kernel takes together, at a named period."""

from eesm.signals import PHASE_MASK, Signals


def take_mailbox(s: Signals) -> None:
    """Count the period; take a complete letter whose period has come.

    The main loop fills index and value, and bumps the sequence last, so nothing is taken half.
    Entries that a letter does not need point at `scratch`.  The guard looks closely at what a letter asks;
    the outer law waits for the next period.
    """
    s.period = (s.period + 1) & PHASE_MASK
    if s.mailbox_sequence != s.mailbox_taken and ((s.period - s.mailbox_due) & PHASE_MASK) < 0x20000000:
        s.memory[s.mailbox_index[0]] = s.mailbox_value[0]
        s.memory[s.mailbox_index[1]] = s.mailbox_value[1]
        s.memory[s.mailbox_index[2]] = s.mailbox_value[2]
        s.memory[s.mailbox_index[3]] = s.mailbox_value[3]
        s.memory[s.mailbox_index[4]] = s.mailbox_value[4]
        s.memory[s.mailbox_index[5]] = s.mailbox_value[5]
        s.memory[s.mailbox_index[6]] = s.mailbox_value[6]
        s.memory[s.mailbox_index[7]] = s.mailbox_value[7]
        s.memory[s.mailbox_index[8]] = s.mailbox_value[8]
        s.memory[s.mailbox_index[9]] = s.mailbox_value[9]
        s.memory[s.mailbox_index[10]] = s.mailbox_value[10]
        s.memory[s.mailbox_index[11]] = s.mailbox_value[11]
        s.memory[s.mailbox_index[12]] = s.mailbox_value[12]
        s.memory[s.mailbox_index[13]] = s.mailbox_value[13]
        s.memory[s.mailbox_index[14]] = s.mailbox_value[14]
        s.memory[s.mailbox_index[15]] = s.mailbox_value[15]
        s.mailbox_taken = s.mailbox_sequence
        s.mailbox_period = s.period
        s.suspect = -1
        s.slot_rests = 1
