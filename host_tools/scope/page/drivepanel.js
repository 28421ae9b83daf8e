// State, faults and commands of the drive.

import { $, h, put } from "./dom.js";
import * as format from "./format.js";
import { complain } from "./toast.js";

const RPM = Math.PI / 30;
const STEPS = ["off", "offsets", "wiring", "angle", "field up", "direction", "ready", "running"];
const LIMITS = ["machine", "user", "power", "link high", "link low"]; // bits of `limited`, from 1, 2, 4 ...

export class DrivePanel {
  /** scope: {link, choices}. */
  constructor(scope) {
    this.scope = scope;
    this.state = "";
    this.mode = "speed";
    this.holder = null;
    const ask = (what, content) => scope.link.ask(what, content).catch(complain);
    $("#arm").onclick = () => ask("arm");
    $("#clear").onclick = () => ask("clear");
    $("#take").onclick = () => ask("take");
    for (const button of document.querySelectorAll("[data-mode]")) button.onclick = () => this.choose(button.dataset.mode);
    $("#setpoint-form").addEventListener("submit", (event) => {
      event.preventDefault();
      ask(this.mode, { value: Number($("#setpoint").value) });
    });
    $("#slider").addEventListener("input", ({ target }) => ($("#setpoint").value = target.value));
    $("#slider").addEventListener("change", ({ target }) => this.state === "running" && ask(this.mode, { value: Number(target.value) }));
    $("#setpoint").addEventListener("input", ({ target }) => ($("#slider").value = target.value));
    $("#zero").onclick = () => {
      $("#setpoint").value = $("#slider").value = 0;
      ask(this.mode, { value: 0 });
    };
    $("#steps").replaceChildren(...STEPS.map((step) => h("li", { "data-step": step }, step)));
  }

  choose(mode) {
    this.mode = mode;
    for (const button of document.querySelectorAll("[data-mode]")) button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
    this.scale();
    $("#setpoint").value = $("#slider").value = 0;
  }

  /** Limits of the setpoint, from the drive's parameters. */
  scale(machine = this.machine) {
    if (!machine) return;
    this.machine = machine;
    const speed = this.mode === "speed";
    const most = speed ? Math.floor(machine.w_m_trip / RPM / 100) * 100 : machine.torque_limit;
    const step = speed ? 10 : 10 ** Math.floor(Math.log10(most / 50));
    Object.assign($("#slider"), { min: -most, max: most, step });
    Object.assign($("#setpoint"), { min: -most, max: most });
    put($("#setpoint-unit"), speed ? "rpm" : "N m");
    $("#scale").replaceChildren(...[-1, 0, 1].map((share) => h("span", {}, format.short(share * most))));
  }

  know(drive) {
    const { identity } = drive;
    put($("#unit"), `unit ${identity.unit}`);
    put($("#board"), `${identity.board} · ${identity.port}`);
    $("#identity").replaceChildren(...["board", "unit", "port", "firmware", "interpreter", "kernel_hash", "schema_hash"].flatMap((name) =>
      [h("dt", {}, name.replace("_", " ")), h("dd", {}, identity[name].slice(0, 40))]));
    this.ratio = drive.signals.find(({ name }) => name === "speed")?.scale ?? 0;
    document.title = `unit ${identity.unit} · eesm scope`;
  }

  status({ state, safe, gauges, lost, dropped, late, record, time }) {
    this.show(state);
    this.gauges = gauges;
    put($("#g-speed"), format.number(gauges.w_e * this.ratio));
    put($("#g-torque"), format.number(gauges.torque));
    put($("#g-is"), format.number(Math.hypot(gauges.i_d, gauges.i_q)));
    put($("#g-if"), format.number(gauges.i_f));
    put($("#g-udc"), format.number(gauges.u_dc));
    const why = LIMITS.filter((_, bit) => gauges.limited & (1 << bit));
    const limited = why.length && state === "running" ? `torque limited: ${why.join(", ")}` : "";
    put($("#limited"), state !== "fault" ? limited : safe ? "safe: field down" : "field still up, wait");
    put($("#device-time"), format.clock(time));
    put($("#lost"), `${lost} lost`);
    $("#lost").classList.toggle("bad", lost > 0);
    $("#lost").title = `rows missing by their numbers; ${dropped} of them dropped by the board, which was late ${late} times`;
    this.recording(record);
  }

  recording(record) {
    $("#record").setAttribute("aria-pressed", String(Boolean(record)));
    put($("#record-text"), record ? `${record.seconds.toFixed(0)} s` : "Record");
    $("#record").title = record ? `Recording to ${record.file}: ${record.rows} rows. Click to end` : "Record to a log file";
  }

  show(state) {
    if (state === this.state) return;
    this.state = state;
    put($("#state"), state);
    document.body.dataset.state = state.replace(" ", "-");
    const at = STEPS.indexOf(state);
    for (const [k, item] of [...$("#steps").children].entries()) {
      item.className = at < 0 ? "" : k < at ? "done" : k === at ? "now" : "";
      if (k === at) item.setAttribute("aria-current", "step");
      else item.removeAttribute("aria-current");
    }
    put($("#beyond"), at < 0 && state ? state : "");
    this.allow();
  }

  control(holder) {
    this.holder = holder;
    this.allow();
  }

  /** What may be pressed now. */
  allow() {
    const mine = this.holder === null || this.holder === this.scope.link.page;
    $("#arm").disabled = !mine || this.state !== "off";
    $("#apply").disabled = $("#zero").disabled = !mine || !["ready", "running"].includes(this.state);
    $("#clear").disabled = !mine;
    $("#watching").hidden = mine;
    $("#take").disabled = !["off", "fault"].includes(this.state);
  }

  faults({ list, time }) {
    $("#faults").hidden = !list.length;
    $("#fault-list").replaceChildren(...list.map((fault) => h("li", {},
      h("strong", {}, fault.name, fault.first ? h("small", {}, ` first, at ${format.clock(time)}`) : null),
      h("p", {}, fault.text || fault.cause), fault.text ? h("p.cause", {}, `Cause: ${fault.cause}.`) : null, h("p.cause", {}, `Limit: ${fault.limit}.`), h("p.remedy", {}, fault.remedy))));
  }
}
