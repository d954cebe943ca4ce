// The server of events that people write on Node's own http: a set of responses, and a write to each for each
// event. The last 1,000 events are kept for those who come back: node node_server.mjs [PORT]
import http from 'node:http'

const kept = 1000

const responses = new Set()
const history = []
let lastId = 0

function subscribe(request, response) {
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' })
    response.flushHeaders()
    const seen = request.headers['last-event-id']
    if (seen !== undefined) {
        for (const { id, text } of history) if (id > Number(seen)) response.write(text)
    }
    responses.add(response)
    response.on('close', () => responses.delete(response))
}

function publish(data) {
    const id = ++lastId
    const text = `id: ${id}\ndata: ${data}\n\n`
    history.push({ id, text })
    if (history.length > kept) history.shift()
    for (const response of responses) response.write(text)
}

function takeEvent(request, response) {
    let data = ''
    request.setEncoding('utf8')
    request.on('data', (chunk) => (data += chunk))
    request.on('end', () => {
        publish(data)
        response.writeHead(204).end()
    })
}

const server = http.createServer((request, response) => {
    if (request.method === 'GET' && request.url === '/events') subscribe(request, response)
    else if (request.method === 'POST' && request.url === '/publish') takeEvent(request, response)
    else response.writeHead(404).end()
})
server.keepAliveTimeout = 0 // who publishes may pause
server.listen({ port: Number(process.argv[2] ?? 8080), host: '127.0.0.1', backlog: 4096 }, () => {
    console.log(`listening on http://127.0.0.1:${server.address().port}/`)
})
