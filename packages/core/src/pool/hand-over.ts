/**
 * Hands a lease to the caller, who must take it before the next timers run. Otherwise the lease ends.
 *
 * @param lease starts another lease.
 * @param release ends a lease.
 * @returns takes the lease at its first call, and starts another one at each later call. It returns the end of the lease.
 */
export function handOver(lease: () => void, release: () => void): () => () => void {
  let isTaken = false
  setTimeout(() => {
    if (!isTaken) release()
  })
  return () => {
    if (isTaken) lease()
    isTaken = true
    return release
  }
}
