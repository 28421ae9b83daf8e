// The control channel: one JSON object a line over a UNIX socket, {"do": name, ...arguments}, answered by
// {"ok": true, "result": ...} or {"ok": false, "error": text}.

import net from 'node:net';

export function listen(machine, path) {
  const server = net.createServer((socket) => {
    let text = '';
    socket.setEncoding('utf8');
    socket.on('error', () => {});
    socket.on('data', (part) => {
      text += part;
      const lines = text.split('\n');
      text = lines.pop();
      for (const line of lines) if (line.trim()) socket.write(`${JSON.stringify(answer(machine, line))}\n`);
    });
  });
  server.listen(path);
  return server;
}

export function answer(machine, line) {
  try {
    const { do: name, ...given } = JSON.parse(line);
    const command = machine.commands[name];
    if (!command) {
      const known = Object.keys(machine.commands).sort().join(', ');
      throw new Error(`There is no command ${name}; there are: ${known}.`);
    }
    return { ok: true, result: command(given) ?? null };
  } catch (error) {
    return { ok: false, error: error.message };
  }
}
