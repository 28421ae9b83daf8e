// The plane of i_d and i_q: where the currents are, and where they may be.

import { colour } from "./dom.js";

const TRAIL = 5; // s that the trail reaches back at most
const POINTS = 4000;

export const NEEDS = ["i_d", "i_q", "i_d_ref", "i_q_ref"];

/** Points of the voltage limit: |R_s*i + j*w_e*psi| = u_max at this speed and field, as [i_d, i_q]. */
export function voltageLimit(machine, { w_e, i_f, u_dc }, points = 120) {
  const { R_s, L_d, L_q, M, k_u_max } = machine;
  const u_max = u_dc * k_u_max;
  const w = w_e;
  // [u_d, u_q] = Z [i_d, i_q] + [0, w*M*i_f] with Z = [[R_s, -w*L_q], [w*L_d, R_s]].
  const det = R_s * R_s + w * w * L_d * L_q;
  const found = [];
  for (let k = 0; k <= points; k++) {
    const angle = (2 * Math.PI * k) / points;
    const u_d = u_max * Math.cos(angle);
    const u_q = u_max * Math.sin(angle) - w * M * i_f;
    found.push([(R_s * u_d + w * L_q * u_q) / det, (R_s * u_q - w * L_d * u_d) / det]);
  }
  return found;
}

/** The drive's own table of loss-minimal currents at this speed, as [i_d, i_q] over torque, both signs. */
export function optimum(machine, { w_e, u_dc }) {
  const { ratio_axis: axis, table_i_d, table_i_f, table_torque, L_d, L_q, M, pole_pairs } = machine;
  const ratio = Math.min(Math.abs(w_e) / u_dc / machine.ratio_base, axis.at(-1));
  let row = 0;
  while (row < axis.length - 2 && axis[row + 1] <= ratio) row++;
  const share = Math.min(1, Math.max(0, (ratio - axis[row]) / (axis[row + 1] - axis[row])));
  const points = axis.length;
  const blend = (table, column) => {
    const at = row * points + column;
    return table[at] + share * (table[at + points] - table[at]);
  };
  const most = table_torque[row] + share * (table_torque[row + 1] - table_torque[row]);
  const up = [];
  for (let column = 0; column < points; column++) {
    // The column is (r + r^2)/2, torque goes with r^2.
    const place = column / (points - 1);
    const root = (Math.sqrt(1 + 8 * place) - 1) / 2;
    const i_d = blend(table_i_d, column);
    const psi = M * blend(table_i_f, column) + (L_d - L_q) * i_d;
    if (psi > 0) up.push([i_d, (root * root * most) / (1.5 * pole_pairs * psi)]);
  }
  return [...up.slice().reverse().map(([i_d, i_q]) => [i_d, -i_q]), ...up];
}

const stepOf = (i_max) => [1, 2, 5, 10, 20, 50, 100, 200, 500].find((each) => i_max / each <= 3) ?? 1000;

export class Plane {
  constructor(canvas, scope) {
    this.canvas = canvas;
    this.scope = scope;
    this.machine = null;
    this.gauges = null;
    this.on = false;
  }

  draw() {
    const { canvas, machine, gauges } = this;
    if (!this.on || !machine || !gauges) return;
    const size = devicePixelRatio;
    const [width, height] = [canvas.clientWidth * size, canvas.clientHeight * size].map(Math.round);
    if (!width || !height) return;
    if (canvas.width !== width) canvas.width = width;
    if (canvas.height !== height) canvas.height = height;
    const c = canvas.getContext("2d");
    c.clearRect(0, 0, width, height);
    const { i_max } = machine;
    const zoom = (Math.min(width, height) / 2 - 22 * size) / (1.12 * i_max);
    const X = (i) => width / 2 + i * zoom;
    const Y = (i) => height / 2 - i * zoom;
    const line = (points, stroke, thick, dash = []) => {
      c.beginPath();
      points.forEach(([x, y], k) => (k ? c.lineTo(X(x), Y(y)) : c.moveTo(X(x), Y(y))));
      c.strokeStyle = stroke;
      c.lineWidth = thick * size;
      c.setLineDash(dash.map((each) => each * size));
      c.stroke();
      c.setLineDash([]);
    };
    this.grid(c, i_max, X, Y, width, height, size);
    const circle = Array.from({ length: 121 }, (_, k) => [i_max * Math.cos((k * Math.PI) / 60), i_max * Math.sin((k * Math.PI) / 60)]);
    line(circle, colour("--t4"), 1.5);
    // At standstill the resistance alone limits, far outside.
    const { view, source } = this.scope;
    const at = (name) => source().at(view.to, name);
    const now = { w_e: at("w_e") ?? gauges.w_e, i_f: at("i_f") ?? gauges.i_f, u_dc: at("u_dc") ?? gauges.u_dc };
    line(voltageLimit(machine, now), colour("--t5"), 1.5, [6, 4]);
    line(optimum(machine, now).filter(([d, q]) => Math.hypot(d, q) < 1.1 * i_max), colour("--t3"), 1.5);
    // Rows, not smallest and greatest: each point is one moment.
    const { columns: [d, q] } = source().rows(Math.max(view.from, view.to - TRAIL), view.to, ["i_d", "i_q"]);
    const stride = Math.max(1, Math.floor(d.length / POINTS));
    const trail = [];
    for (let k = 0; k < d.length; k += stride) if (!Number.isNaN(d[k])) trail.push([d[k], q[k]]);
    c.globalAlpha = 0.75;
    line(trail, colour("--t0"), 1);
    c.globalAlpha = 1;
    this.labels(c, i_max, X, Y, width, size);
    if (at("i_d_ref") != null && at("i_q_ref") != null) this.dot(c, X(at("i_d_ref")), Y(at("i_q_ref")), size, null);
    if (at("i_d") != null && at("i_q") != null) this.dot(c, X(at("i_d")), Y(at("i_q")), size, colour("--t0"));
  }

  grid(c, i_max, X, Y, width, height, size) {
    const step = stepOf(i_max);
    c.lineWidth = size;
    for (let i = -Math.floor((1.3 * i_max) / step) * step; i <= 1.3 * i_max; i += step) {
      c.strokeStyle = colour(i === 0 ? "--line" : "--grid");
      c.beginPath();
      c.moveTo(Math.round(X(i)) + 0.5, 0);
      c.lineTo(Math.round(X(i)) + 0.5, height);
      c.moveTo(0, Math.round(Y(i)) + 0.5);
      c.lineTo(width, Math.round(Y(i)) + 0.5);
      c.stroke();
    }
  }

  /** What the axes say, over the curves and legible through them. */
  labels(c, i_max, X, Y, width, size) {
    const say = (text, align, x, y) => {
      c.textAlign = align;
      c.strokeText(text, x, y);
      c.fillText(text, x, y);
    };
    const step = stepOf(i_max);
    c.font = `${11 * size}px ${colour("--mono")}`;
    c.fillStyle = colour("--dim");
    c.strokeStyle = colour("--panel");
    c.lineWidth = 4 * size;
    c.lineJoin = "round";
    for (let i = -Math.floor((1.3 * i_max) / step) * step; i <= 1.3 * i_max; i += step) {
      if (i === 0) continue;
      const text = String(i).replace("-", "\u2212");
      say(text, "center", X(i), Y(0) + 13 * size);
      say(text, "right", X(0) - 4 * size, Y(i) + 4 * size);
    }
    say("i_d [A]", "right", width - 6 * size, Y(0) - 6 * size);
    say("i_q [A]", "left", X(0) + 6 * size, 12 * size);
  }

  dot(c, x, y, size, fill) {
    c.beginPath();
    c.arc(x, y, 5 * size, 0, 7);
    c.lineWidth = 2 * size;
    c.strokeStyle = colour("--ink");
    if (fill) {
      c.fillStyle = fill;
      c.fill();
    }
    c.stroke();
  }
}
