// The classic server of events on Node's own http: six of them, with ids, and then 204. Of each path it cuts the
// first connection in the middle of the fourth event. Paths that begin with /gzip are compressed.
import http from "node:http";
import zlib from "node:zlib";

const connections = new Map();

const server = http.createServer(async (request, response) => {
    const lastId = Number(request.headers["last-event-id"] ?? 0);
    const connection = (connections.get(request.url) ?? 0) + 1;
    connections.set(request.url, connection);
    if (lastId === 6) {
        response.writeHead(204).end();
        return;
    }
    const compressed = request.url.startsWith("/gzip") && /\bgzip\b/.test(request.headers["accept-encoding"]);
    response.writeHead(200, {
        "Content-Type": "text/event-stream",
        "Cache-Control": "no-cache",
        ...(compressed ? { "Content-Encoding": "gzip" } : {}),
    });
    const out = compressed ? zlib.createGzip() : response;
    if (compressed) out.pipe(response);
    const write = (text) =>
        new Promise((resolve) => out.write(text, () => (compressed ? out.flush(resolve) : resolve())));

    await write("retry: 1\n\n");
    for (let id = lastId + 1; id <= 6; ++id) {
        if (connection === 1 && id === 4) {
            await write(`id: ${id}\ndata: half of it`);
            response.socket.end();
            return;
        }
        await write(`event: tick\nid: ${id}\ndata: number ${id}\ndata: ${compressed ? "compressed" : "plain"}\n\n`);
    }
    out.end();
});

server.listen(0, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
