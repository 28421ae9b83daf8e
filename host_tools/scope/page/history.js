// What was received, in buffers of a fixed size: every row of the last minutes, and smallest and
// greatest of each 16 and 256 rows for the hours before.  Nothing here grows with time.

export const ROWS = 1 << 18; // at full rate; 131 s at 2 kHz
const LEVELS = [
  { rows: 1, size: ROWS },
  { rows: 16, size: 1 << 17 }, // 17 min at 2 kHz
  { rows: 256, size: 1 << 16 }, // 2.3 h at 2 kHz
];

export class History {
  constructor() {
    this.count = 0; // rows ever
    this.levels = LEVELS.map(({ rows, size }) => ({
      rows,
      size,
      x: new Float64Array(size),
      gap: new Uint8Array(size), // 1: rows are missing before this one
      low: new Map(),
      high: new Map(), // the same buffer as low at full rate
    }));
  }

  /** Bytes that are held. */
  get bytes() {
    let sum = 0;
    for (const level of this.levels) {
      sum += level.x.byteLength + level.gap.byteLength;
      for (const low of level.low.values()) sum += low.byteLength * (level.rows === 1 ? 1 : 2);
    }
    return sum;
  }

  get latest() {
    return this.count ? this.levels[0].x[(this.count - 1) % ROWS] : 0;
  }

  /** Keep these signals and no others; one that is new has no past. */
  keep(names) {
    for (const level of this.levels) {
      for (const name of level.low.keys()) {
        if (!names.includes(name)) {
          level.low.delete(name);
          level.high.delete(name);
        }
      }
      for (const name of names) {
        if (level.low.has(name)) continue;
        const low = new Float32Array(level.size).fill(NaN);
        level.low.set(name, low);
        level.high.set(name, level.rows === 1 ? low : new Float32Array(level.size).fill(NaN));
      }
    }
  }

  /** Append rows: xs on the axis, gaps (1: after a break), columns by name. */
  append(xs, gaps, columns) {
    const rows = xs.length;
    for (const level of this.levels) {
      const { size, x, gap } = level;
      const per = level.rows;
      for (let k = 0; k < rows; k++) {
        const row = this.count + k;
        const at = Math.floor(row / per) % size;
        if (row % per === 0) {
          x[at] = xs[k];
          gap[at] = gaps[k];
        } else if (gaps[k]) gap[at] = 1;
      }
      for (const [name, low] of level.low) {
        const high = level.high.get(name);
        const column = columns.get(name);
        for (let k = 0; k < rows; k++) {
          const row = this.count + k;
          const at = Math.floor(row / per) % size;
          const value = column ? column[k] : NaN;
          if (row % per === 0) low[at] = high[at] = value;
          else {
            if (value < low[at] || low[at] !== low[at]) low[at] = value;
            if (value > high[at] || high[at] !== high[at]) high[at] = value;
          }
        }
      }
    }
    this.count += rows;
  }

  /** [first, end) of a level's buckets that are still held. */
  range(level) {
    const end = Math.ceil(this.count / level.rows);
    return [Math.max(0, end - level.size), end];
  }

  /** First bucket of a level at or after x. */
  find(level, x) {
    let [low, high] = this.range(level);
    while (low < high) {
      const middle = (low + high) >> 1;
      if (level.x[middle % level.size] < x) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The finest level that reaches back to x. */
  levelAt(x) {
    for (const level of this.levels) {
      const [first] = this.range(level);
      if (first === 0 || level.x[first % level.size] <= x) return level;
    }
    return this.levels.at(-1);
  }

  /**
   * Arrays for a chart: [xs, ys...] of `choices` ({source, factor}) between two places of the axis, at most
   * two points a pixel, smallest and greatest kept; null where nothing was received.
   */
  window(from, to, choices, pixels) {
    const level = this.levelAt(from);
    let first = Math.max(this.range(level)[0], this.find(level, from) - 1);
    const end = Math.min(this.range(level)[1], this.find(level, to) + 1);
    // Groups are aligned to the count of rows, not to the window: a moving picture must not shimmer.
    let group = 1;
    while ((end - first) / group > pixels * 1.5) group *= 2;
    first -= first % group;
    const [oldest] = this.range(level);
    if (first < oldest) first += group;
    const xs = [];
    const columns = choices.map(() => []);
    const buffers = choices.map(({ source }) => [level.low.get(source), level.high.get(source)]);
    const pair = group > 1 || level.rows > 1;
    for (let start = first; start < end; start += group) {
      const stop = Math.min(start + group, end);
      const x = level.x[start % level.size];
      let gap = 0;
      for (let k = start; k < stop; k++) gap |= level.gap[k % level.size];
      if (gap && xs.length) {
        xs.push((xs.at(-1) + x) / 2);
        for (const column of columns) column.push(null);
      }
      xs.push(x);
      if (pair) xs.push((x + level.x[(stop - 1) % level.size]) / 2 + 1e-9);
      for (let c = 0; c < choices.length; c++) {
        const [lows, highs] = buffers[c];
        const column = columns[c];
        if (!lows) {
          column.push(null);
          if (pair) column.push(null);
          continue;
        }
        const factor = choices[c].factor;
        let low = Infinity;
        let high = -Infinity;
        let lowAt = 0;
        let highAt = 0;
        for (let k = start; k < stop; k++) {
          const at = k % level.size;
          if (lows[at] < low) [low, lowAt] = [lows[at], k];
          if (highs[at] > high) [high, highAt] = [highs[at], k];
        }
        if (low > high) {
          column.push(null);
          if (pair) column.push(null);
        } else if (!pair) column.push(low * factor);
        else if (lowAt <= highAt) column.push(low * factor, high * factor);
        else column.push(high * factor, low * factor);
      }
    }
    return [xs, ...columns];
  }

  /** Every row between two places: {xs, columns, whole} of sources; whole is false when older ones are gone. */
  rows(from, to, sources) {
    const level = this.levels[0];
    const first = this.find(level, from);
    const end = this.find(level, to);
    const xs = new Float64Array(end - first);
    const columns = sources.map(() => new Float32Array(end - first));
    let gaps = 0;
    for (let k = first; k < end; k++) {
      const at = k % level.size;
      xs[k - first] = level.x[at];
      if (k > first) gaps += level.gap[at];
      for (let c = 0; c < sources.length; c++) {
        columns[c][k - first] = level.low.get(sources[c])?.[at] ?? NaN;
      }
    }
    const [oldest] = this.range(level);
    return { xs, columns, gaps, whole: oldest === 0 || level.x[oldest % level.size] <= from };
  }

  /** Value of a source at a place (the row before it), null when there is none. */
  at(x, source) {
    const level = this.levelAt(x);
    const [first, end] = this.range(level);
    if (end === first) return null;
    const k = Math.min(Math.max(this.find(level, x + 1e-12) - 1, first), end - 1);
    const low = level.low.get(source)?.[k % level.size];
    const high = level.high.get(source)?.[k % level.size];
    return low === undefined || Number.isNaN(low) ? null : (low + high) / 2;
  }
}
