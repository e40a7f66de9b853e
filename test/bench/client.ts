import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Theazo } from '@theazo/core'
import { alternate, percentile, type Row, timeRow } from './measure.ts'

/** One exec over loopback, to a server that responds immediately, compared with a bare fetch of the same body and timeout. */
export async function clientRows(): Promise<Row[]> {
  const answer = JSON.stringify({ stdout: '4\n', stderr: '', exitCode: 0, durationMs: 1 })
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      response.writeHead(200, { 'content-type': 'application/json', 'theazo-features': 'idempotency' }).end(answer)
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`
  try {
    const agent = new Theazo({ apiKey: 'th_live_bench', baseUrl }).agent('agt_1')
    const code = 'print(2 + 2)'
    const bare = async (): Promise<unknown> => {
      const response = await fetch(`${baseUrl}/agents/agt_1/exec`, {
        method: 'POST',
        headers: { authorization: 'Bearer th_live_bench', 'content-type': 'application/json' },
        body: JSON.stringify({ lang: 'python', code }),
        signal: AbortSignal.timeout(130_000),
      })
      return await response.json()
    }
    const [ours = [], theirs = []] = await alternate(8000, () => agent.exec('python', code), bare)
    const row = (percent: number, goal?: string): Row =>
      timeRow(`one exec call, p${percent}`, percentile(ours, percent), 'bare fetch', percentile(theirs, percent), goal)
    return [row(50, '<= 1.15'), row(95, '<= 1.3'), row(99)]
  } finally {
    server.closeAllConnections()
    server.close()
  }
}
