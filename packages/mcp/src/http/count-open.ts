/** The same response, with a callback when its body has been read to its end, or the client has gone. */
export function countOpen({ body, status, headers }: Response, onEnd: () => void): Response {
  if (!body) {
    onEnd()
    return new Response(body, { status, headers })
  }
  const reader = body.getReader()
  const counted = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await reader.read().catch((error: unknown) => {
        onEnd()
        throw error
      })
      if (!done) return controller.enqueue(value)
      onEnd()
      controller.close()
    },
    async cancel(reason) {
      onEnd()
      await reader.cancel(reason)
    },
  })
  return new Response(counted, { status, headers })
}
