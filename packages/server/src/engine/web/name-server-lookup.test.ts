import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { afterEach, expect, test } from 'vitest'
import { nameServerLookup } from './name-server-lookup.ts'

let socket: Socket | undefined
afterEach(() => {
  socket?.close()
  socket = undefined
})

const [typeA, typeAaaa] = [1, 28]

/** A name server with these records by type (RFC 1035, 4). A name without records of a type gets an empty answer. */
async function nameServer(records: Record<number, number[][]>, code = 0): Promise<string> {
  const own = createSocket('udp4')
  socket = own
  own.on('message', (query, from) => {
    const nameEnd = query.indexOf(0, 12) + 1
    const question = query.subarray(12, nameEnd + 4)
    const type = query.readUInt16BE(nameEnd)
    const found = code === 0 ? (records[type] ?? []) : []
    const header = Buffer.from([...query.subarray(0, 2), 0x81, 0x80 | code, 0, 1, 0, found.length, 0, 0, 0, 0])
    const answers = found.map((address) => {
      return Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, 60, 0, address.length, ...address])
    })
    own.send(Buffer.concat([header, question, ...answers]), from.port, from.address)
  })
  await once(own.bind(0, '127.0.0.1'), 'listening')
  return `127.0.0.1:${own.address().port}`
}

const six = [0x26, 0x06, 0x28, 0, ...Array.from({ length: 11 }, () => 0), 1]

test('returns all addresses of both families', async () => {
  const server = await nameServer({
    [typeA]: [
      [93, 184, 1, 1],
      [10, 0, 0, 1],
    ],
    [typeAaaa]: [six],
  })
  expect(await nameServerLookup([server])('some.test')).toEqual(['93.184.1.1', '10.0.0.1', '2606:2800::1'])
})

test('returns the addresses of one family if there is no other', async () => {
  const server = await nameServer({ [typeAaaa]: [six] })
  expect(await nameServerLookup([server])('some.test')).toEqual(['2606:2800::1'])
})

test('rejects with the reason for a name that does not exist', async () => {
  const server = await nameServer({}, 3)
  await expect(nameServerLookup([server])('none.test')).rejects.toMatchObject({ code: 'ENOTFOUND' })
})
