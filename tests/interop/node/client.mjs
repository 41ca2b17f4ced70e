// @stomp/stompjs against a server: node client.mjs ws|tcp PORT SCENARIO
// Prints one line of JSON with what it saw; exits with 1 on any error.
import { Client, Versions } from "@stomp/stompjs";
import { WebSocket } from "ws";

const [door, port, scenario] = process.argv.slice(2);

async function options() {
  if (door === "tcp") {
    const { TCPWrapper } = await import("@stomp/tcp-wrapper");
    return { webSocketFactory: () => new TCPWrapper("127.0.0.1", Number(port)) };
  }
  Object.assign(globalThis, { WebSocket });
  return { brokerURL: `ws://127.0.0.1:${port}/` };
}

function connected(more = {}) {
  return new Promise(async (resolve, reject) => {
    const client = new Client({
      ...(await options()),
      reconnectDelay: 0,
      connectHeaders: { login: "user", passcode: "pass" },
      onConnect: (frame) => resolve([client, frame]),
      onStompError: (frame) => reject(new Error(frame.headers.message)),
      ...more,
    });
    client.activate();
  });
}

// Messages of a subscription, one at a time.
function messages(client, destination, headers = {}) {
  const waiting = [], come = [];
  client.subscribe(destination, (message) => {
    const next = waiting.shift();
    next ? next(message) : come.push(message);
  }, headers);
  return () => come.length ? Promise.resolve(come.shift()) : new Promise((r) => waiting.push(r));
}

const receipt = (client, id) => new Promise((resolve) => client.watchForReceipt(id, resolve));

const scenarios = {
  async text() {
    const [client, frame] = await connected();
    const next = messages(client, "/queue/js.text");
    client.publish({ destination: "/queue/js.text", body: "Grüße ☃", headers: { a: "b:c\n\\d" } });
    const message = await next();
    await client.deactivate();
    return { body: message.body, a: message.headers.a, version: frame.headers.version };
  },
  async versions() {
    const seen = [];
    for (const version of [Versions.V1_0, Versions.V1_1, Versions.V1_2]) {
      const [client, frame] = await connected({ stompVersions: new Versions([version]) });
      const next = messages(client, "/topic/js.versions");
      client.publish({ destination: "/topic/js.versions", body: version });
      seen.push([frame.headers.version, (await next()).body]);
      await client.deactivate();
    }
    return seen;
  },
  async binary() {
    const [client] = await connected();
    const next = messages(client, "/queue/js.binary");
    const binaryBody = Uint8Array.from({ length: 1024 }, (_, n) => n % 256);
    client.publish({ destination: "/queue/js.binary", binaryBody });
    const { binaryBody: back } = await next();
    await client.deactivate();
    return { same: Buffer.compare(Buffer.from(back), Buffer.from(binaryBody)) === 0 };
  },
  async large() {
    const [client] = await connected({ splitLargeFrames: true });
    const next = messages(client, "/queue/js.large");
    const body = "0123456789abcdef".repeat(65536);
    client.publish({ destination: "/queue/js.large", body });
    const message = await next();
    await client.deactivate();
    return { same: message.body === body, length: message.body.length };
  },
  async many() {
    const [client] = await connected();
    const next = messages(client, "/queue/js.many");
    const count = 10000;
    for (let n = 0; n < count; n++) client.publish({ destination: "/queue/js.many", body: `${n}` });
    let inOrder = 0;
    for (let n = 0; n < count; n++) inOrder += (await next()).body === `${n}`;
    await client.deactivate();
    return { inOrder };
  },
  async acknowledge() {
    const [client] = await connected();
    const next = messages(client, "/queue/js.ack", { ack: "client-individual" });
    client.publish({ destination: "/queue/js.ack", body: "x" });
    const first = await next();
    first.nack();
    const second = await next();
    const done = receipt(client, "acked");
    second.ack({ receipt: "acked" });
    await done;
    await client.deactivate();
    return [first.headers.redelivered, second.headers.redelivered];
  },
  async transactions() {
    const [client] = await connected();
    const next = messages(client, "/queue/js.transaction");
    for (const end of ["abort", "commit"]) {
      const transaction = client.begin();
      const headers = { transaction: transaction.id };
      client.publish({ destination: "/queue/js.transaction", body: end, headers });
      transaction[end]();
    }
    const message = await next();
    await client.deactivate();
    return { body: message.body };
  },
  async heartbeats() {
    let closed = false;
    const [client] = await connected({
      heartbeatIncoming: 300, heartbeatOutgoing: 300, onWebSocketClose: () => { closed = true; },
    });
    await new Promise((resolve) => setTimeout(resolve, 2000));
    const stayed = client.connected && !closed;
    await client.deactivate();
    return { stayed };
  },
  async error() {
    const [client] = await connected();
    const error = new Promise((resolve) => { client.onStompError = resolve; });
    client.publish({ destination: "/nowhere/at/all", body: "", headers: { receipt: "lost" } });
    const { headers } = await error;
    await client.deactivate();
    return { message: headers.message, receipt: headers["receipt-id"] };
  },
  // Answers what another client asks, until it is told to stop.
  async answer() {
    const [client] = await connected();
    const next = messages(client, "/queue/js.questions");
    console.error("ready");
    for (;;) {
      const message = await next();
      if (message.body === "stop") break;
      client.publish({ destination: "/topic/js.answers", body: message.body.toUpperCase() });
    }
    await client.deactivate();
    return "stopped";
  },
};

const timer = setTimeout(() => { console.error("timed out"); process.exit(1); }, 30000);
try {
  console.log(JSON.stringify(await scenarios[scenario]()));
} catch (error) {
  console.error(error);
  process.exitCode = 1;
}
clearTimeout(timer);
