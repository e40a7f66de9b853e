import { once } from 'node:events'

/**
 * The size of a process's JavaScript heap and buffers after a garbage collection, in bytes.
 *
 * @param output contains the address that node prints with --inspect.
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
