// Measures eventsource-parser and eventsource-encoder: node peers.mjs …/sse_stream llm ticks > peers.jsonl
//
// The parser is fed strings: that somebody decoded the bytes is not counted. The encoder's strings are written
// to a buffer, since bytes are what is sent. Figures are medians of nine runs, after one to warm up, by the wall
// clock.
import { execFileSync } from 'node:child_process'
import { encode } from 'eventsource-encoder'
import { createParser } from 'eventsource-parser'

const chunkSize = 16384
const streamSize = 64 * 2 ** 20

/** `pass` goes over `bytes` bytes, and returns how many events they were. */
function measure(name, bytes, pass) {
    let events = pass()
    const seconds = Array.from({ length: 9 }, () => {
        const begin = performance.now()
        events = pass()
        return (performance.now() - begin) / 1000
    })
    const median = seconds.sort((a, b) => a - b)[4]
    console.log(JSON.stringify({ name, bytes_per_second: bytes / median, events, node: process.version }))
}

function measureParser(program, stream) {
    const bytes = execFileSync(program, [stream, String(streamSize)], { maxBuffer: 2 * streamSize })
    const decoder = new TextDecoder()
    const chunks = []
    for (let i = 0; i < bytes.length; i += chunkSize) {
        chunks.push(decoder.decode(bytes.subarray(i, i + chunkSize), { stream: true }))
    }
    measure(`parse/eventsource-parser/${stream}/${chunkSize}`, bytes.length, () => {
        let events = 0
        let length = 0
        const parser = createParser({
            onEvent(event) {
                ++events
                length += event.data.length
            },
        })
        for (const chunk of chunks) parser.feed(chunk)
        return length > 0 ? events : 0
    })
}

/** Some lower-case letters, other ones each time. */
let seed = 1
function letters(count) {
    return Array.from({ length: count }, () => {
        seed = (Math.imul(seed, 1103515245) + 12345) >>> 0
        return String.fromCharCode(97 + ((seed >>> 16) % 26))
    }).join('')
}

/** The same kinds of messages as in encode.cpp. */
const cases = {
    '230': () => ({ data: letters(230) }),
    '230x3': () => ({ data: [50, 60, 70, 47].map(letters).join('\n') }),
    'tick': (i) => ({ id: String(1_000_000 + i), event: 'tick', data: letters(12) }),
    '64KiB': () => ({ data: letters(65536) }),
    '64KiB/lines': () => ({ data: letters(65536).replace(/(.{79})./g, '$1\n') }),
}

function measureEncoder(name) {
    const rounds = 100
    const messages = Array.from({ length: name.startsWith('64KiB') ? 16 : 256 }, (_, i) => cases[name](i))
    const bytes = messages.reduce((sum, message) => sum + encode(message).length, 0)
    const room = Buffer.alloc(2 ** 20)
    measure(`encode/eventsource-encoder/${name}`, bytes * rounds, () => {
        for (let round = 0, at = 0; round < rounds; ++round) {
            for (const message of messages) {
                const text = encode(message)
                if (at + text.length > room.length) at = 0
                at += room.write(text, at)
            }
        }
        return messages.length * rounds
    })
}

const [program, ...streams] = process.argv.slice(2)
for (const stream of streams) measureParser(program, stream)
for (const name of Object.keys(cases)) measureEncoder(name)
