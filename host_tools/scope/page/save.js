// What is seen, as a picture or as rows with units.

import { $, colour, download } from "./dom.js";
import * as format from "./format.js";
import { complain, toast } from "./toast.js";

function stamp() {
  const two = (number) => String(number).padStart(2, "0");
  const now = new Date();
  return `scope-${now.getFullYear()}${two(now.getMonth() + 1)}${two(now.getDate())}-${two(now.getHours())}${two(now.getMinutes())}${two(now.getSeconds())}`;
}

/** Parquet or CSV of every row in view, made by the server with identity and parameters inside. */
export async function saveRows(kind, scope) {
  const { choices, view, source, timeline, drive } = scope;
  const names = choices.shown;
  const wanted = names.map((name) => choices.signals.get(name));
  const { xs, columns, whole } = source().rows(view.from, view.to, wanted.map((signal) => signal.source));
  if (!xs.length) return toast("Nothing is in view at full rate.", "go on live, or zoom to the newest minutes", "bad");
  if (!whole) toast("The beginning is no longer there at full rate; the rest is saved.", "record a log to keep everything");
  const { t_pwm } = drive;
  const trigger = source().relative ? source().trigger : null;
  const period = Float64Array.from(xs, (x) => Math.round((trigger == null ? timeline.device(x) : x + trigger) / t_pwm));
  const notes = scope.marks().filter(({ x }) => x >= view.from && x <= view.to)
    .map(({ x, text, kind }) => ({ note: kind, text, period: Math.round(timeline.device(x) / t_pwm) }));
  const divider = xs.length > 1 ? Math.max(1, period[1] - period[0]) : 1;
  const head = new TextEncoder().encode(JSON.stringify({ names, rows: xs.length, divider, title: "Scope", notes }));
  const size = new Uint8Array(new Uint32Array([head.length]).buffer);
  const scaled = columns.map((column, k) => (wanted[k].scale === 1 ? column : column.map((value) => value * wanted[k].scale)));
  try {
    const answer = await fetch(`save/${kind}`, { method: "POST", body: new Blob([size, head, period, ...scaled]) });
    if (!answer.ok) throw await answer.json();
    download(await answer.blob(), `${stamp()}.${kind}`);
    toast(`${xs.length} rows of ${names.length} signals saved as ${kind === "csv" ? "CSV" : "Parquet"}.`, "", "good");
  } catch (error) {
    complain(error);
  }
}

/** A picture of the panes, with names, units, and who and when. */
export function savePicture(panes, scope) {
  const size = devicePixelRatio;
  const head = 26 * size;
  const canvases = panes.list.map(({ plot }) => plot.ctx.canvas);
  const width = Math.max(...canvases.map((canvas) => canvas.width));
  const height = canvases.reduce((sum, canvas) => sum + canvas.height + head, head);
  const picture = Object.assign(document.createElement("canvas"), { width, height });
  const c = picture.getContext("2d");
  c.fillStyle = colour("--panel");
  c.fillRect(0, 0, width, height);
  const { identity } = scope.drive;
  c.font = `${12 * size}px ${colour("--sans")}`;
  c.fillStyle = colour("--dim");
  c.fillText(`unit ${identity.unit} · ${identity.board} · kernel ${identity.kernel_hash.slice(0, 12)} · ${new Date().toLocaleString()}`, 10 * size, 17 * size);
  let y = head;
  for (const [k, pane] of panes.list.entries()) {
    let x = 10 * size;
    for (const name of pane.names) {
      c.fillStyle = colour(`--t${scope.choices.colour(name)}`);
      c.fillRect(x, y + 9 * size, 9 * size, 9 * size);
      c.fillStyle = colour("--ink");
      const text = `${name} ${format.unit(scope.choices.unit(name)) ? `[${format.unit(scope.choices.unit(name))}]` : ""}`;
      c.fillText(text, x + 14 * size, y + 18 * size);
      x += c.measureText(text).width + 32 * size;
    }
    c.drawImage(canvases[k], 0, y + head);
    y += canvases[k].height + head;
  }
  picture.toBlob((blob) => download(blob, `${stamp()}.png`), "image/png");
  toast("Picture saved.", "", "good");
}

export function setUpSave(panes, scope) {
  $("#save").addEventListener("click", (event) => {
    const kind = event.target.dataset.save;
    if (!kind) return;
    if (kind === "png") savePicture(panes, scope);
    else saveRows(kind, scope);
    $("#save-menu").open = false;
  });
}
