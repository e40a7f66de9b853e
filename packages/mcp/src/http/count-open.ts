/** The same response, with a callback that is called once: at the end of its body, or when the client has gone. */
export function countOpen({ body, status, headers }: Response, onEnd: () => void): Response {
  if (!body) {
    onEnd()
    return new Response(body, { status, headers })
  }
  let isOpen = true
  const end = (): void => {
    if (isOpen) onEnd()
    isOpen = false
  }
  const reader = body.getReader()
  const counted = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await reader.read().catch((error: unknown) => {
        end()
        throw error
      })
      if (!isOpen) return // a cancel also resolves the read that it interrupts
      if (!done) return controller.enqueue(value)
      end()
      controller.close()
    },
    async cancel(reason) {
      end()
      await reader.cancel(reason)
    },
  })
  return new Response(counted, { status, headers })
}
