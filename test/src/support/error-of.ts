import { inspect } from 'node:util'
import { expect } from 'vitest'

/** The reason with which the promise rejects. Fails the test if it does not reject. */
export async function errorOf(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(
    (value) => expect.fail(`the promise did not reject, but resolved with ${inspect(value)}`),
    (error: unknown) => error,
  )
}
