import { expect, test } from 'vitest'
import { countOpen } from './count-open.ts'

/** A response that stays open until `close`, and the number of its ends so far. */
function openResponse() {
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined
  const body = new ReadableStream<Uint8Array>({ start: (opened) => void (controller = opened) })
  let ends = 0
  const response = countOpen(new Response(body, { status: 201, headers: { 'x-test': 'kept' } }), () => (ends += 1))
  return { response, close: () => controller?.close(), endCount: () => ends }
}

const nextTurn = () => new Promise((resolve) => setImmediate(resolve))

test('a response ends once if its client goes while it waits for the next part', async () => {
  const { response, endCount } = openResponse()
  const reader = response.body?.getReader()
  const waiting = reader?.read()
  await nextTurn() // the read of the inner body has begun
  await reader?.cancel()
  expect(await waiting).toMatchObject({ done: true })
  await nextTurn() // the interrupted read has ended
  expect(endCount()).toBe(1)
})

test('a response ends once at the end of its body, and is the same otherwise', async () => {
  const { response, close, endCount } = openResponse()
  expect([response.status, response.headers.get('x-test')]).toEqual([201, 'kept'])
  const text = response.text()
  expect(endCount()).toBe(0)
  close()
  expect([await text, endCount()]).toEqual(['', 1])
})
