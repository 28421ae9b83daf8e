// Amplitude spectrum of evenly spaced values: Hann window, radix 2.

/** In place: complex numbers of a length that is a power of two. */
export function transform(re, im) {
  const n = re.length;
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      [re[i], re[j]] = [re[j], re[i]];
      [im[i], im[j]] = [im[j], im[i]];
    }
  }
  for (let size = 2; size <= n; size *= 2) {
    const half = size / 2;
    for (let k = 0; k < half; k++) {
      const angle = (-2 * Math.PI * k) / size;
      const c = Math.cos(angle);
      const s = Math.sin(angle);
      for (let i = k; i < n; i += size) {
        const j = i + half;
        const x = re[j] * c - im[j] * s;
        const y = re[j] * s + im[j] * c;
        re[j] = re[i] - x;
        im[j] = im[i] - y;
        re[i] += x;
        im[i] += y;
      }
    }
  }
}

/**
 * {frequencies, amplitudes} of the newest power of two of `values`, sampled each `step` s: a sine of
 * amplitude 1 shows as 1.  The mean is taken away first; null for fewer than 16 values.
 */
export function spectrum(values, step) {
  if (values.length < 16) return null;
  const n = 2 ** Math.floor(Math.log2(Math.min(values.length, 1 << 16)));
  const start = values.length - n;
  let mean = 0;
  for (let k = 0; k < n; k++) mean += values[start + k] / n;
  if (!Number.isFinite(mean)) return null;
  const re = new Float64Array(n);
  const im = new Float64Array(n);
  for (let k = 0; k < n; k++) re[k] = (values[start + k] - mean) * (1 - Math.cos((2 * Math.PI * k) / n));
  transform(re, im);
  const frequencies = [];
  const amplitudes = [];
  for (let k = 1; k < n / 2; k++) {
    frequencies.push(k / (n * step));
    amplitudes.push((2 / n) * Math.hypot(re[k], im[k]));
  }
  return { frequencies, amplitudes, n };
}
