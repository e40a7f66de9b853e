/** True for a promise. A callback that returns none is not awaited, which would cost a turn of the event loop. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value
}
