"""SI settings to the integers of the block: bases, constants, and every gain.

Runs on the host when a unit is linked and on the board when a setting changes, in the main loop
(floats allowed).  Nobody types a gain: each follows from the machine's parameters, the scaling
and a bandwidth (reference: internal-model control of the coupled d-f plant).

`settings` is a flat dictionary of SI values, see `SETTINGS` for those that a user may change.
"""

from math import ceil, log, pi, sqrt

OUTER_PERIODS = 6  # PWM periods of one cycle of the outer law
Q15 = 32768.0
DELAY_BUDGET = 0.35  # rad that the current control's bandwidth may turn within its delay

LOST_COUNTS = 12  # of an encoder, that a shaft makes before one that stands is lost

# name: (unit, low, high, meaning); all may change while the drive runs, by `params set`.
SETTINGS = {
    "R_s": ("Ohm", 1e-5, 100.0, "stator resistance"),
    "L_d": ("H", 1e-7, 1.0, "d inductance"),
    "L_q": ("H", 1e-7, 1.0, "q inductance"),
    "M": ("H", 1e-6, 10.0, "mutual inductance stator to field, psi_d = L_d*i_d + M*i_f"),
    "R_f": ("Ohm", 1e-3, 1000.0, "field resistance"),
    "L_f": ("H", 1e-5, 100.0, "field inductance"),
    "sigma_L_d": ("H", 1e-8, 1.0, "d inductance with the field shorted, sigma*L_d"),
    "J": ("kg.m2", 1e-7, 1000.0, "inertia at the motor shaft"),
    "i_max": ("A", 0.1, 10000.0, "longest stator current vector"),
    "i_f_max": ("A", 0.01, 1000.0, "highest field current"),
    "i_trip": ("A", 0.1, 10000.0, "phase current that trips"),
    "i_f_trip": ("A", 0.01, 1000.0, "field current that trips"),
    "u_dc_trip": ("V", 1.0, 2000.0, "dc-link voltage that trips"),
    "u_dc_min": ("V", 0.0, 2000.0, "dc-link voltage below which power is refused"),
    "w_m_trip": ("rad/s", 1.0, 10000.0, "shaft speed that trips"),
    "u_dc_soft": ("V", 1.0, 2000.0, "dc-link voltage above which braking gives way"),
    "u_dc_low": ("V", 0.0, 2000.0, "dc-link voltage below which motoring gives way"),
    "power_max_motoring": ("W", 0.0, 1e9, "shaft power that the drive may give"),
    "power_max_braking": ("W", 0.0, 1e9, "shaft power that the drive may take"),
    "bandwidth_current": ("Hz", 10.0, 3000.0, "bandwidth of the d and q current control"),
    "bandwidth_field": ("Hz", 1.0, 1000.0, "bandwidth of the field current control"),
    "bandwidth_speed": ("Hz", 0.1, 200.0, "bandwidth of the speed control"),
    "bandwidth_pll": ("Hz", 5.0, 1000.0, "bandwidth of the angle tracker"),
    "driveline_damping": ("N.m.s", 0.0, 1e4, "torque at the motor's shaft per quick change of its speed"),
    "driveline_corner": ("Hz", 0.2, 5.0, "slower changes of speed are not damped"),
    "acceleration": ("rad/s2", 0.1, 1e6, "slope of the speed ramp"),
    "torque_limit": ("N.m", 0.0, 1e5, "torque that the drive may use"),
    "torque_slew": ("N.m/s", 0.1, 1e8, "slope of the torque reference"),
    "field_floor": ("1", 0.0, 1.0, "share of i_f_max that is kept up while ready or running"),
    "field_help": ("1", 0.0, 4.0, "share of a lagging field's deficit that i_d makes up for, 0.95 at most"),
    "u_margin": ("1", 0.0, 0.3, "share of the voltage vector kept back by the current control"),
    "dead_time_zone": ("A", 1e-3, 1000.0, "phase current at which dead time is compensated in full"),
    "dead_time_compensated": ("s", 0.0, 1e-5, "dead time that is compensated"),
    "encoder_offset": ("turn", 0.0, 1.0, "electrical phase where the encoder counts 0"),
    "host_timeout": ("s", 0.05, 60.0, "silence of the host that stops the drive"),
    "main_loop_timeout": ("s", 0.12, 10.0, "silence of the main loop that trips while ready or running"),
    "short_allowed": ("1", 0, 1, "1: the bridge bears a machine that is shorted at speed"),
    "i_continuous": ("A", 0.05, 10000.0, "stator current that may flow for ever"),
    "overload_time": ("s", 0.1, 600.0, "time that i_max may flow in a cool stator"),
    "stall_time": ("s", 0.1, 600.0, "time that the shaft may stand under nearly all the torque allowed"),
    "board_warm": ("degC", 0.0, 150.0, "temperature of the board above which torque is reduced"),
    "board_hot": ("degC", 0.0, 175.0, "temperature of the board that trips"),
    "stator_warm": ("degC", 0.0, 200.0, "temperature of the stator above which torque is reduced"),
    "stator_hot": ("degC", 0.0, 220.0, "temperature of the stator that trips"),
    "rotor_warm": ("degC", 0.0, 200.0, "temperature of the rotor above which torque is reduced"),
    "rotor_hot": ("degC", 0.0, 220.0, "temperature of the rotor that trips"),
    "check_direction": ("1", 0, 1, "1: arming moves the shaft a little to check the encoder"),
}
# Those that no word and no base follows from.
LOOSE = (
    "host_timeout",
    "main_loop_timeout",
    "i_continuous",
    "overload_time",
    "stall_time",
    "board_warm",
    "board_hot",
    "stator_warm",
    "stator_hot",
    "rotor_warm",
    "rotor_hot",
    "check_direction",
)


def _shift_for(limit, base):
    """Smallest n >= 0 with base * 2**n >= limit."""
    return max(0, ceil(log(limit / base) / log(2)))


def bases(settings):
    """Base quantity of every scale: {"i": A, "u": V, "w_e": rad/s, ...}.

    The speed base is a power of two below the PWM frequency, so that phase per period becomes
    speed by a shift; the flux and torque bases are powers of two times the product of the
    others, for the same reason.
    """
    p = settings["pole_pairs"]
    f_pwm = settings["f_pwm"]
    i, i_f, u = settings["i_base"], settings["i_f_base"], settings["u_base"]
    w_limit = 1.2 * settings["w_m_max"] * p
    w_e = 2 * pi * f_pwm / Q15 * 2 ** _shift_for(w_limit, 2 * pi * f_pwm / Q15)
    psi_limit = 1.1 * max(
        settings["L_d"] * i + settings["M"] * settings["i_f_max"] * 1.5, settings["L_q"] * i
    )
    psi = u / w_e * 2 ** _shift_for(psi_limit, u / w_e)
    torque_limit = 1.2 * settings["torque_max"]
    torque = 1.5 * p * psi * i / Q15
    torque *= 2 ** min(15, _shift_for(torque_limit, torque))
    return {
        "one": 1.0,
        "count": 1.0,
        "turn": 1.0,
        "t_pwm": 1.0 / f_pwm,
        "i": i,
        "i_f": i_f,
        "u": u,
        "per_u": 1.0 / u,
        "u_f": u if settings["exciter_from_link"] else settings["u_f_nominal"],
        "w_e": w_e,
        "w_m": w_e / p,
        "psi": psi,
        "torque": torque,
        "power": torque * w_e / p,
    }


def constants(settings):
    """Raw values of the signals that the linker folds."""
    base = bases(settings)
    f_pwm = settings["f_pwm"]
    psi_shift = round(log(base["psi"] * base["w_e"] / base["u"]) / log(2))
    torque_full = 1.5 * settings["pole_pairs"] * base["psi"] * base["i"]
    kind = settings["exciter_kind"]
    return {
        "w_shift": round(log(base["w_e"] / (2 * pi * f_pwm / Q15)) / log(2)),
        "emf_shift": 15 - psi_shift,
        "torque_shift": 15 - round(log(torque_full / base["torque"]) / log(2)),
        "pwm_top": settings["pwm_top"],
        "pwm_shift": settings["pwm_top"].bit_length(),
        "saturates": settings.get("saturates", 0),
        "delay_periods": settings.get("delay_periods", 3),
        "exciter_from_link": 1 if settings["exciter_from_link"] else 0,
        "exciter_reverses": 0 if kind == "unipolar" else 1,
        "exciter_blocks": 0 if kind == "full_bridge" else 1,
    }


def split_gain(name, value, low_shift=0, top=32767):
    """A positive gain as (mantissa, shift) with the best resolution; ValueError when too large."""
    if value <= 0:
        return 0, max(low_shift, 15)
    places = 30
    while places > low_shift and round(value * 2**places) > top:
        places -= 1
    mantissa = round(value * 2**places)
    if mantissa > top:
        raise ValueError(
            "%s needs a gain of %g, the integer kernel takes %g at most; "
            "lower the bandwidth or widen the base" % (name, value, top / 2**low_shift)
        )
    return mantissa, places


def encoder_words(settings):
    """Gain and offset that turn an encoder count into an electrical phase.

    The offset includes half a count, since a count of n means a shaft between n and n + 1.
    """
    turn = 1 << 30
    step = (settings["pole_pairs"] * turn + settings["encoder_counts"] // 2) // settings["encoder_counts"]
    if settings["encoder_reversed"]:
        step = -step
    offset = (int(settings["encoder_offset"] * 32768) << 15) + step // 2
    step &= turn - 1
    return {
        "encoder_counts": settings["encoder_counts"],
        "encoder_gain_high": step >> 15,
        "encoder_gain_low": step & 0x7FFF,
        "theta_offset": offset & (turn - 1),
    }


def _go_on():
    """Nobody waits."""


def derive(settings, base=None, breathe=_go_on):
    """Raw value of every parameter that follows from the settings: {signal: int}.

    `base` gives the bases of a kernel that is linked already; they are the settings' own if missing.
    `breathe` is called now and then: this takes a board a tenth of a second.
    """
    if base is None:
        base = bases(settings)
    i, i_f, u, u_f = base["i"], base["i_f"], base["u"], base["u_f"]
    psi, torque, w_m = base["psi"], base["torque"], base["w_m"]
    t_s = base["t_pwm"]
    t_outer = OUTER_PERIODS * t_s
    r_s, r_f, l_d, l_q = settings["R_s"], settings["R_f"], settings["L_d"], settings["L_q"]
    m, l_f, sigma_l_d, inertia = settings["M"], settings["L_f"], settings["sigma_L_d"], settings["J"]
    # A sigma computed from a wrong M may be negative: no machine has less than a tenth.
    sigma_l_d = max(0.1 * l_d, min(l_d, sigma_l_d))
    w_c = 2 * pi * settings["bandwidth_current"]
    if w_c * 1.5 * t_s > DELAY_BUDGET:
        raise ValueError(
            "bandwidth_current = %g Hz is too quick for a delay of 1.5 periods, "
            "%.0f Hz is the most at this rate"
            % (settings["bandwidth_current"], DELAY_BUDGET / (2 * pi * 1.5 * t_s))
        )
    w_f = 2 * pi * settings["bandwidth_field"]
    w_s = 2 * pi * settings["bandwidth_speed"]
    w_p = 2 * pi * settings["bandwidth_pll"]
    words = encoder_words(settings)

    def put(name, value, low_shift=0, top=32767):
        words[name], words[name + "_shift"] = split_gain(name, value, low_shift, top)
        breathe()

    # Three equal poles; an error is Q18, w_step Q30, a_step Q36 of a turn.
    put("k_pll_p", 3 * w_p * t_s * 4096, 1, 16383)
    put("k_pll_i", 3 * (w_p * t_s) ** 2 * 4096, 3, 16383)
    put("k_pll_a", (w_p * t_s) ** 3 * 4096 * 64, 3, 16383)

    put("k_l_d", l_d * i / psi, 2)
    put("k_l_q", l_q * i / psi, 2)
    put("k_m", m * i_f / psi, 2)

    put("k_f_p", l_f * w_f * i_f / u_f, 2)
    put("k_f_d", 1.5 * m * w_c * i / u_f, 2)
    put("k_f_i", r_f * w_f * t_s * i_f / u_f * Q15, 2)
    put("k_f_a", r_f * t_s / l_f * Q15, 2)
    put("k_d_p", sigma_l_d * w_c * i / u, 2)
    put("k_d_f", m / l_f * u_f / u, 2)
    put("k_d_i", r_s * w_c * t_s * i / u * Q15, 2)
    put("k_d_a", r_s * t_s / sigma_l_d * Q15, 2)
    put("k_ahead", t_s * u / psi, 16)
    put("k_q_p", l_q * w_c * i / u, 2)
    put("k_q_i", r_s * w_c * t_s * i / u * Q15, 2)
    put("k_q_a", r_s * t_s / l_q * Q15, 2)

    put("k_w_p", inertia * w_s * w_m / torque)
    put("k_w_i", inertia * w_s * w_s / 4 * t_outer * w_m / torque * Q15, 2)
    put("k_slow", 2 * pi * settings["driveline_corner"] * t_outer * 8192)
    put("k_driveline", settings["driveline_damping"] * w_m / torque)
    words["driveline_limit"] = _within(0.1 * settings["torque_max"] / torque * Q15, 0, 32767)
    words["w_ramp_step"] = _within(settings["acceleration"] * t_outer / w_m * (1 << 28), 1, 1 << 27)
    words["torque_ramp"] = _within(inertia * settings["acceleration"] / torque * Q15, 0, 32767)

    lost = settings["dead_time"] * settings["f_pwm"]
    # What the window of low-side sampling takes is not the user's to give.
    margin = max(settings["u_margin"], settings.get("u_margin_window", 0.0))
    words["k_u_max"] = _within((1 - 2 * lost - margin) / sqrt(3) * Q15, 0, 32767)
    words["k_u_f_max"] = _within(settings["u_f_nominal"] / u_f * Q15, 0, 32767)
    if settings["exciter_from_link"]:
        words["k_u_f_max"] = 32767
    # Counts with 12 fraction bits; a tenth of the period at most.
    taken = min(settings["dead_time_compensated"] * settings["f_pwm"], 0.1) * settings["pwm_top"] * 4096
    words["dead_count"] = _within(taken, 0, 1639 << 12)
    put("k_dead", taken / (settings["dead_time_zone"] / i * Q15), 0, 16383)

    words["i_trip"] = _limit(settings, "i_trip", i)
    words["i_f_trip"] = _limit(settings, "i_f_trip", i_f)
    words["u_dc_trip"] = _limit(settings, "u_dc_trip", u)
    words["u_dc_min"] = _limit(settings, "u_dc_min", u)
    words["w_e_trip"] = _limit(settings, "w_m_trip", w_m)
    lost = speed_of_no_stop(settings)
    words["w_e_lost"] = _within(lost / w_m * Q15, 1, 32767)
    counts = lost * t_outer * settings["encoder_counts"] / (2 * pi)
    words["standing_max"] = _within(ceil(LOST_COUNTS / counts), 2, 4096)
    # Between the highest speed and its trip, or close below a trip that is lower than that.
    gap = max(settings["w_m_trip"] - settings["w_m_max"], 0.04 * settings["w_m_trip"])
    words["w_e_hold"] = _within((settings["w_m_trip"] - 0.25 * gap) / w_m * Q15, 2, 32767)
    words["w_e_soft"] = _within((settings["w_m_trip"] - 0.75 * gap) / w_m * Q15, 1, words["w_e_hold"] - 1)
    most = min(1.0, settings["torque_limit"] / torque)
    put("k_runaway", most * Q15 / (words["w_e_hold"] - words["w_e_soft"]))
    for name in ("power_motoring", "power_braking"):
        limit = settings[name.replace("_", "_max_")]
        words[name] = _within(limit / base["power"] * Q15, 0, 32767)
    trip, least = words["u_dc_trip"], words["u_dc_min"]
    # A soft limit beyond the hard one would never act: the share then falls within 1 % of full scale.
    words["u_dc_soft"] = _within(settings["u_dc_soft"] / u * Q15, 0, max(0, trip - 328))
    words["u_dc_low"] = _within(settings["u_dc_low"] / u * Q15, min(32767, least + 328), 32767)
    words["u_dc_hold"] = words["u_dc_soft"] + (trip - words["u_dc_soft"]) * 3 // 4
    put("k_link_high", Q15 / (words["u_dc_hold"] - words["u_dc_soft"]))
    put("k_link_low", Q15 / (words["u_dc_low"] - least))
    # What forces the field down feeds the link: not beyond 1.15 of its nominal voltage, again from 1.12.
    words["u_dc_brake"] = _within(1.15 * settings["u_dc_nominal"] / u * Q15, 0, 32767)
    words["u_dc_again"] = _within(1.12 * settings["u_dc_nominal"] / u * Q15, 0, 32767)
    words["u_dc_jump"] = _within(0.01 * settings["u_dc_nominal"] / u * Q15, 1, 32767)
    words["short_allowed"] = 1 if settings["short_allowed"] else 0
    words["i_max"] = _limit(settings, "i_max", i)
    words["i_f_max"] = _limit(settings, "i_f_max", i_f)
    words["i_f_floor"] = _within(settings["field_floor"] * settings["i_f_max"] / i_f * Q15, 0, 32767)
    words["i_f_safe"] = _within(0.02 * settings["i_f_max"] / i_f * Q15, 0, 32767)
    words["i_f_blocked"] = _within(0.01 * settings["i_f_max"] / i_f * Q15, 0, 32767)
    words["psi_t_min"] = _within(0.02 * m * settings["i_f_max"] / psi * Q15, 1, 32767)
    words["torque_limit"] = _within(settings["torque_limit"] / torque * Q15, 0, 32767)
    words["torque_slew"] = _within(settings["torque_slew"] * t_outer / torque * Q15, 1, 32767)

    # Giving up i_d at constant field flux wins torque only where this is positive.
    won = 1.5 * m * m / l_f - (l_d - l_q)
    put("k_psi_help", max(0.0, won) * i / psi)
    put("k_weaken", m / l_d * i_f / i)
    put("k_help", l_f / (1.5 * m) * i_f / i)
    words["help_share"] = _within(min(settings["field_help"], 0.95) * Q15, 0, 32767) if won > 0 else 0
    words["i_f_slack"] = _within(0.02 * settings["i_f_max"] / i_f * Q15, 0, 32767)
    words["i_d_help"] = _within(0.6 * settings["i_max"] / i * Q15, 0, 32767)
    return words


def speed_of_no_stop(settings):
    """Speed in rad/s from which the shaft does not stop while an encoder that stands is seen to be lost.

    That takes three cycles, or LOST_COUNTS at this speed; twice torque_max, of the machine and a load, brakes
    the shaft in twice that time.  A twentieth of w_m_max is the least.
    """
    braked = 2 * settings["torque_max"] / settings["J"]
    turn = 2 * pi / settings["encoder_counts"]
    cycle = OUTER_PERIODS / settings["f_pwm"]
    return max(0.05 * settings["w_m_max"], 6 * braked * cycle, sqrt(2 * LOST_COUNTS * braked * turn))


def _limit(settings, name, base):
    """A limit in words; ValueError when the sensor or the scale could not show that it is broken."""
    value = settings[name]
    if value > base:
        raise ValueError(
            "%s = %g is beyond the full scale of %g; lower it, or change the unit's sensing and build again"
            % (name, value, base)
        )
    return _within(value / base * Q15, 0, 32767)


def _within(value, low, high):
    """Nearest integer, held within the signal's range."""
    return max(low, min(high, round(value)))
