"""Sums over a number of periods, for offsets, wiring checks and the rotor angle."""

from eesm.signals import Signals


def measure(s: Signals) -> None:
    """Sum raw counts and stator-frame currents over `measure_samples` periods when asked."""
    if (s.measure_start ^ s.measure_started | s.measure_left) != 0:
        if s.measure_start != s.measure_started:
            s.measure_started = s.measure_start
            s.measure_left = s.measure_samples
            s.sum_i_a_raw = 0
            s.sum_i_b_raw = 0
            s.sum_i_f_raw = 0
            s.sum_i_alpha = 0
            s.sum_i_beta = 0
            s.sum_i_f = 0
        if s.measure_left > 0:
            s.measure_left = s.measure_left - 1
            s.sum_i_a_raw = s.sum_i_a_raw + s.i_a_raw
            s.sum_i_b_raw = s.sum_i_b_raw + s.i_b_raw
            s.sum_i_f_raw = s.sum_i_f_raw + s.i_f_raw
            s.sum_i_alpha = s.sum_i_alpha + s.i_alpha
            s.sum_i_beta = s.sum_i_beta + s.i_beta
            s.sum_i_f = s.sum_i_f + s.i_f
