/** A `fetch` that knows how many of its requests are open. */
export interface CountedFetch {
  fetch: typeof fetch
  /** Requests whose answers have not ended, and are not cancelled. Over a network, each holds a socket. */
  open(): number
}

export function countedFetch(send: typeof fetch): CountedFetch {
  const open = new Set<object>()
  return {
    open: () => open.size,
    async fetch(...request) {
      const id = {}
      open.add(id)
      try {
        const response = await send(...request)
        if (response.body)
          return new Response(
            watched(response.body, () => open.delete(id)),
            response,
          )
        open.delete(id)
        return response
      } catch (error) {
        open.delete(id)
        throw error
      }
    },
  }
}

/** @param onEnd called at the end, after an error, and after a cancel. */
function watched(body: ReadableStream<Uint8Array>, onEnd: () => void): ReadableStream<Uint8Array> {
  const reader = body.getReader()
  return new ReadableStream({
    async pull(controller) {
      try {
        const { done, value } = await reader.read()
        if (!done) return controller.enqueue(value)
        controller.close()
      } catch (error) {
        controller.error(error)
      }
      onEnd()
    },
    async cancel(reason) {
      onEnd()
      await reader.cancel(reason)
    },
  })
}
