import { expect, test } from 'vitest'
import { type AppOptions, createApp } from './app.ts'
import { openApiDocument } from './openapi.ts'

test('the OpenAPI document has exactly the routes of the API', () => {
  // No route is called, so the routes need no services.
  const app = createApp({} as AppOptions)
  const served = app.routes.flatMap(({ method, path }) =>
    method !== 'ALL' && !path.includes('*') && path.startsWith('/v1/')
      ? `${method} ${path.slice('/v1'.length).replaceAll(/:(\w+)(?:\{[^}]*\})?/g, '{$1}')}`
      : [],
  )
  const { paths } = openApiDocument() as { paths: Record<string, object> } // the result of createDocument
  const documented = Object.entries(paths).flatMap(([path, item]) =>
    Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`),
  )
  expect(documented.toSorted()).toEqual([...new Set(served)].toSorted())
  expect(documented.length).toBeGreaterThan(10)
})
