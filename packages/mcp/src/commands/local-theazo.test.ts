import { expect, test } from 'vitest'
import { loadErrorMessage } from './local-theazo.ts'

test('the message for a missing package is the install command; any other message states the cause', () => {
  const notFound = (name: string) =>
    Object.assign(new Error(`Cannot find package '${name}' imported from /x.js`), { code: 'ERR_MODULE_NOT_FOUND' })
  expect(loadErrorMessage(notFound('@theazo/server'))).toMatch('npm install @theazo/server')
  expect(loadErrorMessage(notFound('hono'))).toBe(
    "--local could not load @theazo/server: Cannot find package 'hono' imported from /x.js",
  )
  expect(loadErrorMessage(new Error('No such built-in module: node:sqlite'))).toMatch(/could not load.*node:sqlite/)
})
