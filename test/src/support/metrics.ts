/**
 * The text of a server's page `/metrics`. @param fetch default: the platform's. A server in this process has its own.
 */
export async function metricsOf(baseUrl: string, fetch = globalThis.fetch): Promise<string> {
  return await (await fetch(new URL('/metrics', baseUrl))).text()
}

/** The value of a metric without labels; NaN if the server has no metric of this name. */
export async function metricOf(baseUrl: string, name: string, fetch = globalThis.fetch): Promise<number> {
  const text = await metricsOf(baseUrl, fetch)
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1])
}
