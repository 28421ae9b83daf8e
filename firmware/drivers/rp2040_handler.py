"""The interrupt's own lines for the RP2040, as text that the linker puts around the control law.

Runs on the host when a board folder is built; it is not part of the folder.  A sample has come by
DMA before the interrupt begins, so all that is left is to turn compare counts into levels, give a
sign of life and look whether a period was missed:

    head         acknowledge, find the block; take the count out of an absolute sensor's frame
    after_fast   levels of the slices, sign of life, check of the period counter
    after_outer  nothing

`{compare_a}` stands for the word of a signal.  Local names begin with `r_`.

Levels of a leg with the counts d of dead time and N of half a period, for the compare count c:
A (high side, inverted) N + d - c and B (low side) N - c.  Between the edge of one and the edge of
the other lie d clocks, on both flanks.  A is never high within d clocks of the wrap, where the
levels change, so that the low side may be on at once in the next period whatever was before; c = N
thus leaves the high side on for N - d.  The common shift by d/2 is the same in all legs.

An address is written as a quarter of it and shifted, since a literal of the board's compiler has 30
bits.
"""

OFF = 0xFFFF  # levels with which neither A nor B is ever high
MASK = 0x3FFFFFFF  # of the period counter
LOOKS = 29  # as in rp2040_safety
FAULT_PERIOD_MISSED = 64

PWM_QUARTER = 0x40050000 >> 2
PIO1_QUARTER = 0x50300000 >> 2
STATUS_QUARTER = 0x5000041C >> 2  # INTS1 of the DMA
COUNTER_QUARTER = 0x50000088 >> 2  # TRANS_COUNT of DMA channel 2
BLOCK_QUARTER = 0xD0000080 >> 2  # ACCUM0 of the interpolator, which the driver sets
PIO_TXF_BEAT = 5  # words from PIO1
PIO_IRQ_FORCE = 13


def level_word(pin: int) -> int:
    """Word of the PWM registers that holds both levels of a pin's slice."""
    return 5 * (pin // 2 % 8) + 3


def leg_base(board: dict) -> int:
    """Levels of a leg for the compare count 0; each count takes 65537 off."""
    return board["pwm_top"] * 65537 + board["dead_time_counts"]


def handler_of(board: dict) -> dict:
    """Lines before the fast step, after it, and after the outer step; the routine has no argument."""
    # The block's pointer is the first local, so that it gets a register.
    head = [f"p = ptr32({STATUS_QUARTER:#x})", "p = ptr32(int(p) << 2)", "p[0] = 1"]
    head += [f"p = ptr32({BLOCK_QUARTER:#x})", "p = ptr32(int(p) << 2)", "p = ptr32(p[0])"]
    if board["encoder_kind"] == "absolute":
        mask = (1 << board["angle_bits"]) - 1
        head.append("{encoder_raw} = ({encoder_raw} >> %d) & %d" % (board["angle_shift"], mask))
    after_fast = [*levels_of(board), *watch_lines()]
    return {"argument": "", "head": head, "after_fast": after_fast, "after_outer": []}


def levels_of(board: dict) -> list[str]:
    """Lines that write the levels of inverter and exciter."""
    base = leg_base(board)
    phases = [level_word(board[f"pin_phase_{name}_high"]) for name in "abc"]
    lines = [f"r_a = {PWM_QUARTER:#x}", "r_w = ptr32(r_a << 2)", "if {gate_enable} & 1:"]
    for name, word in zip("abc", phases, strict=True):
        lines.append(f"    r_w[{word}] = {base} - {{compare_{name}}} * 65537")
    lines.append("else:")
    lines += [f"    r_w[{word}] = {OFF}" for word in phases]
    return lines + exciter_lines(board)


def exciter_lines(board: dict) -> list[str]:
    """Lines that write the exciter's levels: its duty is compare_f / N, with its sign.

    Asymmetric half bridge: the high switch is on around the top, the low switch around zero, each
    for (N + compare_f) / 2, so both are on for compare_f and both are off for -compare_f.
    Full bridge: legs 1 and 2 at (N + compare_f) / 2 and (N - compare_f) / 2, with dead time.
    """
    top, kind = board["pwm_top"], board["exciter_kind"]
    first = level_word(board["pin_exciter_1_high"])
    lines = ["if {gate_enable} & 2:"]
    off = ["else:", f"    r_w[{first}] = {OFF}"]
    if kind == "unipolar":
        lines += [
            "    r_x = {compare_f}",
            "    if r_x >> 31:",
            "        r_x = 0",
            f"    r_w[{first}] = {top} - r_x",
        ]
    elif kind == "half_bridge":
        lines.append(f"    r_w[{first}] = (({top} + {{compare_f}}) >> 1) * 65537 - {{compare_f}}")
    else:
        second = level_word(board["pin_exciter_2_high"])
        lines += [
            f"    r_x = {leg_base(board)} - (({top} + {{compare_f}}) >> 1) * 65537",
            f"    r_w[{first}] = r_x",
            f"    r_w[{second}] = r_x + {{compare_f}} * 65537",
        ]
        off.append(f"    r_w[{second}] = {OFF}")
    return lines + off


def watch_lines() -> list[str]:
    """Lines that give a sign of life and compare the counted periods with those that had an interrupt.

    The counter falls by one when a conversion is triggered.  If it has fallen once more by now, the
    levels above came too late or an interrupt was lost: count it, and latch the fault.
    """
    return [
        f"r_a = {PIO1_QUARTER:#x}",
        "r_w = ptr32(r_a << 2)",
        f"r_w[{PIO_TXF_BEAT}] = {LOOKS}",
        f"r_a = {COUNTER_QUARTER:#x}",
        f"r_x = (ptr32(r_a << 2)[0] + {{period}} + {{period_check}}) & {MASK:#x}",
        "if r_x:",
        f"    {{period_check}} = ({{period_check}} - r_x) & {MASK:#x}",
        "    if r_x >> 29:",
        f"        {{missed_periods}} = ({{missed_periods}} - r_x) & {MASK:#x}",
        f"        r_w[{PIO_IRQ_FORCE}] = {FAULT_PERIOD_MISSED}",
    ]
