// Numbers as an instrument shows them: a fixed count of digits, so that nothing jumps.

const MINUS = "\u2212";

/** Four significant digits, never shorter or longer than need be. */
export function number(value, digits = 4) {
  if (value == null || !Number.isFinite(value)) return "\u2013";
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e6 || size < 1e-4)) return value.toExponential(2).replaceAll("-", MINUS);
  const whole = size < 1 ? 1 : Math.floor(Math.log10(size)) + 1;
  const text = value.toFixed(Math.max(0, Math.min(6, digits - whole)));
  return (/^-[0.]*$/.test(text) ? text.slice(1) : text).replace("-", MINUS);
}

/** A number as short as it can be said, for limits and scales. */
export const short = (value, digits = 4) =>
  Number(value.toPrecision(digits)).toString().replace("e-0", "e-").replaceAll("-", MINUS);

/** A unit as people write it. */
export function unit(text) {
  if (!text || text === "1") return "";
  if (text === "p.u.") return text;
  return text.replace("rad/s2", "rad/s²").replace("kg.m2", "kg m²").replace("Ohm", "Ω").replaceAll(".", " ");
}

/** A span of time in s, ms or µs. */
export function span(seconds) {
  const size = Math.abs(seconds);
  if (size >= 1 || size === 0) return `${number(seconds)} s`;
  if (size >= 1e-3) return `${number(seconds * 1e3)} ms`;
  return `${number(seconds * 1e6)} µs`;
}

/** Device time. */
export const clock = (seconds) => `${seconds.toFixed(3)} s`;
