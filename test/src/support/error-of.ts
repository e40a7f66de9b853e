import { inspect } from 'node:util'
import { expect } from 'vitest'

/** What a promise rejects with; one that does not reject fails the test. */
export async function errorOf(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(
    (value) => expect.fail(`it did not fail, but gave ${inspect(value)}`),
    (error: unknown) => error,
  )
}
