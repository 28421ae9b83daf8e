// The websocket: words and rows in, requests out, and back by itself when it breaks.

const RETRY = 400; // ms
const SILENCE = 3000; // ms without a word while the drive's state should come ten times a second

export class Link {
  /** on: {word(content), rows(buffer), up(), down()}; `page` names this page for as long as its tab lives. */
  constructor(on) {
    this.on = on;
    this.waiting = new Map();
    this.number = 0;
    this.heard = 0;
    this.page = sessionStorage.getItem("page") ?? crypto.getRandomValues(new Uint32Array(2)).join("");
    sessionStorage.setItem("page", this.page);
    this.open();
    setInterval(() => {
      // A computer that slept, a cable that was pulled: nobody says that such a connection is gone.
      if (this.up && performance.now() - this.heard > SILENCE) this.socket.close();
    }, 500);
  }

  get up() {
    return this.socket.readyState === WebSocket.OPEN;
  }

  open() {
    const url = new URL("live", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    url.searchParams.set("page", this.page);
    this.socket = new WebSocket(url);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => {
      this.heard = performance.now();
      this.on.up();
    };
    this.socket.onmessage = ({ data }) => {
      this.heard = performance.now();
      if (typeof data !== "string") this.on.rows(data);
      else this.take(JSON.parse(data));
    };
    this.socket.onclose = () => {
      for (const { fail } of this.waiting.values()) fail({ text: "The connection to the scope was lost.", hint: "" });
      this.waiting.clear();
      this.on.down();
      setTimeout(() => this.open(), RETRY);
    };
  }

  take(content) {
    if (!("id" in content)) {
      this.on.word(content);
      return;
    }
    const waiting = this.waiting.get(content.id);
    this.waiting.delete(content.id);
    if (content.ok) waiting?.done(content);
    else waiting?.fail(content);
  }

  /** Ask for something; resolves with the answer, rejects with {text, hint}. */
  ask(what, content = {}) {
    return new Promise((done, fail) => {
      if (!this.up) {
        fail({ text: "There is no connection to the scope.", hint: "is `eesm scope` still running?" });
        return;
      }
      const id = ++this.number;
      this.waiting.set(id, { done, fail });
      this.socket.send(JSON.stringify({ id, do: what, ...content }));
    });
  }
}

const HEAD = 32;

/** The parts of a message of rows: see host_tools/scope/batch.py. */
export function unpack(buffer) {
  const view = new DataView(buffer);
  const rows = view.getUint32(8, true);
  const channels = view.getUint32(12, true);
  const columns = [];
  for (let k = 0; k < channels; k++) columns.push(new Float32Array(buffer, HEAD + 4 * rows * (k + 1), rows));
  return {
    layout: view.getUint32(4, true),
    rows,
    first: view.getFloat64(16, true),
    lost: view.getUint32(24, true),
    divider: view.getUint32(28, true),
    after: new Uint32Array(buffer, HEAD, rows),
    columns,
  };
}
