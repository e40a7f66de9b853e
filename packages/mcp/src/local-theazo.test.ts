import { expect, test } from 'vitest'
import { loadFault } from './local-theazo.ts'

test('a package that is missing can be installed; any other reason is named', () => {
  const notFound = (name: string) =>
    Object.assign(new Error(`Cannot find package '${name}' imported from /x.js`), { code: 'ERR_MODULE_NOT_FOUND' })
  expect(loadFault(notFound('@theazo/server'))).toMatch('npm install @theazo/server')
  expect(loadFault(notFound('hono'))).toBe(
    "--local could not load @theazo/server: Cannot find package 'hono' imported from /x.js",
  )
  expect(loadFault(new Error('No such built-in module: node:sqlite'))).toMatch(/could not load.*node:sqlite/)
})
