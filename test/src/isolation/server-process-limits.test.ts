// A server with too low limits of its own process reports them, and how to raise them.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { root } from '../support/server-process.ts'

test.each([
  ['-Hn 2000', 'The hard limit of open files is 2000 for this process, and sandboxes need 4096. Raise it'],
  ['-Hu 300', 'The hard limit of processes is 300 for this process, and sandboxes need 528. Raise it'],
])('a server under ulimit %s does not start', (limit, message) => {
  const serve = [process.execPath, join(root, 'packages/server/dist/bin.js'), 'serve', '--port', '0', '--json']
  const options = ['-c', `ulimit ${limit.replace('H', 'S')}; ulimit ${limit}; exec "$@"`, 'bash', ...serve]
  const { status, stderr } = spawnSync('/bin/bash', options, { encoding: 'utf8', timeout: 60_000 })
  expect(stderr).toContain(message)
  expect(stderr).not.toMatch(/Traceback|^ {4}at /m)
  expect(status).not.toBe(0)
})
