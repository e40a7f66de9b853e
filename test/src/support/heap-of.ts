import { once } from 'node:events'

/**
 * Bytes that JavaScript of a process holds after a collection, those of its buffers with them.
 *
 * @param output holds what a node with --inspect says of where it listens.
 */
export async function heapOf(output: string): Promise<number> {
  const address = /^Debugger listening on (ws:\/\/\S+)$/m.exec(output)?.[1]
  if (address === undefined) throw new Error('the process was not started with --inspect')
  const socket = new WebSocket(address)
  try {
    await once(socket, 'open')
    const ask = async (id: number, method: string) => {
      const answer = once(socket, 'message')
      socket.send(JSON.stringify({ id, method }))
      const [event] = await answer
      return JSON.parse(event.data).result
    }
    await ask(1, 'HeapProfiler.collectGarbage')
    const { usedSize, backingStorageSize } = await ask(2, 'Runtime.getHeapUsage')
    return usedSize + backingStorageSize
  } finally {
    socket.close()
  }
}
