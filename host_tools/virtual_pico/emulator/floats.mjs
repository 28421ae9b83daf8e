// The soft floating point functions of the boot ROM (RP2040 datasheet section 2.8.3.2), computed by the host.
//
// Contracts, not code, are taken from the datasheet: round to nearest, denormals are zero, conversions to
// integers round towards minus infinity and saturate. Results of the transcendental functions are the host's,
// rounded once, so they may differ from silicon in the last place.

const bytes = new DataView(new ArrayBuffer(8));

function toFloat(bits) {
  bytes.setInt32(0, bits);
  const value = bytes.getFloat32(0);
  return Math.abs(value) < 2 ** -126 ? value * 0 : value;
}

function fromFloat(value) {
  bytes.setFloat32(0, value);
  const rounded = bytes.getFloat32(0);
  if (Math.abs(rounded) < 2 ** -126) bytes.setFloat32(0, rounded * 0);
  return bytes.getInt32(0);
}

function toDouble(low, high) {
  bytes.setInt32(0, high);
  bytes.setInt32(4, low);
  const value = bytes.getFloat64(0);
  return Math.abs(value) < 2 ** -1022 ? value * 0 : value;
}

const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
const saturate = (value, low, high) => Math.min(Math.max(Math.floor(value), low), high);
const signed32 = (value) => saturate(value, -(2 ** 31), 2 ** 31 - 1) | 0;
const unsigned32 = (value) => saturate(value, 0, 2 ** 32 - 1) | 0;

function integer64(value, low, high) {
  if (Number.isNaN(value)) return 0n;
  if (value <= Number(low)) return low;
  if (value >= Number(high)) return high;
  return BigInt(Math.floor(value));
}

const signed64 = (value) => integer64(value, -(2n ** 63n), 2n ** 63n - 1n);
const unsigned64 = (value) => integer64(value, 0n, 2n ** 64n - 1n);

const joined = (low, high) => (BigInt(high) << 32n) | BigInt(low >>> 0); // signed
const joinedUnsigned = (low, high) => BigInt.asUintN(64, joined(low, high));

function put64(R, at, value) {
  R[at] = Number(BigInt.asIntN(32, value));
  R[at + 1] = Number(BigInt.asIntN(32, value >> 32n));
}

/**
 * The functions of one table, [offset in the table, name, cycles, function of the registers].
 * `get(R, k)` is the k-th argument, `put(R, k, value)` leaves a result, `words` registers make one number.
 *
 * The cycles are round figures of what the same work takes on silicon; no measurement stands behind them.
 */
function table(get, put, words, cost, other) {
  const binary = (operation) => (R) => put(R, 0, operation(get(R, 0), get(R, 1)));
  const unary = (operation) => (R) => put(R, 0, operation(get(R, 0)));
  const to32 = (convert) => (R) => (R[0] = convert(get(R, 0)));
  const toFix32 = (convert) => (R) => (R[0] = convert(get(R, 0) * 2 ** R[words]));
  const to64 = (convert) => (R) => put64(R, 0, convert(get(R, 0)));
  const toFix64 = (convert) => (R) => put64(R, 0, convert(get(R, 0) * 2 ** R[words]));
  const sine = (R) => {
    const angle = get(R, 0);
    put(R, 0, Math.sin(angle));
    put(R, 1, Math.cos(angle));
  };
  return [
    [0x00, 'add', cost.short, binary((a, b) => a + b)],
    [0x04, 'subtract', cost.short, binary((a, b) => a - b)],
    [0x08, 'multiply', cost.short, binary((a, b) => a * b)],
    [0x0c, 'divide', cost.short, binary((a, b) => a / b)],
    [0x10, 'compare', cost.convert, (R) => (R[0] = compare(get(R, 0), get(R, 1)))],
    [0x18, 'sqrt', cost.short, unary(Math.sqrt)],
    [0x1c, 'to_int', cost.convert, to32(signed32)],
    [0x20, 'to_fix', cost.convert, toFix32(signed32)],
    [0x24, 'to_uint', cost.convert, to32(unsigned32)],
    [0x28, 'to_ufix', cost.convert, toFix32(unsigned32)],
    [0x2c, 'from_int', cost.convert, (R) => put(R, 0, R[0])],
    [0x30, 'from_fix', cost.convert, (R) => put(R, 0, R[0] * 2 ** -R[1])],
    [0x34, 'from_uint', cost.convert, (R) => put(R, 0, R[0] >>> 0)],
    [0x38, 'from_ufix', cost.convert, (R) => put(R, 0, (R[0] >>> 0) * 2 ** -R[1])],
    [0x3c, 'cos', cost.long, unary(Math.cos)],
    [0x40, 'sin', cost.long, sine], // leaves the cosine behind, which the SDK's sincosf uses
    [0x44, 'tan', cost.long, unary(Math.tan)],
    [0x48, 'sincos', cost.long, sine],
    [0x4c, 'exp', cost.long, unary(Math.exp)],
    [0x50, 'ln', cost.long, unary(Math.log)],
    [0x54, 'compare_basic', cost.convert, (R) => (R[0] = compare(get(R, 0), get(R, 1)))],
    [0x58, 'atan2', cost.long, binary(Math.atan2)],
    [0x5c, 'from_int64', cost.convert, (R) => put(R, 0, Number(joined(R[0], R[1])))],
    [0x60, 'from_fix64', cost.convert, (R) => put(R, 0, Number(joined(R[0], R[1])) * 2 ** -R[2])],
    [0x64, 'from_uint64', cost.convert, (R) => put(R, 0, Number(joinedUnsigned(R[0], R[1])))],
    [0x68, 'from_ufix64', cost.convert, (R) => put(R, 0, Number(joinedUnsigned(R[0], R[1])) * 2 ** -R[2])],
    [0x6c, 'to_int64', cost.convert, to64(signed64)],
    [0x70, 'to_fix64', cost.convert, toFix64(signed64)],
    [0x74, 'to_uint64', cost.convert, to64(unsigned64)],
    [0x78, 'to_ufix64', cost.convert, toFix64(unsigned64)],
    [0x7c, 'to_other', cost.convert, (R) => other(R, 0, get(R, 0))],
  ];
}

const getFloat = (R, k) => toFloat(R[k]);
const putFloat = (R, k, value) => (R[k] = fromFloat(value));
const getDouble = (R, k) => toDouble(R[2 * k], R[2 * k + 1]);

function putDouble(R, k, value) {
  bytes.setFloat64(0, Math.abs(value) < 2 ** -1022 ? value * 0 : value);
  R[2 * k] = bytes.getInt32(4);
  R[2 * k + 1] = bytes.getInt32(0);
}

export const FLOATS = table(getFloat, putFloat, 1, { short: 70, convert: 40, long: 600 }, putDouble);
export const DOUBLES = table(getDouble, putDouble, 2, { short: 130, convert: 60, long: 1500 }, putFloat);
