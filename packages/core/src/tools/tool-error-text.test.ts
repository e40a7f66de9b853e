import { expect, test } from 'vitest'
import { Theazo } from '../client.ts'
import { runCode } from './run-code.ts'

const redirect = { status: 302, headers: { location: 'http://10.1.2.4/login' } }

test.each([
  ['cannot be reached', () => Promise.reject(new TypeError('connect ECONNREFUSED 10.1.2.3:8080')), 'ConnectionError'],
  ['redirects', () => Promise.resolve(new Response(null, redirect)), 'InvalidResponseError'],
])('if the server %s, the text for the model does not name an address', async (_what, fetch, name) => {
  const theazo = new Theazo({ apiKey: 'th_live_a', baseUrl: 'http://10.1.2.3:8080', fetch, maxRetries: 0 })
  const result = await runCode.run({ language: 'bash', code: 'ls' }, { sandbox: theazo.agent('agt_1') })
  if (!result.isError) expect.fail('the call succeeded')
  expect(result.error.message).toContain('10.1.2.') // what the text must not repeat
  expect(result.text).toMatch(new RegExp(`^${name} `))
  expect(result.text).not.toContain('10.1.2.')
})
